//! A file of rows, read by what its table says of them.

use super::csv::{Cell, Records};
use super::{Builder, Rows};
use crate::syntax::span::Span;
use crate::tree::ir::{KeyType, Schema, ValueType};
use crate::tree::{api_keys, users};
use ipnet::IpNet;
use std::borrow::Cow;
use std::collections::HashMap;
use std::net::IpAddr;

/// Bytes that a key may have.
pub const MAX_KEY: usize = 255;
/// Bytes that a value may have.
const MAX_VALUE: usize = 4096;
/// Bytes that keys and values may have together, so that places in them fit into 32 bits.
pub(super) const MAX_BYTES: usize = 1 << 30;
/// After so many mistakes reading stops.
pub(crate) const MISTAKES: usize = 10;

/// A mistake in a file of rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrong {
    /// Where.
    pub span: Span,
    /// What is wrong.
    pub message: String,
    /// Another place that matters, and why.
    pub other: Option<(Span, &'static str)>,
    /// A fact worth knowing.
    pub note: Option<String>,
}

impl Wrong {
    pub(crate) fn new(span: Span, message: String) -> Self {
        Self { span, message, other: None, note: None }
    }
}

/// Reads the rows of a CSV text: `key,value`. See docs/tables.md for the line that may stand above them. Where the
/// values are hashes or owners, the text is one of users or of keys.
///
/// # Errors
/// What is wrong, ten mistakes at most. Nothing of the text is to be used then.
pub fn read(schema: &Schema, text: &str) -> Result<Rows, Vec<Wrong>> {
    match schema.value {
        ValueType::Hash => return users::read(text),
        ValueType::Owner => return api_keys::read(text),
        ValueType::Nothing => return super::keys::read(schema.key, text),
        _ => {}
    }
    let mut builder = Builder::among(&schema.among);
    let declared: HashMap<&str, ()> = schema.among.iter().map(|value| (&**value, ())).collect();
    let mut spans: Vec<Span> = Vec::new();
    let mut wrong: Vec<Wrong> = Vec::new();
    let mut first = true;
    for record in Records::new(text) {
        if wrong.len() >= MISTAKES {
            return Err(wrong);
        }
        let record = match record {
            Ok(record) => record,
            Err(why) => {
                wrong.push(Wrong::new(why.span, why.message.into()));
                break;
            }
        };
        let head = std::mem::take(&mut first);
        let [key, value] = record.fields.as_slice() else {
            let count = record.fields.len();
            let fields = if count == 1 { "one field".to_owned() } else { format!("{count} fields") };
            let message = format!("{fields} in this line, and a row is a key and a value");
            let note = (count > 2).then(|| "a comma that belongs to a field needs quotes around the field".to_owned());
            wrong.push(Wrong { note, ..Wrong::new(record.span, message) });
            continue;
        };
        if head && is_head(schema, &declared, key, value) {
            continue;
        }
        let read = (check_key(schema.key, &key.text), check_value(schema.value, &value.text));
        let mut say = |cell: &Cell<'_>, message: String, note: Option<String>| {
            wrong.push(Wrong { note, ..Wrong::new(cell.span, message) });
        };
        match read {
            (Ok(key_text), Ok(value_text)) => {
                if !declared.is_empty() && !declared.contains_key(&*value_text) {
                    let message = format!("`{value_text}` is not in the declared set [{}]", schema.among.join(", "));
                    let spaced = declared.contains_key(value_text.trim());
                    say(value, message, spaced.then(|| "spaces around a value count".to_owned()));
                    continue;
                }
                builder.push(&key_text, &value_text, record.line);
                spans.push(key.span);
                if builder.bytes() > MAX_BYTES {
                    say(key, "the keys and values of a table take no more than 1 GB".to_owned(), None);
                    break;
                }
            }
            (key_read, value_read) => {
                if let Err(message) = key_read {
                    say(key, message, None);
                }
                if let Err(message) = value_read {
                    say(value, message, None);
                }
            }
        }
    }
    if !wrong.is_empty() {
        return Err(wrong);
    }
    let message = |again: Span| format!("the key `{}` stands twice", text.get(again.range()).unwrap_or_default());
    builder.unique(schema.key, &spans, message)
}

/// Whether the first line names the columns instead of being a row: its second field is `value`, or the
/// type of the values, without quotes; or its first field is `key`. Never where it is in the declared set.
fn is_head(schema: &Schema, declared: &HashMap<&str, ()>, key: &Cell<'_>, value: &Cell<'_>) -> bool {
    if key.quoted || value.quoted || declared.contains_key(&*value.text) {
        return false;
    }
    let is = |cell: &Cell<'_>, word: &str| cell.text.trim().eq_ignore_ascii_case(word);
    is(value, "value") || is(value, schema.value.word()) || is(key, "key")
}

