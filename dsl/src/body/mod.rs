//! The bodies of requests, as conditions read them: `body.json("/user/role")`, `body.form("name")`, `body.text`.
//!
//! Bytes in, a value out: nothing here waits, and nothing knows where the bytes come from. What is behind the
//! gateway reads the same bytes with a reader of its own. INVARIANT: what two readers in common use would read
//! differently is refused, never guessed (the table in docs/bodies.md); so is what is longer than may be looked at.

mod form;
mod json;
mod media;
mod multipart;
mod spelling;
mod values;

pub use json::{Pointer, PointerError};
pub use media::Kind;

use crate::tree::request::Request;
use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

/// What of a body is read.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Part {
    /// `body.json("/user/role")`: what a pointer (RFC 6901) leads to, as text.
    Json(Pointer),
    /// `body.form("name")`: a field of a form.
    Form(Arc<str>),
    /// `body.file("avatar")`: the name of the file that stands in a field of a form.
    File(Arc<str>),
    /// `body.text`: all of it, as it was sent.
    Text,
    /// `body.values`: every name and value in it, decoded, one after the other.
    Values,
}

impl fmt::Display for Part {
    /// As it is written.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Json(pointer) => write!(f, "body.json(\"{pointer}\")"),
            Self::Form(name) => write!(f, "body.form(\"{name}\")"),
            Self::File(name) => write!(f, "body.file(\"{name}\")"),
            Self::Text => f.write_str("body.text"),
            Self::Values => f.write_str("body.values"),
        }
    }
}

/// `inspect 64KB else pass`: how much of a body is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Inspect {
    /// So many bytes from its start.
    pub bytes: u64,
    /// `else pass`: what is longer, or cannot be read, is taken for missing instead of being refused.
    pub pass: bool,
}

impl Inspect {
    /// More is looked at of no body, bytes: it is read on a thread that serves others too.
    pub const MOST: u64 = 1 << 20;
}

impl Default for Inspect {
    fn default() -> Self {
        Self { bytes: 64 << 10, pass: false }
    }
}

/// Why a body is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BadBody {
    /// 415: it is not of the type that is asked about, or says its type in two ways.
    Type(&'static str),
    /// 415: it is compressed.
    Coding,
    /// 400: it is not what it says it is.
    Malformed(&'static str),
    /// 400: it can be read in two ways.
    Ambiguous(&'static str),
    /// 413: it is longer than is looked at.
    TooLong,
}

impl BadBody {
    /// The status of the answer.
    #[must_use]
    pub fn status(self) -> u16 {
        match self {
            Self::Type(_) | Self::Coding => 415,
            Self::Malformed(_) | Self::Ambiguous(_) => 400,
            Self::TooLong => 413,
        }
    }

    /// In a few words. Nothing of the body is in them.
    #[must_use]
    pub fn reason(self) -> &'static str {
        match self {
            Self::Type(why) | Self::Malformed(why) | Self::Ambiguous(why) => why,
            Self::Coding => "the body is compressed",
            Self::TooLong => "the body is longer than `inspect` looks at",
        }
    }
}

/// As much of a body as was taken so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taken<'b> {
    /// From its start.
    pub bytes: &'b [u8],
    /// Whether nothing comes after it.
    pub whole: bool,
}

/// What comes of asking for a part of a body.
#[derive(Debug, PartialEq, Eq)]
pub enum Looked<'b> {
    /// Its value; `None` where it is missing.
    Read(Option<Cow<'b, str>>),
    /// More of the body has to be taken first: up to one byte more than is looked at.
    More,
    /// The request is refused.
    Refused(BadBody),
}

