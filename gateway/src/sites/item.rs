//! Items beside sites: connections and flows that are carried.

use super::claims::{Key, What};
use crate::l4::ListenKey;
use dsl::reach::Carried;
use dsl::syntax::span::Loc;
use dsl::tree::ir;
use dsl::tree::l4::{Listening, Passthrough, Rules, Transport};
use std::sync::Arc;

/// Connections or flows that are carried.
#[derive(Clone, Debug)]
pub enum Item {
    /// `tcp`, `udp`
    Listening(Arc<Listening>),
    /// `passthrough`
    Passthrough(Arc<Passthrough>),
}

impl Item {
    /// What it says.
    pub fn rules(&self) -> &Rules {
        match self {
            Self::Listening(item) => &item.rules,
            Self::Passthrough(item) => &item.rules,
        }
    }

    /// As the analysis knows it.
    pub fn carried(&self) -> Carried {
        match self {
            Self::Listening(item) => Carried::Listening(Arc::clone(item)),
            Self::Passthrough(item) => Carried::Passthrough(Arc::clone(item)),
        }
    }

    /// What is carried.
    pub fn transport(&self) -> Transport {
        match self {
            Self::Listening(item) => item.transport,
            Self::Passthrough(_) => Transport::Tcp,
        }
    }

    /// Where it listens; a passthrough is on every `https` listener.
    pub fn listens(&self) -> Option<ListenKey> {
        match self {
            Self::Listening(item) => Some(ListenKey::of(item.transport, &item.listener)),
            Self::Passthrough(_) => None,
        }
    }

    /// `tcp :5432`, `passthrough vault.example.com`
    pub fn name(&self) -> String {
        match self {
            Self::Listening(item) => ListenKey::of(item.transport, &item.listener).to_string(),
            Self::Passthrough(item) => {
                let host = item.hosts.first().map(|(host, _)| host.to_string()).unwrap_or_default();
                format!("passthrough {host}")
            }
        }
    }

    /// Its head.
    pub fn loc(&self) -> Loc {
        match self {
            Self::Listening(item) => item.loc,
            Self::Passthrough(item) => item.loc,
        }
    }

    /// What it is found by.
    pub fn keys(&self) -> Vec<Key> {
        match self {
            Self::Listening(_) => self.listens().iter().map(|key| What::Port(*key).key()).collect(),
            Self::Passthrough(item) => item.hosts.iter().map(|(host, _)| super::claims::key(host)).collect(),
        }
    }
}

/// What `gateway.route` listens on: the ports that it holds, and how that is written.
pub fn own_ports(gateway: &ir::Gateway) -> impl Iterator<Item = (ListenKey, String, Loc)> {
    let words = [("http", &gateway.http), ("https", &gateway.https)];
    let words = words.into_iter().flat_map(|(word, all)| all.iter().map(move |l| (word, l)));
    words.chain(gateway.metrics.iter().map(|l| ("metrics", l))).map(|(word, listener)| {
        let key = ListenKey::of(Transport::Tcp, listener);
        (key, key.to_string().replacen("tcp", word, 1), listener.loc)
    })
}

/// Items by what they are, as the program of their file has them.
pub fn by_kind<'a>(items: impl IntoIterator<Item = &'a Item>) -> (Vec<Arc<Listening>>, Vec<Arc<Passthrough>>) {
    let (mut listening, mut passthroughs) = (Vec::new(), Vec::new());
    for item in items {
        match item {
            Item::Listening(item) => listening.push(Arc::clone(item)),
            Item::Passthrough(item) => passthroughs.push(Arc::clone(item)),
        }
    }
    (listening, passthroughs)
}
