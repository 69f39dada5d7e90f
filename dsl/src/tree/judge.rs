//! What is done with a request: the plan, walked.
//!
//! INVARIANT: this is walked by the data plane, by `explain` and by tests alike. Nothing here waits or
//! draws; what is drawn is handed in.

use super::calls::{Calls, Outcome, Refusal, Stop};
use super::canonical;
use super::eval::{self, BadText, Unrenderable};
use super::interpret;
use super::ir::{
    Answer, ByTable, CallIdx, Catch, Cond, Destination, Field, HeaderEdit, Limit, LimitKey, Paths, Plan, PlanIdx,
    PoolIdx, ProviderIdx, Session, SessionDoes, Settings, Site, SiteSettings, Step, Tls, Value,
};
use super::program::{Decision, Program};
use super::request::Request;
use super::rows::Found;
use super::session::Issue;
use crate::body::BadBody;
use crate::syntax::ast::{HeaderOp, Side, VisitDoes};
use crate::syntax::span::Loc;
use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;

/// Where a service let pass what something else refuses.
const FORBIDDEN: u16 = 403;

/// What sees a request go through the policies of its plan.
pub trait Walk<'p> {
    /// A header of the request or of its answer is edited.
    ///
    /// # Errors
    /// The value cannot stand in a header.
    fn edit(&mut self, edit: Edit<'p>) -> Result<(), BadText>;

    /// A `limit` counts the request under a key, as so many, and says whether it may pass.
    fn limit(&mut self, _limit: &'p Arc<Limit>, _key: Vec<u8>, _cost: u64) -> Admit {
        Admit::Pass
    }

    /// A session is issued, kept or ended.
    fn session(&mut self, _session: &'p Arc<Session>, _issue: Issue<'_>) {}

    /// A `require` was asked.
    fn asked(&mut self, _cond: &'p Cond, _held: bool, _loc: Loc) {}
}

/// A walk that leaves no trace.
pub(crate) struct Unseen;

impl<'p> Walk<'p> for Unseen {
    fn edit(&mut self, _: Edit<'p>) -> Result<(), BadText> {
        Ok(())
    }
}

/// What a limit says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admit {
    /// Go on.
    Pass,
    /// 429; the client may come back after so many milliseconds.
    Later(u64),
}

/// How far a request came, where a call has to be worked out before it goes on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    plan: Option<PlanIdx>,
    steps: usize,
}

/// An edit of a header.
#[derive(Clone, Debug, PartialEq)]
pub struct Edit<'p> {
    /// What is done.
    pub op: HeaderOp,
    /// To which message.
    pub side: Side,
    /// To which header, in lower case.
    pub name: &'p str,
    /// With which value; empty for `remove`. Borrowed where the statement says it whole.
    pub value: Cow<'p, str>,
    /// The line that says so.
    pub loc: Loc,
    /// The statement, where it is one of a route file.
    pub from: Option<&'p Arc<HeaderEdit>>,
}

impl<'p> Edit<'p> {
    fn of(edit: &'p Arc<HeaderEdit>, value: Cow<'p, str>) -> Self {
        Self { op: edit.op, side: edit.side, name: &edit.name, value, loc: edit.loc, from: Some(edit) }
    }
}

/// What becomes of a request.
#[derive(Clone, Debug)]
pub struct Judged<'p> {
    /// The plan, and its place in the site; `None` where the request is refused before there is one.
    pub plan: Option<(PlanIdx, &'p Plan)>,
    /// What answers.
    pub answer: Rendered<'p>,
    /// The line that says so; `None` without a plan.
    pub at: Option<Loc>,
    /// Which step of the plan answers; `None` where its route does.
    pub step: Option<usize>,
}

