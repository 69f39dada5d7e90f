//! Attacks on HTTP/1.1, each test named after one: refused with the status expected, the connection
//! closed, and nothing of it seen by the origin (DESIGN invariants 8 and 9).

use sluice_tests::wire::End;
use sluice_tests::{Origin, Sluice, sluice};

/// What follows each attack on the same connection: if it is ever answered, the attack has split it.
const SMUGGLED: &str = "GET /smuggled HTTP/1.1\r\nHost: a.test\r\n\r\n";

/// Sends the bytes and what would be smuggled behind them.
#[track_caller]
fn refused(attack: impl AsRef<[u8]>, statuses: &[u16]) {
    let origin = Origin::echo();
    let sluice = Sluice::before(origin.addr());
    refused_by(&sluice, &origin, attack, statuses);
}

#[track_caller]
fn refused_by(sluice: &Sluice, origin: &Origin, attack: impl AsRef<[u8]>, statuses: &[u16]) {
    let mut wire = sluice.wire();
    let mut bytes = attack.as_ref().to_vec();
    bytes.extend_from_slice(SMUGGLED.as_bytes());
    wire.send(bytes);
    let reply = wire.reply();
    assert!(statuses.contains(&reply.status), "expected one of {statuses:?}: {reply:?}");
    assert_ne!(reply.end, End::Cut, "{reply:?}");
    let rest = wire.rest();
    assert!(rest.is_empty(), "the connection went on: {:?}", String::from_utf8_lossy(&rest));
    origin.saw_nothing();
    // The refusal harms nobody else.
    assert_eq!(sluice.get("a.test", "/").status, 200);
}

