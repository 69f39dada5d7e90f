//! A request on its way to a pool, and how long it may take.

use super::failure::{About, Failure};
use super::replay::Sending;
use crate::http::body::{RequestBody, Upload};
use crate::http::exchange::Brought;
use crate::http::grpc::{self, Web};
use crate::runtime::ticks::{Ticks, Timer};
use crate::upstream::{PoolHandle, RequestPermit, Spot};
use dsl::tree::ir;
use http::header::TE;
use http::{Method, Request};
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};

/// Until the head of an origin's answer.
const TIMEOUT_MS: u64 = 30_000;
/// What share of a pool's requests may be sent once more where no `retry` says it, in percent.
const BUDGET: u8 = 20;
/// Between two pieces of an origin's answer.
const IDLE_MS: u64 = 60_000;

/// A request on its way to a pool. It lies in the future of its exchange, once: futures are moved
/// and kept for as long as a connection lives, so they are kept small.
pub struct Job {
    /// What is sent.
    pub sending: Sending,
    /// To whom.
    pub pool: Arc<PoolHandle>,
    /// Where it lies in the pool's table, if the pool has one.
    pub(super) spot: Option<Spot>,
    /// Until the head of the answer, over all tries, milliseconds.
    pub timeout_ms: u64,
    /// Between two pieces of the answer.
    pub idle_ms: u64,
    /// What is known of the request's body, when it has one.
    pub upload: Option<Rc<Upload>>,
    /// What the request is known by to people.
    pub about: Rc<About>,
    /// Whether its client gives it less time than the pool would: what is late then is no slow endpoint.
    pub(super) hurried: bool,
    /// Whether it is a call of gRPC whose client takes trailers, which tell how it ended in any case.
    pub calls: bool,
    /// How often it was tried.
    pub attempt: u32,
    /// Whether doing it twice is as good as doing it once (RFC 9110 section 9.2.2).
    pub(super) idempotent: bool,
    /// What most requests do not have.
    rare: Option<Box<Rare>>,
}

#[derive(Default)]
struct Rare {
    /// The route's own `retry`; the pool's without one.
    retry: Option<ir::Retry>,
    /// The route's own `hedge`; the pool's without one.
    hedge: Option<ir::Hedge>,
    /// It asks for WebSocket, on which nothing may then happen for so long, milliseconds.
    switch_idle_ms: Option<u64>,
    /// The client speaks gRPC-Web.
    web: Option<Web>,
    /// The pool is sticky, and the visitor brought this.
    brought: Option<Brought>,
    /// It counts against the pool's `limit`.
    permit: Option<RequestPermit>,
}

/// How long a request may take by the settings of its plan and of its pool, milliseconds: until the head of
/// the answer over all tries, and between two pieces of it.
#[must_use]
pub fn bounds(settings: &ir::Settings, pool: &ir::Pool, idempotent: bool) -> (u64, u64) {
    let timeout = settings.timeout_ms.or(pool.timeout_ms).unwrap_or(TIMEOUT_MS);
    let retry = settings.retry.as_ref().or(pool.retry.as_ref()).filter(|retry| retry.times > 0);
    // What is never tried again has the whole of its time.
    let retry = retry.filter(|retry| idempotent || retry.any_method);
    let within = retry.and_then(|retry| retry.within_ms).unwrap_or(u64::MAX);
    (timeout.min(within), settings.idle_ms.or(pool.idle_ms).unwrap_or(IDLE_MS))
}

/// Whether a pool can carry calls of gRPC: it speaks HTTP/2, or may.
#[must_use]
pub fn carries_calls(pool: &ir::Pool) -> bool {
    match pool.protocol {
        ir::Protocol::H1 => false,
        ir::Protocol::Auto => pool.tls.is_some(),
        ir::Protocol::H2 | ir::Protocol::H2c | ir::Protocol::Grpc => true,
    }
}

