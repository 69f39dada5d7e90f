//! `sluice certs plan`: what would be ordered when.
//!
//! The manager itself is asked, by a clock that runs ahead: what is printed is what it would do if each order
//! came to a certificate.

use super::{Known, Place, table};
use crate::cli::{Failed, print, run::count};
use crate::console::{Style, colours};
use crate::tls::certificates::book::{Issue, Record};
use crate::tls::certificates::budget::{DAY, HOUR};
use crate::tls::certificates::manager::{Action, Authorities, Manager, Now};
use crate::tls::certificates::names::registered_domain;
use crate::tls::certificates::tell::{date, host_of, in_words};
use clap::Args;
use serde_json::json;
use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

/// How long an order takes in the plan, milliseconds.
const TAKES: u64 = 10_000;
/// How long the certificate lives that it comes to, where no earlier one says, seconds.
const LIVES: u64 = 90 * 86_400;

/// Print what would be ordered when, held against the budgets of the authority
///
/// Works without a running gateway and asks no authority: it goes by the sites directory, and by what
/// the data directory knows of earlier orders. It takes each order to come to a certificate; names that
/// failed before are tried again when their wait is over.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Exit codes:
  0  it was printed
  2  it could not run

Examples:
  sluice certs plan
  sluice certs plan new/sites --data /var/lib/sluice --days 7")]
pub(super) struct Plan {
    #[command(flatten)]
    place: Place,
    /// How far ahead to look
    #[arg(long, value_name = "N", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=366))]
    days: u64,
    /// Print JSON: an object with `orders`, `never` and `budgets`
    #[arg(long)]
    json: bool,
}

/// An order that would be sent.
struct Planned {
    /// Milliseconds since 1970.
    at: u64,
    name: String,
    tenant: Option<String>,
    why: &'static str,
    counts: bool,
}

impl Plan {
    pub(super) fn run(self) -> Result<ExitCode, Failed> {
        let known = Known::of(&self.place)?;
        let Some(acme) = known.acme.clone() else {
            print(known.nothing());
            return Ok(ExitCode::SUCCESS);
        };
        let authorities = Authorities::of(&acme);
        let (orders, never) = ahead(&known, &authorities, self.days * DAY);
        if self.json {
            let text = serde_json::to_string_pretty(&self.as_json(&known, &authorities, &orders, &never));
            print(&format!("{}\n", text.map_err(|e| Failed::new(e.to_string()))?));
        } else {
            print(&self.as_text(&known, &authorities, &orders, &never));
        }
        Ok(ExitCode::SUCCESS)
    }

    fn as_text(&self, known: &Known, authorities: &Authorities, orders: &[Planned], never: &[String]) -> String {
        let style = Style { colours: colours(&std::io::stdout()) };
        let mut out = String::new();
        for (by, limits) in &authorities.each {
            let spent = known.book.orders.get(by).map_or(0, |spent| spent.count(known.now, limits.orders.per));
            let (most, per) = (limits.orders.count, in_words(limits.orders.per));
            out += &format!("{}: {spent} of {most} orders sent in the last {per}", host_of(by));
            if let Some(domain) = limits.domain {
                out += &format!("; {} new names in {} for a registered domain", domain.count, in_words(domain.per));
            }
            out.push('\n');
        }
        if known.book.hold.until > known.now {
            out +=
                &format!("everybody waits until {}: {}\n", date(known.book.hold.until / 1_000), known.book.hold.said);
        }
        if orders.is_empty() {
            let days = count(usize::try_from(self.days).unwrap_or(usize::MAX), "day");
            out += &format!("nothing is to be ordered within {days}\n");
        } else {
            let rows: Vec<[String; 4]> = orders
                .iter()
                .map(|order| {
                    let when = if order.at <= known.now { "now".into() } else { date(order.at / 1_000) };
                    let why =
                        if order.counts { order.why.to_owned() } else { format!("{}, counts for nothing", order.why) };
                    [when, order.name.clone(), why, order.tenant.clone().unwrap_or_default()]
                })
                .collect();
            out += &format!("\n{}", table(["WHEN", "NAME", "WHY", "TENANT"], &rows, |head| style.bold(head)));
            let busiest = busiest(orders);
            out += &format!("\n{}, at most {busiest} in 3 h\n", count(orders.len(), "order"));
        }
        if !never.is_empty() {
            let shown = never.iter().take(5).cloned().collect::<Vec<_>>().join(", ");
            let more = if never.len() > 5 { format!(" and {} more", never.len() - 5) } else { String::new() };
            out += &format!("without a certificate after {} days: {shown}{more}\n", self.days);
        }
        out
    }

