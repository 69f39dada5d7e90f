//! The task of a connection: it reads and writes, and finds out whether the endpoint is still there.

use super::shared::State;
use crate::runtime::reads::{Read, Reads};
use bytes::Bytes;
use h2::client::Connection;
use h2::{Ping, PingPong};
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// While there are streams, the driver looks so often.
pub(super) const LOOK_MS: u64 = 5_000;
/// An endpoint that has streams and sent nothing for so long is asked whether it lives …
const SILENT_MS: u64 = 30_000;
/// … has so long to answer …
const ANSWER_MS: u64 = 15_000;
/// … and, as it stays silent, is asked again after so long. gRPC servers take more than one PING in
/// five minutes without anything that they send for an attack (`too_many_pings`).
const AGAIN_MS: u64 = 310_000;

/// Drives a connection to its end.
pub(super) async fn drive<T>(mut connection: Connection<Watched<T>, Bytes>, state: Rc<State>)
where
    T: AsyncRead + AsyncWrite + Unpin,
{
    let mut pulse = connection.ping_pong().map(|pings| Pulse { pings, asked: None, waits: false });
    poll_fn(|cx| {
        if Pin::new(&mut connection).poll(cx).is_ready() {
            // Whoever had a stream is told why by it.
            return Poll::Ready(());
        }
        match &mut pulse {
            Some(pulse) => pulse.poll(&state, cx),
            None => Poll::Pending,
        }
    })
    .await;
    state.closing.set(true);
    // Dropping it ends streams that are left.
}

/// Whether an endpoint is still there.
struct Pulse {
    pings: PingPong,
    /// When it was asked last.
    asked: Option<u64>,
    /// Whether it has not answered to that.
    waits: bool,
}

/// What there is to do.
#[derive(Debug, PartialEq, Eq)]
enum Next {
    Nothing,
    Ask,
    GiveUp,
}

impl Pulse {
    /// Ready when it is not.
    fn poll(&mut self, state: &State, cx: &mut Context<'_>) -> Poll<()> {
        if self.waits && self.pings.poll_pong(cx).is_ready() {
            self.waits = false;
        }
        while state.look.poll(cx).is_ready() {
            state.look.set(LOOK_MS);
            match next(state.ticks.now_ms(), state.heard.get(), self.asked, self.waits) {
                Next::Nothing => {}
                Next::Ask => {
                    self.asked = Some(state.ticks.now_ms());
                    self.waits = self.pings.send_ping(Ping::opaque()).is_ok();
                    if self.waits && self.pings.poll_pong(cx).is_ready() {
                        self.waits = false;
                    }
                }
                Next::GiveUp => return Poll::Ready(()),
            }
        }
        Poll::Pending
    }
}

fn next(now: u64, heard: u64, asked: Option<u64>, waits: bool) -> Next {
    match asked {
        // Anything that comes is a sign of life.
        Some(asked) if waits && heard <= asked => {
            if now.saturating_sub(asked) >= ANSWER_MS {
                Next::GiveUp
            } else {
                Next::Nothing
            }
        }
        _ if waits || now.saturating_sub(heard) < SILENT_MS => Next::Nothing,
        Some(asked) if now.saturating_sub(asked) < AGAIN_MS => Next::Nothing,
        Some(_) | None => Next::Ask,
    }
}

/// Notes when something was read.
pub(super) struct Noted(pub(super) Rc<State>);

/// A stream on which that is noted.
pub(super) type Watched<T> = Reads<T, Noted>;

impl<T: AsyncRead> Read<T> for Noted {
    fn poll_read(&mut self, io: Pin<&mut T>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let polled = io.poll_read(cx, into);
        if polled.is_ready() {
            self.0.heard.set(self.0.ticks.now_ms());
        }
        polled
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_is_asked_about_once_and_seldom_again() {
        assert_eq!(next(29_000, 0, None, false), Next::Nothing);
        assert_eq!(next(30_000, 0, None, false), Next::Ask);
        assert_eq!(next(44_000, 0, Some(30_000), true), Next::Nothing);
        assert_eq!(next(45_000, 0, Some(30_000), true), Next::GiveUp);
        // It sent something, if not the answer.
        assert_eq!(next(46_000, 31_000, Some(30_000), true), Next::Nothing);
        // It answered, and is silent again.
        assert_eq!(next(90_000, 30_100, Some(30_000), false), Next::Nothing);
        assert_eq!(next(340_000, 30_100, Some(30_000), false), Next::Ask);
    }
}
