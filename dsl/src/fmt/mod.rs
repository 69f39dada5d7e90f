//! The one way to write a route file.
//!
//! [`format()`] moves blanks and line breaks and, where rule 1 of the language asks for it, the word
//! `else`; everything else stays as it was written, comments included. It works item by item on the
//! tokens of the grammar, so an item that does not parse is left byte for byte and the others are
//! formatted.
//!
//! `tree` makes statements out of tokens, `layout` writes one statement, `block` puts statements and
//! the comments between them in their places, `align` makes columns.

mod align;
mod block;
mod layout;
mod tree;

use crate::syntax::grammar::{self, Rule};
use crate::syntax::scan::{self, RawItem, Scan};
use crate::syntax::span::FileId;
use block::{Entry, Writer};
use layout::Original;
use tree::Statement;

/// Lines are kept below this where they can be broken.
const WIDTH: usize = 120;

/// A text formatted: four blanks for a level, one blank line at most, columns of arrows and `=`,
/// LF at the end of every line.
///
/// Never fails: what does not parse is left as it is. The result formats to itself, and its tree is
/// that of `text`, spans and rule 1 aside.
pub fn format(text: &str) -> String {
    let found = scan::scan(FileId(0), text);
    let original = Original { source: text, comments: &found.comments };
    let mut out = Vec::new();
    for region in regions(text, &found) {
        match region {
            Region::Comments(from, to) => block::between(original, from, to, &mut out),
            Region::Item(item) => match item_entry(text, &found, &item) {
                Some(entry) => out.push(entry),
                None => out.push(as_is(text, line_of(text, item.start), item.end)),
            },
            Region::AsIs(from, to) => out.push(as_is(text, from, to)),
        }
    }
    align::columns(&mut out);
    block::print(out)
}

fn as_is(text: &str, from: usize, to: usize) -> Entry {
    let begins_line = from == line_of(text, from);
    Entry::AsIs { text: text[from..to].to_owned(), begins_line }
}

/// A piece of a file.
enum Region {
    /// Between items: nothing but comments and blanks.
    Comments(usize, usize),
    /// An item that the first pass finds nothing wrong with.
    Item(RawItem),
    /// Bytes that are left alone.
    AsIs(usize, usize),
}

/// Cuts a file into items and what is between them.
fn regions(text: &str, found: &Scan) -> Vec<Region> {
    let mut wrong: Vec<usize> = found.errors.iter().map(|d| d.primary.loc.span.start as usize).collect();
    wrong.sort_unstable();
    let is_wrong = |from: usize, to: usize| {
        let first = wrong.partition_point(|at| *at < from);
        wrong.get(first).is_some_and(|at| *at <= to)
    };
    let mut out = Vec::new();
    let mut at = 0;
    let mut after_broken = false;
    for item in &found.items {
        let line = line_of(text, item.start).max(at);
        let sound = !item.unclosed
            && !item.too_deep
            && !is_wrong(line, item.end)
            && text[line..item.start].trim_start_matches('\u{feff}').trim_ascii().is_empty()
            && grammar::run(Rule::only_item, &found.text[item.start..item.end]).is_ok();
        // What follows a broken item may belong to it: only whoever repairs it knows.
        let left = after_broken || is_wrong(at, line) || !only_comments(found, at, line);
        if line > at {
            out.push(if left { Region::AsIs(at, line) } else { Region::Comments(at, line) });
        }
        if sound {
            out.push(Region::Item(item.clone()));
        } else {
            out.push(Region::AsIs(line, item.end));
        }
        after_broken = !sound;
        at = item.end;
    }
    if at < text.len() {
        let left = after_broken || is_wrong(at, text.len()) || !only_comments(found, at, text.len());
        out.push(if left { Region::AsIs(at, text.len()) } else { Region::Comments(at, text.len()) });
    }
    out
}

/// Whether nothing but comments and blanks stands between two places.
fn only_comments(found: &Scan, from: usize, to: usize) -> bool {
    found.text[from..to].bytes().all(|b| b.is_ascii_whitespace())
}

/// Where the line of a place begins.
fn line_of(text: &str, at: usize) -> usize {
    text[..at].rfind('\n').map_or(0, |n| n + 1)
}

/// An item, laid out; `None` where what came out does not say the same, which is a mistake in here.
fn item_entry(text: &str, found: &Scan, item: &RawItem) -> Option<Entry> {
    let statement = read(&found.text, item)?;
    let comments = comments_in(found, item);
    let writer = Writer { original: Original { source: text, comments } };
    let entry = writer.item(&statement);
    let written = block::print(vec![entry.clone()]);
    let again = scan::scan(FileId(0), &written);
    let same = match again.items.as_slice() {
        [only] => read(&again.text, only).is_some_and(|read| {
            read.words() == statement.words()
                && again.errors.is_empty()
                && words_of(&written, &again.comments) == words_of(text, comments)
        }),
        _ => false,
    };
    debug_assert!(same, "formatting changed what this says:\n{}\n---\n{written}", &text[item.start..item.end]);
    same.then_some(entry)
}

fn read<'a>(lines: &'a str, item: &RawItem) -> Option<Statement<'a>> {
    let mut pairs = grammar::run(Rule::only_item, &lines[item.start..item.end]).ok()?;
    Some(tree::item(pairs.next()?, lines, item.start))
}

/// The comments inside an item; the one behind its end is between items.
fn comments_in<'a>(found: &'a Scan, item: &RawItem) -> &'a [(usize, usize)] {
    let from = found.comments.partition_point(|(start, _)| *start < item.start);
    let to = found.comments.partition_point(|(start, _)| *start < item.end);
    &found.comments[from..to]
}

/// The comments as they are printed.
fn words_of<'a>(text: &'a str, comments: &[(usize, usize)]) -> Vec<&'a str> {
    comments.iter().map(|(start, end)| text[*start..*end].trim_end()).collect()
}
