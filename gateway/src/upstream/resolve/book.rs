//! What is known of a name: from answers to endpoints. No clock, no socket.

use super::pair::{Pair, pair};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

/// Endpoints of one name; more than that are not kept, the first by address are.
const MOST: usize = 256;
/// No name is asked about more often, unless `resolve every` is shorter.
const SOONEST: Duration = Duration::from_secs(1);
/// A name without addresses is asked about again after so long at the latest.
const NOBODY: Duration = Duration::from_secs(10);
/// A name about which nothing was said is asked about again after 1 s, 2 s, 4 s, and then this.
const SILENCE: Duration = Duration::from_secs(5);

/// What DNS says about records of one type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Said<T> {
    /// They are these, for so many seconds.
    Records(Vec<T>, u32),
    /// There are none.
    None {
        /// Whether the name exists.
        exists: bool,
        /// For how many seconds that is good.
        seconds: Option<u32>,
    },
    /// Nobody said anything that counts: why.
    Nothing(String),
}

/// What DNS says about a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Host {
    pub(super) four: Said<IpAddr>,
    pub(super) six: Said<IpAddr>,
}

/// An SRV record (RFC 2782).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Service {
    pub(super) priority: u16,
    /// Without a trailing dot; empty where the service is decidedly not there.
    pub(super) target: Arc<str>,
    pub(super) port: u16,
    pub(super) weight: u16,
}

/// All that is said about a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// About a host.
    Host(Host),
    /// About a service, and the hosts that it names.
    Service(Said<Service>, BTreeMap<Arc<str>, Host>),
}

/// An endpoint of a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::upstream) struct Found {
    /// One address, or an IPv6 and an IPv4 one.
    pub(in crate::upstream) ips: Pair,
    /// The host and port of a service.
    pub(in crate::upstream) target: Option<(Arc<str>, u16)>,
    /// Its weight among those of the name; 1 or more.
    pub(in crate::upstream) weight: u32,
    /// Asked only when no other one is up: it is not of the best priority.
    pub(in crate::upstream) backup: bool,
}

/// What is wrong with a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// It does not exist.
    NoName,
    /// It exists, and has no records of the type.
    NoRecords(&'static str),
    /// A host that a service names.
    Target(Arc<str>, Box<Trouble>),
    /// Nothing was said about it: why.
    Unanswered(String),
}

impl Trouble {
    /// Whether somebody who was told of the other one need not be told of this one.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Unanswered(_), Self::Unanswered(_)) => true,
            (Self::Target(a, of), Self::Target(b, other)) => a == b && of.is_like(other),
            (a, b) => a == b,
        }
    }

    fn silent(&self) -> bool {
        match self {
            Self::Unanswered(_) => true,
            Self::Target(_, trouble) => trouble.silent(),
            Self::NoName | Self::NoRecords(_) => false,
        }
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoName => f.write_str("no such name"),
            Self::NoRecords(records) => write!(f, "it has no {records}"),
            Self::Target(target, trouble) => write!(f, "its host {target}: {trouble}"),
            Self::Unanswered(reason) => write!(f, "cannot be looked up ({reason})"),
        }
    }
}

/// What an answer leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Verdict {
    /// The endpoints from now on, in an order that the answer's does not change.
    pub(super) found: Vec<Found>,
    /// What is wrong.
    pub(super) trouble: Option<Trouble>,
    /// When to ask again.
    pub(super) again: Duration,
}

/// What is known of a name.
#[derive(Debug, Default)]
pub(super) struct Book {
    host: Known,
    services: Vec<Service>,
    hosts: BTreeMap<Arc<str>, Known>,
    /// Answers in a row that said nothing.
    silent: u32,
}

/// What is known of a host.
#[derive(Debug, Default)]
struct Known {
    four: Vec<IpAddr>,
    six: Vec<IpAddr>,
    pairs: Vec<Pair>,
}

impl Book {
    /// Takes an answer in. It is asked for again after `ceiling` at the latest.
    pub(super) fn note(&mut self, answer: Answer, ceiling: Duration) -> Verdict {
        let (mut found, trouble, seconds) = match answer {
            Answer::Host(host) => {
                let (trouble, seconds) = self.host.note(host);
                let found = self.host.pairs.iter().map(|ips| Found::host(ips.clone()));
                (found.collect::<Vec<_>>(), trouble, seconds)
            }
            Answer::Service(said, hosts) => self.service(said, hosts),
        };
        found.truncate(MOST);
        let silent = trouble.as_ref().is_some_and(Trouble::silent);
        self.silent = if silent { (self.silent + 1).min(8) } else { 0 };
        let wanted = seconds.map(|seconds| Duration::from_secs(seconds.into()));
        let again = match &trouble {
            Some(_) if silent => (SOONEST * (1 << (self.silent - 1))).min(SILENCE),
            Some(_) => wanted.unwrap_or(SILENCE).min(NOBODY),
            None => wanted.unwrap_or(ceiling),
        };
        Verdict { found, trouble, again: again.max(SOONEST).min(ceiling) }
    }

