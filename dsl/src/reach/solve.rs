//! Whether some request of a way is there: no, this one, or nobody can tell.

use crate::region::space::{Question, Region, Space};
use crate::region::{Undecided, cond};
use crate::tree::calls::Outcome;
use crate::tree::eval;
use crate::tree::ir::{CallIdx, Capture, Cond, Field, PathPattern, Paths, PlanIdx, Site, Test, Tls};
use crate::tree::request::Plain;
use crate::tree::{Decision, Program, interpret};
use std::sync::Arc;

/// What is known of the requests that conditions describe.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Found {
    /// There is none.
    None,
    /// This is one.
    Request(Box<Plain>),
    /// None was found, and there may be one: it depends on these conditions, which the analysis cannot
    /// look into.
    Open(Vec<String>),
}

/// The plainest request to a site, with so many calls, that all say no.
pub(crate) fn plain(site: &Site, host: &str, path: &str, calls: usize) -> Plain {
    let mut base = Plain {
        host: host.to_owned(),
        path: path.to_owned(),
        raw_paths: site.settings.paths == Paths::Raw,
        https: site.settings.tls != Tls::Off,
        ..Plain::default()
    };
    for n in 0..calls {
        base.calls.suppose(CallIdx(u32::try_from(n).unwrap_or(u32::MAX)), Outcome::No);
    }
    base
}

/// Looks for a request on a path that makes all conditions hold. Captures of the path are varied with it.
pub(crate) fn find(site: &Site, host: &str, path: &str, holding: &[Cond]) -> Found {
    find_like(&plain(site, host, path, site.calls.len()), holding)
}

/// The same, as like a request as the conditions allow.
pub(crate) fn find_like(base: &Plain, holding: &[Cond]) -> Found {
    if holding.iter().any(|cond| *cond == Cond::Const(false)) {
        return Found::None;
    }
    if let Some(found) = cond::request_like(base, holding) {
        return Found::Request(Box::new(found));
    }
    if cond::never_passed(holding) {
        return Found::None;
    }
    for path in others(&base.path, holding) {
        let base = Plain { path, ..base.clone() };
        if let Some(found) = cond::request_like(&base, holding) {
            return Found::Request(Box::new(found));
        }
    }
    let mut opaque = Vec::new();
    holding.iter().for_each(|cond| opaque_parts(cond, &mut opaque));
    if opaque.is_empty() {
        opaque.extend(holding.iter().filter(|cond| **cond != Cond::Const(true)).map(ToString::to_string));
    }
    Found::Open(opaque)
}

/// The same by the algebra of regions, which looks into captures, hosts and paths too: of the requests
/// that reach a plan of a site, below a pattern where one is given, those for which all conditions hold.
pub(crate) fn find_exactly(site: &Arc<Site>, plan: PlanIdx, within: Option<&PathPattern>, holding: &[Cond]) -> Found {
    let conds: Vec<(usize, &Cond)> = holding.iter().map(|cond| (0, cond)).collect();
    let sites = std::slice::from_ref(site);
    let region = || -> Result<Region, Undecided> {
        let space = Space::new(&Question { sites, steps: true, conds: &conds, within, ..Question::default() })?;
        let mut region = space.reached(0)?.plan(plan).cloned().unwrap_or_else(|| space.nothing());
        for cond in holding {
            region = region.intersect(&space.passing(0, cond)?)?;
        }
        Ok(region)
    };
    match region() {
        Err(why) => Found::Open(vec![why.to_string()]),
        Ok(region) if region.is_empty() => Found::None,
        Ok(region) => match region.certain().witness(0).or_else(|| region.witness(0)) {
            Some(request) => Found::Request(Box::new(request)),
            None => Found::Open(region.opaque()),
        },
    }
}

