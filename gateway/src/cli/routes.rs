//! `sluice routes`: everything that is served, as a table.

use super::offline::{self, Loaded};
use super::{FOUND, Failed, print};
use crate::console::{Style, colours};
use crate::sites::item::Item;
use clap::Args;
use dsl::syntax::span::Loc;
use dsl::tree::ir::{Answer, Cond, Entry, Plan, PoolIdx, Scope, ScopeIdx, Site, Step, Target};
use dsl::tree::l4;
use dsl::tree::upstream_text::tries;
use dsl::tree::words;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

/// Print every route as a table
///
/// One line a route: host, path, condition, where it leads and through which policies, and the
/// line that says so. Routes stand in the order in which they are written; which of them takes a
/// request is decided by the most specific path, and `sluice explain` shows it.
///
/// `tcp`, `udp` and `passthrough` items stand below the sites, one line an entry, top to bottom.
///
/// `*` at the end of a path stands for the path before it and everything below.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Exit codes:
  0  every file loads
  1  some file does not: its routes are missing, its hosts are marked
  2  it could not run

Examples:
  sluice routes
  sluice routes /etc/sluice/sites | grep shop.example.com")]
pub struct Routes {
    /// The directory of route files
    #[arg(default_value = "sites")]
    sites: PathBuf,
}

impl Routes {
    pub(super) fn run(self) -> Result<ExitCode, Failed> {
        let loaded = offline::load(&self.sites, None)?;
        let mut table = Table::default();
        for (_, program) in loaded.loader.sites() {
            site(program.site(), &loaded, &mut table);
        }
        for (_, rules) in loaded.loader.items() {
            item(&rules, &loaded, &mut table);
        }
        for (pattern, files) in loaded.loader.unavailable() {
            table.rows.push([
                pattern.to_string(),
                String::new(),
                String::new(),
                "503, its file does not load".into(),
                files.iter().map(|f| loaded.loader.places().show(f)).collect::<Vec<_>>().join(", "),
            ]);
        }
        print(&table.print(Style { colours: colours(&std::io::stdout()) }));
        let refused = loaded.outcome.report.refused().count();
        if refused > 0 {
            let files = super::run::count(refused, "file");
            let _ = writeln!(std::io::stderr(), "{files} not loaded; `sluice lint` says why");
            return Ok(ExitCode::from(FOUND));
        }
        Ok(ExitCode::SUCCESS)
    }
}

#[derive(Default)]
struct Table {
    rows: Vec<[String; 5]>,
}

impl Table {
    fn print(&self, style: Style) -> String {
        const HEADS: [&str; 5] = ["HOST", "PATH", "WHEN", "LEADS TO", "WHERE"];
        /// A column is not made wider than this for a few long entries.
        const WIDEST: usize = 48;
        let width = |column: usize| {
            let cells = self.rows.iter().map(|row| row[column].chars().count());
            cells.filter(|w| *w <= WIDEST).max().unwrap_or(0).max(HEADS[column].len())
        };
        // A column that nothing stands in is left out.
        let columns: Vec<usize> = (0..5).filter(|c| self.rows.iter().any(|row| !row[*c].is_empty())).collect();
        let widths: Vec<usize> = (0..5).map(width).collect();
        let line = |cells: &dyn Fn(usize) -> String| {
            let cells: Vec<String> =
                columns.iter().map(|c| format!("{:<width$}", cells(*c), width = widths[*c])).collect();
            format!("{}\n", cells.join("  ").trim_end())
        };
        if self.rows.is_empty() {
            return "nothing is served\n".into();
        }
        let mut out = style.bold(line(&|c| HEADS[c].to_owned()).trim_end()) + "\n";
        for row in &self.rows {
            out.push_str(&line(&|c| row[c].clone()));
        }
        out
    }
}

fn site(site: &Site, loaded: &Loaded, table: &mut Table) {
    let mut host = site.hosts.iter().map(|(pattern, _)| pattern.to_string()).collect::<Vec<_>>().join(", ");
    if site.settings.default {
        host.push_str(" (default)");
    }
    scope(ScopeIdx(0), None, &Walk { site, host, loaded }, table);
}

