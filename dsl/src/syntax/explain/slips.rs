//! Mistakes that anybody makes who comes from another language.

use super::{Failed, meant, token};
use crate::diagnostic::Diagnostic;
use crate::syntax::grammar::Rule;

pub(super) fn explain(f: &Failed<'_>) -> Option<Diagnostic> {
    let slips: [fn(&Failed<'_>) -> Option<Diagnostic>; 11] =
        [if_word, quotes, semicolon, fragment, arrow, operator, and_or, bracket, comma, condition_word, text_hole];
    slips.iter().find_map(|slip| slip(f))
}

/// `if … -> pool`: whatever follows, that word is the mistake.
fn if_word(f: &Failed<'_>) -> Option<Diagnostic> {
    if f.head != "if" || f.context.place.is_none() {
        return None;
    }
    let start = f.text.len() - f.text.trim_start().len();
    Some(f.instead(start..start + 2, "there is no `if`: a route's condition is `when`", "write", "when"))
}

fn quotes(f: &Failed<'_>) -> Option<Diagnostic> {
    let first = f.found.chars().next()?;
    let message = match first {
        '\'' => format!("the text {} needs double quotes", f.found),
        '“' | '”' | '‘' | '’' => format!("the text {} needs straight double quotes", f.found),
        _ => return None,
    };
    let inner: String = f.found.chars().filter(|c| !matches!(c, '\'' | '“' | '”' | '‘' | '’' | '"')).collect();
    Some(f.instead(f.found_range(), message, "write", &format!("\"{inner}\"")))
}

fn semicolon(f: &Failed<'_>) -> Option<Diagnostic> {
    if !f.rest.starts_with(';') {
        return None;
    }
    if f.rest.len() > 1
        && !f.rest[1..].starts_with([' ', '\t', '\n', '}'])
        && f.text[..f.at].ends_with(|c: char| !c.is_whitespace())
    {
        let error = f.error(f.at..f.at + 1, "a bare path holds no `;`");
        return Some(if f.expects_body() {
            error.help("in a pattern, write the escape", "%3B", f.edit(f.at..f.at + 1, "%3B", false))
        } else {
            error.help("put the path into double quotes", "", None)
        });
    }
    let error = f.error(f.at..f.at + 1, "a statement ends with its line, not with `;`");
    Some(error.help("leave it out", "", f.edit(f.at..f.at + 1, "", true)))
}

/// `/a#b`: the grammar lets no template end there.
fn fragment(f: &Failed<'_>) -> Option<Diagnostic> {
    if !f.rest.starts_with('#') {
        return None;
    }
    let start = f.text[..f.at].rfind(|c: char| c.is_whitespace()).map_or(0, |n| n + 1);
    let end = f.at + f.rest.find(|c: char| c.is_whitespace()).unwrap_or(f.rest.len());
    let quoted = format!("\"{}\"", &f.text[start..end]);
    Some(f.instead(
        start..end,
        "a bare path or URL holds no `#`, which begins a comment",
        "put it into quotes",
        &quoted,
    ))
}

fn arrow(f: &Failed<'_>) -> Option<Diagnostic> {
    if !(f.expects(Rule::arrow) || f.expects(Rule::leads_to)) {
        return None;
    }
    let lookalike = match f.found {
        "=>" | "→" | ">" | "-" | "—" | "–" => f.found,
        ":" | "=" if f.expects_body() && !f.expects(Rule::operator) => f.found,
        "=" | ":" if f.expects(Rule::leads_to) => f.found,
        _ => "",
    };
    if !lookalike.is_empty() {
        return Some(f.instead(
            f.found_range(),
            format!("the arrow is written `->`, not `{lookalike}`"),
            "write",
            "->",
        ));
    }
    // `/y: api`: the colon was read as part of the path.
    if f.text.trim_start().starts_with(['/', '.']) && f.before.ends_with([':', '=']) && !f.found.is_empty() {
        let colon = f.before.len() - 1;
        let was = &f.text[colon..=colon];
        return Some(f.instead(colon..colon + 1, format!("the arrow is written `->`, not `{was}`"), "write", " ->"));
    }
    None
}

fn operator(f: &Failed<'_>) -> Option<Diagnostic> {
    if f.expects_value() {
        return operator_for_value(f);
    }
    if !f.expects(Rule::operator) {
        return None;
    }
    let (instead, message) = match f.found {
        "=" | "==" | "===" => ("is", format!("`{}` does not compare", f.found)),
        "!=" | "<>" => ("is not", format!("`{}` does not compare", f.found)),
        "=~" | "~" => ("matches", format!("`{}` does not compare", f.found)),
        "!" if f.rest.starts_with("!==") => ("is not", "`!==` does not compare".to_owned()),
        "&&" | "&" => ("and", format!("`{}` does not join conditions", f.found)),
        "||" | "|" => ("or", format!("`{}` does not join conditions", f.found)),
        "eq" | "equals" => ("is", format!("there is no operator `{}`", f.found)),
        "ne" | "isnt" => ("is not", format!("there is no operator `{}`", f.found)),
        "startswith" | "starts_with" | "starts-with" => ("starts with", format!("there is no operator `{}`", f.found)),
        "endswith" | "ends_with" | "ends-with" => ("ends with", format!("there is no operator `{}`", f.found)),
        "starts" | "ends" => {
            let both = format!("{} with", f.found);
            return Some(f.instead(f.found_range(), format!("`{}` is half of an operator", f.found), "write", &both));
        }
        "match" | "like" => ("matches", format!("there is no operator `{}`", f.found)),
        "contains" | "includes" => {
            let error = f.error(f.found_range(), format!("there is no operator `{}`", f.found));
            let error = error.help("for a part of a text", "matches \".*part.*\"", None);
            return Some(error.help(
                "for one of several values of a header",
                "has",
                f.edit(f.found_range(), "has", false),
            ));
        }
        _ => return None,
    };
    let range = f.at..f.at + if f.rest.starts_with("===") || f.rest.starts_with("!==") { 3 } else { f.found.len() };
    Some(f.instead(range, message, "write", instead))
}

/// An operator where a value belongs.
fn operator_for_value(f: &Failed<'_>) -> Option<Diagnostic> {
    if let Some(rest) = f.rest.strip_prefix('!') {
        let blanks = rest.len() - rest.trim_start_matches(' ').len();
        return Some(f.instead(f.at..f.at + 1 + blanks, "`!` does not negate", "write", "not "));
    }
    if f.rest.starts_with("= ") && f.before.ends_with('=') {
        return Some(f.instead(f.at - 1..f.at + 1, "`==` does not compare", "write", "is"));
    }
    // `x is not in list`
    if f.found == "in" && f.before.ends_with("not") {
        let is = f.before.trim_end_matches("not").trim_end();
        if is.ends_with("is") {
            let range = is.len() - 2..f.at + 2;
            return Some(f.instead(range, "`is not in` is one word too many", "write", "not in"));
        }
    }
    None
}

fn and_or(f: &Failed<'_>) -> Option<Diagnostic> {
    if !matches!(f.found, "and" | "or")
        || !f.expects(Rule::operator) && !f.expects(Rule::k_and) && !f.expects(Rule::k_or)
    {
        return None;
    }
    let start = condition_start(f.before)?;
    let left = f.text[start..f.before.len()].trim();
    let after = &f.rest[f.found.len()..];
    let end = [" ->", " {", " else "].iter().filter_map(|stop| after.find(stop)).min().unwrap_or(after.len());
    let right = after[..end].trim();
    let stop = f.at + f.found.len() + end;
    let paste = format!("({left}) {} {right}", f.found);
    let other = if f.found == "and" { "or" } else { "and" };
    let message = format!("`{other}` and `{}` mix only inside parentheses", f.found);
    let edit = f.edit(start..stop, paste.clone(), false);
    let error = f.error(f.found_range(), message).help("say which belong together, for example", paste, edit);
    Some(error)
}

/// Where the condition begins that ends here.
fn condition_start(before: &str) -> Option<usize> {
    let mut depth = 0usize;
    let mut start = None;
    for (at, byte) in before.bytes().enumerate().rev() {
        match byte {
            b')' => depth += 1,
            b'(' if depth == 0 => {
                start = Some(at + 1);
                break;
            }
            b'(' => depth -= 1,
            _ => {}
        }
    }
    let from = start.unwrap_or(0);
    let inside = &before[from..];
    let words = ["when ", "require ", "= "];
    let keyword = words.iter().filter_map(|word| inside.find(word).map(|n| from + n + word.len())).min();
    start.or(keyword)
}

fn bracket(f: &Failed<'_>) -> Option<Diagnostic> {
    let (open, close) = if f.expects(Rule::end_of_group) {
        ('(', ")")
    } else if f.expects(Rule::end_of_list) {
        ('[', "]")
    } else {
        return None;
    };
    if !matches!(f.found, "" | "->" | "{" | "}" | "else") {
        return None;
    }
    let start = f.before.rfind(open)?;
    let end = f.before.len();
    let error = f.error(start..start + 1, format!("this `{open}` is never closed"));
    Some(error.help("close it with", close, f.edit(end..end, close, false)))
}

fn comma(f: &Failed<'_>) -> Option<Diagnostic> {
    let trailing = f.before.ends_with(',') && matches!(f.found, "" | "->" | "{" | "}");
    if trailing {
        let at = f.before.len() - 1;
        let error = f.error(at..at + 1, "nothing follows this comma");
        return Some(error.help("leave it out", "", f.edit(at..at + 1, "", true)));
    }
    if f.found != "," || f.expects_value() {
        return None;
    }
    let rest = f.rest[1..].trim();
    if rest.is_empty() || rest.starts_with(['{', '}', '-']) {
        let error = f.error(f.found_range(), "nothing follows this comma");
        return Some(error.help("leave it out", "", f.edit(f.found_range(), "", true)));
    }
    if matches!(f.head, "let") && f.expects(Rule::operator) {
        let start = f.text.find('=').map_or(0, |n| n + 1);
        let list = format!("[{}]", f.text[start..].trim());
        let from = start + (f.text[start..].len() - f.text[start..].trim_start().len());
        return Some(f.instead(
            from..f.text.trim_end().len(),
            "several values make a list, in brackets",
            "write",
            &list,
        ));
    }
    None
}

/// `/x if cookie.a -> b`
fn condition_word(f: &Failed<'_>) -> Option<Diagnostic> {
    let waits = f.expects(Rule::k_when) || f.expects(Rule::condition);
    match f.found {
        "if" | "where" | "while" if waits => Some(f.instead(
            f.found_range(),
            format!("a condition begins with `when`, not `{}`", f.found),
            "write",
            "when",
        )),
        "unless" if waits => {
            Some(f.instead(f.found_range(), "a condition begins with `when`, not `unless`", "write", "when not"))
        }
        "excluding" | "except" if f.expects(Rule::k_without) => Some(f.instead(
            f.found_range(),
            format!("policies are left out with `without`, not `{}`", f.found),
            "write",
            "without",
        )),
        _ => None,
    }
}

/// A brace in a text that opens no hole.
fn text_hole(f: &Failed<'_>) -> Option<Diagnostic> {
    let line = f.text[..f.at].rfind('\n').map_or(0, |n| n + 1);
    let mut quote = None;
    let mut brace = None;
    let bytes = f.text.as_bytes();
    let mut at = line;
    while at < f.at {
        match bytes[at] {
            b'\\' if quote.is_some() => at += 1,
            b'"' => {
                quote = if quote.is_some() { None } else { Some(at) };
                brace = None;
            }
            b'{' if quote.is_some() => brace = Some(at),
            b'}' => brace = None,
            _ => {}
        }
        at += 1;
    }
    let brace = brace?;
    if let Some(error) = missing_in_text(f, line, quote?, brace) {
        return Some(error);
    }
    let error = f.error(brace..brace + 1, "in a text, `{` begins a hole such as `{client.ip}`");
    Some(error.help("for the character itself write", "\\{", f.edit(brace..brace + 1, "\\{", false)))
}

/// `"hi {header.x if missing "you"}"`: that is said behind a text, or by a route of its own.
fn missing_in_text(f: &Failed<'_>, line: usize, quote: usize, brace: usize) -> Option<Diagnostic> {
    let name = f.text[brace + 1..f.at].trim();
    let rest = f.rest.lines().next().unwrap_or_default();
    let instead = rest.strip_prefix("if missing ")?.trim_start();
    // Up to the end of the hole and of the text, as far as they can be told.
    let (instead, behind) = match instead.strip_prefix('"') {
        Some(text) => text.split_once('"').map(|(text, behind)| (Ok(text), behind))?,
        None => instead.split_once('}').map(|(answer, _)| (Err(answer.trim()), &instead[answer.len()..]))?,
    };
    let behind = behind.trim_start().strip_prefix('}')?.split('"').next().unwrap_or_default();
    let before = &f.text[quote + 1..brace];
    let whole = format!("\"{before}{{{name}}}{behind}\"");
    let without = instead.map(|text| format!("\"{before}{text}{behind}\""));
    let said = f.text[line..quote].trim();
    let error = f.error(f.at..f.at + "if missing".len(), "`if missing` does not stand inside a text");
    let route = said.rfind("->").map(|at| (said[..at].trim_end(), &said[at..]));
    Some(match (without, route) {
        (Ok(without), Some((pattern, arrow))) => {
            let (with, rest) = match pattern {
                "" | "else" => (format!("when {name}"), "else"),
                guarded if guarded.contains("when ") => (format!("{guarded} and {name}"), guarded),
                path => (format!("{path} when {name}"), path),
            };
            error.help("give requests that have it a route of their own", format!("{with} {arrow} {whole}"), None).help(
                "and below it the others",
                format!("{rest} {arrow} {without}"),
                None,
            )
        }
        (Ok(without), None) => error.help("write it behind the text", format!("{whole} if missing {without}"), None),
        (Err(answer), Some(_)) => error.help("ask for it above", format!("require {name} else {answer}"), None),
        (Err(answer), None) => error.help("write it behind the text", format!("{whole} if missing {answer}"), None),
    })
}

/// The word that a token was perhaps meant to be, as an edit.
pub(super) fn did_you_mean(f: &Failed<'_>, error: Diagnostic, known: &[&str]) -> Diagnostic {
    match meant(token(f.rest), known) {
        Some(word) => error.help("did you mean", word, f.edit(f.found_range(), word, true)),
        None => error,
    }
}
