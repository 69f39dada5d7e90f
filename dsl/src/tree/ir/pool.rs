//! Pools: endpoints, and what is said of the connections and requests to them.

use super::{Dials, Field, PoolIdx};
use crate::syntax::span::Loc;
use std::sync::Arc;

/// A pool, checked.
#[derive(Clone, Debug, PartialEq)]
pub struct Pool {
    /// Its name.
    pub name: Arc<str>,
    /// Its endpoints; never empty.
    pub endpoints: Vec<Endpoint>,
    /// `connect within`, milliseconds.
    pub connect_within_ms: Option<u64>,
    /// `timeout`: until the head of the answer, milliseconds.
    pub timeout_ms: Option<u64>,
    /// `idle`: between two pieces of a body, milliseconds.
    pub idle_ms: Option<u64>,
    /// `balance`
    pub balance: Balance,
    /// `check`
    pub check: Option<Check>,
    /// `proxy-protocol`: told to the endpoint at the start of each connection.
    pub proxy_protocol: Option<ProxyProtocol>,
    /// `tls { … }`: connections to the endpoints are encrypted, and the endpoints verified.
    pub tls: Option<PoolTls>,
    /// `protocol`: what is spoken to the endpoints of a site's pool.
    pub protocol: Protocol,
    /// `resolve every`: names are looked up at least so often, milliseconds; by their TTL without it.
    pub resolve_ms: Option<u64>,
    /// `eject`: endpoints that keep failing are left out for a while.
    pub eject: Option<Eject>,
    /// `panic below N%`: where a smaller share of the endpoints is up and not ejected, all are used, in
    /// percent. Without it ejections are ignored below 50, and checks never.
    pub panic_below: Option<u8>,
    /// `slow-start`: an endpoint that came up gets its share little by little within so many milliseconds.
    pub slow_start_ms: Option<u64>,
    /// `retry`; a route's own comes first.
    pub retry: Option<Retry>,
    /// `hedge`; a route's own comes first.
    pub hedge: Option<Hedge>,
    /// `limit N connections, N requests, N queued within D`
    pub limit: PoolLimit,
    /// `sticky cookie "NAME"`
    pub sticky: Option<Sticky>,
    /// `paths case-sensitive`, `paths case-insensitive`: whether its servers tell paths apart that differ by case alone.
    pub paths: Option<PathCase>,
    /// What it may dial, where it is a tenant's.
    pub dials: Option<Arc<Dials>>,
    /// Its line.
    pub loc: Loc,
}

impl Pool {
    /// With settings as they are where nothing is written.
    #[must_use]
    pub fn new(name: Arc<str>, endpoints: Vec<Endpoint>, loc: Loc) -> Self {
        Self {
            name,
            endpoints,
            connect_within_ms: None,
            timeout_ms: None,
            idle_ms: None,
            balance: Balance::RoundRobin,
            check: None,
            proxy_protocol: None,
            tls: None,
            protocol: Protocol::Auto,
            resolve_ms: None,
            eject: None,
            panic_below: None,
            slow_start_ms: None,
            retry: None,
            hedge: None,
            limit: PoolLimit::default(),
            sticky: None,
            paths: None,
            dials: None,
            loc,
        }
    }

    /// The secrets that it names.
    pub fn secrets(&self) -> impl Iterator<Item = &Arc<str>> {
        let key = self.tls.iter().flat_map(|tls| &tls.client).filter_map(|(_, key)| match key {
            KeyFrom::Secret(name) => Some(name),
            KeyFrom::File(_) => None,
        });
        self.sticky.iter().filter_map(|sticky| sticky.secret.as_ref()).chain(key)
    }
}

/// `protocol …`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// Over TLS HTTP/2 where the endpoint agrees to it (ALPN), HTTP/1.1 otherwise; HTTP/1.1 in clear.
    #[default]
    Auto,
    /// HTTP/1.1.
    H1,
    /// HTTP/2 over TLS; endpoints that do not agree to it are refused.
    H2,
    /// HTTP/2 in clear, without asking (RFC 9113 section 3.3).
    H2c,
    /// gRPC: HTTP/2, over TLS where the pool has it, in clear otherwise; gRPC-Web is translated.
    Grpc,
}

