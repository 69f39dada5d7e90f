//! What the data plane tells the operator: state changes, never a line per request.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};

/// Something that a person at the console wants to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// An endpoint stopped answering as it should.
    EndpointTrouble {
        /// The pool's name.
        pool: Arc<str>,
        /// `host:port`
        endpoint: Arc<str>,
        /// What went wrong, in words.
        reason: String,
    },
    /// An endpoint that was in trouble answers again.
    EndpointRecovered {
        /// The pool's name.
        pool: Arc<str>,
        /// `host:port`
        endpoint: Arc<str>,
    },
    /// An endpoint takes no new connections: its check failed so often in a row.
    EndpointDown {
        /// The pool's name; several where several pools have it checked alike.
        pool: Arc<str>,
        /// `host:port`
        endpoint: Arc<str>,
        /// What the last check found, in words.
        reason: String,
        /// How many checks failed in a row.
        checks: u32,
    },
    /// An endpoint takes connections again: its check was good so often in a row.
    EndpointUp {
        /// The pool's name; several where several pools have it checked alike.
        pool: Arc<str>,
        /// `host:port`
        endpoint: Arc<str>,
    },
    /// An endpoint gets no requests for a while: it answered others badly.
    EndpointEjected {
        /// The pool's name.
        pool: Arc<str>,
        /// `host:port`
        endpoint: Arc<str>,
        /// How it answered, in words.
        reason: String,
        /// For how long, milliseconds.
        lasts_ms: u64,
    },
    /// An endpoint that was ejected gets requests again.
    EndpointReturned {
        /// The pool's name.
        pool: Arc<str>,
        /// `host:port`
        endpoint: Arc<str>,
    },
    /// A name that pools have does not lead to endpoints as it should.
    NameTrouble {
        /// The pool's name; several where several pools have the name.
        pool: Arc<str>,
        /// The name.
        name: Arc<str>,
        /// What is wrong, in words.
        reason: String,
        /// Endpoints of the name that go on.
        left: usize,
    },
    /// Nothing is wrong any more with a name.
    NameFound {
        /// The pool's name; several where several pools have the name.
        pool: Arc<str>,
        /// The name.
        name: Arc<str>,
        /// Its endpoints.
        found: usize,
    },
    /// An endpoint is not checked, and counts as up.
    NoChecks {
        /// `host:port`
        endpoint: Arc<str>,
        /// The system's words.
        reason: String,
    },
    /// Nothing can be made of the files that a pool's `tls` names. What was made of them last goes on.
    UpstreamTls {
        /// The pool's name.
        pool: Arc<str>,
        /// Which file, and why.
        reason: String,
    },
    /// The key of sticky cookies cannot be kept in the data directory.
    StickyKey {
        /// Which file, and why.
        reason: String,
    },
    /// A call of a route cannot be worked out, or a session not be signed; or its keys are weak.
    CallFailed {
        /// As it is written.
        call: String,
        /// Why, in words; never what a secret holds.
        reason: String,
    },
    /// A provider's keys cannot be had, or not all of them.
    ProviderTrouble {
        /// Its name.
        provider: Arc<str>,
        /// Why, in words.
        reason: String,
        /// Whether keys that were had before go on.
        kept: bool,
    },
    /// Nothing is wrong any more with a provider.
    ProviderRecovered {
        /// Its name.
        provider: Arc<str>,
    },
    /// Connections cannot be accepted, for example because no file descriptors are left.
    AcceptFailing {
        /// On which address.
        address: SocketAddr,
        /// The system's words.
        reason: String,
    },
    /// As many clients are connected as `limits { connections … }` allows; others wait.
    ConnectionsExhausted {
        /// The limit.
        limit: u64,
    },
    /// A client has as many connections as `limits { per-client … }` allows; further ones are closed.
    ClientFull {
        /// The client that was refused last.
        client: IpAddr,
        /// The limit.
        limit: u32,
    },
    /// A worker has not turned for a while: its share of connections waits.
    WorkerStuck {
        /// Its number, from 0.
        worker: usize,
        /// For how long, in seconds.
        seconds: u64,
    },
    /// A worker that was stuck turns again.
    WorkerTurnsAgain {
        /// Its number, from 0.
        worker: usize,
    },
    /// A worker ended although nobody asked it to.
    WorkerDied {
        /// Its number, from 0.
        worker: usize,
    },
    /// A client asked for a name that has no certificate yet, or none any more.
    NoCertificate {
        /// The name.
        name: Box<str>,
    },
    /// A file that a route names cannot be read for another reason than being absent.
    FileTrouble {
        /// The file.
        path: String,
        /// The system's words.
        reason: String,
    },
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::EndpointTrouble { pool, endpoint, reason } => {
                write!(f, "origin {endpoint} of pool {pool}: {reason}")
            }
            Self::EndpointRecovered { pool, endpoint } => {
                write!(f, "origin {endpoint} of pool {pool} answers again")
            }
            Self::EndpointDown { pool, endpoint, reason, checks } => {
                let times = if *checks == 1 { "1 check".to_owned() } else { format!("{checks} checks in a row") };
                write!(f, "endpoint {endpoint} of pool {pool} is down: {reason} ({times})")
            }
            Self::EndpointUp { pool, endpoint } => write!(f, "endpoint {endpoint} of pool {pool} is up"),
            Self::EndpointEjected { pool, endpoint, reason, lasts_ms } => {
                let lasts = lasts_ms.div_ceil(1_000);
                write!(f, "endpoint {endpoint} of pool {pool} is ejected for {lasts} s: {reason}")
            }
            Self::EndpointReturned { pool, endpoint } => {
                write!(f, "endpoint {endpoint} of pool {pool} gets requests again")
            }
            Self::NameTrouble { pool, name, reason, left: 0 } => write!(f, "{name} of pool {pool}: {reason}"),
            Self::NameTrouble { pool, name, reason, left } => {
                let go = if *left == 1 { "goes" } else { "go" };
                write!(f, "{name} of pool {pool}: {reason}; {} {go} on", endpoints(*left))
            }
            Self::NameFound { pool, name, found } => {
                write!(f, "{name} of pool {pool} is found again: {}", endpoints(*found))
            }
            Self::NoChecks { endpoint, reason } => write!(f, "cannot check endpoint {endpoint}: {reason}"),
            Self::UpstreamTls { pool, reason } => write!(f, "tls of pool {pool}: {reason}"),
            Self::StickyKey { reason } => {
                write!(f, "the key of sticky cookies cannot be kept ({reason}); cookies will not survive a restart")
            }
            Self::CallFailed { call, reason } => write!(f, "{call}: {reason}"),
            Self::ProviderTrouble { provider, reason, kept: true } => {
                write!(f, "provider {provider}: {reason}; the keys that are known go on")
            }
            Self::ProviderTrouble { provider, reason, kept: false } => {
                write!(f, "provider {provider}: {reason}; its tokens are answered 503")
            }
            Self::ProviderRecovered { provider } => write!(f, "the keys of provider {provider} are had again"),
            Self::AcceptFailing { address, reason } => {
                write!(f, "cannot accept connections on {address}: {reason}")
            }
            Self::ConnectionsExhausted { limit } => {
                write!(f, "{limit} connections are open, which is the limit; new clients wait")
            }
            Self::ClientFull { client, limit } => {
                let open = if *limit == 1 { "1 connection".to_owned() } else { format!("{limit} connections") };
                write!(f, "{client} has {open} open, which is the limit for a client; further ones are closed")
            }
            Self::WorkerStuck { worker, seconds } => {
                write!(f, "worker {worker} has not turned for {seconds} s; its connections wait")
            }
            Self::WorkerTurnsAgain { worker } => write!(f, "worker {worker} turns again"),
            Self::WorkerDied { worker } => write!(f, "worker {worker} ended unexpectedly"),
            Self::NoCertificate { name } => {
                write!(f, "a client asks for {name}, which has no certificate: `sluice certs` says why")
            }
            Self::FileTrouble { path, reason } => write!(f, "cannot read {path}: {reason}"),
        }
    }
}

fn endpoints(n: usize) -> String {
    if n == 1 { "1 endpoint".to_owned() } else { format!("{n} endpoints") }
}

/// The data plane's end. Sending never blocks: when nobody reads, notices are dropped.
#[derive(Clone, Debug)]
pub struct NoticeSender(SyncSender<Notice>);

impl NoticeSender {
    /// Tells it, if there is room.
    pub fn send(&self, notice: Notice) {
        match self.0.try_send(notice) {
            // A console that does not keep up, or is gone, must not hold a worker.
            Ok(()) | Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {}
        }
    }
}

/// A bounded channel of notices; the receiver is read by an ordinary thread of the control plane.
#[must_use]
pub fn channel() -> (NoticeSender, Receiver<Notice>) {
    let (sender, receiver) = sync_channel(256);
    (NoticeSender(sender), receiver)
}
