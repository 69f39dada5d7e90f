//! The HTTP/1 server of a connection: hyper behind the gate.

use super::client::Client;
use super::exchange;
use super::gate::{Gate, Limits, Link, Patience, Transport};
use super::upgrade::Tunnel;
use crate::runtime::ticks::within;
use crate::runtime::worker::Worker;
use bytes::BytesMut;
use hyper::server::conn::http1::Builder;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use tokio::io::AsyncWriteExt;

/// What hyper buffers of a request or an answer: what slow clients cost, each of which is waited for by a
/// buffer that is full. Twice of it makes nothing faster: how much is read from an origin at once does.
const BUFFER: usize = 64 * 1024;
/// The longest head that a gateway may allow.
const LONGEST_HEAD: usize = 64 * 1024;
/// A client has so long to take the end of a connection.
const SHUT_MS: u64 = 5_000;

/// Serves a connection to its end. `seen` was read from it already.
pub async fn serve<S: Transport + 'static>(client: Rc<Client>, io: S, seen: BytesMut) {
    let worker = Rc::clone(&client.worker);
    let (limits, patience, buffer) = {
        let limits = &worker.snapshot().gateway.limits;
        let head = usize::try_from(limits.header_bytes).unwrap_or(usize::MAX).min(LONGEST_HEAD);
        let patience = Patience { head_ms: limits.header_ms, idle_ms: limits.keep_alive_ms };
        // A head is read whole, and something behind it.
        (Limits::with_head(head), patience, BUFFER.max(2 * head))
    };
    let link = Link::new(&worker.ticks, patience);
    let gate = Gate::new(io, seen, limits, Rc::clone(&link));
    let linked = Rc::clone(&link);
    let service = service_fn(move |request| exchange::http1(&client, &link, request));
    let mut connection = Builder::new()
        .half_close(false)
        .keep_alive(true)
        .max_buf_size(buffer)
        // The gate has its own deadlines, which need no timer each.
        .header_read_timeout(None)
        .serve_connection(TokioIo::new(gate), service);
    let mut draining = false;
    // An error is the client's leaving or the end of an answer that broke off: told elsewhere.
    let ended = poll_fn(|cx| {
        // hyper would write `Connection: close` over an answer that agrees to another protocol.
        if !draining && worker.draining() && !linked.asked() {
            draining = true;
            Pin::new(&mut connection).graceful_shutdown();
        }
        Pin::new(&mut connection).poll(cx)
    })
    .await;
    if ended.is_ok() {
        // Rare and large: they have memory of their own.
        match after(&worker, &linked, connection.into_parts().io.into_inner()) {
            After::Nothing => {}
            After::Tunnel(tunnel) => tunnel.await,
            After::Shut(gate) => shut(&worker, gate).await,
        }
    }
}

/// What there is to do once hyper has let go of a connection.
enum After<S: Transport> {
    Nothing,
    /// Another protocol begins.
    Tunnel(Box<Tunnel>),
    /// hyper expected another protocol, which did not come: it has shut nothing down.
    Shut(Box<Gate<S>>),
}

fn after<S: Transport>(worker: &Rc<Worker>, link: &Link, mut gate: Gate<S>) -> After<S> {
    let Some(switched) = link.switched() else {
        return if gate.is_shut() { After::Nothing } else { After::Shut(Box::new(gate)) };
    };
    match gate.take_back() {
        Some((io, seen)) => After::Tunnel(Box::new(Tunnel::new(Rc::clone(worker), io.into_side(), &seen, *switched))),
        None => After::Nothing,
    }
}

/// Ends a connection as hyper would have.
async fn shut<S: Transport>(worker: &Worker, mut gate: Box<Gate<S>>) {
    let _ = within(&worker.ticks, SHUT_MS, gate.shutdown()).await;
}
