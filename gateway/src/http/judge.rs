//! What is to be done with a request: decided and rendered while it is as it arrived.
//!
//! Nothing here waits, and what has to be waited for is said. The plan is walked by [`dsl::tree::judge`]; what comes out is made into what the
//! data plane sends, and borrows from the snapshot only, so that the request can be changed and sent on.

use super::received::Received;
use crate::answer;
use crate::answer::files::Lookup;
use crate::edge::login::{self, SET_COOKIE};
use crate::edge::relayed::Relayed;
use crate::edge::replies::Said;
use crate::edge::{Later, Question, Walked, Walking, Worked, limit, work_out};
use crate::http::body::{Beginning, Content};
use crate::http::gate::Reason;
use crate::http::headers::Edit;
use crate::runtime::worker::Worker;
use crate::snapshot::Served;
use crate::upstream::{PoolHandle, Spot};
use dsl::body::BadBody;
use dsl::syntax::ast::HeaderOp;
use dsl::tree::calls::{self, Calls, Outcome};
use dsl::tree::ir::{Answer, Call, CallIdx, CallKind, Paths, Plan, PlanIdx};
use dsl::tree::judge::{self, Progress, Refused, Rendered, append_query};
use dsl::tree::{answers_405, tell};
use http::header::{ALLOW, HeaderValue};
use http::uri::PathAndQuery;
use http::{Response, StatusCode};
use std::sync::Arc;

pub use dsl::tree::judge::{point, share, sticky};

/// A decided request.
pub struct Judged<'s> {
    /// The plan, and its place in the site; `None` when the request is refused.
    pub plan: Option<(PlanIdx, &'s Plan)>,
    /// What answers.
    pub prepared: Prepared<'s>,
    /// Who refused it, where it was.
    pub refusal: Option<Box<Refusal>>,
}

/// A refusal by what a route file says.
pub struct Refusal {
    /// The step of the plan; `None` where the route itself refuses, or where no plan was come to.
    pub step: Option<usize>,
    /// What the client is answered with.
    pub status: u16,
    /// Why, where the statement does not say it; nothing of what the client sent.
    pub reason: Option<String>,
}

/// An answer, rendered as far as the request has a part in it.
pub enum Prepared<'s> {
    /// The gateway's own; boxed, for an answer is large and most requests go to an origin.
    Answer(Box<Response<Content>>),
    /// Refused: as the gateway's own, but nothing more is read from an HTTP/1 client.
    Refused(Reason),
    /// One file.
    File {
        /// The status.
        status: StatusCode,
        /// Relative to the site's directory.
        path: &'s str,
        /// The content type, where one is written.
        kind: Option<HeaderValue>,
    },
    /// Files of a directory.
    Files(Box<Lookup>),
    /// An origin's.
    Proxy {
        /// Whose.
        pool: &'s Arc<PoolHandle>,
        /// Where the request lies in the pool's table, if the pool has one.
        spot: Option<Spot>,
        /// The path and query that are sent; as received without it.
        target: Option<PathAndQuery>,
        /// The Host that is sent; as received without it.
        host: Option<HeaderValue>,
    },
    /// A call has to be waited for first.
    Wait(Box<Awaited<'s>>),
    /// So much of the body is taken first.
    Take(Need),
}

/// What has to be waited for.
pub enum Awaited<'s> {
    /// What another service says.
    Ask(Question<'s>),
    /// What a call comes to that is worked out elsewhere.
    Later(CallIdx, Later),
}

/// How much of a body is needed before the request is judged on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Need {
    /// More than so many bytes, or all of it.
    pub upto: u64,
    /// A body that is longer than this is refused, as the settings in force say.
    pub limit: u64,
    /// How far its pieces may be apart, milliseconds, where they say it.
    pub idle_ms: Option<u64>,
}

