use super::*;
use std::net::SocketAddr;

fn at(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn told(client: &str, local: &str) -> Told<'static> {
    Told { client: at(client), local: at(local), alpn: None, sni: None, id: &[], secured: None }
}

fn named(client: &str, local: &str) -> Header {
    Header::For { client: at(client), local: at(local) }
}

#[track_caller]
fn whole(bytes: &[u8], header: Header) {
    assert_eq!(parse(bytes), Ok(Step::Whole(header, bytes.len())));
    for cut in 0..bytes.len() {
        assert_eq!(parse(&bytes[..cut]), Ok(Step::More), "after {cut} bytes");
    }
    let mut more = bytes.to_vec();
    more.extend_from_slice(bytes);
    assert_eq!(parse(&more), Ok(Step::Whole(header, bytes.len())), "what follows is not looked at");
}

/// A binary header.
fn binary(command: u8, family: u8, block: &[u8]) -> Vec<u8> {
    let mut bytes = SIGNATURE.to_vec();
    bytes.extend_from_slice(&[command, family]);
    bytes.extend_from_slice(&(block.len() as u16).to_be_bytes());
    bytes.extend_from_slice(block);
    bytes
}

#[test]
fn lines_of_text() {
    whole(b"PROXY TCP4 192.0.2.1 198.51.100.2 56324 443\r\n", named("192.0.2.1:56324", "198.51.100.2:443"));
    whole(b"PROXY TCP6 2001:db8::1 2001:db8::2 1 65535\r\n", named("[2001:db8::1]:1", "[2001:db8::2]:65535"));
    whole(b"PROXY TCP6 ::ffff:192.0.2.1 ::ffff:192.0.2.2 0 1\r\n", named("192.0.2.1:0", "192.0.2.2:1"));
    whole(b"PROXY UNKNOWN\r\n", Header::Own);
    whole(b"PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535\r\n", Header::Own);
}

#[test]
fn lines_that_are_none() {
    for (line, why) in [
        (&b"PROXY TCP4 192.0.2.1 198.51.100.2 56324 443\n"[..], Bad::Line),
        (b"PROXY TCP4 192.0.2.1 198.51.100.2 56324\r\n", Bad::Words),
        (b"PROXY TCP4 192.0.2.1 198.51.100.2 56324 443 1\r\n", Bad::Words),
        (b"PROXY TCP4 192.0.2.1  198.51.100.2 56324 443\r\n", Bad::Words),
        (b"PROXY TCP4 192.0.2.1 198.51.100.2 056324 443\r\n", Bad::Words),
        (b"PROXY TCP4 192.0.2.1 198.51.100.2 +1 443\r\n", Bad::Words),
        (b"PROXY TCP4 192.0.2.1 198.51.100.2 65536 443\r\n", Bad::Words),
        (b"PROXY TCP4 192.0.2.1 198.51.100.2 \r 443\r\n", Bad::Words),
        (b"PROXY TCP4 192.0.2.01 198.51.100.2 1 443\r\n", Bad::Words),
        (b"PROXY TCP4 2001:db8::1 2001:db8::2 1 443\r\n", Bad::Words),
        (b"PROXY TCP6 192.0.2.1 192.0.2.2 1 443\r\n", Bad::Words),
        (b"PROXY UDP4 192.0.2.1 192.0.2.2 1 443\r\n", Bad::Words),
        (b"PROXY UNKNOWNER\r\n", Bad::Words),
        (b"PROXY \r\n", Bad::Words),
        (b"PROXY TCP4 \xff 192.0.2.2 1 443\r\n", Bad::Words),
        (b"proxy TCP4 192.0.2.1 192.0.2.2 1 443\r\n", Bad::NoHeader),
        (b"GET / HTTP/1.1\r\n", Bad::NoHeader),
        (b"\x16\x03\x01", Bad::NoHeader),
        (b"\r\n\r\n\0\r\nQUIT\r", Bad::NoHeader),
        (b"PROXX", Bad::NoHeader),
    ] {
        assert_eq!(parse(line), Err(why), "{}", line.escape_ascii());
    }
    let mut long = b"PROXY UNKNOWN ".to_vec();
    long.resize(105, b'x');
    assert_eq!(parse(&long), Ok(Step::More));
    let mut fits = long.clone();
    fits.extend_from_slice(b"\r\n");
    whole(&fits, Header::Own);
    long.extend_from_slice(b"xx\r\n");
    assert_eq!(parse(&long), Err(Bad::Line));
}

