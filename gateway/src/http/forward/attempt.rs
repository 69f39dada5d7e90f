//! One try: a connection, the request on it, the head of the answer.

use super::Answered;
use super::failure::{Cause, Phase};
use super::job::{Deadline, Late};
use super::replay::Sending;
use crate::http::client::Client;
use crate::http::grpc;
use crate::upstream::{
    self, ConnectError, Connection, Held, Incoming, Lease, Outcome, PoolHandle, RetryCause, UnderWay, connect,
};
use http::Response;
use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;

/// Where a request is tried.
#[derive(Clone, Copy)]
pub(super) struct Where<'a> {
    pub(super) client: &'a Client,
    pub(super) pool: &'a Arc<PoolHandle>,
    pub(super) members: &'a Rc<Held>,
    /// The endpoint's place among the members.
    pub(super) index: usize,
    /// Whether an idle connection must not be used.
    pub(super) fresh: bool,
    /// Whether the request takes its connection with it.
    pub(super) alone: bool,
    /// Whether a copy of the request is kept in any case.
    pub(super) keep: bool,
    pub(super) deadline: &'a Deadline,
}

/// A try that came to nothing.
pub(super) struct Missed {
    pub(super) cause: Cause,
    pub(super) phase: Phase,
    pub(super) reason: String,
    /// Whether the connection had been used before.
    pub(super) reused: bool,
    /// Whether the endpoint cannot have acted on the request.
    pub(super) harmless: bool,
    /// Whether the endpoint only ended the connection before it came to the request.
    pub(super) not_begun: bool,
    /// Whether no time is left.
    pub(super) over: bool,
    /// What the endpoint is to be told of; nothing is held against it while this is here.
    pub(super) lease: Option<Lease>,
}

impl Missed {
    pub(super) fn new(cause: Cause, phase: Phase, reason: String) -> Self {
        Self { cause, phase, reason, reused: false, harmless: false, not_begun: false, over: false, lease: None }
    }

    fn late(late: Late, phase: Phase, what: &str) -> Self {
        let reason = format!("no {what} within {} ms", late.ms());
        let over = matches!(late, Late::Total(_));
        Self { over, ..Self::new(Cause::Timeout, phase, reason) }
    }

    /// What kind of retry would come after it.
    pub(super) fn retry_cause(&self) -> RetryCause {
        match (self.cause, self.phase) {
            (Cause::Refused, _) => RetryCause::Refused,
            (_, Phase::Connect | Phase::Tls) => RetryCause::Connect,
            (Cause::Timeout, _) => RetryCause::Timeout,
            (_, _) => RetryCause::Reset,
        }
    }
}

/// Tries once. What may be sent again is in `sending` afterwards.
///
/// # Errors
/// Why there is no answer.
pub(super) async fn attempt(at: &Where<'_>, sending: &mut Sending) -> Result<Answered, Box<Missed>> {
    let worker = &at.client.worker;
    let endpoint = at.members.endpoint(at.index);
    let under_way = UnderWay::begin(at.members, at.index);
    let idle = if at.fresh { None } else { worker.upstreams.take(at.pool, endpoint) };
    let reused = idle.is_some();
    let connection = match idle {
        Some(connection) => connection,
        // Rare beside requests, and large: it need not lie in each exchange's future.
        None => {
            let connecting = Box::pin(connected(at)).await;
            connecting.inspect_err(|missed| {
                // That the pool is full is no fault of the endpoint's.
                if missed.cause != Cause::Full && !(missed.over && at.deadline.hurried()) {
                    under_way.note(Outcome::Unreachable, worker.ticks.now_ms());
                }
            })?
        }
    };
    let mut lease = Lease::new(connection, under_way, Arc::clone(at.pool), Rc::clone(worker));
    let keep = at.keep || reused;
    // What the client waits for in all is less by what has passed.
    let passed = worker.ticks.now_ms().saturating_sub(at.deadline.started());
    let mut taken = || {
        let mut request = sending.take(keep);
        grpc::timeout::shorten(request.headers_mut(), passed);
        request
    };
    let sent = {
        let sent = pin!(lease.send(&mut taken));
        at.deadline.bound(sent).await
    };
    match sent {
        Ok(Ok(response)) => match unsound(&response) {
            None => {
                lease.answered(response.status(), response.headers());
                Ok((response, lease))
            }
            Some(why) => {
                let missed = Missed::new(Cause::Garbage, Phase::Head, why.to_owned());
                Err(Box::new(Missed { lease: Some(lease), ..missed }))
            }
        },
        Ok(Err(unanswered)) => {
            let not_begun = unanswered.cause == upstream::Cause::NotBegun;
            let harmless = unanswered.unsent.is_some() || not_begun || unanswered.cause == upstream::Cause::Refused;
            if let Some(unsent) = unanswered.unsent {
                sending.put_back(unsent);
            }
            let cause = match unanswered.cause {
                upstream::Cause::Reset => Cause::Reset,
                upstream::Cause::Refused | upstream::Cause::NotBegun => Cause::Refused,
                upstream::Cause::Garbage => Cause::Garbage,
            };
            let phase = if harmless { Phase::Send } else { Phase::Head };
            let missed = Missed::new(cause, phase, unanswered.reason);
            // A connection that lives was no stale one: whether to ask again is for `retry` to say.
            let reused = reused && !unanswered.given_up;
            Err(Box::new(Missed { reused, harmless, not_begun, lease: Some(lease), ..missed }))
        }
        Err(late) => Err(Box::new(Missed { lease: Some(lease), ..Missed::late(late, Phase::Head, "answer") })),
    }
}

async fn connected(at: &Where<'_>) -> Result<Connection, Box<Missed>> {
    let connecting = pin!(connect(at.client, at.pool, at.members.endpoint(at.index), at.alone));
    match at.deadline.bound(connecting).await {
        Ok(connected) => connected.map_err(|e| Box::new(unconnected(&e))),
        // It waited for room under the pool's own limit.
        Err(late) if at.pool.shared().limit().is_out_of_connections() => {
            let missed = Missed { cause: Cause::Full, ..Missed::late(late, Phase::Queue, "room for a connection") };
            Err(Box::new(Missed { harmless: true, ..missed }))
        }
        Err(late) => {
            let missed = Missed::late(late, Phase::Connect, "connection");
            Err(Box::new(Missed { harmless: true, ..missed }))
        }
    }
}

/// What is wrong with the framing of an answer.
fn unsound(response: &Response<Incoming>) -> Option<&'static str> {
    let headers = response.headers();
    // RFC 9112 section 6.1: response splitting. hyper would take the one and pass on the other.
    (headers.contains_key(TRANSFER_ENCODING) && headers.contains_key(CONTENT_LENGTH))
        .then_some("framed an answer in two ways (Content-Length and Transfer-Encoding)")
}

fn unconnected(e: &ConnectError) -> Missed {
    let (cause, phase) = match e {
        ConnectError::Refused(_) => (Cause::Unreachable, Phase::Connect),
        ConnectError::Timeout(_) => (Cause::Timeout, Phase::Connect),
        ConnectError::Tls(_) => (Cause::Tls, Phase::Tls),
        ConnectError::Protocol(_) => (Cause::Garbage, Phase::Connect),
        ConnectError::Full(_) => (Cause::Full, Phase::Queue),
    };
    Missed { harmless: true, ..Missed::new(cause, phase, e.to_string()) }
}
