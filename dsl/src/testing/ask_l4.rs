//! A connection of a test, from where it goes to what becomes of it.

use super::coverage::What;
use super::run::Subject;
use super::{Connection, Given, Reached, draw};
use crate::syntax::span::Loc;
use crate::tree::canonical;
use crate::tree::ir::{Cond, Pool};
use crate::tree::l4::tell::{End, tell};
use crate::tree::l4::{Facts, Listening, Passthrough, Rules, Transport};
use crate::tree::tell::Line;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// What became of a connection.
pub(super) struct Went<'s> {
    pub(super) end: Ended<'s>,
    /// The points that it went through, and how.
    pub(super) seen: Vec<(What, Loc, bool)>,
    /// The story.
    pub(super) lines: Vec<Line>,
}

/// Where it ended.
pub(super) enum Ended<'s> {
    /// No item of the file takes connections there: other files may have one.
    Nobody(String),
    /// At a pool.
    Pool(&'s Arc<Pool>),
    /// Shares are drawn, and no draw is given.
    Open(String),
    /// It is refused.
    Refused(&'static str),
}

impl Ended<'_> {
    /// In the words that a test would use.
    pub(super) fn words(&self) -> String {
        match self {
            Self::Nobody(why) => why.clone(),
            Self::Pool(pool) => format!("pool {}", pool.name),
            Self::Open(shares) => format!("{shares}; say which with `given draw 5%`"),
            Self::Refused(why) => format!("deny: {why}"),
        }
    }
}

/// Walks a connection through the item that takes it.
pub(super) fn ask<'s>(subject: Subject<'s>, asked: &Connection, given: &[&Given]) -> Went<'s> {
    let mut lines = Vec::new();
    let nobody = |why: String, lines| Went { end: Ended::Nobody(why), seen: Vec::new(), lines };
    let (rules, transport, local, sni) = match &asked.to {
        Reached::Port(transport, ip, port) => {
            let Some(item) = listening(subject.listening, *transport, *ip, *port) else {
                return nobody(format!("no item of this file listens on {}", asked.to), lines);
            };
            lines.push(Line::new("listener", asked.to.to_string(), Some(item.loc)));
            (
                &item.rules,
                *transport,
                SocketAddr::new(ip.unwrap_or(IpAddr::from([192, 0, 2, 1])), *port),
                asked.sni.clone(),
            )
        }
        Reached::Tls(host) => {
            let host = canonical::host(host.as_bytes()).map(std::borrow::Cow::into_owned).unwrap_or_default();
            let Some((item, loc)) = passed(subject.passthroughs, &host) else {
                return nobody(format!("no `passthrough` of this file is for {host}"), lines);
            };
            lines.push(Line::new("host", format!("{host}: passed through"), Some(loc)));
            (&item.rules, Transport::Tcp, SocketAddr::from(([192, 0, 2, 1], 443)), Some(host))
        }
    };
    let facts = Facts { client: asked.client.into(), local, sni: sni.as_deref(), alpn: &asked.alpn };
    walked(rules, transport, &facts, draw(given), lines)
}

fn walked<'s>(
    rules: &'s Rules,
    transport: Transport,
    facts: &Facts<'_>,
    draw: Option<u32>,
    mut lines: Vec<Line>,
) -> Went<'s> {
    let told = tell(rules, transport, facts, draw);
    lines.extend(told.lines);
    let mut seen = Vec::new();
    for (entry, took) in &told.asked {
        if !matches!(entry.guard, Cond::Const(_)) {
            seen.push((What::When, entry.loc, *took));
        }
    }
    seen.extend(told.required.iter().map(|(loc, held)| (What::Require, *loc, *held)));
    let through = told.required.iter().all(|(_, held)| *held);
    if let Some((entry, true)) = told.asked.last().filter(|_| through) {
        seen.push((What::Route, entry.loc, true));
    }
    let end = match told.end {
        End::Pool(pool) => Ended::Pool(pool),
        End::Open(shares) => Ended::Open(shares),
        End::Refused(why) => Ended::Refused(why),
    };
    Went { end, seen, lines }
}

/// The item that listens there: on this very address, or else on all of them.
fn listening(items: &[Arc<Listening>], transport: Transport, ip: Option<IpAddr>, port: u16) -> Option<&Listening> {
    let here = |item: &&Arc<Listening>| item.transport == transport && item.listener.port == port;
    let exact = items.iter().filter(here).find(|item| item.listener.ip == ip);
    let any = || items.iter().filter(here).find(|item| ip.is_none() || item.listener.ip.is_none());
    exact.or_else(any).map(|item| &**item)
}

/// The passthrough for a host, by its most specific pattern.
fn passed<'s>(items: &'s [Arc<Passthrough>], host: &str) -> Option<(&'s Passthrough, Loc)> {
    let mut hosts = crate::tree::HostIndex::default();
    for item in items {
        for (pattern, loc) in &item.hosts {
            hosts.insert(pattern, (Arc::clone(item), *loc));
        }
    }
    let (found, loc) = hosts.get(host)?;
    let item = items.iter().find(|item| Arc::ptr_eq(item, found))?;
    Some((item, *loc))
}
