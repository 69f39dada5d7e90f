//! `limit …` of requests: one set of buckets for each written limit, shared by all workers, kept over reloads.
//!
//! A limit is the same as before when it has the same name (`as NAME`, else its place in its file), the
//! same bound and the same kinds of key in files of the same tenant, or in files outside tenants.

use crate::answer;
use crate::http::body::Content;
use crate::limit::{AtOnce, Bytes as Flow, Digest, Held, Rate, Secret};
use crate::runtime::ticks::{Ticks, Timer};
use crate::upstream::Table;
use bytes::Bytes;
use dsl::tree::ir::{Limit, LimitBound};
use dsl::tree::judge::Admit;
use http::Response;
use http::header::{HeaderName, HeaderValue, RETRY_AFTER};
use std::fmt;
use std::hash::Hash;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
/// When to come back where that depends on others, milliseconds.
const SOON_MS: u64 = 1_000;

/// The limits of all sites, so that one that did not change goes on over a reload. One per process, asked by
/// the control plane only.
#[derive(Default)]
pub struct LimitTable {
    secret: Arc<Secret>,
    known: Mutex<Table<Identity, Bucketed>>,
}

/// What makes a limit the same as before.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Identity {
    /// The tenant; `None` for the operator.
    whose: Option<Arc<str>>,
    name: Arc<str>,
    bound: LimitBound,
    sources: Vec<Arc<str>>,
}

/// A limit with its buckets.
pub struct Bucketed {
    name: Arc<str>,
    secret: Arc<Secret>,
    kept: Kept,
    admitted: AtomicU64,
    refused: AtomicU64,
    shadowed: AtomicU64,
}

enum Kept {
    Rate(Rate),
    AtOnce(Arc<AtOnce>),
    Bytes(Arc<Flow>),
}

/// What a limit has counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counted {
    /// Its name.
    pub name: Arc<str>,
    /// Requests that passed.
    pub admitted: u64,
    /// Requests that were answered 429.
    pub refused: u64,
    /// Requests that would have been, by a limit that says `shadow`.
    pub shadowed: u64,
}

impl LimitTable {
    /// The buckets of a limit of a tenant's route file, or of one outside tenants (LANGUAGE rule 21).
    pub(super) fn intern(&self, limit: &Limit, whose: Option<&Arc<str>>) -> Arc<Bucketed> {
        let sources = limit.key.iter().map(|part| Arc::clone(&part.source)).collect();
        let identity = Identity { whose: whose.cloned(), name: Arc::clone(&limit.name), bound: limit.bound, sources };
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(&identity).unwrap_or_else(|| {
            let kept = match limit.bound {
                LimitBound::Rate { count, per_ms, burst } => Kept::Rate(Rate::new(count, per_ms, burst)),
                LimitBound::AtOnce(most) => Kept::AtOnce(Arc::new(AtOnce::new(most))),
                LimitBound::Bytes(per_second) => Kept::Bytes(Arc::new(Flow::new(per_second))),
            };
            let made = Arc::new(Bucketed {
                name: Arc::clone(&limit.name),
                secret: Arc::clone(&self.secret),
                kept,
                admitted: AtomicU64::new(0),
                refused: AtomicU64::new(0),
                shadowed: AtomicU64::new(0),
            });
            known.insert(identity, &made);
            made
        })
    }

    /// What limits that are in force have counted, by name; those of one name together.
    #[must_use]
    pub fn counted(&self) -> Vec<Counted> {
        let live = self.known.lock().unwrap_or_else(PoisonError::into_inner).live();
        let get = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let mut all: Vec<Counted> = Vec::new();
        for limit in live {
            let (admitted, refused, shadowed) = (get(&limit.admitted), get(&limit.refused), get(&limit.shadowed));
            match all.iter_mut().find(|counted| counted.name == limit.name) {
                Some(counted) => {
                    counted.admitted += admitted;
                    counted.refused += refused;
                    counted.shadowed += shadowed;
                }
                None => all.push(Counted { name: Arc::clone(&limit.name), admitted, refused, shadowed }),
            }
        }
        all.sort_by(|a, b| a.name.cmp(&b.name));
        all
    }
}

impl fmt::Debug for LimitTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LimitTable").finish_non_exhaustive()
    }
}

impl Bucketed {
    /// Counts a request. What it holds until it is answered is added to `holds`.
    pub(super) fn admit(&self, limit: &Limit, key: &[u8], cost: u64, holds: &mut Option<Box<Holds>>) -> Admit {
        let digest = self.secret.digest_of(|hasher| hasher.write(key));
        let admit = match &self.kept {
            Kept::Rate(rate) => match rate.take(digest, cost) {
                Ok(()) => Admit::Pass,
                Err(wait) => Admit::Later(wait.map_or_else(|| period(limit), milliseconds)),
            },
            Kept::AtOnce(at_once) => match AtOnce::take(at_once, digest) {
                Some(held) => {
                    holds.get_or_insert_default().places.push(held);
                    Admit::Pass
                }
                None => Admit::Later(SOON_MS),
            },
            Kept::Bytes(flow) => {
                if !limit.shadow {
                    holds.get_or_insert_default().flows.push((Arc::clone(flow), digest));
                }
                Admit::Pass
            }
        };
        let count = match admit {
            Admit::Pass => &self.admitted,
            Admit::Later(_) if limit.shadow => &self.shadowed,
            Admit::Later(_) => &self.refused,
        };
        count.fetch_add(1, Ordering::Relaxed);
        admit
    }
}

