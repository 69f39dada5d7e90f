//! Connections and flows: what `tcp`, `udp` and `passthrough` say, and who decides about one.
//!
//! The order of evaluation (LANGUAGE sections 2, 6 and 8): the entries top to bottom, the first whose
//! guard holds; then its policies, outer first, as written; then its target. A connection that no
//! entry takes is refused.
//!
//! INVARIANT: whoever wants to know where a connection goes asks [`Rules::decide`]: the data plane,
//! `lint`, `explain`.

pub mod key;
pub mod tell;
mod text;

use super::eval;
use super::ir::{Cond, Field, HostPattern, Listener, Part, Pool, PoolIdx, Test};
use super::request::{Request, TlsFacts};
use crate::syntax::span::Loc;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// What is carried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Transport {
    /// Streams.
    Tcp,
    /// Datagrams.
    Udp,
}

/// `tcp :5432 { … }`, `udp :53 -> dns`
#[derive(Clone, Debug, PartialEq)]
pub struct Listening {
    /// Streams or datagrams.
    pub transport: Transport,
    /// Where it listens.
    pub listener: Listener,
    /// What becomes of a connection.
    pub rules: Rules,
    /// The item's head.
    pub loc: Loc,
}

/// `passthrough HOSTS -> pool`: TLS connections to these hosts, on every `https` listener, by the name
/// in their hello.
#[derive(Clone, Debug, PartialEq)]
pub struct Passthrough {
    /// The hosts, literals in lower case.
    pub hosts: Vec<(HostPattern, Loc)>,
    /// What becomes of a connection.
    pub rules: Rules,
    /// The item's head.
    pub loc: Loc,
}

/// What an item says about its connections.
#[derive(Clone, Debug, PartialEq)]
pub struct Rules {
    /// Top to bottom; blocks are written out, with the conditions and policies around them.
    pub entries: Vec<Entry>,
    /// The pools that entries name, by [`PoolIdx`].
    pub pools: Vec<Arc<Pool>>,
    /// Its settings.
    pub settings: Settings,
}

/// One way that a connection may go.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// The `when` conditions around it; [`Cond::Const`]`(true)` without one. It reads `client.ip`,
    /// `client.port`, `tls.sni` and `tls.alpn` only.
    pub guard: Cond,
    /// The policies that it passes, outer first, as written.
    pub steps: Vec<Step>,
    /// Where it goes.
    pub target: Target,
    /// Its line.
    pub loc: Loc,
}

/// A policy.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// `require cond`: the connection is refused where it does not hold.
    Require {
        /// What must hold.
        cond: Cond,
        /// Its line.
        loc: Loc,
    },
    /// `limit …`: the connection (for UDP: the new flow) is refused where it is exceeded.
    Limit(Limit),
}

/// `limit RATE [burst N] [cost N] per KEY [as NAME] [shadow]` and `limit N at-once per KEY [as NAME] [shadow]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Limit {
    /// What is bounded.
    pub bound: Bound,
    /// What a connection or flow takes of a bucket; 1 where none is written. No more than a bucket holds.
    pub cost: u32,
    /// For whom.
    pub key: Key,
    /// `as NAME`: items whose route files lie in one folder share the buckets of limits of one name.
    pub name: Option<Arc<str>>,
    /// `shadow`: counts, and refuses nobody.
    pub shadow: bool,
    /// Its line: one written limit is one set of buckets (LANGUAGE rule 21).
    pub loc: Loc,
}

/// What a limit bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Bound {
    /// New connections or flows over time: a token bucket.
    Rate {
        /// So many…
        count: u32,
        /// …in so many milliseconds.
        per_ms: u64,
        /// The size of the bucket; one second's worth, at least 1, when not written.
        burst: u32,
    },
    /// Connections or flows at one time.
    AtOnce(u32),
    /// Bytes a second, both ways together: those of connections wait, and flows are refused.
    Bytes(u64),
}

/// Where an entry leads.
#[derive(Clone, Debug, PartialEq)]
pub enum Target {
    /// To one pool.
    Pool(PoolIdx),
    /// `95% a, 5% b by KEY`
    Split {
        /// Shares in ten-thousandths, which add up to 10 000.
        shares: Vec<(u32, PoolIdx)>,
        /// What makes it sticky; drawn anew for each connection without one.
        by: Option<Key>,
        /// The item (LANGUAGE rule 15).
        salt: u64,
    },
    /// Refused: a TCP connection is reset, a datagram dropped.
    Deny,
}

/// What a connection is told apart by: `client.ip`, `[client.ip, client.port]`, `connection`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Key(pub Vec<KeyPart>);

/// A part of a [`Key`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum KeyPart {
    /// `client.ip`; IPv6 addresses by their /64 (LANGUAGE rule 21).
    ClientIp,
    /// `client.port`
    ClientPort,
    /// `connection`: both addresses and both ports.
    Connection,
    /// `tls.sni`, lower case; empty where there is none.
    Sni,
}

