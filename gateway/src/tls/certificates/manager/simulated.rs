//! A year in a few seconds: the manager beside an authority that holds it to its limits, by a clock that is
//! moved by hand.

use super::super::Wanted;
use super::super::book::{Book, Issue};
use super::super::budget::{DAY, HOUR, Limits, MINUTE, Rate, Spent, WEEK};
use super::super::names::registered_domain;
use super::super::pair::Validity;
use super::{AT_ONCE, Action, Authorities, Failure, Manager, Now};
use crate::tls::acme::Cause;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

pub(super) const START: u64 = 1_800_000_000_000;
const CA: &str = "https://ca.sluice-tests.net/directory";

/// What becomes of an order.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Comes {
    Issued((u64, u64)),
    Fails(u8, Option<u64>),
    Window(Option<(u64, u64)>),
}

/// The authority, and what it saw.
pub(super) struct World {
    pub(super) manager: Manager,
    pub(super) now: u64,
    /// What is on the disk.
    pub(super) book: Book,
    pub(super) certificates: HashMap<Box<str>, Validity>,
    pub(super) sent: Vec<(u64, Wanted, bool)>,
    coming: BinaryHeap<Reverse<Coming>>,
    under_way: BTreeSet<Box<str>>,
    serial: u64,
    limits: Limits,
    orders: Spent,
    domains: HashMap<String, Spent>,
    failures: HashMap<Box<str>, Spent>,
    /// How long a certificate of a name lives, days.
    pub(super) life: fn(&str) -> u64,
    /// Whether it says when to renew.
    pub(super) says: fn(&str) -> bool,
    /// How long it takes, milliseconds, and what goes wrong.
    pub(super) fate: fn(&str, u64) -> Fate,
    /// Whose certificates these are.
    pub(super) by: &'static str,
    /// Certificates that were over before they were renewed.
    pub(super) over: Vec<Box<str>>,
}

/// When, which one of these, for which name, and what.
type Coming = (u64, u64, Box<str>, Comes);
/// How long it takes, and what goes wrong.
type Fate = (u64, Option<(Cause, Option<u64>)>);

pub(super) fn hash(of: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    of.hash(&mut hasher);
    hasher.finish()
}

pub(super) fn wanted(name: &str, tenant: Option<&str>) -> Wanted {
    Wanted { name: name.into(), tenant: tenant.map(Into::into), via: None }
}

pub(super) fn used() -> Arc<AtomicU64> {
    Arc::default()
}

impl World {
    pub(super) fn new(limits: Limits) -> Self {
        let now = Now { wall: START, steady: 0 };
        let mut manager = Manager::new(Book::default(), now);
        manager.order_from(Some(authorities(limits)));
        Self {
            manager,
            now: START,
            book: Book::default(),
            certificates: HashMap::new(),
            sent: Vec::new(),
            coming: BinaryHeap::new(),
            under_way: BTreeSet::new(),
            serial: 0,
            limits,
            orders: Spent::default(),
            domains: HashMap::new(),
            failures: HashMap::new(),
            life: |_| 90,
            says: |_| false,
            fate: |_, _| (20_000, None),
            by: CA,
            over: Vec::new(),
        }
    }

    pub(super) fn want(&mut self, name: &str, tenant: Option<&str>) {
        self.manager.want(wanted(name, tenant), used());
    }

    /// Goes on until then, or until nothing comes any more.
    pub(super) fn run(&mut self, until: u64) {
        loop {
            let steady = self.now - START;
            for action in self.manager.step(Now { wall: self.now, steady }) {
                self.act(action);
            }
            let coming = self.coming.peek().map_or(u64::MAX, |Reverse((at, ..))| *at);
            let next = self.manager.next().min(coming);
            if next > until {
                self.now = until;
                return;
            }
            self.now = self.now.max(next);
            if coming > self.now {
                continue;
            }
            // The manager goes by the time of its last step.
            for action in self.manager.step(Now { wall: self.now, steady: self.now - START }) {
                self.act(action);
            }
            while let Some(Reverse((at, ..))) = self.coming.peek()
                && *at <= self.now
            {
                let Some(Reverse((_, _, name, comes))) = self.coming.pop() else { return };
                self.comes(&name, comes);
            }
        }
    }

