//! One policy statement of a plan, compiled.

use super::{Answer, Cond, Limit, Session, Value};
use crate::syntax::ast::{HeaderOp, Side};
use crate::syntax::span::Loc;
use std::sync::Arc;

/// One policy statement.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// `require cond else answer`
    Require {
        /// What must hold.
        cond: Cond,
        /// What answers if it does not.
        otherwise: Answer,
        /// Its line.
        loc: Loc,
    },
    /// `set|add|remove … header …`. Edits of the response stand here too: they apply to whatever
    /// answers from here on, the gateway's own answers included.
    Header(Arc<HeaderEdit>),
    /// `limit …`
    Limit(Arc<Limit>),
    /// `start session(…)`, `keep session(…)`, `end session(…)`
    Session(Arc<Session>),
}

impl Step {
    /// Its line.
    #[must_use]
    pub fn loc(&self) -> Loc {
        match self {
            Self::Require { loc, .. } => *loc,
            Self::Header(edit) => edit.loc,
            Self::Limit(limit) => limit.loc,
            Self::Session(session) => session.loc,
        }
    }

    /// The word that it begins with, or nearly.
    pub(super) fn word(&self) -> &'static str {
        match self {
            Self::Require { .. } => "require",
            Self::Header(_) => "header",
            Self::Limit(_) => "limit",
            Self::Session(_) => "session",
        }
    }

    /// The edit of a header that it is, where it writes one of this message: `set` or `add`.
    #[must_use]
    pub fn writes(&self, side: Side) -> Option<&Arc<HeaderEdit>> {
        match self {
            Self::Header(edit) if edit.side == side && edit.op != HeaderOp::Remove => Some(edit),
            Self::Header(_) | Self::Require { .. } | Self::Limit(_) | Self::Session(_) => None,
        }
    }
}

/// `set|add|remove … header …`
#[derive(Clone, Debug, PartialEq)]
pub struct HeaderEdit {
    /// What is done.
    pub op: HeaderOp,
    /// To which message.
    pub side: Side,
    /// To which header, in lower case.
    pub name: Arc<str>,
    /// With which value; empty for `remove`.
    pub value: Value,
    /// `use … when cond`, `when` around it: the edit is made only then.
    pub when: Cond,
    /// Its line.
    pub loc: Loc,
}
