//! `tcp`, `udp` and `passthrough`: what becomes of connections that are not read.
//!
//! Blocks are written out: an item is a list of entries from top to bottom, each with the conditions
//! and the policies around it.

mod block;
mod key;
mod limit;
pub(crate) mod settings;

pub(crate) use key::fields;

use super::route::Frame;
use super::site::salt;
use super::{Checker, Env, Outcome, SpanExt};
use crate::lint;
use crate::resolve::ModIdx;
use crate::syntax::ast::{self, Body, StmtKind};
use crate::syntax::span::{Loc, Span};
use crate::tree::ir::{Cond, Listener, Pool, PoolIdx};
use crate::tree::l4::{Entry, Listening, Passthrough, Rules, Settings, Transport};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What is known of the connections of an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// `tcp`: bytes.
    Tcp,
    /// `tcp` with `tls auto`: TLS ends here, so the name in the hello is known.
    TcpTls,
    /// `udp`: datagrams.
    Udp,
    /// `passthrough`: the hello is read and handed on.
    Passthrough,
}

impl Kind {
    /// The item's word.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Tcp | Self::TcpTls => "tcp",
            Self::Udp => "udp",
            Self::Passthrough => "passthrough",
        }
    }

    fn transport(self) -> Transport {
        match self {
            Self::Udp => Transport::Udp,
            Self::Tcp | Self::TcpTls | Self::Passthrough => Transport::Tcp,
        }
    }
}

/// What the lints want to know about an item, beside its IR.
#[derive(Clone, Debug)]
pub(crate) struct L4Info {
    /// What it is.
    pub(crate) kind: Kind,
    /// By entry.
    pub(crate) entries: Vec<L4Entry>,
    /// The item's block with its braces; `None` for the arrow form.
    pub(crate) block: Option<Loc>,
    /// Whether `idle` is written.
    pub(crate) idle: bool,
    /// Whether something in it was reported, so that nothing is said of where connections go.
    pub(crate) broken: bool,
}

/// What the lints want to know about an entry.
#[derive(Clone, Copy, Debug)]
pub(crate) struct L4Entry {
    /// The whole statement; of a block with its block.
    pub(crate) stmt: Loc,
    /// Whether it stands for a block that nothing in it answers.
    pub(crate) miss: bool,
}

/// An item under construction.
struct Build {
    kind: Kind,
    entries: Vec<Entry>,
    info: Vec<L4Entry>,
    pools: Vec<Arc<Pool>>,
    index: BTreeMap<(ModIdx, usize), PoolIdx>,
    settings: Settings,
    /// Settings seen, with their places.
    said: Vec<(String, Loc)>,
    /// Tells the item from others in splits (LANGUAGE rule 15).
    salt: u64,
    /// Frames given out, one for each policy that is used.
    frames: u32,
}

impl Build {
    fn pool(&mut self, module: ModIdx, item: usize, pool: Arc<Pool>) -> PoolIdx {
        *self.index.entry((module, item)).or_insert_with(|| {
            let index = PoolIdx(u32::try_from(self.pools.len()).unwrap_or(u32::MAX));
            self.pools.push(pool);
            index
        })
    }
}

impl<'a> Checker<'a> {
    /// `tcp :5432 { … }`, `udp :53 -> dns`
    pub(super) fn listening(&mut self, item: &'a ast::L4, loc: Loc, out: &mut Outcome) {
        let head = Loc { span: loc.span.start_to(item.listen.span), ..loc };
        let at = self.loc(0, item.listen.span);
        let ast::ListenAddr { ip, port, quic } = item.listen.node;
        let kind = match (item.udp, ends_tls(&item.body)) {
            (true, _) => Kind::Udp,
            (false, true) => Kind::TcpTls,
            (false, false) => Kind::Tcp,
        };
        if quic {
            self.report(lint::g1024::quic(at, kind.word()));
        }
        let listener = Listener { ip: ip.map(super::expr::unmapped), port, public: None, loc: at };
        out.listeners.push((kind.transport(), listener.clone()));
        let name = match ip {
            None => format!("{} :{port}", kind.word()),
            Some(ip) => format!("{} {ip}:{port}", kind.word()),
        };
        let (rules, info) = self.item_rules(kind, salt(&name), &item.body, head, loc);
        let made = Listening { transport: kind.transport(), listener, rules, loc: head };
        out.listening.push((Arc::new(made), info));
    }