/// In how long a limit's rate counts, milliseconds.
fn period(limit: &Limit) -> u64 {
    match limit.bound {
        LimitBound::Rate { per_ms, .. } => per_ms,
        LimitBound::AtOnce(_) | LimitBound::Bytes(_) => SOON_MS,
    }
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX)
}

/// 429, with when to come back, and the limit in the fields of draft-ietf-httpapi-ratelimit-headers.
#[must_use]
pub fn refusal(limit: &Limit, after_ms: u64) -> Response<Content> {
    let mut response = answer::plain(429, "too many requests");
    let seconds = after_ms.div_ceil(1_000).max(1);
    // What is not written as a name says where a file lies, which is nobody's business outside.
    let word = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    let name = if limit.name.bytes().all(word) { &*limit.name } else { "limit" };
    let (policy, state) = match limit.bound {
        LimitBound::Rate { count, per_ms, .. } => {
            (format!("\"{name}\";q={count};w={}", per_ms.div_ceil(1_000)), format!("\"{name}\";r=0;t={seconds}"))
        }
        LimitBound::AtOnce(most) => {
            (format!("\"{name}\";q={most};qu=\"concurrent-requests\""), format!("\"{name}\";r=0"))
        }
        LimitBound::Bytes(most) => {
            (format!("\"{name}\";q={most};qu=\"content-bytes\";w=1"), format!("\"{name}\";r=0;t={seconds}"))
        }
    };
    let headers = response.headers_mut();
    headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
    // Words and numbers.
    for (field, text) in [(RATE_LIMIT_POLICY, policy), (RATE_LIMIT, state)] {
        if let Ok(value) = HeaderValue::from_str(&text) {
            headers.insert(field, value);
        }
    }
    response
}

/// What a request holds until its answer is through or given up.
#[derive(Default)]
pub struct Holds {
    /// Its places in `at-once` limits.
    places: Vec<Held>,
    /// Whose bytes its answer is made of.
    flows: Vec<(Arc<Flow>, Digest)>,
    /// When more may be sent.
    timer: Option<Timer>,
    /// What was read and may not be sent yet.
    rest: Bytes,
}

impl Holds {
    /// Whether something was read and not sent.
    #[must_use]
    pub fn rest(&self) -> usize {
        self.rest.len()
    }

    /// Ready when more may be sent: with what was read before, if there is something.
    pub fn poll(&mut self, cx: &mut Context<'_>, ticks: &Rc<Ticks>) -> Poll<Option<Bytes>> {
        if let Some(timer) = &self.timer
            && timer.is_set()
        {
            ready!(timer.poll(cx));
            timer.lift();
        }
        if self.rest.is_empty() {
            return Poll::Ready(None);
        }
        let rest = std::mem::take(&mut self.rest);
        Poll::Ready(Some(self.send(rest, ticks)))
    }

    /// As much of some bytes as may be sent at once; the rest comes later.
    #[must_use]
    pub fn send(&mut self, mut bytes: Bytes, ticks: &Rc<Ticks>) -> Bytes {
        let Some(piece) = self.flows.iter().map(|(flow, _)| flow.piece()).min() else { return bytes };
        if bytes.len() > piece {
            self.rest = bytes.split_off(piece);
        }
        let waits = self.flows.iter().map(|(flow, digest)| flow.sent(*digest, bytes.len() as u64));
        let wait = waits.max().unwrap_or_default();
        if !wait.is_zero() {
            self.timer.get_or_insert_with(|| Timer::new(ticks)).set(milliseconds(wait));
        }
        bytes
    }
}

impl fmt::Debug for Holds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (places, flows) = (self.places.len(), self.flows.len());
        f.debug_struct("Holds").field("places", &places).field("flows", &flows).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dsl::tree::ir::{Cond, Value};

    #[test]
    fn rule_21_a_limit_is_one_set_of_buckets_within_a_tenant() {
        let limit = Limit {
            bound: LimitBound::AtOnce(3),
            cost: None,
            key: Vec::new(),
            name: "uploads".into(),
            shadow: false,
            when: Cond::Const(true),
            loc: Default::default(),
        };
        assert_eq!(limit.cost, None::<Value>);
        let table = LimitTable::default();
        let (acme, globex): (Arc<str>, Arc<str>) = ("acme".into(), "globex".into());
        let operators = table.intern(&limit, None);
        assert!(Arc::ptr_eq(&operators, &table.intern(&limit, None)), "whatever folder the file is in");
        let of_acme = table.intern(&limit, Some(&acme));
        assert!(Arc::ptr_eq(&of_acme, &table.intern(&limit, Some(&acme))));
        assert!(!Arc::ptr_eq(&of_acme, &operators) && !Arc::ptr_eq(&of_acme, &table.intern(&limit, Some(&globex))));
        let other = Limit { bound: LimitBound::AtOnce(4), ..limit };
        assert!(!Arc::ptr_eq(&of_acme, &table.intern(&other, Some(&acme))), "another bound begins anew");
    }
}