    fn service(
        &mut self,
        said: Said<Service>,
        mut hosts: BTreeMap<Arc<str>, Host>,
    ) -> (Vec<Found>, Option<Trouble>, Option<u32>) {
        let mut trouble = None;
        let mut seconds = None;
        match said {
            Said::Records(mut services, good) => {
                seconds = Some(good);
                services.retain(|service| !service.target.is_empty());
                services.sort_unstable();
                services.dedup();
                services.truncate(MOST);
                if services.is_empty() {
                    trouble = Some(Trouble::NoRecords("SRV records with a host"));
                }
                self.services = services;
            }
            Said::None { exists, seconds: good } => {
                seconds = good;
                trouble = Some(if exists { Trouble::NoRecords("SRV records") } else { Trouble::NoName });
                self.services.clear();
            }
            Said::Nothing(reason) => trouble = Some(Trouble::Unanswered(reason)),
        }
        let wanted: BTreeSet<&Arc<str>> = self.services.iter().map(|service| &service.target).collect();
        self.hosts.retain(|target, _| wanted.contains(target));
        for target in wanted {
            let known = self.hosts.entry(Arc::clone(target)).or_default();
            let Some(host) = hosts.remove(target) else { continue };
            let (wrong, good) = known.note(host);
            seconds = [seconds, good].into_iter().flatten().min();
            if let Some(wrong) = wrong {
                trouble.get_or_insert_with(|| Trouble::Target(Arc::clone(target), Box::new(wrong)));
            }
        }
        // Among the hosts that there are: where the best have no address the next ones are the best.
        let there = |service: &&Service| self.hosts.get(&service.target).is_some_and(|host| !host.pairs.is_empty());
        let best = self.services.iter().filter(there).map(|service| service.priority).min();
        let of = |service: &Service| {
            let pairs = self.hosts.get(&service.target).map(|host| &*host.pairs).unwrap_or_default();
            let service = service.clone();
            pairs.iter().map(move |ips| Found::service(ips.clone(), &service, best)).collect::<Vec<_>>()
        };
        (self.services.iter().flat_map(of).collect(), trouble, seconds)
    }
}

impl Known {
    fn note(&mut self, host: Host) -> (Option<Trouble>, Option<u32>) {
        let good = |said: &Said<IpAddr>| match said {
            Said::Records(_, seconds) => Some(*seconds),
            Said::None { .. } | Said::Nothing(_) => None,
        };
        let bad = |said: &Said<IpAddr>| match said {
            Said::None { seconds, .. } => *seconds,
            Said::Records(..) | Said::Nothing(_) => None,
        };
        let seconds = [good(&host.four), good(&host.six)].into_iter().flatten().min();
        let seconds = seconds.or_else(|| [bad(&host.four), bad(&host.six)].into_iter().flatten().min());
        let trouble = match (&host.four, &host.six) {
            (Said::Records(..), _) | (_, Said::Records(..)) => None,
            (Said::Nothing(reason), _) | (_, Said::Nothing(reason)) => Some(Trouble::Unanswered(reason.clone())),
            (Said::None { exists: four, .. }, Said::None { exists: six, .. }) => {
                Some(if *four || *six { Trouble::NoRecords("address") } else { Trouble::NoName })
            }
        };
        for (known, said) in [(&mut self.four, host.four), (&mut self.six, host.six)] {
            match said {
                Said::Records(ips, _) => *known = ips,
                Said::None { .. } => known.clear(),
                Said::Nothing(_) => {}
            }
        }
        self.pairs = pair(&self.pairs, &self.six, &self.four);
        (trouble, seconds)
    }
}

impl Found {
    fn host(ips: Pair) -> Self {
        Self { ips, target: None, weight: 1, backup: false }
    }

    fn service(ips: Pair, service: &Service, best: Option<u16>) -> Self {
        Self {
            ips,
            target: Some((Arc::clone(&service.target), service.port)),
            // 0 is for where there is nothing to choose; everybody gets a share.
            weight: service.weight.max(1).into(),
            backup: best.is_some_and(|best| service.priority > best),
        }
    }
}
