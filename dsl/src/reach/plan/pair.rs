//! Sites of two versions, paired by their hosts.

use super::differ::{Differ, Side};
use super::same::Both;
use super::{Change, Difference, Kind, Version};
use crate::reach::Sites;
use crate::reach::sites::examples_of;
use crate::tree::ir::{HostPattern, Paths, Site, Tls};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// How many steps a comparison may take: a class of paths is one, each pair of rows of it one more, and
/// each search for a request fifty.
pub const BUDGET: u64 = 50_000_000;

/// Adds what differs between the sites of two versions.
pub(super) fn compare(old: &Version, new: &Version, budget: u64, out: &mut Difference) {
    let sites = |version: &Version| Sites::of(version.sites.iter().map(|(program, _)| program.clone()));
    let (before, after) = (sites(old), sites(new));
    let mut left = budget;
    for pair in pairs(&before, &after) {
        let (a, b) = pair.places;
        let title = pair.title();
        let of = |version: &'_ Version, at: Option<usize>| at.map(|at| version.sites[at].clone());
        let (a, b) = (of(old, a), of(new, b));
        if let (Some((a, d)), Some((b, e))) = (&a, &b)
            && Arc::ptr_eq(a, b)
            && d.dir == e.dir
        {
            continue;
        }
        let tenant = b.as_ref().or(a.as_ref()).and_then(|(_, home)| home.tenant.clone());
        let mut both = Both::default();
        let left_side = a.as_ref().map(|(program, home)| Side::of(program, &home.dir, &mut both));
        let right_side = b.as_ref().map(|(program, home)| Side::of(program, &home.dir, &mut both));
        if let (Some(a), Some(b)) = (&left_side, &right_side) {
            settings(a.site(), b.site(), &title, tenant.as_ref(), out);
            if a.means_the_same(b) {
                continue;
            }
        }
        let mut differ =
            Differ { a: left_side, b: right_side, both, host: pair.host, left: &mut left, rows: Vec::new() };
        let compared = differ.run();
        let mut rows = std::mem::take(&mut differ.rows);
        rows.sort_by(|a, b| a.path.cmp(&b.path));
        for change in &mut rows {
            change.site.clone_from(&title);
            change.tenant.clone_from(&tenant);
        }
        out.changes.extend(rows);
        if let Err(why) = compared {
            out.undecided.push(format!("{title}: {why}"));
        }
    }
}

/// A site of each version that answer for the same hosts; `None` for nobody.
struct Pair {
    places: (Option<usize>, Option<usize>),
    hosts: Vec<String>,
    /// One of the hosts.
    host: String,
}

impl Pair {
    fn title(&self) -> String {
        self.hosts.join(", ")
    }
}

fn pairs(old: &Sites, new: &Sites) -> Vec<Pair> {
    let mut owners: BTreeMap<String, (HostPattern, Option<usize>, Option<usize>)> = BTreeMap::new();
    for (sites, first) in [(old, true), (new, false)] {
        for (at, program) in sites.iter() {
            for (pattern, _) in &program.site().hosts {
                let owner = owners.entry(pattern.to_string()).or_insert_with(|| (pattern.clone(), None, None));
                *(if first { &mut owner.1 } else { &mut owner.2 }) = Some(at);
            }
        }
    }
    let mut out: Vec<Pair> = Vec::new();
    let mut known: HashMap<(Option<usize>, Option<usize>), usize> = HashMap::new();
    let mut add = |places, name: String, host: String| {
        if places == (None, None) {
            return;
        }
        match known.get(&places) {
            Some(at) => out[*at].hosts.push(name),
            None => {
                known.insert(places, out.len());
                out.push(Pair { places, hosts: vec![name], host });
            }
        }
    };
    for (name, (pattern, a, b)) in owners {
        let owned =
            |host: &&String| a.is_none_or(|a| old.at(host) == Some(a)) && b.is_none_or(|b| new.at(host) == Some(b));
        let examples = examples_of(&pattern);
        let Some(host) = examples.iter().find(owned).or(examples.first()) else { continue };
        add((old.at(host), new.at(host)), name, host.clone());
    }
    // Hosts that nobody claims.
    const NOBODYS: &str = "unclaimed.invalid";
    let places = (old.at(NOBODYS), new.at(NOBODYS));
    if places != (None, None) && !known.contains_key(&places) {
        out.push(Pair { places, hosts: vec!["any other host".to_owned()], host: NOBODYS.to_owned() });
    }
    out
}

/// Adds what differs of the settings that hold before a route is chosen.
fn settings(a: &Site, b: &Site, title: &str, tenant: Option<&Arc<str>>, out: &mut Difference) {
    for (before, after) in facts(a).into_iter().zip(facts(b)) {
        if before != after {
            let change = Change::said(Kind::Changed, title, before, after);
            out.changes.push(Change { tenant: tenant.cloned(), ..change });
        }
    }
}

fn facts(site: &Site) -> Vec<String> {
    let of = &site.settings;
    let tls = match (of.tls, &site.via) {
        (Tls::Auto, Some(via)) => format!("tls auto via dns({})", via.provider),
        (Tls::Auto, None) => "tls auto".to_owned(),
        (Tls::Internal, _) => "tls internal".to_owned(),
        (Tls::OnDemand, _) => "tls on-demand".to_owned(),
        (Tls::File, _) => "tls file".to_owned(),
        (Tls::Off, _) => "tls off".to_owned(),
    };
    let files: Vec<String> = of.handshake.files.iter().map(ToString::to_string).collect();
    let client = of.handshake.client.as_ref().map_or_else(|| "no client certificates".to_owned(), ToString::to_string);
    let on_demand = site.on_demand.as_ref().map(|on_demand| {
        let limit = on_demand.limit.map(|(count, per_ms)| format!(" limit {count} in {per_ms}ms")).unwrap_or_default();
        format!("certificates when {}{limit}", on_demand.allow)
    });
    let said = |value: bool, yes: &str, no: &str| if value { yes.to_owned() } else { no.to_owned() };
    vec![
        tls,
        if files.is_empty() { "no certificate files".to_owned() } else { files.join(", ") },
        of.handshake.versions.to_string(),
        client,
        on_demand.unwrap_or_else(|| "no certificates on demand".to_owned()),
        said(of.http_allowed, "http allowed", "http is sent to https"),
        match of.paths {
            Paths::Canonical => "paths as they are by default",
            Paths::OpaqueSlash => "paths opaque-slash",
            Paths::Raw => "paths raw",
        }
        .to_owned(),
        said(of.semicolon, "`;` in paths is allowed", "`;` in paths is 400"),
    ]
}
