//! `limit …` and sessions: steps of a plan that keep, or write, something about clients.

use super::{CallIdx, Cond, Missing, Part, Value};
use crate::syntax::span::Loc;
use std::fmt;
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

impl fmt::Display for Limit {
    /// As it would be written: `limit 100/s burst 200 per header.x-api-key`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.bound {
            LimitBound::Rate { count, per_ms, burst } => {
                let unit = match per_ms {
                    1000 => "s".to_owned(),
                    60_000 => "m".to_owned(),
                    3_600_000 => "h".to_owned(),
                    86_400_000 => "d".to_owned(),
                    ms => format!("{ms}ms"),
                };
                write!(f, "limit {count}/{unit} burst {burst}")?;
            }
            LimitBound::AtOnce(count) => write!(f, "limit {count} at-once")?,
            LimitBound::Bytes(bytes) => write!(f, "limit {bytes}B/s")?,
        }
        match &self.cost {
            Some(Value { parts }) if matches!(parts.as_slice(), [Part::Text(_)]) => {
                write!(f, " cost {}", crate::tree::words::template(&Value { parts: parts.clone() }))?;
            }
            Some(cost) => write!(f, " cost {cost}")?,
            None => {}
        }
        f.write_str(" per ")?;
        match self.key.as_slice() {
            [one] => one.fmt(f)?,
            parts => {
                for (at, part) in parts.iter().enumerate() {
                    write!(f, "{}{part}", if at == 0 { "[" } else { ", " })?;
                }
                f.write_str("]")?;
            }
        }
        f.write_str(if self.shadow { " shadow" } else { "" })
    }
}

impl fmt::Display for LimitKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.source)?;
        let answered = |part: &Part| matches!(part, Part::Hole { if_missing: Some(missing), .. } if matches!(**missing, Missing::Answer(_)));
        match &self.otherwise {
            Some(otherwise) => write!(f, " if missing {otherwise}"),
            None if self.value.parts.iter().any(answered) => f.write_str(" if missing …"),
            None => Ok(()),
        }
    }
}

/// How much a limit lets pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
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

/// `start session(…)`, `keep session(…)`, `end session(…)`
#[derive(Clone, Debug, PartialEq)]
pub struct Session {
    /// The cookie's name.
    pub cookie: Arc<str>,
    /// What is done.
    pub does: SessionDoes,
    /// `use … when cond` around it; of one that is kept also that it holds.
    pub when: Cond,
    /// Its line.
    pub loc: Loc,
}

impl Session {
    /// Name of the secret whose first line signs what is issued; `None` where nothing is.
    #[must_use]
    pub fn key(&self) -> Option<&Arc<str>> {
        match &self.does {
            SessionDoes::Start(start) => Some(&start.key),
            SessionDoes::Keep { key, .. } => Some(key),
            SessionDoes::End => None,
        }
    }

    /// Whom a session is started for.
    #[must_use]
    pub fn starts(&self) -> Option<&SessionStart> {
        match &self.does {
            SessionDoes::Start(start) => Some(start),
            SessionDoes::Keep { .. } | SessionDoes::End => None,
        }
    }

    /// The word before `session`.
    #[must_use]
    pub fn verb(&self) -> &'static str {
        match &self.does {
            SessionDoes::Start(_) => "start",
            SessionDoes::Keep { .. } => "keep",
            SessionDoes::End => "end",
        }
    }
}

impl fmt::Display for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} session {}", self.verb(), self.cookie)?;
        match self.starts() {
            Some(start) => write!(f, " for {}", start.sub),
            None => Ok(()),
        }
    }
}

/// What is done with a session.
#[derive(Clone, Debug, PartialEq)]
pub enum SessionDoes {
    /// It is issued.
    Start(SessionStart),
    /// It is issued again, when more than half of its idle time is over.
    Keep {
        /// Name of the secret whose first line signs.
        key: Arc<str>,
        /// The token that it is, which is verified as any other.
        token: CallIdx,
    },
    /// The browser forgets it.
    End,
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
    /// After how long without a request it ends before that, milliseconds.
    pub idle_ms: Option<u64>,
}
