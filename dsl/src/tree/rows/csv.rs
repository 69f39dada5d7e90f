//! Comma-separated values (RFC 4180): fields in quotes may hold commas, line ends, and quotes said twice.

use crate::syntax::span::Span;
use std::borrow::Cow;

/// A record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record<'t> {
    /// Its fields.
    pub fields: Vec<Cell<'t>>,
    /// The line that it begins on, from 1.
    pub line: u32,
    /// All of it.
    pub span: Span,
}

/// A field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cell<'t> {
    /// Its text, quotes resolved.
    pub text: Cow<'t, str>,
    /// Where it stands, quotes included.
    pub span: Span,
    /// Whether quotes stand around it.
    pub quoted: bool,
}

/// Why a text is no CSV.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Malformed {
    /// Where.
    pub span: Span,
    /// What is wrong.
    pub message: &'static str,
}

/// The records of a text. Lines with nothing in them are none. Nothing comes after an error.
#[derive(Clone, Debug)]
pub struct Records<'t> {
    text: &'t str,
    at: usize,
    line: u32,
}

impl<'t> Records<'t> {
    /// Of a text; a byte order mark at its start is skipped.
    pub fn new(text: &'t str) -> Self {
        let at = if text.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
        Self { text, at, line: 1 }
    }

    fn byte(&self, at: usize) -> Option<u8> {
        self.text.as_bytes().get(at).copied()
    }

    /// The bytes of a line end at a place.
    fn line_end(&self, at: usize) -> Option<usize> {
        match (self.byte(at), self.byte(at + 1)) {
            (Some(b'\n'), _) => Some(1),
            (Some(b'\r'), Some(b'\n')) => Some(2),
            _ => None,
        }
    }

    fn field(&mut self) -> Result<Cell<'t>, Malformed> {
        if self.byte(self.at) == Some(b'"') { self.quoted() } else { self.plain() }
    }

    fn plain(&mut self) -> Result<Cell<'t>, Malformed> {
        let start = self.at;
        let rest = &self.text.as_bytes()[start..];
        let len = rest.iter().position(|b| matches!(b, b',' | b'\n' | b'"')).unwrap_or(rest.len());
        let mut end = start + len;
        if self.byte(end) == Some(b'"') {
            let message = "a quote inside a field: put the whole field in quotes, and say the quote twice";
            return Err(Malformed { span: Span::new(end, end + 1), message });
        }
        if end > start && self.byte(end) == Some(b'\n') && self.byte(end - 1) == Some(b'\r') {
            end -= 1;
        }
        self.at = end;
        Ok(Cell { text: Cow::Borrowed(&self.text[start..end]), span: Span::new(start, end), quoted: false })
    }

    fn quoted(&mut self) -> Result<Cell<'t>, Malformed> {
        let start = self.at;
        let mut at = start + 1;
        let mut twice = false;
        loop {
            match (self.byte(at), self.byte(at + 1)) {
                (Some(b'"'), Some(b'"')) => {
                    twice = true;
                    at += 2;
                }
                (Some(b'"'), _) => break,
                (Some(byte), _) => {
                    self.line += u32::from(byte == b'\n');
                    at += 1;
                }
                (None, _) => {
                    let message = "this quote is never closed";
                    return Err(Malformed { span: Span::new(start, start + 1), message });
                }
            }
        }
        let inner = &self.text[start + 1..at];
        let text = if twice { Cow::Owned(inner.replace("\"\"", "\"")) } else { Cow::Borrowed(inner) };
        self.at = at + 1;
        let ended = matches!(self.byte(self.at), None | Some(b',')) || self.line_end(self.at).is_some();
        if !ended {
            let message = "text after the closing quote of a field: a comma or the end of the line comes here";
            // A whole letter: half of one cannot be shown.
            let letter = self.text[self.at..].chars().next().map_or(1, char::len_utf8);
            return Err(Malformed { span: Span::new(self.at, self.at + letter), message });
        }
        Ok(Cell { text, span: Span::new(start, self.at), quoted: true })
    }
}

impl<'t> Iterator for Records<'t> {
    type Item = Result<Record<'t>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        while let Some(bytes) = self.line_end(self.at) {
            self.at += bytes;
            self.line += 1;
        }
        self.byte(self.at)?;
        let (start, line) = (self.at, self.line);
        let mut fields = Vec::with_capacity(2);
        loop {
            match self.field() {
                Ok(field) => fields.push(field),
                Err(why) => {
                    self.at = self.text.len();
                    return Some(Err(why));
                }
            }
            if self.byte(self.at) != Some(b',') {
                break;
            }
            self.at += 1;
        }
        let span = Span::new(start, self.at);
        if let Some(bytes) = self.line_end(self.at) {
            self.at += bytes;
            self.line += 1;
        }
        Some(Ok(Record { fields, line, span }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(text: &str) -> Vec<(u32, Vec<String>)> {
        let records = Records::new(text).map(|r| r.unwrap());
        records.map(|r| (r.line, r.fields.iter().map(|f| f.text.to_string()).collect())).collect()
    }

    #[test]
    fn quotes_line_ends_and_empty_lines() {
        let text = "\u{feff}a,b\r\n\n\"c,\"\"d\"\"\",\"two\nlines\"\ne,\n";
        let row = |line, a: &str, b: &str| (line, vec![a.to_owned(), b.to_owned()]);
        assert_eq!(all(text), [row(1, "a", "b"), row(3, "c,\"d\"", "two\nlines"), row(5, "e", "")]);
        assert_eq!(all("a,b"), [row(1, "a", "b")]);
        assert_eq!(all(""), []);
    }

    #[test]
    fn what_is_malformed_is_said_where_it_is() {
        let wrong = |text: &str| Records::new(text).find_map(Result::err).map(|e| e.span.range());
        assert_eq!(wrong("a,b\"c\n"), Some(3..4));
        assert_eq!(wrong("a,\"b\n"), Some(2..3));
        assert_eq!(wrong("a,\"b\"c\n"), Some(5..6));
        assert_eq!(wrong("a,\"b\"\n"), None);
    }
}