    /// Ends without a word, and begins again with what is on the disk.
    pub(super) fn restart(&mut self) {
        self.coming.clear();
        self.under_way.clear();
        let steady = self.now - START;
        self.manager = Manager::new(self.book.clone(), Now { wall: self.now, steady });
        self.manager.order_from(Some(authorities(self.limits)));
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::Write(record) => self.book.apply(&record),
            Action::Rewrite => self.book = self.manager.book().clone(),
            Action::Order { wanted, replaces } => self.ordered(wanted, replaces),
            Action::Ask(name) => {
                let says = (self.says)(&name);
                let window = self.certificates.get(&*name).filter(|_| says).map(|validity| {
                    let third = validity.life() * 1_000 / 3;
                    (validity.from * 1_000 + third, validity.from * 1_000 + third * 2)
                });
                self.later(1_000, (*name).into(), Comes::Window(window));
            }
            Action::Stands(..) | Action::Remove(_) | Action::ClockSet(_) => {}
        }
    }

    fn later(&mut self, after: u64, name: Box<str>, comes: Comes) {
        self.serial += 1;
        self.coming.push(Reverse((self.now + after, self.serial, name, comes)));
    }

    /// An order arrives at the authority, which holds everybody to its limits.
    fn ordered(&mut self, wanted: Wanted, replaces: bool) {
        let name = wanted.name.clone();
        assert!(self.book.entry(&name).is_some_and(|entry| entry.under_way.is_some()), "{name} is not written down");
        assert!(self.under_way.insert(name.clone()), "{name} has two orders at a time");
        assert!(self.under_way.len() <= AT_ONCE, "{:?}", self.under_way);
        if !replaces {
            let Rate { count, per } = self.limits.orders;
            self.orders.forget(self.now, per);
            self.orders.add(self.now);
            assert!(self.orders.count(self.now, per) <= count as usize, "too many orders at {}", self.now);
        }
        if let Some(failed) = self.failures.get(&name) {
            let Rate { count, per } = self.limits.failures;
            assert!(failed.count(self.now, per) < count as usize, "{name} failed too often");
        }
        self.sent.push((self.now, wanted, replaces));
        let (takes, trouble) = (self.fate)(&name, self.now);
        let comes = match trouble {
            Some((cause, retry_after)) => Comes::Fails(cause as u8, retry_after),
            None => {
                let from = (self.now + takes) / 1_000;
                Comes::Issued((from, from + (self.life)(&name) * DAY / 1_000))
            }
        };
        self.later(takes, name, comes);
    }

    fn comes(&mut self, name: &str, comes: Comes) {
        match comes {
            Comes::Window(window) => self.manager.window(name, window, 0),
            Comes::Issued((from, until)) => {
                self.under_way.remove(name);
                let validity = Validity { from, until };
                match self.certificates.insert(name.into(), validity) {
                    Some(before) if before.until < from => self.over.push(name.into()),
                    Some(_) => {}
                    None => {
                        let domain = self.domains.entry(registered_domain(name).to_owned()).or_default();
                        domain.add(self.now);
                        if let Some(Rate { count, per }) = self.limits.domain {
                            assert!(domain.count(self.now, per) <= count as usize, "too many for the domain of {name}");
                        }
                    }
                }
                self.manager.issued(name, Issue { by: self.by.into(), from, until, window: None });
            }
            Comes::Fails(cause, retry_after) => {
                self.under_way.remove(name);
                let cause = [
                    Cause::Unreachable,
                    Cause::RateLimited,
                    Cause::Validation,
                    Cause::Refused,
                    Cause::Timeout,
                    Cause::Ours,
                ][usize::from(cause)];
                if cause == Cause::Validation {
                    self.failures.entry(name.into()).or_default().add(self.now);
                }
                self.manager.failed(name, Failure { cause, said: "no".into(), retry_after });
            }
        }
    }
}

pub(super) fn authorities(limits: Limits) -> Authorities {
    Authorities { each: vec![(CA.into(), limits)], tries: 1 }
}

/// Ten thousand names: of 400 registered domains and 80 tenants, the operator's own among them.
fn ten_thousand(world: &mut World) -> Vec<String> {
    let names: Vec<String> = (0..10_000).map(|n| format!("h{n}.d{}.net", n % 400)).collect();
    for (n, name) in names.iter().enumerate() {
        let tenant = format!("t{}", n % 80);
        world.want(name, (n % 80 != 0).then_some(tenant.as_str()));
    }
    names
}

fn all_hold(world: &World, names: &[String]) {
    assert_eq!(world.over, Vec::<Box<str>>::new(), "certificates were over");
    for name in names {
        let validity = world.certificates.get(&**name).unwrap_or_else(|| panic!("{name} has none"));
        assert!(validity.until * 1_000 > world.now, "{name} is over");
    }
}

