//! ## What
//!
//! Some requests that enter a block match nothing in it.
//!
//! ## Why
//!
//! A block is a wall: they do not fall out of it to a wider route, they get 404. `else` says so.
//!
//! ## Wrong
//!
//! ```route
//! pool web = 10.0.0.1:80
//!
//! site a.example.com {
//!     /admin/* {
//!         ./users/* -> web
//!     }
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
//!     /admin/* {
//!         ./users/* -> web
//!         else -> respond 404
//!     }
//!     else -> web
//! }
//! ```
//!
//! ## Fix
//!
//! The line is added. The 404 is then an answer of the block, with an empty body, and not counted as a request without a route.

use super::g2005::{missed, with_else};
use super::l4::Item;
use super::show;
use super::world::World;
use crate::diagnostic::Diagnostic;

/// Finds, for each block, a request that it takes in and does not answer.
pub(super) fn run(w: &mut World<'_>) {
    if w.info.dropped {
        return;
    }
    for scope in 1..w.site.scopes.len() {
        let Some(request) = missed(w, scope) else { continue };
        let of = &w.site.scopes[scope];
        let d = Diagnostic::warning(
            "G2006",
            of.loc,
            format!("inside `{}` nothing matches `{}`; it will not fall out of the block", show::path(&of.pattern), request.path),
        )
        .witness(w.describe(&request));
        let d = with_else(w, scope, d);
        w.out.push(d);
    }
}

/// Finds, for each block of an item, a connection that it takes in and does not answer.
pub(super) fn item(item: &mut Item<'_>) {
    let mut out = Vec::new();
    for (n, info) in item.info.entries.iter().enumerate().filter(|(_, info)| info.miss) {
        let Some(witness) = &item.judged.taken[n] else { continue };
        let at = item.rules.entries[n].loc;
        let shown = item.describe(witness);
        let d = format!("inside `{}` nothing matches `{shown}`, so it is refused; it will not fall out of the block", item.source(at));
        let d = Diagnostic::warning("G2006", at, d).witness(shown);
        out.push(d.help("say so", "else -> deny", super::g2005::at_the_end(item, info.stmt)));
    }
    item.out.append(&mut out);
}
