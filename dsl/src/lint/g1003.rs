//! ## What
//!
//! A hole or an expression names something that is not visible there.
//!
//! ## Why
//!
//! A template with an unknown hole has no text, a condition on an unknown name no answer.
//!
//! ## Wrong
//!
//! ```route
//! site a.example.com {
//!     /old/*rest -> redirect 308 /new/{rset}
//!     else -> respond 404
//! }
//! ```
//!
//! ## Right
//!
//! ```route
//! site a.example.com {
//!     /old/*rest -> redirect 308 /new/{rest}
//!     else -> respond 404
//! }
//! ```

use super::replace;
use crate::diagnostic::Diagnostic;
use crate::syntax::span::Loc;

/// A hole names no capture of its route.
pub(crate) fn not_captured(loc: Loc, name: &str, captures: &[&str], near: Option<&str>) -> Diagnostic {
    let list: Vec<String> = captures.iter().map(|c| format!("`{{{c}}}`")).collect();
    let known = if list.is_empty() {
        "nothing is captured here".to_owned()
    } else {
        format!("captured here: {}", list.join(", "))
    };
    let d = Diagnostic::error("G1003", loc, format!("`{{{name}}}` is not captured by this route; {known}"));
    match near {
        Some(near) => d.help("did you mean", near, replace(loc, near, true)),
        None => d,
    }
}

/// An expression names nothing.
pub(crate) fn unknown_name(loc: Loc, name: &str, near: Option<&str>) -> Diagnostic {
    unknown(loc, &format!("`{name}` is not the name of a value here"), near)
}

/// A call names no function.
pub(crate) fn unknown_function(loc: Loc, name: &str, near: Option<&str>) -> Diagnostic {
    unknown(loc, &format!("no function named `{name}`"), near)
}

/// `tls auto via dns(NAME)`, and `gateway.route` names no such provider.
pub(crate) fn unknown_provider(loc: Loc, name: &str, near: Option<&str>) -> Diagnostic {
    unknown(loc, &format!("`gateway.route` has no DNS provider named `{name}`"), near)
}

fn unknown(loc: Loc, message: &str, near: Option<&str>) -> Diagnostic {
    match near {
        Some(near) => Diagnostic::error("G1003", loc, format!("{message}; did you mean `{near}`?"))
            .help("did you mean", near, replace(loc, near, true)),
        None => Diagnostic::error("G1003", loc, message),
    }
}
