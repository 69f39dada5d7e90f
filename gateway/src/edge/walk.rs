//! What a walk through the policies of a plan gathers: edits, what limits hold, cookies of sessions.

use super::limit::{Holds, admit};
use super::session::Issued;
use super::{Edge, address, session, since_epoch};
use crate::http::headers::Edit;
use crate::runtime::worker::Worker;
use dsl::syntax::ast::{HeaderOp, Side};
use dsl::tree::eval::BadText;
use dsl::tree::ir::{Limit, Session};
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
        let value = HeaderValue::from_str(&edit.value).map_err(|_| BadText::Control)?;
        // The checker lets only tokens pass.
        let Ok(name) = HeaderName::from_bytes(edit.name.as_bytes()) else { return Ok(()) };
        match edit.side {
            Side::Request => self.walked.of_request.push(Edit { op: edit.op, name, value }),
            Side::Response => self.walked.of_answer.push(Edit { op: edit.op, name, value }),
        }
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
