//! What is known of a request's calls.

use super::eval::{self, BadText, Unrenderable};
use super::ir::{CallIdx, Field, Paths, Value};
use super::request::Request;
use crate::body::{self, BadBody, Inspect, Looked, Part};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// What a call came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Yes, with what it says: claims of a token, by name, as texts. A claim that is a list stands once for
    /// each text of it; one that is neither a text, a number, a truth value nor a list of these is left out.
    Yes(Arc<[(Arc<str>, Arc<str>)]>),
    /// No.
    No,
    /// It could not be worked out: the request is answered 503.
    Failed,
    /// The request cannot be asked about: 400, what its body says, or 429 where too much was tried.
    Refused(Refusal),
}

/// Why a request cannot be asked about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// A field that the call reads arrived several times with different values.
    Repeated(Field),
    /// What the client sent cannot stand where the call puts it.
    BadText(BadText),
    /// Too much was tried: 429, and after so many milliseconds it may be tried again.
    TooMany(u64),
    /// The body cannot be read as what is asked of it.
    Body(BadBody),
}

/// A text that a call reads, such as the token of a `jwt`.
///
/// # Errors
/// What the call comes to without it: no where something of it is missing.
pub fn argument(value: &Value, req: &impl Request) -> Result<String, Outcome> {
    let mut text = String::new();
    eval::render(value, req, &mut text).map(|()| text).map_err(|why| without(&why))
}

/// The token of a text: behind `Bearer` (RFC 6750 section 2.1) where that stands in front of it, so that the whole of
/// `header.authorization` can be read.
#[must_use]
pub fn bearer(text: &str) -> &str {
    match text.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => token.trim_start_matches(' '),
        Some(_) | None => text,
    }
}

/// The path that an `ask` asks for.
///
/// # Errors
/// What the call comes to without it.
pub fn path(value: &Value, paths: Paths, req: &impl Request) -> Result<String, Outcome> {
    let mut text = String::new();
    eval::render_question(value, req, paths, &mut text).map(|()| text).map_err(|why| without(&why))
}

/// Whether a status sends the client elsewhere: a no of a service whose answer is passed on. 304 sends nobody anywhere,
/// it says that a copy is good.
#[must_use]
pub fn is_redirect(status: u16) -> bool {
    (300..400).contains(&status) && status != 304
}

/// What a part of the body comes to; `None` while more of the body has to be taken first.
#[must_use]
pub fn of_body(part: &Part, inspect: Inspect, req: &impl Request) -> Option<Outcome> {
    match body::look(part, inspect, req, req.body()) {
        Looked::Read(Some(text)) => Some(Outcome::Yes(Arc::from([("".into(), text.as_ref().into())]))),
        Looked::Read(None) => Some(Outcome::No),
        Looked::Refused(bad) => Some(Outcome::Refused(Refusal::Body(bad))),
        Looked::More => None,
    }
}

fn without(why: &Unrenderable<'_>) -> Outcome {
    match why {
        Unrenderable::Conflict(field) => Outcome::Refused(Refusal::Repeated(field.clone())),
        Unrenderable::BadRequest(bad) => Outcome::Refused(Refusal::BadText(*bad)),
        // A call's texts have no `if missing`.
        Unrenderable::Missing(_) | Unrenderable::Answer(_) => Outcome::No,
    }
}

/// Why an evaluation means nothing: a call that it read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// Is not known yet: to be worked out, told, and evaluated again.
    Unknown(CallIdx),
    /// Failed.
    Failed(CallIdx),
    /// Cannot be asked for this request.
    Refused(CallIdx),
}

impl Stop {
    /// The call.
    pub fn call(self) -> CallIdx {
        match self {
            Self::Unknown(call) | Self::Failed(call) | Self::Refused(call) => call,
        }
    }
}

/// The low bits of a stop that is kept as a word; the call stands above them.
const UNKNOWN: u64 = 1;
const FAILED: u64 = 2;
const REFUSED: u64 = 3;

/// The bit of a call among those that were read.
fn bit(call: CallIdx) -> u64 {
    1 << call.0.min(63)
}