/// An answer, rendered as far as the request has a part in it.
#[derive(Clone, Debug, PartialEq)]
pub enum Rendered<'p> {
    /// `redirect`
    Redirect {
        /// The status.
        status: u16,
        /// The Location, whole.
        location: String,
    },
    /// `respond`
    Respond {
        /// The status.
        status: u16,
        /// The body.
        body: String,
        /// The Content-Type.
        content_type: &'p str,
    },
    /// `respond … file`
    File {
        /// The status.
        status: u16,
        /// Relative to the route file's directory.
        path: &'p str,
        /// The Content-Type, where one is written.
        content_type: Option<&'p str>,
    },
    /// `deny`
    Deny {
        /// The status.
        status: u16,
    },
    /// What a service said, passed on.
    Relay {
        /// The `ask` that it was asked by.
        call: CallIdx,
        /// The status that it answered, where that is known.
        status: Option<u16>,
    },
    /// `login`, `logout`: a browser is sent to its provider, or comes back from it.
    Visit {
        /// For what.
        does: VisitDoes,
        /// Which provider.
        provider: ProviderIdx,
        /// What the call of it came to.
        said: Arc<[(Arc<str>, Arc<str>)]>,
    },
    /// 404: no route.
    NotFound,
    /// `files`
    Files {
        /// Relative to the route file's directory.
        dir: &'p str,
        /// What is looked up in it.
        path: String,
        /// Served for a directory.
        index: &'p str,
        /// Served when nothing is found.
        fallback: Option<&'p str>,
    },
    /// A pool.
    Proxy {
        /// Which.
        pool: PoolIdx,
        /// Of which shares it is one.
        to: &'p Destination,
        /// The path and query that are sent; as received without it.
        target: Option<String>,
        /// The Host that is sent; as received without it.
        host: Option<String>,
    },
    /// 429: a `limit` is used up.
    Limited {
        /// Which.
        limit: &'p Arc<Limit>,
        /// When to come back, milliseconds.
        after_ms: u64,
    },
    /// A call has to be worked out and told first; then the request is judged again, with the same progress.
    Pending(CallIdx),
    /// 400, 503 for a call that failed, or what a body that cannot be read is answered.
    Refused(Refused<'p>),
}

/// Why a request is refused.
#[derive(Clone, Debug, PartialEq)]
pub enum Refused<'p> {
    /// A field arrived several times with different values.
    Repeated(Field),
    /// What the client sent cannot stand where a template puts it.
    BadText(BadText),
    /// A field that a template needs is missing.
    Missing(&'p Field),
    /// The Host that would be sent is none.
    Host,
    /// A call could not be worked out: 503.
    Failed(CallIdx),
    /// Too much was tried: 429, until so many milliseconds have passed.
    TooMany(u64),
    /// The body cannot be read as what is asked of it: its own status.
    Body(BadBody),
}

impl Refused<'_> {
    /// The status of the answer.
    #[must_use]
    pub fn status(&self) -> u16 {
        match self {
            Self::Failed(_) => 503,
            Self::TooMany(_) => 429,
            Self::Body(bad) => bad.status(),
            Self::Repeated(_) | Self::BadText(_) | Self::Missing(_) | Self::Host => 400,
        }
    }
}

