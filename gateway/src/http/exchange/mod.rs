//! One request, whatever the protocol: canonical form, decision, answer.

mod ask;
mod challenge;
mod cookies;
mod head;
mod host;
mod own;
mod refused;
mod relay;
mod sticky;
mod take;
mod wait;

use super::body::{AnswerBody, Arriving, Beginning, Content, Finish, RequestBody, Upload};
use super::client::Client;
use super::forward::{About, Job, Mirror, carries_calls};
use super::gate::{Limits, Link, Reason};
use super::grpc::{self, Web};
use super::h2::Stream;
use super::headers::{self, Edit};
use super::judge::{Course, Judged, Prepared, judge};
use super::upgrade::{self, Asks, Key, Switched};
use crate::answer;
use crate::answer::errors::{Form, presented};
use crate::edge::{Holds, Walked};
use crate::runtime::ticks::Ticks;
use crate::runtime::worker::Current;
use crate::snapshot::Served;
use ask::{Ask, Caught, about, outgoing, request};
use dsl::syntax::ast::HeaderOp;
use dsl::tree::canonical;
use dsl::tree::ir::{Pool, Settings};
use head::{Head, host_of, raw_path, respelled};
use http::uri::PathAndQuery;
use http::{HeaderName, Method, Request, Response, Version};
use hyper::body::{Body, Incoming};
use own::{Own, read};
use std::borrow::Cow;
use std::convert::Infallible;
use std::rc::Rc;
use std::sync::Arc;
pub use sticky::Brought;
use take::Taking;
pub use wait::ask_of_name;
use wait::{Coming, Waiting};

/// Between two pieces of a client's body.
const UPLOAD_IDLE_MS: u64 = 30_000;

/// Serves a request of an HTTP/1 connection.
///
/// What can be done at once is done before there is a future: futures are moved and kept for as long
/// as a connection lives, so that they hold no more than what waiting needs.
pub fn http1(
    client: &Rc<Client>,
    link: &Rc<Link>,
    request: Request<Incoming>,
) -> impl Future<Output = Result<Response<AnswerBody>, Infallible>> + use<> {
    let refused = link.begin();
    // Held from here on: the connection is busy until the answer is through or given up.
    let finish = Finish::Http1(Rc::clone(link));
    link.ends_by_closing(request.version() == Version::HTTP_10);
    let unread = !request.body().is_end_stream();
    let post = request.method() == Method::POST;
    let head = request.method() == Method::HEAD;
    let mut exchange = Exchange::new(client, &request);
    if link.asked() {
        exchange.asks = Asks::Http1;
    }
    let mut step = match refused {
        Some(reason) => Step::Done(exchange.refuse(reason)),
        None => exchange.begin(request.map(|body| Arriving::new(body, None)), Some(link)),
    };
    let link = Rc::clone(link);
    async move {
        let mut response = exchange.finish(&mut step).await;
        exchange.count_answer(&mut response);
        match exchange.switched.take() {
            Some(switched) => link.switches(switched.holding(exchange.holds.take())),
            None => link.stays(),
        }
        let touched = exchange.upload.as_ref().is_some_and(|u| u.touched());
        // What the client still sends will not be read.
        if exchange.refused || (unread && !touched && !exchange.read) {
            answer::close(&mut response);
        }
        if post && matches!(response.body(), Content::Origin(_)) {
            grpc::list_trailers(response.headers_mut());
        }
        let response = if head { answer::without_body(response) } else { response };
        let about = step.about(&response);
        Ok(response.map(|content| AnswerBody::new(content, finish, about, exchange.held())))
    }
}

