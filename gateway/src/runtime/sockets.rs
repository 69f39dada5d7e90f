//! Listening sockets: probed first, then one per worker.
//!
//! SO_REUSEPORT lets the kernel spread connections over the workers; it would also let a second
//! gateway of the same user share the port in silence. So each address is bound once without it.

use dsl::tree::ir;
use socket2::{Domain, Protocol, Socket, Type};
use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};

/// Pending connections that the kernel holds for a worker.
const BACKLOG: i32 = 4096;

/// A listener with its sockets.
#[derive(Debug)]
pub struct BoundListener {
    /// Whether it speaks TLS.
    pub secure: bool,
    /// What was asked for.
    pub listener: ir::Listener,
    /// Where it listens: the port is the real one even when 0 was asked for.
    pub address: SocketAddr,
    /// One socket per worker.
    pub sockets: Vec<TcpListener>,
}

/// Why an address could not be had.
#[derive(Debug)]
pub struct BindError {
    /// Which.
    pub address: SocketAddr,
    /// Whether it speaks TLS.
    pub secure: bool,
    /// What was asked for.
    pub listener: ir::Listener,
    /// The system's answer.
    pub source: io::Error,
}

impl fmt::Display for BindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = if self.secure { "https" } else { "http" };
        let port = self.address.port();
        let line = match self.listener.ip {
            Some(_) => format!("`{word} {}`", self.address),
            None => format!("`{word} :{port}`"),
        };
        match self.source.kind() {
            io::ErrorKind::AddrInUse => {
                write!(
                    f,
                    "port {port} is taken by another program, perhaps another `sluice run`; stop it, or change {line} in gateway.route"
                )
            }
            io::ErrorKind::PermissionDenied => write!(
                f,
                "port {port} may not be opened by this user; ports below 1024 need a privilege (for example CAP_NET_BIND_SERVICE), or change {line} in gateway.route"
            ),
            io::ErrorKind::AddrNotAvailable => {
                write!(f, "this machine has no address {}; change {line} in gateway.route", self.address.ip())
            }
            _ => write!(f, "cannot listen on {}: {}", self.address, self.source),
        }
    }
}

impl std::error::Error for BindError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}

/// Binds every listener of the gateway, one socket per worker and address. Nothing stays bound when
/// one fails.
///
/// # Errors
/// The first address that cannot be had.
pub fn bind(gateway: &ir::Gateway, workers: usize) -> Result<Vec<BoundListener>, BindError> {
    let mut bound = Vec::new();
    let clear = gateway.http.iter().map(|l| (false, l));
    let secure = gateway.https.iter().map(|l| (true, l));
    for (secure, listener) in clear.chain(secure) {
        bind_listener(listener, secure, workers, &mut bound)?;
    }
    Ok(bound)
}

fn bind_listener(
    listener: &ir::Listener,
    secure: bool,
    workers: usize,
    bound: &mut Vec<BoundListener>,
) -> Result<(), BindError> {
    let mut at = |ip: IpAddr, port: u16| -> Result<u16, BindError> {
        let address = SocketAddr::new(ip, port);
        let failed = |source| BindError { address, secure, listener: listener.clone(), source };
        let (address, sockets) = bind_address(address, workers).map_err(failed)?;
        bound.push(BoundListener { secure, listener: listener.clone(), address, sockets });
        Ok(address.port())
    };
    if let Some(ip) = listener.ip {
        at(ip, listener.port)?;
        return Ok(());
    }
    let port = at(Ipv4Addr::UNSPECIFIED.into(), listener.port)?;
    match at(Ipv6Addr::UNSPECIFIED.into(), port) {
        Ok(_) => Ok(()),
        // A machine without IPv6, or a free port (0) that somebody else has on IPv6 only.
        Err(e) if no_ipv6(&e.source) || listener.port == 0 => Ok(()),
        Err(e) => Err(e),
    }
}

fn no_ipv6(e: &io::Error) -> bool {
    matches!(e.kind(), io::ErrorKind::AddrNotAvailable | io::ErrorKind::Unsupported)
        || matches!(e.raw_os_error(), Some(97 /* EAFNOSUPPORT */ | 93 /* EPROTONOSUPPORT */))
}

fn bind_address(address: SocketAddr, workers: usize) -> io::Result<(SocketAddr, Vec<TcpListener>)> {
    let address = if address.port() == 0 {
        // Nobody else can have a port that the kernel picks now; its number is kept for the others.
        open(address, false)?.local_addr()?
    } else {
        drop(open(address, false)?);
        address
    };
    let sockets = (0..workers.max(1)).map(|_| open(address, true)).collect::<io::Result<_>>()?;
    Ok((address, sockets))
}

fn open(address: SocketAddr, shared: bool) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    // Connections of a run that just ended linger in TIME_WAIT and must not keep us from starting.
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(shared)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    // The probe listens too: with SO_REUSEADDR only a listening socket makes the second one fail.
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use dsl::syntax::span::Loc;

    fn gateway(port: u16) -> ir::Gateway {
        let listener = ir::Listener { ip: Some(Ipv4Addr::LOCALHOST.into()), port, public: None, loc: Loc::default() };
        ir::Gateway { http: vec![listener], https: Vec::new(), ..ir::Gateway::default() }
    }

    #[test]
    fn a_free_port_is_reported_and_shared_by_the_workers() {
        let bound = bind(&gateway(0), 3).expect("port 0 can be had");
        assert_eq!(bound.len(), 1);
        assert_ne!(bound[0].address.port(), 0);
        let ports: Vec<_> = bound[0].sockets.iter().map(|s| s.local_addr().expect("bound").port()).collect();
        assert_eq!(ports, vec![bound[0].address.port(); 3]);
    }

    #[test]
    fn a_second_gateway_on_the_port_fails_with_its_line() {
        let first = bind(&gateway(0), 2).expect("port 0 can be had");
        let port = first[0].address.port();
        let refused = bind(&gateway(port), 2).expect_err("the port is taken").to_string();
        assert!(refused.contains(&format!("port {port} is taken by another program")), "{refused}");
        assert!(refused.contains(&format!("change `http 127.0.0.1:{port}` in gateway.route")));
    }
}
