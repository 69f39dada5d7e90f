//! Session tickets as strangers may send them, and the file of their keys as a disk may return it: what
//! was changed opens nothing, what is read is what was written.

use super::{Random, cases, corpus};
use sluice::tls::Tickets;
use sluice::tls::tickets::{Ring, boundary};

/// Whether it was read as a file of keys.
#[track_caller]
fn reads(input: &[u8]) -> bool {
    let Some(ring) = Ring::decode(input) else { return false };
    assert_eq!(&ring.encode()[..], input, "said in one way only: {}", input.escape_ascii());
    true
}

#[test]
fn corpus_and_what_comes_of_it() {
    let tickets = Tickets::start(None, |trouble| panic!("{trouble}")).unwrap();
    let within = [boundary(&[b"one"]), boundary(&[b"two"])].map(|boundary| tickets.of(boundary));
    let inputs = corpus("tickets");
    let mut files = 0;
    for (path, input) in &inputs {
        let is_whole = ["file-none", "file-two", "file-four"].iter().any(|name| path.ends_with(name));
        assert_eq!(reads(input), is_whole, "{}", path.display());
        files += usize::from(is_whole);
        assert_eq!(within[0].decrypt(input), None, "{}", path.display());
    }
    assert_eq!(files, 3);
    let mut random = Random(0x0074_6963_6b65);
    let words = ["sluice tickets 1\n", "\0\0\0\0\0\0\0\0", "\x7f\x7f\x7f\x7f\x7f\x7f\x7f\x7f"];
    for case in 0..cases() {
        let mut input = inputs[random.below(inputs.len())].1.clone();
        let before = input.clone();
        random.change(&mut input, &words);
        assert!(!reads(&input) || input == before || corpus_has(&inputs, &input), "{}", input.escape_ascii());
        // A ticket of somebody's, and what is left of it: only the whole one opens, and only at home.
        let state: Vec<u8> = (0..random.below(300)).map(|_| random.next().to_le_bytes()[0]).collect();
        let whole = within[case % 2].encrypt(&state).expect("there is a key");
        let mut ticket = whole.clone();
        random.change(&mut ticket, &words);
        assert_eq!(within[case % 2].decrypt(&whole).as_ref(), Some(&state));
        assert_eq!(within[(case + 1) % 2].decrypt(&whole), None, "another boundary's");
        if ticket != whole {
            assert_eq!(within[case % 2].decrypt(&ticket), None, "{}", ticket.escape_ascii());
        }
    }
}

fn corpus_has(inputs: &[(std::path::PathBuf, Vec<u8>)], input: &[u8]) -> bool {
    inputs.iter().any(|(_, known)| known == input)
}
