//! The route IR: what the checker makes of a site, and what the compiler makes a program of.
//!
//! Names, modules, policies, `let`s and user functions are gone: everything is absolute, typed and
//! inlined. The order of evaluation is fixed here (LANGUAGE sections 2 and 6):
//!
//! 1. The site is picked by host; a request never leaves it.
//! 2. In a scope, the candidates are the entries whose pattern matches the path, most specific
//!    first; equal patterns in source order; overlapping patterns without inclusion by the tie
//!    order of LANGUAGE rule 8. The first whose guard holds is taken.
//! 3. A scope that was entered answers: when nothing in it holds, its `miss` plan does.

use crate::syntax::ast::{HeaderOp, Side};
use crate::syntax::span::Loc;
use std::sync::Arc;

pub use super::regex::Regex;
pub use ipnet::IpNet;

/// A site, ready to be compiled.
#[derive(Clone, Debug)]
pub struct Site {
    /// The hosts it answers, literals in lower case.
    pub hosts: Vec<(HostPattern, Loc)>,
    /// Scopes; the first is the site's own.
    pub scopes: Vec<Scope>,
    /// What a decision can lead to.
    pub plans: Vec<Plan>,
    /// The pools that its plans name, by [`PoolIdx`].
    pub pools: Vec<Arc<Pool>>,
    /// Settings that hold before a route is chosen.
    pub settings: SiteSettings,
    /// The `site` line.
    pub loc: Loc,
}

/// Index into [`Site::scopes`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct ScopeIdx(pub u32);
/// Index into [`Site::plans`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct PlanIdx(pub u32);
/// Index into [`Site::pools`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct PoolIdx(pub u32);

/// A site or a block: a wall around its entries.
#[derive(Clone, Debug)]
pub struct Scope {
    /// The block's own pattern, absolute; `/*` for a site.
    pub pattern: PathPattern,
    /// The entries, in source order. A route with several patterns is several entries.
    pub entries: Vec<Entry>,
    /// What answers when no entry does: [`Answer::NotFound`] behind the block's policies.
    pub miss: PlanIdx,
    /// Whether a `require`, a `limit` or a header removal stands in it (LANGUAGE rule 3).
    pub protected: bool,
    /// The block's head.
    pub loc: Loc,
}

/// A candidate of a scope.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Absolute pattern.
    pub pattern: PathPattern,
    /// The `when` condition; [`Cond::Const`]`(true)` without one.
    pub guard: Cond,
    /// Where it leads.
    pub target: Target,
    /// Pathless forms (`else`, `when … ->`, a bare arrow) carry their block's pattern.
    pub pathless: bool,
    /// The route's line.
    pub loc: Loc,
    /// What the captures are called here, for people: no decision reads it.
    pub names: Vec<(Capture, Arc<str>)>,
}

/// Where an entry leads.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Target {
    /// To an outcome.
    Plan(PlanIdx),
    /// Into a block.
    Scope(ScopeIdx),
}

/// An absolute path pattern, `%` escapes canonical, trailing slash dropped.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PathPattern {
    /// The segments.
    pub segments: Vec<Segment>,
    /// Whether `/*` ends it: the path itself and everything below.
    pub splat: bool,
}

/// One segment of a path, or one label of a host.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Segment {
    /// Exactly this text.
    Lit(Arc<str>),
    /// A value between fixed texts (`{name}.png`), both possibly empty, never both texts and the
    /// value empty: a capture takes at least one byte.
    Capture {
        /// Text before the value.
        prefix: Arc<str>,
        /// What the value may be.
        class: Class,
        /// Text after the value.
        suffix: Arc<str>,
    },
}

/// What a captured value may be.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// Any text of one byte or more.
    Any,
    /// One of these, sorted, two or more.
    Set(Arc<[Arc<str>]>),
    /// `0|[1-9][0-9]{0,17}`
    Int,
    /// 8-4-4-4-12 hex digits, either case.
    Uuid,
    /// The whole (decoded) value matches the expression.
    Regex(Regex),
}

/// A host pattern. Captures stand in the leftmost label only.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HostPattern {
    /// The leftmost part.
    pub head: HostHead,
    /// The labels after it, in lower case, joined by dots; empty for a single label or `**`.
    pub parent: Arc<str>,
}

/// The leftmost part of a host pattern.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum HostHead {
    /// One label (a whole literal host has its first label here).
    Label(Segment),
    /// `**`: one or more labels; with an empty parent, any host.
    Many,
}

