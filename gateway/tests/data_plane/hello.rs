//! The first bytes of connections to the TLS port: what becomes of each kind, and that it is counted.

use super::support::{PATIENCE, Rig, connect, hello as site, read_to_end};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, RootCertStore};
use sluice::listen::hello::{Failure, SSL_REQUEST};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Instant;

/// A client that trusts the gateway's CA, before its first byte.
fn client(rig: &Rig, name: &str) -> ClientConnection {
    let mut roots = RootCertStore::empty();
    roots.add(rig.ca.root().clone()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = builder.with_root_certificates(roots).with_no_client_auth();
    ClientConnection::new(Arc::new(config), ServerName::try_from(name.to_owned()).unwrap()).unwrap()
}

/// Its hello: one record.
pub fn hello_of(client: &mut ClientConnection) -> Vec<u8> {
    let mut raw = Vec::new();
    while client.wants_write() {
        client.write_tls(&mut raw).unwrap();
    }
    raw
}

/// A hello, taken apart.
pub struct Parts {
    before: Vec<u8>,
    pub extensions: Vec<(u16, Vec<u8>)>,
}

impl Parts {
    pub fn of(raw: &[u8]) -> Self {
        // Record header, message header, version, random.
        let mut at = 5 + 4 + 2 + 32;
        at += 1 + usize::from(raw[at]);
        at += 2 + usize::from(u16::from_be_bytes([raw[at], raw[at + 1]]));
        at += 1 + usize::from(raw[at]);
        let before = raw[9..at].to_vec();
        let mut extensions = Vec::new();
        at += 2;
        while at < raw.len() {
            let kind = u16::from_be_bytes([raw[at], raw[at + 1]]);
            let end = at + 4 + usize::from(u16::from_be_bytes([raw[at + 2], raw[at + 3]]));
            extensions.push((kind, raw[at + 4..end].to_vec()));
            at = end;
        }
        Self { before, extensions }
    }

    /// Another body for an extension; put in front when there is none of the kind.
    pub fn set(mut self, kind: u16, body: Vec<u8>) -> Self {
        self.extensions.retain(|(k, _)| *k != kind);
        self.extensions.insert(0, (kind, body));
        self
    }

    pub fn without(mut self, kind: u16) -> Self {
        self.extensions.retain(|(k, _)| *k != kind);
        self
    }

    pub fn join(&self) -> Vec<u8> {
        let mut extensions = Vec::new();
        for (kind, body) in &self.extensions {
            extensions.extend(kind.to_be_bytes());
            extensions.extend(u16::try_from(body.len()).unwrap().to_be_bytes());
            extensions.extend(body);
        }
        let mut body = self.before.clone();
        body.extend(u16::try_from(extensions.len()).unwrap().to_be_bytes());
        body.extend(extensions);
        let mut raw = vec![1];
        raw.extend(&u32::try_from(body.len()).unwrap().to_be_bytes()[1..]);
        raw.extend(body);
        cut(&raw, 1 << 14)
    }
}

/// A message in records of so many bytes.
pub fn cut(message: &[u8], piece: usize) -> Vec<u8> {
    let records = message.chunks(piece).map(|piece| {
        let length = u16::try_from(piece.len()).unwrap();
        [&[22, 3, 1][..], &length.to_be_bytes(), piece].concat()
    });
    records.collect::<Vec<_>>().concat()
}

/// The server_name extension with these names.
pub fn names(names: &[&[u8]]) -> Vec<u8> {
    let mut list = Vec::new();
    for name in names {
        list.push(0);
        list.extend(u16::try_from(name.len()).unwrap().to_be_bytes());
        list.extend(*name);
    }
    [&u16::try_from(list.len()).unwrap().to_be_bytes()[..], &list].concat()
}

/// A hello with these names.
fn naming(rig: &Rig, list: &[&[u8]]) -> Vec<u8> {
    Parts::of(&hello_of(&mut client(rig, "a.test"))).set(0, names(list)).join()
}

/// Goes on with a handshake whose hello was sent, and asks for something.
fn is_served(mut client: ClientConnection, mut tcp: TcpStream) {
    let mut tls = rustls::Stream::new(&mut client, &mut tcp);
    tls.write_all(b"GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n").unwrap();
    let answer = read_to_end(&mut tls);
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("hello"), "{answer:?}");
}

/// Sends bytes and reads what comes until the gateway closes.
fn told(rig: &Rig, raw: &[u8]) -> Vec<u8> {
    let mut tcp = connect(rig.https);
    tcp.write_all(raw).unwrap();
    let mut answer = Vec::new();
    // That the rest was not read may reset the connection.
    let _ = tcp.read_to_end(&mut answer);
    answer
}

/// The type of the first record of the answer, and the alert in it.
fn first_record(rig: &Rig, raw: &[u8]) -> (u8, u8) {
    let mut tcp = connect(rig.https);
    tcp.write_all(raw).unwrap();
    let mut record = [0; 7];
    tcp.read_exact(&mut record).unwrap();
    (record[0], record[6])
}

