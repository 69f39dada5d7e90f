//! What is answered to a browser on its way to a provider and back, as the claims of a call.

use super::cookies;
use crate::answer;
use crate::http::body::Content;
use dsl::tree::calls::Outcome;
use http::Response;
use http::header::{CACHE_CONTROL, HeaderValue, REFERRER_POLICY};
use std::sync::Arc;

/// A claim of this name is a line of `Set-Cookie` that goes with whatever answers. No program can name it.
pub const SET_COOKIE: &str = "\0set-cookie";
const STATUS: &str = "\0status";
const TEXT: &str = "\0text";
const LOCATION: &str = "\0location";

/// An answer.
pub(super) struct Visit {
    status: u16,
    /// Where to, of a redirect.
    location: Option<String>,
    /// For people. It is ours: nothing that a browser or a provider said is in it.
    text: &'static str,
    cookies: Vec<String>,
}

impl Visit {
    pub(super) fn to(location: String, cookies: Vec<String>) -> Self {
        Self { status: 303, location: Some(location), text: "", cookies }
    }

    pub(super) fn says(status: u16, text: &'static str, cookies: Vec<String>) -> Self {
        Self { status, location: None, text, cookies }
    }
}

impl From<Visit> for Outcome {
    fn from(visit: Visit) -> Self {
        let claim = |name: &str, value: &str| -> (Arc<str>, Arc<str>) { (name.into(), value.into()) };
        let mut claims = vec![claim(STATUS, &visit.status.to_string()), claim(TEXT, visit.text)];
        claims.extend(visit.location.map(|location| claim(LOCATION, &location)));
        claims.extend(cookies::as_claims(visit.cookies));
        Self::Yes(claims.into())
    }
}

/// The status of the answer that the call of a `login` or `logout` came to.
#[must_use]
pub fn status(said: &[(Arc<str>, Arc<str>)]) -> u16 {
    let status = said.iter().find(|(known, _)| **known == *STATUS);
    status.and_then(|(_, status)| status.parse().ok()).unwrap_or(503)
}

/// That answer.
#[must_use]
pub fn answer(said: &[(Arc<str>, Arc<str>)]) -> Response<Content> {
    let claim = |name: &str| said.iter().find(|(known, _)| **known == *name).map(|(_, value)| &**value);
    let status = status(said);
    let mut response = match claim(LOCATION) {
        Some(location) => answer::redirect(status, location),
        None => answer::plain(status, claim(TEXT).unwrap_or_default()),
    };
    // A code stands in the address that this answers, and what is answered is for this browser alone.
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    response
}
