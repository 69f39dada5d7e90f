//! Any text as `Authorization`: a name and a password are said in one way only.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sluice::edge::Credentials;

fuzz_target!(|text: &str| {
    if let Some(read) = Credentials::read(text) {
        let whole = [read.name().as_bytes(), b":", read.password()].concat();
        let said = text.split_once(' ').unwrap().1.trim_matches(' ').trim_end_matches('=');
        assert_eq!(said, dsl::tree::base64::encode_bare(&whole));
    }
});
