//! Endpoints of L4 pools that say who they are, and clients that remember who answered.
//!
//! A stream endpoint sends its name and a line feed, then everything back. A datagram endpoint answers
//! each datagram with its name, a colon and the datagram.

use crate::wait::{PATIENCE, Watched};
use crate::wire::Wire;
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use socket2::{Domain, Socket, Type};
use std::collections::HashMap;
use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// What a stream endpoint has seen.
#[derive(Debug, Default)]
pub struct Streams {
    /// Connections that were accepted.
    pub begun: usize,
    /// Connections that have ended.
    pub ended: usize,
    /// Bytes that came, on all of them.
    pub bytes: u64,
    /// The connections that are open.
    open: HashMap<usize, TcpStream>,
}

/// A stream endpoint on a thread.
pub struct Named {
    addr: SocketAddr,
    seen: Arc<Watched<Streams>>,
    stopped: Arc<AtomicBool>,
    acceptor: Option<JoinHandle<()>>,
}

impl Named {
    /// Starts one in the clear.
    pub fn start(name: &str) -> Self {
        Self::on(SocketAddr::from((Ipv4Addr::LOCALHOST, crate::ports::free())), name, None)
    }

    /// Starts one that ends TLS.
    pub fn secure(name: &str, config: Arc<ServerConfig>) -> Self {
        Self::on(SocketAddr::from((Ipv4Addr::LOCALHOST, crate::ports::free())), name, Some(config))
    }

    /// Starts one at an address.
    ///
    /// # Panics
    ///
    /// When somebody else has the address.
    #[track_caller]
    pub fn on(addr: SocketAddr, name: &str, tls: Option<Arc<ServerConfig>>) -> Self {
        // As std does, with the address free again at once after it was stopped.
        let listener = TcpListener::bind(addr).unwrap();
        let (seen, stopped) = (Arc::<Watched<Streams>>::default(), Arc::<AtomicBool>::default());
        let endpoint = (name.to_owned(), seen.clone(), stopped.clone());
        let acceptor = std::thread::spawn(move || {
            let (name, seen, stopped) = endpoint;
            for stream in listener.incoming() {
                if stopped.load(Ordering::SeqCst) {
                    return;
                }
                let Ok(stream) = stream else { continue };
                let number = seen.change(|s| {
                    s.begun += 1;
                    s.open.insert(s.begun, stream.try_clone().unwrap());
                    s.begun
                });
                let (seen, name, tls) = (seen.clone(), name.clone(), tls.clone());
                std::thread::spawn(move || {
                    echo(stream, &name, tls, &seen);
                    seen.change(|s| {
                        s.ended += 1;
                        s.open.remove(&number);
                    });
                });
            }
        });
        Self { addr, seen, stopped, acceptor: Some(acceptor) }
    }

    /// Where it is.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// What it has seen.
    pub fn seen(&self) -> &Watched<Streams> {
        &self.seen
    }

    /// Stops accepting: the port refuses from here on. Connections that are open go on.
    pub fn stop(&mut self) {
        self.stopped.store(true, Ordering::SeqCst);
        if let Some(acceptor) = self.acceptor.take() {
            let _ = TcpStream::connect(self.addr);
            let _ = acceptor.join();
        }
    }

    /// Resets the connections that are open.
    pub fn reset_all(&self) {
        self.seen.change(|s| {
            for stream in s.open.values() {
                let socket = socket2::SockRef::from(stream);
                let _ = socket.set_linger(Some(Duration::ZERO));
                let _ = stream.shutdown(Shutdown::Read);
            }
        });
    }

    /// Ends the connections that are open from its side, in order.
    pub fn finish_all(&self) {
        self.seen.change(|s| s.open.values().for_each(|stream| drop(stream.shutdown(Shutdown::Both))));
    }
}

impl Drop for Named {
    fn drop(&mut self) {
        self.stop();
    }
}

