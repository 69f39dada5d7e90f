//! API keys and whose they are: lines of CSV, `sha256,owner,scope scope…`, and where one does not hold for ever a
//! fourth field that says until when. A key stands there by its SHA-256: whoever reads the file has no key.
//!
//! A slow hash, as passwords need it, would protect nothing more: a key has 128 random bits or more, and no machine
//! tries so many.

use super::ir::KeyType;
use super::rows::csv::{Cell, Records};
use super::rows::{Builder, MISTAKES, Rows, Wrong};
use crate::calendar;
use crate::syntax::span::Span;

/// Bytes that an owner may have, and all scopes of a key together.
const MAX_OWNER: usize = 255;
const MAX_SCOPES: usize = 1024;
/// Keys that there may be.
const MAX_KEYS: usize = 1_000_000;
/// Between the parts of a row's value, none of which has control characters.
const BETWEEN: char = '\n';

/// Whose a key is, and what for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owned<'r> {
    /// Who has it.
    pub owner: &'r str,
    /// What it may be used for, with blanks between.
    pub scopes: &'r str,
    /// From when on it does not hold any more, seconds since 1970.
    pub until: Option<i64>,
}

impl<'r> Owned<'r> {
    /// Of the value of a row that [`read`] made.
    #[must_use]
    pub fn of(value: &'r str) -> Option<Self> {
        let mut parts = value.split(BETWEEN);
        let (owner, scopes) = (parts.next()?, parts.next()?);
        let until = match parts.next() {
            None => None,
            Some(at) => Some(at.parse().ok()?),
        };
        Some(Self { owner, scopes, until })
    }
}

/// Reads keys: rows by their SHA-256, in 64 hexadecimal digits in lower case; [`Owned::of`] reads the values. The first
/// line may name the columns: `sha256,owner,scope`.
///
/// # Errors
/// What is wrong, ten mistakes at most. Nothing of the text is to be used then. No mistake quotes what may be a key.
pub fn read(text: &str) -> Result<Rows, Vec<Wrong>> {
    let mut builder = Builder::default();
    let mut spans: Vec<Span> = Vec::new();
    let mut wrong: Vec<Wrong> = Vec::new();
    let mut first = true;
    for record in Records::new(text) {
        if wrong.len() >= MISTAKES {
            return Err(wrong);
        }
        let mut say = |span: Span, message: String| wrong.push(Wrong::new(span, message));
        let record = match record {
            Ok(record) => record,
            Err(why) => {
                say(why.span, why.message.into());
                break;
            }
        };
        let head = std::mem::take(&mut first) && record.fields.first().is_some_and(|cell| cell.text.trim() == "sha256");
        if head {
            continue;
        }
        // The end of the line is pointed at where its start may be a key.
        let at_end = Span { start: record.span.end, ..record.span };
        match key(&record.fields) {
            Ok((hash, value)) => {
                builder.push(&hash, &value, record.line);
                spans.push(record.fields.get(1).map_or(at_end, |owner| owner.span));
            }
            Err((cell, message)) => say(cell.map_or(at_end, |cell| cell.span), message),
        }
        if builder.len() > MAX_KEYS {
            return Err(vec![Wrong::new(at_end, format!("there are {MAX_KEYS} keys at most"))]);
        }
    }
    if !wrong.is_empty() {
        return Err(wrong);
    }
    // Neither key nor hash is quoted.
    builder.unique(KeyType::Text, &spans, |_| "a key stands twice, and only one can be its owner".to_owned())
}

type Mistake<'c, 't> = (Option<&'c Cell<'t>>, String);

