//! One request to a pool: connect, send, wait for the head of the answer.

use super::body::{Broken, RequestBody, Upload};
use super::client::Client;
use crate::runtime::ticks::Timer;
use crate::runtime::worker::Worker;
use crate::upstream::{ConnectError, Incoming, Lease, Members, Outcome, PoolHandle, Spot, Tried, UnderWay, connect};
use http::{HeaderMap, Method, Request, Response, Uri, Version};
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// No endpoint is up, by the pool's check: 503.
    NoEndpoint,
    /// No endpoint could be reached, or the one that was broke off before it answered: 502.
    Unreachable,
    /// No answer in time: 504.
    Timeout,
    /// The client's fault: its body broke off.
    Client(Broken),
}

/// An answer's head, and the connection that its body comes by.
pub type Answered = (Response<Incoming>, Lease);

/// A request on its way to a pool. It lies in the future of its exchange, once: futures are moved
/// and kept for as long as a connection lives, so they are kept small.
pub struct Job {
    /// What is sent; gone once it was.
    pub request: Option<Request<RequestBody>>,
    /// To whom.
    pub pool: Arc<PoolHandle>,
    /// Where it lies in the pool's table, if the pool has one.
    pub spot: Option<Spot>,
    /// Until the head of the answer, from when the request has been passed on.
    pub timeout_ms: u64,
    /// Between two pieces of the answer.
    pub idle_ms: u64,
    /// What is known of the request's body, when it has one.
    pub upload: Option<Rc<Upload>>,
    /// It asks for WebSocket, on which nothing may then happen for so long, milliseconds.
    pub switch_idle_ms: Option<u64>,
    /// The request once more, where it may be sent twice.
    replay: Option<Replay>,
}

impl Job {
    /// A request for a pool.
    #[must_use]
    pub fn new(
        request: Request<RequestBody>,
        pool: Arc<PoolHandle>,
        spot: Option<Spot>,
        timeout_ms: u64,
        idle_ms: u64,
        upload: Option<Rc<Upload>>,
    ) -> Self {
        Self { request: Some(request), pool, spot, timeout_ms, idle_ms, upload, switch_idle_ms: None, replay: None }
    }
}

/// Sends a request to its pool.
///
/// # Errors
/// Why there is no answer.
pub async fn forward(client: &Rc<Client>, job: &mut Job) -> Result<Answered, Failure> {
    let worker = &client.worker;
    let members = worker.upstreams.members(&job.pool);
    let mut tried = Tried::default();
    let mut last = Failure::Unreachable;
    // An idle connection that turns out to be dead says nothing about its endpoint: the request
    // goes to a fresh one, to the same endpoint.
    let mut again: Option<usize> = None;
    loop {
        let now = worker.ticks.now_ms();
        let fresh = again.is_some();
        let index = match again.take() {
            Some(index) => Some(index),
            None => worker.upstreams.choose(&members, job.spot, tried, now),
        };
        let Some(index) = index else {
            let nobody = tried == Tried::default();
            return Err(if nobody { Failure::NoEndpoint } else { last });
        };
        let under_way = UnderWay::begin(&members, index);
        // A handshake for WebSocket is not sent twice, so it is not sent on a connection that may be dead.
        let idle = if fresh || job.switch_idle_ms.is_some() {
            None
        } else {
            worker.upstreams.take(&job.pool, members.endpoint(index))
        };
        let reused = idle.is_some();
        let connection = match idle {
            Some(connection) => connection,
            // Rare beside requests, and large: it need not lie in each exchange's future.
            None => match Box::pin(connect(client, &job.pool, members.endpoint(index))).await {
                Ok(connection) => connection,
                Err(e) => {
                    tried.add(index);
                    under_way.note(Outcome::Unreachable, now);
                    rests(worker, job, &members, index, &e.to_string());
                    last = match e {
                        ConnectError::Name(_) | ConnectError::Refused(_) | ConnectError::Tls(_) => Failure::Unreachable,
                        ConnectError::Timeout(_) => Failure::Timeout,
                    };
                    continue;
                }
            },
        };
        job.replay = if reused { job.request.as_ref().and_then(Replay::of) } else { None };
        let mut lease = Lease::new(connection, under_way, Arc::clone(&job.pool), Rc::clone(worker));
        let answered = {
            let mut sending = pin!(match job.request.take() {
                Some(request) => lease.send(request),
                None => return Err(Failure::Unreachable),
            });
            let timer = Timer::after(&worker.ticks, job.timeout_ms);
            poll_fn(|cx| answer(sending.as_mut(), &timer, job, cx)).await
        };
        let unanswered = match answered {
            Some(Ok(response)) => {
                lease.answered(response.status());
                return Ok((response, lease));
            }
            Some(Err(unanswered)) => unanswered,
            None => {
                lease.died(Outcome::Late, &format!("no answer within {} ms", job.timeout_ms));
                return Err(Failure::Timeout);
            }
        };
        if let Some(broken) = job.upload.as_ref().and_then(|u| u.broken()) {
            return Err(Failure::Client(broken));
        }
        // Nothing of it was sent, or it does no harm to send it twice.
        let replayed = if reused { job.replay.take().map(Replay::request) } else { None };
        job.request = unanswered.unsent.or(replayed);
        if reused && job.request.is_some() {
            again = Some(index);
            continue;
        }
        lease.failed(unanswered.cause.into());
        rests(worker, job, &members, index, &unanswered.reason);
        if job.request.is_none() {
            return Err(Failure::Unreachable);
        }
        tried.add(index);
    }
}

/// An endpoint failed: it is told, and asked last for a while.
fn rests(worker: &Worker, job: &Job, members: &Members, index: usize, reason: &str) {
    let now = worker.ticks.now_ms();
    worker.upstreams.failed(members, index, now);
    members.endpoint(index).failed(&job.pool, now, &worker.notices, reason);
}

/// Waits for the head of an answer. `None` when it did not come in time.
fn answer<F: Future>(sending: Pin<&mut F>, timer: &Timer, job: &Job, cx: &mut Context<'_>) -> Poll<Option<F::Output>> {
    if let Poll::Ready(done) = sending.poll(cx) {
        return Poll::Ready(Some(done));
    }
    while timer.poll(cx).is_ready() {
        match job.upload.as_ref().map(|u| u.still_for()) {
            // The client is waited for, which its body's own deadline ends.
            Some(None) => timer.set(1_000),
            // The request is still being taken, or was until just now.
            Some(Some(still)) if still < job.timeout_ms => timer.set(job.timeout_ms - still),
            Some(Some(_)) | None => return Poll::Ready(None),
        }
    }
    Poll::Pending
}

/// What it takes to send a request once more. Only what is idempotent and has no body is: of anything
/// else an origin may have acted on the first copy.
struct Replay {
    method: Method,
    uri: Uri,
    headers: HeaderMap,
}

impl Replay {
    fn of(request: &Request<RequestBody>) -> Option<Self> {
        let bodyless = matches!(request.body(), RequestBody::Empty);
        (bodyless && request.method().is_idempotent()).then(|| Self {
            method: request.method().clone(),
            uri: request.uri().clone(),
            headers: request.headers().clone(),
        })
    }

    fn request(self) -> Request<RequestBody> {
        let mut request = Request::new(RequestBody::Empty);
        *request.method_mut() = self.method;
        *request.uri_mut() = self.uri;
        *request.version_mut() = Version::HTTP_11;
        *request.headers_mut() = self.headers;
        request
    }
}
