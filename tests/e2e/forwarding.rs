//! What reaches the origin, and what of its answer reaches the client.

use sluice_tests::origin::Seen;
use sluice_tests::{Origin, Sluice};

/// Sends one request through a site with these lines and returns what the origin saw.
#[track_caller]
fn through(lines: &str, request: &str) -> Seen {
    let origin = Origin::echo();
    let sluice =
        Sluice::with(format!("pool origin = {}\n\nsite a.test {{\n    http allowed\n{lines}}}\n", origin.addr()));
    let mut wire = sluice.wire();
    wire.send(request);
    let reply = wire.reply();
    assert_eq!(reply.status, 200, "{reply:?}");
    origin.only()
}

/// A GET for a target.
fn get(target: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: a.test\r\n\r\n")
}

#[test]
fn origin_sees_the_canonical_path() {
    for (sent, seen) in [
        ("/", "/"),
        ("//a///b", "/a/b"),
        ("/a/./b/../c", "/a/c"),
        ("/%61%2D%7e", "/a-~"),
        ("/%c3%a9", "/%C3%A9"),
        ("/a%20b", "/a%20b"),
        ("/a/", "/a/"),
        ("/a/b/..", "/a/"),
        ("/a+b@c:d=e&f$g!h'i(j)k*l,m", "/a+b@c:d=e&f$g!h'i(j)k*l,m"),
        ("/a%25%2561", "/a%25%2561"),
    ] {
        assert_eq!(through("    else -> origin\n", &get(sent)).target, seen, "{sent}");
    }
}

#[test]
fn query_is_forwarded_byte_for_byte() {
    for query in ["?", "?a=b&c=%20%2f+%zz", "?a//../b", "?{}|^`\\", "?a=b?c", "?%61"] {
        let seen = through("    else -> origin\n", &get(&format!("/x{query}")));
        assert_eq!(seen.target, format!("/x{query}"));
    }
}

#[test]
fn absolute_form_is_sent_on_in_origin_form() {
    let seen = through("    else -> origin\n", "GET http://a.test/x?y HTTP/1.1\r\nHost: a.test\r\n\r\n");
    assert_eq!((seen.target.as_str(), seen.header("host")), ("/x?y", Some("a.test")));
}

#[test]
fn asterisk_form() {
    let origin = Origin::echo();
    let sluice = Sluice::before(origin.addr());
    let mut wire = sluice.wire();
    wire.send("OPTIONS * HTTP/1.1\r\nHost: a.test\r\n\r\n");
    let reply = wire.reply_to("OPTIONS");
    assert!(reply.status < 500 || reply.status == 501, "{reply:?}");
    for seen in origin.requests() {
        assert!(["*", "/"].contains(&seen.target.as_str()), "{seen:?}");
    }
}

#[test]
fn host_of_the_client_is_kept_with_its_port() {
    let seen = through("    else -> origin\n", "GET / HTTP/1.1\r\nHost: a.test:8080\r\n\r\n");
    assert_eq!(seen.header("host"), Some("a.test:8080"));
}

#[test]
fn host_that_the_route_names() {
    let seen = through("    else -> origin host inner.internal\n", &get("/"));
    assert_eq!(seen.header("host"), Some("inner.internal"));
    assert_eq!(seen.header("x-forwarded-host"), Some("a.test"));
}

#[test]
fn new_path_as_a_whole() {
    let lines = "    /api/{version}/*rest -> origin at /internal/{version}/{rest}\n    else -> respond 404\n";
    for (sent, seen) in [
        ("/api/v1/a/b", "/internal/v1/a/b"),
        ("/api/v1", "/internal/v1"),
        ("/api/v1/a/", "/internal/v1/a/"),
        ("/api/v%201/a%2fb".replace("%2f", "%3F").as_str(), "/internal/v%201/a%3Fb"),
        ("/api/v1/a?q=%20", "/internal/v1/a?q=%20"),
    ] {
        assert_eq!(through(lines, &get(sent)).target, seen, "{sent}");
    }
}

