//! Asks DNS: the name servers and search domains of the system, as `/etc/resolv.conf` has them now, or
//! the name servers that the gateway file names.

use super::Question;
use super::book::{Answer, Host, Said, Service};
use super::hosts::Hosts;
use hickory_resolver::TokioResolver;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts};
use hickory_resolver::lookup::Lookup;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::{Name, RData, RecordType};
use hickory_resolver::system_conf::parse_resolv_conf;
use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::timeout;

/// What a name server may take, unless the system says less, and how often it is asked.
const PATIENCE: Duration = Duration::from_secs(2);
const ATTEMPTS: usize = 2;
/// What an answer may take in all: several servers, several domains.
const IN_ALL: Duration = Duration::from_secs(10);
/// Hosts of a service that are looked up.
const TARGETS: usize = 64;
/// What `/etc/hosts` says is looked at again after so many seconds.
const HOSTS_SECONDS: u32 = 5;

/// Asks.
pub(super) struct Client {
    resolv_conf: PathBuf,
    hosts_file: PathBuf,
    asks: Mutex<Option<Made>>,
    hosts: Mutex<(Stamp, Arc<Hosts>)>,
}

/// What tells a version of a file from the one before it: none where there is no file.
type Stamp = Option<(u64, u64, i64, i64)>;

/// Whom to ask, and what that was made of.
struct Made {
    /// The servers of the gateway file; `None` for those of the system.
    servers: Option<Arc<[SocketAddr]>>,
    /// Of the system's file.
    stamp: Stamp,
    asks: Arc<Asks>,
}

/// Whom to ask, and for which names.
struct Asks {
    resolver: Result<TokioResolver, String>,
    /// Domains that a name may be in (resolv.conf(5)).
    search: Vec<Name>,
    /// A name with so many dots is asked for as it is first.
    ndots: usize,
    /// The servers, for people.
    servers: String,
}

impl Client {
    pub(super) fn new() -> Self {
        Self::of("/etc/resolv.conf".into(), "/etc/hosts".into())
    }

    pub(super) fn of(resolv_conf: PathBuf, hosts_file: PathBuf) -> Self {
        Self { resolv_conf, hosts_file, asks: Mutex::default(), hosts: Mutex::default() }
    }

    /// What the machine knows of a host by itself.
    pub(super) fn own(&self, name: &str) -> Option<Answer> {
        let found = self.hosts().find(name)?;
        let of = |six: bool| {
            let ips: Vec<IpAddr> = found.iter().copied().filter(|ip| ip.is_ipv6() == six).collect();
            let none = Said::None { exists: true, seconds: Some(HOSTS_SECONDS) };
            if ips.is_empty() { none } else { Said::Records(ips, HOSTS_SECONDS) }
        };
        Some(Answer::Host(usable(Host { four: of(false), six: of(true) })))
    }

    /// What there is to know of a name now. `servers`: those of the system where there are none.
    pub(super) async fn ask(&self, question: &Question, servers: &Arc<[SocketAddr]>) -> Answer {
        if question.service {
            return self.service(&question.name, servers).await;
        }
        match self.own(&question.name) {
            Some(own) => own,
            None => Answer::Host(self.host(&question.name, servers).await),
        }
    }

    async fn service(&self, name: &str, servers: &Arc<[SocketAddr]>) -> Answer {
        let asks = self.asks(servers);
        let said = match timeout(IN_ALL, asks.services(name)).await {
            Ok(said) => said,
            Err(_) => Said::Nothing(asks.silent()),
        };
        let mut targets = BTreeMap::new();
        if let Said::Records(services, _) = &said {
            let mut best: Vec<&Service> = services.iter().filter(|service| !service.target.is_empty()).collect();
            best.sort_unstable();
            for service in best {
                if targets.len() < TARGETS && !targets.contains_key(&service.target) {
                    // One after the other: the name is one of many, and nobody waits for it.
                    let host = match self.own(&service.target) {
                        Some(Answer::Host(host)) => host,
                        Some(Answer::Service(..)) | None => self.host(&service.target, servers).await,
                    };
                    targets.insert(Arc::clone(&service.target), host);
                }
            }
        }
        Answer::Service(said, targets)
    }

    async fn host(&self, name: &str, servers: &Arc<[SocketAddr]>) -> Host {
        let asks = self.asks(servers);
        match timeout(IN_ALL, asks.host(name)).await {
            Ok(host) => usable(host),
            Err(_) => Host { four: Said::Nothing(asks.silent()), six: Said::Nothing(asks.silent()) },
        }
    }

