//! Fields that arrive twice with different values: whom one version refuses for it, and the other does not.

use super::differ::{Differ, Row, SEARCH, Side, Taken, common, conds, narrower};
use super::outcome::Branch;
use super::{Change, Kind, words};
use crate::reach::rows::taken;
use crate::reach::show;
use crate::reach::solve::{self, Found};
use crate::tree::classes::PathClass;
use crate::tree::fields;
use crate::tree::ir::{Cond, Field};
use crate::tree::judge::Rendered;
use crate::tree::request::Plain;
use crate::tree::{Decision, interpret, tell};

impl Differ<'_> {
    /// Fields whose second value one version refuses and the other does not.
    pub(super) fn twice(
        &mut self,
        class: &PathClass,
        (a, left, x): (&Side, &[Row<'_>], &[Field]),
        (b, right, y): (&Side, &[Row<'_>], &[Field]),
    ) {
        let differ = x.iter().filter(|field| !y.contains(field)).chain(y.iter().filter(|field| !x.contains(field)));
        for field in differ {
            let base = solve::plain(a.site(), &self.host, &class.path, self.both.shown.len());
            let Some(request) = with_copies(field, &base, COPIES[0]) else { continue };
            let told = |side: &Side| {
                let own = side.own(&request);
                let decided = side.program.decide(&own);
                if decided != interpret(side.site(), &own) {
                    return None;
                }
                // A policy on the way may refuse it as well as a route.
                let refused = || matches!(tell::tell(&side.program, &own, Some(0)).judged.answer, Rendered::Refused(_));
                Some(match decided {
                    Decision::Conflict(_) => REFUSED.to_owned(),
                    Decision::Plan(_) if refused() => REFUSED.to_owned(),
                    Decision::Plan(plan) => words::answer(&side.site().plans[plan.0 as usize].answer, side.site()),
                })
            };
            let (Some(before), Some(after)) = (told(a), told(b)) else { continue };
            if (before == REFUSED) == (after == REFUSED) {
                continue;
            }
            let lead = |rows: &[Row<'_>]| rows.last().and_then(|row| row.lead.map(|lead| lead.shown()));
            self.note(Change {
                tenant: None,
                kind: Kind::Changed,
                site: String::new(),
                path: lead(right).or_else(|| lead(left)).unwrap_or_default(),
                when: Some(arrives_twice(field)),
                before,
                after,
                witness: Some(show::supposing(&request, &self.both.shown)),
                possibly: false,
            });
        }
    }

    /// The same of what policies read on the way to an answer, which may be one answer in both versions. `guards`:
    /// what a version refuses already where it chooses a route.
    pub(super) fn twice_in_policies(
        &mut self,
        class: &PathClass,
        (a, left): (&Side, &[Row<'_>]),
        (b, right): (&Side, &[Row<'_>]),
        guards: &[&Field],
    ) -> Result<(), String> {
        let common = common(left, right);
        let (x, y) = (conds(left), conds(right));
        for (i, one) in left.iter().enumerate().skip(common) {
            let Some(taken_a) = taken(&x, i) else { continue };
            for (j, other) in right.iter().enumerate().skip(common) {
                self.spend(1)?;
                let Some(taken_b) = taken(&y, j) else { continue };
                let rows: Vec<Cond> = taken_a.iter().chain(&taken_b).cloned().collect();
                for from in one.branches {
                    for to in other.branches {
                        let (from, to) = ((Some(a), one, from), (Some(b), other, to));
                        self.refused(class, from, to, &rows, guards)?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Two ways to the same: whether copies that differ are refused on one of them alone.
    fn refused(
        &mut self,
        class: &PathClass,
        from: Taken<'_>,
        to: Taken<'_>,
        rows: &[Cond],
        guards: &[&Field],
    ) -> Result<(), String> {
        let Some(side) = from.0 else { return Ok(()) };
        let (old, new) = (strict(from.2), strict(to.2));
        for (refuses, all, others, passes) in [(from, &old, &new, to), (to, &new, &old, from)] {
            for (field, before) in all {
                if guards.contains(&field) || others.iter().any(|(other, _)| other == field) {
                    continue;
                }
                self.spend(SEARCH)?;
                let before = &refuses.2.conds[..*before];
                let holding: Vec<Cond> = rows.iter().chain(before).chain(&passes.2.conds).cloned().collect();
                let base = solve::plain(side.site(), &self.host, &class.path, self.both.shown.len());
                let found = match solve::find_like(&base, &holding) {
                    Found::None => continue,
                    Found::Request(request) => {
                        COPIES.iter().filter_map(|two| with_copies(field, &request, *two)).collect()
                    }
                    Found::Open(_) => Vec::new(),
                };
                let mut witness = self.shown_twice(&found, refuses, passes);
                if witness.is_none() {
                    self.spend(SEARCH)?;
                    match self.exactly(from, to, &holding, Some(field)) {
                        Some(Found::None) => continue,
                        Some(Found::Request(request)) => witness = self.shown_twice(&[*request], refuses, passes),
                        Some(Found::Open(_)) | None => {}
                    }
                }
                let twice = arrives_twice(field);
                let when =
                    self.when(from.1, to.1, &holding).map_or(twice.clone(), |when| format!("{when} and {twice}"));
                let is_old = std::ptr::eq(refuses.2, from.2);
                let (mut before, mut after) = (REFUSED.to_owned(), passes.2.words.0.clone());
                if !is_old {
                    std::mem::swap(&mut before, &mut after);
                }
                self.note(Change {
                    tenant: None,
                    kind: Kind::Changed,
                    site: String::new(),
                    path: narrower(from.1.lead, to.1.lead),
                    when: Some(when),
                    before,
                    after,
                    possibly: witness.is_none(),
                    witness,
                });
            }
        }
        Ok(())
    }

    /// The first in words of some requests in which a field arrives twice, where one version refuses it for that and
    /// it comes through in the other.
    fn shown_twice(&self, found: &[Plain], refuses: Taken<'_>, passes: Taken<'_>) -> Option<String> {
        let told = |side: &Side, request: &Plain| {
            let own = side.own(request);
            let agreed = side.program.decide(&own) == interpret(side.site(), &own);
            agreed.then(|| matches!(tell::tell(&side.program, &own, Some(0)).judged.answer, Rendered::Refused(_)))
        };
        let shows = |request: &&Plain| {
            let (Some(here), Some(there)) = (refuses.0, passes.0) else { return false };
            told(here, request) == Some(true)
                && told(there, request) == Some(false)
                && solve::comes_to(&there.program, &there.own(request), passes.1.plan)
                && solve::hold(&passes.2.shown, &there.own(request))
        };
        let shown = found.iter().find(shows)?;
        Some(show::supposing(shown, &self.both.shown))
    }
}

/// What is answered to who sends copies that differ.
const REFUSED: &str = "400";

/// Copies that are tried: a condition may ask whether one of them is there.
const COPIES: [[&str; 2]; 2] = [["1", "2"], ["x", "y"]];

fn arrives_twice(field: &Field) -> String {
    format!("{field} arrives twice with different values")
}

/// The fields whose second, different copy is refused on a way, and how many of its conditions are asked before.
fn strict(branch: &Branch) -> Vec<(Field, usize)> {
    let mut out: Vec<(Field, usize)> = Vec::new();
    let all = branch.conds.iter().enumerate().chain(branch.asked.iter().map(|cond| (branch.conds.len(), cond)));
    for (at, cond) in all {
        let mut read = Vec::new();
        fields::strict_fields(cond, &mut read);
        out.extend(
            read.into_iter()
                .filter(fields::repeats)
                .map(|field| (field, at))
                .filter(|(field, _)| !out.iter().any(|(known, _)| known == field))
                .collect::<Vec<_>>(),
        );
    }
    out
}

/// A request in which a field arrives with values that differ, those that it has already among them.
fn with_copies(field: &Field, request: &Plain, values: [&str; 2]) -> Option<Plain> {
    let mut request = request.clone();
    match field {
        Field::Header(name) => {
            for value in values {
                request.headers.push((name.to_string(), value.into()));
            }
        }
        Field::Cookie(name) => {
            let [one, two] = values;
            request.headers.push(("cookie".into(), format!("{name}={one}; {name}={two}").into_bytes()));
        }
        Field::Query(name) => {
            let copies = values.map(|value| format!("{name}={value}")).join("&");
            request.query = Some(match &request.query {
                Some(query) => format!("{query}&{copies}"),
                None => copies,
            });
        }
        _ => return None,
    }
    Some(request)
}
