//! Which requests reach which plan, by the language's order: the interpreter, walked with regions
//! instead of one request.

use super::build::chosen;
use super::cube::{self, Cube, Fields, all_and, all_minus};
use super::{MOST_BOXES, Region, Space};
use crate::region::{Algebra, Undecided};
use crate::tree::fields;
use crate::tree::ir::{Cond, Entry, Field, PathPattern, PlanIdx, ScopeIdx, Site, Target};
use crate::tree::order::order;
use std::collections::HashMap;
use std::sync::Arc;

/// What the requests of a site come to.
#[derive(Clone, Debug)]
pub struct Reached {
    /// The requests that reach each plan that some reach, `miss` plans included; by their numbers.
    pub plans: Vec<(PlanIdx, Region)>,
    /// The requests that each entry of each scope takes, by the numbers of both.
    pub entries: HashMap<(ScopeIdx, usize), Region>,
    /// The requests that enter each scope and that nothing in it takes.
    pub missed: HashMap<ScopeIdx, Region>,
    /// The requests that are answered 400: a field that the conditions on their path name arrived with
    /// different values.
    pub conflicts: Region,
}

impl Reached {
    /// The requests that reach a plan.
    pub fn plan(&self, plan: PlanIdx) -> Option<&Region> {
        self.plans.binary_search_by_key(&plan, |(plan, _)| *plan).ok().map(|at| &self.plans[at].1)
    }
}

impl Space {
    /// The requests that reach each plan of a site.
    ///
    /// # Errors
    /// They would be larger than the limits, or the order of the routes cannot be decided.
    pub fn reached(self: &Arc<Self>, site: usize) -> Result<Reached, Undecided> {
        self.reached_without(site, None)
    }

    /// The same, were an entry not there.
    ///
    /// # Errors
    /// As [`Self::reached`].
    pub fn reached_without(
        self: &Arc<Self>,
        site: usize,
        without: Option<(ScopeIdx, usize)>,
    ) -> Result<Reached, Undecided> {
        let of: &Site = &self.sites[site].site;
        let mut entries: Vec<Vec<(ScopeIdx, usize)>> = vec![Vec::new(); self.paths.patterns().len()];
        for (scope, at) in chosen(of, self.entries.as_deref()) {
            let pattern = &of.scopes[scope.0 as usize].entries[at].pattern;
            if let Some(number) = self.paths.number(pattern).filter(|_| Some((scope, at)) != without) {
                entries[number as usize].push((scope, at));
            }
        }
        let everything = self.everything(site);
        let mut walk = Walk {
            space: self,
            number: site,
            site: of,
            algebra: Algebra::paths(),
            guards: HashMap::new(),
            tests: 0,
            steps: 0,
            found: HashMap::new(),
        };
        for cube in &everything.cubes {
            let all = u32::try_from(self.paths.classes.len()).map_err(|_| Undecided::TooLarge)?;
            let classes: Vec<u32> = cube.path.as_ref().map_or_else(|| (0..all).collect(), |path| path.to_vec());
            for class in classes {
                let ids = self.paths.matching(class);
                let mut matching: Vec<(ScopeIdx, usize)> =
                    ids.iter().flat_map(|id| entries[*id as usize].iter().copied()).collect();
                matching.sort_unstable();
                walk.path(class, &matching, &cube.fields)?;
            }
        }
        let found = walk.found;
        Ok(self.collected(found))
    }

