//! The gate against hyper (DESIGN invariant 8): whatever the gate lets through, hyper reads as exactly
//! the requests that the gate saw in it. Where they disagreed, a request could be hidden in another.

use super::{Random, cases, corpus};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use sluice::http::gate::{Limits, Reason, Scanner};
use std::cell::RefCell;
use std::convert::Infallible;
use tokio::runtime::Runtime;

/// What the gate says of a stream.
#[derive(Debug, PartialEq, Eq)]
struct Verdict {
    passed: Vec<u8>,
    heads: u64,
    refused: Option<Reason>,
    /// Whether it ends between two requests.
    whole: bool,
}

/// Shows the gate a stream in pieces of these sizes.
fn judge(input: &[u8], mut piece: impl FnMut() -> usize) -> Verdict {
    let mut scanner = Scanner::new(Limits::default());
    let (mut passed, mut waiting) = (Vec::new(), Vec::new());
    let mut rest = input;
    let mut refused = None;
    while refused.is_none() && !rest.is_empty() {
        let (now, later) = rest.split_at(piece().clamp(1, rest.len()));
        rest = later;
        waiting.extend_from_slice(now);
        let scan = scanner.scan(&waiting);
        passed.extend(waiting.drain(..scan.accepted));
        refused = scan.refused;
    }
    let whole = refused.is_none() && scanner.at_boundary() && waiting.is_empty();
    Verdict { passed, heads: scanner.heads(), refused, whole }
}

/// What hyper makes of bytes: for each request whether its body was whole, and whether it may be followed.
fn read(runtime: &Runtime, bytes: &[u8]) -> Vec<(String, bool)> {
    let seen = RefCell::new(Vec::new());
    let service = service_fn(|request: Request<Incoming>| async {
        let line = format!("{} {} {:?}", request.method(), request.uri(), request.version());
        let whole = request.into_body().collect().await.is_ok();
        seen.borrow_mut().push((line, whole));
        Ok::<_, Infallible>(Response::new(String::new()))
    });
    let io = TokioIo::new(tokio::io::join(bytes, tokio::io::sink()));
    let mut server = hyper::server::conn::http1::Builder::new();
    server.half_close(true).pipeline_flush(true).max_headers(100);
    let _ = runtime.block_on(server.serve_connection(io, service));
    seen.into_inner()
}

/// Whether some request of the stream ends the connection: what follows it is nobody's.
fn ends_early(passed: &[u8]) -> bool {
    let text = String::from_utf8_lossy(passed).to_ascii_lowercase();
    text.contains("close") || text.contains("http/1.0") || text.contains("upgrade")
}

#[track_caller]
fn agree(runtime: &Runtime, input: &[u8], random: &mut Random) {
    let shown = || input.escape_ascii().to_string();
    let verdict = judge(input, || usize::MAX);
    // In pieces or at once: the same heads, and a refusal of the same kind.
    let pieces = judge(input, || random.below(7) + 1);
    assert_eq!((pieces.heads >= verdict.heads, pieces.refused), (true, verdict.refused), "in pieces: {}", shown());
    let seen = read(runtime, &verdict.passed);
    let heads = usize::try_from(verdict.heads).unwrap();
    assert!(seen.len() <= heads, "hyper sees more than the gate: {seen:?} in {}", shown());
    if verdict.whole && !ends_early(&verdict.passed) {
        assert_eq!(seen.len(), heads, "hyper sees less than the gate: {seen:?} in {}", shown());
        assert!(seen.iter().all(|(_, whole)| *whole), "hyper sees a broken body: {seen:?} in {}", shown());
    }
}

const WORDS: &[&str] = &[
    "\r\n",
    "\n",
    "\r",
    "\r\n\r\n",
    " ",
    "\t",
    ":",
    ";",
    ",",
    "0\r\n\r\n",
    "5\r\nhello\r\n",
    "Transfer-Encoding: chunked\r\n",
    "Transfer-Encoding: identity\r\n",
    "Content-Length: 5\r\n",
    "Content-Length: 0\r\n",
    "Host: b.test\r\n",
    "Connection: close\r\n",
    "Expect: 100-continue\r\n",
    "chunked",
    "HTTP/1.0",
    "HTTP/1.1",
    "GET ",
    "POST ",
    "\r\n ",
    "+",
    "0x",
    "fffffffffffffffff",
    "GET /smuggled HTTP/1.1\r\nHost: a.test\r\n\r\n",
];

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().build().unwrap()
}

#[test]
fn gate_corpus_is_replayed() {
    let (runtime, mut random) = (runtime(), Random(7));
    let corpus = corpus("gate");
    assert!(corpus.len() >= 10);
    for (_, input) in corpus {
        agree(&runtime, &input, &mut random);
    }
}

#[test]
fn gate_and_hyper_agree() {
    let (runtime, mut random) = (runtime(), Random(0x5109_1ce5_ca1e_d00d));
    let corpus = corpus("gate");
    let (mut passed, mut refused) = (0, 0);
    for _ in 0..cases() {
        let mut input = corpus[random.below(corpus.len())].1.clone();
        random.change(&mut input, WORDS);
        agree(&runtime, &input, &mut random);
        match judge(&input, || usize::MAX).refused {
            Some(_) => refused += 1,
            None => passed += 1,
        }
    }
    // The generator finds both sides.
    assert!(passed > cases() / 20 && refused > cases() / 20, "{passed} passed, {refused} refused");
}

#[test]
fn a_gate_that_looks_away_is_caught() {
    // The harness itself: without a gate, what hyper mends shows as a disagreement. CL beside TE is one
    // request to hyper and none to the gate.
    let both = &corpus("gate").into_iter().find(|(path, _)| path.ends_with("both.http")).unwrap().1;
    assert_eq!(judge(both, || usize::MAX).heads, 0);
    assert!(!read(&runtime(), both).is_empty());
}
