//! Where a limit is written, in words that other edits of the file leave as they are: it names the
//! limit's buckets, which outlive a reload that does not change it.

use crate::check::Checker;
use crate::resolve::ModIdx;
use crate::syntax::ast::{self, Body, ItemKind, SegmentPart, Stmt, StmtKind};
use crate::syntax::span::Span;

impl<'a> Checker<'a> {
    /// `sites/api.route, site api.example.com, /v1/*`; with its number where a block has several.
    pub(super) fn place_of_limit(&self, module: ModIdx, span: Span) -> String {
        let module = &self.linked.modules[module];
        let mut place = vec![module.path.clone()];
        let inside = |outer: Span| outer.start <= span.start && span.end <= outer.end;
        let Some(item) = module.parsed.ast.items.iter().find(|item| inside(item.span)) else {
            return module.path.clone();
        };
        match &item.kind {
            ItemKind::Policy(policy) => {
                place.push(format!("policy {}", policy.name.node));
                descend(&policy.body.stmts, span, &mut place);
            }
            ItemKind::Site(site) => {
                let hosts = site.hosts.first().map(|first| host(&first.node)).unwrap_or_default();
                place.push(format!("site {hosts}"));
                descend(&site.body.stmts, span, &mut place);
            }
            _ => {}
        }
        place.join(", ")
    }
}

/// Follows a place through the blocks around it.
fn descend(stmts: &[Stmt], span: Span, place: &mut Vec<String>) {
    let Some(at) = stmts.iter().position(|stmt| stmt.span.start <= span.start && span.end <= stmt.span.end) else {
        return;
    };
    let name = |stmt: &Stmt| match &stmt.kind {
        StmtKind::Route { patterns, .. } => patterns.iter().map(|p| pattern(&p.node)).collect::<Vec<_>>().join(" "),
        StmtKind::When { .. } => "when".to_owned(),
        StmtKind::Else(_) => "else".to_owned(),
        StmtKind::Limit(_) => "limit".to_owned(),
        _ => String::new(),
    };
    let own = name(&stmts[at]);
    let number = stmts[..at].iter().filter(|stmt| name(stmt) == own).count() + 1;
    let numbered = |own: String| if number > 1 { format!("{own} #{number}") } else { own };
    match &stmts[at].kind {
        StmtKind::Limit(_) if number > 1 => place.push(format!("#{number}")),
        StmtKind::Route { body: Body::Block(block), .. }
        | StmtKind::When { body: Body::Block(block), .. }
        | StmtKind::Else(Body::Block(block)) => {
            place.push(numbered(own));
            descend(&block.stmts, span, place);
        }
        _ => {}
    }
}

/// A host, captures without their names.
fn host(host: &ast::HostPattern) -> String {
    let labels = host.labels.iter().map(|label| match &label.node {
        ast::HostLabel::DoubleStar => "**".to_owned(),
        ast::HostLabel::Star => "*".to_owned(),
        ast::HostLabel::Parts(parts) => written(parts),
    });
    labels.collect::<Vec<_>>().join(".")
}

fn written(parts: &[SegmentPart]) -> String {
    let part = |part: &SegmentPart| match part {
        SegmentPart::Lit(text) => text.clone(),
        SegmentPart::Capture { .. } => "{}".to_owned(),
    };
    parts.iter().map(part).collect()
}

/// A pattern, captures without their names.
fn pattern(pattern: &ast::PathPattern) -> String {
    let mut out = if pattern.relative { ".".to_owned() } else { String::new() };
    for segment in &pattern.segments {
        out.push('/');
        out.push_str(&written(&segment.node.parts));
    }
    if matches!(pattern.tail, ast::Tail::Splat(_)) {
        out.push_str("/*");
    }
    out
}
