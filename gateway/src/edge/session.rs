//! `start session(…)`, `end session(…)`: the cookie of a session.
//!
//! A session is a token of the gateway's own: `iss` is `sluice`, `aud` the host that issued it, `sub` whom it
//! is for. Nothing is kept of it here: whoever holds the key can verify it, on every node.

use super::{Edge, jwt};
use crate::runtime::notice::Notice;
use crate::runtime::worker::Worker;
use dsl::tree::ir::Session;
use http::HeaderValue;
use std::sync::Arc;
use std::time::Duration;

/// Who issues sessions.
const ISSUER: &str = "sluice";

/// The `Set-Cookie` of a session that is issued to `sub` by `host`, or ended where there is none. `None` where it
/// cannot be signed, which is told. `now`: since 1970.
pub(super) fn cookie(
    edge: &Edge,
    session: &Arc<Session>,
    sub: Option<&str>,
    host: &str,
    now: Duration,
    worker: &Worker,
) -> Option<HeaderValue> {
    let name = &session.cookie;
    let text = match (&session.start, sub) {
        (Some(start), Some(sub)) => {
            let keys = edge.session_ring(session)?.keys();
            let Some(key) = keys.signing() else {
                let call = format!("start session(\"{name}\", …)");
                let reason = keys.trouble.clone();
                let reason = reason.unwrap_or_else(|| format!("secret {}: a public key cannot sign", start.key));
                worker.tell_once(&call, || Notice::CallFailed { call: call.clone(), reason });
                return None;
            };
            let (issued, lasts) = (now.as_secs(), start.for_ms / 1_000);
            let claims = serde_json::json!({
                "iss": ISSUER, "aud": host, "sub": sub, "iat": issued, "exp": issued.saturating_add(lasts),
            });
            let token = jwt::sign(&claims, key);
            format!("{name}={token}; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age={lasts}")
        }
        _ => format!("{name}=; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=0"),
    };
    // A token's name and base64url.
    HeaderValue::from_str(&text).ok()
}
