//! Session tickets: what a client shows to resume a session instead of shaking hands in full.
//!
//! rustls's own ticketer keeps its keys to itself, so that they end with the process. Ours derives them
//! of secrets that all workers share, that turn every six hours, and that lie in the data directory: a
//! ticket opens on another worker, after a reload, and after a restart.
//!
//! A session says who the client proved to be. So sessions that may not be taken for one another have
//! a [`Boundary`] each, and keys that have nothing in common: a ticket of one opens nowhere else.

mod ring;
mod seal;

use crate::files::{OWNER, write_whole};
use arc_swap::ArcSwap;
use aws_lc_rs::digest::{SHA256, digest};
use rustls::server::ProducesTickets;
use std::fmt;
use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use zeroize::Zeroizing;

pub use ring::Ring;

/// The file in the data directory.
const FILE: &str = "tickets.key";
/// No file of ours is longer; of another one no more is read.
const LONGEST: u64 = 4095;
/// How often the clock is looked at. A secret ends so much later at most.
const LOOK: Duration = Duration::from_secs(60);

/// What sets sessions apart; see [`boundary`].
pub type Boundary = [u8; 32];

/// The boundary of sessions that these parts describe: any change in any part is another boundary.
#[must_use]
pub fn boundary(parts: &[&[u8]]) -> Boundary {
    let mut text = Vec::new();
    for part in parts {
        // With its length before it, no part runs into the next one.
        text.extend_from_slice(&part.len().to_be_bytes());
        text.extend_from_slice(part);
    }
    let mut boundary = Boundary::default();
    boundary.copy_from_slice(digest(&SHA256, &text).as_ref());
    boundary
}

/// Where all tickets of this process come from; clones share their secrets.
#[derive(Clone)]
pub struct Tickets {
    ring: Arc<ArcSwap<Ring>>,
    /// Ends the thread that turns the secrets, when the last clone is dropped.
    _turning: Arc<Sender<()>>,
}

impl fmt::Debug for Tickets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tickets").finish_non_exhaustive()
    }
}

impl Tickets {
    /// With the secrets that the data directory holds, or new ones where it holds none that can be used.
    /// Without a directory they end with the process. `tell` is told, in words, what could not be read
    /// or kept; it is no reason not to serve.
    ///
    /// # Errors
    /// When there is no thread to turn them, or no random number to be had.
    pub fn start(data: Option<&Path>, tell: impl Fn(String) + Send + 'static) -> io::Result<Self> {
        let file = data.map(|data| data.join(FILE));
        let found = file.as_deref().map_or_else(|| Ok(Ring::default()), read);
        let found = found.unwrap_or_else(|trouble| {
            tell(format!("{trouble}; session tickets have new keys, so clients of before shake hands in full once"));
            Ring::default()
        });
        let ring = Arc::new(ArcSwap::from_pointee(found));
        let mut keeper = Keeper { ring: Arc::clone(&ring), file, told: false, tell };
        keeper.turn(now());
        if ring.load().secrets().is_empty() {
            return Err(io::Error::other("the system draws no random numbers"));
        }
        let (turning, ended) = channel();
        std::thread::Builder::new().name("tickets".into()).spawn(move || {
            // Nothing is ever sent: the thread ends with the last sender.
            while ended.recv_timeout(LOOK) == Err(RecvTimeoutError::Timeout) {
                keeper.turn(now());
            }
        })?;
        Ok(Self { ring, _turning: Arc::new(turning) })
    }

    /// The tickets of the sessions in a boundary. Whoever asks for the same one twice gets the same
    /// keys, before and after a restart.
    #[must_use]
    pub fn of(&self, boundary: Boundary) -> Arc<dyn ProducesTickets> {
        Arc::new(seal::Within::new(Arc::clone(&self.ring), boundary))
    }
}

/// Turns the secrets, and keeps them.
struct Keeper<T> {
    ring: Arc<ArcSwap<Ring>>,
    file: Option<PathBuf>,
    /// That they cannot be kept was said.
    told: bool,
    tell: T,
}

impl<T: Fn(String)> Keeper<T> {
    /// Does what is due at a time, in seconds since 1970.
    fn turn(&mut self, now: u64) {
        let turned = self.ring.load().turned(now).map(Arc::new);
        let due = turned.is_some() || self.told;
        let ring = turned.unwrap_or_else(|| self.ring.load_full());
        // Before a ticket is sealed with it: what a client was given opens after a crash as well. What
        // could not be written is tried again each time.
        if due && let Some(file) = &self.file {
            match write_whole(file, OWNER, &ring.encode()) {
                Ok(()) => self.told = false,
                Err(trouble) => {
                    if !std::mem::replace(&mut self.told, true) {
                        (self.tell)(format!(
                            "cannot keep the keys of session tickets: {trouble}; a restart forgets them"
                        ));
                    }
                }
            }
        }
        self.ring.store(ring);
    }
}

/// The secrets in a file; none when there is no file.
fn read(path: &Path) -> io::Result<Ring> {
    let named = |kind, words: &str| io::Error::new(kind, format!("{}: {words}", path.display()));
    let file = match File::open(path) {
        Ok(file) => file,
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(Ring::default()),
        Err(e) => return Err(named(e.kind(), &e.to_string())),
    };
    let mut content = Zeroizing::new(Vec::with_capacity(4096));
    let read = file.metadata().and_then(|data| file.take(LONGEST).read_to_end(&mut content).map(|_| data));
    let data = read.map_err(|e| named(e.kind(), &e.to_string()))?;
    if data.permissions().mode() & 0o077 != 0 {
        return Err(named(ErrorKind::InvalidData, "others than its owner may use it"));
    }
    Ring::decode(&content).ok_or_else(|| named(ErrorKind::InvalidData, "damaged, or not ours"))
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests;
