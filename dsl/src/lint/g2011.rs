//! ## What
//!
//! A redirect leads back to where it came from.
//!
//! ## Why
//!
//! The client follows it until it gives up (browsers after about twenty), and shows an error. It happens
//! between hosts that redirect to each other, and where a page that everybody is sent to (`/login`) is
//! itself behind the check that sends them there. The redirects were followed by asking the compiled
//! programs, over the sites of all files.
//!
//! ## Wrong
//!
//! ```route
//! site a.example.com {
//!     else -> redirect 308 https://b.example.com{request.uri}
//! }
//!
//! site b.example.com {
//!     else -> redirect 308 https://a.example.com{request.uri}
//! }
//! ```
//!
//! ## Right
//!
//! ```route
//! site a.example.com {
//!     else -> redirect 308 https://b.example.com{request.uri}
//! }
//!
//! site b.example.com {
//!     else -> respond 200 "here"
//! }
//! ```

use crate::diagnostic::Diagnostic;
use crate::reach::endings::endings;
use crate::reach::solve::{self, Found};
use crate::reach::{Sites, rows, show};
use crate::syntax::ast::Side;
use crate::syntax::span::Loc;
use crate::tree::canonical;
use crate::tree::interpret;
use crate::tree::ir::{Answer, Field, Missing, Part, Paths, Plan, Site, Step, Value};
use crate::tree::judge::{Admission, Progress, Rendered, Unseen, admit};
use crate::tree::request::Plain;
use std::collections::{BTreeMap, BTreeSet};

/// Redirects that are followed.
const HOPS: usize = 10;

/// Sites that are looked at for what leads back to a new one.
const MOST: usize = 256;

/// Follows every redirect that may lead to one of the sites.
pub(super) fn run(sites: &Sites, out: &mut Vec<Diagnostic>) {
    let mut said: BTreeSet<Loc> = BTreeSet::new();
    for at in sites.all() {
        each(sites, at, &mut |line, found| {
            if said.insert(line) {
                out.push(found.told(sites, line, 0));
            }
        });
    }
}

/// The loops that new sites have a part in and others too, said of the new ones' redirects. A site has a part
/// in one only where its redirects lead back to it, so that no other is looked at.
pub(super) fn closed_by(sites: &Sites, new: &[usize]) -> Vec<Diagnostic> {
    let mut leads: BTreeMap<usize, BTreeSet<usize>> = BTreeMap::new();
    let mut ahead: Vec<usize> = new.to_vec();
    while let Some(at) = ahead.pop() {
        if leads.len() < MOST && !leads.contains_key(&at) {
            let to = leads_to(sites, at);
            ahead.extend(&to);
            leads.insert(at, to);
        }
    }
    // Of those that the new ones lead to: what leads back.
    let mut back: BTreeSet<usize> = new.iter().copied().collect();
    loop {
        let more: Vec<usize> = leads
            .iter()
            .filter(|(at, to)| !back.contains(at) && !to.is_disjoint(&back))
            .map(|(at, _)| *at)
            .collect();
        if more.is_empty() {
            break;
        }
        back.extend(more);
    }
    if back.len() == new.len() {
        return Vec::new();
    }
    let mut said: BTreeSet<Loc> = BTreeSet::new();
    let mut out = Vec::new();
    for at in back {
        each(sites, at, &mut |_, found| {
            let of_new = |request: &Plain| sites.at(&request.host).is_some_and(|at| new.contains(&at));
            let ours = found.ring.iter().position(|(request, line)| of_new(request) && line.is_some());
            let shared = found.ring.iter().any(|(request, _)| !of_new(request));
            if let Some((turn, line)) = ours.and_then(|turn| Some((turn, found.ring[turn].1?)))
                && shared
                && said.insert(line)
            {
                out.push(found.told(sites, line, turn));
            }
        });
    }
    out
}

