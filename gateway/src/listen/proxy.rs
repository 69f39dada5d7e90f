//! The PROXY header that a connection from a trusted peer begins with.
//!
//! Only peers in `proxy-protocol from […]` are read so, and theirs must begin so: a peer that may send
//! a header and does not would be taken for its client. What others send is never looked at here.

use crate::l4::proxy_header::{Bad, Header, MAX, Step, parse};
use crate::runtime::ticks::within;
use crate::runtime::worker::Worker;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use tokio::net::TcpStream;

/// What is looked at at first: longer than a line of text, and than the headers that are sent as a
/// rule.
const WINDOW: usize = 512;

/// Why a trusted peer's connection is not served.
#[derive(Debug)]
pub enum Refused {
    /// What it sent is no header.
    Bad(Bad),
    /// No header within the gateway's time for heads, milliseconds.
    Late(u64),
    /// It ended the connection within its header.
    Gone,
    /// The connection broke.
    Broken(io::Error),
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bad(bad) => bad.fmt(f),
            Self::Late(ms) => write!(f, "no PROXY header within {ms} ms"),
            Self::Gone => f.write_str("closed before its PROXY header was whole"),
            Self::Broken(e) => write!(f, "broken before its PROXY header was whole ({e})"),
        }
    }
}

impl std::error::Error for Refused {}

/// Who is at the other end of a connection, and what was reached: the socket's addresses, or those of
/// the header that a trusted peer sends first.
///
/// # Errors
/// When a trusted peer sends no valid header in time. It is counted; the connection is to be reset.
pub async fn addresses(
    worker: &Worker,
    tcp: &TcpStream,
    peer: SocketAddr,
    local: SocketAddr,
) -> Result<(SocketAddr, SocketAddr), Refused> {
    let snapshot = worker.snapshot();
    let from = peer.ip().to_canonical();
    if !snapshot.gateway.proxy_protocol_from.iter().any(|net| net.contains(&from)) {
        return Ok((peer, local));
    }
    let patience = snapshot.gateway.limits.header_ms;
    drop(snapshot);
    let read = Box::pin(within(&worker.ticks, patience, read(tcp))).await;
    match read.unwrap_or(Err(Refused::Late(patience))) {
        Ok(Header::Own) => Ok((peer, local)),
        Ok(Header::For { client, local }) => Ok((client, local)),
        Err(refused) => {
            worker.counters.proxy_header_refused();
            Err(refused)
        }
    }
}

/// Takes the header from the connection, and not a byte of what follows it.
async fn read(tcp: &TcpStream) -> Result<Header, Refused> {
    let mut seen = vec![0; WINDOW];
    let mut taken = 0;
    loop {
        // What follows the header is somebody else's to read: it is looked at before it is taken.
        let found = match tcp.peek(&mut seen[taken..]).await {
            Ok(0) => return Err(Refused::Gone),
            Ok(n) => taken + n,
            Err(e) => return Err(Refused::Broken(e)),
        };
        let (header, len) = match parse(&seen[..found]).map_err(Refused::Bad)? {
            Step::Whole(header, len) => (Some(header), len),
            // All of it is the header's.
            Step::More => (None, found),
        };
        take(tcp, &mut seen[taken..len]).await?;
        if let Some(header) = header {
            return Ok(header);
        }
        taken = len;
        if taken == seen.len() {
            // INVARIANT: no header that is not whole after `MAX` bytes is asked for more.
            seen.resize(MAX, 0);
        }
    }
}

/// Takes bytes that are there.
async fn take(tcp: &TcpStream, mut bytes: &mut [u8]) -> Result<(), Refused> {
    while !bytes.is_empty() {
        match tcp.try_read(bytes) {
            Ok(0) => return Err(Refused::Gone),
            Ok(n) => bytes = &mut bytes[n..],
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                tcp.readable().await.map_err(Refused::Broken)?;
            }
            Err(e) => return Err(Refused::Broken(e)),
        }
    }
    Ok(())
}