    /// Whom to ask now: another one when the file changed, or what the gateway file says.
    fn asks(&self, servers: &Arc<[SocketAddr]>) -> Arc<Asks> {
        let own = Some(Arc::clone(servers)).filter(|servers| !servers.is_empty());
        let stamp = if own.is_some() { None } else { stamp(&self.resolv_conf) };
        let mut made = self.asks.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(made) = made.as_ref().filter(|made| made.servers == own && made.stamp == stamp) {
            return Arc::clone(&made.asks);
        }
        let asks = Arc::new(match &own {
            Some(servers) => Asks::of(servers),
            None => Asks::system(&self.resolv_conf),
        });
        *made = Some(Made { servers: own, stamp, asks: Arc::clone(&asks) });
        asks
    }

    fn hosts(&self) -> Arc<Hosts> {
        let now = stamp(&self.hosts_file);
        let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        if hosts.0 != now {
            // What cannot be read says nothing.
            let text = std::fs::read(&self.hosts_file).unwrap_or_default();
            *hosts = (now, Arc::new(Hosts::parse(&String::from_utf8_lossy(&text))));
        }
        Arc::clone(&hosts.1)
    }
}

fn stamp(file: &Path) -> Stamp {
    let meta = std::fs::metadata(file).ok()?;
    Some((meta.ino(), meta.len(), meta.mtime(), meta.mtime_nsec()))
}

impl Asks {
    /// These servers, and names as they are.
    fn of(servers: &[SocketAddr]) -> Self {
        let of = |server: &SocketAddr| {
            let mut of = NameServerConfig::udp_and_tcp(server.ip());
            of.connections = vec![ConnectionConfig::udp(), ConnectionConfig::tcp()];
            of.connections.iter_mut().for_each(|connection| connection.port = server.port());
            of
        };
        let config = ResolverConfig::from_parts(None, Vec::new(), servers.iter().map(of).collect());
        let mut options = ResolverOpts::default();
        options.timeout = PATIENCE;
        options.attempts = ATTEMPTS;
        let servers: Vec<String> = servers.iter().map(ToString::to_string).collect();
        Self::made(config, options, servers.join(", "))
    }

    /// The servers and domains of the system.
    fn system(file: &Path) -> Self {
        let read = std::fs::read(file).map_err(NetError::from).and_then(parse_resolv_conf);
        match read {
            Ok((config, mut options)) => {
                options.timeout = options.timeout.clamp(Duration::from_millis(100), PATIENCE);
                options.attempts = options.attempts.clamp(1, ATTEMPTS);
                let servers: Vec<String> = config.name_servers().iter().map(|server| server.ip.to_string()).collect();
                Self::made(config, options, servers.join(", "))
            }
            Err(e) => Self {
                resolver: Err(format!("{}: {e}", file.display())),
                search: Vec::new(),
                ndots: 1,
                servers: String::new(),
            },
        }
    }

    fn made(config: ResolverConfig, mut options: ResolverOpts, servers: String) -> Self {
        // A name is asked about when it is due, so nothing would be found in a cache; and the hosts file
        // has been asked.
        options.cache_size = 0;
        options.use_hosts_file = ResolveHosts::Never;
        let mut search: Vec<Name> = config.search().to_vec();
        if search.is_empty() {
            search.extend(config.domain().cloned());
        }
        let ndots = options.ndots;
        let mut builder = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
        *builder.options_mut() = options;
        let resolver = builder.build().map_err(|e| e.to_string());
        Self { resolver, search, ndots, servers }
    }

    /// The names that a name may stand for, in the order in which they are asked for (resolv.conf(5)):
    /// a name with a trailing dot stands for itself.
    fn candidates(&self, name: &str) -> Vec<Name> {
        let Ok(mut plain) = Name::from_str_relaxed(name) else { return Vec::new() };
        let alone = plain.is_fqdn() || self.search.is_empty();
        let dots = name.bytes().filter(|byte| *byte == b'.').count();
        let searched = self.search.iter().filter_map(|domain| plain.clone().append_domain(domain).ok());
        let searched: Vec<Name> = if alone { Vec::new() } else { searched.collect() };
        plain.set_fqdn(true);
        let first = dots >= self.ndots;
        let mut all = searched;
        if first {
            all.insert(0, plain);
        } else {
            all.push(plain);
        }
        all
    }

