//! Listening sockets: probed first, then one per worker.
//!
//! SO_REUSEPORT lets the kernel spread connections and flows over the workers; it would also let a
//! second gateway of the same user share the port in silence. So each address is bound once without it.

use crate::l4::ListenKey;
use dsl::tree::ir;
use dsl::tree::l4::Transport;
use socket2::{Domain, Protocol, Socket, Type};
use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, UdpSocket};

/// Pending connections that the kernel holds for a worker.
const BACKLOG: i32 = 4096;
/// Bytes of datagrams that the kernel holds for a worker, as far as it allows. A worker that is busy
/// for ten milliseconds while a gigabit of datagrams arrives finds them all.
const DATAGRAMS: usize = 4 << 20;

/// What is served on a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Service {
    /// Clear HTTP.
    Http,
    /// TLS: HTTP, or passed through, by the name in the hello.
    Https,
    /// A `tcp` or `udp` item.
    Item(ListenKey),
    /// QUIC that is passed through, beside [`Service::Https`].
    Quic,
    /// The counts, by the control plane.
    Metrics,
}

impl Service {
    /// What its sockets carry.
    #[must_use]
    pub fn transport(self) -> Transport {
        match self {
            Self::Http | Self::Https | Self::Metrics => Transport::Tcp,
            Self::Item(key) => key.transport,
            Self::Quic => Transport::Udp,
        }
    }

    /// The word that asks for it in a route file.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
            Self::Item(ListenKey { transport: Transport::Tcp, .. }) => "tcp",
            Self::Item(ListenKey { transport: Transport::Udp, .. }) => "udp",
            Self::Quic => "quic",
            Self::Metrics => "metrics",
        }
    }
}

/// A listener's address with its sockets.
#[derive(Debug)]
pub struct BoundListener {
    /// What is served there.
    pub service: Service,
    /// What was asked for.
    pub listener: ir::Listener,
    /// Where it listens: the port is the real one even when 0 was asked for.
    pub address: SocketAddr,
    /// One for each worker.
    pub sockets: Vec<Bound>,
}

/// A bound socket, not blocking.
#[derive(Debug)]
pub enum Bound {
    /// For connections.
    Tcp(TcpListener),
    /// For datagrams.
    Udp(UdpSocket),
}

/// Why an address could not be had.
#[derive(Debug)]
pub struct BindError {
    /// Which.
    pub address: SocketAddr,
    /// What for.
    pub service: Service,
    /// What was asked for.
    pub listener: ir::Listener,
    /// The system's answer.
    pub source: io::Error,
}

impl BindError {
    /// In words, with what to do. `file` is the route file that asks for it.
    #[must_use]
    pub fn explain(&self, file: &str) -> String {
        let (word, port) = (self.service.word(), self.address.port());
        let line = match (self.service, self.listener.ip) {
            // It is not written; the `https` line beside it is.
            (Service::Quic, Some(_)) => format!("`https {}`", self.address),
            (Service::Quic, None) => format!("`https :{port}`"),
            (_, Some(_)) => format!("`{word} {}`", self.address),
            (_, None) => format!("`{word} :{port}`"),
        };
        let kind = match self.service.transport() {
            Transport::Tcp => "port",
            Transport::Udp => "UDP port",
        };
        match self.source.kind() {
            io::ErrorKind::AddrInUse => {
                let perhaps = match self.service {
                    Service::Http | Service::Https => ", perhaps another `sluice run`",
                    Service::Item(_) | Service::Quic | Service::Metrics => "",
                };
                format!("{kind} {port} is taken by another program{perhaps}; stop it, or change {line} in {file}")
            }
            io::ErrorKind::PermissionDenied => format!(
                "{kind} {port} may not be opened by this user; ports below 1024 need a privilege (for example CAP_NET_BIND_SERVICE), or change {line} in {file}"
            ),
            io::ErrorKind::AddrNotAvailable => {
                format!("this machine has no address {}; change {line} in {file}", self.address.ip())
            }
            _ => format!("cannot listen on {}: {}", self.address, self.source),
        }
    }
}

impl fmt::Display for BindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.explain("gateway.route"))
    }
}

impl std::error::Error for BindError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}

/// Binds the gateway's own listeners, one socket per worker and address. Nothing stays bound when
/// one fails.
///
/// # Errors
/// The first address that cannot be had.
pub fn bind(gateway: &ir::Gateway, workers: usize) -> Result<Vec<BoundListener>, BindError> {
    let mut bound = Vec::new();
    let clear = gateway.http.iter().map(|l| (Service::Http, l));
    let secure = gateway.https.iter().map(|l| (Service::Https, l));
    for (service, listener) in clear.chain(secure) {
        bound.extend(open(service, listener, workers, true)?);
    }
    Ok(bound)
}

