//! The collector of QUIC hellos against a plain model of it: whatever frames a client cuts its hello
//! into, what comes out is what they say, and nothing is held beyond the bounds.

use super::{Random, cases, corpus};
use rustls::quic::{DirectionalKeys, Version};
use rustls::{Side, SupportedCipherSuite};
use sluice::l4::quic::collector::{Collector, Offered, PENDING};
use std::collections::BTreeMap;
use std::net::SocketAddr;

const DRAWN: &[u8] = b"8 bytes!";

fn keys() -> DirectionalKeys {
    let SupportedCipherSuite::Tls13(suite) = rustls::crypto::aws_lc_rs::cipher_suite::TLS13_AES_128_GCM_SHA256 else {
        panic!("a suite of TLS 1.3")
    };
    suite.quic_suite().unwrap().keys(DRAWN, Side::Client, Version::V1).local
}

/// A datagram with one Initial packet that carries these bytes, whatever they are.
fn seal(keys: &DirectionalKeys, payload: &[u8]) -> Vec<u8> {
    let mut packet = [&[0xc0, 0, 0, 0, 1, 8][..], DRAWN, &[0, 0]].concat();
    let mut payload = payload.to_vec();
    payload.resize(payload.len().clamp(1200, 9000), 0);
    packet.extend((0x4000 | u16::try_from(payload.len() + 17).unwrap()).to_be_bytes());
    packet.push(0);
    let at = packet.len() - 1;
    let tag = keys.packet.encrypt_in_place(0, &packet, &mut payload).unwrap();
    packet.extend(payload);
    packet.extend(tag.as_ref());
    let (head, tail) = packet.split_at_mut(at + 4);
    let (first, rest) = head.split_at_mut(1);
    keys.header.encrypt_in_place(&tail[..keys.header.sample_len()], &mut first[0], &mut rest[at - 1..at]).unwrap();
    packet
}

/// The frames of an input, as it is written: an offset of two bytes, a length of one, then as many
/// bytes of the hello from there on; bytes that are none are frames of other kinds.
fn frames(hello: &[u8], script: &[u8]) -> (Vec<Vec<u8>>, BTreeMap<usize, u8>) {
    let mut datagrams = vec![Vec::new()];
    let mut model = BTreeMap::new();
    for piece in script.chunks(4) {
        let &[kind, high, low, length] = piece else { break };
        match kind % 8 {
            0 => datagrams.push(Vec::new()),
            1 => datagrams.last_mut().unwrap().extend([1, 0, 0]),
            2 => datagrams.last_mut().unwrap().extend([2, 1, 0, 0, 0]),
            _ => {
                let from = usize::from(u16::from_be_bytes([high, low])) % (hello.len() + 1);
                let to = hello.len().min(from + usize::from(length) * 4);
                let frame = datagrams.last_mut().unwrap();
                frame.push(6);
                frame.extend((0x8000_0000 | u32::try_from(from).unwrap()).to_be_bytes());
                frame.extend((0x4000 | u16::try_from(to - from).unwrap()).to_be_bytes());
                frame.extend(&hello[from..to]);
                model.extend((from..to).map(|at| (at, hello[at])));
            }
        }
    }
    datagrams.retain(|d| d.len() <= 9000);
    (datagrams, model)
}

/// Offers what a script says. Whether the hello became whole.
#[track_caller]
fn agree(keys: &DirectionalKeys, hello: &[u8], script: &[u8]) -> bool {
    let who = SocketAddr::from(([127, 0, 0, 1], 7));
    let (datagrams, model) = frames(hello, script);
    let mut collector = Collector::default();
    for datagram in datagrams {
        match collector.offer(who, &seal(keys, &datagram), 0) {
            Offered::Whole(collected) => {
                // Records of at most 2^14 bytes: this hello has one.
                assert_eq!(&collected.hello[5..], hello, "another hello than was sent: {script:?}");
                assert!((0..hello.len()).all(|at| model.contains_key(&at)), "made up: {script:?}");
                return true;
            }
            Offered::Kept | Offered::Dropped(_) => assert!(collector.len() <= 1),
        }
    }
    false
}

/// A hello of 600 bytes; nobody looks into it here.
fn hello() -> Vec<u8> {
    let body = (0..596_u32).map(|n| (n % 251) as u8);
    [1, 0, 2, 84].into_iter().chain(body).collect()
}

#[test]
fn quic_corpus_is_replayed() {
    let (keys, hello) = (keys(), hello());
    let corpus = corpus("quic");
    assert!(corpus.len() >= 5);
    for (path, script) in corpus {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        assert_eq!(agree(&keys, &hello, &script), !name.starts_with("half"), "{name}");
    }
}

#[test]
fn quic_collector_and_model_agree() {
    let (keys, hello) = (keys(), hello());
    let corpus = corpus("quic");
    let mut random = Random(0x5109_1ce5_ca1e_d00d);
    let mut whole = 0;
    for _ in 0..cases() / 10 {
        let mut script = corpus[random.below(corpus.len())].1.clone();
        random.change(&mut script, &["\u{3}\0\0\u{7f}", "\0\0\0\0"]);
        whole += usize::from(agree(&keys, &hello, &script));
    }
    assert!(whole > 0 && whole < cases() / 10, "{whole} hellos");
}

#[test]
fn quic_packets_that_were_changed_are_survived() {
    // Plain bytes: headers, lengths, coalesced packets. The collector outlives them within its bounds.
    let (keys, hello) = (keys(), hello());
    let mut collector = Collector::default();
    let mut random = Random(11);
    let half = [&[6, 0, 0x40, 100][..], &hello[..100]].concat();
    let good = seal(&keys, &half);
    for number in 0..cases() / 3 {
        let mut datagram = good.clone();
        random.change(&mut datagram, &["\u{0}\u{0}\u{0}\u{1}", "@\u{1}"]);
        let port = u16::try_from(number % 60_000).unwrap() + 1;
        let offered = collector.offer(SocketAddr::from(([127, 0, 0, 1], port)), &datagram, number as u64 / 100);
        assert!(!matches!(offered, Offered::Whole(_)));
        assert!(collector.len() <= PENDING);
    }
}
