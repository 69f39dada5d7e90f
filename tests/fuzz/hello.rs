//! The hello of a TLS connection: measured by us, read by rustls. What is measured to be whole in one
//! piece is so in any pieces, and rustls wants no more of it.

use super::{Random, cases, corpus};
use sluice::listen::hello::{Failure, LONGEST, Measure, Seen, open};

/// What the measure says when the bytes come in pieces of these sizes, and after how many.
fn judge(input: &[u8], mut piece: impl FnMut() -> usize) -> (usize, Result<Seen, Failure>) {
    let mut measure = Measure::default();
    let mut shown = 0;
    loop {
        shown = input.len().min(shown + piece().max(1));
        let seen = measure.look(&input[..shown]);
        if seen != Ok(Seen::Part) || shown == input.len() {
            return (shown, seen);
        }
    }
}

/// Holds the two against each other; whether there was a hello.
#[track_caller]
fn agree(input: &[u8], random: &mut Random) -> bool {
    let shown = || input.escape_ascii().to_string();
    let (at, slowly) = judge(input, || 1);
    // The first byte that decides does so however many come with it.
    let (_, in_pieces) = judge(&input[..at], || random.below(40) + 1);
    let (_, at_once) = judge(&input[..at], || usize::MAX);
    assert_eq!((in_pieces, at_once), (slowly, slowly), "in pieces: {}", shown());
    if slowly != Ok(Seen::Whole) {
        return false;
    }
    match open(&input[..at]) {
        Ok(hello) => {
            assert!(hello.taken <= at);
            assert!(at <= LONGEST * 6, "longer than any: {at}");
            if let Some(name) = hello.accepted.client_hello().server_name() {
                assert!(!name.is_empty() && name.len() <= 253, "{}", shown());
            }
            // What comes behind it changes nothing.
            let more = [&input[..at], b"\x17\x03\x03\0\x01x"].concat();
            assert!(open(&more).is_ok(), "with more behind it: {}", shown());
        }
        Err(unreadable) => assert!(
            matches!(unreadable.failure, Failure::Malformed | Failure::BadName),
            "{:?}: {}",
            unreadable.failure,
            shown()
        ),
    }
    true
}

const WORDS: &[&str] = &[
    "\x16\x03\x01",
    "\x16\x03\x03\0\x01\x01",
    "\x16\x03\x01\0\0",
    "\x01\0\x02\0",
    "\0\0\0\x08\x04",
    "\0\x0a\0\x08\0\0\x05b.tes",
    "a.test",
    ".",
    "GET / HTTP/1.1\r\n",
    "\x15\x03\x03\0\x02\x02\x28",
    "\x7f\x7f",
    "\0\x10\0\x05\0\x03\x02h2",
];

#[test]
fn hello_corpus_is_replayed() {
    let mut random = Random(7);
    let corpus = corpus("hello");
    assert!(corpus.len() >= 8);
    for (path, input) in corpus {
        let whole = agree(&input, &mut random);
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        assert_eq!(whole, !name.starts_with("no-"), "{name}");
    }
}

#[test]
fn hello_measure_and_rustls_agree() {
    let mut random = Random(0x5109_1ce5_ca1e_d00d);
    let corpus = corpus("hello");
    let mut whole = 0;
    for _ in 0..cases() {
        let mut input = corpus[random.below(corpus.len())].1.clone();
        random.change(&mut input, WORDS);
        whole += usize::from(agree(&input, &mut random));
    }
    // The generator finds both sides.
    assert!(whole > cases() / 20 && whole < cases(), "{whole} hellos");
}