/// `eject after 5 failures, 50% within 10s for 30s up to 50%`
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Eject {
    /// So many failures in a row.
    pub failures: Option<u32>,
    /// A share of the answers, in percent, within so many milliseconds. It takes 20 answers to count.
    pub ratio: Option<(u8, u64)>,
    /// For how long the first time, milliseconds; twice as long each time after it, ten times at most.
    pub for_ms: u64,
    /// The most endpoints that may be out at once, in percent; one may always be.
    pub up_to: u8,
}

/// `retry 2 on [connect, reset, 502, 503] within 10s each 3s budget 20% body 64KB any method`
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Retry {
    /// How often at most after the first try; 0 for `retry off`.
    pub times: u32,
    /// After which failures.
    pub on: RetryOn,
    /// `within`: for all tries together, milliseconds.
    pub within_ms: Option<u64>,
    /// `each`: for each try until the head of its answer, milliseconds.
    pub each_ms: Option<u64>,
    /// `budget`: retries at most as a share of the pool's requests of the last ten seconds, in percent.
    pub budget: u8,
    /// `body`: requests with a body are sent again if it is no longer than this, bytes. 0: they are not.
    pub body_bytes: u64,
    /// `any method`: requests that are not idempotent are sent again too.
    pub any_method: bool,
}

/// After what a request is tried again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct RetryOn {
    /// `connect`: no connection came about. Another endpoint is tried then in any case; this says
    /// that it counts as one of the retries' causes.
    pub connect: bool,
    /// `reset`: the connection broke before the head of an answer.
    pub reset: bool,
    /// `refused`: an HTTP/2 endpoint refused the stream without having acted on it.
    pub refused: bool,
    /// `timeout`: no head of an answer within `each`.
    pub timeout: bool,
    /// Statuses of answers, sorted.
    pub statuses: Vec<u16>,
}

/// `hedge after p95`, `hedge after 50ms`: an idempotent request that is not answered by then is sent to
/// another endpoint as well, and the first answer is taken. It counts as a retry for the budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Hedge {
    /// After so many milliseconds.
    After(u64),
    /// After the time within which so many percent of the pool's answers come.
    Percentile(u8),
}

/// `limit …` in a pool: over all workers. `None`: not bounded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct PoolLimit {
    /// Connections at once.
    pub connections: Option<u32>,
    /// Requests at once.
    pub requests: Option<u32>,
    /// Requests that wait for one of these to end, and for how long at most, milliseconds.
    pub queue: Option<(u32, u64)>,
}

/// `sticky cookie "route" key secret.sticky for 12h`
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Sticky {
    /// The cookie's name.
    pub cookie: Arc<str>,
    /// The secret that its key is made of; the gateway's own, kept in its data directory, without one.
    pub secret: Option<Arc<str>>,
    /// `for`: how long browsers keep it, milliseconds; for the session without it.
    pub for_ms: Option<u64>,
}

/// `mirror 1% shadow-pool`
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Mirror {
    /// The share of the requests, in ten-thousandths.
    pub share: u32,
    /// To whom copies go.
    pub pool: PoolIdx,
    /// `body`: requests with a longer body are not copied, bytes.
    pub body_bytes: u64,
}

/// How a pool chooses among its endpoints.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum Balance {
    /// In turn, by weight.
    #[default]
    RoundRobin,
    /// Drawn, by weight.
    Random,
    /// The endpoint with the fewest open connections for its weight, all workers together.
    LeastConnections,
    /// The endpoint with fewer requests under way for its weight, of two that are drawn.
    LeastRequests,
    /// The endpoint whose answers are sooner by a moving average that remembers peaks, times its requests
    /// under way, of two that are drawn.
    PeakEwma,
    /// A ring of hashes (ketama).
    Hash(HashKey),
    /// A Maglev table.
    Maglev(HashKey),
}

