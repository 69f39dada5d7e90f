//! ## What
//!
//! A pool is reached through a protected path and through an open one, and does not say how its servers treat case.
//!
//! ## Why
//!
//! Paths are case-sensitive here: `/Admin/x` is not in `/admin/*`. Many servers tell them apart as well, but some
//! (Windows file systems, IIS, many frameworks) do not. To those `/Admin/x` is the protected page, and it came by the
//! open route. Nobody but their operator knows, so the pool says it: `paths case-sensitive` or `paths
//! case-insensitive`. Where it says the latter and such a request gets through, this is an error.
//!
//! ## Wrong
//!
//! ```route
//! import std/auth
//!
//! pool web = 10.0.3.10:9000
//!
//! site a.example.com {
//!     /admin/* {
//!         use auth.only-from([10.0.0.0/8])
//!         -> web
//!     }
//!     else -> web
//! }
//! ```
//!
//! ## Right
//!
//! ```route
//! import std/auth
//!
//! pool web {
//!     10.0.3.10:9000
//!     paths case-sensitive
//! }
//!
//! site a.example.com {
//!     /admin/* {
//!         use auth.only-from([10.0.0.0/8])
//!         -> web
//!     }
//!     else -> web
//! }
//! ```

use super::across::{Reached, reached_by};
use super::g2005::missed;
use super::g3003::{open, protector};
use super::show;
use super::world::{At, World};
use crate::diagnostic::Diagnostic;
use crate::reach::PoolKey;
use crate::syntax::span::Loc;
use crate::tree::ir::{PathCase, PathPattern, PlanIdx, Pool, Segment, Target};
use crate::tree::request::Plain;
use std::collections::{BTreeSet, HashMap};

/// Finds, for each protected way to a pool, a request that differs from one of its own by case alone and reaches the
/// same servers unasked.
pub(super) fn run(w: &mut World<'_>) {
    let site = w.site;
    let mut ways: HashMap<PlanIdx, Vec<Reached<'_>>> = HashMap::new();
    for way in reached_by(0, site) {
        ways.entry(way.index).or_default().push(way);
    }
    // Without an open way there is nothing to look for.
    let opened: Vec<PoolKey> =
        ways.values().flatten().filter(|way| open(way)).map(|way| PoolKey::of(way.pool())).collect();
    let mut said: BTreeSet<Loc> = BTreeSet::new();
    for at in w.entries() {
        // A block's bare arrow is the plan of what nothing in it takes.
        let plan = match w.entry(at).target {
            Target::Plan(plan) => plan,
            Target::Scope(inner) => site.scopes[inner.0 as usize].miss,
        };
        for way in ways.get(&plan).into_iter().flatten() {
            let Some(policy) = protector(way) else { continue };
            if opened.iter().any(|key| key.shares(way.pool())) {
                let Some((request, past)) = past(w, at, way, &ways) else { continue };
                if said.insert(past.dial.loc) {
                    report(w, at, (&policy.name, policy.loc), past, &request);
                }
            }
        }
    }
}

/// A request of a protected way, spelled in another case, and the open way that it takes.
fn past<'s, 'm>(
    w: &mut World<'_>,
    at: At,
    way: &Reached<'s>,
    ways: &'m HashMap<PlanIdx, Vec<Reached<'s>>>,
) -> Option<(Plain, &'m Reached<'s>)> {
    let request = match w.entry(at).target {
        Target::Plan(_) => w.plain_witness(at)?,
        Target::Scope(inner) => missed(w, inner.0 as usize)?,
    };
    let key = PoolKey::of(way.pool());
    for path in spellings(&w.entry(at).pattern, &request.path) {
        let spelled = Plain { path, ..request.clone() };
        let Some(plan) = w.decide(&spelled, w.entry(at).loc) else { continue };
        let found = ways.get(&plan).into_iter().flatten();
        let mut found = found.filter(|past| open(past) && key.shares(past.pool()) && in_doubt(way.pool(), past.pool()));
        if let Some(past) = found.next() {
            return Some((spelled, past));
        }
    }
    None
}

/// Whether servers may take two spellings for one path, by what pools of them say.
fn in_doubt(a: &Pool, b: &Pool) -> bool {
    let said = [a.paths, b.paths];
    said.contains(&Some(PathCase::Insensitive)) || !said.contains(&Some(PathCase::Sensitive))
}

/// Other spellings of a path: of each segment that a pattern says something of, then of all.
fn spellings(pattern: &PathPattern, path: &str) -> Vec<String> {
    let segments: Vec<&str> = path.split('/').skip(1).collect();
    let named = |at: usize| pattern.segments.get(at).is_some_and(|segment| *segment != Segment::any());
    let joined = |change: &dyn Fn(usize, &str) -> String| {
        let all = segments.iter().enumerate().map(|(at, segment)| change(at, segment));
        all.fold(String::new(), |path, segment| format!("{path}/{segment}"))
    };
    let capital = |segment: &str| match segment.split_at_checked(1) {
        Some((first, rest)) => first.to_ascii_uppercase() + rest,
        None => segment.to_owned(),
    };
    let one = |only: usize| joined(&|at, segment| if at == only { capital(segment) } else { segment.to_owned() });
    let mut out: Vec<String> = (0..segments.len()).filter(|at| named(*at)).map(one).collect();
    out.push(joined(&|at, segment| if named(at) { segment.to_ascii_uppercase() } else { segment.to_owned() }));
    out.push(joined(&|at, segment| if named(at) { segment.to_ascii_lowercase() } else { segment.to_owned() }));
    out.retain(|other| other != path);
    out
}

fn report(w: &mut World<'_>, at: At, (name, policy): (&str, Loc), past: &Reached<'_>, request: &Plain) {
    let (pool, shown) = (past.pool(), show::path(&w.entry(at).pattern));
    let (path, loc) = (&request.path, past.dial.loc);
    let d = match pool.paths {
        Some(PathCase::Insensitive) => {
            let said = format!("to the servers of pool `{}` `{path}` lies in `{shown}`, and it reaches them without `{name}`", pool.name);
            let d = Diagnostic::error("G3027", loc, said).at("takes it there");
            d.help("put the policy around both routes, or give what is open a pool of other servers", "", None)
        }
        Some(PathCase::Sensitive) | None => {
            let said = format!(
                "pool `{}` does not say how its servers treat case: if `{path}` is `{shown}` to them, it reaches them without `{name}`",
                pool.name
            );
            let d = Diagnostic::warning("G3027", loc, said).at("takes it there");
            d.help("where its servers tell them apart, add to the pool", "paths case-sensitive", None)
        }
    };
    let d = d.label(policy, "protects it otherwise").label(pool.loc, "the pool");
    let d = d.witness(w.describe(request));
    w.out.push(d);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::ir::Class;

    #[test]
    fn what_a_pattern_names_is_spelled_otherwise() {
        let lit = |text: &str| Segment::Lit(text.into());
        let set = Segment::Capture { prefix: "".into(), class: Class::Set(["a".into(), "7".into()].into()), suffix: "".into() };
        let pattern = PathPattern { segments: vec![lit("admin"), Segment::any(), set, lit("")], splat: false };
        assert_eq!(spellings(&pattern, "/admin/x/a"), ["/Admin/x/a", "/admin/x/A", "/ADMIN/x/A"]);
        let pattern = PathPattern { segments: vec![lit("7")], splat: true };
        assert!(spellings(&pattern, "/7/x").is_empty());
    }
}
