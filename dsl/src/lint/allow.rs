//! `# allow G2005: reason`: warnings and hints that somebody has looked at and wants to keep.
//!
//! The comment stands on a line of its own, above the line that is meant, or at that line's end. Above
//! or behind the head of an item or a block it covers all of it. Errors cannot be allowed.

use super::g9003;
use crate::diagnostic::{Diagnostic, Severity, Sources};
use crate::syntax::ast::{self, Block, Body, ItemKind, Stmt, StmtKind};
use crate::syntax::scan;
use crate::syntax::span::{FileId, Loc, Span};

/// A comment that allows something.
#[derive(Debug)]
struct Allow {
    codes: Vec<Named>,
    explained: bool,
    /// The comment, without the blanks before it.
    comment: Span,
    /// What is removed with it: its line, where it has one of its own.
    whole: Span,
    /// Findings that begin in here are meant.
    covers: Span,
}

/// A code as a comment names it.
#[derive(Debug)]
struct Named {
    code: String,
    at: Span,
    used: bool,
    /// An error has this code here.
    refused: bool,
}

/// Drops the warnings and hints that comments of these files allow, and adds what is to be said of the
/// comments (G9003). `findings` is all that was found, for a comment is of no use when nothing is.
pub fn allow(findings: Vec<Diagnostic>, files: &[FileId], sources: &dyn Sources) -> Vec<Diagnostic> {
    let mut all: Vec<(FileId, Vec<Allow>)> = Vec::new();
    for &file in files {
        let Some((_, text)) = sources.source(file) else { continue };
        // Most files have none, and are not parsed again.
        if text.contains("allow ") {
            all.push((file, comments(file, text)));
        }
    }
    let mut kept: Vec<Diagnostic> = Vec::new();
    for d in findings {
        let at = d.primary.loc;
        let of_file = all.iter_mut().filter(|(file, _)| *file == at.file).flat_map(|(_, allows)| allows);
        let mut dropped = false;
        for allow in of_file.filter(|allow| allow.covers.range().contains(&(at.span.start as usize))) {
            for named in allow.codes.iter_mut().filter(|named| named.code == d.code) {
                if d.severity == Severity::Error {
                    named.refused = true;
                } else if allow.explained {
                    named.used = true;
                    dropped = true;
                }
            }
        }
        if !dropped {
            kept.push(d);
        }
    }
    for (file, allows) in &all {
        kept.extend(allows.iter().flat_map(|allow| said_of(*file, allow)));
    }
    kept
}

/// What is to be said of a comment.
fn said_of(file: FileId, allow: &Allow) -> Vec<Diagnostic> {
    let loc = |span| Loc { file, span };
    let mut out = Vec::new();
    for named in &allow.codes {
        let (at, code) = (loc(named.at), named.code.as_str());
        let known = super::RULES.iter().map(|r| r.code).chain(super::planned::PLANNED.iter().map(|p| p.code));
        if !known.clone().any(|c| c == code) {
            out.push(g9003::unknown(at, code, super::near_code(code)));
        } else if named.refused {
            out.push(g9003::error(at, code, loc(allow.whole)));
        } else if !allow.explained {
            out.push(g9003::unexplained(loc(allow.comment), code));
        } else if !named.used && allow.codes.len() == 1 {
            out.push(g9003::unused(loc(allow.comment), code, loc(allow.whole)));
        } else if !named.used {
            let rest: Vec<&str> =
                allow.codes.iter().filter(|other| other.code != named.code).map(|other| other.code.as_str()).collect();
            let codes = allow.codes.iter().fold(named.at, |all, n| all.to(n.at));
            out.push(g9003::one_of(at, code, loc(codes), &rest.join(", ")));
        }
    }
    out
}

/// The comments of a text that allow something.
fn comments(file: FileId, text: &str) -> Vec<Allow> {
    // The first pass blanks comments out: what is left is what is none.
    let lines = scan::scan(file, text).text;
    let is_comment = |at: usize| text.as_bytes()[at] == b'#' && lines.as_bytes()[at] == b' ';
    let mut nodes: Option<Vec<Span>> = None;
    let mut out = Vec::new();
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        let begin = start;
        start += line.len();
        let Some(at) = line.match_indices('#').map(|(n, _)| begin + n).find(|at| is_comment(*at)) else { continue };
        let end = begin + line.trim_end().len();
        let Some((codes, explained)) = read(&text[at..end], at) else { continue };
        let own = lines[begin..at].trim().is_empty();
        let covered = if own { next_line(text, &lines, start) } else { Span::new(begin, start) };
        let nodes = nodes.get_or_insert_with(|| nodes_of(&crate::syntax::parse(file, text).ast));
        let heads = nodes.iter().filter(|n| covered.range().contains(&(n.start as usize)));
        let covers = heads.fold(covered, |all, node| all.to(*node));
        let before = begin + text[begin..at].trim_end().len();
        let whole = if own { Span::new(begin, start) } else { Span::new(before, end) };
        out.push(Allow { codes, explained, comment: Span::new(at, end), whole, covers });
    }
    out
}

