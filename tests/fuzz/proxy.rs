//! PROXY headers: however the bytes arrive, the same header is found at the same place, or none, and what
//! was found is written and read again.

use super::{Random, cases, corpus};
use sluice::l4::proxy_header::{Header, MAX, Step, Told, parse, v1, v2};

#[track_caller]
fn holds(input: &[u8]) {
    let shown = || input.escape_ascii().to_string();
    let whole = parse(input);
    // A longer prefix would take long and say nothing more: nothing past `MAX` is looked at.
    for cut in 0..input.len().min(600) {
        let seen = parse(&input[..cut]);
        match (seen, whole) {
            (Ok(Step::More), _) => {}
            // What is whole does not depend on what follows.
            (Ok(Step::Whole(..)), _) => assert_eq!(seen, whole, "at {cut} in {}", shown()),
            // What is wrong stays wrong.
            (Err(_), Ok(_)) => panic!("refused after {cut} bytes only: {}", shown()),
            (Err(_), Err(_)) => {}
        }
        if let Ok(Step::Whole(_, len)) = whole {
            assert_eq!(seen == Ok(Step::More), cut < len, "at {cut} in {}", shown());
        }
    }
    match whole {
        Ok(Step::More) => assert!(input.len() < MAX, "{}", shown()),
        Ok(Step::Whole(header, len)) => {
            assert!(len <= input.len() && len <= MAX, "{}", shown());
            again(header);
        }
        Err(_) => {}
    }
}

#[track_caller]
fn again(header: Header) {
    let Header::For { client, local } = header else { return };
    let told = Told { client, local, alpn: Some("h2"), sni: Some("a.test"), id: b"id", secured: None };
    for written in [v1(&told), v2(&told)] {
        assert_eq!(parse(&written), Ok(Step::Whole(header, written.len())));
    }
}

const WORDS: &[&str] = &[
    "PROXY ",
    "TCP4 ",
    "TCP6 ",
    "UNKNOWN",
    "\r\n",
    "\n",
    "\r",
    "192.0.2.1 ",
    "2001:db8::1 ",
    "::ffff:192.0.2.1 ",
    "65535",
    "0",
    "\r\n\r\n\0\r\nQUIT\n",
    "\x21\x11\0\x0c",
    "\x21\x21\0\x24",
    "\x20\0\0\0",
    "\x03\0\x04\0\0\0\0",
];

#[test]
fn proxy_corpus_is_replayed() {
    let corpus = corpus("proxy");
    assert!(corpus.len() >= 10);
    for (_, input) in corpus {
        holds(&input);
    }
}

#[test]
fn proxy_headers_do_not_depend_on_their_pieces() {
    let corpus = corpus("proxy");
    let mut random = Random(0x0dd5_ca1e_5109_f00d);
    let (mut whole, mut refused) = (0, 0);
    for _ in 0..cases() {
        let mut input = corpus[random.below(corpus.len())].1.clone();
        random.change(&mut input, WORDS);
        holds(&input);
        match parse(&input) {
            Ok(Step::Whole(..)) => whole += 1,
            Ok(Step::More) => {}
            Err(_) => refused += 1,
        }
    }
    // The generator finds both sides.
    assert!(whole > cases() / 20 && refused > cases() / 20, "{whole} whole, {refused} refused");
}
