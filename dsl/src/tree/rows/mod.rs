//! The rows of a table, packed: keys in one text, values once each, an index of row numbers.
//!
//! A row costs its key and fourteen bytes (hashed keys) or up to thirty-two (networks); what a value
//! costs is shared by all rows that have it. A look-up allocates nothing.

pub mod csv;
mod find;
mod keys;
mod nets;
mod read;

pub use find::{Cell, Found};
pub(crate) use read::MISTAKES;
pub use read::{MAX_KEY, Wrong, check_key, check_value, read};

use super::hash::hash;
use super::ir::KeyType;
use crate::syntax::span::Span;
use nets::Nets;
use std::collections::HashMap;
use std::net::IpAddr;

/// The index of a row, in the order of the file.
pub type RowIdx = u32;

/// No row.
const NONE: u32 = u32::MAX;
/// How the names of files of rows end.
pub const ENDINGS: &[&str] = &["csv", "txt", "netset", "ipset"];
/// How those do whose rows have values.
pub const WITH_VALUES: &[&str] = &["csv"];
/// Rows are chosen by whoever writes the file; clients cannot add any.
const SEED: u64 = 0x7461_626c_6573;

/// Whether a name has something before one of these endings.
#[must_use]
pub fn ends_in(name: &str, endings: &[&str]) -> bool {
    name.rsplit_once('.').is_some_and(|(stem, ending)| !stem.is_empty() && endings.contains(&ending))
}

/// Rows, immutable.
#[derive(Debug)]
pub struct Rows {
    keys: Box<str>,
    key_ends: Box<[u32]>,
    /// By row: which of the distinct values.
    values: Box<[u32]>,
    texts: Box<str>,
    text_ends: Box<[u32]>,
    lines: Lines,
    index: Index,
    /// Whether a key begins with `*`.
    wild: bool,
}

/// The lines that rows begin on, from 1.
#[derive(Debug)]
enum Lines {
    /// One after the other.
    From(u32),
    Each(Box<[u32]>),
}

#[derive(Debug)]
enum Index {
    /// Row numbers, by hash; a free place is [`NONE`].
    Hashed(Box<[u32]>),
    Nets(Nets),
}

/// A key that stands twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Twice {
    /// The first row that has it.
    pub first: RowIdx,
    /// The other one.
    pub again: RowIdx,
}

/// Rows that are being collected.
#[derive(Debug, Default)]
pub struct Builder {
    keys: String,
    key_ends: Vec<u32>,
    values: Vec<u32>,
    distinct: HashMap<Box<str>, u32>,
    texts: String,
    text_ends: Vec<u32>,
    lines: Vec<u32>,
}

impl Builder {
    /// Where values are numbers into a declared set: its texts, in this order.
    pub fn among(texts: impl IntoIterator<Item = impl AsRef<str>>) -> Self {
        let mut builder = Self::default();
        for text in texts {
            builder.value(text.as_ref());
        }
        builder
    }

    fn value(&mut self, text: &str) -> u32 {
        if let Some(known) = self.distinct.get(text) {
            return *known;
        }
        let number = u32::try_from(self.text_ends.len()).unwrap_or(NONE);
        self.texts.push_str(text);
        self.text_ends.push(u32::try_from(self.texts.len()).unwrap_or(NONE));
        self.distinct.insert(text.into(), number);
        number
    }

