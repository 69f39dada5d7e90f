//! What `gateway.route` says, compared.

use super::{Change, Difference, Kind};
use crate::tree::ir::{Gateway, IpNet, Listener, LogTo};
use crate::tree::upstream_text::{duration, size};

/// Adds what differs.
pub(super) fn compare(old: &Gateway, new: &Gateway, out: &mut Difference) {
    for ((name, before), (_, after)) in facts(old).into_iter().zip(facts(new)) {
        if before == after {
            continue;
        }
        let none = |text: String| if text.is_empty() { "none".to_owned() } else { text };
        let (before, after) = (format!("{name} {}", none(before)), format!("{name} {}", none(after)));
        out.changes.push(Change::said(Kind::Changed, "gateway", before, after));
    }
}

/// Everything that it says, each by its name.
fn facts(gateway: &Gateway) -> Vec<(&'static str, String)> {
    let Gateway {
        http,
        https,
        trusted_proxies,
        proxy_protocol_from,
        log,
        metrics,
        limits,
        secrets,
        secrets_env,
        country,
        tests,
        resolver,
        acme,
    } = gateway;
    let listener = |l: &Listener| {
        let ip = l.ip.map(|ip| if ip.is_ipv6() { format!("[{ip}]") } else { ip.to_string() }).unwrap_or_default();
        let public = l.public.map(|port| format!(" public {port}")).unwrap_or_default();
        format!("{ip}:{}{public}", l.port)
    };
    let listeners = |all: &[Listener]| {
        let mut all: Vec<String> = all.iter().map(listener).collect();
        all.sort();
        all.join(", ")
    };
    let nets = |all: &[IpNet]| {
        let mut all: Vec<String> = all.iter().map(ToString::to_string).collect();
        all.sort();
        if all.is_empty() { String::new() } else { format!("[{}]", all.join(", ")) }
    };
    let log = match log {
        LogTo::Stdout => "stdout".to_owned(),
        LogTo::File(path) => format!("\"{path}\""),
        LogTo::Off => "off".to_owned(),
    };
    let mut out = vec![
        ("http", listeners(http)),
        ("https", listeners(https)),
        ("trust proxies", nets(trusted_proxies)),
        ("proxy-protocol from", nets(proxy_protocol_from)),
        ("log", log),
        ("metrics", metrics.as_ref().map(listener).unwrap_or_default()),
        ("limits connections", limits.connections.to_string()),
        ("limits per-client", limits.per_client.map(|n| n.to_string()).unwrap_or_default()),
        ("limits header", size(limits.header_bytes)),
        ("limits header timeout", duration(limits.header_ms)),
        ("limits idle", duration(limits.keep_alive_ms)),
        ("country", country.as_deref().unwrap_or_default().to_owned()),
        ("secrets from", secrets.as_deref().unwrap_or_default().to_owned()),
        ("secrets from env", if *secrets_env { "yes" } else { "" }.to_owned()),
        ("tests", if *tests { "on" } else { "off" }.to_owned()),
        ("resolver", resolver.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")),
    ];
    out.extend(super::acme::facts(acme.as_deref()));
    out
}
