//! Bytes to logical lines and items: the resilient first pass.
//!
//! It knows strings, comments and brackets, and nothing of the grammar. It never fails: what it
//! cannot pair up it reports and steps over, so that one slip does not take the rest of the file
//! along. Its text has the length of the original, byte for byte, so every offset in it is an
//! offset in the file:
//!
//! * comments, tabs, a byte order mark and the CR of CRLF become blanks;
//! * line breaks inside `[ ] ( )` and after a comma become blanks;
//! * in a block on one line, two blanks between settings become a line break:
//!   `limits { connections 50000  per-client 256 }`.

use super::span::{FileId, Loc, Span};
use super::words::{ITEMS, is_reserved};
use crate::diagnostic::{Diagnostic, Edit};

/// Blocks and brackets may nest this deep.
pub(crate) const MAX_DEPTH: usize = 32;

/// Brackets above this are not even remembered: every step costs at most this much.
const MAX_OPEN: usize = 4 * MAX_DEPTH;

/// What the first pass found.
pub(crate) struct Scan {
    /// The logical lines.
    pub(crate) text: String,
    /// The items, in source order.
    pub(crate) items: Vec<RawItem>,
    /// `{` and `}` of every block, by the place of the `{`; the end of the item for an unclosed one.
    pub(crate) blocks: Vec<(usize, usize)>,
    /// `#` and the end of the line of every comment, in source order.
    pub(crate) comments: Vec<(usize, usize)>,
    /// What could not be paired up.
    pub(crate) errors: Vec<Diagnostic>,
}

/// The bytes of an item.
#[derive(Clone)]
pub(crate) struct RawItem {
    pub(crate) start: usize,
    pub(crate) end: usize,
    pub(crate) doc: Option<String>,
    /// A `{` in it is not closed.
    pub(crate) unclosed: bool,
    /// It nests too deep to be looked at.
    pub(crate) too_deep: bool,
}

/// Runs the first pass.
pub(crate) fn scan(file: FileId, source: &str) -> Scan {
    let mut scanner = Scanner {
        file,
        source,
        bytes: source.as_bytes(),
        out: source.as_bytes().to_vec(),
        at: 0,
        line: Line::default(),
        stack: Vec::new(),
        forgotten: 0,
        joined: Vec::new(),
        item: None,
        docs: Vec::new(),
        margin: None,
        items: Vec::new(),
        blocks: Vec::new(),
        comments: Vec::new(),
        errors: Vec::new(),
    };
    scanner.run();
    let text = String::from_utf8(scanner.out).expect("only whole characters were replaced, by ASCII");
    scanner.blocks.sort_unstable();
    Scan { text, items: scanner.items, blocks: scanner.blocks, comments: scanner.comments, errors: scanner.errors }
}

struct Scanner<'a> {
    file: FileId,
    source: &'a str,
    bytes: &'a [u8],
    out: Vec<u8>,
    at: usize,
    line: Line,
    stack: Vec<Open>,
    /// The `{` that were not remembered.
    forgotten: usize,
    /// Line breaks blanked out inside the brackets that are open now.
    joined: Vec<usize>,
    item: Option<Started>,
    docs: Vec<(usize, usize)>,
    /// The next `}` or item keyword at the margin, once asked for: where, and whether it is a `}`.
    margin: Option<(usize, bool)>,
    items: Vec<RawItem>,
    blocks: Vec<(usize, usize)>,
    comments: Vec<(usize, usize)>,
    errors: Vec<Diagnostic>,
}

/// The line being read.
#[derive(Default)]
struct Line {
    start: usize,
    /// Its first byte that is no blank.
    first: usize,
    /// One past its last byte that is neither blank nor comment.
    last: usize,
    /// The end of the last string in it.
    string_end: usize,
}

struct Started {
    start: usize,
    doc: Option<String>,
    too_deep: bool,
}

#[derive(Clone, Copy)]
struct Open {
    byte: u8,
    at: usize,
    /// Column of the first character of its line.
    indent: usize,
    line: usize,
    /// The `{` of a block; others hold a capture or a hole.
    block: bool,
    /// A later line closed a block inside it at this indentation or less: where, and which.
    suspect: Option<(usize, usize)>,
}

