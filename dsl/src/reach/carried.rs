//! Connections that `tcp`, `udp` and `passthrough` items carry to pools: ways on which no policy of a
//! site is passed (LANGUAGE rule 30).

use super::dial::How;
use super::{PoolKey, Way, show};
use crate::region::cond;
use crate::syntax::span::Loc;
use crate::tree::ir::{Cond, PoolIdx};
use crate::tree::l4::{Listening, Passthrough, Rules, Step, Target, Transport};
use crate::tree::request::Plain;
use std::sync::Arc;

/// An item that carries connections.
#[derive(Clone, Debug)]
pub enum Carried {
    /// `tcp`, `udp`
    Listening(Arc<Listening>),
    /// `passthrough`
    Passthrough(Arc<Passthrough>),
}

/// A way through an item.
pub(crate) struct Carry {
    /// What it carries, for people: `tcp :5432`.
    pub(crate) item: String,
    pub(crate) pool: PoolIdx,
    pub(crate) loc: Loc,
    /// What holds of such a connection.
    pub(crate) conds: Vec<Cond>,
    /// The conditions of the entry itself.
    pub(crate) own: Vec<Cond>,
}

impl Carried {
    /// What it says.
    pub fn rules(&self) -> &Rules {
        match self {
            Self::Listening(item) => &item.rules,
            Self::Passthrough(item) => &item.rules,
        }
    }

    /// `tcp :5432`, `passthrough vault.example.com`
    pub fn name(&self) -> String {
        match self {
            Self::Listening(item) => {
                let transport = match item.transport {
                    Transport::Tcp => "tcp",
                    Transport::Udp => "udp",
                };
                let ip = item.listener.ip.map(|ip| if ip.is_ipv6() { format!("[{ip}]") } else { ip.to_string() });
                format!("{transport} {}:{}", ip.unwrap_or_default(), item.listener.port)
            }
            Self::Passthrough(item) => {
                let hosts: Vec<String> = item.hosts.iter().map(|(host, _)| host.to_string()).collect();
                format!("passthrough {}", hosts.join(", "))
            }
        }
    }

    /// Its ways to pools that are looked for.
    pub(crate) fn ways(&self, pool: &PoolKey) -> Vec<Carry> {
        let rules = self.rules();
        let mut before: Vec<Cond> = Vec::new();
        let mut out = Vec::new();
        for entry in &rules.entries {
            let asked = entry.steps.iter().filter_map(|step| match step {
                Step::Require { cond, .. } => Some(cond.clone()),
                Step::Limit(_) => None,
            });
            let own: Vec<Cond> = [entry.guard.clone()].into_iter().chain(asked).collect();
            let pools: Vec<PoolIdx> = match &entry.target {
                Target::Pool(pool) => vec![*pool],
                Target::Split { shares, .. } => {
                    shares.iter().filter(|(share, _)| *share > 0).map(|(_, pool)| *pool).collect()
                }
                Target::Deny => Vec::new(),
            };
            for index in pools.into_iter().filter(|index| pool.shares(&rules.pools[index.0 as usize])) {
                out.push(Carry {
                    item: self.name(),
                    pool: index,
                    loc: entry.loc,
                    conds: before.iter().chain(&own).cloned().collect(),
                    own: own.clone(),
                });
            }
            if entry.guard == Cond::Const(true) {
                break;
            }
            before.push(Cond::Not(Box::new(entry.guard.clone())));
        }
        out
    }
}

impl Carry {
    /// A connection that takes it, and for which more holds: in words. An error where none was found
    /// and there may be one.
    pub(crate) fn witness(&self, more: &[Cond]) -> Result<Option<String>, ()> {
        let all: Vec<Cond> = self.conds.iter().chain(more).cloned().collect();
        match cond::request_like(&Plain::default(), &all) {
            Some(found) => Ok(Some(format!("a connection to {} from {}", self.item, found.client.0))),
            None if cond::never_passed(&all) => Ok(None),
            None => Err(()),
        }
    }
}

/// Every way to a pool through items that carry connections.
#[must_use]
pub fn who_carries(items: &[Carried], pool: &PoolKey) -> Vec<Way> {
    let ways = items.iter().flat_map(|item| item.ways(pool).into_iter().map(move |carry| (item, carry)));
    let shown = |(item, carry): (&Carried, Carry)| {
        let witness = match carry.witness(&[]) {
            Ok(None) => return None,
            Ok(Some(witness)) => Some(witness),
            Err(()) => None,
        };
        Some(Way {
            hosts: carry.item,
            path: String::new(),
            when: show::all(&carry.own),
            how: How::Route,
            pool: item.rules().pools[carry.pool.0 as usize].name.to_string(),
            policies: Vec::new(),
            witness,
            loc: carry.loc,
        })
    };
    ways.filter_map(shown).collect()
}