impl Program {
    /// Decides about a request, walks the policies and renders the answer. `draw` gives a point below
    /// 10 000 and is asked where shares are drawn anew. Where the answer is [`Rendered::Pending`], steps
    /// that were walked are not walked again by the next judgement with the same `progress`.
    pub fn judge<'p>(
        &'p self,
        req: &impl Request,
        draw: &mut dyn FnMut() -> u32,
        walk: &mut impl Walk<'p>,
        progress: &mut Progress,
    ) -> Judged<'p> {
        let nowhere = |answer| Judged { plan: None, answer, at: None, step: None };
        if let Some(calls) = req.calls() {
            calls.read_before(|_| false); // What others read of it does not count.
        }
        let index = match progress.plan {
            Some(index) => index,
            None => match self.decide(req) {
                Decision::Conflict(field) => return nowhere(Rendered::Refused(Refused::Repeated(field))),
                Decision::Plan(index) => match stopped(req) {
                    Some(stop) => return self.ask_in_guard(stop, req, draw, walk, progress),
                    None => index,
                },
            },
        };
        progress.plan = Some(index);
        let plan = &self.site().plans[index.0 as usize];
        let (answer, at, step) = match steps(plan, self.site(), req, walk, draw, progress) {
            Some((answer, loc, step)) => (answer, loc, Some(step)),
            None => (render(&plan.answer, self.site(), req, draw), plan.loc, None),
        };
        Judged { plan: Some((index, plan)), answer, at: Some(at), step }
    }

    /// The settings that hold for a request on its way: of its plan, and before that is known of the block whose
    /// guard stopped it.
    pub fn settings_on_the_way(&self, req: &impl Request, progress: &Progress) -> &Settings {
        let index = progress.plan.unwrap_or_else(|| {
            let (scope, _) = interpret::stops_in(self.site(), req);
            self.site().scopes[scope.0 as usize].miss
        });
        &self.site().plans[index.0 as usize].settings
    }

    /// A guard on the way reads a call. What asks somebody else does so behind its block's policies
    /// (LANGUAGE rule 4), and so does what is read after it, whether its answer had to be waited for or
    /// was known before; what a key alone can tell may be worked out at once.
    fn ask_in_guard<'p>(
        &'p self,
        stop: Stop,
        req: &impl Request,
        draw: &mut dyn FnMut() -> u32,
        walk: &mut impl Walk<'p>,
        progress: &mut Progress,
    ) -> Judged<'p> {
        let asks = |call: CallIdx| self.site().calls[call.0 as usize].kind.waits();
        let stopped_behind = || {
            // What was read is noted in a word, which has no place for more: that is looked at first, it costs nothing.
            let many = self.site().calls.len() > 63;
            let may = many || asks(stop.call()) || req.calls().is_some_and(|calls| calls.read_before(asks));
            let (scope, known) = may.then(|| interpret::stops_in(self.site(), req))?;
            (asks(stop.call()) || known.any(&asks)).then_some(scope)
        };
        if let Some(scope) = stopped_behind() {
            let miss = self.site().scopes[scope.0 as usize].miss;
            let plan = &self.site().plans[miss.0 as usize];
            match steps(plan, self.site(), req, walk, draw, progress) {
                Some((answer @ (Rendered::Pending(_) | Rendered::Refused(Refused::Failed(_))), ..)) => {
                    return Judged { plan: None, answer, at: None, step: None };
                }
                Some((answer, at, step)) => {
                    return Judged { plan: Some((miss, plan)), answer, at: Some(at), step: Some(step) };
                }
                None => {}
            }
        }
        Judged { plan: None, answer: of_stop(stop, req), at: None, step: None }
    }
}

fn stopped(req: &impl Request) -> Option<Stop> {
    req.calls().and_then(Calls::stopped)
}

fn of_stop<'p>(stop: Stop, req: &impl Request) -> Rendered<'p> {
    let outcome = req.calls().and_then(|calls| calls.outcome(stop.call()));
    match (stop, outcome) {
        (Stop::Unknown(call), _) => Rendered::Pending(call),
        (Stop::Refused(_), Some(Outcome::Refused(Refusal::Repeated(field)))) => {
            Rendered::Refused(Refused::Repeated(field.clone()))
        }
        (Stop::Refused(_), Some(Outcome::Refused(Refusal::BadText(bad)))) => Rendered::Refused(Refused::BadText(*bad)),
        (Stop::Refused(_), Some(Outcome::Refused(Refusal::TooMany(after_ms)))) => {
            Rendered::Refused(Refused::TooMany(*after_ms))
        }
        (Stop::Refused(_), Some(Outcome::Refused(Refusal::Body(bad)))) => Rendered::Refused(Refused::Body(*bad)),
        (Stop::Failed(call) | Stop::Refused(call), _) => Rendered::Refused(Refused::Failed(call)),
    }
}