macro_rules! attacks {
    ($($(#[doc = $why:literal])* $name:ident: $bytes:expr => $statuses:expr;)*) => {
        $($(#[doc = $why])* #[test] fn $name() { refused($bytes, &$statuses); })*
    };
}

attacks! {
    duplicate_host: "GET / HTTP/1.1\r\nHost: a.test\r\nHost: b.test\r\n\r\n" => [400];
    /// RFC 9112 section 3.2: more than one Host line, whatever they say.
    duplicate_host_with_equal_values: "GET / HTTP/1.1\r\nHost: a.test\r\nHost: a.test\r\n\r\n" => [400];
    missing_host: "GET / HTTP/1.1\r\nX: y\r\n\r\n" => [400];
    empty_host: "GET / HTTP/1.1\r\nHost: \r\n\r\n" => [400];
    host_that_is_a_list: "GET / HTTP/1.1\r\nHost: a.test, b.test\r\n\r\n" => [400];
    host_with_user: "GET / HTTP/1.1\r\nHost: b.test@a.test\r\n\r\n" => [400];
    host_with_path: "GET / HTTP/1.1\r\nHost: a.test/b\r\n\r\n" => [400];
    host_with_bad_port: "GET / HTTP/1.1\r\nHost: a.test:80x\r\n\r\n" => [400];
    host_with_space_inside: "GET / HTTP/1.1\r\nHost: a.test b.test\r\n\r\n" => [400];
    host_against_absolute_form: "GET http://a.test/ HTTP/1.1\r\nHost: b.test\r\n\r\n" => [400];
    absolute_form_with_user: "GET http://x@a.test/ HTTP/1.1\r\nHost: a.test\r\n\r\n" => [400];
    absolute_form_without_authority: "GET http:///x HTTP/1.1\r\nHost: a.test\r\n\r\n" => [400];
    authority_form_without_connect: "GET a.test:80 HTTP/1.1\r\nHost: a.test:80\r\n\r\n" => [400];
    /// A gateway is no forward proxy.
    connect_to_elsewhere: "CONNECT 127.0.0.1:22 HTTP/1.1\r\nHost: 127.0.0.1:22\r\n\r\n" => [400, 404, 405, 501];

    content_length_and_transfer_encoding:
        "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" => [400];
    transfer_encoding_and_content_length:
        "POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n" => [400];
    two_content_lengths:
        "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 3\r\nContent-Length: 5\r\n\r\nabcde" => [400];
    two_equal_content_lengths:
        "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc" => [400];
    content_length_list: "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 3, 3\r\n\r\nabc" => [400];
    content_length_with_sign: "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: +3\r\n\r\nabc" => [400];
    content_length_negative: "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: -3\r\n\r\nabc" => [400];
    content_length_hexadecimal: "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 0x3\r\n\r\nabc" => [400];
    content_length_empty: "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length:\r\n\r\n" => [400];
    content_length_beyond_64_bits:
        "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 18446744073709551619\r\n\r\nabc" => [400, 413];
    transfer_encoding_other_than_chunked:
        "POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: gzip\r\n\r\n" => [400, 501];
    transfer_encoding_identity:
        "POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: identity\r\n\r\n" => [400, 501];
    transfer_encoding_chunked_not_last:
        "POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n" => [400, 501];
    transfer_encoding_gzip_then_chunked:
        "POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n" => [400, 501];
    transfer_encoding_twice:
        "POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" => [400, 501];
    transfer_encoding_twice_with_identity:
        "POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n" => [400, 501];
    transfer_encoding_misspelt:
        "POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n" => [400, 501];
    transfer_encoding_behind_vertical_tab:
        "POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n" => [400, 501];
    transfer_encoding_quoted:
        "POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: \"chunked\"\r\n\r\n0\r\n\r\n" => [400, 501];
    transfer_encoding_in_http_1_0:
        "POST / HTTP/1.0\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" => [400];

    obs_fold: "GET / HTTP/1.1\r\nHost: a.test\r\nX: a\r\n b\r\n\r\n" => [400];
    obs_fold_of_transfer_encoding:
        "POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n" => [400];
    obs_fold_of_first_header: "GET / HTTP/1.1\r\n Host: a.test\r\nHost: a.test\r\n\r\n" => [400];
    bare_lf_in_head: "GET / HTTP/1.1\r\nHost: a.test\nX: y\r\n\r\n" => [400];
    bare_lf_everywhere: "GET / HTTP/1.1\nHost: a.test\n\n" => [400];
    bare_lf_ends_head: "GET / HTTP/1.1\r\nHost: a.test\r\n\n" => [400];
    bare_lf_after_request_line: "GET / HTTP/1.1\nHost: a.test\r\n\r\n" => [400];
    bare_cr_in_value: "GET / HTTP/1.1\r\nHost: a.test\r\nX: a\rb\r\n\r\n" => [400];
    bare_cr_in_request_line: "GET /\rx HTTP/1.1\r\nHost: a.test\r\n\r\n" => [400];
    nul_in_value: "GET / HTTP/1.1\r\nHost: a.test\r\nX: a\0b\r\n\r\n" => [400];
    nul_in_name: "GET / HTTP/1.1\r\nHost: a.test\r\nX\0: a\r\n\r\n" => [400];
    nul_in_target: "GET /\0 HTTP/1.1\r\nHost: a.test\r\n\r\n" => [400];
    control_byte_in_value: "GET / HTTP/1.1\r\nHost: a.test\r\nX: a\x01b\r\n\r\n" => [400];
    delete_byte_in_value: "GET / HTTP/1.1\r\nHost: a.test\r\nX: a\x7fb\r\n\r\n" => [400];
    space_before_the_colon: "GET / HTTP/1.1\r\nHost : a.test\r\n\r\n" => [400];
    space_before_the_colon_of_content_length:
        "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length : 5\r\n\r\nabcde" => [400];
    tab_before_the_colon: "GET / HTTP/1.1\r\nHost: a.test\r\nX\t: y\r\n\r\n" => [400];
    header_without_colon: "GET / HTTP/1.1\r\nHost: a.test\r\nXYZ\r\n\r\n" => [400];
    header_without_name: "GET / HTTP/1.1\r\nHost: a.test\r\n: y\r\n\r\n" => [400];
    header_name_with_space: "GET / HTTP/1.1\r\nHost: a.test\r\nX Y: y\r\n\r\n" => [400];
    header_name_beyond_ascii: "GET / HTTP/1.1\r\nHost: a.test\r\nX\u{e9}: y\r\n\r\n" => [400];

    request_line_with_two_spaces: "GET  / HTTP/1.1\r\nHost: a.test\r\n\r\n" => [400];
    request_line_with_tab: "GET\t/\tHTTP/1.1\r\nHost: a.test\r\n\r\n" => [400];
    request_line_with_trailing_space: "GET / HTTP/1.1 \r\nHost: a.test\r\n\r\n" => [400];
    space_in_target: "GET /a b HTTP/1.1\r\nHost: a.test\r\n\r\n" => [400];
    target_without_slash: "GET x HTTP/1.1\r\nHost: a.test\r\n\r\n" => [400];
    fragment_in_target: "GET /a#b HTTP/1.1\r\nHost: a.test\r\n\r\n" => [400];
    method_with_colon: "GE:T / HTTP/1.1\r\nHost: a.test\r\n\r\n" => [400];
    http_0_9: "GET /\r\n" => [400];
    http_version_unknown: "GET / HTTP/1.2\r\nHost: a.test\r\n\r\n" => [400, 505];
    http_version_3: "GET / HTTP/3.0\r\nHost: a.test\r\n\r\n" => [400, 505];
    http_version_in_lower_case: "GET / http/1.1\r\nHost: a.test\r\n\r\n" => [400];
    http_version_with_long_digits: "GET / HTTP/1.01\r\nHost: a.test\r\n\r\n" => [400, 505];

    chunk_size_not_hexadecimal:
        "POST /x HTTP/1.1\r\nHost: nobody.test\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n\r\n" => [400, 404];
    encoded_slash: "GET /a%2fb HTTP/1.1\r\nHost: a.test\r\n\r\n" => [400];
    encoded_slash_in_capitals: "GET /a%2Fb HTTP/1.1\r\nHost: a.test\r\n\r\n" => [400];
    encoded_backslash: "GET /a%5cb HTTP/1.1\r\nHost: a.test\r\n\r\n" => [400];
    backslash: "GET /a\\b HTTP/1.1\r\nHost: a.test\r\n\r\n" => [400];
    encoded_nul: "GET /a%00b HTTP/1.1\r\nHost: a.test\r\n\r\n" => [400];
    encoded_line_feed: "GET /a%0ab HTTP/1.1\r\nHost: a.test\r\n\r\n" => [400];
    encoded_delete: "GET /a%7fb HTTP/1.1\r\nHost: a.test\r\n\r\n" => [400];
    half_an_escape: "GET /a%2 HTTP/1.1\r\nHost: a.test\r\n\r\n" => [400];
    escape_that_is_none: "GET /a%zz HTTP/1.1\r\nHost: a.test\r\n\r\n" => [400];
    dot_segments_above_the_root: "GET /../x HTTP/1.1\r\nHost: a.test\r\n\r\n" => [400];
    dot_segments_above_the_root_encoded: "GET /a/%2e%2E/../x HTTP/1.1\r\nHost: a.test\r\n\r\n" => [400];
    dot_segments_above_the_root_in_absolute_form:
        "GET http://a.test/../x HTTP/1.1\r\nHost: a.test\r\n\r\n" => [400];

    connection_names_x_forwarded_for:
        "GET / HTTP/1.1\r\nHost: a.test\r\nConnection: x-forwarded-for\r\n\r\n" => [400];
    connection_names_host: "GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close, host\r\n\r\n" => [400];
    connection_names_content_length:
        "POST / HTTP/1.1\r\nHost: a.test\r\nConnection: content-length\r\nContent-Length: 3\r\n\r\nabc" => [400];
    connection_names_transfer_encoding:
        "POST / HTTP/1.1\r\nHost: a.test\r\nConnection: transfer-encoding\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" => [400];
}

#[test]
fn framing_headers_with_underscores() {
    // Some origins read `_` as `-`: such a header is refused or dropped, never handed on.
    for header in ["Transfer_Encoding: chunked", "Content_Length: 5"] {
        let origin = Origin::echo();
        let sluice = Sluice::before(origin.addr());
        let mut wire = sluice.wire();
        wire.send(format!("POST / HTTP/1.1\r\nHost: a.test\r\n{header}\r\nContent-Length: 3\r\n\r\nabc"));
        let status = wire.reply_to("POST").status;
        assert!(status == 200 || status == 400, "{header}: {status}");
        for seen in origin.requests() {
            let underscored = seen.headers.iter().any(|(name, _)| name.contains('_'));
            assert!(!underscored, "{:?}", seen.headers);
        }
    }
}

#[test]
fn header_limit_in_bytes() {
    let head = format!("GET / HTTP/1.1\r\nHost: a.test\r\nX: {}\r\n\r\n", "x".repeat(64 * 1024));
    refused(head, &[431]);
}

#[test]
fn header_limit_in_bytes_over_many_lines() {
    let lines: String = (0..80).map(|i| format!("X-{i}: {}\r\n", "x".repeat(1000))).collect();
    refused(format!("GET / HTTP/1.1\r\nHost: a.test\r\n{lines}\r\n"), &[431]);
}

#[test]
fn header_limit_in_number() {
    let lines: String = (0..1000).map(|i| format!("X{i}: y\r\n")).collect();
    refused(format!("GET / HTTP/1.1\r\nHost: a.test\r\n{lines}\r\n"), &[431]);
}

#[test]
fn header_limit_without_an_end() {
    // The head never ends: refused as soon as it is too long, not kept.
    let origin = Origin::echo();
    let sluice = Sluice::before(origin.addr());
    let mut wire = sluice.wire();
    wire.send("GET / HTTP/1.1\r\nHost: a.test\r\n");
    let line = format!("X: {}\r\n", "x".repeat(8000));
    while wire.try_send(&line).is_ok() {}
    // The answer may be lost where we were still sending; the connection is not.
    if let Some(reply) = wire.try_reply("GET") {
        assert_eq!(reply.status, 431);
    }
    origin.saw_nothing();
}

#[test]
fn header_limit_that_the_operator_set() {
    let origin = Origin::echo();
    let setup = Sluice::setup().gateway("    limits {\n        header 8KB\n    }");
    let sluice = setup.file("a.route", sluice::proxy("a.test", origin.addr())).start();
    let head = |size| format!("GET / HTTP/1.1\r\nHost: a.test\r\nX: {}\r\n\r\n", "x".repeat(size));
    refused_by(&sluice, &origin, head(9 * 1024), &[431]);
    let mut wire = sluice.wire();
    wire.send(head(6 * 1024));
    assert_eq!(wire.reply().status, 200);
}

#[test]
fn line_limit() {
    refused(format!("GET /{} HTTP/1.1\r\nHost: a.test\r\n\r\n", "x".repeat(64 * 1024)), &[414]);
}

#[test]
fn line_limit_in_the_query() {
    refused(format!("GET /?{} HTTP/1.1\r\nHost: a.test\r\n\r\n", "x".repeat(64 * 1024)), &[414]);
}

/// A request with a head of exactly so many bytes, and what pads it.
fn head(target: &str, bytes: usize) -> (String, String) {
    let begin = format!("GET {target} HTTP/1.1\r\nHost: a.test\r\nX-Forwarded-For: ");
    let pad = "1".repeat(bytes - begin.len() - 4);
    (format!("{begin}{pad}\r\n\r\n"), pad)
}

#[test]
fn head_limit_of_a_site_and_of_a_block() {
    let origin = Origin::echo();
    let sluice = Sluice::with(format!(
        "pool origin = {}\nsite a.test {{\n    http allowed\n    header limit 1KB\n    /big/* {{\n        header limit 4KB\n        \
         -> origin\n    }}\n    /own/* {{\n        require client.ip in 192.0.2.0/24 else deny 403\n        \
         -> respond 200 \"own\"\n    }}\n    else -> origin\n}}\n",
        origin.addr()
    ));
    for (target, bytes) in [("/x", 1025), ("/big/x", 4097), ("/own/x", 1025)] {
        let mut wire = sluice.wire();
        wire.send(head(target, bytes).0 + SMUGGLED);
        assert_eq!(wire.reply().status, 431, "{target}");
        assert!(wire.rest().is_empty(), "the connection is closed");
    }
    origin.saw_nothing();
    let mut wire = sluice.wire();
    for (target, bytes, status) in [("/x", 1024, 200), ("/big/x", 4096, 200), ("/own/x", 1024, 403)] {
        assert_eq!(wire.send(head(target, bytes).0).reply().status, status, "{target}");
    }
    // The same head in HTTP/2 has the same size.
    let mut h2 = sluice.h2();
    for (bytes, status) in [(1024, 200), (1025, 431)] {
        let request = http::Request::get("http://a.test/x").header("x-forwarded-for", head("/x", bytes).1);
        let answer = h2.ask(request.body(sluice_tests::client::empty()).unwrap());
        assert_eq!(answer.status, status);
    }
}

#[test]
fn body_limit_by_content_length() {
    let origin = Origin::echo();
    let route = format!(
        "pool origin = {}\nsite a.test {{\n    http allowed\n    body limit 1KB\n    else -> origin\n}}\n",
        origin.addr()
    );
    let sluice = Sluice::with(route);
    let body = "x".repeat(2000);
    refused_by(
        &sluice,
        &origin,
        format!("POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 2000\r\n\r\n{body}"),
        &[413],
    );
}

#[test]
fn body_limit_by_chunks() {
    // The length is not known beforehand: the origin may see the start, but never a whole request.
    let origin = Origin::echo();
    let route = format!(
        "pool origin = {}\nsite a.test {{\n    http allowed\n    body limit 1KB\n    else -> origin\n}}\n",
        origin.addr()
    );
    let sluice = Sluice::with(route);
    let mut wire = sluice.wire();
    wire.send("POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n");
    for _ in 0..8 {
        wire.send(format!("100\r\n{}\r\n", "x".repeat(256)));
    }
    wire.send("0\r\n\r\n").send(SMUGGLED);
    assert_eq!(wire.reply().status, 413);
    assert!(wire.rest().is_empty(), "the connection is closed");
    let seen = origin.requests();
    assert!(seen.iter().all(|s| !s.complete && s.body_len <= 1024), "{seen:?}");
}

#[test]
fn chunk_extension_smuggling() {
    // An extension may be dropped or refused, a line feed hidden in it must not end the chunk line.
    let origin = Origin::echo();
    let sluice = Sluice::before(origin.addr());
    let mut wire = sluice.wire();
    let attack = "POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n2;\nxx\r\n5a\r\n0\r\n\r\n";
    wire.send(attack).send(SMUGGLED);
    if let Some(reply) = wire.try_reply("POST") {
        assert_eq!(reply.status, 400, "{reply:?}");
    }
    assert!(wire.rest().is_empty());
    let seen = origin.requests();
    assert!(seen.iter().all(|s| !s.complete && s.target != "/smuggled"), "{seen:?}");
}

#[test]
fn chunk_extension_is_not_forwarded() {
    let origin = Origin::echo();
    let sluice = Sluice::before(origin.addr());
    let mut wire = sluice.wire();
    wire.send("POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n2;a=b\r\nok\r\n0\r\n\r\n");
    let reply = wire.reply_to("POST");
    assert!(reply.status == 200 || reply.status == 400, "{reply:?}");
    let bytes = String::from_utf8_lossy(&origin.record().get().bytes).into_owned();
    assert!(!bytes.contains("a=b"), "{bytes}");
}

/// A body whose chunks are wrong: the origin must never see it end well, the client's connection closes.
#[track_caller]
fn broken_chunks(body: &str) {
    let origin = Origin::echo();
    let sluice = Sluice::before(origin.addr());
    let mut wire = sluice.wire();
    wire.send("POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n").send(body).send(SMUGGLED);
    if let Some(reply) = wire.try_reply("POST") {
        assert!((400..600).contains(&reply.status), "{reply:?}");
    }
    let rest = wire.rest();
    assert!(rest.is_empty(), "the connection went on: {:?}", String::from_utf8_lossy(&rest));
    let seen = origin.requests();
    assert!(seen.iter().all(|s| !s.complete && s.target != "/smuggled"), "{seen:?}");
}

macro_rules! broken_chunks {
    ($($name:ident: $body:expr;)*) => { $(#[test] fn $name() { broken_chunks($body); })* };
}

broken_chunks! {
    chunk_size_with_bare_lf: "2\nok\r\n0\r\n\r\n";
    chunk_data_with_bare_lf: "2\r\nok\n0\r\n\r\n";
    chunk_size_with_sign: "+2\r\nok\r\n0\r\n\r\n";
    chunk_size_with_prefix: "0x2\r\nok\r\n0\r\n\r\n";
    chunk_size_negative: "-2\r\nok\r\n0\r\n\r\n";
    chunk_size_empty: "\r\nok\r\n0\r\n\r\n";
    chunk_size_beyond_64_bits: "10000000000000002\r\nok\r\n0\r\n\r\n";
    chunk_longer_than_its_size: "2\r\nokay\r\n0\r\n\r\n";
    trailer_with_bare_lf: "2\r\nok\r\n0\r\nx: y\n\r\n";
    trailer_with_space_before_the_colon: "2\r\nok\r\n0\r\nx : y\r\n\r\n";
}

#[test]
fn trailers_cannot_frame_route_or_authenticate() {
    // RFC 9110 section 6.5.1: such fields are dropped or the request is refused, never forwarded.
    let origin = Origin::echo();
    let sluice = Sluice::before(origin.addr());
    let mut wire = sluice.wire();
    wire.send(
        "POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\nTrailer: host, content-length\r\n\r\n\
         2\r\nok\r\n0\r\nHost: b.test\r\nContent-Length: 9\r\nTransfer-Encoding: chunked\r\nX-Forwarded-For: 9.9.9.9\r\n\r\n",
    );
    wire.try_reply("POST");
    for seen in origin.requests() {
        assert!(seen.trailers.is_empty(), "{:?}", seen.trailers);
    }
}

#[test]
fn pipelining_after_a_refusal() {
    // A good request first, a bad one, another good one: answered, refused, never seen.
    let origin = Origin::echo();
    let sluice = Sluice::before(origin.addr());
    let mut wire = sluice.wire();
    wire.send("GET /first HTTP/1.1\r\nHost: a.test\r\n\r\n");
    wire.send("GET /second HTTP/1.1\r\nHost: a.test\r\nHost: a.test\r\n\r\n");
    wire.send(SMUGGLED);
    assert_eq!(wire.reply().status, 200);
    assert_eq!(wire.reply().status, 400);
    assert!(wire.rest().is_empty());
    assert_eq!(origin.only().target, "/first");
}

#[test]
fn body_that_looks_like_a_request() {
    // Content-Length rules: what lies within the body is no request.
    let origin = Origin::echo();
    let sluice = Sluice::before(origin.addr());
    let mut wire = sluice.wire();
    wire.send(format!("POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: {}\r\n\r\n{SMUGGLED}", SMUGGLED.len()));
    assert_eq!(wire.reply_to("POST").status, 200);
    assert_eq!(origin.only().body, SMUGGLED.as_bytes());
}

#[test]
fn get_with_a_body() {
    // CL.0: the body of a GET is a body, not the next request.
    let origin = Origin::echo();
    let sluice = Sluice::before(origin.addr());
    let mut wire = sluice.wire();
    wire.send(format!("GET / HTTP/1.1\r\nHost: a.test\r\nContent-Length: {}\r\n\r\n{SMUGGLED}", SMUGGLED.len()));
    let first = wire.reply().status;
    assert!(first == 200 || first == 400, "{first}");
    wire.finish();
    assert!(wire.rest().is_empty());
    assert!(origin.requests().iter().all(|s| s.target != "/smuggled"));
}

#[test]
fn gateways_own_answer_leaves_no_body_behind() {
    // The gateway answers without reading the body: its bytes must not be read as the next request.
    let sluice = Sluice::with(
        "site a.test {\n    http allowed\n    /smuggled -> respond 200 \"smuggled\"\n    else -> respond 200 \"own\"\n}\n",
    );
    let mut wire = sluice.wire();
    wire.send(format!("POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: {}\r\n\r\n{SMUGGLED}", SMUGGLED.len()));
    assert_eq!(wire.reply_to("POST").text(), "own");
    wire.finish();
    let rest = String::from_utf8_lossy(&wire.rest()).into_owned();
    assert!(!rest.contains("smuggled"), "{rest}");
}

#[test]
fn h2c_upgrade_smuggling() {
    // The upgrade is neither taken nor handed on: the origin would speak HTTP/2 past the gateway.
    let origin = Origin::echo();
    let sluice = Sluice::before(origin.addr());
    let mut wire = sluice.wire();
    wire.send(
        "GET / HTTP/1.1\r\nHost: a.test\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n",
    );
    let reply = wire.reply();
    assert!(reply.status == 200 || reply.status == 400, "{reply:?}");
    for seen in origin.requests() {
        for name in ["upgrade", "http2-settings", "connection"] {
            let values = seen.all(name);
            assert!(
                values.iter().all(|v| !v.to_ascii_lowercase().contains("upgrade") && name == "connection"),
                "{seen:?}"
            );
        }
    }
}

#[test]
fn hop_by_hop_headers_are_not_forwarded() {
    let origin = Origin::echo();
    let sluice = Sluice::before(origin.addr());
    let mut wire = sluice.wire();
    wire.send(
        "GET / HTTP/1.1\r\nHost: a.test\r\nConnection: keep-alive, X-Private\r\nX-Private: 1\r\nKeep-Alive: timeout=5\r\n\
         Proxy-Connection: keep-alive\r\nProxy-Authorization: Basic eDp5\r\nTE: gzip\r\nX-Public: 2\r\n\r\n",
    );
    assert_eq!(wire.reply().status, 200);
    let seen = origin.only();
    for name in ["x-private", "keep-alive", "proxy-connection", "proxy-authorization", "upgrade"] {
        assert_eq!(seen.all(name), Vec::<&str>::new(), "{name}");
    }
    assert!(seen.all("te").iter().all(|v| *v == "trailers"), "{seen:?}");
    assert_eq!(seen.header("x-public"), Some("2"));
}

#[test]
fn hop_by_hop_headers_of_the_origin_stay_there() {
    let origin = Origin::verbatim(
        b"HTTP/1.1 200 OK\r\nConnection: keep-alive, X-Private\r\nX-Private: 1\r\nKeep-Alive: timeout=5\r\nX-Public: 2\r\nContent-Length: 2\r\n\r\nok",
    );
    let sluice = Sluice::before(origin.addr());
    let mut wire = sluice.wire();
    wire.send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
    let reply = wire.reply();
    assert_eq!((reply.status, reply.header("x-private"), reply.header("keep-alive")), (200, None, None));
    assert_eq!(reply.header("x-public"), Some("2"));
}

/// What an origin is told about the client when the client lies.
#[track_caller]
fn spoofed(headers: &str) -> sluice_tests::origin::Seen {
    let origin = Origin::echo();
    let sluice = Sluice::before(origin.addr());
    let mut wire = sluice.wire();
    wire.send(format!("GET / HTTP/1.1\r\nHost: a.test\r\n{headers}\r\n"));
    assert_eq!(wire.reply().status, 200);
    origin.only()
}

#[test]
fn x_forwarded_for_spoofing() {
    let seen = spoofed("X-Forwarded-For: 6.6.6.6\r\nx-forwarded-for: 7.7.7.7\r\n");
    assert_eq!(seen.header("x-forwarded-for"), Some("127.0.0.1"));
}

#[test]
fn x_forwarded_for_spoofing_with_underscores() {
    let seen = spoofed("X_Forwarded_For: 6.6.6.6\r\nX-Forwarded_For: 6.6.6.6\r\nx_forwarded_proto: https\r\n");
    assert!(!format!("{:?}", seen.headers).contains("6.6.6.6"), "{:?}", seen.headers);
    assert!(seen.headers.iter().all(|(name, _)| !name.contains('_')), "{:?}", seen.headers);
}

#[test]
fn x_forwarded_host_and_proto_spoofing() {
    let seen = spoofed(
        "X-Forwarded-Host: evil.test\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Port: 443\r\nX-Forwarded-Server: evil\r\nX-Forwarded-Prefix: /evil\r\n",
    );
    assert_eq!(seen.header("x-forwarded-host"), Some("a.test"));
    assert_eq!(seen.header("x-forwarded-proto"), Some("http"));
    assert!(!format!("{:?}", seen.headers).contains("evil"), "{:?}", seen.headers);
}

#[test]
fn forwarded_spoofing() {
    let seen = spoofed("Forwarded: for=6.6.6.6;proto=https\r\nForwarded: for=7.7.7.7\r\n");
    let forwarded = seen.header("forwarded").expect("the gateway writes its own").to_ascii_lowercase();
    assert!(!forwarded.contains("6.6.6.6") && !forwarded.contains("7.7.7.7"), "{forwarded}");
    assert!(forwarded.contains("for=127.0.0.1") || forwarded.contains("for=\"127.0.0.1"), "{forwarded}");
    assert!(forwarded.contains("proto=http") && forwarded.contains("host=a.test"), "{forwarded}");
}

#[test]
fn x_real_ip_spoofing() {
    let seen = spoofed("X-Real-IP: 6.6.6.6\r\n");
    assert!(!format!("{:?}", seen.headers).contains("6.6.6.6"), "{:?}", seen.headers);
}

#[test]
fn forwarded_headers_from_a_trusted_proxy() {
    // The one who may speak for the client is heard, up to the first address that nobody vouches for.
    let origin = Origin::echo();
    let setup = Sluice::setup().gateway("    trust proxies [127.0.0.0/8]");
    let route = format!(
        "pool origin = {}\nsite a.test {{\n    http allowed\n    set request header x-client = client.ip\n    else -> origin\n}}\n",
        origin.addr()
    );
    let sluice = setup.file("a.route", route).start();
    let mut wire = sluice.wire();
    wire.send("GET / HTTP/1.1\r\nHost: a.test\r\nX-Forwarded-For: 6.6.6.6, 203.0.113.9\r\n\r\n");
    assert_eq!(wire.reply().status, 200);
    assert_eq!(origin.only().header("x-client"), Some("203.0.113.9"));
}

/// A site whose condition reads one field.
fn conditional(origin: &Origin, condition: &str) -> Sluice {
    Sluice::with(format!(
        "pool origin = {}\nsite a.test {{\n    http allowed\n    /admin/* {{\n        require {condition} else deny 403\n        -> origin\n    }}\n    else -> origin\n}}\n",
        origin.addr()
    ))
}

macro_rules! second_copies {
    ($($name:ident: $condition:literal, $target:literal, $headers:literal;)*) => { $(
        #[test]
        fn $name() {
            let origin = Origin::echo();
            let sluice = conditional(&origin, $condition);
            let request = format!("GET {} HTTP/1.1\r\nHost: a.test\r\n{}\r\n", $target, $headers);
            refused_by(&sluice, &origin, request, &[400]);
        }
    )* };
}

second_copies! {
    header_twice_with_different_values:
        "header.x-role is \"user\"", "/admin/x", "X-Role: user\r\nX-Role: admin\r\n";
    cookie_twice_with_different_values:
        "cookie.role is \"user\"", "/admin/x", "Cookie: role=user; role=admin\r\n";
    cookie_twice_in_two_headers:
        "cookie.role is \"user\"", "/admin/x", "Cookie: role=user\r\nCookie: role=admin\r\n";
    query_twice_with_different_values:
        "query.role is \"user\"", "/admin/x?role=user&role=admin", "";
    query_twice_with_one_encoded:
        "query.role is \"user\"", "/admin/x?role=user&r%6fle=admin", "";
}

#[test]
fn header_twice_with_equal_values_is_one() {
    let origin = Origin::echo();
    let sluice = conditional(&origin, "header.x-role is \"user\"");
    let mut wire = sluice.wire();
    wire.send("GET /admin/x HTTP/1.1\r\nHost: a.test\r\nX-Role: user\r\nX-Role: user\r\n\r\n");
    assert_eq!(wire.reply().status, 200);
}

#[test]
fn header_twice_where_has_looks() {
    let origin = Origin::echo();
    let sluice = conditional(&origin, "header.x-role has \"user\"");
    let mut wire = sluice.wire();
    wire.send("GET /admin/x HTTP/1.1\r\nHost: a.test\r\nX-Role: admin\r\nX-Role: user\r\n\r\n");
    assert_eq!(wire.reply().status, 200);
}

#[test]
fn paths_are_one_before_routes_are_chosen() {
    // Whatever the spelling, the protected block answers.
    let origin = Origin::echo();
    let sluice = conditional(&origin, "header.x-role is \"user\"");
    for target in [
        "/admin/x",
        "//admin/x",
        "/%61dmin/x",
        "/./admin/x",
        "/y/../admin/x",
        "/y/%2e%2e/admin/x",
        "/admin//x",
        "/admin",
        "/admin/",
    ] {
        let status = sluice.get("a.test", target).status;
        assert_eq!(status, 403, "{target}");
    }
    origin.saw_nothing();
}

#[test]
fn semicolon_beside_path_scoped_policies() {
    let origin = Origin::echo();
    let sluice = conditional(&origin, "header.x-role is \"user\"");
    assert_eq!(sluice.get("a.test", "/admin;x/y").status, 400);
    origin.saw_nothing();
}

#[test]
fn host_is_compared_without_case_dot_or_port() {
    let origin = Origin::fixed("ok");
    let sluice = Sluice::before(origin.addr());
    for host in ["A.TEST", "a.test.", "a.test:18080", "A.Test.:1"] {
        assert_eq!(sluice.get(host, "/").status, 200, "{host}");
    }
}
