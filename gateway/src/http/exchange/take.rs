//! A request whose body decides about it: its beginning is taken first, then it is judged on.
//!
//! The client has one deadline for all of it, however it sends: what decides is waited for, and nobody is asked in
//! the meantime. `100 Continue` is sent by hyper as soon as the body is asked for.

use super::head::Head;
use super::wait::Coming;
use super::{Exchange, Step};
use crate::http::body::{Arriving, Beginning, Prefix};
use crate::http::gate::{Link, Reason, forbidden_trailer};
use crate::http::judge::{Course, Need};
use crate::runtime::ticks::Timer;
use crate::runtime::worker::Current;
use crate::snapshot::Served;
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;

/// So long may a client take to send what is looked at, milliseconds.
const TAKE_MS: u64 = 10_000;

/// A request whose body is being taken.
pub(super) struct Taking {
    snapshot: Rc<Current>,
    served: Arc<Served>,
    head: Head,
    incoming: Arriving,
    link: Option<Rc<Link>>,
    course: Course,
    prefix: Box<Prefix>,
    need: Need,
}

impl Coming<'_> {
    /// Takes so much of the body. What is known to be too long is refused before any of it is read.
    pub(super) fn take(self, need: Need) -> Result<Box<Taking>, Reason> {
        let Self { snapshot, served, head, incoming, link, mut course } = self;
        let prefix = match std::mem::take(&mut course.body) {
            Beginning::Some(prefix) => prefix,
            Beginning::Untaken | Beginning::Nothing => Box::new(Prefix::new(incoming.size_hint().exact().is_some())),
        };
        if (prefix.len() as u64).saturating_add(incoming.size_hint().lower()) > need.limit {
            return Err(Reason::BodyTooLarge);
        }
        let (snapshot, served, link) = (Rc::clone(snapshot), Arc::clone(served), link.cloned());
        Ok(Box::new(Taking { snapshot, served, head, incoming, link, course, prefix, need }))
    }
}

impl Exchange {
    /// Takes the beginning of a body, and goes on with what is in it.
    pub(super) async fn take(&mut self, mut taking: Box<Taking>) -> Step {
        self.read = true;
        if let Err(reason) = self.taken(&mut taking).await {
            return Step::Done(self.refuse(reason));
        }
        let Taking { snapshot, served, head, incoming, link, mut course, prefix, .. } = *taking;
        course.body = Beginning::Some(prefix);
        self.judge_on(Coming { snapshot: &snapshot, served: &served, head, incoming, link: link.as_ref(), course })
    }

    async fn taken(&self, taking: &mut Taking) -> Result<(), Reason> {
        let Taking { incoming, link, prefix, need, .. } = taking;
        let ticks = &self.client.worker.ticks;
        let timer = Timer::after(ticks, TAKE_MS);
        let idle = need.idle_ms.map(|ms| (Timer::after(ticks, ms), ms));
        poll_fn(|cx| {
            while !prefix.ended && prefix.len() as u64 <= need.upto {
                let polled = incoming.poll_frame(cx);
                if let (Some((idle, ms)), true) = (&idle, polled.is_ready()) {
                    idle.set(*ms);
                }
                match polled {
                    Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                        Ok(data) => {
                            if (prefix.len() + data.len()) as u64 > need.limit {
                                return Poll::Ready(Err(Reason::BodyTooLarge));
                            }
                            if !prefix.add(&data) {
                                return Poll::Ready(Err(Reason::BodiesFull));
                            }
                        }
                        Err(frame) => {
                            let Ok(trailers) = frame.into_trailers() else { continue };
                            // On HTTP/1 the gate has seen to it.
                            if trailers.keys().any(|name| forbidden_trailer(name.as_str().as_bytes())) {
                                return Poll::Ready(Err(Reason::Trailer));
                            }
                            prefix.trailers = Some(trailers);
                            prefix.ended = true;
                        }
                    },
                    Poll::Ready(Some(Err(_))) => {
                        let refused = link.as_ref().and_then(|link| link.body_refused());
                        // Where the client left nobody reads the answer.
                        return Poll::Ready(Err(refused.unwrap_or(Reason::BodyBroken)));
                    }
                    Poll::Ready(None) => prefix.ended = true,
                    Poll::Pending => {
                        let silent = idle.as_ref().is_some_and(|(idle, _)| idle.poll(cx).is_ready());
                        let late = timer.poll(cx).is_ready();
                        return if silent || late { Poll::Ready(Err(Reason::BodyTimeout)) } else { Poll::Pending };
                    }
                }
                prefix.ended |= incoming.is_end_stream();
            }
            Poll::Ready(Ok(()))
        })
        .await
    }
}
