//! A file of keys alone, as lists of networks are published: one a line, comments behind `#` or `;`.

use super::read::{MAX_BYTES, MISTAKES};
use super::{Builder, Rows, Wrong, check_key};
use crate::syntax::span::Span;
use crate::tree::ir::KeyType;

/// Reads the keys of a text. What stands twice is there once: such lists are merged from others.
///
/// # Errors
/// What is wrong, ten mistakes at most. Nothing of the text is to be used then.
pub(super) fn read(ty: KeyType, text: &str) -> Result<Rows, Vec<Wrong>> {
    let mut builder = Builder::default();
    let mut wrong: Vec<Wrong> = Vec::new();
    let mut start = 0;
    for (line, number) in text.split_inclusive('\n').zip(1..) {
        let here = start;
        start += line.len();
        let line = if here == 0 { line.strip_prefix('\u{feff}').unwrap_or(line) } else { line };
        let key = without_comment(line).trim();
        if key.is_empty() || (builder.is_empty() && wrong.is_empty() && is_head(ty, key)) {
            continue;
        }
        let say = |message: String| {
            // Of the line it is a part.
            let at = here + (text[here..start].find(key).unwrap_or_default());
            Wrong::new(Span::new(at, at + key.len()), message)
        };
        match check_key(ty, key) {
            Ok(key) => builder.push(&key, "", number),
            Err(message) => wrong.push(say(message)),
        }
        if builder.bytes() > MAX_BYTES {
            wrong.push(say("the keys of a table take no more than 1 GB".to_owned()));
        }
        if wrong.len() >= MISTAKES || builder.bytes() > MAX_BYTES {
            break;
        }
    }
    if wrong.is_empty() { Ok(builder.pack(ty).0) } else { Err(wrong) }
}

/// A line without its comment, which begins the line or stands behind a blank.
fn without_comment(line: &str) -> &str {
    let starts = |at: usize| at == 0 || line.as_bytes()[at - 1].is_ascii_whitespace();
    let mut marks = line.match_indices(['#', ';']).map(|(at, _)| at);
    marks.find(|at| starts(*at)).map_or(line, |at| &line[..at])
}

/// Whether the first line names the column instead of being a key.
fn is_head(ty: KeyType, key: &str) -> bool {
    let names: &[&str] = match ty {
        KeyType::Net => &["key", "cidr", "ip", "network"],
        KeyType::Int => &["key", "int"],
        KeyType::Path => &["key", "path"],
        // Any word may be a key.
        KeyType::Text | KeyType::Host => &["key"],
    };
    names.iter().any(|name| key.eq_ignore_ascii_case(name))
}