/// Waits until a failure has been counted so often, and no other was.
#[track_caller]
pub fn counted(rig: &Rig, failure: Failure, times: u64) {
    let begun = Instant::now();
    loop {
        let hellos = rig.handle.as_ref().unwrap().counters().hellos;
        if hellos == [(failure, times)] {
            return;
        }
        assert!(begun.elapsed() < PATIENCE, "{hellos:?} in place of {failure:?} {times} times");
        std::thread::yield_now();
    }
}

#[test]
fn one_byte_at_a_time() {
    let rig = Rig::new(vec![site()]);
    let mut client = client(&rig, "a.test");
    let mut tcp = connect(rig.https);
    for byte in hello_of(&mut client) {
        tcp.write_all(&[byte]).unwrap();
    }
    is_served(client, tcp);
}

#[test]
fn a_hello_in_many_records() {
    let rig = Rig::new(vec![site()]);
    for piece in [1, 3, 500] {
        let mut client = client(&rig, "a.test");
        let mut tcp = connect(rig.https);
        tcp.write_all(&cut(&hello_of(&mut client)[5..], piece)).unwrap();
        is_served(client, tcp);
    }
}

#[test]
fn a_hello_of_8_kilobytes() {
    let rig = Rig::new(vec![site()]);
    let hello = Parts::of(&hello_of(&mut client(&rig, "a.test"))).set(0xfafa, vec![0; 7_000]).join();
    assert!(hello.len() > 8_000);
    // A hello that the client does not know of ends in a failure of its own; ours went well.
    assert_eq!(first_record(&rig, &hello).0, 22);
    assert_eq!(first_record(&rig, &cut(&hello[5..], 100)).0, 22);
}

#[test]
fn odd_case_and_trailing_dot() {
    let rig = Rig::new(vec![site()]);
    for name in [&b"A.TesT"[..], b"a.test.", b"A.TEST."] {
        assert_eq!(first_record(&rig, &naming(&rig, &[name])).0, 22, "{}", name.escape_ascii());
    }
}

#[test]
fn nobody_and_no_name() {
    // RFC 6066 section 3 would have `unrecognized_name`; rustls says `access_denied`.
    let rig = Rig::new(vec![site()]);
    assert_eq!(first_record(&rig, &naming(&rig, &[b"nobody.test"])), (21, 49));
    let without = Parts::of(&hello_of(&mut client(&rig, "a.test"))).without(0).join();
    assert_eq!(first_record(&rig, &without), (21, 49));
    // RFC 6066 section 3: an address is no name. Taken as if there were none.
    assert_eq!(first_record(&rig, &naming(&rig, &[b"127.0.0.1"])), (21, 49));
    counted(&rig, Failure::Unserved, 3);
}

#[test]
fn two_names() {
    let rig = Rig::new(vec![site()]);
    // RFC 6066 section 3 allows one. Which is meant, two readers could read differently.
    assert_eq!(first_record(&rig, &naming(&rig, &[b"a.test", b"b.test"])), (21, 50));
    assert_eq!(first_record(&rig, &naming(&rig, &[b"a.test", b"a.test"])), (21, 50));
    counted(&rig, Failure::BadName, 2);
    // Two extensions are no better.
    let mut parts = Parts::of(&hello_of(&mut client(&rig, "a.test")));
    parts.extensions.insert(0, (0, names(&[b"b.test"])));
    assert_eq!(first_record(&rig, &parts.join()).0, 21);
}

#[test]
fn names_that_are_none() {
    let rig = Rig::new(vec![site()]);
    for name in [&b"a..test"[..], b"a.test\0", b"a test", b".", b"a.test:443", b"\xff.test"] {
        assert_eq!(first_record(&rig, &naming(&rig, &[name])).0, 21, "{}", name.escape_ascii());
    }
    counted(&rig, Failure::BadName, 6);
}

#[test]
fn http_in_the_clear_is_told_so() {
    let rig = Rig::new(vec![site()]);
    let body = format!("POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 30000\r\n\r\n{}", "x".repeat(30_000));
    for request in ["GET / HTTP/1.1\r\nHost: a.test\r\n\r\n", &body] {
        let mut tcp = connect(rig.https);
        tcp.write_all(request.as_bytes()).unwrap();
        tcp.shutdown(std::net::Shutdown::Write).unwrap();
        let answer = read_to_end(&mut tcp);
        assert!(answer.starts_with("HTTP/1.1 400 "), "{answer:?}");
        assert!(answer.ends_with("ask with https:// in place of http://"), "{answer:?}");
        let length: usize =
            answer.split("Content-Length: ").nth(1).unwrap().split('\r').next().unwrap().parse().unwrap();
        assert_eq!(answer.split("\r\n\r\n").nth(1).unwrap().len(), length);
    }
    counted(&rig, Failure::PlainHttp, 2);
}