/// Goes through the policies that were not walked yet. An answer, its line and its step, when one of them gives it.
fn steps<'p>(
    plan: &'p Plan,
    site: &'p Site,
    req: &impl Request,
    walk: &mut impl Walk<'p>,
    draw: &mut dyn FnMut() -> u32,
    progress: &mut Progress,
) -> Option<(Rendered<'p>, Loc, usize)> {
    while let Some(step) = plan.steps.get(progress.steps) {
        let at = progress.steps;
        let (taken, loc) = take(step, req, walk);
        if let Some(stop) = stopped(req) {
            return Some((of_stop(stop, req), loc, at));
        }
        let refuses = matches!(taken, Taken::Answer(_));
        let answer = match taken {
            Taken::On => None,
            Taken::Answer(answer) => Some(render(answer, site, req, draw)),
            Taken::Limited(limit, after_ms) => Some(Rendered::Limited { limit, after_ms }),
            Taken::Refused(refused) => Some(Rendered::Refused(refused)),
        };
        match answer {
            // An answer that reads a call which is not known: the step is taken again, or it would have let pass.
            Some(answer @ Rendered::Pending(_)) => return Some((answer, loc, at)),
            Some(answer) => {
                progress.steps += 1;
                if let (Step::Require { cond, loc, .. }, true) = (step, refuses) {
                    walk.asked(cond, false, *loc);
                }
                return Some((answer, loc, at));
            }
            None => progress.steps += 1,
        }
    }
    None
}

/// What one step comes to.
enum Taken<'p> {
    On,
    Answer(&'p Answer),
    Limited(&'p Arc<Limit>, u64),
    Refused(Refused<'p>),
}

impl<'p> From<Unrenderable<'p>> for Taken<'p> {
    fn from(why: Unrenderable<'p>) -> Self {
        match why {
            Unrenderable::Answer(answer) => Self::Answer(answer),
            other => Self::Refused(refused(other)),
        }
    }
}

/// Takes one step. Nothing is counted, edited or asked of the walk while a call that the step reads is
/// not known: the step is taken again then.
fn take<'p>(step: &'p Step, req: &impl Request, walk: &mut impl Walk<'p>) -> (Taken<'p>, Loc) {
    let holds = |cond: &Cond| match cond {
        Cond::Const(holds) => Ok(*holds),
        cond => eval::cond(cond, req).map_err(|eval::Conflict(field)| Taken::Refused(Refused::Repeated(field))),
    };
    let known = || req.calls().is_none_or(Calls::is_running);
    match step {
        Step::Require { cond, otherwise, loc } => match holds(cond) {
            // That it does not hold is said when it has answered: what the answer reads may have to be known first.
            Ok(false) => (Taken::Answer(otherwise), *loc),
            Ok(true) => {
                if known() {
                    walk.asked(cond, true, *loc);
                }
                (Taken::On, *loc)
            }
            Err(refused) => (refused, *loc),
        },
        Step::Header(edit) => {
            let taken = match holds(&edit.when) {
                Ok(false) => Taken::On,
                Err(refused) => refused,
                Ok(true) => match text(&edit.value, req) {
                    Ok(_) if !known() => Taken::On,
                    Ok(value) => match walk.edit(Edit::of(edit, value)) {
                        Ok(()) => Taken::On,
                        Err(bad) => Taken::Refused(Refused::BadText(bad)),
                    },
                    Err(why) => why.into(),
                },
            };
            (taken, edit.loc)
        }
        Step::Limit(limit) => {
            let taken = match holds(&limit.when) {
                Ok(false) => Taken::On,
                Err(refused) => refused,
                Ok(true) => match key(&limit.key, req).and_then(|key| Ok((key, cost(limit, req)?))) {
                    Ok(_) if !known() => Taken::On,
                    Ok((key, cost)) => match walk.limit(limit, key, cost) {
                        Admit::Later(after_ms) if !limit.shadow => Taken::Limited(limit, after_ms),
                        Admit::Pass | Admit::Later(_) => Taken::On,
                    },
                    Err(why) => why.into(),
                },
            };
            (taken, limit.loc)
        }
        Step::Session(session) => {
            let sub = session.starts().map(|start| text(&start.sub, req)).transpose();
            let taken = match (holds(&session.when), sub) {
                (Ok(false), _) => Taken::On,
                (Err(refused), _) => refused,
                (Ok(true), Err(why)) => why.into(),
                (Ok(true), Ok(_)) if !known() => Taken::On,
                (Ok(true), Ok(sub)) => {
                    match (&session.does, &sub) {
                        (SessionDoes::Keep { token, .. }, _) => {
                            if let Some(Outcome::Yes(claims)) = req.calls().and_then(|calls| calls.outcome(*token)) {
                                walk.session(session, Issue::Keep(claims));
                            }
                        }
                        (_, Some(sub)) => walk.session(session, Issue::Start(sub)),
                        (_, None) => walk.session(session, Issue::End),
                    }
                    Taken::On
                }
            };
            (taken, session.loc)
        }
    }
}

