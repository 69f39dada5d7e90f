//! `start session(…)`, `keep session(…)`, `end session(…)`: the cookie of a session.
//!
//! A session is a token of the gateway's own: `iss` is `sluice`, `aud` the host that issued it, `sub` whom it
//! is for. Nothing is kept of it here: whoever holds the key can verify it, on every node. When it ends, and
//! after how long without a request, stands in it; see [`dsl::tree::session`].

use super::{Edge, jwt};
use crate::runtime::notice::Notice;
use crate::runtime::worker::Worker;
use dsl::tree::ir::Session;
use dsl::tree::session::{ISSUER, Issue, Times, kept};
use http::HeaderValue;
use std::sync::Arc;
use std::time::Duration;

/// What becomes of a session.
pub(super) enum Issued {
    /// This `Set-Cookie` goes with the answer.
    Cookie(HeaderValue),
    /// Nothing: it holds as it is.
    Stays,
    /// It could not be signed, which was told: the request is answered 503.
    Unsigned,
}

/// The cookie of a session that is issued, kept or ended by `host`. `now`: since 1970.
pub(super) fn issue(
    edge: &Edge,
    session: &Arc<Session>,
    issue: Issue<'_>,
    host: &str,
    now: Duration,
    worker: &Worker,
) -> Issued {
    let now = now.as_secs();
    let (sub, times) = match issue {
        Issue::Start(sub) => match session.starts() {
            Some(start) => (sub, Times::begin(now, start.for_ms, start.idle_ms)),
            // The judge starts none that does not say so.
            None => return Issued::Stays,
        },
        Issue::Keep(claims) => match kept(claims, now) {
            Some(next) => next,
            None => return Issued::Stays,
        },
        Issue::End => return cookie(&session.cookie, "", 0),
    };
    match token(edge, session, sub, &times, host, worker) {
        Some(token) => cookie(&session.cookie, &token, times.left(now)),
        // Who has a session that still holds is not refused for it.
        None if matches!(issue, Issue::Keep(_)) => Issued::Stays,
        None => Issued::Unsigned,
    }
}

/// The token of a session; `None` where it cannot be signed, which is told.
fn token(edge: &Edge, session: &Arc<Session>, sub: &str, times: &Times, host: &str, worker: &Worker) -> Option<String> {
    let keys = edge.session_ring(session)?.keys();
    let Some(key) = keys.signing() else {
        let call = format!("{} session(\"{}\", …)", session.verb(), session.cookie);
        let secret = session.key().map_or("", |key| key);
        let reason = keys.trouble.clone();
        let reason = reason.unwrap_or_else(|| format!("secret {secret}: a public key cannot sign"));
        worker.tell_once(&call, || Notice::CallFailed { call: call.clone(), reason });
        return None;
    };
    let mut claims = serde_json::json!({
        "iss": ISSUER, "aud": host, "sub": sub, "iat": times.begun, "exp": times.expires,
    });
    if let Some(idle) = times.idle {
        claims["end"] = idle.end.into();
        claims["idle"] = idle.after.into();
    }
    Some(jwt::sign(&claims, key))
}

/// `Set-Cookie` with what a session's cookie always has: only TLS carries it, no script reads it, and of what
/// other sites send only navigations have it.
fn cookie(name: &str, token: &str, seconds: u64) -> Issued {
    let text = format!("{name}={token}; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age={seconds}");
    // A token's name and base64url.
    HeaderValue::from_str(&text).map_or(Issued::Unsigned, Issued::Cookie)
}
