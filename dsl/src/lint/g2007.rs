//! ## What
//!
//! A host is claimed twice: by two sites, in one file or in two.
//!
//! ## Why
//!
//! A request goes to one site. Which of the two would depend on the order of files.
//!
//! ## Wrong
//!
//! ```route
//! site a.example.com {
//!     else -> respond 404
//! }
//!
//! site a.example.com {
//!     else -> respond 200
//! }
//! ```
//!
//! ## Right
//!
//! ```route
//! site a.example.com {
//!     else -> respond 404
//! }
//!
//! site b.example.com {
//!     else -> respond 200
//! }
//! ```

use super::show;
use crate::diagnostic::Diagnostic;
use crate::region::Algebra;
use crate::syntax::span::{FileId, Loc};
use crate::tree::ir::HostPattern;
use std::collections::HashMap;

/// The host, and where it is served already.
pub(crate) fn twice(loc: Loc, host: &str, first: Loc) -> Diagnostic {
    Diagnostic::error("G2007", loc, format!("`{host}` is already served elsewhere")).label(first, "served here already")
}

/// Patterns that overlap though neither holds the other.
pub(crate) fn crossing(loc: Loc, host: &str, other: &str, first: Loc, witness: &str) -> Diagnostic {
    Diagnostic::error("G2002", loc, format!("`{host}` and `{other}` both claim some hosts, and neither holds the other"))
        .label(first, "claimed here too")
        .witness(format!("GET https://{witness}/"))
        .help("give that host a site of its own", format!("site {witness} {{"), None)
}

/// Hosts that are claimed twice by the files given, in their order: each finding stands at the later
/// claim and names the earlier one. A pattern that lies inside another is no conflict: the most
/// specific one answers.
pub fn cross_file(files: &[(FileId, &[(HostPattern, Loc)])]) -> Vec<Diagnostic> {
    let mut out = Vec::new();
    let mut first: HashMap<&HostPattern, Loc> = HashMap::new();
    // Only patterns under one parent can overlap without inclusion: captures stand in one label.
    let mut by_parent: HashMap<&str, Vec<(&HostPattern, Loc)>> = HashMap::new();
    let mut algebra = Algebra::hosts();
    for (_, claims) in files {
        for (pattern, loc) in *claims {
            match first.get(pattern) {
                Some(earlier) => {
                    out.push(twice(*loc, &show::host(pattern), *earlier));
                    continue;
                }
                None => first.insert(pattern, *loc),
            };
            if pattern.literal().is_some() {
                continue;
            }
            let siblings = by_parent.entry(&pattern.parent).or_default();
            for (other, at) in siblings.iter() {
                let inside = |a: &HostPattern, b: &HostPattern, algebra: &mut Algebra| algebra.host_inside(a, b);
                let nested = matches!(inside(pattern, other, &mut algebra), Ok(true))
                    || matches!(inside(other, pattern, &mut algebra), Ok(true));
                if nested {
                    // The same hosts in two spellings have no most specific one.
                    if matches!(inside(pattern, other, &mut algebra), Ok(true))
                        && matches!(inside(other, pattern, &mut algebra), Ok(true))
                    {
                        out.push(twice(*loc, &show::host(pattern), *at));
                    }
                    continue;
                }
                match algebra.host_overlap(pattern, other) {
                    Ok(Some(witness)) => {
                        out.push(crossing(*loc, &show::host(pattern), &show::host(other), *at, &witness));
                    }
                    Ok(None) => {}
                    Err(why) => out.push(
                        Diagnostic::error(
                            "G9006",
                            *loc,
                            format!("whether `{}` and `{}` overlap cannot be told: {why}", show::host(pattern), show::host(other)),
                        )
                        .label(*at, "the other pattern"),
                    ),
                }
            }
            siblings.push((pattern, *loc));
        }
    }
    out
}
