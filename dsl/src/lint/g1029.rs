//! ## What
//!
//! A table, or a row of one, that cannot be read; or a file of users or API keys, which is read likewise.
//!
//! ## Why
//!
//! Rows are typed. A file of rows with a bad one is refused whole, and the rows before it stay: a tenant
//! that is routed to nowhere would be noticed too late.
//!
//! ## Wrong
//!
//! ```route
//! pool gold   = 10.0.0.1:80
//! pool silver = 10.0.0.2:80
//!
//! table tenants: text -> pool {
//!     "acme"   -> gold
//!     "globex" -> silver
//!     "acme"   -> silver
//! }
//!
//! site {tenant}.example.app {
//!     else -> tenants[tenant] else respond 404
//! }
//! ```
//!
//! ## Right
//!
//! ```route
//! pool gold   = 10.0.0.1:80
//! pool silver = 10.0.0.2:80
//!
//! table tenants: text -> pool {
//!     "acme"   -> gold
//!     "globex" -> silver
//! }
//!
//! site {tenant}.example.app {
//!     else -> tenants[tenant] else respond 404
//! }
//! ```

use crate::diagnostic::Diagnostic;
use crate::syntax::span::Loc;
use crate::tree::rows::Wrong;
use std::sync::Arc;

/// A key or value that is not of its type.
pub(crate) fn row(loc: Loc, why: &str) -> Diagnostic {
    Diagnostic::error("G1029", loc, why)
}

/// A mistake in a file of rows.
pub(crate) fn in_file(loc: Loc, wrong: &Wrong) -> Diagnostic {
    let d = Diagnostic::error("G1029", loc, wrong.message.as_str());
    let d = match wrong.other {
        Some((span, text)) => d.label(Loc { span, ..loc }, text),
        None => d,
    };
    wrong.note.iter().fold(d, |d, note| d.note(note.as_str()))
}

/// Rows beside a file of rows.
pub(crate) fn both(loc: Loc, from: Loc) -> Diagnostic {
    Diagnostic::error("G1029", loc, "the rows of a table stand in its block or in a file, not in both")
        .label(from, "the file")
}

/// Neither.
pub(crate) fn no_rows(loc: Loc, name: &str) -> Diagnostic {
    Diagnostic::error("G1029", loc, format!("the table `{name}` has no rows"))
        .help("write them in a block, or name a file", format!("table {name} from \"data/{name}.csv\""), None)
}

/// Pools from a file, whose names nobody declared.
pub(crate) fn no_set(loc: Loc, name: &str, key: &str, pools: Vec<String>) -> Diagnostic {
    let pools = if pools.is_empty() { "a, b".to_owned() } else { pools.join(", ") };
    Diagnostic::error("G1029", loc, format!("`{name}` reads pools from a file, and does not say which they may be"))
        .note("a proof speaks of the pools that are declared, whatever the file says tomorrow")
        .help("declare them", format!("table {name}: {key} -> pool in [{pools}] from …"), None)
}

/// A type that keys cannot have.
pub(crate) fn no_key_type(loc: Loc, found: &str) -> Diagnostic {
    Diagnostic::error("G1029", loc, format!("`{found}` is no type of keys"))
        .note("keys are text, host, path, int, ip or cidr")
}

/// A type that values cannot have.
pub(crate) fn no_value_type(loc: Loc, found: &str) -> Diagnostic {
    Diagnostic::error("G1029", loc, format!("`{found}` is no type of values"))
        .note("values are pool, text, host, path, url, int or ip")
}

/// `in []`
pub(crate) fn empty_set(loc: Loc) -> Diagnostic {
    Diagnostic::error("G1029", loc, "no value could be in this set")
}

/// A value twice in the declared set.
pub(crate) fn in_set_twice(loc: Loc, text: &str) -> Diagnostic {
    Diagnostic::error("G1029", loc, format!("`{text}` is in this set already"))
}

