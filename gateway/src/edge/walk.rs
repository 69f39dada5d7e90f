//! What a walk through the policies of a plan gathers: edits, what limits hold, cookies of sessions.

use super::limit::{Holds, admit};
use super::session::Issued;
use super::{Edge, address, session, since_epoch};
use crate::http::headers::Edit;
use crate::runtime::worker::Worker;
use dsl::syntax::ast::{HeaderOp, Side};
use dsl::tree::eval::BadText;
use dsl::tree::ir::{HeaderEdit, Limit, Session};
use dsl::tree::judge::{self, Admit, Walk};
use dsl::tree::session::Issue;
use http::header::{HeaderName, HeaderValue, SET_COOKIE};
use std::sync::Arc;

/// What was gathered so far.
#[derive(Default)]
pub struct Walked {
    /// Edits of the request.
    pub of_request: Vec<Edit>,
    /// Edits of the answer.
    pub of_answer: Vec<Edit>,
    /// What the request holds until its answer is through; nothing, where no limit makes it hold something.
    pub holds: Option<Box<Holds>>,
    /// A session was to be issued and could not be signed: the request is answered 503.
    pub unsigned: bool,
}

/// What of an edit is known before there is a request.
pub(super) struct Written {
    name: HeaderName,
    /// Where nothing of a request is in it.
    value: Option<HeaderValue>,
}

impl Written {
    /// Of an edit that a route file says.
    pub(super) fn of(edit: &HeaderEdit) -> Option<Self> {
        let name = HeaderName::from_bytes(edit.name.as_bytes()).ok()?;
        let value = edit.value.constant().and_then(|text| HeaderValue::from_str(text).ok());
        Some(Self { name, value })
    }
}

/// A walk.
pub struct Walking<'w> {
    /// Of the site.
    pub edge: &'w Edge,
    /// Who walks.
    pub worker: &'w Worker,
    /// The request's.
    pub host: &'w str,
    /// What is gathered.
    pub walked: &'w mut Walked,
}

impl<'s> Walk<'s> for Walking<'_> {
    fn edit(&mut self, edit: judge::Edit<'s>) -> Result<(), BadText> {
        let written = edit.from.and_then(|from| self.edge.edits.get(&address(from)));
        let value = match written.and_then(|written| written.value.clone()) {
            Some(value) => value,
            None => HeaderValue::from_str(&edit.value).map_err(|_| BadText::Control)?,
        };
        let name = match written {
            Some(written) => written.name.clone(),
            // The checker lets only tokens pass.
            None => match HeaderName::from_bytes(edit.name.as_bytes()) {
                Ok(name) => name,
                Err(_) => return Ok(()),
            },
        };
        let edits = match edit.side {
            Side::Request => &mut self.walked.of_request,
            Side::Response => &mut self.walked.of_answer,
        };
        if edits.capacity() == 0 {
            edits.reserve(8);
        }
        edits.push(Edit { op: edit.op, name, value });
        Ok(())
    }

    fn limit(&mut self, limit: &'s Arc<Limit>, key: Vec<u8>, cost: u64) -> Admit {
        match self.edge.limits.get(&address(limit)) {
            Some(bucketed) => admit(bucketed, limit, &key, cost, &mut self.walked.holds),
            // One of another site is not known here: failure is closed.
            None => Admit::Later(1_000),
        }
    }

    fn session(&mut self, session: &'s Arc<Session>, issue: Issue<'_>) {
        match session::issue(self.edge, session, issue, self.host, since_epoch(), self.worker) {
            Issued::Cookie(value) => self.walked.of_answer.push(Edit { op: HeaderOp::Add, name: SET_COOKIE, value }),
            Issued::Stays => {}
            Issued::Unsigned => self.walked.unsigned = true,
        }
    }
}
