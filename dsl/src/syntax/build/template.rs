//! Text with holes: quoted, or bare where a path, a URL or a host stands.

use super::{Builder, only};
use crate::syntax::ast::{Template, TemplatePart};
use crate::syntax::grammar::{Pair, Rule};
use crate::syntax::span::Spanned;

impl Builder {
    /// `"text"`, `/path`, `https://…`, `{hole}/…`
    pub(super) fn template(&mut self, pair: Pair<'_>) -> Spanned<Template> {
        let span = self.span(&pair);
        let mut parts = Vec::new();
        for part in pair.into_inner() {
            match part.as_rule() {
                Rule::hole => {
                    let hole = self.atom(only(part));
                    parts.push(TemplatePart::Hole(hole));
                }
                Rule::escape => {
                    let text = self.escape(&part);
                    push_text(&mut parts, text);
                }
                // Runs of literal text, whatever the form allows in them.
                _ => push_text(&mut parts, part.as_str()),
            }
        }
        Spanned::new(Template { parts }, span)
    }

    /// A quoted text without holes.
    pub(super) fn quoted(&mut self, pair: Pair<'_>) -> Spanned<String> {
        let span = self.span(&pair);
        let mut text = String::new();
        for part in pair.into_inner() {
            match part.as_rule() {
                Rule::escape => text.push_str(self.escape(&part)),
                _ => text.push_str(part.as_str()),
            }
        }
        Spanned::new(text, span)
    }

    fn escape<'a>(&mut self, pair: &Pair<'a>) -> &'a str {
        match pair.as_str() {
            r"\n" => "\n",
            r"\t" => "\t",
            r#"\""# => "\"",
            r"\\" => "\\",
            r"\{" => "{",
            r"\}" => "}",
            other => {
                let span = self.span(pair);
                let instead = format!("\\{other}");
                let help = r#"there are \n \t \" \\ \{ and \}; for a backslash write"#;
                self.error_instead(span, format!("there is no escape `{other}` in a text"), help, &instead);
                ""
            }
        }
    }
}

fn push_text(parts: &mut Vec<TemplatePart>, more: &str) {
    match parts.last_mut() {
        Some(TemplatePart::Text(text)) => text.push_str(more),
        Some(TemplatePart::Hole(_)) | None => parts.push(TemplatePart::Text(more.to_owned())),
    }
}
