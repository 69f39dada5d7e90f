//! Streams that origins give up, and whom that is held against.

use super::origin::{H2Origin, say};
use super::{client, get, h2c, run, speaking};
use crate::support::{Rig, pool};
use bytes::Bytes;
use dsl::tree::ir::{self, Protocol};
use h2::Reason;
use http::{Request, Response};
use std::io::{Read, Write};

/// `/call` begins the answer to a call of gRPC and breaks off, `/cut` sends half of an answer of no known length and resets the stream with NO_ERROR, `/no` gives the
/// request up, `/late` never answers, anything else is answered.
fn origin() -> H2Origin {
    H2Origin::new(|request, mut respond| async move {
        match request.uri().path() {
            "/call" => {
                let head = Response::builder().header("content-type", "application/grpc").body(()).unwrap();
                let mut body = respond.send_response(head, false).unwrap();
                body.send_data(Bytes::from_static(b"half"), false).unwrap();
                body.send_reset(Reason::INTERNAL_ERROR);
            }
            "/cut" => {
                let mut body = respond.send_response(Response::new(()), false).unwrap();
                body.send_data(Bytes::from_static(b"half"), false).unwrap();
                // What is reset is not sent any more: it must be on its way.
                while body.capacity() != 0 {
                    tokio::task::yield_now().await;
                }
                body.send_reset(Reason::NO_ERROR);
            }
            "/no" => respond.send_reset(Reason::INTERNAL_ERROR),
            "/late" => {
                let _ = std::future::poll_fn(|cx| respond.poll_reset(cx)).await;
            }
            _ => say(respond, "hi"),
        }
    })
}

#[test]
fn an_answer_that_is_reset_before_its_end_is_no_whole_one() {
    let origin = origin();
    let rig = Rig::new(vec![h2c(origin.address)]);
    run(async {
        let mut sender = client(&rig).await;
        let (response, _) = sender.send_request(get("/cut"), true).unwrap();
        // The head may be lost with the rest; an end in order must not come.
        let Ok(response) = response.await else { return };
        if response.status() == 502 {
            return;
        }
        let mut body = response.into_body();
        loop {
            match body.data().await {
                Some(Ok(data)) => body.flow_control().release_capacity(data.len()).unwrap(),
                Some(Err(_)) => return,
                None => panic!("it ended as if it were whole"),
            }
        }
    });
}

#[test]
fn a_stream_that_is_given_up_is_not_sent_again_unasked() {
    let origin = origin();
    let rig = Rig::new(vec![h2c(origin.address)]);
    assert_eq!(rig.get("/first").text(), "hi");
    for n in 1..=3 {
        assert_eq!(rig.get("/no").status, 502);
        let asked = origin.seen.lock().unwrap().iter().filter(|head| head.uri.path() == "/no").count();
        assert_eq!(asked, n);
    }
    assert_eq!(rig.get("/last-but-one").text(), "hi");
    assert_eq!(origin.connections(), 1, "its connection is well");
}

#[test]
fn a_client_in_a_hurry_ejects_nobody() {
    let origin = origin();
    let mut site = speaking(Protocol::Grpc, &[origin.address]);
    let eject = ir::Eject { failures: Some(2), ratio: None, for_ms: 60_000, up_to: 100 };
    site.pools = vec![
        ir::Pool { protocol: Protocol::Grpc, eject: Some(eject), ..ir::Pool::clone(&pool(&[origin.address])) }.into(),
    ];
    let rig = Rig::new(vec![site]);
    run(async {
        let mut sender = client(&rig).await;
        for _ in 0..6 {
            let request = Request::post("http://a.test/late")
                .header("content-type", "application/grpc")
                .header("te", "trailers")
                .header("grpc-timeout", "1m")
                .body(())
                .unwrap();
            let (response, mut body) = sender.send_request(request, false).unwrap();
            body.send_data(Bytes::from_static(b"\0\0\0\0\0"), true).unwrap();
            let status = response.await.unwrap().headers()["grpc-status"].clone();
            assert_eq!(status, "4");
        }
        let (response, _) = sender.send_request(get("/well"), true).unwrap();
        assert_eq!(response.await.unwrap().status(), 200);
    });
    assert_eq!(origin.connections(), 1, "nor is its connection doubted");
}

/// All that comes of a call by HTTP/1.
fn called(rig: &Rig, more: &str) -> String {
    let mut stream = rig.connect();
    let head = format!(
        "POST /call HTTP/1.1\r\nHost: a.test\r\nContent-Type: application/grpc\r\n{more}Content-Length: 5\r\n\r\n\0\0\0\0\0"
    );
    stream.write_all(head.as_bytes()).unwrap();
    let mut all = Vec::new();
    // It may end by a reset.
    let _ = stream.read_to_end(&mut all);
    String::from_utf8_lossy(&all).into_owned()
}

#[test]
fn a_call_that_breaks_off_ends_in_order_only_where_its_status_arrives() {
    let origin = origin();
    let rig = Rig::new(vec![speaking(Protocol::Grpc, &[origin.address])]);
    // What is reset at once may take the head with it: then there is an answer of the gateway's.
    let told = |all: &str| all.contains("grpc-status: 14");
    let with = called(&rig, "TE: trailers\r\nConnection: TE, close\r\n");
    assert!(told(&with), "{with}");
    let without = called(&rig, "Connection: close\r\n");
    assert!(told(&without) || !without.ends_with("0\r\n\r\n"), "half a call that looks whole: {without}");
}