/// Settings. Defaults stand for what was not written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// `idle`: nothing in either direction for so long, milliseconds.
    pub idle_ms: u64,
    /// `lifetime`: the longest that a connection lasts, milliseconds.
    pub lifetime_ms: Option<u64>,
    /// `drain`: how long a connection may go on whose endpoint left its pool or is down, or whose
    /// item changed or is gone, milliseconds.
    pub drain_ms: u64,
    /// `cut on-unhealthy`: connections to an endpoint that is down end at once.
    pub cut_on_unhealthy: bool,
    /// `tls auto`, `tls internal` in `tcp`: TLS ends here, the pool gets the plain bytes.
    pub tls: bool,
    /// `flow per KEY` in `udp`: datagrams with one key are one flow. [`KeyPart::Connection`] when not
    /// written.
    pub flow: Key,
    /// `log off` makes this `false`: no line for each connection.
    pub log: bool,
}

impl Settings {
    /// What holds where nothing is written.
    #[must_use]
    pub fn of(transport: Transport) -> Self {
        let idle_ms = match transport {
            Transport::Tcp => 3_600_000,
            Transport::Udp => 60_000,
        };
        Self {
            idle_ms,
            lifetime_ms: None,
            drain_ms: 300_000,
            cut_on_unhealthy: false,
            tls: false,
            flow: Key(vec![KeyPart::Connection]),
            log: true,
        }
    }
}

/// What is known of a connection when it is decided about.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// Who connects: behind a trusted PROXY header, who it names.
    pub client: SocketAddr,
    /// What was reached.
    pub local: SocketAddr,
    /// The name in the hello, lower case, without trailing dot.
    pub sni: Option<&'a str>,
    /// The protocols that the hello offers, in its order. `tls.alpn` reads the first, which is the
    /// client's choice; `tls.alpn has "…"` asks for any.
    pub alpn: &'a [Box<str>],
}

impl Rules {
    /// The entry that takes a connection; `None` where nobody does, and it is refused.
    #[must_use]
    pub fn decide(&self, facts: &Facts<'_>) -> Option<&Entry> {
        self.entries.iter().find(|entry| facts.hold(&entry.guard))
    }
}

impl Rules {
    /// Whether conditions, limits or shares read the name in the hello: where TLS ends here, it is known
    /// after the handshake.
    #[must_use]
    pub fn reads_name(&self) -> bool {
        let by = |key: &Key| key.0.contains(&KeyPart::Sni);
        self.entries.iter().any(|entry| {
            let steps = entry.steps.iter().any(|step| match step {
                Step::Require { cond, .. } => reads_name(cond),
                Step::Limit(limit) => by(&limit.key),
            });
            let share = matches!(&entry.target, Target::Split { by: Some(key), .. } if by(key));
            steps || share || reads_name(&entry.guard)
        })
    }
}

fn reads_name(cond: &Cond) -> bool {
    match cond {
        Cond::Const(_) => false,
        Cond::Test(field, _) => *field == Field::TlsSni,
        Cond::Relate(left, _, right) => [left, right].iter().flat_map(|v| &v.parts).any(|part| match part {
            Part::Hole { field, .. } => *field == Field::TlsSni,
            Part::Text(_) => false,
        }),
        Cond::Not(inner) => reads_name(inner),
        Cond::And(all) | Cond::Or(all) => all.iter().any(reads_name),
    }
}

impl Facts<'_> {
    /// The part of a condition that does not hold, as it would be written: the first of an `and`, the
    /// whole of anything else. `None` where it holds.
    #[must_use]
    pub fn refusal(&self, cond: &Cond) -> Option<String> {
        match cond {
            Cond::And(all) => all.iter().find_map(|c| self.refusal(c)),
            _ => (!self.hold(cond)).then(|| cond.to_string()),
        }
    }

    /// Whether a condition of an [`Entry`] or a [`Step`] holds.
    #[must_use]
    pub fn hold(&self, cond: &Cond) -> bool {
        match cond {
            Cond::Const(value) => *value,
            // As a header that arrives several times: any copy, and the whole of it.
            Cond::Test(Field::TlsAlpn, Test::Has(wanted)) => self.alpn.iter().any(|one| **one == **wanted),
            Cond::Test(..) | Cond::Relate(..) => eval::holds(cond, self),
            Cond::Not(inner) => !self.hold(inner),
            Cond::And(all) => all.iter().all(|c| self.hold(c)),
            Cond::Or(all) => all.iter().any(|c| self.hold(c)),
        }
    }
}

/// A connection has no request: what HTTP reads is empty or missing.
impl Request for Facts<'_> {
    fn method(&self) -> &str {
        ""
    }
    fn host(&self) -> &str {
        self.sni.unwrap_or_default()
    }
    fn path(&self) -> &str {
        "/"
    }
    fn query(&self) -> Option<&str> {
        None
    }
    fn version(&self) -> &'static str {
        ""
    }
    fn header<'a>(&'a self, _: &str, _: &mut dyn FnMut(&'a [u8])) {}
    fn client_ip(&self) -> IpAddr {
        self.client.ip().to_canonical()
    }
    fn client_port(&self) -> u16 {
        self.client.port()
    }
    fn size(&self) -> Option<u64> {
        None
    }
    fn tls(&self) -> Option<TlsFacts<'_>> {
        Some(TlsFacts { sni: self.sni, version: "", alpn: self.alpn.first().map(|one| &**one), cert: None })
    }
}
