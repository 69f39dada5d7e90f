//! Tokens of the grammar to statements: words, brackets and blocks, with their places.
//!
//! What a word means does not matter here; where the grammar gives a token of its own, its text is
//! one word, and the punctuation between the tokens is read from the gaps.

use crate::syntax::grammar::{Pair, Rule};
use std::borrow::Cow;

/// A word or a piece of punctuation.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Token<'a> {
    /// As it is written.
    pub(super) text: Cow<'a, str>,
    /// Its bytes in the file.
    pub(super) start: usize,
    pub(super) end: usize,
    /// No blank before it.
    pub(super) glued: bool,
    /// A column of a run of neighbours begins with it.
    pub(super) column: bool,
}

/// A part of a statement.
#[derive(Clone, Debug)]
pub(super) enum Part<'a> {
    Word(Token<'a>),
    /// A comma outside of brackets: the line may break behind it, and goes on so much further to the
    /// right.
    Comma(Token<'a>, usize),
    Group(Group<'a>),
}

/// What a bracket holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Holds {
    /// A list, arguments or parameters: a comma behind each, the last included.
    Listed,
    /// A condition: its `and`s or `or`s begin lines.
    Condition,
    /// One value, as in `tenants[tenant]`.
    One,
}

/// `( … )` or `[ … ]`
#[derive(Clone, Debug)]
pub(super) struct Group<'a> {
    pub(super) open: Token<'a>,
    pub(super) elements: Vec<Element<'a>>,
    pub(super) close: Token<'a>,
    pub(super) holds: Holds,
    /// Its number in the statement.
    pub(super) id: usize,
}

/// What stands between two commas, or between two `and`s.
#[derive(Clone, Debug, Default)]
pub(super) struct Element<'a> {
    pub(super) parts: Vec<Part<'a>>,
    /// Where the comma behind it stands.
    pub(super) comma: Option<usize>,
}

/// One statement or item.
#[derive(Clone, Debug)]
pub(super) struct Statement<'a> {
    pub(super) parts: Vec<Part<'a>>,
    pub(super) block: Option<Block<'a>>,
    /// Which neighbours its columns are aligned with.
    pub(super) run: Run,
    /// How many groups it has.
    pub(super) groups: usize,
    pub(super) start: usize,
    pub(super) end: usize,
}

/// `{ … }`
#[derive(Clone, Debug)]
pub(super) struct Block<'a> {
    pub(super) open: usize,
    pub(super) close: usize,
    pub(super) statements: Vec<Statement<'a>>,
}

/// Statements whose columns are aligned when they are neighbours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Run {
    Alone,
    /// Paths, `else` and rows: at the arrow.
    Arrow,
    /// `when … -> x`: at the arrow.
    When,
    /// `set request header x = y`: at every word.
    Header,
    /// `let x = y`: at `=`.
    Let,
    /// `pool x = y`: at `=`.
    Pool,
    /// Settings: behind the first word.
    Setting,
}

/// What a block holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// Routes and policies.
    Routes,
    /// Routes, of which `else` and the bare arrow are refused in this block itself.
    Policy,
    /// The answer of a `catch`.
    Catch,
    /// Settings, rows, test lines.
    Other,
}

/// The rule `item` of an item that stands at `base`; `lines` are those of the first pass.
pub(super) fn item<'a>(pair: Pair<'a>, lines: &'a str, base: usize) -> Statement<'a> {
    let inner = pair.into_inner().next().expect("the grammar gives an item its kind");
    statement(inner, lines, base, Place::Other)
}

// === impl Statement ===

impl<'a> Statement<'a> {
    /// The texts of its words, in order: what it says, whatever the blanks. Commas are left out,
    /// for one may follow the last element of a list.
    pub(super) fn words(&self) -> Vec<&str> {
        let mut out = Vec::new();
        self.add_words(&mut out);
        out
    }

    fn add_words<'s>(&'s self, out: &mut Vec<&'s str>) {
        words_of(&self.parts, out);
        if let Some(block) = &self.block {
            out.push("{");
            block.statements.iter().for_each(|statement| statement.add_words(out));
            out.push("}");
        }
    }
}

