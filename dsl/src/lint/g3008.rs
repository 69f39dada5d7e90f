//! ## What
//!
//! The client chooses where a redirect leads.
//!
//! ## Why
//!
//! An open redirect lends the site's good name to a phisher (rule 25).
//!
//! ## Wrong
//!
//! ```route
//! site a.example.com {
//!     require query.next else deny 400
//!     else -> redirect 302 "{query.next}"
//! }
//! ```
//!
//! ## Right
//!
//! ```route
//! site a.example.com {
//!     require query.next else deny 400
//!     else -> redirect 302 "/back?to={query.next}"
//! }
//! ```

use crate::diagnostic::Diagnostic;
use crate::syntax::span::Loc;

/// The whole target is the client's.
pub(crate) fn whole(loc: Loc, name: &str) -> Diagnostic {
    Diagnostic::error("G3008", loc, "the client chooses the destination of this redirect")
        .at(format!("`{name}` comes from the client"))
        .help("start the target with a path or a host of yours, as in", format!("\"/back?to={{{name}}}\""), None)
}

/// A hole in the authority.
pub(crate) fn authority(loc: Loc, name: &str) -> Diagnostic {
    Diagnostic::error("G3008", loc, "the client chooses the host of this redirect")
        .at(format!("`{name}` stands in the host, or directly behind it"))
        .help("end the host with a `/` before it; only `request.uri` may follow a host directly", "/", None)
}

/// A host capture that no literal domain follows.
pub(crate) fn label(loc: Loc, name: &str) -> Diagnostic {
    Diagnostic::error("G3008", loc, "the client chooses the domain of this redirect")
        .at(format!("{name} is not followed by a literal domain"))
        .help("let the host end in a domain of yours, as in", "{tenant}.example.com/", None)
}
