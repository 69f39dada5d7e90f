//! Pipes for splice(2): what is in one has never been copied into this program.

use rustix::pipe::{PipeFlags, SpliceFlags, fcntl_setpipe_size, pipe_with, splice};
use std::cell::{Cell, RefCell};
use std::io;
use std::os::fd::OwnedFd;
use tokio::io::Interest;
use tokio::net::TcpStream;

/// What a pipe is asked to hold, bytes: the most that the system gives a user without privilege, and
/// what is given where that is refused. A gigabyte through the one costs half of what it costs through
/// pipes as they come, of 64 KB (docs/l4.md).
const SIZES: [usize; 2] = [1 << 20, 1 << 18];
/// Pipes that a worker has at one time. The system lets a user without privilege have 64 MB of them
/// before it makes them tiny; a connection without one is copied, which costs more.
const PIPES: usize = 64;
/// Empty pipes that are kept for the next one.
const KEPT: usize = 16;

/// The pipes of a worker.
#[derive(Debug, Default)]
pub(super) struct Pipes {
    empty: RefCell<Vec<Pipe>>,
    taken: Cell<usize>,
}

/// A pipe, empty or with what was read and not yet written.
#[derive(Debug)]
pub(super) struct Pipe {
    read: OwnedFd,
    write: OwnedFd,
    size: u32,
    held: u32,
}

impl Pipes {
    /// An empty pipe; `None` when there are enough, or the system gives none.
    pub(super) fn take(&self) -> Option<Pipe> {
        let pipe = match self.empty.borrow_mut().pop() {
            Some(pipe) => pipe,
            None if self.taken.get() < PIPES => Pipe::new().ok()?,
            None => return None,
        };
        self.taken.set(self.taken.get() + 1);
        Some(pipe)
    }

    /// Takes one back. What is in it is lost.
    pub(super) fn give(&self, pipe: Pipe) {
        self.taken.set(self.taken.get() - 1);
        let mut empty = self.empty.borrow_mut();
        if pipe.held == 0 && empty.len() < KEPT {
            empty.push(pipe);
        }
    }
}

impl Pipe {
    fn new() -> io::Result<Self> {
        let (read, write) = pipe_with(PipeFlags::NONBLOCK | PipeFlags::CLOEXEC)?;
        // Refused where the user has too many.
        let given = SIZES.iter().find_map(|size| fcntl_setpipe_size(&write, *size).ok());
        let size = given.unwrap_or(65_536);
        Ok(Self { read, write, size: u32::try_from(size).unwrap_or(65_536), held: 0 })
    }

    /// How many bytes are in it.
    pub(super) fn held(&self) -> usize {
        self.held as usize
    }

    /// How many bytes it holds at most.
    pub(super) fn size(&self) -> usize {
        self.size as usize
    }

    /// Takes what has arrived. INVARIANT: the pipe is empty, for a full one looks like a socket where
    /// nothing has arrived.
    pub(super) fn fill(&mut self, from: &TcpStream) -> io::Result<usize> {
        let n = from.try_io(Interest::READABLE, || {
            Ok(splice(from, None, &self.write, None, self.size(), SpliceFlags::MOVE | SpliceFlags::NONBLOCK)?)
        })?;
        // No more than its size.
        self.held += n as u32;
        Ok(n)
    }

    /// Sends what is in it.
    pub(super) fn empty(&mut self, to: &TcpStream) -> io::Result<usize> {
        let n = to.try_io(Interest::WRITABLE, || {
            Ok(splice(&self.read, None, to, None, self.held(), SpliceFlags::MOVE | SpliceFlags::NONBLOCK)?)
        })?;
        self.held -= n as u32;
        Ok(n)
    }
}
