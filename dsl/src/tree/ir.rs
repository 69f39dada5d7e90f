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

mod call;
mod cert;
mod certificates;
mod gateway;
mod handshake;
mod identity;
mod limit;
mod pool;
mod provider;
mod step;
mod table;
mod tenant;

use crate::syntax::ast::VisitDoes;
use crate::syntax::span::{FileId, Loc};
use std::collections::BTreeMap;
use std::sync::Arc;

pub use super::regex::Regex;
pub use call::*;
pub use cert::*;
pub use certificates::*;
pub use gateway::*;
pub use handshake::*;
pub use identity::*;
pub use ipnet::IpNet;
pub use limit::*;
pub use pool::*;
pub use provider::*;
pub use step::*;
pub use table::*;
pub use tenant::*;

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
    /// What its conditions and values ask, by [`CallIdx`].
    pub calls: Vec<Arc<Call>>,
    /// The providers that its calls and answers name, by [`ProviderIdx`].
    pub providers: Vec<Arc<Provider>>,
    /// Who may have a certificate, where `tls` is [`Tls::OnDemand`].
    pub on_demand: Option<Arc<OnDemand>>,
    /// How its names are proved by DNS, where `tls` is [`Tls::Auto`] and says `via dns(…)`.
    pub via: Option<Via>,
    /// Settings that hold before a route is chosen.
    pub settings: SiteSettings,
    /// The `site` line.
    pub loc: Loc,
}

impl Site {
    /// How many routes it has: entries that lead somewhere.
    pub fn routes(&self) -> usize {
        let entries = self.scopes.iter().flat_map(|scope| &scope.entries);
        entries.filter(|entry| matches!(entry.target, Target::Plan(_))).count()
    }

    /// How many states the regular expressions of its patterns and guards have, each by itself.
    pub fn states(&self) -> usize {
        let entries = self.scopes.iter().flat_map(|scope| &scope.entries);
        let in_patterns =
            entries.clone().flat_map(|entry| &entry.pattern.segments).filter_map(|segment| match segment {
                Segment::Capture { class: Class::Regex(regex), .. } => Some(regex.states()),
                Segment::Capture { .. } | Segment::Lit(_) => None,
            });
        in_patterns.sum::<usize>() + entries.map(|entry| states(&entry.guard)).sum::<usize>()
    }
}

