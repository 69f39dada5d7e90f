//! What is ordered next, and when: a machine without a clock, a disk or a network.
//!
//! It is told what is wanted and what became of orders, and with [`Manager::step`] what time it is; it answers
//! with what is to be done. So a year can be tried out in a second.
//!
//! INVARIANT: an order is written down before it is sent ([`Action::Write`] stands before its
//! [`Action::Order`]), so that it counts whatever happens; and a name has one order at a time.

mod dispatch;
mod outcome;
#[cfg(test)]
mod simulated;
#[cfg(test)]
mod tests;

use super::Wanted;
use super::book::{Book, Entry, Record};
use super::budget::{DAY, HOUR, Limits, MINUTE};
use super::pair::Validity;
use super::queue::{Place, Queue};
use super::{backoff, renewal};
use crate::tls::acme::Cause;
use dispatch::{Class, Flight};
use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

pub use dispatch::AT_ONCE;
pub use outcome::Failure;

/// The system's clock and one that only goes forward may drift apart by this much between two steps,
/// milliseconds; more is a clock that was set.
const DRIFT: u64 = 30_000;
/// Certificates that the authority is asked about at once.
const ASKED_AT_ONCE: usize = 4;
/// A name that was asked for in a handshake is renewed if it was used within this time, milliseconds, or a
/// quarter of the life of its certificate.
const USED_WITHIN: u64 = 7 * DAY;
/// One that was not is looked at again after so long, milliseconds.
const LOOK_AGAIN: u64 = HOUR;
/// Failures after which a name is given up that nobody but a handshake wanted; another handshake may want it.
const GIVEN_UP: u32 = 4;

/// Two clocks, read together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// Milliseconds since 1970, by the system's clock, which may be set.
    pub wall: u64,
    /// Milliseconds since whenever, which only go forward.
    pub steady: u64,
}

/// Whom to order from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authorities {
    /// Directories and what they allow: the first one, then the fallbacks.
    pub each: Vec<(Arc<str>, Limits)>,
    /// How many validations an order may fail with, for a name that this gateway proves itself.
    pub tries: u32,
}

/// What is to be done. In order: what stands before something is done before it.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Write it down. Where that fails, an order that follows is not sent: [`Manager::not_sent`].
    Write(Record),
    /// Write all of [`Manager::book`] down anew.
    Rewrite,
    /// Order a certificate.
    Order {
        /// For this name.
        wanted: Wanted,
        /// Whether it says which certificate it replaces.
        replaces: bool,
    },
    /// Ask the authority when to renew the certificate of a name.
    Ask(Arc<str>),
    /// Whoever waits for a name is to know.
    Stands(Arc<str>, Standing),
    /// Remove a certificate that is of no use to anybody.
    Remove(Arc<str>),
    /// The clock was set by so many milliseconds: everything was planned anew.
    ClockSet(i64),
}

/// How it stands with a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// An order is under way, or waits for its turn.
    Coming,
    /// There is a certificate.
    Here,
    /// The last order came to nothing; the next comes then, milliseconds since 1970.
    Failed(u64),
    /// Nobody wants it.
    Unwanted,
}

/// What is wanted, and what becomes of it.
#[derive(Debug)]
pub struct Manager {
    book: Book,
    authorities: Option<Authorities>,
    names: HashMap<Arc<str>, Managed>,
    queues: [Queue; Class::COUNT],
    /// When to look at a name again.
    due: BTreeSet<(u64, Arc<str>)>,
    /// When to ask the authority about a name's certificate.
    asks: BTreeSet<(u64, Arc<str>)>,
    asking: HashSet<Arc<str>>,
    flights: HashMap<Arc<str>, Flight>,
    out: Vec<Action>,
    clock: Now,
    /// After trouble one order goes ahead, to see.
    probing: bool,
    /// When the authority last answered an order, whatever it said.
    answered: u64,
    /// A fallback issued last, and when.
    elsewhere: Option<(Arc<str>, u64)>,
    /// Whether what is ordered can be written down.
    writable: bool,
    turn: u64,
    forget_at: u64,
}

