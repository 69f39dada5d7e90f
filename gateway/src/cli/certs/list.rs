//! `sluice certs`

use super::{Known, Place, table};
use crate::cli::{FOUND, Failed, print, run::count};
use crate::console::{Style, colours, printable};
use crate::tls::acme::Cause;
use crate::tls::certificates::book::Entry;
use crate::tls::certificates::renewal;
use crate::tls::certificates::tell::{date, host_of, in_words};
use serde_json::json;
use std::collections::BTreeSet;
use std::io::Write;
use std::process::ExitCode;

/// A name and how it stands with it.
struct Row {
    name: String,
    state: &'static str,
    tenant: Option<String>,
    by: Option<String>,
    /// Seconds since 1970.
    from: Option<u64>,
    until: Option<u64>,
    error: Option<String>,
    cause: Option<Cause>,
    failures: u32,
    /// Milliseconds since 1970: when it is renewed or tried again.
    next: Option<u64>,
}

pub(super) fn run(place: &Place, json: bool) -> Result<ExitCode, Failed> {
    let known = Known::of(place)?;
    let rows = rows(&known)?;
    if json {
        let all: Vec<_> = rows.iter().map(Row::json).collect();
        let text = serde_json::to_string_pretty(&all).map_err(|e| Failed::new(e.to_string()))?;
        print(&format!("{text}\n"));
    } else if rows.is_empty() {
        print(known.nothing());
    } else {
        let style = Style { colours: colours(&std::io::stdout()) };
        let cells: Vec<[String; 5]> = rows.iter().map(|row| row.cells(known.now)).collect();
        let mut text = table(["NAME", "STATE", "VALID UNTIL", "NEXT", "ERROR"], &cells, |head| style.bold(head));
        if known.acme.is_none() {
            text += "\ngateway.route has no `acme` block: nothing is ordered, and these do not serve\n";
        } else if !known.runs {
            text += "\nno sluice runs with this data directory: nothing is ordered now\n";
        }
        if known.book.hold.until > known.now {
            let wait = in_words(known.book.hold.until - known.now);
            text += &format!("\nall orders wait {wait} more: {}\n", printable(&known.book.hold.said));
        }
        print(&text);
    }
    if known.broken > 0 {
        let files = count(known.broken, "file");
        let _ = writeln!(std::io::stderr(), "{files} not loaded, whose names may be missing; `sluice lint` says why");
    }
    let bad = rows.iter().any(|row| !matches!(row.state, "valid" | "renewing" | "unwanted"));
    Ok(if bad { ExitCode::from(FOUND) } else { ExitCode::SUCCESS })
}

fn rows(known: &Known) -> Result<Vec<Row>, Failed> {
    let there: BTreeSet<Box<str>> = known.store.names().map_err(|e| Failed::new(e.to_string()))?.into_iter().collect();
    let mut wanted = known.wanted.clone();
    wanted.extend(known.demanded().map(|wanted| (wanted.name.clone(), wanted)));
    let all: BTreeSet<&str> = wanted.keys().chain(&there).map(|name| &**name).collect();
    let row = |name: &str| {
        let entry = known.book.entry(name).cloned().unwrap_or_default();
        // The store is right where the ledger does not know.
        let issue =
            entry.issue.as_ref().filter(|_| there.contains(name)).map(|issue| (issue.validity(), issue.by.clone()));
        let read = || there.contains(name).then(|| known.store.load(name));
        let (issue, unreadable) = match issue {
            Some(issue) => (Some(issue), None),
            None => match read() {
                Some(Ok(pair)) => (Some((pair.validity, "".into())), None),
                Some(Err(why)) => (None, Some(why.to_string())),
                None => (None, None),
            },
        };
        let is_wanted = wanted.contains_key(name);
        let over = issue.as_ref().is_some_and(|(validity, _)| validity.until * 1_000 <= known.now);
        let early = issue.as_ref().is_some_and(|(validity, _)| validity.from * 1_000 > known.now);
        let state = match (&issue, &entry) {
            _ if !is_wanted => "unwanted",
            _ if unreadable.is_some() => "unreadable",
            (_, Entry { under_way: Some(_), .. }) if known.runs && issue.is_none() => "ordering",
            (Some(_), _) if over => "over",
            (Some(_), _) if early => "not yet valid",
            (Some(_), Entry { under_way: Some(_), .. }) if known.runs => "renewing",
            (Some(_), _) => "valid",
            (None, Entry { trouble: Some(trouble), .. }) if trouble.failures > 0 => "failing",
            (None, _) => "waiting",
        };
        let renew = issue
            .as_ref()
            .map(|(validity, _)| renewal::at(name, *validity, entry.issue.as_ref().and_then(|issue| issue.window)));
        let tried = entry.trouble.as_ref().map(|trouble| trouble.next);
        Row {
            name: name.to_owned(),
            state,
            tenant: wanted.get(name).and_then(|wanted| wanted.tenant.as_ref()).map(ToString::to_string),
            by: issue.as_ref().filter(|(_, by)| !by.is_empty()).map(|(_, by)| by.to_string()),
            from: issue.as_ref().map(|(validity, _)| validity.from),
            until: issue.as_ref().map(|(validity, _)| validity.until),
            error: unreadable.or_else(|| entry.trouble.as_ref().map(|trouble| trouble.said.clone())),
            cause: entry.trouble.as_ref().map(|trouble| trouble.cause),
            failures: entry.trouble.as_ref().map_or(0, |trouble| trouble.failures),
            next: renew.max(tried).filter(|_| is_wanted && known.acme.is_some()),
        }
    };
    Ok(all.into_iter().map(row).collect())
}

impl Row {
    fn cells(&self, now: u64) -> [String; 5] {
        let until = match (self.until, &self.by) {
            (Some(until), Some(by)) => format!("{} ({})", date(until), host_of(by)),
            (Some(until), None) => date(until),
            (None, _) => String::new(),
        };
        let next = match self.next {
            Some(at) if at > now => format!("in {}", in_words(at - now)),
            Some(_) => "now".to_owned(),
            None if self.state == "waiting" => "now".to_owned(),
            None => String::new(),
        };
        let error = self.error.as_deref().map(|said| printable(said).to_string()).unwrap_or_default();
        let times = if self.failures > 1 { format!(" ({} times)", self.failures) } else { String::new() };
        [self.name.clone(), self.state.to_owned(), until, next, error + &times]
    }

    fn json(&self) -> serde_json::Value {
        json!({
            "name": self.name,
            "state": self.state,
            "tenant": self.tenant,
            "authority": self.by,
            "not_before": self.from,
            "not_after": self.until,
            "next_try": self.next.map(|ms| ms / 1_000),
            "failures": self.failures,
            "last_error": self.error,
            "cause": self.cause,
        })
    }
}