/// The bytes that a limit's key is told apart by: each part with where it comes from, so that one
/// source's text is never another's; IPv6 addresses by their /64 (LANGUAGE rule 21).
fn key<'p>(parts: &'p [LimitKey], req: &impl Request) -> Result<Vec<u8>, Unrenderable<'p>> {
    let mut key = Vec::with_capacity(64);
    let mut piece = |bytes: &[u8]| {
        key.extend_from_slice(&u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_be_bytes());
        key.extend_from_slice(bytes);
    };
    for mut part in parts {
        let said = loop {
            // What most limits go by: it is there, and an address already.
            if part.address && part.value.field() == Some(&Field::ClientIp) {
                break Ok(req.client_ip());
            }
            match (text(&part.value, req), &part.otherwise) {
                (Err(Unrenderable::Missing(_)), Some(otherwise)) => part = otherwise,
                (Ok(text), _) if part.address => break text.parse().map_err(|_| text),
                (text, _) => break Err(text?),
            }
        };
        piece(part.source.as_bytes());
        match said.map(|ip: IpAddr| ip.to_canonical()) {
            Ok(IpAddr::V6(ip)) => piece(&ip.octets()[..8]),
            Ok(IpAddr::V4(ip)) => piece(&ip.octets()),
            Err(text) => piece(text.as_bytes()),
        }
    }
    Ok(key)
}

/// As how many a limit counts a request. What is no number below 2^64 counts as more than any limit lets pass.
fn cost<'p>(limit: &'p Limit, req: &impl Request) -> Result<u64, Unrenderable<'p>> {
    let Some(value) = &limit.cost else { return Ok(1) };
    Ok(text(value, req)?.parse().unwrap_or(u64::MAX))
}

fn text<'p>(value: &'p Value, req: &impl Request) -> Result<Cow<'p, str>, Unrenderable<'p>> {
    if let Some(text) = value.constant() {
        return Ok(Cow::Borrowed(text));
    }
    let mut text = String::new();
    eval::render(value, req, &mut text)?;
    Ok(Cow::Owned(text))
}

fn refused(why: Unrenderable<'_>) -> Refused<'_> {
    match why {
        Unrenderable::Conflict(field) => Refused::Repeated(field),
        Unrenderable::BadRequest(bad) => Refused::BadText(bad),
        Unrenderable::Missing(field) => Refused::Missing(field),
        // Followed by whoever calls.
        Unrenderable::Answer(_) => Refused::BadText(BadText::NotCanonical),
    }
}

/// Renders an answer.
pub fn render<'p>(
    answer: &'p Answer,
    site: &'p Site,
    req: &impl Request,
    draw: &mut dyn FnMut() -> u32,
) -> Rendered<'p> {
    let mut answer = answer;
    // A template may answer instead of giving a text, and that answer has templates of its own;
    // they are written inside one another, so this ends.
    loop {
        let attempted = attempt(answer, site.settings.paths, req, draw);
        if let Some(stop) = stopped(req) {
            return of_stop(stop, req);
        }
        match attempted {
            Ok(rendered) => return rendered,
            Err(Unrenderable::Answer(instead)) => answer = instead,
            Err(other) => return Rendered::Refused(refused(other)),
        }
    }
}

