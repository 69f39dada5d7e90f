//! Attacks on HTTP/2, each test named after one: the stream ends with a refusal, the connection
//! carries on for its other users, and the origin sees nothing (DESIGN invariants 8 and 9).

use sluice_tests::h2raw::{END_HEADERS, END_STREAM, Fate, RawH2, block, frame, kind};
use sluice_tests::wait;
use sluice_tests::{Origin, Sluice};
use std::time::Duration;

/// The fields of a good request.
const GOOD: [(&str, &str); 4] = [(":method", "GET"), (":scheme", "http"), (":authority", "a.test"), (":path", "/")];

/// A good request with further fields behind it.
fn with<'a>(more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    GOOD.iter().copied().chain(more.iter().copied()).collect()
}

/// A good request with one pseudo-header otherwise.
fn but<'a>(name: &str, value: &'a str) -> Vec<(&'a str, &'a str)> {
    GOOD.iter().map(|&(n, v)| if n == name { (n, value) } else { (n, v) }).collect()
}

/// How a refused stream may end.
fn is_refusal(fate: Fate, statuses: &[u16]) -> bool {
    match fate {
        Fate::Answered(status) => statuses.contains(&status),
        Fate::Reset(_) => true,
        // The connection carries many users: one bad request does not end it.
        Fate::GoneAway(_) | Fate::Closed => false,
    }
}

#[track_caller]
fn refused(fields: &[(&str, &str)]) {
    refused_with(fields, &[400]);
}

#[track_caller]
fn refused_with(fields: &[(&str, &str)], statuses: &[u16]) {
    let origin = Origin::echo();
    let sluice = Sluice::before(origin.addr());
    let mut raw = RawH2::connect(sluice.http);
    raw.request(1, fields);
    let fate = raw.fate(1);
    assert!(is_refusal(fate, statuses), "{fate:?}");
    assert!(raw.is_alive(), "the connection ended with the stream");
    origin.saw_nothing();
}

