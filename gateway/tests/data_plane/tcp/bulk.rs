//! Much data: whole, bounded, passed on without waiting for more.

use super::rig::*;
use sluice::l4::End;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

/// Bytes that differ everywhere.
fn pattern(seed: u64) -> impl FnMut(&mut [u8]) {
    let mut state = seed;
    move |bytes| {
        for word in bytes.chunks_mut(8) {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            word.copy_from_slice(&state.to_le_bytes()[..word.len()]);
        }
    }
}

fn send(mut stream: TcpStream, len: usize, seed: u64) {
    let (mut next, mut piece) = (pattern(seed), vec![0; 64 * 1024]);
    for _ in 0..len / piece.len() {
        next(&mut piece);
        stream.write_all(&piece).unwrap();
    }
    stream.shutdown(Shutdown::Write).unwrap();
}

#[track_caller]
fn receive(mut stream: &TcpStream, len: usize, seed: u64) {
    let (mut next, mut expected, mut piece) = (pattern(seed), vec![0; 64 * 1024], vec![0; 64 * 1024]);
    for at in 0..len / piece.len() {
        next(&mut expected);
        stream.read_exact(&mut piece).unwrap();
        assert!(piece == expected, "piece {at} differs");
    }
    assert_eq!(stream.read(&mut piece).unwrap(), 0, "more than was sent");
}

#[test]
fn much_data_both_ways_at_once_is_whole() {
    const LEN: usize = 96 << 20;
    let origin = Accepting::new();
    let carrier = Carrier::new(to(&[origin.address]));
    let client = carrier.connect();
    let upstream = origin.accept();
    let (up, down) = (client.try_clone().unwrap(), upstream.try_clone().unwrap());
    thread::scope(|scope| {
        scope.spawn(move || send(up, LEN, 1));
        scope.spawn(move || send(down, LEN, 2));
        scope.spawn(|| receive(&upstream, LEN, 1));
        receive(&client, LEN, 2);
    });
    drop((client, upstream));
    until("its end", || carrier.counts.sum(|s| &s.ended) == 1);
    let moved = (carrier.counts.sum(|s| &s.bytes_in), carrier.counts.sum(|s| &s.bytes_out));
    assert_eq!(moved, (LEN as u64, LEN as u64));
}

#[test]
fn bulk_and_small_pieces_take_turns() {
    let carrier = Carrier::new(to(&[echo()]));
    let client = carrier.connect();
    let mut small = client.try_clone().unwrap();
    for turn in 0..4_u64 {
        thread::scope(|scope| {
            let out = client.try_clone().unwrap();
            scope.spawn(move || {
                let (mut next, mut piece, mut out) = (pattern(turn), vec![0; 64 * 1024], out);
                for _ in 0..64 {
                    next(&mut piece);
                    out.write_all(&piece).unwrap();
                }
            });
            let (mut next, mut expected) = (pattern(turn), vec![0; 64 * 1024]);
            for _ in 0..64 {
                next(&mut expected);
                assert!(read(&mut &client, expected.len()) == expected);
            }
        });
        for _ in 0..40 {
            round_trip(&mut small, "small");
        }
    }
}

/// Sends until nobody takes more for a while, and tells how much was taken.
fn fill(stream: &mut TcpStream) -> usize {
    stream.set_nonblocking(true).unwrap();
    let (piece, mut sent, mut stalled) = (vec![7; 64 * 1024], 0, Instant::now());
    while stalled.elapsed() < Duration::from_millis(700) {
        match stream.write(&piece) {
            Ok(n) => {
                sent += n;
                stalled = Instant::now();
            }
            Err(_) => thread::yield_now(),
        }
        assert!(sent < 256 << 20, "nobody reads, and yet it is taken");
    }
    stream.set_nonblocking(false).unwrap();
    sent
}

#[test]
fn a_reader_that_stalls_stops_the_sender() {
    let origin = Accepting::new();
    let carrier = Carrier::new(to(&[origin.address]));
    let mut client = carrier.connect();
    let mut upstream = origin.accept();
    let sent = fill(&mut client);
    // What the kernel's four buffers hold, and one piece of ours.
    assert!(sent < 40 << 20, "{sent} bytes");
    // The other direction goes on meanwhile.
    upstream.write_all(b"slow down").unwrap();
    assert_eq!(read(&mut client, 9), b"slow down");
    client.shutdown(Shutdown::Write).unwrap();
    assert_eq!(rest(&mut upstream).len(), sent);
    drop(upstream);
    drop(client);
    carrier.ends(End::ClientClosed);
}

#[test]
fn a_reset_of_a_sender_whose_reader_stalls_is_passed_on() {
    let origin = Accepting::new();
    let carrier = Carrier::new(to(&[origin.address]));
    let mut client = carrier.connect();
    let mut upstream = origin.accept();
    fill(&mut client);
    reset(client);
    carrier.ends(End::ClientReset);
    is_reset(&mut upstream);
}

#[test]
fn an_origin_that_dies_within_a_transfer_is_a_reset() {
    let origin = Accepting::new();
    let carrier = Carrier::new(to(&[origin.address]));
    let mut client = carrier.connect();
    let mut upstream = origin.accept();
    let killer = thread::spawn(move || {
        let mut piece = vec![0; 64 * 1024];
        for _ in 0..64 {
            upstream.read_exact(&mut piece).unwrap();
        }
        // Closed with bytes unread: the system says so by a reset.
        drop(upstream);
    });
    let piece = vec![1; 64 * 1024];
    while client.write_all(&piece).is_ok() {}
    killer.join().unwrap();
    carrier.ends(End::UpstreamReset);
}
