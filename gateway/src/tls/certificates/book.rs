//! What is known of names and authorities: kept over restarts, changed by records only.
//!
//! The [`ledger`](super::ledger) is a list of records; a book is what they come to. Times are milliseconds
//! since 1970.

use super::budget::{DAY, Spent, WEEK};
use super::pair::Validity;
use crate::tls::acme::Cause;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// Words about a failure are cut to so many bytes.
const WORDS: usize = 400;
/// What is known of a name that nobody wants is kept for so long after it last changed.
const KEPT: u64 = 2 * WEEK;

/// A certificate that was issued.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Issue {
    /// The directory of the authority; empty where nobody knows.
    pub by: Arc<str>,
    /// Seconds since 1970.
    pub from: u64,
    /// Seconds since 1970.
    pub until: u64,
    /// When the authority would have it renewed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<(u64, u64)>,
}

impl Issue {
    /// How long it is valid.
    #[must_use]
    pub fn validity(&self) -> Validity {
        Validity { from: self.from, until: self.until }
    }
}

/// Orders of a name that came to nothing since the last that did not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trouble {
    /// How many.
    pub failures: u32,
    /// When it may be tried again.
    pub next: u64,
    /// Of the last.
    pub cause: Cause,
    /// In words.
    pub said: String,
}

/// What is known of a name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Its certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issue: Option<Issue>,
    /// What is wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<Trouble>,
    /// Validations that failed within the last hour.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failed: Vec<u64>,
    /// An order was begun, and nothing is known of its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub under_way: Option<u64>,
    /// Orders in a row whose end nobody saw: the process ended before them.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub cut_short: u32,
    /// Somebody asked for it in a handshake.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub demanded: Option<Demand>,
    /// When this last changed.
    pub at: u64,
}

/// A name that a handshake asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Demand {
    /// Whose it is.
    pub tenant: Option<Arc<str>>,
}

fn is_zero(n: &u32) -> bool {
    *n == 0
}

/// A change of the book.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "did", rename_all = "kebab-case")]
pub enum Record {
    /// An order is sent. Written before it is.
    Ordered {
        /// When.
        at: u64,
        /// The name.
        name: Arc<str>,
        /// The directory of the authority.
        by: Arc<str>,
        /// Whether it counts as an order.
        counts: bool,
        /// The registered domain that it counts for.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        domain: Option<Arc<str>>,
    },
    /// A certificate was issued and is in the store.
    Issued {
        /// When.
        at: u64,
        /// The name.
        name: Arc<str>,
        /// The certificate.
        issue: Issue,
        /// The directory that was ordered from at first, where another issued it: it counts there too.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        elsewhere: bool,
    },
    /// An order came to nothing.
    Failed {
        /// When.
        at: u64,
        /// The name.
        name: Arc<str>,
        /// How often, why, and what comes next.
        trouble: Trouble,
        /// How many failed validations it counts as.
        validations: u32,
        /// The registered domain that it does not count for after all, with when it was counted.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        domain: Option<(Arc<str>, u64)>,
    },
    /// An order was never sent, or nobody saw its end.
    CutShort {
        /// When.
        at: u64,
        /// The name.
        name: Arc<str>,
        /// When it may be ordered again.
        next: u64,
    },
    /// The authority said when to renew, or that it does not say.
    Window {
        /// The name.
        name: Arc<str>,
        /// From when until when.
        window: Option<(u64, u64)>,
    },
    /// A name was asked for in a handshake.
    Demanded {
        /// When.
        at: u64,
        /// The name.
        name: Arc<str>,
        /// Whose it is.
        tenant: Option<Arc<str>>,
    },
    /// Nobody asks for a name any more.
    Dropped {
        /// The name.
        name: Arc<str>,
    },
    /// Nothing is known of a name any more.
    Forgotten {
        /// The name.
        name: Arc<str>,
    },
    /// All that is known of a name.
    Known {
        /// The name.
        name: Arc<str>,
        /// It.
        entry: Entry,
    },
    /// When orders were sent to an authority.
    Orders {
        /// Its directory.
        by: Arc<str>,
        /// When.
        at: Vec<u64>,
    },
    /// When certificates were ordered for a registered domain.
    Domain {
        /// The domain.
        domain: Arc<str>,
        /// When.
        at: Vec<u64>,
    },
    /// Everybody waits.
    Hold {
        /// Until then.
        until: u64,
        /// How often in a row.
        failures: u32,
        /// Why.
        said: String,
    },
}