fn echo(stream: TcpStream, name: &str, tls: Option<Arc<ServerConfig>>, seen: &Watched<Streams>) {
    let _ = stream.set_nodelay(true);
    let below = stream.try_clone().unwrap();
    let mut stream: Box<dyn crate::wire::Stream> = match tls {
        None => Box::new(stream),
        Some(config) => Box::new(StreamOwned::new(ServerConnection::new(config).unwrap(), stream)),
    };
    if writeln!(stream, "{name}").and_then(|()| stream.flush()).is_err() {
        return;
    }
    let mut piece = vec![0; 64 * 1024];
    loop {
        let n = match stream.read(&mut piece) {
            Ok(0) | Err(_) => break,
            Ok(n) => n,
        };
        seen.change(|s| s.bytes += n as u64);
        if stream.write_all(&piece[..n]).and_then(|()| stream.flush()).is_err() {
            break;
        }
    }
    // With a linger of zero the last handle's end is a reset, which an ordered end would forestall.
    if socket2::SockRef::from(&below).linger().is_ok_and(|linger| linger.is_none()) {
        let _ = below.shutdown(Shutdown::Write);
    }
}

/// A client of a [`Named`] endpoint.
pub struct Client {
    /// The connection.
    pub wire: Wire,
    /// Who is at the other end.
    pub name: String,
}

impl Client {
    /// Connects and reads the name; `None` when the connection ended without one.
    #[track_caller]
    pub fn connect(addr: SocketAddr) -> Option<Self> {
        Self::from(Ipv4Addr::LOCALHOST, addr)
    }

    /// [`connect`](Self::connect) from an address of this machine.
    #[track_caller]
    pub fn from(source: Ipv4Addr, addr: SocketAddr) -> Option<Self> {
        Self::over(dial(source, addr).ok()?)
    }

    /// Reads the name on a connection.
    #[track_caller]
    pub fn over(mut wire: Wire) -> Option<Self> {
        let name = wire.until(b'\n')?;
        Some(Self { wire, name: String::from_utf8(name).unwrap() })
    }

    /// Says something and hears it back: `false` when the connection ended.
    #[track_caller]
    pub fn echoes(&mut self, text: &str) -> bool {
        self.wire.try_send(text).is_ok() && self.wire.take(text.len()) == text.as_bytes()
    }
}

/// A connection that was reset in the moment that it came about.
struct Reset;

impl Read for Reset {
    fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
        Err(ErrorKind::ConnectionReset.into())
    }
}

