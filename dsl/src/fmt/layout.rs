//! One statement, in lines: lists that are too long, or were written over several lines, with one
//! element a line.
//!
//! A list that is broken stays broken, so the result formats to itself: the second time every break
//! is already there, and every line fits or cannot be broken.

use super::WIDTH;
use super::tree::{Element, Group, Holds, Part, Statement, Token};

/// A line of the result.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Line {
    /// In blanks.
    pub(super) indent: usize,
    pub(super) text: String,
    /// What stands behind it, `#` included.
    pub(super) comment: Option<String>,
    /// Where columns begin in the text.
    pub(super) columns: Vec<usize>,
}

impl Line {
    pub(super) fn new(indent: usize, text: impl Into<String>) -> Self {
        Self { indent, text: text.into(), comment: None, columns: Vec::new() }
    }

    pub(super) fn width(&self) -> usize {
        self.indent + self.text.chars().count()
    }
}

/// The source and its comments, by their bytes.
#[derive(Clone, Copy)]
pub(super) struct Original<'a> {
    pub(super) source: &'a str,
    pub(super) comments: &'a [(usize, usize)],
}

// === impl Original ===

impl<'a> Original<'a> {
    /// The comments that begin between two places.
    pub(super) fn comments(self, from: usize, to: usize) -> &'a [(usize, usize)] {
        let first = self.comments.partition_point(|(start, _)| *start < from);
        let last = self.comments.partition_point(|(start, _)| *start < to);
        &self.comments[first..last.max(first)]
    }

    pub(super) fn text(self, comment: (usize, usize)) -> &'a str {
        self.source[comment.0..comment.1].trim_end()
    }

    pub(super) fn newlines(self, from: usize, to: usize) -> usize {
        self.source.as_bytes()[from..to.max(from)].iter().filter(|b| **b == b'\n').count()
    }

    /// The comment on the line of `from`, before `to`.
    pub(super) fn trailing(self, from: usize, to: usize) -> Option<(usize, usize)> {
        self.comments(from, to).first().copied().filter(|(start, _)| self.newlines(from, *start) == 0)
    }
}

/// Lays a statement out, its block left aside; `tail` is what follows on its last line.
pub(super) fn lay_out(original: Original<'_>, statement: &Statement<'_>, indent: usize, tail: &str) -> Vec<Line> {
    let mut breaks = Breaks { groups: vec![false; statement.groups], commas: Vec::new() };
    breaks.as_written(original, &statement.parts);
    breaks.after_commas(original, &statement.parts);
    loop {
        let mut painter = Painter::new(original, &breaks);
        painter.lines.push(Line::new(indent, ""));
        painter.statement(&statement.parts, indent);
        painter.line().text.push_str(tail);
        let Painter { lines, flat, commas, .. } = painter;
        if !breaks.add(&lines, &flat, &commas, indent) {
            return lines;
        }
    }
}

/// What is broken: groups by their number, and the commas outside of brackets.
struct Breaks {
    groups: Vec<bool>,
    commas: Vec<bool>,
}

// === impl Breaks ===

impl Breaks {
    /// Groups that were written over several lines.
    fn as_written(&mut self, original: Original<'_>, parts: &[Part<'_>]) {
        for part in parts {
            let Part::Group(group) = part else { continue };
            let (mut newline, mut comment) = (false, false);
            for (from, to) in gaps(group) {
                newline |= original.newlines(from, to) > 0;
                comment |= !original.comments(from, to).is_empty();
            }
            let kept = newline && !group.elements.is_empty() && group.holds != Holds::One;
            self.groups[group.id] = comment || kept;
            group.elements.iter().for_each(|element| self.as_written(original, &element.parts));
        }
    }

    fn after_commas(&mut self, original: Original<'_>, parts: &[Part<'_>]) {
        for (n, part) in parts.iter().enumerate() {
            if let Part::Comma(comma, _) = part {
                let next = parts.get(n + 1).map_or(comma.end, start);
                self.commas.push(original.newlines(comma.start, next) > 0);
            }
        }
    }

    /// Breaks something in every line that is too long; whether anything was.
    fn add(&mut self, lines: &[Line], flat: &[Flat], commas: &[CommaAt], indent: usize) -> bool {
        let mut added = false;
        let (mut flat, mut commas) = (flat.iter().peekable(), commas.iter().peekable());
        for (at, line) in lines.iter().enumerate() {
            let mut wide: Option<&Flat> = None;
            while let Some(group) = flat.next_if(|group| group.line == at) {
                if wide.is_none_or(|wide| group.width > wide.width) {
                    wide = Some(group);
                }
            }
            // Filled from the left: a comma is broken where the next piece would not fit.
            let (mut from, mut last) = (0, None::<&CommaAt>);
            let mut filled = false;
            let too_long = line.width() > WIDTH;
            while let Some(comma) = commas.next_if(|comma| comma.line == at) {
                let begin = if from == 0 { line.indent } else { indent + 4 };
                if too_long
                    && begin + comma.column - from > WIDTH
                    && let Some(last) = last.take()
                {
                    self.commas[last.number] = true;
                    filled = true;
                    from = last.column;
                }
                last = Some(comma);
            }
            let begin = if from == 0 { line.indent } else { indent + 4 };
            if too_long
                && begin + line.text.chars().count() - from > WIDTH
                && let Some(last) = last
            {
                self.commas[last.number] = true;
                filled = true;
            }
            if too_long
                && !filled
                && let Some(wide) = wide
            {
                self.groups[wide.id] = true;
                filled = true;
            }
            added |= filled;
        }
        added
    }
}