/// Everybody waits, because the authority says so or cannot be reached.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hold {
    /// Until then; zero where nothing is wrong.
    pub until: u64,
    /// How often in a row.
    pub failures: u32,
    /// Why.
    pub said: String,
}

/// What all records come to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Book {
    /// By name.
    pub names: HashMap<Arc<str>, Entry>,
    /// By directory.
    pub orders: BTreeMap<Arc<str>, Spent>,
    /// By registered domain.
    pub domains: HashMap<Arc<str>, Spent>,
    /// Whether everybody waits.
    pub hold: Hold,
}

impl Book {
    /// Whether there is a certificate of a name that is not over.
    #[must_use]
    pub fn serves(&self, name: &str, now: u64) -> bool {
        let issue = self.entry(name).and_then(|entry| entry.issue.as_ref());
        issue.is_some_and(|issue| issue.until * 1_000 > now)
    }

    /// What is known of a name.
    #[must_use]
    pub fn entry(&self, name: &str) -> Option<&Entry> {
        self.names.get(name)
    }

    /// Takes a record in.
    pub fn apply(&mut self, record: &Record) {
        match record {
            Record::Ordered { at, name, by, counts, domain } => {
                if *counts {
                    self.orders.entry(Arc::clone(by)).or_default().add(*at);
                }
                if let Some(domain) = domain {
                    self.domains.entry(Arc::clone(domain)).or_default().add(*at);
                }
                let entry = self.of(name, *at);
                entry.under_way = Some(*at);
            }
            Record::Issued { at, name, issue, elsewhere } => {
                if *elsewhere {
                    self.orders.entry(Arc::clone(&issue.by)).or_default().add(*at);
                }
                let entry = self.of(name, *at);
                let demanded = entry.demanded.take();
                *entry = Entry { issue: Some(issue.clone()), demanded, at: *at, ..Entry::default() };
            }
            Record::Failed { at, name, trouble, validations, domain } => {
                if let Some((domain, counted)) = domain
                    && let Some(spent) = self.domains.get_mut(domain)
                {
                    spent.take_back(*counted);
                }
                let entry = self.of(name, *at);
                entry.under_way = None;
                entry.cut_short = 0;
                entry.failed.retain(|failed| failed.saturating_add(DAY) > *at);
                entry.failed.extend((0..*validations).map(|_| *at));
                entry.trouble = Some(trouble.clone());
                cut(&mut entry.trouble);
            }
            Record::CutShort { at, name, next } => {
                let entry = self.of(name, *at);
                entry.under_way = None;
                entry.cut_short = entry.cut_short.saturating_add(1);
                let failures = entry.trouble.as_ref().map_or(0, |trouble| trouble.failures);
                if *next > *at {
                    let said = "the gateway ended in the middle of its order, more than once".to_owned();
                    entry.trouble = Some(Trouble { failures, next: *next, cause: Cause::Ours, said });
                }
            }
            Record::Window { name, window } => {
                if let Some(issue) = self.names.get_mut(name).and_then(|entry| entry.issue.as_mut()) {
                    issue.window = *window;
                }
            }
            Record::Demanded { at, name, tenant } => {
                self.of(name, *at).demanded = Some(Demand { tenant: tenant.clone() })
            }
            Record::Dropped { name } => {
                if let Some(entry) = self.names.get_mut(name) {
                    entry.demanded = None;
                }
            }
            Record::Forgotten { name } => {
                self.names.remove(name);
            }
            Record::Known { name, entry } => {
                self.names.insert(Arc::clone(name), entry.clone());
            }
            Record::Orders { by, at } => {
                self.orders.insert(Arc::clone(by), Spent::at(at.clone()));
            }
            Record::Domain { domain, at } => {
                self.domains.insert(Arc::clone(domain), Spent::at(at.clone()));
            }
            Record::Hold { until, failures, said } => {
                self.hold = Hold { until: *until, failures: *failures, said: said.clone() };
            }
        }
    }