    /// The first of the names that exists. One about which nothing is said ends the search: what it
    /// would have said is not known.
    async fn host(&self, name: &str) -> Host {
        let mut exists = false;
        let mut seconds = None;
        for name in self.candidates(name) {
            let (four, six) =
                tokio::join!(self.records(&name, RecordType::A, ip), self.records(&name, RecordType::AAAA, ip));
            match (&four, &six) {
                (Said::None { exists: a, seconds: x }, Said::None { exists: b, seconds: y }) => {
                    exists |= *a || *b;
                    seconds = [seconds, *x, *y].into_iter().flatten().min();
                }
                _ => return Host { four, six },
            }
        }
        let none = Said::None { exists, seconds };
        Host { four: none.clone(), six: none }
    }

    async fn services(&self, name: &str) -> Said<Service> {
        let mut exists = false;
        let mut seconds = None;
        for name in self.candidates(name) {
            match self.records(&name, RecordType::SRV, service).await {
                Said::None { exists: a, seconds: x } => {
                    exists |= a;
                    seconds = [seconds, x].into_iter().flatten().min();
                }
                said => return said,
            }
        }
        Said::None { exists, seconds }
    }

    async fn records<T>(&self, name: &Name, of: RecordType, read: impl Fn(&RData) -> Option<T>) -> Said<T> {
        let resolver = match &self.resolver {
            Ok(resolver) => resolver,
            Err(reason) => return Said::Nothing(reason.clone()),
        };
        match resolver.lookup(name.clone(), of).await {
            Ok(lookup) => {
                let seconds = seconds(&lookup);
                let records: Vec<T> = lookup.answers().iter().filter_map(|record| read(&record.data)).collect();
                if records.is_empty() {
                    Said::None { exists: true, seconds: Some(seconds) }
                } else {
                    Said::Records(records, seconds)
                }
            }
            Err(NetError::Dns(DnsError::NoRecordsFound(none))) => match none.response_code {
                ResponseCode::NXDomain => Said::None { exists: false, seconds: none.negative_ttl },
                ResponseCode::NoError => Said::None { exists: true, seconds: none.negative_ttl },
                code => Said::Nothing(self.refused(code)),
            },
            Err(e) => Said::Nothing(self.words(&e)),
        }
    }

    fn words(&self, e: &NetError) -> String {
        match e {
            NetError::Timeout => self.silent(),
            NetError::Dns(DnsError::ResponseCode(code)) => self.refused(*code),
            NetError::NoConnections => format!("{} cannot be reached", self.servers),
            NetError::Io(e) if e.kind() == io::ErrorKind::ConnectionRefused => {
                format!("nobody listens at {}", self.servers)
            }
            e => format!("{}: {e}", self.servers),
        }
    }

    fn refused(&self, code: ResponseCode) -> String {
        match code {
            ResponseCode::ServFail => format!("{} failed to find out", self.servers),
            ResponseCode::Refused => format!("{} refuses to answer", self.servers),
            code => format!("{} answered: {code}", self.servers),
        }
    }

    fn silent(&self) -> String {
        format!("no answer from {}", self.servers)
    }
}

/// For how long all records of an answer are good, those of aliases among them.
fn seconds(lookup: &Lookup) -> u32 {
    lookup.answers().iter().map(|record| record.ttl).min().unwrap_or_default()
}

/// Addresses that somebody can be at.
fn ip(data: &RData) -> Option<IpAddr> {
    let ip = match data {
        RData::A(a) => IpAddr::from(a.0),
        RData::AAAA(aaaa) => IpAddr::from(aaaa.0).to_canonical(),
        _ => return None,
    };
    // What filters answer for names that they block would be this machine.
    let nobody = ip.is_unspecified() || ip.is_multicast() || ip == IpAddr::from([255; 4]);
    (!nobody).then_some(ip)
}

fn service(data: &RData) -> Option<Service> {
    let RData::SRV(srv) = data else { return None };
    let target = srv.target.to_ascii().to_ascii_lowercase();
    let target = target.strip_suffix('.').unwrap_or(&target).into();
    // Port 0 is nobody's.
    (srv.port != 0).then_some(Service { priority: srv.priority, target, port: srv.port, weight: srv.weight })
}

