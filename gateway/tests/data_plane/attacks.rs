//! Invariants 8 and 9, over raw sockets: refused, counted, closed, and the origin never saw it.

use super::support::{Origin, Rig, plan, proxied, proxy, site};
use std::io::Write;
use std::sync::atomic::Ordering;

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// Sends an attack and asserts that it is refused with this status and these words.
fn refused(request: &[u8], status: u16, words: &str) {
    let origin = Origin::answering(OK);
    let rig = Rig::new(vec![proxied(origin.address)]);
    let answer = rig.until_closed(request);
    let shown = String::from_utf8_lossy(request);
    assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{shown:?}: {answer:?}");
    assert!(answer.contains(words), "{shown:?}: {answer:?}");
    assert!(answer.contains("connection: close"), "{shown:?}: {answer:?}");
    // One answer, then the end of the stream: nothing after the attack is read.
    assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{shown:?}: {answer:?}");
    assert!(answer.ends_with('\n'), "closed cleanly: {answer:?}");
    assert_eq!(origin.connections.load(Ordering::SeqCst), 0, "{shown:?} reached the origin");
    let refusals: u64 = rig.handle.as_ref().unwrap().counters().refused.iter().map(|(_, n)| n).sum();
    assert_eq!(refusals, 1, "{shown:?} was not counted");
}

/// A POST with these lines after its Host.
fn post(rest: &str) -> Vec<u8> {
    format!("POST / HTTP/1.1\r\nHost: a.test\r\n{rest}").into_bytes()
}

#[test]
fn request_smuggling_cl_te() {
    let smuggled = "0\r\n\r\nGET /admin HTTP/1.1\r\nHost: a.test\r\n\r\n";
    refused(&post(&format!("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n{smuggled}")), 400, "side by side");
}

#[test]
fn request_smuggling_te_cl() {
    refused(&post("Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n5c\r\nGPOST"), 400, "side by side");
}

#[test]
fn request_smuggling_te_te() {
    for te in [
        "xchunked",
        "chunked, identity",
        "identity, chunked",
        "chunked\r\nTransfer-Encoding: x",
        "\"chunked\"",
        "chunked;q=1",
    ] {
        refused(&post(&format!("Transfer-Encoding: {te}\r\n\r\n0\r\n\r\n")), 400, "exactly `chunked`");
    }
    refused(&post("Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n"), 400, "and its colon");
}

#[test]
fn request_smuggling_two_lengths() {
    refused(&post("Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello"), 400, "more than once");
    refused(&post("Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello"), 400, "more than once");
    refused(&post("Content-Length: 5, 5\r\n\r\nhello"), 400, "Content-Length is malformed");
    refused(&post("Content-Length: +5\r\n\r\nhello"), 400, "Content-Length is malformed");
    refused(&post("Content-Length: 99999999999999999999\r\n\r\nhello"), 400, "Content-Length is malformed");
}

