//! How connections end: half-closed, reset, idle, too old.

use super::rig::*;
use sluice::l4::End;
use std::io::Write;
use std::net::Shutdown;
use std::time::Duration;

#[test]
fn the_client_ends_first_and_reads_on() {
    let (origin, mut client) = (Accepting::new(), None);
    let carrier = Carrier::new(to(&[origin.address]));
    let client = client.insert(carrier.connect());
    let mut upstream = origin.accept();
    client.write_all(b"question").unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    assert_eq!(rest(&mut upstream), b"question");
    for piece in ["an answer", " in ", "pieces"] {
        upstream.write_all(piece.as_bytes()).unwrap();
    }
    assert_eq!(read(client, 18), b"an answer in piece");
    drop(upstream);
    assert_eq!(rest(client), b"s");
    carrier.ends(End::ClientClosed);
    assert_eq!((carrier.counts.sum(|s| &s.bytes_in), carrier.counts.sum(|s| &s.bytes_out)), (8, 19));
}

#[test]
fn the_upstream_ends_first_and_reads_on() {
    let origin = Accepting::new();
    let carrier = Carrier::new(to(&[origin.address]));
    let mut client = carrier.connect();
    let mut upstream = origin.accept();
    upstream.write_all(b"220 hello").unwrap();
    upstream.shutdown(Shutdown::Write).unwrap();
    assert_eq!(rest(&mut client), b"220 hello");
    client.write_all(b"still here").unwrap();
    assert_eq!(read(&mut upstream, 10), b"still here");
    drop(client);
    assert_eq!(rest(&mut upstream), b"");
    carrier.ends(End::UpstreamClosed);
}

#[test]
fn a_reset_by_the_client_is_passed_on() {
    let origin = Accepting::new();
    let carrier = Carrier::new(to(&[origin.address]));
    let mut client = carrier.connect();
    let mut upstream = origin.accept();
    client.write_all(b"x").unwrap();
    assert_eq!(read(&mut upstream, 1), b"x");
    reset(client);
    is_reset(&mut upstream);
    carrier.ends(End::ClientReset);
}

#[test]
fn a_reset_by_the_upstream_is_passed_on() {
    let origin = Accepting::new();
    let carrier = Carrier::new(to(&[origin.address]));
    let mut client = carrier.connect();
    let mut upstream = origin.accept();
    round_trip_one_way(&mut client, &mut upstream);
    reset(upstream);
    is_reset(&mut client);
    carrier.ends(End::UpstreamReset);
}

#[test]
fn a_reset_after_half_of_it_ended_is_passed_on() {
    let origin = Accepting::new();
    let carrier = Carrier::new(to(&[origin.address]));
    let client = carrier.connect();
    let mut upstream = origin.accept();
    client.shutdown(Shutdown::Write).unwrap();
    assert_eq!(rest(&mut upstream), b"");
    reset(client);
    until("the reset", || upstream.write_all(b"x").is_err());
    carrier.ends(End::ClientReset);
}

#[test]
fn a_connection_where_nothing_happens_ends() {
    let origin = Accepting::new();
    let mut rules = to(&[origin.address]);
    rules.settings.idle_ms = 300;
    let carrier = Carrier::new(rules);
    let mut client = carrier.connect();
    let mut upstream = origin.accept();
    // What happens in one direction keeps both.
    let start = std::time::Instant::now();
    while start.elapsed() < Duration::from_millis(900) {
        round_trip_one_way(&mut client, &mut upstream);
    }
    assert_eq!(rest(&mut client), b"");
    assert_eq!(rest(&mut upstream), b"");
    carrier.ends(End::Idle);
}

fn round_trip_one_way(client: &mut std::net::TcpStream, upstream: &mut std::net::TcpStream) {
    client.write_all(b"x").unwrap();
    assert_eq!(read(upstream, 1), b"x");
}

#[test]
fn a_connection_that_is_too_old_ends() {
    let mut rules = to(&[echo()]);
    rules.settings.lifetime_ms = Some(300);
    let carrier = Carrier::new(rules);
    let mut client = carrier.connect();
    let mut ended = false;
    until("its end", || {
        ended = ended
            || client.write_all(b"x").is_err()
            || std::io::Read::read(&mut client, &mut [0; 9]).is_ok_and(|n| n == 0);
        ended
    });
    carrier.ends(End::Lifetime);
}

#[test]
fn connections_end_with_the_gateway_at_the_latest() {
    let mut carrier = Carrier::new(to(&[echo()]));
    let mut client = carrier.connect();
    round_trip(&mut client, "hello");
    carrier.handle().drain(Duration::from_millis(400));
    // What goes on when the drain begins goes on until it is over.
    round_trip(&mut client, "still here");
    carrier.drain(Duration::from_millis(400));
    let mut byte = [0];
    assert!(!matches!(std::io::Read::read(&mut client, &mut byte), Ok(1)));
    assert_eq!(carrier.ended(), "1 stopped");
}

#[test]
fn a_drain_waits_for_a_connection_and_no_longer() {
    let mut carrier = Carrier::new(to(&[echo()]));
    let mut client = carrier.connect();
    round_trip(&mut client, "hello");
    let start = std::time::Instant::now();
    carrier.handle().drain(Duration::from_secs(60));
    client.shutdown(Shutdown::Write).unwrap();
    assert_eq!(rest(&mut client), b"");
    carrier.drain(Duration::from_secs(60));
    assert!(start.elapsed() < Duration::from_secs(20));
    assert_eq!(carrier.ended(), "1 client-closed");
}
