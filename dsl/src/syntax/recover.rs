//! An item that did not parse, taken apart: its head, then each statement of its blocks alone, so
//! that one run names every broken line.

use super::ast::{Broken, Item, ItemKind};
use super::build::{Builder, Offsets, Place};
use super::explain::{self, Context};
use super::grammar::{self, Rule};
use super::scan::RawItem;
use super::span::FileId;
use super::words;
use crate::diagnostic::Diagnostic;

/// What can be kept of an item whose head is sound.
pub(crate) fn broken(item: &Item) -> Broken {
    let (name, hosts) = match &item.kind {
        ItemKind::Import(import) => {
            let last = import.module.node.rsplit('/').next().unwrap_or_default().to_owned();
            let name = import.alias.clone().unwrap_or_else(|| super::span::Spanned::new(last, import.module.span));
            (Some(name), Vec::new())
        }
        ItemKind::Let(item) => (Some(item.name.clone()), Vec::new()),
        ItemKind::Pool(item) => (Some(item.name.clone()), Vec::new()),
        ItemKind::Table(item) => (Some(item.name.clone()), Vec::new()),
        ItemKind::Policy(item) => (Some(item.name.clone()), Vec::new()),
        ItemKind::Provider(item) => (Some(item.name.clone()), Vec::new()),
        ItemKind::Tenant { name, .. } => (Some(name.clone()), Vec::new()),
        ItemKind::Site(site) => (None, site.hosts.clone()),
        ItemKind::Passthrough(item) => (None, item.hosts.clone()),
        ItemKind::L4(_) | ItemKind::Gateway(_) | ItemKind::Test { .. } | ItemKind::Prove { .. } => (None, Vec::new()),
    };
    Broken { name, hosts }
}

/// Finds every error of an item that did not parse as a whole. `known` is where the first pass
/// found errors, in order: a statement with one of them is not blamed twice.
pub(crate) fn item(
    file: FileId,
    lines: &str,
    blocks: &[(usize, usize)],
    raw: &RawItem,
    known: &[usize],
) -> (Broken, Vec<Diagnostic>) {
    let mut recovery = Recovery { file, lines, blocks, known, errors: Vec::new() };
    let broken = recovery.head(raw);
    if recovery.errors.is_empty() && !recovery.excused(raw.start, raw.end) {
        // Every part is sound and the whole is not: say where the whole stops.
        recovery.whole(raw);
    }
    (broken, recovery.errors)
}

struct Recovery<'a> {
    file: FileId,
    lines: &'a str,
    blocks: &'a [(usize, usize)],
    known: &'a [usize],
    errors: Vec<Diagnostic>,
}

/// A piece of an item with the insides of its blocks cut out.
struct Piece {
    text: String,
    offsets: Offsets,
    /// The insides.
    inner: Vec<(usize, usize)>,
}