fn states(cond: &Cond) -> usize {
    match cond {
        Cond::Test(_, Test::Matches(regex)) => regex.states(),
        Cond::Const(_) | Cond::Test(..) | Cond::Relate(..) => 0,
        Cond::Not(inner) => states(inner),
        Cond::And(all) | Cond::Or(all) => all.iter().map(states).sum(),
    }
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
    /// `client.country`: two capitals; missing where the file of `gateway { country … }` knows none.
    ClientCountry,
    /// `tls.sni`; missing on clear ports.
    TlsSni,
    /// `tls.version`: `1.2`, `1.3`; missing on clear ports.
    TlsVersion,
    /// `tls.alpn`; missing on clear ports.
    TlsAlpn,
    /// `tls.cert`, `tls.cert.subject`: of the certificate that the client proved; missing where it proved none.
    TlsCert(CertPart),
    /// `header.x`, name in lower case. Several equal values are one value.
    Header(Arc<str>),
    /// `cookie.x`, name as written.
    Cookie(Arc<str>),
    /// `query.x`, name and value percent-decoded, `+` as space.
    Query(Arc<str>),
    /// A capture.
    Capture(Capture),
    /// `tenants[tenant]`: the value of a row, as text.
    Row(Arc<Lookup>),
    /// Whether a call says yes: present then, else missing. With it, how it is written.
    Call(CallIdx, Arc<str>),
    /// What a call that says yes tells by this name: a claim of a token; missing otherwise.
    Claim(CallIdx, Arc<str>),
    /// A part of the body, which a call reads; missing where it says no. With it, how it is written.
    Body(CallIdx, Arc<str>),
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

impl Order {
    /// The same with its sides exchanged.
    #[must_use]
    pub fn flipped(self) -> Self {
        match self {
            Self::Eq => Self::Eq,
            Self::Lt => Self::Gt,
            Self::Le => Self::Ge,
            Self::Gt => Self::Lt,
            Self::Ge => Self::Le,
        }
    }
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

impl Value {
    /// The fields that it is made of. What stands in for one that is missing is not among them.
    pub fn fields(&self) -> impl Iterator<Item = &Field> {
        self.parts.iter().filter_map(|part| match part {
            Part::Hole { field, .. } => Some(field),
            Part::Text(_) => None,
        })
    }

    /// The text, where nothing of a request is in it.
    #[must_use]
    pub fn constant(&self) -> Option<&str> {
        match self.parts.as_slice() {
            [] => Some(""),
            [Part::Text(text)] => Some(text),
            _ => None,
        }
    }

    /// The field, where its text is all there is, as it is.
    #[must_use]
    pub fn field(&self) -> Option<&Field> {
        match self.parts.as_slice() {
            [Part::Hole { field, transform: Transform::None, encode: Encode::Plain | Encode::Header, .. }] => {
                Some(field)
            }
            _ => None,
        }
    }
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
        /// What is made of it first.
        transform: Transform,
        /// How it is encoded for its place (LANGUAGE rule 24).
        encode: Encode,
        /// What happens when it is missing; the checker allows no missing field without it.
        if_missing: Option<Box<Missing>>,
    },
}

/// What is made of a field's text before it is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Transform {
    /// It stays as it is.
    #[default]
    None,
    /// `lower(…)`: ASCII letters in lower case.
    Lower,
    /// `hash(…)`: SHA-256 of its bytes, 64 hexadecimal digits in lower case.
    Hash,
    /// `hash(lower(…))`
    LowerHash,
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
    /// The same, `/` kept, which means nothing in a query (RFC 3986 section 3.4): for paths.
    QueryPath,
    /// A header value: control bytes are refused (400).
    Header,
    /// Already encoded: `request.uri` and `request.query-string` in a URL.
    Encoded,
    /// A host in the authority of a URL (host captures, `host`): labels only.
    Authority,
    /// `local-path(…)`: a path of this host with its query; anything else is refused (LANGUAGE rule 25).
    LocalPath,
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
    /// The `use`s it passes, outer first; for people and for proofs: no decision reads it.
    pub policies: Vec<Use>,
}

/// A `use` on the way of a plan.
#[derive(Clone, Debug, PartialEq)]
pub struct Use {
    /// The name it was used under.
    pub name: Arc<str>,
    /// Its line.
    pub loc: Loc,
    /// The policy, whatever it is called here: the file that declares it, and its name there.
    pub policy: (FileId, Arc<str>),
    /// `use … when cond`, those around it included: other requests do not pass the policy.
    pub when: Cond,
    /// How many steps of the plan a request has taken when it comes to the policy; 0 where the policy has none.
    pub from: usize,
    /// How many steps of the plan a request has taken once it is through the policy; 0 where the
    /// policy has none.
    pub through: usize,
}

impl Plan {
    /// The policies that a step is one of, as they were used, outer first.
    pub fn uses_of(&self, step: usize) -> impl Iterator<Item = &Use> {
        self.policies.iter().filter(move |used| (used.from..used.through).contains(&step))
    }