/// A condition. Every leaf is two-valued: a test on a missing value is false (so `x is not y`,
/// which is `not (x is y)`, is true).
#[derive(Clone, Debug, PartialEq)]
pub enum Cond {
    /// Always or never.
    Const(bool),
    /// A test of one field.
    Test(Field, Test),
    /// A relation of two values of the request (opaque to the analysis, LANGUAGE rule 31). False
    /// when either is missing.
    Relate(Box<Value>, Relation, Box<Value>),
    /// Negation.
    Not(Box<Cond>),
    /// All hold. Never empty.
    And(Vec<Cond>),
    /// One holds. Never empty.
    Or(Vec<Cond>),
}

/// A part of the request that conditions and templates read, as it arrived.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Field {
    /// `request.method`
    Method,
    /// `request.path`: canonical.
    Path,
    /// `request.uri`: canonical path, `?` and query where there is one.
    Uri,
    /// `request.query-string`: without the `?`; missing when there is no `?`.
    QueryString,
    /// `request.size`: the Content-Length; missing when the length is not known beforehand.
    Size,
    /// `request.version`: `1.0`, `1.1`, `2`, `3`.
    Version,
    /// `host`: canonical, without port.
    Host,
    /// `client.ip`, IPv4-mapped addresses as IPv4.
    ClientIp,
    /// `client.port`
    ClientPort,
    /// `tls.sni`; missing on clear ports.
    TlsSni,
    /// `tls.version`: `1.2`, `1.3`; missing on clear ports.
    TlsVersion,
    /// `tls.alpn`; missing on clear ports.
    TlsAlpn,
    /// `header.x`, name in lower case. Several equal values are one value.
    Header(Arc<str>),
    /// `cookie.x`, name as written.
    Cookie(Arc<str>),
    /// `query.x`, name and value percent-decoded, `+` as space.
    Query(Arc<str>),
    /// A capture.
    Capture(Capture),
}

/// Where a captured value stands. Its bounds follow from the pattern alone, whichever pattern matched.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Capture {
    /// In the n-th path segment (from 0), without so many bytes at its ends; percent-decoded when read.
    Segment {
        /// Which segment.
        index: u32,
        /// Bytes of the prefix.
        prefix: u32,
        /// Bytes of the suffix.
        suffix: u32,
    },
    /// The path from the n-th segment on, without its leading slash, trailing slash kept; may be empty.
    Splat {
        /// The first segment of it.
        from: u32,
    },
    /// In the leftmost host label, likewise.
    Host {
        /// Bytes of the prefix.
        prefix: u32,
        /// Bytes of the suffix.
        suffix: u32,
    },
}

/// A test of one field against constants.
#[derive(Clone, Debug, PartialEq)]
pub enum Test {
    /// It is there.
    Present,
    /// It is one of these texts (methods, versions and captures of every type included).
    OneOf(Vec<Arc<str>>),
    /// It starts with the text.
    StartsWith(Arc<str>),
    /// It ends with the text.
    EndsWith(Arc<str>),
    /// Headers, cookies and query fields: some copy of the field has this value, and more than one
    /// value is no refusal (LANGUAGE section 5). For other texts: contains the text.
    Has(Arc<str>),
    /// The whole value matches the expression.
    Matches(Regex),
    /// The address is in one of these networks.
    InNets(Vec<IpNet>),
    /// It is a decimal number (`[0-9]{1,18}`) and compares so with the constant.
    Number(Order, i64),
}

/// How a number compares with a constant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Order {
    /// `is`
    Eq,
    /// `<`
    Lt,
    /// `<=`
    Le,
    /// `>`
    Gt,
    /// `>=`
    Ge,
}

/// How two values of a request are related.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Relation {
    /// The same text.
    Is,
    /// Left starts with right.
    StartsWith,
    /// Left ends with right.
    EndsWith,
    /// Left contains right.
    Has,
}

/// A text made of the request: a template, compiled.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Value {
    /// The parts, joined.
    pub parts: Vec<Part>,
}

/// A part of a [`Value`].
#[derive(Clone, Debug, PartialEq)]
pub enum Part {
    /// Literal text.
    Text(Arc<str>),
    /// A field of the request.
    Hole {
        /// Which.
        field: Field,
        /// `lower(…)` was around it.
        lower: bool,
        /// How it is encoded for its place (LANGUAGE rule 24).
        encode: Encode,
        /// What happens when it is missing; the checker allows no missing field without it.
        if_missing: Option<Box<Missing>>,
    },
}

