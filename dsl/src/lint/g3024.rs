//! ## What
//!
//! A regular expression repeats what is itself repeated.
//!
//! ## Why
//!
//! Elsewhere such an expression can be made to run for minutes by a short text (ReDoS). Here matching is linear,
//! whatever the expression: nothing needs to be done. It is worth a thought for who came from another program, or
//! hands the same expression to one.
//!
//! ## Wrong
//!
//! ```route
//! site a.example.com {
//!     when query.q matches "(a+)+b" -> respond 200
//!     else -> respond 404
//! }
//! ```
//!
//! ## Right
//!
//! ```route
//! site a.example.com {
//!     when query.q matches "a+b" -> respond 200
//!     else -> respond 404
//! }
//! ```

use crate::diagnostic::Diagnostic;
use crate::syntax::span::Loc;
use crate::tree::ir::Regex;
use regex_syntax::hir::{Hir, HirKind};

/// Looks at an expression.
pub(crate) fn run(loc: Loc, regex: &Regex) -> Option<Diagnostic> {
    nested(regex.hir(), false).then(|| {
        Diagnostic::hint("G3024", loc, "nested quantifiers: fine here, where matching is linear, but not in every program")
    })
}

/// Whether something without an upper bound is repeated without one.
fn nested(hir: &Hir, inside: bool) -> bool {
    match hir.kind() {
        HirKind::Repetition(r) => {
            let many = r.max.is_none();
            (many && inside) || nested(&r.sub, inside || many)
        }
        HirKind::Capture(c) => nested(&c.sub, inside),
        HirKind::Concat(all) | HirKind::Alternation(all) => all.iter().any(|h| nested(h, inside)),
        HirKind::Empty | HirKind::Literal(_) | HirKind::Class(_) | HirKind::Look(_) => false,
    }
}
