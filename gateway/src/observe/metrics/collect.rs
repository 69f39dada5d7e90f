//! What is counted, under the names that it is known by outside. Label values come from route files,
//! never from clients: what those choose would grow without a bound.

use super::text::{Format, Kind, Text};
use super::{certificates, pools, providers};
use crate::edge::Kept;
use crate::l4::counts::{Count, Shard};
use crate::l4::{Counts, End, Routes};
use crate::observe::log::LogSender;
use crate::runtime::Gauges;
use crate::runtime::listeners::Sets;
use crate::runtime::ticks::process_ms;
use crate::snapshot::Published;
use crate::tls::SiteFiles;
use crate::tls::certificates::Certificates;
use crate::upstream::Pools;
use std::collections::BTreeMap;
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Where the numbers are.
#[derive(Clone, Debug)]
pub struct Sources {
    /// Certificates by ACME.
    pub certificates: Arc<Certificates>,
    /// Limits of requests.
    pub kept: Arc<Kept>,
    /// Routes of connections and flows.
    pub routes: Arc<Routes>,
    /// Pools and their endpoints.
    pub pools: Arc<Pools>,
    /// Files of certificates.
    pub files: Arc<SiteFiles>,
    /// The workers.
    pub workers: Gauges,
    /// The connection log.
    pub log: LogSender,
    /// The snapshot in force.
    pub published: Published,
    /// The sockets that are listened on.
    pub sets: Sets,
    /// How many listeners are wanted and cannot be had.
    pub missing: Arc<AtomicU64>,
}

/// Writes all of it.
#[must_use]
pub fn collect(sources: &Sources, format: Format) -> String {
    let mut text = Text::new(format);
    process(&mut text);
    gateway(sources, &mut text);
    carried(sources, &mut text);
    pools::write(sources, &mut text);
    limits(sources, &mut text);
    certificates::write(&sources.certificates, &mut text);
    providers::write(&sources.kept.providers, &mut text);
    certificate_files(sources, &mut text);
    text.end()
}

fn process(text: &mut Text) {
    text.family("sluice_build_info", Kind::Gauge, "The version that runs; always 1.")
        .add(&[("version", env!("CARGO_PKG_VERSION"))], 1);
    // What cannot be read is left out.
    if let Ok(open) = fs::read_dir("/proc/self/fd") {
        text.family("process_open_fds", Kind::Gauge, "Open file descriptors.").add(&[], open.count());
    }
    let most = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    if let Some(most) = most {
        text.family("process_max_fds", Kind::Gauge, "File descriptors that may be open.").add(&[], most);
    }
    let pages = fs::read_to_string("/proc/self/statm").ok();
    let resident = pages.and_then(|pages| pages.split(' ').nth(1)?.parse::<u64>().ok());
    if let Some(pages) = resident {
        let bytes = pages * rustix::param::page_size() as u64;
        text.family("process_resident_memory_bytes", Kind::Gauge, "Memory that is held, bytes.").add(&[], bytes);
    }
}