macro_rules! refused {
    ($($(#[doc = $why:literal])* $name:ident: $fields:expr;)*) => {
        $($(#[doc = $why])* #[test] fn $name() { refused(&$fields); })*
    };
}

refused! {
    request_splitting_by_path: but(":path", "/ HTTP/1.1\r\nHost: b.test\r\n\r\nGET /smuggled");
    request_splitting_by_authority: but(":authority", "a.test\r\nX: y");
    request_splitting_by_scheme: but(":scheme", "http://b.test/x?");

    downgrade_smuggling_by_transfer_encoding: with(&[("transfer-encoding", "chunked")]);
    downgrade_smuggling_by_connection: with(&[("connection", "keep-alive")]);
    downgrade_smuggling_by_upgrade: with(&[("upgrade", "h2c")]);
    downgrade_smuggling_by_keep_alive: with(&[("keep-alive", "timeout=5")]);
    downgrade_smuggling_by_proxy_connection: with(&[("proxy-connection", "keep-alive")]);
    te_other_than_trailers: with(&[("te", "gzip")]);
    two_content_lengths: with(&[("content-length", "0"), ("content-length", "3")]);
    content_length_list: with(&[("content-length", "0, 0")]);
    content_length_with_sign: with(&[("content-length", "+0")]);
    content_length_without_a_body: with(&[("content-length", "5")]);

    host_against_authority: with(&[("host", "b.test")]);
    duplicate_host: with(&[("host", "a.test"), ("host", "b.test")]);
    duplicate_authority: with(&[]).into_iter().chain([(":authority", "b.test")]).collect::<Vec<_>>();
    duplicate_path: [GOOD[0], GOOD[1], GOOD[2], GOOD[3], (":path", "/other")];
    duplicate_method: [GOOD[0], (":method", "POST"), GOOD[1], GOOD[2], GOOD[3]];
    pseudo_header_behind_a_header: [GOOD[0], GOOD[1], GOOD[2], ("x", "y"), GOOD[3]];
    pseudo_header_of_a_response: [GOOD[0], GOOD[1], GOOD[2], GOOD[3], (":status", "200")];
    missing_authority_and_host: [GOOD[0], GOOD[1], GOOD[3]];
    missing_path: [GOOD[0], GOOD[1], GOOD[2]];
    missing_method: [GOOD[1], GOOD[2], GOOD[3]];
    empty_path: but(":path", "");
    empty_authority: but(":authority", "");
    authority_with_user: but(":authority", "b.test@a.test");
    authority_with_path: but(":authority", "a.test/b");
    authority_that_is_a_list: but(":authority", "a.test,b.test");
    path_without_slash: but(":path", "x");
    path_with_space: but(":path", "/a b");
    path_in_absolute_form: but(":path", "http://b.test/");

    encoded_slash: but(":path", "/a%2Fb");
    encoded_backslash: but(":path", "/a%5cb");
    backslash: but(":path", "/a\\b");
    encoded_nul: but(":path", "/a%00b");
    dot_segments_above_the_root: but(":path", "/../x");
    dot_segments_above_the_root_encoded: but(":path", "/a/%2e%2e/%2e%2e/x");
}

/// What cannot be a header at all fails while the header block is decoded: the HTTP/2 library ends the
/// connection then, which RFC 9113 section 5.4.1 allows.
#[track_caller]
fn refused_by_decoding(fields: &[(&str, &str)]) {
    let origin = Origin::echo();
    let sluice = Sluice::before(origin.addr());
    let mut raw = RawH2::connect(sluice.http);
    raw.request(1, fields);
    let fate = raw.fate(1);
    assert!(is_refusal(fate, &[400]) || matches!(fate, Fate::GoneAway(_)), "{fate:?}");
    origin.saw_nothing();
    assert_eq!(sluice.get("a.test", "/").status, 200);
}

macro_rules! refused_by_decoding {
    ($($(#[doc = $why:literal])* $name:ident: $fields:expr;)*) => {
        $($(#[doc = $why])* #[test] fn $name() { refused_by_decoding(&$fields); })*
    };
}

refused_by_decoding! {
    /// Written into HTTP/1.1 as it stands, this would be two requests.
    request_splitting_by_header_value: with(&[("x", "a\r\nHost: b.test\r\n\r\nGET /smuggled HTTP/1.1")]);
    request_splitting_by_header_name: with(&[("x: a\r\nhost", "b.test")]);
    request_splitting_by_method: but(":method", "GET / HTTP/1.1\r\nX:");
    header_value_with_line_feed: with(&[("x", "a\nb")]);
    header_value_with_nul: with(&[("x", "a\0b")]);
    header_name_with_colon: with(&[("x:y", "z")]);
    header_name_with_space: with(&[("x y", "z")]);
    header_name_in_capitals: with(&[("X-Y", "z")]);
    header_name_empty: with(&[("", "z")]);
    pseudo_header_unknown: [GOOD[0], GOOD[1], GOOD[2], GOOD[3], (":what", "x")];
}

#[test]
fn path_with_fragment() {
    // The part behind `#` is cut off before the gateway sees it, and so before the origin does.
    let origin = Origin::echo();
    let sluice = Sluice::before(origin.addr());
    let mut raw = RawH2::connect(sluice.http);
    raw.request(1, &but(":path", "/a#/../b"));
    let fate = raw.fate(1);
    assert!(is_refusal(fate, &[400, 200]), "{fate:?}");
    assert!(origin.requests().iter().all(|s| s.target == "/a"), "{:?}", origin.requests());
}

#[test]
fn connect_to_elsewhere() {
    refused_with(&[(":method", "CONNECT"), (":authority", "127.0.0.1:22")], &[400, 404, 405, 501]);
}

#[test]
fn extended_connect_for_anything_but_websocket() {
    for protocol in ["connect-udp", "h2c", ""] {
        let fields = [(":method", "CONNECT"), (":protocol", protocol), GOOD[1], GOOD[2], GOOD[3]];
        refused_with(&fields, &[400, 405, 501]);
    }
    // Only CONNECT has one.
    refused_with(&[(":method", "GET"), (":protocol", "websocket"), GOOD[1], GOOD[2], GOOD[3]], &[400]);
}

#[test]
fn header_limit() {
    let long = "x".repeat(10_000);
    let fields: Vec<_> = GOOD.iter().copied().chain((0..8).map(|_| ("x", long.as_str()))).collect();
    let origin = Origin::echo();
    let sluice = Sluice::before(origin.addr());
    let mut raw = RawH2::connect(sluice.http);
    // Beyond one frame: HEADERS and CONTINUATION.
    let block = block(&fields);
    let mut pieces = block.chunks(16_000).peekable();
    raw.send(frame(kind::HEADERS, END_STREAM, 1, pieces.next().unwrap()));
    while let Some(piece) = pieces.next() {
        let flags = if pieces.peek().is_none() { END_HEADERS } else { 0 };
        raw.send(frame(kind::CONTINUATION, flags, 1, piece));
    }
    let fate = raw.fate(1);
    // Too long a header block may end the connection too: its table is no longer known.
    assert!(is_refusal(fate, &[431]) || matches!(fate, Fate::GoneAway(_)), "{fate:?}");
    origin.saw_nothing();
}

#[test]
fn line_limit() {
    let path = format!("/{}", "x".repeat(14_000));
    refused_with(&but(":path", &path), &[414, 431]);
}

/// A request whose body is not as long as it says.
#[track_caller]
fn body_against_content_length(length: &str, body: &[u8]) {
    let origin = Origin::echo();
    let sluice = Sluice::before(origin.addr());
    let mut raw = RawH2::connect(sluice.http);
    let mut fields = but(":method", "POST");
    fields.push(("content-length", length));
    raw.open(1, &fields).data(1, END_STREAM, body);
    let fate = raw.fate(1);
    assert!(is_refusal(fate, &[400]), "{fate:?}");
    assert!(raw.is_alive());
    // The origin may have seen the head: then its connection was cut before the body was whole.
    let cut = origin.record().wait(wait::PATIENCE, |r| (r.closed == r.connections).then(|| r.requests.clone()));
    let seen = cut.expect("the connection to the origin is cut");
    assert!(seen.iter().all(|s| !s.complete), "{seen:?}");
}

#[test]
fn downgrade_smuggling_by_content_length_too_short() {
    body_against_content_length("3", b"abcGET /smuggled HTTP/1.1\r\nHost: a.test\r\n\r\n");
}

#[test]
fn downgrade_smuggling_by_content_length_too_long() {
    body_against_content_length("100", b"abc");
}

#[test]
fn x_forwarded_for_spoofing() {
    let origin = Origin::echo();
    let sluice = Sluice::before(origin.addr());
    let mut raw = RawH2::connect(sluice.http);
    raw.request(
        1,
        &with(&[("x-forwarded-for", "6.6.6.6"), ("forwarded", "for=6.6.6.6"), ("x_forwarded_for", "6.6.6.6")]),
    );
    assert_eq!(raw.fate(1), Fate::Answered(200));
    let seen = origin.only();
    assert_eq!(seen.header("x-forwarded-for"), Some("127.0.0.1"));
    assert!(!format!("{:?}", seen.headers).contains("6.6.6.6"), "{:?}", seen.headers);
}

#[test]
fn request_splitting_by_cookie_crumbs() {
    // RFC 9113 section 8.2.3: crumbs are one cookie header for HTTP/1.1, with `; ` between them.
    let origin = Origin::echo();
    let sluice = Sluice::before(origin.addr());
    let mut raw = RawH2::connect(sluice.http);
    raw.request(1, &with(&[("cookie", "a=1"), ("cookie", "b=2")]));
    assert_eq!(raw.fate(1), Fate::Answered(200));
    assert_eq!(origin.only().header("cookie"), Some("a=1; b=2"));
}

#[test]
fn host_without_authority_is_the_authority() {
    let origin = Origin::echo();
    let sluice = Sluice::before(origin.addr());
    let mut raw = RawH2::connect(sluice.http);
    // Pseudo-headers come first (RFC 9113 section 8.3).
    raw.request(1, &[GOOD[0], GOOD[1], GOOD[3], ("host", "a.test")]);
    assert_eq!(raw.fate(1), Fate::Answered(200));
    assert_eq!(origin.only().header("host"), Some("a.test"));
}

#[test]
fn cookie_twice_with_different_values_in_two_crumbs() {
    let origin = Origin::echo();
    let sluice = Sluice::with(format!(
        "pool origin = {}\nsite a.test {{\n    http allowed\n    /admin/* {{\n        require cookie.role is \"user\" else deny 403\n        -> origin\n    }}\n    else -> origin\n}}\n",
        origin.addr()
    ));
    let mut raw = RawH2::connect(sluice.http);
    let mut fields = but(":path", "/admin/x");
    fields.extend([("cookie", "role=user"), ("cookie", "role=admin")]);
    raw.request(1, &fields);
    assert!(is_refusal(raw.fate(1), &[400]));
    origin.saw_nothing();
}

/// The gateway is as it was: others are answered at once, and it holds no more than before.
#[track_caller]
fn unharmed(sluice: &mut Sluice, before: usize, allowance: usize) {
    assert!(sluice.is_running(), "the gateway ended");
    assert_eq!(sluice.get("a.test", "/").status, 200);
    let after = sluice.rss();
    assert!(after < before + allowance, "memory grew from {before} to {after}");
}

const MIB: usize = 1 << 20;

#[test]
fn rapid_reset() {
    // CVE-2023-44487: streams are opened and reset as fast as they can be written.
    let origin = Origin::start(|seen, conn| {
        conn.body(seen)?;
        if seen.target == "/held" { conn.hold() } else { conn.respond("200 OK", "", "ok") }
    });
    let mut sluice = Sluice::before(origin.addr());
    assert_eq!(sluice.get("a.test", "/").status, 200);
    let before = sluice.rss();
    let mut raw = RawH2::connect(sluice.http);
    let fields = but(":path", "/held");
    let mut stopped = false;
    for i in 0..20_000 {
        let stream = 2 * i + 1;
        let mut pair = frame(kind::HEADERS, END_HEADERS | END_STREAM, stream, &block(&fields));
        pair.extend(frame(kind::RST_STREAM, 0, stream, &8_u32.to_be_bytes()));
        if raw.try_send(pair).is_err() {
            stopped = true;
            break;
        }
    }
    unharmed(&mut sluice, before, 32 * MIB);
    // Either the gateway ends the connection, or it did next to no work for it.
    let reached = origin.requests().iter().filter(|s| s.target == "/held").count();
    let ended = stopped || !raw.is_alive();
    assert!(ended, "20 000 resets, {reached} requests at the origin, and the connection still stands");
    assert!(reached < 2000, "{reached} of 20 000 reset requests reached the origin");
}

#[test]
fn continuation_flood() {
    // A header block that never ends.
    let origin = Origin::fixed("ok");
    let mut sluice = Sluice::before(origin.addr());
    assert_eq!(sluice.get("a.test", "/").status, 200);
    let before = sluice.rss();
    let mut raw = RawH2::connect(sluice.http);
    raw.send(frame(kind::HEADERS, END_STREAM, 1, &block(&GOOD)));
    let value = "x".repeat(8000);
    let piece = frame(kind::CONTINUATION, 0, 1, &block(&[("x", value.as_str())]));
    let stopped = (0..20_000).any(|_| raw.try_send(&piece).is_err());
    assert!(stopped, "160 MB of header block, and the connection still stands");
    unharmed(&mut sluice, before, 32 * MIB);
}

#[test]
fn continuation_flood_of_empty_frames() {
    let origin = Origin::fixed("ok");
    let mut sluice = Sluice::before(origin.addr());
    assert_eq!(sluice.get("a.test", "/").status, 200);
    let before = sluice.rss();
    let mut raw = RawH2::connect(sluice.http);
    raw.send(frame(kind::HEADERS, END_STREAM, 1, &block(&GOOD)));
    let pieces: Vec<u8> = frame(kind::CONTINUATION, 0, 1, &[]).repeat(1000);
    let stopped = (0..2000).any(|_| raw.try_send(&pieces).is_err());
    assert!(stopped, "two million empty frames, and the connection still stands");
    unharmed(&mut sluice, before, 32 * MIB);
}

#[test]
fn settings_flood() {
    // Each asks for an acknowledgement that is never read.
    let origin = Origin::fixed("ok");
    let mut sluice = Sluice::before(origin.addr());
    assert_eq!(sluice.get("a.test", "/").status, 200);
    let before = sluice.rss();
    let mut raw = RawH2::connect(sluice.http);
    let pieces: Vec<u8> = frame(kind::SETTINGS, 0, 0, &[0, 3, 0, 0, 0, 100]).repeat(1000);
    // A peer that stops reading stops us: the write times out, or ends.
    let _ = (0..200).any(|_| raw.try_send(&pieces).is_err());
    unharmed(&mut sluice, before, 32 * MIB);
}

#[test]
fn empty_data_flood() {
    let origin = Origin::echo();
    let mut sluice = Sluice::before(origin.addr());
    assert_eq!(sluice.get("a.test", "/").status, 200);
    let before = sluice.rss();
    let mut raw = RawH2::connect(sluice.http);
    raw.open(1, &but(":method", "POST"));
    let pieces: Vec<u8> = frame(kind::DATA, 0, 1, &[]).repeat(1000);
    let _ = (0..500).any(|_| raw.try_send(&pieces).is_err());
    unharmed(&mut sluice, before, 32 * MIB);
}

#[test]
fn hpack_bomb() {
    // A large entry in the table, referred to again and again: a few bytes each on the wire.
    let origin = Origin::fixed("ok");
    let mut sluice = Sluice::before(origin.addr());
    assert_eq!(sluice.get("a.test", "/").status, 200);
    let before = sluice.rss();
    let mut raw = RawH2::connect(sluice.http);
    let mut bytes = block(&GOOD);
    // Literal with incremental indexing: entry 62 of the table.
    bytes.extend_from_slice(&[0x40, 1, b'x', 127, 0xa1, 0x1e]);
    bytes.extend(std::iter::repeat_n(b'y', 127 + 0x21 + (0x1e << 7)));
    bytes.extend(std::iter::repeat_n(0x80 | 62, 8000));
    raw.send(frame(kind::HEADERS, END_HEADERS | END_STREAM, 1, &bytes));
    let fate = raw.fate(1);
    assert!(is_refusal(fate, &[431, 400]) || matches!(fate, Fate::GoneAway(_)), "{fate:?}");
    unharmed(&mut sluice, before, 32 * MIB);
}

#[test]
fn window_never_opened() {
    // RFC 9113 section 10.5: answers that are never taken are not piled up.
    let origin = Origin::start(|seen, conn| {
        conn.body(seen)?;
        conn.respond("200 OK", "", vec![b'x'; 4 << 20])
    });
    let mut sluice = Sluice::setup()
        .file("a.route", format!("pool origin = {}\nsite a.test {{\n    http allowed\n    /ok -> respond 200 \"ok\"\n    else -> origin\n}}\n", origin.addr()))
        .start();
    assert_eq!(sluice.get("a.test", "/ok").status, 200);
    let before = sluice.rss();
    let mut raw = RawH2::connect(sluice.http);
    // Settings: no window for any stream.
    raw.send(frame(kind::SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 0]));
    for i in 0..50 {
        raw.request(2 * i + 1, &GOOD);
    }
    origin.record().wait(Duration::from_secs(5), |r| (r.requests.len() >= 50).then_some(()));
    assert_eq!(sluice.get("a.test", "/ok").status, 200);
    // 50 answers of 4 MiB wait at the origin, not here.
    assert!(sluice.is_running());
    let after = sluice.rss();
    assert!(after < before + 64 * MIB, "memory grew from {before} to {after}");
}