#[test]
fn garbage_is_closed() {
    for (raw, failure) in [
        (&b"SSH-2.0-OpenSSH_9.2\r\n"[..], Failure::NotTls),
        (b"\x80\x2e\x01\x03\x01\x00\x15\x00\x00\x00\x10", Failure::Ssl2),
        (b"\x16\x03\x01\x00\x04\x02\x00\x00\x00", Failure::Malformed),
        (b"\x16\x03\x01\x00\x06\x01\x00\x00\x02\xff\xff", Failure::Malformed),
        (b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\xff\x17\x03\x03", Failure::Malformed),
        (b"\xff\xff\xff\xff\xff\xff\xff\xff", Failure::NotTls),
    ] {
        let rig = Rig::new(vec![site()]);
        let answer = told(&rig, raw);
        assert!(answer.is_empty() || answer[0] == 21, "{}: {answer:?}", raw.escape_ascii());
        counted(&rig, failure, 1);
    }
}

#[test]
fn oversized_hello() {
    let rig = Rig::new(vec![site()]);
    // By what it says…
    assert!(told(&rig, b"\x16\x03\x01\x40\0\x01\x00\x40\x00").is_empty());
    // …by what it is, with a truthful length in the first record…
    let big = Parts::of(&hello_of(&mut client(&rig, "a.test"))).set(0xfafa, vec![0; 17_000]).join();
    assert!(told(&rig, &big).is_empty());
    // …and by what it costs in headers of records.
    let small = Parts::of(&hello_of(&mut client(&rig, "a.test"))).set(0xfafa, vec![0; 8_000]).join();
    assert!(told(&rig, &cut(&small[5..], 1)).is_empty());
    counted(&rig, Failure::TooLong, 3);
}

#[test]
fn slowloris_in_the_hello() {
    let rig = Rig::with(vec![site()], |gateway| gateway.limits.header_ms = 300);
    let hello = hello_of(&mut client(&rig, "a.test"));
    let mut tcp = connect(rig.https);
    tcp.set_read_timeout(Some(std::time::Duration::from_millis(20))).unwrap();
    // Each byte in time for a deadline that would start anew with it.
    let begun = Instant::now();
    for byte in &hello[..hello.len() - 1] {
        if tcp.write_all(&[*byte]).is_err() {
            break;
        }
        match tcp.read(&mut [0; 16]) {
            Ok(n) => {
                assert_eq!(n, 0);
                break;
            }
            Err(e) if matches!(e.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut) => {}
            Err(_) => break,
        }
        assert!(begun.elapsed() < PATIENCE, "held for ever");
    }
    counted(&rig, Failure::Timeout, 1);
    // A client that says nothing at all is not waited for either.
    assert_eq!(connect(rig.https).read(&mut [0; 16]).unwrap_or(0), 0);
    counted(&rig, Failure::Timeout, 2);
}

#[test]
fn gone_half_way() {
    let rig = Rig::new(vec![site()]);
    let hello = hello_of(&mut client(&rig, "a.test"));
    let mut tcp = connect(rig.https);
    tcp.write_all(&hello[..100]).unwrap();
    tcp.shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(read_to_end(&mut tcp), "");
    counted(&rig, Failure::Left, 1);
    // Who looks whether the port is open is nobody's failure.
    drop(connect(rig.https));
    let mut tcp = connect(rig.https);
    tcp.write_all(&hello[..1]).unwrap();
    drop(tcp);
    counted(&rig, Failure::Left, 2);
}

#[test]
fn postgres_is_not_served_by_a_site() {
    let rig = Rig::new(vec![site()]);
    let hello = hello_of(&mut client(&rig, "a.test"));
    let mut tcp = connect(rig.https);
    // GSSENCRequest first, as libpq does.
    tcp.write_all(&[0, 0, 0, 8, 4, 210, 22, 48]).unwrap();
    let mut answer = [0];
    tcp.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"N");
    tcp.write_all(&SSL_REQUEST).unwrap();
    tcp.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"S");
    tcp.write_all(&hello).unwrap();
    let mut alert = Vec::new();
    tcp.read_to_end(&mut alert).unwrap();
    assert_eq!(alert, [21, 3, 3, 0, 2, 2, 112]);
    counted(&rig, Failure::Postgres, 1);
}

#[test]
fn postgres_buffer_stuffing() {
    // CVE-2021-23222: what a man in the middle appends to the request in the clear must not be read
    // as what the client says inside TLS.
    let rig = Rig::new(vec![site()]);
    let hello = hello_of(&mut client(&rig, "a.test"));
    assert!(told(&rig, &[&SSL_REQUEST[..], &hello].concat()).is_empty());
    counted(&rig, Failure::Postgres, 1);
    // Asking twice is no better.
    let mut tcp = connect(rig.https);
    for _ in 0..2 {
        tcp.write_all(&SSL_REQUEST).unwrap();
        let _ = tcp.read(&mut [0]);
    }
    counted(&rig, Failure::Postgres, 2);
}
