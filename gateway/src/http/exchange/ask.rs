//! Requests that an origin answers, and what replaces its failures.

use super::head::{Head, respelled};
use super::host::find;
use super::own::read;
use super::{Exchange, Step, cookies, sticky};
use crate::answer;
use crate::answer::errors::presented;
use crate::http::body::{Broken, Content, OriginBody, RequestBody};
use crate::http::client::Client;
use crate::http::forward::failure::{Blame, Cause, Phase};
use crate::http::forward::{About, Failure, Job, forward};
use crate::http::gate::Reason;
use crate::http::headers::{self, Edit};
use crate::http::judge::{Awaited, Course, Prepared, prepare, undecided};
use crate::http::upgrade::{self, Switched};
use crate::observe::log::Failed;
use crate::runtime::worker::Current;
use crate::upstream::{Incoming, Lease, Outcome, Speaks};
use dsl::tree::calls::Calls;
use dsl::tree::ir::PlanIdx;
use http::header::{CONNECTION, HOST, HeaderValue, RETRY_AFTER, TE};
use http::uri::{PathAndQuery, Uri};
use http::{Request, Response, StatusCode, Version};
use std::rc::Rc;
use std::sync::Arc;

/// An origin to be asked.
pub(super) struct Ask {
    pub(super) job: Job,
    /// A slice: it lies in the future of every exchange.
    pub(super) answer_edits: Box<[Edit]>,
    pub(super) caught: Option<Box<Caught>>,
}

/// What a catch needs, kept while the request itself is away.
pub(super) struct Caught {
    pub(super) snapshot: Rc<Current>,
    pub(super) plan: PlanIdx,
    pub(super) head: Head,
    pub(super) host: String,
    pub(super) path: String,
    /// What policies edit of the request: they do not run again, and what they did holds all the same.
    pub(super) edits: Vec<Edit>,
    /// What is known of its calls.
    pub(super) calls: Calls,
}