    /// `passthrough vault.bank.example -> vault`
    pub(super) fn passthrough(&mut self, item: &'a ast::Passthrough, loc: Loc, out: &mut Outcome) {
        let mut hosts: Vec<(crate::tree::ir::HostPattern, Loc)> = Vec::new();
        let mut broken = false;
        for host in &item.hosts {
            let at = self.loc(0, host.span);
            let Some(made) = self.host_pattern(0, host) else {
                broken = true;
                continue;
            };
            self.saw_host(at, &made.pattern);
            out.claims.push((made.pattern.clone(), at));
            if made.pattern.literal().is_some_and(|host| is_address(&host)) {
                let why = "a hello names no address (RFC 6066, section 3): nothing would be passed through";
                self.report(lint::g1026::host(at, why));
            }
            if let Some((_, first)) = hosts.iter().find(|(o, _)| *o == made.pattern) {
                let first = *first;
                self.report(lint::g2007::twice(at, &lint::show::host(&made.pattern), first));
                continue;
            }
            hosts.push((made.pattern, at));
        }
        let head = item.hosts.last().map_or(loc, |h| Loc { span: loc.span.start_to(h.span), ..loc });
        let salt = hosts.iter().fold(0, |s, (h, _)| s ^ salt(&lint::show::host(h)));
        let (rules, mut info) = self.item_rules(Kind::Passthrough, salt, &item.body, head, loc);
        info.broken |= broken;
        if !hosts.is_empty() {
            out.passthroughs.push((Arc::new(Passthrough { hosts, rules, loc: head }), info));
        }
    }

    fn item_rules(&mut self, kind: Kind, salt: u64, body: &'a Body, head: Loc, item: Loc) -> (Rules, L4Info) {
        let before = self.diagnostics.len();
        let mut b = Build {
            kind,
            entries: Vec::new(),
            info: Vec::new(),
            pools: Vec::new(),
            index: BTreeMap::new(),
            settings: Settings::of(kind.transport()),
            said: Vec::new(),
            salt,
            frames: 0,
        };
        let frame = Frame::new(Env::top(0), Cond::Const(true));
        let block = match body {
            Body::Block(block) => {
                self.item_block(&mut b, block, &frame, head);
                Some(self.loc(0, block.span))
            }
            Body::Action(action) => {
                self.item_arrow(&mut b, action, &frame, item);
                None
            }
        };
        let info = L4Info {
            kind,
            entries: b.info,
            block,
            idle: b.said.iter().any(|(name, _)| name == "idle"),
            broken: self.diagnostics[before..].iter().any(|d| d.severity == crate::diagnostic::Severity::Error),
        };
        (Rules { entries: b.entries, pools: b.pools, settings: b.settings }, info)
    }
}

/// Whether the item says that TLS ends here. Conditions above that line read the name all the same.
fn ends_tls(body: &Body) -> bool {
    let Body::Block(block) = body else { return false };
    block.stmts.iter().any(|stmt| match &stmt.kind {
        StmtKind::Tls { words, body: None } => {
            matches!(Checker::word_names(words).as_slice(), [word] if word == "auto" || word == "internal")
        }
        _ => false,
    })
}

fn is_address(host: &str) -> bool {
    host.trim_matches(['[', ']']).parse::<std::net::IpAddr>().is_ok()
}

/// A statement's head: from its start to where its block begins.
fn head_of(stmt: Loc, block: Span) -> Loc {
    Loc { span: Span { start: stmt.span.start, end: block.start.max(stmt.span.start) }, ..stmt }
}