/// The outcomes that are known of a request. Reading one that is not stops the evaluation that read it.
#[derive(Debug, Default)]
pub struct Calls {
    known: Vec<(CallIdx, Outcome)>,
    /// With which status services said no, where that may be passed on; `None` where nobody said it.
    said: Vec<(CallIdx, Option<u16>)>,
    /// The stop, in a word: requests of tests are shared by threads, though no two evaluate one at once.
    stop: AtomicU64,
    /// The calls that were read before it and are known, a bit each; the last bit stands for all beyond.
    before: AtomicU64,
}

impl Clone for Calls {
    fn clone(&self) -> Self {
        let word = |of: &AtomicU64| AtomicU64::new(of.load(Ordering::Relaxed));
        Self { known: self.known.clone(), said: self.said.clone(), stop: word(&self.stop), before: word(&self.before) }
    }
}

impl PartialEq for Calls {
    /// By what is known.
    fn eq(&self, other: &Self) -> bool {
        self.known == other.known
    }
}

impl Eq for Calls {}

impl Calls {
    /// Says what a call came to. What was said first stays.
    pub fn tell(&mut self, call: CallIdx, outcome: Outcome) {
        if self.outcome(call).is_none() {
            self.known.push((call, outcome));
        }
    }

    /// Says with which status a service said no; `None` where what failed counts as one.
    pub fn tell_said(&mut self, call: CallIdx, status: Option<u16>) {
        if self.said(call).is_none() {
            self.said.push((call, status));
        }
    }

    /// What [`Self::tell_said`] said.
    pub(crate) fn said(&self, call: CallIdx) -> Option<Option<u16>> {
        self.said.iter().find(|(known, _)| *known == call).map(|(_, status)| *status)
    }

    /// Supposes what a call came to, whatever was said before: for requests that are made up.
    pub(crate) fn suppose(&mut self, call: CallIdx, outcome: Outcome) {
        self.known.retain(|(known, _)| *known != call);
        self.known.push((call, outcome));
    }

    /// Supposes that a call says yes, and this besides.
    pub(crate) fn suppose_claim(&mut self, call: CallIdx, name: &str, text: &str) {
        let mut claims = match self.outcome(call) {
            Some(Outcome::Yes(claims)) => claims.to_vec(),
            Some(Outcome::No | Outcome::Failed | Outcome::Refused(_)) | None => Vec::new(),
        };
        claims.retain(|(known, _)| **known != *name);
        claims.push((name.into(), text.into()));
        self.suppose(call, Outcome::Yes(claims.into()));
    }

    /// What a call came to, as far as that is known.
    pub fn outcome(&self, call: CallIdx) -> Option<&Outcome> {
        self.known.iter().find(|(known, _)| *known == call).map(|(_, outcome)| outcome)
    }

    /// The first call since this was last asked that an evaluation read and that was not known or failed.
    pub fn stopped(&self) -> Option<Stop> {
        let word = self.stop.load(Ordering::Relaxed);
        if word == 0 {
            return None;
        }
        self.stop.store(0, Ordering::Relaxed);
        let call = CallIdx(u32::try_from(word >> 2).unwrap_or(u32::MAX));
        Some(match word & 3 {
            FAILED => Stop::Failed(call),
            REFUSED => Stop::Refused(call),
            _ => Stop::Unknown(call),
        })
    }

    /// Whether a call was read before what [`Self::stopped`] told of; forgotten when it is asked.
    pub(crate) fn read_before(&self, of: impl Fn(CallIdx) -> bool) -> bool {
        let before = self.before.swap(0, Ordering::Relaxed);
        self.known.iter().any(|(call, _)| before & bit(*call) != 0 && of(*call))
    }

    /// Whether nothing stopped since [`Self::stopped`] was last asked.
    pub(crate) fn is_running(&self) -> bool {
        self.stop.load(Ordering::Relaxed) == 0
    }

    /// The claims of a call that said yes.
    pub(crate) fn read(&self, call: CallIdx) -> Option<&[(Arc<str>, Arc<str>)]> {
        let known = || {
            if self.is_running() {
                self.before.fetch_or(bit(call), Ordering::Relaxed);
            }
        };
        let why = match self.outcome(call) {
            Some(Outcome::Yes(claims)) => {
                known();
                return Some(claims);
            }
            Some(Outcome::No) => {
                known();
                return None;
            }
            Some(Outcome::Failed) => FAILED,
            Some(Outcome::Refused(_)) => REFUSED,
            None => UNKNOWN,
        };
        if self.is_running() {
            self.stop.store(u64::from(call.0) << 2 | why, Ordering::Relaxed);
        }
        None
    }
}
