//! Waits until a record can be seen: at each name server of its zone that answers.

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::{Name, RData, RecordType};
use hickory_resolver::system_conf::parse_resolv_conf;
use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout};

/// How long a record may take to be everywhere.
const PATIENCE: Duration = Duration::from_secs(120);
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(500);
/// One question.
const QUESTION: Duration = Duration::from_secs(3);
/// Name servers that are asked.
const SERVERS: usize = 16;
/// Aliases that are followed.
const ALIASES: usize = 8;

/// What a server said of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Seen {
    Yes,
    No,
    /// It did not answer: whoever cannot be asked by us is not waited for.
    Silent,
}

/// Waits until every name server of the zone that answers has the record. `primary` has the zone, whatever
/// DNS says; `resolver` are the servers that names are looked up at, the system's where there are none.
pub(super) async fn wait_for(
    name: &str,
    value: &str,
    primary: Option<SocketAddr>,
    resolver: &[SocketAddr],
) -> Result<(), String> {
    let end = Instant::now() + PATIENCE;
    let looked_up = match system_or(resolver) {
        Some(resolver) => timeout(Duration::from_secs(15), servers_of(name, &resolver)).await.unwrap_or_default(),
        None => (name.to_owned(), BTreeSet::new()),
    };
    let (alias, found) = looked_up;
    // An alias leads to another zone, which is not the primary's.
    let primary = primary.filter(|_| alias == name);
    let others = found.into_iter().filter(|server| Some(*server) != primary);
    let mut waiting: Vec<SocketAddr> = primary.into_iter().chain(others).take(SERVERS).collect();
    if waiting.is_empty() {
        // Nobody to ask: the authority knows where to look, and looks more than once.
        return Ok(());
    }
    loop {
        let mut left = Vec::new();
        for server in waiting {
            match at(server, &alias, value).await {
                Seen::Yes | Seen::Silent => {}
                Seen::No => left.push(server),
            }
        }
        if left.is_empty() {
            return Ok(());
        }
        if Instant::now() >= end {
            let servers: Vec<String> = left.iter().map(ToString::to_string).collect();
            let patience = PATIENCE.as_secs();
            return Err(format!("the record {name} is not at {} after {patience} s", servers.join(", ")));
        }
        waiting = left;
        sleep(PAUSE).await;
    }
}

/// Where an alias of the name leads, and the name servers of the zone there.
async fn servers_of(name: &str, resolver: &TokioResolver) -> (String, BTreeSet<SocketAddr>) {
    let mut alias = name.to_owned();
    for _ in 0..ALIASES {
        let Some(to) = look(resolver, &alias, RecordType::CNAME).await.into_iter().find_map(|data| match data {
            RData::CNAME(to) => Some(to.0.to_ascii()),
            _ => None,
        }) else {
            break;
        };
        alias = to.trim_end_matches('.').to_ascii_lowercase();
    }
    let (mut zone, mut servers) = (alias.as_str(), Vec::new());
    while servers.is_empty() && zone.contains('.') {
        servers = look(resolver, zone, RecordType::NS).await;
        zone = zone.split_once('.').map_or("", |(_, rest)| rest);
    }
    let mut addresses = BTreeSet::new();
    for server in servers.iter().take(SERVERS) {
        let RData::NS(server) = server else { continue };
        let host = server.0.to_ascii();
        for kind in [RecordType::A, RecordType::AAAA] {
            addresses.extend(look(resolver, &host, kind).await.into_iter().filter_map(|data| match data {
                RData::A(ip) => Some(SocketAddr::new(IpAddr::V4(ip.0), 53)),
                RData::AAAA(ip) => Some(SocketAddr::new(IpAddr::V6(ip.0), 53)),
                _ => None,
            }));
        }
    }
    (alias, addresses)
}

/// Whether a server has the record.
async fn at(server: SocketAddr, name: &str, value: &str) -> Seen {
    let Some(resolver) = of(vec![server_config(server)]) else { return Seen::Silent };
    let Ok(asked) = Name::from_ascii(format!("{name}.")) else { return Seen::Silent };
    match timeout(QUESTION, resolver.lookup(asked, RecordType::TXT)).await {
        Ok(Ok(found)) => {
            let here = found.answers().iter().any(|record| match &record.data {
                RData::TXT(text) => text.txt_data.concat() == value.as_bytes(),
                _ => false,
            });
            if here { Seen::Yes } else { Seen::No }
        }
        Ok(Err(NetError::Dns(DnsError::NoRecordsFound(none)))) => match none.response_code {
            ResponseCode::NoError | ResponseCode::NXDomain => Seen::No,
            _ => Seen::Silent,
        },
        Ok(Err(_)) | Err(_) => Seen::Silent,
    }
}

async fn look(resolver: &TokioResolver, name: &str, kind: RecordType) -> Vec<RData> {
    let Ok(name) = Name::from_ascii(format!("{}.", name.trim_end_matches('.'))) else { return Vec::new() };
    match timeout(QUESTION, resolver.lookup(name, kind)).await {
        Ok(Ok(found)) => found.answers().iter().map(|record| record.data.clone()).collect(),
        Ok(Err(_)) | Err(_) => Vec::new(),
    }
}

/// The resolver that names are looked up with.
fn system_or(servers: &[SocketAddr]) -> Option<TokioResolver> {
    if !servers.is_empty() {
        return of(servers.iter().map(|server| server_config(*server)).collect());
    }
    let text = std::fs::read("/etc/resolv.conf").ok()?;
    let (config, _) = parse_resolv_conf(text).ok()?;
    of(config.name_servers().to_vec())
}

fn server_config(server: SocketAddr) -> NameServerConfig {
    let mut made = NameServerConfig::udp_and_tcp(server.ip());
    made.connections = vec![ConnectionConfig::udp(), ConnectionConfig::tcp()];
    made.connections.iter_mut().for_each(|connection| connection.port = server.port());
    made
}

/// Nothing is kept between two questions, and nothing is guessed.
fn of(servers: Vec<NameServerConfig>) -> Option<TokioResolver> {
    let config = ResolverConfig::from_parts(None, Vec::new(), servers);
    let mut options = ResolverOpts::default();
    options.cache_size = 0;
    options.timeout = Duration::from_secs(1);
    options.attempts = 2;
    options.use_hosts_file = ResolveHosts::Never;
    let mut builder = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
    *builder.options_mut() = options;
    builder.build().ok()
}
