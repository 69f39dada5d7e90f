//! From a listening socket to a connection whose protocol is known.

mod certificate;
pub mod hello;
mod preface;
pub mod proxy;
mod secure;

use crate::http::client::Client;
use crate::http::{h1, h2};
use crate::l4::tcp::Known;
use crate::l4::{self, End, Route};
use crate::runtime::closing::Closing;
use crate::runtime::notice::Notice;
use crate::runtime::sockets::{Bound, Service};
use crate::runtime::worker::{Open, Worker};
use preface::Protocol;
use socket2::SockRef;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};

/// How long to leave a socket alone that cannot accept, or whose clients must wait.
const PAUSE: Duration = Duration::from_millis(50);
/// Clients that had connected when the drain began, and are served still.
const LAST_CALLS: u32 = 256;
/// Failures to accept are told no more often than this many pauses.
const TELL_EVERY: u32 = 200;

/// Serves a socket until it is to be closed.
pub async fn serve(worker: Rc<Worker>, bound: Bound, address: SocketAddr, service: Service, closing: Closing) {
    match (bound, service) {
        (Bound::Tcp(socket), _) => match listener(socket) {
            Ok(socket) => accept(worker, socket, address, service, closing).await,
            Err(e) => worker.notices.send(Notice::AcceptFailing { address, reason: e.to_string() }),
        },
        (Bound::Udp(socket), Service::Item(key)) => l4::udp::serve(worker, socket, address, key, closing).await,
        (Bound::Udp(socket), _) => l4::passthrough::serve_quic(worker, socket, address, closing).await,
    }
}

/// A listening socket whose connections have the options that all of them need: Linux hands those of the
/// listening socket on, which spares four system calls a connection.
fn listener(socket: std::net::TcpListener) -> std::io::Result<TcpListener> {
    let options = SockRef::from(&socket);
    // Answers are written whole; waiting for more to send helps nobody.
    options.set_tcp_nodelay(true)?;
    options.set_tcp_keepalive(&l4::KEEPALIVE)?;
    TcpListener::from_std(socket)
}

/// Accepts until the worker drains, or the socket is to be closed.
async fn accept(worker: Rc<Worker>, socket: TcpListener, address: SocketAddr, service: Service, mut closing: Closing) {
    let mut failures = 0_u32;
    let mut last_calls = LAST_CALLS;
    loop {
        if worker.draining() || closing.is_closed() {
            last_calls -= 1;
            if last_calls == 0 {
                return;
            }
        }
        if !worker.has_room() {
            // The kernel queues them; a connection that ends makes room.
            tokio::select! {
                () = worker.drained() => return,
                () = closing.closed() => return,
                () = tokio::time::sleep(PAUSE) => continue,
            }
        }
        let accepted = tokio::select! {
            biased;
            accepted = socket.accept() => accepted,
            // Who has connected is served: this is polled only when nobody waits.
            () = worker.drained() => return,
            () = closing.closed() => return,
        };
        match accepted {
            Ok((tcp, peer)) => {
                failures = 0;
                let open = Open::new(&worker);
                let worker = Rc::clone(&worker);
                tokio::task::spawn_local(async move {
                    connection(worker, tcp, peer, address, service).await;
                    drop(open);
                });
            }
            // The client was gone before it was accepted.
            Err(e) if e.kind() == std::io::ErrorKind::ConnectionAborted => {}
            Err(e) => {
                if failures.is_multiple_of(TELL_EVERY) {
                    worker.notices.send(Notice::AcceptFailing { address, reason: e.to_string() });
                }
                failures += 1;
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

/// What a connection consists of changes as it goes on, and each part is large: each has memory of
/// its own for as long as it lasts, so that an idle connection holds what it needs.
async fn connection(worker: Rc<Worker>, tcp: TcpStream, peer: SocketAddr, listening: SocketAddr, service: Service) {
    // What the client reached; the listening address is a wildcard as a rule.
    let local = if listening.ip().is_unspecified() { tcp.local_addr().unwrap_or(listening) } else { listening };
    let (peer, local) = match proxy::addresses(&worker, &tcp, peer, local).await {
        Ok(addresses) => addresses,
        Err(refused) => {
            if let Some((route, known)) = item_of(&worker, service, peer, local) {
                l4::tcp::refused(worker, known, route, End::ProxyHeader, refused.to_string());
            }
            l4::reset_tcp(&tcp);
            return;
        }
    };
    // Once it is known who connects: to the end of the connection.
    let _place = match worker.place_for(peer.ip()) {
        Ok(place) => place,
        Err(limit) => {
            if let Some((route, known)) = item_of(&worker, service, peer, local) {
                let detail = format!("the client has {limit} open, which is `per-client`");
                l4::tcp::refused(worker, known, route, End::Limited, detail);
            }
            l4::reset_tcp(&tcp);
            return;
        }
    };
    let served = match service {
        Service::Https => Box::pin(secure::serve(worker, tcp, peer, local)).await,
        Service::Item(_) => item(worker, tcp, peer, local, service),
        Service::Http | Service::Quic | Service::Metrics => Box::pin(detect(worker, tcp, peer, local)).await,
    };
    if let Some(served) = served {
        served.await;
    }
}

fn item(worker: Rc<Worker>, tcp: TcpStream, peer: SocketAddr, local: SocketAddr, service: Service) -> Option<Serving> {
    match item_of(&worker, service, peer, local) {
        Some((route, known)) => Some(Box::pin(l4::tcp::serve(worker, tcp, known, route))),
        // The item is gone, and the socket is about to be.
        None => {
            l4::reset_tcp(&tcp);
            None
        }
    }
}

/// The item that stands where a connection arrived, and what is known of the connection.
fn item_of(worker: &Worker, service: Service, peer: SocketAddr, local: SocketAddr) -> Option<(Arc<Route>, Known)> {
    let Service::Item(key) = service else { return None };
    let route = Arc::clone(worker.snapshot().listening.get(&key)?);
    Some((route, Known { client: peer, local, sni: None, alpn: Vec::new() }))
}

type Serving = Pin<Box<dyn Future<Output = ()>>>;

async fn detect(worker: Rc<Worker>, mut tcp: TcpStream, peer: SocketAddr, local: SocketAddr) -> Option<Serving> {
    let limits = worker.snapshot().gateway.limits.clone();
    let (protocol, seen) = preface::detect(&worker, &mut tcp, &limits).await?;
    let client = Client::new(worker, peer, local, None);
    Some(match protocol {
        Protocol::Http1 => Box::pin(h1::serve(client, tcp, seen)),
        Protocol::Http2 => Box::pin(h2::serve(client, tcp, seen)),
    })
}
