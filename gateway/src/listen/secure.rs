//! A connection to a TLS port: handed on by the name in its hello, or ended here.

use super::Serving;
use super::certificate::{self, Asked};
use super::hello::{self, Failure, Hello};
use crate::http::client::{Client, Secured};
use crate::http::{h1, h2};
use crate::l4::passthrough;
use crate::l4::tcp::{Known, Opening, carry};
use crate::runtime::ticks::{Timer, within};
use crate::runtime::worker::Worker;
use crate::snapshot::Host;
use crate::tls::acme::Board;
use crate::tls::{LocalAddress, asked};
use bytes::BytesMut;
use rustls::server::Accepted;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::StartHandshake;

/// Hello and handshake together take no longer.
const HANDSHAKE_MS: u64 = 10_000;
/// For so long a client that spoke HTTP in the clear may go on, so that it sees the answer.
const LINGER_MS: u64 = 1_000;
/// And so much is read of it.
const LINGER: usize = 64 * 1024;

/// A fatal alert, RFC 6066 section 3: what psql shows is then about the name.
const UNRECOGNIZED_NAME: [u8; 7] = [21, 3, 3, 0, 2, 2, 112];
/// A fatal alert, RFC 8446 section 6.2: the name is ours, the trouble too.
const INTERNAL_ERROR: [u8; 7] = [21, 3, 3, 0, 2, 2, 80];
/// Another, RFC 8446 section 6.2: nobody gets in.
const HANDSHAKE_FAILURE: [u8; 7] = [21, 3, 3, 0, 2, 2, 40];
const PLAIN_HTTP: &str = "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 59\r\n\
    Connection: close\r\n\r\nthis port speaks TLS: ask with https:// in place of http://";