/// A name that somebody wants.
#[derive(Debug)]
struct Managed {
    wanted: Wanted,
    /// Files want it, not only a handshake.
    filed: bool,
    /// Somebody waits for it.
    waited: bool,
    /// An operator wants it now.
    forced: bool,
    /// When its certificate was last used, milliseconds since 1970.
    used: Arc<AtomicU64>,
    place: Where,
    ask: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Where {
    /// Until then.
    Resting(u64),
    /// In the queue of its class; looked at again then, where it becomes urgent.
    Queued(Class, Option<u64>),
    Flying,
}

impl Manager {
    /// Goes on with what is known. Orders whose end nobody saw are over: they count, and are made again.
    #[must_use]
    pub fn new(mut book: Book, now: Now) -> Self {
        book.clamp(now.wall);
        let mut out = Vec::new();
        let open: Vec<(Arc<str>, u32)> = book
            .names
            .iter()
            .filter(|(_, entry)| entry.under_way.is_some())
            .map(|(name, entry)| (Arc::clone(name), entry.cut_short))
            .collect();
        for (name, before) in open {
            // The first time is a restart; from then on it may be the order that ends the process.
            let wait = if before == 0 { 0 } else { backoff::of_name(&name, before) };
            let record = Record::CutShort { at: now.wall, name, next: now.wall + wait };
            book.apply(&record);
            out.push(Action::Write(record));
        }
        Self {
            book,
            authorities: None,
            names: HashMap::new(),
            queues: Default::default(),
            due: BTreeSet::new(),
            asks: BTreeSet::new(),
            asking: HashSet::new(),
            flights: HashMap::new(),
            out,
            clock: now,
            probing: false,
            answered: 0,
            elsewhere: None,
            writable: true,
            turn: 0,
            forget_at: now.wall + DAY,
        }
    }

    /// What is known.
    #[must_use]
    pub fn book(&self) -> &Book {
        &self.book
    }

    /// What happens as time goes by: tells what is to be done now.
    pub fn step(&mut self, now: Now) -> Vec<Action> {
        self.tick(now);
        let now = now.wall;
        while let Some((at, name)) = self.due.first().filter(|(at, _)| *at <= now).cloned() {
            self.due.remove(&(at, Arc::clone(&name)));
            self.look(&name, now);
        }
        while self.asking.len() < ASKED_AT_ONCE
            && let Some((at, name)) = self.asks.first().filter(|(at, _)| *at <= now).cloned()
        {
            self.asks.remove(&(at, Arc::clone(&name)));
            if let Some(managed) = self.names.get_mut(&name) {
                managed.ask = None;
                self.asking.insert(Arc::clone(&name));
                self.out.push(Action::Ask(name));
            }
        }
        if self.forget_at <= now {
            self.forget(now);
        }
        self.dispatch(now);
        std::mem::take(&mut self.out)
    }

    /// When to step again, milliseconds since 1970, if nothing happens before.
    #[must_use]
    pub fn next(&self) -> u64 {
        let due = self.due.first().map(|(at, _)| *at);
        let ask = self.asks.first().filter(|_| self.asking.len() < ASKED_AT_ONCE).map(|(at, _)| *at);
        let queued = self.opens_at();
        due.into_iter().chain(ask).chain(queued).chain([self.forget_at]).min().unwrap_or(u64::MAX)
    }

    /// Whom to order from; nobody where there is no `acme` block. A change is a reason to try again what failed
    /// for another reason than the name itself.
    pub fn order_from(&mut self, authorities: Option<Authorities>) {
        if self.authorities == authorities {
            return;
        }
        let before = std::mem::replace(&mut self.authorities, authorities);
        if before.is_some() {
            self.retry_all();
        }
        for name in self.names.keys().cloned().collect::<Vec<_>>() {
            self.plan(&name);
        }
    }

    /// What an `acme` block names was mended: its keys, the providers of DNS records. What failed for another
    /// reason than the name itself is tried again.
    pub fn retry_all(&mut self) {
        let now = self.clock.wall;
        self.book.hold = super::book::Hold::default();
        self.probing = false;
        let mut again = Vec::new();
        for (name, entry) in &mut self.book.names {
            let Some(trouble) = &mut entry.trouble else { continue };
            match trouble.cause {
                Cause::Unreachable | Cause::RateLimited | Cause::Refused | Cause::Ours => {
                    trouble.next = trouble.next.min(now);
                    again.push(Arc::clone(name));
                }
                Cause::Validation | Cause::Timeout => {}
            }
        }
        for name in again {
            self.plan(&name);
        }
        self.out.push(Action::Rewrite);
    }

