//! Bodies and trailers on streams: windows are kept both ways, and nobody holds up the others.

use super::origin::{H2Origin, read, say, send};
use super::{client, h2c, run, speaking, until};
use crate::support::{Reply, Rig};
use bytes::Bytes;
use dsl::tree::ir::Protocol;
use h2::RecvStream;
use http::{HeaderMap, Request, Response};
use std::io::{ErrorKind, Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::Semaphore;

/// Sends back what it reads, piece by piece, and the trailers under another name.
fn echo() -> H2Origin {
    H2Origin::new(|request, mut respond| async move {
        let (parts, mut body) = request.into_parts();
        let mut response = Response::builder();
        if let Some(trailer) = parts.headers.get("trailer") {
            response = response.header("trailer", trailer);
        }
        let mut answer = respond.send_response(response.body(()).unwrap(), false).unwrap();
        while let Some(Ok(data)) = body.data().await {
            let _ = body.flow_control().release_capacity(data.len());
            if send(&mut answer, data, false).await.is_none() {
                return;
            }
        }
        let trailers = body.trailers().await.ok().flatten().unwrap_or_default();
        answer.send_trailers(trailers).unwrap();
    })
}

fn trailers(name: &'static str, value: &'static str) -> HeaderMap {
    HeaderMap::from_iter([(name.parse().unwrap(), value.parse().unwrap())])
}

#[test]
fn both_directions_of_a_stream_are_open_at_once() {
    let origin = echo();
    let rig = Rig::new(vec![h2c(origin.address)]);
    run(async {
        let mut sender = client(&rig).await;
        let request = Request::post("http://a.test/").header("te", "trailers").body(()).unwrap();
        let (response, mut body) = sender.send_request(request, false).unwrap();
        body.send_data(Bytes::from_static(b"one"), false).unwrap();
        let mut answer = response.await.unwrap().into_body();
        assert_eq!(answer.data().await.unwrap().unwrap(), "one");
        for word in ["two", "three", "four"] {
            body.send_data(Bytes::from_static(word.as_bytes()), false).unwrap();
            assert_eq!(answer.data().await.unwrap().unwrap(), word);
        }
        body.send_trailers(trailers("x-sum", "4")).unwrap();
        assert!(answer.data().await.is_none());
        assert_eq!(answer.trailers().await.unwrap().unwrap()["x-sum"], "4");
    });
    assert_eq!(origin.seen.lock().unwrap()[0].headers["te"], "trailers");
}

#[test]
fn trailers_pass_between_http1_and_http2() {
    let origin = echo();
    let rig = Rig::new(vec![h2c(origin.address)]);
    let mut tcp = rig.connect();
    tcp.write_all(
        b"POST / HTTP/1.1\r\nHost: a.test\r\nTE: trailers\r\nConnection: te\r\nTrailer: x-sum\r\n\
        Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-Sum: 3\r\n\r\n",
    )
    .unwrap();
    let reply = Reply::read(&mut tcp);
    assert_eq!(reply.header("transfer-encoding"), Some("chunked"));
    assert_eq!(reply.text(), "abc\0x-sum: 3");
}

#[test]
fn large_bodies_go_through_whole() {
    let origin = echo();
    let rig = Rig::new(vec![h2c(origin.address)]);
    let mut sent = vec![0_u8; 4 << 20];
    for (n, byte) in sent.iter_mut().enumerate() {
        *byte = (n % 251) as u8;
    }
    let mut tcp = rig.connect();
    let mut reader = tcp.try_clone().unwrap();
    let content = sent.clone();
    let writer = std::thread::spawn(move || {
        let head = format!("POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: {}\r\n\r\n", content.len());
        tcp.write_all(head.as_bytes()).unwrap();
        tcp.write_all(&content).unwrap();
    });
    let reply = Reply::read(&mut reader);
    writer.join().unwrap();
    assert!(reply.body == sent, "{} bytes", reply.body.len());
}

#[test]
fn an_upload_is_taken_no_faster_than_the_origin_reads() {
    let gate = Arc::new(Semaphore::new(0));
    let opened = Arc::clone(&gate);
    let origin = H2Origin::new(move |request, respond| {
        let gate = Arc::clone(&opened);
        async move {
            let mut body: RecvStream = request.into_body();
            gate.acquire().await.unwrap().forget();
            let (all, _) = read(&mut body).await.unwrap();
            say(respond, if all.len() == 8 << 20 { "whole" } else { "cut" });
        }
    });
    let rig = Rig::new(vec![h2c(origin.address)]);
    let mut tcp = rig.connect();
    tcp.write_all(b"POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 8388608\r\n\r\n").unwrap();
    tcp.set_nonblocking(true).unwrap();
    let (piece, mut sent) = (vec![7_u8; 64 * 1024], 0);
    // Until nothing was taken for a while: what lies in sockets is the system's.
    let mut still = 0;
    while still < 60 && sent < 8 << 20 {
        match tcp.write(&piece[..piece.len().min((8 << 20) - sent)]) {
            Ok(n) => (sent, still) = (sent + n, 0),
            Err(e) if e.kind() == ErrorKind::WouldBlock => {
                still += 1;
                std::thread::sleep(Duration::from_millis(5));
            }
            Err(e) => panic!("{e}"),
        }
    }
    assert!(sent < 7 << 20, "all of it was taken");
    gate.add_permits(1);
    tcp.set_nonblocking(false).unwrap();
    while sent < 8 << 20 {
        sent += tcp.write(&piece[..piece.len().min((8 << 20) - sent)]).unwrap();
    }
    assert_eq!(Reply::read(&mut tcp).text(), "whole");
}

#[test]
fn clients_who_take_nothing_hold_up_nobody() {
    let moved = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&moved);
    let origin = H2Origin::new(move |request, mut respond| {
        let moved = Arc::clone(&count);
        async move {
            if request.uri().path() == "/small" {
                return say(respond, "small");
            }
            let mut body = respond.send_response(Response::new(()), false).unwrap();
            for n in 0..1024 {
                if send(&mut body, Bytes::from(vec![1; 16 * 1024]), n == 1023).await.is_none() {
                    return;
                }
                moved.fetch_add(16 * 1024, Ordering::SeqCst);
            }
        }
    });
    let rig = Rig::new(vec![h2c(origin.address)]);
    let mut stalled: Vec<_> = (0..20)
        .map(|n| {
            let mut tcp = rig.connect();
            write!(tcp, "GET /large/{n} HTTP/1.1\r\nHost: a.test\r\n\r\n").unwrap();
            tcp
        })
        .collect();
    until("all arrived", || origin.seen.lock().unwrap().len() == 20);
    // Until nothing moves any more.
    until("the origin is stopped", || {
        let now = moved.load(Ordering::SeqCst);
        std::thread::sleep(Duration::from_millis(100));
        now == moved.load(Ordering::SeqCst) && now > 0
    });
    assert!(moved.load(Ordering::SeqCst) < 20 * (16 << 20), "everything was taken");
    assert_eq!(rig.get("/small").text(), "small");
    assert_eq!(origin.connections(), 1);
    // One of them wakes up, and gets the rest.
    let mut first = stalled.remove(0);
    let head = crate::support::read_head(&mut first);
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    let mut read = 0;
    let mut piece = vec![0; 64 * 1024];
    while read < 16 << 20 {
        match first.read(&mut piece).unwrap() {
            0 => panic!("it ended after {read} bytes"),
            n => read += n,
        }
    }
}

