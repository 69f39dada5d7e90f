//! A request that waits for a call: for one that is worked out elsewhere, or for what another service says of it (`ask`).
//!
//! The service is asked by a request of its own: the method and path that the program says, the client's
//! headers without those that concern its connection, its body or a copy that it has, and
//!
//! * `X-Forwarded-For`, `-Proto`, `-Host` and `Forwarded`, as origins are told;
//! * `X-Forwarded-Method` and `X-Forwarded-Uri`, and the same as `X-Original-Method` and `X-Original-URI`: what the
//!   client asks for, its path canonical.
//!
//! It goes through the pool like any other: its endpoints, checks, retries and limits hold.

use super::ask::{about, outgoing, request};
use super::head::{Head, host_of, raw_path};
use super::{Exchange, Step, cookies, relay};
use crate::edge::replies::{Key, Replies, Said, Turn};
use crate::edge::{Later, Question};
use crate::http::body::{Arriving, RequestBody};
use crate::http::client::Client;
use crate::http::forward::failure::{Cause, Phase};
use crate::http::forward::{Failure, Job, discard, forward};
use crate::http::gate::{Link, Reason};
use crate::http::headers::{self, Edit, Found};
use crate::http::judge::{Awaited, Course};
use crate::observe::log::Failed;
use crate::runtime::ticks::within;
use crate::runtime::worker::Current;
use crate::snapshot::Served;
use crate::upstream::Spot;
use dsl::syntax::ast::HeaderOp;
use dsl::tree::calls::{self, Outcome};
use dsl::tree::canonical;
use dsl::tree::ir::{self, Call, CallIdx, CallKind};
use http::header::{
    ACCEPT_ENCODING, AUTHORIZATION, CONTENT_LENGTH, COOKIE, HOST, HeaderMap, HeaderName, HeaderValue, IF_MATCH,
    IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE, RANGE,
};
use http::uri::{PathAndQuery, Uri};
use http::{Method, Version};
use std::rc::Rc;
use std::sync::Arc;

const X_FORWARDED_METHOD: HeaderName = HeaderName::from_static("x-forwarded-method");
const X_FORWARDED_URI: HeaderName = HeaderName::from_static("x-forwarded-uri");
const X_ORIGINAL_METHOD: HeaderName = HeaderName::from_static("x-original-method");
const X_ORIGINAL_URI: HeaderName = HeaderName::from_static("x-original-uri");
/// After its own deadline a question is given up in any case.
const GRACE_MS: u64 = 100;
/// What the client wants of its own resource, not of the service's.
const OF_ITS_OWN: [HeaderName; 7] =
    [RANGE, IF_RANGE, IF_MATCH, IF_NONE_MATCH, IF_MODIFIED_SINCE, IF_UNMODIFIED_SINCE, ACCEPT_ENCODING];

/// What a client shows who it is by: a service that answers with new ones (`copy: [authorization]`) needs these.
const CREDENTIALS: [HeaderName; 2] = [AUTHORIZATION, COOKIE];

/// A request on its way through its policies.
pub(super) struct Coming<'c> {
    pub(super) snapshot: &'c Rc<Current>,
    pub(super) served: &'c Arc<Served>,
    pub(super) head: Head,
    pub(super) incoming: Arriving,
    pub(super) link: Option<&'c Rc<Link>>,
    pub(super) course: Course,
}

/// The same, kept while a call is waited for.
pub(super) struct Waiting {
    snapshot: Rc<Current>,
    served: Arc<Served>,
    head: Head,
    incoming: Arriving,
    link: Option<Rc<Link>>,
    course: Course,
    call: CallIdx,
    by: By,
}

/// How a call comes to its outcome.
enum By {
    /// A service is asked, and what it says is kept.
    Asking(Box<Job>, Option<(Arc<Replies>, Key)>),
    /// It is worked out elsewhere.
    Itself(Later),
}

