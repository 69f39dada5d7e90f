//! Host and path patterns.

use super::{Builder, need, only};
use crate::syntax::ast::{CaptureType, HostLabel, HostPattern, PathPattern, Segment, SegmentPart, Tail};
use crate::syntax::grammar::{Pair, Rule};
use crate::syntax::span::Spanned;

impl Builder {
    pub(super) fn hosts(&mut self, pair: Pair<'_>) -> Vec<Spanned<HostPattern>> {
        pair.into_inner().map(|host| self.host(host)).collect()
    }

    /// The rules `host` and `star_host`.
    pub(super) fn host(&mut self, pair: Pair<'_>) -> Spanned<HostPattern> {
        let span = self.span(&pair);
        let mut labels = Vec::new();
        for label in pair.into_inner() {
            let at = self.span(&label);
            if label.as_rule() == Rule::host6 {
                let text = label.as_str();
                if text[1..text.len() - 1].parse::<std::net::Ipv6Addr>().is_err() {
                    self.error(at, format!("`{text}` is not an IPv6 address in brackets"));
                }
                let parts = vec![SegmentPart::Lit(text.to_ascii_lowercase())];
                labels.push(Spanned::new(HostLabel::Parts(parts), at));
                continue;
            }
            let mut parts = label.into_inner().peekable();
            let node = match parts.peek().map(|part| (part.as_rule(), part.as_str())) {
                Some((Rule::stars, "**")) => HostLabel::DoubleStar,
                Some((Rule::stars, _)) => HostLabel::Star,
                _ => {
                    let mut built = Vec::new();
                    for part in parts {
                        match part.as_rule() {
                            Rule::host_lit => built.push(SegmentPart::Lit(part.as_str().to_ascii_lowercase())),
                            _ => built.push(self.capture(part)),
                        }
                    }
                    HostLabel::Parts(built)
                }
            };
            labels.push(Spanned::new(node, at));
        }
        Spanned::new(HostPattern { labels }, span)
    }

    pub(super) fn path_pattern(&mut self, pair: Pair<'_>) -> Spanned<PathPattern> {
        let span = self.span(&pair);
        let mut pattern = PathPattern { relative: false, segments: Vec::new(), tail: Tail::None };
        for part in pair.into_inner() {
            match part.as_rule() {
                Rule::dot => pattern.relative = true,
                Rule::segment => {
                    let at = self.span(&part);
                    let segment = self.segment(part);
                    pattern.segments.push(Spanned::new(segment, at));
                }
                _ => {
                    pattern.tail = match part.into_inner().next() {
                        None => Tail::Slash,
                        Some(splat) => Tail::Splat(splat.into_inner().next().map(|name| self.ident(&name))),
                    }
                }
            }
        }
        Spanned::new(pattern, span)
    }

    fn segment(&mut self, pair: Pair<'_>) -> Segment {
        let mut parts = Vec::new();
        for part in pair.into_inner() {
            if part.as_rule() == Rule::capture {
                parts.push(self.capture(part));
                continue;
            }
            self.percent_escapes(&part);
            parts.push(SegmentPart::Lit(part.as_str().to_owned()));
        }
        Segment { parts }
    }

    fn percent_escapes(&mut self, pair: &Pair<'_>) {
        let text = pair.as_str();
        for (at, _) in text.match_indices('%') {
            let hex = text.as_bytes().get(at + 1..at + 3).is_some_and(|hex| hex.iter().all(u8::is_ascii_hexdigit));
            if !hex {
                let start = pair.as_span().start() + at;
                let span = self.between(start, start + 1);
                self.error_instead(
                    span,
                    "`%` in a path begins an escape of two hexadecimal digits",
                    "for a percent sign write",
                    "%25",
                );
            }
        }
    }

    fn capture(&mut self, pair: Pair<'_>) -> SegmentPart {
        let mut pairs = pair.into_inner();
        let name = self.declared(&need(&mut pairs));
        let mut choices = Vec::new();
        for part in pairs {
            if part.as_rule() == Rule::regex {
                let regex = only(part);
                return SegmentPart::Capture { name, ty: CaptureType::Regex(self.ident(&regex)) };
            }
            if part.as_rule() == Rule::choice {
                choices.push(self.ident(&part));
            }
        }
        let ty = match choices.len() {
            0 => CaptureType::Any,
            1 => CaptureType::Named(choices.remove(0)),
            _ => CaptureType::Set(choices),
        };
        SegmentPart::Capture { name, ty }
    }
}
