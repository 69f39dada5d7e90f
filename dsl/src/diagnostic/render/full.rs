//! As rustc shows them: the code, the place in its source, and what to type.

use super::place::{File, Files};
use super::visible;
use crate::diagnostic::{Diagnostic, Help, Label, Severity, Sources};
use crate::syntax::span::FileId;
use annotate_snippets::{Annotation, AnnotationKind, Level, Renderer, Snippet};

/// A report for people, a blank line after each finding; with colours for terminals.
pub fn full(diagnostics: &[Diagnostic], sources: &dyn Sources, color: bool) -> String {
    let renderer = if color { Renderer::styled() } else { Renderer::plain() };
    let mut files = Files::new(sources);
    let mut out = String::new();
    for d in diagnostics {
        out.push_str(&one(d, &renderer, &mut files));
        out.push_str("\n\n");
    }
    out
}

fn one(d: &Diagnostic, renderer: &Renderer, files: &mut Files<'_>) -> String {
    let level = match d.severity {
        Severity::Info => Level::INFO,
        Severity::Warning => Level::WARNING,
        Severity::Error => Level::ERROR,
    };
    let mut group =
        level.primary_title(visible(&d.message)).id(d.code).elements(Vec::<Snippet<'_, Annotation<'_>>>::new());
    // The file of the primary place first, then the others as they are named.
    let mut order = vec![d.primary.loc.file];
    for label in &d.labels {
        if !order.contains(&label.loc.file) {
            order.push(label.loc.file);
        }
    }
    for id in order {
        group = group.element(snippet(d, id, files.get(id)));
    }
    for note in &d.notes {
        group = group.element(Level::NOTE.message(visible(note)));
    }
    for help in &d.help {
        group = group.element(Level::HELP.message(advice(help)));
    }
    if let Some(witness) = &d.witness {
        group = group.element(Level::NOTE.with_name("witness").message(visible(witness)));
    }
    renderer.render(&[group])
}

/// `text: paste`; a paste of several lines stands below, as it is to be typed.
fn advice(help: &Help) -> String {
    if help.paste.is_empty() {
        return visible(&help.text);
    }
    let lines: Vec<String> = help.paste.lines().map(visible).collect();
    match lines.as_slice() {
        // `did you mean `site``, but `say where it leads: `/x -> web``.
        [line] => {
            let colon =
                if ["write", "mean", "add", "with"].iter().any(|word| help.text.ends_with(word)) { "" } else { ":" };
            format!("{}{colon} `{line}`", visible(&help.text))
        }
        lines => format!("{}:\n    {}", visible(&help.text), lines.join("\n    ")),
    }
}

fn snippet(d: &Diagnostic, id: FileId, file: &File<'_>) -> Snippet<'static, Annotation<'static>> {
    let mut labels: Vec<(AnnotationKind, &Label)> = Vec::new();
    if d.primary.loc.file == id {
        labels.push((AnnotationKind::Primary, &d.primary));
    }
    labels.extend(d.labels.iter().filter(|label| label.loc.file == id).map(|label| (AnnotationKind::Context, label)));
    let ranges: Vec<_> = labels.iter().map(|(_, label)| file.range(label.loc)).collect();
    // Only the lines that matter are handed over: the renderer reads all it is given.
    let first = ranges.iter().map(|r| file.line(r.start)).min().unwrap_or(0);
    let last = ranges.iter().map(|r| file.line(r.end)).max().unwrap_or(0);
    let start = file.line_start(first);
    let window = file.text[start..file.line_start(last + 1)].trim_end_matches(['\r', '\n']);
    let mut window = window.to_owned();
    if d.code == "G3016" {
        // What it is about is not for logs.
        for range in &ranges {
            let range = range.start - start..(range.end - start).min(window.len());
            if let Some(hidden) = window.get(range.clone()).map(crate::lint::g3016::masked) {
                window.replace_range(range, &hidden);
            }
        }
    }
    let window = window.as_str();
    let mut snippet = Snippet::source(window.to_owned()).path(file.path.to_owned()).line_start(first + 1);
    for ((kind, label), range) in labels.into_iter().zip(ranges) {
        let from = (range.start - start).min(window.len());
        let mut to = (range.end - start).clamp(from, window.len());
        if to == from {
            // Nothing to underline: the character that stands there, if there is one on this line.
            to += window[from..].chars().next().filter(|c| *c != '\n' && *c != '\r').map_or(0, char::len_utf8);
        }
        let text = if label.text.is_empty() { None } else { Some(visible(&label.text)) };
        snippet = snippet.annotation(kind.span(from..to).label(text));
    }
    snippet
}
