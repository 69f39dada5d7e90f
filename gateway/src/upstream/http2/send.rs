//! A request on a stream.

use super::body::Incoming;
use super::pump::Pump;
use super::shared::Slot;
use super::{faults, head};
use crate::http::body::RequestBody;
use crate::upstream::sending::{Cause, Unanswered};
use http::header::CONTENT_LENGTH;
use http::{HeaderMap, Method, Request, Response, StatusCode, Uri};
use std::future::poll_fn;
use std::pin::Pin;

/// A request's head, to be sent again.
struct Kept {
    method: Method,
    uri: Uri,
    headers: HeaderMap,
}

/// Sends a request, and waits for the head of its answer. Given up, it resets the stream (CANCEL).
///
/// # Errors
/// Why there is no answer; the request itself where the endpoint has not acted on it and all of it is
/// still there.
pub(in crate::upstream) async fn send(
    slot: &Slot,
    request: Request<RequestBody>,
) -> Result<Response<Incoming>, Unanswered> {
    let (parts, body) = request.into_parts();
    // Whoever sends on a connection that was used before keeps a copy of what has no body.
    let kept = (slot.fresh || !matches!(body, RequestBody::Empty)).then(|| Kept {
        method: parts.method.clone(),
        uri: parts.uri.clone(),
        headers: parts.headers.clone(),
    });
    let is_head = parts.method == Method::HEAD;
    let Some(request) = head::outgoing(&slot.shared, parts.method, &parts.uri, parts.headers) else {
        let reason = "the `Host` for it is none that HTTP/2 can carry".to_owned();
        return Err(Unanswered { unsent: None, cause: Cause::Garbage, reason, given_up: false });
    };
    // Not `is_end_stream` alone: a body that has ended may have trailers.
    let bodiless = matches!(body, RequestBody::Empty);
    let opened = slot.shared.handle().send_request(request, bodiless);
    let (mut answer, stream) = match opened {
        Ok(opened) => opened,
        Err(e) => {
            // Nothing was sent, whatever the reason.
            let (cause, reason) = faults::stream(&e);
            let cause = if cause == Cause::NotBegun { cause } else { Cause::Refused };
            return Err(Unanswered { unsent: kept.map(|kept| kept.with(body)), cause, reason, given_up: false });
        }
    };
    let mut pump = (!bodiless).then(|| Pump::new(body, stream));
    let answered = poll_fn(|cx| {
        if let Some(pump) = &mut pump {
            let _ = pump.poll(cx);
        }
        Pin::new(&mut answer).poll(cx)
    })
    .await;
    match answered {
        Ok(response) => {
            slot.answered();
            let (parts, stream) = response.into_parts();
            let left = if is_head || parts.status == StatusCode::NOT_MODIFIED { None } else { length(&parts.headers) };
            // Where the answer is over, nobody waits for the rest of the request.
            let rest = pump.filter(|pump| !pump.is_done() && !stream.is_end_stream()).map(Pump::leave);
            Ok(Response::from_parts(parts, Incoming::new(stream, left, rest)))
        }
        Err(e) => {
            let (cause, reason) = faults::stream(&e);
            let unsent = match (cause, kept) {
                (Cause::Refused | Cause::NotBegun, Some(kept)) => match pump {
                    None => Some(kept.with(RequestBody::Empty)),
                    Some(pump) => pump.rewound().map(|body| kept.with(body)),
                },
                (Cause::Refused | Cause::NotBegun | Cause::Reset | Cause::Garbage, _) => None,
            };
            // What it refused it did not act on, which is another matter.
            let given_up = e.is_reset() && cause != Cause::Refused;
            Err(Unanswered { unsent, cause, reason, given_up })
        }
    }
}

fn length(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

impl Kept {
    fn with(self, body: RequestBody) -> Request<RequestBody> {
        let mut request = Request::new(body);
        *request.method_mut() = self.method;
        *request.uri_mut() = self.uri;
        *request.headers_mut() = self.headers;
        request
    }
}