#[test]
fn binary_headers() {
    let v4 = [192, 0, 2, 1, 198, 51, 100, 2, 0x1f, 0x90, 0x01, 0xbb];
    whole(&binary(0x21, 0x11, &v4), named("192.0.2.1:8080", "198.51.100.2:443"));
    let mut v6 = [0; 36];
    (v6[0], v6[1], v6[15]) = (0x20, 0x01, 1);
    (v6[16], v6[17], v6[31]) = (0x20, 0x01, 2);
    v6[33] = 80;
    v6[35] = 81;
    whole(&binary(0x21, 0x21, &v6), named("[2001::1]:80", "[2001::2]:81"));
    let with_tlvs = [&v4[..], &[0x04, 0, 2, 9, 9, 0xea, 0, 0]].concat();
    whole(&binary(0x21, 0x11, &with_tlvs), named("192.0.2.1:8080", "198.51.100.2:443"));
    whole(&binary(0x20, 0x00, &[]), Header::Own);
    // LOCAL: whatever stands in the block is discarded.
    whole(&binary(0x20, 0x11, &v4), Header::Own);
    whole(&binary(0x20, 0x77, &[1, 2, 3]), Header::Own);
    whole(&binary(0x21, 0x00, &[1, 2, 3]), Header::Own);
    whole(&binary(0x20, 0x00, &vec![0; 4096]), Header::Own);
}

#[test]
fn binary_headers_that_are_none() {
    let v4 = [0; 12];
    for (bytes, why) in [
        (binary(0x11, 0x11, &v4), Bad::Kind),
        (binary(0x22, 0x11, &v4), Bad::Kind),
        (binary(0x21, 0x12, &v4), Bad::Kind),
        (binary(0x21, 0x31, &[0; 216]), Bad::Kind),
        (binary(0x21, 0x11, &v4[..11]), Bad::Length),
        (binary(0x21, 0x21, &[0; 35]), Bad::Length),
        (binary(0x20, 0x00, &vec![0; 4097]), Bad::Length),
        (binary(0x21, 0x11, &[&v4[..], &[4, 0]].concat()), Bad::Tlv),
        (binary(0x21, 0x11, &[&v4[..], &[4, 0, 3, 1, 2]].concat()), Bad::Tlv),
        (binary(0x21, 0x11, &[&v4[..], &[3, 0, 1, 1]].concat()), Bad::Tlv),
        (binary(0x21, 0x11, &[&v4[..], &[3, 0, 4, 1, 2, 3, 4]].concat()), Bad::Checksum),
    ] {
        assert_eq!(parse(&bytes), Err(why), "{}", bytes.escape_ascii());
    }
    // A length that lies is refused before what it promises is waited for.
    assert_eq!(parse(&binary(0x21, 0x11, &[0; 5000])[..16]), Err(Bad::Length));
    assert_eq!(parse(&binary(0x21, 0x11, &[])[..16]), Err(Bad::Length));
    assert_eq!(parse(&binary(0x31, 0x11, &v4)[..13]), Err(Bad::Kind));
}

#[test]
fn what_is_written_is_read() {
    for (client, local) in [
        ("192.0.2.1:56324", "198.51.100.2:443"),
        ("[2001:db8::1]:1", "[2001:db8::2]:65535"),
        ("[::ffff:192.0.2.1]:7", "192.0.2.2:8"),
    ] {
        let mut told = told(client, local);
        let canonical = |a: &str| SocketAddr::new(at(a).ip().to_canonical(), at(a).port());
        let header = Header::For { client: canonical(client), local: canonical(local) };
        whole(&v1(&told), header);
        whole(&v2(&told), header);
        told.alpn = Some("h2");
        told.sni = Some("vault.bank.example");
        told.id = &[7; 16];
        told.secured = Some(Secured { version: "TLSv1.3", cipher: "TLS_AES_128_GCM_SHA256" });
        whole(&v2(&told), header);
    }
    let mixed = told("192.0.2.1:7", "[2001:db8::2]:8");
    whole(&v2(&mixed), named("192.0.2.1:7", "[2001:db8::2]:8"));
}

#[test]
fn the_bytes_of_a_binary_header() {
    let mut told = told("192.0.2.1:4660", "192.0.2.2:443");
    told.alpn = Some("h2");
    told.sni = Some("a.example");
    told.id = b"id";
    told.secured = Some(Secured { version: "TLSv1.3", cipher: "X" });
    let expected = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x3f\
        \xc0\0\x02\x01\xc0\0\x02\x02\x12\x34\x01\xbb\
        \x01\0\x02h2\
        \x02\0\x09a.example\
        \x05\0\x02id\
        \x20\0\x13\x01\0\0\0\x01\x21\0\x07TLSv1.3\x23\0\x01X\
        \x03\0\x04";
    let bytes = v2(&told);
    let (head, sum) = bytes.split_at(bytes.len() - 4);
    assert_eq!(head.escape_ascii().to_string(), expected.escape_ascii().to_string());
    let zeroed = [head, &[0; 4]].concat();
    assert_eq!(sum, crc32c::end(crc32c::add(crc32c::START, &zeroed)).to_be_bytes());
}

#[test]
fn a_changed_byte_breaks_the_checksum() {
    let mut told = told("192.0.2.1:56324", "198.51.100.2:443");
    told.sni = Some("vault.bank.example");
    let bytes = v2(&told);
    for at in 16..bytes.len() {
        let mut changed = bytes.clone();
        changed[at] ^= 0x10;
        // Inside the TLVs' own types and lengths another fault may be seen first.
        assert!(parse(&changed).is_err() || changed[bytes.len() - 7] != 3, "byte {at}");
    }
}