impl Job {
    /// A request for a pool, by the settings of its plan and of the pool.
    #[must_use]
    pub fn new(
        request: Request<RequestBody>,
        pool: Arc<PoolHandle>,
        spot: Option<Spot>,
        settings: &ir::Settings,
        upload: Option<Rc<Upload>>,
        about: Rc<About>,
    ) -> Self {
        let said = pool.pool();
        let idempotent = request.method().is_idempotent();
        let (mut timeout_ms, mut idle_ms) = bounds(settings, said, idempotent);
        let (mut hurried, mut calls) = (false, false);
        if *request.method() == Method::POST && grpc::is_grpc(request.headers()) {
            if settings.idle_ms.or(said.idle_ms).is_none() && carries_calls(said) {
                idle_ms = grpc::IDLE_MS;
            }
            let called = grpc::timeout::of(request.headers()).unwrap_or(u64::MAX);
            hurried = called < timeout_ms;
            calls = request.headers().contains_key(TE);
            timeout_ms = timeout_ms.min(called);
        }
        let mut keep = 0;
        if let Some(retry) = settings.retry.as_ref().or(said.retry.as_ref()).filter(|retry| retry.times > 0)
            && (idempotent || retry.any_method)
        {
            keep = retry.body_bytes;
        }
        let own = settings.retry.is_some() || settings.hedge.is_some();
        let rare =
            own.then(|| Box::new(Rare { retry: settings.retry.clone(), hedge: settings.hedge, ..Rare::default() }));
        let sending = Sending::new(request, keep);
        Self { sending, pool, spot, timeout_ms, idle_ms, upload, about, hurried, calls, attempt: 0, idempotent, rare }
    }

    /// The client speaks gRPC-Web, the endpoint gRPC.
    pub fn speaks(&mut self, web: Web) {
        self.rare.get_or_insert_default().web = Some(web);
        self.calls = true;
    }

    /// How the client speaks gRPC-Web, if it does.
    #[must_use]
    pub fn web(&self) -> Option<Web> {
        self.rare.as_ref()?.web
    }

    /// It asks for WebSocket, on which nothing may then happen for so long, milliseconds.
    pub fn switches(&mut self, idle_ms: u64) {
        self.rare.get_or_insert_default().switch_idle_ms = Some(idle_ms);
        // What it leads to is done once.
        self.idempotent = false;
    }

    /// It is a copy of another request: it is sent once.
    pub(super) fn is_copy(&mut self) {
        self.idempotent = false;
    }

    /// The visitor of a sticky pool brought this.
    pub fn brings(&mut self, brought: Option<Brought>) {
        if brought.is_some() {
            self.rare.get_or_insert_default().brought = brought;
        }
    }

    /// What the visitor brought, where the pool is sticky.
    #[must_use]
    pub fn brought(&self) -> Option<Brought> {
        self.rare.as_ref()?.brought
    }

    /// For how long nothing may happen on it, where it asks for WebSocket, milliseconds.
    #[must_use]
    pub fn switch_idle_ms(&self) -> Option<u64> {
        self.rare.as_ref()?.switch_idle_ms
    }

    /// What is to be tried again, and when; the route's own word comes first.
    pub(super) fn retry(&self) -> Option<&ir::Retry> {
        let own = self.rare.as_ref().and_then(|rare| rare.retry.as_ref());
        own.or(self.pool.pool().retry.as_ref()).filter(|retry| retry.times > 0)
    }

    /// When a second endpoint is asked too, for requests that may be sent twice at once; the route's own word
    /// comes first.
    pub(super) fn hedge(&self) -> Option<ir::Hedge> {
        let own = self.rare.as_ref().and_then(|rare| rare.hedge);
        own.or(self.pool.pool().hedge).filter(|_| self.idempotent && self.upload.is_none())
    }

    /// What share of the pool's requests may be sent once more, in percent.
    pub(super) fn budget(&self) -> u8 {
        self.retry().map_or(BUDGET, |retry| retry.budget)
    }

    /// It counts against the pool's `limit` from now on.
    pub(super) fn hold(&mut self, permit: RequestPermit) {
        self.rare.get_or_insert_default().permit = Some(permit);
    }

    /// What it counts by goes on with its answer.
    pub fn let_go(&mut self) -> Option<RequestPermit> {
        self.rare.as_mut()?.permit.take()
    }

    /// The client's fault, if it is one.
    pub(super) fn broken(&self) -> Option<Box<Failure>> {
        use super::failure::{Cause, Phase};
        let broken = self.upload.as_ref()?.broken()?;
        let failure = Failure::before(Cause::Client(broken), Phase::Send, "the client's body broke off");
        Some(Box::new(Failure { attempt: self.attempt, ..*failure }))
    }
}