impl Recovery<'_> {
    fn head(&mut self, raw: &RawItem) -> Broken {
        let piece = self.piece(raw.start, raw.end);
        let mut kept = Broken::default();
        let word: String =
            piece.text.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '-' || *c == '_').collect();
        match grammar::run(Rule::only_item, &piece.text) {
            Ok(mut pairs) => {
                let mut builder = Builder::new(self.file, piece.offsets.clone());
                let built = builder.item(pairs.next().expect("the entry rule gives the item"), None);
                self.errors.append(&mut builder.errors);
                kept = broken(&built);
            }
            Err(failure) => {
                if !self.excused_piece(raw.start, &piece) {
                    let context = Context { file: self.file, text: &piece.text, offsets: &piece.offsets, place: None };
                    self.errors.push(explain::explain(&context, &failure));
                }
            }
        }
        let keyword = if words::ITEMS.contains(&word.as_str()) {
            Some(word.as_str())
        } else {
            explain::meant(&word, &words::ITEMS)
        };
        let place = match keyword {
            Some("site" | "policy") => Place::Http,
            Some("passthrough" | "tcp" | "udp") => Place::Bytes,
            Some("pool") => Place::Pool,
            Some("table") => Place::Table,
            Some("gateway" | "tenant" | "provider") => Place::Settings,
            Some("test" | "prove") => Place::Test,
            Some(_) | None => return kept,
        };
        for (start, end) in piece.inner {
            self.block(start, end, place);
        }
        kept
    }

    /// Whether the first pass has already said what is wrong with these bytes.
    fn excused(&self, start: usize, end: usize) -> bool {
        let first = self.known.partition_point(|at| *at < start);
        self.known.get(first).is_some_and(|at| *at <= end)
    }

    /// The same, the insides of its blocks left out.
    fn excused_piece(&self, start: usize, piece: &Piece) -> bool {
        let mut from = start;
        for (inner, after) in &piece.inner {
            if *inner > from && self.excused(from, inner - 1) {
                return true;
            }
            from = *after;
        }
        self.excused(from, piece.offsets.in_file(piece.text.len()))
    }

    /// Statement by statement.
    fn block(&mut self, start: usize, end: usize, place: Place) {
        let mut at = start;
        while at < end {
            at += self.lines.as_bytes()[at..end].iter().take_while(|b| b.is_ascii_whitespace()).count();
            if at >= end {
                break;
            }
            let stop = self.statement_end(at, end);
            self.statement(at, stop, place);
            at = stop.max(at + 1);
        }
    }

    /// The end of the line, or of the line on which its last block ends.
    fn statement_end(&self, start: usize, end: usize) -> usize {
        let bytes = self.lines.as_bytes();
        let mut next = self.blocks.partition_point(|(open, _)| *open < start);
        let mut at = start;
        while at < end && bytes[at] != b'\n' {
            match self.blocks.get(next) {
                Some((open, close)) if *open == at => {
                    at = (*close).min(end);
                    if at < end && bytes[at] == b'\n' {
                        break;
                    }
                    at = (at + 1).min(end);
                    next = self.blocks.partition_point(|(open, _)| *open < at);
                }
                _ => at += 1,
            }
        }
        at
    }

    fn statement(&mut self, start: usize, end: usize, place: Place) {
        let piece = self.piece(start, end);
        let rule = match place {
            Place::Http | Place::Bytes | Place::Settings => Rule::only_statement,
            Place::Pool => Rule::only_pool_statement,
            Place::Table => Rule::only_row,
            Place::Test => Rule::only_test_line,
        };
        match grammar::run(rule, &piece.text) {
            Ok(mut pairs) => {
                let pair = pairs.next().expect("the entry rule gives the statement");
                let mut builder = Builder::new(self.file, piece.offsets.clone());
                if place == Place::Test {
                    builder.test_line(pair);
                } else {
                    builder.statement(pair, place);
                }
                self.errors.append(&mut builder.errors);
            }
            Err(failure) => {
                if !self.excused_piece(start, &piece) {
                    let context =
                        Context { file: self.file, text: &piece.text, offsets: &piece.offsets, place: Some(place) };
                    self.errors.push(explain::explain(&context, &failure));
                }
            }
        }
        // The block of a setting or of `tls` holds settings; that of a route what the route's holds.
        let head = piece.text.trim_start();
        let routes = head.starts_with(['/', '.']) || ["when", "else", "catch"].iter().any(|w| head.starts_with(w));
        let place = if routes { place } else { Place::Settings };
        for (start, end) in piece.inner {
            self.block(start, end, place);
        }
    }

    fn whole(&mut self, raw: &RawItem) {
        let text = &self.lines[raw.start..raw.end];
        if let Err(failure) = grammar::run(Rule::only_item, text) {
            let offsets = Offsets { base: raw.start, end: raw.end, cuts: Vec::new() };
            let context = Context { file: self.file, text, offsets: &offsets, place: None };
            self.errors.push(explain::explain(&context, &failure));
        }
    }

    fn piece(&self, start: usize, end: usize) -> Piece {
        let mut piece =
            Piece { text: String::new(), offsets: Offsets { base: start, end, cuts: Vec::new() }, inner: Vec::new() };
        let mut at = start;
        let mut next = self.blocks.partition_point(|(open, _)| *open < start);
        while let Some((open, close)) = self.blocks.get(next).copied().filter(|(open, _)| *open < end) {
            piece.text.push_str(&self.lines[at..=open]);
            let close = close.clamp(open + 1, end);
            // The brace that should be there, when it is missing.
            piece.offsets.cuts.push((piece.text.len(), close - open - 1));
            piece.inner.push((open + 1, close));
            at = close;
            if self.lines.as_bytes().get(close) != Some(&b'}') || close >= end {
                piece.text.push('}');
                at = end;
            }
            next = self.blocks.partition_point(|(open, _)| *open < at);
        }
        if at < end {
            piece.text.push_str(&self.lines[at..end]);
        }
        piece
    }
}
