//! Every case under `tests/syntax`: what parses, and what is said of what does not.

use dsl::syntax::{parse, span::FileId};
use std::path::Path;

#[test]
fn good_cases_parse_without_a_word() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/syntax/good");
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        let parsed = parse(FileId(0), &text);
        for d in &parsed.diagnostics {
            let at = d.primary.loc.span.start as usize;
            println!(
                "{}:{}: {} {:?}",
                path.display(),
                text[..at].lines().count(),
                d.message,
                &text[at..].lines().next()
            );
        }
    }
}