/// Reads a part of a request's body. What its head says is judged before any of it is taken.
#[must_use]
pub fn look<'b>(part: &Part, inspect: Inspect, req: &impl Request, taken: Option<Taken<'b>>) -> Looked<'b> {
    let read = |read: Result<Option<Cow<'b, str>>, BadBody>| match read {
        Ok(value) => Looked::Read(value),
        Err(_) if inspect.pass => Looked::Read(None),
        Err(bad) => Looked::Refused(bad),
    };
    if taken.is_some_and(|taken| taken.whole && taken.bytes.is_empty()) {
        return Looked::Read(None);
    }
    let kind = match media::kind(req).and_then(|kind| fits(part, kind)) {
        Ok(Some(kind)) => kind,
        Ok(None) => return Looked::Read(None),
        Err(bad) => return read(Err(bad)),
    };
    let most = usize::try_from(inspect.bytes).unwrap_or(usize::MAX);
    match taken {
        Some(Taken { bytes, whole: true }) if bytes.len() <= most => read(value(part, &kind, bytes)),
        Some(Taken { bytes, .. }) if bytes.len() > most => match part {
            // A text has a beginning; whatever else is cut off is nothing.
            Part::Text if inspect.pass => read(text(beginning(&bytes[..most])).map(|text| Some(Cow::Borrowed(text)))),
            _ => read(Err(BadBody::TooLong)),
        },
        Some(_) | None
            if req.size().is_some_and(|size| size > inspect.bytes) && !(inspect.pass && *part == Part::Text) =>
        {
            read(Err(BadBody::TooLong))
        }
        Some(_) | None => Looked::More,
    }
}

/// The kind of a body, where a part can be asked of it; `None` where there is nothing of it in such a body.
fn fits(part: &Part, kind: Kind) -> Result<Option<Kind>, BadBody> {
    match (part, &kind) {
        (Part::Json(_), Kind::Json)
        | (Part::Form(_), Kind::Form | Kind::Multipart(_))
        | (Part::File(_), Kind::Multipart(_))
        | (Part::Text, Kind::Json | Kind::Form | Kind::Multipart(_) | Kind::Other | Kind::Binary)
        | (Part::Values, Kind::Json | Kind::Form | Kind::Multipart(_) | Kind::Other) => Ok(Some(kind)),
        (Part::Values, Kind::Binary) => Ok(None),
        (Part::Json(_), _) => Err(BadBody::Type("the body does not say that it is JSON")),
        (Part::Form(_), _) => Err(BadBody::Type("the body does not say that it is a form")),
        (Part::File(_), _) => Err(BadBody::Type("the body does not say that it is a form with files")),
        (Part::Text | Part::Values, Kind::Grpc) => Err(BadBody::Type("the body is gRPC's, which is no text")),
    }
}

fn value<'b>(part: &Part, kind: &Kind, bytes: &'b [u8]) -> Result<Option<Cow<'b, str>>, BadBody> {
    match (part, kind) {
        (Part::Json(pointer), _) => json::find(text(bytes)?, pointer),
        (Part::Form(name), Kind::Multipart(boundary)) => multipart::field(bytes, boundary, name),
        (Part::Form(name), _) => form::field(bytes, name),
        (Part::File(name), Kind::Multipart(boundary)) => multipart::file(bytes, boundary, name),
        // Such a body is not asked for files.
        (Part::File(_), _) => Ok(None),
        (Part::Text, _) => text(bytes).map(|text| Some(Cow::Borrowed(text))),
        (Part::Values, Kind::Json) => values::of_json(text(bytes)?),
        (Part::Values, Kind::Form) => values::of_form(bytes),
        (Part::Values, Kind::Multipart(boundary)) => values::of_multipart(bytes, boundary),
        (Part::Values, Kind::Other | Kind::Binary | Kind::Grpc) => text(bytes).map(|text| Some(Cow::Borrowed(text))),
    }
}

/// Bytes as text: UTF-8 without a mark at its start and without zero bytes, which is what UTF-16 and UTF-32 have.
fn text(bytes: &[u8]) -> Result<&str, BadBody> {
    if bytes.starts_with(b"\xef\xbb\xbf") {
        return Err(BadBody::Malformed("a byte order mark stands before the body"));
    }
    if bytes.contains(&0) {
        return Err(BadBody::Malformed("a zero byte stands in the body"));
    }
    std::str::from_utf8(bytes).map_err(|_| BadBody::Malformed("the body is not UTF-8"))
}

/// Bytes that were cut off, without the half of a character at their end.
fn beginning(bytes: &[u8]) -> &[u8] {
    match std::str::from_utf8(bytes) {
        Err(e) if e.error_len().is_none() => &bytes[..e.valid_up_to()],
        Ok(_) | Err(_) => bytes,
    }
}

#[cfg(test)]
mod tests;
