//! The words of the language.

/// The words that begin an item.
pub(crate) const ITEMS: [&str; 14] = [
    "import",
    "let",
    "pool",
    "table",
    "policy",
    "provider",
    "site",
    "passthrough",
    "tcp",
    "udp",
    "gateway",
    "tenant",
    "test",
    "prove",
];

/// The words that begin a statement of a block, beside the heads of settings.
pub(crate) const STATEMENTS: [&str; 14] =
    ["when", "else", "use", "require", "limit", "set", "add", "remove", "catch", "tls", "let", "start", "keep", "end"];

/// The words of conditions, which can be no names.
pub(crate) const OPERATORS: [&str; 13] =
    ["and", "or", "not", "is", "in", "has", "matches", "when", "else", "if", "missing", "true", "false"];

/// The words inside statements, beside those of settings.
pub(crate) const CLAUSES: [&str; 22] = [
    "as", "at", "backup", "by", "fallback", "file", "from", "header", "host", "if", "in", "index", "missing", "per",
    "request", "response", "session", "type", "weight", "when", "with", "without",
];

/// The answers.
pub(crate) const ANSWERS: [&str; 4] = ["redirect", "respond", "deny", "files"];

/// The answers that a provider has a part in. A pool may have such a name.
pub(crate) const VISITS: [&str; 2] = ["login", "logout"];

/// Whether a word can never be the head of a setting.
pub(crate) fn is_reserved(word: &str) -> bool {
    matches!(word, "and" | "or" | "not" | "redirect" | "respond" | "deny")
        || ITEMS.contains(&word)
        || STATEMENTS.contains(&word) && !matches!(word, "start" | "keep" | "end")
}