fn gateway(sources: &Sources, text: &mut Text) {
    let snapshot = sources.published.load();
    text.family("sluice_generation", Kind::Gauge, "Snapshots published since the start.").add(&[], snapshot.generation);
    let mut listening = text.family(
        "sluice_listening",
        Kind::Gauge,
        "Addresses that are listened on, by what is served there; always 1.",
    );
    for (socket, _) in sources.sets.borrow().iter().filter(|(_, wanted)| *wanted) {
        let address = socket.address.to_string();
        listening.add(&[("service", socket.service.word()), ("address", &address)], 1);
    }
    text.family("sluice_listeners_missing", Kind::Gauge, "Listeners that are wanted and cannot be had.")
        .add(&[], sources.missing.load(Ordering::Relaxed));
    text.family("sluice_connections", Kind::Gauge, "Client connections that are open: HTTP, TCP and passed through.")
        .add(&[], sources.workers.connections());
    text.family("sluice_connections_limit", Kind::Gauge, "Client connections that may be open.")
        .add(&[], snapshot.gateway.limits.connections);
    let totals = sources.workers.counters();
    text.family("sluice_http_requests", Kind::Counter, "Requests that reached routing.").add(&[], totals.requests);
    let mut refused = text.family("sluice_http_refused", Kind::Counter, "Requests refused before routing, by reason.");
    for (reason, n) in &totals.refused {
        refused.add(&[("reason", reason.label())], n);
    }
    let mut hellos = text.family(
        "sluice_hellos_failed",
        Kind::Counter,
        "Connections to TLS ports that came to nothing before a handshake, by reason.",
    );
    for (failure, n) in &totals.hellos {
        hellos.add(&[("reason", failure.label())], n);
    }
    let mut quic = text.family(
        "sluice_quic_dropped_datagrams",
        Kind::Counter,
        "Datagrams to the UDP side of TLS ports that led to no connection, by reason.",
    );
    for (lost, n) in &totals.quic {
        quic.add(&[("reason", lost.label())], n);
    }
    text.family(
        "sluice_proxy_headers_refused",
        Kind::Counter,
        "Connections of trusted peers without a valid PROXY header.",
    )
    .add(&[], totals.proxy_headers_refused);
    text.family(
        "sluice_client_connections_refused",
        Kind::Counter,
        "Connections that were closed because their client had as many open as one may have.",
    )
    .add(&[], totals.clients_refused);
    text.family("sluice_log_lines", Kind::Counter, "Lines of the connection log that were written.")
        .add(&[], sources.log.written());
    text.family("sluice_log_dropped", Kind::Counter, "Lines of the connection log that were not written.")
        .add(&[], sources.log.dropped());
}

fn limits(sources: &Sources, text: &mut Text) {
    let all = sources.kept.limits.counted();
    let mut requests =
        text.family("sluice_limit_requests", Kind::Counter, "Requests that a limit counted, by what it said.");
    for limit in &all {
        for (outcome, n) in [("admitted", limit.admitted), ("refused", limit.refused), ("shadow", limit.shadowed)] {
            requests.add(&[("limit", &limit.name), ("outcome", outcome)], n);
        }
    }
    let mut refused = text.family(
        "sluice_http_refused_by_rule",
        Kind::Counter,
        "Requests that a statement of a route file refused, by the statement and the line that uses it.",
    );
    for each in sources.kept.rules.refusals() {
        let (rule, at) = each.rule.as_ref().map_or(("others", ""), |(rule, at)| (&**rule, &**at));
        refused.add(&[("rule", rule), ("at", at)], each.refused);
    }
    let all = sources.routes.limits_counted();
    let mut carried = text.family(
        "sluice_limit_connections",
        Kind::Counter,
        "Connections and flows that a limit counted, by what it said.",
    );
    for limit in &all {
        for (outcome, n) in [("admitted", limit.admitted), ("refused", limit.refused), ("shadow", limit.shadowed)] {
            carried.add(&[("limit", &limit.name), ("outcome", outcome)], n);
        }
    }
}

/// Of files only those that end first: there may be thousands, and who wakes somebody needs the first.
fn certificate_files(sources: &Sources, text: &mut Text) {
    let (count, first) = sources.files.expiries();
    text.family("sluice_certificate_files", Kind::Gauge, "Certificates that are served from files.").add(&[], count);
    let mut ends = text.family(
        "sluice_certificate_expiry_seconds",
        Kind::Gauge,
        "Seconds until a certificate of a file ends, below zero once it has; of the 100 that end first.",
    );
    for expiry in &first {
        ends.add(&[("name", &expiry.name), ("file", &expiry.file)], expiry.left);
    }
}

type Pick = fn(&Shard) -> &Count;

/// What is counted of routes and of endpoints alike.
struct Names {
    counted: [(&'static str, &'static str, Pick); 6],
    active: &'static str,
    ended: &'static str,
}

