//! `limit …` and sessions: steps of a plan that keep, or write, something about clients.

use super::{CallIdx, Cond, Missing, Part, Value};
use crate::syntax::span::Loc;
use std::fmt;
use std::sync::Arc;

/// `limit RATE [burst N] [cost N] per KEY [on STATUSES] [as NAME] [tell] [shadow]`, `limit N at-once per KEY`. Where
/// a cost has cases (`cost 5 when method is POST`) there is one for each, all of one set of buckets.
#[derive(Clone, Debug, PartialEq)]
pub struct Limit {
    /// How much.
    pub bound: LimitBound,
    /// What a request counts, a whole number; 1 where none is written.
    pub cost: Option<Value>,
    /// What the answer's status has to do with it.
    pub answer: ByAnswer,
    /// By what requests are told apart; values of different sources are different keys (LANGUAGE rule 21).
    pub key: Vec<LimitKey>,
    /// What makes two limits one set of buckets: the `as NAME`, else the line that says `limit`.
    pub name: Arc<str>,
    /// Answers to requests that pass say what is left.
    pub tell: bool,
    /// Counts and refuses nobody.
    pub shadow: bool,
    /// `use … when cond` around it, and the case of its cost.
    pub when: Cond,
    /// Its line.
    pub loc: Loc,
}

/// What an answer's status has to do with what a request counts. A request is held against its bucket with the most
/// that it can come to until its answer is there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum ByAnswer {
    /// Nothing: it counts when it comes.
    #[default]
    No,
    /// `per KEY on [401, 403]`: it counts only where its answer has one of these, sorted.
    Only(Arc<[u16]>),
    /// `cost 10 on [401, 403]`: so much instead, where its answer has one of these, sorted; the first that has it.
    Cost(Arc<[(Arc<[u16]>, u32)]>),
}

impl ByAnswer {
    /// What a request counts that is answered so; `cost` is what it costs otherwise.
    #[must_use]
    pub fn cost(&self, cost: u64, status: u16) -> u64 {
        match self {
            Self::No => cost,
            Self::Only(statuses) if statuses.binary_search(&status).is_ok() => cost,
            Self::Only(_) => 0,
            Self::Cost(cases) => {
                let case = cases.iter().find(|(statuses, _)| statuses.binary_search(&status).is_ok());
                case.map_or(cost, |(_, cost)| u64::from(*cost))
            }
        }
    }

    /// The least and the most that it can count.
    #[must_use]
    pub fn range(&self, cost: u64) -> (u64, u64) {
        match self {
            Self::No => (cost, cost),
            Self::Only(_) => (0, cost),
            Self::Cost(cases) => {
                let all = cases.iter().map(|(_, cost)| u64::from(*cost));
                all.fold((cost, cost), |(least, most), cost| (least.min(cost), most.max(cost)))
            }
        }
    }
}

/// `[401, 403, 500..599]`
struct Statuses<'s>(&'s [u16]);

impl fmt::Display for Statuses<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[")?;
        for (at, run) in self.0.chunk_by(|a, b| a + 1 == *b).enumerate() {
            f.write_str(if at == 0 { "" } else { ", " })?;
            match run {
                [first, .., last] if last - first > 1 => write!(f, "{first}..{last}")?,
                [first, last] => write!(f, "{first}, {last}")?,
                run => run.iter().try_for_each(|status| write!(f, "{status}"))?,
            }
        }
        f.write_str("]")
    }
}

impl Limit {
    /// Whether it was given a name, `as NAME`: else its name says where it stands, which is nobody's business outside.
    #[must_use]
    pub fn is_named(&self) -> bool {
        self.name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    }
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
        f.write_str(&self.costs())?;
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
        f.write_str(&self.counted_on())?;
        f.write_str(if self.tell { " tell" } else { "" })?;
        f.write_str(if self.shadow { " shadow" } else { "" })
    }
}

impl Limit {
    /// ` cost 5, 10 on [401, 403]`; nothing where none is written.
    #[must_use]
    pub fn costs(&self) -> String {
        let mut cases: Vec<String> = Vec::new();
        cases.extend(self.cost.as_ref().map(|cost| match cost.parts.as_slice() {
            [Part::Text(_)] => crate::tree::words::template(cost),
            _ => cost.to_string(),
        }));
        if let ByAnswer::Cost(costs) = &self.answer {
            cases.extend(costs.iter().map(|(statuses, cost)| format!("{cost} on {}", Statuses(statuses))));
        }
        if cases.is_empty() { String::new() } else { format!(" cost {}", cases.join(", ")) }
    }

    /// ` on [401, 403]`, where only such answers count.
    #[must_use]
    pub fn counted_on(&self) -> String {
        match &self.answer {
            ByAnswer::Only(statuses) => format!(" on {}", Statuses(statuses)),
            ByAnswer::No | ByAnswer::Cost(_) => String::new(),
        }
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
