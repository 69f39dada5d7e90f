//! The book on disk: a line for each record, made anew when most of them say nothing any more.
//!
//! An order is written down, and the line brought to the disk, before it is sent: whatever ends the process,
//! it counts. A line that was cut short at the end of the file is dropped; so is one that makes no sense.

use super::book::{Book, Record};
use crate::files::{self, OWNER};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Lines that say nothing any more and are no reason to make it anew.
const SLACK: usize = 1_000;

/// The ledger of a data directory.
#[derive(Debug)]
pub struct Ledger {
    path: PathBuf,
    file: Option<File>,
    lines: usize,
    /// Where the last whole line ends.
    len: u64,
}

/// What was read.
#[derive(Debug, Default)]
pub struct Read {
    /// What it comes to.
    pub book: Book,
    /// Lines that made no sense.
    pub dropped: usize,
    lines: usize,
    len: u64,
}

impl Ledger {
    /// The ledger in this directory. Nothing is read or written.
    #[must_use]
    pub fn at(dir: &Path) -> Self {
        Self { path: dir.join("ledger"), file: None, lines: 0, len: 0 }
    }

    /// Reads it, to go on with it or only to know: nothing is written.
    ///
    /// # Errors
    /// The file system's, naming the file.
    pub fn read(&mut self) -> io::Result<Read> {
        let text = match fs::read(&self.path) {
            Ok(text) => text,
            // Below what is no directory there is none either.
            Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                return Ok(Read::default());
            }
            Err(e) => return Err(files::named(&self.path, &e)),
        };
        let mut read = Read::default();
        for line in text.split_inclusive(|b| *b == b'\n') {
            let whole = line.ends_with(b"\n");
            match serde_json::from_slice::<Record>(line) {
                Ok(record) if whole => read.book.apply(&record),
                Ok(_) | Err(_) => read.dropped += 1,
            }
            if whole {
                read.lines += 1;
                read.len += line.len() as u64;
            }
        }
        (self.lines, self.len) = (read.lines, read.len);
        Ok(read)
    }

    /// Writes records down. When it returns they are on the disk.
    ///
    /// # Errors
    /// The file system's, naming the file: then none of them is.
    pub fn write(&mut self, records: &[Record]) -> io::Result<()> {
        let mut text = Vec::new();
        for record in records {
            serde_json::to_writer(&mut text, record).map_err(io::Error::other)?;
            text.push(b'\n');
        }
        let len = self.len;
        let write = |this: &mut Self| {
            let file = this.open()?;
            // What an earlier try left behind the last whole line is in the way.
            file.set_len(len)?;
            file.write_all(&text)?;
            file.sync_data()
        };
        write(self).map_err(|e| files::named(&self.path, &e))?;
        self.len += text.len() as u64;
        self.lines += records.len();
        Ok(())
    }

    /// Whether most of its lines say nothing any more.
    #[must_use]
    pub fn is_long(&self, book: &Book) -> bool {
        self.lines > 2 * book.len() + SLACK
    }

    /// Makes it anew, of this book.
    ///
    /// # Errors
    /// The file system's, naming the file: the old one goes on.
    pub fn rewrite(&mut self, book: &Book) -> io::Result<()> {
        let mut text = Vec::new();
        let mut lines = 0;
        for record in book.records() {
            serde_json::to_writer(&mut text, &record).map_err(io::Error::other)?;
            text.push(b'\n');
            lines += 1;
        }
        files::write_whole(&self.path, OWNER, &text)?;
        self.file = None;
        (self.lines, self.len) = (lines, text.len() as u64);
        Ok(())
    }

    fn open(&mut self) -> io::Result<&mut File> {
        let file = match self.file.take() {
            Some(file) => file,
            None => OpenOptions::new().append(true).create(true).mode(OWNER).open(&self.path)?,
        };
        Ok(self.file.insert(file))
    }
}

#[cfg(test)]
mod tests {
    use super::super::book::Issue;
    use super::*;
    use crate::sites::testing::TempDir;
    use std::os::unix::fs::PermissionsExt;
    use std::sync::Arc;

