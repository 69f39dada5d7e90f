//! PROXY headers of peers that are trusted, and of those that are not.

use super::rig::*;
use crate::support::{Origin, Rig, proxied};
use dsl::tree::ir::{self, ProxyProtocol};
use dsl::tree::l4::Rules;
use sluice::l4::End;
use sluice::l4::proxy_header::{self, Told};
use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

const LINE: &[u8] = b"PROXY TCP4 192.0.2.7 198.51.100.8 5678 443\r\n";

/// An item whose pool is told what the gateway was told.
fn telling(origin: SocketAddr) -> Rules {
    let mut rules = to(&[origin]);
    std::sync::Arc::make_mut(&mut rules.pools[0]).proxy_protocol = Some(ProxyProtocol::V1);
    rules
}

fn trusting(gateway: &mut ir::Gateway) {
    gateway.proxy_protocol_from = vec!["127.0.0.0/8".parse().unwrap()];
    gateway.limits.header_ms = 500;
}

fn binary(client: &str, local: &str) -> Vec<u8> {
    let (client, local) = (client.parse().unwrap(), local.parse().unwrap());
    proxy_header::v2(&Told { client, local, alpn: None, sni: Some("a.test"), id: &[], secured: None })
}

/// What the origin is told about a connection that begins so, and what follows it.
#[track_caller]
fn told(sends: impl FnOnce(&mut TcpStream)) -> String {
    let origin = Accepting::new();
    let carrier = Carrier::with(telling(origin.address), trusting);
    let mut client = carrier.connect();
    sends(&mut client);
    let mut upstream = origin.accept();
    client.shutdown(std::net::Shutdown::Write).unwrap();
    String::from_utf8(rest(&mut upstream)).unwrap()
}

#[test]
fn a_header_names_the_client() {
    let text = told(|client| client.write_all(&[LINE, b"hello"].concat()).unwrap());
    assert_eq!(text, "PROXY TCP4 192.0.2.7 198.51.100.8 5678 443\r\nhello");
    let text =
        told(|client| client.write_all(&[&binary("192.0.2.7:1", "192.0.2.8:2")[..], b"hello"].concat()).unwrap());
    assert_eq!(text, "PROXY TCP4 192.0.2.7 192.0.2.8 1 2\r\nhello");
}

#[test]
fn a_header_names_an_ipv6_client() {
    let text = told(|client| client.write_all(&binary("[2001:db8::7]:1", "[2001:db8::8]:2")).unwrap());
    assert_eq!(text, "PROXY TCP6 2001:db8::7 2001:db8::8 1 2\r\n");
    let text = told(|client| client.write_all(b"PROXY TCP6 2001:db8::7 2001:db8::8 1 2\r\nx").unwrap());
    assert_eq!(text, "PROXY TCP6 2001:db8::7 2001:db8::8 1 2\r\nx");
}

#[test]
fn who_knows_nothing_is_taken_by_its_socket() {
    for header in [&b"PROXY UNKNOWN\r\nhello"[..], b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0hello"] {
        let text = told(|client| client.write_all(header).unwrap());
        assert!(text.starts_with("PROXY TCP4 127.0.0.1 127.0.0.1 ") && text.ends_with("\r\nhello"), "{text:?}");
    }
}

#[test]
fn attack_header_split_byte_by_byte() {
    for header in [LINE.to_vec(), binary("192.0.2.7:5678", "198.51.100.8:443")] {
        let text = told(|client| {
            for byte in header.iter().chain(b"hello") {
                client.write_all(&[*byte]).unwrap();
            }
        });
        assert_eq!(text, "PROXY TCP4 192.0.2.7 198.51.100.8 5678 443\r\nhello");
    }
}

#[test]
fn attack_two_headers() {
    // The second one is the client's own: bytes like any other.
    let text = told(|client| client.write_all(&[LINE, b"PROXY TCP4 10.0.0.1 10.0.0.2 1 2\r\n"].concat()).unwrap());
    assert_eq!(text, "PROXY TCP4 192.0.2.7 198.51.100.8 5678 443\r\nPROXY TCP4 10.0.0.1 10.0.0.2 1 2\r\n");
}

