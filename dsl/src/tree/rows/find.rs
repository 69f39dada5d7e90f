//! Looking up the key that a request makes.

use super::{MAX_KEY, RowIdx, Rows};
use crate::tree::fields::{self, Read};
use crate::tree::ir::{Field, KeyText, KeyType, Lookup};
use crate::tree::request::Request;
use arc_swap::Guard;
use std::sync::Arc;

/// A row that was found, and the rows that it is one of: it stays what it is while others replace them.
pub struct Cell {
    rows: Guard<Arc<Rows>>,
    row: RowIdx,
}

impl Cell {
    /// Its value.
    pub fn value(&self) -> &str {
        self.rows.value(self.row)
    }

    /// Its key.
    pub fn key(&self) -> &str {
        self.rows.key(self.row)
    }

    /// Which of the declared set its value is.
    pub fn choice(&self) -> usize {
        self.rows.choice(self.row)
    }

    /// Its number, from 1.
    pub fn number(&self) -> usize {
        self.row as usize + 1
    }

    /// The line that it begins on, from 1.
    pub fn line(&self) -> u32 {
        self.rows.line(self.row)
    }
}

/// What a look-up finds.
pub enum Found {
    /// A part of the key is missing, or no row has the key.
    Missing,
    /// A field of the key arrived several times with different values.
    Conflict(Field),
    /// A row.
    Row(Cell),
}

impl Lookup {
    /// Looks the key of a request up. Nothing is allocated.
    pub fn find(&self, req: &impl Request) -> Found {
        let rows = self.table.rows();
        let row = match self.table.schema.key {
            KeyType::Net => match self.address(req) {
                Ok(ip) => ip.and_then(|ip| rows.find_ip(ip)),
                Err(field) => return Found::Conflict(field),
            },
            key => {
                let mut text = Key { bytes: [0; MAX_KEY], len: 0 };
                match self.text(req, key == KeyType::Host, &mut text) {
                    Ok(true) => rows.find(&text.bytes[..text.len]),
                    Ok(false) => None,
                    Err(field) => return Found::Conflict(field),
                }
            }
        };
        row.map_or(Found::Missing, |row| Found::Row(Cell { rows, row }))
    }

    fn address(&self, req: &impl Request) -> Result<Option<std::net::IpAddr>, Field> {
        match self.key.as_slice() {
            [KeyText::Field { field, lower: _ }] => match fields::read(field, req) {
                Read::One(text) => Ok(text.ip()),
                Read::Missing => Ok(None),
                Read::Conflict => Err(field.clone()),
            },
            [KeyText::Text(text)] => Ok(text.parse().ok()),
            _ => Ok(None),
        }
    }

    /// False where a part is missing, or the key is longer than any in a table.
    fn text(&self, req: &impl Request, fold: bool, into: &mut Key) -> Result<bool, Field> {
        for part in &self.key {
            let fits = match part {
                KeyText::Text(text) => text.bytes().all(|byte| into.push(byte)),
                KeyText::Field { field, lower } => match fields::read(field, req) {
                    Read::One(text) => text.with(|mut bytes| {
                        bytes.all(|byte| into.push(if fold || *lower { byte.to_ascii_lowercase() } else { byte }))
                    }),
                    Read::Missing => false,
                    Read::Conflict => return Err(field.clone()),
                },
            };
            if !fits {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Whether a field of the key can arrive several times.
    pub(crate) fn repeats(&self) -> bool {
        self.fields().any(fields::repeats)
    }

    /// The fields of the key.
    pub fn fields(&self) -> impl Iterator<Item = &Field> {
        self.key.iter().filter_map(|part| match part {
            KeyText::Field { field, lower: _ } => Some(field),
            KeyText::Text(_) => None,
        })
    }
}

/// A key on the stack.
struct Key {
    bytes: [u8; MAX_KEY],
    len: usize,
}

impl Key {
    fn push(&mut self, byte: u8) -> bool {
        let Some(place) = self.bytes.get_mut(self.len) else { return false };
        *place = byte;
        self.len += 1;
        true
    }
}
