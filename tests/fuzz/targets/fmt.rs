//! Any text formats, to something that formats to itself and says the same; no comment is lost.
#![no_main]

use dsl::fmt::format;
use dsl::syntax::{parse, span::FileId};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    // Within it, tree and comments of each item are compared, and a difference panics here.
    let once = format(text);
    assert_eq!(format(&once), once, "twice");
    let (before, after) = (parse(FileId(0), text), parse(FileId(0), &once));
    assert_eq!(before.ast.items.len(), after.ast.items.len(), "items");
    assert_eq!(before.diagnostics.len(), after.diagnostics.len(), "findings");
});