    /// What people call a step: the policies that it is one of, as used, outer first, and the name of a limit that
    /// has one (`waf.basic/injection`, `api/visitors`); else the word that it begins with.
    #[must_use]
    pub fn rule(&self, step: usize) -> String {
        let mut names: Vec<&str> = self.uses_of(step).map(|used| &*used.name).collect();
        let own = match self.steps.get(step) {
            Some(Step::Limit(limit)) if limit.is_named() => Some(&*limit.name),
            Some(step) if names.is_empty() => Some(step.word()),
            Some(_) | None => None,
        };
        names.extend(own);
        names.join("/")
    }
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
    /// `respond verdict`: what a service said, with its status, headers and body, where that is a no. Where it said yes
    /// something else refuses, with 403.
    Relay {
        /// The `ask`; its [`Call::relayed`] is true.
        call: CallIdx,
    },
    /// `login corp`, `logout corp`: what it comes to says the call of it.
    Visit {
        /// For what.
        does: VisitDoes,
        /// Which provider.
        provider: ProviderIdx,
        /// What works out the answer, once for each request.
        call: CallIdx,
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
    /// To the pool that a row names.
    Table(ByTable),
}

impl Destination {
    /// Every pool that it can lead to.
    pub fn pools(&self) -> Vec<PoolIdx> {
        match self {
            Self::Pool(pool) => vec![*pool],
            Self::Split { shares, .. } => shares.iter().map(|(_, pool)| *pool).collect(),
            Self::Table(by) => {
                let otherwise = match &*by.otherwise {
                    Answer::Proxy { to, .. } => to.pools(),
                    _ => Vec::new(),
                };
                by.among.iter().copied().chain(otherwise).collect()
            }
        }
    }
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
    /// Paths that policies of their own hang on, or that are denied: no other path may be read as one of them.
    pub walls: Walls,
    /// What it says of its handshakes.
    pub handshake: Handshake,
}

/// Patterns of paths, found by the first segment of a path.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Walls {
    /// Those that begin with a fixed segment.
    by_first: BTreeMap<Arc<str>, Vec<PathPattern>>,
    others: Vec<PathPattern>,
}

impl Walls {
    /// Adds one, where it is not there.
    pub fn add(&mut self, pattern: &PathPattern) {
        let among = match pattern.segments.first() {
            Some(Segment::Lit(first)) => self.by_first.entry(Arc::clone(first)).or_default(),
            Some(Segment::Capture { .. }) | None => &mut self.others,
        };
        if !among.contains(pattern) {
            among.push(pattern.clone());
        }
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_first.is_empty() && self.others.is_empty()
    }

    /// Those that may match a path with this first segment.
    pub fn that_begin(&self, first: &str) -> impl Iterator<Item = &PathPattern> {
        self.by_first.get(first).into_iter().flatten().chain(&self.others)
    }
}

/// `tls …`
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Tls {
    /// By ACME where there is an `acme` block and the name is public, else by the internal CA.
    Auto,
    /// By the internal CA.
    Internal,
    /// When a name is first asked for, if [`Site::on_demand`] allows it.
    OnDemand,
    /// From files: [`Handshake::files`].
    File,
    /// Clear ports only.
    Off,
}

/// `tls on-demand { allow when … limit 20/h }`
#[derive(Clone, Debug, PartialEq)]
pub struct OnDemand {
    /// What must hold of a name; false where nothing is written. It reads the host, its captures, `tls.sni`,
    /// `client.ip` and calls that read no more than these.
    pub allow: Cond,
    /// How many certificates are made, over all names of the site, in so many milliseconds.
    pub limit: Option<(u32, u64)>,
    /// Its line.
    pub loc: Loc,
}

/// `paths …`
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Paths {
    /// Canonical (LANGUAGE section 4).
    Canonical,
    /// `%2F` is an ordinary character of its segment.
    OpaqueSlash,
    /// As sent: nothing is decoded, merged or resolved.
    Raw,
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
    /// `inspect`: how much of a body conditions look at.
    pub inspect: Option<crate::body::Inspect>,
    /// `header limit`: bytes of the head of a request, written as HTTP/1.1.
    pub header_limit: Option<u64>,
    /// `retry`; the pool's where none is written.
    pub retry: Option<Retry>,
    /// `hedge`; the pool's where none is written.
    pub hedge: Option<Hedge>,
    /// `mirror`
    pub mirror: Option<Mirror>,
    /// `websocket off` makes this `Some(false)`: requests to switch protocols go on as ordinary ones.
    pub websocket: Option<bool>,
    /// `log off` makes this `Some(false)`: no line is written of its requests.
    pub log: Option<bool>,
}
