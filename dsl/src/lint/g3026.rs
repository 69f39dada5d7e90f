//! ## What
//!
//! A session is started in a cookie whose name does not begin with `__Host-`.
//!
//! ## Why
//!
//! A page of another name below the same domain, or whoever answers for one in clear, can put a cookie of that name
//! beside it or in its place, and have somebody act in a session that is not theirs. Browsers take a cookie that
//! begins with `__Host-` from the host itself only, over TLS, for the whole of it (RFC 6265bis); what `start session`
//! writes is what they want of one. Names of a network of one's own are left alone.
//!
//! ## Wrong
//!
//! ```route
//! site a.example.com {
//!     /login {
//!         let who = jwt(query.token, key: secret.login, iss: "login", aud: host, alg: HS256)
//!         require who else deny 401
//!         start session("sid", key: secret.session-key, sub: who.sub)
//!         -> redirect 303 "/?in=1"
//!     }
//!     else -> respond 404
//! }
//! ```
//!
//! ## Right
//!
//! ```route
//! site a.example.com {
//!     /login {
//!         let who = jwt(query.token, key: secret.login, iss: "login", aud: host, alg: HS256)
//!         require who else deny 401
//!         start session("__Host-sid", key: secret.session-key, sub: who.sub)
//!         -> redirect 303 "/?in=1"
//!     }
//!     else -> respond 404
//! }
//! ```

use crate::diagnostic::Diagnostic;
use crate::tree::ir::{Site, Step};
use std::sync::Arc;

/// What binds a cookie to its host.
const PREFIX: &str = "__Host-";

/// Looks at the sessions that a site starts, once for each cookie.
pub(super) fn run(site: &Site, out: &mut Vec<Diagnostic>) {
    if site.hosts.iter().all(|(host, _)| super::g3019::inside(host)) {
        return;
    }
    let mut said: Vec<&Arc<str>> = Vec::new();
    for step in site.plans.iter().flat_map(|plan| &plan.steps) {
        let Step::Session(session) = step else { continue };
        let bound = session.cookie.get(..PREFIX.len()).is_some_and(|start| start.eq_ignore_ascii_case(PREFIX));
        if session.starts().is_none() || bound || said.contains(&&session.cookie) {
            continue;
        }
        said.push(&session.cookie);
        let words = format!("other hosts of the domain can put a cookie `{}` in place of this session", session.cookie);
        // Other lines name it too, and sessions of the old name end.
        let better = format!("\"{PREFIX}{}\"", session.cookie);
        out.push(Diagnostic::hint("G3026", session.loc, words).help("call it, wherever it is named,", better, None));
    }
}
