//! Two versions of a site, class of paths by class of paths.

use super::outcome::{Branch, Outcome, branches, nobody};
use super::same::{Both, Numbers};
use super::{Change, Kind, words};
use crate::reach::rows::{Lead, taken};
use crate::reach::solve::Found;
use crate::reach::{show, solve};
use crate::region::space::{Question, Space};
use crate::region::{Algebra, Undecided, cond};
use crate::tree::calls::Outcome as Said;
use crate::tree::classes::{PathClass, path_classes};
use crate::tree::ir::{Answer, CallIdx, Cond, Field, PathPattern, PlanIdx, Site};
use crate::tree::judge::Rendered;
use crate::tree::request::Plain;
use crate::tree::{Program, rows, tell};
use std::sync::Arc;

/// What a search for a request counts.
pub(super) const SEARCH: u64 = 50;
/// Conditions of edits that are told apart one by one.
const MOST_WHENS: usize = 6;
/// Conditions that are looked at one by one whether they need saying.
const MOST_SAID: usize = 12;

/// A version of a site.
pub(super) struct Side {
    pub(super) program: Arc<Program>,
    numbers: Numbers,
    /// By plan.
    plans: Vec<Vec<Branch>>,
}

/// A row of a class of paths.
pub(super) struct Row<'s> {
    /// In the numbers of both versions.
    pub(super) cond: Cond,
    pub(super) plan: PlanIdx,
    pub(super) branches: &'s [Branch],
    pub(super) lead: Option<Lead<'s>>,
}

/// A version of a site, one of its rows and one way through that.
pub(super) type Taken<'t> = (Option<&'t Side>, &'t Row<'t>, &'t Branch);

pub(super) struct Differ<'a> {
    pub(super) a: Option<Side>,
    pub(super) b: Option<Side>,
    pub(super) both: Both,
    /// A host that both answer for.
    pub(super) host: String,
    pub(super) left: &'a mut u64,
    pub(super) rows: Vec<Change>,
}

impl Side {
    pub(super) fn of(program: &Arc<Program>, dir: &Arc<str>, both: &mut Both) -> Self {
        let site = program.site();
        let numbers = both.take(site, dir);
        let plans = site.plans.iter().map(|plan| branches(plan, site, &numbers)).collect();
        Self { program: Arc::clone(program), numbers, plans }
    }

    pub(super) fn site(&self) -> &Arc<Site> {
        self.program.site()
    }

    /// Whether another version is the same, looked at without searching.
    pub(super) fn means_the_same(&self, other: &Self) -> bool {
        let scopes = |side: &Self| -> Vec<_> {
            let of = |scope: &crate::tree::ir::Scope| {
                let entry = |e: &crate::tree::ir::Entry| (e.pattern.clone(), side.numbers.cond(&e.guard), e.target);
                (scope.pattern.clone(), scope.miss, scope.entries.iter().map(entry).collect::<Vec<_>>())
            };
            side.site().scopes.iter().map(of).collect()
        };
        let same = |(a, b): (&Vec<Branch>, &Vec<Branch>)| same_branches(a, b);
        self.plans.len() == other.plans.len()
            && self.plans.iter().zip(&other.plans).all(same)
            && scopes(self) == scopes(other)
    }

    /// The rows of a class, and the fields that must not arrive twice.
    fn rows(
        &self,
        class: &PathClass,
        place: usize,
        algebra: &mut Algebra,
    ) -> Result<(Vec<Row<'_>>, Vec<Field>), Undecided> {
        let site: &Site = self.site();
        let made = rows(site, &class.matching[place], algebra).map_err(|_| Undecided::TooLarge)?;
        let row = |(cond, plan): (Cond, PlanIdx)| Row {
            cond: self.numbers.cond(&cond),
            plan,
            branches: &self.plans[plan.0 as usize],
            lead: Lead::of(site, &class.matching[place], plan),
        };
        Ok((made.rows.into_iter().map(row).collect(), made.strict))
    }

    /// A request with this version's own numbers of calls.
    pub(super) fn own(&self, request: &Plain) -> Plain {
        let mut out = Plain { calls: Default::default(), ..request.clone() };
        for (n, at) in self.numbers.calls.iter().enumerate() {
            let said = request.calls.outcome(*at).cloned().unwrap_or(Said::No);
            out.calls.suppose(CallIdx(u32::try_from(n).unwrap_or(u32::MAX)), said);
        }
        out
    }
}

fn same_branches(a: &[Branch], b: &[Branch]) -> bool {
    let same = |(a, b): (&Branch, &Branch)| a.conds == b.conds && a.asked == b.asked && a.outcome == b.outcome;
    a.len() == b.len() && a.iter().zip(b).all(same)
}