impl Exchange {
    /// Asks a pool.
    pub(super) async fn ask(&mut self, job: &mut Job) -> Result<Response<Content>, Box<Failure>> {
        let worker = &self.client.worker;
        if job.switch_idle_ms().is_some() && job.pool.transport().speaks() == Speaks::Http2 {
            let why = "WebSocket goes to origins by HTTP/1.1, and the pool's `protocol` says HTTP/2";
            return Err(self.told(job, Failure::before(Cause::Garbage, Phase::Choose, why)));
        }
        let (response, lease) = match forward(&self.client, job).await {
            Ok(answered) => answered,
            Err(failure) => return Err(self.told(job, failure)),
        };
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            let switched = Box::pin(self.switch(job, response, lease)).await;
            return switched.map_err(|failure| self.told(job, failure));
        }
        job.pool.shared().shard(worker.number).answered(response.status().as_u16());
        let (mut parts, incoming) = response.into_parts();
        headers::remove_answer_hops(&mut parts.headers);
        sticky::keep(job, &mut parts.headers, parts.status, lease.endpoint());
        parts.version = Version::HTTP_11;
        let mut body = OriginBody::new(incoming, lease, job.idle_ms).beside(job.upload.clone());
        if job.calls {
            body = body.under(&parts.headers);
        }
        let web = job.web().filter(|web| web.to_web(&mut parts.headers));
        let content = match web {
            _ if body.is_empty() => Content::Empty,
            Some(web) => Content::Web(Box::new(web.answer(body))),
            None => Content::Origin(body),
        };
        Ok(Response::from_parts(parts, content))
    }

    /// The origin agrees to another protocol.
    async fn switch(
        &mut self,
        job: &Job,
        mut response: Response<Incoming>,
        lease: Lease,
    ) -> Result<Response<Content>, Box<Failure>> {
        let endpoint = Arc::clone(lease.endpoint());
        let garbage = |reason: &str| {
            let (cause, phase) = (Cause::Garbage, Phase::Head);
            let (endpoint, reason) = (Some(Arc::clone(&endpoint)), reason.to_owned());
            Box::new(Failure { cause, phase, endpoint, attempt: job.attempt, reason })
        };
        let unwanted = match job.switch_idle_ms() {
            None => Some("switched protocols without being asked to"),
            Some(_) if !upgrade::is_agreed(response.headers(), &self.asks) => {
                Some("switched to another protocol than WebSocket")
            }
            Some(_) => None,
        };
        if let Some(reason) = unwanted {
            lease.died(Outcome::Garbage, reason);
            return Err(garbage(reason));
        }
        let idle_ms = job.switch_idle_ms().unwrap_or(upgrade::IDLE_MS);
        self.switched = Switched::of(&mut response, lease, idle_ms, job).await;
        if self.switched.is_none() {
            return Err(garbage("broke off when it had switched protocols"));
        }
        let mut answer = Response::new(Content::Empty);
        std::mem::swap(answer.headers_mut(), response.headers_mut());
        headers::remove_answer_hops(answer.headers_mut());
        sticky::keep(job, answer.headers_mut(), StatusCode::SWITCHING_PROTOCOLS, &endpoint);
        upgrade::agree(&mut answer, &self.asks);
        Ok(answer)
    }

    /// A failure, once it is counted and in the log. That of a client is no news about a pool.
    fn told(&self, job: &Job, failure: Box<Failure>) -> Box<Failure> {
        if failure.cause.blame() != Blame::Client {
            job.pool.shared().shard(self.client.worker.number).failed.add(1);
            self.client.worker.log.failed(Failed::new(&job.about, &job.pool.pool().name, &failure));
        }
        failure
    }

    /// Answers in place of an origin that failed: once, whatever comes of it.
    pub(super) async fn catch(
        &mut self,
        result: Result<Response<Content>, Box<Failure>>,
        caught: Box<Caught>,
        job: &mut Job,
    ) -> Response<Content> {
        // It is not under way in its pool while somebody else is asked.
        drop(job.let_go());
        let status = match &result {
            Ok(response) => response.status().as_u16(),
            Err(failure) if failure.cause.blame() == Blame::Client => 0,
            Err(failure) => failure.status(),
        };
        match self.instead(status, caught, job).await {
            // What the origin sent is dropped, and its connection with it.
            Some(Ok(Step::Ask(mut ask))) => {
                drop(result);
                let result = self.ask(&mut ask.job).await;
                let mut response = result.unwrap_or_else(|failure| self.failed(&failure));
                headers::apply(ask.answer_edits.into_vec(), response.headers_mut());
                response
            }
            Some(Ok(Step::Own(mut own))) => {
                let mut response = read(&self.client, &mut own, self.form).await;
                headers::apply(own.answer_edits, response.headers_mut());
                response
            }
            Some(Ok(Step::Done(response))) => response,
            // Nothing is asked on behalf of a catch.
            Some(Ok(Step::Wait(_) | Step::Take(_) | Step::Gone)) => answer::deny(502),
            Some(Err(reason)) => self.refuse(reason),
            None => result.unwrap_or_else(|failure| self.failed(&failure)),
        }
    }

    /// What a plan has for a status of its upstream; cookies that its calls have the browser keep go with it.
    async fn instead(&mut self, status: u16, caught: Box<Caught>, job: &mut Job) -> Option<Result<Step, Reason>> {
        let Caught { snapshot, plan, mut head, host, path, edits, calls } = *caught;
        let served = find(&snapshot, &host).ok()?;
        let plan = served.program.site().plans.get(plan.0 as usize)?;
        let catch = dsl::tree::judge::catch(plan, status)?;
        let mut course = Course::knowing(calls);
        let prepared = loop {
            let received = head.received(&self.client, &host, &path);
            match prepare(&catch.answer, served, &received, &self.client.worker, &mut course) {
                Prepared::Wait(awaited) => match *awaited {
                    Awaited::Later(call, later) => course.tell(served, call, later.await),
                    // Nobody is asked on behalf of a catch.
                    Awaited::Ask(_) => break undecided(),
                },
                prepared => break prepared,
            }
        };
        let answer_edits = course.walked.of_answer;
        let Prepared::Proxy { pool, spot, target, host } = prepared else {
            return Some(Ok(self.own(prepared, served, head.method, head.headers, answer_edits)));
        };
        // LANGUAGE rule 19: another pool needs the request once more, from its start.
        // Where some of its body is lost nobody can take its place: what came of it stands.
        let body = job.sending.take_body()?;
        if let Some(before) = job.pool.sticky() {
            sticky::take(&mut head.headers, before);
        }
        let brought = head.brought(pool, &self.client);
        cookies::take_logins(&served.edge, &mut head.headers);
        let target = target.or_else(|| respelled(&path, head.uri.query()));
        if let Err(reason) = outgoing(&self.client, &mut head, target, host) {
            return Some(Err(reason));
        }
        headers::apply(edits, &mut head.headers);
        let about = Rc::clone(&job.about);
        let web = job.web();
        if let Some(web) = web {
            // The body is gRPC's by now.
            web.to_grpc(&mut head.headers);
        }
        let mut job = Job::new(request(head, body), Arc::clone(pool), spot, &plan.settings, self.upload.clone(), about);
        if let Some(web) = web {
            job.speaks(web);
        }
        job.brings(brought);
        Some(Ok(Step::Ask(Ask { job, answer_edits: answer_edits.into(), caught: None })))
    }

    pub(super) fn failed(&mut self, failure: &Failure) -> Response<Content> {
        match failure.cause {
            Cause::Client(Broken::Refused(reason)) => self.refuse(reason),
            // Nobody reads this.
            Cause::Client(_) => {
                self.refused = true;
                presented(answer::plain(400, failure.cause.told()), self.form)
            }
            Cause::Full => {
                let mut response = answer::plain(failure.status(), failure.cause.told());
                response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
                presented(response, self.form)
            }
            cause => presented(answer::plain(cause.status(), cause.told()), self.form),
        }
    }
}

/// The request of a head and a body.
pub(super) fn request(head: Head, body: RequestBody) -> Request<RequestBody> {
    let mut request = Request::new(body);
    *request.method_mut() = head.method;
    *request.uri_mut() = head.uri;
    *request.headers_mut() = head.headers;
    request
}

/// What a request is known by to people, before anything in it is changed; `quiet` where its route says `log off`.
pub(super) fn about(head: &Head, quiet: bool) -> About {
    About {
        client: head.ip,
        method: head.method.clone(),
        target: head.uri.path_and_query().cloned(),
        host: head.headers.get(HOST).cloned(),
        quiet,
    }
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
