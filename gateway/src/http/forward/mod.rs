//! One request to a pool: connect, send, wait for the head of the answer; once more where that is right.

mod attempt;
pub mod failure;
mod hedge;
mod job;
mod mirror;
mod replay;
mod tries;
mod whole;

pub use failure::{About, Failure};
pub use job::{Job, bounds, carries_calls};
pub use mirror::{Mirror, X_SLUICE_MIRROR};
pub use replay::{Reel, Sending};

use super::body::OriginBody;
use super::client::Client;
use crate::runtime::ticks::within;
use crate::runtime::worker::Worker;
use crate::upstream::{Held, Incoming, Lease, Members, PoolHandle, Tried};
use attempt::{Missed, Where, attempt};
use dsl::tree::ir::Hedge;
use failure::{Cause, Phase};
use hedge::hedged;
use http::{HeaderMap, Response, header};
use http_body::Body;
use job::Deadline;
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tries::{Lost, Next, Tries};
use whole::{is_held, whole};

/// An answer's head, and the connection that its body comes by.
pub type Answered = (Response<Incoming>, Lease);

/// Of an answer that is not passed on, so much is read to keep its connection …
const DRAIN_BYTES: u64 = 64 * 1024;
/// … for so long.
const DRAIN_MS: u64 = 1_000;
/// An endpoint that asks to be left alone is not asked again by retries for so long at most.
const LONGEST_REST_MS: u64 = 30_000;

/// Sends a request to its pool.
///
/// # Errors
/// Why there is no answer.
pub async fn forward(client: &Client, job: &mut Job) -> Result<Answered, Box<Failure>> {
    let worker = &client.worker;
    if job.pool.is_open() {
        // Its names were asked about just now; large, and rare.
        let allowed = job.pool.connect_within().as_millis() as u64;
        let _ = Box::pin(within(&worker.ticks, allowed, job.pool.heard())).await;
    }
    let mut course = Course::new(worker, job);
    if job.pool.shared().limit().counts_requests() {
        Box::pin(admitted(worker, job)).await?;
    }
    let now = worker.ticks.now_ms();
    let Some(first) = first(worker, job, &course.members, now) else {
        return Err(Failure::before(Cause::NoEndpoint, Phase::Choose, "no endpoint is up"));
    };
    course.index = first;
    let mut fresh = course.alone;
    loop {
        job.attempt += 1;
        course.deadline.begin();
        let tried = {
            let at = course.at(client, &job.pool, fresh);
            match course.hedge_after.filter(|_| job.attempt == 1) {
                None => attempt(&at, &mut job.sending).await,
                // Rare, and large.
                Some(delay) => {
                    let (budget, spot) = (job.budget(), job.spot);
                    let (tried, answerer) = Box::pin(hedged(&at, &mut job.sending, spot, budget, delay)).await;
                    course.index = answerer;
                    tried
                }
            }
        };
        let tried = match tried {
            // Most pools say nothing of retries: it need not lie in each exchange's future.
            Ok(answered) if is_held(job, &answered.0) => Box::pin(whole(answered)).await,
            other => other,
        };
        let next = match tried {
            Ok(mut answered) => match course.unwanted(worker, job, &answered) {
                None => {
                    answered.1.hold(job.let_go());
                    return Ok(answered);
                }
                Some(next) => {
                    discard(worker, answered);
                    next
                }
            },
            Err(missed) => course.missed(worker, job, *missed)?,
        };
        fresh = course.alone || next == Next::Fresh;
        match next {
            Next::Fresh | Next::Fail => {}
            Next::Other(other) => course.index = other,
            Next::After(pause, other) => {
                course.index = other;
                // Finer than the worker's ticks, and rare.
                Box::pin(tokio::time::sleep(Duration::from_millis(pause))).await;
            }
        }
    }
}

/// Who is asked first: whom the visitor's cookie names, where the pool is sticky and it is well.
fn first(worker: &Worker, job: &Job, members: &Members, now: u64) -> Option<usize> {
    let whom = job.brought().and_then(|brought| brought.whom);
    let kept = whom.and_then(|whom| worker.upstreams.keeps(members, whom, now));
    kept.or_else(|| worker.upstreams.choose(members, job.spot, Tried::default(), now))
}

/// How far a request has come.
struct Course {
    members: Rc<Held>,
    /// The place of the endpoint that is asked.
    index: usize,
    deadline: Deadline,
    tries: Tries,
    /// Whether it takes its connection with it: a handshake for WebSocket is not sent twice, so it is not sent
    /// on a connection that may be dead.
    alone: bool,
    /// Whether a copy of the request is kept in any case.
    keep: bool,
    /// When a second endpoint is asked too.
    hedge_after: Option<Duration>,
    /// When it began, where somebody wants to know how long answers take.
    begun: Option<Instant>,
}

impl Course {
    fn new(worker: &Worker, job: &Job) -> Self {
        let now = worker.ticks.now_ms();
        job.pool.shared().shard(worker.number).request(now);
        let timed = matches!(job.hedge(), Some(Hedge::Percentile(_)));
        Self {
            members: worker.upstreams.members(&job.pool),
            index: 0,
            deadline: Deadline::new(&worker.ticks, job),
            tries: Tries::default(),
            alone: job.switch_idle_ms().is_some(),
            keep: job.retry().is_some_and(|retry| job.idempotent || retry.any_method),
            hedge_after: hedge::delay(job),
            begun: timed.then(Instant::now),
        }
    }

