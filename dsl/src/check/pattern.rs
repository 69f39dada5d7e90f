//! Patterns of hosts and paths.

use super::Checker;
use super::ty::Ty;
use super::val::{Val, With};
use crate::lint;
use crate::resolve::{ModIdx, nearest};
use crate::syntax::ast::{self, CaptureType, HostLabel, Ident, SegmentPart, Tail};
use crate::syntax::span::{Loc, Spanned};
use crate::tree::canonical;
use crate::tree::ir::{self, Capture, Class, Field, HostHead, Paths, Regex, Segment};
use std::sync::Arc;

/// A capture that a pattern binds.
#[derive(Clone, Debug)]
pub(super) struct Bound {
    pub(super) name: Ident,
    pub(super) capture: Capture,
    pub(super) ty: Ty,
}

impl Bound {
    /// The value it stands for.
    pub(super) fn val(&self, optional: bool, ty: &Ty) -> Val {
        Val::Field { field: Field::Capture(self.capture.clone()), ty: ty.clone(), optional, with: With::default() }
    }
}

/// A host pattern with its captures.
#[derive(Clone, Debug)]
pub(super) struct Host {
    pub(super) pattern: ir::HostPattern,
    pub(super) captures: Vec<Bound>,
}

/// A path pattern, absolute, with the captures that it adds to its base.
#[derive(Clone, Debug)]
pub(super) struct Path {
    pub(super) pattern: ir::PathPattern,
    pub(super) captures: Vec<Bound>,
}

/// Lengths that DNS allows.
const LABEL: usize = 63;
const HOST: usize = 253;

impl<'a> Checker<'a> {
    /// Checks a host pattern.
    pub(super) fn host_pattern(&mut self, module: ModIdx, host: &Spanned<ast::HostPattern>) -> Option<Host> {
        let labels = &host.node.labels;
        let loc = self.loc(module, host.span);
        let (first, rest) = labels.split_first()?;
        let mut parents = Vec::new();
        for label in rest {
            let at = self.loc(module, label.span);
            match &label.node {
                HostLabel::Parts(parts) => match parts.as_slice() {
                    [SegmentPart::Lit(text)] => parents.push(self.label(text, at)?),
                    _ => {
                        self.report(lint::g1026::leftmost(at));
                        return None;
                    }
                },
                HostLabel::Star | HostLabel::DoubleStar => {
                    self.report(lint::g1026::leftmost(at));
                    return None;
                }
            }
        }
        let parent = parents.join(".");
        if parent.len() + 2 > HOST {
            self.report(lint::g1026::host(loc, "a host has at most 253 characters"));
            return None;
        }
        let at = self.loc(module, first.span);
        let mut captures = Vec::new();
        let head = match &first.node {
            HostLabel::DoubleStar => HostHead::Many,
            HostLabel::Star => HostHead::Label(Segment::any()),
            HostLabel::Parts(parts) => {
                let lower = |text: &str| text.to_ascii_lowercase();
                let (segment, bound) =
                    self.parts(module, parts, at, Paths::Canonical, &|c, s, t| c.label(s, t).map(|t| lower(&t)))?;
                if let Some((name, prefix, suffix, ty)) = bound {
                    captures.push(Bound { name, capture: Capture::Host { prefix, suffix }, ty });
                }
                HostHead::Label(segment)
            }
        };
        if head == HostHead::Many && parent.is_empty() && !self.gateway_file {
            self.report(lint::g8004::every_host(loc));
            return None;
        }
        Some(Host { pattern: ir::HostPattern { head, parent: parent.into() }, captures })
    }

    /// A label, or a fixed part of one.
    fn label(&mut self, text: &str, at: Loc) -> Option<String> {
        let fine = text.len() <= LABEL && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
        if !fine || text.is_empty() {
            self.report(lint::g1026::host(at, &format!("`{text}` is no label of a host")));
            return None;
        }
        Some(text.to_ascii_lowercase())
    }

    /// Checks a path pattern and puts it on its base.
    pub(super) fn path_pattern(
        &mut self,
        module: ModIdx,
        path: &Spanned<ast::PathPattern>,
        base: &ir::PathPattern,
        paths: Paths,
    ) -> Option<Path> {
        let mut segments = if path.node.relative { base.segments.clone() } else { Vec::new() };
        let mut captures: Vec<Bound> = Vec::new();
        for segment in &path.node.segments {
            let at = self.loc(module, segment.span);
            let index = u32::try_from(segments.len()).unwrap_or(u32::MAX);
            let (made, bound) =
                self.parts(module, &segment.node.parts, at, paths, &|c, text, at| c.segment_text(text, at, paths))?;
            if let Some((name, prefix, suffix, ty)) = bound
                && self.once(module, &captures, &name)
            {
                captures.push(Bound { name, capture: Capture::Segment { index, prefix, suffix }, ty });
            }
            segments.push(made);
        }
        let splat = match &path.node.tail {
            Tail::None | Tail::Slash => false,
            Tail::Splat(name) => {
                if let Some(name) = name
                    && name.node != "_"
                    && self.once(module, &captures, name)
                {
                    let from = u32::try_from(segments.len()).unwrap_or(u32::MAX);
                    captures.push(Bound { name: name.clone(), capture: Capture::Splat { from }, ty: Ty::Text });
                }
                true
            }
        };
        Some(Path { pattern: ir::PathPattern { segments, splat }, captures })
    }

