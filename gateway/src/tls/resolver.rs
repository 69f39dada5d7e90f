//! Which certificate a handshake gets: the snapshot says who is served, the internal CA makes it.

use super::InternalCa;
use super::certificates::Certificates;
use super::leaves::Leaves;
use super::site::SiteTls;
use super::terms::{Current, Proved};
use super::tickets::{Boundary, Tickets, boundary};
use crate::snapshot::{Host, Published, Served, Snapshot};
use dsl::tree::canonical;
use dsl::tree::ir::{self, Site, Tls, TlsVersions};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{ClientHello, ProducesTickets, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{HandshakeKind, ServerConfig, ServerConnection};
use std::cell::Cell;
use std::fmt;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;

/// Leaf certificates that are kept.
const LEAVES: u64 = 10_000;
/// Names that are gone through for a client that names nobody.
const NAMES: usize = 16;

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

/// What handshakes are made with, whichever site they are for.
pub struct Handshakes {
    resolver: Arc<Resolver>,
    /// For sites without terms of their own.
    usual: Arc<ServerConfig>,
    tickets: Tickets,
}

impl fmt::Debug for Handshakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handshakes").finish_non_exhaustive()
    }
}

/// What a handshake is made with.
#[derive(Clone)]
pub struct Chosen {
    /// The server.
    pub config: Arc<ServerConfig>,
    boundary: Boundary,
    terms: Option<Arc<Current>>,
}

/// What a connection has shown: to whom it may speak.
#[derive(Clone, Debug, Default)]
pub struct Shown {
    /// The side of the boundary that its handshake was made on.
    pub boundary: Boundary,
    /// The client's certificate.
    pub proved: Option<Arc<Proved>>,
}

/// How a handshake came to a site.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// By the name in its hello.
    Name,
    /// By the address that it reached.
    Address,
    /// By neither.
    Default,
}

impl Handshakes {
    /// Certificates follow the published snapshots.
    ///
    /// # Errors
    /// When the crypto provider does not do what is asked of it.
    pub fn new(
        published: Published,
        ca: Arc<InternalCa>,
        tickets: Tickets,
        certificates: Arc<Certificates>,
    ) -> Result<Arc<Self>, rustls::Error> {
        let resolver = Arc::new(Resolver { published, leaves: Leaves::new(ca, LEAVES), certificates });
        let usual = config_of(Arc::clone(&resolver) as _, TlsVersions::Both, None, tickets.of(boundary(&[b"https"])))?;
        Ok(Arc::new(Self { resolver, usual: Arc::new(for_http(usual)), tickets }))
    }

    /// What a handshake for a site is made with; without one, the usual. `None` where nobody gets in: the files
    /// that say who may could not be read.
    #[must_use]
    pub fn choose(&self, site: Option<&SiteTls>) -> Option<Chosen> {
        let Some(site) = site else {
            return Some(Chosen { config: Arc::clone(&self.usual), boundary: Boundary::default(), terms: None });
        };
        let boundary = site.boundary();
        let Some(terms) = site.terms() else {
            return Some(Chosen { config: Arc::clone(&self.usual), boundary, terms: None });
        };
        let current = terms.current()?;
        let config = match current.config.get() {
            Some(config) => Arc::clone(config),
            None => {
                let resolver = Arc::clone(&self.resolver) as Arc<dyn ResolvesServerCert>;
                let tickets = self.tickets.of(current.boundary);
                let made = config_of(resolver, terms.versions(), current.verifier().cloned(), tickets).ok()?;
                Arc::clone(current.config.get_or_init(|| Arc::new(for_http(made))))
            }
        };
        Some(Chosen { config, boundary, terms: Some(current) })
    }
}

impl Chosen {
    /// What a finished handshake has shown. `None`: it told a client certificate that does not hold, or none where
    /// there must be one.
    #[must_use]
    pub fn shown(&self, session: &ServerConnection) -> Option<Shown> {
        let asked = self.terms.as_ref().filter(|terms| terms.verifier().is_some());
        let proved = match (asked, session.peer_certificates()) {
            (Some(terms), Some(chain)) if !chain.is_empty() => {
                let resumed = session.handshake_kind() == Some(HandshakeKind::Resumed);
                Some(Arc::new(terms.proved(chain, resumed)?))
            }
            _ => None,
        };
        Some(Shown { boundary: self.boundary, proved })
    }
}

/// The site that a handshake is for: that of the name in its hello, where there is a name (`named`: who answers for
/// it, if anybody does); without one by the address that it reached, and else the one that says `default`.
#[must_use]
pub fn asked<'s>(
    snapshot: &'s Snapshot,
    named: Option<Option<&'s Host>>,
    local: IpAddr,
) -> Option<(&'s Arc<Served>, By)> {
    let (host, by) = match named {
        Some(host) => (host?, By::Name),
        None => match snapshot.hosts.get(&spelled(local)) {
            Some(host @ (Host::Site(_) | Host::Unavailable)) => (host, By::Address),
            Some(Host::Passthrough(_) | Host::Nobody) | None => return Some((snapshot.default.as_ref()?, By::Default)),
        },
    };
    match host {
        Host::Site(site) => Some((site, by)),
        Host::Passthrough(_) | Host::Unavailable | Host::Nobody => None,
    }
}