#[test]
fn ten_thousand_names_have_certificates_for_a_year_within_the_limits() {
    let mut world = World::new(Limits::LETS_ENCRYPT);
    world.life = |name| if hash(name) % 2 == 0 { 64 } else { 45 };
    // One in fifty orders fails, and each month the authority is away for half a day.
    world.fate = |name, now| {
        let takes = 5_000 + hash((name, now)) % 30_000;
        let failed = match hash((now, name)) % 1_000 {
            0 => Some((Cause::RateLimited, Some(20 * MINUTE))),
            1..=15 => Some((Cause::Validation, None)),
            16..=19 => Some((Cause::Timeout, None)),
            _ => None,
        };
        let away = (now - START) % (30 * DAY) > 29 * DAY + 12 * HOUR;
        if away { (10_000, Some((Cause::Unreachable, None))) } else { (takes, failed) }
    };
    let names = ten_thousand(&mut world);
    world.run(START + 6 * DAY);
    let first: BTreeSet<&str> = world.sent.iter().map(|(_, wanted, _)| &*wanted.name).collect();
    assert_eq!(first.len(), names.len(), "everybody had a turn after 100 hours of 100 orders");
    // Whoever has as many names got as many turns at any time.
    let mut turns: BTreeMap<Option<Arc<str>>, i64> = BTreeMap::new();
    let mut had = BTreeSet::new();
    for (_, wanted, _) in world.sent.iter().filter(|(at, ..)| *at < START + 3 * DAY) {
        if had.insert(&wanted.name) {
            *turns.entry(wanted.tenant.clone()).or_default() += 1;
        }
    }
    let (least, most) = (turns.values().min().unwrap(), turns.values().max().unwrap());
    assert!(turns.len() == 80 && most - least <= 4, "{least} to {most}");
    world.run(START + 365 * DAY);
    all_hold(&world, &names);
}

#[test]
fn ten_thousand_names_of_six_days_are_renewed_by_what_the_authority_says() {
    let mut world = World::new(Limits::LETS_ENCRYPT);
    world.life = |_| 6;
    world.says = |_| true;
    let names = ten_thousand(&mut world);
    world.run(START + 16 * DAY);
    all_hold(&world, &names);
    let renewals = world.sent.iter().filter(|(_, _, replaces)| *replaces).count();
    assert!(renewals > 25_000, "more than would fit into its limit of orders: {renewals}");
}

#[test]
fn five_hundred_at_once_are_served_in_turn_and_a_restart_orders_nothing_twice() {
    let limits = Limits { orders: Rate { count: 1_000, per: 3 * HOUR }, domain: None, ..Limits::LETS_ENCRYPT };
    let mut world = World::new(limits);
    let all: Vec<(String, Option<String>)> =
        (0..500).map(|n| (format!("{n}.sluice-tests.net"), (n >= 400).then(|| format!("small{}", n % 10)))).collect();
    let want = |world: &mut World| all.iter().for_each(|(name, tenant)| world.want(name, tenant.as_deref()));
    want(&mut world);
    world.run(START + 5 * MINUTE);
    let before = world.certificates.len();
    assert!((100..250).contains(&before), "the first serve while the last wait: {before}");
    // The hundred names of the small ones were not behind the four hundred of the operator.
    let small = world.certificates.keys().filter(|name| name.split_once('.').unwrap().0.parse::<u32>().unwrap() >= 400);
    assert!(small.count() >= 80);
    let flying: BTreeSet<Box<str>> = world.under_way.clone();
    assert!(!flying.is_empty() && flying.len() <= AT_ONCE);
    world.restart();
    want(&mut world);
    world.run(START + HOUR);
    assert_eq!(world.certificates.len(), 500);
    let mut orders: BTreeMap<&str, usize> = BTreeMap::new();
    for (_, wanted, _) in &world.sent {
        *orders.entry(&wanted.name).or_default() += 1;
    }
    for (name, n) in orders {
        let allowed = if flying.contains(name) { 2 } else { 1 };
        assert!(n <= allowed, "{name} was ordered {n} times");
    }
    let counted = world.book.orders[CA].count(world.now, 3 * HOUR);
    assert_eq!(counted, world.sent.len(), "what was under way at the end counts");
}

#[test]
fn names_that_fail_delay_no_other() {
    let mut world = World::new(Limits { domain: None, ..Limits::LETS_ENCRYPT });
    // A hundred names whose validation takes five minutes to fail, and ten that are well.
    world.fate = |name, _| {
        if name.starts_with("bad") { (5 * MINUTE, Some((Cause::Validation, None))) } else { (10_000, None) }
    };
    for n in 0..100 {
        world.want(&format!("bad{n}.sluice-tests.net"), Some("bad"));
    }
    world.run(START + MINUTE);
    for n in 0..10 {
        world.want(&format!("good{n}.sluice-tests.net"), Some("good"));
    }
    world.run(START + 3 * MINUTE);
    assert_eq!(world.certificates.len(), 10, "they did not wait for those that fail");
    world.run(START + WEEK);
    let tries = world.sent.iter().filter(|(_, wanted, _)| &*wanted.name == "bad7.sluice-tests.net");
    let tries: Vec<u64> = tries.map(|(at, ..)| *at).collect();
    assert!((9..=11).contains(&tries.len()), "four tries on the first day, then one a day: {}", tries.len());
}
