//! ## What
//!
//! Two typed captures at one place match the same text, and neither type is a part of the other.
//!
//! ## Why
//!
//! Which route answers would be a matter of the language's tie order, which nobody remembers (rule 8).
//!
//! ## Wrong
//!
//! ```route
//! pool numbers = 10.0.0.1:80
//! pool words = 10.0.0.2:80
//!
//! site a.example.com {
//!     /u/{id:int} -> numbers
//!     /u/{hex:"[1-9a-f]+"} -> words
//!     else -> respond 404
//! }
//! ```
//!
//! ## Right
//!
//! ```route
//! pool numbers = 10.0.0.1:80
//! pool words = 10.0.0.2:80
//!
//! site a.example.com {
//!     /u/{id:int} -> numbers
//!     /u/{hex:"[0-9a-f]+"} -> words
//!     else -> respond 404
//! }
//! ```

use super::show;
use super::world::{At, World};
use crate::tree::ir::{Class, PathPattern, Segment};

/// The types of two routes that overlap at one place without inclusion, where that is all that keeps
/// one route from lying in the other.
pub(super) fn types(w: &mut World<'_>, a: At, b: At) -> Option<(String, String)> {
    let (p, q) = (&w.entry(a).pattern, &w.entry(b).pattern);
    let typed = |s: &Segment| matches!(s, Segment::Capture { class: Class::Int | Class::Uuid | Class::Regex(_), .. });
    let mut found = None;
    for (x, y) in p.segments.iter().zip(&q.segments) {
        let inside = w.paths.segment_inside(x, y).ok()?;
        let outside = w.paths.segment_inside(y, x).ok()?;
        if !inside && !outside && typed(x) && typed(y) {
            let alone = |s: &Segment| show::path(&PathPattern { segments: vec![s.clone()], splat: false });
            let name = |s: &Segment| alone(s).trim_start_matches('/').to_owned();
            found.get_or_insert((name(x), name(y)));
        }
    }
    found
}
