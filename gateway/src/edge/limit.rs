//! `limit …` of requests: one set of buckets for each written limit, shared by all workers, kept over reloads.
//!
//! A limit is the same as before when it has the same name (`as NAME`, else its place in its file), the
//! same bound and the same kinds of key in files of the same tenant, or in files outside tenants.

use crate::answer;
use crate::http::body::Content;
use crate::limit::{
    Answered, AtOnce, Awaited, Bucketed, Bytes as Flow, Counted, Digest, Held, Kept, Known, Left, Open, Rate,
};
use crate::runtime::ticks::{Ticks, Timer};
use bytes::Bytes;
use dsl::tree::ir::{ByAnswer, Limit, LimitBound};
use dsl::tree::judge::Admit;
use http::Response;
use http::header::{HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use std::fmt;
use std::hash::Hash;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
/// When to come back where that depends on others, milliseconds.
const SOON_MS: u64 = 1_000;

/// The limits of all sites, so that one that did not change goes on over a reload. One per process, asked by
/// the control plane only.
#[derive(Debug, Default)]
pub struct LimitTable(Known<Identity>);

/// What makes a limit the same as before.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Identity {
    /// The tenant; `None` for the operator.
    whose: Option<Arc<str>>,
    name: Arc<str>,
    bound: LimitBound,
    answer: ByAnswer,
    sources: Vec<Arc<str>>,
}

impl LimitTable {
    /// With buckets in stores that are opened so.
    #[must_use]
    pub fn on(open: Open) -> Self {
        Self(Known::on(open))
    }

    /// The buckets of a limit of a tenant's route file, or of one outside tenants (LANGUAGE rule 21).
    pub(super) fn intern(&self, limit: &Limit, whose: Option<&Arc<str>>) -> Arc<Bucketed> {
        let sources = limit.key.iter().map(|part| Arc::clone(&part.source)).collect();
        let (name, bound, answer) = (Arc::clone(&limit.name), limit.bound, limit.answer.clone());
        let identity = Identity { whose: whose.cloned(), name, bound, answer, sources };
        self.0.intern(identity, &limit.name, |open| match limit.bound {
            LimitBound::Rate { count, per_ms, burst } if limit.answer == ByAnswer::No => {
                Kept::Rate(Rate::on(open(), count, per_ms, burst))
            }
            LimitBound::Rate { count, per_ms, burst } => {
                Kept::Answered(Arc::new(Answered::on(open(), count, per_ms, burst)))
            }
            LimitBound::AtOnce(most) => Kept::AtOnce(Arc::new(AtOnce::new(most))),
            LimitBound::Bytes(per_second) => Kept::Bytes(Arc::new(Flow::on(open(), per_second))),
        })
    }

    /// What limits that are in force have counted, by name; those of one name together.
    #[must_use]
    pub fn counted(&self) -> Vec<Counted> {
        self.0.counted()
    }
}

