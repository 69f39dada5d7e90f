//! What became of an order, and what follows from it.

use super::super::backoff;
use super::super::book::{Issue, Record, Trouble};
use super::super::budget::HOUR;
use super::super::renewal;
use super::dispatch::Flight;
use super::{ASK_FIRST, Action, Manager, Standing, Where};
use crate::tls::acme::Cause;
use std::sync::Arc;

/// An authority that asks to be left alone for longer is tried once after this long, milliseconds: what it
/// said may be about a single name. That name waits as long as was said.
const HOLD: u64 = HOUR;
/// No name waits longer because an authority says so, milliseconds.
const LONGEST: u64 = 7 * 24 * HOUR;

/// An authority that never said when to renew a certificate is asked about it that much later, milliseconds.
const NEVER_SAID: u64 = 6 * 24 * HOUR;

/// Why an order came to nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The kind.
    pub cause: Cause,
    /// In words.
    pub said: String,
    /// `Retry-After`, milliseconds.
    pub retry_after: Option<u64>,
}

impl Manager {
    /// A certificate was issued and is in the store. Whether it renews one that there was.
    pub fn issued(&mut self, name: &str, issue: Issue) -> bool {
        let now = self.clock.wall;
        let name: Arc<str> = Arc::from(name);
        let renews = self.book.entry(&name).is_some_and(|entry| entry.issue.is_some());
        let flight = self.flights.remove(&name);
        let first = self.authorities.as_ref().and_then(|all| all.each.first()).map(|(by, _)| Arc::clone(by));
        let elsewhere = flight.is_some_and(|flight| flight.counts) && first.is_some_and(|first| first != issue.by);
        if elsewhere {
            self.elsewhere = Some((Arc::clone(&issue.by), now));
        }
        self.write(Record::Issued { at: now, name: Arc::clone(&name), issue, elsewhere });
        self.works(now);
        self.out.push(Action::Stands(Arc::clone(&name), Standing::Here));
        if self.lands(&name) {
            self.plan(&name);
            self.ask_at(&name, now + ASK_FIRST);
        }
        renews
    }

    /// An order came to nothing. When the name is tried again, milliseconds since 1970.
    pub fn failed(&mut self, name: &str, failure: Failure) -> u64 {
        let now = self.clock.wall;
        let name: Arc<str> = Arc::from(name);
        let flight = self.flights.remove(&name);
        let before = self.book.entry(&name).and_then(|entry| entry.trouble.as_ref()).map_or(0, |t| t.failures);
        let retry_after = failure.retry_after.map(|ms| ms.min(LONGEST));
        let begun = flight.as_ref().map_or(now, |flight| flight.begun);
        let mut failures = before + 1;
        let wait = match failure.cause {
            // The authority answered others meanwhile: it is something on the way of this one.
            Cause::Unreachable if self.answered >= begun => backoff::of_name(&name, failures),
            Cause::Unreachable => {
                failures = before;
                let until = self.hold(now, retry_after, &failure.said);
                until - now
            }
            Cause::RateLimited => {
                self.hold(now, retry_after, &failure.said);
                backoff::of_name(&name, failures)
            }
            Cause::Validation | Cause::Timeout | Cause::Ours => {
                self.answers(now, failure.cause);
                backoff::of_name(&name, failures)
            }
            Cause::Refused => {
                self.answers(now, failure.cause);
                backoff::of_refused(&name, failures)
            }
        };
        let next = now + wait.max(retry_after.unwrap_or(0));
        let validations = match failure.cause {
            // What took too long may have been a validation.
            Cause::Validation | Cause::Timeout => flight.as_ref().map_or(1, |flight| flight.tries),
            Cause::Unreachable | Cause::RateLimited | Cause::Refused | Cause::Ours => 0,
        };
        let domain = flight.and_then(|flight: Flight| Some((flight.domain?, flight.begun)));
        let trouble = Trouble { failures, next, cause: failure.cause, said: failure.said };
        self.write(Record::Failed { at: now, name: Arc::clone(&name), trouble, validations, domain });
        if self.lands(&name) {
            self.plan(&name);
        }
        if !self.book.serves(&name, now) {
            self.out.push(Action::Stands(name, Standing::Failed(next)));
        }
        next
    }

