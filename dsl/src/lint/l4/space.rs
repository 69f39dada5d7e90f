//! Connections to an item, one of every class that its conditions tell apart.

use crate::check::l4::Kind;
use crate::lint::solve;
use crate::region::Algebra;
use crate::tree::ir::{Field, HostPattern, Test};
use crate::tree::l4::{Facts, Rules};
use std::net::{IpAddr, SocketAddr};

/// Connections that are tried for one item, times its entries.
const BUDGET: usize = 400_000;

/// A client's port where none matters.
pub(in crate::lint) const PORT: u16 = 50_000;

/// A connection that shows something.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::lint) struct Witness {
    pub(in crate::lint) client: SocketAddr,
    pub(in crate::lint) sni: Option<String>,
    pub(in crate::lint) alpn: Vec<Box<str>>,
}

impl Witness {
    /// What the rules are asked with.
    pub(in crate::lint) fn facts(&self) -> Facts<'_> {
        let local = SocketAddr::from(([192, 0, 2, 1], 443));
        Facts { client: self.client, local, sni: self.sni.as_deref(), alpn: &self.alpn }
    }
}

/// What became of the connections that were tried.
#[derive(Debug, Default)]
pub(in crate::lint) struct Judged {
    /// By entry: one that it takes.
    pub(in crate::lint) taken: Vec<Option<Witness>>,
    /// By entry: one for which its conditions hold, whoever takes it.
    pub(in crate::lint) holds: Vec<Option<Witness>>,
    /// By entry: who takes those for which its conditions hold; `None` where that is more than one.
    pub(in crate::lint) taker: Vec<Option<usize>>,
    /// One that no entry takes.
    pub(in crate::lint) missed: Option<Witness>,
    /// Whether they stand for all there are.
    pub(in crate::lint) complete: bool,
}

impl Judged {
    /// Tries connections.
    pub(in crate::lint) fn new(rules: &Rules, kind: Kind, hosts: &[&HostPattern]) -> Self {
        let n = rules.entries.len();
        let nobody = || vec![None; n];
        let mut out = Self { taken: nobody(), holds: nobody(), taker: vec![None; n], missed: None, complete: true };
        let mut tests: Vec<(Field, Vec<&Test>)> = Vec::new();
        for entry in &rules.entries {
            out.complete &= solve::collect(&entry.guard, &mut tests);
        }
        let of = |field: &Field| tests.iter().find(|(f, _)| f == field).map_or(&[][..], |(_, t)| t.as_slice());
        let mut algebra = Algebra::paths();
        let (ips, all_ips) = solve::values(&Field::ClientIp, of(&Field::ClientIp), &mut algebra);
        let (ports, all_ports) = solve::values(&Field::ClientPort, of(&Field::ClientPort), &mut algebra);
        let (snis, all_snis) = names(kind, hosts, of(&Field::TlsSni));
        let (alpns, all_alpns) = protocols(of(&Field::TlsAlpn));
        out.complete &= all_ips && all_ports && all_snis && all_alpns;
        let ips: Vec<IpAddr> = ips.iter().flatten().filter_map(|ip| ip.parse().ok()).collect();
        let ports: Vec<u16> = ports.iter().flatten().filter_map(|port| port.parse().ok()).collect();
        let mut left = BUDGET / n.max(1);
        for sni in &snis {
            for alpn in &alpns {
                for port in &ports {
                    for ip in &ips {
                        let Some(more) = left.checked_sub(1) else {
                            out.complete = false;
                            return out;
                        };
                        left = more;
                        let client = SocketAddr::new(*ip, *port);
                        out.look(rules, Witness { client, sni: sni.clone(), alpn: alpn.clone() });
                    }
                }
            }
        }
        out
    }

