//! What a session of a login holds: who it is, how it ends, and what the provider gave to go on with.

use super::cookies;
use dsl::tree::ir::ProviderSession;
use dsl::tree::session::{Idle, Times};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// A session, as it lies sealed in its cookie. The names are short, for every request brings them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Held {
    /// `sub`: whom the provider says it is.
    #[serde(rename = "s")]
    pub(super) sub: String,
    /// The other claims that the provider's `claims` name; a list has a line for each text of it.
    #[serde(rename = "c", default, skip_serializing_if = "Vec::is_empty")]
    pub(super) claims: Vec<(String, String)>,
    /// When it was begun, when it is over if nobody uses it, and when it is in any case: seconds since 1970.
    #[serde(rename = "b")]
    begun: u64,
    #[serde(rename = "x")]
    expires: u64,
    #[serde(rename = "e")]
    end: u64,
    /// After how many seconds without a request it is over; nothing where that ends nothing.
    #[serde(rename = "i", default, skip_serializing_if = "Option::is_none")]
    idle: Option<u64>,
    /// What new tokens are had with, and from when on: seconds since 1970.
    #[serde(rename = "r", default, skip_serializing_if = "Option::is_none")]
    pub(super) refresh: Option<Refresh>,
    /// The ID token, by which the provider knows whose logout it is.
    #[serde(rename = "h", default, skip_serializing_if = "Option::is_none")]
    pub(super) hint: Option<String>,
}

/// What new tokens are had with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Refresh {
    #[serde(rename = "t")]
    pub(super) token: String,
    #[serde(rename = "u")]
    pub(super) until: u64,
}

impl Held {
    /// A session that begins.
    pub(super) fn begin(sub: String, claims: Vec<(String, String)>, says: &ProviderSession, now: u64) -> Self {
        let times = Times::begin(now, says.for_ms, says.idle_ms);
        let end = times.idle.map_or(times.expires, |idle| idle.end);
        let idle = times.idle.map(|idle| idle.after);
        Self { sub, claims, begun: times.begun, expires: times.expires, end, idle, refresh: None, hint: None }
    }

    /// Whether it holds, seconds since 1970.
    pub(super) fn holds(&self, now: u64) -> bool {
        now < self.expires && now < self.end
    }

    /// For how long a browser keeps it, seconds.
    pub(super) fn left(&self, now: u64) -> u64 {
        self.expires.saturating_sub(now)
    }

    /// Goes on for another idle time; whether that was due.
    pub(super) fn goes_on(&mut self, now: u64) -> bool {
        let Some(after) = self.idle else { return false };
        let times = Times { begun: self.begun, expires: self.expires, idle: Some(Idle { end: self.end, after }) };
        let next = times.next(now);
        self.expires = next.unwrap_or(self.expires);
        next.is_some()
    }

    /// Goes on for another idle time, due or not.
    pub(super) fn is_used(&mut self, now: u64) {
        if let Some(after) = self.idle {
            self.expires = now.saturating_add(after).min(self.end);
        }
    }

    /// What new tokens have to be had with now.
    pub(super) fn stale(&self, now: u64) -> Option<&Refresh> {
        self.refresh.as_ref().filter(|refresh| now >= refresh.until)
    }

    /// What the session says, as claims of a call.
    pub(super) fn says(&self) -> Vec<(Arc<str>, Arc<str>)> {
        let sub = std::iter::once(("sub".into(), self.sub.as_str().into()));
        sub.chain(self.claims.iter().map(|(name, value)| (name.as_str().into(), value.as_str().into()))).collect()
    }

    /// As it is sealed. The ID token is left out where it would take a cookie more than two: a logout goes without.
    pub(super) fn written(&self, seal: impl Fn(&[u8]) -> Option<String>) -> Option<String> {
        let text = seal(&serde_json::to_vec(self).ok()?)?;
        if cookies::parts(&text) <= 2 || self.hint.is_none() {
            return Some(text);
        }
        let without = Self { hint: None, ..self.clone() };
        seal(&serde_json::to_vec(&without).ok()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base64url;

    fn says(idle_ms: Option<u64>) -> ProviderSession {
        ProviderSession { cookie: "sid".into(), key: "key".into(), for_ms: 3_600_000, idle_ms }
    }

    #[test]
    fn it_ends_when_it_is_idle_and_at_its_end() {
        let mut held = Held::begin("ann".into(), Vec::new(), &says(Some(600_000)), 1_000);
        assert!(held.holds(1_599) && !held.holds(1_600));
        assert!(!held.goes_on(1_200) && held.goes_on(1_400));
        assert!(held.holds(1_999) && !held.holds(2_000));
        held.is_used(4_500);
        assert_eq!((held.left(4_500), held.holds(4_600)), (100, false));
        let held = Held::begin("ann".into(), Vec::new(), &says(None), 1_000);
        assert!(held.holds(4_599) && !held.holds(4_600) && !held.clone().goes_on(4_000));
    }

    #[test]
    fn what_is_written_is_read_again() {
        let mut held = Held::begin("ann".into(), vec![("email".into(), "a@b.test".into())], &says(None), 1_000);
        held.refresh = Some(Refresh { token: "r".into(), until: 2_000 });
        held.hint = Some("h".into());
        let text = held.written(|bytes| Some(base64url::encode(bytes))).expect("it can be written");
        let bytes = base64url::decode(text.as_bytes()).expect("letters");
        assert_eq!(serde_json::from_slice::<Held>(&bytes).expect("a session"), held);
        assert!(held.stale(1_999).is_none() && held.stale(2_000).is_some());
        held.hint = Some("h".repeat(10_000));
        let text = held.written(|bytes| Some(base64url::encode(bytes))).expect("it can be written");
        assert_eq!(cookies::parts(&text), 1, "the ID token is left out");
    }
}
