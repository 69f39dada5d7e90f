//! Byte offsets as lines and columns.

use crate::diagnostic::Sources;
use crate::syntax::span::{FileId, Loc};
use std::collections::HashMap;
use std::ops::Range;

/// A place as people count: both from 1, columns in Unicode characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub(super) struct Position {
    pub(super) line: usize,
    pub(super) column: usize,
    pub(super) offset: usize,
}

/// A file's path and text, with its lines found.
pub(super) struct File<'a> {
    pub(super) path: &'a str,
    pub(super) text: &'a str,
    lines: Vec<usize>,
}

/// The files of one report, each read once.
pub(super) struct Files<'a> {
    sources: &'a dyn Sources,
    known: HashMap<FileId, File<'a>>,
}

impl<'a> Files<'a> {
    pub(super) fn new(sources: &'a dyn Sources) -> Self {
        Self { sources, known: HashMap::new() }
    }

    pub(super) fn get(&mut self, id: FileId) -> &File<'a> {
        let sources = self.sources;
        self.known.entry(id).or_insert_with(|| {
            let (path, text) = sources.source(id).unwrap_or(("<unknown>", ""));
            let breaks = text.bytes().enumerate().filter(|(_, b)| *b == b'\n').map(|(at, _)| at + 1);
            File { path, text, lines: std::iter::once(0).chain(breaks).collect() }
        })
    }

    /// Path, start and end of a place.
    pub(super) fn place(&mut self, loc: Loc) -> (&'a str, Position, Position) {
        let file = self.get(loc.file);
        let range = file.range(loc);
        (file.path, file.position(range.start), file.position(range.end))
    }
}

impl File<'_> {
    /// The span, moved inside the text and onto character boundaries.
    pub(super) fn range(&self, loc: Loc) -> Range<usize> {
        let snap = |at: u32| {
            let mut at = (at as usize).min(self.text.len());
            while !self.text.is_char_boundary(at) {
                at -= 1;
            }
            at
        };
        let start = snap(loc.span.start);
        start..snap(loc.span.end).max(start)
    }

    /// Which line a byte is on, from 0.
    pub(super) fn line(&self, at: usize) -> usize {
        self.lines.partition_point(|start| *start <= at) - 1
    }

    /// Where a line begins; past the last line, the end of the text.
    pub(super) fn line_start(&self, line: usize) -> usize {
        self.lines.get(line).copied().unwrap_or(self.text.len())
    }

    fn position(&self, at: usize) -> Position {
        let line = self.line(at);
        let before = &self.text[self.lines[line]..at];
        // A byte order mark is no character of the first line.
        let before = if line == 0 { before.strip_prefix('\u{feff}').unwrap_or(before) } else { before };
        Position { line: line + 1, column: before.chars().count() + 1, offset: at }
    }
}