/// Serves a request of an HTTP/2 connection.
pub fn http2(
    client: &Rc<Client>,
    mut stream: Stream,
    mut request: Request<Incoming>,
) -> impl Future<Output = Result<Response<AnswerBody>, Infallible>> + use<> {
    let head = request.method() == Method::HEAD;
    let mut exchange = Exchange::new(client, &request);
    let (mut step, websocket) = match upgrade::translate(&mut request) {
        Ok(websocket) => {
            if websocket.is_some() {
                exchange.asks = Asks::Http2(Box::new(Key::fresh()));
            }
            (exchange.begin(request.map(|body| stream.arriving(body)), None), websocket)
        }
        Err(reason) => (Step::Done(exchange.refuse(reason)), None),
    };
    let mut finish = Finish::Http2(stream);
    async move {
        let mut response = exchange.finish(&mut step).await;
        if let Some(websocket) = websocket {
            match exchange.switched.take() {
                Some(switched) => {
                    exchange.count_answer(&mut response);
                    let switched = switched.holding(exchange.holds.take());
                    let finish = std::mem::replace(&mut finish, Finish::None);
                    upgrade::carry(Rc::clone(&exchange.client.worker), websocket, switched, finish);
                }
                // Any success would tell the client that it has one.
                None if response.status().is_success() => {
                    response = presented(answer::plain(501, "nothing here speaks WebSocket"), exchange.form);
                }
                None => {}
            }
        }
        exchange.count_answer(&mut response);
        if let Finish::Http2(stream) = &finish {
            stream.says(response.status());
        }
        let response = if head { answer::without_body(response) } else { response };
        let about = step.about(&response);
        Ok(response.map(|content| AnswerBody::new(content, finish, about, exchange.held())))
    }
}

/// A request being answered.
struct Exchange {
    client: Rc<Client>,
    /// The client's body, once it was handed on.
    upload: Option<Rc<Upload>>,
    refused: bool,
    /// Whether some of the client's body was read before it was handed on.
    read: bool,
    /// Whether the request asks for another protocol.
    asks: Asks,
    /// How the client is told of an error of the gateway's.
    form: Form,
    /// The origin's connection, once it agreed to another protocol.
    switched: Option<Box<Switched>>,
    /// What its limits hold until the answer is through.
    holds: Option<Box<Holds>>,
}

/// How far a request came without waiting. It lies in the future of every exchange: what most requests have is not boxed.
enum Step {
    /// To its answer.
    Done(Response<Content>),
    /// Files are to be read.
    Own(Box<Own>),
    /// An origin is to be asked.
    Ask(Ask),
    /// A call is to be waited for before it goes on.
    Wait(Box<Waiting>),
    /// Some of its body is to be taken before it goes on.
    Take(Box<Taking>),
    /// Finished.
    Gone,
}

/// A decided request, with what of it is needed on the way.
struct Looked<'s> {
    judged: Judged<'s>,
    /// The target that is sent, where the path came in another spelling.
    respelled: Option<PathAndQuery>,
    /// Host and path, for a catch.
    kept: Option<Box<(String, String)>>,
}

impl Exchange {
    fn new(client: &Rc<Client>, request: &Request<Incoming>) -> Self {
        let form = Form::of(request.method(), request.headers());
        Self {
            client: Rc::clone(client),
            upload: None,
            refused: false,
            read: false,
            form,
            asks: Asks::No,
            switched: None,
            holds: None,
        }
    }

    /// Decides, renders, and makes of the request what goes to an origin.
    fn begin(&mut self, request: Request<Arriving>, link: Option<&Rc<Link>>) -> Step {
        self.client.worker.counters.request();
        let snapshot = self.client.worker.snapshot();
        let (parts, incoming) = request.into_parts();
        match self.route(&snapshot, parts, incoming, link) {
            Ok(step) => step,
            Err(reason) => Step::Done(self.refuse(reason)),
        }
    }