fn words_of<'s>(parts: &'s [Part<'_>], out: &mut Vec<&'s str>) {
    for part in parts {
        match part {
            Part::Word(token) => out.push(&token.text),
            Part::Comma(..) => {}
            Part::Group(group) => {
                out.push(&group.open.text);
                group.elements.iter().for_each(|element| words_of(&element.parts, out));
                out.push(&group.close.text);
            }
        }
    }
}

// === from tokens

fn statement<'a>(pair: Pair<'a>, lines: &'a str, base: usize, place: Place) -> Statement<'a> {
    let rule = pair.as_rule();
    let span = pair.as_span();
    let (start, end) = (base + span.start(), base + span.start() + span.as_str().trim_ascii_end().len());
    let mut reader = Reader { lines, base, out: Vec::new(), block: None, groups: 0, glue: false, rule };
    reader.container(pair);
    let Reader { out: parts, block, groups, .. } = reader;
    let ends_here = block.is_none();
    let run = match rule {
        Rule::route | Rule::else_statement | Rule::row if ends_here => Run::Arrow,
        Rule::when_statement if ends_here => Run::When,
        Rule::header_statement => Run::Header,
        Rule::let_in => Run::Let,
        Rule::pool if ends_here => Run::Pool,
        Rule::setting | Rule::dns | Rule::pool_limit | Rule::tls | Rule::limit
            if ends_here && place == Place::Other =>
        {
            Run::Setting
        }
        _ => Run::Alone,
    };
    Statement { parts, block, run, groups, start, end }
}

struct Reader<'a> {
    lines: &'a str,
    base: usize,
    out: Vec<Part<'a>>,
    block: Option<Block<'a>>,
    groups: usize,
    /// The next word follows without a blank.
    glue: bool,
    /// Of the statement.
    rule: Rule,
}

impl<'a> Reader<'a> {
    /// The tokens inside, and the punctuation between them.
    fn container(&mut self, pair: Pair<'a>) {
        let rule = pair.as_rule();
        let (mut at, end) = (pair.as_span().start(), pair.as_span().end());
        for inner in pair.into_inner() {
            let span = inner.as_span();
            self.punctuation(at, span.start(), rule);
            at = span.end();
            self.token(inner);
        }
        self.punctuation(at, end, rule);
    }

    fn token(&mut self, pair: Pair<'a>) {
        match pair.as_rule() {
            Rule::block | Rule::pool_block | Rule::table_block | Rule::test_block => self.block(pair),
            Rule::list => self.group(pair, Holds::Listed, false),
            Rule::args | Rule::params => self.group(pair, Holds::Listed, true),
            Rule::group => self.group(pair, Holds::Condition, false),
            Rule::index => self.group(pair, Holds::One, true),
            Rule::comma => self.comma(self.base + pair.as_span().start(), 4),
            rule if is_container(rule) => self.container(pair),
            rule => {
                let column = match self.rule {
                    Rule::header_statement => matches!(rule, Rule::side | Rule::k_header | Rule::gets),
                    Rule::let_in | Rule::pool => rule == Rule::gets && self.out.iter().all(is_word_or_params),
                    Rule::row => rule == Rule::leads_to,
                    _ => self.second_of_a_setting(),
                };
                let span = pair.as_span();
                let text = span.as_str().trim_ascii_end();
                let start = self.base + span.start();
                // `is  not`, `srv  name`: one blank, and the comment between them is not part of it.
                let spaced = matches!(rule, Rule::operator | Rule::address | Rule::short_address);
                let text = match spaced && text.contains(' ') {
                    true => Cow::Owned(text.split_ascii_whitespace().collect::<Vec<_>>().join(" ")),
                    false => Cow::Borrowed(text),
                };
                let end = start + span.as_str().trim_ascii_end().len();
                self.word(text, start, end, self.glue || rule == Rule::of_type, column);
            }
        }
    }

    fn comma(&mut self, start: usize, further: usize) {
        let text = Cow::Borrowed(",");
        self.out.push(Part::Comma(Token { text, start, end: start + 1, glued: true, column: false }, further));
    }

