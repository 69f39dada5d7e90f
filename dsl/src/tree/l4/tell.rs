//! The way of a connection through the rules of an item, told line by line: for `explain`, and for tests
//! that fail.

use super::key::hash_of;
use super::{Entry, Facts, Rules, Step, Target, Transport};
use crate::syntax::span::Loc;
use crate::tree::ir::{Cond, Pool, PoolIdx};
use crate::tree::judge::{share, sticky};
use crate::tree::tell::Line;
use crate::tree::words;
use std::sync::Arc;

/// A connection that was decided about, and the story of it.
#[derive(Clone, Debug)]
pub struct Told<'r> {
    /// Where it goes.
    pub end: End<'r>,
    /// The entries that were asked, in order, and whether they took it.
    pub asked: Vec<(&'r Entry, bool)>,
    /// The `require`s that were asked, and whether they hold.
    pub required: Vec<(Loc, bool)>,
    /// The story.
    pub lines: Vec<Line>,
}

/// Where a connection goes.
#[derive(Clone, Debug)]
pub enum End<'r> {
    /// To a pool.
    Pool(&'r Arc<Pool>),
    /// Shares are drawn, and nothing says where the draw falls: in words, which.
    Open(String),
    /// It is refused: in words, why.
    Refused(&'static str),
}

/// Tells the way of a connection. `draw` is where in ten thousand shares that are drawn anew fall; without it
/// all of them are named.
#[must_use]
pub fn tell<'r>(rules: &'r Rules, transport: Transport, facts: &Facts<'_>, draw: Option<u32>) -> Told<'r> {
    let mut told = Told { end: End::Refused(""), asked: Vec::new(), required: Vec::new(), lines: Vec::new() };
    let taken = rules.decide(facts);
    let mut label = "entries";
    for entry in &rules.entries {
        let when = match &entry.guard {
            Cond::Const(true) => "else".to_owned(),
            guard => format!("when {guard}"),
        };
        let refusal = facts.refusal(&entry.guard);
        told.asked.push((entry, refusal.is_none()));
        let what = match refusal {
            Some(part) => format!("no: {part} does not hold"),
            None => "takes it".into(),
        };
        told.lines.push(Line::new(label, format!("{when}  · {what}"), Some(entry.loc)));
        label = "";
        if taken.is_some_and(|taken| std::ptr::eq(taken, entry)) {
            break;
        }
    }
    match taken {
        Some(entry) => policies(&mut told, rules, entry, transport, facts, draw),
        None => refused(&mut told, transport, "nothing here takes it", None),
    }
    told
}

fn policies<'r>(
    told: &mut Told<'r>,
    rules: &'r Rules,
    entry: &'r Entry,
    transport: Transport,
    facts: &Facts<'_>,
    draw: Option<u32>,
) {
    let mut label = "policies";
    for step in &entry.steps {
        let (what, loc) = match step {
            Step::Require { cond, loc } => {
                let holds = facts.hold(cond);
                told.required.push((*loc, holds));
                if !holds {
                    told.lines.push(Line::new(label, format!("{step}  · does not hold"), Some(*loc)));
                    return refused(told, transport, "a `require` does not hold", Some(*loc));
                }
                ("holds", *loc)
            }
            Step::Limit(limit) if limit.shadow => ("only counts", limit.loc),
            Step::Limit(limit) => ("passes while it is not exceeded", limit.loc),
        };
        told.lines.push(Line::new(label, format!("{step}  · {what}"), Some(loc)));
        label = "";
    }
    let (index, why) = match &entry.target {
        Target::Deny => return refused(told, transport, "`deny`", Some(entry.loc)),
        Target::Pool(pool) => (*pool, String::new()),
        Target::Split { shares, by, salt } => {
            let named = |(points, pool): &(u32, PoolIdx)| {
                format!("{}% {}", words::percent(*points), rules.pools[pool.0 as usize].name)
            };
            let all = shares.iter().map(named).collect::<Vec<_>>().join(", ");
            match (by, draw) {
                (Some(key), _) => {
                    let drawn = share(shares, sticky(*salt, &hash_of(key, facts).to_be_bytes()));
                    (drawn, format!("  ({all} by {key})"))
                }
                (None, Some(point)) => (share(shares, point), format!("  ({all})")),
                (None, None) => {
                    let open = format!("one of {all}, drawn anew for each connection");
                    told.lines.push(Line::new("answer", open.clone(), Some(entry.loc)));
                    told.end = End::Open(open);
                    return;
                }
            }
        }
    };
    let pool = &rules.pools[index.0 as usize];
    let text = format!("pool {}: {}{why}", pool.name, words::endpoints(pool));
    told.lines.push(Line::new("answer", text, Some(entry.loc)));
    told.end = End::Pool(pool);
}

fn refused(told: &mut Told<'_>, transport: Transport, why: &'static str, loc: Option<Loc>) {
    let how = match transport {
        Transport::Tcp => "the connection is reset",
        Transport::Udp => "the datagram is dropped",
    };
    told.lines.push(Line::new("answer", format!("refused: {why}; {how}"), loc));
    told.end = End::Refused(why);
}