/// The other sites that the redirects of a site may lead to.
fn leads_to(sites: &Sites, at: usize) -> BTreeSet<usize> {
    let Some(program) = sites.get(at) else { return BTreeSet::new() };
    let mut out = BTreeSet::new();
    for ending in program.site().plans.iter().flat_map(endings) {
        let Answer::Redirect { to, .. } = ending.answer else { continue };
        if chosen(to) {
            continue;
        }
        let host = authority(to).map(str::to_owned).or_else(|| likely(to));
        out.extend(host.and_then(|host| sites.at(&host)).filter(|to| *to != at));
    }
    out
}

/// A host that a URL may have whose host is not written out: with `x` for what is not known.
fn likely(to: &Value) -> Option<String> {
    let text: String = to.parts.iter().map(|part| if let Part::Text(text) = part { text } else { "x" }).collect();
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"))?;
    Some(rest[..rest.find(['/', '?', ':']).unwrap_or(rest.len())].to_owned())
}

/// Tells of each loop that the redirects of a site run into and have a part in.
fn each(sites: &Sites, at: usize, tell: &mut dyn FnMut(Loc, &Loop)) {
    let Some(program) = sites.get(at) else { return };
    let site: &Site = program.site();
    if !site.plans.iter().any(|plan| endings(plan).iter().any(|ending| comes_back(sites, ending.answer))) {
        return;
    }
    let Some(host) = sites.host(at, None) else { return };
    let Ok(classes) = rows::of_site(site, &[]) else { return };
    let mut found: BTreeSet<Loc> = BTreeSet::new();
    for class in &classes {
        for (n, (_, index)) in class.rows.iter().enumerate() {
            let plan = &site.plans[index.0 as usize];
            for ending in endings(plan).into_iter().filter(|ending| comes_back(sites, ending.answer)) {
                if found.contains(&ending.loc) || writes(plan, ending.after) {
                    continue;
                }
                let Some(taken) = class.taken(n) else { continue };
                let conds: Vec<_> = taken.into_iter().chain(ending.conds.iter().cloned()).collect();
                let Found::Request(request) = solve::find(site, &host, &class.class.path, &conds) else { continue };
                let Some(ring) = follow(sites, &request, ending.loc) else { continue };
                found.insert(ending.loc);
                tell(ending.loc, &ring);
            }
        }
    }
}

/// A redirect loop: the requests that a client makes, one after the other, and the line that sends each on;
/// none where the site sends clear requests to https.
struct Loop {
    ring: Vec<(Plain, Option<Loc>)>,
}

impl Loop {
    /// The error, from one of its requests on.
    fn told(&self, sites: &Sites, line: Loc, turn: usize) -> Diagnostic {
        let ring = self.ring.iter().cycle().skip(turn).take(self.ring.len() + 1);
        let way: Vec<String> = ring.map(|(request, _)| address(request)).collect();
        let message = format!("redirect loop: {}", way.join(" → "));
        let mut d = Diagnostic::error("G2011", line, message).at("leads back here");
        let elsewhere = self.ring.iter().filter_map(|(_, at)| *at).filter(|at| at.file != line.file);
        for at in elsewhere.collect::<BTreeSet<_>>() {
            d = d.label(at, "and this leads on");
        }
        let first = &self.ring[turn].0;
        match sites.find(&first.host) {
            Some(program) => d.witness(show::request(first, program.site())),
            None => d,
        }
    }
}

/// Whether an answer is a redirect that may lead to one of the sites.
fn comes_back(sites: &Sites, answer: &Answer) -> bool {
    let Answer::Redirect { to, .. } = answer else { return false };
    if chosen(to) {
        return false;
    }
    match authority(to) {
        Some(host) => sites.claims(host),
        None => true,
    }
}

/// Whether the client says where it is led: one that leads itself in a circle is no mistake of the file's.
fn chosen(to: &Value) -> bool {
    to.parts.iter().any(|part| match part {
        Part::Hole { field: Field::Query(_) | Field::Header(_) | Field::Cookie(_), .. } => true,
        Part::Hole { if_missing, .. } => {
            matches!(if_missing.as_deref(), Some(Missing::Value(value)) if chosen(value))
        }
        _ => false,
    })
}