    /// One name stands once in a pattern.
    fn once(&mut self, module: ModIdx, captures: &[Bound], name: &Ident) -> bool {
        let Some(first) = captures.iter().find(|b| b.name.node == name.node) else { return true };
        let (at, first) = (self.loc(module, name.span), self.loc(module, first.name.span));
        self.report(lint::g1018::taken(at, &name.node, first));
        false
    }

    /// The text of a literal segment in its canonical spelling.
    fn segment_text(&mut self, text: &str, at: Loc, paths: Paths) -> Option<String> {
        if paths != Paths::Raw && matches!(text, "." | "..") {
            self.report(lint::g1026::path(at, &format!("no request has the segment `{text}`: paths are canonical")));
            return None;
        }
        match canonical::path(format!("/{text}").as_bytes(), paths) {
            Ok(path) => Some(path[1..].to_owned()),
            Err(why) => {
                self.report(lint::g1026::path(at, &format!("no request has this segment: {why}")));
                None
            }
        }
    }

    /// A segment or label: literal, or one capture between literals.
    #[expect(clippy::type_complexity, reason = "the capture's name, affix lengths and type, used twice just above")]
    fn parts(
        &mut self,
        module: ModIdx,
        parts: &[SegmentPart],
        at: Loc,
        paths: Paths,
        literal: &dyn Fn(&mut Self, &str, Loc) -> Option<String>,
    ) -> Option<(Segment, Option<(Ident, u32, u32, Ty)>)> {
        let (prefix, capture, suffix) = match parts {
            [SegmentPart::Lit(text)] => return Some((Segment::Lit(literal(self, text, at)?.into()), None)),
            [c @ SegmentPart::Capture { .. }] => (String::new(), c, String::new()),
            [SegmentPart::Lit(a), c @ SegmentPart::Capture { .. }] => (literal(self, a, at)?, c, String::new()),
            [c @ SegmentPart::Capture { .. }, SegmentPart::Lit(b)] => (String::new(), c, literal(self, b, at)?),
            [SegmentPart::Lit(a), c @ SegmentPart::Capture { .. }, SegmentPart::Lit(b)] => {
                (literal(self, a, at)?, c, literal(self, b, at)?)
            }
            _ => {
                self.report(lint::g1026::two_captures(at));
                return None;
            }
        };
        let SegmentPart::Capture { name, ty } = capture else { return None };
        let (class, value_ty) = self.class(module, ty, paths, at, literal)?;
        let lens = (u32::try_from(prefix.len()).ok()?, u32::try_from(suffix.len()).ok()?);
        let bound = (name.node != "_").then(|| (name.clone(), lens.0, lens.1, value_ty));
        Some((Segment::Capture { prefix: prefix.into(), class, suffix: suffix.into() }, bound))
    }

    fn class(
        &mut self,
        module: ModIdx,
        ty: &CaptureType,
        paths: Paths,
        at: Loc,
        literal: &dyn Fn(&mut Self, &str, Loc) -> Option<String>,
    ) -> Option<(Class, Ty)> {
        match ty {
            CaptureType::Any => Some((Class::Any, Ty::Text)),
            CaptureType::Named(name) => match name.node.as_str() {
                "int" => Some((Class::Int, Ty::Int)),
                "uuid" => Some((Class::Uuid, Ty::Text)),
                other => {
                    let near = nearest(other, ["int", "uuid"]);
                    self.report(lint::g1026::capture_type(self.loc(module, name.span), other, near));
                    None
                }
            },
            CaptureType::Set(alternatives) => {
                let mut texts: Vec<Arc<str>> = Vec::new();
                for alternative in alternatives {
                    let here = self.loc(module, alternative.span);
                    if matches!(alternative.node.as_str(), "int" | "uuid") {
                        self.report(lint::g1026::type_in_set(here, &alternative.node));
                        return None;
                    }
                    texts.push(literal(self, &alternative.node, here)?.into());
                }
                texts.sort();
                texts.dedup();
                if texts.len() < 2 {
                    self.report(lint::g1026::path(at, "alternatives are two or more different texts"));
                    return None;
                }
                Some((Class::Set(texts.into()), Ty::Text))
            }
            CaptureType::Regex(source) => match Regex::new(&source.node) {
                Ok(regex) => {
                    let at = self.loc(module, source.span);
                    if let Some(d) = lint::g3024::run(at, &regex).filter(|_| module == 0) {
                        self.report(d);
                    }
                    let regex = if paths == Paths::Raw { regex.on_raw_paths() } else { regex };
                    Some((Class::Regex(regex), Ty::Text))
                }
                Err(why) => {
                    self.report(lint::g1017::bad(self.loc(module, source.span), &source.node, &why.to_string()));
                    None
                }
            },
        }
    }
}

/// A constant path in its canonical spelling; a text that is none stays as it is.
pub(super) fn canonical_text(text: &str) -> String {
    match canonical::path(text.as_bytes(), Paths::OpaqueSlash) {
        Ok(path) => path.into_owned(),
        Err(_) => text.to_owned(),
    }
}
