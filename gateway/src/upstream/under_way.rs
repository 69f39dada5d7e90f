//! A request at an endpoint: counted for as long as it is there, and what becomes of it.

use super::{Cause, Held};
use crate::runtime::ticks::process_us;
use dsl::tree::ir::Balance;
use http::HeaderMap;
use std::cell::Cell;
use std::fmt;
use std::num::NonZeroU64;
use std::rc::Rc;

/// What became of a request, or of a connection attempt, at an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The head of an answer came, with this status; a connection was all that was wanted: 200.
    Answered(u16),
    /// A call of gRPC ended with this status.
    Called(u8),
    /// No connection came about, or no TLS session on it.
    Unreachable,
    /// The connection broke, before the answer or in the middle of it.
    Reset,
    /// The endpoint did not act on it and said so, as it does before it ends: no failure.
    Refused,
    /// What came is no answer.
    Garbage,
    /// No answer in time, or its rest.
    Late,
}

/// A request that an endpoint has, counted over all workers until this is dropped: begin right after the
/// endpoint was chosen, before it is dialled, so that two who choose at once see each other.
///
/// It holds the members, not the endpoint: a count of the worker's own, which no other worker writes.
pub struct UnderWay {
    members: Rc<Held>,
    /// Futures hold it: it is kept small.
    index: u32,
    /// Whether a failure was noted: one request fails once.
    failed: Cell<bool>,
    /// When it began, where the time until the answer counts and is not known yet: microseconds.
    since: Cell<Option<NonZeroU64>>,
}

impl UnderWay {
    /// A request for an endpoint of a pool.
    #[must_use]
    pub fn begin(members: &Rc<Held>, index: usize) -> Self {
        members.endpoint(index).enter();
        let timed = matches!(members.pool().balance, Balance::PeakEwma);
        let since = if timed { NonZeroU64::new(process_us().max(1)) } else { None };
        // No pool has 2^32 endpoints.
        Self { members: Rc::clone(members), index: index as u32, failed: Cell::new(false), since: Cell::new(since) }
    }

    /// Notes what became of it: what `balance` and `eject` go by. A good answer is one when it is through
    /// ([`UnderWay::through`]); a failure in the middle of it is noted after its head.
    #[inline]
    pub fn note(&self, outcome: Outcome, now_ms: u64) {
        if let Some(since) = self.since.take() {
            self.took(since, outcome, now_ms);
        }
        if outcome.failed() && !self.failed.replace(true) {
            self.members.note(self.index(), outcome, now_ms);
        }
    }

    /// The answer is through.
    #[inline]
    pub fn through(&self, now_ms: u64) {
        if !self.failed.get() {
            self.members.note(self.index(), Outcome::Answered(200), now_ms);
        }
    }

    /// Where it is.
    #[must_use]
    pub fn members(&self) -> &Rc<Held> {
        &self.members
    }

    /// At which place of these.
    #[must_use]
    pub fn index(&self) -> usize {
        self.index as usize
    }

    fn took(&self, since: NonZeroU64, outcome: Outcome, now_ms: u64) {
        let average = self.members.endpoint(self.index()).average();
        let took = process_us().saturating_sub(since.get());
        // Who fails quickly is not quick: a failure makes an average greater or leaves it.
        let quick = !matches!(outcome, Outcome::Answered(_)) || outcome.failed();
        let least = if quick { average.now(now_ms) as u64 } else { 1 };
        average.add(took.max(least), now_ms);
    }
}

impl Outcome {
    /// Of a head or of trailers that have the status of a call of gRPC.
    #[must_use]
    pub fn of_call(headers: &HeaderMap) -> Option<Self> {
        headers.get("grpc-status")?.to_str().ok()?.parse().ok().map(Self::Called)
    }

    /// Whether it speaks against the endpoint: a status does that says that the server is to blame, and
    /// not what was asked of it (500, 502, 503, 504).
    #[must_use]
    pub fn failed(self) -> bool {
        match self {
            Self::Answered(status) => matches!(status, 500 | 502 | 503 | 504),
            // UNKNOWN, INTERNAL, UNAVAILABLE, DATA_LOSS: the others are about the call.
            Self::Called(status) => matches!(status, 2 | 13 | 14 | 15),
            Self::Refused => false,
            Self::Unreachable | Self::Reset | Self::Garbage | Self::Late => true,
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Answered(status) => write!(f, "answered {status}"),
            Self::Called(status) => write!(f, "answered gRPC status {status}"),
            Self::Unreachable => f.write_str("no connection"),
            Self::Reset => f.write_str("the connection broke off"),
            Self::Refused => f.write_str("the request was refused"),
            Self::Garbage => f.write_str("what it answered is not HTTP"),
            Self::Late => f.write_str("no answer in time"),
        }
    }
}

impl From<Cause> for Outcome {
    fn from(cause: Cause) -> Self {
        match cause {
            Cause::Reset => Self::Reset,
            Cause::Refused | Cause::NotBegun => Self::Refused,
            Cause::Garbage => Self::Garbage,
        }
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        let endpoint = self.members.endpoint(self.index());
        endpoint.leave();
        // Given up before it answered, by a client that left or for another endpoint that was faster: it would
        // have taken longer still.
        if let Some(since) = self.since.take() {
            let now = process_us();
            let (took, now_ms) = (now.saturating_sub(since.get()), now / 1_000);
            if took as f32 > endpoint.average().now(now_ms) {
                endpoint.average().add(took, now_ms);
            }
        }
    }
}

impl fmt::Debug for UnderWay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("UnderWay").field(self.members.endpoint(self.index()).name()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upstream::{Pools, Upstreams, testing};
    use dsl::tree::ir;
    use std::path::Path;
    use std::sync::Arc;

    #[test]
    fn who_is_given_up_is_no_faster_than_that() {
        let said = ir::Pool { balance: Balance::PeakEwma, ..testing::pool("p", 2) };
        let pool = Pools::new(1).intern(&Arc::new(said), Path::new(""));
        let members = Upstreams::default().members(&pool);
        let average = members.endpoint(0).average();
        let under_way = UnderWay::begin(&members, 0);
        // A microsecond passes.
        let begun = process_us();
        while process_us() <= begun + 1 {
            std::hint::spin_loop();
        }
        assert!(average.now(process_us() / 1_000) < 1.0);
        drop(under_way);
        assert!(average.now(process_us() / 1_000) >= 1.0, "the hedge that was faster leaves it so much");
        // What is known to be slower stays known.
        average.add(1_000_000_000, process_us() / 1_000);
        drop(UnderWay::begin(&members, 0));
        assert!(average.now(process_us() / 1_000) > 900_000_000.0);
    }
}