/// The network that a key is; an address is the network of itself.
pub(super) fn net(text: &str) -> Option<IpNet> {
    text.parse::<IpNet>().ok().or_else(|| text.parse::<IpAddr>().ok().map(|ip| IpNet::from(ip.to_canonical())))
}

/// A key, as its type spells it.
///
/// # Errors
/// Why it is none.
pub fn check_key(ty: KeyType, text: &str) -> Result<Cow<'_, str>, String> {
    if text.is_empty() {
        return Err("a key is not empty".into());
    }
    if text.len() > MAX_KEY {
        return Err(format!("a key has {MAX_KEY} bytes at most"));
    }
    match ty {
        KeyType::Text => Ok(Cow::Borrowed(text)),
        KeyType::Host => {
            let bare = text.strip_prefix("**.").or_else(|| text.strip_prefix("*.")).unwrap_or(text);
            if is_host(bare) { Ok(lower(text)) } else { Err(format!("`{text}` is no host")) }
        }
        KeyType::Path => path(text),
        KeyType::Int => int(text),
        KeyType::Net => match net(text) {
            Some(net) if net.addr() == net.network() => {
                let same = net.prefix_len() == net.max_prefix_len() && text.contains('/');
                Ok(if same { Cow::Owned(net.addr().to_string()) } else { Cow::Borrowed(text) })
            }
            Some(net) => Err(format!("`{text}` has bits beyond its prefix: write {}", net.trunc())),
            None => Err(format!("`{text}` is no address and no network")),
        },
    }
}

/// A value, as its type spells it. Whether it is in a declared set is not looked at.
///
/// # Errors
/// Why it is none.
pub fn check_value(ty: ValueType, text: &str) -> Result<Cow<'_, str>, String> {
    if text.len() > MAX_VALUE {
        return Err(format!("a value has {MAX_VALUE} bytes at most"));
    }
    if text.bytes().any(|b| b.is_ascii_control() && b != b'\t') {
        return Err("a value has no control bytes and is on one line".into());
    }
    match ty {
        ValueType::Pool | ValueType::Text | ValueType::Hash | ValueType::Owner | ValueType::Nothing => {
            Ok(Cow::Borrowed(text))
        }
        ValueType::Host if is_host(text) => Ok(lower(text)),
        ValueType::Host => Err(format!("`{text}` is no host")),
        ValueType::Path => path(text),
        ValueType::Url => url(text),
        ValueType::Int => int(text),
        ValueType::Ip => match text.parse::<IpAddr>() {
            Ok(ip) => Ok(Cow::Owned(ip.to_canonical().to_string())),
            Err(_) => Err(format!("`{text}` is no address")),
        },
    }
}

fn is_host(text: &str) -> bool {
    text.len() <= 253
        && text.split('.').all(|label| {
            (1..=63).contains(&label.len())
                && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
        })
}

fn lower(text: &str) -> Cow<'_, str> {
    if text.bytes().any(|b| b.is_ascii_uppercase()) {
        Cow::Owned(text.to_ascii_lowercase())
    } else {
        Cow::Borrowed(text)
    }
}

fn path(text: &str) -> Result<Cow<'_, str>, String> {
    match crate::tree::canonical::is_canonical(text, crate::tree::ir::Paths::Canonical) {
        true => Ok(Cow::Borrowed(text)),
        false if text.starts_with('/') => Err(format!("`{text}` is not a path as requests have it")),
        false => Err(format!("`{text}` is no path: it starts with `/`")),
    }
}

fn url(text: &str) -> Result<Cow<'_, str>, String> {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    let Some(rest) = rest else { return Err(format!("`{text}` is no URL: it starts with `https://` or `http://`")) };
    let authority = &rest[..rest.find(['/', '?', '#']).unwrap_or(rest.len())];
    let clean = text
        .bytes()
        .all(|b| b.is_ascii_graphic() && !matches!(b, b'"' | b'<' | b'>' | b'\\' | b'^' | b'`' | b'{' | b'|' | b'}'));
    let host = crate::tree::canonical::host(authority.as_bytes()).is_ok() && !authority.is_empty();
    if clean && host { Ok(Cow::Borrowed(text)) } else { Err(format!("`{text}` is no URL with a host")) }
}

fn int(text: &str) -> Result<Cow<'_, str>, String> {
    let digits = (1..=18).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    match digits && (text == "0" || !text.starts_with('0')) {
        true => Ok(Cow::Borrowed(text)),
        false if digits => Err(format!("`{text}` begins with a zero, and numbers do not")),
        false => Err(format!("`{text}` is no whole number of at most 18 digits")),
    }
}
