//! Any text is parsed and rendered without a panic, and every place lies inside it.
#![no_main]

use dsl::diagnostic::{Sources, render};
use dsl::syntax::{parse, span::FileId};
use libfuzzer_sys::fuzz_target;

struct One<'a>(&'a str);

impl Sources for One<'_> {
    fn source(&self, _: FileId) -> Option<(&str, &str)> {
        Some(("fuzz.route", self.0))
    }
}

fuzz_target!(|text: &str| {
    let parsed = parse(FileId(0), text);
    for d in &parsed.diagnostics {
        for label in std::iter::once(&d.primary).chain(&d.labels) {
            assert!(text.get(label.loc.span.range()).is_some());
        }
        for edit in d.help.iter().filter_map(|help| help.edit.as_ref()) {
            assert!(text.get(edit.loc.span.range()).is_some());
        }
    }
    render::full(&parsed.diagnostics, &One(text), false);
    render::json(&parsed.diagnostics, &One(text));
});
