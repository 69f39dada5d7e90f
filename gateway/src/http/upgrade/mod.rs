//! WebSocket (RFC 6455): a request that asks for it goes on as such, and once the origin agrees the bytes
//! go both ways untouched.
//!
//! The handshake is a request like any other: it is decided about, its headers are edited, its connection
//! counts. No other protocol is switched to: whatever else `Upgrade` names ends here.

mod connect;
mod handshake;
mod key;
mod tunnel;

pub use connect::{carry, translate};
pub use handshake::{agree, ask, is_agreed};
pub use key::Key;
pub use tunnel::Tunnel;

use crate::edge::Holds;
use crate::http::forward::{About, Job};
use crate::l4::side::Side;
use crate::runtime::ticks::within;
use crate::upstream::{Lease, Reached};
use bytes::Bytes;
use http::Response;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use std::rc::Rc;
use std::sync::Arc;
use tokio_rustls::client::TlsStream;

/// Nothing may happen for so long on a WebSocket whose route does not say otherwise.
pub const IDLE_MS: u64 = 60 * 60 * 1_000;
/// An origin that agreed hands its connection over within so long: nothing is waited for but a turn of its
/// task.
const HAND_OVER_MS: u64 = 5_000;

/// Whether a request asks for WebSocket, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asks {
    /// It does not.
    No,
    /// By HTTP/1: the client's own key goes to the origin.
    Http1,
    /// By HTTP/2, which has no keys: the gateway's goes to the origin.
    Http2(Box<Key>),
}

/// What an origin has agreed to.
pub struct Switched {
    /// Its connection.
    pub upstream: Side,
    /// What it sent behind its answer.
    pub seen: Bytes,
    /// Held for as long as it lasts: it counts as a request of the pool. It is never given back.
    pub lease: Lease,
    /// How long nothing may happen, milliseconds.
    pub idle_ms: u64,
    /// The handshake, for the log.
    pub about: Rc<About>,
    /// The pool's name, likewise.
    pub pool: Arc<str>,
    /// What limits of the handshake hold for as long as it lasts.
    pub holds: Option<Box<Holds>>,
}

impl Switched {
    /// The connection of an answer that agrees. `None` when it broke meanwhile.
    pub async fn of<B>(answer: &mut Response<B>, lease: Lease, idle_ms: u64, job: &Job) -> Option<Box<Self>> {
        let upgraded = within(lease.ticks(), HAND_OVER_MS, hyper::upgrade::on(answer)).await?.ok()?;
        let (upstream, seen) = side(upgraded);
        let pool = Arc::clone(&job.pool.pool().name);
        Some(Box::new(Self { upstream, seen, lease, idle_ms, about: job.about.clone(), pool, holds: None }))
    }
}

impl Switched {
    /// The same, with what limits of the handshake hold for as long as it lasts.
    #[must_use]
    pub fn holding(mut self: Box<Self>, holds: Option<Box<Holds>>) -> Box<Self> {
        self.holds = holds;
        self
    }
}

/// The connection below hyper's, so that plain sockets can be spliced.
fn side(upgraded: Upgraded) -> (Side, Bytes) {
    let upgraded = match upgraded.downcast::<TokioIo<Reached>>() {
        Ok(parts) => return (Side::Plain(parts.io.into_inner()), parts.read_buf),
        Err(upgraded) => upgraded,
    };
    match upgraded.downcast::<TokioIo<TlsStream<Reached>>>() {
        Ok(parts) => (Side::Tls(Box::new(parts.io.into_inner().into())), parts.read_buf),
        Err(upgraded) => (Side::Stream(Box::new(TokioIo::new(upgraded))), Bytes::new()),
    }
}
