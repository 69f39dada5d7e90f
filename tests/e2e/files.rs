//! `files`: what is served, what is not, and in which pieces.

use sluice_tests::sluice::write;
use sluice_tests::wire::Reply;
use sluice_tests::{Sluice, Wire};
use std::os::unix::fs::symlink;

const PAGE: &str = "<!doctype html><title>x</title>";
const DIGITS: &str = "0123456789";

/// A site of files, with what must never leave beside it.
fn site() -> Sluice {
    let setup = Sluice::setup().file("a.route", "site a.test {\n    http allowed\n    else -> files \"public\"\n}\n");
    let sites = setup.sites();
    write(&sites.join("public/index.html"), PAGE);
    write(&sites.join("public/digits.txt"), DIGITS);
    write(&sites.join("public/empty.txt"), "");
    write(&sites.join("public/sub/index.html"), "sub");
    write(&sites.join("public/bare/x.css"), "a{}");
    write(&sites.join("public/with space.txt"), "space");
    write(&sites.join("public/ünï.txt"), "unicode");
    write(&sites.join("public/.env"), "SECRET");
    write(&sites.join("public/.git/config"), "SECRET");
    write(&sites.join("secret.txt"), "SECRET");
    write(&sites.parent().unwrap().join("outside.txt"), "SECRET");
    symlink("../secret.txt", sites.join("public/link.txt")).unwrap();
    symlink(sites.parent().unwrap(), sites.join("public/linked")).unwrap();
    symlink("digits.txt", sites.join("public/inside.txt")).unwrap();
    setup.start()
}

/// Asks with further headers.
#[track_caller]
fn ask(sluice: &Sluice, method: &str, path: &str, headers: &str) -> Reply {
    let mut wire = sluice.wire();
    wire.send(format!("{method} {path} HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n{headers}\r\n"));
    wire.reply_to(method)
}

#[test]
fn index_and_content_types() {
    let sluice = site();
    for (path, kind, body) in [
        ("/", "text/html", PAGE),
        ("/index.html", "text/html", PAGE),
        ("/digits.txt", "text/plain", DIGITS),
        ("/sub/", "text/html", "sub"),
        ("/bare/x.css", "text/css", "a{}"),
        ("/with%20space.txt", "text/plain", "space"),
        ("/%C3%BCn%C3%AF.txt", "text/plain", "unicode"),
        ("/empty.txt", "text/plain", ""),
    ] {
        let reply = sluice.get("a.test", path);
        assert_eq!((reply.status, reply.text().as_str()), (200, body), "{path}");
        assert!(reply.header("content-type").is_some_and(|t| t.starts_with(kind)), "{path}: {reply:?}");
    }
}

#[test]
fn directory_without_its_slash() {
    // A page's relative links need the slash: redirected, or served under the same name as with it.
    let sluice = site();
    let reply = sluice.get("a.test", "/sub");
    match reply.status {
        301 | 302 | 307 | 308 => assert!(reply.header("location").is_some_and(|l| l.ends_with("/sub/")), "{reply:?}"),
        status => assert_eq!((status, reply.text().as_str()), (200, "sub")),
    }
}

#[test]
fn what_is_not_there_is_404() {
    let sluice = site();
    for path in ["/nope", "/nope/", "/bare/", "/digits.txt/", "/digits.txt/x", "/sub/nope.html"] {
        assert_eq!(sluice.get("a.test", path).status, 404, "{path}");
    }
}

#[test]
fn nothing_outside_is_served() {
    let sluice = site();
    for path in [
        "/../secret.txt",
        "/%2e%2e/secret.txt",
        "/..%2fsecret.txt",
        "/sub/../../secret.txt",
        "/sub/%2e%2e/%2e%2e/secret.txt",
        "/..\\secret.txt",
        "/..%5csecret.txt",
        "//secret.txt",
        "/%2e%2e%2fsecret.txt",
        "/%252e%252e/secret.txt",
        "/digits.txt%00.html",
        "/....//secret.txt",
        "/.../secret.txt",
    ] {
        let reply = sluice.get("a.test", path);
        assert!(reply.status == 400 || reply.status == 404, "{path}: {reply:?}");
        assert!(!reply.text().contains("SECRET"), "{path}");
    }
}

#[test]
fn dotfiles_are_not_served() {
    let sluice = site();
    for path in ["/.env", "/%2eenv", "/.git/config", "/.git/", "/.git", "/sub/../.env"] {
        let reply = sluice.get("a.test", path);
        assert_eq!(reply.status, 404, "{path}: {reply:?}");
        assert!(!reply.text().contains("SECRET"), "{path}");
    }
}

