//! The words of the language by what they are, for completion and for the grammars of editors.

use crate::check::{
    ACME_SETTINGS, CONNECTION_SETTINGS, FUNCTIONS, METHODS, POOL_SETTINGS, PROVIDER_SETTINGS, TEST_LINES, TYPES,
    of_sites, of_the_gateway,
};
use crate::syntax::words;

/// One kind of words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kind {
    /// Its name in generated grammars.
    pub name: &'static str,
    /// Sorted, each once.
    pub words: Vec<&'static str>,
}

/// Every word that the language knows. A word can be of several kinds.
pub fn all() -> Vec<Kind> {
    let kind = |name, words: Vec<&'static str>| {
        let mut words = words;
        words.sort_unstable();
        words.dedup();
        Kind { name, words }
    };
    let settings = of_sites()
        .chain(of_the_gateway())
        .chain(POOL_SETTINGS.iter().chain(CONNECTION_SETTINGS).chain(ACME_SETTINGS).chain(PROVIDER_SETTINGS).copied())
        .filter(|word| !words::STATEMENTS.contains(word))
        .collect();
    let mut parts: Vec<&'static str> = crate::resolve::BUILTINS.to_vec();
    parts.retain(|word| !FUNCTIONS.contains(word));
    vec![
        kind("items", words::ITEMS.to_vec()),
        kind("statements", words::STATEMENTS.to_vec()),
        kind("operators", words::OPERATORS.into_iter().chain(["starts", "ends", "with"]).collect()),
        kind("clauses", words::CLAUSES.to_vec()),
        kind("answers", words::ANSWERS.into_iter().chain(words::VISITS).collect()),
        kind("settings", settings),
        kind("lines", TEST_LINES.to_vec()),
        kind("functions", FUNCTIONS.to_vec()),
        kind("parts", parts),
        kind("types", TYPES.to_vec()),
        kind("methods", METHODS.to_vec()),
    ]
}

/// The words of one kind.
pub fn of(name: &str) -> Vec<&'static str> {
    all().into_iter().find(|kind| kind.name == name).map(|kind| kind.words).unwrap_or_default()
}
