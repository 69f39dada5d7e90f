//! Deciding claims: site by site, each asked for a request that shows the contrary.

use super::{Claim, Counter, Gets, Policy, Proof, Says, Verdict};
use crate::diagnostic::Diagnostic;
use crate::lint;
use crate::reach::endings::{self, Ending};
use crate::reach::events::{Event, can_dial, events};
use crate::reach::rows::{self, ClassRows};
use crate::reach::solve::{self, Found};
use crate::reach::{Carried, PoolKey, Sites, dial, show};
use crate::syntax::span::{FileId, Loc};
use crate::tree::Program;
use crate::tree::calls;
use crate::tree::ir::{Answer, Cond, Destination, Plan, PlanIdx, PoolIdx, Site};
use crate::tree::request::Plain;
use crate::tree::tell::{self, Line};
use crate::tree::words;
use std::collections::BTreeSet;
use std::sync::Arc;

/// How many steps the proofs of a file may take together: a class of paths that is looked at is one, and
/// each search for a request fifty.
pub const BUDGET: u64 = 4_000_000;

/// What a search for a request counts.
const SEARCH: u64 = 50;

/// What came of a proof.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// The proof.
    pub proof: Arc<Proof>,
    /// What came of each claim, in their order.
    pub claims: Vec<(Claim, Verdict)>,
}

impl Outcome {
    /// Whether all its claims hold.
    pub fn holds(&self) -> bool {
        self.claims.iter().all(|(_, verdict)| matches!(verdict, Verdict::Holds { .. }))
    }

    /// The claims that do not hold.
    pub fn failures(&self) -> impl Iterator<Item = &(Claim, Verdict)> {
        self.claims.iter().filter(|(_, verdict)| !matches!(verdict, Verdict::Holds { .. }))
    }
}

/// Decides proofs about some sites and items. `asked` says of which sites a request may refute them, by
/// their place in `sites`: those of one file, or all.
#[must_use]
pub fn prove(proofs: &[Arc<Proof>], sites: &Sites, asked: &[usize], items: &[Carried], budget: u64) -> Vec<Outcome> {
    let mut left = budget;
    let mut one = |claim: &Claim| {
        let verdict = Search { claim, sites, left: &mut left, meant: false, open: BTreeSet::new() }.run(asked, items);
        (claim.clone(), verdict)
    };
    let all = |proof: &Arc<Proof>| {
        let claims = proof.claims.iter().map(&mut one).collect();
        Outcome { proof: Arc::clone(proof), claims }
    };
    proofs.iter().map(all).collect()
}

struct Search<'a> {
    claim: &'a Claim,
    sites: &'a Sites,
    left: &'a mut u64,
    meant: bool,
    /// What could not be looked into.
    open: BTreeSet<String>,
}

/// Why a search ends before its end.
enum End {
    Refuted(Counter),
    Undecided(String),
}

/// A request that would refute the claim, if it is there.
struct Against {
    plan: PlanIdx,
    /// Whether it must be seen to come to the plan: not where a guard on the way asks.
    decided: bool,
    conds: Vec<Cond>,
    /// Those of them that are not the conditions of routes.
    own: Vec<Cond>,
    /// What such a request shows; or what it hangs on, where nobody knows that: it shows nothing then.
    why: Result<String, String>,
    at: Loc,
}

