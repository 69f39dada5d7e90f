//! Which certificate a handshake gets: the snapshot says who is served, the internal CA makes it.

use super::InternalCa;
use super::certificates::Certificates;
use super::leaves::Leaves;
use super::tickets::{self, Tickets};
use crate::snapshot::{Host, Published, Served, Snapshot};
use dsl::tree::canonical;
use dsl::tree::ir::{HostHead, Segment, Tls};
use rustls::ServerConfig;
use rustls::server::{ClientHello, ProducesTickets, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use std::cell::Cell;
use std::fmt;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;

/// Leaf certificates that are kept.
const LEAVES: u64 = 10_000;

thread_local! {
    static LOCAL: Cell<Option<IpAddr>> = const { Cell::new(None) };
}

/// The address that the client of a handshake connected to.
///
/// rustls asks for a certificate in the middle of a handshake and tells the server name only; a
/// client that connects to an address names none. A handshake never leaves its thread, so the
/// address stands beside it.
#[derive(Debug)]
pub struct LocalAddress;

impl LocalAddress {
    /// That of the handshake that runs on this thread.
    pub(super) fn now() -> Option<IpAddr> {
        LOCAL.get()
    }

    /// Runs a handshake with the address known.
    pub async fn scope<F: Future>(ip: IpAddr, handshake: F) -> F::Output {
        let mut handshake = pin!(handshake);
        std::future::poll_fn(move |cx| {
            LOCAL.set(Some(ip));
            let done = handshake.as_mut().poll(cx);
            LOCAL.set(None);
            done
        })
        .await
    }
}

/// Chooses certificates.
pub struct Resolver {
    published: Published,
    leaves: Leaves,
    certificates: Arc<Certificates>,
}

impl fmt::Debug for Resolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Resolver").finish_non_exhaustive()
    }
}

/// A TLS server whose certificates follow the published snapshots.
///
/// # Errors
/// When the crypto provider does not do what is asked of it.
pub fn server_config(
    published: Published,
    ca: Arc<InternalCa>,
    tickets: &Tickets,
    certificates: Arc<Certificates>,
) -> Result<Arc<ServerConfig>, rustls::Error> {
    let resolver = Resolver { published, leaves: Leaves::new(ca, LEAVES), certificates };
    let tickets = tickets.of(tickets::boundary(&[b"https"]));
    let mut config = config_of(Arc::new(resolver), tickets)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// A TLS server with these certificates, as all of ours are but for ALPN.
pub(super) fn config_of(
    resolver: Arc<dyn ResolvesServerCert>,
    tickets: Arc<dyn ProducesTickets>,
) -> Result<ServerConfig, rustls::Error> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])?
        .with_no_client_auth()
        .with_cert_resolver(resolver);
    // Resumption by tickets: nothing is kept per client, and every worker can open them.
    config.ticketer = tickets;
    config.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});
    config.send_tls13_tickets = 2;
    config.max_early_data_size = 0;
    // All of them are strong; which one is ours to say, as scanners expect of a server.
    config.ignore_client_order = true;
    Ok(config)
}

impl ResolvesServerCert for Resolver {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let snapshot = self.published.load();
        match hello.server_name() {
            Some(name) => {
                let host = canonical::host(name.as_bytes()).ok()?;
                certifies(&snapshot, &host).then(|| self.of_host(&snapshot, &host))?
            }
            None => self.without_name(&snapshot),
        }
    }
}

impl Resolver {
    /// By ACME where the name is managed: then never one of the internal CA.
    fn of_host(&self, snapshot: &Snapshot, host: &str) -> Option<Arc<CertifiedKey>> {
        let by_acme = match snapshot.hosts.get(host) {
            Some(Host::Site(site)) => matches!(site.program.site().settings.tls, Tls::Auto | Tls::OnDemand),
            Some(Host::Passthrough(_) | Host::Unavailable | Host::Nobody) | None => false,
        };
        if by_acme && self.certificates.manages(host) {
            return self.certificates.hot(host);
        }
        self.leaves.of(&[host])
    }

    /// RFC 6066 section 3 allows no addresses as server names, so a client that connects to one
    /// sends none.
    fn without_name(&self, snapshot: &Snapshot) -> Option<Arc<CertifiedKey>> {
        let ip = LOCAL.get().map(|ip| ip.to_canonical());
        let spelled = ip.map(|ip| match ip {
            IpAddr::V4(ip) => ip.to_string(),
            IpAddr::V6(ip) => format!("[{ip}]"),
        });
        if let Some(host) = spelled.as_deref()
            && let Some(Host::Site(_) | Host::Unavailable) = snapshot.hosts.get(host)
        {
            return certifies(snapshot, host).then(|| self.leaves.of(&[&ip?.to_string()]))?;
        }
        // Who names nobody is nobody that `tls on-demand` allows.
        let default = snapshot.default.as_ref().filter(|s| has_tls(s) && s.edge.certifies(""))?;
        let mut names: Vec<String> = default.program.site().hosts.iter().filter_map(|(h, _)| literal(h)).collect();
        names.extend(ip.map(|ip| ip.to_string()));
        let names: Vec<&str> = names.iter().map(String::as_str).take(16).collect();
        self.leaves.of(&names)
    }
}

/// Whether a handshake for this host is answered.
fn serves(snapshot: &Snapshot, host: &str) -> bool {
    match snapshot.hosts.get(host) {
        Some(Host::Site(site)) => has_tls(site),
        // The host is ours, though its file never loaded: the client shall see the 503.
        Some(Host::Unavailable) => true,
        Some(Host::Passthrough(_) | Host::Nobody) | None => false,
    }
}

/// Whether a handshake for this host gets a certificate: what `tls on-demand` did not allow gets none.
fn certifies(snapshot: &Snapshot, host: &str) -> bool {
    let allowed = match snapshot.hosts.get(host) {
        Some(Host::Site(site)) => site.edge.certifies(host),
        Some(Host::Passthrough(_) | Host::Unavailable | Host::Nobody) | None => true,
    };
    allowed && serves(snapshot, host)
}

fn has_tls(site: &Served) -> bool {
    match site.program.site().settings.tls {
        Tls::Auto | Tls::Internal | Tls::OnDemand | Tls::File => true,
        Tls::Off => false,
    }
}

fn literal(host: &dsl::tree::ir::HostPattern) -> Option<String> {
    match &host.head {
        HostHead::Label(Segment::Lit(label)) if host.parent.is_empty() => Some(label.to_string()),
        HostHead::Label(Segment::Lit(label)) => Some(format!("{label}.{}", host.parent)),
        HostHead::Label(Segment::Capture { .. }) | HostHead::Many => None,
    }
}
