//! What a service says beside its no, taken whole before the client gets it (`respond verdict`).

use crate::edge::relayed::Relayed;
use crate::http::body::OriginBody;
use crate::http::client::Client;
use crate::http::forward::Answered;
use crate::http::headers;
use crate::runtime::notice::Notice;
use crate::runtime::ticks::within;
use bytes::{Bytes, BytesMut};
use dsl::tree::ir::Call;
use http::HeaderMap;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, HeaderName, TRAILER};
use hyper::body::Body;
use std::future::poll_fn;
use std::task::{Poll, ready};

/// Bytes of a body that are passed on.
const MOST: usize = 64 * 1024;
/// What speaks of a body that is left away.
const OF_BODY: [HeaderName; 6] = [
    CONTENT_TYPE,
    CONTENT_ENCODING,
    CONTENT_RANGE,
    ETAG,
    HeaderName::from_static("content-digest"),
    HeaderName::from_static("repr-digest"),
];

/// Takes an answer, within so many milliseconds. The no stands whatever becomes of its body: one that is too long, late
/// or broken off is left away, and the operator is told.
pub(super) async fn hear(client: &Client, call: &Call, (response, lease): Answered, left_ms: u64) -> Relayed {
    let (parts, incoming) = response.into_parts();
    let (status, mut headers) = (parts.status, parts.headers);
    headers::remove_answer_hops(&mut headers);
    for name in [CONTENT_LENGTH, TRAILER] {
        headers.remove(name);
    }
    let length = incoming.size_hint().lower();
    // Silence ends with the time for all of it.
    let mut body = OriginBody::new(incoming, lease, u64::MAX);
    let taken = match within(&client.worker.ticks, left_ms, taken(&mut body, length)).await {
        Some(taken) => taken,
        None => Err("did not come in time"),
    };
    let body = taken.unwrap_or_else(|why| {
        let reason = || format!("the body of its answer {why}; clients get the answer without it");
        let notice = || Notice::CallFailed { call: call.shown.to_string(), reason: reason() };
        client.worker.tell_once(&call.shown, notice);
        left_away(&mut headers);
        Bytes::new()
    });
    Relayed { status, headers, body }
}

/// All of a body that has so many bytes at least; in words why not.
async fn taken(body: &mut OriginBody, length: u64) -> Result<Bytes, &'static str> {
    const TOO_LONG: &str = "has more than 64 KiB";
    if body.is_empty() {
        return Ok(Bytes::new());
    }
    if length > MOST as u64 {
        return Err(TOO_LONG);
    }
    let mut all = BytesMut::new();
    poll_fn(|cx| {
        loop {
            match ready!(body.poll_frame(cx)) {
                Some(Ok(frame)) => {
                    // Trailers are not passed on.
                    let Some(data) = frame.data_ref() else { continue };
                    if all.len() + data.len() > MOST {
                        return Poll::Ready(Err(TOO_LONG));
                    }
                    all.extend_from_slice(data);
                }
                Some(Err(_)) => return Poll::Ready(Err("broke off")),
                None => return Poll::Ready(Ok(())),
            }
        }
    })
    .await
    .map(|()| all.freeze())
}

fn left_away(headers: &mut HeaderMap) {
    for name in OF_BODY {
        headers.remove(name);
    }
}
