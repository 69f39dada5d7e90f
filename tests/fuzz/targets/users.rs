//! Any text as a file of users: what is read has hashes, mistakes lie within the text.
#![no_main]

use dsl::tree::users::{Hash, read};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    match read(text) {
        Ok(rows) => {
            for row in 0..u32::try_from(rows.len()).unwrap() {
                assert!(Hash::read(rows.value(row)).is_ok());
            }
        }
        Err(wrong) => assert!(wrong.iter().all(|wrong| text.get(wrong.span.range()).is_some())),
    }
});
