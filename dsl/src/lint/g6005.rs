//! ## What
//!
//! A limit counts by a value that clients invent, and nothing has looked at it.
//!
//! ## Why
//!
//! Each new value gets a fresh bucket, so whoever invents one for each request is never limited.
//!
//! ## Wrong
//!
//! ```route
//! pool api = 10.0.0.1:80
//!
//! site a.example.com {
//!     limit 10/s per header.x-api-key if missing deny 401
//!     else -> api
//! }
//! ```
//!
//! ## Right
//!
//! ```route
//! pool api = 10.0.0.1:80
//!
//! site a.example.com {
//!     limit 50/s per client.ip
//!     limit 10/s per header.x-api-key if missing deny 401
//!     else -> api
//! }
//! ```
//!
//! ## Fix
//!
//! A limit of the same rate for each address is put before it: who invents keys is held by it.

use super::reads::Reads;
use super::world::World;
use crate::diagnostic::{Diagnostic, Edit};
use crate::syntax::span::{Loc, Span};
use crate::tree::ir::{Cond, Field, Step, Test};

/// Looks at what stands before limits of such a key.
pub(super) fn run(w: &mut World<'_>) {
    let mut found: Vec<Diagnostic> = Vec::new();
    for plan in &w.site.plans {
        for (n, step) in plan.steps.iter().enumerate() {
            let Step::Limit(limit) = step else { continue };
            let mut fields = Vec::new();
            let mut reads = Reads::of(w.site, |field: &Field| fields.push(field.clone()));
            limit.key.iter().for_each(|key| reads.value(&key.value));
            let invented = |f: &Field| matches!(f, Field::Header(_) | Field::Cookie(_) | Field::Query(_) | Field::Body(..));
            let Some(field) = fields.first().filter(|f| invented(f) && !super::g3005::is_origin(f)) else { continue };
            let known = fields.iter().any(|f| matches!(f, Field::Call(..) | Field::Claim(..)));
            if known || plan.steps[..n].iter().any(|step| bounds(step, field)) || found.iter().any(|d| d.primary.loc == limit.loc) {
                continue;
            }
            let edit = above(w, limit.loc);
            let paste = edit.as_ref().map_or("limit 100/s per client.ip".to_owned(), |e| e.text.trim().to_owned());
            found.push(
                Diagnostic::warning("G6005", limit.loc, format!("clients invent `{field}`, and each new value gets a fresh bucket"))
                    .help("verify it above, or bound each client too", paste, edit),
            );
        }
    }
    w.out.append(&mut found);
}

/// Whether a step keeps out who invents values, or counts the client as well.
fn bounds(step: &Step, field: &Field) -> bool {
    match step {
        Step::Require { cond, .. } => looks_at(cond, field),
        Step::Limit(limit) => limit.key.iter().any(|key| key.address),
        Step::Header(_) | Step::Session(_) => false,
    }
}

fn looks_at(cond: &Cond, field: &Field) -> bool {
    match cond {
        Cond::Test(Field::Call(..) | Field::Claim(..), _) => true,
        Cond::Test(Field::Row(_), _) => true,
        Cond::Test(Field::ClientIp, Test::InNets(_)) => true,
        Cond::Test(f, test) => f == field && *test != Test::Present,
        Cond::Const(_) => false,
        Cond::Relate(..) => true,
        Cond::Not(inner) => looks_at(inner, field),
        Cond::And(all) | Cond::Or(all) => all.iter().any(|c| looks_at(c, field)),
    }
}

/// The same rate for each client, above.
fn above(w: &World<'_>, stmt: Loc) -> Option<Edit> {
    let indent = w.indent(stmt)?;
    let (rate, _) = w.source(stmt).split_once(" per ")?;
    let start = stmt.span.start as usize;
    let text = format!("{rate} per client.ip\n{indent}");
    Some(Edit { loc: Loc { file: stmt.file, span: Span::new(start, start) }, text, safe: true })
}