/// What stands in for a missing field.
#[derive(Clone, Debug, PartialEq)]
pub enum Missing {
    /// Another value.
    Value(Value),
    /// An answer instead of everything else.
    Answer(Answer),
}

/// How captured or received text is written into its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Encode {
    /// As it is: for conditions and keys.
    Plain,
    /// Percent-encoded as one path segment (`/` encoded).
    Segment,
    /// Percent-encoded as a path, `/` kept: splats only.
    Path,
    /// Percent-encoded as a query component.
    Query,
    /// A header value: control bytes are refused (400).
    Header,
    /// Already encoded: `request.uri` and `request.query-string` in a URL.
    Encoded,
    /// A host in the authority of a URL (host captures, `host`): labels only.
    Authority,
}

/// An outcome: what a request passes on its way, and what answers it.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// The policies of the scopes around it, outer first, as written.
    pub steps: Vec<Step>,
    /// What answers.
    pub answer: Answer,
    /// What replaces an upstream failure, innermost first.
    pub catches: Vec<Catch>,
    /// The settings in force, innermost winning.
    pub settings: Settings,
    /// The arrow's line; the block's head for a `miss`.
    pub loc: Loc,
    /// The `use`s it passes, outer first, by the name they were used under; for `explain`.
    pub policies: Vec<(Arc<str>, Loc)>,
}

/// One policy statement.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// `require cond else answer`
    Require {
        /// What must hold.
        cond: Cond,
        /// What answers if it does not.
        otherwise: Answer,
        /// Its line.
        loc: Loc,
    },
    /// `set|add|remove … header …`. Edits of the response stand here too: they apply to whatever
    /// answers from here on, the gateway's own answers included.
    Header {
        /// What is done.
        op: HeaderOp,
        /// To which message.
        side: Side,
        /// To which header, in lower case.
        name: Arc<str>,
        /// With which value; empty for `remove`.
        value: Value,
        /// `use … when cond`, `when` around it: the edit is made only then.
        when: Cond,
        /// Its line.
        loc: Loc,
    },
}

/// `catch [502, 503] -> answer`
#[derive(Clone, Debug, PartialEq)]
pub struct Catch {
    /// The statuses of the upstream (and 502, 503, 504 for failures to reach it) that it replaces.
    pub statuses: Vec<u16>,
    /// What answers instead.
    pub answer: Answer,
    /// Its line.
    pub loc: Loc,
}

/// What answers a request.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// `redirect`
    Redirect {
        /// 301, 302, 303, 307 or 308.
        status: u16,
        /// The Location.
        to: Value,
        /// Whether the request's query is appended when the result has none (LANGUAGE rule 11).
        keep_query: bool,
    },
    /// `respond`, with a text.
    Respond {
        /// The status, 200 to 599.
        status: u16,
        /// The body.
        body: Value,
        /// The Content-Type; `text/plain; charset=utf-8` when none was written.
        content_type: Arc<str>,
    },
    /// `respond … file "x"`: the content of one file.
    RespondFile {
        /// The status.
        status: u16,
        /// Relative to the route file's directory.
        path: Arc<str>,
        /// The Content-Type; by the name's ending when none was written.
        content_type: Option<Arc<str>>,
    },
    /// `deny`
    Deny {
        /// 400 to 599.
        status: u16,
    },
    /// No route: 404.
    NotFound,
    /// `files`
    Files {
        /// The directory, relative to the route file's directory.
        dir: Arc<str>,
        /// Served for a directory.
        index: Arc<str>,
        /// Served (200) when no file is found.
        fallback: Option<Arc<str>>,
        /// The path that is looked up; the request's canonical path when none was written.
        at: Option<Value>,
    },
    /// A pool.
    Proxy {
        /// Which.
        to: Destination,
        /// The new path; a `?` in it starts a query that replaces the request's.
        at: Option<Value>,
        /// The Host that is sent; the client's when none was written.
        host: Option<Value>,
    },
}

/// Where a proxied request goes.
#[derive(Clone, Debug, PartialEq)]
pub enum Destination {
    /// To one pool.
    Pool(PoolIdx),
    /// Split by shares.
    Split {
        /// Shares in ten-thousandths, which add up to 10 000.
        shares: Vec<(u32, PoolIdx)>,
        /// What makes it sticky; drawn anew for each request without one.
        by: Option<Value>,
        /// Site and pattern (LANGUAGE rule 15).
        salt: u64,
    },
}

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
    Connection(super::l4::Key),
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

