//! SARIF 2.1.0, for code scanning.
//!
//! One run. Rules are those that were found, with their pages; a result has its witness in `properties`, and there `possibly`
//! where it is marked so,
//! its edits in `fixes`, and its fingerprint in `partialFingerprints`.

use super::place::{Files, Position};
use crate::diagnostic::{Diagnostic, Edit, Help, Label, Severity, Sources};
use crate::syntax::span::Loc;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// The name of the fingerprint, with its version: it changes when fingerprints do.
const FINGERPRINT: &str = "sluice/v1";

/// A SARIF log of one run. `version` is that of the program. Files are told by the path that they are
/// shown by, relative to where the command ran.
pub fn sarif(diagnostics: &[Diagnostic], sources: &dyn Sources, version: &str) -> String {
    let mut files = Files::new(sources);
    let codes: BTreeMap<&str, usize> = {
        let all: std::collections::BTreeSet<&str> = diagnostics.iter().map(|d| d.code).collect();
        all.into_iter().enumerate().map(|(n, code)| (code, n)).collect()
    };
    let rules: Vec<Value> = codes.keys().map(|code| rule(code)).collect();
    let prints = crate::lint::fingerprints(diagnostics, sources);
    let results: Vec<Value> =
        diagnostics.iter().zip(&prints).map(|(d, print)| result(d, codes[d.code], print, &mut files)).collect();
    let log = json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": { "name": "sluice", "version": version, "rules": rules } },
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    });
    let mut out = serde_json::to_string_pretty(&log).expect("texts and numbers always serialise");
    out.push('\n');
    out
}

fn rule(code: &str) -> Value {
    let known = crate::lint::rules().iter().find(|r| r.code == code);
    let Some(rule) = known else { return json!({ "id": code }) };
    let page = rule.explain();
    json!({
        "id": code,
        "shortDescription": { "text": rule.summary },
        "help": { "text": page, "markdown": page },
    })
}

fn result(d: &Diagnostic, rule: usize, fingerprint: &str, files: &mut Files<'_>) -> Value {
    let level = match d.severity {
        Severity::Info => "note",
        Severity::Warning => "warning",
        Severity::Error => "error",
    };
    let mut text = d.message.clone();
    for note in &d.notes {
        text.push_str(&format!("\nnote: {note}"));
    }
    for help in &d.help {
        let paste = if help.paste.is_empty() { String::new() } else { format!(": {}", help.paste) };
        text.push_str(&format!("\nhelp: {}{paste}", help.text));
    }
    let related: Vec<Value> = d.labels.iter().enumerate().map(|(n, label)| related(n, label, files)).collect();
    let fixes: Vec<Value> = d.help.iter().filter_map(|help| Some(fix(help, help.edit.as_ref()?, files))).collect();
    let mut out = Map::new();
    out.insert("ruleId".into(), d.code.into());
    out.insert("ruleIndex".into(), rule.into());
    out.insert("level".into(), level.into());
    out.insert("message".into(), json!({ "text": text }));
    out.insert("locations".into(), json!([{ "physicalLocation": physical(d.primary.loc, files) }]));
    if !related.is_empty() {
        out.insert("relatedLocations".into(), related.into());
    }
    if !fixes.is_empty() {
        out.insert("fixes".into(), fixes.into());
    }
    out.insert("partialFingerprints".into(), json!({ FINGERPRINT: fingerprint }));
    let mut properties = Map::new();
    if let Some(witness) = &d.witness {
        properties.insert("witness".into(), witness.as_str().into());
    }
    if d.possibly {
        properties.insert("possibly".into(), true.into());
    }
    if !properties.is_empty() {
        out.insert("properties".into(), properties.into());
    }
    out.into()
}

fn related(id: usize, label: &Label, files: &mut Files<'_>) -> Value {
    let mut out = json!({ "id": id, "physicalLocation": physical(label.loc, files) });
    if !label.text.is_empty() {
        out["message"] = json!({ "text": label.text });
    }
    out
}

fn physical(loc: Loc, files: &mut Files<'_>) -> Value {
    let (path, start, end) = files.place(loc);
    json!({ "artifactLocation": artifact(path), "region": region(start, end) })
}

fn fix(help: &Help, edit: &Edit, files: &mut Files<'_>) -> Value {
    let (path, start, end) = files.place(edit.loc);
    let mut replacement = json!({ "deletedRegion": region(start, end) });
    if !edit.text.is_empty() {
        replacement["insertedContent"] = json!({ "text": edit.text });
    }
    let paste = if help.paste.is_empty() { String::new() } else { format!(" `{}`", help.paste) };
    json!({
        "description": { "text": format!("{}{paste}", help.text) },
        "artifactChanges": [{ "artifactLocation": artifact(path), "replacements": [replacement] }],
        "properties": { "applicability": if edit.safe { "safe" } else { "unsafe" } },
    })
}

/// Lines and columns from 1, the end excluded.
fn region(start: Position, end: Position) -> Value {
    json!({
        "startLine": start.line,
        "startColumn": start.column,
        "endLine": end.line,
        "endColumn": end.column,
        "byteOffset": start.offset,
        "byteLength": end.offset - start.offset,
    })
}

/// A path as a URI reference (RFC 3986): what may not stand in one is escaped.
fn artifact(path: &str) -> Value {
    let mut uri = String::new();
    if path.starts_with('/') {
        uri.push_str("file://");
    }
    // `./sites/a.route` and `sites/a.route` are one file.
    for b in path.strip_prefix("./").unwrap_or(path).bytes() {
        match b {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' | b'@' | b'+' => {
                uri.push(char::from(b));
            }
            _ => uri.push_str(&format!("%{b:02X}")),
        }
    }
    json!({ "uri": uri })
}