/// What `balance hash` and `balance maglev` tell clients apart by.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum HashKey {
    /// What connections have, and requests too.
    Connection(crate::tree::l4::Key),
    /// What only requests have: the parts, in order. A pool with it is for sites.
    Request(Vec<HashPart>),
}

/// A part of a request that is hashed: `header.x if missing client.ip`
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HashPart {
    /// The first of them that is there. IPv6 client addresses go by their /64.
    pub fields: Vec<Field>,
    /// Where none is there.
    pub otherwise: Arc<str>,
}

/// `check …`: how it is found out whether an endpoint is well.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Check {
    /// What is tried.
    pub probe: Probe,
    /// Another port than the endpoint's.
    pub port: Option<u16>,
    /// Between two checks of an endpoint, milliseconds.
    pub every_ms: u64,
    /// How long one may take, milliseconds.
    pub within_ms: u64,
    /// Good ones in a row until an endpoint is up.
    pub rise: u32,
    /// Bad ones in a row until an endpoint is down.
    pub fall: u32,
}

/// What a check tries.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Probe {
    /// `check GET /healthz expect 200..299`
    Http {
        /// The method.
        method: Arc<str>,
        /// Path and query.
        path: Arc<str>,
        /// The statuses that are good, first and last.
        expect: (u16, u16),
        /// `body "ok"`: the first 64 KB of the answer hold this text.
        body: Option<Arc<str>>,
    },
    /// `check grpc`: the gRPC health protocol.
    Grpc {
        /// Of which service; of the whole server where this is empty.
        service: Arc<str>,
    },
    /// `check tcp`: a connection.
    Tcp,
    /// `check udp send "…" expect "…"`
    Udp {
        /// The datagram.
        send: Arc<[u8]>,
        /// How the answer starts; any answer is good where this is empty.
        expect: Arc<[u8]>,
    },
}

/// Which PROXY protocol is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ProxyProtocol {
    /// The line of text.
    V1,
    /// The binary header, with TLVs.
    V2,
}

/// How servers treat the case of paths (LANGUAGE rule 30): nothing is done by it, it is what findings go by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PathCase {
    /// `/A` and `/a` are two paths.
    Sensitive,
    /// They are one.
    Insensitive,
}

/// `tls { … }` in a pool.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct PoolTls {
    /// `name`: sent as SNI and verified; the endpoint's own host where none is written.
    pub name: Option<Arc<str>>,
    /// `trust`: a file of CA certificates, relative to the route file's directory; the system's where
    /// none is written.
    pub trust: Option<Arc<str>>,
    /// `pin sha256 …`: digests of the public keys that are accepted.
    pub pins: Vec<[u8; 32]>,
    /// `client … key …`: the certificate that this gateway shows, a file relative to the route file's
    /// directory, and its key.
    pub client: Option<(Arc<str>, KeyFrom)>,
    /// `min 1.3`
    pub min_13: bool,
}

/// Where a private key is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum KeyFrom {
    /// `key "pki/gw.key"`: a file, relative to the route file's directory.
    File(Arc<str>),
    /// `key secret.gw-key`: the secret's name, without `secret.`.
    Secret(Arc<str>),
}

/// One endpoint.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Endpoint {
    /// How it is found.
    pub kind: EndpointKind,
    /// An address or a DNS name, IPv6 without brackets; the path of a socket; the name of SRV records.
    pub host: Arc<str>,
    /// The port; 0 for sockets and SRV records.
    pub port: u16,
    /// Its share among the others; 1 or more.
    pub weight: u32,
    /// `backup`: asked only when no other is up.
    pub backup: bool,
    /// Its line.
    pub loc: Loc,
}

/// How an endpoint is found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum EndpointKind {
    /// `10.0.0.1:80`, `api.internal:80`: a name stands for all the addresses that it has.
    #[default]
    Tcp,
    /// `unix:/run/api.sock`
    Unix,
    /// `srv _http._tcp.api.internal`: the records' targets, ports and weights; targets of a lower
    /// priority than the best are backups.
    Srv,
}
