//! One request to a pool: connect, send, wait for the head of the answer.

use super::body::{Broken, RequestBody, Upload, describe};
use crate::runtime::ticks::Timer;
use crate::runtime::worker::Worker;
use crate::upstream::{ConnectError, Lease, PoolHandle, Tried, connect};
use http::{HeaderMap, Method, Request, Response, Uri, Version};
use hyper::body::Incoming;
use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// No endpoint could be reached, or the one that was broke off before it answered: 502.
    Unreachable,
    /// No answer in time: 504.
    Timeout,
    /// The client's fault: its body broke off.
    Client(Broken),
}

/// An answer's head, and the connection that its body comes by.
pub type Answered = (Response<Incoming>, Lease);

/// Sends a request to a pool. Its timeouts run from when the request has been passed on.
///
/// # Errors
/// Why there is no answer.
pub async fn forward(
    worker: &Rc<Worker>,
    pool: &Arc<PoolHandle>,
    timeout_ms: u64,
    mut request: Request<RequestBody>,
    upload: Option<&Rc<Upload>>,
) -> Result<Answered, Failure> {
    let mut tried = Tried::default();
    let mut last = Failure::Unreachable;
    // An idle connection that turns out to be dead says nothing about its endpoint: the request
    // goes to a fresh one.
    let mut fresh = false;
    let mut same: Option<usize> = None;
    loop {
        let now = worker.ticks.now_ms();
        let next = match same.take() {
            Some(index) => Some((index, &pool.endpoints()[index])),
            None => worker.upstreams.next(pool, tried, now),
        };
        let Some((index, endpoint)) = next else { return Err(last) };
        let idle = if fresh { None } else { worker.upstreams.take(endpoint) };
        let reused = idle.is_some();
        let connection = match idle {
            Some(connection) => connection,
            None => {
                // Rare beside requests, and large: it need not lie in each request's future.
                match Box::pin(connect(&worker.upstreams, &worker.ticks, pool, endpoint)).await {
                    Ok(connection) => connection,
                    Err(e) => {
                        tried.add(index);
                        let now = worker.ticks.now_ms();
                        worker.upstreams.failed(pool, index, now);
                        endpoint.failed(pool, now, &worker.notices, &e.to_string());
                        last = match e {
                            ConnectError::Name(_) | ConnectError::Refused(_) => Failure::Unreachable,
                            ConnectError::Timeout(_) => Failure::Timeout,
                        };
                        continue;
                    }
                }
            }
        };
        let replay = if reused { Replay::of(&request) } else { None };
        let lease = Lease::new(connection, Arc::clone(pool), Rc::clone(worker));
        match send(lease, timeout_ms, request, upload).await {
            Sent::Answered(answered) => return Ok(answered),
            Sent::Refused(Some(back), _) if reused => {
                request = *back;
                fresh = true;
                same = Some(index);
            }
            Sent::Refused(None, _) if reused && replay.is_some() => {
                // Checked right above.
                let Some(replay) = replay else { return Err(Failure::Unreachable) };
                request = replay.request();
                fresh = true;
                same = Some(index);
            }
            Sent::Refused(back, reason) => {
                if let Some(broken) = upload.and_then(|u| u.broken()) {
                    return Err(Failure::Client(broken));
                }
                let now = worker.ticks.now_ms();
                endpoint.failed(pool, now, &worker.notices, &reason);
                match back {
                    // Nothing of it was sent: another endpoint may have it.
                    Some(back) => {
                        request = *back;
                        tried.add(index);
                        worker.upstreams.failed(pool, index, now);
                    }
                    None => return Err(Failure::Unreachable),
                }
            }
            Sent::Timeout => return Err(Failure::Timeout),
        }
    }
}

/// What became of a request.
enum Sent {
    Answered(Answered),
    /// The connection broke: the request if nothing of it was sent, and what happened.
    Refused(Option<Box<Request<RequestBody>>>, String),
    Timeout,
}

async fn send(mut lease: Lease, timeout_ms: u64, request: Request<RequestBody>, upload: Option<&Rc<Upload>>) -> Sent {
    let timer = Timer::after(lease.ticks(), timeout_ms);
    let answered = {
        let mut sending = pin!(lease.sender().try_send_request(request));
        poll_fn(|cx| {
            if let Poll::Ready(done) = sending.as_mut().poll(cx) {
                return Poll::Ready(Some(done));
            }
            while timer.poll(cx).is_ready() {
                match upload.map(|u| u.still_for()) {
                    // The client is waited for, which its body's own deadline ends.
                    Some(None) => timer.set(1_000),
                    // The request is still being taken, or was until just now.
                    Some(Some(still)) if still < timeout_ms => timer.set(timeout_ms - still),
                    Some(Some(_)) | None => return Poll::Ready(None),
                }
            }
            Poll::Pending
        })
        .await
    };
    match answered {
        Some(Ok(response)) => {
            lease.answered();
            Sent::Answered((response, lease))
        }
        Some(Err(mut e)) => {
            let back = e.take_message().map(Box::new);
            let error = e.into_error();
            let reason = if error.is_incomplete_message() {
                "closed the connection without an answer".to_owned()
            } else {
                format!("broke off before it answered ({})", describe(&error))
            };
            Sent::Refused(back, reason)
        }
        None => {
            lease.died(&format!("no answer within {timeout_ms} ms"));
            Sent::Timeout
        }
    }
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
