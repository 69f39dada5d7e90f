//! ## What
//!
//! A pool dials a listener of the gateway itself, and the connection comes back to the pool.
//!
//! ## Why
//!
//! It would be carried round and round, each time with two more sockets, until nothing is left.
//!
//! ## Wrong
//!
//! ```route
//! pool db = 127.0.0.1:5432
//!
//! tcp :5432 -> db
//! ```
//!
//! ## Right
//!
//! ```route
//! pool db = 127.0.0.1:5433
//!
//! tcp :5432 -> db
//! ```

use super::l4::{Together, shown};
use crate::diagnostic::Diagnostic;
use crate::syntax::span::Loc;
use crate::tree::ir::{Cond, Endpoint, Field, Listener, Pool};
use crate::tree::l4::{Facts, Rules, Step, Target, Transport};
use std::collections::HashSet;
use std::net::{IpAddr, SocketAddr};

/// An item that connections can come to.
#[derive(Clone, Copy)]
struct Node<'a> {
    /// `None` for a `passthrough`, which is on the `https` listeners.
    listener: Option<(Transport, &'a Listener)>,
    /// A host of a `passthrough`.
    sni: Option<&'a str>,
    rules: &'a Rules,
}

/// Follows each endpoint that is an address of this machine.
pub(super) fn run(all: &Together<'_>, out: &mut Vec<Diagnostic>) {
    let names: Vec<Option<String>> =
        all.passthroughs.iter().map(|p| p.hosts.iter().find_map(|(host, _)| host.literal())).collect();
    let mut nodes: Vec<Node<'_>> = all
        .listening
        .iter()
        .map(|l| Node { listener: Some((l.transport, &l.listener)), sni: None, rules: &l.rules })
        .collect();
    let passed = all.passthroughs.iter().zip(&names);
    nodes.extend(passed.map(|(p, name)| Node { listener: None, sni: name.as_deref(), rules: &p.rules }));
    let own = all.listening.iter().map(|l| l.listener.port);
    let https = all.gateway.iter().flat_map(|g| &g.https).map(|l| l.port);
    let ports: HashSet<u16> = own.chain(https).collect();
    let mut said: Vec<Loc> = Vec::new();
    for (start, node) in nodes.iter().enumerate() {
        for endpoint in endpoints(node.rules, &|_| true) {
            // Nearly every endpoint is done with here.
            if !ports.contains(&endpoint.port) || said.contains(&endpoint.loc) || !returns(all, &nodes, start, endpoint) {
                continue;
            }
            said.push(endpoint.loc);
            let own = match node.listener {
                Some((Transport::Tcp, listener)) => shown("tcp", listener),
                Some((Transport::Udp, listener)) => shown("udp", listener),
                None => format!("passthrough {}", node.sni.unwrap_or_default()),
            };
            let address = format!("{}:{}", endpoint.host, endpoint.port);
            let d = format!("a loop: {own} \u{2192} {address}, which the gateway listens on itself, \u{2192} {own}");
            out.push(Diagnostic::error("G5002", endpoint.loc, d).help("dial the server, on its own port", "", None));
        }
    }
}

/// Whether what is sent to an endpoint comes to the item that it was sent from.
fn returns(all: &Together<'_>, nodes: &[Node<'_>], start: usize, first: &Endpoint) -> bool {
    let mut seen: Vec<(usize, IpAddr)> = Vec::new();
    let Some(landing) = lands(all, nodes, nodes[start], first) else { return false };
    let mut next = vec![landing];
    while let Some((node, ip)) = next.pop() {
        if seen.contains(&(node, ip)) {
            continue;
        }
        seen.push((node, ip));
        let rules = nodes[node].rules;
        let client = SocketAddr::new(ip, 50_000);
        let facts = Facts { client, local: client, sni: nodes[node].sni, alpn: &[] };
        // What depends on more than the address it comes from may end differently.
        let plain = rules.entries.iter().all(|e| only_addresses(&e.guard));
        let Some(entry) = rules.decide(&facts).filter(|_| plain) else { continue };
        let passes = entry.steps.iter().all(|step| match step {
            Step::Require { cond, .. } => only_addresses(cond) && facts.hold(cond),
            Step::Limit(_) => true,
        });
        if !passes {
            continue;
        }
        for endpoint in endpoints(rules, &|e| std::ptr::eq(e, entry)) {
            if node == start && std::ptr::eq(endpoint, first) {
                return true;
            }
            next.extend(lands(all, nodes, nodes[node], endpoint));
        }
    }
    false
}

fn only_addresses(cond: &Cond) -> bool {
    super::l4::reads(cond).iter().all(|field| *field == Field::ClientIp)
}

/// The endpoints that the chosen entries lead to.
fn endpoints<'r>(rules: &'r Rules, of: &dyn Fn(&crate::tree::l4::Entry) -> bool) -> Vec<&'r Endpoint> {
    let pools = rules.entries.iter().filter(|e| of(e)).flat_map(|entry| match &entry.target {
        Target::Pool(pool) => vec![*pool],
        Target::Split { shares, .. } => shares.iter().map(|(_, pool)| *pool).collect(),
        Target::Deny => Vec::new(),
    });
    let pool = |index: crate::tree::ir::PoolIdx| -> &'r Pool { &rules.pools[index.0 as usize] };
    pools.flat_map(|index| pool(index).endpoints.iter()).collect()
}

/// The item that gets what is sent to an endpoint, and from which address it then comes; `None` where
/// that is another machine, or cannot be told.
fn lands(all: &Together<'_>, nodes: &[Node<'_>], from: Node<'_>, endpoint: &Endpoint) -> Option<(usize, IpAddr)> {
    let ip: IpAddr = match &*endpoint.host {
        "localhost" => IpAddr::from([127, 0, 0, 1]),
        host => host.parse().ok()?,
    };
    let ip = match ip {
        IpAddr::V4(v4) if v4.is_unspecified() => IpAddr::from([127, 0, 0, 1]),
        IpAddr::V6(v6) if v6.is_unspecified() => IpAddr::from(std::net::Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    let takes = |listener: &Listener| {
        let here = match listener.ip {
            None => ip.is_loopback(),
            Some(own) if own.is_unspecified() => ip.is_loopback() && own.is_ipv4() == ip.is_ipv4(),
            Some(own) => own == ip,
        };
        here && listener.port == endpoint.port && listener.port != 0
    };
    let transport = from.listener.map_or(Transport::Tcp, |(transport, _)| transport);
    let item = nodes.iter().position(|n| n.listener.is_some_and(|(t, l)| t == transport && takes(l)));
    if let Some(item) = item {
        return Some((item, ip));
    }
    // TLS that is handed on keeps its name, so it comes to the item of that name.
    let https = all.gateway?.https.iter().any(takes);
    let sni = from.sni.filter(|_| https && from.listener.is_none())?;
    let item = nodes.iter().position(|n| n.listener.is_none() && n.sni == Some(sni))?;
    Some((item, ip))
}
