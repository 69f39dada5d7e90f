//! gRPC, and gRPC-Web that is translated to it.

use super::origin::{H2Origin, read, say, send};
use super::{client, run, speaking};
use crate::support::{Reply, Rig, read_head};
use bytes::Bytes;
use dsl::tree::ir::Protocol;
use http::{HeaderMap, Request, Response};
use std::io::{Read, Write};
use std::sync::Arc;
use tokio::sync::Semaphore;

fn trailers(status: &'static str) -> HeaderMap {
    HeaderMap::from_iter([("grpc-status".parse().unwrap(), status.parse().unwrap())])
}

/// Sends back the messages that it gets; `/empty` has trailers only, `/late` no answer.
fn service() -> H2Origin {
    H2Origin::new(|request, mut respond| async move {
        let (parts, mut body) = request.into_parts();
        let response = Response::builder().header("content-type", "application/grpc+proto");
        match parts.uri.path() {
            "/empty" => {
                let response = response.header("grpc-status", "5").body(()).unwrap();
                respond.send_response(response, true).unwrap();
            }
            "/late" => {
                let _ = std::future::poll_fn(|cx| respond.poll_reset(cx)).await;
            }
            _ => {
                let Some((all, _)) = read(&mut body).await else { return };
                let mut answer = respond.send_response(response.body(()).unwrap(), false).unwrap();
                send(&mut answer, Bytes::from(all), false).await.unwrap();
                answer.send_trailers(trailers("0")).unwrap();
            }
        }
    })
}

fn rig(origin: &H2Origin) -> Rig {
    Rig::new(vec![speaking(Protocol::Grpc, &[origin.address])])
}

#[test]
fn web_messages_go_as_they_are_and_trailers_are_one() {
    let origin = service();
    let rig = rig(&origin);
    let message = "\0\0\0\0\x02hi";
    let head = format!(
        "POST /p.S/M HTTP/1.1\r\nHost: a.test\r\nContent-Type: application/grpc-web+proto\r\nX-Grpc-Web: 1\r\n\
        Content-Length: {}\r\n\r\n{message}",
        message.len()
    );
    let reply = rig.ask(&head);
    assert_eq!((reply.status, reply.header("content-type")), (200, Some("application/grpc-web+proto")));
    assert_eq!(reply.header("trailer"), None);
    assert_eq!(reply.body, [message.as_bytes(), b"\x80\0\0\0\x10grpc-status: 0\r\n"].concat());
    let seen = origin.seen.lock().unwrap();
    assert_eq!(seen[0].headers["content-type"], "application/grpc+proto");
    assert_eq!(seen[0].headers["te"], "trailers");
}

#[test]
fn web_text_is_base64_both_ways() {
    let origin = service();
    let rig = rig(&origin);
    // "\0\0\0\0\x02hi", in two pieces that are padded each.
    let text = "AAAAAA==Amhp";
    let head = format!(
        "POST /p.S/M HTTP/1.1\r\nHost: a.test\r\nContent-Type: application/grpc-web-text\r\nContent-Length: {}\r\n\r\n{text}",
        text.len()
    );
    let reply = rig.ask(&head);
    assert_eq!(reply.header("content-type"), Some("application/grpc-web-text+proto"));
    // The message, then `\x80\0\0\0\x10grpc-status: 0\r\n`.
    assert_eq!(reply.text(), "AAAAAAJoaQ==gAAAABBncnBjLXN0YXR1czogMA0K");
    let reply = rig.ask(&head.replace(text, "AAAA!A==Amhp"));
    assert_eq!(reply.status, if reply.header("grpc-status").is_some() { 200 } else { 400 });
    assert_eq!(
        rig.ask("POST /empty HTTP/1.1\r\nHost: a.test\r\nContent-Type: application/grpc-web\r\n\r\n")
            .header("grpc-status"),
        Some("5")
    );
}

#[test]
fn web_over_http2_works_alike() {
    let origin = service();
    let rig = rig(&origin);
    run(async {
        let mut sender = client(&rig).await;
        let request =
            Request::post("http://a.test/p.S/M").header("content-type", "application/grpc-web").body(()).unwrap();
        let (response, mut body) = sender.send_request(request, false).unwrap();
        body.send_data(Bytes::from_static(b"\0\0\0\0\x02hi"), true).unwrap();
        let mut answer = response.await.unwrap().into_body();
        let (all, none) = read(&mut answer).await.unwrap();
        assert_eq!(all, b"\0\0\0\0\x02hi\x80\0\0\0\x10grpc-status: 0\r\n");
        assert_eq!(none, None);
    });
}