impl Coming<'_> {
    /// Waits for a call.
    pub(super) fn wait(self, client: &Client, awaited: Awaited<'_>) -> Result<Box<Waiting>, Reason> {
        let (call, by) = match awaited {
            Awaited::Ask(mut question) => {
                let kept = question.kept.take();
                (question.call, By::Asking(Box::new(self.asking(client, question)?), kept))
            }
            Awaited::Later(call, later) => (call, By::Itself(later)),
        };
        let Self { snapshot, served, head, incoming, link, course } = self;
        let (snapshot, served, link) = (Rc::clone(snapshot), Arc::clone(served), link.cloned());
        Ok(Box::new(Waiting { snapshot, served, head, incoming, link, course, call, by }))
    }

    /// What puts a question to a service.
    fn asking(&self, client: &Client, question: Question<'_>) -> Result<Job, Reason> {
        let Self { served, head, .. } = self;
        let Question { ask, path, .. } = question;
        let pool = &served.pools[ask.pool.0 as usize];
        let spot = {
            let host = host_of(head)?;
            let canonical = canonical_path(served, head)?;
            let received = head.received(client, &host, &canonical);
            Spot::of_request(&pool.pool().balance, &received, client.local).map_err(|_| Reason::Repeated)?
        };
        // What its route says is not known yet, and that a service cannot be asked is news of that service.
        let about = Rc::new(about(head, false));
        let asked = asks(client, served, head, ask, path)?;
        let asked = request(asked, RequestBody::Empty);
        Ok(Job::new(asked, Arc::clone(pool), spot, &settings(ask), None, about))
    }
}

impl Exchange {
    /// Waits, and goes on with what the call came to.
    pub(super) async fn wait(&mut self, mut waiting: Box<Waiting>) -> Step {
        self.answered(&mut waiting).await;
        let Waiting { snapshot, served, head, incoming, link, course, call: _, by } = *waiting;
        drop(by);
        self.judge_on(Coming { snapshot: &snapshot, served: &served, head, incoming, link: link.as_ref(), course })
    }

    /// Waits for the outcome. Headers that a service's answer gives are edits from here on.
    async fn answered(&self, waiting: &mut Waiting) {
        let Waiting { served, course, call: index, by, .. } = waiting;
        let (job, kept) = match by {
            By::Asking(job, kept) => (job, kept),
            By::Itself(later) => return course.tell(served, *index, later.await),
        };
        let call = &served.program.site().calls[index.0 as usize];
        let said = match kept {
            Some((replies, key)) => put_once(&self.client, call, job, replies, *key).await,
            None => Arc::new(put(&self.client, call, job).await),
        };
        course.hear(call, *index, &said);
    }
}

/// Asks for a handshake, about the name in its hello.
pub async fn ask_of_name(client: &Client, served: &Served, name: &str, question: Question<'_>) -> Outcome {
    let Question { call, ask, path, .. } = question;
    let prepared = || {
        let host = HeaderValue::from_str(name).map_err(|_| Reason::HostInvalid)?;
        let (found, headers) = (Found::default(), HeaderMap::from_iter([(HOST, host)]));
        let (method, uri, version) = (Method::GET, Uri::from_static("/"), Version::HTTP_11);
        let mut head = Head { method, uri, version, headers, found, trusted: false, ip: client.ip };
        let pool = &served.pools[ask.pool.0 as usize];
        let spot = Spot::of_request(&pool.pool().balance, &head.received(client, name, "/"), client.local);
        let spot = spot.map_err(|_| Reason::Repeated)?;
        let about = Rc::new(about(&head, false));
        sent_for(client, &mut head, ask, path)?;
        let asked = request(head, RequestBody::Empty);
        Ok::<_, Reason>(Job::new(asked, Arc::clone(pool), spot, &settings(ask), None, about))
    };
    match prepared() {
        Ok(mut job) => put(client, &served.program.site().calls[call.0 as usize], &mut job).await.outcome,
        Err(_) => Outcome::Failed,
    }
}

