//! Findings, as `sluice lint` makes them of what is in the editor.

use super::server::Server;
use super::text::{Encoding, Lines};
use super::world::path_of;
use crate::cli::Failed;
use crate::cli::lint::linted::Linted;
use crate::sites::compile::Drafts;
use dsl::diagnostic::{Diagnostic, Edit, Severity, Sources};
use dsl::syntax::span::{FileId, Loc};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A finding as the client has it, with the edits that mend it.
pub(super) struct Published {
    pub(super) shown: Value,
    pub(super) fixes: Vec<Fix>,
}

/// An edit that a finding names.
pub(super) struct Fix {
    pub(super) title: String,
    pub(super) path: PathBuf,
    pub(super) edit: Edit,
}

/// The findings of a file by itself, at once: what it says beside other files is found when all are looked at.
pub(super) fn quick(server: &mut Server, path: &Path) -> Option<(String, Value)> {
    let text = server.world.text(path)?;
    let file = server.world.id(path);
    let shown = path.display().to_string();
    let found = dsl::lint::allow(server.world.compile(path), &[file], &OfOne(file, &shown, &text));
    // What it allows may be said by those who look at all files.
    let found: Vec<Diagnostic> = found.into_iter().filter(|d| d.code != UNUSED_ALLOW).collect();
    let mut by_file: BTreeMap<PathBuf, Vec<Published>> = BTreeMap::new();
    collect(&found, &OfWorld::new(server), server.encoding, &mut by_file);
    let published = by_file.remove(path).unwrap_or_default();
    let uri = server.world.uri(path);
    let shown = published.iter().map(|one| one.shown.clone()).collect();
    server.published.insert(uri.clone(), published);
    Some((uri, shown))
}

/// The code of an `# allow` that allows nothing.
const UNUSED_ALLOW: &str = "G9003";

/// One file.
struct OfOne<'a>(FileId, &'a str, &'a str);

impl Sources for OfOne<'_> {
    fn source(&self, file: FileId) -> Option<(&str, &str)> {
        if file == self.0 { Some((self.1, self.2)) } else { dsl::stdlib::source(file) }
    }
}

/// What `sluice lint` makes of a sites directory, with what the editor has open; nothing where the editor has
/// no file of it open.
pub(super) fn lint(root: &Path, drafts: &Drafts) -> Option<Result<Linted, Failed>> {
    let open = drafts.keys().any(|path| path.starts_with(root) && path.is_file());
    open.then(|| Linted::of(&[root.to_path_buf()], drafts))
}

/// The findings of a sites directory anew: what to publish, by URI. Files that have none any more are
/// told so.
pub(super) fn renew(server: &mut Server, root: &Path, linted: Option<Result<Linted, Failed>>) -> Vec<(String, Value)> {
    let mut by_file: BTreeMap<PathBuf, Vec<Published>> = BTreeMap::new();
    let open: Vec<PathBuf> = server.world.open.keys().filter(|path| path.starts_with(root)).cloned().collect();
    match linted {
        Some(Ok(linted)) => collect(&linted.findings, &OfLint(&linted), server.encoding, &mut by_file),
        Some(Err(why)) => server.show(1, &why.0),
        None => {}
    }
    for path in open.iter().filter(|path| !path.is_file()) {
        let findings = server.world.compile(path);
        collect(&findings, &OfWorld::new(server), server.encoding, &mut by_file);
    }
    let mut out = Vec::new();
    for path in &open {
        by_file.entry(path.clone()).or_default();
    }
    let gone: Vec<String> = server.published.keys().filter(|uri| path_of(uri).starts_with(root)).cloned().collect();
    for uri in gone {
        let path = path_of(&uri);
        if !by_file.contains_key(&path) {
            server.published.remove(&uri);
            out.push((uri, json!([])));
        }
    }
    for (path, published) in by_file {
        let uri = server.world.uri(&path);
        out.push((uri.clone(), published.iter().map(|one| one.shown.clone()).collect()));
        server.published.insert(uri, published);
    }
    out
}

/// Texts with the places where they are files.
trait Files {
    fn file(&self, file: FileId) -> Option<(PathBuf, Arc<str>)>;
}

struct OfLint<'a>(&'a Linted);

impl Files for OfLint<'_> {
    fn file(&self, file: FileId) -> Option<(PathBuf, Arc<str>)> {
        let (path, text) = self.0.source(file)?;
        // Those of the standard library are nobody's files.
        let path = Path::new(path);
        path.is_absolute().then(|| (path.to_path_buf(), text.into()))
    }
}

struct OfWorld<'a>(&'a Server);

impl<'a> OfWorld<'a> {
    fn new(server: &'a Server) -> Self {
        Self(server)
    }
}

impl Files for OfWorld<'_> {
    fn file(&self, file: FileId) -> Option<(PathBuf, Arc<str>)> {
        let path = self.0.world.path(file)?;
        let text = self.0.world.text(&path)?;
        Some((path, text))
    }
}

fn collect(
    findings: &[Diagnostic],
    files: &dyn Files,
    encoding: Encoding,
    out: &mut BTreeMap<PathBuf, Vec<Published>>,
) {
    let mut lines: BTreeMap<FileId, Option<(PathBuf, Arc<str>)>> = BTreeMap::new();
    let mut range = |loc: Loc| -> Option<(PathBuf, Value)> {
        let (path, text) = lines.entry(loc.file).or_insert_with(|| files.file(loc.file)).as_ref()?;
        Some((path.clone(), Lines::new(text, encoding).range(loc.span)))
    };
    for finding in findings {
        let Some((path, at)) = range(finding.primary.loc) else { continue };
        let related: Vec<Value> = finding
            .labels
            .iter()
            .filter_map(|label| {
                let (path, range) = range(label.loc)?;
                let message = if label.text.is_empty() { "this" } else { &label.text };
                Some(json!({ "location": { "uri": super::world::uri(&path), "range": range }, "message": message }))
            })
            .collect();
        let severity = match finding.severity {
            Severity::Error => 1,
            Severity::Warning => 2,
            Severity::Info => 3,
        };
        let unnecessary = matches!(finding.code, "G2001" | "G2004" | "G2008");
        let shown = json!({
            "range": at,
            "severity": severity,
            "code": finding.code,
            "source": "sluice",
            "message": message(finding),
            "relatedInformation": related,
            "tags": if unnecessary { json!([1]) } else { json!([]) },
        });
        let fixes = finding
            .help
            .iter()
            .filter_map(|help| {
                let edit = help.edit.as_ref()?;
                let (path, _) = files.file(edit.loc.file)?;
                let title =
                    if help.paste.is_empty() { help.text.clone() } else { format!("{}: `{}`", help.text, help.paste) };
                Some(Fix { title, path, edit: edit.clone() })
            })
            .collect();
        out.entry(path).or_default().push(Published { shown, fixes });
    }
}

/// What a finding says, without the lines that an editor shows anyway.
fn message(finding: &Diagnostic) -> String {
    let mut out = finding.message.clone();
    if !finding.primary.text.is_empty() {
        out.push_str(&format!(" ({})", finding.primary.text));
    }
    for note in &finding.notes {
        out.push_str(&format!("\n{note}"));
    }
    for help in &finding.help {
        match (help.text.as_str(), help.paste.as_str()) {
            (text, "") => out.push_str(&format!("\nhelp: {text}")),
            (text, paste) => out.push_str(&format!("\nhelp: {text} `{paste}`")),
        }
    }
    if let Some(witness) = &finding.witness {
        out.push_str(&format!("\nwitness: {witness}"));
    }
    out
}