impl Search<'_> {
    fn run(mut self, asked: &[usize], items: &[Carried]) -> Verdict {
        for at in asked.iter().copied() {
            match self.site(at) {
                Ok(()) => {}
                Err(End::Refuted(counter)) => return Verdict::Refuted(Box::new(counter)),
                Err(End::Undecided(why)) => return Verdict::Undecided(why),
            }
        }
        for item in items {
            if let Err(End::Refuted(counter)) = self.item(item) {
                return Verdict::Refuted(Box::new(counter));
            }
        }
        if self.open.is_empty() {
            return Verdict::Holds { meant: self.meant };
        }
        let parts: Vec<String> = self.open.iter().map(|part| format!("`{part}`")).collect();
        Verdict::Undecided(format!("it rests on {}, which the analysis cannot look into", parts.join(", ")))
    }

    fn spend(&mut self, steps: u64) -> Result<(), End> {
        match self.left.checked_sub(steps) {
            Some(left) => {
                *self.left = left;
                Ok(())
            }
            None => Err(End::Undecided("the proofs of this file take more steps than they may".into())),
        }
    }

    fn site(&mut self, at: usize) -> Result<(), End> {
        let Some(program) = self.sites.get(at).cloned() else { return Ok(()) };
        let site: &Site = program.site();
        let subject = &self.claim.subject;
        self.spend(1)?;
        let dialled = |key: &PoolKey, index: PoolIdx| key.shares(&site.pools[index.0 as usize]);
        if let Some(key) = &subject.pool
            && !can_dial(site, &|index| dialled(key, index))
        {
            return Ok(());
        }
        if let (Says::Reaches(key), false) = (&self.claim.says, self.claim.every)
            && !can_dial(site, &|index| dialled(key, index))
            && subject.host.is_none()
        {
            return Ok(());
        }
        let Some(host) = self.sites.host(at, subject.host.as_ref()) else { return Ok(()) };
        let beside: Vec<_> = subject.path.iter().collect();
        let classes = rows::of_site(site, &beside)
            .map_err(|why| End::Undecided(format!("the paths of {host} cannot be told apart: {why}")))?;
        for class in classes.iter().filter(|class| class.class.beside.iter().all(|matches| *matches)) {
            self.spend(1)?;
            let against = match &subject.pool {
                Some(key) => self.reaching_pool(site, class, &|index| dialled(key, index)),
                None => self.reaching_paths(site, class),
            };
            for against in against {
                self.ask(&program, &host, class, against)?;
            }
        }
        Ok(())
    }

    /// Looks for a request, and replays it.
    fn ask(&mut self, program: &Program, host: &str, class: &ClassRows, against: Against) -> Result<(), End> {
        self.spend(SEARCH)?;
        let Against { plan, decided, conds, own, why, at } = against;
        let mut found = solve::find(program.site(), host, &class.class.path, &conds);
        let below = self.claim.subject.path.as_ref();
        let comes = |request: &Plain| {
            let asked = below.is_none_or(|path| path.matches(&request.path)) && solve::hold(&own, request);
            asked && (!decided || solve::comes_to(program, request, plan))
        };
        // Hosts of the site that the claim leaves out are not told apart from others there. What was found on
        // another path of the class's shape may go elsewhere.
        let everywhere = self.claim.subject.host.is_none();
        let open = match &found {
            Found::None => false,
            Found::Open(_) => true,
            Found::Request(request) => !comes(request),
        };
        if open && decided && everywhere {
            self.spend(SEARCH)?;
            found = solve::find_exactly(program.site(), plan, self.claim.subject.path.as_ref(), &own);
        }
        match found {
            Found::None => Ok(()),
            Found::Open(parts) => {
                self.open.extend(parts);
                Ok(())
            }
            Found::Request(request) => {
                if !comes(&request) {
                    // Said of nobody: what the search and the program disagree on is not shown.
                    self.open.insert(class.class.path.clone());
                    return Ok(());
                }
                let why = match why {
                    Ok(why) => why,
                    Err(rests_on) => {
                        self.open.insert(rests_on);
                        return Ok(());
                    }
                };
                let lines = lines(program, &request);
                let request = show::request(&request, program.site());
                Err(End::Refuted(Counter { request, why, at, lines }))
            }
        }
    }

    /// The requests of a class that reach the claim's pool and refute the claim.
    fn reaching_pool(&mut self, site: &Site, class: &ClassRows, wanted: &dyn Fn(PoolIdx) -> bool) -> Vec<Against> {
        let mut out = Vec::new();
        for event in events(site, class, wanted) {
            self.meant = true;
            let plan = event.of(site);
            let pool = &site.pools[event.pool.0 as usize].name;
            let how = match event.how {
                dial::How::Route => String::new(),
                other => format!(" by `{}`", other.word()),
            };
            let (more, why) = match &self.claim.says {
                Says::There => (Vec::new(), format!("reaches pool {pool}{how}")),
                Says::Passes(policies) => {
                    let (cond, names) = passes(plan, event.after, policies, self.claim.every);
                    let verb = if self.claim.every { "without" } else { "through" };
                    (vec![cond], format!("reaches pool {pool}{how} {verb} {names}"))
                }
                // The checker lets no such claim pass.
                Says::Reaches(_) | Says::Gets(_) => continue,
            };
            out.push(self.by_event(&event, more, why));
        }
        out
    }

    /// A dial that refutes the claim where more conditions hold.
    fn by_event(&self, event: &Event, more: Vec<Cond>, why: String) -> Against {
        let when = &self.claim.subject.when;
        let own: Vec<Cond> = event.own.iter().chain(when).cloned().chain(more.clone()).collect();
        let conds = event.conds.iter().chain(when).cloned().chain(more).collect();
        let decided = event.how != dial::How::Ask;
        Against { plan: event.plan, decided, conds, own, why: Ok(why), at: event.loc }
    }

    /// The requests of a class, wherever they lead, that refute the claim.
    fn reaching_paths(&mut self, site: &Site, class: &ClassRows) -> Vec<Against> {
        let mut out = Vec::new();
        let when = &self.claim.subject.when;
        if let (Says::Reaches(key), false) = (&self.claim.says, self.claim.every) {
            self.meant = true;
            let wanted = |index: PoolIdx| key.shares(&site.pools[index.0 as usize]);
            for event in events(site, class, &wanted) {
                let pool = &site.pools[event.pool.0 as usize].name;
                out.push(self.by_event(&event, Vec::new(), format!("reaches pool {pool}")));
            }
            return out;
        }
        for (n, (_, index)) in class.rows.iter().enumerate() {
            let Some(taken) = class.taken(n) else { continue };
            self.meant = true;
            let plan = &site.plans[index.0 as usize];
            let mut against = |conds: &[Cond], more: Vec<Cond>, why: Result<String, String>, at: Loc| {
                let own: Vec<Cond> = conds.iter().chain(when).cloned().chain(more).collect();
                let conds = taken.iter().chain(&own).cloned().collect();
                out.push(Against { plan: *index, decided: true, conds, own, why, at });
            };
            match &self.claim.says {
                Says::There => against(&[], Vec::new(), Ok("is there".into()), plan.loc),
                // What is refused, or sent to log in, passes nothing, and harms nobody.
                Says::Passes(_)
                    if matches!(
                        plan.answer,
                        Answer::Relay { .. } | Answer::Deny { .. } | Answer::NotFound | Answer::Visit { .. }
                    ) => {}
                Says::Passes(policies) => {
                    let (cond, names) = passes(plan, plan.steps.len(), policies, self.claim.every);
                    let verb = if self.claim.every { "without" } else { "through" };
                    let why = format!("goes {verb} {names} to {}", words::answer(&plan.answer, site));
                    against(&[], vec![cond], Ok(why), plan.loc);
                }
                Says::Reaches(key) => {
                    for ending in endings::endings(plan).into_iter().filter(|ending| !leads_to(ending, key, site)) {
                        let why = format!("gets {}", words::answer(ending.answer, site));
                        against(&ending.conds, Vec::new(), Ok(why), ending.loc);
                    }
                }
                Says::Gets(gets) => {
                    for ending in endings::endings(plan) {
                        if let Some(said) = may_be(ending.answer, gets, site) {
                            against(&ending.conds, Vec::new(), Err(said), ending.loc);
                        } else if is(ending.answer, gets) != self.claim.every {
                            let why = format!("gets {}", words::answer(ending.answer, site));
                            against(&ending.conds, Vec::new(), Ok(why), ending.loc);
                        }
                    }
                }
            }
        }
        out
    }

    /// Connections that are carried to the claim's pool: no policy of a site is on their way.
    fn item(&mut self, item: &Carried) -> Result<(), End> {
        let Some(key) = &self.claim.subject.pool else { return Ok(()) };
        let refutes = match &self.claim.says {
            Says::There => !self.claim.every,
            Says::Passes(_) => self.claim.every,
            // The checker lets no such claim pass.
            Says::Reaches(_) | Says::Gets(_) => false,
        };
        for carry in item.ways(key).into_iter().filter(|_| refutes) {
            self.meant = true;
            self.spend(SEARCH)?;
            match carry.witness(&self.claim.subject.when) {
                Ok(None) => {}
                Ok(Some(request)) => {
                    let pool = &item.rules().pools[carry.pool.0 as usize].name;
                    let why = format!("is carried to pool {pool} as it is, through no policy");
                    return Err(End::Refuted(Counter { request, why, at: carry.loc, lines: Vec::new() }));
                }
                Err(()) => {
                    self.open.insert(carry.item);
                }
            }
        }
        Ok(())
    }
}

