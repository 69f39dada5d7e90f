//! What the lints ask about `tcp`, `udp` and `passthrough` items: connections that show where an entry
//! leads. Each was decided by [`Rules::decide`], as the data plane decides.

mod space;
mod together;

pub(super) use space::{Judged, Witness};
pub(crate) use together::overlap;
pub use together::{Together, together};

use super::{g1013, g2001, g2005, g2006, g7003, g7004, g7005};
use crate::check::l4::{Kind, L4Info};
use crate::diagnostic::{Diagnostic, Edit};
use crate::syntax::span::{Loc, Span};
use crate::tree::ir::{Cond, Field, HostPattern, Listener};
use crate::tree::l4::{Entry, Listening, Passthrough, Rules, Step, Target};
use std::sync::Arc;

/// An item under the linter.
pub(super) struct Item<'a> {
    pub(super) rules: &'a Rules,
    pub(super) info: &'a L4Info,
    /// Where a `tcp` or `udp` item listens.
    pub(super) listener: Option<&'a Listener>,
    pub(super) head: Loc,
    /// The text of the file.
    pub(super) text: &'a str,
    pub(super) judged: Judged,
    pub(super) out: Vec<Diagnostic>,
}

/// Says what can be said of the items of a file.
pub(crate) fn items(
    listening: &[(Arc<Listening>, L4Info)],
    passthroughs: &[(Arc<Passthrough>, L4Info)],
    text: &str,
) -> Vec<Diagnostic> {
    let mut out = Vec::new();
    for (item, info) in listening {
        out.extend(one(&item.rules, info, Some(&item.listener), Vec::new(), item.loc, text));
    }
    for (item, info) in passthroughs {
        let hosts = item.hosts.iter().map(|(host, _)| host).collect();
        out.extend(one(&item.rules, info, None, hosts, item.loc, text));
    }
    out
}

fn one(
    rules: &Rules,
    info: &L4Info,
    listener: Option<&Listener>,
    hosts: Vec<&HostPattern>,
    head: Loc,
    text: &str,
) -> Vec<Diagnostic> {
    let judged = Judged::new(rules, info.kind, &hosts);
    let mut item = Item { rules, info, listener, head, text, judged, out: Vec::new() };
    // Where connections go is not known while something in the item is not.
    if !info.broken {
        g1013::item(&mut item);
        g2001::item(&mut item);
        g2005::item(&mut item);
        g2006::item(&mut item);
        g7003::item(&mut item);
        g7005::item(&mut item);
    }
    g7004::item(&mut item);
    item.out
}

impl Item<'_> {
    /// `tcp :5432 from 203.0.113.1`, `tls vault.bank.example from 203.0.113.1 offering h2`
    pub(super) fn describe(&self, witness: &Witness) -> String {
        let mut out = match self.listener {
            Some(listener) => self.shown(listener),
            None => format!("tls {}", witness.sni.as_deref().unwrap_or_default()),
        };
        if let (Some(_), Some(sni)) = (self.listener, &witness.sni) {
            out.push_str(&format!(" for {sni}"));
        }
        out.push_str(&format!(" from {}", witness.client.ip()));
        if witness.client.port() != space::PORT {
            out.push_str(&format!(" port {}", witness.client.port()));
        }
        if !witness.alpn.is_empty() {
            out.push_str(&format!(" offering {}", witness.alpn.join(", ")));
        }
        out
    }

    fn shown(&self, listener: &Listener) -> String {
        shown(self.info.kind.word(), listener)
    }

    /// A line of the file, for messages.
    pub(super) fn line(&self, loc: Loc) -> String {
        let before = self.text.get(..loc.span.start as usize).unwrap_or_default();
        format!("line {}", before.matches('\n').count() + 1)
    }

    /// A statement as written, on one line: up to its block.
    pub(super) fn source(&self, loc: Loc) -> &str {
        let text = if loc.file == self.head.file { self.text.get(loc.span.range()).unwrap_or_default() } else { "" };
        text.lines().next().unwrap_or_default().trim_end()
    }

    /// The edit that puts a line at the top of the item's block.
    pub(super) fn on_top(&self, line: &str, safe: bool) -> Option<Edit> {
        let block = self.info.block?;
        let at = block.span.start as usize + 1;
        self.text.get(at..)?.starts_with('\n').then(|| Edit {
            loc: Loc { file: block.file, span: Span::new(at, at) },
            text: format!("\n    {line}"),
            safe,
        })
    }

    /// Entries that hand connections on.
    pub(super) fn open(&self) -> impl Iterator<Item = &Entry> {
        self.rules.entries.iter().filter(|e| !matches!(e.target, Target::Deny))
    }
}

/// Whether a place lies in another.
pub(super) fn within(outer: Loc, inner: Loc) -> bool {
    outer.file == inner.file && outer.span.start <= inner.span.start && inner.span.end <= outer.span.end
}

/// `tcp :5432`
pub(super) fn shown(word: &str, listener: &Listener) -> String {
    match listener.ip {
        None => format!("{word} :{}", listener.port),
        Some(ip) => format!("{word} {}", std::net::SocketAddr::new(ip, listener.port)),
    }
}

/// The fields that a condition reads.
pub(super) fn reads(cond: &Cond) -> Vec<Field> {
    let mut out = Vec::new();
    crate::check::l4::fields(cond, &mut out);
    out
}

/// Whether an entry asks for more than its guard.
pub(super) fn checks(entry: &Entry) -> bool {
    entry.steps.iter().any(|step| match step {
        Step::Require { .. } => true,
        Step::Limit(limit) => !limit.shadow,
    })
}

/// Whether the hello of an item's connections is handed on.
pub(super) fn passes_hello(kind: Kind) -> bool {
    kind == Kind::Passthrough
}
