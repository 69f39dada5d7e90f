//! Where an endpoint is, and what it is called: what makes two endpoints the same.

use super::endpoint::name_of;
use super::resolve::Found;
use dsl::tree::ir;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::Arc;

/// Where an endpoint is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Whereabouts {
    /// An address, or an IPv6 and an IPv4 address of one host, in this order: they are raced.
    Ip(Box<[SocketAddr]>),
    /// A socket in the file system.
    Unix(Arc<Path>),
}

/// Who an endpoint is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Who {
    /// What its certificate must be for, and what checks by HTTP call it.
    pub(super) host: Arc<str>,
    /// The port; 0 for a Unix socket.
    pub(super) port: u16,
    /// The host that DNS gave for an `srv`, where that is another one.
    pub(super) target: Option<Arc<str>>,
    /// Where it is.
    pub(super) at: Whereabouts,
}

impl Who {
    /// An endpoint that is written as an address or a path; `None` where names must be looked up.
    pub(super) fn written(endpoint: &ir::Endpoint) -> Option<Self> {
        match endpoint.kind {
            ir::EndpointKind::Tcp => {
                let ip: IpAddr = endpoint.host.parse().ok()?;
                Some(Self::found(&endpoint.host, endpoint.port, None, &[ip]))
            }
            ir::EndpointKind::Unix => Some(Self {
                // As curl and docker call who listens there.
                host: "localhost".into(),
                port: 0,
                target: None,
                at: Whereabouts::Unix(Path::new(&*endpoint.host).into()),
            }),
            ir::EndpointKind::Srv => None,
        }
    }

    /// An endpoint by addresses of a host.
    pub(super) fn found(host: &Arc<str>, port: u16, target: Option<&Arc<str>>, ips: &[IpAddr]) -> Self {
        // An IPv4 address in an IPv6 one is the IPv4 address.
        let at = ips.iter().map(|ip| SocketAddr::new(ip.to_canonical(), port)).collect();
        Self { host: Arc::clone(host), port, target: target.cloned(), at: Whereabouts::Ip(at) }
    }

    /// An endpoint that DNS gave for one that is written as a name.
    pub(super) fn looked_up(said: &ir::Endpoint, found: &Found) -> Self {
        match &found.target {
            None => Self::found(&said.host, said.port, None, &found.ips),
            // Whoever can forge the records names hosts as he likes: a certificate must be for what is
            // written (RFC 6125 section 6.2.1), which is the domain of the service.
            Some((target, port)) => {
                let labels = said.host.split('.').skip_while(|label| label.starts_with('_'));
                let domain = labels.collect::<Vec<_>>().join(".");
                Self::found(&domain.into(), *port, Some(target), &found.ips)
            }
        }
    }

    /// What people call it: `10.0.0.7:8080`, `api.internal:8080 (10.0.0.7)`, `unix:/run/api.sock`.
    pub(super) fn name(&self) -> String {
        let addresses = match &self.at {
            Whereabouts::Unix(path) => return format!("unix:{}", path.display()),
            Whereabouts::Ip(addresses) => addresses,
        };
        let name = name_of(self.target.as_ref().unwrap_or(&self.host), self.port);
        if self.host.parse::<IpAddr>().is_ok() || addresses.is_empty() {
            return name;
        }
        let all: Vec<String> = addresses.iter().map(|address| address.ip().to_string()).collect();
        format!("{name} ({})", all.join(", "))
    }

    /// What tables of `hash` and `maglev` know it by: host and port, the port empty for a Unix socket.
    /// By its address it has the same place on every node, whichever name led there.
    pub(super) fn spot(&self) -> (String, String) {
        match &self.at {
            Whereabouts::Unix(path) => (path.display().to_string(), String::new()),
            // The last one: an IPv4 address, where there is one, keeps its place when an IPv6 one joins it.
            Whereabouts::Ip(addresses) => match addresses.last() {
                Some(SocketAddr::V6(v6)) => (format!("[{}]", v6.ip()), v6.port().to_string()),
                Some(SocketAddr::V4(v4)) => (v4.ip().to_string(), v4.port().to_string()),
                None => (self.host.to_string(), self.port.to_string()),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dsl::syntax::span::Loc;

    fn ips(all: &[&str]) -> Vec<IpAddr> {
        all.iter().map(|ip| ip.parse().unwrap()).collect()
    }

    fn name(host: &str, target: Option<&str>, all: &[&str]) -> String {
        Who::found(&host.into(), 80, target.map(Into::into).as_ref(), &ips(all)).name()
    }

    #[test]
    fn endpoints_are_called_by_what_is_known_of_them() {
        assert_eq!(name("10.0.0.7", None, &["10.0.0.7"]), "10.0.0.7:80");
        assert_eq!(name("fd00::7", None, &["fd00::7"]), "[fd00::7]:80");
        assert_eq!(name("api.internal", None, &["fd00::7", "10.0.0.7"]), "api.internal:80 (fd00::7, 10.0.0.7)");
        assert_eq!(name("api.internal", Some("node-1.internal"), &["10.0.0.7"]), "node-1.internal:80 (10.0.0.7)");
        let kind = ir::EndpointKind::Unix;
        let host = "/run/api.sock".into();
        let unix = ir::Endpoint { kind, host, port: 0, weight: 1, backup: false, loc: Loc::default() };
        let unix = Who::written(&unix).unwrap();
        assert_eq!(unix.name(), "unix:/run/api.sock");
        // As nginx has it.
        assert_eq!(unix.spot(), ("/run/api.sock".to_owned(), String::new()));
    }

    #[test]
    fn a_mapped_address_is_what_it_maps() {
        let who = Who::found(&"api.internal".into(), 80, None, &ips(&["::ffff:10.0.0.7"]));
        assert_eq!(who.at, Whereabouts::Ip(["10.0.0.7:80".parse().unwrap()].into()));
    }

    #[test]
    fn the_place_in_tables_is_that_of_the_address() {
        let spot = |host: &str, all: &[&str]| Who::found(&host.into(), 80, None, &ips(all)).spot();
        assert_eq!(spot("api.internal", &["10.0.0.7"]), spot("10.0.0.7", &["10.0.0.7"]));
        assert_eq!(spot("api.internal", &["fd00::7", "10.0.0.7"]), spot("10.0.0.7", &["10.0.0.7"]));
        assert_eq!(spot("fd00::7", &["fd00::7"]), ("[fd00::7]".to_owned(), "80".to_owned()));
    }
}