    /// Files want a certificate for a name. `used` is when its certificate was last used.
    pub fn want(&mut self, wanted: Wanted, used: Arc<AtomicU64>) {
        self.take(wanted, used, true, false);
    }

    /// A handshake wants one, and waits for it.
    pub fn demand(&mut self, wanted: Wanted, used: Arc<AtomicU64>) {
        let name: Arc<str> = Arc::from(&*wanted.name);
        let filed = self.names.get(&name).is_some_and(|managed| managed.filed);
        if !filed && self.book.entry(&name).is_none_or(|entry| entry.demanded.is_none()) {
            self.write(Record::Demanded { at: self.clock.wall, name, tenant: wanted.tenant.clone() });
        }
        if !self.names.contains_key(&*wanted.name)
            && let Some(trouble) = self.trouble(&wanted.name)
        {
            // It was given up; whoever asks again is worth another try, once its wait is over.
            trouble.failures = trouble.failures.min(GIVEN_UP - 1);
        }
        self.take(wanted, used, false, true);
    }

    /// A handshake wanted it before this process began.
    pub fn recall(&mut self, wanted: Wanted, used: Arc<AtomicU64>) {
        self.take(wanted, used, false, false);
    }

    /// A name that a handshake asked for is not to have a certificate any more.
    pub fn withdraw(&mut self, name: &str) {
        if self.book.entry(name).is_some_and(|entry| entry.demanded.is_some()) {
            self.write(Record::Dropped { name: Arc::from(name) });
        }
        if self.names.get(name).is_some_and(|managed| !managed.filed) {
            self.let_go(name);
        }
    }

    /// No file wants a certificate for a name any more. An order that is under way goes on.
    pub fn unwant(&mut self, name: &str) {
        let Some(managed) = self.names.get_mut(name) else { return };
        managed.filed = false;
        if self.book.entry(name).is_none_or(|entry| entry.demanded.is_none()) {
            self.let_go(name);
        }
    }

    /// Somebody waits for a name, which goes before others of its tenant.
    pub fn waits(&mut self, name: &str) {
        let Some(managed) = self.names.get_mut(name) else { return };
        managed.waited = true;
        if let Where::Queued(class, _) = managed.place
            && let Some((tenant, place)) = self.queues[class as usize].remove(name)
        {
            self.queues[class as usize].push(tenant, Place { patient: false, ..place });
        }
    }

    /// An operator wants a new certificate now, whatever back-off says; the authority's limits hold.
    ///
    /// # Errors
    /// Why that cannot be, in words.
    pub fn renew(&mut self, name: &str) -> Result<(), String> {
        if self.authorities.is_none() {
            return Err("there is no `acme` block in gateway.route: no authority is asked".into());
        }
        let Some(managed) = self.names.get_mut(name) else {
            return Err(format!("no site asks for a certificate of {name} by ACME"));
        };
        managed.forced = true;
        if managed.place != Where::Flying {
            self.rest(&Arc::from(name), self.clock.wall);
        }
        Ok(())
    }

    /// Whether what is ordered can be written down. While it cannot, nothing is ordered.
    pub fn can_write(&mut self, writable: bool) {
        self.writable = writable;
    }

    /// Until when nobody's turn comes, for a reason that is nobody's own: milliseconds since 1970, and why.
    #[must_use]
    pub fn closed(&self) -> Option<(u64, String)> {
        let now = self.clock.wall;
        if self.book.hold.until > now {
            return Some((self.book.hold.until, self.book.hold.said.clone()));
        }
        let open = self.orders_open_at(now);
        (open > now).then(|| (open, "as many orders as the authority's limit allows were sent".to_owned()))
    }

    /// The names that are wanted.
    pub fn wanted(&self) -> impl Iterator<Item = (&Arc<str>, &Wanted)> {
        self.names.iter().map(|(name, managed)| (name, &managed.wanted))
    }

    /// How many orders wait for their turn, and how many are under way.
    #[must_use]
    pub fn orders(&self) -> (usize, usize) {
        (self.queues.iter().map(Queue::len).sum(), self.flights.len())
    }