    /// An order could not be written down, and was not sent.
    pub fn not_sent(&mut self, name: &str) {
        let Some(flight) = self.flights.remove(name) else { return };
        if let Some(by) = self.authorities.as_ref().and_then(|all| all.each.first()).map(|(by, _)| by)
            && flight.counts
            && let Some(spent) = self.book.orders.get_mut(by)
        {
            spent.take_back(flight.begun);
        }
        if let Some(spent) = flight.domain.and_then(|domain| self.book.domains.get_mut(&domain)) {
            spent.take_back(flight.begun);
        }
        if let Some(entry) = self.book.names.get_mut(name) {
            entry.under_way = None;
        }
        let name: Arc<str> = Arc::from(name);
        if self.lands(&name) {
            self.plan(&name);
        }
    }

    /// When the authority would have a certificate renewed, if it says: from when until when, milliseconds since
    /// 1970; and after how many milliseconds it wants to be asked again, at the earliest.
    pub fn window(&mut self, name: &str, window: Option<(u64, u64)>, ask_again: u64) {
        let now = self.clock.wall;
        let name: Arc<str> = Arc::from(name);
        self.asking.remove(&name);
        let Some(issue) = self.book.entry(&name).and_then(|entry| entry.issue.as_ref()) else { return };
        let had_one = issue.window.is_some();
        // One that does not answer now said something before, which still holds.
        if issue.window != window && window.is_some() {
            self.write(Record::Window { name: Arc::clone(&name), window });
            self.plan(&name);
        }
        let soon = renewal::ask_again(&name, now).max(now.saturating_add(ask_again.min(HOUR * 24)));
        let at = if had_one || window.is_some() { soon } else { soon + NEVER_SAID };
        self.ask_at(&name, at);
    }

    /// What the store has of a name is of no use: there is no certificate.
    pub fn lost(&mut self, name: &str) {
        let Some((name, entry)) = self.book.names.get_key_value(name) else { return };
        let entry = super::Entry { issue: None, ..entry.clone() };
        let name = Arc::clone(name);
        self.write(Record::Known { name: Arc::clone(&name), entry });
        if self.names.contains_key(&name) {
            self.plan(&name);
        }
    }

    /// Whether somebody still wants a name whose order ended.
    fn lands(&mut self, name: &Arc<str>) -> bool {
        let Some(managed) = self.names.get_mut(name) else { return false };
        managed.waited = false;
        managed.place = Where::Resting(u64::MAX);
        true
    }

    /// The authority works: whatever was wrong is over.
    fn works(&mut self, now: u64) {
        self.answered = now;
        self.probing = false;
        if self.book.hold.failures > 0 {
            self.write(Record::Hold { until: 0, failures: 0, said: String::new() });
        }
    }

    /// It answered, at least where the failure says so.
    fn answers(&mut self, now: u64, cause: Cause) {
        match cause {
            Cause::Validation | Cause::Refused => self.works(now),
            // It may as well be that nothing comes back from it.
            Cause::Timeout | Cause::Ours | Cause::Unreachable | Cause::RateLimited => {}
        }
    }

    /// Everybody waits; then one goes ahead. Until when, milliseconds since 1970.
    fn hold(&mut self, now: u64, retry_after: Option<u64>, said: &str) -> u64 {
        let hold = &self.book.hold;
        // Those that were under way together fail together: that is one failure.
        if hold.until > now && retry_after.is_none_or(|ms| now + ms.min(HOLD) <= hold.until) {
            return hold.until;
        }
        let failures = if hold.until > now { hold.failures } else { hold.failures + 1 };
        let by = self.authorities.as_ref().and_then(|all| all.each.first()).map(|(by, _)| Arc::clone(by));
        let usual = backoff::of_authority(&by.unwrap_or_default(), failures);
        let until = (now + retry_after.map_or(usual, |ms| ms.min(HOLD))).max(hold.until);
        self.probing = true;
        self.write(Record::Hold { until, failures, said: said.to_owned() });
        until
    }
}