/// How far a request came: kept while a call is worked out.
#[derive(Default)]
pub struct Course {
    /// What is known of its calls.
    pub calls: Calls,
    /// What its policies did until now.
    pub walked: Walked,
    /// What services said beside their no, where an answer passes it on.
    relayed: Vec<(CallIdx, Arc<Relayed>)>,
    /// What was taken of its body.
    pub body: Beginning,
    progress: Progress,
}

impl Course {
    /// Of an answer that takes the place of another: what is known of its request's calls.
    #[must_use]
    pub fn knowing(calls: Calls) -> Self {
        Self { calls, ..Self::default() }
    }

    /// Says what a call came to. Cookies that it has the browser keep go with whatever answers.
    pub fn tell(&mut self, served: &Served, call: CallIdx, outcome: Outcome) {
        learn(served, &mut self.calls, &mut self.walked, call, outcome);
    }

    /// Says what a service said: what it copies are edits from here on, and what may be passed on is kept.
    pub fn hear(&mut self, call: &Call, index: CallIdx, said: &Said) {
        self.walked.of_request.extend(said.copied.iter().cloned());
        if call.relayed && said.outcome == Outcome::No {
            self.calls.tell_said(index, said.relayed.as_ref().map(|relayed| relayed.status.as_u16()));
            self.relayed.extend(said.relayed.iter().map(|relayed| (index, Arc::clone(relayed))));
        }
        self.calls.tell(index, said.outcome.clone());
    }
}

fn learn(served: &Served, calls: &mut Calls, walked: &mut Walked, call: CallIdx, outcome: Outcome) {
    let kind = served.program.site().calls.get(call.0 as usize).map(|call| &call.kind);
    // Of logins only: what claims of a token are called is up to whoever signs it.
    if let (Outcome::Yes(claims), Some(CallKind::Session(_) | CallKind::Visit(..))) = (&outcome, kind) {
        let lines = claims.iter().filter(|(name, _)| **name == *SET_COOKIE);
        walked.of_answer.extend(lines.filter_map(|(_, line)| {
            let value = HeaderValue::from_str(line).ok()?;
            Some(Edit { op: HeaderOp::Add, name: http::header::SET_COOKIE, value })
        }));
    }
    calls.tell(call, outcome);
}

/// Decides. Calls are worked out as they are read; where one has to be waited for, that is what is prepared,
/// and the request is judged again with the same course once its outcome was told.
#[must_use]
pub fn judge<'s>(served: &'s Served, request: &Received<'_>, worker: &Worker, course: &mut Course) -> Judged<'s> {
    let has_calls = !served.program.site().calls.is_empty();
    let raw_paths = served.program.site().settings.paths == Paths::Raw;
    loop {
        let Course { calls, walked, progress, relayed, body } = course;
        let request = Received { raw_paths, calls: has_calls.then_some(&*calls), body: body.taken(), ..*request };
        let mut walking = Walking { edge: &served.edge, worker, host: request.host, walked };
        let judged = served.program.judge(&request, &mut || worker.draw(), &mut walking, progress);
        let refusal = Refusal::of(&judged, served);
        if answers_405(&judged.answer) {
            walked.of_answer.insert(0, allow(&served.program.methods(&request)));
        }
        let answer = match judged.answer {
            Rendered::Pending(call) => match worked(served, call, &request, worker, Some(progress)) {
                Ok((call, Learnt::Outcome(outcome))) => {
                    learn(served, calls, walked, call, outcome);
                    continue;
                }
                Ok((call, Learnt::Said(said))) => {
                    course.hear(&served.program.site().calls[call.0 as usize], call, &said);
                    continue;
                }
                Err(prepared) => prepared,
            },
            answer => prepared(answer, served, &request, relayed),
        };
        let (prepared, refusal) = match walked.unsigned {
            true => (undecided(), Some(Box::new(Refusal::of_session()))),
            false => (answer, refusal),
        };
        return Judged { plan: judged.plan, prepared, refusal };
    }
}

/// What a 405 says of the methods that would do (RFC 9110 section 15.5.6).
fn allow(methods: &[&str]) -> Edit {
    // Words of ASCII.
    let value = HeaderValue::from_str(&methods.join(", ")).unwrap_or(HeaderValue::from_static(""));
    Edit { op: HeaderOp::Set, name: ALLOW, value }
}