    /// Records that come to this book, in no order.
    pub fn records(&self) -> impl Iterator<Item = Record> + '_ {
        let names = self.names.iter();
        let names = names.map(|(name, entry)| Record::Known { name: Arc::clone(name), entry: entry.clone() });
        let orders = self.orders.iter().filter(|(_, spent)| !spent.is_empty());
        let orders = orders.map(|(by, spent)| Record::Orders { by: Arc::clone(by), at: spent.times().collect() });
        let domains = self.domains.iter();
        let domains =
            domains.map(|(domain, spent)| Record::Domain { domain: Arc::clone(domain), at: spent.times().collect() });
        let hold = (self.hold != Hold::default()).then(|| Record::Hold {
            until: self.hold.until,
            failures: self.hold.failures,
            said: self.hold.said.clone(),
        });
        names.chain(orders).chain(domains).chain(hold)
    }

    /// How many records those are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.names.len() + self.orders.len() + self.domains.len() + 1
    }

    /// Whether nothing is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Forgets what counts for nothing any more. `per` is how long orders count; names that are `wanted` stay.
    /// Those whose certificate is of no use to anybody are told, so that it is removed.
    pub fn forget(&mut self, now: u64, per: u64, wanted: impl Fn(&str) -> bool) -> Vec<Arc<str>> {
        for spent in self.orders.values_mut() {
            spent.forget(now, per);
        }
        self.domains.retain(|_, spent| {
            spent.forget(now, WEEK);
            !spent.is_empty()
        });
        let over = |entry: &Entry| entry.issue.as_ref().is_none_or(|issue| issue.until * 1_000 + WEEK <= now);
        let old = |name: &&Arc<str>| {
            let entry = &self.names[*name];
            entry.at.saturating_add(KEPT) <= now && over(entry) && entry.demanded.is_none() && !wanted(name)
        };
        let gone: Vec<Arc<str>> = self.names.keys().filter(old).cloned().collect();
        for name in &gone {
            self.names.remove(name);
        }
        gone
    }

    /// Moves what was waited for and counted, because the clock was set. How long certificates are valid
    /// does not change by that.
    pub fn shift(&mut self, by: i64) {
        let moved = |at: &mut u64| *at = at.saturating_add_signed(by);
        for entry in self.names.values_mut() {
            entry.failed.iter_mut().chain(&mut entry.under_way).for_each(moved);
            entry.trouble.iter_mut().for_each(|trouble| moved(&mut trouble.next));
            moved(&mut entry.at);
        }
        self.orders.values_mut().chain(self.domains.values_mut()).for_each(|spent| spent.shift(by));
        if self.hold.until > 0 {
            moved(&mut self.hold.until);
        }
    }

    /// What was written down by a clock that was ahead of this one: it happened now at the latest, and nobody
    /// waits for longer than anybody ever does.
    pub fn clamp(&mut self, now: u64) {
        for entry in self.names.values_mut() {
            entry.failed.iter_mut().for_each(|at| *at = now.min(*at));
            entry.trouble.iter_mut().for_each(|trouble| trouble.next = trouble.next.min(now + 2 * DAY));
            entry.at = entry.at.min(now);
        }
        self.orders.values_mut().chain(self.domains.values_mut()).for_each(|spent| spent.clamp(now));
        self.hold.until = self.hold.until.min(now + DAY);
    }

    fn of(&mut self, name: &Arc<str>, at: u64) -> &mut Entry {
        let entry = self.names.entry(Arc::clone(name)).or_default();
        entry.at = at;
        entry
    }
}