fn settings(ask: &ir::Ask) -> ir::Settings {
    ir::Settings { timeout_ms: Some(ask.within_ms), ..ir::Settings::default() }
}

/// Puts a question, or waits for the answer where the same is being asked. Nobody waits for longer than an answer of
/// their own might take.
async fn put_once(client: &Client, call: &Call, job: &mut Job, replies: &Arc<Replies>, key: Key) -> Arc<Said> {
    loop {
        match replies.take(key) {
            Turn::Known(said) => return said,
            Turn::Mine(asking) => {
                let said = Arc::new(put(client, call, job).await);
                asking.ends(&said);
                return said;
            }
            Turn::Theirs(answer) => {
                let CallKind::Ask(ask) = &call.kind else { return Arc::new(put(client, call, job).await) };
                match within(&client.worker.ticks, ask.within_ms + GRACE_MS, answer).await {
                    Some(Ok(said)) if said.is_personal() => return Arc::new(put(client, call, job).await),
                    Some(Ok(said)) => return said,
                    // Who asked gave up.
                    Some(Err(_)) => {}
                    None => return Arc::new(Said::unanswered(failed(ask), removed(ask))),
                }
            }
        }
    }
}

/// What a failure counts as.
fn failed(ask: &ir::Ask) -> Outcome {
    match ask.failed {
        Some(true) => Outcome::Yes(Arc::from([])),
        Some(false) => Outcome::No,
        None => Outcome::Failed,
    }
}

/// The headers that a question copies.
fn copied(ask: &ir::Ask) -> impl Iterator<Item = HeaderName> {
    let names = ask.copy.iter().filter_map(|name| HeaderName::from_bytes(name.as_bytes()).ok());
    names.filter(|name| !headers::is_framing(name))
}

/// Whatever comes of a question, nobody but the service says what it copies.
fn removed(ask: &ir::Ask) -> Vec<Edit> {
    copied(ask).map(|name| Edit::remove(&name)).collect()
}

/// Puts a question: what comes of it, and the edits of the request by what was copied.
async fn put(client: &Client, call: &Call, job: &mut Job) -> Said {
    // Nothing else is waited for.
    let CallKind::Ask(ask) = &call.kind else {
        return Said::unanswered(Outcome::Failed, Vec::new());
    };
    let names: Vec<HeaderName> = copied(ask).collect();
    let mut edits = removed(ask);
    let worker = &client.worker;
    let pool = Arc::clone(&job.pool);
    let shard = pool.shared().shard(worker.number);
    let late = || Failure::before(Cause::Timeout, Phase::Head, &format!("no answer within {} ms", ask.within_ms));
    let begun = worker.ticks.now_ms();
    // Waiting for names and for room counts too, which the job's own deadline does not see.
    let answered = within(&worker.ticks, ask.within_ms + GRACE_MS, forward(client, job)).await;
    let failure = match answered.unwrap_or_else(|| Err(late())) {
        Ok((response, lease)) => {
            let status = response.status();
            shard.answered(status.as_u16());
            let endpoint = Some(Arc::clone(lease.endpoint()));
            let said = if status.is_success() { copy(&names, response.headers()) } else { Vec::new() };
            let redirects = call.relayed && calls::is_redirect(status.as_u16());
            if call.relayed && (redirects || status.is_client_error()) {
                let spent = worker.ticks.now_ms().saturating_sub(begun);
                let left = (ask.within_ms + GRACE_MS).saturating_sub(spent);
                let relayed = relay::hear(client, call, (response, lease), left).await;
                let relayed = Some(Arc::new(relayed));
                return Said { outcome: Outcome::No, copied: edits, relayed, answered: true };
            }
            discard(worker, (response, lease));
            if status.is_success() {
                let claim = |edit: &Edit| Some((edit.name.as_str().into(), edit.value.to_str().ok()?.into()));
                let outcome = Outcome::Yes(said.iter().filter_map(claim).collect());
                edits.extend(said);
                return Said { outcome, copied: edits, relayed: None, answered: true };
            }
            if status.is_client_error() {
                return Said { outcome: Outcome::No, copied: edits, relayed: None, answered: true };
            }
            let reason = format!("answered {}, which says neither yes nor no", status.as_u16());
            let attempt = job.attempt;
            Box::new(Failure { cause: Cause::Garbage, phase: Phase::Head, endpoint, attempt, reason })
        }
        Err(failure) => failure,
    };
    shard.failed.add(1);
    let reason = format!("{}: {}", call.shown, failure.reason);
    let failure = Failure { reason, ..*failure };
    let line = Failed::new(&job.about, &pool.pool().name, &failure);
    worker.log.failed(line.answered(ask.failed.is_none().then_some(503)));
    Said::unanswered(failed(ask), edits)
}

