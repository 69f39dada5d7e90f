//! The words of the tree-sitter grammar, from `dsl::ide::keywords`.

use std::fmt::Write;

/// `keywords.js` beside the grammar.
pub fn keywords() -> String {
    let mut out =
        String::from("// Written by tests/generate from the words that the compiler knows.\nmodule.exports = {\n");
    for kind in dsl::ide::keywords::all() {
        let words: Vec<String> = kind.words.iter().map(|word| format!("\"{word}\"")).collect();
        let _ = writeln!(out, "  {}: [{}],", kind.name, words.join(", "));
    }
    out.push_str("};\n");
    out
}