/// A group on one line that could be broken.
struct Flat {
    line: usize,
    id: usize,
    width: usize,
}

/// A comma outside of brackets, on whose line something follows.
struct CommaAt {
    line: usize,
    number: usize,
    /// Characters of the line up to it, itself included.
    column: usize,
}

/// Where a part begins.
fn start(part: &Part<'_>) -> usize {
    match part {
        Part::Word(token) | Part::Comma(token, _) => token.start,
        Part::Group(group) => group.open.start,
    }
}

/// The beginning of its last token: comments behind that are behind it.
fn last_start(part: &Part<'_>) -> usize {
    match part {
        Part::Word(token) | Part::Comma(token, _) => token.start,
        Part::Group(group) => group.close.start,
    }
}

/// Between the tokens of a group itself, those of the groups in it left out.
fn gaps(group: &Group<'_>) -> Vec<(usize, usize)> {
    let mut gaps = Vec::new();
    let mut at = group.open.start;
    for part in group.elements.iter().flat_map(|element| &element.parts) {
        gaps.push((at, start(part)));
        at = last_start(part);
    }
    gaps.push((at, group.close.start));
    gaps
}

struct Painter<'a> {
    original: Original<'a>,
    breaks: &'a Breaks,
    lines: Vec<Line>,
    /// The next word follows a bracket.
    tight: bool,
    flat: Vec<Flat>,
    /// Inside a group that could be broken and is not.
    inside_flat: usize,
    commas: Vec<CommaAt>,
}

// === impl Painter ===

impl<'a> Painter<'a> {
    fn new(original: Original<'a>, breaks: &'a Breaks) -> Self {
        Self { original, breaks, lines: Vec::new(), tight: false, flat: Vec::new(), inside_flat: 0, commas: Vec::new() }
    }

    fn line(&mut self) -> &mut Line {
        self.lines.last_mut().expect("a statement has a first line")
    }

    fn begin(&mut self, indent: usize) {
        self.lines.push(Line::new(indent, ""));
        self.tight = true;
    }

    fn push(&mut self, token: &Token<'_>) {
        let apart = !token.glued && !self.tight;
        self.tight = false;
        let column = token.column;
        let line = self.line();
        if apart && !line.text.is_empty() {
            line.text.push(' ');
        }
        if column {
            line.columns.push(line.text.len());
        }
        line.text.push_str(&token.text);
    }