    fn collected(self: &Arc<Self>, found: HashMap<Place, HashMap<Fields, Vec<u32>>>) -> Reached {
        let mut reached =
            Reached { plans: Vec::new(), entries: HashMap::new(), missed: HashMap::new(), conflicts: self.nothing() };
        for (place, boxes) in found {
            let cubes = boxes.into_iter().map(|(fields, mut path)| {
                path.sort_unstable();
                path.dedup();
                Cube { path: Some(path.into()), fields }
            });
            let mut cubes: Vec<Cube> = cubes.collect();
            // Plainer boxes first, and always the same first.
            cubes.sort_by(|a, b| {
                let names = |cube: &Cube| cube.fields.iter().map(|(dim, _)| *dim).collect::<Vec<_>>();
                (a.fields.len(), &a.path, names(a)).cmp(&(b.fields.len(), &b.path, names(b))).then_with(|| {
                    let sets = |cube: &Cube| cube.fields.iter().flat_map(|(_, s)| s.iter()).collect::<Vec<_>>();
                    sets(a).cmp(&sets(b))
                })
            });
            let region = self.region(cubes);
            if region.is_empty() {
                continue;
            }
            match place {
                Place::Plan(plan) => reached.plans.push((plan, region)),
                Place::Entry(scope, at) => {
                    reached.entries.insert((scope, at), region);
                }
                Place::Miss(scope) => {
                    reached.missed.insert(scope, region);
                }
                Place::Conflict => reached.conflicts = region,
            }
        }
        reached.plans.sort_by_key(|(plan, _)| *plan);
        reached
    }
}

/// What requests come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Place {
    Plan(PlanIdx),
    Entry(ScopeIdx, usize),
    Miss(ScopeIdx),
    Conflict,
}

struct Walk<'a> {
    space: &'a Arc<Space>,
    number: usize,
    site: &'a Site,
    algebra: Algebra,
    /// Guards that do not look at the path, once for all paths.
    guards: HashMap<(ScopeIdx, usize), Option<Arc<[Fields]>>>,
    /// The tests of the path that are true at hand.
    tests: u64,
    steps: usize,
    found: HashMap<Place, HashMap<Fields, Vec<u32>>>,
}

/// Guards that are put into each other.
const MOST_STEPS: usize = 1 << 22;

impl<'a> Walk<'a> {
    fn path(&mut self, class: u32, matching: &[(ScopeIdx, usize)], fields: &Fields) -> Result<(), Undecided> {
        self.tests = self.space.paths.classes[class as usize].tests;
        let mut strict = Vec::new();
        self.name(ScopeIdx(0), matching, &mut strict)?;
        let mut live = vec![fields.clone()];
        for field in &strict {
            let Some((dim, set)) = self.space.conflict(field) else { continue };
            let Some(conflict) = cube::only(dim, set) else { continue };
            for refused in all_and(&live, std::slice::from_ref(&conflict)) {
                self.add(Place::Conflict, class, refused);
            }
            live = all_minus(live, std::slice::from_ref(&conflict), MOST_BOXES)?;
        }
        self.scope(ScopeIdx(0), class, matching, live)
    }

    /// The fields whose second value is refused on this path.
    fn name(
        &mut self,
        scope: ScopeIdx,
        matching: &[(ScopeIdx, usize)],
        strict: &mut Vec<Field>,
    ) -> Result<(), Undecided> {
        for at in self.candidates(scope, matching)? {
            let entry = self.entry(scope, at);
            fields::strict_fields(&entry.guard, strict);
            if let Target::Scope(inner) = entry.target {
                self.name(inner, matching, strict)?;
            }
            if entry.guard == Cond::Const(true) {
                break;
            }
        }
        Ok(())
    }

    fn scope(
        &mut self,
        scope: ScopeIdx,
        class: u32,
        matching: &[(ScopeIdx, usize)],
        mut live: Vec<Fields>,
    ) -> Result<(), Undecided> {
        for at in self.candidates(scope, matching)? {
            if live.is_empty() {
                return Ok(());
            }
            let entry = self.entry(scope, at);
            let guard = self.guard(scope, at)?;
            let taken = all_and(&live, &guard);
            self.steps += live.len() * guard.len() + 1;
            if taken.len() > MOST_BOXES || self.steps > MOST_STEPS {
                return Err(Undecided::TooLarge);
            }
            live = all_minus(live, &guard, MOST_BOXES)?;
            for fields in &taken {
                self.add(Place::Entry(scope, at), class, fields.clone());
            }
            match entry.target {
                Target::Plan(plan) => {
                    for fields in taken {
                        self.add(Place::Plan(plan), class, fields);
                    }
                }
                Target::Scope(inner) => self.scope(inner, class, matching, taken)?,
            }
        }
        let miss = self.site.scopes[scope.0 as usize].miss;
        for fields in live {
            self.add(Place::Miss(scope), class, fields.clone());
            self.add(Place::Plan(miss), class, fields);
        }
        Ok(())
    }