#[test]
fn request_smuggling_te_on_http_1_0() {
    refused(b"POST / HTTP/1.0\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400, "HTTP/1.0");
}

#[test]
fn request_smuggling_chunk_sizes() {
    for body in [
        "5 \r\nhello\r\n0\r\n\r\n",
        "0x5\r\nhello\r\n0\r\n\r\n",
        "5\nhello\r\n0\r\n\r\n",
        "5;a\nb\r\nhello\r\n0\r\n\r\n",
        "FFFFFFFFFFFFFFFFF\r\nhello",
        "-5\r\nhello\r\n0\r\n\r\n",
        "5\r\nhelloX\r\n0\r\n\r\n",
    ] {
        refused(&post(&format!("Transfer-Encoding: chunked\r\n\r\n{body}")), 400, "chunked body");
    }
}

#[test]
fn request_smuggling_trailers() {
    for trailer in ["Content-Length: 5", "Transfer-Encoding: chunked", "Host: b", "X : y", " folded"] {
        let body = format!("0\r\n{trailer}\r\n\r\n");
        refused(&post(&format!("Transfer-Encoding: chunked\r\n\r\n{body}")), 400, "trailer section");
    }
}

#[test]
fn duplicate_host() {
    refused(b"GET / HTTP/1.1\r\nHost: a.test\r\nHost: a.test\r\n\r\n", 400, "Host");
    refused(b"GET / HTTP/1.1\r\nHost: a.test\r\nhOsT: b.test\r\n\r\n", 400, "Host");
}

#[test]
fn missing_host() {
    refused(b"GET / HTTP/1.1\r\n\r\n", 400, "Host header is missing");
}

#[test]
fn host_against_absolute_form() {
    refused(b"GET http://b.test/ HTTP/1.1\r\nHost: a.test\r\n\r\n", 400, "different hosts");
}

#[test]
fn malformed_hosts() {
    for host in [
        "",
        "a.test b.test",
        "a.test,b.test",
        "user@a.test",
        "a.test/x",
        "a.test:",
        "a.test:99999",
        "a..test",
        "[::1",
        "a%2etest",
        "0x7f.1",
    ] {
        refused(format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n").as_bytes(), 400, "host is malformed");
    }
}

#[test]
fn folded_header() {
    refused(b"GET / HTTP/1.1\r\nHost: a.test\r\nX: a\r\n b\r\n\r\n", 400, "folded");
    refused(b"GET / HTTP/1.1\r\n\tHost: a.test\r\n\r\n", 400, "folded");
}

#[test]
fn bare_line_feed() {
    refused(b"GET / HTTP/1.1\nHost: a.test\n\n", 400, "bare line feed");
    refused(b"GET / HTTP/1.1\r\nHost: a.test\nX: y\r\n\r\n", 400, "bare line feed");
}

#[test]
fn bare_carriage_return() {
    refused(b"GET / HTTP/1.1\r\nHost: a.test\r\nX: a\rb\r\n\r\n", 400, "carriage return");
}

#[test]
fn control_bytes() {
    refused(b"GET / HTTP/1.1\r\nHost: a.test\r\nX: a\0b\r\n\r\n", 400, "control byte");
    refused(b"GET /\x01 HTTP/1.1\r\nHost: a.test\r\n\r\n", 400, "control byte");
    refused(b"GET / HTTP/1.1\r\nHost: a.test\r\nX\0: b\r\n\r\n", 400, "control byte");
}

#[test]
fn space_before_the_colon() {
    refused(b"GET / HTTP/1.1\r\nHost : a.test\r\n\r\n", 400, "between a header name and its colon");
}

#[test]
fn malformed_names_methods_and_versions() {
    refused(b"GET / HTTP/1.1\r\nHost: a.test\r\nX(: b\r\n\r\n", 400, "header name");
    refused(b"GET / HTTP/1.1\r\nHost: a.test\r\nnocolon\r\n\r\n", 400, "header name");
    refused(b"G{T / HTTP/1.1\r\nHost: a.test\r\n\r\n", 400, "method");
    refused(b"GET / HTTP/1.2\r\nHost: a.test\r\n\r\n", 400, "version");
    refused(b"GET / HTTP/2.0\r\nHost: a.test\r\n\r\n", 400, "version");
    refused(b"GET /a b HTTP/1.1\r\nHost: a.test\r\n\r\n", 400, "target");
    refused(b"GET /\r\n\r\n", 400, "request line");
}

#[test]
fn tunnels_and_asterisks() {
    refused(b"CONNECT a.test:443 HTTP/1.1\r\nHost: a.test:443\r\n\r\n", 501, "CONNECT");
    refused(b"OPTIONS * HTTP/1.1\r\nHost: a.test\r\n\r\n", 501, "asterisk");
}

#[test]
fn limits_of_line_and_head() {
    let long = format!("GET /{} HTTP/1.1\r\nHost: a.test\r\n\r\n", "x".repeat(9000));
    refused(long.as_bytes(), 414, "request line is too long");
    let field = format!("GET / HTTP/1.1\r\nHost: a.test\r\nX: {}\r\n\r\n", "y".repeat(40_000));
    refused(field.as_bytes(), 431, "too large");
    let many = format!("GET / HTTP/1.1\r\nHost: a.test\r\n{}\r\n", "X: y\r\n".repeat(101));
    refused(many.as_bytes(), 431, "too many headers");
}

#[test]
fn encoded_slashes_and_climbing_paths() {
    for path in ["/a%2Fb", "/a%5Cb", "/a%00b", "/../etc/passwd", "/a/../../b", "/%2e%2e/b", "/a\\b", "/%zz"] {
        refused(format!("GET {path} HTTP/1.1\r\nHost: a.test\r\n\r\n").as_bytes(), 400, "path is not acceptable");
    }
}

#[test]
fn what_precedes_an_attack_is_answered() {
    let origin = Origin::answering(OK);
    let rig = Rig::new(vec![proxied(origin.address)]);
    let answers = rig.until_closed(
        b"GET /one HTTP/1.1\r\nHost: a.test\r\n\r\nGET /two HTTP/1.1\r\nHost: a.test\r\n\r\nGET /three HTTP/1.1\r\nHost: a.test\r\nHost: b\r\n\r\nGET /four HTTP/1.1\r\nHost: a.test\r\n\r\n",
    );
    let statuses: Vec<_> = answers.match_indices("HTTP/1.1 ").map(|(i, _)| &answers[i + 9..i + 12]).collect();
    assert_eq!(statuses, ["200", "200", "400"], "{answers}");
    assert_eq!(origin.heads().len(), 2);
}

#[test]
fn a_violation_in_a_later_chunk_cuts_the_request() {
    let origin = Origin::answering(OK);
    let rig = Rig::new(vec![proxied(origin.address)]);
    let mut stream = rig.connect();
    stream.write_all(&post("Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")).unwrap();
    // The origin has the head and the first chunk by now, or will: the request never ends for it.
    while origin.connections.load(Ordering::SeqCst) == 0 {
        std::thread::yield_now();
    }
    stream.write_all(b"zz\r\nGET /admin HTTP/1.1\r\nHost: a.test\r\n\r\n").unwrap();
    let answer = super::support::read_to_end(&mut stream);
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer:?}");
    assert_eq!(origin.heads().len(), 0, "no whole request arrived");
}

#[test]
fn hop_by_hop_header_abuse() {
    let origin = Origin::answering(OK);
    let rig = Rig::new(vec![proxied(origin.address)]);
    let reply = rig.ask("GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close, x-mine\r\nX-Mine: 1\r\nKeep-Alive: 5\r\nProxy-Authorization: x\r\nProxy-Connection: x\r\nUpgrade: h2c\r\nHTTP2-Settings: x\r\nTE: gzip\r\n\r\n");
    assert_eq!(reply.status, 200);
    let head = origin.heads().remove(0).to_ascii_lowercase();
    for gone in ["x-mine", "keep-alive", "proxy-", "upgrade", "http2-settings", "te:", "connection"] {
        assert!(!head.contains(gone), "{gone}: {head}");
    }
    assert!(head.contains("x-forwarded-for: 127.0.0.1\r\n"), "{head}");
    assert!(head.contains("host: a.test\r\n"), "{head}");
}

#[test]
fn hop_by_hop_header_abuse_of_what_frames_addresses_or_forwards() {
    let origin = Origin::answering(OK);
    let rig = Rig::new(vec![proxied(origin.address)]);
    for option in ["x-forwarded-for", "close, Host", "content-length", "X-Mine ,transfer-encoding", "forwarded"] {
        let reply = rig.ask(&format!("GET / HTTP/1.1\r\nHost: a.test\r\nConnection: {option}\r\n\r\n"));
        assert_eq!(reply.status, 400, "{option}");
    }
    assert!(origin.heads().is_empty());
}

#[test]
fn forged_forwarding_headers() {
    let origin = Origin::answering(OK);
    let rig = Rig::new(vec![proxied(origin.address)]);
    rig.ask("GET / HTTP/1.1\r\nHost: a.test\r\nX-Forwarded-For: 6.6.6.6\r\nX_Forwarded_For: 6.6.6.6\r\nX-Forwarded_For: 6.6.6.6\r\nX-Forwarded-Proto: gopher\r\nX-Forwarded-Host: evil\r\nX-Forwarded-Anything: evil\r\nForwarded: for=6.6.6.6\r\nX-Real-IP: 6.6.6.6\r\nContent_Length: 5\r\n\r\n");
    let head = origin.heads().remove(0).to_ascii_lowercase();
    for gone in ["6.6.6.6", "evil", "gopher", "_"] {
        assert!(!head.contains(gone), "{gone}: {head}");
    }
    for there in [
        "x-forwarded-for: 127.0.0.1",
        "x-forwarded-proto: http\r\n",
        "x-forwarded-host: a.test",
        "forwarded: for=127.0.0.1;host=a.test;proto=http\r\n",
    ] {
        assert!(head.contains(there), "{there}: {head}");
    }
}

#[test]
fn a_trusted_proxy_is_believed() {
    let origin = Origin::answering(OK);
    let sites = vec![proxied(origin.address)];
    let rig = Rig::with(sites, |g| g.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()]);
    rig.ask("GET / HTTP/1.1\r\nHost: a.test\r\nX-Forwarded-For: 1.2.3.4\r\nX-Forwarded-Proto: https\r\nForwarded: for=1.2.3.4\r\nX_Forwarded_For: 6.6.6.6\r\n\r\n");
    let head = origin.heads().remove(0).to_ascii_lowercase();
    for there in [
        "x-forwarded-for: 1.2.3.4, 127.0.0.1\r\n",
        "x-forwarded-proto: https\r\n",
        "forwarded: for=1.2.3.4, for=127.0.0.1;host=a.test;proto=http\r\n",
    ] {
        assert!(head.contains(there), "{there}: {head}");
    }
    assert!(!head.contains("6.6.6.6"), "{head}");
}

#[test]
fn a_slow_head_is_given_up() {
    let sites = vec![site(vec![("/*", plan(proxy()))], vec![super::support::pool(&[super::support::refusing()])])];
    let rig = Rig::with(sites, |g| g.limits.header_ms = 300);
    let answer = rig.until_closed(b"GET / HTTP/1.1\r\nHost: a.te");
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer:?}");
    assert!(answer.contains("did not arrive in time"), "{answer:?}");
}

#[test]
fn an_idle_connection_is_closed_without_a_word() {
    let rig = Rig::with(vec![super::support::hello()], |g| g.limits.keep_alive_ms = 300);
    let answer = rig.until_closed(b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer:?}");
    assert!(answer.ends_with("hello"), "{answer:?}");
    assert_eq!(rig.until_closed(b""), "");
}
