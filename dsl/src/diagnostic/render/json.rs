//! For programs: one array, stable field names.
//!
//! Each element is an object with
//!
//! | field | |
//! |---|---|
//! | `code` | `G1002` |
//! | `severity` | `error`, `warning` or `info` |
//! | `message` | one line |
//! | `path` | of the file, as the command was given it |
//! | `start`, `end` | objects of `line` and `column` (from 1, columns in Unicode characters) and `offset` (bytes from 0); the end is excluded |
//! | `text` | what is said of that place; may be empty |
//! | `labels` | other places: `path`, `start`, `end`, `text` |
//! | `notes` | array of texts |
//! | `help` | array of `text`, `paste` (may be empty) and `edit` (may be null): `path`, `start`, `end`, `text` (the replacement) and `applicability` (`safe` or `unsafe`) |
//! | `witness` | a request that shows it, or null |
//! | `possibly` | true where the finding rests on conditions that the analysis cannot see into, and no request shows it |
//! | `fingerprint` | 16 hexadecimal digits that stay when lines move: of the code, the site and the pattern |

use super::place::{Files, Position};
use crate::diagnostic::{Diagnostic, Edit, Help, Label, Sources};
use serde::Serialize;

#[derive(Serialize)]
struct Finding<'a> {
    code: &'a str,
    severity: &'static str,
    message: &'a str,
    #[serde(flatten)]
    primary: Place<'a>,
    labels: Vec<Place<'a>>,
    notes: &'a [String],
    help: Vec<Advice<'a>>,
    witness: Option<&'a str>,
    possibly: bool,
    fingerprint: String,
}

#[derive(Serialize)]
struct Place<'a> {
    path: &'a str,
    start: Position,
    end: Position,
    text: &'a str,
}

#[derive(Serialize)]
struct Advice<'a> {
    text: &'a str,
    paste: &'a str,
    edit: Option<Replacement<'a>>,
}

#[derive(Serialize)]
struct Replacement<'a> {
    #[serde(flatten)]
    place: Place<'a>,
    applicability: &'static str,
}

/// An array of objects; the fields are listed in the module's documentation.
pub fn json(diagnostics: &[Diagnostic], sources: &dyn Sources) -> String {
    let mut files = Files::new(sources);
    let prints = crate::lint::fingerprints(diagnostics, sources);
    let findings: Vec<Finding<'_>> =
        diagnostics.iter().zip(prints).map(|(d, print)| finding(d, print, &mut files)).collect();
    let mut out = serde_json::to_string_pretty(&findings).expect("texts and numbers always serialise");
    out.push('\n');
    out
}

fn finding<'a>(d: &'a Diagnostic, fingerprint: String, files: &mut Files<'a>) -> Finding<'a> {
    Finding {
        code: d.code,
        severity: d.severity.word(),
        message: &d.message,
        primary: place(&d.primary, files),
        labels: d.labels.iter().map(|label| place(label, files)).collect(),
        notes: &d.notes,
        help: d.help.iter().map(|help| advice(help, files)).collect(),
        witness: d.witness.as_deref(),
        possibly: d.possibly,
        fingerprint,
    }
}

fn place<'a>(label: &'a Label, files: &mut Files<'a>) -> Place<'a> {
    let (path, start, end) = files.place(label.loc);
    Place { path, start, end, text: &label.text }
}

fn advice<'a>(help: &'a Help, files: &mut Files<'a>) -> Advice<'a> {
    let edit = help.edit.as_ref().map(|edit| replacement(edit, files));
    Advice { text: &help.text, paste: &help.paste, edit }
}

fn replacement<'a>(edit: &'a Edit, files: &mut Files<'a>) -> Replacement<'a> {
    let (path, start, end) = files.place(edit.loc);
    let applicability = if edit.safe { "safe" } else { "unsafe" };
    Replacement { place: Place { path, start, end, text: &edit.text }, applicability }
}