/// Whether a request passes all of some policies before so many steps: what must hold of one that
/// refutes the claim, and what it passes or does not, in words.
fn passes(plan: &Plan, after: usize, policies: &[Policy], every: bool) -> (Cond, String) {
    let passed = |policy: &Policy| {
        let uses = dial::passed(plan, after).filter(|used| used.policy == policy.policy);
        match uses.map(|used| used.when.clone()).collect::<Vec<_>>() {
            none if none.is_empty() => Cond::Const(false),
            mut one if one.len() == 1 => one.remove(0),
            any => Cond::Or(any),
        }
    };
    let all: Vec<(Cond, &str)> = policies.iter().map(|policy| (passed(policy), &*policy.name)).collect();
    // Those that are never passed are named alone.
    let never: Vec<&str> = all.iter().filter(|(cond, _)| *cond == Cond::Const(false)).map(|(_, name)| *name).collect();
    let names = if every && !never.is_empty() { never } else { all.iter().map(|(_, name)| *name).collect() };
    let shown = names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    let mut conds: Vec<Cond> = all.into_iter().map(|(cond, _)| cond).collect();
    let both = if conds.len() == 1 { conds.remove(0) } else { Cond::And(conds) };
    let never = matches!(&both, Cond::And(all) if all.contains(&Cond::Const(false)));
    let both = if never { Cond::Const(false) } else { both };
    let cond = match (both, every) {
        (Cond::Const(value), true) => Cond::Const(!value),
        (both, true) => Cond::Not(Box::new(both)),
        (both, false) => both,
    };
    (cond, shown)
}

