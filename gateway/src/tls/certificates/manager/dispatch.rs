//! Whose order is sent now: within the limits of the authority, fair to tenants, and not stopped by those that
//! fail.

use super::super::book::Record;
use super::super::budget::{HOUR, Rate};
use super::super::names::registered_domain;
use super::super::queue::{Place, Tenant};
use super::super::renewal;
use super::{Action, Manager, Standing, Where, holds};
use std::sync::Arc;

/// Orders under way at once.
pub const AT_ONCE: usize = 8;
/// Of those, how many a tenant has while others wait, and how many while nobody does: who comes next finds
/// room.
const OF_TENANT: usize = 2;
const OF_LONE_TENANT: usize = 6;
/// And how many are for names that failed before: they may take long to fail again.
const TROUBLED: usize = 4;

/// In which queue a name waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// Its certificate is nearly over.
    Urgent,
    /// A renewal that counts for no limit.
    Exempt,
    /// A first order, or a renewal.
    Fresh,
    /// Another try.
    Again,
}

impl Class {
    pub(super) const COUNT: usize = 4;

    const fn counts(self) -> bool {
        !matches!(self, Self::Exempt)
    }
}

/// An order under way.
#[derive(Debug)]
pub(super) struct Flight {
    pub(super) tenant: Tenant,
    pub(super) begun: u64,
    pub(super) class: Class,
    /// The registered domain that it counts for.
    pub(super) domain: Option<Arc<str>>,
    /// Validations that it may fail with.
    pub(super) tries: u32,
    /// Whether it stands in the ledger as an order.
    pub(super) counts: bool,
}

impl Manager {
    /// Puts a name where it waits for its turn.
    pub(super) fn enqueue(&mut self, name: &Arc<str>, now: u64) {
        let Some(managed) = self.names.get(name) else { return };
        let entry = self.book.entry(name);
        let issue = entry.and_then(|entry| entry.issue.as_ref());
        let failures = entry.and_then(|entry| entry.trouble.as_ref()).map_or(0, |trouble| trouble.failures);
        let urgent = issue.map(|issue| {
            let renew_at = renewal::at(name, issue.validity(), issue.window);
            renewal::urgent_at(renew_at, issue.validity())
        });
        let is_urgent = urgent.is_some_and(|at| at <= now) && issue.is_some_and(|i| holds(i.validity(), now));
        let class = match issue {
            _ if failures > 0 && !managed.forced => Class::Again,
            Some(issue) if issue.window.is_some() && self.is_ours(&issue.by) && failures == 0 => Class::Exempt,
            Some(_) if is_urgent => Class::Urgent,
            Some(_) | None => Class::Fresh,
        };
        let again = urgent.filter(|at| *at > now && class == Class::Fresh);
        let patient = !(managed.waited || managed.forced || is_urgent);
        let tenant = managed.wanted.tenant.clone();
        let here = self.book.serves(name, now);
        self.rest(name, u64::MAX);
        self.due.remove(&(u64::MAX, Arc::clone(name)));
        if let Some(at) = again {
            self.due.insert((at, Arc::clone(name)));
        }
        self.queues[class as usize].push(tenant, Place { patient, since: now, name: Arc::clone(name) });
        if let Some(managed) = self.names.get_mut(name) {
            managed.place = Where::Queued(class, again);
        }
        if !here {
            self.out.push(Action::Stands(Arc::clone(name), Standing::Coming));
        }
    }

    /// Sends what may be sent.
    pub(super) fn dispatch(&mut self, now: u64) {
        while self.may_send(now)
            && let Some((class, tenant, place)) = self.pick(now)
        {
            if let Some(managed) = self.names.get_mut(&place.name) {
                if let Where::Queued(_, Some(again)) = managed.place {
                    self.due.remove(&(again, Arc::clone(&place.name)));
                }
                managed.place = Where::Resting(u64::MAX);
            }
            match self.own_room_at(&place.name, now) {
                at if at > now => {
                    self.rest(&place.name, at);
                    if !self.book.serves(&place.name, now) {
                        self.out.push(Action::Stands(place.name, Standing::Failed(at)));
                    }
                }
                _ => self.send(class, tenant, &place.name, now),
            }
        }
    }

    /// When something in the queues may be sent that cannot be now, for another reason than that others are
    /// under way.
    pub(super) fn opens_at(&self) -> Option<u64> {
        let waits = |class: Class| !self.queues[class as usize].is_empty();
        let counted = [Class::Urgent, Class::Fresh, Class::Again].into_iter().any(waits);
        if self.authorities.is_none() || !self.writable || !(counted || waits(Class::Exempt)) {
            return None;
        }
        let now = self.clock.wall;
        if self.book.hold.until > now {
            return Some(self.book.hold.until);
        }
        let open = self.orders_open_at(now);
        (counted && open > now).then_some(open)
    }

