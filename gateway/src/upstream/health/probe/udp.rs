//! `check udp send "…" expect "…"`: a datagram, and how the answer starts.

use super::Target;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use tokio::net::UdpSocket;
use tokio::time::timeout;

/// The most of an answer that is looked at.
const MOST: usize = 2048;

/// Asks from a port of its own, so that no answer to an earlier check is taken for this one's.
pub(super) async fn ask(target: &Target, send: &[u8], expect: &[u8]) -> Result<(), String> {
    let (addresses, share) = target.addresses();
    let mut last = "it has no address".to_owned();
    for address in addresses {
        match timeout(share, exchange(address, send)).await {
            Ok(Ok(answer)) if answer.starts_with(expect) => return Ok(()),
            Ok(Ok(_)) => last = "answered something else than expected".to_owned(),
            // ICMP says so: nobody listens there.
            Ok(Err(e)) if e.kind() == io::ErrorKind::ConnectionRefused => last = "port unreachable".to_owned(),
            Ok(Err(e)) => last = format!("cannot be asked ({e})"),
            Err(_) => last = format!("no answer within {} ms", share.as_millis()),
        }
    }
    Err(last)
}

async fn exchange(address: SocketAddr, send: &[u8]) -> io::Result<Vec<u8>> {
    let any: SocketAddr = match address {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = UdpSocket::bind(any).await?;
    // The kernel lets nobody else answer.
    socket.connect(address).await?;
    socket.send(send).await?;
    let mut answer = vec![0; MOST];
    let length = socket.recv(&mut answer).await?;
    answer.truncate(length);
    Ok(answer)
}