/// Whether an answer leads to nothing but the endpoints of a pool.
fn leads_to(ending: &Ending<'_>, key: &PoolKey, site: &Site) -> bool {
    let Answer::Proxy { to, .. } = ending.answer else { return false };
    let covers = |pool: &PoolIdx| key.covers(&site.pools[pool.0 as usize]);
    match to {
        Destination::Pool(pool) => covers(pool),
        Destination::Split { shares, .. } => {
            shares.iter().filter(|(share, _)| *share > 0).all(|(_, pool)| covers(pool))
        }
        Destination::Table(by) => by.among.iter().all(covers),
    }
}

/// What it hangs on whether an answer is what is expected, where only a service can say it.
fn may_be(answer: &Answer, gets: &Gets, site: &Site) -> Option<String> {
    let Answer::Relay { call } = answer else { return None };
    let may = match gets {
        Gets::Status(status) | Gets::Deny(Some(status)) | Gets::Respond(Some(status)) => relayed(*status),
        Gets::Redirect(status, _) => status.is_none_or(calls::is_redirect),
        Gets::Deny(None) | Gets::Respond(None) => true,
    };
    let shown = site.calls.get(call.0 as usize).map(|call| &call.shown)?;
    may.then(|| shown.to_string())
}

/// Whether a no has such a status, that of a service or ours.
fn relayed(status: u16) -> bool {
    calls::is_redirect(status) || (400..500).contains(&status)
}

/// Whether an answer is what is expected.
fn is(answer: &Answer, gets: &Gets) -> bool {
    let fits = |wanted: &Option<u16>, got: u16| wanted.is_none_or(|wanted| wanted == got);
    match (gets, answer) {
        (Gets::Status(wanted), Answer::Redirect { status, .. } | Answer::Deny { status }) => wanted == status,
        (Gets::Status(wanted), Answer::Respond { status, .. } | Answer::RespondFile { status, .. }) => wanted == status,
        (Gets::Status(wanted), Answer::NotFound) => *wanted == 404,
        (Gets::Redirect(wanted, target), Answer::Redirect { status, to, .. }) => {
            let same = |target: &Arc<str>| words::template(to) == **target;
            fits(wanted, *status) && target.as_ref().is_none_or(same)
        }
        (Gets::Deny(wanted), Answer::Deny { status }) => fits(wanted, *status),
        (Gets::Respond(wanted), Answer::Respond { status, .. } | Answer::RespondFile { status, .. }) => {
            fits(wanted, *status)
        }
        _ => false,
    }
}

/// The way of a request, told as `explain` does.
fn lines(program: &Program, request: &Plain) -> Vec<Line> {
    let site = program.site();
    let host = site.hosts.iter().find(|(pattern, _)| pattern.matches(&request.host));
    let at = host.map_or(site.loc, |(_, loc)| *loc);
    let first = [Line::new("host", request.host.clone(), Some(at)), Line::new("path", request.path.clone(), None)];
    first.into_iter().chain(tell::tell(program, request, None).lines).collect()
}

/// The proofs that fail, in the order of their lines.
#[must_use]
fn failing(outcomes: &[Outcome]) -> Vec<(&Proof, &Claim, &Verdict)> {
    outcomes.iter().flat_map(|o| o.failures().map(|(claim, verdict)| (&*o.proof, claim, verdict))).collect()
}

/// What `lint` and the gateway say of proofs that fail, of the file that broke them: G9002, an error each.
#[must_use]
pub fn findings(outcomes: &[Outcome], file: FileId) -> Vec<Diagnostic> {
    let each = |(proof, claim, verdict)| lint::g9002::fails(proof, claim, verdict, file);
    failing(outcomes).into_iter().filter_map(each).collect()
}
