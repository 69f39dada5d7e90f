//! One request to a pool: connect, send, wait for the head of the answer; once more where that is right.

mod attempt;
pub mod failure;
mod job;
mod replay;
mod tries;
mod whole;

pub use failure::{About, Failure};
pub use job::{Job, bounds};
pub use replay::{Reel, Sending};

use super::body::OriginBody;
use super::client::Client;
use crate::runtime::ticks::within;
use crate::runtime::worker::Worker;
use crate::upstream::{Incoming, Lease, Members, Tried};
use attempt::{Missed, Where, attempt};
use failure::{Cause, Phase};
use http::{HeaderMap, Response, header};
use http_body::Body;
use job::Deadline;
use std::future::poll_fn;
use std::rc::Rc;
use std::time::Duration;
use tries::{Lost, Next, Tries};
use whole::whole;

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
    let members = worker.upstreams.members(&job.pool);
    let now = worker.ticks.now_ms();
    job.pool.shared().shard(worker.number).request(now);
    let Some(mut index) = first(worker, job, &members, now) else {
        return Err(Failure::before(Cause::NoEndpoint, Phase::Choose, "no endpoint is up"));
    };
    let deadline = Deadline::new(&worker.ticks, job);
    let keep = job.retry().is_some_and(|retry| job.idempotent || retry.any_method);
    let mut tries = Tries::default();
    // A handshake for WebSocket is not sent twice, so it is not sent on a connection that may be dead.
    let always_fresh = job.switch_idle_ms().is_some();
    let mut fresh = always_fresh;
    loop {
        job.attempt += 1;
        deadline.begin();
        let tried = {
            let at = Where {
                client,
                pool: &job.pool,
                members: &members,
                index,
                fresh,
                alone: always_fresh,
                keep,
                deadline: &deadline,
            };
            attempt(&at, &mut job.sending).await
        };
        let unwanted = |status: u16| job.retry().is_some_and(|retry| retry.on.statuses.contains(&status));
        let tried = match tried {
            Ok(answered) if !unwanted(answered.0.status().as_u16()) => match whole(job, &tries, answered).await {
                Ok(answered) => return Ok(answered),
                Err(missed) => Err(missed),
            },
            other => other,
        };
        let next = match tried {
            Ok(answered) => {
                let status = answered.0.status().as_u16();
                note_wait(worker, &members, index, answered.0.headers());
                match tries.next(worker, job, &members, &deadline, index, &Lost::Status(status)) {
                    Next::Fail => return Ok(answered),
                    next => {
                        discard(worker, answered);
                        next
                    }
                }
            }
            Err(missed) => {
                if let Some(failure) = job.broken() {
                    return Err(failure);
                }
                let next = if missed.over {
                    Next::Fail
                } else {
                    tries.next(worker, job, &members, &deadline, index, &Lost::Missed(&missed))
                };
                if next != Next::Fresh {
                    blame(worker, job, &members, index, &missed);
                }
                if next == Next::Fail {
                    let Missed { cause, phase, reason, .. } = *missed;
                    let endpoint = Some(members.endpoint(index).clone());
                    return Err(Box::new(Failure { cause, phase, endpoint, attempt: job.attempt, reason }));
                }
                next
            }
        };
        (index, fresh) = match next {
            Next::Fresh | Next::Fail => (index, true),
            Next::Other(other) => (other, always_fresh),
            Next::After(pause, other) => {
                // Finer than the worker's ticks, and rare.
                Box::pin(tokio::time::sleep(Duration::from_millis(pause))).await;
                (other, always_fresh)
            }
        };
    }
}

/// Who is asked first: whom the visitor's cookie names, where the pool is sticky and it is well.
fn first(worker: &Worker, job: &Job, members: &Members, now: u64) -> Option<usize> {
    let whom = job.brought().and_then(|brought| brought.whom);
    let kept = whom.and_then(|whom| worker.upstreams.keeps(members, whom, now));
    kept.or_else(|| worker.upstreams.choose(members, job.spot, Tried::default(), now))
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
fn discard(worker: &Rc<Worker>, (response, lease): Answered) {
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