#[test]
fn an_http1_client_gets_the_trailers_that_it_asks_for() {
    let origin = service();
    let rig = rig(&origin);
    let mut tcp = rig.connect();
    tcp.write_all(
        b"POST /p.S/M HTTP/1.1\r\nHost: a.test\r\nContent-Type: application/grpc\r\nTE: trailers\r\nConnection: te\r\n\
        Content-Length: 7\r\n\r\n\0\0\0\0\x02hi",
    )
    .unwrap();
    let reply = Reply::read(&mut tcp);
    assert!(reply.header("trailer").is_some_and(|listed| listed.contains("grpc-status")));
    assert_eq!(reply.body, b"\0\0\0\0\x02hi\0grpc-status: 0");
}

#[test]
fn a_deadline_is_passed_on_and_kept() {
    let origin = service();
    let rig = rig(&origin);
    run(async {
        let mut sender = client(&rig).await;
        let request = Request::post("http://a.test/late")
            .header("content-type", "application/grpc")
            .header("grpc-timeout", "300m")
            .body(())
            .unwrap();
        let (response, mut body) = sender.send_request(request, false).unwrap();
        body.send_data(Bytes::from_static(b"\0\0\0\0\0"), true).unwrap();
        let response = response.await.unwrap();
        // DEADLINE_EXCEEDED, long before the 30 s that hold without it.
        assert_eq!((response.status().as_u16(), &response.headers()["grpc-status"]), (200, &"4".parse().unwrap()));
        assert!(response.into_body().is_end_stream());
    });
    let told = origin.seen.lock().unwrap()[0].headers["grpc-timeout"].to_str().unwrap().to_owned();
    let left: u32 = told.strip_suffix('m').unwrap().parse().unwrap();
    assert!(left <= 300, "{told}");
}

#[test]
fn forged_trailers_are_refused() {
    let origin = service();
    let rig = rig(&origin);
    run(async {
        let mut sender = client(&rig).await;
        for name in ["x-forwarded-for", "host", "authorization", "x_real_ip", "forwarded"] {
            let request = Request::post("http://a.test/p").header("content-type", "application/grpc").body(()).unwrap();
            let (response, mut body) = sender.send_request(request, false).unwrap();
            body.send_data(Bytes::from_static(b"\0\0\0\0\0"), false).unwrap();
            let forged = HeaderMap::from_iter([(name.parse().unwrap(), "10.0.0.1".parse().unwrap())]);
            body.send_trailers(forged).unwrap();
            match response.await {
                Ok(response) => assert!(
                    response.status() == 400 || response.headers().get("grpc-status").is_some_and(|s| s == "13"),
                    "{name}: {response:?}"
                ),
                Err(e) => assert!(e.is_reset(), "{name}: {e}"),
            }
        }
    });
    let mut tcp = rig.connect();
    tcp.write_all(
        b"POST /p HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX-Forwarded-For: 1.2.3.4\r\n\r\n",
    )
    .unwrap();
    assert!(read_head(&mut tcp).starts_with("HTTP/1.1 400"));
    let _ = tcp.read(&mut [0]);
}

#[test]
fn small_messages_may_wait_for_a_slow_origin() {
    // More of them than a connection would bear that counts them against a flood (h2's budget for frames).
    const MESSAGES: usize = 12_000;
    let gate = Arc::new(Semaphore::new(0));
    let opened = Arc::clone(&gate);
    let mut builder = h2::server::Builder::new();
    builder.data_frame_budget(1 << 30);
    let origin = H2Origin::with(builder, None, move |request, mut respond| {
        let gate = Arc::clone(&opened);
        async move {
            if request.uri().path() == "/ping" {
                return say(respond, "pong");
            }
            gate.acquire().await.unwrap().forget();
            let mut body = request.into_body();
            let (all, _) = read(&mut body).await.unwrap();
            let response = Response::builder().header("content-type", "application/grpc").body(()).unwrap();
            let mut answer = respond.send_response(response, false).unwrap();
            let count = HeaderMap::from_iter([("x-count".parse().unwrap(), (all.len() / 15).into())]);
            answer.send_trailers(count).unwrap();
        }
    });
    let rig = rig(&origin);
    run(async {
        let mut sender = client(&rig).await;
        let request = Request::post("http://a.test/p").header("content-type", "application/grpc").body(()).unwrap();
        let (response, mut body) = sender.send_request(request, false).unwrap();
        for n in 0..MESSAGES {
            let message = Bytes::from_static(b"\0\0\0\0\x0aten bytes.");
            body.reserve_capacity(15);
            body.send_data(message, n + 1 == MESSAGES).unwrap();
            if n % 100 == 0 {
                tokio::task::yield_now().await;
            }
        }
        // What comes behind them on the connection is answered: they have arrived.
        for _ in 0..2 {
            let ping = Request::get("http://a.test/ping").body(()).unwrap();
            let (pong, _) = sender.send_request(ping, true).unwrap();
            assert_eq!(pong.await.unwrap().status(), 200);
        }
        gate.add_permits(1);
        let mut answer = response.await.unwrap().into_body();
        let (_, count) = read(&mut answer).await.unwrap();
        assert_eq!(count.unwrap()["x-count"], "12000");
    });
}
