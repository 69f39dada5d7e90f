//! Countries of addresses: `gateway { country "GeoLite2-Country.mmdb" }`, a file in MaxMind's format.
//!
//! The control plane reads the file whole, again when it changes; a data thread looks up in memory, and only where a
//! program reads `client.country`. What was read stays in force until there is something newer that makes sense.

use crate::files::Stamp;
use crate::tls::Told;
use arc_swap::ArcSwapOption;
use maxminddb::{PathElement, Reader, WithinOptions};
use std::fmt;
use std::fs::File;
use std::io::Read;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// No file of countries is larger, bytes: the largest that MaxMind sells have half of it.
const LARGEST: u64 = 1 << 30;
/// In so many networks there must be one that lies in a country.
const LOOKED_AT: usize = 10_000;
/// Where a record says its country.
const CODE: [PathElement<'static>; 2] = [PathElement::Key("country"), PathElement::Key("iso_code")];

/// Where addresses are, as far as it is known. Shared; data threads ask, the control plane reads.
#[derive(Default)]
pub struct Countries {
    held: ArcSwapOption<Reader<Vec<u8>>>,
    source: Mutex<Source>,
}

#[derive(Default)]
struct Source {
    path: Option<PathBuf>,
    /// How the file was when it was read last.
    stamp: Option<Stamp>,
    /// Why nothing could be made of it then, and whether that was told.
    trouble: Option<(String, bool)>,
}

impl Countries {
    /// The code of an address's country: two capitals, where it is known.
    #[must_use]
    pub fn of(&self, ip: IpAddr) -> Option<&'static str> {
        let held = self.held.load();
        code(held.as_ref()?.lookup(ip).ok()?.decode_path(&CODE).ok()??)
    }

    /// Whether there is a file to look at.
    #[must_use]
    pub fn has_file(&self) -> bool {
        self.source.lock().unwrap_or_else(PoisonError::into_inner).path.is_some()
    }

    /// Reads from this file from now on. With `None` there is nothing to look at any more; what was read goes on, for
    /// versions of files that go on too.
    pub fn read_from(&self, path: Option<PathBuf>) -> Vec<Told> {
        let mut source = self.source.lock().unwrap_or_else(PoisonError::into_inner);
        if path == source.path {
            return Vec::new();
        }
        *source = Source { path, ..Source::default() };
        let mut told = Vec::new();
        self.read(&mut source, &mut told);
        self.tell(&mut source, &mut told);
        told
    }

    /// Gives up what was read: nobody asks any more.
    pub fn forget(&self) {
        self.held.store(None);
    }

    /// Reads the file if it changed, and tells what is new. Trouble is told at the look after: who writes a file is
    /// given until then.
    pub fn look(&self) -> Vec<Told> {
        let mut source = self.source.lock().unwrap_or_else(PoisonError::into_inner);
        let mut told = Vec::new();
        let Some(path) = &source.path else { return told };
        if Stamp::of(path) == source.stamp {
            self.tell(&mut source, &mut told);
        } else {
            self.read(&mut source, &mut told);
        }
        told
    }

    fn read(&self, source: &mut Source, told: &mut Vec<Told>) {
        let Some(path) = &source.path else { return };
        source.stamp = Stamp::of(path);
        match read(path) {
            Ok(reader) => {
                let made = reader.metadata();
                let day = dsl::calendar::date(made.build_epoch / 86_400);
                let words = format!(
                    "countries read: {} ({}, made {:04}-{:02}-{:02})",
                    path.display(),
                    crate::console::printable(&made.database_type),
                    day.0,
                    day.1,
                    day.2
                );
                told.push(Told { wrong: false, words });
                self.held.store(Some(Arc::new(reader)));
                source.trouble = None;
            }
            Err(why) => {
                let before = source.trouble.take().is_some_and(|(known, told)| told && known == why);
                source.trouble = Some((why, before));
            }
        }
    }

    fn tell(&self, source: &mut Source, told: &mut Vec<Told>) {
        let (Some(path), Some((why, said @ false))) = (&source.path, &mut source.trouble) else { return };
        *said = true;
        let goes_on = match self.held.load().as_deref() {
            Some(_) => "what was read before goes on",
            None => "no client has a country",
        };
        let words = format!("{}: {why}; {goes_on}. Put the file in its place, it is read at once", path.display());
        told.push(Told { wrong: true, words });
    }
}

/// A file, read and looked through.
fn read(path: &Path) -> Result<Reader<Vec<u8>>, String> {
    let file = File::open(path).map_err(|e| e.to_string())?;
    if !file.metadata().map_err(|e| e.to_string())?.is_file() {
        return Err("it is not a regular file".to_owned());
    }
    let mut bytes = Vec::new();
    file.take(LARGEST + 1).read_to_end(&mut bytes).map_err(|e| e.to_string())?;
    if bytes.len() as u64 > LARGEST {
        return Err(format!("it has more than {LARGEST} bytes"));
    }
    let wrong = |e: maxminddb::MaxMindDbError| format!("it is no sound file in MaxMind's format ({e})");
    let reader = Reader::from_source(bytes).map_err(wrong)?;
    reader.verify().map_err(wrong)?;
    let networks = reader.networks(WithinOptions::default()).map_err(wrong)?;
    let in_country = |found: Result<maxminddb::LookupResult<'_, Vec<u8>>, _>| {
        found.ok().and_then(|found| found.decode_path::<&str>(&CODE).ok()?).and_then(code).is_some()
    };
    if !networks.take(LOOKED_AT).any(in_country) {
        return Err(format!("it tells no countries (it is a file of the type {:?})", reader.metadata().database_type));
    }
    Ok(reader)
}

/// A code that lives as long as the process.
fn code(text: &str) -> Option<&'static str> {
    const ALL: [u8; 26 * 26 * 2] = {
        let mut all = [0; 26 * 26 * 2];
        let mut at = 0;
        while at < 26 * 26 {
            all[2 * at] = b'A' + (at / 26) as u8;
            all[2 * at + 1] = b'A' + (at % 26) as u8;
            at += 1;
        }
        all
    };
    static CODES: [u8; 26 * 26 * 2] = ALL;
    let &[first @ b'A'..=b'Z', second @ b'A'..=b'Z'] = text.as_bytes() else { return None };
    let at = 2 * (usize::from(first - b'A') * 26 + usize::from(second - b'A'));
    std::str::from_utf8(&CODES[at..at + 2]).ok()
}

impl fmt::Debug for Countries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Countries").field("known", &self.held.load().is_some()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sites::testing::TempDir;

    #[test]
    fn codes_are_two_capitals() {
        for known in ["AA", "DE", "ZZ", "XK"] {
            assert_eq!(code(known), Some(known));
        }
        for unknown in ["", "D", "de", "D1", "DEU", "É"] {
            assert_eq!(code(unknown), None, "{unknown}");
        }
    }

    #[test]
    fn a_file_that_makes_no_sense_is_told_once_and_nobody_is_anywhere() {
        let temp = TempDir::new("countries");
        temp.write("broken.mmdb", "hello");
        let countries = Countries::default();
        let told = countries.read_from(Some(temp.path().join("broken.mmdb")));
        assert!(told[0].wrong && told[0].words.contains("no sound file"), "{told:?}");
        assert_eq!((countries.look(), countries.of(IpAddr::from([192, 0, 2, 1]))), (Vec::new(), None));
        assert_eq!(countries.read_from(None), Vec::new());
        assert!(!countries.has_file());
    }
}
