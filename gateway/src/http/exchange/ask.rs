//! Requests that an origin answers, and what replaces its failures.

use super::head::{Head, respelled};
use super::host::find;
use super::own::read;
use super::{Exchange, Step};
use crate::answer;
use crate::http::body::{Broken, Content, OriginBody, RequestBody, Upload};
use crate::http::client::Client;
use crate::http::forward::{Failure, Job, forward};
use crate::http::gate::Reason;
use crate::http::headers::{self, Edit};
use crate::http::judge::{Prepared, prepare};
use crate::http::upgrade::{self, Switched};
use crate::runtime::worker::Current;
use crate::upstream::{Incoming, Lease, Outcome, PoolHandle, Spot};
use dsl::tree::ir::{PlanIdx, Settings};
use http::header::{CONNECTION, CONTENT_LENGTH, HOST, HeaderValue, TE, TRANSFER_ENCODING};
use http::uri::{PathAndQuery, Uri};
use http::{Request, Response, StatusCode, Version};
use std::rc::Rc;
use std::sync::Arc;

/// Until the head of an origin's answer.
const TIMEOUT_MS: u64 = 30_000;
/// Between two pieces of an origin's answer.
const IDLE_MS: u64 = 60_000;

/// An origin to be asked.
pub(super) struct Ask {
    pub(super) job: Job,
    pub(super) answer_edits: Vec<Edit>,
    pub(super) caught: Option<Box<Caught>>,
}

/// What a catch needs, kept while the request itself is away.
pub(super) struct Caught {
    pub(super) snapshot: Rc<Current>,
    pub(super) plan: PlanIdx,
    pub(super) head: Head,
    pub(super) host: String,
    pub(super) path: String,
}

impl Exchange {
    /// Asks a pool.
    pub(super) async fn ask(&mut self, job: &mut Job) -> Result<Response<Content>, Failure> {
        let (response, lease) = forward(&self.client, job).await?;
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            return Box::pin(self.switch(job, response, lease)).await;
        }
        let (mut parts, incoming) = response.into_parts();
        if parts.headers.contains_key(TRANSFER_ENCODING) && parts.headers.contains_key(CONTENT_LENGTH) {
            // RFC 9112 section 6.1: response splitting. hyper would take the one and pass on the other.
            lease.died(Outcome::Garbage, "framed an answer in two ways (Content-Length and Transfer-Encoding)");
            return Err(Failure::Unreachable);
        }
        headers::remove_answer_hops(&mut parts.headers);
        parts.version = Version::HTTP_11;
        let body = OriginBody::new(incoming, lease, job.idle_ms);
        let content = if body.is_empty() { Content::Empty } else { Content::Origin(body) };
        Ok(Response::from_parts(parts, content))
    }

    /// The origin agrees to another protocol.
    async fn switch(
        &mut self,
        job: &Job,
        mut response: Response<Incoming>,
        lease: Lease,
    ) -> Result<Response<Content>, Failure> {
        let Some(idle_ms) = job.switch_idle_ms else {
            lease.died(Outcome::Garbage, "switched protocols without being asked to");
            return Err(Failure::Unreachable);
        };
        if !upgrade::is_agreed(response.headers()) {
            lease.died(Outcome::Garbage, "switched to another protocol than WebSocket");
            return Err(Failure::Unreachable);
        }
        self.switched = Switched::of(&mut response, lease, idle_ms).await;
        if self.switched.is_none() {
            return Err(Failure::Unreachable);
        }
        let mut answer = Response::new(Content::Empty);
        *answer.status_mut() = response.status();
        std::mem::swap(answer.headers_mut(), response.headers_mut());
        headers::remove_answer_hops(answer.headers_mut());
        upgrade::agree(answer.headers_mut());
        Ok(answer)
    }

    /// Answers in place of an origin that failed: once, whatever comes of it.
    pub(super) async fn catch(
        &mut self,
        result: Result<Response<Content>, Failure>,
        caught: Box<Caught>,
    ) -> Response<Content> {
        let status = match &result {
            Ok(response) => response.status().as_u16(),
            Err(Failure::NoEndpoint) => 503,
            Err(Failure::Unreachable) => 502,
            Err(Failure::Timeout) => 504,
            Err(Failure::Client(_)) => 0,
        };
        match self.instead(status, caught) {
            // What the origin sent is dropped, and its connection with it.
            Some(Ok(Step::Ask(mut ask))) => {
                let result = self.ask(&mut ask.job).await;
                result.unwrap_or_else(|failure| self.failed(failure))
            }
            Some(Ok(Step::Own(mut own))) => read(&self.client, &mut own).await,
            Some(Ok(Step::Done(response))) => response,
            Some(Ok(Step::Gone)) => answer::deny(502),
            Some(Err(reason)) => self.refuse(reason),
            None => result.unwrap_or_else(|failure| self.failed(failure)),
        }
    }

    /// What a plan has for a status of its upstream.
    pub(super) fn instead(&mut self, status: u16, caught: Box<Caught>) -> Option<Result<Step, Reason>> {
        let Caught { snapshot, plan, mut head, host, path } = *caught;
        let served = find(&snapshot, &host).ok()?;
        let plan = served.program.site().plans.get(plan.0 as usize)?;
        let catch = dsl::tree::judge::catch(plan, status)?;
        let prepared = {
            let received = head.received(&self.client, &host, &path);
            prepare(&catch.answer, served, &received, &self.client.worker)
        };
        let Prepared::Proxy { pool, spot, target, host } = prepared else {
            return Some(self.own(prepared, served, head.method, head.headers));
        };
        // LANGUAGE rule 19: another pool needs the request once more, which only one without a body is.
        if self.upload.is_some() {
            let why = "the origin failed, and the request cannot be sent again";
            return Some(Ok(Step::Done(answer::plain(502, why))));
        }
        let target = target.or_else(|| respelled(&path, head.uri.query()));
        if let Err(reason) = outgoing(&self.client, &mut head, target, host) {
            return Some(Err(reason));
        }
        let job = job(pool, spot, &plan.settings, head, RequestBody::Empty, None);
        Some(Ok(Step::Ask(Ask { job, answer_edits: Vec::new(), caught: None })))
    }

    pub(super) fn failed(&mut self, failure: Failure) -> Response<Content> {
        match failure {
            Failure::NoEndpoint => answer::plain(503, "no origin is up"),
            Failure::Unreachable => answer::plain(502, "the origin could not be reached"),
            Failure::Timeout => answer::plain(504, "the origin did not answer in time"),
            Failure::Client(Broken::Refused(reason)) => self.refuse(reason),
            // Nobody reads this.
            Failure::Client(_) => {
                self.refused = true;
                answer::plain(400, "the request body broke off")
            }
        }
    }
}