/// The line that a comment on a line of its own is about: the next one that is no comment.
fn next_line(text: &str, lines: &str, mut start: usize) -> Span {
    for line in text[start..].split_inclusive('\n') {
        let end = start + line.len();
        if !lines[start..end].trim().is_empty() {
            return Span::new(start, end);
        }
        if line.trim().is_empty() {
            break;
        }
        start = end;
    }
    Span::new(start, start)
}

/// `# allow G2005, G2006: reason`, at this byte. `None`: another comment.
fn read(comment: &str, at: usize) -> Option<(Vec<Named>, bool)> {
    let rest = comment.strip_prefix('#')?.trim_start().strip_prefix("allow")?;
    if !rest.starts_with([' ', '\t']) {
        return None;
    }
    let (list, reason) = rest.split_once(':').unwrap_or((rest, ""));
    let mut from = at + comment.len() - rest.len();
    let mut codes: Vec<Named> = Vec::new();
    for part in list.split(',') {
        let word = part.split_whitespace().next().unwrap_or_default();
        let start = from + part.find(word).unwrap_or(0);
        from += part.len() + 1;
        let digits = word.strip_prefix(['G', 'g']).filter(|d| !d.is_empty() && d.bytes().all(|b| b.is_ascii_digit()));
        match digits {
            Some(_) => codes.push(Named {
                code: word.to_ascii_uppercase(),
                at: Span::new(start, start + word.len()),
                used: false,
                refused: false,
            }),
            // Words: `# allow the office in`.
            None if codes.is_empty() => return None,
            None => break,
        }
    }
    Some((codes, !reason.trim().is_empty()))
}

/// Items and statements.
fn nodes_of(file: &ast::File) -> Vec<Span> {
    let mut out = Vec::new();
    for item in &file.items {
        out.push(item.span);
        if let Some(block) = block_of(&item.kind) {
            statements(block, &mut out);
        }
    }
    out
}

/// The block of an item.
pub(super) fn block_of(kind: &ItemKind) -> Option<&Block> {
    match kind {
        ItemKind::Pool(pool) => pool.body.as_ref(),
        ItemKind::Table(table) => table.body.as_ref(),
        ItemKind::Policy(policy) => Some(&policy.body),
        ItemKind::Provider(provider) => Some(&provider.body),
        ItemKind::Site(site) => Some(&site.body),
        ItemKind::Passthrough(p) => of_body(&p.body),
        ItemKind::L4(l4) => of_body(&l4.body),
        ItemKind::Gateway(block) | ItemKind::Tenant { body: block, .. } => Some(block),
        ItemKind::Import(_) | ItemKind::Let(_) | ItemKind::Test { .. } | ItemKind::Prove { .. } => None,
    }
}

fn of_body(body: &Body) -> Option<&Block> {
    match body {
        Body::Block(block) => Some(block),
        Body::Action(_) => None,
    }
}

/// The block of a statement.
pub(super) fn block_in(stmt: &Stmt) -> Option<&Block> {
    match &stmt.kind {
        StmtKind::Route { body, .. }
        | StmtKind::When { body, .. }
        | StmtKind::Else(body)
        | StmtKind::Catch { body, .. } => of_body(body),
        StmtKind::Tls { body, .. } | StmtKind::Setting { body, .. } => body.as_ref(),
        StmtKind::Let(_)
        | StmtKind::Use { .. }
        | StmtKind::Require { .. }
        | StmtKind::Limit(_)
        | StmtKind::Header(_)
        | StmtKind::Session { .. }
        | StmtKind::Arrow(_)
        | StmtKind::Endpoint(_)
        | StmtKind::Row { .. } => None,
    }
}

fn statements(block: &Block, out: &mut Vec<Span>) {
    for stmt in &block.stmts {
        out.push(stmt.span);
        if let Some(inner) = block_in(stmt) {
            statements(inner, out);
        }
    }
}
