//! Lines that stand outside of route files, users and keys: of a secret, or of a file, which is read as rows of tables
//! are. Both follow what they are read from; where that cannot be read any more, what was read before stays.

use crate::secrets::Secrets;
use arc_swap::ArcSwapOption;
use dsl::tree::ir::{KeyType, Lines, Schema, Table, ValueType};
use dsl::tree::rows::{self, Rows, Wrong};
use std::sync::Arc;

/// What is wrong with a secret of lines; its content is not in it.
#[must_use]
pub fn wrong_lines(content: &[u8], what: ValueType) -> Option<String> {
    read(content, what).err()
}

/// The users of a secret; `None` where they cannot be read.
#[must_use]
pub fn users(content: &[u8]) -> Option<Rows> {
    read(content, ValueType::Hash).ok()
}

/// Where the lines of a call stand.
pub(super) struct Source {
    /// Tells them from others.
    pub(super) name: Arc<str>,
    from: From,
}

enum From {
    Secret { name: Arc<str>, secrets: Arc<Secrets>, what: ValueType, read: ArcSwapOption<Read> },
    File(Arc<Table>),
}

/// A secret as it was read.
struct Read {
    version: u64,
    rows: Option<Arc<Rows>>,
    trouble: Option<String>,
}

impl Source {
    pub(super) fn new(lines: &Lines, what: ValueType, secrets: &Arc<Secrets>) -> Self {
        let from = match lines {
            Lines::Secret(name) => {
                let (name, secrets) = (Arc::clone(name), Arc::clone(secrets));
                From::Secret { name, secrets, what, read: ArcSwapOption::empty() }
            }
            Lines::File(table) => From::File(Arc::clone(table)),
        };
        Self { name: lines.to_string().into(), from }
    }

    /// The lines as they are now, `None` where there never were any; and what is wrong, for the operator.
    pub(super) fn now(&self) -> (Option<Arc<Rows>>, Option<String>) {
        match &self.from {
            // What is wrong with a file is told when it is read.
            From::File(table) => (Some(Arc::clone(&table.rows())), None),
            From::Secret { name, secrets, what, read: known } => {
                let version = secrets.version();
                let before = known.load();
                if let Some(read) = before.as_ref().filter(|read| read.version == version) {
                    return (read.rows.clone(), read.trouble.clone());
                }
                let now = match secrets.get(name) {
                    None => Err(secrets.why_not(name)),
                    Some(secret) => read(secret.bytes(), *what),
                };
                let (rows, trouble) = match now {
                    Ok(rows) => (Some(Arc::new(rows)), None),
                    Err(why) => {
                        let stays = before.as_ref().and_then(|read| read.rows.clone());
                        (stays, Some(format!("secret {name}: {why}")))
                    }
                };
                known.store(Some(Arc::new(Read { version, rows: rows.clone(), trouble: trouble.clone() })));
                (rows, trouble)
            }
        }
    }
}

fn read(content: &[u8], what: ValueType) -> Result<Rows, String> {
    let text = std::str::from_utf8(content).map_err(|_| "it is not UTF-8".to_owned())?;
    let schema = Schema { key: KeyType::Text, value: what, among: Vec::new() };
    rows::read(&schema, text).map_err(|wrong| wrong.first().map_or_else(String::new, |wrong| told(text, wrong)))
}

fn told(text: &str, wrong: &Wrong) -> String {
    let before = text.get(..wrong.span.range().start).unwrap_or_default();
    format!("line {}: {}", before.matches('\n').count() + 1, wrong.message)
}
