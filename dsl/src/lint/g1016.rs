//! ## What
//!
//! A `require` compares by `is not` what can be missing.
//!
//! ## Why
//!
//! What is missing is not anything, so the request passes: `require header.x is not "a"` asks nothing of who
//! leaves the header out.
//!
//! ## Wrong
//!
//! ```route
//! pool web = 10.0.0.1:80
//!
//! site a.example.com {
//!     require header.x-plan is not "free" else deny 402
//!     else -> web
//! }
//! ```
//!
//! ## Right
//!
//! ```route
//! pool web = 10.0.0.1:80
//!
//! site a.example.com {
//!     require header.x-plan and header.x-plan is not "free" else deny 402
//!     else -> web
//! }
//! ```
//!
//! ## Fix
//!
//! The value must be there and differ: requests without it no longer pass.

use super::replace;
use crate::diagnostic::Diagnostic;
use crate::syntax::span::Loc;
use crate::tree::ir::{Cond, Field, Test};

/// The comparison, the value in it as written, whether `and` needs parentheses there, and the whole
/// condition: one that asks whether the value is there has thought of it.
pub(crate) fn missing(loc: Loc, field: &Field, written: &str, wrap: bool, whole: &Cond) -> Option<Diagnostic> {
    if asks_for(whole, field) {
        return None;
    }
    let what = match field {
        Field::Cookie(_) => "cookie",
        Field::Query(_) => "query field",
        _ => "header",
    };
    let d = Diagnostic::warning("G1016", loc, format!("this also holds when the {what} is missing"));
    let Some((value, _)) = written.split_once(char::is_whitespace) else { return Some(d) };
    let text = format!("{value} and {written}");
    let text = if wrap { format!("({text})") } else { text };
    let either = format!("(not {value} or {written})");
    Some(
        d.help("where it must be there, write", text.clone(), replace(loc, &text, true))
            .help("where it need not, write", either, None),
    )
}

/// Whether a condition asks if a field is there.
fn asks_for(cond: &Cond, field: &Field) -> bool {
    match cond {
        Cond::Test(f, Test::Present) => f == field,
        Cond::Const(_) | Cond::Test(..) | Cond::Relate(..) => false,
        Cond::Not(inner) => asks_for(inner, field),
        Cond::And(all) | Cond::Or(all) => all.iter().any(|c| asks_for(c, field)),
    }
}
