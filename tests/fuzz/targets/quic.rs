//! Any datagrams on a QUIC port, cut at every `|`: looked at without a panic, and held within the bounds.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sluice::l4::quic::collector::{Collector, PENDING};
use sluice::l4::quic::{initial, packet};
use std::net::SocketAddr;

fuzz_target!(|input: &[u8]| {
    let mut collector = Collector::default();
    for (number, datagram) in input.split(|byte| *byte == b'|').enumerate() {
        if let Some(packet::Header::Long(long)) = packet::Header::of(datagram) {
            let _ = long.end(datagram);
        }
        // What would stand inside a packet.
        let _ = initial::crypto(datagram, |_, bytes| {
            assert!(bytes.len() <= datagram.len());
            Ok(())
        });
        let from = SocketAddr::from(([127, 0, 0, 1], (number % 7 + 1) as u16));
        collector.offer(from, datagram, number as u64);
        assert!(collector.len() <= PENDING);
    }
});
