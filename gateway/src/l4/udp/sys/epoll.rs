//! An epoll of our own: many sockets, one descriptor for the runtime.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Watches many sockets with one descriptor, which the worker's runtime watches.
#[derive(Debug)]
pub struct Epoll(OwnedFd);

/// A socket that has something.
#[derive(Clone, Copy, Debug)]
pub struct Ready {
    /// What it was added with.
    pub token: u64,
    /// Whether there are errors to be fetched.
    pub error: bool,
}

/// Where [`Epoll::wait`] puts what it finds.
pub struct Events(Box<[libc::epoll_event]>);

impl Events {
    /// Room for so many.
    #[must_use]
    pub fn new(count: usize) -> Self {
        Self(vec![libc::epoll_event { events: 0, u64: 0 }; count].into())
    }

    /// One of those that the last wait found.
    #[must_use]
    pub fn get(&self, index: usize) -> Ready {
        let event = self.0[index];
        Ready { token: event.u64, error: event.events & libc::EPOLLERR as u32 != 0 }
    }

    /// How many find room.
    #[must_use]
    pub fn room(&self) -> usize {
        self.0.len()
    }
}

impl Epoll {
    /// # Errors
    /// The system's.
    pub fn new() -> io::Result<Self> {
        // SAFETY: no pointers.
        let fd = unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the descriptor is new and nobody else's.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    /// Has the runtime watch it, by another descriptor of its own.
    ///
    /// # Errors
    /// The system's.
    pub fn watched(&self) -> io::Result<AsyncFd<OwnedFd>> {
        let fd = self.0.try_clone()?;
        // SAFETY: an `OwnedFd` keeps its descriptor open and the same until it is dropped.
        Ok(unsafe { AsyncFd::register_with_interest(fd, Interest::READABLE) }?)
    }

    /// Watches a socket until it is closed; each arrival is told once.
    ///
    /// # Errors
    /// The system's.
    pub fn add(&self, socket: RawFd, token: u64) -> io::Result<()> {
        let mut event = libc::epoll_event { events: (libc::EPOLLIN | libc::EPOLLET) as u32, u64: token };
        // SAFETY: the event lives until the call has returned.
        let done = unsafe { libc::epoll_ctl(self.0.as_raw_fd(), libc::EPOLL_CTL_ADD, socket, &raw mut event) };
        if done < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }

    /// The sockets that have something, without waiting. Returns how many.
    #[must_use]
    pub fn wait(&self, events: &mut Events) -> usize {
        // SAFETY: the events live until the call has returned, and the kernel is told how many there are.
        let n = unsafe { libc::epoll_wait(self.0.as_raw_fd(), events.0.as_mut_ptr(), events.0.len() as _, 0) };
        // It fails only when a signal interrupts it: nothing is lost, the descriptor stays readable.
        usize::try_from(n).unwrap_or(0)
    }
}
