//! Bytes from one end to the other, both ways, until both are done.
//!
//! One future for each connection, polled when something happened on either socket. While nothing
//! happens it holds no buffer and no pipe: bytes are read into the worker's scratch buffer and written
//! from it; what could not be written at once is kept, and nothing more is read until it is gone.
//!
//! Where a direction fills the scratch buffer again and again it is spliced: the pages of the one
//! socket are handed to the other through a pipe. For small messages that costs more than a copy
//! (docs/l4.md has the figures), so it goes back to copying when the pieces become small.

use super::pipes::{Pipe, Pipes};
use super::side::Side;
use std::cell::RefCell;
use std::io;
use std::task::{Context, Poll, ready};

/// What is read at once.
const SCRATCH: usize = 64 * 1024;
/// A direction that filled the scratch buffer so often in a row is spliced.
const FULL_READS: u8 = 2;
/// A spliced direction whose pieces are smaller than this so often in a row is copied.
const SMALL: usize = 16 * 1024;
const SMALL_READS: u8 = 8;
/// Pieces that one direction may move before the worker's other connections have their turn: 8 MB
/// through a pipe, which take about two milliseconds.
const ROUNDS: u32 = 8;

/// What the connections of a worker use in turn.
#[derive(Debug)]
pub struct Tools {
    scratch: RefCell<Box<[u8]>>,
    pipes: Pipes,
}

/// One direction.
#[derive(Debug, Default)]
pub struct Half {
    held: Held,
    way: Way,
    /// What is said in `way`, so often in a row.
    streak: u8,
    stage: Stage,
}

/// What was read and not yet written.
#[derive(Debug, Default)]
enum Held {
    #[default]
    Nothing,
    Bytes(Box<[u8]>, usize),
    Pipe(Pipe),
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Way {
    /// Reads that filled the buffer are counted.
    #[default]
    Copy,
    /// Small pieces are counted.
    Splice,
    /// The system does not splice these sockets.
    CopyOnly,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Stage {
    #[default]
    Open,
    /// The source said that nothing more comes.
    Ended,
    /// And the destination was told.
    Over,
}

/// A direction broke.
#[derive(Debug)]
pub struct Broken {
    /// Where: at its source, or at its destination.
    pub at: At,
    /// How.
    pub error: io::Error,
}

/// Where a direction broke.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum At {
    /// What is read from.
    Source,
    /// What is written to.
    Destination,
}

impl Default for Tools {
    fn default() -> Self {
        Self { scratch: RefCell::new(vec![0; SCRATCH].into_boxed_slice()), pipes: Pipes::default() }
    }
}

impl Half {
    /// With bytes that were read before.
    pub fn holding(bytes: Vec<u8>) -> Self {
        let held = if bytes.is_empty() { Held::Nothing } else { Held::Bytes(bytes.into_boxed_slice(), 0) };
        Self { held, ..Self::default() }
    }

    /// Whether its source said that nothing more comes.
    pub fn has_ended(&self) -> bool {
        self.stage != Stage::Open
    }

    /// Whether nothing more is to be done.
    pub fn is_over(&self) -> bool {
        self.stage == Stage::Over
    }

    /// Whether the destination does not take what is held.
    pub fn is_blocked(&self) -> bool {
        !matches!(self.held, Held::Nothing)
    }

    /// Gives back what it holds.
    pub fn release(&mut self, tools: &Tools) {
        if let Held::Pipe(pipe) = std::mem::take(&mut self.held) {
            tools.pipes.give(pipe);
        }
    }