/// Words of others are not kept at any length.
fn cut(trouble: &mut Option<Trouble>) {
    let Some(Trouble { said, .. }) = trouble else { return };
    if said.len() > WORDS {
        let end = (0..=WORDS).rev().find(|at| said.is_char_boundary(*at)).unwrap_or(0);
        said.truncate(end);
        said.push('…');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn issue(until: u64) -> Issue {
        Issue { by: "ca".into(), from: 0, until, window: None }
    }

    fn trouble(next: u64) -> Trouble {
        Trouble { failures: 1, next, cause: Cause::Validation, said: "no".into() }
    }

    /// A book in which everything occurs.
    fn full() -> Book {
        let mut book = Book::default();
        let name: Arc<str> = "a.sluice.dev".into();
        let domain: Option<Arc<str>> = Some("sluice.dev".into());
        let ordered = |name: &Arc<str>, at| Record::Ordered {
            at,
            name: Arc::clone(name),
            by: "ca".into(),
            counts: true,
            domain: domain.clone(),
        };
        book.apply(&Record::Demanded { at: 1, name: Arc::clone(&name), tenant: None });
        book.apply(&ordered(&name, 10));
        book.apply(&Record::Issued { at: 20, name: Arc::clone(&name), issue: issue(99), elsewhere: false });
        book.apply(&Record::Window { name: Arc::clone(&name), window: Some((50, 60)) });
        let other: Arc<str> = "b.sluice.dev".into();
        book.apply(&ordered(&other, 30));
        let counted = domain.clone().map(|domain| (domain, 30));
        let failed = trouble(500);
        book.apply(&Record::Failed { at: 40, name: other, trouble: failed, validations: 2, domain: counted });
        book.apply(&ordered(&"c.sluice.dev".into(), 45));
        book.apply(&Record::Hold { until: 700, failures: 3, said: "later".into() });
        book
    }

    #[test]
    fn records_come_to_what_happened() {
        let book = full();
        let a = book.entry("a.sluice.dev").unwrap();
        assert_eq!(a.issue.as_ref().unwrap().window, Some((50, 60)));
        assert_eq!((a.under_way, &a.demanded), (None, &Some(Demand { tenant: None })));
        let b = book.entry("b.sluice.dev").unwrap();
        assert_eq!((b.failed.as_slice(), b.trouble.as_ref().unwrap().next), ([40, 40].as_slice(), 500));
        assert_eq!(book.entry("c.sluice.dev").unwrap().under_way, Some(45));
        assert_eq!(book.orders["ca"].times().collect::<Vec<_>>(), [10, 30, 45]);
        assert_eq!(book.domains["sluice.dev"].times().collect::<Vec<_>>(), [10, 45], "what failed was not issued");
        assert_eq!(book.hold.until, 700);
    }

    #[test]
    fn a_book_is_made_of_its_own_records_again() {
        let book = full();
        let mut again = Book::default();
        for record in book.records() {
            let text = serde_json::to_string(&record).unwrap();
            again.apply(&serde_json::from_str(&text).unwrap());
        }
        assert_eq!(again, book);
    }

    #[test]
    fn a_clock_that_was_set_moves_waits_and_no_validity() {
        let mut book = full();
        book.shift(1_000);
        let a = book.entry("a.sluice.dev").unwrap();
        assert_eq!((a.issue.as_ref().unwrap().until, a.issue.as_ref().unwrap().window), (99, Some((50, 60))));
        assert_eq!(book.entry("b.sluice.dev").unwrap().trouble.as_ref().unwrap().next, 1_500);
        assert_eq!(book.orders["ca"].times().next(), Some(1_010));
        book.clamp(1_020);
        assert_eq!(book.orders["ca"].times().collect::<Vec<_>>(), [1_010, 1_020, 1_020]);
    }

    #[test]
    fn what_nobody_wants_is_forgotten_once_it_is_of_no_use() {
        let mut book = full();
        book.apply(&Record::Dropped { name: "a.sluice.dev".into() });
        assert!(book.forget(KEPT, DAY, |_| false).is_empty(), "not yet");
        let gone = book.forget(KEPT + DAY, DAY, |name| name == "b.sluice.dev");
        assert_eq!(gone.len(), 2, "{gone:?}");
        assert!(book.entry("b.sluice.dev").is_some());
        assert!(book.domains.is_empty() && book.orders["ca"].is_empty());
    }

    #[test]
    fn words_of_others_are_cut() {
        let mut book = Book::default();
        let long = Trouble { said: "é".repeat(WORDS), ..trouble(1) };
        let name: Arc<str> = "a.sluice.dev".into();
        book.apply(&Record::Failed { at: 1, name, trouble: long, validations: 0, domain: None });
        let said = &book.entry("a.sluice.dev").unwrap().trouble.as_ref().unwrap().said;
        assert!(said.len() < WORDS + 8 && said.ends_with('…'));
    }
}
