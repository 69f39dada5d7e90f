//! What is to be done with a request: decided and rendered while it is as it arrived.
//!
//! Nothing here waits. The plan is walked by [`dsl::tree::judge`]; what comes out is made into what the
//! data plane sends, and borrows from the snapshot only, so that the request can be changed and sent on.

use super::headers::Edit;
use super::received::Received;
use crate::answer;
use crate::answer::files::Lookup;
use crate::http::body::Content;
use crate::http::gate::Reason;
use crate::runtime::worker::Worker;
use crate::snapshot::Served;
use crate::upstream::{PoolHandle, Spot};
use dsl::syntax::ast::Side;
use dsl::tree::eval::BadText;
use dsl::tree::ir::{Answer, Plan, PlanIdx};
use dsl::tree::judge::{self, Progress, Refused, Rendered, Walk, append_query};
use http::header::{HeaderName, HeaderValue};
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
    /// Edits of the request.
    pub edits: Vec<Edit>,
    /// Edits of the answer.
    pub answer_edits: Vec<Edit>,
}

/// An answer, rendered as far as the request has a part in it.
pub enum Prepared<'s> {
    /// The gateway's own.
    Answer(Response<Content>),
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
}

/// Decides.
#[must_use]
pub fn judge<'s>(served: &'s Served, request: &Received<'_>, worker: &Worker) -> Judged<'s> {
    let mut edits = Edits::default();
    let judged = served.program.judge(request, &mut || worker.draw(), &mut edits, &mut Progress::default());
    let prepared = prepared(judged.answer, served, request);
    Judged { plan: judged.plan, prepared, edits: edits.of_request, answer_edits: edits.of_answer }
}

/// Renders an answer.
#[must_use]
pub fn prepare<'s>(answer: &'s Answer, served: &'s Served, request: &Received<'_>, worker: &Worker) -> Prepared<'s> {
    prepared(judge::render(answer, served.program.site(), request, &mut || worker.draw()), served, request)
}

/// Edits as they are made.
#[derive(Default)]
struct Edits {
    of_request: Vec<Edit>,
    of_answer: Vec<Edit>,
}

impl<'s> Walk<'s> for Edits {
    fn edit(&mut self, edit: judge::Edit<'s>) -> Result<(), BadText> {
        let value = HeaderValue::from_str(&edit.value).map_err(|_| BadText::Control)?;
        // The checker lets only tokens pass.
        let Ok(name) = HeaderName::from_bytes(edit.name.as_bytes()) else { return Ok(()) };
        match edit.side {
            Side::Request => self.of_request.push(Edit { op: edit.op, name, value }),
            Side::Response => self.of_answer.push(Edit { op: edit.op, name, value }),
        }
        Ok(())
    }
}

fn prepared<'s>(answer: Rendered<'s>, served: &'s Served, request: &Received<'_>) -> Prepared<'s> {
    match answer {
        Rendered::Redirect { status, location } => Prepared::Answer(answer::redirect(status, &location)),
        Rendered::Respond { status, body, content_type } => {
            let kind = HeaderValue::from_str(content_type).unwrap_or(answer::TEXT);
            Prepared::Answer(answer::text(status, kind, body))
        }
        Rendered::File { status, path, content_type } => Prepared::File {
            status: answer::status(status),
            path,
            kind: content_type.and_then(|kind| HeaderValue::from_str(kind).ok()),
        },
        Rendered::Deny { status } => Prepared::Answer(answer::deny(status)),
        Rendered::NotFound => Prepared::Answer(answer::plain(404, "no route here matches this path")),
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
        Rendered::Limited { .. } => Prepared::Answer(answer::plain(429, "too many requests")),
        // The checker makes no calls yet.
        Rendered::Pending(_) | Rendered::Refused(Refused::Failed(_)) => {
            Prepared::Answer(answer::plain(503, "this cannot be decided now"))
        }
        Rendered::Refused(why) => Prepared::Refused(match why {
            Refused::Repeated(_) => Reason::Repeated,
            Refused::BadText(_) | Refused::Missing(_) => Reason::Unrenderable,
            Refused::Host | Refused::Failed(_) => Reason::HostInvalid,
        }),
    }
}
