//! One end of a connection that is carried: plain, or with TLS that ends here.

use crate::upstream::Reached;
use socket2::SockRef;
use std::io;
use std::net::Shutdown;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::TlsStream;

/// One end.
pub(super) enum Side {
    /// The bytes are those of the socket.
    Plain(Reached),
    /// TLS ends here.
    Tls(Box<TlsStream<Reached>>),
}

impl Side {
    /// Its socket.
    pub(super) fn socket(&self) -> &Reached {
        match self {
            Self::Plain(reached) => reached,
            Self::Tls(tls) => tls.get_ref().0,
        }
    }

    /// Reads. 0 bytes: it says nothing more.
    pub(super) fn poll_read(&mut self, cx: &mut Context<'_>, into: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut into = ReadBuf::new(into);
        let read = match self {
            Self::Plain(reached) => Pin::new(reached).poll_read(cx, &mut into),
            Self::Tls(tls) => match Pin::new(&mut **tls).poll_read(cx, &mut into) {
                // Many programs close without saying so in TLS. What was cut short, the protocol
                // inside knows, as it must over plain TCP.
                Poll::Ready(Err(e)) if e.kind() == io::ErrorKind::UnexpectedEof => Poll::Ready(Ok(())),
                read => read,
            },
        };
        read.map_ok(|()| into.filled().len())
    }

    /// Writes.
    pub(super) fn poll_write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self {
            Self::Plain(reached) => Pin::new(reached).poll_write(cx, bytes),
            Self::Tls(tls) => Pin::new(&mut **tls).poll_write(cx, bytes),
        }
    }

    /// Gets out what was written and waits inside.
    pub(super) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            // The system has it already.
            Self::Plain(_) => Poll::Ready(Ok(())),
            Self::Tls(tls) => Pin::new(&mut **tls).poll_flush(cx),
        }
    }

    /// Says that nothing more comes; what it says itself is read on.
    pub(super) fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Plain(reached) => Poll::Ready(match &*reached {
                Reached::Tcp(tcp) => SockRef::from(tcp).shutdown(Shutdown::Write),
                Reached::Unix(unix) => SockRef::from(unix).shutdown(Shutdown::Write),
            }),
            Self::Tls(tls) => Pin::new(&mut **tls).poll_shutdown(cx),
        }
    }
}
