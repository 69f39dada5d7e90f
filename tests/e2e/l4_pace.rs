//! `limit SIZE/s per KEY` of connections: what it holds back, and whom.

use sluice_tests::{Sluice, ports};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

/// A second's worth, and half a second's worth more.
const RATE: usize = 200_000;
const MUCH: usize = 300_000;

/// An endpoint that reads a byte, which says what is to be done, and then sends much, or reads until the end.
fn endpoint() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let serve = |mut stream: TcpStream| {
        let mut first = [0];
        stream.read_exact(&mut first)?;
        match first {
            [b'd'] => stream.write_all(&vec![b'x'; MUCH]),
            _ => {
                let read = std::io::copy(&mut stream, &mut std::io::sink())?;
                stream.write_all(read.to_string().as_bytes())
            }
        }
    };
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            // Who is gone is gone.
            thread::spawn(move || serve(stream).ok());
        }
    });
    address
}

fn start(limit: &str) -> (Sluice, SocketAddr) {
    let tcp = SocketAddr::from((Ipv4Addr::LOCALHOST, ports::free()));
    let route = format!("pool much = {}\n\ntcp {tcp} {{\n    {limit}\n    idle 1s\n    -> much\n}}\n", endpoint());
    (Sluice::setup().workers(2).file("tcp.route", route).start(), tcp)
}

/// Downloads; how long it took.
fn down(to: SocketAddr) -> Duration {
    let begun = Instant::now();
    let mut stream = TcpStream::connect(to).unwrap();
    stream.write_all(b"d").unwrap();
    let mut all = Vec::new();
    stream.read_to_end(&mut all).unwrap();
    assert_eq!(all.len(), MUCH, "and nothing is lost");
    begun.elapsed()
}

#[test]
fn bytes_of_a_key_are_paced_both_ways_and_none_is_lost() {
    let (_sluice, tcp) = start("limit 200000B/s per client.ip");
    assert!(down(tcp) >= Duration::from_millis(400), "a second's worth at once, the rest takes half a second");
    // What one direction has used, the other one and other connections wait for.
    let begun = Instant::now();
    let mut stream = TcpStream::connect(tcp).unwrap();
    stream.write_all(b"u").unwrap();
    stream.write_all(&vec![b'x'; RATE]).unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    let mut said = String::new();
    stream.read_to_string(&mut said).unwrap();
    assert_eq!(said, RATE.to_string());
    assert!(begun.elapsed() >= Duration::from_millis(800), "{:?}", begun.elapsed());
}

#[test]
fn two_connections_of_a_key_have_the_rate_together() {
    let (_sluice, tcp) = start("limit 200000B/s per client.ip");
    let begun = Instant::now();
    thread::scope(|scope| {
        let both = [scope.spawn(|| down(tcp)), scope.spawn(|| down(tcp))];
        for one in both {
            one.join().unwrap();
        }
    });
    // 600,000 bytes, of which a second's worth is there at once.
    assert!(begun.elapsed() >= Duration::from_millis(1_800), "{:?}", begun.elapsed());
}

#[test]
fn other_keys_and_other_items_are_not_concerned() {
    let (_sluice, tcp) = start("limit 200000B/s per client.port");
    let begun = Instant::now();
    thread::scope(|scope| {
        let both = [scope.spawn(|| down(tcp)), scope.spawn(|| down(tcp))];
        for one in both {
            one.join().unwrap();
        }
    });
    assert!(begun.elapsed() >= Duration::from_millis(400));
    let (_sluice, tcp) = start("limit 1000 at-once per client.ip");
    for _ in 0..4 {
        down(tcp);
    }
}
