//! `hedge`: a request that is not answered soon is sent to a second endpoint as well, and the first answer is
//! taken.

use super::Answered;
use super::attempt::{Missed, Where, attempt};
use super::job::Job;
use super::replay::Sending;
use crate::upstream::Tried;
use dsl::tree::ir;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::sleep;

/// A pool whose answers are this quick is not asked twice any sooner.
const SOONEST: Duration = Duration::from_millis(1);

/// How a try went, and at which endpoint.
pub(super) type Tried1 = (Result<Answered, Box<Missed>>, usize);

/// When a second endpoint is asked; `None` where none is.
pub(super) fn delay(job: &Job) -> Option<Duration> {
    match job.hedge()? {
        ir::Hedge::After(ms) => Some(Duration::from_millis(ms)),
        ir::Hedge::Percentile(percent) => job.pool.shared().percentile(percent).map(|delay| delay.max(SOONEST)),
    }
}

/// Tries at one endpoint and, when that takes too long, at another one too. The answer that is not taken is
/// given up with its connection or stream.
pub(super) async fn hedged(
    at: &Where<'_>,
    sending: &mut Sending,
    spot: Option<crate::upstream::Spot>,
    budget: u8,
    delay: Duration,
) -> Tried1 {
    let Some(mut twin) = sending.twin() else { return (attempt(at, sending).await, at.index) };
    let mut first = pin!(attempt(at, sending));
    if let Some(done) = sooner(first.as_mut(), pin!(sleep(delay))).await {
        return (done, at.index);
    }
    let worker = &at.client.worker;
    let (shared, now) = (at.pool.shared(), worker.ticks.now_ms());
    let shard = shared.shard(worker.number);
    let mut tried = Tried::default();
    tried.add(at.index);
    let Some(index) = worker.upstreams.choose(at.members, spot, tried, now) else {
        return (first.await, at.index);
    };
    // It is one request more, while both are under way.
    let Ok(_permit) = shared.limit().try_request() else {
        return (first.await, at.index);
    };
    if !shared.may_retry(budget, now) {
        shard.exhausted.add(1);
        return (first.await, at.index);
    }
    shard.hedged.add(1);
    let elsewhere = Where { index, ..*at };
    let mut second = pin!(attempt(&elsewhere, &mut twin));
    let (mut lost_first, mut lost_second) = (None, None);
    poll_fn(|cx| {
        if let Some(done) = poll(first.as_mut(), &mut lost_first, cx) {
            return Poll::Ready((Ok(done), at.index));
        }
        if let Some(done) = poll(second.as_mut(), &mut lost_second, cx) {
            shard.hedges_won.add(1);
            return Poll::Ready((Ok(done), index));
        }
        // Both came to nothing: what is tried next goes by the first.
        match (&lost_second, lost_first.take()) {
            (Some(_), Some(missed)) => Poll::Ready((Err(missed), at.index)),
            (_, missed) => {
                lost_first = missed;
                Poll::Pending
            }
        }
    })
    .await
}

/// Waits for a try for as long as the other future takes.
async fn sooner<T, S>(mut first: Pin<&mut T>, mut until: Pin<&mut S>) -> Option<T::Output>
where
    T: Future,
    S: Future<Output = ()>,
{
    poll_fn(|cx| match first.as_mut().poll(cx) {
        Poll::Ready(done) => Poll::Ready(Some(done)),
        Poll::Pending => until.as_mut().poll(cx).map(|()| None),
    })
    .await
}

/// An answer, if there is one now. Who came to nothing is not asked again.
fn poll<F>(mut trying: Pin<&mut F>, lost: &mut Option<Box<Missed>>, cx: &mut Context<'_>) -> Option<Answered>
where
    F: Future<Output = Result<Answered, Box<Missed>>>,
{
    if lost.is_some() {
        return None;
    }
    match trying.as_mut().poll(cx) {
        Poll::Ready(Ok(answered)) => Some(answered),
        Poll::Ready(Err(missed)) => {
            *lost = Some(missed);
            None
        }
        Poll::Pending => None,
    }
}