/// Counts a request. What it holds until it is answered is added to `holds`.
pub(super) fn admit(
    bucketed: &Bucketed,
    limit: &Arc<Limit>,
    key: &[u8],
    cost: u64,
    holds: &mut Option<Box<Holds>>,
) -> Admit {
    let digest = bucketed.secret().digest_of(|hasher| hasher.write(key));
    let mut note = |left, awaited: Option<Await>| {
        if awaited.is_some() || limit.tell {
            holds.get_or_insert_default().open.push(Told { limit: Arc::clone(limit), left, awaited });
        }
        Admit::Pass
    };
    let later = |wait: Option<Duration>| Admit::Later(wait.map_or_else(|| period(limit), milliseconds));
    let admit = match &bucketed.kept {
        Kept::Rate(rate) => rate.take(digest, cost).map_or_else(later, |left| note(left, None)),
        Kept::Answered(answered) => {
            let (least, most) = limit.answer.range(cost);
            Answered::take(answered, digest, least, most - least).map_or_else(later, |(awaited, left)| {
                note(left, awaited.map(|awaited| Await { awaited, cost, counted: least }))
            })
        }
        Kept::AtOnce(at_once) => match AtOnce::take(at_once, digest) {
            Some(held) => {
                let left = Left { tokens: held.left(), full_in: Duration::ZERO };
                note(left, None);
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
    bucketed.count(admit == Admit::Pass, limit.shadow);
    admit
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
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    tell(&[(limit, 0, seconds)], response.headers_mut());
    response
}

/// Tells of limits what they say and what is left, and in how many seconds there is more: before what is told of
/// others.
fn tell(limits: &[(&Limit, u32, u64)], headers: &mut HeaderMap) {
    let (mut policies, mut states) = (Vec::new(), Vec::new());
    for (limit, left, seconds) in limits {
        let name = if limit.is_named() { &*limit.name } else { "limit" };
        let (policy, state) = match limit.bound {
            LimitBound::Rate { count, per_ms, .. } => (
                format!("\"{name}\";q={count};w={}", per_ms.div_ceil(1_000)),
                format!("\"{name}\";r={left};t={seconds}"),
            ),
            LimitBound::AtOnce(most) => {
                (format!("\"{name}\";q={most};qu=\"concurrent-requests\""), format!("\"{name}\";r={left}"))
            }
            LimitBound::Bytes(most) => {
                (format!("\"{name}\";q={most};qu=\"content-bytes\";w=1"), format!("\"{name}\";r={left};t={seconds}"))
            }
        };
        policies.push(policy);
        states.push(state);
    }
    for (field, mut all) in [(RATE_LIMIT_POLICY, policies), (RATE_LIMIT, states)] {
        // A list of the same kind goes on; what an origin says otherwise stays a line of its own.
        let before = headers.get(&field).and_then(|value| value.to_str().ok()).filter(|value| value.starts_with('"'));
        let goes_on = before.is_some();
        all.extend(before.map(str::to_owned));
        // Words and numbers.
        let Ok(value) = HeaderValue::from_str(&all.join(", ")) else { continue };
        if goes_on {
            headers.insert(field, value);
        } else {
            headers.append(field, value);
        }
    }
}

/// What a request holds until its answer is through or given up.
#[derive(Default)]
pub struct Holds {
    /// Limits that its answer counts for, or tells of.
    open: Vec<Told>,
    /// Its places in `at-once` limits.
    places: Vec<Held>,
    /// Whose bytes its answer is made of.
    flows: Vec<(Arc<Flow>, Digest)>,
    /// When more may be sent.
    timer: Option<Timer>,
    /// What was read and may not be sent yet.
    rest: Bytes,
}

/// A limit that a request passed, until there is an answer.
struct Told {
    limit: Arc<Limit>,
    left: Left,
    awaited: Option<Await>,
}

/// What an answer counts.
struct Await {
    awaited: Awaited,
    /// What the request costs by itself, and how much of that was counted when it came.
    cost: u64,
    counted: u64,
}

impl Holds {
    /// The answer is there: what it counts is counted, and what is left is told. Whether something is held until it is
    /// through.
    pub fn answered(&mut self, response: &mut Response<Content>) -> bool {
        let status = response.status().as_u16();
        let mut told: Vec<(Arc<Limit>, u32, u64)> = Vec::new();
        for Told { limit, mut left, awaited } in self.open.drain(..) {
            if let Some(Await { awaited, cost, counted }) = awaited {
                left = awaited.settle(limit.answer.cost(cost, status).saturating_sub(counted));
            }
            if limit.tell {
                told.push((limit, left.tokens, milliseconds(left.full_in).div_ceil(1_000)));
            }
        }
        if !told.is_empty() {
            let all: Vec<(&Limit, u32, u64)> =
                told.iter().map(|(limit, left, in_s)| (&**limit, *left, *in_s)).collect();
            tell(&all, response.headers_mut());
        }
        !self.places.is_empty() || !self.flows.is_empty()
    }

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
            answer: ByAnswer::No,
            key: Vec::new(),
            name: "uploads".into(),
            tell: false,
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