    fn second_of_a_setting(&self) -> bool {
        self.out.len() == 1
            && matches!(self.rule, Rule::setting | Rule::dns | Rule::pool_limit | Rule::tls | Rule::limit)
    }

    fn word(&mut self, text: Cow<'a, str>, start: usize, end: usize, glued: bool, column: bool) {
        self.glue = false;
        self.out.push(Part::Word(Token { text, start, end, glued, column }));
    }

    /// What stands between two tokens: commas, arrows, dots, and the brackets of rules that are no
    /// groups.
    fn punctuation(&mut self, from: usize, to: usize, rule: Rule) {
        let gap = &self.lines[self.base + from..self.base + to];
        let mut at = 0;
        while at < gap.len() {
            let rest = &gap[at..];
            let len = match rest.as_bytes()[0] {
                b' ' | b'\n' => {
                    at += 1;
                    continue;
                }
                b'-' => 2,
                _ => 1,
            };
            let text = &rest[..len];
            let start = self.base + from + at;
            let end = start + len;
            match text {
                "," => {
                    // The patterns of a route are its left side: they stand below each other.
                    self.comma(start, if rule == Rule::route { 0 } else { 4 });
                }
                "->" => {
                    let column = matches!(self.rule, Rule::route | Rule::else_statement | Rule::when_statement);
                    self.word(Cow::Borrowed(text), start, end, false, column);
                }
                "." => {
                    self.word(Cow::Borrowed(text), start, end, true, false);
                    self.glue = true;
                }
                "[" => {
                    // Of `header ["X_Odd"]`.
                    self.word(Cow::Borrowed(text), start, end, self.glue, false);
                    self.glue = true;
                }
                "]" => self.word(Cow::Borrowed(text), start, end, true, false),
                // Of a table's types.
                ":" => self.word(Cow::Borrowed(text), start, end, rule == Rule::table_types, false),
                _ => self.word(Cow::Borrowed(text), start, end, self.glue, false),
            }
            at += len;
        }
    }

    fn group(&mut self, pair: Pair<'a>, holds: Holds, glued: bool) {
        let glued = glued || self.glue;
        let span = pair.as_span();
        let (lines, base) = (self.lines, self.base);
        let bracket = |at: usize, glued| Token {
            text: Cow::Borrowed(&lines[base + at..base + at + 1]),
            start: base + at,
            end: base + at + 1,
            glued,
            column: false,
        };
        let open = Token { column: self.second_of_a_setting(), ..bracket(span.start(), glued) };
        let mut close = bracket(span.start(), true);
        let id = self.groups;
        self.groups += 1;
        let mut elements: Vec<Element<'a>> = Vec::new();
        let mut at = span.start() + 1;
        for inner in pair.into_inner() {
            let start = inner.as_span().start();
            if let (Some(comma), Some(last)) =
                (self.lines[self.base + at..self.base + start].find(','), elements.last_mut())
            {
                last.comma = Some(self.base + at + comma);
            }
            at = inner.as_span().end();
            if matches!(inner.as_rule(), Rule::end_of_list | Rule::end_of_group) {
                close = bracket(start, true);
                continue;
            }
            if holds == Holds::Condition {
                for term in inner.into_inner() {
                    let joint = matches!(term.as_rule(), Rule::k_and | Rule::k_or);
                    if joint || elements.is_empty() {
                        elements.push(Element::default());
                    }
                    let parts = self.inside(term);
                    elements.last_mut().expect("one was pushed for the first term").parts.extend(parts);
                }
            } else {
                let parts = self.inside(inner);
                elements.push(Element { parts, comma: None });
            }
        }
        self.glue = false;
        self.out.push(Part::Group(Group { open, elements, close, holds, id }));
    }

