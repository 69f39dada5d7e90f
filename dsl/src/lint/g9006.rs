//! ## What
//!
//! The expressions that a header, cookie or query field is tested with need together more states than the analysis
//! looks at, so that it knows of this one only that it holds or not.
//!
//! ## Why
//!
//! Requests are decided exactly all the same. What is incomplete is what the linter says of this route and of those
//! beside it: that a route is never reached, or that two claim one request, may go unsaid where it rests on this expression.
//! Expressions that begin with `.*` and count behind it are the ones that grow; listed values and prefixes are free.
//!
//! ## Wrong
//!
//! ```route
//! pool a = 10.0.0.1:80
//! pool b = 10.0.0.2:80
//! pool c = 10.0.0.3:80
//!
//! site a.example.com {
//!     when header.x-id matches ".*[ab].{9}" -> a
//!     when header.x-id matches ".*[bc].{9}" -> b
//!     when header.x-id matches ".*[cd].{9}" -> c
//!     else -> respond 404
//! }
//! ```
//!
//! ## Right
//!
//! ```route
//! pool a = 10.0.0.1:80
//! pool b = 10.0.0.2:80
//! pool c = 10.0.0.3:80
//!
//! site a.example.com {
//!     when header.x-id starts with "a" -> a
//!     when header.x-id starts with "b" -> b
//!     when header.x-id starts with "c" -> c
//!     else -> respond 404
//! }
//! ```

use super::world::World;
use crate::diagnostic::Diagnostic;
use crate::tree::ir::{Cond, Field, Test};

/// Looks at each route whose condition has an expression.
pub(super) fn run(w: &mut World<'_>) {
    for at in w.entries() {
        let entry = w.entry(at);
        let mut tests = Vec::new();
        expressions(&entry.guard, &mut tests);
        if tests.is_empty() {
            continue;
        }
        let Some(view) = w.view(&entry.pattern) else { continue };
        if tests.iter().any(|cond| view.space().is_left_open(cond)) {
            let said = "this expression, beside the others of its field, is more than the analysis looks at: findings about this route may be incomplete";
            w.out.push(Diagnostic::hint("G9006", entry.loc, said));
        }
    }
}

/// The tests of a condition that match an expression, of fields that the analysis divides into classes.
fn expressions(cond: &Cond, out: &mut Vec<Cond>) {
    match cond {
        // Others say the same in their own way: these two are never divided.
        Cond::Test(Field::Header(name), _) if matches!(&**name, "cookie" | "host") => {}
        Cond::Test(Field::Header(_) | Field::Cookie(_) | Field::Query(_), Test::Matches(_)) => out.push(cond.clone()),
        Cond::Test(..) | Cond::Const(_) | Cond::Relate(..) => {}
        Cond::Not(inner) => expressions(inner, out),
        Cond::And(all) | Cond::Or(all) => all.iter().for_each(|cond| expressions(cond, out)),
    }
}
