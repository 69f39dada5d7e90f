//! Connections and flows whose bytes are handed on and never decoded: `tcp`, `udp`, `passthrough`.

mod carried;
pub mod counts;
pub mod limit;
mod open;
pub mod passthrough;
mod pipes;
pub mod proxy_header;
pub mod quic;
pub mod record;
pub mod relay;
mod routes;
pub mod side;
pub mod standing;
mod tally;
pub mod tcp;
pub mod udp;

pub use counts::Counts;
pub use limit::{Admitted, LimitTable, Limits};
pub use record::{End, Record};
pub use routes::{Live, Routes};
pub use standing::{Standing, judge};
pub use tcp::Carrying;

use crate::upstream::{PoolHandle, Reached};
use dsl::tree::ir;
use dsl::tree::l4::{Rules, Transport};
use socket2::{SockRef, TcpKeepalive};
use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;

/// A `tcp`, `udp` or `passthrough` item with what is needed to carry it out. The same one across
/// reloads for as long as its meaning is the same.
pub struct Route {
    /// `tcp :5432`, `udp :53`, `passthrough vault.example.com`: for log lines and counts.
    pub name: Arc<str>,
    /// What is carried.
    pub transport: Transport,
    /// The listener that it stands on, by which a later snapshot is asked for what stands there then;
    /// `None`: a passthrough, which is found by the name in the hello.
    pub listens: Option<ListenKey>,
    /// What it says.
    pub rules: Rules,
    /// What its entries' steps are passed with.
    pub limits: Limits,
    /// By `ir::PoolIdx`.
    pub pools: Vec<Arc<PoolHandle>>,
    /// The route file's directory, against which the files that its pools name are resolved.
    pub dir: PathBuf,
    /// What happened on it.
    pub counts: Arc<Counts>,
}

impl fmt::Debug for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Route").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Where a `tcp` or `udp` item listens, as written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ListenKey {
    /// What is carried.
    pub transport: Transport,
    /// `None`: every address, both families.
    pub ip: Option<IpAddr>,
    /// The port.
    pub port: u16,
}

impl ListenKey {
    /// Of a listener.
    #[must_use]
    pub fn of(transport: Transport, listener: &ir::Listener) -> Self {
        Self { transport, ip: listener.ip, port: listener.port }
    }

    /// Whether one socket could get what is meant for the other (LANGUAGE rule 29): a bare port means
    /// every address. Port 0 is a free one, each time another.
    #[must_use]
    pub fn overlaps(&self, other: &Self) -> bool {
        let every = |ip: Option<IpAddr>| ip.is_none_or(|ip| ip.is_unspecified());
        self.transport == other.transport
            && self.port == other.port
            && self.port != 0
            && (every(self.ip) || every(other.ip) || self.ip == other.ip)
    }
}

impl fmt::Display for ListenKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = match self.transport {
            Transport::Tcp => "tcp",
            Transport::Udp => "udp",
        };
        match self.ip {
            None => write!(f, "{word} :{}", self.port),
            Some(ip) => write!(f, "{word} {}", std::net::SocketAddr::new(ip, self.port)),
        }
    }
}

/// After a minute without a word the system asks whether the peer is still there, so that a peer that
/// vanished is noticed, however long nobody says anything.
pub const KEEPALIVE: TcpKeepalive = TcpKeepalive::new().with_time(Duration::from_secs(60));

/// Makes the end of a connection a reset: its peer learns at once that nothing more comes, and nothing
/// of what was sent or received and not taken is kept.
pub fn reset(socket: &Reached) {
    // A Unix socket knows no reset.
    if let Some(tcp) = socket.tcp() {
        reset_tcp(tcp);
    }
}

/// [`reset`] of a client's connection.
pub fn reset_tcp(tcp: &TcpStream) {
    // Without it the end is an ordinary one, which is right too, only slower.
    let _ = SockRef::from(tcp).set_linger(Some(Duration::ZERO));
}