/// The host of a URL where it is written out.
pub(super) fn authority(to: &Value) -> Option<&str> {
    let Some(Part::Text(text)) = to.parts.first() else { return None };
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"))?;
    let end = rest.find(['/', '?', ':']);
    // A hole right behind it may go on with the host, save `request.uri`, which starts with a slash.
    let whole = end.is_some() || to.parts.len() == 1 || uri_follows(to);
    whole.then(|| &rest[..end.unwrap_or(rest.len())])
}

fn uri_follows(to: &Value) -> bool {
    matches!(to.parts.get(1), Some(Part::Hole { field: Field::Uri, .. }))
}

/// Whether a client comes back another: with a cookie that it got on the way.
fn writes(plan: &Plan, after: usize) -> bool {
    plan.steps[..after].iter().any(|step| match step {
        Step::Session(_) => true,
        Step::Header(edit) => edit.side == Side::Response && *edit.name == *"set-cookie",
        Step::Require { .. } | Step::Limit(_) => false,
    })
}

/// The loop that a request runs into and that this line has a part in, from a request of the line on.
fn follow(sites: &Sites, first: &Plain, line: Loc) -> Option<Loop> {
    let mut requests = vec![first.clone()];
    let mut lines = Vec::new();
    for _ in 0..HOPS {
        let (status, location, at) = answer(sites, requests.last()?)?;
        lines.push(at);
        let next = next(sites, requests.last()?, status, &location)?;
        if let Some(from) = requests.iter().position(|known| address(known) == address(&next)) {
            // Where it is run into from outside, it is said of its own redirects.
            let start = (from..requests.len()).find(|at| lines[*at] == Some(line))?;
            let around = (start..requests.len()).chain(from..start);
            return Some(Loop { ring: around.map(|at| (requests[at].clone(), lines[at])).collect() });
        }
        requests.push(next);
    }
    None
}

fn address(request: &Plain) -> String {
    let query = request.query.as_ref().map(|query| format!("?{query}")).unwrap_or_default();
    let scheme = if request.https { "https" } else { "http" };
    format!("{scheme}://{}{}{query}", request.host, request.path)
}

/// Where a site sends a request, if it redirects it, and the line that says so.
fn answer(sites: &Sites, request: &Plain) -> Option<(u16, String, Option<Loc>)> {
    let program = sites.find(&request.host)?;
    match admit(&program.site().settings, request.https, None) {
        Admission::ToHttps => {
            let secure = Plain { https: true, ..request.clone() };
            return Some((308, address(&secure), None));
        }
        Admission::Misdirected => return None,
        Admission::Serve => {}
    }
    if program.decide(request) != interpret(program.site(), request) {
        return None;
    }
    let judged = program.judge(request, &mut || 0, &mut Unseen, &mut Progress::default());
    match judged.answer {
        Rendered::Redirect { status, location } => {
            let (_, plan) = judged.plan?;
            (!writes(plan, plan.steps.len())).then_some((status, location, judged.at))
        }
        _ => None,
    }
}

/// The request that a client makes of a Location.
fn next(sites: &Sites, request: &Plain, status: u16, location: &str) -> Option<Plain> {
    let mut next = request.clone();
    let target = match (location.strip_prefix("https://"), location.strip_prefix("http://")) {
        (None, None) => location,
        (secure, clear) => {
            let rest = secure.or(clear)?;
            let (authority, target) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
            next.https = secure.is_some();
            next.host = canonical::host(authority.as_bytes()).ok()?.into_owned();
            target
        }
    };
    let (path, query) = target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
    let path = if path.is_empty() { "/" } else { path };
    if next.host != request.host && !sites.claims(&next.host) {
        return None;
    }
    let program = sites.find(&next.host)?;
    next.raw_paths = program.site().settings.paths == Paths::Raw;
    next.path = canonical::path_for(path.as_bytes(), &program.site().settings).ok()?.into_owned();
    next.query = query.map(str::to_owned);
    if !matches!(status, 307 | 308) && next.method != "HEAD" {
        next.method = "GET".into();
    }
    if next.host != request.host {
        // Cookies belong to their host, and what calls say to the site that makes them.
        next.headers.retain(|(name, _)| name != "cookie" && name != "authorization");
        next.calls = solve::plain(program.site(), &next.host, &next.path, program.site().calls.len()).calls;
    }
    Some(next)
}