    /// Moves what can be moved, until there is nothing to do, or it was long enough. `moved` is told
    /// how much was read. Ready when both ends know that nothing more comes.
    /// `last`: the other direction is over. `piece`: the most that is read before it is asked whether more may be;
    /// none where nobody counts bytes.
    #[expect(clippy::too_many_arguments, reason = "two ends, and what is known of their connection")]
    pub fn poll(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut Side,
        to: &mut Side,
        last: bool,
        piece: Option<usize>,
        tools: &Tools,
        moved: &mut impl FnMut(usize),
    ) -> Poll<Result<(), Broken>> {
        if piece.is_some() {
            self.way = Way::CopyOnly;
        }
        for _ in 0..if piece.is_some() { 1 } else { ROUNDS } {
            ready!(self.poll_held(cx, to, tools, moved))?;
            match self.stage {
                Stage::Open => {}
                Stage::Ended => {
                    // Both sockets are closed next, which says the same over plain TCP.
                    if !(last && to.is_plain()) {
                        ready!(to.poll_end(cx)).or_else(gone).map_err(at_destination)?;
                    }
                    self.stage = Stage::Over;
                    return Poll::Ready(Ok(()));
                }
                Stage::Over => return Poll::Ready(Ok(())),
            }
            let read = match self.way {
                Way::Splice => self.poll_splice(cx, from, tools),
                Way::Copy | Way::CopyOnly => self.poll_copy(cx, from, to, piece, tools),
            };
            match read {
                Poll::Ready(Ok(Some(n))) => moved(n),
                // Another way from here on.
                Poll::Ready(Ok(None)) => {}
                Poll::Ready(Err(e)) => return Poll::Ready(Err(e)),
                Poll::Pending => {
                    // What TLS has put aside goes out before there is a pause.
                    return match to.poll_flush(cx) {
                        Poll::Ready(Err(e)) => Poll::Ready(Err(at_destination(e))),
                        Poll::Ready(Ok(())) | Poll::Pending => Poll::Pending,
                    };
                }
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Writes what is held. Ready when nothing is.
    fn poll_held(
        &mut self,
        cx: &mut Context<'_>,
        to: &mut Side,
        tools: &Tools,
        moved: &mut impl FnMut(usize),
    ) -> Poll<Result<(), Broken>> {
        match &mut self.held {
            Held::Nothing => return Poll::Ready(Ok(())),
            Held::Bytes(bytes, at) => {
                while *at < bytes.len() {
                    let n = ready!(to.poll_write(cx, &bytes[*at..])).and_then(some).map_err(at_destination)?;
                    *at += n;
                    // Nothing new was read, but the connection is not idle.
                    moved(0);
                }
            }
            Held::Pipe(pipe) => {
                while pipe.held() > 0 {
                    ready!(poll_empty(cx, pipe, to))?;
                    moved(0);
                }
            }
        }
        // A pipe stays for the next piece; it is given back when there is none.
        if self.way != Way::Splice {
            self.release(tools);
        }
        Poll::Ready(Ok(()))
    }

    /// One piece through the scratch buffer.
    fn poll_copy(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut Side,
        to: &mut Side,
        piece: Option<usize>,
        tools: &Tools,
    ) -> Poll<Result<Option<usize>, Broken>> {
        let scratch = &mut *tools.scratch.borrow_mut();
        let scratch = &mut scratch[..piece.unwrap_or(SCRATCH).min(SCRATCH)];
        let n = ready!(from.poll_read(cx, scratch)).map_err(at_source)?;
        if n == 0 {
            self.stage = Stage::Ended;
            return Poll::Ready(Ok(Some(0)));
        }
        if self.way == Way::Copy {
            self.streak = if n == SCRATCH { self.streak + 1 } else { 0 };
            if self.streak == FULL_READS {
                self.streak = 0;
                self.way = if from.tcp().is_some() && to.tcp().is_some() { Way::Splice } else { Way::CopyOnly };
            }
        }
        let mut rest = &scratch[..n];
        while !rest.is_empty() {
            match to.poll_write(cx, rest) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(at_destination(io::ErrorKind::WriteZero.into()))),
                Poll::Ready(Ok(n)) => rest = &rest[n..],
                Poll::Ready(Err(e)) => return Poll::Ready(Err(at_destination(e))),
                Poll::Pending => {
                    self.held = Held::Bytes(rest.into(), 0);
                    break;
                }
            }
        }
        Poll::Ready(Ok(Some(n)))
    }

    /// One piece through a pipe.
    fn poll_splice(&mut self, cx: &mut Context<'_>, from: &Side, tools: &Tools) -> Poll<Result<Option<usize>, Broken>> {
        let Some(from) = from.tcp() else { return self.copies(Way::CopyOnly) };
        loop {
            if from.poll_read_ready(cx).is_pending() {
                self.release(tools);
                return Poll::Pending;
            }
            let mut pipe = match std::mem::take(&mut self.held) {
                Held::Pipe(pipe) => pipe,
                // Nothing else is held when something is read.
                Held::Nothing | Held::Bytes(..) => match tools.pipes.take() {
                    Some(pipe) => pipe,
                    None => return self.copies(Way::Copy),
                },
            };
            let filled = pipe.fill(from);
            self.held = Held::Pipe(pipe);
            match filled {
                Ok(0) => {
                    self.release(tools);
                    self.stage = Stage::Ended;
                    return Poll::Ready(Ok(Some(0)));
                }
                Ok(n) => {
                    self.streak = if n < SMALL { self.streak + 1 } else { 0 };
                    if self.streak == SMALL_READS {
                        self.streak = 0;
                        self.way = Way::Copy;
                    }
                    return Poll::Ready(Ok(Some(n)));
                }
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
                Err(e) if e.kind() == io::ErrorKind::InvalidInput => {
                    self.release(tools);
                    return self.copies(Way::CopyOnly);
                }
                Err(e) => return Poll::Ready(Err(at_source(e))),
            }
        }
    }

    fn copies(&mut self, way: Way) -> Poll<Result<Option<usize>, Broken>> {
        self.way = way;
        self.streak = 0;
        Poll::Ready(Ok(None))
    }
}

/// Sends some of what is in a pipe.
fn poll_empty(cx: &mut Context<'_>, pipe: &mut Pipe, to: &Side) -> Poll<Result<(), Broken>> {
    // Only what is to go to a TCP socket is put into a pipe.
    let Some(to) = to.tcp() else {
        return Poll::Ready(Err(at_destination(io::ErrorKind::InvalidInput.into())));
    };
    loop {
        ready!(to.poll_write_ready(cx)).map_err(at_destination)?;
        match pipe.empty(to).and_then(some) {
            Ok(_) => return Poll::Ready(Ok(())),
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
            Err(e) => return Poll::Ready(Err(at_destination(e))),
        }
    }
}

fn some(n: usize) -> io::Result<usize> {
    if n == 0 { Err(io::ErrorKind::WriteZero.into()) } else { Ok(n) }
}

/// Who is gone need not be told; reading from it says how it went.
fn gone(e: io::Error) -> io::Result<()> {
    if e.kind() == io::ErrorKind::NotConnected { Ok(()) } else { Err(e) }
}

fn at_source(error: io::Error) -> Broken {
    Broken { at: At::Source, error }
}

fn at_destination(error: io::Error) -> Broken {
    Broken { at: At::Destination, error }
}