#[test]
fn header_edits_of_the_request() {
    let lines = "    set    request header x-set = \"set {request.path}\"\n    add    request header x-add = \"added\"\n    remove request header x-remove\n    else -> origin\n";
    let request = "GET /p HTTP/1.1\r\nHost: a.test\r\nX-Set: 1\r\nX-Set: 2\r\nX_Set: 3\r\nX-Add: 1\r\nX-Remove: 1\r\nX_Remove: 2\r\nX-Keep: 1\r\n\r\n";
    let seen = through(lines, request);
    assert_eq!(seen.header("x-set"), Some("set /p"));
    assert_eq!(seen.all("x-add"), ["1", "added"]);
    // LANGUAGE rule 20: the spellings with `_` go as well.
    for name in ["x-remove", "x_remove", "x_set"] {
        assert!(seen.all(name).is_empty(), "{name}: {:?}", seen.headers);
    }
    assert_eq!(seen.header("x-keep"), Some("1"));
}

#[test]
fn captures_in_a_header_are_text() {
    let lines = "    /u/{id} {\n        set request header x-id = id\n        -> origin\n    }\n    else -> origin\n";
    assert_eq!(through(lines, &get("/u/a%20b")).header("x-id"), Some("a b"));
}

#[test]
fn control_bytes_in_a_header_are_refused() {
    // LANGUAGE rule 24. The path itself may not hold them; a query may.
    let origin = Origin::echo();
    let sluice = Sluice::with(format!(
        "pool origin = {}\n\nsite a.test {{\n    http allowed\n    set request header x-q = query.q if missing \"none\"\n    else -> origin\n}}\n",
        origin.addr()
    ));
    assert_eq!(sluice.get("a.test", "/?q=a%0d%0aX-Evil:%201").status, 400);
    origin.saw_nothing();
    assert_eq!(sluice.get("a.test", "/").status, 200);
    assert_eq!(origin.only().header("x-q"), Some("none"));
}

#[test]
fn header_edits_of_the_response() {
    let origin = Origin::verbatim(
        b"HTTP/1.1 200 OK\r\nServer: secret/1.0\r\nX-Powered-By: secret\r\nX-Both: origin\r\nContent-Length: 2\r\n\r\nok",
    );
    let sluice = Sluice::with(format!(
        "pool origin = {}\n\nsite a.test {{\n    http allowed\n    remove response header x-powered-by\n    set    response header x-both = \"gateway\"\n    add    response header x-more = \"1\"\n    /own -> respond 200 \"own\"\n    /in/* {{\n        set response header x-both = \"inner\"\n        -> origin\n    }}\n    else -> origin\n}}\n",
        origin.addr()
    ));
    let reply = sluice.get("a.test", "/");
    assert_eq!(reply.header("x-powered-by"), None);
    assert_eq!((reply.header("x-both"), reply.header("x-more")), (Some("gateway"), Some("1")));
    // The gateway's own answers are edited as well (the trap of other gateways).
    assert_eq!(sluice.get("a.test", "/own").header("x-both"), Some("gateway"));
    assert_eq!(sluice.get("a.test", "/in/x").header("x-both"), Some("inner"));
}

#[test]
fn forwarded_headers_are_written() {
    let seen = through("    else -> origin\n", &get("/"));
    assert_eq!(seen.header("x-forwarded-for"), Some("127.0.0.1"));
    assert_eq!(seen.header("x-forwarded-proto"), Some("http"));
    assert_eq!(seen.header("x-forwarded-host"), Some("a.test"));
    assert!(seen.header("forwarded").is_some());
}

#[test]
fn headers_keep_their_order_and_number() {
    let request = "GET / HTTP/1.1\r\nHost: a.test\r\nX-B: 1\r\nX-A: 2\r\nX-B: 3\r\nAccept: */*\r\n\r\n";
    let seen = through("    else -> origin\n", request);
    assert_eq!(seen.all("x-b"), ["1", "3"]);
    assert_eq!(seen.header("x-a"), Some("2"));
    assert_eq!(seen.header("accept"), Some("*/*"));
}

#[test]
fn unusual_methods_pass() {
    for method in ["PATCH", "PROPFIND", "M-SEARCH", "FOO"] {
        let origin = Origin::echo();
        let sluice = Sluice::before(origin.addr());
        let mut wire = sluice.wire();
        wire.send(format!("{method} / HTTP/1.1\r\nHost: a.test\r\n\r\n"));
        assert_eq!(wire.reply().status, 200, "{method}");
        assert_eq!(origin.only().method, method);
    }
}

#[test]
fn opaque_slash_is_an_ordinary_character() {
    let lines = "    paths opaque-slash\n    /pkg/{name} -> origin\n    else -> respond 404\n";
    assert_eq!(through(lines, &get("/pkg/@scope%2fname")).target, "/pkg/@scope%2Fname");
}