/// The names by which clients that name nobody can be shown a certificate of ACME: those that the site, which they
/// come to by default, has one of.
pub fn managed<'s>(site: &'s Site, certificates: &'s Certificates) -> impl Iterator<Item = String> + 's {
    let hosts: &[_] = if site.settings.tls == Tls::Auto && certificates.orders() { &site.hosts } else { &[] };
    let names = hosts.iter().filter_map(|(host, _)| ir::certificate_name(host));
    names.filter(|name| certificates.manages(name)).take(NAMES)
}

/// An address as hosts are spelled.
fn spelled(ip: IpAddr) -> String {
    match ip.to_canonical() {
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => format!("[{ip}]"),
    }
}

fn for_http(mut config: ServerConfig) -> ServerConfig {
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    config
}

/// A TLS server with these certificates, as all of ours are but for ALPN.
///
/// The provider's order stands: X25519MLKEM768 first, suites with forward secrecy and AEAD only, no renegotiation,
/// no compression; rustls has nothing else.
pub(super) fn config_of(
    resolver: Arc<dyn ResolvesServerCert>,
    versions: TlsVersions,
    clients: Option<Arc<dyn ClientCertVerifier>>,
    tickets: Arc<dyn ProducesTickets>,
) -> Result<ServerConfig, rustls::Error> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let versions: &[_] = match versions {
        TlsVersions::Both => &[&rustls::version::TLS13, &rustls::version::TLS12],
        TlsVersions::Only12 => &[&rustls::version::TLS12],
        TlsVersions::Only13 => &[&rustls::version::TLS13],
    };
    let builder = ServerConfig::builder_with_provider(provider).with_protocol_versions(versions)?;
    let builder = match clients {
        Some(clients) => builder.with_client_cert_verifier(clients),
        None => builder.with_no_client_auth(),
    };
    let mut config = builder.with_cert_resolver(resolver);
    // Resumption by tickets: nothing is kept per client, and every worker can open them. Terms have keys of their
    // own: a ticket tells a client's chain, and must not be opened by others.
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
                match snapshot.hosts.get(&host)? {
                    Host::Site(site) => self.of_site(site, &host, &hello),
                    // The host is ours, though its file never loaded: the client shall see the 503.
                    Host::Unavailable => self.leaves.of(&[&host]),
                    Host::Passthrough(_) | Host::Nobody => None,
                }
            }
            None => self.without_name(&snapshot, &hello),
        }
    }
}

impl Resolver {
    /// For a host of a site. What `tls on-demand` did not allow gets none; what is managed gets that of ACME, never
    /// one of the internal CA.
    fn of_site(&self, site: &Served, host: &str, hello: &ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        match site.program.site().settings.tls {
            Tls::File => site.tls.certificate(Some(host), hello),
            Tls::Auto | Tls::Internal | Tls::OnDemand if !site.edge.certifies(host) => None,
            Tls::Auto | Tls::OnDemand if self.certificates.manages(host) => self.certificates.hot(host),
            Tls::Auto | Tls::Internal | Tls::OnDemand => self.leaves.of(&[bare(host)]),
            Tls::Off => None,
        }
    }

    /// RFC 6066 section 3 allows no addresses as server names, so a client that connects to one
    /// sends none.
    fn without_name(&self, snapshot: &Snapshot, hello: &ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let ip = LOCAL.get().map(|ip| ip.to_canonical());
        if let Some(host) = ip.map(spelled) {
            match snapshot.hosts.get(&host) {
                Some(Host::Site(site)) => return self.of_site(site, &host, hello),
                Some(Host::Unavailable) => return self.leaves.of(&[bare(&host)]),
                Some(Host::Passthrough(_) | Host::Nobody) | None => {}
            }
        }
        let default = snapshot.default.as_ref()?;
        match default.program.site().settings.tls {
            Tls::File => default.tls.certificate(None, hello),
            Tls::Auto | Tls::Internal => {
                let site = default.program.site();
                let mut shown = managed(site, &self.certificates).peekable();
                if shown.peek().is_some() {
                    return shown.find_map(|name| self.certificates.hot(&name));
                }
                let hosts = site.hosts.iter().filter_map(|(host, _)| host.literal());
                let names: Vec<String> = hosts.chain(ip.map(|ip| ip.to_string())).take(NAMES).collect();
                let names: Vec<&str> = names.iter().map(String::as_str).collect();
                self.leaves.of(&names)
            }
            // Who names nobody is nobody that `tls on-demand` allows.
            Tls::OnDemand | Tls::Off => None,
        }
    }
}

/// A host as a certificate names it: addresses without brackets.
fn bare(host: &str) -> &str {
    host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
}