/// Binds one listener: a socket per worker, for each family where no address is written. Without
/// `probe` the port may be shared with sockets of this process.
///
/// # Errors
/// The address that cannot be had.
pub fn open(
    service: Service,
    listener: &ir::Listener,
    workers: usize,
    probe: bool,
) -> Result<Vec<BoundListener>, BindError> {
    let mut bound = Vec::new();
    let mut at = |ip: IpAddr, port: u16| -> Result<u16, BindError> {
        let address = SocketAddr::new(ip, port);
        let failed = |source| BindError { address, service, listener: listener.clone(), source };
        let (address, sockets) = bind_address(address, service.transport(), workers, probe).map_err(failed)?;
        bound.push(BoundListener { service, listener: listener.clone(), address, sockets });
        Ok(address.port())
    };
    if let Some(ip) = listener.ip {
        at(ip, listener.port)?;
        return Ok(bound);
    }
    let port = at(Ipv4Addr::UNSPECIFIED.into(), listener.port)?;
    match at(Ipv6Addr::UNSPECIFIED.into(), port) {
        Ok(_) => Ok(bound),
        // A machine without IPv6, or a free port (0) that somebody else has on IPv6 only.
        Err(e) if no_ipv6(&e.source) || listener.port == 0 => Ok(bound),
        Err(e) => Err(e),
    }
}

fn no_ipv6(e: &io::Error) -> bool {
    matches!(e.kind(), io::ErrorKind::AddrNotAvailable | io::ErrorKind::Unsupported)
        || matches!(e.raw_os_error(), Some(97 /* EAFNOSUPPORT */ | 93 /* EPROTONOSUPPORT */))
}

fn bind_address(
    address: SocketAddr,
    transport: Transport,
    workers: usize,
    probe: bool,
) -> io::Result<(SocketAddr, Vec<Bound>)> {
    let address = if address.port() == 0 {
        // Nobody else can have a port that the kernel picks now; its number is kept for the others.
        match socket(address, transport, false)? {
            Bound::Tcp(socket) => socket.local_addr()?,
            Bound::Udp(socket) => socket.local_addr()?,
        }
    } else {
        if probe {
            drop(socket(address, transport, false)?);
        }
        address
    };
    let sockets = (0..workers.max(1)).map(|_| socket(address, transport, true)).collect::<io::Result<_>>()?;
    Ok((address, sockets))
}

fn socket(address: SocketAddr, transport: Transport, shared: bool) -> io::Result<Bound> {
    let (kind, protocol) = match transport {
        Transport::Tcp => (Type::STREAM, Protocol::TCP),
        Transport::Udp => (Type::DGRAM, Protocol::UDP),
    };
    let socket = Socket::new(Domain::for_address(address), kind, Some(protocol))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_reuse_port(shared)?;
    socket.set_nonblocking(true)?;
    match transport {
        Transport::Tcp => {
            // Connections of a run that just ended linger in TIME_WAIT and must not keep us from starting.
            socket.set_reuse_address(true)?;
            socket.bind(&address.into())?;
            // The probe listens too: with SO_REUSEADDR only a listening socket makes the second one fail.
            socket.listen(BACKLOG)?;
            Ok(Bound::Tcp(socket.into()))
        }
        Transport::Udp => {
            // Past the kernel's ceiling where this process may, else up to it.
            if rustix::net::sockopt::set_socket_recv_buffer_size_force(&socket, DATAGRAMS).is_err() {
                socket.set_recv_buffer_size(DATAGRAMS)?;
            }
            socket.bind(&address.into())?;
            Ok(Bound::Udp(socket.into()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dsl::syntax::span::Loc;

    fn local(port: u16) -> ir::Listener {
        ir::Listener { ip: Some(Ipv4Addr::LOCALHOST.into()), port, public: None, loc: Loc::default() }
    }

    fn gateway(port: u16) -> ir::Gateway {
        ir::Gateway { http: vec![local(port)], https: Vec::new(), ..ir::Gateway::default() }
    }

    fn port(socket: &Bound) -> u16 {
        match socket {
            Bound::Tcp(socket) => socket.local_addr().unwrap().port(),
            Bound::Udp(socket) => socket.local_addr().unwrap().port(),
        }
    }

    #[test]
    fn a_free_port_is_reported_and_shared_by_the_workers() {
        for service in [Service::Http, Service::Quic] {
            let bound = open(service, &local(0), 3, true).expect("port 0 can be had");
            assert_eq!(bound.len(), 1);
            assert_ne!(bound[0].address.port(), 0);
            let ports: Vec<_> = bound[0].sockets.iter().map(port).collect();
            assert_eq!(ports, vec![bound[0].address.port(); 3]);
        }
    }

    #[test]
    fn a_second_gateway_on_the_port_fails_with_its_line() {
        let first = bind(&gateway(0), 2).expect("port 0 can be had");
        let port = first[0].address.port();
        let refused = bind(&gateway(port), 2).expect_err("the port is taken").to_string();
        assert!(refused.contains(&format!("port {port} is taken by another program")), "{refused}");
        assert!(refused.contains(&format!("change `http 127.0.0.1:{port}` in gateway.route")));
    }

    #[test]
    fn a_udp_port_of_another_is_not_shared_in_silence() {
        let other = UdpSocket::bind("127.0.0.1:0").unwrap();
        let port = other.local_addr().unwrap().port();
        let key = ListenKey::of(Transport::Udp, &local(port));
        let refused = open(Service::Item(key), &local(port), 2, true).expect_err("the port is taken");
        let said = refused.explain("sites/dns.route");
        assert!(said.contains(&format!("UDP port {port} is taken by another program")), "{said}");
        assert!(said.contains(&format!("change `udp 127.0.0.1:{port}` in sites/dns.route")), "{said}");
    }
}
