//! The HTTP/1 server of a connection: hyper behind the gate.

use super::client::Client;
use super::exchange;
use super::gate::{Gate, Limits, Link, Patience, Transport};
use bytes::BytesMut;
use hyper::server::conn::http1::Builder;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;

/// The most that hyper buffers of a request or an answer: large enough for few system calls,
/// small enough for many connections.
const BUFFER: usize = 128 * 1024;

/// Serves a connection to its end. `seen` was read from it already.
pub async fn serve<S: Transport + 'static>(client: Rc<Client>, io: S, seen: BytesMut) {
    let worker = Rc::clone(&client.worker);
    let (limits, patience) = {
        let limits = &worker.snapshot().gateway.limits;
        let head = usize::try_from(limits.header_bytes).unwrap_or(usize::MAX).min(BUFFER / 2);
        let patience = Patience { head_ms: limits.header_ms, idle_ms: limits.keep_alive_ms };
        (Limits::with_head(head), patience)
    };
    let link = Link::new(&worker.ticks, patience);
    let gate = Gate::new(io, seen, limits, Rc::clone(&link));
    let service = service_fn(move |request| exchange::http1(&client, &link, request));
    let mut connection = Builder::new()
        .half_close(false)
        .keep_alive(true)
        .max_buf_size(BUFFER)
        // The gate has its own deadlines, which need no timer each.
        .header_read_timeout(None)
        .serve_connection(TokioIo::new(gate), service);
    let mut draining = false;
    // An error is the client's leaving or the end of an answer that broke off: told elsewhere.
    let _ = poll_fn(|cx| {
        if !draining && worker.draining() {
            draining = true;
            Pin::new(&mut connection).graceful_shutdown();
        }
        Pin::new(&mut connection).poll(cx)
    })
    .await;
}