/// How many rows are the same at the beginning of both: they are the same for all whom they take.
pub(super) fn common(left: &[Row<'_>], right: &[Row<'_>]) -> usize {
    let same = |(x, y): &(&Row<'_>, &Row<'_>)| x.cond == y.cond && same_branches(x.branches, y.branches);
    left.iter().zip(right).take_while(same).count()
}

/// The conditions of rows, as [`taken`] wants them.
pub(super) fn conds(rows: &[Row<'_>]) -> Vec<(Cond, PlanIdx)> {
    rows.iter().map(|row| (row.cond.clone(), row.plan)).collect()
}

impl Differ<'_> {
    pub(super) fn run(&mut self) -> Result<(), String> {
        let (a, b) = (self.a.take(), self.b.take());
        let done = self.classes(a.as_ref(), b.as_ref());
        (self.a, self.b) = (a, b);
        done
    }

    fn classes(&mut self, a: Option<&Side>, b: Option<&Side>) -> Result<(), String> {
        let sites: Vec<&Site> = [a, b].into_iter().flatten().map(|side| &**side.site()).collect();
        let classes = path_classes(&sites, &[]).map_err(|why| why.to_string())?;
        let mut algebra = Algebra::paths();
        let nobody = [nobody()];
        for class in &classes {
            self.spend(1)?;
            let nothing = || {
                let row = Row { cond: Cond::Const(true), plan: PlanIdx(0), branches: &nobody, lead: None };
                (vec![row], Vec::new())
            };
            let (left, strict_a) = match a {
                Some(side) => side.rows(class, 0, &mut algebra).map_err(|why| why.to_string())?,
                None => nothing(),
            };
            let (right, strict_b) = match b {
                Some(side) => side.rows(class, sites.len() - 1, &mut algebra).map_err(|why| why.to_string())?,
                None => nothing(),
            };
            let known = self.rows.len();
            self.class(class, (a, &left), (b, &right))?;
            if let (Some(a), Some(b)) = (a, b)
                && self.rows.len() == known
            {
                self.twice(class, (a, &left, &strict_a), (b, &right, &strict_b));
                let guards: Vec<&Field> = strict_a.iter().chain(&strict_b).collect();
                self.twice_in_policies(class, (a, &left), (b, &right), &guards)?;
            }
        }
        Ok(())
    }

    pub(super) fn spend(&mut self, steps: u64) -> Result<(), String> {
        *self.left = self.left.checked_sub(steps).ok_or("it takes more steps than a comparison may")?;
        Ok(())
    }

    fn class(
        &mut self,
        class: &PathClass,
        (a, left): (Option<&Side>, &[Row<'_>]),
        (b, right): (Option<&Side>, &[Row<'_>]),
    ) -> Result<(), String> {
        let common = common(left, right);
        if common == left.len() && common == right.len() {
            return Ok(());
        }
        let (x, y) = (conds(left), conds(right));
        for (i, one) in left.iter().enumerate().skip(common) {
            let Some(taken_a) = taken(&x, i) else { continue };
            for (j, other) in right.iter().enumerate().skip(common) {
                self.spend(1)?;
                // A row before it has the very condition.
                if x[..i].iter().any(|(cond, _)| *cond == y[j].0) || y[..j].iter().any(|(cond, _)| *cond == x[i].0) {
                    continue;
                }
                let Some(taken_b) = taken(&y, j) else { continue };
                let both: Vec<Cond> = taken_a.iter().chain(&taken_b).cloned().collect();
                for from in one.branches {
                    for to in other.branches {
                        if from.outcome != to.outcome {
                            self.branches(class, (a, one, from), (b, other, to), &both)?;
                        }
                    }
                }
            }
        }
        Ok(())
    }

    /// Two ways to different outcomes: whether a request takes both.
    fn branches(
        &mut self,
        class: &PathClass,
        from: (Option<&Side>, &Row<'_>, &Branch),
        to: (Option<&Side>, &Row<'_>, &Branch),
        rows: &[Cond],
    ) -> Result<(), String> {
        let conds: Vec<Cond> = rows.iter().chain(&from.2.conds).chain(&to.2.conds).cloned().collect();
        let mut whens: Vec<Cond> = Vec::new();
        for when in from.2.outcome.conditions().into_iter().chain(to.2.outcome.conditions()) {
            if !whens.contains(when) {
                whens.push(when.clone());
            }
        }
        if whens.len() > MOST_WHENS {
            whens.clear();
        }
        for given in 0..1u32 << whens.len() {
            let known: Vec<(Cond, bool)> =
                whens.iter().enumerate().map(|(n, when)| (when.clone(), given >> n & 1 == 1)).collect();
            let (x, y) = (from.2.outcome.given(&known), to.2.outcome.given(&known));
            if x == y {
                continue;
            }
            let asked = known.iter().map(|(when, holds)| match holds {
                true => when.clone(),
                false => Cond::Not(Box::new(when.clone())),
            });
            let all: Vec<Cond> = conds.iter().cloned().chain(asked).collect();
            if self.differs(class, from, to, &all, (&x, &y))? {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Whether a request is there for which all holds; then the change is noted.
    fn differs(
        &mut self,
        class: &PathClass,
        from: (Option<&Side>, &Row<'_>, &Branch),
        to: (Option<&Side>, &Row<'_>, &Branch),
        conds: &[Cond],
        (x, y): (&Outcome, &Outcome),
    ) -> Result<bool, String> {
        self.spend(SEARCH)?;
        let site = from.0.or(to.0).map(|side| Arc::clone(side.site())).ok_or("nobody is compared with nobody")?;
        let base = solve::plain(&site, &self.host, &class.path, self.both.shown.len());
        let mut witness = match solve::find_like(&base, conds) {
            Found::None => return Ok(false),
            Found::Request(request) => self.replayed(&request, from, to, (x, y)),
            Found::Open(_) => None,
        };
        // What was found on another path of the class's shape may go elsewhere: then there may be nothing.
        if witness.is_none() {
            self.spend(SEARCH)?;
            match self.exactly(from, to, conds, None) {
                Some(Found::None) => return Ok(false),
                Some(Found::Request(request)) => witness = self.replayed(&request, from, to, (x, y)),
                Some(Found::Open(_)) | None => {}
            }
        }
        let change = self.change(from, to, conds, witness);
        self.note(change);
        Ok(true)
    }

    /// The same search by the algebra of regions, over both versions at once; of requests in which a field arrives
    /// with different values, where one is given.
    pub(super) fn exactly(
        &self,
        from: (Option<&Side>, &Row<'_>, &Branch),
        to: (Option<&Side>, &Row<'_>, &Branch),
        conds: &[Cond],
        twice: Option<&Field>,
    ) -> Option<Found> {
        let (a, b) = (from.0?, to.0?);
        // Written with the numbers of the first version's calls they would mean something else.
        let mut reads = Vec::new();
        conds.iter().for_each(|cond| crate::reach::dial::calls(cond, &mut reads));
        if !reads.is_empty() {
            return None;
        }
        let sites = [Arc::clone(a.site()), Arc::clone(b.site())];
        let more: Vec<(usize, &Cond)> = conds.iter().map(|cond| (0, cond)).collect();
        let space = Space::new(&Question { sites: &sites, steps: true, conds: &more, ..Question::default() }).ok()?;
        let reached = [space.reached(0).ok()?, space.reached(1).ok()?];
        let (Some(old), Some(new)) = (reached[0].plan(from.1.plan), reached[1].plan(to.1.plan)) else {
            return Some(Found::None); // Nobody comes there.
        };
        let mut region = old.intersect(new).ok()?;
        for cond in conds {
            region = region.intersect(&space.passing(0, cond).ok()?).ok()?;
        }
        if let Some(field) = twice {
            region = region.intersect(&space.conflicting(std::slice::from_ref(field)).ok()?).ok()?;
        }
        if region.is_empty() {
            return Some(Found::None);
        }
        let request = region.certain().witness(0).or_else(|| region.witness(0))?;
        Some(Found::Request(Box::new(request)))
    }

    /// A request in words, where both versions treat it as was found.
    fn replayed(
        &self,
        request: &Plain,
        from: (Option<&Side>, &Row<'_>, &Branch),
        to: (Option<&Side>, &Row<'_>, &Branch),
        (x, y): (&Outcome, &Outcome),
    ) -> Option<String> {
        let with_query = Plain { query: Some("a=b".into()), ..request.clone() };
        let plain = request.query.is_none().then_some(&with_query);
        let shows = |request: &&Plain| {
            let there = |(side, row, branch): (Option<&Side>, &Row<'_>, &Branch)| {
                side.is_none_or(|side| {
                    let own = side.own(request);
                    solve::comes_to(&side.program, &own, row.plan) && solve::hold(&branch.shown, &own)
                })
            };
            there(from) && there(to) && (!only_text(x, y) || text(from.0, request) != text(to.0, request))
        };
        let shown = [Some(request), plain].into_iter().flatten().find(shows)?;
        Some(show::supposing(shown, &self.both.shown))
    }

    fn change(
        &self,
        from: (Option<&Side>, &Row<'_>, &Branch),
        to: (Option<&Side>, &Row<'_>, &Branch),
        conds: &[Cond],
        witness: Option<String>,
    ) -> Change {
        let served = from.2.serves && to.2.serves;
        let (mut before, mut after) = match served || from.2.words.0 == to.2.words.0 {
            true => words::apart(&from.2.words, &to.2.words),
            // What was done on the way is gone with the answer.
            false => (from.2.words.0.clone(), to.2.words.0.clone()),
        };
        if before == after {
            let pools = |branch: &Branch| words::pools(&branch.outcome.answer, &self.both);
            (before, after) = words::apart(&(before, pools(from.2)), &(after, pools(to.2)));
        }
        let kind = match (from.2.serves, to.2.serves) {
            (false, true) => Kind::New,
            (true, false) => Kind::Gone,
            _ => Kind::Changed,
        };
        Change {
            tenant: None,
            kind,
            site: String::new(),
            path: narrower(from.1.lead, to.1.lead),
            when: self.when(from.1, to.1, conds),
            before,
            after,
            possibly: witness.is_none(),
            witness,
        }
    }

    /// The conditions that need saying: those that do not follow from the others.
    pub(super) fn when(&self, a: &Row<'_>, b: &Row<'_>, conds: &[Cond]) -> Option<String> {
        let mut said: Vec<Cond> = Vec::new();
        for cond in conds {
            if *cond != Cond::Const(true) && !said.contains(cond) {
                said.push(cond.clone());
            }
        }
        if said.len() <= MOST_SAID {
            let mut at = 0;
            while at < said.len() {
                let one = said.remove(at);
                if !cond::implies(&Cond::And(said.clone()), &one) || said.is_empty() && one != Cond::Const(true) {
                    said.insert(at, one);
                    at += 1;
                }
            }
        }
        let shown: Vec<Cond> = show::joined(said).iter().map(|cond| show::called(cond, &self.both.shown)).collect();
        let lead = [b.lead, a.lead].into_iter().flatten().next();
        show::all(&shown).map(|text| lead.map_or(text.clone(), |lead| lead.named(&text)))
    }

    /// Notes a change, once.
    pub(super) fn note(&mut self, change: Change) {
        let same = |other: &&mut Change| {
            (other.kind, &other.path, &other.when, &other.before, &other.after)
                == (change.kind, &change.path, &change.when, &change.before, &change.after)
        };
        match self.rows.iter_mut().find(same) {
            Some(known) if known.possibly => *known = change,
            Some(_) => {}
            None => self.rows.push(change),
        }
    }
}

/// Whether two outcomes differ in nothing but texts that are made of the request.
fn only_text(x: &Outcome, y: &Outcome) -> bool {
    let alike = match (&x.answer, &y.answer) {
        (Answer::Redirect { status: a, .. }, Answer::Redirect { status: b, .. }) => a == b,
        (Answer::Respond { status: a, content_type: t, .. }, Answer::Respond { status: b, content_type: u, .. }) => {
            a == b && t == u
        }
        (Answer::Proxy { to: a, .. }, Answer::Proxy { to: b, .. }) => a == b,
        (Answer::Files { dir: a, index: i, fallback: f, .. }, Answer::Files { dir: b, index: j, fallback: g, .. }) => {
            (a, i, f) == (b, j, g)
        }
        _ => false,
    };
    alike && Outcome { answer: y.answer.clone(), ..x.clone() } == *y
}

/// The texts of what answers a request.
fn text(side: Option<&Side>, request: &Plain) -> String {
    let Some(side) = side else { return String::new() };
    let request = side.own(request);
    let told = tell::tell(&side.program, &request, Some(0));
    match told.judged.answer {
        Rendered::Proxy { target, host, .. } => {
            format!("{:?}", tell::sent(target.as_deref(), host.as_deref(), &request))
        }
        other => format!("{other:?}"),
    }
}

/// The pattern of the narrower of two leads.
pub(super) fn narrower(a: Option<Lead<'_>>, b: Option<Lead<'_>>) -> String {
    let (a, b) = match (a, b) {
        (Some(a), Some(b)) => (a, b),
        (Some(one), None) | (None, Some(one)) => return one.shown(),
        (None, None) => return String::new(),
    };
    let inside = |x: &PathPattern, y: &PathPattern| Algebra::paths().path_inside(x, y) == Ok(true);
    let first = inside(a.pattern(), b.pattern()) && !inside(b.pattern(), a.pattern());
    if first { a.shown() } else { b.shown() }
}