fn canonical_path<'h>(served: &Served, head: &'h Head) -> Result<std::borrow::Cow<'h, str>, Reason> {
    canonical::path_for(raw_path(&head.uri), &served.program.site().settings).map_err(|_| Reason::Path)
}

/// What a service is asked about a request.
fn asks(client: &Client, served: &Served, head: &Head, ask: &ir::Ask, path: String) -> Result<Head, Reason> {
    let mut uri = canonical_path(served, head)?.into_owned();
    if let Some(query) = head.uri.query() {
        uri.push('?');
        uri.push_str(query);
    }
    let uri = HeaderValue::from_str(&uri).map_err(|_| Reason::Path)?;
    let method = HeaderValue::from_str(head.method.as_str()).map_err(|_| Reason::Unrenderable)?;
    let mut asked = head.copy();
    cookies::take_logins(&served.edge, &mut asked.headers);
    sent_for(client, &mut asked, ask, path)?;
    let headers = &mut asked.headers;
    let foreign = |name: &HeaderName| {
        let framing = headers::is_framing(name) && *name != HOST;
        let of_body = framing || name.as_str().starts_with("content-");
        (of_body && *name != CONTENT_LENGTH) || OF_ITS_OWN.contains(name)
    };
    let unwanted: Vec<HeaderName> = headers.keys().filter(|name| foreign(name)).cloned().collect();
    for name in unwanted {
        headers.remove(name);
    }
    let told =
        [(X_FORWARDED_METHOD, &method), (X_ORIGINAL_METHOD, &method), (X_FORWARDED_URI, &uri), (X_ORIGINAL_URI, &uri)];
    let set = |(name, value): (HeaderName, &HeaderValue)| Edit { op: HeaderOp::Set, name, value: value.clone() };
    // What only others may say the client does not say to a service either; its credentials are what that asks for.
    let forged = served.edge.identities().iter().filter(|name| !CREDENTIALS.contains(name)).map(Edit::remove);
    headers::apply(forged.chain(told.into_iter().map(set)).collect(), headers);
    Ok(asked)
}

/// Makes of a head what goes to a service.
fn sent_for(client: &Client, head: &mut Head, ask: &ir::Ask, path: String) -> Result<(), Reason> {
    let target = PathAndQuery::try_from(path).map_err(|_| Reason::Unrenderable)?;
    outgoing(client, head, Some(target), None)?;
    head.method = Method::from_bytes(ask.method.as_bytes()).map_err(|_| Reason::Unrenderable)?;
    head.headers.remove(CONTENT_LENGTH);
    if !matches!(head.method, Method::GET | Method::HEAD) {
        head.headers.insert(CONTENT_LENGTH, HeaderValue::from(0));
    }
    Ok(())
}

/// Headers of an answer, to be added to the request.
fn copy(names: &[HeaderName], answer: &HeaderMap) -> Vec<Edit> {
    let all = names.iter().flat_map(|name| answer.get_all(name).iter().map(move |value| (name, value)));
    all.map(|(name, value)| Edit { op: HeaderOp::Add, name: name.clone(), value: value.clone() }).collect()
}