impl Scanner<'_> {
    fn run(&mut self) {
        if self.source.starts_with('\u{feff}') {
            self.blank(0, 3);
            self.at = 3;
        }
        while self.at < self.bytes.len() {
            self.one_line();
        }
        self.end_of_file();
    }

    fn blank(&mut self, start: usize, end: usize) {
        self.out[start..end].fill(b' ');
    }

    fn loc(&self, start: usize, end: usize) -> Loc {
        Loc { file: self.file, span: Span::new(start, end) }
    }

    fn error(&mut self, start: usize, end: usize, message: impl Into<String>) -> &mut Diagnostic {
        let loc = self.loc(start, end);
        self.errors.push(Diagnostic::error(super::CODE, loc, message));
        self.errors.last_mut().expect("was pushed on the line above")
    }

    // === lines

    fn one_line(&mut self) {
        let start = self.at;
        while self.byte(self.at).is_some_and(|b| b == b' ' || b == b'\t') {
            self.out[self.at] = b' ';
            self.at += 1;
        }
        self.line = Line { start, first: self.at, last: self.at, string_end: 0 };
        self.begin_line();
        loop {
            match self.byte(self.at) {
                None => break self.end_line(),
                Some(b'\n') => {
                    self.end_line();
                    self.at += 1;
                    break;
                }
                Some(_) => self.token(),
            }
        }
    }

    fn byte(&self, at: usize) -> Option<u8> {
        self.bytes.get(at).copied()
    }

    /// The word at a place, where a blank or the end of the line follows it.
    fn word(&self, at: usize) -> &str {
        let rest = &self.bytes[at..];
        let len = rest.iter().take(16).take_while(|b| b.is_ascii_alphanumeric()).count();
        let ends = rest.get(len).is_none_or(|b| b.is_ascii_whitespace() || *b == b'{');
        if ends { &self.source[at..at + len] } else { "" }
    }

    fn begin_line(&mut self) {
        let first = self.line.first;
        let blank = self.byte(first).is_none_or(|b| b == b'\n' || b == b'\r' || b == b'#');
        if blank {
            return;
        }
        let at_margin = first == self.line.start || (self.line.start == 3 && first == 3);
        if at_margin && !self.stack.is_empty() {
            let word = self.word(first);
            if ITEMS.contains(&word) && (word != "let" || !self.block_goes_on()) {
                self.close_everything(self.line.start);
            }
        }
        if self.byte(first) == Some(b'{') && self.only_brace() {
            self.brace_on_its_own_line();
        }
        if self.stack.is_empty() && self.item.is_none() {
            let doc = self.take_docs();
            self.item = Some(Started { start: first, doc, too_deep: false });
        }
    }

    /// Whether what stands next at the margin is a `}`: then a `let` at the margin is a statement of
    /// the open block, and else an item that follows a block whose `}` was forgotten.
    fn block_goes_on(&mut self) -> bool {
        let from = self.line.first + 1;
        if self.margin.is_none_or(|(at, _)| at < from) {
            let mut at = from;
            self.margin = Some(loop {
                let Some(next) = self.bytes[at..].iter().position(|b| *b == b'\n').map(|n| at + n + 1) else {
                    break (self.bytes.len(), false);
                };
                if self.byte(next) == Some(b'}') {
                    break (next, true);
                }
                let word = if next < self.bytes.len() { self.word(next) } else { "" };
                if ITEMS.contains(&word) && word != "let" {
                    break (next, false);
                }
                at = next;
            });
        }
        self.margin.is_some_and(|(_, closes)| closes)
    }

    fn only_brace(&self) -> bool {
        let mut rest = self.bytes[self.line.first + 1..].iter();
        let next = rest.find(|b| !matches!(b, b' ' | b'\t' | b'\r'));
        next.is_none_or(|b| *b == b'\n' || *b == b'#')
    }

    /// `site a.com` and then `{` on the next line: said once, and read as if it stood above.
    fn brace_on_its_own_line(&mut self) {
        let at = self.line.first;
        let before = self.out[..at].iter().rposition(|b| !b.is_ascii_whitespace());
        let Some(before) = before else { return };
        if matches!(self.out[before], b'{' | b'}') {
            return;
        }
        if self.stack.is_empty() {
            match self.items.pop() {
                Some(item) if item.end == before + 1 && !item.unclosed => {
                    self.item = Some(Started { start: item.start, doc: item.doc, too_deep: item.too_deep });
                }
                Some(item) => self.items.push(item),
                None => {}
            }
        }
        self.blank(before + 1, at);
        let edit = Edit { loc: self.loc(before + 1, at + 1), text: " {".to_owned(), safe: false };
        let line = self.source[..=before].rfind('\n').map_or(0, |n| n + 1);
        let paste = format!("{} {{", self.source[line..=before].trim());
        let loc = self.loc(before + 1, before + 1);
        let error = self.error(at, at + 1, "`{` stands on a line of its own");
        *error =
            error.clone().label(loc, "it belongs here").help("put it at the end of the line before", paste, Some(edit));
    }

    fn take_docs(&mut self) -> Option<String> {
        if self.docs.is_empty() {
            return None;
        }
        let lines: Vec<&str> = self
            .docs
            .drain(..)
            .map(|(start, end)| {
                let line = self.source[start..end].trim_end();
                line.strip_prefix(' ').unwrap_or(line)
            })
            .collect();
        Some(lines.join("\n"))
    }

    fn end_line(&mut self) {
        let newline = self.at;
        let empty = self.line.last == self.line.first;
        let only_doc = empty && self.bytes[self.line.first..newline].starts_with(b"##");
        if !only_doc && (!empty || self.line.first == newline || self.byte(self.line.first) == Some(b'\r')) {
            self.docs.clear();
        }
        self.drop_captures();
        match self.stack.last() {
            Some(open) if open.byte != b'{' => {
                if newline < self.out.len() {
                    self.out[newline] = b' ';
                    self.joined.push(newline);
                }
            }
            top => {
                let inside = top.is_some();
                let comma = !empty && self.out[self.line.last - 1] == b',';
                if comma && self.comma_continues(newline) {
                    self.join_after_comma(newline);
                } else if !inside && !empty {
                    self.end_item(self.line.last, false);
                }
            }
        }
    }

    /// Whether the next line belongs to the list that this line's comma leaves open.
    fn comma_continues(&self, newline: usize) -> bool {
        let Some(rest) = self.bytes.get(newline + 1..) else { return false };
        let blanks = rest.iter().take_while(|b| **b == b' ' || **b == b'\t' || **b == b'\r').count();
        let next = newline + 1 + blanks;
        match self.byte(next) {
            None | Some(b'\n' | b'}') => false,
            Some(b'#') => {
                // A comment line between the parts of a list.
                let end = self.bytes[next..].iter().position(|b| *b == b'\n').map(|n| next + n);
                end.is_some_and(|end| self.byte(end + 1).is_some_and(|b| b != b'\n' && b != b'#'))
            }
            Some(_) => !(blanks == 0 && ITEMS.contains(&self.word(next))),
        }
    }

    fn join_after_comma(&mut self, newline: usize) {
        self.out[newline] = b' ';
        // The comment line that may stand between is blanked by its own turn; its line break here.
        let next = self.bytes[newline + 1..].iter().position(|b| !b.is_ascii_whitespace()).map(|n| newline + 1 + n);
        if let Some(next) = next.filter(|next| self.bytes[*next] == b'#')
            && let Some(end) = self.bytes[next..].iter().position(|b| *b == b'\n')
        {
            self.comments.push((next, next + end));
            self.blank(next, next + end + 1);
            self.at = next + end;
        }
    }

    fn end_item(&mut self, end: usize, unclosed: bool) {
        let Some(item) = self.item.take() else { return };
        self.items.push(RawItem { start: item.start, end, doc: item.doc, unclosed, too_deep: item.too_deep });
        self.joined.clear();
    }

    // === tokens

    fn token(&mut self) {
        let at = self.at;
        match self.bytes[at] {
            blank @ (b' ' | b'\t') => {
                if blank == b'\t' {
                    self.out[at] = b' ';
                }
                self.at += 1;
                return;
            }
            b'\r' => return self.carriage_return(),
            b'#' if self.comment_may_begin() => return self.comment(),
            b'"' => self.string(),
            b'{' => self.open_brace(),
            b'}' => self.close_brace(),
            byte @ (b'(' | b'[') => {
                self.push(byte, false);
                self.at += 1;
            }
            byte @ (b')' | b']') => {
                let open = if byte == b')' { b'(' } else { b'[' };
                let within = self.stack.iter().rposition(|o| o.byte == b'{').map_or(0, |n| n + 1);
                if let Some(found) = self.stack[within..].iter().rposition(|o| o.byte == open) {
                    self.stack.truncate(within + found);
                }
                if self.stack.last().is_none_or(|o| o.byte == b'{') {
                    self.joined.clear();
                }
                self.at += 1;
            }
            _ => self.at += 1,
        }
        self.line.last = self.at;
    }

    fn carriage_return(&mut self) {
        let at = self.at;
        self.out[at] = b' ';
        self.at += 1;
        if !matches!(self.byte(self.at), None | Some(b'\n')) {
            self.error(at, at + 1, "a carriage return stands within a line; lines end with LF or CRLF");
        }
    }

    /// `https://x/#top` is no comment: the grammar reports it.
    fn comment_may_begin(&self) -> bool {
        self.at == self.line.first
            || matches!(self.bytes[self.at - 1], b' ' | b'\t' | b'{' | b'}' | b')' | b']' | b',' | b'"')
    }

    fn comment(&mut self) {
        let end = self.bytes[self.at..].iter().position(|b| *b == b'\n').map_or(self.bytes.len(), |n| self.at + n);
        if self.at == self.line.first && self.bytes[self.at..end].starts_with(b"##") {
            self.docs.push((self.at + 2, end));
        }
        self.comments.push((self.at, end));
        self.blank(self.at, end);
        self.at = end;
    }

    fn string(&mut self) {
        let start = self.at;
        let end = if self.is_regex(start) {
            self.bytes[start + 1..].iter().position(|b| *b == b'"' || *b == b'\n').map(|n| start + 1 + n)
        } else {
            self.text_end(start + 1)
        };
        match end.filter(|end| self.bytes[*end] == b'"') {
            Some(end) => {
                self.at = end + 1;
                self.line.string_end = self.at;
            }
            None => self.unclosed_string(start),
        }
    }

    /// A regular expression is raw: a backslash hides nothing in it.
    fn is_regex(&self, quote: usize) -> bool {
        if quote > 0 && self.bytes[quote - 1] == b':' {
            return self.stack.last().is_some_and(|o| {
                o.byte == b'{'
                    && !o.block
                    && self.bytes[o.at + 1..quote - 1]
                        .iter()
                        .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'))
            });
        }
        self.out[self.line.start..quote].trim_ascii_end().ends_with(b"matches")
    }

    /// The quote or line break that ends the text which begins here.
    fn text_end(&self, mut at: usize) -> Option<usize> {
        let mut holes = 0usize;
        let mut quoted = false;
        while let Some(byte) = self.byte(at) {
            match byte {
                b'\n' => return Some(at),
                b'\\' if self.byte(at + 1) != Some(b'\n') => at += 1,
                b'{' if !quoted => holes += 1,
                b'}' if !quoted => holes = holes.saturating_sub(1),
                b'"' if quoted => quoted = false,
                b'"' if holes > 0 && matches!(self.bytes[at - 1], b'[' | b'(' | b',' | b' ') => quoted = true,
                b'"' => return Some(at),
                _ => {}
            }
            at += 1;
        }
        None
    }

    fn unclosed_string(&mut self, start: usize) {
        let end = self.bytes[start..].iter().position(|b| *b == b'\n').map_or(self.bytes.len(), |n| start + n);
        let text = self.source[start..end].trim_end();
        let opens_block = text.ends_with(" {");
        let text = text.strip_suffix('{').unwrap_or(text).trim_end();
        let stop = start + text.len();
        let paste = format!("{text}\"");
        let edit = Edit { loc: self.loc(stop, stop), text: "\"".to_owned(), safe: false };
        let error = self.error(start, stop, "this text has no closing `\"`");
        *error = error.clone().at("opened here, and a text ends on its line").help("close it", paste, Some(edit));
        self.at = if opens_block { stop } else { stop.max(start + 1) };
        if !opens_block {
            self.at = end;
            self.line.last = stop;
        } else {
            while self.bytes[self.at] != b'{' {
                self.at += 1;
            }
        }
    }

    // === brackets

    fn push(&mut self, byte: u8, block: bool) {
        if self.stack.len() >= MAX_DEPTH
            && let Some(item) = &mut self.item
            && !item.too_deep
        {
            item.too_deep = true;
            let at = self.at;
            self.error(at, at + 1, format!("this nests more than {MAX_DEPTH} deep"));
        }
        if self.stack.len() >= MAX_OPEN {
            self.forgotten += usize::from(byte == b'{');
            return;
        }
        let indent = self.line.first - self.line.start;
        self.stack.push(Open { byte, at: self.at, indent, line: self.line.start, block, suspect: None });
    }

    fn open_brace(&mut self) {
        let at = self.at;
        let after = self.bytes[at + 1..]
            .iter()
            .position(|b| *b != b' ' && *b != b'\t' && *b != b'\r')
            .map(|n| self.bytes[at + 1 + n]);
        let ends_line = after.is_none_or(|b| b == b'\n' || b == b'#');
        let apart = at == self.line.first || matches!(self.bytes[at - 1], b' ' | b'\t');
        let block = ends_line || (apart && matches!(self.byte(at + 1), Some(b' ' | b'\t' | b'}')));
        if block {
            self.close_brackets();
        }
        self.push(b'{', block);
        self.at += 1;
    }

    /// A block begins or ends while a `(` or `[` is open: the bracket was forgotten.
    fn close_brackets(&mut self) {
        let keep = self.stack.iter().rposition(|o| o.byte == b'{').map_or(0, |n| n + 1);
        let Some(first) = self.stack.get(keep).copied() else { return };
        let (open, close) = if first.byte == b'(' { ('(', ')') } else { ('[', ']') };
        let error = self.error(first.at, first.at + 1, format!("this `{open}` is never closed"));
        *error = error.clone().help("close it with", close.to_string(), None);
        self.stack.truncate(keep);
        for newline in self.joined.drain(..) {
            self.out[newline] = b'\n';
        }
    }

    fn close_brace(&mut self) {
        let at = self.at;
        self.at += 1;
        if self.forgotten > 0 {
            self.forgotten -= 1;
            return;
        }
        if self.stack.last().is_some_and(|o| o.byte != b'{') && self.stack.iter().any(|o| o.byte == b'{') {
            self.close_brackets();
        }
        let Some(open) = self.stack.last().copied().filter(|o| o.byte == b'{') else {
            if self.stack.is_empty() {
                self.stray_brace(at);
            }
            return;
        };
        self.stack.pop();
        if !open.block && open.line == self.line.start {
            return;
        }
        self.blocks.push((open.at, at));
        let indent = at - self.line.start;
        let first_on_line = at == self.line.first;
        if first_on_line
            && open.line != self.line.start
            && indent < open.indent
            && let Some(outer) = self.stack.last_mut()
        {
            outer.suspect.get_or_insert((open.at, at));
        }
        if open.line == self.line.start && open.block && self.stack.len() < MAX_DEPTH {
            self.split_settings(open.at + 1, at);
        }
    }

    fn stray_brace(&mut self, at: usize) {
        self.out[at] = b' ';
        self.error(at, at + 1, "this `}` closes nothing");
        if self.line.last <= self.line.first {
            // Nothing stood before it: the line, and the item, begin behind it.
            self.line.first = self.at;
            self.item = None;
        }
    }

    /// A capture or hole does not outlive its line.
    fn drop_captures(&mut self) {
        let Some(found) = self.stack.iter().position(|o| o.byte == b'{' && !o.block && o.line == self.line.start)
        else {
            return;
        };
        let open = self.stack[found];
        // `{tls auto` at the end of a line can only be a block without its blank.
        let later = self.stack[found + 1..].iter().any(|o| o.block);
        let apart = open.at == self.line.first || matches!(self.bytes[open.at - 1], b' ' | b'\t');
        if apart && !later && open.at != self.line.first {
            self.stack[found].block = true;
            return;
        }
        let error = self.error(open.at, open.at + 1, "this `{` of a capture is never closed");
        *error = error.clone().help("a capture is written", "{name}", None);
        let mut kept = self.stack.split_off(found);
        kept.retain(|o| o.block);
        self.stack.append(&mut kept);
    }

    /// The file, or the next item, begins while blocks are open.
    fn close_everything(&mut self, end: usize) {
        self.close_brackets();
        let Some(outermost) = self.stack.first().copied() else {
            let end = self.last_visible(end);
            return self.end_item(end, false);
        };
        let end = self.last_visible(end);
        let innermost = *self.stack.last().expect("is not empty: it has a first");
        let (at, closed) = match innermost.suspect {
            Some((inner, brace)) => (inner, Some(brace)),
            None => (innermost.at, None),
        };
        let line = self.source[..at].rfind('\n').map_or(0, |n| n + 1);
        let head = self.source[line..at].trim();
        let message = if head.is_empty() {
            "this `{` is never closed".to_owned()
        } else {
            format!("the `{{` of `{head}` is never closed")
        };
        let brace = closed.map(|brace| self.loc(brace, brace + 1));
        let outer = self.loc(outermost.at, outermost.at + 1);
        let error = self.error(at, at + 1, message);
        *error = error.clone().at("opened here").help("add a line with", "}", None);
        if let Some(brace) = brace {
            *error = error
                .clone()
                .label(brace, "this one closes it, but stands further left")
                .label(outer, "then this one is left open");
        }
        self.forgotten = 0;
        for open in std::mem::take(&mut self.stack) {
            if open.byte == b'{' {
                self.blocks.push((open.at, end));
            }
        }
        self.end_item(end, true);
    }

    fn last_visible(&self, end: usize) -> usize {
        self.out[..end].iter().rposition(|b| !b.is_ascii_whitespace()).map_or(0, |n| n + 1)
    }

    fn end_of_file(&mut self) {
        if self.stack.is_empty() {
            let end = self.last_visible(self.out.len());
            self.end_item(end, false);
        } else {
            self.close_everything(self.out.len());
        }
    }

    // === blocks on one line

    /// `{ name ledger.internal  min 1.3 }`: two blanks before a word end a setting.
    fn split_settings(&mut self, start: usize, end: usize) {
        let mut at = start;
        while at < end {
            at += self.out[at..end].iter().take_while(|b| b.is_ascii_whitespace()).count();
            let head = self.source[at..end]
                .split(|c: char| !(c.is_ascii_alphanumeric() || c == '-' || c == '_'))
                .next()
                .unwrap_or_default();
            if head.is_empty() || is_reserved(head) {
                return;
            }
            let Some(gap) = self.gap(at + head.len(), end) else { return };
            self.out[gap] = b'\n';
            at = gap + 1;
        }
    }

    /// The next two blanks before a word or an arrow, behind the first value, outside strings and
    /// brackets.
    fn gap(&self, from: usize, end: usize) -> Option<usize> {
        let mut at = from;
        let mut depth = 0usize;
        let mut values = 0;
        while at < end {
            match self.out[at] {
                b'"' => {
                    at = self.text_end(at + 1).filter(|n| *n < end)?;
                    values += 1;
                }
                b'(' | b'[' | b'{' => depth += 1,
                b')' | b']' | b'}' => depth = depth.saturating_sub(1),
                b' ' | b'\t' => {
                    let blanks = self.out[at..end].iter().take_while(|b| matches!(b, b' ' | b'\t')).count();
                    let next = self.out[at + blanks];
                    let wide = blanks > 1 || self.bytes[at] == b'\t';
                    if wide
                        && depth == 0
                        && values > 0
                        && (next.is_ascii_alphabetic() || self.out[at + blanks..].starts_with(b"->"))
                    {
                        return Some(at);
                    }
                    at += blanks - 1;
                }
                _ => values += 1,
            }
            at += 1;
        }
        None
    }
}
