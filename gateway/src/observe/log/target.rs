//! Where lines go, without ever waiting for whoever reads them.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// A pipe that says it is ready takes so many bytes without waiting (POSIX: PIPE_BUF).
const PIECE: usize = 4096;
/// How long a reader may take for one piece.
const PATIENCE: Duration = Duration::from_millis(500);
/// A file that cannot be written is opened again so often.
const AGAIN: Duration = Duration::from_secs(5);

/// What is written to.
#[derive(Debug)]
pub enum Target {
    /// Nothing.
    Off,
    /// The process's standard output.
    Stdout {
        /// Its reader is gone, and does not come back.
        closed: bool,
        /// Whether its last line was cut off.
        torn: bool,
    },
    /// A file, appended to.
    File {
        /// Which.
        path: PathBuf,
        /// It; `None` when it could not be opened or written.
        file: Option<File>,
        /// When that was.
        failed: Option<Instant>,
        /// Whether its last line was cut off.
        torn: bool,
    },
}

impl Target {
    /// The process's standard output.
    #[must_use]
    pub fn stdout() -> Self {
        Self::Stdout { closed: false, torn: false }
    }

    /// A file, opened when it is first written to.
    #[must_use]
    pub fn file(path: PathBuf) -> Self {
        Self::File { path, file: None, failed: None, torn: false }
    }

    /// Opens the file that has its name now.
    pub fn reopen(&mut self) {
        if let Self::File { file, failed, torn, .. } = self {
            *file = None;
            *failed = None;
            *torn = false;
        }
    }

    /// Opens a file that is not open, so that what is wrong with it is told before there is something to
    /// write.
    ///
    /// # Errors
    /// It cannot be opened.
    pub fn open(&mut self) -> io::Result<()> {
        let Self::File { path, file, failed, .. } = self else { return Ok(()) };
        opened(path, file).map(|_| ()).inspect_err(|_| *failed = Some(Instant::now()))
    }

    /// Its name, for messages.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Self::Off => "nowhere".into(),
            Self::Stdout { .. } => "standard output".into(),
            Self::File { path, .. } => path.display().to_string(),
        }
    }

    /// Writes whole lines.
    ///
    /// # Errors
    /// They could not be written, or only some of them. `None` stands for a failure that was there
    /// before, and is not tried again yet.
    pub fn write(&mut self, lines: &[u8]) -> Result<(), Option<io::Error>> {
        match self {
            Self::Off => Ok(()),
            Self::Stdout { closed: true, .. } => Err(None),
            Self::Stdout { closed, torn } => {
                let result = whole(lines, torn, |piece| to_pipe(io::stdout().as_fd(), piece));
                *closed = result.as_ref().is_err_and(|e| e.kind() == ErrorKind::BrokenPipe);
                result.map_err(Some)
            }
            Self::File { path, file, failed, torn } => {
                if failed.is_some_and(|at| at.elapsed() < AGAIN) {
                    return Err(None);
                }
                match to_file(path, file, torn, lines) {
                    Ok(()) => {
                        *failed = None;
                        Ok(())
                    }
                    Err(e) => {
                        *file = None;
                        *failed = Some(Instant::now());
                        Err(Some(e))
                    }
                }
            }
        }
    }
}

fn opened<'f>(path: &PathBuf, file: &'f mut Option<File>) -> io::Result<&'f mut File> {
    match file {
        Some(file) => Ok(file),
        None => {
            // A pipe of that name that nobody reads must not hold up the writer.
            let nonblock = i32::try_from(rustix::fs::OFlags::NONBLOCK.bits()).unwrap_or_default();
            let mut options = OpenOptions::new();
            options.append(true).create(true).mode(0o640).custom_flags(nonblock);
            Ok(file.insert(options.open(path)?))
        }
    }
}

fn to_file(path: &PathBuf, file: &mut Option<File>, torn: &mut bool, lines: &[u8]) -> io::Result<()> {
    let file = opened(path, file)?;
    whole(lines, torn, |piece| Ok(rustix::io::write(&*file, piece)?))
}

/// Writes one piece, when the reader is ready for it.
fn to_pipe(out: BorrowedFd<'_>, piece: &[u8]) -> io::Result<usize> {
    let patience = Timespec::try_from(PATIENCE).map_err(io::Error::other)?;
    let mut ready = [PollFd::new(&out, PollFlags::OUT)];
    if poll(&mut ready, Some(&patience))? == 0 {
        return Err(io::Error::new(ErrorKind::TimedOut, "its reader does not keep up"));
    }
    match rustix::io::write(out, &piece[..piece.len().min(PIECE)]) {
        Err(rustix::io::Errno::AGAIN) => Ok(0),
        result => Ok(result?),
    }
}

/// Writes all of it, piece by piece. A line that was cut off before ends here, so that the next one is
/// whole.
fn whole(lines: &[u8], torn: &mut bool, mut write: impl FnMut(&[u8]) -> io::Result<usize>) -> io::Result<()> {
    let end: &[u8] = if *torn { b"\n" } else { b"" };
    for mut left in [end, lines] {
        let all = left;
        while !left.is_empty() {
            match write(left) {
                Ok(written) => {
                    left = &left[written..];
                    let last = all[..all.len() - left.len()].last();
                    *torn = last.map_or(*torn, |last| *last != b'\n');
                }
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_was_cut_off_does_not_spoil_the_next() {
        let mut out = Vec::new();
        let mut torn = false;
        let mut room = 6;
        let mut disk = |piece: &[u8]| {
            let n = piece.len().min(room);
            room -= n;
            out.extend_from_slice(&piece[..n]);
            if n == 0 { Err(ErrorKind::StorageFull.into()) } else { Ok(n) }
        };
        assert!(whole(b"one\ntwo\n", &mut torn, &mut disk).is_err());
        assert!(torn);
        let mut again = Vec::new();
        whole(b"three\n", &mut torn, |piece| {
            again.extend_from_slice(piece);
            Ok(piece.len())
        })
        .unwrap();
        assert!(!torn);
        assert_eq!((out.as_slice(), again.as_slice()), (&b"one\ntw"[..], &b"\nthree\n"[..]));
    }
}