/// Settings of a site that hold before a route is chosen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SiteSettings {
    /// `tls …`
    pub tls: Tls,
    /// `http allowed`: clear ports serve it instead of redirecting.
    pub http_allowed: bool,
    /// `default`: takes handshakes without SNI and requests whose host nobody serves.
    pub default: bool,
    /// `paths …`
    pub paths: Paths,
    /// `paths semicolon`, or no path-scoped policy in it: a `;` in the path is allowed.
    pub semicolon: bool,
}

/// `tls …`
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Tls {
    /// By ACME where there is an `acme` block and the name is public, else by the internal CA.
    Auto,
    /// By the internal CA.
    Internal,
    /// Clear ports only.
    Off,
}

/// `paths …`
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Paths {
    /// Canonical (LANGUAGE section 4).
    Canonical,
    /// `%2F` is an ordinary character of its segment.
    OpaqueSlash,
}

/// Settings that follow the route. `None` is the gateway's default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// `timeout`: until the head of the upstream's answer, milliseconds.
    pub timeout_ms: Option<u64>,
    /// `idle`: between two pieces of a body, milliseconds.
    pub idle_ms: Option<u64>,
    /// `body limit`, bytes.
    pub body_limit: Option<u64>,
    /// `retry`; the pool's where none is written.
    pub retry: Option<Retry>,
    /// `hedge`; the pool's where none is written.
    pub hedge: Option<Hedge>,
    /// `mirror`
    pub mirror: Option<Mirror>,
    /// `websocket off` makes this `Some(false)`: requests to switch protocols go on as ordinary ones.
    pub websocket: Option<bool>,
}

/// What `gateway.route` says, checked. Defaults stand for what it does not say.
#[derive(Clone, Debug, PartialEq)]
pub struct Gateway {
    /// `http …`: clear listeners.
    pub http: Vec<Listener>,
    /// `https …`: TLS listeners.
    pub https: Vec<Listener>,
    /// `trust proxies […]`: whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// `proxy-protocol from […]`: who begins each TCP connection with a PROXY header.
    pub proxy_protocol_from: Vec<IpNet>,
    /// `log …`: where the line for each connection goes.
    pub log: LogTo,
    /// `metrics ADDRESS:PORT`: where counts are read.
    pub metrics: Option<Listener>,
    /// `limits { … }`
    pub limits: Limits,
    /// `secrets from "DIR"`: a file for each secret; relative to the sites directory.
    pub secrets: Option<Arc<str>>,
    /// `tests off` makes this false: files are loaded whatever their tests say.
    pub tests: bool,
    /// `resolver ADDRESS …`: the name servers that names of endpoints are looked up at; those of the
    /// system where there are none.
    pub resolver: Vec<std::net::SocketAddr>,
}

/// `log …`
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum LogTo {
    /// `log stdout`
    #[default]
    Stdout,
    /// `log "file"`, relative to the sites directory.
    File(Arc<str>),
    /// `log off`
    Off,
}

/// A listener.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Listener {
    /// `None`: every address, both families.
    pub ip: Option<std::net::IpAddr>,
    /// The port; 0 takes a free one (tests).
    pub port: u16,
    /// `https :8443 public 443`: the port that clients see.
    pub public: Option<u16>,
    /// Its line, where written.
    pub loc: Loc,
}

/// `limits { … }`: ceilings of the whole gateway (LANGUAGE rule 16).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// `connections`: client connections at once, all workers together.
    pub connections: u64,
    /// `header`: bytes of a request head.
    pub header_bytes: u64,
    /// `header timeout`: from the first byte of a head to its last, milliseconds.
    pub header_ms: u64,
    /// `idle`: a connection without a request, milliseconds.
    pub keep_alive_ms: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { connections: 50_000, header_bytes: 32 * 1024, header_ms: 10_000, keep_alive_ms: 75_000 }
    }
}

impl Default for Gateway {
    fn default() -> Self {
        let at = |port| Listener { ip: None, port, public: None, loc: Loc::default() };
        Self {
            http: vec![at(8080)],
            https: vec![at(8443)],
            trusted_proxies: Vec::new(),
            proxy_protocol_from: Vec::new(),
            log: LogTo::default(),
            metrics: None,
            limits: Limits::default(),
            secrets: None,
            tests: true,
            resolver: Vec::new(),
        }
    }
}
