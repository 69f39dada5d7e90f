//! Sets of keys as a provider may send them, and tokens as strangers may: what is no set is refused in words, and of a
//! token that was changed nothing holds.

use super::{Random, cases, corpus};
use sluice::edge::provider::Published;
use std::time::Duration;

/// The example of RFC 7515 appendix A.3 holds then.
const NOW: Duration = Duration::from_secs(1_300_819_000);

fn set(text: &[u8]) -> Result<Published, String> {
    Published::read(text.to_vec().into()).map(|(published, _)| published)
}

fn holds(published: &Published, token: &[u8]) -> bool {
    std::str::from_utf8(token).is_ok_and(|token| published.claims(token, "joe", None, NOW).is_some())
}

#[test]
fn corpus_and_what_comes_of_it() {
    let inputs = corpus("tokens");
    let of = |name: &str| inputs.iter().find(|(path, _)| path.ends_with(name)).map(|(_, text)| text.clone()).unwrap();
    let (keys, whole) = (of("keys-rfc7515"), of("token-rfc7515"));
    let known = set(&keys).unwrap();
    assert!(holds(&known, &whole));
    for (path, input) in &inputs {
        let name = path.file_name().unwrap().to_string_lossy();
        match name.split('-').next().unwrap() {
            "token" => assert_eq!(holds(&known, input), input == &whole, "{name}"),
            "keys" => assert!(set(input).is_ok_and(|set| !set.is_empty()), "{name}"),
            "empty" => assert!(set(input).is_ok_and(|set| set.is_empty()), "{name}"),
            _ => assert!(set(input).is_err(), "{name}"),
        }
    }
    let mut random = Random(0x006a_776b_7321);
    let words = [
        "\"kid\":\"a\",",
        "\"alg\":\"RS256\",",
        "\"alg\":\"none\"",
        "\"kty\":\"oct\",\"k\":\"AA\"",
        "\"use\":\"enc\",",
        ".",
        "=",
        "e30",
        "{}",
        "\"crv\":\"P-384\",",
        "\"key_ops\":[\"verify\"],",
        "\"d\":\"AA\",",
        "\\u0061",
        "[[[[",
        "eyJhbGciOiJub25lIn0",
    ];
    for case in 0..cases() {
        let (_, input) = &inputs[random.below(inputs.len())];
        let mut changed = input.clone();
        random.change(&mut changed, &words);
        if let Ok(other) = set(&changed) {
            assert!(other.len() <= 64);
            // A set without that very key knows nothing of its tokens.
            assert!(!holds(&other, &whole) || contains(&changed, b"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU"));
        }
        let mut token = whole.clone();
        random.change(&mut token, &words);
        assert_eq!(holds(&known, &token), token == whole, "{case}: {}", token.escape_ascii());
    }
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}
