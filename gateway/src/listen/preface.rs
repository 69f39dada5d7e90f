//! What a client on a clear port speaks: HTTP/2 by prior knowledge, or HTTP/1.

use crate::runtime::ticks::within;
use crate::runtime::worker::Worker;
use bytes::BytesMut;
use dsl::tree::ir::Limits;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

/// RFC 9113 section 3.4.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// What a connection speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.0 or HTTP/1.1.
    Http1,
    /// HTTP/2.
    Http2,
}

/// Reads until it is known, and returns what was read. `None` when the client left or took too long.
pub async fn detect(worker: &Worker, tcp: &mut TcpStream, limits: &Limits) -> Option<(Protocol, BytesMut)> {
    let mut seen = BytesMut::with_capacity(1024);
    let mut patience = limits.keep_alive_ms;
    loop {
        let read = tokio::select! {
            read = within(&worker.ticks, patience, tcp.read_buf(&mut seen)) => read,
            () = worker.drained() => return None,
        };
        match read {
            Some(Ok(n)) if n > 0 => {}
            Some(Ok(_) | Err(_)) | None => return None,
        }
        if let Some(protocol) = judge(&seen) {
            return Some((protocol, seen));
        }
        patience = limits.header_ms;
    }
}

fn judge(seen: &[u8]) -> Option<Protocol> {
    let common = seen.len().min(PREFACE.len());
    if seen[..common] != PREFACE[..common] {
        return Some(Protocol::Http1);
    }
    (common == PREFACE.len()).then_some(Protocol::Http2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_byte_that_differs_decides() {
        assert_eq!(judge(b"G"), Some(Protocol::Http1));
        assert_eq!(judge(b"PRI * HTTP/2.0\r\n\r\nSX"), Some(Protocol::Http1));
        assert_eq!(judge(b"PRI * HT"), None);
        assert_eq!(judge(PREFACE), Some(Protocol::Http2));
        assert_eq!(judge(&[PREFACE, b"more"].concat()), Some(Protocol::Http2));
    }
}
