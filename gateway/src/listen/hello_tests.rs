use super::*;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, RootCertStore};
use std::sync::Arc;

/// A hello as rustls says it, post-quantum key share and all: one record.
fn hello(name: &str) -> Vec<u8> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = builder.expect("versions").with_root_certificates(RootCertStore::empty()).with_no_client_auth();
    let name = ServerName::try_from(name.to_owned()).expect("a name");
    let mut raw = Vec::new();
    let mut client = ClientConnection::new(Arc::new(config), name).expect("a client");
    client.write_tls(&mut raw).expect("memory");
    raw
}

/// The same message in records of so many bytes.
fn cut(hello: &[u8], piece: usize) -> Vec<u8> {
    let records = hello[5..].chunks(piece).map(|piece| {
        let length = u16::try_from(piece.len()).expect("short");
        [&[22, 3, 1][..], &length.to_be_bytes(), piece].concat()
    });
    records.collect::<Vec<_>>().concat()
}

/// What is seen when the bytes come one at a time.
fn slowly(raw: &[u8]) -> (usize, Result<Seen, Failure>) {
    let mut measure = Measure::default();
    for end in 1..=raw.len() {
        match measure.look(&raw[..end]) {
            Ok(Seen::Part) => {}
            other => return (end, other),
        }
    }
    (raw.len(), Ok(Seen::Part))
}

#[test]
fn a_hello_is_whole_with_its_last_byte() {
    let raw = hello("a.test");
    assert!(raw.len() > 1_200, "no post-quantum share in {} bytes", raw.len());
    for raw in [raw.clone(), cut(&raw, 1_000), cut(&raw, 3), cut(&raw, 1)] {
        assert_eq!(slowly(&raw), (raw.len(), Ok(Seen::Whole)));
        assert_eq!(Measure::default().look(&raw), Ok(Seen::Whole));
        let more = [&raw[..], b"more"].concat();
        assert_eq!(Measure::default().look(&more), Ok(Seen::Whole));
        let hello = open(&raw).unwrap_or_else(|e| panic!("{:?}", e.failure));
        assert_eq!(hello.accepted.client_hello().server_name(), Some("a.test"));
        assert_eq!(hello.taken, raw.len());
    }
}

#[test]
fn what_is_no_hello_is_known_by_its_first_bytes() {
    for (raw, at, failure) in [
        (&b"GET / HTTP/1.1\r\n"[..], 4, Failure::PlainHttp),
        (b"OPTIONS * HTTP/1.1\r\n", 8, Failure::PlainHttp),
        (b"PRI * HTTP/2.0\r\n", 2, Failure::NotTls),
        (b"GEX", 3, Failure::NotTls),
        (b"SSH-2.0-OpenSSH", 1, Failure::NotTls),
        (b"\x80\x2e\x01\x00\x02", 3, Failure::Ssl2),
        (b"\x80\x2e\x02", 3, Failure::NotTls),
        (b"\x15\x03\x01\0\x02\x02\x28", 1, Failure::NotTls),
        (b"\x16\x02\x00", 2, Failure::NotTls),
        (b"\x16\x03\x01\0\0", 5, Failure::Malformed),
        (b"\x16\x03\x01\x40\x01", 5, Failure::Malformed),
        (b"\x16\x03\x01\0\x10\x02", 6, Failure::Malformed),
        (b"\x16\x03\x01\x10\0\x01\0\x40\0", 9, Failure::TooLong),
        (b"\x16\x03\x01\0\x01\x01\x17\x03\x01", 7, Failure::Malformed),
        (b"\0\0\0\x08\x04\xd2\x16\x30", 8, Failure::Left),
    ] {
        let expected = if failure == Failure::Left { Ok(Seen::GssRequest) } else { Err(failure) };
        assert_eq!(slowly(raw), (at, expected), "{}", raw.escape_ascii());
    }
    assert_eq!(slowly(&SSL_REQUEST), (8, Ok(Seen::SslRequest)));
    assert_eq!(slowly(&SSL_REQUEST[..7]), (7, Ok(Seen::Part)));
}

#[test]
fn a_hello_of_16_kilobytes_and_no_more() {
    let longest = [&[22, 3, 1, 0x40, 0, 1, 0, 0x3f, 0xfc][..], &vec![0; LONGEST - 4]].concat();
    assert_eq!(slowly(&longest), (longest.len(), Ok(Seen::Whole)));
    assert_eq!(open(&longest).err().map(|e| e.failure), Some(Failure::Malformed));
}
