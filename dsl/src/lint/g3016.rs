//! ## What
//!
//! What a file says in clear looks like a credential: a key where a secret belongs, a text that has the shape of
//! a token, or what an API key is compared with.
//!
//! ## Why
//!
//! Route files are read by many, kept in repositories and sent to reviewers. A secret has a name in them, and its
//! content stands where only the gateway reads it; it is compared in constant time, and changed without a reload.
//!
//! ## Wrong
//!
//! ```route
//! pool api = 10.0.0.1:80
//!
//! site a.example.com {
//!     require header.x-api-key is "sk_live_EXAMPLE51HxYzAbCdEfGh" else deny 401
//!     else -> api
//! }
//! ```
//!
//! ## Right
//!
//! ```route
//! pool api = 10.0.0.1:80
//!
//! site a.example.com {
//!     require header.x-api-key is secret.api-key else deny 401
//!     else -> api
//! }
//! ```

use crate::diagnostic::Diagnostic;
use crate::syntax::span::Loc;
use crate::tree::ir::Field;

/// Headers by which clients prove who they are.
const PROOFS: &[&str] = &["authorization", "proxy-authorization", "x-api-key", "api-key", "apikey", "x-auth-token", "x-access-token"];

/// How tokens of widely used services begin, and how many letters, digits, `-` and `_` follow at least.
const SHAPES: &[(&str, usize)] = &[
    ("sk_live_", 16),
    ("sk_test_", 16),
    ("rk_live_", 16),
    ("whsec_", 24),
    ("AKIA", 16),
    ("ASIA", 16),
    ("AIza", 35),
    ("ghp_", 36),
    ("gho_", 36),
    ("ghu_", 36),
    ("ghs_", 36),
    ("ghr_", 36),
    ("github_pat_", 36),
    ("glpat-", 20),
    ("npm_", 36),
    ("xoxb-", 24),
    ("xoxp-", 24),
    ("dop_v1_", 64),
    ("hvs.", 24),
    ("sk-ant-", 24),
    ("sk-proj-", 24),
];

/// The shortest text that passes for a key by itself, where a key is asked for.
const LONG: usize = 16;

/// A text where `key:` takes a secret.
pub(crate) fn key(loc: Loc) -> Diagnostic {
    Diagnostic::error("G3016", loc, "a key stands in the file in clear")
        .help("give it a name, and put its content where `secrets from` says", "secret.NAME", None)
}

/// What a part of the request is compared with; `several` where it is one of a list.
pub(crate) fn compared(field: Option<&Field>, text: &str, several: bool, loc: Loc) -> Option<Diagnostic> {
    let asked = matches!(field, Some(Field::Header(name)) if PROOFS.contains(&&**name)) && proves(text);
    (asked || has_shape(text)).then(|| {
        Diagnostic::error("G3016", loc, "this looks like a credential in a file")
            .help(
                if several { "put them into a secret, one a line, and ask" } else { "give it a name, and compare with that" },
                if several { "in secret.NAME" } else { "is secret.NAME" },
                None,
            )
    })
}

/// What a header is set to. No form writes a secret into a header, so that this can be allowed.
pub(crate) fn sent(header: &str, text: &str, loc: Loc) -> Option<Diagnostic> {
    let asked = matches!(header, "authorization" | "proxy-authorization") && proves(text);
    (asked || has_shape(text)).then(|| {
        Diagnostic::warning("G3016", loc, "this looks like a credential in a file")
            .help("let the origin know the gateway by its address or by `tls { client … }`", "", None)
    })
}

/// Whether a text of its own accord would pass for a key: long, of one word, letters and digits mixed.
fn proves(text: &str) -> bool {
    let scheme = ["Bearer ", "Basic ", "Token ", "ApiKey "].iter().find_map(|scheme| {
        text.get(..scheme.len()).filter(|head| head.eq_ignore_ascii_case(scheme)).map(|_| &text[scheme.len()..])
    });
    let word = scheme.unwrap_or(text).trim();
    let least = if scheme.is_some() { LONG / 2 } else { LONG };
    let mixed = word.bytes().any(|b| b.is_ascii_digit()) && word.bytes().any(|b| b.is_ascii_alphabetic());
    word.len() >= least && (mixed || scheme.is_some()) && word.bytes().all(|b| b.is_ascii_graphic())
}

/// Whether a text holds what no other text looks like: a token with the mark of who issues it, a signed token
/// (RFC 7519), a private key.
fn has_shape(text: &str) -> bool {
    let body = |rest: &str| rest.bytes().take_while(|b| b.is_ascii_alphanumeric() || b"-_".contains(b)).count();
    let marked = SHAPES.iter().any(|(mark, least)| {
        text.match_indices(mark).any(|(at, _)| {
            let begins = !text[..at].ends_with(|c: char| c.is_ascii_alphanumeric());
            begins && body(&text[at + mark.len()..]) >= *least
        })
    });
    let signed = text.split(|c: char| c.is_whitespace() || c == '"').any(|word| {
        let parts: Vec<&str> = word.split('.').collect();
        let whole = |part: &&str| body(part) == part.len() && part.len() >= 16;
        parts.len() == 3 && parts[0].starts_with("eyJ") && parts[1].starts_with("eyJ") && parts.iter().all(whole)
    });
    marked || signed || (text.contains("-----BEGIN ") && text.contains("PRIVATE KEY-----"))
}

/// A piece of source in which nothing can be read any more: this finding is shown in logs too.
pub(crate) fn masked(text: &str) -> String {
    let shown = 4;
    text.char_indices().map(|(n, c)| if n > shown && c != '"' && !c.is_whitespace() { "*".repeat(c.len_utf8()) } else { c.to_string() }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_can_be_nothing_else_has_a_shape() {
        for text in [
            "sk_live_51HxYzAbCdEfGhIjKl",
            "key AKIAABCDEFGHIJKLMNOP and more",
            "ghp_0123456789abcdefghijklmnopqrstuvwxyzAB",
            "Bearer eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhbm4ifQ.c2lnbmF0dXJlLW9mLXRoaXMtdG9rZW4",
            "-----BEGIN EC PRIVATE KEY-----\nx",
        ] {
            assert!(has_shape(text), "{text}");
        }
        for text in ["sk_live_", "/img/AKIA.png", "eyJ.eyJ.x", "a.b.c", "MAKIAABCDEFGHIJKLMNOPQ", "task_live_view", "-----BEGIN CERTIFICATE-----"] {
            assert!(!has_shape(text), "{text}");
        }
    }

    #[test]
    fn a_header_that_proves_is_held_to_less() {
        let header = |name: &str| Field::Header(name.into());
        let loc = Loc::default();
        assert!(compared(Some(&header("x-api-key")), "k9f8e7d6c5b4a3921", true, loc).is_some());
        assert!(compared(Some(&header("authorization")), "Basic YW5uOnNlY3JldA==", false, loc).is_some());
        for (name, text) in [("x-api-key", "a"), ("x-api-key", "internal"), ("authorization", "Bearer"), ("x-other", "k9f8e7d6c5b4a3921"), ("x-api-key", "two words that are 2 long")] {
            assert!(compared(Some(&header(name)), text, false, loc).is_none(), "{name} {text}");
        }
    }

    #[test]
    fn nothing_of_it_is_shown() {
        assert_eq!(masked("\"sk_live_51Hx\""), "\"sk_l********\"");
    }
}
