//! Foreign text cannot hurt: no panic, no deep stack, no time beyond a bound for each byte.

use dsl::diagnostic::{Sources, render};
use dsl::syntax::{parse, span::FileId};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use std::time::{Duration, Instant};

struct One<'a>(&'a str);

impl Sources for One<'_> {
    fn source(&self, _: FileId) -> Option<(&str, &str)> {
        Some(("x.route", self.0))
    }
}

/// Parses and renders, with every span inside the text and on characters.
fn survives(text: &str) {
    let parsed = parse(FileId(0), text);
    for d in &parsed.diagnostics {
        for label in std::iter::once(&d.primary).chain(&d.labels) {
            assert!(text.get(label.loc.span.range()).is_some(), "{:?} in {text:?}", label.loc.span);
        }
        for edit in d.help.iter().filter_map(|help| help.edit.as_ref()) {
            assert!(text.get(edit.loc.span.range()).is_some(), "{:?} in {text:?}", edit.loc.span);
        }
    }
    render::full(&parsed.diagnostics, &One(text), false);
    render::concise(&parsed.diagnostics, &One(text));
    render::json(&parsed.diagnostics, &One(text));
}

/// The processor's time where the system tells it: others may be busy beside us.
fn time(text: &str) -> Duration {
    let (start, cpu) = (Instant::now(), cpu_time());
    parse(FileId(0), text);
    let used = cpu_time() - cpu;
    if cpu.is_zero() { start.elapsed() } else { used }
}

/// Eight times the text may take at most some times eight times the time. Short times count as
/// equal and a slow run is taken again, so that a busy machine does not fail it.
fn linear(name: &str, make: impl Fn(usize) -> String) {
    // pest is some thirty times slower without optimisation.
    let unit = if cfg!(debug_assertions) { 100 } else { 2_000 };
    let (small, large) = (make(unit), make(8 * unit));
    for attempt in 0..4 {
        let before = time(&small).max(Duration::from_millis(4));
        let after = time(&large);
        if after < before * 24 {
            return;
        }
        assert!(attempt < 3, "{name}: {before:?} and {after:?}");
    }
}

#[test]
fn brackets_without_end_take_linear_time() {
    for unit in
        ["(", "[", "{", " {", "{\n", "}", ")", "]", "((", "[(", "({", "\"{", "a[", "a(", "{a(", "\"", "\"\\", "x(\"{"]
    {
        linear(unit, |n| unit.repeat(n));
        linear(&format!("let x = {unit}"), |n| format!("let x = {}", unit.repeat(n)));
        linear(&format!("site a {{ {unit}"), |n| format!("site a.com {{\n    /x when {}\n}}\n", unit.repeat(n)));
        linear(&format!("site a {{ setting {unit}"), |n| {
            format!("site a.com {{\n    setting {}\n}}\n", unit.repeat(n))
        });
    }
}

#[test]
fn repetitions_take_linear_time() {
    for unit in [
        "site a.com {\n",
        "site a.com {\nlet x = 1\n",
        "a {\nlet x = 1\n",
        "let x = 1,\n",
        "/x -> a\n",
        "not ",
        "a and ",
        "a or ",
        "a else ",
        "if missing a ",
        "use p\n",
        "# c\n",
        "## c\n",
        "\r\n",
        "\n",
        ",\n",
        "{ a  b }\n",
        "/a",
        "/{x}",
        "1 ",
        "1.",
        "a.",
        "a: ",
        "x = ",
        "-> ",
        "site a.com { -> x }\n",
        "pool a = 1.1.1.1:1,\n",
        "    /x b\n",
        "95% a, ",
        "\u{feff}",
        "é",
        "'",
        "::",
        "1:",
        "aaaaa",
        "A",
        "GET ",
    ] {
        linear(unit, |n| unit.repeat(n));
        linear(&format!("in a site: {unit}"), |n| format!("site a.com {{\n{}\n}}\n", unit.repeat(n)));
        linear(&format!("after let: {unit}"), |n| format!("let x = {}", unit.repeat(n)));
        linear(&format!("after when: {unit}"), |n| format!("site a.com {{\n    when {}\n}}\n", unit.repeat(n)));
        linear(&format!("after an arrow: {unit}"), |n| format!("site a.com {{\n    -> {}\n}}\n", unit.repeat(n)));
    }
}

#[test]
fn nesting_below_the_limit_is_fine_and_beyond_it_is_said() {
    let nested = |n: usize| format!("let x = {}1{}\n", "(".repeat(n), ")".repeat(n));
    assert!(parse(FileId(0), &nested(31)).diagnostics.is_empty());
    let parsed = parse(FileId(0), &(nested(100_000) + "let y = 1\n"));
    assert_eq!(parsed.diagnostics.len(), 1);
    assert_eq!(parsed.ast.items.len(), 1, "the item behind it is kept");
    let blocks = |n: usize| format!("site a.com {{\n{}-> x\n{}}}\n", "./x {\n".repeat(n), "}\n".repeat(n));
    assert!(parse(FileId(0), &blocks(30)).diagnostics.is_empty());
    assert_eq!(parse(FileId(0), &blocks(50_000)).diagnostics.len(), 1);
}

