//! What authorities answer when they will not (RFC 7807, RFC 8555 section 6.7), and what it means for the next try.

use super::{Cause, IssueError};
use serde::Deserialize;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The prefix of the types that ACME names.
const ACME: &str = "urn:ietf:params:acme:error:";
/// More of what an authority says is not repeated.
const LONGEST: usize = 600;

/// A problem document, as far as it matters here.
#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct Problem {
    #[serde(default, rename = "type")]
    pub(super) kind: Option<String>,
    #[serde(default)]
    pub(super) detail: Option<String>,
}

/// What was under way when a problem came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum During {
    /// A request of ours.
    Request,
    /// The authority's own look at the name.
    Challenge,
}

impl Problem {
    /// Of a body; whatever cannot be read is its own detail.
    pub(super) fn read(body: &[u8]) -> Self {
        serde_json::from_slice(body).unwrap_or_else(|_| {
            let text: String = String::from_utf8_lossy(body).chars().take(LONGEST).collect();
            Self { kind: None, detail: (!text.trim().is_empty()).then_some(text) }
        })
    }

    /// The type without its prefix: `rateLimited`.
    pub(super) fn name(&self) -> &str {
        let kind = self.kind.as_deref().unwrap_or_default();
        kind.strip_prefix(ACME).unwrap_or(kind)
    }

    /// Whether it is only that a nonce was not taken (RFC 8555 section 6.5).
    pub(super) fn is_bad_nonce(&self) -> bool {
        self.name() == "badNonce"
    }

    /// For people, on one line.
    pub(super) fn said(&self) -> String {
        let detail = self.detail.as_deref().unwrap_or("no reason given");
        let detail: String = detail.chars().map(|c| if c.is_control() { ' ' } else { c }).take(LONGEST).collect();
        match self.name() {
            "" | "about:blank" => detail,
            name => format!("{detail} ({name})"),
        }
    }

    /// What it means for the next try.
    pub(super) fn kind(&self, status: u16, during: During) -> Cause {
        match (self.name(), during) {
            ("rateLimited", _) => Cause::RateLimited,
            ("serverInternal", _) => Cause::Unreachable,
            ("caa" | "rejectedIdentifier" | "unsupportedIdentifier", _) => Cause::Refused,
            ("dns" | "connection" | "incorrectResponse" | "tls" | "unauthorized", During::Challenge) => {
                Cause::Validation
            }
            (_, During::Challenge) => Cause::Validation,
            (_, During::Request) => match status {
                429 => Cause::RateLimited,
                408 | 500..=599 => Cause::Unreachable,
                _ => Cause::Refused,
            },
        }
    }

    /// The error that it comes to.
    pub(super) fn error(&self, status: u16, during: During, now: SystemTime) -> IssueError {
        let kind = self.kind(status, during);
        let retry_after = match kind {
            Cause::RateLimited | Cause::Unreachable => self.detail.as_deref().and_then(|text| until(text, now)),
            Cause::Validation | Cause::Refused | Cause::Timeout | Cause::Ours => None,
        };
        IssueError { kind, said: self.said(), retry_after }
    }
}

/// How long the words of a rate limit ask for: Let's Encrypt writes `retry after 2026-11-28 20:15:00 UTC`.
fn until(text: &str, now: SystemTime) -> Option<Duration> {
    let (_, rest) = text.split_once("retry after ")?;
    let seconds = u64::try_from(dsl::calendar::seconds(rest.get(..19)?)?).ok()?;
    (UNIX_EPOCH + Duration::from_secs(seconds)).duration_since(now).ok()
}

/// What `Retry-After` asks for (RFC 9110 section 10.2.3): seconds, or a date.
pub(super) fn retry_after(value: &str, now: SystemTime) -> Option<Duration> {
    let value = value.trim();
    match value.parse::<u64>() {
        Ok(seconds) => Some(Duration::from_secs(seconds)),
        Err(_) => httpdate::parse_http_date(value).ok()?.duration_since(now).ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(kind: &str, detail: &str) -> Problem {
        Problem { kind: Some(format!("{ACME}{kind}")), detail: Some(detail.to_owned()) }
    }

    #[test]
    fn types_say_what_comes_next() {
        use Cause::*;
        for (kind, status, during, wanted) in [
            ("rateLimited", 429, During::Request, RateLimited),
            ("serverInternal", 500, During::Request, Unreachable),
            ("malformed", 400, During::Request, Refused),
            ("unauthorized", 403, During::Request, Refused),
            ("unauthorized", 403, During::Challenge, Validation),
            ("dns", 400, During::Challenge, Validation),
            ("connection", 400, During::Challenge, Validation),
            ("caa", 403, During::Challenge, Refused),
            ("rejectedIdentifier", 400, During::Request, Refused),
        ] {
            assert_eq!(of(kind, "x").kind(status, during), wanted, "{kind} {status} {during:?}");
        }
        assert_eq!(Problem::default().kind(503, During::Request), Unreachable);
        assert_eq!(Problem::default().kind(429, During::Request), RateLimited);
    }

    #[test]
    fn the_words_of_a_rate_limit_are_read() {
        let now = UNIX_EPOCH + Duration::from_secs(1_764_361_800); // 2025-11-28 20:30:00 UTC
        let text = "too many new orders (300) from this account in the last 3h0m0s, retry after 2025-11-28 20:40:00 UTC: see https://letsencrypt.org/docs/rate-limits/";
        let said = of("rateLimited", text).error(429, During::Request, now);
        assert_eq!(said.retry_after, Some(Duration::from_secs(600)));
        assert_eq!(of("rateLimited", "retry after lunch").error(429, During::Request, now).retry_after, None);
        assert_eq!(
            of("rateLimited", "retry after 2024-02-29 00:00:00 UTC").error(429, During::Request, now).retry_after,
            None
        );
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now = UNIX_EPOCH + Duration::from_secs(784_111_777 - 30); // 30 s before the date of RFC 9110
        assert_eq!(retry_after("120", now), Some(Duration::from_secs(120)));
        assert_eq!(retry_after("Sun, 06 Nov 1994 08:49:37 GMT", now), Some(Duration::from_secs(30)));
        assert_eq!(retry_after("soon", now), None);
    }

    #[test]
    fn what_is_no_problem_document_is_shown_shortened() {
        let problem = Problem::read(b"<html>\nBad Gateway</html>");
        assert_eq!(problem.said(), "<html> Bad Gateway</html>");
        assert!(Problem::read(&vec![b'x'; 10_000]).said().len() <= LONGEST);
    }
}