/// The hash and the value of a line.
fn key<'c, 't>(fields: &'c [Cell<'t>]) -> Result<(String, String), Mistake<'c, 't>> {
    let own = "`sluice hash key` makes a key and its line";
    let (hash, owner, scopes, until) = match fields {
        [hash, owner] => (hash, owner, None, None),
        [hash, owner, scopes] => (hash, owner, Some(scopes), None),
        [hash, owner, scopes, until] => (hash, owner, Some(scopes), Some(until)),
        _ => return Err((None, format!("this line is not `sha256,owner,scopes`: {own}"))),
    };
    if hash.text.len() != 64 || !hash.text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err((None, format!("the first field of this line is no SHA-256 of a key, which has 64 digits: {own}")));
    }
    if owner.text.is_empty() || owner.text.len() > MAX_OWNER || owner.text.chars().any(char::is_control) {
        return Err((Some(owner), format!("an owner has 1 to {MAX_OWNER} bytes, and no control characters")));
    }
    let mut value = format!("{}{BETWEEN}", owner.text);
    if let Some(cell) = scopes {
        if cell.text.len() > MAX_SCOPES || !cell.text.split(' ').all(|scope| scope.bytes().all(is_of_scope)) {
            let message = format!(
                "scopes are words without quotes and backslashes, with a blank between, {MAX_SCOPES} bytes at most"
            );
            return Err((Some(cell), message));
        }
        let mut words = cell.text.split(' ').filter(|scope| !scope.is_empty());
        value.extend(words.next());
        words.for_each(|scope| {
            value.push(' ');
            value.push_str(scope);
        });
    }
    if let Some(cell) = until.filter(|cell| !cell.text.is_empty()) {
        let Some(until) =
            calendar::seconds(&cell.text).or_else(|| calendar::seconds(&format!("{} 00:00:00", cell.text)))
        else {
            let message = "a key holds until a day or a time in UTC, as in `2027-01-31` or `2027-01-31 12:00:00`";
            return Err((Some(cell), message.to_owned()));
        };
        value.push(BETWEEN);
        value.push_str(&until.to_string());
    }
    Ok((hash.text.to_ascii_lowercase(), value))
}

/// RFC 6749 section 3.3.
fn is_of_scope(byte: u8) -> bool {
    byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\')
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    const B: &str = "E3B0C44298FC1C149AFBF4C8996FB92427AE41E4649B934CA495991B7852B855";

    fn owned(rows: &Rows, key: &str) -> (String, String, Option<i64>) {
        let row = rows.find(key.as_bytes()).unwrap();
        let Owned { owner, scopes, until } = Owned::of(rows.value(row)).unwrap();
        (owner.to_owned(), scopes.to_owned(), until)
    }

    #[test]
    fn keys_have_owners_scopes_and_an_end() {
        let text = format!("sha256,owner,scope\n{A},ann,read  write\n\n{B},\"Bob, Inc.\",,2027-01-31\n");
        let rows = read(&text).unwrap();
        assert_eq!(rows.len(), 2);
        assert_eq!(owned(&rows, A), ("ann".into(), "read write".into(), None));
        assert_eq!(owned(&rows, &B.to_ascii_lowercase()), ("Bob, Inc.".into(), String::new(), Some(1_801_353_600)));
        assert_eq!(owned(&read(&format!("{A},ann")).unwrap(), A), ("ann".into(), String::new(), None));
        let timed = read(&format!("{A},ann,,2027-01-31 12:00:00")).unwrap();
        assert_eq!(owned(&timed, A).2, Some(1_801_396_800));
        assert!(read("").unwrap().is_empty());
    }

    #[test]
    fn mistakes_are_told_with_their_place_and_quote_no_key() {
        let raw = "sluice_not-hashed-at-all";
        for (line, said) in [
            (format!("{raw},ann,read"), "no SHA-256"),
            (raw.to_owned(), "sha256,owner,scopes"),
            (format!("{A},"), "an owner has"),
            (format!("{A},ann,re\\ad"), "scopes are words"),
            (format!("{A},ann,read,soon"), "a key holds until"),
            (format!("{A},ann,read,2027-01-31,x"), "sha256,owner,scopes"),
            (format!("{A},\"an\nn\",read"), "an owner has"),
            (format!("{A},ann\n{},bob", A.to_ascii_uppercase()), "stands twice"),
        ] {
            let wrong = read(&line).unwrap_err();
            assert!(wrong[0].message.contains(said), "{line}: {wrong:?}");
            assert!(!format!("{wrong:?}").contains("hashed-at"), "{wrong:?}");
            let shown = &line[wrong[0].span.range()];
            assert!(!shown.contains("hashed-at"), "{shown}");
        }
        let many = "x\n".repeat(50);
        assert_eq!(read(&many).unwrap_err().len(), MISTAKES);
    }
}