impl Write for Reset {
    fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
        Err(ErrorKind::ConnectionReset.into())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// A connection from an address of this machine. One that is accepted and reset at once is one too: its
/// first read tells.
///
/// # Errors
///
/// When nobody listens there.
pub fn dial(source: Ipv4Addr, addr: SocketAddr) -> std::io::Result<Wire> {
    let socket = Socket::new(Domain::for_address(addr), Type::STREAM, None)?;
    if addr.is_ipv4() {
        socket.bind(&SocketAddr::from((source, 0)).into())?;
    }
    let connected = socket.connect_timeout(&addr.into(), PATIENCE);
    let stream = TcpStream::from(socket);
    match connected {
        Ok(()) => {
            stream.set_nodelay(true)?;
            Ok(Wire::over(Box::new(stream.try_clone()?), stream))
        }
        Err(e) if e.kind() == ErrorKind::ConnectionReset => Ok(Wire::over(Box::new(Reset), stream)),
        Err(e) => Err(e),
    }
}

/// Connects until an endpoint answers: for a listener that is about to open.
#[track_caller]
pub fn reaches(addr: SocketAddr) -> Client {
    crate::wait::until(&format!("somebody answers through {addr}"), || Client::connect(addr))
}

/// What a datagram endpoint has seen.
#[derive(Debug, Default)]
pub struct Datagrams {
    /// How many came.
    pub count: u64,
    /// How many from each address, as the endpoint sees it.
    pub from: HashMap<SocketAddr, u64>,
    /// How many began with each word.
    pub words: HashMap<String, u64>,
}

/// A datagram endpoint on a thread.
pub struct NamedUdp {
    addr: SocketAddr,
    seen: Arc<Watched<Datagrams>>,
    stopped: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl NamedUdp {
    /// Starts one.
    pub fn start(name: &str) -> Self {
        Self::on(SocketAddr::from((Ipv4Addr::LOCALHOST, crate::ports::free())), name)
    }

    /// Starts one at an address.
    ///
    /// # Panics
    ///
    /// When somebody else has the address.
    #[track_caller]
    pub fn on(addr: SocketAddr, name: &str) -> Self {
        let socket = UdpSocket::bind(addr).unwrap();
        socket2::SockRef::from(&socket).set_recv_buffer_size(4 << 20).unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
        let (seen, stopped) = (Arc::<Watched<Datagrams>>::default(), Arc::<AtomicBool>::default());
        let endpoint = (name.to_owned(), seen.clone(), stopped.clone());
        let thread = std::thread::spawn(move || {
            let (name, seen, stopped) = endpoint;
            let mut piece = vec![0; 64 * 1024];
            while !stopped.load(Ordering::SeqCst) {
                let Ok((n, from)) = socket.recv_from(&mut piece) else { continue };
                let word = String::from_utf8_lossy(piece[..n].split(|b| *b == b' ').next().unwrap()).into_owned();
                // The answer before the note: who has the answer may ask for the note at once otherwise.
                seen.change(|s| {
                    s.count += 1;
                    *s.from.entry(from).or_default() += 1;
                    *s.words.entry(word).or_default() += 1;
                });
                let answer = [name.as_bytes(), b":", &piece[..n]].concat();
                let _ = socket.send_to(&answer, from);
            }
        });
        Self { addr, seen, stopped, thread: Some(thread) }
    }

    /// Where it is.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// What it has seen.
    pub fn seen(&self) -> &Watched<Datagrams> {
        &self.seen
    }

    /// Closes its port: datagrams are answered with an ICMP error from here on.
    pub fn stop(&mut self) {
        self.stopped.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Drop for NamedUdp {
    fn drop(&mut self) {
        self.stop();
    }
}

/// A client of [`NamedUdp`] endpoints: one flow.
#[derive(Debug)]
pub struct Flow {
    socket: UdpSocket,
}

impl Flow {
    /// Opens one to a listener, from an address of this machine.
    #[track_caller]
    pub fn from(source: Ipv4Addr, to: SocketAddr) -> Self {
        let source = if to.is_ipv4() { IpAddr::V4(source) } else { IpAddr::V6(std::net::Ipv6Addr::LOCALHOST) };
        let socket = UdpSocket::bind((source, 0)).unwrap();
        // Connected: an answer from any other address would not be received.
        socket.connect(to).unwrap();
        Self { socket }
    }

    /// Where it sends from.
    pub fn local(&self) -> SocketAddr {
        self.socket.local_addr().unwrap()
    }

    /// Sends a datagram; whether the system took it.
    pub fn send(&self, text: impl AsRef<[u8]>) -> bool {
        self.socket.send(text.as_ref()).is_ok()
    }

    /// Waits for a datagram; `None` when the time is over.
    pub fn receive(&self, patience: Duration) -> Option<Vec<u8>> {
        let end = std::time::Instant::now() + patience;
        let mut piece = vec![0; 64 * 1024];
        loop {
            let left = end.checked_duration_since(std::time::Instant::now()).filter(|left| !left.is_zero())?;
            self.socket.set_read_timeout(Some(left)).unwrap();
            match self.socket.recv(&mut piece) {
                Ok(n) => return Some(piece[..n].to_vec()),
                // What an ICMP error told is over with this call.
                Err(e) if e.kind() == ErrorKind::ConnectionRefused => {}
                Err(_) => return None,
            }
        }
    }

    /// Asks once: who answered, when that was in time and with the same text. Late answers to earlier
    /// questions are passed over.
    pub fn asks(&self, text: &str, patience: Duration) -> Option<String> {
        self.send(text);
        let end = std::time::Instant::now() + patience;
        loop {
            let left = end.saturating_duration_since(std::time::Instant::now());
            let answer = String::from_utf8(self.receive(left)?).unwrap();
            let (name, echoed) = answer.split_once(':').unwrap();
            if echoed == text {
                return Some(name.to_owned());
            }
        }
    }
}

/// Asks until an endpoint answers, each time in the same flow: for a listener that is about to open.
#[track_caller]
pub fn reaches_udp(source: Ipv4Addr, to: SocketAddr) -> (Flow, String) {
    let flow = Flow::from(source, to);
    let mut round = 0;
    let name = crate::wait::until(&format!("somebody answers through udp {to}"), || {
        round += 1;
        flow.asks(&format!("hello-{source} {round}"), Duration::from_millis(200))
    });
    (flow, name)
}