    fn route(
        &mut self,
        snapshot: &Rc<Current>,
        parts: http::request::Parts,
        incoming: Arriving,
        link: Option<&Rc<Link>>,
    ) -> Result<Step, Reason> {
        let client = Rc::clone(&self.client);
        if parts.version == Version::HTTP_2 {
            // What the gate sees to on HTTP/1.
            let line =
                Limits::with_head(usize::try_from(snapshot.gateway.limits.header_bytes).unwrap_or(usize::MAX)).line;
            if parts.uri.path_and_query().is_some_and(|target| target.as_str().len() > line) {
                return Err(Reason::LineTooLong);
            }
        }
        let head = Head::of(parts, &client, snapshot)?;
        let host = host_of(&head)?;
        if let Some(response) = challenge::answer(&client, &host, &head) {
            return Ok(Step::Done(response));
        }
        let served = match self.site(snapshot, &host, &head)? {
            Ok(served) => served,
            Err(response) => return Ok(Step::Done(presented(response, self.form))),
        };
        let mut course = Course::default();
        // What follows a request for WebSocket by HTTP/2 is no body.
        if incoming.is_end_stream() || matches!(self.asks, Asks::Http2(_)) {
            course.body = Beginning::Nothing;
        }
        let looked = self.look(served, &head, &host, &mut course)?;
        drop(host);
        self.settle(Coming { snapshot, served, head, incoming, link, course }, looked)
    }

    /// Decides about a request again, once more is known of it.
    fn judge_on(&mut self, mut coming: Coming<'_>) -> Step {
        let Coming { served, head, course, .. } = &mut coming;
        let looked = host_of(head).and_then(|host| self.look(served, head, &host, course));
        match looked.and_then(|looked| self.settle(coming, looked)) {
            Ok(step) => step,
            Err(reason) => Step::Done(self.refuse(reason)),
        }
    }