    fn look(&mut self, rules: &Rules, witness: Witness) {
        let facts = witness.facts();
        let winner = rules.decide(&facts).and_then(|e| rules.entries.iter().position(|o| std::ptr::eq(o, e)));
        match winner {
            Some(n) => {
                self.taken[n].get_or_insert_with(|| witness.clone());
            }
            None => {
                self.missed.get_or_insert_with(|| witness.clone());
            }
        }
        for (n, entry) in rules.entries.iter().enumerate() {
            // What takes something is no riddle.
            if self.taken[n].is_some() && self.holds[n].is_some() || !facts.hold(&entry.guard) {
                continue;
            }
            match &self.holds[n] {
                None => {
                    self.holds[n] = Some(witness.clone());
                    self.taker[n] = winner;
                }
                Some(_) if self.taker[n] != winner => self.taker[n] = None,
                Some(_) => {}
            }
        }
    }
}

/// Names in a hello; `false` when some class may be missing.
fn names(kind: Kind, hosts: &[&HostPattern], tests: &[&Test]) -> (Vec<Option<String>>, bool) {
    let mut texts: Vec<&str> = Vec::new();
    let mut plain = true;
    for test in tests {
        match test {
            Test::OneOf(all) => texts.extend(all.iter().map(|t| &**t)),
            Test::Present => {}
            Test::StartsWith(_)
            | Test::EndsWith(_)
            | Test::Has(_)
            | Test::Matches(_)
            | Test::InNets(_)
            | Test::Number(..) => plain = false,
        }
    }
    match kind {
        Kind::Tcp | Kind::Udp => (vec![None], true),
        Kind::TcpTls => {
            let mut out = vec![None, Some("other.example".to_owned())];
            out.extend(texts.iter().map(|t| Some((*t).to_owned())));
            (out, plain)
        }
        Kind::Passthrough => {
            let mut out: Vec<Option<String>> = Vec::new();
            let mut algebra = Algebra::hosts();
            let mut whole = true;
            for host in hosts {
                match host.literal() {
                    Some(text) => out.push(Some(text)),
                    None => {
                        whole &= plain;
                        let example = algebra.host_example(host).ok().flatten();
                        let near = |label: &str| format!("{label}.{}", host.parent);
                        let tried = [Some(near("other")), Some(near("one-more")), example];
                        let other =
                            tried.into_iter().flatten().find(|t| host.matches(t) && !texts.contains(&t.as_str()));
                        whole &= other.is_some();
                        out.extend(other.map(Some));
                    }
                }
            }
            let inside = texts.iter().filter(|t| hosts.iter().any(|h| h.matches(t)));
            for text in inside {
                let text = Some((*text).to_owned());
                if !out.contains(&text) {
                    out.push(text);
                }
            }
            // Without a host there is nothing to try, and nothing to say.
            (out, whole && !hosts.is_empty())
        }
    }
}

/// Lists of protocols in a hello; `false` when some class may be missing.
fn protocols(tests: &[&Test]) -> (Vec<Vec<Box<str>>>, bool) {
    let mut texts: Vec<&str> = Vec::new();
    let mut plain = true;
    for test in tests {
        match test {
            Test::OneOf(all) => texts.extend(all.iter().map(|t| &**t)),
            Test::Has(text) => texts.push(text),
            Test::Present => {}
            Test::StartsWith(_) | Test::EndsWith(_) | Test::Matches(_) | Test::InNets(_) | Test::Number(..) => {
                plain = false;
            }
        }
    }
    texts.sort_unstable();
    texts.dedup();
    let mut out: Vec<Vec<Box<str>>> = vec![Vec::new()];
    if tests.is_empty() {
        return (out, true);
    }
    let firsts: Vec<&str> = texts.iter().copied().chain(["other"]).collect();
    for first in &firsts {
        out.push(vec![(*first).into()]);
        for second in texts.iter().filter(|s| *s != first) {
            out.push(vec![(*first).into(), (*second).into()]);
        }
    }
    (out, plain && texts.len() <= 2)
}
