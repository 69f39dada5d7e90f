//! Files over HTTP/1.

use super::support::{Reply, Rig, plan, site};
use dsl::tree::ir::Answer;
use std::fs;
use std::io::Write;

fn rig(fallback: Option<&str>) -> Rig {
    let files = Answer::Files {
        dir: "public".into(),
        index: "index.html".into(),
        fallback: fallback.map(Into::into),
        at: None,
    };
    let page = Answer::RespondFile { status: 503, path: "public/down.html".into(), content_type: None };
    let missing = Answer::RespondFile { status: 200, path: "public/none".into(), content_type: None };
    let routes = vec![("/*", plan(files)), ("/down", plan(page)), ("/missing", plan(missing))];
    let rig = Rig::new(vec![site(routes, Vec::new())]);
    let public = rig.dir.join("public");
    fs::create_dir_all(public.join("sub")).unwrap();
    fs::create_dir_all(public.join(".well-known")).unwrap();
    fs::write(rig.dir.join("secret.txt"), "secret").unwrap();
    fs::write(public.join("index.html"), "index").unwrap();
    fs::write(public.join("sub/index.html"), "sub").unwrap();
    fs::write(public.join("a.txt"), "0123456789").unwrap();
    fs::write(public.join(".env"), "secret").unwrap();
    fs::write(public.join(".well-known/security.txt"), "contact").unwrap();
    fs::write(public.join("down.html"), "down").unwrap();
    fs::write(public.join("big.bin"), vec![7; 1_000_000]).unwrap();
    std::os::unix::fs::symlink("../secret.txt", public.join("out.txt")).unwrap();
    std::os::unix::fs::symlink("a.txt", public.join("in.txt")).unwrap();
    rig
}

fn with(rig: &Rig, method: &str, path: &str, headers: &str) -> Reply {
    rig.ask(&format!("{method} {path} HTTP/1.1\r\nHost: a.test\r\n{headers}\r\n"))
}

#[test]
fn files_indices_and_directories() {
    let rig = rig(None);
    let reply = rig.get("/a.txt");
    assert_eq!((reply.status, reply.text()), (200, "0123456789"));
    assert_eq!(reply.header("content-type"), Some("text/plain; charset=utf-8"));
    assert_eq!(reply.header("accept-ranges"), Some("bytes"));
    assert!(reply.header("etag").is_some() && reply.header("last-modified").is_some());
    assert_eq!(rig.get("/").text(), "index");
    assert_eq!(rig.get("/sub/").text(), "sub");
    let slashed = rig.get("/sub?q=1");
    assert_eq!((slashed.status, slashed.header("location")), (308, Some("/sub/?q=1")));
    assert_eq!(rig.get("/in.txt").text(), "0123456789");
    assert_eq!(rig.get("/.well-known/security.txt").text(), "contact");
    assert_eq!(rig.get("/big.bin").body.len(), 1_000_000);
}

#[test]
fn path_traversal_and_hidden_files() {
    let rig = rig(None);
    for path in ["/none", "/.env", "/sub/.env", "/out.txt", "/a.txt/", "/a.txt/x", "/.well-known/", "/sub/%2e/x/.env"] {
        let reply = rig.get(path);
        assert_eq!(reply.status, 404, "{path}: {reply:?}");
        assert!(!reply.text().contains("secret"));
    }
    for path in ["/../secret.txt", "/%2e%2e/secret.txt", "/..%2fsecret.txt", "/sub/..%5c..%5csecret.txt"] {
        assert_eq!(rig.get(path).status, 400, "{path}");
    }
}

#[test]
fn only_get_and_head() {
    let rig = rig(None);
    let reply = with(&rig, "DELETE", "/a.txt", "");
    assert_eq!((reply.status, reply.header("allow")), (405, Some("GET, HEAD")));
    let mut stream = rig.connect();
    stream
        .write_all(b"HEAD /a.txt HTTP/1.1\r\nHost: a.test\r\n\r\nGET /a.txt HTTP/1.1\r\nHost: a.test\r\n\r\n")
        .unwrap();
    let head = super::support::read_head(&mut stream);
    assert!(head.contains("content-length: 10\r\n"), "{head}");
    assert_eq!(Reply::read(&mut stream).text(), "0123456789");
}

#[test]
fn ranges_and_conditions() {
    let rig = rig(None);
    let part = with(&rig, "GET", "/a.txt", "Range: bytes=2-4\r\n");
    assert_eq!((part.status, part.text()), (206, "234"));
    assert_eq!(part.header("content-range"), Some("bytes 2-4/10"));
    let beyond = with(&rig, "GET", "/a.txt", "Range: bytes=10-\r\n");
    assert_eq!((beyond.status, beyond.header("content-range")), (416, Some("bytes */10")));
    let tail = with(&rig, "GET", "/big.bin", "Range: bytes=-300000\r\n");
    assert_eq!((tail.status, tail.body.len()), (206, 300_000));
    let etag = rig.get("/a.txt").header("etag").unwrap().to_owned();
    let same = with(&rig, "GET", "/a.txt", &format!("If-None-Match: {etag}\r\n"));
    assert_eq!((same.status, same.header("etag")), (304, Some(&*etag)));
    let since = rig.get("/a.txt").header("last-modified").unwrap().to_owned();
    assert_eq!(with(&rig, "GET", "/a.txt", &format!("If-Modified-Since: {since}\r\n")).status, 304);
    let stale = with(&rig, "GET", "/a.txt", "If-Range: \"x\"\r\nRange: bytes=2-4\r\n");
    assert_eq!((stale.status, stale.text()), (200, "0123456789"));
}

#[test]
fn a_fallback_is_served_for_what_is_not_there() {
    let rig = rig(Some("/index.html"));
    let reply = rig.get("/app/route");
    assert_eq!((reply.status, reply.text()), (200, "index"));
    assert_eq!(reply.header("content-type"), Some("text/html; charset=utf-8"));
}

#[test]
fn one_file_may_be_an_answer() {
    let rig = rig(None);
    let reply = rig.get("/down");
    assert_eq!((reply.status, reply.text()), (503, "down"));
    assert_eq!(rig.get("/missing").status, 500);
    assert!(rig.notice().contains("public/none"));
}
