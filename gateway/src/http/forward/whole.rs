//! An answer that is held until it is whole, where requests are retried that get half of one: it can then
//! be had from another endpoint, or be answered in order, instead of being cut under the client's eyes.
//!
//! Nearly always such a body comes with its head, so that nothing waits.

use super::attempt::Missed;
use super::failure::{Cause, Phase};
use super::{Answered, Job};
use crate::http::body::describe;
use crate::runtime::ticks::Timer;
use crate::upstream::{Begun, Incoming};
use bytes::Bytes;
use dsl::tree::ir::Retry;
use http::{Response, header};
use http_body::{Body, Frame};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;

/// Answers of a known length up to this are held.
const MOST: u64 = 64 * 1024;
/// For so long; what is not whole by then is passed on as it comes.
const LONGEST_MS: u64 = 1_000;

/// Holds an answer until it is whole.
///
/// # Errors
/// When it broke off: the endpoint failed, as if it had not answered at all.
pub(super) async fn whole((response, lease): Answered) -> Result<Answered, Box<Missed>> {
    let (parts, mut incoming) = response.into_parts();
    let mut frames = VecDeque::with_capacity(1);
    // None while nothing was waited for.
    let mut timer: Option<Timer> = None;
    let read = poll_fn(|cx| {
        while !incoming.is_end_stream() {
            match Pin::new(&mut incoming).poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => frames.push_back(frame),
                Poll::Ready(Some(Err(e))) => return Poll::Ready(Err(describe(&*e))),
                Poll::Ready(None) => break,
                Poll::Pending => {
                    let timer = timer.get_or_insert_with(|| Timer::after(lease.ticks(), LONGEST_MS));
                    return timer.poll(cx).map(Ok);
                }
            }
        }
        Poll::Ready(Ok(()))
    });
    match read.await {
        Ok(()) => Ok((Response::from_parts(parts, begun(frames, incoming)), lease)),
        Err(why) => {
            let reason = format!("broke off in the middle of an answer ({why})");
            Err(Box::new(Missed { lease: Some(lease), ..Missed::new(Cause::Reset, Phase::Body, reason) }))
        }
    }
}

fn begun(frames: VecDeque<Frame<Bytes>>, rest: Incoming) -> Incoming {
    if frames.is_empty() { rest } else { Incoming::Begun(Box::new(Begun::new(frames, rest))) }
}

/// Whether an answer is to be held: it is wanted, breaks are retried (after the last try as well: 502 in order is
/// more than half of something), it says how long it is, and is short; those of gRPC are streams.
pub(super) fn is_held(job: &Job, response: &Response<Incoming>) -> bool {
    let status = response.status().as_u16();
    let retried =
        |retry: &Retry| retry.on.reset && (job.idempotent || retry.any_method) && !retry.on.statuses.contains(&status);
    if !job.retry().is_some_and(retried) {
        return false;
    }
    let headers = response.headers();
    let short = || response.body().size_hint().exact().is_some_and(|length| length <= MOST);
    let grpc =
        || headers.get(header::CONTENT_TYPE).is_some_and(|value| value.as_bytes().starts_with(b"application/grpc"));
    !response.status().is_informational()
        && headers.contains_key(header::CONTENT_LENGTH)
        && !response.body().is_end_stream()
        && short()
        && !grpc()
}
