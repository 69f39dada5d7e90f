//! Places: bytes here, lines and columns in the protocol.

use dsl::syntax::span::Span;
use serde_json::{Value, json};

/// What a column counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encoding {
    /// Bytes, where the client knows them.
    Utf8,
    /// Units of UTF-16, which every client knows.
    Utf16,
}

/// A text with the beginnings of its lines.
pub(super) struct Lines<'a> {
    text: &'a str,
    starts: Vec<usize>,
    encoding: Encoding,
}

// === impl Lines ===

impl<'a> Lines<'a> {
    pub(super) fn new(text: &'a str, encoding: Encoding) -> Self {
        let starts = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        Self { text, starts, encoding }
    }

    /// The line and column of a byte.
    pub(super) fn position(&self, at: usize) -> Value {
        let (line, column) = self.line_column(at);
        json!({ "line": line, "character": column })
    }

    fn line_column(&self, at: usize) -> (usize, usize) {
        let mut at = at.min(self.text.len());
        while !self.text.is_char_boundary(at) {
            at -= 1;
        }
        let line = self.starts.partition_point(|start| *start <= at) - 1;
        let before = &self.text[self.starts[line]..at];
        let column = match self.encoding {
            Encoding::Utf8 => before.len(),
            Encoding::Utf16 => before.encode_utf16().count(),
        };
        (line, column)
    }

    pub(super) fn range(&self, span: Span) -> Value {
        json!({ "start": self.position(span.start as usize), "end": self.position(span.end as usize) })
    }

    /// The byte at a line and column; what is too far is brought back to the end of the line or text.
    pub(super) fn offset(&self, position: &Value) -> Option<usize> {
        let number = |name: &str| position.get(name)?.as_u64().and_then(|n| usize::try_from(n).ok());
        let (line, column) = (number("line")?, number("character")?);
        let Some(start) = self.starts.get(line).copied() else { return Some(self.text.len()) };
        let end = self.starts.get(line + 1).map_or(self.text.len(), |next| next - 1);
        let line = &self.text[start..end];
        let line = line.strip_suffix('\r').unwrap_or(line);
        let mut counted = 0;
        for (at, c) in line.char_indices() {
            if counted >= column {
                return Some(start + at);
            }
            counted += match self.encoding {
                Encoding::Utf8 => c.len_utf8(),
                Encoding::Utf16 => c.len_utf16(),
            };
        }
        Some(start + line.len())
    }

    /// The bytes of a range.
    pub(super) fn span(&self, range: &Value) -> Option<Span> {
        let (start, end) = (self.offset(range.get("start")?)?, self.offset(range.get("end")?)?);
        Some(Span::new(start.min(end), end.max(start)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_count_what_was_agreed() {
        let text = "a\u{e9}\u{1f600}b\r\n\u{e9}c\n";
        for (encoding, column) in [(Encoding::Utf16, 4), (Encoding::Utf8, 7)] {
            let lines = Lines::new(text, encoding);
            let b = text.find('b').expect("is there");
            assert_eq!(lines.position(b), json!({ "line": 0, "character": column }));
            assert_eq!(lines.offset(&json!({ "line": 0, "character": column })), Some(b));
            assert_eq!(lines.offset(&json!({ "line": 0, "character": 99 })), Some(b + 1), "before the CR");
            assert_eq!(lines.offset(&json!({ "line": 9, "character": 0 })), Some(text.len()));
            assert_eq!(lines.offset(&json!({ "line": -1, "character": 0 })), None);
        }
    }
}
