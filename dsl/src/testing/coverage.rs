//! What tests went through: which routes answered, and which conditions were seen to hold and not to hold.

use super::ask::Came;
use super::ask_l4::Went;
use super::run::Subject;
use crate::syntax::span::{FileId, Loc};
use crate::tree::Program;
use crate::tree::ir::{Cond, Entry, LimitBound, Step, Target};
use crate::tree::l4::{self, Rules};
use std::collections::BTreeMap;

/// What a [`Point`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum What {
    /// A route, or an entry of `tcp`, `udp` or `passthrough`: it answered.
    Route,
    /// A `when`: it held, it did not.
    When,
    /// A `require`: it held, it did not.
    Require,
    /// A `use … when`: it held, it did not.
    Use,
    /// A `limit`: it let a request pass, it was exceeded.
    Limit,
    /// A `catch`: it replaced a failure.
    Catch,
}

impl What {
    /// The word that a report has for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Route => "route",
            Self::When => "when",
            Self::Require => "require",
            Self::Use => "use",
            Self::Limit => "limit",
            Self::Catch => "catch",
        }
    }

    /// Whether it has two outcomes.
    fn is_condition(self) -> bool {
        match self {
            Self::When | Self::Require | Self::Use | Self::Limit => true,
            Self::Route | Self::Catch => false,
        }
    }
}

/// Something that a test can go through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Point {
    /// What it is.
    pub what: What,
    /// Its line.
    pub loc: Loc,
    /// As it would be written.
    pub shown: String,
    /// Whether it was reached, or held.
    pub held: bool,
    /// Whether it did not hold; of no meaning for what is no condition.
    pub failed: bool,
}

impl Point {
    /// How many outcomes it has, and how many of them were seen.
    #[must_use]
    pub fn outcomes(&self) -> (usize, usize) {
        match self.what.is_condition() {
            true => (2, usize::from(self.held) + usize::from(self.failed)),
            false => (1, usize::from(self.held)),
        }
    }

    /// What was not seen of it, in words; `None` where all was.
    #[must_use]
    pub fn missing(&self) -> Option<&'static str> {
        match (self.what, self.held, self.failed) {
            (What::Route | What::Catch, false, _) => Some("never reached"),
            (What::Route | What::Catch, true, _) | (_, true, true) => None,
            (What::When | What::Require | What::Use | What::Limit, false, false) => Some("never asked"),
            (What::When | What::Require | What::Use, false, true) => Some("never true"),
            (What::When | What::Require | What::Use, true, false) => Some("never false"),
            (What::Limit, false, true) => Some("never let pass"),
            (What::Limit, true, false) => Some("never exceeded"),
        }
    }
}

/// What the tests of one or more files went through. A line that several sites have, because a policy
/// stands in a file of its own, is one point: whoever goes through it counts.
#[derive(Clone, Debug, Default)]
pub struct Coverage {
    points: BTreeMap<(Loc, What), Point>,
}

impl Coverage {
    /// Adds what there is to go through.
    pub fn expect(&mut self, subject: Subject<'_>) {
        for program in subject.programs {
            self.program(program);
        }
        for item in subject.listening {
            self.rules(&item.rules);
        }
        for item in subject.passthroughs {
            self.rules(&item.rules);
        }
    }

    /// The points, by file and line, without those of files that are left out: the standard library's
    /// have tests of their own.
    pub fn points(&self, wanted: impl Fn(FileId) -> bool) -> Vec<&Point> {
        self.points.values().filter(|point| wanted(point.loc.file)).collect()
    }

    fn add(&mut self, what: What, loc: Loc, shown: impl FnOnce() -> String) {
        self.points.entry((loc, what)).or_insert_with(|| Point {
            what,
            loc,
            shown: shown(),
            held: false,
            failed: false,
        });
    }

    fn program(&mut self, program: &Program) {
        let site = program.site();
        for entry in site.scopes.iter().flat_map(|scope| &scope.entries) {
            if asks(&entry.guard) {
                self.add(What::When, entry.loc, || format!("when {}", entry.named(&entry.guard.to_string())));
            }
            match entry.target {
                Target::Plan(_) => self.add(What::Route, entry.loc, || shown(entry)),
                Target::Scope(_) => {}
            }
        }
        for plan in &site.plans {
            for step in &plan.steps {
                match step {
                    Step::Require { cond, loc, .. } if asks(cond) => {
                        self.add(What::Require, *loc, || format!("require {cond}"));
                    }
                    // A pace of bytes refuses nobody.
                    Step::Limit(limit) if !matches!(limit.bound, LimitBound::Bytes(_)) => {
                        self.add(What::Limit, limit.loc, || limit.to_string());
                    }
                    Step::Require { .. } | Step::Header(_) | Step::Limit(_) | Step::Session(_) => {}
                }
            }
            for used in plan.policies.iter().filter(|used| asks(&used.when)) {
                self.add(What::Use, used.loc, || format!("use {} when {}", used.name, used.when));
            }
            for catch in &plan.catches {
                self.add(What::Catch, catch.loc, || format!("catch {:?}", catch.statuses));
            }
        }
    }

    fn rules(&mut self, rules: &Rules) {
        for entry in &rules.entries {
            if asks(&entry.guard) {
                self.add(What::When, entry.loc, || format!("when {}", entry.guard));
            }
            self.add(What::Route, entry.loc, || "->".to_owned());
            for step in &entry.steps {
                match step {
                    l4::Step::Require { cond, loc } if asks(cond) => {
                        self.add(What::Require, *loc, || format!("require {cond}"));
                    }
                    l4::Step::Require { .. } | l4::Step::Limit(_) => {}
                }
            }
        }
    }

    fn note(&mut self, what: What, loc: Loc, held: bool) {
        if let Some(point) = self.points.get_mut(&(loc, what)) {
            match held {
                true => point.held = true,
                false => point.failed = true,
            }
        }
    }

    /// Notes the way of a request.
    pub(super) fn came(&mut self, came: &Came<'_>) {
        for (what, loc, held) in &came.seen {
            self.note(*what, *loc, *held);
        }
    }

    /// Notes the way of a connection.
    pub(super) fn went(&mut self, went: &Went<'_>) {
        for (what, loc, held) in &went.seen {
            self.note(*what, *loc, *held);
        }
    }
}

/// A route as its line has it; pathless ones by their block's pattern.
fn shown(entry: &Entry) -> String {
    let pattern = entry.shown();
    match (entry.pathless, &entry.guard) {
        (true, Cond::Const(_)) => format!("{pattern} (else)"),
        (true, _) => format!("{pattern} (when)"),
        (false, _) => pattern,
    }
}

fn asks(cond: &Cond) -> bool {
    !matches!(cond, Cond::Const(_))
}
