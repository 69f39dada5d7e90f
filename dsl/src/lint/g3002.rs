//! ## What
//!
//! A site with `paths raw` has a check that hangs on a path.
//!
//! ## Why
//!
//! Raw paths are matched as they were sent: `//admin`, `/%61dmin` and `/x/../admin` are not `/admin`. They pass the
//! check by, and an origin that reads them as `/admin` serves them.
//!
//! ## Wrong
//!
//! ```route
//! pool registry = 10.0.0.1:5000
//!
//! site a.example.com {
//!     paths raw
//!     /admin/* {
//!         require client.ip in 10.0.0.0/8 else deny 403
//!         -> registry
//!     }
//!     else -> registry
//! }
//! ```
//!
//! ## Right
//!
//! ```route
//! pool registry = 10.0.0.1:5000
//! pool admin    = 10.0.0.2:5000
//!
//! site a.example.com {
//!     /admin/* {
//!         require client.ip in 10.0.0.0/8 else deny 403
//!         -> admin
//!     }
//!     else -> respond 404
//! }
//!
//! site packages.example.com {
//!     paths raw
//!     else -> registry
//! }
//! ```

use crate::check::{SiteInfo, l4};
use crate::diagnostic::Diagnostic;
use crate::syntax::span::Loc;
use crate::tree::ir::{Capture, Cond, Field, PathPattern, Plan, Scope, Segment, Step};

/// The site's checks that hang on a path, one finding each; `raw` is the line that says `paths raw`.
pub(crate) fn run(scopes: &[Scope], plans: &[Plan], info: &SiteInfo, raw: Loc) -> Vec<Diagnostic> {
    let mut found: Vec<(Loc, String, Option<String>)> = Vec::new();
    let mut add = |loc: Loc, what: String, path: Option<String>| {
        if found.iter().all(|(at, ..)| *at != loc) {
            found.push((loc, what, path));
        }
    };
    // A pathless block hangs on no path.
    let everywhere = |scope: &Scope| scope.pattern.segments.is_empty() && scope.pattern.splat;
    for (scope, info) in scopes.iter().zip(&info.scopes).filter(|(scope, _)| !everywhere(scope)) {
        for check in &info.protectors {
            add(check.loc, format!("`{}`", check.name), begin(&scope.pattern));
        }
    }
    for step in plans.iter().flat_map(|plan| &plan.steps) {
        match step {
            Step::Require { cond, loc, .. } if of_path(cond) => add(*loc, "this `require`".to_owned(), None),
            Step::Limit(limit) if of_path(&limit.when) => add(limit.loc, "this `limit`".to_owned(), None),
            _ => {}
        }
    }
    let said = |(loc, what, path): (Loc, String, Option<String>)| {
        let path = path.unwrap_or_else(|| "admin".to_owned());
        let coded = path.bytes().next().map_or_else(String::new, |first| format!("%{first:02X}{}", &path[1..]));
        let message = format!("{what} can be walked around: with raw paths `//{path}` and `/{coded}` are not `/{path}`");
        Diagnostic::error("G3002", loc, message)
            .label(raw, "paths are matched as they were sent")
            .note("an origin may read the other spellings as the path that is checked")
            .help("let paths be canonical here, and serve what needs raw ones on a host of its own", "", None)
    };
    found.into_iter().map(said).collect()
}

/// The first segment of a pattern, where it is fixed ASCII text.
fn begin(pattern: &PathPattern) -> Option<String> {
    match pattern.segments.first()? {
        Segment::Lit(text) if text.is_ascii() => Some(text.to_string()),
        Segment::Lit(_) | Segment::Capture { .. } => None,
    }
}

/// Whether a condition reads the path, or a part of it.
fn of_path(cond: &Cond) -> bool {
    let mut read = Vec::new();
    l4::fields(cond, &mut read);
    read.iter().any(|field| match field {
        Field::Path | Field::Uri => true,
        Field::Capture(capture) => !matches!(capture, Capture::Host { .. }),
        _ => false,
    })
}