/// The canonical spelling of a raw path: files have no other.
fn in_directory<'p>(path: &str) -> Result<String, Unrenderable<'p>> {
    let canonical = canonical::path(path.as_bytes(), Paths::Canonical);
    canonical.map(Cow::into_owned).map_err(|_| Unrenderable::BadRequest(BadText::NotCanonical))
}

fn attempt<'p>(
    answer: &'p Answer,
    paths: Paths,
    req: &impl Request,
    draw: &mut dyn FnMut() -> u32,
) -> Result<Rendered<'p>, Unrenderable<'p>> {
    Ok(match answer {
        Answer::Redirect { status, to, keep_query } => {
            let mut location = String::new();
            eval::render_url(to, req, paths, &mut location)?;
            if *keep_query && !location.contains('?') {
                append_query(&mut location, req);
            }
            Rendered::Redirect { status: *status, location }
        }
        Answer::Respond { status, body, content_type } => {
            Rendered::Respond { status: *status, body: text(body, req)?.into_owned(), content_type }
        }
        Answer::RespondFile { status, path, content_type } => {
            Rendered::File { status: *status, path, content_type: content_type.as_deref() }
        }
        Answer::Deny { status } => Rendered::Deny { status: *status },
        Answer::Relay { call } => {
            let calls = req.calls();
            // Stops where it is not known, or failed.
            if let Some(calls) = calls {
                calls.read(*call);
            }
            match calls.and_then(|calls| calls.outcome(*call).map(|outcome| (outcome, calls.said(*call)))) {
                Some((Outcome::No, None)) => Rendered::Relay { call: *call, status: None },
                Some((Outcome::No, Some(Some(status)))) => Rendered::Relay { call: *call, status: Some(status) },
                // The service lets it pass, or did not say a word: it is not the service that refuses.
                Some((Outcome::Yes(_), _) | (Outcome::No, Some(None))) => Rendered::Deny { status: FORBIDDEN },
                _ => Rendered::Refused(Refused::Failed(*call)),
            }
        }
        Answer::Visit { does, provider, call } => {
            let calls = req.calls();
            // Stops where it is not known; it never says no.
            if let Some(calls) = calls {
                calls.read(*call);
            }
            match calls.and_then(|calls| calls.outcome(*call)) {
                Some(Outcome::Yes(said)) => {
                    Rendered::Visit { does: *does, provider: *provider, said: Arc::clone(said) }
                }
                _ => Rendered::Refused(Refused::Failed(*call)),
            }
        }
        Answer::NotFound => Rendered::NotFound,
        Answer::Files { dir, index, fallback, at } => {
            let path = match at {
                Some(at) => {
                    let mut path = String::new();
                    eval::render_path(at, req, paths, &mut path)?;
                    path.truncate(path.find('?').unwrap_or(path.len()));
                    path
                }
                None => req.path().to_owned(),
            };
            let path = if paths == Paths::Raw { in_directory(&path)? } else { path };
            Rendered::Files { dir, path, index, fallback: fallback.as_deref() }
        }
        Answer::Proxy { to, at, host } => {
            // First: where a key has no row, nothing is sent.
            let pool = match to {
                Destination::Pool(pool) => *pool,
                Destination::Split { shares, by, salt } => {
                    let point = match by {
                        Some(key) => sticky(*salt, text(key, req)?.as_bytes()),
                        None => draw(),
                    };
                    share(shares, point)
                }
                Destination::Table(by) => row(by, req)?,
            };
            let host = match host {
                Some(host) => match text(host, req)? {
                    host if canonical::host(host.as_bytes()).is_ok() => Some(host.into_owned()),
                    _ => return Ok(Rendered::Refused(Refused::Host)),
                },
                None => None,
            };
            let target = match at {
                Some(at) => {
                    let mut path = String::new();
                    eval::render_path(at, req, paths, &mut path)?;
                    if !path.contains('?') {
                        append_query(&mut path, req);
                    }
                    Some(path)
                }
                None => None,
            };
            Rendered::Proxy { pool, to, target, host }
        }
    })
}