#[test]
fn an_origin_that_answers_early_wants_no_more_of_the_request() {
    let origin = H2Origin::new(|_, respond| async { say(respond, "no thanks") });
    let rig = Rig::new(vec![h2c(origin.address)]);
    let mut tcp = rig.connect();
    tcp.write_all(b"POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 1000000\r\n\r\nthe first bytes").unwrap();
    let reply = Reply::read(&mut tcp);
    assert_eq!((reply.status, reply.text()), (200, "no thanks"));
    assert_eq!(rig.get("/").status, 200);
}

#[test]
fn grpc_goes_by_http2_and_says_te() {
    let origin = H2Origin::new(|request, mut respond| async move {
        let (_, mut body) = request.into_parts();
        let (message, _) = read(&mut body).await.unwrap();
        let response = Response::builder().header("content-type", "application/grpc").body(()).unwrap();
        let mut answer = respond.send_response(response, false).unwrap();
        answer.send_data(Bytes::from(message), false).unwrap();
        answer.send_trailers(trailers("grpc-status", "0")).unwrap();
    });
    let rig = Rig::new(vec![speaking(Protocol::Grpc, &[origin.address])]);
    run(async {
        let mut sender = client(&rig).await;
        let request = Request::post("http://a.test/p.S/M").header("content-type", "application/grpc").body(()).unwrap();
        let (response, mut body) = sender.send_request(request, false).unwrap();
        body.send_data(Bytes::from_static(b"\0\0\0\0\x02hi"), true).unwrap();
        let response = response.await.unwrap();
        let mut answer = response.into_body();
        assert_eq!(answer.data().await.unwrap().unwrap(), "\0\0\0\0\x02hi");
        assert_eq!(answer.trailers().await.unwrap().unwrap()["grpc-status"], "0");
    });
    assert_eq!(origin.seen.lock().unwrap()[0].headers["te"], "trailers");
}