    /// When there is room for an order at every authority that one may come to.
    pub(super) fn orders_open_at(&self, now: u64) -> u64 {
        let Some(authorities) = &self.authorities else { return now };
        // The fallbacks are asked when the first does not answer; who issued lately is likely to again.
        let lately = |by: &Arc<str>| {
            self.elsewhere.as_ref().is_some_and(|(other, at)| other == by && at.saturating_add(HOUR) > now)
        };
        let first = authorities.each.first();
        let others = authorities.each.iter().skip(1).filter(|(by, _)| lately(by));
        let room = |(by, limits): &(Arc<str>, super::Limits)| {
            self.book.orders.get(by).map_or(now, |spent| spent.room_at(now, limits.orders, 1))
        };
        first.into_iter().chain(others).map(room).max().unwrap_or(now)
    }

    fn may_send(&self, now: u64) -> bool {
        let most = if self.probing { 1 } else { AT_ONCE };
        self.authorities.is_some() && self.writable && self.book.hold.until <= now && self.flights.len() < most
    }

    fn pick(&mut self, now: u64) -> Option<(Class, Tenant, Place)> {
        let open = self.orders_open_at(now) <= now;
        let troubled = self.flights.values().filter(|flight| flight.class == Class::Again).count();
        self.turn += 1;
        // New names do not wait for renewals that need no room, nor these for them; and who failed before gets
        // a quarter of what is left.
        let order = match self.turn % 4 {
            0 => [Class::Urgent, Class::Again, Class::Exempt, Class::Fresh],
            2 => [Class::Urgent, Class::Fresh, Class::Exempt, Class::Again],
            _ => [Class::Urgent, Class::Exempt, Class::Fresh, Class::Again],
        };
        for most in [OF_TENANT, OF_LONE_TENANT] {
            for class in order {
                if class.counts() && !open || class == Class::Again && troubled >= TROUBLED {
                    continue;
                }
                let flights = &self.flights;
                let has = |tenant: &Tenant| flights.values().filter(|flight| flight.tenant == *tenant).count();
                if let Some((tenant, place)) = self.queues[class as usize].next(|tenant| has(tenant) < most) {
                    return Some((class, tenant, place));
                }
            }
        }
        None
    }

    /// When a name may be ordered by the limits that are its own: validations that failed, and what others of
    /// its registered domain got.
    fn own_room_at(&self, name: &str, now: u64) -> u64 {
        let Some((_, limits)) = self.authorities.as_ref().and_then(|all| all.each.first()) else { return now };
        let failed = self.book.entry(name).map(|entry| entry.failed.clone()).unwrap_or_default();
        let spent = super::super::budget::Spent::at(failed);
        let at = spent.room_at(now, limits.failures, self.tries_of(name));
        self.domain_of(name).map_or(at, |(domain, rate)| {
            self.book.domains.get(&*domain).map_or(at, |spent| at.max(spent.room_at(now, rate, 1)))
        })
    }

    /// The registered domain that an order of this name counts for.
    fn domain_of(&self, name: &str) -> Option<(Arc<str>, Rate)> {
        let (_, limits) = self.authorities.as_ref()?.each.first()?;
        let first = self.book.entry(name).is_none_or(|entry| entry.issue.is_none());
        limits.domain.filter(|_| first).map(|rate| (registered_domain(name).into(), rate))
    }

    fn tries_of(&self, name: &str) -> u32 {
        let by_dns = self.names.get(name).is_some_and(|managed| managed.wanted.via.is_some());
        if by_dns { 1 } else { self.authorities.as_ref().map_or(1, |all| all.tries) }
    }

    fn send(&mut self, class: Class, tenant: Tenant, name: &Arc<str>, now: u64) {
        let Some((by, _)) = self.authorities.as_ref().and_then(|all| all.each.first()).cloned() else { return };
        let domain = self.domain_of(name).map(|(domain, _)| domain);
        let tries = self.tries_of(name);
        let Some(managed) = self.names.get_mut(name) else { return };
        managed.place = Where::Flying;
        managed.forced = false;
        let wanted = managed.wanted.clone();
        let replaces = class == Class::Exempt;
        let counts = class.counts();
        let flight = Flight { tenant, begun: now, class, domain: domain.clone(), tries, counts };
        self.flights.insert(Arc::clone(name), flight);
        self.write(Record::Ordered { at: now, name: Arc::clone(name), by, counts, domain });
        self.out.push(Action::Order { wanted, replaces });
    }
}