/// Other paths of the same shape, with values in their captures that the conditions name.
fn others(path: &str, holding: &[Cond]) -> Vec<String> {
    /// Paths that are tried.
    const MOST: usize = 64;
    let mut tests = Vec::new();
    holding.iter().for_each(|cond| tests_of(cond, &mut tests));
    let mut out = vec![path.to_owned()];
    for (field, test) in tests {
        let values: Vec<&str> = match test {
            Test::OneOf(all) => all.iter().map(|one| &**one).collect(),
            Test::StartsWith(text) | Test::EndsWith(text) | Test::Has(text) => vec![text],
            Test::Present | Test::Matches(_) | Test::InNets(_) | Test::Number(..) => Vec::new(),
        };
        let numbers: Vec<String> = match test {
            Test::Number(_, n) => [n - 1, *n, n + 1].iter().filter(|n| **n >= 0).map(ToString::to_string).collect(),
            _ => Vec::new(),
        };
        for value in values.into_iter().chain(numbers.iter().map(String::as_str)) {
            for at in 0..out.len() {
                let Some(changed) = with(&out[at], field, value) else { continue };
                if !out.contains(&changed) && out.len() < MOST {
                    out.push(changed);
                }
            }
        }
    }
    out.remove(0);
    out
}

fn with(path: &str, field: &Field, value: &str) -> Option<String> {
    match field {
        Field::Path => value.starts_with('/').then(|| value.to_owned()),
        Field::Capture(Capture::Segment { index, prefix, suffix }) => {
            let mut parts: Vec<String> = path.split('/').skip(1).map(str::to_owned).collect();
            let part = parts.get_mut(*index as usize)?;
            let head = part.get(..*prefix as usize)?.to_owned();
            let tail = part.get(part.len().checked_sub(*suffix as usize)?..)?.to_owned();
            *part = format!("{head}{value}{tail}");
            Some(format!("/{}", parts.join("/")))
        }
        Field::Capture(Capture::Splat { from }) => {
            let parts: Vec<&str> = path.split('/').skip(1).take(*from as usize).collect();
            Some(format!("/{}", parts.into_iter().chain([value]).collect::<Vec<_>>().join("/")))
        }
        _ => None,
    }
}

fn tests_of<'c>(cond: &'c Cond, out: &mut Vec<(&'c Field, &'c Test)>) {
    match cond {
        Cond::Const(_) | Cond::Relate(..) => {}
        Cond::Test(field, test) => out.push((field, test)),
        Cond::Not(inner) => tests_of(inner, out),
        Cond::And(all) | Cond::Or(all) => all.iter().for_each(|cond| tests_of(cond, out)),
    }
}

/// The parts of a condition that the analysis takes to be true or false at will (LANGUAGE rule 31).
fn opaque_parts(cond: &Cond, out: &mut Vec<String>) {
    match cond {
        Cond::Const(_) => {}
        Cond::Relate(..) => push(cond, out),
        Cond::Test(field, _) => match field {
            Field::Uri
            | Field::QueryString
            | Field::Path
            | Field::Capture(_)
            | Field::Call(..)
            | Field::Claim(..)
            | Field::Body(..)
            | Field::Row(_) => {
                push(cond, out);
            }
            Field::Header(name) if matches!(&**name, "cookie" | "host") => push(cond, out),
            Field::Host | Field::TlsSni | Field::TlsAlpn | Field::TlsCert(_) => push(cond, out),
            Field::Method
            | Field::Size
            | Field::Version
            | Field::ClientIp
            | Field::ClientPort
            | Field::ClientCountry
            | Field::TlsVersion
            | Field::Header(_)
            | Field::Cookie(_)
            | Field::Query(_) => {}
        },
        Cond::Not(inner) => opaque_parts(inner, out),
        Cond::And(all) | Cond::Or(all) => all.iter().for_each(|cond| opaque_parts(cond, out)),
    }
}

fn push(cond: &Cond, out: &mut Vec<String>) {
    let shown = cond.to_string();
    if !out.contains(&shown) {
        out.push(shown);
    }
}

/// Whether a request comes to a plan: asked of the program and of the interpreter, and told by their
/// agreement. What they disagree on is shown to nobody.
pub(crate) fn comes_to(program: &Program, request: &Plain, plan: PlanIdx) -> bool {
    let decided = program.decide(request);
    decided == interpret(program.site(), request) && decided == Decision::Plan(plan)
}

/// Whether conditions hold of a request, and none of them reads a field that arrived twice.
pub(crate) fn hold(conds: &[Cond], request: &Plain) -> bool {
    conds.iter().all(|cond| eval::cond(cond, request) == Ok(true))
}
