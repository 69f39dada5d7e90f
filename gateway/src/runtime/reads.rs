//! A stream whose reading is somebody else's; what is written to it goes through.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// How something is read from a stream.
pub trait Read<S> {
    /// As of [`AsyncRead::poll_read`].
    fn poll_read(&mut self, io: Pin<&mut S>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>>;
}

/// A stream with a way to read from it.
pub struct Reads<S, R> {
    io: S,
    read: R,
}

impl<S, R> Reads<S, R> {
    /// Reads from a stream in this way.
    #[must_use]
    pub fn new(io: S, read: R) -> Self {
        Self { io, read }
    }
}

impl<S: AsyncRead + Unpin, R: Read<S> + Unpin> AsyncRead for Reads<S, R> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.read.poll_read(Pin::new(&mut this.io), cx, into)
    }
}

impl<S: AsyncWrite + Unpin, R: Unpin> AsyncWrite for Reads<S, R> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().io).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().io).poll_write_vectored(cx, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_shutdown(cx)
    }
}
