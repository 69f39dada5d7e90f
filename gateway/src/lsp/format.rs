//! Formatting, as `sluice fmt` does it.

use super::server::{Answer, Server};
use super::text::Lines;
use dsl::syntax::span::Span;
use serde_json::{Value, json};

pub(super) fn format(server: &mut Server, params: &Value) -> Answer {
    let Some((_, text)) = server.document(params) else { return Ok(Value::Null) };
    let new = dsl::fmt::format(&text);
    if *new == *text {
        return Ok(json!([]));
    }
    // What both begin and end with stays, so that the cursor stays where it is.
    let same =
        |a: &mut dyn Iterator<Item = (char, char)>| a.take_while(|(a, b)| a == b).map(|(a, _)| a.len_utf8()).sum();
    let start: usize = same(&mut text.chars().zip(new.chars()));
    let end: usize = same(&mut text[start..].chars().rev().zip(new[start..].chars().rev()));
    let range = Lines::new(&text, server.encoding).range(Span::new(start, text.len() - end));
    Ok(json!([{ "range": range, "newText": &new[start..new.len() - end] }]))
}
