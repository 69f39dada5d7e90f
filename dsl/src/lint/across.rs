//! What the sites of any number of files look like beside each other.

use super::{g2011, g2012, g3003, g3018};
use crate::diagnostic::Diagnostic;
use crate::reach::Sites;
use crate::reach::dial::{self, Dial};
use crate::reach::rows::{self, ClassRows};
use crate::reach::solve::{self, Found};
use crate::tree::Program;
use crate::tree::ir::{Plan, PlanIdx, Pool, Site};
use crate::tree::request::Plain;
use std::sync::Arc;

/// What is found of sites together, in one file or in all.
#[must_use]
pub fn across(programs: &[Arc<Program>]) -> Vec<Diagnostic> {
    let sites = Sites::of(programs.iter().cloned());
    let mut out = Vec::new();
    g2011::run(&sites, &mut out);
    let ways = reached(&sites);
    g3003::run(&sites, &ways, &mut out);
    g3018::run(&sites, &ways, &mut out);
    out
}

/// What is found only where every site is known.
#[must_use]
pub fn of_all(programs: &[Arc<Program>]) -> Vec<Diagnostic> {
    let mut out = Vec::new();
    g2012::run(&Sites::of(programs.iter().cloned()), &mut out);
    out
}

/// A way of a site to a pool, looked at without searching.
pub(super) struct Reached<'s> {
    pub(super) at: usize,
    pub(super) site: &'s Site,
    pub(super) index: PlanIdx,
    pub(super) plan: &'s Plan,
    pub(super) dial: Dial,
}

impl<'s> Reached<'s> {
    /// The pool that it leads to.
    pub(super) fn pool(&self) -> &'s Pool {
        &self.site.pools[self.dial.pool.0 as usize]
    }
}

/// Every dial of every site.
fn reached(sites: &Sites) -> Vec<Reached<'_>> {
    sites.iter().flat_map(|(at, program)| reached_by(at, program.site())).collect()
}

/// Every dial of a site, at a place.
pub(super) fn reached_by(at: usize, site: &Site) -> Vec<Reached<'_>> {
    let plans = (0..).map(PlanIdx).zip(&site.plans);
    let dials =
        |(index, plan)| dial::dials(plan, site).into_iter().map(move |dial| Reached { at, site, index, plan, dial });
    plans.flat_map(dials).collect()
}

/// A request that takes a way, replayed; `None` where none is found.
pub(super) fn witness(sites: &Sites, way: &Reached<'_>, change: &dyn Fn(&mut Plain)) -> Option<Plain> {
    let program = sites.get(way.at)?;
    let host = sites.host(way.at, None)?;
    let classes = rows::of_site(way.site, &[]).ok()?;
    classes.iter().find_map(|class| of_class(program, &host, class, way, change))
}

fn of_class(
    program: &Program,
    host: &str,
    class: &ClassRows,
    way: &Reached<'_>,
    change: &dyn Fn(&mut Plain),
) -> Option<Plain> {
    let at = class.rows.iter().position(|(_, plan)| *plan == way.index)?;
    let conds: Vec<_> = class.taken(at)?.into_iter().chain(way.dial.conds.iter().cloned()).collect();
    let Found::Request(mut request) = solve::find(way.site, host, &class.class.path, &conds) else { return None };
    change(&mut request);
    let shown = solve::comes_to(program, &request, way.index) && solve::hold(&way.dial.conds, &request);
    shown.then_some(*request)
}
