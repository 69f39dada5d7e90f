//! Framing both ways: what one side says is what the other side reads, byte for byte, and nothing is
//! held back on the way.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request};
use hyper::body::Frame;
use sluice_tests::client::{frames, full};
use sluice_tests::origin::hang_up;
use sluice_tests::wait::{self, PATIENCE, Watched};
use sluice_tests::wire::End;
use sluice_tests::{Origin, Sluice};
use std::sync::Arc;

const MIB: usize = 1 << 20;

/// An origin that answers the same bytes again and again, and the gateway before it.
fn answering(answer: &'static [u8]) -> (Origin, Sluice) {
    let origin = Origin::verbatim(answer);
    let sluice = Sluice::before(origin.addr());
    (origin, sluice)
}

/// A request without body.
fn ask(method: &str) -> String {
    format!("{method} / HTTP/1.1\r\nHost: a.test\r\n\r\n")
}

#[test]
fn head_has_the_length_and_no_body() {
    let (origin, sluice) = answering(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n");
    let mut wire = sluice.wire();
    for _ in 0..2 {
        wire.send(ask("HEAD"));
        let reply = wire.reply_to("HEAD");
        assert_eq!((reply.status, reply.header("content-length")), (200, Some("1000")));
    }
    assert_eq!(origin.connections(), 1);
}

#[test]
fn head_of_a_chunked_answer() {
    let (_origin, sluice) = answering(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    let mut wire = sluice.wire();
    for _ in 0..2 {
        wire.send(ask("HEAD"));
        let reply = wire.reply_to("HEAD");
        assert_eq!((reply.status, reply.header("content-length")), (200, None));
    }
}

#[test]
fn head_over_h2() {
    let (_origin, sluice) = answering(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n");
    let mut h2 = sluice.h2();
    let answer = h2.ask(Request::head("http://a.test/").body(full("")).unwrap());
    assert_eq!((answer.status.as_u16(), answer.body.len(), answer.cut), (200, 0, None));
    assert_eq!(answer.headers["content-length"], "1000");
}

#[test]
fn head_of_the_gateways_own_answer() {
    let sluice = Sluice::with("site a.test {\n    http allowed\n    else -> respond 200 \"twelve bytes\"\n}\n");
    let mut wire = sluice.wire();
    wire.send(ask("HEAD"));
    let reply = wire.reply_to("HEAD");
    assert_eq!((reply.status, reply.header("content-length")), (200, Some("12")));
    wire.send(ask("GET"));
    assert_eq!(wire.reply().text(), "twelve bytes");
}

#[test]
fn no_content_has_no_body_and_no_length() {
    let (_origin, sluice) = answering(b"HTTP/1.1 204 No Content\r\nX-A: b\r\n\r\n");
    let mut wire = sluice.wire();
    for _ in 0..2 {
        wire.send(ask("GET"));
        let reply = wire.reply();
        assert_eq!((reply.status, reply.header("x-a")), (204, Some("b")));
        assert_eq!((reply.header("content-length"), reply.header("transfer-encoding")), (None, None));
    }
    assert_eq!(sluice.h2().get("http://a.test/").status.as_u16(), 204);
}

#[test]
fn not_modified_has_no_body() {
    let (origin, sluice) = answering(b"HTTP/1.1 304 Not Modified\r\nETag: \"x\"\r\n\r\n");
    let mut wire = sluice.wire();
    for _ in 0..2 {
        wire.send("GET / HTTP/1.1\r\nHost: a.test\r\nIf-None-Match: \"x\"\r\n\r\n");
        let reply = wire.reply();
        assert_eq!((reply.status, reply.header("etag")), (304, Some("\"x\"")));
        assert_eq!(reply.header("transfer-encoding"), None);
    }
    assert_eq!(origin.connections(), 1);
    assert_eq!(sluice.h2().get("http://a.test/").status.as_u16(), 304);
}

#[test]
fn not_modified_with_the_length_of_the_whole() {
    let (_origin, sluice) = answering(b"HTTP/1.1 304 Not Modified\r\nContent-Length: 1000\r\n\r\n");
    let mut wire = sluice.wire();
    for _ in 0..2 {
        wire.send(ask("GET"));
        assert_eq!(wire.reply().status, 304);
    }
}

#[test]
fn answer_with_content_length() {
    let (_origin, sluice) = answering(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Type: text/odd\r\n\r\nhello");
    let mut wire = sluice.wire();
    wire.send(ask("GET"));
    let reply = wire.reply();
    assert_eq!((reply.header("content-length"), reply.text().as_str()), (Some("5"), "hello"));
    assert_eq!(reply.header("content-type"), Some("text/odd"));
    let answer = sluice.h2().get("http://a.test/");
    assert_eq!((answer.text().as_str(), &answer.headers["content-length"]), ("hello", &HeaderValue::from_static("5")));
}

#[test]
fn answer_in_chunks() {
    let (origin, sluice) =
        answering(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6;ext=1\r\n world\r\n0\r\n\r\n");
    let mut wire = sluice.wire();
    for _ in 0..2 {
        wire.send(ask("GET"));
        let reply = wire.reply();
        assert_eq!((reply.text().as_str(), reply.end), ("hello world", End::Framed));
        assert_eq!(reply.header("transfer-encoding"), Some("chunked"));
    }
    assert_eq!(origin.connections(), 1);
    let answer = sluice.h2().get("http://a.test/");
    assert_eq!((answer.text().as_str(), answer.cut), ("hello world", None));
    assert!(!answer.headers.contains_key("transfer-encoding"));
}

#[test]
fn answer_that_ends_with_the_connection() {
    let origin = Origin::verbatim_then_close(b"HTTP/1.0 200 OK\r\n\r\nhello");
    let sluice = Sluice::before(origin.addr());
    let mut wire = sluice.wire();
    wire.send(ask("GET"));
    let reply = wire.reply();
    assert_eq!(reply.text(), "hello");
    assert_ne!(reply.end, End::Cut);
    let answer = sluice.h2().get("http://a.test/");
    assert_eq!((answer.text().as_str(), answer.cut), ("hello", None));
}

#[test]
fn empty_answer() {
    let (origin, sluice) = answering(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    let mut wire = sluice.wire();
    for _ in 0..2 {
        wire.send(ask("GET"));
        let reply = wire.reply();
        assert_eq!((reply.status, reply.body.len(), reply.end), (200, 0, End::Framed));
    }
    assert_eq!(origin.connections(), 1);
}

#[test]
fn several_set_cookie_headers_stay_apart() {
    let (_origin, sluice) =
        answering(b"HTTP/1.1 200 OK\r\nSet-Cookie: a=1, x\r\nSet-Cookie: b=2\r\nContent-Length: 0\r\n\r\n");
    let mut wire = sluice.wire();
    wire.send(ask("GET"));
    let reply = wire.reply();
    let cookies: Vec<_> = reply.headers.iter().filter(|(n, _)| n == "set-cookie").map(|(_, v)| v.as_str()).collect();
    assert_eq!(cookies, ["a=1, x", "b=2"]);
}

#[test]
fn header_values_beyond_ascii_pass() {
    let (_origin, sluice) = answering(b"HTTP/1.1 200 OK\r\nX-Name: caf\xc3\xa9\r\nContent-Length: 0\r\n\r\n");
    let mut wire = sluice.wire();
    wire.send(ask("GET"));
    assert_eq!(wire.reply().header("x-name"), Some("café"));
}

#[test]
fn request_with_content_length() {
    let origin = Origin::echo();
    let sluice = Sluice::before(origin.addr());
    let mut wire = sluice.wire();
    wire.send("POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\n\r\nhello");
    assert_eq!(wire.reply_to("POST").status, 200);
    let seen = origin.only();
    assert_eq!((seen.header("content-length"), seen.header("transfer-encoding")), (Some("5"), None));
    assert_eq!(seen.body, b"hello");
}

#[test]
fn request_in_chunks() {
    let origin = Origin::echo();
    let sluice = Sluice::before(origin.addr());
    let mut wire = sluice.wire();
    wire.send("POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n");
    wire.send("5\r\nhello\r\n").send("6\r\n world\r\n0\r\n\r\n");
    assert_eq!(wire.reply_to("POST").status, 200);
    let seen = origin.only();
    assert_eq!((seen.header("content-length"), seen.header("transfer-encoding")), (None, Some("chunked")));
    assert_eq!(seen.body, b"hello world");
}

#[test]
fn request_with_an_empty_body() {
    let origin = Origin::echo();
    let sluice = Sluice::before(origin.addr());
    let mut wire = sluice.wire();
    wire.send("POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(wire.reply_to("POST").status, 200);
    assert_eq!(origin.only().header("content-length"), Some("0"));
}

#[test]
fn request_without_a_body_is_not_given_one() {
    let origin = Origin::echo();
    let sluice = Sluice::before(origin.addr());
    let mut wire = sluice.wire();
    wire.send(ask("GET"));
    assert_eq!(wire.reply().status, 200);
    let seen = origin.only();
    assert_eq!((seen.header("content-length"), seen.header("transfer-encoding")), (None, None));
}

#[test]
fn h2_request_without_a_body_is_not_given_one() {
    let origin = Origin::echo();
    let sluice = Sluice::before(origin.addr());
    assert_eq!(sluice.h2().get("http://a.test/").status.as_u16(), 200);
    let seen = origin.only();
    assert_eq!((seen.header("content-length"), seen.header("transfer-encoding")), (None, None));
}

#[test]
fn h2_request_with_content_length() {
    let origin = Origin::echo();
    let sluice = Sluice::before(origin.addr());
    let answer = sluice.h2().ask(Request::post("http://a.test/").body(full("hello")).unwrap());
    assert_eq!(answer.status.as_u16(), 200);
    let seen = origin.only();
    assert_eq!((seen.header("content-length"), seen.header("transfer-encoding")), (Some("5"), None));
    assert_eq!(seen.body, b"hello");
}

#[test]
fn h2_request_without_content_length() {
    let origin = Origin::echo();
    let sluice = Sluice::before(origin.addr());
    let body = frames(vec![Frame::data(Bytes::from("hello")), Frame::data(Bytes::from(" world"))]);
    let answer = sluice.h2().ask(Request::post("http://a.test/").body(body).unwrap());
    assert_eq!(answer.status.as_u16(), 200);
    let seen = origin.only();
    assert_eq!((seen.header("content-length"), seen.header("transfer-encoding")), (None, Some("chunked")));
    assert_eq!(seen.body, b"hello world");
}

const WITH_TRAILERS: &[u8] =
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: x-sum\r\n\r\n2\r\nok\r\n0\r\nx-sum: 42\r\n\r\n";

#[test]
fn trailers_of_an_answer_h1_to_h1() {
    let (_origin, sluice) = answering(WITH_TRAILERS);
    let mut wire = sluice.wire();
    for _ in 0..2 {
        wire.send("GET / HTTP/1.1\r\nHost: a.test\r\nTE: trailers\r\nConnection: TE\r\n\r\n");
        let reply = wire.reply();
        assert_eq!((reply.text().as_str(), reply.end), ("ok", End::Framed));
        assert_eq!(reply.trailers, [("x-sum".to_owned(), "42".to_owned())]);
    }
}

#[test]
fn trailers_of_an_answer_h1_to_h2() {
    let (_origin, sluice) = answering(WITH_TRAILERS);
    let answer = sluice.h2().get("http://a.test/");
    assert_eq!((answer.text().as_str(), &answer.cut), ("ok", &None));
    assert_eq!(answer.trailers.expect("trailers")["x-sum"], "42");
}

#[test]
fn trailers_that_were_not_asked_for() {
    // They may be dropped, but the answer is whole and the connection goes on.
    let (_origin, sluice) = answering(WITH_TRAILERS);
    let mut wire = sluice.wire();
    for _ in 0..2 {
        wire.send(ask("GET"));
        let reply = wire.reply();
        assert_eq!((reply.text().as_str(), reply.end), ("ok", End::Framed));
    }
}

#[test]
fn trailers_of_a_request_h1_to_h1() {
    let origin = Origin::echo();
    let sluice = Sluice::before(origin.addr());
    let mut wire = sluice.wire();
    wire.send("POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\nTrailer: x-sum\r\n\r\n");
    wire.send("2\r\nok\r\n0\r\nx-sum: 42\r\n\r\n");
    assert_eq!(wire.reply_to("POST").status, 200);
    let seen = origin.only();
    assert_eq!(seen.trailers, [("x-sum".to_owned(), "42".to_owned())]);
}

#[test]
fn trailers_of_a_request_h2_to_h1() {
    let origin = Origin::echo();
    let sluice = Sluice::before(origin.addr());
    let mut trailers = HeaderMap::new();
    trailers.insert("x-sum", HeaderValue::from_static("42"));
    let body = frames(vec![Frame::data(Bytes::from("ok")), Frame::trailers(trailers)]);
    let request = Request::post("http://a.test/").header("trailer", "x-sum").body(body).unwrap();
    assert_eq!(sluice.h2().ask(request).status.as_u16(), 200);
    let seen = origin.only();
    assert_eq!(seen.body, b"ok");
    assert_eq!(seen.trailers, [("x-sum".to_owned(), "42".to_owned())]);
}

#[test]
fn expect_100_continue() {
    let origin = Origin::echo();
    let sluice = Sluice::before(origin.addr());
    let mut wire = sluice.wire();
    wire.send("POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n");
    assert_eq!(wire.head().expect("an interim answer").status, 100);
    wire.send("hello");
    let reply = wire.reply_to("POST");
    assert_eq!((reply.status, origin.only().body.as_slice()), (200, b"hello".as_slice()));
}

#[test]
fn expect_100_continue_of_a_request_that_is_refused() {
    // The final answer comes at once: the client keeps its body.
    let sluice = Sluice::with("site a.test {\n    http allowed\n    else -> deny 403\n}\n");
    let mut wire = sluice.wire();
    wire.send("POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n");
    assert_eq!(wire.head().expect("an answer").status, 403);
}

#[test]
fn expect_100_continue_where_the_origin_is_gone() {
    let nobody = sluice_tests::ports::Refusing::new();
    let sluice = Sluice::before(nobody.addr());
    let mut wire = sluice.wire();
    wire.send("POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n");
    assert_eq!(wire.head().expect("an answer").status, 502);
}

#[test]
fn interim_answers_of_the_origin_are_not_the_answer() {
    let (_origin, sluice) =
        answering(b"HTTP/1.1 103 Early Hints\r\nLink: </x.css>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    let mut wire = sluice.wire();
    for _ in 0..2 {
        wire.send(ask("GET"));
        assert_eq!(wire.reply().text(), "ok");
    }
    assert_eq!(sluice.h2().get("http://a.test/").text(), "ok");
}

#[test]
fn http_1_0_client() {
    // It knows no chunks: the body ends with the connection, or has a length.
    let (_origin, sluice) = answering(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n");
    let mut wire = sluice.wire();
    wire.send("GET / HTTP/1.0\r\nHost: a.test\r\n\r\n");
    let reply = wire.reply();
    assert_eq!((reply.text().as_str(), reply.header("transfer-encoding")), ("hello", None));
    assert!(wire.rest().is_empty());
}

#[test]
fn http_1_0_client_with_keep_alive() {
    let (_origin, sluice) = answering(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello");
    let mut wire = sluice.wire();
    wire.send("GET / HTTP/1.0\r\nHost: a.test\r\nConnection: keep-alive\r\n\r\n");
    let reply = wire.reply();
    assert_eq!((reply.text().as_str(), reply.end), ("hello", End::Framed));
}

#[test]
fn connection_close_is_heeded() {
    let (_origin, sluice) = answering(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello");
    let mut wire = sluice.wire();
    wire.send("GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n");
    let reply = wire.reply();
    assert_eq!((reply.text().as_str(), reply.header("connection")), ("hello", Some("close")));
    assert!(wire.rest().is_empty());
}

#[test]
fn origins_connection_close_is_its_own() {
    // That the origin hangs up is no reason to hang up on the client.
    let origin = Origin::verbatim_then_close(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello");
    let sluice = Sluice::before(origin.addr());
    let mut wire = sluice.wire();
    for _ in 0..3 {
        wire.send(ask("GET"));
        assert_eq!(wire.reply().text(), "hello");
    }
    assert_eq!(origin.connections(), 3);
}

#[test]
fn keep_alive_on_both_sides() {
    let origin = Origin::echo();
    let sluice = Sluice::before(origin.addr());
    let mut wire = sluice.wire();
    for i in 0..50 {
        wire.send(format!("POST /{i} HTTP/1.1\r\nHost: a.test\r\nContent-Length: 2\r\n\r\nok"));
        assert_eq!(wire.reply_to("POST").json()["target"], format!("/{i}"));
    }
    assert_eq!(origin.connections(), 1, "one client at a time needs one connection");
}

#[test]
fn h2_streams_share_what_they_can() {
    let origin = Origin::echo();
    let sluice = Sluice::before(origin.addr());
    let mut h2 = sluice.h2();
    for i in 0..50 {
        assert_eq!(h2.get(&format!("http://a.test/{i}")).json()["target"], format!("/{i}"));
    }
    assert_eq!(origin.connections(), 1);
    let requests = (0..50).map(|i| Request::get(format!("http://a.test/many/{i}")).body(full("")).unwrap()).collect();
    for (i, answer) in h2.ask_all(requests).into_iter().enumerate() {
        assert_eq!(answer.unwrap().json()["target"], format!("/many/{i}"));
    }
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let origin = Origin::echo();
    let sluice = Sluice::before(origin.addr());
    let mut wire = sluice.wire();
    let requests: String = (0..10).map(|i| format!("GET /{i} HTTP/1.1\r\nHost: a.test\r\n\r\n")).collect();
    wire.send(requests);
    for i in 0..10 {
        assert_eq!(wire.reply().json()["target"], format!("/{i}"));
    }
}

#[test]
fn head_in_single_bytes() {
    let origin = Origin::echo();
    let sluice = Sluice::before(origin.addr());
    let mut wire = sluice.wire();
    for byte in b"POST /x HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n" {
        wire.send([*byte]);
    }
    assert_eq!(wire.reply_to("POST").json()["body"], "ok");
}

#[test]
fn early_answer() {
    // The origin answers before it has read the body: its answer reaches the client.
    let origin = Origin::start(|_, conn| {
        conn.respond("413 Content Too Large", "connection: close\r\n", "too large")?;
        conn.hold()
    });
    let sluice = Sluice::before(origin.addr());
    let mut wire = sluice.wire();
    wire.send(format!("POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: {}\r\n\r\n", 100 * MIB));
    wire.send(vec![b'x'; 1000]);
    let reply = wire.reply_to("POST");
    assert_eq!((reply.status, reply.text().as_str()), (413, "too large"));
}

#[test]
fn early_answer_is_followed_by_nobody() {
    // What is left of the request's body must not be read by the origin as the next request.
    let origin = Origin::start(|_, conn| conn.respond("200 OK", "", "early"));
    let sluice = Sluice::before(origin.addr());
    let mut wire = sluice.wire();
    wire.send("POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 40\r\n\r\n");
    assert_eq!(wire.reply_to("POST").text(), "early");
    drop(wire);
    assert_eq!(sluice.get("a.test", "/second").text(), "early");
    let seen = origin.requests();
    assert_eq!(seen.last().map(|s| s.target.as_str()), Some("/second"));
    assert_ne!(seen[0].connection, seen[1].connection, "a connection with half a request on it was used again");
}

#[test]
fn answer_and_request_stream_at_once() {
    // Neither direction waits for the other to end.
    let origin = Origin::start(|seen, conn| {
        assert_eq!(seen.header("transfer-encoding"), Some("chunked"));
        conn.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n")?;
        let seen = conn.body(seen)?;
        conn.send(format!("{:x}\r\n{}\r\n0\r\n\r\n", seen.body.len(), String::from_utf8_lossy(&seen.body)))
    });
    let sluice = Sluice::before(origin.addr());
    let mut wire = sluice.wire();
    wire.send("POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n");
    assert_eq!(wire.head().expect("the head before the body's end").status, 200);
    assert_eq!(wire.take(7), b"2\r\nhi\r\n");
    wire.send("5\r\nhello\r\n0\r\n\r\n");
    assert_eq!(wire.take(15), b"5\r\nhello\r\n0\r\n\r\n");
}

#[test]
fn pieces_of_an_answer_come_as_they_are_sent() {
    // Server-sent events and the like: nothing waits for a buffer to fill.
    let gate: Arc<Watched<usize>> = Arc::default();
    let open = gate.clone();
    let origin = Origin::start(move |_, conn| {
        conn.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")?;
        for i in 1..=3 {
            conn.send(format!("2\r\n{i}\n\r\n"))?;
            open.wait(PATIENCE, |reached| (*reached >= i).then_some(()));
        }
        conn.send("0\r\n\r\n")
    });
    let sluice = Sluice::before(origin.addr());
    let mut wire = sluice.wire();
    wire.send(ask("GET"));
    assert_eq!(wire.head().unwrap().status, 200);
    for i in 1..=3 {
        assert_eq!(wire.take(7), format!("2\r\n{i}\n\r\n").into_bytes());
        gate.change(|reached| *reached = i);
    }
    assert_eq!(wire.take(5), b"0\r\n\r\n");
}

/// Starts a gateway whose origin sends a gigabyte.
fn gigabyte() -> (Origin, Sluice) {
    let origin = Origin::start(|seen, conn| {
        conn.body(seen)?;
        conn.send("HTTP/1.1 200 OK\r\nContent-Length: 1073741824\r\n\r\n")?;
        let piece = vec![b'x'; MIB];
        for _ in 0..1024 {
            conn.send(&piece)?;
        }
        Ok(())
    });
    let route = format!(
        "pool origin = {}\nsite a.test {{\n    http allowed\n    /ok -> respond 200 \"ok\"\n    else -> origin\n}}\n",
        origin.addr()
    );
    let sluice = Sluice::with(route);
    assert_eq!(sluice.get("a.test", "/ok").status, 200);
    (origin, sluice)
}

#[test]
fn a_gigabyte_down_is_streamed() {
    let (_origin, sluice) = gigabyte();
    let before = sluice.rss();
    let mut wire = sluice.wire();
    wire.send(ask("GET"));
    assert_eq!(wire.head().unwrap().status, 200);
    // A reader that lags: whatever was buffered meanwhile shows now.
    assert_eq!(wire.take(MIB).len(), MIB);
    assert_eq!(sluice.get("a.test", "/ok").status, 200);
    let paused = sluice.rss();
    assert!(paused < before + 24 * MIB, "memory grew from {before} to {paused}");
    wire.send("");
    let mut left = 1023 * MIB;
    while left > 0 {
        let piece = wire.take(left.min(MIB));
        assert!(!piece.is_empty(), "cut with {left} bytes to come");
        left -= piece.len();
    }
    let after = sluice.rss();
    assert!(after < before + 24 * MIB, "memory grew from {before} to {after}");
}

#[test]
fn a_large_body_up_is_streamed() {
    // An origin that reads late: the client is slowed down, nothing piles up.
    let gate: Arc<Watched<bool>> = Arc::default();
    let open = gate.clone();
    let origin = Origin::start(move |seen, conn| {
        conn.small_buffer();
        open.wait(PATIENCE, |open| open.then_some(()));
        conn.body(seen)?;
        conn.respond("200 OK", "", "ok")
    });
    let sluice = Sluice::before(origin.addr());
    let before = sluice.rss();
    let mut wire = sluice.wire();
    let size = 256 * MIB;
    wire.send(format!("POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: {size}\r\n\r\n"));
    let sender = std::thread::spawn(move || {
        let piece = vec![b'x'; MIB];
        for _ in 0..size / MIB {
            wire.try_send(&piece).unwrap();
        }
        wire
    });
    // The sender is held up once every buffer on the way is full; the memory stays.
    assert!(wait::within(std::time::Duration::from_secs(1), || sender.is_finished().then_some(())).is_none());
    let paused = sluice.rss();
    assert!(paused < before + 24 * MIB, "memory grew from {before} to {paused}");
    gate.change(|open| *open = true);
    let mut wire = sender.join().unwrap();
    assert_eq!(wire.reply_to("POST").status, 200);
    assert_eq!(origin.only().body_len, size);
    let after = sluice.rss();
    assert!(after < before + 24 * MIB, "memory grew from {before} to {after}");
}

#[test]
fn a_large_body_up_over_h2() {
    let origin = Origin::echo();
    let sluice = Sluice::before(origin.addr());
    let answer = sluice.h2().ask(Request::post("http://a.test/").body(full(vec![b'x'; 32 * MIB])).unwrap());
    assert_eq!(answer.json()["body_len"], 32 * MIB);
}

#[test]
fn a_large_body_down_over_h2_and_tls() {
    let (_origin, sluice) = gigabyte();
    let mut h2 = sluice.h2_secure("a.test");
    // Not all of it: a client that goes away is part of the test.
    assert_eq!(h2.get("https://a.test/ok").text(), "ok");
    let origin = Origin::start(|seen, conn| {
        conn.body(seen)?;
        conn.respond("200 OK", "", vec![b'y'; 64 * MIB])
    });
    sluice.write("b.route", sluice_tests::sluice::proxy("b.test", origin.addr()));
    sluice.serves("b.test", "/", |reply| reply.status == 200);
    let answer = sluice.h2_secure("b.test").get("https://b.test/");
    assert_eq!((answer.body.len(), answer.cut), (64 * MIB, None));
}

#[test]
fn client_that_goes_away_mid_upload() {
    // The origin sees a cut, never an end, and its connection is not used again.
    let origin = Origin::echo();
    let sluice = Sluice::before(origin.addr());
    let mut wire = sluice.wire();
    wire.send("POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n");
    origin.record().wait(PATIENCE, |r| r.requests.first().filter(|s| s.body_len == 5).map(|_| ())).expect("five bytes");
    drop(wire);
    let cut = origin.record().wait(PATIENCE, |r| (r.closed == 1).then(|| r.requests[0].clone()));
    assert!(!cut.expect("the origin's connection is cut").complete);
    assert_eq!(sluice.get("a.test", "/").status, 200);
}

#[test]
fn client_that_goes_away_mid_answer() {
    let origin = Origin::start(|seen, conn| {
        conn.body(seen)?;
        conn.send("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nabc")?;
        conn.hold()
    });
    let sluice = Sluice::before(origin.addr());
    let mut wire = sluice.wire();
    wire.send(ask("GET"));
    assert_eq!(wire.head().unwrap().status, 200);
    assert_eq!(wire.take(3), b"abc");
    drop(wire);
    let gone = origin.record().wait(PATIENCE, |r| (r.closed == 1).then_some(()));
    assert!(gone.is_some(), "the origin goes on working for nobody");
}

#[test]
fn idle_connection_that_the_origin_closed() {
    // The race of every pool: a connection that ended while it waited is not handed to a request.
    let origin = Origin::start(|seen, conn| {
        conn.body(seen)?;
        conn.respond("200 OK", "", "ok")?;
        hang_up()
    });
    let sluice = Sluice::before(origin.addr());
    let mut wire = sluice.wire();
    for i in 0..50 {
        wire.send(ask("GET"));
        let reply = wire.reply();
        assert_eq!(reply.status, 200, "request {i}");
        let closed = origin.record().wait(PATIENCE, |r| (r.closed == r.connections).then_some(()));
        assert!(closed.is_some());
    }
}