/// The pool that a row names.
fn row<'p>(by: &'p ByTable, req: &impl Request) -> Result<PoolIdx, Unrenderable<'p>> {
    let pool = match by.lookup.find(req) {
        Found::Row(cell) => by.among.get(cell.choice()).copied(),
        Found::Missing => None,
        Found::Conflict(field) => return Err(Unrenderable::Conflict(field)),
    };
    pool.ok_or(Unrenderable::Answer(&by.otherwise))
}

/// Appends `?` and the query, where there is one.
pub fn append_query(target: &mut String, req: &impl Request) {
    if let Some(query) = req.query() {
        target.push('?');
        target.push_str(query);
    }
}

/// The catch that replaces a failure of the upstream, where one does: the innermost for its status.
#[must_use]
pub fn catch(plan: &Plan, status: u16) -> Option<&Catch> {
    plan.catches.iter().find(|catch| catch.statuses.contains(&status))
}

/// What the kind of connection says before a site is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// The site serves it.
    Serve,
    /// 308 to the same address with https.
    ToHttps,
    /// 421: the connection was made for a site with other TLS settings, or TLS ends elsewhere.
    Misdirected,
}

/// Whether a site serves on such a connection. `sni`: what the site that the handshake named says of TLS,
/// where that is another host than the request's, `Some(None)` where there is none.
#[must_use]
pub fn admit(settings: &SiteSettings, https: bool, sni: Option<Option<&SiteSettings>>) -> Admission {
    let same = |of: &SiteSettings| of.tls == settings.tls && of.handshake.same_boundary(&settings.handshake);
    match https {
        true if settings.tls == Tls::Off || sni.is_some_and(|of| !of.is_some_and(same)) => Admission::Misdirected,
        false if settings.tls != Tls::Off && !settings.http_allowed => Admission::ToHttps,
        true | false => Admission::Serve,
    }
}

/// Where in ten thousand a key stands; the same on every worker and after every restart.
#[must_use]
pub fn sticky(salt: u64, key: &[u8]) -> u32 {
    // FNV-1a, stirred at the end so that near keys lie far apart.
    let mut hash = 0xcbf2_9ce4_8422_2325 ^ salt;
    for byte in key {
        hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    }
    hash ^= hash >> 33;
    hash = hash.wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash ^= hash >> 33;
    point(hash)
}

/// A point in ten thousand, of a number whose bits are all as good as each other.
#[must_use]
pub fn point(bits: u64) -> u32 {
    // Below 10 000.
    ((u128::from(bits) * 10_000) >> 64) as u32
}

/// The pool whose share a point falls into.
#[must_use]
pub fn share(shares: &[(u32, PoolIdx)], point: u32) -> PoolIdx {
    let mut end = 0;
    for (width, pool) in shares {
        end += width;
        if point < end {
            return *pool;
        }
    }
    // Shares add up to 10 000, so only an empty split gets here, which is none.
    shares.last().map_or(PoolIdx(0), |(_, pool)| *pool)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn canary(percent: u32, key: &str) -> bool {
        let shares = [(10_000 - percent * 100, PoolIdx(0)), (percent * 100, PoolIdx(1))];
        share(&shares, sticky(7, key.as_bytes())) == PoolIdx(1)
    }

    #[test]
    fn raising_a_share_keeps_who_had_it() {
        let keys: Vec<_> = (0..10_000).map(|n| format!("user-{n}")).collect();
        let five = keys.iter().filter(|k| canary(5, k)).count();
        assert!((400..600).contains(&five), "{five}");
        assert!(keys.iter().all(|k| !canary(5, k) || canary(10, k)));
    }
}
