//! ## What
//!
//! A route's pattern does not lie inside its block.
//!
//! ## Why
//!
//! A block is a wall: what does not enter it is not answered in it.
//!
//! ## Wrong
//!
//! ```route
//! site a.example.com {
//!     /admin/* {
//!         /users -> respond 200
//!         else -> respond 404
//!     }
//!     else -> respond 404
//! }
//! ```
//!
//! ## Right
//!
//! ```route
//! site a.example.com {
//!     /admin/* {
//!         ./users -> respond 200
//!         else -> respond 404
//!     }
//!     else -> respond 404
//! }
//! ```

use crate::diagnostic::{Diagnostic, Edit};
use crate::syntax::span::Loc;

/// The block's pattern; `relative` when the route was written with `./`.
pub(crate) fn outside(loc: Loc, base: &str, relative: bool) -> Diagnostic {
    let d = Diagnostic::error("G2020", loc, format!("this pattern does not lie inside its block, which is `{base}`"));
    if relative || !base.ends_with("/*") {
        d.help("let the block hold what is below it", format!("{}/*", base.trim_end_matches('/')), None)
    } else {
        d.help("write it relative to the block", "./", Some(Edit {
            loc: Loc { file: loc.file, span: crate::syntax::span::Span { start: loc.span.start, end: loc.span.start } },
            text: ".".into(),
            safe: false,
        }))
    }
}
