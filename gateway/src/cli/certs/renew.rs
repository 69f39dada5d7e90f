//! `sluice certs renew NAME`

use super::{data_of, runs};
use crate::cli::{FOUND, Failed, print};
use crate::console::printable;
use crate::tls::certificates::handle::now_ms;
use crate::tls::certificates::ledger::Ledger;
use crate::tls::certificates::names::is_public;
use crate::tls::certificates::requests;
use crate::tls::certificates::store::Store;
use crate::tls::certificates::tell::{date, host_of, in_words};
use clap::Args;
use std::path::PathBuf;
use std::process::ExitCode;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// How long the process that runs may take to notice.
const NOTICE: Duration = Duration::from_secs(15);
/// How long an order is waited for.
const ORDER: Duration = Duration::from_secs(5 * 60);
const LOOK: Duration = Duration::from_millis(100);

/// Order another certificate of a name now, and wait for it
///
/// The gateway that runs with the data directory is told; it orders at once, whatever back-off says,
/// but within the limits of the authority. The old certificate serves until the new one is there.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Exit codes:
  0  there is a new certificate
  1  there is none: the order failed, waits, or the name is not wanted
  2  it could not run, for example because no gateway does

Examples:
  sluice certs renew shop.example.app
  sluice certs renew '*.example.app' --data /var/lib/sluice")]
pub(super) struct Renew {
    /// The name; a wildcard in quotes
    name: String,
    /// The data directory [default: $XDG_STATE_HOME/sluice, or ~/.local/state/sluice]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Do not wait for the certificate
    #[arg(long)]
    no_wait: bool,
}

impl Renew {
    pub(super) fn run(self) -> Result<ExitCode, Failed> {
        let name = self.name.trim_end_matches('.').to_ascii_lowercase();
        if !is_public(&name) {
            return Err(Failed::new(format!(
                "no public authority has certificates for `{}`; the internal CA does",
                printable(&name)
            )));
        }
        let data = data_of(self.data.as_deref())?;
        if !runs(&data) {
            return Err(Failed::new(format!(
                "no sluice runs with the data directory `{}`, so nobody would order it; name another one with --data",
                data.display()
            )));
        }
        let store = Store::at(&data);
        let dir = store.dir();
        let cannot = |e: std::io::Error| Failed::new(e.to_string());
        let before = Ledger::at(dir).read().map_err(cannot)?.book.entry(&name).cloned().unwrap_or_default();
        requests::ask(dir, &name).map_err(cannot)?;
        let begun = Instant::now();
        loop {
            match requests::answered(dir, &name).map_err(cannot)? {
                Some(Ok(())) => break,
                Some(Err(why)) => {
                    print(&format!("{name}: {why}\n"));
                    return Ok(ExitCode::from(FOUND));
                }
                None if begun.elapsed() > NOTICE => {
                    requests::withdraw(dir, &name);
                    return Err(Failed::new("the sluice that runs did not answer; it was not asked any more"));
                }
                None => sleep(LOOK),
            }
        }
        if self.no_wait {
            print(&format!("{name}: it is ordered\n"));
            return Ok(ExitCode::SUCCESS);
        }
        while begun.elapsed() < ORDER {
            let book = Ledger::at(dir).read().map_err(cannot)?.book;
            let now = book.entry(&name).cloned().unwrap_or_default();
            if let Some(issue) = now.issue.filter(|issue| {
                now.under_way.is_none() && before.issue.as_ref().map(|i| i.validity()) != Some(issue.validity())
            }) {
                print(&format!("{name}: issued by {}, valid until {}\n", host_of(&issue.by), date(issue.until)));
                return Ok(ExitCode::SUCCESS);
            }
            if let Some(trouble) = now.trouble.filter(|t| now.under_way.is_none() && before.trouble.as_ref() != Some(t))
            {
                let next = in_words(trouble.next.saturating_sub(now_ms()));
                print(&format!("{name}: {}; tried again in {next}\n", printable(&trouble.said)));
                return Ok(ExitCode::from(FOUND));
            }
            sleep(LOOK);
        }
        print(&format!("{name}: it waits for its turn; `sluice certs` shows how it stands\n"));
        Ok(ExitCode::from(FOUND))
    }
}
