//! `sluice certs`: certificates by ACME, as the sites want them and the data directory has them.

mod list;
mod plan;
mod renew;

use super::{Failed, offline};
use crate::sites::data_dir;
use crate::sites::wants::Wants;
use crate::tls::certificates::Wanted;
use crate::tls::certificates::book::Book;
use crate::tls::certificates::handle::now_ms;
use crate::tls::certificates::ledger::Ledger;
use crate::tls::certificates::store::Store;
use clap::{Args, Subcommand};
use dsl::tree::ir;
use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

/// Show the certificates of public names: what there is, what is to come, what is wrong
///
/// Names come from the sites directory (hosts of sites with `tls auto`) and from the data directory
/// (names that were asked for in a handshake). Nothing is asked of any authority.
///
/// Names that no public authority serves (`localhost`, addresses, `example.com`, …) have certificates
/// of the internal CA, and are not listed.
#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_long_help = "\
Exit codes:
  0  every name has a certificate that is valid
  1  some name has none, or one that is over
  2  it could not run

Examples:
  sluice certs
  sluice certs /etc/sluice/sites --data /var/lib/sluice --json
  sluice certs plan
  sluice certs renew shop.example.app"
)]
pub struct Certs {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    place: Place,
    /// Print JSON: a list of objects
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    Plan(plan::Plan),
    Renew(renew::Renew),
}

/// Where it is looked.
#[derive(Debug, Args)]
struct Place {
    /// The directory of route files
    #[arg(default_value = "sites")]
    sites: PathBuf,
    /// The data directory [default: $XDG_STATE_HOME/sluice, or ~/.local/state/sluice]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
}

impl Certs {
    pub(super) fn run(self) -> Result<ExitCode, Failed> {
        match self.command {
            None => list::run(&self.place, self.json),
            Some(Command::Plan(plan)) => plan.run(),
            Some(Command::Renew(renew)) => renew.run(),
        }
    }
}

/// What is wanted, and what is known.
struct Known {
    acme: Option<Arc<ir::Acme>>,
    /// What files want.
    wanted: BTreeMap<Box<str>, Wanted>,
    book: Book,
    store: Store,
    /// Files that do not load.
    broken: usize,
    /// Whether a process has the data directory.
    runs: bool,
    /// Milliseconds since 1970.
    now: u64,
}

impl Known {
    fn of(place: &Place) -> Result<Self, Failed> {
        let data = data_of(place.data.as_deref())?;
        // What would not load orders nothing.
        let loaded = offline::load_as_run(&place.sites)?;
        let mut wants = Wants::default();
        let changes = wants.update(&loaded.outcome.hosts, |program| program.site());
        let wanted = changes.into_iter().filter_map(|(name, wanted)| Some((name, wanted?))).collect();
        let store = Store::at(&data);
        let cannot = |e: std::io::Error| Failed::new(e.to_string());
        let book = Ledger::at(store.dir()).read().map_err(cannot)?.book;
        let acme = loaded.outcome.gateway.as_ref().and_then(|gateway| gateway.acme.clone());
        let broken = loaded.outcome.report.refused().count();
        Ok(Self { acme, wanted, book, store, broken, runs: runs(&data), now: now_ms() })
    }

    /// What handshakes asked for and still want.
    fn demanded(&self) -> impl Iterator<Item = Wanted> + '_ {
        self.book.names.iter().filter_map(|(name, entry)| {
            let tenant = entry.demanded.as_ref()?.tenant.clone();
            (!self.wanted.contains_key(&**name)).then(|| Wanted { name: (**name).into(), tenant, via: None })
        })
    }

    /// Why there is nothing to show, in words.
    fn nothing(&self) -> &'static str {
        if self.acme.is_none() {
            "gateway.route has no `acme` block: certificates come from the internal CA, no authority is asked\n"
        } else {
            "no site has a public name with `tls auto`, and no handshake asked for one: there is nothing to order\n"
        }
    }
}

fn data_of(given: Option<&Path>) -> Result<PathBuf, Failed> {
    let data = given.map(Path::to_path_buf).or_else(data_dir::default_path);
    data.ok_or_else(|| Failed::new("there is no home directory to look for data in; name a directory with --data"))
}

/// Whether a process has a data directory.
fn runs(data: &Path) -> bool {
    let Ok(lock) = File::open(data.join("lock")) else { return false };
    matches!(lock.try_lock(), Err(std::fs::TryLockError::WouldBlock))
}

/// A table, its columns as wide as they need to be.
fn table<const N: usize>(heads: [&str; N], rows: &[[String; N]], bold: impl Fn(&str) -> String) -> String {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).chain([heads[column].len()]).max();
    let widths: Vec<usize> = (0..N).map(|column| width(column).unwrap_or(0)).collect();
    let line = |cells: &[&str]| {
        let cells: Vec<String> = cells.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        cells.join("  ").trim_end().to_owned()
    };
    let mut out = bold(&line(&heads)) + "\n";
    for row in rows {
        out += &line(&row.each_ref().map(String::as_str));
        out.push('\n');
    }
    out
}