    /// The parts of a pair on their own.
    fn inside(&mut self, pair: Pair<'a>) -> Vec<Part<'a>> {
        let before = std::mem::take(&mut self.out);
        self.glue = false;
        self.token(pair);
        std::mem::replace(&mut self.out, before)
    }

    fn block(&mut self, pair: Pair<'a>) {
        let span = pair.as_span();
        let place = match self.rule {
            Rule::policy => Place::Policy,
            Rule::catch => Place::Catch,
            Rule::site | Rule::passthrough | Rule::l4 | Rule::route | Rule::when_statement | Rule::else_statement => {
                Place::Routes
            }
            _ => Place::Other,
        };
        let statements = pair
            .into_inner()
            .map(|inner| match inner.as_rule() {
                Rule::statement | Rule::pool_statement => {
                    let inner = inner.into_inner().next().expect("the grammar gives a statement its kind");
                    (inner.as_rule(), statement(inner, self.lines, self.base, place))
                }
                rule => (rule, statement(inner, self.lines, self.base, place)),
            })
            .collect();
        let statements = if place == Place::Routes { spelled(statements) } else { without_rules(statements) };
        let (open, close) = (self.base + span.start(), self.base + span.start() + span.as_str().trim_ascii_end().len());
        self.block = Some(Block { open, close: close - 1, statements });
    }
}

fn is_word_or_params(part: &Part<'_>) -> bool {
    match part {
        Part::Word(_) => true,
        Part::Group(group) => group.open.glued,
        Part::Comma(..) => false,
    }
}

fn without_rules<'a>(statements: Vec<(Rule, Statement<'a>)>) -> Vec<Statement<'a>> {
    statements.into_iter().map(|(_, statement)| statement).collect()
}

/// Rule 1: a block that only answers writes `-> x`; beside other routes it writes `else -> x`.
///
/// A `use` may bring routes along, and only the checker knows: then nothing is touched.
fn spelled<'a>(mut statements: Vec<(Rule, Statement<'a>)>) -> Vec<Statement<'a>> {
    let is_route =
        |rule: Rule| matches!(rule, Rule::route | Rule::when_statement | Rule::else_statement | Rule::arrow_statement);
    let routes: Vec<usize> = (0..statements.len()).filter(|n| is_route(statements[*n].0)).collect();
    let bare: Vec<usize> = routes.iter().copied().filter(|n| statements[*n].0 == Rule::arrow_statement).collect();
    let others = routes.iter().any(|n| statements[*n].0 == Rule::else_statement);
    let uses = statements.iter().any(|(rule, _)| *rule == Rule::use_statement);
    match (routes.as_slice(), bare.as_slice()) {
        ([only], []) if statements[*only].0 == Rule::else_statement && !uses => {
            let statement = &mut statements[*only].1;
            if statement.block.is_none() {
                statement.parts.remove(0);
                statement.run = Run::Alone;
            }
        }
        ([_, _, ..], [arrow]) if !others => {
            let statement = &mut statements[*arrow].1;
            let at = statement.start;
            let text = Cow::Borrowed("else");
            statement.parts.insert(0, Part::Word(Token { text, start: at, end: at, glued: false, column: false }));
            if let Some(Part::Word(arrow)) = statement.parts.get_mut(1) {
                arrow.column = true;
            }
            statement.run = Run::Arrow;
        }
        _ => {}
    }
    without_rules(statements)
}

/// Whether a rule's tokens are words of their own. The tokens of every other rule are one word, as
/// those of a path with its captures are.
fn is_container(rule: Rule) -> bool {
    use Rule::*;
    matches!(
        rule,
        expr | term
            | value
            | atom
            | word_atom
            | reference
            | arg
            | request
            | operand
            | if_missing
            | arrow
            | action
            | simple
            | answer
            | redirect
            | respond
            | said
            | body_file
            | content_type
            | deny
            | login
            | logout
            | files
            | files_index
            | files_fallback
            | split
            | share
            | by
            | proxy
            | at
            | to_host
            | statement
            | route
            | without
            | condition
            | arrow_statement
            | else_statement
            | when_statement
            | use_statement
            | require
            | limit
            | header_statement
            | header_name
            | let_in
            | catch
            | tls
            | session
            | dns
            | setting
            | word
            | allow_when
            | pool_statement
            | pool_limit
            | endpoint
            | weight
            | backup
            | short_endpoint
            | row
            | test_line
            | item
            | import
            | pool
            | table
            | table_types
            | among
            | from
            | policy
            | param
            | site
            | hosts
            | passthrough
            | l4
            | gateway
            | tenant
            | provider
            | test
            | prove
    )
}