    /// Notices when the clock was set, and plans anew.
    fn tick(&mut self, now: Now) {
        let expected = self.clock.wall.saturating_add(now.steady.saturating_sub(self.clock.steady));
        self.clock = now;
        if now.wall.abs_diff(expected) <= DRIFT {
            return;
        }
        let by = i64::try_from(i128::from(now.wall) - i128::from(expected)).unwrap_or(i64::MAX);
        let moved = |at: &mut u64| *at = at.saturating_add_signed(by);
        self.book.shift(by);
        self.queues.iter_mut().for_each(|queue| queue.shift(by));
        self.flights.values_mut().for_each(|flight| moved(&mut flight.begun));
        moved(&mut self.answered);
        moved(&mut self.forget_at);
        self.elsewhere.iter_mut().for_each(|(_, at)| moved(at));
        self.names.values_mut().flat_map(|managed| &mut managed.ask).for_each(moved);
        self.asks =
            std::mem::take(&mut self.asks).into_iter().map(|(at, name)| (at.saturating_add_signed(by), name)).collect();
        for name in self.names.keys().cloned().collect::<Vec<_>>() {
            self.plan(&name);
        }
        self.out.push(Action::ClockSet(by));
        self.out.push(Action::Rewrite);
    }

    fn take(&mut self, wanted: Wanted, used: Arc<AtomicU64>, filed: bool, waited: bool) {
        let name: Arc<str> = Arc::from(&*wanted.name);
        let flying = self.flights.contains_key(&name);
        match self.names.get_mut(&name) {
            Some(managed) => {
                // Proved another way from now on, which may be what was wrong.
                let mended = !same_way(&managed.wanted, &wanted);
                let moved = managed.wanted.tenant != wanted.tenant;
                if filed || !managed.filed {
                    managed.wanted = wanted;
                }
                managed.filed |= filed;
                managed.waited |= waited;
                if mended && let Some(trouble) = self.trouble(&name) {
                    trouble.next = 0;
                }
                if mended || moved {
                    self.plan(&name);
                } else if waited {
                    self.waits(&name);
                }
            }
            None => {
                let place = if flying { Where::Flying } else { Where::Resting(u64::MAX) };
                let managed = Managed { wanted, filed, waited, forced: false, used, place, ask: None };
                self.names.insert(Arc::clone(&name), managed);
                let here = self.book.entry(&name).is_some_and(|entry| entry.issue.is_some());
                let failed = self.book.entry(&name).and_then(|entry| entry.trouble.as_ref());
                let standing = match failed.filter(|trouble| trouble.next > self.clock.wall) {
                    _ if self.book.serves(&name, self.clock.wall) => Standing::Here,
                    Some(trouble) => Standing::Failed(trouble.next),
                    None => Standing::Coming,
                };
                self.out.push(Action::Stands(Arc::clone(&name), standing));
                if here {
                    // Not all at once after a start.
                    self.ask_at(&name, self.clock.wall + backoff::part(&name, HOUR));
                }
                self.plan(&name);
            }
        }
    }

    fn let_go(&mut self, name: &str) {
        let Some((name, managed)) = self.names.remove_entry(name) else { return };
        match managed.place {
            Where::Resting(at) => {
                self.due.remove(&(at, Arc::clone(&name)));
            }
            Where::Queued(class, again) => {
                self.queues[class as usize].remove(&name);
                again.map(|at| self.due.remove(&(at, Arc::clone(&name))));
            }
            Where::Flying => {}
        }
        managed.ask.map(|at| self.asks.remove(&(at, Arc::clone(&name))));
        self.out.push(Action::Stands(name, Standing::Unwanted));
    }

    /// Finds out when a name is to be looked at.
    fn plan(&mut self, name: &Arc<str>) {
        let Some(managed) = self.names.get(name).filter(|managed| managed.place != Where::Flying) else { return };
        if managed.forced {
            return self.rest(name, self.clock.wall);
        }
        let at = match self.book.entry(name) {
            None => 0,
            Some(entry) => {
                let trouble = entry.trouble.as_ref().map_or(0, |trouble| trouble.next);
                let renew = entry.issue.as_ref().filter(|issue| self.is_ours(&issue.by));
                renew.map_or(0, |issue| renewal::at(name, issue.validity(), issue.window)).max(trouble)
            }
        };
        self.rest(name, at);
    }

