//! What is to be listened on: what `gateway.route` says, `tcp` and `udp` items, and QUIC where hosts
//! are passed through.

use super::load::{Outcome, Stand};
use crate::l4::ListenKey;
use crate::runtime::listeners::Wanted;
use crate::runtime::sockets::Service;
use dsl::tree::ir;
use dsl::tree::l4::Transport;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Follows what serves.
#[derive(Debug, Default)]
pub struct Listening {
    /// How `gateway.route` is called in messages.
    pub gateway_file: String,
    /// What is in force of it.
    pub gateway: Arc<ir::Gateway>,
    /// Items, and the files that they stand in.
    pub items: BTreeMap<ListenKey, String>,
    /// Hosts that are passed through.
    pub passthroughs: BTreeSet<String>,
}

impl Listening {
    /// Takes in what a batch changed; whether [`Listening::wanted`] may have.
    pub fn update<S, R>(&mut self, outcome: &Outcome<S, R>) -> bool {
        if let Some(gateway) = &outcome.gateway {
            self.gateway = Arc::clone(gateway);
        }
        for (key, item) in &outcome.listening {
            match item {
                Some((_, file)) => self.items.insert(*key, file.clone()),
                None => self.items.remove(key),
            };
        }
        let passed = self.passthroughs.is_empty();
        for (pattern, stand) in &outcome.hosts {
            match stand {
                Some(Stand::Passthrough(_)) => self.passthroughs.insert(pattern.to_string()),
                // Nearly always nothing is passed through, and hosts may be many.
                _ if self.passthroughs.is_empty() => false,
                Some(Stand::Site(_) | Stand::Unavailable | Stand::Nobody) | None => {
                    self.passthroughs.remove(&pattern.to_string())
                }
            };
        }
        outcome.gateway.is_some() || !outcome.listening.is_empty() || passed != self.passthroughs.is_empty()
    }

    /// What is to be listened on.
    #[must_use]
    pub fn wanted(&self) -> Vec<Wanted> {
        let own = |service: Service, listener: &ir::Listener| Wanted {
            service,
            listener: listener.clone(),
            file: self.gateway_file.clone(),
        };
        let gateway = &self.gateway;
        let mut wanted: Vec<Wanted> = gateway.http.iter().map(|l| own(Service::Http, l)).collect();
        wanted.extend(gateway.https.iter().map(|l| own(Service::Https, l)));
        wanted.extend(gateway.metrics.iter().map(|l| own(Service::Metrics, l)));
        wanted.extend(self.items.iter().map(|(key, file)| {
            let listener = ir::Listener { ip: key.ip, port: key.port, public: None, loc: Default::default() };
            Wanted { service: Service::Item(*key), listener, file: file.clone() }
        }));
        if !self.passthroughs.is_empty() {
            // A port that a `udp` item has is that item's: its line was written, ours is not.
            let free = |l: &&ir::Listener| !self.items.keys().any(|key| shares(key, l));
            wanted.extend(gateway.https.iter().filter(free).map(|l| own(Service::Quic, l)));
        }
        wanted
    }

    /// `udp` items on a port of `https`: QUIC for the hosts that are passed through does not arrive there.
    #[must_use]
    pub fn without_quic(&self) -> Vec<String> {
        if self.passthroughs.is_empty() {
            return Vec::new();
        }
        let taken = |(key, file): (&ListenKey, &String)| {
            let https = self.gateway.https.iter().find(|l| shares(key, l))?;
            let port = https.port;
            Some(format!(
                "`{key}` of {file} has UDP port {port}: QUIC for passthrough hosts is not carried on `https :{port}`"
            ))
        };
        self.items.iter().filter_map(taken).collect()
    }
}

fn shares(key: &ListenKey, https: &ir::Listener) -> bool {
    key.transport == Transport::Udp && key.overlaps(&ListenKey::of(Transport::Udp, https))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(transport: Transport, port: u16) -> ListenKey {
        ListenKey { transport, ip: None, port }
    }

    #[test]
    fn quic_is_listened_for_while_hosts_are_passed_through_and_the_port_is_free() {
        let mut listening = Listening::default();
        let quic = |l: &Listening| {
            l.wanted().iter().filter(|w| w.service == Service::Quic).map(|w| w.listener.port).sum::<u16>()
        };
        assert_eq!(quic(&listening), 0);
        listening.passthroughs.insert("vault.test".into());
        assert_eq!(quic(&listening), 8443);
        listening.items.insert(key(Transport::Tcp, 8443), "sites/a.route".into());
        assert_eq!(quic(&listening), 8443);
        listening.items.insert(key(Transport::Udp, 8443), "sites/a.route".into());
        assert_eq!((quic(&listening), listening.without_quic().len()), (0, 1));
    }
}