    fn entry(&self, scope: ScopeIdx, at: usize) -> &'a Entry {
        &self.site.scopes[scope.0 as usize].entries[at]
    }

    /// The entries of a scope that match the path, in their order.
    fn candidates(&mut self, scope: ScopeIdx, matching: &[(ScopeIdx, usize)]) -> Result<Vec<usize>, Undecided> {
        let from = matching.partition_point(|(s, _)| *s < scope);
        let to = matching.partition_point(|(s, _)| *s <= scope);
        let own: Vec<usize> = matching[from..to].iter().map(|(_, at)| *at).collect();
        if own.len() < 2 {
            return Ok(own);
        }
        let site = self.site;
        let patterns: Vec<&PathPattern> =
            own.iter().map(|at| &site.scopes[scope.0 as usize].entries[*at].pattern).collect();
        let order = order(&patterns, &mut self.algebra).map_err(|(_, _, why)| why)?;
        Ok(order.into_iter().map(|n| own[n]).collect())
    }

    fn guard(&mut self, scope: ScopeIdx, at: usize) -> Result<Arc<[Fields]>, Undecided> {
        if let Some(Some(known)) = self.guards.get(&(scope, at)) {
            return Ok(known.clone());
        }
        let site = self.site;
        let cond = &site.scopes[scope.0 as usize].entries[at].guard;
        let mut looks = false;
        let fields: Arc<[Fields]> = self.space.fields_of(self.number, cond, self.tests, &mut looks)?.into();
        self.guards.insert((scope, at), (!looks).then(|| fields.clone()));
        Ok(fields)
    }

    fn add(&mut self, place: Place, class: u32, fields: Fields) {
        if self.space.is_possible(&fields) {
            self.found.entry(place).or_default().entry(fields).or_default().push(class);
        }
    }
}

impl Space {
    /// A condition on paths of a class, whose tests are given; `looks` tells whether it asked for them.
    fn fields_of(&self, site: usize, cond: &Cond, tests: u64, looks: &mut bool) -> Result<Vec<Fields>, Undecided> {
        let always = |value: bool| if value { vec![Fields::new()] } else { Vec::new() };
        Ok(match cond {
            Cond::Const(value) => always(*value),
            Cond::Test(..) | Cond::Relate(..) => match self.leaf(site, cond)? {
                super::Leaf::Const(value) => always(value),
                super::Leaf::Path(test) => {
                    *looks = true;
                    always(tests >> test & 1 == 1)
                }
                super::Leaf::Fields(dim, set) => cube::only(dim, set).into_iter().collect(),
            },
            Cond::Not(inner) => {
                let inner = self.fields_of(site, inner, tests, looks)?;
                all_minus(always(true), &inner, MOST_BOXES)?
            }
            Cond::And(all) => {
                let mut out = always(true);
                for part in all {
                    out = all_and(&out, &self.fields_of(site, part, tests, looks)?);
                    if out.len() > MOST_BOXES {
                        return Err(Undecided::TooLarge);
                    }
                }
                out
            }
            Cond::Or(all) => {
                let mut out: Vec<Fields> = Vec::new();
                for part in all {
                    let part = self.fields_of(site, part, tests, looks)?;
                    let fresh = all_minus(part, &out, MOST_BOXES)?;
                    out.extend(fresh);
                }
                out
            }
        })
    }
}
