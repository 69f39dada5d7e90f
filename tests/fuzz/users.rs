//! Lines of users and of API keys, and what a request brings: whatever the bytes, what is read was said so, mistakes
//! lie within the text, and no mistake repeats what may be a password or a key.

use super::{Random, cases, corpus};
use dsl::tree::rows::Wrong;
use dsl::tree::users::Hash;
use dsl::tree::{api_keys, users};
use sluice::edge::Credentials;

#[track_caller]
fn lies_within(text: &str, wrong: &[Wrong]) {
    assert!((1..=10).contains(&wrong.len()));
    for wrong in wrong {
        assert!(text.get(wrong.span.range()).is_some(), "{wrong:?} in {text:?}");
        let other = wrong.other.map(|(span, _)| span);
        assert!(other.is_none_or(|span| text.get(span.range()).is_some()), "{wrong:?} in {text:?}");
    }
}

/// How many rows there are.
#[track_caller]
fn of_users(input: &[u8]) -> usize {
    let Ok(text) = std::str::from_utf8(input) else { return 0 };
    match users::read(text) {
        Ok(rows) => {
            for row in 0..u32::try_from(rows.len()).unwrap() {
                assert_eq!(rows.find(rows.key(row).as_bytes()), Some(row), "{text:?}");
                assert!(Hash::read(rows.value(row)).is_ok(), "{text:?}");
            }
            rows.len()
        }
        Err(wrong) => {
            lies_within(text, &wrong);
            0
        }
    }
}

#[track_caller]
fn of_keys(input: &[u8]) -> usize {
    let Ok(text) = std::str::from_utf8(input) else { return 0 };
    match api_keys::read(text) {
        Ok(rows) => {
            for row in 0..u32::try_from(rows.len()).unwrap() {
                assert_eq!(rows.find(rows.key(row).as_bytes()), Some(row), "{text:?}");
                let owned = api_keys::Owned::of(rows.value(row)).expect("what was read is read again");
                assert!(!owned.owner.is_empty() && !owned.scopes.starts_with(' '), "{text:?}");
            }
            rows.len()
        }
        Err(wrong) => {
            lies_within(text, &wrong);
            0
        }
    }
}

#[track_caller]
fn of_header(input: &[u8]) -> usize {
    let Ok(text) = std::str::from_utf8(input) else { return 0 };
    let Some(read) = Credentials::read(text) else { return 0 };
    assert!(!read.name().is_empty() && !read.name().contains(':'), "{text:?}");
    assert!(!read.password().iter().any(u8::is_ascii_control), "{text:?}");
    // There is one way to say it, up to the scheme's case and blanks.
    let whole = [read.name().as_bytes(), b":", read.password()].concat();
    let said = text.split_once(' ').expect("a scheme").1.trim_matches(' ').trim_end_matches('=');
    assert_eq!(said, dsl::tree::base64::encode_bare(&whole), "{text:?}");
    1
}

fn holds(target: &str, seed: u64, words: &[&str], read: impl Fn(&[u8]) -> usize) {
    let inputs = corpus(target);
    let whole = inputs.iter().filter(|(path, input)| {
        let is_whole = path.file_name().unwrap().to_str().unwrap().starts_with("good");
        assert_eq!(read(input) > 0, is_whole, "{}", path.display());
        is_whole
    });
    assert!(whole.count() >= 2 && inputs.len() >= 6);
    let mut random = Random(seed);
    for _ in 0..cases() {
        let mut input = inputs[random.below(inputs.len())].1.clone();
        random.change(&mut input, words);
        read(&input);
    }
}

#[test]
fn users_and_what_comes_of_them() {
    let words = ["\n", ":", "$", "$argon2id$v=19$m=64,t=1,p=1$", "$2y$05$", "$apr1$", "{SHA}", "#", ",", "=", "\u{e9}"];
    holds("users", 0x0075_7365_7273, &words, of_users);
}

#[test]
fn keys_and_what_comes_of_them() {
    let words = ["\n", ",", "\"", "\"\"", "sha256", "2027-01-31", " ", "0000000000000000", "\u{e9}", "\\"];
    holds("keys", 0x6b65_7973, &words, of_keys);
}

#[test]
fn headers_and_what_comes_of_them() {
    let words = ["Basic ", "basic", " ", "=", "==", "QQ", "Og==", "OjoJ", "\t"];
    holds("basic", 0x0062_6173_6963, &words, of_header);
}
