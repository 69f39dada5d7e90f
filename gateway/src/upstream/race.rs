//! Happy eyeballs (RFC 8305 section 5): where a host has an IPv6 and an IPv4 address, both are tried,
//! the second one a little later, and the first connection is taken. The other attempt is given up.

use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::time::Duration;
use tokio::net::{TcpStream, UnixStream};
use tokio::time::sleep;

/// How long the first address has for itself: the delay that RFC 8305 recommends.
const HEAD_START: Duration = Duration::from_millis(250);
/// How often a Unix socket is tried whose queue is full.
const FULL: Duration = Duration::from_millis(5);

/// Connects to an address, or to one of two. Deadlines are the caller's. Returns the connection, and
/// whether it is to the second.
///
/// # Errors
/// The system's; where both were tried, that of the one that failed last.
pub(super) async fn race(first: SocketAddr, second: Option<SocketAddr>) -> io::Result<(TcpStream, bool)> {
    let to =
        |address: SocketAddr, second: bool| async move { TcpStream::connect(address).await.map(|tcp| (tcp, second)) };
    let mut early = pin!(to(first, false));
    let Some(second) = second else { return early.await };
    tokio::select! {
        biased;
        done = early.as_mut() => {
            return match done {
                Ok(tcp) => Ok(tcp),
                // Nobody is there: the other one need not wait.
                Err(_) => to(second, true).await,
            };
        }
        () = sleep(HEAD_START) => {}
    }
    let mut late = pin!(to(second, true));
    tokio::select! {
        biased;
        done = early.as_mut() => if done.is_ok() { done } else { late.await },
        done = late.as_mut() => if done.is_ok() { done } else { early.await },
    }
}

/// Connects to a Unix socket. One whose queue is full is tried again until the caller's deadline, as
/// TCP would.
///
/// # Errors
/// The system's.
pub(super) async fn unix(path: &std::path::Path) -> io::Result<UnixStream> {
    loop {
        match UnixStream::connect(path).await {
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => sleep(FULL).await,
            done => return done,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use socket2::{Domain, SockAddr, Socket, Type};
    use std::time::Instant;
    use tokio::net::TcpListener;

    async fn somebody(ip: &str) -> (TcpListener, SocketAddr) {
        let listener = TcpListener::bind((ip, 0)).await.unwrap();
        let at = listener.local_addr().unwrap();
        (listener, at)
    }

    /// Takes no connection: its queue is full. What fills it is held.
    fn black_hole(domain: Domain, at: SockAddr) -> (Socket, Vec<Socket>) {
        let listener = Socket::new(domain, Type::STREAM, None).unwrap();
        listener.bind(&at).unwrap();
        listener.listen(0).unwrap();
        let at = listener.local_addr().unwrap();
        let fill = |_| {
            let socket = Socket::new(domain, Type::STREAM, None).unwrap();
            socket.set_nonblocking(true).unwrap();
            let _ = socket.connect(&at);
            socket
        };
        let held = (0..4).map(fill).collect();
        (listener, held)
    }

    #[tokio::test]
    async fn the_first_address_is_taken_where_it_answers() {
        let ((_six, first), (_four, second)) = (somebody("::1").await, somebody("127.0.0.1").await);
        let (tcp, is_second) = race(first, Some(second)).await.unwrap();
        assert_eq!((tcp.peer_addr().unwrap(), is_second), (first, false));
    }

    #[tokio::test]
    async fn one_that_refuses_gives_way_at_once() {
        let (six, first) = somebody("::1").await;
        drop(six);
        let (_four, second) = somebody("127.0.0.1").await;
        let start = Instant::now();
        let (tcp, is_second) = race(first, Some(second)).await.unwrap();
        assert_eq!((tcp.peer_addr().unwrap(), is_second), (second, true));
        assert!(start.elapsed() < HEAD_START);
    }

    #[tokio::test]
    async fn one_that_is_silent_gives_way_after_its_head_start() {
        let any: SocketAddr = "[::1]:0".parse().unwrap();
        let (silent, _held) = black_hole(Domain::IPV6, any.into());
        let first = silent.local_addr().unwrap().as_socket().unwrap();
        let (_four, second) = somebody("127.0.0.1").await;
        let start = Instant::now();
        let (tcp, is_second) = race(first, Some(second)).await.unwrap();
        assert_eq!((tcp.peer_addr().unwrap(), is_second), (second, true));
        assert!(start.elapsed() >= HEAD_START);
    }

    #[tokio::test]
    async fn where_nobody_is_the_reason_is_told() {
        let (six, first) = somebody("::1").await;
        let (four, second) = somebody("127.0.0.1").await;
        drop((six, four));
        assert_eq!(race(first, Some(second)).await.unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
        assert_eq!(race(first, None).await.unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
    }

    #[tokio::test]
    async fn a_full_queue_of_a_unix_socket_is_waited_for() {
        let path = std::env::temp_dir().join(format!("sluice-race-{}", std::process::id()));
        let _ = std::fs::remove_file(&path);
        let (full, held) = black_hole(Domain::UNIX, SockAddr::unix(&path).unwrap());
        let connected = unix(&path);
        let mut connected = pin!(connected);
        let early = tokio::time::timeout(Duration::from_millis(50), connected.as_mut()).await;
        assert!(early.is_err(), "{early:?}");
        // Those that found room in the queue.
        full.set_nonblocking(true).unwrap();
        while full.accept().is_ok() {}
        drop(held);
        tokio::time::timeout(Duration::from_secs(20), connected).await.unwrap().unwrap();
        drop(full);
        assert_eq!(unix(&path).await.unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
        std::fs::remove_file(&path).unwrap();
        assert_eq!(unix(&path).await.unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