#[test]
fn links_that_lead_outside_are_not_followed() {
    let sluice = site();
    for path in ["/link.txt", "/linked/outside.txt", "/linked/sites/secret.txt", "/linked/"] {
        let reply = sluice.get("a.test", path);
        assert_eq!(reply.status, 404, "{path}: {reply:?}");
    }
    assert_eq!(sluice.get("a.test", "/inside.txt").text(), DIGITS);
}

#[test]
fn ranges() {
    let sluice = site();
    for (range, status, body, shown) in [
        ("bytes=0-3", 206, "0123", Some("bytes 0-3/10")),
        ("bytes=4-", 206, "456789", Some("bytes 4-9/10")),
        ("bytes=-3", 206, "789", Some("bytes 7-9/10")),
        ("bytes=0-0", 206, "0", Some("bytes 0-0/10")),
        ("bytes=8-100", 206, "89", Some("bytes 8-9/10")),
        ("bytes=-100", 206, DIGITS, Some("bytes 0-9/10")),
        // RFC 9110 section 14.2: what is no range is ignored.
        ("bytes=5-2", 200, DIGITS, None),
        ("lines=1-2", 200, DIGITS, None),
        ("bytes=x", 200, DIGITS, None),
    ] {
        let reply = ask(&sluice, "GET", "/digits.txt", &format!("Range: {range}\r\n"));
        assert_eq!((reply.status, reply.text().as_str()), (status, body), "{range}");
        assert_eq!(reply.header("content-range"), shown, "{range}");
    }
    let reply = ask(&sluice, "GET", "/digits.txt", "");
    assert_eq!(reply.header("accept-ranges"), Some("bytes"));
}

#[test]
fn range_beyond_the_end() {
    let sluice = site();
    for range in ["bytes=10-", "bytes=100-200", "bytes=-0"] {
        let reply = ask(&sluice, "GET", "/digits.txt", &format!("Range: {range}\r\n"));
        assert_eq!((reply.status, reply.header("content-range")), (416, Some("bytes */10")), "{range}");
    }
}

#[test]
fn several_ranges() {
    // As parts, or as a whole: both are allowed, a mixture is not.
    let sluice = site();
    let reply = ask(&sluice, "GET", "/digits.txt", "Range: bytes=0-1,8-9\r\n");
    match reply.status {
        200 => assert_eq!(reply.text(), DIGITS),
        206 => assert!(reply.header("content-type").is_some_and(|t| t.starts_with("multipart/byteranges"))),
        other => panic!("{other}: {reply:?}"),
    }
}

#[test]
fn many_ranges_are_no_amplifier() {
    let sluice = site();
    let many: String = (0..500).map(|_| "0-,").collect();
    let reply = ask(&sluice, "GET", "/digits.txt", &format!("Range: bytes={}\r\n", many.trim_end_matches(',')));
    assert!(reply.body.len() < 1000, "{} bytes of a file of ten", reply.body.len());
}

#[test]
fn range_of_a_version_that_is_gone() {
    let sluice = site();
    let reply = ask(&sluice, "GET", "/digits.txt", "Range: bytes=0-3\r\nIf-Range: \"other\"\r\n");
    assert_eq!((reply.status, reply.text().as_str()), (200, DIGITS));
    let etag = reply.header("etag").unwrap().to_owned();
    if !etag.starts_with("W/") {
        let reply = ask(&sluice, "GET", "/digits.txt", &format!("Range: bytes=0-3\r\nIf-Range: {etag}\r\n"));
        assert_eq!((reply.status, reply.text().as_str()), (206, "0123"));
    }
}

#[test]
fn conditional_requests() {
    let sluice = site();
    let first = ask(&sluice, "GET", "/digits.txt", "");
    let etag = first.header("etag").expect("an ETag").to_owned();
    let modified = first.header("last-modified").expect("a Last-Modified").to_owned();
    for headers in [
        format!("If-None-Match: {etag}\r\n"),
        format!("If-None-Match: \"other\", {etag}\r\n"),
        "If-None-Match: *\r\n".to_owned(),
        format!("If-Modified-Since: {modified}\r\n"),
    ] {
        let reply = ask(&sluice, "GET", "/digits.txt", &headers);
        assert_eq!((reply.status, reply.body.len()), (304, 0), "{headers}");
        assert_eq!(reply.header("etag"), Some(etag.as_str()));
    }
    for headers in [
        "If-None-Match: \"other\"\r\n".to_owned(),
        // RFC 9110 section 13.2.2: If-None-Match decides alone.
        format!("If-None-Match: \"other\"\r\nIf-Modified-Since: {modified}\r\n"),
        "If-Modified-Since: Thu, 01 Jan 1970 00:00:00 GMT\r\n".to_owned(),
        "If-Modified-Since: nonsense\r\n".to_owned(),
    ] {
        assert_eq!(ask(&sluice, "GET", "/digits.txt", &headers).status, 200, "{headers}");
    }
    let reply = ask(&sluice, "GET", "/digits.txt", "If-Match: \"other\"\r\n");
    assert_eq!(reply.status, 412);
    let reply = ask(&sluice, "GET", "/digits.txt", "If-Unmodified-Since: Thu, 01 Jan 1970 00:00:00 GMT\r\n");
    assert_eq!(reply.status, 412);
}

