//! What comes after a try that came to nothing: the same endpoint, another one, or the end.

use super::Job;
use super::attempt::Missed;
use super::failure::Cause;
use super::job::Deadline;
use crate::runtime::worker::Worker;
use crate::upstream::{Members, RetryCause, Tried};
use dsl::tree::ir::RetryOn;

/// Before the first try on an endpoint that was asked already; twice as long before each one after it.
const PAUSE_MS: u64 = 25;
/// A request that an endpoint had not begun when it ended the connection is sent to it anew so often.
const ANEW: u32 = 4;
/// It grows no longer than this.
const LONGEST_PAUSE_MS: u64 = 1_000;

/// What has been tried so far.
#[derive(Debug, Default)]
pub(super) struct Tries {
    /// Endpoints that are not asked again while there is another.
    tried: Tried,
    /// Requests that were sent again by `retry`.
    retries: u32,
    /// How often all endpoints had been tried.
    rounds: u32,
    /// How often it was sent anew because a connection ended before it was begun.
    anew: u32,
}

/// What comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Nothing: it failed.
    Fail,
    /// The same endpoint, on a fresh connection.
    Fresh,
    /// Another endpoint.
    Other(usize),
    /// An endpoint that was asked already, after so many milliseconds.
    After(u64, usize),
}

impl Tries {
    /// After a try on an endpoint that got no answer, or one that a `retry` does not want (`cause` is
    /// [`RetryCause::Status`] then).
    pub(super) fn next(
        &mut self,
        worker: &Worker,
        job: &mut Job,
        members: &Members,
        deadline: &Deadline,
        at: usize,
        missed: &Lost<'_>,
    ) -> Next {
        // An idle connection that turns out to be dead says nothing about its endpoint.
        if missed.stale() && (missed.harmless() || job.idempotent) && job.sending.again() {
            return Next::Fresh;
        }
        self.tried.add(at);
        // Nothing was sent: that harms nobody, and moving on is no retry until all were asked.
        if missed.harmless()
            && self.rounds == 0
            && job.sending.may_again()
            && let Some(other) = self.other(worker, job, members)
            && job.sending.again()
        {
            return Next::Other(other);
        }
        // Connections end (RFC 9113 section 6.8), one after the other where an endpoint restarts: as long as
        // none of them came to the request, that is no failure.
        if missed.not_begun() && self.anew < ANEW && job.sending.again() {
            self.anew += 1;
            return Next::Fresh;
        }
        self.retry(worker, job, members, deadline, missed)
    }

    fn retry(
        &mut self,
        worker: &Worker,
        job: &mut Job,
        members: &Members,
        deadline: &Deadline,
        missed: &Lost<'_>,
    ) -> Next {
        let Some(retry) = job.retry() else { return Next::Fail };
        let safe = missed.harmless() || job.idempotent || retry.any_method;
        if self.retries >= retry.times || !safe || !missed.listed(&retry.on) {
            return Next::Fail;
        }
        let budget = retry.budget;
        // A try that is still under way, for its answer is passed on, keeps its body.
        if !job.sending.may_again() {
            return Next::Fail;
        }
        let next = match self.other(worker, job, members) {
            Some(other) => Next::Other(other),
            None => {
                self.tried = Tried::default();
                let Some(same) = self.other(worker, job, members) else { return Next::Fail };
                let pause = pause(self.rounds, worker.draw());
                self.rounds += 1;
                Next::After(pause, same)
            }
        };
        let pause = if let Next::After(pause, _) = next { pause } else { 0 };
        let now = worker.ticks.now_ms();
        if deadline.left(now) <= pause {
            return Next::Fail;
        }
        let shared = job.pool.shared();
        let shard = shared.shard(worker.number);
        if !shared.may_retry(budget, now) {
            shard.exhausted.add(1);
            return Next::Fail;
        }
        if !job.sending.again() {
            return Next::Fail;
        }
        shard.retries[missed.cause() as usize].add(1);
        self.retries += 1;
        next
    }

    /// An endpoint that was not tried, and none that asked not to be for a while.
    fn other(&self, worker: &Worker, job: &Job, members: &Members) -> Option<usize> {
        let now = worker.ticks.now_ms();
        let mut avoided = self.tried;
        for (index, member) in members.each().iter().enumerate() {
            if member.endpoint.asked_to_wait(now) {
                avoided.add(index);
            }
        }
        worker.upstreams.choose(members, job.spot, avoided, now)
    }
}

/// What a try was lost to.
pub(super) enum Lost<'a> {
    /// There is no answer.
    Missed(&'a Missed),
    /// An answer with this status.
    Status(u16),
}

impl Lost<'_> {
    fn cause(&self) -> RetryCause {
        match self {
            Self::Missed(missed) => missed.retry_cause(),
            Self::Status(_) => RetryCause::Status,
        }
    }

    fn harmless(&self) -> bool {
        matches!(self, Self::Missed(missed) if missed.harmless)
    }

    fn not_begun(&self) -> bool {
        matches!(self, Self::Missed(missed) if missed.not_begun)
    }

    fn stale(&self) -> bool {
        matches!(self, Self::Missed(Missed { reused: true, cause: Cause::Reset | Cause::Refused, .. }))
    }

    fn listed(&self, on: &RetryOn) -> bool {
        match self.cause() {
            RetryCause::Connect => on.connect,
            RetryCause::Reset => on.reset,
            RetryCause::Refused => on.refused,
            RetryCause::Timeout => on.timeout,
            RetryCause::Status => matches!(self, Self::Status(status) if on.statuses.contains(status)),
        }
    }
}

/// How long to wait in a round, from a point in ten thousand that is drawn: half of it to all of it.
fn pause(round: u32, drawn: u32) -> u64 {
    let whole = (PAUSE_MS << round.min(10)).min(LONGEST_PAUSE_MS);
    whole / 2 + whole * u64::from(drawn) / 20_000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_and_differ() {
        assert_eq!([pause(0, 0), pause(0, 9_999)], [12, 24]);
        assert_eq!([pause(1, 0), pause(2, 0), pause(3, 5_000)], [25, 50, 150]);
        assert_eq!([pause(60, 0), pause(60, 9_999)], [500, 999]);
    }
}
