//! `expected …, found …`: what is left when no usual mistake fits.

use super::Failed;
use crate::diagnostic::Diagnostic;
use crate::syntax::build::Place;
use crate::syntax::grammar::Rule;

pub(super) fn explain(f: &Failed<'_>) -> Diagnostic {
    let mut words: Vec<String> = Vec::new();
    for rule in f.expected {
        if let Some(word) = word(*rule, f.context.place)
            && !words.contains(&word)
        {
            words.push(word);
        }
    }
    // An end is what every list of possible continuations has: it says most when it comes last.
    let may_end = f.expects(Rule::EOI);
    if words.is_empty() || may_end && words.len() > 3 {
        words = vec![if may_end { "the end of the line" } else { "something else" }.to_owned()];
    } else if may_end {
        words.push("the end of the line".to_owned());
    }
    let another = may_end && starts_statement(f.found);
    if another {
        words = vec!["the end of the line".to_owned()];
    }
    let range = if f.found.is_empty() { f.before.len()..f.before.len() } else { f.found_range() };
    if words == ["something else"] {
        return f.error(range, format!("{} is not expected here", f.found_words()));
    }
    let after = if f.expects_value() { after(f.before) } else { String::new() };
    let error = f.error(range, format!("expected {}{after}, found {}", joined(&words), f.found_words()));
    if another {
        let what = if f.context.place.is_some() { "statement" } else { "item" };
        return error.help(format!("one {what} stands on a line"), "", None);
    }
    if f.expects(Rule::block) && f.found.is_empty() && words.len() == 1 {
        return error.help("write", format!("{} {{", f.before.trim()), None);
    }
    error
}

/// ` after `is``: where the value is missing.
fn after(before: &str) -> String {
    let last = before.rsplit([' ', '\t', '(', '[']).next().unwrap_or_default();
    if last.is_empty() || last.len() > 20 { String::new() } else { format!(" after `{last}`") }
}

fn starts_statement(found: &str) -> bool {
    found == "->" || found.starts_with(['/', '.']) || crate::syntax::words::is_reserved(found)
}

fn joined(words: &[String]) -> String {
    match words {
        [] => String::new(),
        [one] => one.clone(),
        [before @ .., last] => format!("{} or {last}", before.join(", ")),
    }
}

/// A rule as a person knows it; `None` for what only continues something.
fn word(rule: Rule, place: Option<Place>) -> Option<String> {
    let text = match rule {
        Rule::statement if place == Some(Place::Settings) => "a setting",
        Rule::statement => "a statement",
        Rule::pool_statement => "an endpoint or a setting",
        Rule::row => "a row such as `\"key\" -> value`",
        Rule::test_line => "a line such as `expect 200`",
        Rule::item => "an item",
        Rule::value | Rule::term | Rule::expr | Rule::arg | Rule::operand => "a value",
        Rule::string | Rule::quoted | Rule::regex => "a text in quotes",
        Rule::literal => "a number",
        Rule::ident | Rule::name | Rule::reference | Rule::atom => "a name",
        Rule::type_name => "a type",
        Rule::module => "a module such as `std/auth` or `./pools`",
        Rule::host | Rule::hosts | Rule::label => "a host",
        Rule::path_pattern => "a path",
        Rule::segment => "a segment",
        Rule::address | Rule::short_address | Rule::endpoint | Rule::short_endpoint => {
            "an endpoint such as `10.0.0.1:80`"
        }
        Rule::listen | Rule::listen_here => "an address such as `:443`",
        Rule::block | Rule::pool_block | Rule::table_block | Rule::test_block => "`{`",
        Rule::arrow | Rule::leads_to => "`->`",
        Rule::action | Rule::simple | Rule::proxy => "a pool or an answer",
        Rule::gets => "`=`",
        Rule::of_type | Rule::table_types => "`:`",
        Rule::params | Rule::args => "`(`",
        Rule::end_of_group => "`)`",
        Rule::end_of_list => "`]`",
        Rule::end_of_hole => "`}`",
        Rule::list => "a list in brackets",
        Rule::side => "`request` or `response`",
        Rule::header_name => "a header's name",
        Rule::path | Rule::host_template | Rule::bare => "a path",
        Rule::url => "a URL",
        Rule::word => return None,
        other => {
            let name = format!("{other:?}");
            return name
                .strip_prefix("k_")
                .filter(|k| !matches!(*k, "and" | "or" | "matches" | "not"))
                .map(|keyword| format!("`{keyword}`"));
        }
    };
    // `(` may follow any name: only the head of an item is worth saying it for.
    if matches!(rule, Rule::args) || matches!(rule, Rule::params) {
        return None;
    }
    Some(text.to_owned())
}