#[test]
fn changed_file_has_another_tag() {
    let sluice = site();
    let before = ask(&sluice, "GET", "/digits.txt", "").header("etag").unwrap().to_owned();
    sluice.write("public/digits.txt", "9876543210!");
    let reply = ask(&sluice, "GET", "/digits.txt", &format!("If-None-Match: {before}\r\n"));
    assert_eq!((reply.status, reply.text().as_str()), (200, "9876543210!"));
}

#[test]
fn head_of_a_file() {
    let sluice = site();
    let reply = ask(&sluice, "HEAD", "/digits.txt", "");
    assert_eq!((reply.status, reply.header("content-length")), (200, Some("10")));
}

#[test]
fn other_methods_are_405() {
    let sluice = site();
    for method in ["POST", "PUT", "DELETE"] {
        let reply = ask(&sluice, method, "/digits.txt", "Content-Length: 0\r\n");
        assert_eq!(reply.status, 405, "{method}");
        let allow = reply.header("allow").expect("Allow");
        assert!(allow.contains("GET") && allow.contains("HEAD"), "{allow}");
    }
}

#[test]
fn fallback_for_what_is_not_there() {
    let route = "site a.test {\n    http allowed\n    else -> files \"public\" fallback /index.html\n}\n";
    let sluice =
        Sluice::setup().file("a.route", route).file("public/index.html", PAGE).file("public/x.txt", "x").start();
    for path in ["/deep/link", "/", "/nope.js"] {
        let reply = sluice.get("a.test", path);
        assert_eq!((reply.status, reply.text().as_str()), (200, PAGE), "{path}");
    }
    assert_eq!(sluice.get("a.test", "/x.txt").text(), "x");
}

#[test]
fn other_index() {
    let route = "site a.test {\n    http allowed\n    else -> files \"public\" index \"start.txt\"\n}\n";
    let sluice = Sluice::setup().file("a.route", route).file("public/start.txt", "start").start();
    assert_eq!(sluice.get("a.test", "/").text(), "start");
}

#[test]
fn files_below_a_prefix() {
    let route = "site a.test {\n    http allowed\n    /static/*rest -> files \"public\" at /{rest}\n    else -> respond 404\n}\n";
    let sluice =
        Sluice::setup().file("a.route", route).file("public/x.txt", "x").file("public/with space.txt", "y").start();
    assert_eq!(sluice.get("a.test", "/static/x.txt").text(), "x");
    assert_eq!(sluice.get("a.test", "/static/with%20space.txt").text(), "y");
    assert_eq!(sluice.get("a.test", "/x.txt").status, 404);
}

#[test]
fn directory_outside_the_files_own_is_refused() {
    // LANGUAGE rule 27: resolved inside the route file's folder.
    let route = "site a.test {\n    http allowed\n    else -> files \"../..\"\n}\n";
    let sluice = Sluice::setup()
        .file("sub/a.route", route)
        .file("b.route", "site b.test {\n    http allowed\n    else -> respond 200 \"b\"\n}\n")
        .start();
    let reply = sluice.get("a.test", "/gateway.route");
    assert!(reply.status >= 400, "{reply:?}");
    assert_eq!(sluice.get("b.test", "/").text(), "b");
}

#[test]
fn large_file_is_streamed() {
    let route = "site a.test {\n    http allowed\n    else -> files \"public\"\n}\n";
    let setup = Sluice::setup().file("a.route", route);
    let path = setup.sites().join("public/large.bin");
    write(&path, "");
    let size = 512 << 20;
    std::fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(size).unwrap();
    let sluice = setup.start();
    assert_eq!(sluice.get("a.test", "/nope").status, 404);
    let before = sluice.rss();
    let mut wire: Wire = sluice.wire();
    wire.send("GET /large.bin HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n");
    assert_eq!(wire.head().unwrap().header("content-length"), Some(size.to_string().as_str()));
    assert_eq!(wire.drain() as u64, size);
    let after = sluice.rss();
    assert!(after < before + (24 << 20), "memory grew from {before} to {after}");
}

#[test]
fn respond_with_a_file() {
    let route = "site a.test {\n    http allowed\n    else -> respond 503 file \"sorry.html\"\n}\n";
    let sluice = Sluice::setup().file("a.route", route).file("sorry.html", "<p>sorry").start();
    let reply = sluice.get("a.test", "/x");
    assert_eq!((reply.status, reply.text().as_str()), (503, "<p>sorry"));
    assert!(reply.header("content-type").is_some_and(|t| t.starts_with("text/html")));
}