#[test]
fn odd_places_are_survived() {
    for text in [
        "",
        "\u{feff}",
        "\u{feff}site",
        "\r",
        "\n",
        "\0",
        "#",
        "##",
        "site",
        "site ",
        "site a {",
        "\"",
        "{",
        "}",
        "site a.com {\n    /x -> respond 200 \"é",
        "let é = 1",
        "pool a = é",
        "site a.com {\n    when é\n}",
        "/",
        "->",
        "\t\t",
        "site a.com { é  b }",
        "let x = \"{é}\"",
        "'é'",
        "site a.com {\r\n/x \u{2192} b\r\n}",
        "\u{1b}[31m x",
        "site a.com {\n{\n",
        "{\n{",
        "import é",
    ] {
        survives(text);
    }
}

const TOKENS: &[&str] = &[
    "site",
    "pool",
    "let",
    "policy",
    "import",
    "gateway",
    "table",
    "test",
    "tcp",
    "passthrough",
    "use",
    "when",
    "else",
    "require",
    "limit",
    "set",
    "add",
    "catch",
    "tls",
    "request",
    "header",
    "response",
    "per",
    "if",
    "missing",
    "deny",
    "redirect",
    "respond",
    "files",
    "and",
    "or",
    "not",
    "is",
    "in",
    "matches",
    "->",
    "{",
    "}",
    "(",
    ")",
    "[",
    "]",
    ",",
    "=",
    "\"",
    "\"x\"",
    "\"{a}\"",
    "a.com",
    "/x",
    "./y",
    "/{id:int}",
    "/*rest",
    "10.0.0.1:80",
    "10.0.0.0/8",
    "95%",
    "5s",
    "100/s",
    ":443",
    "::1",
    "a",
    "é",
    "\n",
    "\n",
    "\n    ",
    " ",
    "  ",
    "#",
    "##",
    ";",
    "'",
    "\r\n",
    "\t",
    "*",
    "**",
    ".",
    "..",
    "\\",
    "unix:/x",
    "https://x/{y}",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, rng_seed: RngSeed::Fixed(7), ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_survived(text in "\\PC{0,200}") {
        survives(&text);
    }

    #[test]
    fn any_bytes_read_as_text_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        survives(&String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn token_soup_is_survived(picks in prop::collection::vec((0..TOKENS.len(), any::<bool>()), 0..120)) {
        let soup: String = picks.iter().flat_map(|(n, space)| [TOKENS[*n], if *space { " " } else { "" }]).collect();
        survives(&soup);
    }

    #[test]
    fn a_damaged_program_is_survived(at in 0usize..4000, len in 0usize..40, with in 0..TOKENS.len()) {
        let good = include_str!("syntax/good/forms.route");
        let mut text = good.to_owned();
        let at = (0..=at.min(good.len())).rev().find(|n| good.is_char_boundary(*n)).unwrap_or(0);
        let end = (at..=(at + len).min(good.len())).rev().find(|n| good.is_char_boundary(*n)).unwrap_or(at);
        text.replace_range(at..end, TOKENS[with]);
        survives(&text);
    }
}

#[test]
fn a_brace_that_is_put_in_for_a_missing_one_stands_nowhere() {
    survives("gateway {'site{site\n{\nsitesitesite");
}

#[test]
fn a_wide_character_where_a_capture_is_expected() {
    for route in ["/old/*é -> web", "/old/*é", "/old/*est -> redirect 308 /new/{é", "/{é} -> web", "/{ -> é"] {
        survives(&format!("site a.example.com {{\n    {route}\n}}\n"));
    }
}

/// Places of a program, with text in them that is longer than a byte: every 97th, or all of them with
/// `SLUICE_ALL_PLACES=1` (minutes, in release).
#[test]
fn wide_text_everywhere() {
    let stride = if std::env::var_os("SLUICE_ALL_PLACES").is_some() { 1 } else { 97 };
    for good in [include_str!("syntax/good/forms.route"), include_str!("syntax/good/gateway.route")] {
        for at in (0..=good.len()).filter(|n| good.is_char_boundary(*n)).step_by(stride) {
            for wide in [
                "é",
                " é",
                "é ",
                "/é",
                "é/",
                "*é",
                "{é",
                "é}",
                "\"é",
                "é\"",
                "\u{1f980}",
                "=é",
                ",é",
                "é{",
                "(é",
                "[é",
                ".é",
                "é.",
            ] {
                survives(&format!("{}{wide}{}", &good[..at], &good[at..]));
                let next = good[at..].chars().next().map_or(0, char::len_utf8);
                survives(&format!("{}{wide}{}", &good[..at], &good[at + next..]));
            }
        }
    }
}

/// What this thread has had of the processor, where Linux tells it.
fn cpu_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    Duration::from_nanos(stat.split(' ').next().and_then(|n| n.parse().ok()).unwrap_or(0))
}
