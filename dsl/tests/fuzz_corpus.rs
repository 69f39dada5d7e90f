//! Replays the committed corpus of the fuzzer, and each of its files cut off at every character.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use dsl::diagnostic::{Sources, render};
use dsl::syntax::{parse, span::FileId};
use std::path::Path;

struct One<'a>(&'a str);

impl Sources for One<'_> {
    fn source(&self, _: FileId) -> Option<(&str, &str)> {
        Some(("fuzz.route", self.0))
    }
}

fn survives(text: &str) {
    let parsed = parse(FileId(0), text);
    for d in &parsed.diagnostics {
        for label in std::iter::once(&d.primary).chain(&d.labels) {
            assert!(text.get(label.loc.span.range()).is_some(), "{:?} in {text:?}", label.loc.span);
        }
        for edit in d.help.iter().filter_map(|help| help.edit.as_ref()) {
            assert!(text.get(edit.loc.span.range()).is_some(), "{:?} in {text:?}", edit.loc.span);
        }
    }
    render::full(&parsed.diagnostics, &One(text), false);
    render::json(&parsed.diagnostics, &One(text));
}

#[test]
fn the_corpus_is_survived_whole_and_cut_off_anywhere() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fuzz/corpus/parse");
    let mut files = 0;
    for entry in std::fs::read_dir(dir).unwrap() {
        let text = std::fs::read(entry.unwrap().path()).unwrap();
        let text = String::from_utf8_lossy(&text);
        survives(&text);
        // Every cut of the short ones, a prime's worth of the long ones: debug builds are slow.
        let step = if text.len() > 400 { 37 } else { 1 };
        for (at, _) in text.char_indices().step_by(step) {
            survives(&text[..at]);
        }
        files += 1;
    }
    assert!(files > 10, "the corpus is there");
}
