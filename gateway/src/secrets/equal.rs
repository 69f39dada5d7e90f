//! The one comparison of bytes that somebody may guess at: signatures, digests, tokens, `state` and `nonce`, secrets.
//!
//! `==` stops at the first byte that differs, so that its time tells how much of a guess was right. Nothing here does.
//! A test below walks the sources: who compares such bytes in another way is told by its line.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Whether two are the same bytes, in a time that depends on their lengths alone.
#[must_use]
pub fn equal(a: &[u8], b: &[u8]) -> bool {
    verify_slices_are_equal(a, b).is_ok()
}

/// A text that was drawn at random, or is a token: who guesses at it learns nothing from how long an answer takes, and
/// no message has it. It compares with its like, and by [`Unguessable::is`] with what comes from outside.
#[derive(Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Unguessable(String);

impl Unguessable {
    /// This text.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(text)
    }

    /// The text, for whoever it is meant for.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.0
    }

    /// Whether a text from outside is this one.
    #[must_use]
    pub fn is(&self, said: &str) -> bool {
        equal(self.0.as_bytes(), said.as_bytes())
    }
}

impl PartialEq for Unguessable {
    fn eq(&self, other: &Self) -> bool {
        self.is(&other.0)
    }
}

impl Eq for Unguessable {}

impl fmt::Debug for Unguessable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::path::{Path, PathBuf};

    /// What holds bytes that are guessed at, below the workspace.
    const SOURCES: [&str; 10] = [
        "gateway/src/edge",
        "gateway/src/secrets",
        "gateway/src/upstream/sticky",
        "gateway/src/tls/tickets",
        "gateway/src/tls/acme/dns",
        "gateway/src/http/exchange",
        "gateway/src/http/judge.rs",
        "dsl/src/tree/users",
        "dsl/src/tree/api_keys.rs",
        "dsl/src/tree/session.rs",
    ];
    /// Words of the names of such bytes.
    const GUESSED: [&str; 14] = [
        "secret",
        "secrets",
        "signature",
        "mac",
        "digest",
        "hash",
        "sum",
        "token",
        "nonce",
        "state",
        "verifier",
        "password",
        "passwords",
        "tag",
    ];
    /// Calls by which only the size of such bytes, or their being there, is compared.
    const SIZES: [&str; 4] = ["len()", "is_some()", "is_none()", "count()"];

    fn files(path: &Path, found: &mut Vec<PathBuf>) {
        if path.is_file() {
            found.push(path.to_owned());
            return;
        }
        for entry in fs::read_dir(path).expect("a folder of sources") {
            files(&entry.expect("an entry").path(), found);
        }
    }

    fn workspace() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace").to_owned()
    }

    /// A line without its remark and the content of its texts.
    fn code(line: &str) -> String {
        let line = line.trim();
        let line = if line.starts_with("//") { "" } else { line.split(" // ").next().unwrap_or_default() };
        line.split('"').step_by(2).collect::<Vec<_>>().join("\"\"")
    }

    /// The two sides of each comparison in a line.
    fn comparisons(code: &str) -> Vec<(String, String)> {
        let mut found = Vec::new();
        for operator in [" == ", " != ", ".eq(", ".ne("] {
            for (at, _) in code.match_indices(operator) {
                let ends = |c: char| matches!(c, ' ' | ',' | ';' | '{' | '}' | '|');
                let (left, right) = (&code[..at], &code[at + operator.len()..]);
                let left = left.rsplit(ends).next().unwrap_or_default();
                let right = within(right.split(ends).next().unwrap_or_default());
                found.push((left.to_owned(), right.to_owned()));
            }
        }
        found
    }

    /// As far as the parentheses reach that the comparison stands in.
    fn within(side: &str) -> &str {
        let mut depth = 0;
        let end = side.find(|c| {
            depth += i32::from(c == '(') - i32::from(c == ')');
            depth < 0
        });
        end.map_or(side, |end| &side[..end])
    }

    /// Whether a side is such bytes, by its name.
    fn is_guessed(side: &str) -> bool {
        let words = side.split(|c: char| !c.is_ascii_alphanumeric()).map(str::to_ascii_lowercase);
        !SIZES.iter().any(|size| side.contains(size)) && words.into_iter().any(|word| GUESSED.contains(&&*word))
    }

    fn told(line: &str) -> bool {
        comparisons(&code(line)).iter().any(|(left, right)| is_guessed(left) || is_guessed(right))
    }

    #[test]
    fn comparisons_are_told_by_what_they_compare() {
        for line in [
            "if signature == wanted {",
            "    if flow.state != said { return None; }",
            "let same = hmac::sign(key, text).as_ref() == mac;",
            "    .filter(|row| row.hash == made)",
            "Some(said) if said == self.nonce => {}",
            "let holds = known.eq(&api_token);",
            "digest(&SHA256, content).as_ref() != sum",
        ] {
            assert!(told(line), "{line}");
        }
        for line in [
            "// signature == wanted",
            "if password.len() == MOST {",
            "if status != StatusCode::OK {",
            "let text = \"state == said\";",
            "equal(signature, wanted)",
            "keys.find(|key| key.name == *name)?.open(*nonce, sealed)",
        ] {
            assert!(!told(line), "{line}");
        }
    }

    #[test]
    fn attack_timing_of_comparisons() {
        let workspace = workspace();
        let mut sources = Vec::new();
        for source in SOURCES {
            files(&workspace.join(source), &mut sources);
        }
        assert!(sources.len() > 60, "{} files", sources.len());
        let mut wrong = Vec::new();
        for path in &sources {
            let text = fs::read_to_string(path).expect("a source");
            let own = text.split("#[cfg(test)]\nmod ").next().unwrap_or_default();
            let of_tests = path.file_stem().is_some_and(|name| name.to_string_lossy().ends_with("tests"));
            for (at, line) in own.lines().enumerate().filter(|_| !of_tests) {
                if told(line) {
                    wrong.push(format!("{}:{}: {}", path.display(), at + 1, line.trim()));
                }
            }
        }
        assert!(wrong.is_empty(), "compare with `secrets::equal`:\n{}", wrong.join("\n"));
    }

    #[test]
    fn there_is_one_comparison() {
        let mut sources = Vec::new();
        files(&workspace().join("gateway/src"), &mut sources);
        let has = |path: &&PathBuf| fs::read_to_string(path).expect("a source").contains("verify_slices_are_equal");
        let with: Vec<_> = sources.iter().filter(has).collect();
        assert!(matches!(&with[..], [one] if one.ends_with("secrets/equal.rs")), "{with:?}");
    }

    #[test]
    fn what_is_unguessable_is_compared_whole_and_never_shown() {
        let drawn = Unguessable::new("abc".to_owned());
        assert!(drawn.is("abc") && drawn == drawn.clone());
        for other in ["", "ab", "abd", "abcd"] {
            assert!(!drawn.is(other) && drawn != Unguessable::new(other.to_owned()), "{other}");
        }
        assert_eq!(format!("{drawn:?}"), "…");
        assert_eq!(serde_json::to_string(&drawn).expect("JSON"), r#""abc""#);
    }
}