    /// Decides.
    #[inline]
    fn look<'s>(
        &mut self,
        served: &'s Served,
        head: &Head,
        host: &str,
        course: &mut Course,
    ) -> Result<Looked<'s>, Reason> {
        let path =
            canonical::path_for(raw_path(&head.uri), &served.program.site().settings).map_err(|_| Reason::Path)?;
        // What limits hold stays here, whatever comes of the request: what is dropped with its course would count as
        // unanswered.
        course.walked.holds = self.holds.take();
        let judged = judge(served, &head.received(&self.client, host, &path), &self.client.worker, course);
        self.holds = course.walked.holds.take();
        let catches = judged.plan.is_some_and(|(_, plan)| !plan.catches.is_empty());
        let kept = catches.then(|| Box::new((host.to_owned(), path.to_string())));
        let respelled = match (&judged.prepared, path) {
            (Prepared::Proxy { target: None, .. }, Cow::Owned(path)) => {
                Some(respelled(&path, head.uri.query()).ok_or(Reason::Path)?)
            }
            _ => None,
        };
        Ok(Looked { judged, respelled, kept })
    }

    /// Makes of a decided request what is done with it. Inlined, for a step is large and would be moved once more.
    #[inline]
    fn settle(&mut self, coming: Coming<'_>, looked: Looked<'_>) -> Result<Step, Reason> {
        let client = Rc::clone(&self.client);
        let Looked { judged: Judged { plan, prepared, refusal }, respelled, kept } = looked;
        // Before anybody is asked about it, and before what its policies say of it.
        if let Some(limit) = plan.and_then(|(_, plan)| plan.settings.header_limit)
            && coming.head.exceeds(limit)
        {
            return Err(Reason::HeadTooLarge);
        }
        if let Prepared::Wait(awaited) = prepared {
            return Ok(Step::Wait(coming.wait(&client, *awaited)?));
        }
        if let Prepared::Take(need) = prepared {
            return Ok(Step::Take(coming.take(need)?));
        }
        let Coming { snapshot, served, mut head, incoming, link, course } = coming;
        if let Some(refusal) = refusal {
            self.tell_refused(served, plan.map(|(_, plan)| plan), &head, *refusal);
        }
        let Course { calls, walked, body: beginning, .. } = course;
        let Walked { of_request: mut edits, of_answer: answer_edits, .. } = walked;
        let Some((index, plan)) = plan else {
            // What is refused before there is a plan has no edits.
            return match prepared {
                Prepared::Refused(reason) => Err(reason),
                prepared => Ok(self.own(prepared, served, head.method, head.headers, answer_edits)),
            };
        };
        if let Some(link) = link {
            let pool = match &prepared {
                Prepared::Proxy { pool, .. } => Some(pool.pool()),
                _ => None,
            };
            link.patient_for(idle_of(&plan.settings, &head, pool));
        }
        let Prepared::Proxy { pool, spot, target, host: new_host } = prepared else {
            return Ok(self.own(prepared, served, head.method, head.headers, answer_edits));
        };
        let identities = served.edge.identities();
        if !identities.is_empty() {
            edits.splice(0..0, identities.iter().map(Edit::remove));
        }
        let caught = kept.map(|kept| {
            let (host, path) = *kept;
            Box::new(Caught {
                snapshot: Rc::clone(snapshot),
                plan: index,
                head: head.copy(),
                host,
                path,
                edits: edits.clone(),
                calls,
            })
        });
        let target = target.or(respelled);
        let about = Rc::new(about(&head, plan.settings.log == Some(false)));
        let brought = head.brought(pool, &client);
        cookies::take_logins(&served.edge, &mut head.headers);
        outgoing(&client, &mut head, target, new_host)?;
        let beginning = match beginning {
            Beginning::Some(prefix) => Some(prefix),
            Beginning::Untaken | Beginning::Nothing => None,
        };
        let trailers = beginning.as_ref().is_some_and(|prefix| prefix.trailers.is_some());
        let taken = taken(&edits, trailers || !incoming.is_end_stream());
        headers::apply(edits, &mut head.headers);
        let web = Web::wanted(pool.pool().protocol, &mut head.headers);
        let switches = self.asks != Asks::No && plan.settings.websocket != Some(false);
        if switches {
            upgrade::ask(&mut head.headers, &self.asks);
        }
        let limit = plan.settings.body_limit.unwrap_or(u64::MAX);
        let here = beginning.as_ref().map_or(0, |prefix| prefix.len() as u64);
        if here.saturating_add(incoming.size_hint().lower()) > limit {
            return Err(Reason::BodyTooLarge);
        }
        let upload_idle = idle_of(&plan.settings, &head, Some(pool.pool())).unwrap_or(UPLOAD_IDLE_MS);
        let ticks = &client.worker.ticks;
        let (body, upload) = RequestBody::new(beginning, incoming, limit, upload_idle, ticks, link.cloned());
        if let Some(upload) = &upload {
            upload.takes(taken);
        }
        self.upload.clone_from(&upload);
        let body = match (&web, &upload) {
            (Some(web), Some(upload)) => web.body(body, upload),
            (Some(_) | None, _) => body,
        };
        let mut request = request(head, body);
        if let Some(mirror) = plan.settings.mirror
            && web.is_none()
            && !switches
            && client.worker.draw() < mirror.share
        {
            let shadow = &served.pools[mirror.pool.0 as usize];
            let copy = Mirror::new(&client, shadow, &request, &about, mirror.body_bytes);
            match request.body_mut() {
                RequestBody::Client(body) => body.mirror(copy),
                _ => copy.send(),
            }
        }
        let mut job = Job::new(request, Arc::clone(pool), spot, &plan.settings, upload, about);
        if let Some(web) = web {
            job.speaks(web);
        }
        if switches {
            job.switches(plan.settings.idle_ms.unwrap_or(upgrade::IDLE_MS));
        }
        job.brings(brought);
        Ok(Step::Ask(Ask { job, answer_edits: answer_edits.into(), caught }))
    }

    /// Waits for what there is to wait for.
    async fn finish(&mut self, step: &mut Step) -> Response<Content> {
        while let Step::Wait(_) | Step::Take(_) = step {
            // Boxed, with the step that it takes: both would lie in the future of every exchange.
            *step = Box::pin(self.go_on(std::mem::replace(step, Step::Gone))).await;
        }
        match step {
            Step::Done(_) | Step::Wait(_) | Step::Take(_) | Step::Gone => {}
            Step::Own(own) => {
                let mut response = Box::pin(read(&self.client, own, self.form)).await;
                headers::apply(std::mem::take(&mut own.answer_edits), response.headers_mut());
                return response;
            }
            Step::Ask(ask) => {
                let result = self.ask(&mut ask.job).await;
                let mut response = match ask.caught.take() {
                    Some(caught) => Box::pin(self.catch(result, caught, &mut ask.job)).await,
                    None => result.unwrap_or_else(|failure| self.failed(&failure)),
                };
                headers::apply(std::mem::take(&mut ask.answer_edits).into_vec(), response.headers_mut());
                return response;
            }
        }
        match std::mem::replace(step, Step::Gone) {
            Step::Done(response) => response,
            // Taken care of above.
            Step::Own(_) | Step::Ask(_) | Step::Wait(_) | Step::Take(_) | Step::Gone => answer::deny(500),
        }
    }

    /// What becomes of a request that has something to wait for.
    async fn go_on(&mut self, step: Step) -> Step {
        match step {
            Step::Wait(waiting) => self.wait(waiting).await,
            Step::Take(taking) => self.take(taking).await,
            step => step,
        }
    }

    /// What limits count of the answer is counted.
    #[inline]
    fn count_answer(&mut self, response: &mut Response<Content>) {
        if let Some(holds) = &mut self.holds
            && !holds.answered(response)
        {
            self.holds = None;
        }
    }

    /// What the body of the answer holds from now on, and whose time it goes by.
    fn held(&mut self) -> Option<(Box<Holds>, Rc<Ticks>)> {
        self.holds.take().map(|holds| (holds, Rc::clone(&self.client.worker.ticks)))
    }

    fn refuse(&mut self, reason: Reason) -> Response<Content> {
        self.client.worker.counters.refused(reason);
        self.refused = true;
        presented(answer::refusal(reason), self.form)
    }
}