    fn at<'c>(&'c self, client: &'c Client, pool: &'c Arc<PoolHandle>, fresh: bool) -> Where<'c> {
        let Self { members, index, deadline, alone, keep, .. } = self;
        Where { client, pool, members, index: *index, fresh, alone: *alone, keep: *keep, deadline }
    }

    /// What comes after an answer that is not taken; `None` where it is.
    fn unwanted(&mut self, worker: &Rc<Worker>, job: &mut Job, (response, _): &Answered) -> Option<Next> {
        if let Some(begun) = self.begun {
            let shard = job.pool.shared().shard(worker.number);
            shard.latency.add(begun.elapsed(), worker.ticks.now_ms());
        }
        let status = response.status().as_u16();
        if !job.retry()?.on.statuses.contains(&status) {
            return None;
        }
        note_wait(worker, &self.members, self.index, response.headers());
        let next = self.tries.next(worker, job, &self.members, &self.deadline, self.index, &Lost::Status(status));
        (next != Next::Fail).then_some(next)
    }

    /// What comes after a try that came to nothing.
    fn missed(&mut self, worker: &Worker, job: &mut Job, missed: Missed) -> Result<Next, Box<Failure>> {
        if let Some(failure) = job.broken() {
            return Err(failure);
        }
        let full = missed.cause == Cause::Full;
        let next = if missed.over || full {
            Next::Fail
        } else {
            self.tries.next(worker, job, &self.members, &self.deadline, self.index, &Lost::Missed(&missed))
        };
        // A client that gives up soon says nothing about the endpoint.
        let hurried = missed.over && self.deadline.hurried();
        if next != Next::Fresh && !full && !hurried {
            blame(worker, job, &self.members, self.index, &missed);
        }
        if next != Next::Fail {
            return Ok(next);
        }
        let Missed { cause, phase, reason, .. } = missed;
        let endpoint = Some(Arc::clone(self.members.endpoint(self.index)));
        Err(Box::new(Failure { cause, phase, endpoint, attempt: job.attempt, reason }))
    }
}

/// Counts a request against its pool's `limit`, and waits for room where it must.
async fn admitted(worker: &Worker, job: &mut Job) -> Result<(), Box<Failure>> {
    let shared = job.pool.shared();
    let (limit, shard) = (shared.limit(), shared.shard(worker.number));
    let permit = match limit.try_request() {
        Ok(permit) => permit,
        Err(_) => {
            shard.queued.add(1);
            let waited = limit.request(job.timeout_ms).await;
            waited.map_err(|full| {
                shard.limited.add(1);
                Failure::before(Cause::Full, Phase::Queue, &full.to_string())
            })?
        }
    };
    if let Some(permit) = permit {
        job.hold(permit);
    }
    Ok(())
}

/// An endpoint failed: it is told, and asked last for a while.
fn blame(worker: &Worker, job: &Job, members: &Members, index: usize, missed: &Missed) {
    let now = worker.ticks.now_ms();
    if let Some(lease) = &missed.lease {
        lease.note(missed.cause.outcome());
    }
    // One that refuses a request is there, and says so; one that is slow is not made slower by others.
    if missed.cause == Cause::Refused {
        return;
    }
    if !missed.over || missed.harmless {
        worker.upstreams.failed(members, index, now);
    }
    members.endpoint(index).failed(&job.pool, now, &worker.notices, &missed.reason);
}

/// An answer that says when to ask again (RFC 9110 section 10.2.3) is heeded by retries.
fn note_wait(worker: &Worker, members: &Members, index: usize, headers: &HeaderMap) {
    let Some(value) = headers.get(header::RETRY_AFTER).and_then(|value| value.to_str().ok()) else { return };
    let ms = match value.trim().parse::<u64>() {
        Ok(seconds) => seconds.saturating_mul(1000),
        Err(_) => {
            let Ok(at) = httpdate::parse_http_date(value.trim()) else { return };
            let left = at.duration_since(std::time::SystemTime::now()).unwrap_or_default();
            u64::try_from(left.as_millis()).unwrap_or(u64::MAX)
        }
    };
    members.endpoint(index).wait_until(worker.ticks.now_ms() + ms.min(LONGEST_REST_MS));
}

/// An answer that is not passed on: what is short is read, so that its connection can be kept; else the
/// connection is closed.
pub fn discard(worker: &Rc<Worker>, (response, lease): Answered) {
    let (parts, incoming) = response.into_parts();
    drop(parts);
    if incoming.size_hint().lower() > DRAIN_BYTES {
        return;
    }
    // Silence is no fault here, and ends with the time for all of it.
    let mut body = OriginBody::new(incoming, lease, u64::MAX);
    if body.is_empty() {
        return;
    }
    let ticks = Rc::clone(&worker.ticks);
    tokio::task::spawn_local(async move {
        let mut left = DRAIN_BYTES;
        let drained = poll_fn(|cx| {
            loop {
                match std::task::ready!(body.poll_frame(cx)) {
                    Some(Ok(frame)) => {
                        let len = frame.data_ref().map_or(0, |data| data.len() as u64);
                        let Some(less) = left.checked_sub(len) else { return std::task::Poll::Ready(()) };
                        left = less;
                    }
                    Some(Err(_)) | None => return std::task::Poll::Ready(()),
                }
            }
        });
        within(&ticks, DRAIN_MS, drained).await;
    });
}
