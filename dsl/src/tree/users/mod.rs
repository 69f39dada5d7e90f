//! Users and their hashed passwords, as htpasswd files have them: `name:hash`, a line each.

mod hash;

pub use hash::Hash;

use super::ir::KeyType;
use super::rows::{Builder, MISTAKES, Rows, Wrong};
use crate::syntax::span::Span;

/// Bytes that a name may have.
pub const MAX_NAME: usize = 255;
/// Bytes that a line may have.
const MAX_LINE: usize = 1024;
/// Users that there may be.
const MAX_USERS: usize = 100_000;

/// Reads users: rows by name, whose values are hashes as they are written. Empty lines and lines that begin with `#`
/// are none, and what stands behind a second colon is a remark, as servers have it that read such files.
///
/// # Errors
/// What is wrong, ten mistakes at most. Nothing of the text is to be used then. No mistake says anything of a hash.
pub fn read(text: &str) -> Result<Rows, Vec<Wrong>> {
    let mut builder = Builder::default();
    let mut spans: Vec<Span> = Vec::new();
    let mut wrong: Vec<Wrong> = Vec::new();
    let mut start = 0;
    for (at, whole) in text.split_inclusive('\n').enumerate() {
        let from = start;
        start += whole.len();
        let line = whole.trim_end();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if wrong.len() >= MISTAKES {
            return Err(wrong);
        }
        // Only the name is pointed at: the rest of a line is nobody's to see.
        let name_end = line.find(':').unwrap_or(0);
        let span = Span::new(from, from + name_end);
        match user(line) {
            Ok((name, hash)) => {
                builder.push(name, hash, u32::try_from(at + 1).unwrap_or(u32::MAX));
                spans.push(span);
            }
            Err(message) => wrong.push(Wrong::new(span, message)),
        }
        if builder.len() > MAX_USERS {
            return Err(vec![Wrong::new(span, format!("there are {MAX_USERS} users at most"))]);
        }
    }
    if !wrong.is_empty() {
        return Err(wrong);
    }
    let message = |again: Span| format!("the user `{}` stands twice", text.get(again.range()).unwrap_or_default());
    builder.unique(KeyType::Text, &spans, message)
}

/// The name and the hash of a line.
fn user(line: &str) -> Result<(&str, &str), String> {
    if line.len() > MAX_LINE {
        return Err(format!("a line of users has {MAX_LINE} bytes at most"));
    }
    let mut parts = line.splitn(3, ':');
    let (Some(name), Some(hash)) = (parts.next(), parts.next()) else {
        return Err("there is no colon in this line, and a user is `name:hash`".to_owned());
    };
    if name.is_empty() {
        return Err("there is no name in this line, and a user is `name:hash`".to_owned());
    }
    if name.len() > MAX_NAME || name.chars().any(char::is_control) {
        return Err(format!("a name has {MAX_NAME} bytes at most, and no control characters"));
    }
    match Hash::read(hash) {
        Ok(_) => Ok((name, hash)),
        Err(why) => Err(format!("user `{name}`: the password {why}")),
    }
}

#[cfg(test)]
mod tests;
