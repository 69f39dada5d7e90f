//! Any bytes as a set of keys, and as a token of the one key that is known: nothing that is not that key's token holds.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sluice::edge::provider::Published;
use std::sync::OnceLock;
use std::time::Duration;

const NOW: Duration = Duration::from_secs(1_300_819_000);

fuzz_target!(|input: &[u8]| {
    static KNOWN: OnceLock<(Published, String)> = OnceLock::new();
    let (known, whole) = KNOWN.get_or_init(|| {
        let set = include_bytes!("../corpus/tokens/keys-rfc7515");
        let token = include_str!("../corpus/tokens/token-rfc7515");
        (Published::read(set.to_vec().into()).expect("a set").0, token.to_owned())
    });
    let text = String::from_utf8_lossy(input);
    let holds = |published: &Published| published.claims(&text, "joe", None, NOW).is_some();
    assert_eq!(holds(known), *text == **whole);
    if let Ok((published, _)) = Published::read(input.to_vec().into()) {
        // Whatever keys are in it, a token without one of theirs holds as little.
        let _ = published.claims(whole, "joe", None, NOW);
    }
});
