//! What the routing lints ask of all requests at once: the regions of a part of a site.

use super::solve::Sat;
use super::world::{At, World};
use crate::check::cond::and;
use crate::region::Undecided;
use crate::region::space::{Question, Reached, Region, Space};
use crate::tree::Decision;
use crate::tree::ir::{Cond, Entry, PathPattern, PlanIdx, ScopeIdx, Target, Test};
use crate::tree::request::Plain;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

/// Sites with as many entries are looked at as a whole, larger ones a pattern at a time.
const SMALL: usize = 48;
/// Entries on the paths of one pattern that are looked at together.
const MOST: usize = 2048;

/// The requests on some paths of a site, and what they come to.
pub(super) struct View {
    space: Arc<Space>,
    pub(super) reached: Reached,
}

/// The views of a site that were asked for; `None` where it cannot be decided.
#[derive(Default)]
pub(super) struct Views {
    whole: Option<Option<Rc<View>>>,
    by_pattern: HashMap<PathPattern, Option<Rc<View>>>,
}

impl World<'_> {
    /// What the requests on the paths of a pattern of the site come to.
    pub(super) fn view(&mut self, pattern: &PathPattern) -> Option<Rc<View>> {
        let root = PathPattern { segments: Vec::new(), splat: true };
        let entries: usize = self.site.scopes.iter().map(|scope| scope.entries.len()).sum();
        if entries <= SMALL {
            if self.views.whole.is_none() {
                self.views.whole = Some(self.made(&root));
            }
            if let Some(Some(view)) = &self.views.whole {
                return Some(view.clone());
            }
        }
        if let Some(known) = self.views.by_pattern.get(pattern) {
            return known.clone();
        }
        let made = self.made(pattern);
        self.views.by_pattern.insert(pattern.clone(), made.clone());
        made
    }

    fn made(&self, pattern: &PathPattern) -> Option<Rc<View>> {
        let mut entries = Vec::new();
        self.relevant(0, pattern, &mut entries);
        if entries.len() > MOST {
            return None;
        }
        entries.sort_unstable();
        let entry = |(scope, at): &(ScopeIdx, usize)| -> &Entry { &self.site.scopes[scope.0 as usize].entries[*at] };
        let parts: Vec<Cond> =
            entries.iter().flat_map(|at| alternatives(&entry(at).guard)).map(|(_, all)| all).collect();
        let conds: Vec<(usize, &Cond)> = parts.iter().map(|cond| (0, cond)).collect();
        let question = Question {
            sites: std::slice::from_ref(self.program.site()),
            conds: &conds,
            within: Some(pattern),
            entries: Some(&entries),
            ..Question::default()
        };
        let space = Space::new(&question).ok()?;
        let reached = space.reached(0).ok()?;
        Some(Rc::new(View { space, reached }))
    }

    /// The entries, of a scope and of those within it, that may match a path of a pattern.
    fn relevant(&self, scope: usize, pattern: &PathPattern, out: &mut Vec<(ScopeIdx, usize)>) {
        for at in self.near(scope, pattern) {
            let number = u32::try_from(at.scope).expect("scopes are numbered so");
            out.push((ScopeIdx(number), at.entry));
            if out.len() > MOST {
                return;
            }
            if let Target::Scope(inner) = self.entry(at).target {
                self.relevant(inner.0 as usize, pattern, out);
            }
        }
    }

    /// The requests that an entry would take if nobody were asked before it.
    pub(super) fn claims(&self, view: &View, at: At) -> Result<Region, Undecided> {
        let mut out = self.way_to(view, at)?;
        out = out.intersect(&view.space.of_cond(0, &self.entry(at).guard)?)?;
        Ok(out)
    }

    /// The requests on an entry's paths that enter the blocks around it.
    pub(super) fn way_to(&self, view: &View, at: At) -> Result<Region, Undecided> {
        let mut out = view.space.everything(0).intersect(&view.space.of_pattern(&self.entry(at).pattern)?)?;
        for lead in self.chain(at.scope) {
            out = out.intersect(&view.space.of_cond(0, &self.entry(lead).guard)?)?;
        }
        Ok(out)
    }

    /// The plans behind an entry that some of these requests reach.
    pub(super) fn plans_reached(&self, view: &View, at: At, of: &Region) -> Result<Vec<PlanIdx>, Undecided> {
        let mut out = Vec::new();
        for plan in self.plans(at) {
            if let Some(region) = view.reached.plan(plan)
                && !region.intersect(of)?.is_empty()
            {
                out.push(plan);
            }
        }
        Ok(out)
    }

    /// A request of a region that goes where the region says, asked of the program and of the
    /// interpreter. Where it does not, the analysis is wrong, and says so.
    pub(super) fn shown_by(&mut self, region: &Region, to: impl Fn(&Self, PlanIdx) -> bool) -> Option<Plain> {
        let request = region.witness(0)?;
        let loc = self.site.loc;
        let plan = self.decide(&request, loc)?;
        if !to(self, plan) {
            let shown = self.describe(&request);
            self.out.push(super::g0003::disagree(loc, &shown));
            return None;
        }
        Some(request)
    }

    /// Whether an entry takes a request that also satisfies a condition, found by the plain way.
    pub(super) fn plainly_takes(&mut self, at: At, also: &Cond) -> bool {
        let entry = self.entry(at);
        let guard = and(vec![self.entered(at.scope), entry.guard.clone(), also.clone()]);
        let Some(path) = self.example(&entry.pattern) else { return false };
        let stem = path.trim_end_matches('/').to_owned();
        let mut paths = vec![path];
        if entry.pattern.splat {
            paths.extend(["x", "x/x"].iter().map(|more| format!("{stem}/{more}")));
        }
        paths.iter().any(|path| match self.request(path, &guard, &[]) {
            Sat::Yes(request) => {
                matches!(self.program.decide(&*request), Decision::Plan(plan) if self.leads_to(at, plan))
            }
            Sat::No | Sat::Unknown => false,
        })
    }
}

impl View {
    /// The space of the view.
    pub(super) fn space(&self) -> &Arc<Space> {
        &self.space
    }

    /// The requests that an entry takes.
    pub(super) fn taken(&self, at: At) -> Option<&Region> {
        let scope = ScopeIdx(u32::try_from(at.scope).ok()?);
        self.reached.entries.get(&(scope, at.entry))
    }

    /// The requests that enter a scope and that nothing in it takes.
    pub(super) fn missed(&self, scope: usize) -> Option<&Region> {
        self.reached.missed.get(&ScopeIdx(u32::try_from(scope).ok()?))
    }
}

/// The alternatives that a condition names, each with how it is written: the parts of an `or`, the
/// values of a list. Those of a part of an `and` are meant beside its other parts.
pub(crate) fn alternatives(guard: &Cond) -> Vec<(String, Cond)> {
    match guard {
        Cond::Or(all) if all.len() > 1 => all.iter().map(|cond| (cond.to_string(), cond.clone())).collect(),
        Cond::And(all) => all.iter().flat_map(alternatives).collect(),
        Cond::Test(field, Test::OneOf(all)) if (2..=64).contains(&all.len()) => all
            .iter()
            .map(|one| Cond::Test(field.clone(), Test::OneOf(vec![one.clone()])))
            .map(|cond| (cond.to_string(), cond))
            .collect(),
        Cond::Const(_) | Cond::Test(..) | Cond::Relate(..) | Cond::Not(_) | Cond::Or(_) => Vec::new(),
    }
}