    fn ordered(name: &str, at: u64) -> Record {
        Record::Ordered { at, name: name.into(), by: "ca".into(), counts: true, domain: None }
    }

    fn issued(name: &str, at: u64) -> Record {
        let issue = Issue { by: Arc::from("ca"), from: at, until: at + 100, window: None };
        Record::Issued { at, name: name.into(), issue, elsewhere: false }
    }

    #[test]
    fn what_was_written_is_read_again_and_is_private() {
        let temp = TempDir::new("ledger");
        let mut ledger = Ledger::at(temp.path());
        assert!(ledger.read().unwrap().book.is_empty(), "there is none yet");
        ledger.write(&[ordered("a", 1)]).unwrap();
        ledger.write(&[issued("a", 2), ordered("b", 3)]).unwrap();
        let read = Ledger::at(temp.path()).read().unwrap();
        assert_eq!((read.dropped, read.book.names.len()), (0, 2));
        assert!(read.book.entry("a").unwrap().issue.is_some());
        assert_eq!(read.book.entry("b").unwrap().under_way, Some(3));
        let mode = fs::metadata(temp.path().join("ledger")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_torn_tail_and_damage_lose_their_lines_only() {
        let temp = TempDir::new("ledger-torn");
        let mut ledger = Ledger::at(temp.path());
        ledger.write(&[ordered("a", 1), ordered("b", 2), ordered("c", 3)]).unwrap();
        let path = temp.path().join("ledger");
        let whole = fs::read(&path).unwrap();
        // Cut wherever a crash may cut it, what is whole is read, and what is written next is whole again.
        for cut in 0..whole.len() {
            fs::write(&path, &whole[..cut]).unwrap();
            let mut ledger = Ledger::at(temp.path());
            let lines = whole[..cut].iter().filter(|b| **b == b'\n').count();
            assert_eq!(ledger.read().unwrap().book.names.len(), lines, "cut at {cut}");
            ledger.write(&[ordered("d", 4)]).unwrap();
            let read = Ledger::at(temp.path()).read().unwrap();
            assert_eq!((read.book.names.len(), read.dropped), (lines + 1, 0), "cut at {cut}");
        }
        let mut damaged = whole.clone();
        let second = whole.iter().position(|b| *b == b'\n').unwrap() + 5;
        damaged[second] = 0;
        fs::write(&path, damaged).unwrap();
        let read = Ledger::at(temp.path()).read().unwrap();
        assert_eq!((read.book.names.len(), read.dropped), (2, 1));
    }

    #[test]
    fn it_is_made_anew_when_most_of_it_says_nothing_any_more() {
        let temp = TempDir::new("ledger-long");
        let mut ledger = Ledger::at(temp.path());
        let mut book = Book::default();
        let mut n = 0;
        while !ledger.is_long(&book) {
            let records = [ordered("a", n), issued("a", n)];
            ledger.write(&records).unwrap();
            records.iter().for_each(|record| book.apply(record));
            book.forget(n, 10, |_| true);
            n += 1;
            assert!(n < 10_000, "it never is");
        }
        ledger.rewrite(&book).unwrap();
        assert!(!ledger.is_long(&book));
        ledger.write(&[ordered("b", n)]).unwrap();
        book.apply(&ordered("b", n));
        assert_eq!(Ledger::at(temp.path()).read().unwrap().book, book);
    }

    #[test]
    fn a_write_that_fails_writes_nothing() {
        let temp = TempDir::new("ledger-full");
        let mut ledger = Ledger::at(&temp.path().join("missing"));
        let refused = ledger.write(&[ordered("a", 1)]).unwrap_err().to_string();
        assert!(refused.contains("missing/ledger"), "{refused}");
        fs::create_dir(temp.path().join("missing")).unwrap();
        ledger.write(&[ordered("b", 2)]).unwrap();
        let read = ledger.read().unwrap();
        assert!(read.book.entry("a").is_none() && read.book.entry("b").is_some());
    }
}