/// Reads the hello and goes where its name leads.
///
/// The deadlines count from now on: the hello has the time that a request's head has, but no more
/// than the handshake as a whole.
pub async fn serve(worker: Rc<Worker>, mut tcp: TcpStream, peer: SocketAddr, local: SocketAddr) -> Option<Serving> {
    let mut raw = BytesMut::new();
    let patience = worker.snapshot().gateway.limits.header_ms.min(HANDSHAKE_MS);
    let timer = Timer::after(&worker.ticks, patience);
    let begun = worker.ticks.now_ms();
    let read = timer.bound(hello::read(&mut tcp, &mut raw)).await;
    let opening = match read.unwrap_or(Err(Failure::Timeout)) {
        Ok(opening) => opening,
        // Who connects and says nothing looks whether the port is open.
        Err(Failure::Left) if raw.is_empty() => return None,
        Err(failure) => {
            worker.counters.hello_failed(failure);
            if failure == Failure::PlainHttp {
                within(&worker.ticks, LINGER_MS, turn_away(tcp)).await;
            }
            return None;
        }
    };
    let Hello { accepted, taken } = match hello::open(&raw) {
        Ok(hello) => hello,
        Err(unreadable) => {
            worker.counters.hello_failed(unreadable.failure);
            // A few bytes to a socket that nothing was written to; who does not take them goes without.
            let _ = tcp.try_write(&unreadable.alert);
            return None;
        }
    };
    let name = passthrough::name(&accepted.client_hello());
    let snapshot = worker.snapshot();
    let host = name.as_deref().map(|name| snapshot.hosts.get(name));
    if let Some(Some(Host::Passthrough(route))) = host {
        let route = Arc::clone(route);
        let Some(alpn) = passthrough::protocols(&accepted.client_hello()) else {
            worker.counters.hello_failed(Failure::Malformed);
            return None;
        };
        drop(accepted);
        let known = Known { client: peer, local, sni: name, alpn };
        return Some(Box::pin(carry(worker, tcp, raw, known, opening, route)));
    }
    if opening == Opening::Postgres {
        let _ = tcp.try_write(&UNRECOGNIZED_NAME);
        worker.counters.hello_failed(Failure::Postgres);
        return None;
    }
    let reached = asked(&snapshot, host, local.ip());
    // A handshake that fails all the same has another reason than the name.
    let served = match host {
        Some(host) => !matches!(host, Some(Host::Nobody) | None),
        None => reached.is_some(),
    };
    timer.set(HANDSHAKE_MS.saturating_sub(worker.ticks.now_ms().saturating_sub(begun)));
    if accepted.client_hello().alpn().is_some_and(Board::asks) {
        // Before anything is asked about the name: an order is under way for it, or the answer is no.
        let known = name.is_some_and(|name| worker.board.has(&name));
        let shown = timer.bound(challenge(&worker, accepted, tcp, &raw[taken..])).await;
        if !known {
            worker.counters.hello_failed(Failure::Challenge);
        } else if shown.is_none_or(|shown| shown.is_err()) {
            worker.counters.hello_failed(Failure::Handshake);
        }
        return None;
    }
    if let Some((site, by)) = reached
        && let Some(name) = certificate::awaited(&worker, site, by, name.as_deref())
    {
        let asked = Asked { name: &name, peer, local };
        // Rare, and large. Where it does not come to an end in time, the handshake does not either.
        let waited = timer.bound(Box::pin(certificate::wait(&worker, site, asked))).await;
        let late = || if site.edge.certifies(&name) { Failure::NoCertificate } else { Failure::NotAllowed };
        if let Err(failure) = waited.unwrap_or_else(|| Err(late())) {
            let ours = failure == Failure::NoCertificate;
            let _ = tcp.try_write(if ours { &INTERNAL_ERROR } else { &UNRECOGNIZED_NAME });
            if ours {
                certificate::tell(&worker, &name);
            }
            worker.counters.hello_failed(failure);
            return None;
        }
    }
    let Some(chosen) = worker.tls.choose(reached.map(|(site, _)| &site.tls)) else {
        let _ = tcp.try_write(&HANDSHAKE_FAILURE);
        worker.counters.hello_failed(Failure::NoTerms);
        return None;
    };
    drop((snapshot, name));
    let handshake = async {
        let start = StartHandshake::from_parts(accepted, tcp);
        let accept = start.into_stream_with(Arc::clone(&chosen.config), |session| {
            // What came behind the hello is rustls's too. Who sends more than its buffer takes before
            // we have answered fails for it.
            let mut rest = &raw[taken..];
            while !rest.is_empty() && matches!(session.read_tls(&mut rest), Ok(1..)) {}
        });
        // Of no use any more, and who waits holds nothing that is of no use.
        drop(raw);
        accept.await
    };
    let shaken = timer.bound(LocalAddress::scope(local.ip(), handshake)).await;
    let tls = match shaken {
        Some(Ok(tls)) => tls,
        Some(Err(_)) => {
            worker.counters.hello_failed(if served { Failure::Handshake } else { Failure::Unserved });
            return None;
        }
        None => {
            worker.counters.hello_failed(Failure::HandshakeTimeout);
            return None;
        }
    };
    let session = tls.get_ref().1;
    let Some(shown) = chosen.shown(session) else {
        worker.counters.hello_failed(Failure::Handshake);
        return None;
    };
    let secured = Secured::of(session, shown);
    let http2 = secured.is_http2();
    let client = Client::new(worker, peer, local, Some(secured));
    Some(if http2 {
        Box::pin(h2::serve(client, tls, BytesMut::new()))
    } else {
        Box::pin(h1::serve(client, tls, BytesMut::new()))
    })
}

/// Shows an authority the certificate of the challenge that it asks for, or an alert, and closes: nothing else is
/// ever said on such a connection (RFC 8737 section 3).
async fn challenge(worker: &Worker, accepted: Accepted, tcp: TcpStream, mut rest: &[u8]) -> std::io::Result<()> {
    let start = StartHandshake::from_parts(accepted, tcp);
    let accept = start.into_stream_with(Arc::clone(&worker.challenged), |session| {
        while !rest.is_empty() && matches!(session.read_tls(&mut rest), Ok(1..)) {}
    });
    accept.await?.shutdown().await
}

/// Answers HTTP in the clear. What the client goes on to say is read and dropped for a while: closing
/// on unread bytes resets the connection, and the answer with it.
async fn turn_away(mut tcp: TcpStream) {
    if tcp.write_all(PLAIN_HTTP.as_bytes()).await.is_err() || tcp.shutdown().await.is_err() {
        return;
    }
    let mut dropped = 0;
    let mut piece = [0; 1024];
    while dropped < LINGER {
        match tcp.read(&mut piece).await {
            Ok(n @ 1..) => dropped += n,
            Ok(_) | Err(_) => return,
        }
    }
}
