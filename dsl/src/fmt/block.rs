//! Statements in their block, with the comments and blank lines between them.

use super::layout::{self, Line, Original};
use super::tree::{Block, Run, Statement};
use super::{WIDTH, align};

/// What a file or a block is made of.
#[derive(Clone, Debug)]
pub(super) enum Entry {
    /// A blank line.
    Blank,
    /// A comment on a line of its own.
    Comment(Line),
    /// A statement or an item.
    Statement { lines: Vec<Line>, run: Run },
    /// Bytes that are left alone; whether they begin a line, or go on where the last entry ends.
    AsIs { text: String, begins_line: bool },
}

/// Lays out the statements of one item.
pub(super) struct Writer<'a> {
    pub(super) original: Original<'a>,
}

/// The comments and blank lines between two items.
pub(super) fn between(original: Original<'_>, from: usize, to: usize, out: &mut Vec<Entry>) {
    let begins = out.is_empty();
    gap(original, from, to, 0, begins, out);
}

/// The comments and blank lines between two places; the one on the line of the first goes behind the
/// last entry.
fn gap(original: Original<'_>, from: usize, to: usize, indent: usize, begins: bool, out: &mut Vec<Entry>) {
    let mut at = from;
    if let Some(Entry::Statement { lines, .. }) = out.last_mut()
        && let Some(comment) = original.trailing(from, to)
        && let Some(line) = lines.last_mut()
    {
        line.comment = Some(original.text(comment).to_owned());
        at = comment.1;
    }
    let mut first = begins;
    for comment in original.comments(at, to) {
        if !first && original.newlines(at, comment.0) > 1 {
            out.push(Entry::Blank);
        }
        out.push(Entry::Comment(Line::new(indent, original.text(*comment))));
        at = comment.1;
        first = false;
    }
    if !first && original.newlines(at, to) > 1 {
        out.push(Entry::Blank);
    }
}

// === impl Writer ===

impl Writer<'_> {
    /// An item, columns of its blocks aligned.
    pub(super) fn item(&self, item: &Statement<'_>) -> Entry {
        self.statement(item, 0)
    }

    fn statement(&self, statement: &Statement<'_>, indent: usize) -> Entry {
        let Some(block) = &statement.block else {
            let lines = layout::lay_out(self.original, statement, indent, "");
            let run = if lines.len() == 1 { statement.run } else { Run::Alone };
            return Entry::Statement { lines, run };
        };
        if let Some(line) = self.on_one_line(statement, indent) {
            return Entry::Statement { lines: vec![Line::new(indent, line)], run: Run::Alone };
        }
        let mut lines = layout::lay_out(self.original, statement, indent, " {");
        let head = lines.last_mut().expect("a statement has a first line");
        let first = block.statements.first().map_or(block.close, |statement| statement.start);
        let mut at = block.open + 1;
        if let Some(comment) = self.original.trailing(at, first) {
            head.comment = Some(self.original.text(comment).to_owned());
            at = comment.1;
        }
        let mut inside = self.entries(block, at, indent + 4);
        if inside.is_empty() && head.comment.is_none() {
            head.text.push('}');
        } else {
            align::columns(&mut inside);
            lines.extend(inside.into_iter().flat_map(Entry::lines));
            lines.push(Line::new(indent, "}"));
        }
        Entry::Statement { lines, run: Run::Alone }
    }

    fn entries(&self, block: &Block<'_>, from: usize, indent: usize) -> Vec<Entry> {
        let mut out = Vec::new();
        let mut at = from;
        for statement in &block.statements {
            let begins = out.is_empty();
            gap(self.original, at, statement.start, indent, begins, &mut out);
            out.push(self.statement(statement, indent));
            at = statement.end;
        }
        let begins = out.is_empty();
        gap(self.original, at, block.close, indent, begins, &mut out);
        while matches!(out.last(), Some(Entry::Blank)) {
            out.pop();
        }
        out
    }

    /// A statement whose block was written on one line, and fits there.
    fn on_one_line(&self, statement: &Statement<'_>, indent: usize) -> Option<String> {
        let mut lines = layout::lay_out(self.original, statement, indent, "");
        let (line, only) = (lines.pop()?, lines.is_empty());
        let mut text = line.text;
        if let Some(block) = &statement.block {
            if block.statements.is_empty() || self.original.newlines(block.open, block.close) > 0 {
                return None;
            }
            let inside: Option<Vec<String>> =
                block.statements.iter().map(|inner| self.on_one_line(inner, indent)).collect();
            text = format!("{text} {{ {} }}", inside?.join("  "));
        }
        (only && indent + text.chars().count() <= WIDTH).then_some(text)
    }
}

// === impl Entry ===

impl Entry {
    fn lines(self) -> Vec<Line> {
        match self {
            Entry::Blank => vec![Line::default()],
            Entry::Comment(line) => vec![line],
            Entry::Statement { lines, .. } => lines,
            // Only between items.
            Entry::AsIs { .. } => Vec::new(),
        }
    }
}

/// The text of a file's entries.
pub(super) fn print(entries: Vec<Entry>) -> String {
    let mut out = String::new();
    let mut lines: Vec<Line> = Vec::new();
    for entry in entries {
        match entry {
            Entry::AsIs { text, begins_line } => {
                flush(&mut lines, &mut out);
                if !begins_line && out.ends_with('\n') {
                    out.pop();
                }
                out.push_str(&text);
            }
            other => {
                if !out.is_empty() && !out.ends_with('\n') {
                    out.push('\n');
                }
                lines.extend(other.lines());
            }
        }
    }
    let blank = |line: &Line| line.text.is_empty();
    while lines.last().is_some_and(blank) {
        lines.pop();
    }
    flush(&mut lines, &mut out);
    if !out.is_empty() && !out.ends_with('\n') {
        out.push('\n');
    }
    out
}

fn flush(lines: &mut Vec<Line>, out: &mut String) {
    align::comments(lines);
    for line in lines.drain(..) {
        if !line.text.is_empty() {
            out.extend(std::iter::repeat_n(' ', line.indent));
            out.push_str(&line.text);
        }
        if let Some(comment) = line.comment {
            out.push_str(&comment);
        }
        out.push('\n');
    }
}