/// A value outside it.
pub(crate) fn not_in_set(loc: Loc, text: &str, among: &[Arc<str>]) -> Diagnostic {
    Diagnostic::error("G1029", loc, format!("`{text}` is not in the declared set [{}]", among.join(", ")))
}

/// A key twice.
pub(crate) fn twice(loc: Loc, key: &str, first: Loc) -> Diagnostic {
    Diagnostic::error("G1029", loc, format!("the key `{key}` stands twice")).label(first, "the first one")
}

/// Something else in a table.
pub(crate) fn no_row(loc: Loc) -> Diagnostic {
    Diagnostic::error("G1029", loc, "a table holds rows, nothing else").help("a row is", "\"key\" -> value", None)
}

/// A key without quotes.
pub(crate) fn bare_key(loc: Loc, text: &str) -> Diagnostic {
    Diagnostic::error("G1029", loc, format!("a key that is a text stands in quotes: `\"{text}\"`")).help(
        "write",
        format!("\"{text}\""),
        super::replace(loc, &format!("\"{text}\""), true),
    )
}

/// A key of another type than the others.
pub(crate) fn other_key(loc: Loc, text: &str, want: &str) -> Diagnostic {
    Diagnostic::error("G1029", loc, format!("the keys of this table are {want}, `{text}` is not"))
}

/// A file whose name has another ending.
pub(crate) fn other_file(loc: Loc, path: &str, endings: &[&str]) -> Diagnostic {
    let endings: Vec<String> = endings.iter().map(|ending| format!("`.{ending}`")).collect();
    let endings = endings.join(", ");
    Diagnostic::error("G1029", loc, format!("rows are read from a file that ends in {endings}, `{path}` does not"))
}

/// `t[key]` where rows are keys alone.
pub(crate) fn no_values(loc: Loc, table: &str, at: Loc) -> Diagnostic {
    Diagnostic::error("G1029", loc, format!("the rows of `{table}` are keys, and lead to no value"))
        .label(at, "declared here")
        .help("ask whether there is one", format!("client.ip in {table}"), None)
}

/// A file of users or keys that is called otherwise.
pub(crate) fn other_ending(loc: Loc, path: &str, ending: &str) -> Diagnostic {
    Diagnostic::error("G1029", loc, format!("these lines are read from a file that ends in `{ending}`, `{path}` does not"))
}

/// A file that is not there.
pub(crate) fn unreadable(loc: Loc, path: &str, why: &str) -> Diagnostic {
    Diagnostic::error("G1029", loc, format!("`{path}` cannot be read: {why}"))
}

/// `x[y]` where x is no table.
pub(crate) fn no_table(loc: Loc, name: &str, found: &str) -> Diagnostic {
    Diagnostic::error("G1029", loc, format!("`{name}` is {found}: only tables are looked up"))
}

/// A key that the table cannot have.
pub(crate) fn key_of_other_type(loc: Loc, table: &str, want: &str, found: &str, at: Loc) -> Diagnostic {
    Diagnostic::error("G1029", loc, format!("the key of `{table}` is {want}, this is {found}")).label(at, "declared here")
}

/// `t[hash(x)]`
pub(crate) fn made_key(loc: Loc) -> Diagnostic {
    Diagnostic::error("G1029", loc, "a key is looked up as it arrived, or in lower case: no other function stands around it")
}

/// A table of other values as a destination.
pub(crate) fn not_pools(loc: Loc, table: &str, values: &str, at: Loc) -> Diagnostic {
    Diagnostic::error("G1029", loc, format!("a route leads to a pool; the values of `{table}` are of type {values}"))
        .label(at, "declared here")
        .help("declare pools", format!("table {table}: text -> pool in [a, b] from …"), None)
}

/// A pool of a table where a text is needed.
pub(crate) fn pool_as_text(loc: Loc, lookup: &str) -> Diagnostic {
    Diagnostic::error("G1029", loc, format!("`{lookup}` is a pool, and pools are no text"))
        .help("route by it", format!("-> {lookup} else respond 404"), None)
}