    fn statement(&mut self, parts: &[Part<'_>], indent: usize) {
        let mut number = 0;
        for (n, part) in parts.iter().enumerate() {
            let Part::Comma(comma, further) = part else {
                self.parts(std::slice::from_ref(part));
                continue;
            };
            self.push(comma);
            let next = parts.get(n + 1).map_or(comma.end, start);
            if self.breaks.commas[number] && n + 1 < parts.len() {
                let mut from = comma.start;
                if let Some(behind) = self.original.trailing(comma.start, next) {
                    self.behind(behind);
                    from = behind.1;
                }
                for comment in self.original.comments(from, next) {
                    let text = self.original.text(*comment);
                    self.lines.push(Line::new(indent + further, text));
                }
                self.begin(indent + further);
            } else if n + 1 < parts.len() {
                let (line, column) = (self.lines.len() - 1, self.line().text.chars().count());
                self.commas.push(CommaAt { line, number, column });
            }
            number += 1;
        }
    }

    fn behind(&mut self, comment: (usize, usize)) {
        let text = self.original.text(comment).to_owned();
        self.line().comment = Some(text);
    }

    fn parts(&mut self, parts: &[Part<'_>]) {
        for part in parts {
            match part {
                Part::Word(token) | Part::Comma(token, _) => self.push(token),
                Part::Group(group) if self.breaks.groups[group.id] => self.broken(group),
                Part::Group(group) => self.flat(group),
            }
        }
    }

    fn flat(&mut self, group: &Group<'_>) {
        self.push(&group.open);
        self.tight = true;
        let (line, from) = (self.lines.len() - 1, self.line().text.chars().count());
        let candidate = group.elements.len() > 1 && group.holds != Holds::One;
        let record = candidate && self.inside_flat == 0;
        let at = self.flat.len();
        if record {
            self.flat.push(Flat { line, id: group.id, width: 0 });
        }
        self.inside_flat += usize::from(candidate);
        for (n, element) in group.elements.iter().enumerate() {
            if n > 0 && group.holds == Holds::Listed {
                self.line().text.push(',');
            }
            self.parts(&element.parts);
        }
        self.inside_flat -= usize::from(candidate);
        self.push(&group.close);
        if record {
            let to = if self.lines.len() - 1 == line { self.line().text.chars().count() } else { WIDTH };
            self.flat[at].width = to.saturating_sub(from);
        }
    }

    fn broken(&mut self, group: &Group<'_>) {
        self.push(&group.open);
        let indent = self.line().indent;
        let outer = std::mem::take(&mut self.inside_flat);
        let first = group.elements.first().and_then(|element| element.parts.first()).map_or(group.close.start, start);
        let mut at = group.open.start + 1;
        if let Some(comment) = self.original.trailing(at, first) {
            self.behind(comment);
            at = comment.1;
        }
        for (n, element) in group.elements.iter().enumerate() {
            let next = group.elements.get(n + 1).and_then(|e| e.parts.first()).map_or(group.close.start, start);
            at = self.element(element, group.holds, at, next, indent + 4, n > 0);
        }
        self.comments_above(at, group.close.start, indent + 4, !group.elements.is_empty(), &[]);
        self.begin(indent);
        self.push(&group.close);
        self.inside_flat = outer;
    }

    /// An element on lines of its own, from the comments above it to the one behind it; where that
    /// ends.
    fn element(
        &mut self,
        element: &Element<'_>,
        holds: Holds,
        at: usize,
        next: usize,
        indent: usize,
        apart: bool,
    ) -> usize {
        let (Some(first), Some(last)) = (element.parts.first(), element.parts.last()) else { return at };
        let end = last_start(last);
        // A comment in its middle has no place on its line: it goes above.
        self.comments_above(at, end, indent, apart, &element.parts);
        let above = self.original.comments(at, start(first)).last().map_or(at, |(_, end)| *end);
        if apart && self.original.newlines(above, start(first)) > 1 {
            self.lines.push(Line::default());
        }
        self.begin(indent);
        self.parts(&element.parts);
        if holds == Holds::Listed {
            self.line().text.push(',');
        }
        let from = end.max(element.comma.unwrap_or(end).min(end));
        match self.original.trailing(from, next) {
            Some(comment) => {
                self.behind(comment);
                comment.1
            }
            None => end + 1,
        }
    }

    /// The comments between two places on lines of their own, those inside nested groups left out.
    fn comments_above(&mut self, from: usize, to: usize, indent: usize, apart: bool, parts: &[Part<'_>]) {
        let mut before = from;
        for (n, comment) in self.original.comments(from, to).iter().enumerate() {
            let nested = parts.iter().any(|part| match part {
                Part::Group(group) => group.open.start < comment.0 && comment.0 < group.close.start,
                Part::Word(_) | Part::Comma(..) => false,
            });
            if nested {
                continue;
            }
            if (apart || n > 0) && self.original.newlines(before, comment.0) > 1 {
                self.lines.push(Line::default());
            }
            self.lines.push(Line::new(indent, self.original.text(*comment)));
            before = comment.1;
        }
    }
}
