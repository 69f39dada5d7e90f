//! Tables: rows of data by key, which are replaced while the program that asks them stays.

use super::{Answer, Field, PoolIdx};
use crate::syntax::span::{FileId, Loc};
use crate::tree::rows::Rows;
use arc_swap::{ArcSwap, Guard};
use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// What the keys of a table are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KeyType {
    /// Texts, byte for byte.
    Text,
    /// Hosts in lower case; `*.example.com` and `**.example.com` too, the most specific answers.
    Host,
    /// Canonical paths, as a whole.
    Path,
    /// `0|[1-9][0-9]{0,17}`
    Int,
    /// Addresses and networks; the longest match answers.
    Net,
}

impl KeyType {
    /// As it is written in the language.
    pub fn word(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Host => "host",
            Self::Path => "path",
            Self::Int => "int",
            Self::Net => "cidr",
        }
    }
}

/// What the values of a table are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ValueType {
    /// Pools of the declared set.
    Pool,
    /// Texts.
    Text,
    /// Hosts, in lower case.
    Host,
    /// Paths that start with `/`, canonical.
    Path,
    /// Whole URLs, `https://…` or `http://…`.
    Url,
    /// `0|[1-9][0-9]{0,17}`
    Int,
    /// Addresses.
    Ip,
    /// Hashed passwords; the keys are names of users, and the file is one of users.
    Hash,
    /// Whose an API key is; the keys are their hashes, and the file is one of keys.
    Owner,
    /// None: keys stand alone, and are there or not.
    Nothing,
}

impl ValueType {
    /// As it is written in the language.
    pub fn word(self) -> &'static str {
        match self {
            Self::Pool => "pool",
            Self::Text => "text",
            Self::Host => "host",
            Self::Path => "path",
            Self::Url => "url",
            Self::Int => "int",
            Self::Ip => "ip",
            Self::Hash => "hash",
            Self::Owner => "owner",
            Self::Nothing => "nothing",
        }
    }

    /// Whether nobody is shown the lines of such a file: there are hashes in it, or what should have been one.
    pub fn is_hidden(self) -> bool {
        matches!(self, Self::Hash | Self::Owner)
    }
}

/// What the rows of a table must be like. It stays while rows are replaced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schema {
    /// What the keys are.
    pub key: KeyType,
    /// What the values are.
    pub value: ValueType,
    /// The declared set of values; empty where any will do. Pools are named as they are written.
    pub among: Vec<Arc<str>>,
}

/// Where a table's rows stand, when they do not stand in the route file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct From {
    /// Relative to the folder of the file that declares the table.
    pub path: Arc<str>,
    /// The file that declares it.
    pub file: FileId,
    /// The number of the file of rows.
    pub data: FileId,
}

/// A table. Whoever holds it sees new rows as soon as they are there: programs do not change for it.
pub struct Table {
    /// The name it is declared with.
    pub name: Arc<str>,
    /// What its rows are like.
    pub schema: Schema,
    /// The file of its rows.
    pub from: Option<From>,
    /// Where it is declared.
    pub loc: Loc,
    /// Equal for tables that mean the same, whatever their rows are at the moment.
    id: Arc<str>,
    rows: ArcSwap<Rows>,
}

impl Table {
    /// A table with its first rows.
    pub fn new(name: Arc<str>, schema: Schema, from: Option<From>, loc: Loc, rows: Rows) -> Self {
        let source = from.as_ref().map_or_else(|| rows.digest(), |from| from.path.to_string());
        let Schema { key, value, among } = &schema;
        let id = format!("{} {} [{}] {source}", key.word(), value.word(), among.join(" "));
        // Those have no name of their own: theirs says whose folder they are in.
        let id = if value.is_hidden() { format!("{id} {name}").into() } else { id.into() };
        Self { name, schema, from, loc, id, rows: ArcSwap::from_pointee(rows) }
    }

    /// The rows of this moment.
    pub fn rows(&self) -> Guard<Arc<Rows>> {
        self.rows.load()
    }

    /// Lets other rows answer from now on. They must be of this table's schema.
    pub fn replace(&self, rows: Arc<Rows>) {
        self.rows.store(rows);
    }
}

impl fmt::Debug for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Table").field("name", &self.name).field("id", &self.id).finish_non_exhaustive()
    }
}

impl PartialEq for Table {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
    }
}

impl Eq for Table {}

impl Hash for Table {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.id.hash(state);
    }
}

impl PartialOrd for Table {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Table {
    fn cmp(&self, other: &Self) -> Ordering {
        self.id.cmp(&other.id)
    }
}

/// `tenants[tenant]`: the value of a table for a key that is made of the request. Missing where a part of
/// the key is, or no row has it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Lookup {
    /// The table.
    pub table: Arc<Table>,
    /// The parts of the key, joined.
    pub key: Vec<KeyText>,
}

/// A part of a key.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum KeyText {
    /// Literal text.
    Text(Arc<str>),
    /// A field of the request.
    Field {
        /// Which; never a look-up itself.
        field: Field,
        /// `lower(…)` was around it.
        lower: bool,
    },
}

/// `-> tenants[tenant] else answer`
#[derive(Clone, Debug, PartialEq)]
pub struct ByTable {
    /// What is looked up.
    pub lookup: Arc<Lookup>,
    /// The declared set: rows name one of these, by its place in [`Schema::among`].
    pub among: Vec<PoolIdx>,
    /// What answers where no row does.
    pub otherwise: Box<Answer>,
}