macro_rules! names {
    ($prefix:literal) => {
        Names {
            counted: [
                (concat!($prefix, "_begun"), "Connections and flows that began.", |s| &s.begun),
                (concat!($prefix, "_received_bytes"), "Bytes from clients.", |s| &s.bytes_in),
                (concat!($prefix, "_sent_bytes"), "Bytes to clients.", |s| &s.bytes_out),
                (concat!($prefix, "_received_datagrams"), "Datagrams from clients.", |s| &s.datagrams_in),
                (concat!($prefix, "_sent_datagrams"), "Datagrams to clients.", |s| &s.datagrams_out),
                (
                    concat!($prefix, "_dropped_datagrams"),
                    "Datagrams that went nowhere: refused, no flow, no room.",
                    |s| &s.datagrams_dropped,
                ),
            ],
            active: concat!($prefix, "_active"),
            ended: concat!($prefix, "_ended"),
        }
    };
}

const ROUTES: Names = names!("sluice_l4");
const ENDPOINTS: Names = names!("sluice_l4_endpoint");

fn carried(sources: &Sources, text: &mut Text) {
    let live = sources.routes.live();
    let rows: Vec<_> = live.iter().map(|live| (vec![("route", &*live.name)], &*live.counts)).collect();
    counts(&ROUTES, &rows, text);
    let mut pools = BTreeMap::new();
    let mut endpoints = BTreeMap::new();
    for pool in live.iter().filter_map(|live| live.route.as_ref()).flat_map(|route| &route.pools) {
        for member in pool.members().each() {
            endpoints.insert(Arc::clone(member.endpoint.name()), Arc::clone(&member.endpoint));
        }
    }
    let rows: Vec<_> = endpoints.iter().map(|(name, e)| (vec![("endpoint", &**name)], &**e.counts())).collect();
    counts(&ENDPOINTS, &rows, text);
    // Those of sites too: a check is a check.
    let all = sources.pools.pools();
    let now = process_ms();
    for pool in &all {
        let members = pool.members();
        for (index, member) in members.each().iter().enumerate() {
            // Two files may have pools of one name that differ: the worse is told.
            let up = pools.entry((&*pool.pool().name, Arc::clone(member.endpoint.name()))).or_insert((true, false));
            up.0 &= members.is_up(index);
            up.1 |= members.is_ejected(index, now);
        }
    }
    let mut up =
        text.family("sluice_endpoint_up", Kind::Gauge, "Whether an endpoint takes connections, by its pool's check.");
    for ((pool, endpoint), (is_up, _)) in &pools {
        up.add(&[("pool", pool), ("endpoint", endpoint)], u8::from(*is_up));
    }
    let mut ejected = text.family(
        "sluice_endpoint_ejected",
        Kind::Gauge,
        "Whether an endpoint gets no requests for now, because of how it answered others.",
    );
    for ((pool, endpoint), (_, is_ejected)) in &pools {
        ejected.add(&[("pool", pool), ("endpoint", endpoint)], u8::from(*is_ejected));
    }
}

fn counts(names: &Names, rows: &[(Vec<(&str, &str)>, &Counts)], text: &mut Text) {
    for (name, help, pick) in names.counted {
        let mut family = text.family(name, Kind::Counter, help);
        for (labels, counts) in rows {
            family.add(labels, counts.sum(pick));
        }
    }
    let mut active = text.family(names.active, Kind::Gauge, "Connections and flows that are open.");
    for (labels, counts) in rows {
        // What ended is read first: whoever begins meanwhile makes it one too many, never a negative.
        let ended = counts.sum(|s| &s.ended);
        active.add(labels, counts.sum(|s| &s.begun).saturating_sub(ended));
    }
    let mut family = text.family(names.ended, Kind::Counter, "Connections and flows that ended, by reason.");
    for (labels, counts) in rows {
        for end in End::ALL {
            // Reasons that never occurred are left out: most of them never do.
            let n = counts.ends(*end);
            if n > 0 {
                let mut labels = labels.clone();
                labels.extend([("reason", end.label()), ("error", if end.is_error() { "true" } else { "false" })]);
                family.add(&labels, n);
            }
        }
    }
}
