//! One end of what is carried: a plain connection, one whose TLS ends here, or a stream of HTTP/2.

use crate::upstream::Reached;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use socket2::SockRef;
use std::io;
use std::net::Shutdown;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::{TlsStream, server};

/// One end.
pub enum Side {
    /// The bytes are those of the socket.
    Plain(Reached),
    /// TLS ends here.
    Tls(Box<TlsStream<Reached>>),
    /// A client's TLS, which ended here before it was known what is carried.
    Accepted(Box<server::TlsStream<TcpStream>>),
    /// A stream among others on its connection.
    Stream(Box<TokioIo<Upgraded>>),
}

impl Side {
    /// Its TCP socket, where its bytes are those of the socket: it can be spliced.
    pub fn tcp(&self) -> Option<&TcpStream> {
        match self {
            Self::Plain(reached) => reached.tcp(),
            Self::Tls(_) | Self::Accepted(_) | Self::Stream(_) => None,
        }
    }

    /// Whether its bytes are those of its socket.
    pub fn is_plain(&self) -> bool {
        matches!(self, Self::Plain(_))
    }

    /// Whether it was reset, which nobody sees who does not read from it.
    pub fn is_broken(&self) -> bool {
        let broken = |e: io::Result<Option<io::Error>>| !matches!(e, Ok(None));
        match self {
            Self::Plain(reached) => broken(reached.take_error()),
            Self::Tls(tls) => broken(tls.get_ref().0.take_error()),
            Self::Accepted(tls) => broken(tls.get_ref().0.take_error()),
            Self::Stream(_) => false,
        }
    }

    /// Makes its end a reset.
    pub fn reset(&self) {
        match self {
            Self::Plain(reached) => super::reset(reached),
            Self::Tls(tls) => super::reset(tls.get_ref().0),
            Self::Accepted(tls) => super::reset_tcp(tls.get_ref().0),
            // It ends without a word of the protocol inside, which says as much.
            Self::Stream(_) => {}
        }
    }

    /// Reads. 0 bytes: it says nothing more.
    pub fn poll_read(&mut self, cx: &mut Context<'_>, into: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut into = ReadBuf::new(into);
        let read = match self {
            Self::Plain(reached) => Pin::new(reached).poll_read(cx, &mut into),
            Self::Tls(tls) => untold_end(Pin::new(&mut **tls).poll_read(cx, &mut into)),
            Self::Accepted(tls) => untold_end(Pin::new(&mut **tls).poll_read(cx, &mut into)),
            Self::Stream(stream) => Pin::new(&mut **stream).poll_read(cx, &mut into),
        };
        read.map_ok(|()| into.filled().len())
    }

    /// Writes.
    pub fn poll_write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self {
            Self::Plain(reached) => Pin::new(reached).poll_write(cx, bytes),
            Self::Tls(tls) => Pin::new(&mut **tls).poll_write(cx, bytes),
            Self::Accepted(tls) => Pin::new(&mut **tls).poll_write(cx, bytes),
            Self::Stream(stream) => Pin::new(&mut **stream).poll_write(cx, bytes),
        }
    }

    /// Gets out what was written and waits inside.
    pub fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            // The system has it already.
            Self::Plain(_) => Poll::Ready(Ok(())),
            Self::Tls(tls) => Pin::new(&mut **tls).poll_flush(cx),
            Self::Accepted(tls) => Pin::new(&mut **tls).poll_flush(cx),
            // A task of its own takes what is written; here there is nothing to be hurried.
            Self::Stream(_) => Poll::Ready(Ok(())),
        }
    }

    /// Says that nothing more comes; what it says itself is read on.
    pub fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Plain(reached) => Poll::Ready(match &*reached {
                Reached::Tcp(tcp) => SockRef::from(tcp).shutdown(Shutdown::Write),
                Reached::Unix(unix) => SockRef::from(unix).shutdown(Shutdown::Write),
            }),
            Self::Tls(tls) => Pin::new(&mut **tls).poll_shutdown(cx),
            Self::Accepted(tls) => Pin::new(&mut **tls).poll_shutdown(cx),
            Self::Stream(stream) => Pin::new(&mut **stream).poll_shutdown(cx),
        }
    }
}

/// Many programs close without saying so in TLS. What was cut short, the protocol inside knows, as it
/// must over plain TCP.
fn untold_end(read: Poll<io::Result<()>>) -> Poll<io::Result<()>> {
    match read {
        Poll::Ready(Err(e)) if e.kind() == io::ErrorKind::UnexpectedEof => Poll::Ready(Ok(())),
        read => read,
    }
}
