//! Any text as a file of API keys: what is read has owners, mistakes lie within the text.
#![no_main]

use dsl::tree::api_keys::{Owned, read};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    match read(text) {
        Ok(rows) => {
            for row in 0..u32::try_from(rows.len()).unwrap() {
                assert!(Owned::of(rows.value(row)).is_some_and(|owned| !owned.owner.is_empty()));
            }
        }
        Err(wrong) => assert!(wrong.iter().all(|wrong| text.get(wrong.span.range()).is_some())),
    }
});