/// The entries of a `tcp`, `udp` or `passthrough`.
fn item(item: &Item, loaded: &Loaded, table: &mut Table) {
    let name = match item {
        Item::Listening(_) => item.name(),
        Item::Passthrough(passed) => {
            let hosts: Vec<String> = passed.hosts.iter().map(|(host, _)| host.to_string()).collect();
            format!("passthrough {}", hosts.join(", "))
        }
    };
    let rules = item.rules();
    let pool = |index: &PoolIdx| rules.pools[index.0 as usize].name.to_string();
    let mut row = |when: String, leads: String, loc: Loc| {
        let line = loaded.outcome.report.texts.line(loc);
        table.rows.push([name.clone(), String::new(), when, leads, line]);
    };
    for entry in &rules.entries {
        let when = if entry.guard == Cond::Const(true) { String::new() } else { entry.guard.to_string() };
        let target = match &entry.target {
            l4::Target::Pool(index) => pool(index),
            l4::Target::Split { shares, by, salt: _ } => {
                let all: Vec<String> =
                    shares.iter().map(|(n, index)| format!("{}% {}", words::percent(*n), pool(index))).collect();
                format!("{}{}", all.join(", "), by.as_ref().map(|by| format!(" by {by}")).unwrap_or_default())
            }
            l4::Target::Deny => "refused".into(),
        };
        let steps: Vec<String> = entry.steps.iter().map(ToString::to_string).collect();
        let steps = if steps.is_empty() { String::new() } else { format!("  [{}]", steps.join("; ")) };
        row(when, target + &steps, entry.loc);
    }
    if !rules.entries.iter().any(|entry| entry.guard == Cond::Const(true)) {
        row(String::new(), "refused, no entry".into(), item.loc());
    }
}

struct Walk<'a> {
    site: &'a Site,
    host: String,
    loaded: &'a Loaded,
}

impl Walk<'_> {
    /// What is written about the tries of a route and about its pool. Of several pools what they have in common.
    fn tries(&self, plan: &Plan) -> String {
        let pools: Vec<PoolIdx> = match &plan.answer {
            Answer::Proxy { to, .. } => to.pools(),
            _ => return String::new(),
        };
        let mut each = pools.iter().map(|pool| tries(plan, &self.site.pools[pool.0 as usize], self.site));
        let mut said = each.next().unwrap_or_default();
        each.for_each(|other| said.retain(|one| other.contains(one)));
        if said.is_empty() { String::new() } else { format!("  ({})", said.join("; ")) }
    }

    fn row(
        &self,
        path: String,
        condition: Option<String>,
        plan: &Plan,
        named: impl Fn(&str) -> String,
        table: &mut Table,
    ) {
        let mut policies: Vec<String> = plan.policies.iter().map(|used| used.name.to_string()).collect();
        policies.extend(plan.steps.iter().filter_map(|step| match step {
            Step::Limit(limit) => Some(named(&limit.to_string())),
            Step::Session(session) => Some(named(&session.to_string())),
            Step::Require { .. } | Step::Header(_) => None,
        }));
        let policies = if policies.is_empty() { String::new() } else { format!("  [{}]", policies.join(", ")) };
        table.rows.push([
            self.host.clone(),
            path,
            condition.unwrap_or_default(),
            named(&words::answer(&plan.answer, self.site)) + &policies + &self.tries(plan),
            self.loaded.outcome.report.texts.line(plan.loc),
        ]);
    }
}

fn scope(index: ScopeIdx, outer: Option<&str>, walk: &Walk<'_>, table: &mut Table) {
    let this: &Scope = &walk.site.scopes[index.0 as usize];
    for entry in &this.entries {
        let condition = both(outer, entry);
        match entry.target {
            Target::Plan(plan) => {
                let plan = &walk.site.plans[plan.0 as usize];
                walk.row(entry.shown(), condition, plan, |text| entry.named(text), table);
            }
            Target::Scope(inner) => scope(inner, condition.as_deref(), walk, table),
        }
    }
    let covers = |e: &Entry| e.guard == Cond::Const(true) && (e.pathless || e.pattern == this.pattern);
    if !this.entries.iter().any(covers) {
        // What nothing in a block matches does not fall out of it.
        let plan = &walk.site.plans[this.miss.0 as usize];
        walk.row(this.pattern.to_string(), outer.map(str::to_owned), plan, str::to_owned, table);
    }
}

/// The condition of an entry and of the blocks around it.
fn both(outer: Option<&str>, entry: &Entry) -> Option<String> {
    let own = (entry.guard != Cond::Const(true)).then(|| entry.named(&entry.guard.to_string()));
    match (outer, own) {
        (Some(outer), Some(own)) => Some(format!("({outer}) and ({own})")),
        (Some(outer), None) => Some(outer.to_owned()),
        (None, own) => own,
    }
}