#[test]
fn attack_spoofed_header_from_an_untrusted_peer() {
    let origin = Accepting::new();
    let carrier = Carrier::with(telling(origin.address), |gateway| {
        gateway.proxy_protocol_from = vec!["10.0.0.0/8".parse().unwrap()];
    });
    let mut client = carrier.connect();
    let from = client.local_addr().unwrap().port();
    client.write_all(LINE).unwrap();
    client.shutdown(std::net::Shutdown::Write).unwrap();
    let text = String::from_utf8(rest(&mut origin.accept())).unwrap();
    let to = carrier.address.port();
    assert_eq!(text, format!("PROXY TCP4 127.0.0.1 127.0.0.1 {from} {to}\r\n{}", str::from_utf8(LINE).unwrap()));
}

#[test]
fn attack_headers_that_are_none() {
    let mut oversize = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x20\x00".to_vec();
    oversize.resize(9000, 0);
    let mut lying = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0f".to_vec();
    lying.extend_from_slice(&[0; 12]);
    lying.extend_from_slice(&[4, 0, 9]);
    let mut endless = b"PROXY TCP4 ".to_vec();
    endless.resize(200, b'1');
    let origin = Accepting::new();
    let carrier = Carrier::with(telling(origin.address), trusting);
    let garbage: Vec<&[u8]> = vec![
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x16\x03\x01\x02\x00",
        b"PROXY TCP4 192.0.2.7 198.51.100.8 5678 99999\r\n",
        b"PROXY TCP5 x\r\n",
        &endless,
        &oversize,
        &lying,
        b"\r\n\r\n\0\r\nQUIT\n\x31",
    ];
    for bytes in &garbage {
        let mut client = carrier.connect();
        let _ = client.write_all(bytes);
        is_reset(&mut client);
    }
    until("the counts", || carrier.counts.ends(End::ProxyHeader) == garbage.len() as u64);
    assert_eq!(carrier.handle().counters().proxy_headers_refused, garbage.len() as u64);
    assert!(origin.is_quiet());
}

#[test]
fn attack_slow_header() {
    let origin = Accepting::new();
    let carrier = Carrier::with(telling(origin.address), trusting);
    for header in [LINE.to_vec(), binary("192.0.2.7:1", "192.0.2.8:2"), Vec::new()] {
        let mut client = carrier.connect();
        let start = Instant::now();
        let _ = client.write_all(&header[..header.len().saturating_sub(1)]);
        is_reset(&mut client);
        assert!((Duration::from_millis(500)..Duration::from_secs(10)).contains(&start.elapsed()));
    }
    until("the counts", || carrier.counts.ends(End::ProxyHeader) == 3);
    assert!(origin.is_quiet());
}

#[test]
fn attack_header_that_breaks_off() {
    let carrier = Carrier::with(to(&[echo()]), trusting);
    let mut client = carrier.connect();
    client.write_all(&LINE[..20]).unwrap();
    client.shutdown(std::net::Shutdown::Write).unwrap();
    is_reset(&mut client);
    carrier.ends(End::ProxyHeader);
}

#[test]
fn http_sees_the_client_that_a_header_names() {
    let origin = Origin::answering("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    let rig = Rig::with(vec![proxied(origin.address)], trusting);
    let request = b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n";
    let mut client = rig.connect();
    client.write_all(&[LINE, request].concat()).unwrap();
    assert_eq!(crate::support::Reply::read(&mut client).text(), "ok");
    let heads = origin.heads();
    assert!(heads[0].to_ascii_lowercase().contains("x-forwarded-for: 192.0.2.7\r\n"), "{heads:?}");
    // No header: not the client's request, but none of a peer that must send one.
    let mut client = rig.connect();
    client.write_all(request).unwrap();
    is_reset(&mut client);
    assert_eq!(rig.handle.as_ref().unwrap().counters().proxy_headers_refused, 1);
    assert_eq!(origin.heads().len(), 1);
}

#[test]
fn attack_spoofed_header_before_http() {
    let origin = Origin::answering("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    let rig = Rig::new(vec![proxied(origin.address)]);
    for header in [LINE.to_vec(), binary("192.0.2.7:1", "192.0.2.8:2")] {
        let text = {
            let request = [&header[..], b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n"].concat();
            rig.until_closed(&request)
        };
        assert!(text.starts_with("HTTP/1.1 400 "), "{text}");
    }
    assert!(origin.heads().is_empty());
}
