//! The TextMate grammar: its words are those of `dsl::ide::keywords`.

use serde_json::{Value, json};

/// A word on its own: names have inner hyphens.
fn words(kinds: &[&str]) -> String {
    let mut all: Vec<&str> = kinds.iter().flat_map(|kind| dsl::ide::keywords::of(kind)).collect();
    // Longer ones first: an alternative that matches ends the search.
    all.sort_by_key(|word| (std::cmp::Reverse(word.len()), *word));
    all.dedup();
    format!(r"(?<![\w.\-])({})(?![\w\-])", all.join("|"))
}

/// The whole file.
pub fn grammar() -> String {
    let rule = |name: &str, pattern: &str| json!({ "name": format!("{name}.sluice"), "match": pattern });
    let include =
        |names: &[&str]| names.iter().map(|name| json!({ "include": format!("#{name}") })).collect::<Vec<_>>();
    let items = dsl::ide::keywords::of("items").join("|");
    let parts = dsl::ide::keywords::of("parts").join("|");
    let grammar = json!({
        "$schema": "https://raw.githubusercontent.com/martinring/tmlanguage/master/tmlanguage.json",
        "comment": "Written by tests/generate: change tests/src/bin/generate/textmate.rs.",
        "name": "Sluice routes",
        "scopeName": "source.sluice",
        "fileTypes": ["route"],
        "patterns": include(&[
            "comments", "regex", "strings", "items", "header-name", "addresses", "captures-in-hosts", "paths", "literals",
            "arrows", "members", "calls", "arguments", "types", "words"
        ]),
        "repository": {
            "comments": { "patterns": [
                rule("comment.line.documentation", r"(?<=^|[\s{})\],])##.*$"),
                rule("comment.line.number-sign", r##"(?<=^|[\s{})\],"])#.*$"##),
            ] },
            "regex": {
                "begin": r#"(?<![\w.\-])(matches)\s+(")"#,
                "end": r#""|$"#,
                "beginCaptures": {
                    "1": { "name": "keyword.operator.word.sluice" },
                    "2": { "name": "punctuation.definition.string.begin.sluice" },
                },
                "contentName": "string.regexp.sluice",
            },
            "strings": {
                "name": "string.quoted.double.sluice",
                "begin": "\"",
                "end": r#""|$"#,
                "patterns": [rule("constant.character.escape", r#"\\[nt"\\{}]"#), { "include": "#hole" }],
            },
            "hole": {
                "name": "meta.interpolation.sluice",
                "begin": r"\{(?=[A-Za-z_])",
                "end": r#"\}|(?=")|$"#,
                "beginCaptures": { "0": { "name": "punctuation.section.interpolation.begin.sluice" } },
                "endCaptures": { "0": { "name": "punctuation.section.interpolation.end.sluice" } },
                "patterns": [
                    {
                        "match": r#"(?<=\{)([A-Za-z_][\w\-]*):("[^"\n]*"|[\w.~|\-]+)"#,
                        "captures": {
                            "1": { "name": "variable.parameter.sluice" },
                            "2": { "name": "storage.type.sluice" },
                        },
                    },
                    { "include": "#members" },
                    { "include": "#calls" },
                    rule("variable.parameter", r"[A-Za-z_][\w\-]*"),
                ],
            },
            "items": {
                "match": format!(r"^\s*({items})(?![\w\-])(?:\s+([A-Za-z_][\w\-]*)(?=\s*[=({{:]))?"),
                "captures": {
                    "1": { "name": "keyword.control.item.sluice" },
                    "2": { "name": "entity.name.type.sluice" },
                },
            },
            "header-name": {
                "match": r"(?<![\w.\-])(request|response)\s+(header)\s+([A-Za-z_][\w\-]*)",
                "captures": {
                    "1": { "name": "keyword.other.sluice" },
                    "2": { "name": "keyword.other.sluice" },
                    "3": { "name": "entity.name.tag.sluice" },
                },
            },
            "addresses": { "patterns": [
                rule("string.unquoted.url", r"\bhttps?://[^\s,{}\]]*"),
                rule("string.unquoted.path", r"(?<![\w.\-])unix:[^\s,\]]+"),
                rule("constant.numeric.address", r"(?<![\w.:])\[[0-9A-Fa-f:.]+\](:\d+)?"),
                rule("constant.numeric.address", r"(?<![\w.:\-])[0-9A-Fa-f]{0,4}:[0-9A-Fa-f]{0,4}:[0-9A-Fa-f:.]*(/\d+)?"),
                rule("constant.numeric.address", r"(?<![\w.\-])\d+\.\d+\.\d+\.\d+([:/]\d+)?"),
                rule("constant.numeric.port", r"(?<![\w.\]])(:\d+)(/quic)?"),
            ] },
            "captures-in-hosts": {
                "match": r#"\{([A-Za-z_][\w\-]*)(?::("[^"\n]*"|[\w.~|\-]+))?\}"#,
                "captures": {
                    "1": { "name": "variable.parameter.sluice" },
                    "2": { "name": "storage.type.sluice" },
                },
            },
            "paths": {
                "name": "string.unquoted.path.sluice",
                "begin": r"(?<=^|[\s(\[,:])\.{0,2}/",
                "end": r"(?=[\s,()\[\]]|$)",
                "patterns": [
                    { "include": "#hole" },
                    { "match": r"\*([A-Za-z_][\w\-]*)?", "captures": { "0": { "name": "variable.parameter.sluice" } } },
                ],
            },
            "literals": { "patterns": [
                rule("constant.numeric.rate", r"(?<![\w.\-])\d+(B|KB|MB|GB)?/[smhd](?![\w\-])"),
                rule("constant.numeric.duration", r"(?<![\w.\-])\d+(ms|s|m|h|d)(?![\w\-])"),
                rule("constant.numeric.size", r"(?<![\w.\-])\d+(B|KB|MB|GB)(?![\w\-])"),
                rule("constant.numeric.percent", r"(?<![\w.\-])\d+(\.\d+)?%"),
                rule("constant.numeric.range", r"(?<![\w.\-])\d+\.\.\d+(?![\w\-])"),
                rule("constant.numeric", r"(?<![\w.\-])-?\d+(\.\d+)?(?![\w.\-])"),
                rule("constant.language.boolean", r"(?<![\w.\-])(true|false)(?![\w\-])"),
            ] },
            "arrows": { "patterns": [
                rule("keyword.operator.arrow", "->"),
                rule("keyword.operator.comparison", "<=|>=|<|>"),
                rule("keyword.operator.assignment", "="),
            ] },
            "members": {
                "match": format!(r"(?<![\w.\-])({parts})(?![\w\-])(?:(\.)([A-Za-z_][\w\-]*))?(?!\()"),
                "captures": {
                    "1": { "name": "variable.language.sluice" },
                    "2": { "name": "punctuation.accessor.sluice" },
                    "3": { "name": "variable.other.member.sluice" },
                },
            },
            "calls": {
                "match": r"(?<![\w.\-])([A-Za-z_][\w\-]*(?:\.[A-Za-z_][\w\-]*)?)(?=\()",
                "captures": { "1": { "name": "entity.name.function.sluice" } },
            },
            "arguments": {
                "match": r"(?<=[(,]|^)\s*([A-Za-z_][\w\-]*)(:)(?=\s)",
                "captures": {
                    "1": { "name": "variable.parameter.sluice" },
                    "2": { "name": "punctuation.separator.sluice" },
                },
            },
            "types": rule("storage.type", &format!("{}(<[^>\n]*>)?\\??(?=\\s*[,)=\\]]|\\s*->|\\s+(in|from)\\b)", words(&["types"]).replace("(?<![\\w.\\-])", "(?<=:\\s|->\\s)"))),
            "words": { "patterns": [
                rule("keyword.control", &words(&["statements"])),
                rule("keyword.operator.word", &words(&["operators"])),
                rule("support.function.answer", &words(&["answers"])),
                rule("constant.language.method", &words(&["methods"])),
                { "match": format!(r"^\s*{}", words(&["settings", "lines"])), "captures": { "1": { "name": "support.type.property-name.sluice" } } },
                rule("keyword.other", &words(&["clauses"])),
            ] },
        },
    });
    let mut text = serde_json::to_string_pretty::<Value>(&grammar).expect("a value without maps of odd keys");
    text.push('\n');
    text
}