/// A request for a pool, by the settings of its plan and of the pool.
pub(super) fn job(
    pool: &Arc<PoolHandle>,
    spot: Option<Spot>,
    settings: &Settings,
    head: Head,
    body: RequestBody,
    upload: Option<Rc<Upload>>,
) -> Job {
    let timeout = settings.timeout_ms.or(pool.pool().timeout_ms).unwrap_or(TIMEOUT_MS);
    let idle = settings.idle_ms.or(pool.pool().idle_ms).unwrap_or(IDLE_MS);
    let mut request = Request::new(body);
    *request.method_mut() = head.method;
    *request.uri_mut() = head.uri;
    *request.headers_mut() = head.headers;
    Job::new(request, Arc::clone(pool), spot, timeout, idle, upload)
}

/// Makes of a request what goes to the origin.
pub(super) fn outgoing(
    client: &Client,
    head: &mut Head,
    target: Option<PathAndQuery>,
    host: Option<HeaderValue>,
) -> Result<(), Reason> {
    let trailers = headers::remove_hops(&mut head.headers, &head.found);
    if !head.headers.contains_key(HOST) {
        // The origin is asked by HTTP/1.1, which has one; the client knew an address only.
        let reached = HeaderValue::from_str(&client.local.to_string());
        head.headers.insert(HOST, reached.map_err(|_| Reason::HostMissing)?);
    }
    headers::write_forwarded(&mut head.headers, client, head.trusted);
    if trailers {
        // RFC 9110 section 10.1.4: who sends TE lists it.
        head.headers.insert(TE, HeaderValue::from_static("trailers"));
        head.headers.insert(CONNECTION, HeaderValue::from_static("te"));
    }
    if let Some(host) = host {
        head.headers.insert(HOST, host);
    }
    if let Some(target) = target {
        head.uri = Uri::from(target);
    } else if head.uri.authority().is_some() {
        // HTTP/2 and the absolute form; the latter may lack a path: `http://host?query`.
        head.uri = match head.uri.path_and_query() {
            Some(target) if target.as_str().starts_with('/') => Uri::from(target.clone()),
            Some(_) | None => Uri::from(respelled("/", head.uri.query()).ok_or(Reason::Path)?),
        };
    }
    head.version = Version::HTTP_11;
    Ok(())
}
