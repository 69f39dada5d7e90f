//! Any bytes as a session ticket, which opens nothing, and as the file of the keys, which is read as it is written.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sluice::tls::Tickets;
use sluice::tls::tickets::{Ring, boundary};
use std::sync::OnceLock;

fuzz_target!(|input: &[u8]| {
    static TICKETS: OnceLock<Tickets> = OnceLock::new();
    let tickets = TICKETS.get_or_init(|| Tickets::start(None, |_| ()).expect("a thread, and random numbers"));
    assert_eq!(tickets.of(boundary(&[])).decrypt(input), None);
    if let Some(ring) = Ring::decode(input) {
        assert_eq!(&ring.encode()[..], input);
    }
});
