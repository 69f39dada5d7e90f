//! The reachability table: the ways to a pool, with the policies that are passed on each.

use super::dial::{self, How};
use super::events::{Event, can_dial, events};
use super::rows::{self, ClassRows, Lead};
use super::solve::{self, Found};
use super::{PoolKey, Sites, show};
use crate::region::cond;
use crate::syntax::span::Loc;
use crate::tree::Program;
use crate::tree::ir::{CallKind, Cond, PlanIdx, PoolIdx, Site};
use std::sync::Arc;

/// A way to a pool.
#[derive(Clone, Debug, PartialEq)]
pub struct Way {
    /// The hosts of the site, joined by commas.
    pub hosts: String,
    /// The pattern of the route, absolute.
    pub path: String,
    /// What must hold of the request besides.
    pub when: Option<String>,
    /// How the pool is reached.
    pub how: How,
    /// What it is called there.
    pub pool: String,
    /// The policies that are passed, outer first; with the condition of a `use … when` in it.
    pub policies: Vec<String>,
    /// A request that takes it, replayed through program and interpreter. `None` where none was found:
    /// whether one is there depends on what the analysis cannot look into.
    pub witness: Option<String>,
    /// The line that says so.
    pub loc: Loc,
}

/// Every way to a pool through some sites, in their order. Ways that no request takes are left out.
#[must_use]
pub fn who_reaches(sites: &Sites, pool: &PoolKey) -> Vec<Way> {
    let of = |(at, program): (usize, &Arc<Program>)| {
        let mut ways = of_site(sites, at, program, pool);
        ways.extend(of_handshakes(sites, at, program.site(), pool));
        ways
    };
    sites.iter().flat_map(of).collect()
}

/// `tls on-demand { allow when ask(…) }`: the pool is asked about names before there is any request.
fn of_handshakes(sites: &Sites, at: usize, site: &Site, pool: &PoolKey) -> Vec<Way> {
    let Some(on_demand) = &site.on_demand else { return Vec::new() };
    let mut asked = Vec::new();
    dial::calls(&on_demand.allow, &mut asked);
    let ways = asked.into_iter().filter_map(|index| {
        let call = &site.calls[index.0 as usize];
        let CallKind::Ask(ask) = &call.kind else { return None };
        let dialled = &site.pools[ask.pool.0 as usize];
        pool.shares(dialled).then(|| Way {
            hosts: site.hosts.iter().map(|(host, _)| host.to_string()).collect::<Vec<_>>().join(", "),
            path: "tls on-demand".to_owned(),
            when: None,
            how: How::Ask,
            pool: dialled.name.to_string(),
            policies: Vec::new(),
            witness: sites.host(at, None).map(|host| format!("a handshake for {host}")),
            loc: call.loc,
        })
    });
    ways.collect()
}

fn of_site(sites: &Sites, at: usize, program: &Program, pool: &PoolKey) -> Vec<Way> {
    let site: &Site = program.site();
    let wanted = |index: PoolIdx| pool.shares(&site.pools[index.0 as usize]);
    if !can_dial(site, &wanted) {
        return Vec::new();
    }
    let Some(host) = sites.host(at, None) else { return Vec::new() };
    let Ok(classes) = rows::of_site(site, &[]) else { return Vec::new() };
    let mut out: Vec<(Key, Way)> = Vec::new();
    for class in &classes {
        for event in events(site, class, &wanted) {
            let key = (event.plan, event.how, event.loc, event.pool);
            let known = out.iter().position(|(other, _)| *other == key);
            if known.is_some_and(|known| out[known].1.witness.is_some()) {
                continue;
            }
            let mut found = solve::find(site, &host, &class.class.path, &event.conds);
            // What was found on another path of the class's shape may go elsewhere.
            let open = match &found {
                Found::None => false,
                Found::Open(_) => true,
                Found::Request(request) => !event.shown_by(program, request),
            };
            if open && event.how != How::Ask {
                found = solve::find_exactly(program.site(), event.plan, None, &event.own);
            }
            let witness = match found {
                Found::None => continue,
                Found::Request(request) => event.shown_by(program, &request).then(|| show::request(&request, site)),
                Found::Open(_) => None,
            };
            match known {
                // It stood without one, from another class of paths.
                Some(known) => out[known].1.witness = witness,
                None => out.push((key, way(site, class, &event, witness))),
            }
        }
    }
    out.into_iter().map(|(_, way)| way).collect()
}

/// What makes a way one.
type Key = (PlanIdx, How, Loc, PoolIdx);

fn way(site: &Site, class: &ClassRows, event: &Event, witness: Option<String>) -> Way {
    let lead = Lead::of(site, &class.class.matching[0], event.plan);
    let named = |text: String| lead.map_or(text.clone(), |lead| lead.named(&text));
    let conds: Vec<Cond> = [&event.guard].into_iter().chain(&event.own).cloned().collect();
    // Of a policy that is used under a condition that is never true nobody passes anything.
    let passed = dial::passed(event.of(site), event.after).filter(|used| !cond::never_true(&used.when));
    let policies = passed.map(|used| match &used.when {
        Cond::Const(true) => used.name.to_string(),
        when => format!("{} when {}", used.name, named(when.to_string())),
    });
    Way {
        hosts: site.hosts.iter().map(|(host, _)| host.to_string()).collect::<Vec<_>>().join(", "),
        path: lead.map(|lead| lead.shown()).unwrap_or_default(),
        when: show::all(&conds).map(named),
        how: event.how,
        pool: site.pools[event.pool.0 as usize].name.to_string(),
        policies: policies.collect(),
        witness,
        loc: event.loc,
    }
}