/// When a request is given up: looked at by each try.
pub(super) struct Deadline {
    started: u64,
    total: Timer,
    timeout_ms: u64,
    /// Of one try, where there is one.
    each: Option<(u64, Timer)>,
    /// While the client's body is on its way, the time has not begun.
    upload: Option<Rc<Upload>>,
    hurried: bool,
}

/// Something took too long: so many milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Late {
    /// A try.
    Each(u64),
    /// The whole.
    Total(u64),
}

impl Deadline {
    /// Since when, by the worker's ticks.
    pub(super) fn started(&self) -> u64 {
        self.started
    }

    /// Whether the client set the whole of it, below what the pool would wait.
    pub(super) fn hurried(&self) -> bool {
        self.hurried
    }

    /// From now on.
    pub(super) fn new(ticks: &Rc<Ticks>, job: &Job) -> Self {
        let again = job.retry().filter(|retry| job.idempotent || retry.any_method);
        let each = again.and_then(|retry| retry.each_ms).map(|ms| (ms, Timer::new(ticks)));
        Self {
            started: ticks.now_ms(),
            total: Timer::after(ticks, job.timeout_ms),
            timeout_ms: job.timeout_ms,
            each,
            // Who says how long a call may take counts its own pauses too.
            upload: if job.hurried { None } else { job.upload.clone() },
            hurried: job.hurried,
        }
    }

    /// A try begins.
    pub(super) fn begin(&self) {
        if let Some((ms, timer)) = &self.each {
            timer.set(*ms);
        }
    }

    /// How much time is left.
    pub(super) fn left(&self, now: u64) -> u64 {
        let since = self.upload.as_ref().map_or(u64::MAX, |upload| upload.still_for().unwrap_or(0));
        self.timeout_ms.saturating_sub(since.min(now.saturating_sub(self.started)))
    }

    /// Waits for something, but not for longer than it may take.
    pub(super) async fn bound<F: Future>(&self, mut future: Pin<&mut F>) -> Result<F::Output, Late> {
        poll_fn(|cx| {
            if let Poll::Ready(done) = future.as_mut().poll(cx) {
                return Poll::Ready(Ok(done));
            }
            if let Some((ms, timer)) = &self.each
                && self.over(timer, *ms, cx)
            {
                return Poll::Ready(Err(Late::Each(*ms)));
            }
            if self.over(&self.total, self.timeout_ms, cx) {
                return Poll::Ready(Err(Late::Total(self.timeout_ms)));
            }
            Poll::Pending
        })
        .await
    }

    /// Whether a deadline is over; it is moved while the request's body is still on its way.
    fn over(&self, timer: &Timer, allowed: u64, cx: &Context<'_>) -> bool {
        while timer.poll(cx).is_ready() {
            match self.upload.as_ref().map(|upload| upload.still_for()) {
                // The client is waited for, which its body's own deadline ends.
                Some(None) => timer.set(1_000),
                // The request is still being taken, or was until just now.
                Some(Some(still)) if still < allowed => timer.set(allowed - still),
                Some(Some(_)) | None => return true,
            }
        }
        false
    }
}

impl Late {
    /// How long it was waited for, milliseconds.
    pub(super) fn ms(self) -> u64 {
        match self {
            Self::Each(ms) | Self::Total(ms) => ms,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dsl::syntax::span::Loc;

    #[test]
    fn the_bounds_of_tries_are_of_what_may_be_tried_again() {
        let mut pool = ir::Pool::new("p".into(), Vec::new(), Loc::default());
        pool.timeout_ms = Some(5_000);
        let retry = ir::Retry {
            times: 2,
            on: ir::RetryOn::default(),
            within_ms: Some(1_000),
            each_ms: None,
            budget: 20,
            body_bytes: 0,
            any_method: false,
        };
        pool.retry = Some(retry.clone());
        let settings = ir::Settings::default();
        assert_eq!(bounds(&settings, &pool, true).0, 1_000);
        assert_eq!(bounds(&settings, &pool, false).0, 5_000, "a POST that is never sent again has its time");
        pool.retry = Some(ir::Retry { any_method: true, ..retry });
        assert_eq!(bounds(&settings, &pool, false).0, 1_000);
    }
}
