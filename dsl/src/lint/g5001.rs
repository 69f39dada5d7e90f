//! ## What
//!
//! An endpoint is listed twice in a pool.
//!
//! ## Why
//!
//! It gets a double share; that is what `weight` says.
//!
//! ## Wrong
//!
//! ```route
//! pool a = 10.0.0.1:80, 10.0.0.1:80
//! ```
//!
//! ## Right
//!
//! ```route
//! pool a {
//!     10.0.0.1:80 weight 2
//!     10.0.0.2:80
//! }
//! ```

use crate::diagnostic::{Diagnostic, Edit};
use crate::syntax::span::{Loc, Span};

/// The endpoint, and where it stands first; with the text of their file, where it is at hand.
pub(crate) fn twice(loc: Loc, endpoint: &str, first: Loc, text: Option<&str>) -> Diagnostic {
    Diagnostic::warning("G5001", loc, format!("{endpoint} is listed twice"))
        .label(first, "listed here first")
        .help("for a double share write", format!("{endpoint} weight 2"), text.and_then(|text| together(text, first, loc)))
}

/// The edit that puts both shares where the endpoint stands first, and takes the second away.
fn together(text: &str, first: Loc, second: Loc) -> Option<Edit> {
    let (first_end, one) = weighed(text, first.span.end as usize)?;
    let (second_end, other) = weighed(text, second.span.end as usize)?;
    let written = text.get(first.span.range())?;
    let between = text.get(first_end..second.span.start as usize)?;
    // In the short form a comma stands before each but the first, in the long form a line is its own.
    let kept = between.trim_end();
    let kept = match kept.strip_suffix(',') {
        Some(kept) => kept,
        None if between[kept.len()..].contains('\n') => kept,
        None => return None,
    };
    let text = format!("{written} weight {}{kept}", one.checked_add(other)?);
    Some(Edit { loc: Loc { file: first.file, span: Span::new(first.span.start as usize, second_end) }, text, safe: true })
}

/// Where an endpoint with its weight ends, and the weight; `None` where it says more.
fn weighed(text: &str, end: usize) -> Option<(usize, u32)> {
    let rest = text.get(end..)?;
    let rest = &rest[..rest.find(['\n', ',', '#', '}']).unwrap_or(rest.len())];
    let words: Vec<&str> = rest.split_whitespace().collect();
    match words.as_slice() {
        [] => Some((end, 1)),
        ["weight", n] => Some((end + rest.trim_end().len(), n.parse().ok()?)),
        _ => None,
    }
}