impl Refusal {
    /// Who refused, where somebody did: a policy that answered with an error or a redirect, a `deny`, a limit, a
    /// call that failed, a field that says two things.
    fn of(judged: &judge::Judged<'_>, served: &Served) -> Option<Box<Self>> {
        let (status, reason) = match &judged.answer {
            Rendered::Deny { status } => (*status, None),
            Rendered::Redirect { status, .. } | Rendered::Respond { status, .. } | Rendered::File { status, .. }
                if judged.step.is_some() && *status >= 300 =>
            {
                (*status, None)
            }
            Rendered::Relay { status, .. } => (status.unwrap_or(403), None),
            Rendered::Visit { said, .. } if judged.step.is_some() => (login::status(said), None),
            Rendered::Limited { .. } => (429, None),
            Rendered::Refused(Refused::Failed(call)) => {
                let call = served.program.site().calls.get(call.0 as usize);
                (503, call.map(|call| format!("{} could not be worked out", call.shown)))
            }
            Rendered::Refused(why) => (why.status(), Some(tell::refused(why))),
            _ => return None,
        };
        Some(Box::new(Self { step: judged.step, status, reason }))
    }

    fn of_session() -> Self {
        Self { step: None, status: 503, reason: Some("the session could not be signed".to_owned()) }
    }
}

/// What became known of a call.
enum Learnt {
    /// What it comes to.
    Outcome(Outcome),
    /// What a service said before.
    Said(Arc<Said>),
}

/// Works a call out, or one that it needs first; what is to be done where that is not possible at once.
fn worked<'s>(
    served: &'s Served,
    mut call: CallIdx,
    request: &Received<'_>,
    worker: &Worker,
    progress: Option<&Progress>,
) -> Result<(CallIdx, Learnt), Prepared<'s>> {
    // A call needs only what was written before it, so this ends.
    for _ in 0..=served.program.site().calls.len() {
        if let Some(CallKind::Body(part)) = served.program.site().calls.get(call.0 as usize).map(|call| &call.kind) {
            // Behind its policies a request has a plan and is on no way any more.
            let Some(progress) = progress else { return Err(undecided()) };
            let settings = served.program.settings_on_the_way(request, progress);
            let inspect = settings.inspect.unwrap_or_default();
            let limit = settings.body_limit.unwrap_or(u64::MAX);
            let need = Need { upto: inspect.bytes, limit, idle_ms: settings.idle_ms };
            return match calls::of_body(part, inspect, request) {
                Some(outcome) => Ok((call, Learnt::Outcome(outcome))),
                None => Err(Prepared::Take(need)),
            };
        }
        match work_out(served, call, request, worker) {
            Worked::Known(outcome) => return Ok((call, Learnt::Outcome(outcome))),
            Worked::Said(call, said) => return Ok((call, Learnt::Said(said))),
            Worked::First(first) => call = first,
            Worked::Ask(question) => return Err(Prepared::Wait(Box::new(Awaited::Ask(question)))),
            Worked::Later(call, later) => return Err(Prepared::Wait(Box::new(Awaited::Later(call, later)))),
        }
    }
    Err(undecided())
}

/// Renders an answer that takes the place of another, with what is known of its request's calls. One that has to be
/// waited for is what is prepared, as with [`judge()`].
#[must_use]
pub fn prepare<'s>(
    answer: &'s Answer,
    served: &'s Served,
    request: &Received<'_>,
    worker: &Worker,
    course: &mut Course,
) -> Prepared<'s> {
    let raw_paths = served.program.site().settings.paths == Paths::Raw;
    loop {
        let Course { calls, walked, .. } = &mut *course;
        let request = Received { raw_paths, calls: Some(&*calls), ..*request };
        match judge::render(answer, served.program.site(), &request, &mut || worker.draw()) {
            Rendered::Pending(call) => match worked(served, call, &request, worker, None) {
                Ok((call, Learnt::Outcome(outcome))) => learn(served, calls, walked, call, outcome),
                Ok((call, Learnt::Said(said))) => calls.tell(call, said.outcome.clone()),
                Err(Prepared::Take(_)) => return undecided(),
                Err(prepared) => return prepared,
            },
            // The checker lets no `catch` pass anything on.
            rendered => return prepared(rendered, served, &request, &[]),
        }
    }
}

