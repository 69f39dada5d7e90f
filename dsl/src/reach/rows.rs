//! The rows of a site by classes of paths: every way that a request can take through it.

use crate::region::{Algebra, Undecided};
use crate::tree::classes::{PathClass, path_classes};
use crate::tree::ir::{Cond, Entry, PathPattern, PlanIdx, Scope, ScopeIdx, Site, Target};
use crate::tree::rows;

/// The rows of one class of paths.
#[derive(Clone, Debug)]
pub(crate) struct ClassRows {
    pub(crate) class: PathClass,
    /// The condition of each row, and where it leads.
    pub(crate) rows: Vec<(Cond, PlanIdx)>,
}

/// The classes of a site's paths, divided by other patterns too, with their rows.
///
/// # Errors
/// The patterns cross in more ways than can be looked at.
pub(crate) fn of_site(site: &Site, beside: &[&PathPattern]) -> Result<Vec<ClassRows>, Undecided> {
    let mut algebra = Algebra::paths();
    let with_rows = |class: PathClass| {
        let rows = rows(site, &class.matching[0], &mut algebra).map_err(|_| Undecided::TooLarge)?.rows;
        Ok(ClassRows { class, rows })
    };
    path_classes(&[site], beside)?.into_iter().map(with_rows).collect()
}

impl ClassRows {
    /// What must hold of a request that takes a row: its condition, and none before it. `None` where a
    /// row before it takes every request.
    pub(crate) fn taken(&self, at: usize) -> Option<Vec<Cond>> {
        taken(&self.rows, at)
    }
}

/// See [`ClassRows::taken`].
pub(crate) fn taken(rows: &[(Cond, PlanIdx)], at: usize) -> Option<Vec<Cond>> {
    let mut all = Vec::with_capacity(at + 1);
    for (cond, _) in &rows[..at] {
        match cond {
            Cond::Const(true) => return None,
            Cond::Const(false) => {}
            cond => all.push(Cond::Not(Box::new(cond.clone()))),
        }
    }
    match &rows[at].0 {
        Cond::Const(false) => return None,
        Cond::Const(true) => {}
        cond if rows[..at].iter().any(|(before, _)| before == cond) => return None,
        cond => all.push(cond.clone()),
    }
    Some(all)
}

/// What leads to a plan: a route, or a block that nothing in it answers.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Lead<'s> {
    Route(&'s Entry),
    Miss(&'s Scope),
}

impl<'s> Lead<'s> {
    /// What leads to a plan on the paths of a class.
    pub(crate) fn of(site: &'s Site, matching: &[(ScopeIdx, u32)], plan: PlanIdx) -> Option<Self> {
        let entry = |(scope, at): &(ScopeIdx, u32)| &site.scopes[scope.0 as usize].entries[*at as usize];
        let route = matching.iter().map(entry).find(|entry| entry.target == Target::Plan(plan));
        let miss = || site.scopes.iter().find(|scope| scope.miss == plan).map(Self::Miss);
        route.map(Self::Route).or_else(miss)
    }

    pub(crate) fn pattern(&self) -> &'s PathPattern {
        match self {
            Self::Route(entry) => &entry.pattern,
            Self::Miss(scope) => &scope.pattern,
        }
    }

    /// The pattern as it is written.
    pub(crate) fn shown(&self) -> String {
        match self {
            Self::Route(entry) => entry.shown(),
            Self::Miss(scope) => scope.pattern.to_string(),
        }
    }

    /// A text about it, with the names that its captures have.
    pub(crate) fn named(&self, text: &str) -> String {
        match self {
            Self::Route(entry) => entry.named(text),
            Self::Miss(_) => text.to_owned(),
        }
    }
}