    /// Adds a row. Key and value are as their types spell them.
    pub fn push(&mut self, key: &str, value: &str, line: u32) {
        self.keys.push_str(key);
        self.key_ends.push(u32::try_from(self.keys.len()).unwrap_or(NONE));
        let value = self.value(value);
        self.values.push(value);
        self.lines.push(line);
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Bytes of keys so far.
    pub fn bytes(&self) -> usize {
        self.keys.len() + self.texts.len()
    }

    /// Packs them.
    ///
    /// # Errors
    /// Keys that stand twice.
    pub fn finish(self, key: KeyType) -> Result<Rows, Vec<Twice>> {
        let (rows, twice) = self.pack(key);
        if twice.is_empty() { Ok(rows) } else { Err(twice) }
    }

    /// Packs them, where no key stands twice. `spans`: where each row is shown; `message` is said of one whose key
    /// stood before.
    ///
    /// # Errors
    /// What is said, of ten rows at most, in their order.
    pub(crate) fn unique(
        self,
        key: KeyType,
        spans: &[Span],
        message: impl Fn(Span) -> String,
    ) -> Result<Rows, Vec<Wrong>> {
        self.finish(key).map_err(|mut twice| {
            twice.sort_unstable_by_key(|twice| twice.again);
            let said = twice.iter().take(MISTAKES).filter_map(|twice| {
                let (again, first) = (*spans.get(twice.again as usize)?, *spans.get(twice.first as usize)?);
                Some(Wrong { other: Some((first, "the first one")), ..Wrong::new(again, message(again)) })
            });
            said.collect()
        })
    }

    /// Packs them, and tells which keys stand twice: the first row of them is found.
    fn pack(self, key: KeyType) -> (Rows, Vec<Twice>) {
        let first = self.lines.first().copied().unwrap_or(1);
        let even = self.lines.iter().enumerate().all(|(at, line)| *line as usize == first as usize + at);
        let mut rows = Rows {
            keys: self.keys.into(),
            key_ends: self.key_ends.into(),
            values: self.values.into(),
            texts: self.texts.into(),
            text_ends: self.text_ends.into(),
            lines: if even { Lines::From(first) } else { Lines::Each(self.lines.into()) },
            index: Index::Hashed(Box::default()),
            wild: false,
        };
        let mut twice = Vec::new();
        rows.index = if key == KeyType::Net {
            let nets = (0..rows.count()).filter_map(|row| Some((read::net(rows.key(row))?, row)));
            Index::Nets(Nets::new(nets.collect(), &mut twice))
        } else {
            rows.wild = key == KeyType::Host && (0..rows.count()).any(|row| rows.key(row).starts_with('*'));
            Index::Hashed(rows.hashed(&mut twice))
        };
        (rows, twice)
    }
}

impl Rows {
    /// No rows.
    pub fn none(key: KeyType) -> Self {
        Builder::default().finish(key).expect("no key stands twice where there is none")
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    fn count(&self) -> u32 {
        // A builder numbers rows in 32 bits.
        u32::try_from(self.values.len()).unwrap_or(NONE)
    }

    /// The bytes that they take.
    pub fn bytes(&self) -> usize {
        let index = match &self.index {
            Index::Hashed(places) => size_of_val(&**places),
            Index::Nets(nets) => nets.bytes(),
        };
        let lines = match &self.lines {
            Lines::From(_) => 0,
            Lines::Each(lines) => size_of_val(&**lines),
        };
        let fixed = size_of_val(&*self.key_ends) + size_of_val(&*self.values) + size_of_val(&*self.text_ends);
        size_of::<Self>() + self.keys.len() + self.texts.len() + fixed + index + lines
    }

    /// The key of a row.
    pub fn key(&self, row: RowIdx) -> &str {
        part(&self.keys, &self.key_ends, row)
    }

    /// The value of a row.
    pub fn value(&self, row: RowIdx) -> &str {
        part(&self.texts, &self.text_ends, self.values[row as usize])
    }

    /// Which of the declared set the value of a row is.
    pub fn choice(&self, row: RowIdx) -> usize {
        self.values[row as usize] as usize
    }

    /// The line that a row begins on, from 1.
    pub fn line(&self, row: RowIdx) -> u32 {
        match &self.lines {
            Lines::From(first) => first + row,
            Lines::Each(lines) => lines[row as usize],
        }
    }

    /// The row of a key; of a host, the most specific one.
    pub fn find(&self, key: &[u8]) -> Option<RowIdx> {
        let row = self.exact(key);
        if row.is_none() && self.wild { self.wild(key) } else { row }
    }

    /// The row of the longest network that an address is in.
    pub fn find_ip(&self, ip: IpAddr) -> Option<RowIdx> {
        match &self.index {
            Index::Nets(nets) => nets.find(ip.to_canonical()),
            Index::Hashed(_) => None,
        }
    }

    fn exact(&self, key: &[u8]) -> Option<RowIdx> {
        let Index::Hashed(places) = &self.index else { return None };
        let mut at = place(hash(SEED, key), places.len())?;
        loop {
            let row = places[at];
            if row == NONE {
                return None;
            }
            if self.key(row).as_bytes() == key {
                return Some(row);
            }
            at = if at + 1 == places.len() { 0 } else { at + 1 };
        }
    }

    /// `*.b.c` and `**.b.c` for `a.b.c`, then `**.c`.
    fn wild(&self, host: &[u8]) -> Option<RowIdx> {
        let mut pattern = [b'*'; MAX_KEY + 3];
        let mut try_ = |stars: usize, parent: &[u8]| {
            let to = pattern.get_mut(stars..stars + parent.len())?;
            to.copy_from_slice(parent);
            let row = self.exact(&pattern[..stars + parent.len()]);
            pattern[..2].fill(b'*');
            row
        };
        let mut first = true;
        let mut rest = host;
        while let Some(dot) = rest.iter().position(|b| *b == b'.') {
            // With its dot.
            let parent = &rest[dot..];
            if let Some(row) = first.then(|| try_(1, parent)).flatten().or_else(|| try_(2, parent)) {
                return Some(row);
            }
            first = false;
            rest = &parent[1..];
        }
        None
    }

    fn hashed(&self, twice: &mut Vec<Twice>) -> Box<[u32]> {
        let mut places = vec![NONE; self.len() + self.len().div_ceil(2)];
        for row in 0..self.count() {
            let key = self.key(row);
            let Some(mut at) = place(hash(SEED, key.as_bytes()), places.len()) else { break };
            while places[at] != NONE {
                if self.key(places[at]) == key {
                    twice.push(Twice { first: places[at], again: row });
                }
                at = if at + 1 == places.len() { 0 } else { at + 1 };
            }
            places[at] = row;
        }
        places.into()
    }

    /// Tells rows from others: the same for the same keys and values.
    pub fn digest(&self) -> String {
        let mut text = String::new();
        for row in 0..self.count() {
            for part in [self.key(row), self.value(row)] {
                text.push_str(&part.len().to_string());
                text.push(':');
                text.push_str(part);
            }
        }
        format!("{:016x}{:016x}", hash(1, text.as_bytes()), hash(2, text.as_bytes()))
    }
}

/// A part of texts that were joined.
fn part<'t>(text: &'t str, ends: &[u32], number: u32) -> &'t str {
    let at = number as usize;
    let start = if at == 0 { 0 } else { ends[at - 1] as usize };
    &text[start..ends[at] as usize]
}

/// A place by the upper bits of a hash; none where there are no places.
fn place(hash: u64, places: usize) -> Option<usize> {
    (places > 0).then(|| ((u128::from(hash) * places as u128) >> 64) as usize)
}

#[cfg(test)]
mod tests;