    /// Leaves a name alone until then.
    fn rest(&mut self, name: &Arc<str>, until: u64) {
        let Some(managed) = self.names.get_mut(name) else { return };
        match std::mem::replace(&mut managed.place, Where::Resting(until)) {
            Where::Resting(before) => {
                self.due.remove(&(before, Arc::clone(name)));
            }
            Where::Queued(class, again) => {
                self.queues[class as usize].remove(name);
                again.map(|at| self.due.remove(&(at, Arc::clone(name))));
            }
            Where::Flying => {}
        }
        self.due.insert((until, Arc::clone(name)));
    }

    /// Looks at a name whose time has come, and queues it.
    fn look(&mut self, name: &Arc<str>, now: u64) {
        let Some(managed) = self.names.get(name) else { return };
        if self.authorities.is_none() {
            // It is planned when there is one.
            return self.rest(name, u64::MAX);
        }
        let entry = self.book.entry(name);
        if !managed.filed && !managed.forced {
            if let Some(at) = self.idle(entry, &managed.used, now) {
                return self.rest(name, at);
            }
            if self.is_given_up(entry, now) {
                self.write(Record::Dropped { name: Arc::clone(name) });
                return self.let_go(name);
            }
        }
        self.enqueue(name, now);
    }

    /// When to look again at a certificate that is due and that nobody uses.
    fn idle(&self, entry: Option<&Entry>, used: &AtomicU64, now: u64) -> Option<u64> {
        let validity = entry?.issue.as_ref()?.validity();
        let within = USED_WITHIN.min(validity.life() * 1_000 / 4);
        let over = validity.until * 1_000 <= now;
        (!over && used.load(Ordering::Relaxed).saturating_add(within) < now).then_some(now + LOOK_AGAIN)
    }

    /// Whether a name that only handshakes want is not worth another order.
    fn is_given_up(&self, entry: Option<&Entry>, now: u64) -> bool {
        let Some(entry) = entry else { return false };
        let over = entry.issue.as_ref().is_some_and(|issue| issue.until * 1_000 <= now);
        over || entry.trouble.as_ref().is_some_and(|trouble| trouble.failures >= GIVEN_UP)
    }

    fn ask_at(&mut self, name: &Arc<str>, at: u64) {
        let Some(managed) = self.names.get_mut(name) else { return };
        if let Some(before) = managed.ask.replace(at) {
            self.asks.remove(&(before, Arc::clone(name)));
        }
        self.asks.insert((at, Arc::clone(name)));
    }

    fn forget(&mut self, now: u64) {
        let per = self.authorities.iter().flat_map(|all| &all.each).map(|(_, limits)| limits.orders.per).max();
        let (names, flights) = (&self.names, &self.flights);
        let wanted = |name: &str| names.contains_key(name) || flights.contains_key(name);
        for name in self.book.forget(now, per.unwrap_or(DAY), wanted) {
            self.out.push(Action::Write(Record::Forgotten { name: Arc::clone(&name) }));
            self.out.push(Action::Remove(name));
        }
        self.forget_at = now + DAY;
    }

    /// Whether this is one of those that are ordered from. Of a certificate that nobody knows the origin of
    /// it is taken to be.
    fn is_ours(&self, directory: &str) -> bool {
        let all = self.authorities.iter().flat_map(|all| &all.each);
        directory.is_empty() || self.authorities.is_none() || all.into_iter().any(|(by, _)| **by == *directory)
    }

    fn trouble(&mut self, name: &str) -> Option<&mut super::book::Trouble> {
        self.book.names.get_mut(name)?.trouble.as_mut()
    }

    fn write(&mut self, record: Record) {
        self.book.apply(&record);
        self.out.push(Action::Write(record));
    }
}

/// Whether two wishes for a name are proved the same way.
fn same_way(one: &Wanted, other: &Wanted) -> bool {
    let way = |wanted: &Wanted| wanted.via.as_ref().map(|via| (via.provider.clone(), via.key.clone()));
    way(one) == way(other)
}

/// When an authority is asked about a new certificate for the first time: it may not know it yet.
const ASK_FIRST: u64 = MINUTE;

/// Whether a certificate is of use at that time, milliseconds since 1970.
fn holds(validity: Validity, at: u64) -> bool {
    validity.holds(at / 1_000)
}
