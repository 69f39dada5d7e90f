//! `sluice explain --who-reaches POOL`: every way to a pool.

use crate::cli::offline::{self, Loaded};
use crate::cli::{FOUND, Failed, print, story};
use crate::console::{Style, colours};
use clap::ValueEnum;
use dsl::reach::{Carried, How, PoolKey, Sites, Way, who_carries, who_reaches};
use dsl::tree::ir::Pool;
use dsl::tree::words;
use serde::Serialize;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

/// How the ways are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// A line each, and the request below it
    Text,
    /// One array, for programs: docs/proofs.md lists the fields
    Json,
}

/// A way as programs read it.
#[derive(Serialize)]
struct Row<'a> {
    host: &'a str,
    path: &'a str,
    when: Option<&'a str>,
    how: &'static str,
    pool: &'a str,
    endpoints: &'a str,
    policies: &'a [String],
    witness: Option<&'a str>,
    place: String,
}

/// Prints every way to the pools of a name, or to an endpoint.
pub(super) fn run(name: &str, sites: &Path, format: Format) -> Result<ExitCode, Failed> {
    let loaded = offline::load(sites, None)?;
    let programs: Vec<_> = loaded.loader.sites().into_iter().map(|(_, program)| program).collect();
    let items = carried(&loaded);
    let mut pools: Vec<Arc<Pool>> = programs.iter().flat_map(|program| program.site().pools.clone()).collect();
    pools.extend(items.iter().flat_map(|item| item.rules().pools.clone()));
    let mut wanted: Vec<(PoolKey, &Arc<Pool>)> = Vec::new();
    for pool in pools.iter().filter(|pool| is(pool, name)) {
        let key = PoolKey::of(pool);
        if !wanted.iter().any(|(known, _)| *known == key) {
            wanted.push((key, pool));
        }
    }
    if wanted.is_empty() {
        return Err(unknown(name, &pools));
    }
    let sites = Sites::of(programs);
    let mut told: Vec<(String, Vec<Way>)> = Vec::new();
    for (key, pool) in &wanted {
        let mut ways = who_reaches(&sites, key);
        ways.extend(who_carries(&items, key));
        told.push((words::endpoints(pool), ways));
    }
    match format {
        Format::Text => text(&told, &loaded),
        Format::Json => json(&told, &loaded),
    }
    let mut refused = 0;
    for (path, why, _) in loaded.outcome.report.refused() {
        let _ = writeln!(std::io::stderr(), "note: {path} does not load ({} {} {})", why.place, why.code, why.message);
        refused += 1;
    }
    Ok(if refused == 0 { ExitCode::SUCCESS } else { ExitCode::from(FOUND) })
}

/// The items of a directory that carry connections.
pub(in crate::cli) fn carried(loaded: &Loaded) -> Vec<Carried> {
    loaded.loader.items().iter().map(|(_, item)| item.carried()).collect()
}

/// Whether a pool is meant: by its name, with or without its module's, or by an endpoint of it.
fn is(pool: &Pool, name: &str) -> bool {
    let last = name.rsplit('.').next().unwrap_or(name);
    let endpoint = || pool.endpoints.iter().any(|endpoint| words::endpoint(endpoint) == name);
    *pool.name == *name || *pool.name == *last && !name.contains(':') || endpoint()
}

fn unknown(name: &str, pools: &[Arc<Pool>]) -> Failed {
    let known: BTreeSet<&str> = pools.iter().map(|pool| &*pool.name).collect();
    let known = known.into_iter().collect::<Vec<_>>().join(", ");
    let dialled = if known.is_empty() { "none is".to_owned() } else { format!("dialled are {known}") };
    Failed::new(format!("nothing that loads dials a pool or an endpoint `{name}`; {dialled}"))
}

fn text(told: &[(String, Vec<Way>)], loaded: &Loaded) {
    let style = Style { colours: colours(&std::io::stdout()) };
    let mut out = String::new();
    for (endpoints, ways) in told {
        let _ = writeln!(out, "{}", style.bold(&format!("who reaches {endpoints}")));
        if ways.is_empty() {
            let _ = writeln!(out, "  nobody");
        }
        for way in ways {
            let _ =
                writeln!(out, "  {}{}", line(way), story::place(Some(way.loc), style, &loaded.outcome.report.texts));
            let witness = match &way.witness {
                Some(witness) => format!("e.g. {witness}"),
                None => "possibly: no request was found, and what it depends on cannot be looked into".to_owned(),
            };
            let _ = writeln!(out, "      {}", style.dim(&witness));
        }
    }
    print(&out);
}

/// A way, in a line.
fn line(way: &Way) -> String {
    let when = way.when.as_ref().map(|when| format!(" when {when}")).unwrap_or_default();
    let how = if way.how == How::Route { String::new() } else { format!(" ({})", way.how.word()) };
    let passes = if way.policies.is_empty() {
        "passes no policy".to_owned()
    } else {
        format!("passes {}", way.policies.join(", "))
    };
    let space = if way.path.is_empty() { "" } else { "  " };
    format!("{}{space}{}{when}  -> {}{how}  · {passes}", way.hosts, way.path, way.pool)
}

fn json(told: &[(String, Vec<Way>)], loaded: &Loaded) {
    let rows: Vec<Row<'_>> =
        told.iter().flat_map(|(endpoints, ways)| ways.iter().map(move |way| row(endpoints, way, loaded))).collect();
    // Texts and numbers have no way to fail.
    print(&(serde_json::to_string_pretty(&rows).unwrap_or_default() + "\n"));
}

fn row<'a>(endpoints: &'a str, way: &'a Way, loaded: &Loaded) -> Row<'a> {
    let Way { hosts, path, when, how, pool, policies, witness, loc } = way;
    Row {
        host: hosts,
        path,
        when: when.as_deref(),
        how: how.word(),
        pool,
        endpoints,
        policies,
        witness: witness.as_deref(),
        place: loaded.outcome.report.texts.line(*loc),
    }
}