/// Without the addresses of a kind that this machine has no way to, where the host has others: on a
/// machine without IPv6 they would be endpoints that are always down.
fn usable(mut host: Host) -> Host {
    let there = |said: &Said<IpAddr>| matches!(said, Said::Records(..));
    if there(&host.four) && there(&host.six) {
        reach(&mut host.six);
        if there(&host.six) {
            reach(&mut host.four);
        }
    }
    host
}

fn reach(said: &mut Said<IpAddr>) {
    let Said::Records(ips, seconds) = said else { return };
    ips.retain(|ip| has_way(*ip));
    if ips.is_empty() {
        *said = Said::None { exists: true, seconds: Some(*seconds) };
    }
}

/// Whether an address is this machine's own: what is sent there leaves from there.
pub(super) fn is_own(ip: IpAddr) -> bool {
    let any: SocketAddr = match ip {
        IpAddr::V4(_) => ([0, 0, 0, 0], 0).into(),
        IpAddr::V6(_) => ([0_u16; 8], 0).into(),
    };
    let from = UdpSocket::bind(any).and_then(|socket| {
        socket.connect((ip, 9))?;
        socket.local_addr()
    });
    from.is_ok_and(|from| from.ip() == ip)
}

/// Whether the system knows a way there: a datagram socket is told where it would send to, and sends
/// nothing.
fn has_way(ip: IpAddr) -> bool {
    let any: SocketAddr = match ip {
        IpAddr::V4(_) => ([0, 0, 0, 0], 0).into(),
        IpAddr::V6(_) => ([0_u16; 8], 0).into(),
    };
    let connected = UdpSocket::bind(any).and_then(|socket| socket.connect((ip, 9)));
    // Out of descriptors nothing is known.
    connected.map_or_else(
        |e| {
            !matches!(
                e.kind(),
                io::ErrorKind::NetworkUnreachable
                    | io::ErrorKind::HostUnreachable
                    | io::ErrorKind::AddrNotAvailable
                    | io::ErrorKind::Unsupported
            )
        },
        |()| true,
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    fn asks(resolv_conf: &str) -> Asks {
        let (config, options) = parse_resolv_conf(resolv_conf).unwrap();
        Asks::made(config, options, String::new())
    }

    fn candidates(asks: &Asks, name: &str) -> Vec<String> {
        asks.candidates(name).iter().map(Name::to_ascii).collect()
    }

    #[tokio::test]
    async fn names_are_searched_for_as_the_system_does() {
        let plain = asks("nameserver 192.0.2.53");
        assert_eq!(candidates(&plain, "api"), ["api."]);
        let kubernetes = asks("nameserver 192.0.2.53\nsearch a.svc.local svc.local\noptions ndots:5");
        assert_eq!(candidates(&kubernetes, "api"), ["api.a.svc.local.", "api.svc.local.", "api."]);
        assert_eq!(candidates(&kubernetes, "api.b"), ["api.b.a.svc.local.", "api.b.svc.local.", "api.b."]);
        assert_eq!(candidates(&kubernetes, "api.internal."), ["api.internal."]);
        let ndots = asks("nameserver 192.0.2.53\nsearch corp.internal");
        assert_eq!(candidates(&ndots, "api"), ["api.corp.internal.", "api."]);
        assert_eq!(candidates(&ndots, "api.b"), ["api.b.", "api.b.corp.internal."]);
        assert_eq!(candidates(&plain, "_http._tcp.api_1.internal"), ["_http._tcp.api_1.internal."]);
    }

    #[tokio::test]
    async fn without_a_name_server_the_reason_is_told() {
        let client = Client::of("/nowhere/resolv.conf".into(), "/nowhere/hosts".into());
        let question = Question { name: "api.internal".into(), service: false };
        let Answer::Host(host) = client.ask(&question, &[].into()).await else { panic!("a host") };
        let Said::Nothing(reason) = host.four else { panic!("{host:?}") };
        assert!(reason.starts_with("/nowhere/resolv.conf: "), "{reason}");
    }

    #[test]
    fn there_is_a_way_to_this_machine() {
        assert!(has_way([127, 0, 0, 1].into()));
        assert!(ip(&RData::A(Ipv4Addr::UNSPECIFIED.into())).is_none());
        assert!(ip(&RData::A(Ipv4Addr::BROADCAST.into())).is_none());
        assert_eq!(ip(&RData::A(Ipv4Addr::new(10, 0, 0, 7).into())), Some([10, 0, 0, 7].into()));
    }
}
