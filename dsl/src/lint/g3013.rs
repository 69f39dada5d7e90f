//! ## What
//!
//! A token is accepted whoever issued it and whomever it is for.
//!
//! ## Why
//!
//! A token that was issued for another service with this key passes here too.
//!
//! ## Wrong
//!
//! ```route
//! pool api = 10.0.0.1:80
//!
//! site a.example.com {
//!     require jwt(cookie.sid, key: secret.session-key) else deny 401
//!     else -> api
//! }
//! ```
//!
//! ## Right
//!
//! ```route
//! pool api = 10.0.0.1:80
//!
//! site a.example.com {
//!     require jwt(cookie.sid, key: secret.session-key, aud: host) else deny 401
//!     else -> api
//! }
//! ```

use super::world::World;
use crate::diagnostic::Diagnostic;
use crate::tree::ir::CallKind;

/// Looks at the tokens that are verified.
pub(super) fn run(w: &mut World<'_>) {
    for call in &w.site.calls {
        let CallKind::Jwt(jwt) = &call.kind else { continue };
        if jwt.issuer.is_none() && jwt.audience.is_none() {
            let d = "a token issued for another service with this key is accepted too: neither `aud` nor `iss` is asked for";
            w.out.push(Diagnostic::warning("G3013", call.loc, d).help("say whom it is for", "aud: host", None));
        }
    }
}