    fn as_json(
        &self,
        known: &Known,
        authorities: &Authorities,
        orders: &[Planned],
        never: &[String],
    ) -> serde_json::Value {
        let orders: Vec<_> = orders
            .iter()
            .map(|order| {
                json!({
                    "at": order.at / 1_000,
                    "name": order.name,
                    "registered_domain": registered_domain(&order.name),
                    "tenant": order.tenant,
                    "why": order.why,
                    "counts": order.counts,
                })
            })
            .collect();
        let budgets: Vec<_> = authorities
            .each
            .iter()
            .map(|(by, limits)| {
                json!({
                    "directory": by,
                    "orders": limits.orders.count,
                    "per_seconds": limits.orders.per / 1_000,
                    "sent": known.book.orders.get(by).map_or(0, |spent| spent.count(known.now, limits.orders.per)),
                })
            })
            .collect();
        json!({ "orders": orders, "never": never, "budgets": budgets })
    }
}

/// The most orders that begin within three hours.
fn busiest(orders: &[Planned]) -> usize {
    let mut first = 0;
    let mut most = 0;
    for (last, order) in orders.iter().enumerate() {
        while orders[first].at + 3 * HOUR <= order.at {
            first += 1;
        }
        most = most.max(last + 1 - first);
    }
    most
}

/// What the manager would do, and the names that have no certificate in the end.
fn ahead(known: &Known, authorities: &Authorities, span: u64) -> (Vec<Planned>, Vec<String>) {
    let mut book = known.book.clone();
    let there: std::collections::HashSet<Box<str>> = known.store.names().unwrap_or_default().into_iter().collect();
    for record in crate::tls::certificates::carry::differs(&book, &there, |name| known.store.load(name)) {
        book.apply(&record);
    }
    // A process that runs has its orders under way; it would not send them again.
    let at = |wall: u64| Now { wall, steady: wall - known.now };
    let mut manager = Manager::new(book, at(known.now));
    manager.order_from(Some(authorities.clone()));
    // Whoever was asked for in a handshake goes on being used, as far as anybody can tell.
    let used = Arc::new(AtomicU64::new(u64::MAX / 2));
    for wanted in known.wanted.values() {
        manager.want(wanted.clone(), Arc::clone(&used));
    }
    for wanted in known.demanded() {
        manager.recall(wanted, Arc::clone(&used));
    }
    let by = authorities.each.first().map(|(by, _)| Arc::clone(by)).unwrap_or_default();
    let (mut now, mut planned) = (known.now, Vec::new());
    let mut coming: BTreeMap<(u64, Box<str>), Issue> = BTreeMap::new();
    loop {
        for action in manager.step(at(now)) {
            match action {
                Action::Order { wanted, replaces } => {
                    let entry = manager.book().entry(&wanted.name);
                    let before = entry.and_then(|entry| entry.issue.as_ref());
                    let failed = entry.is_some_and(|entry| entry.trouble.as_ref().is_some_and(|t| t.failures > 0));
                    let why = match before {
                        _ if failed => "another try",
                        Some(_) => "renewal",
                        None => "first",
                    };
                    let life = before.map_or(LIVES, |issue| issue.validity().life());
                    let from = (now + TAKES) / 1_000;
                    let window = before.filter(|_| replaces).map(|_| (from + life / 3 * 2, from + life / 4 * 3));
                    let window = window.map(|(start, end)| (start * 1_000, end * 1_000));
                    let issue = Issue { by: Arc::clone(&by), from, until: from + life, window };
                    let tenant = wanted.tenant.as_ref().map(ToString::to_string);
                    planned.push(Planned { at: now, name: wanted.name.to_string(), tenant, why, counts: !replaces });
                    coming.insert((now + TAKES, wanted.name), issue);
                }
                Action::Ask(name) => manager.window(&name, None, DAY),
                Action::Write(Record::Ordered { .. } | _)
                | Action::Rewrite
                | Action::Stands(..)
                | Action::Remove(_)
                | Action::ClockSet(_) => {}
            }
        }
        let next = coming.first_key_value().map_or(u64::MAX, |((at, _), _)| *at).min(manager.next());
        if next > known.now + span {
            break;
        }
        now = now.max(next);
        while let Some(((at, _), _)) = coming.first_key_value()
            && *at <= now
            && let Some(((_, name), issue)) = coming.pop_first()
        {
            manager.issued(&name, issue);
        }
    }
    let without = manager.wanted().filter(|(name, _)| manager.book().entry(name).is_none_or(|e| e.issue.is_none()));
    let mut never: Vec<String> = without.map(|(name, _)| name.to_string()).collect();
    never.sort();
    (planned, never)
}