/// Headers that edits take out of the head, where they may come in behind the body.
fn taken(edits: &[Edit], trailed: bool) -> Box<[HeaderName]> {
    if !trailed {
        return Box::default();
    }
    edits.iter().filter(|edit| edit.op != HeaderOp::Add).map(|edit| edit.name.clone()).collect()
}

/// How long a body may stand still, where somebody says so. The messages of a gRPC stream come when
/// there is something to say.
fn idle_of(settings: &Settings, head: &Head, pool: Option<&Pool>) -> Option<u64> {
    // Calls of gRPC are POSTs: others need no look at their headers.
    let call = || head.method == Method::POST && grpc::is_grpc(&head.headers) && pool.is_some_and(carries_calls);
    settings.idle_ms.or_else(|| call().then_some(grpc::IDLE_MS))
}

impl Step {
    /// What a request is known by to people, for an answer that may still break off.
    fn about(&self, response: &Response<Content>) -> Option<(Rc<About>, u32)> {
        match self {
            Self::Ask(Ask { job, .. }) if matches!(response.body(), Content::Origin(_)) => {
                Some((Rc::clone(&job.about), job.attempt))
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size<A, B, C, F>(_: impl Fn(&A, B, C) -> F) -> usize {
        size_of::<F>()
    }

    #[test]
    fn a_request_takes_little_memory() {
        let http1 = size(|c: &Rc<Client>, l: Rc<Link>, r| http1(c, &l, r));
        assert!(http1 <= 2048, "{http1}");
        let http2 = size(|c: &Rc<Client>, s: Stream, r| http2(c, s, r));
        assert!(http2 <= 2048, "{http2}");
    }
}
