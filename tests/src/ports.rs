//! Ports and addresses for tests that run beside each other.

use socket2::{Domain, Socket, Type};
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicU64, Ordering};

/// A port that is free now for TCP and UDP, below the range from which the kernel takes ports for clients.
///
/// Somebody may take it before it is used; who starts a program on it tries again then.
pub fn free() -> u16 {
    static DRAWN: AtomicU64 = AtomicU64::new(0);
    let hasher = RandomState::new();
    loop {
        let drawn = hasher.hash_one((std::process::id(), DRAWN.fetch_add(1, Ordering::Relaxed)));
        let port = 12_000 + u16::try_from(drawn % 20_000).unwrap();
        let local = (Ipv4Addr::LOCALHOST, port);
        if TcpListener::bind(local).is_ok() && UdpSocket::bind(local).is_ok() {
            return port;
        }
    }
}

/// An address that refuses connections for as long as this lives: bound, never listening.
#[derive(Debug)]
pub struct Refusing {
    _socket: Socket,
    addr: SocketAddr,
}

impl Refusing {
    /// Takes an address.
    #[allow(clippy::new_without_default)] // it takes a resource
    pub fn new() -> Self {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).unwrap();
        let addr = socket.local_addr().unwrap().as_socket().unwrap();
        Self { _socket: socket, addr }
    }

    /// Where it is.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }
}

/// An address that neither accepts nor refuses: its queue is full, so the kernel drops the handshake.
#[derive(Debug)]
pub struct Unanswering {
    _socket: Socket,
    _queue: Vec<TcpStream>,
    addr: SocketAddr,
}

impl Unanswering {
    /// Takes an address and fills its queue.
    #[allow(clippy::new_without_default)] // it takes a resource
    pub fn new() -> Self {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).unwrap();
        socket.listen(0).unwrap();
        let addr = socket.local_addr().unwrap().as_socket().unwrap();
        let patience = std::time::Duration::from_millis(300);
        let queue = (0..8).map_while(|_| TcpStream::connect_timeout(&addr, patience).ok()).collect();
        Self { _socket: socket, _queue: queue, addr }
    }

    /// Where it is.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }
}