fn own<'s>(answer: Response<Content>) -> Prepared<'s> {
    Prepared::Answer(Box::new(answer))
}

/// A call failed, or what it decides cannot be decided without it.
pub(super) fn undecided<'s>() -> Prepared<'s> {
    own(answer::plain(503, "this cannot be decided now"))
}

fn prepared<'s>(
    answer: Rendered<'s>,
    served: &'s Served,
    request: &Received<'_>,
    relayed: &[(CallIdx, Arc<Relayed>)],
) -> Prepared<'s> {
    match answer {
        Rendered::Relay { call, .. } => own(relayed
            .iter()
            .find(|(of, _)| *of == call)
            .map_or_else(|| answer::deny(403), |(_, relayed)| relayed.answer())),
        Rendered::Redirect { status, location } => own(answer::redirect(status, &location)),
        Rendered::Respond { status, body, content_type } => {
            let kind = HeaderValue::from_str(content_type).unwrap_or(answer::TEXT);
            own(answer::text(status, kind, body))
        }
        Rendered::File { status, path, content_type } => Prepared::File {
            status: answer::status(status),
            path,
            kind: content_type.and_then(|kind| HeaderValue::from_str(kind).ok()),
        },
        Rendered::Visit { said, .. } => own(login::answer(&said)),
        Rendered::Deny { status } => own(answer::deny(status)),
        Rendered::NotFound => own(answer::plain(404, "no route here matches this path")),
        Rendered::Files { dir, path, index, fallback } => {
            let mut shown = request.path.to_owned();
            append_query(&mut shown, request);
            Prepared::Files(Box::new(Lookup {
                root: served.dir.join(dir),
                path,
                index: index.to_owned(),
                fallback: fallback.map(str::to_owned),
                shown,
            }))
        }
        Rendered::Proxy { pool, to: _, target, host } => {
            let Ok(target) = target.map(PathAndQuery::try_from).transpose() else {
                return Prepared::Refused(Reason::Unrenderable);
            };
            let Ok(host) = host.map(|host| HeaderValue::from_str(&host)).transpose() else {
                return Prepared::Refused(Reason::HostInvalid);
            };
            let pool = &served.pools[pool.0 as usize];
            match Spot::of_request(&pool.pool().balance, request, request.client.local) {
                Ok(spot) => Prepared::Proxy { pool, spot, target, host },
                Err(_) => Prepared::Refused(Reason::Repeated),
            }
        }
        Rendered::Limited { limit, after_ms } => own(limit::refusal(limit, after_ms)),
        // Calls that are not known are worked out by the callers.
        Rendered::Pending(_) | Rendered::Refused(Refused::Failed(_)) => undecided(),
        Rendered::Refused(Refused::TooMany(after_ms)) => own(answer::later(after_ms)),
        Rendered::Refused(why) => Prepared::Refused(match why {
            Refused::Repeated(_) => Reason::Repeated,
            Refused::BadText(_) | Refused::Missing(_) => Reason::Unrenderable,
            Refused::Host | Refused::Failed(_) | Refused::TooMany(_) => Reason::HostInvalid,
            Refused::Body(BadBody::Type(_)) => Reason::BodyType,
            Refused::Body(BadBody::Coding) => Reason::BodyCoding,
            Refused::Body(BadBody::Malformed(_)) => Reason::BodyMalformed,
            Refused::Body(BadBody::Ambiguous(_)) => Reason::BodyAmbiguous,
            Refused::Body(BadBody::TooLong) => Reason::BodyUnread,
        }),
    }
}
