//! ## What
//!
//! A cookie, header or query field is named once, and all but the same one again and again.
//!
//! ## Why
//!
//! Nothing declares these names, so a slip is a field that never is there. Two names of which each is used
//! more than once are two names.
//!
//! ## Wrong
//!
//! ```route
//! pool web  = 10.0.0.1:80
//! pool next = 10.0.0.2:80
//!
//! site a.example.com {
//!     when cookie.canary is "always" -> next
//!     when cookie.canary is "never"  -> web
//!     when cookie.canary is "a"      -> next
//!     when cookie.canray is "b"      -> next
//!     else -> web
//! }
//! ```
//!
//! ## Right
//!
//! ```route
//! pool web  = 10.0.0.1:80
//! pool next = 10.0.0.2:80
//!
//! site a.example.com {
//!     when cookie.canary is "always" -> next
//!     when cookie.canary is "never"  -> web
//!     when cookie.canary is "a"      -> next
//!     when cookie.canary is "b"      -> next
//!     else -> web
//! }
//! ```
//!
//! ## Fix
//!
//! The name that is used elsewhere takes the place of the other.

use super::replace;
use super::slip::slip;
use crate::diagnostic::Diagnostic;
use crate::syntax::span::Loc;
use crate::tree::ir::Field;
use std::collections::BTreeMap;

/// So often a name is used that another one may be a slip of.
const OFTEN: usize = 3;

/// Looks at the fields that a file reads: each with the places of its name.
pub(crate) fn run(read: &[(Field, Loc)]) -> Vec<Diagnostic> {
    let mut places: BTreeMap<(&str, &str), Vec<Loc>> = BTreeMap::new();
    for (field, loc) in read {
        let Some(named) = name_of(field) else { continue };
        let of_field = places.entry(named).or_default();
        if !of_field.contains(loc) {
            of_field.push(*loc);
        }
    }
    let mut out = Vec::new();
    for ((kind, name), locs) in &places {
        let [loc] = locs.as_slice() else { continue };
        let often = places.iter().filter(|(_, all)| all.len() >= OFTEN);
        let near = often.filter(|((k, n), _)| k == kind && slip(name, n)).max_by_key(|(_, all)| all.len());
        if let Some(((_, meant), all)) = near {
            let message = format!("`{kind}.{name}` is used once; `{meant}` is used {} times", all.len());
            out.push(
                Diagnostic::warning("G1015", *loc, message)
                    .label(all[0], "the other one")
                    .help("did you mean", *meant, replace(*loc, meant, true)),
            );
        }
    }
    out
}

fn name_of(field: &Field) -> Option<(&'static str, &str)> {
    match field {
        Field::Header(name) => Some(("header", name)),
        Field::Cookie(name) => Some(("cookie", name)),
        Field::Query(name) => Some(("query", name)),
        _ => None,
    }
}
