//! `limit …` and sessions: steps of a plan that keep, or write, something about clients.

use super::{Cond, Value};
use crate::syntax::span::Loc;
use std::sync::Arc;

/// `limit RATE [burst N] [cost N] per KEY [as NAME] [shadow]`, `limit N at-once per KEY`
#[derive(Clone, Debug, PartialEq)]
pub struct Limit {
    /// How much.
    pub bound: LimitBound,
    /// What a request counts, a whole number; 1 where none is written.
    pub cost: Option<Value>,
    /// By what requests are told apart; values of different sources are different keys (LANGUAGE rule 21).
    pub key: Vec<LimitKey>,
    /// What makes two limits one set of buckets: the `as NAME`, else the line that says `limit`.
    pub name: Arc<str>,
    /// Counts and refuses nobody.
    pub shadow: bool,
    /// `use … when cond` around it.
    pub when: Cond,
    /// Its line.
    pub loc: Loc,
}

/// How much a limit lets pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LimitBound {
    /// So many requests in so many milliseconds, and so many at once after a pause.
    Rate {
        /// How many.
        count: u32,
        /// In how long, milliseconds.
        per_ms: u64,
        /// How many at once.
        burst: u32,
    },
    /// So many requests under way.
    AtOnce(u32),
    /// So many bytes of answers a second.
    Bytes(u64),
}

/// A part of a limit's key.
#[derive(Clone, Debug, PartialEq)]
pub struct LimitKey {
    /// Where the value comes from, as written: `header.x-api-key`.
    pub source: Arc<str>,
    /// The value. IPv6 addresses count by their /64 where it is an address.
    pub value: Value,
    /// It is an address.
    pub address: bool,
    /// `if missing …`: what it is where the value is missing, with a source of its own.
    pub otherwise: Option<Box<LimitKey>>,
}

/// `start session(…)`, `end session(…)`
#[derive(Clone, Debug, PartialEq)]
pub struct Session {
    /// The cookie's name.
    pub cookie: Arc<str>,
    /// What is issued; `None` ends the session.
    pub start: Option<SessionStart>,
    /// `use … when cond` around it.
    pub when: Cond,
    /// Its line.
    pub loc: Loc,
}

/// What a session is issued with.
#[derive(Clone, Debug, PartialEq)]
pub struct SessionStart {
    /// Name of the secret whose first line signs.
    pub key: Arc<str>,
    /// Whom it is for.
    pub sub: Value,
    /// For how long, milliseconds.
    pub for_ms: u64,
}
