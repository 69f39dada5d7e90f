//! Secrets in the environment: `SLUICE_SECRET_SESSION_KEY` is `secret.session-key`.

use super::Secret;
use std::collections::HashMap;
use std::os::unix::ffi::OsStringExt;
use std::sync::Arc;

/// What the names of their variables begin with.
const PREFIX: &str = "SLUICE_SECRET_";

/// The variable of a secret: capitals, `_` for what is no letter and no digit, `__` for the slash of `acme/key`.
/// `None` where another secret could be meant by it: a tenant may read those of its own directory only.
pub(super) fn variable(name: &str) -> Option<String> {
    let mut out = String::from(PREFIX);
    let mut plain = false;
    for letter in name.chars() {
        let was_plain = std::mem::replace(&mut plain, letter.is_ascii_alphanumeric());
        match letter {
            letter if letter.is_ascii_alphanumeric() => out.push(letter.to_ascii_uppercase()),
            '/' if was_plain => out.push_str("__"),
            '-' | '_' | '.' if was_plain => out.push('_'),
            _ => return None,
        }
    }
    plain.then_some(out)
}

/// All that the environment has, by their variables. It cannot change while the process runs.
pub(super) fn all() -> HashMap<String, Arc<Secret>> {
    let named = |name: &std::ffi::OsString| name.to_str().filter(|name| name.starts_with(PREFIX)).map(str::to_owned);
    let of = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
        let mut content = value.into_vec();
        if content.last() == Some(&b'\n') {
            content.pop();
        }
        let name = named(&name).filter(|_| !content.is_empty())?;
        Some((name, Arc::new(Secret::new(content))))
    };
    std::env::vars_os().filter_map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::variable;

    #[test]
    fn no_two_directories_have_the_same_variable() {
        for (name, wanted) in [
            ("session-key", Some("SLUICE_SECRET_SESSION_KEY")),
            ("acme/key", Some("SLUICE_SECRET_ACME__KEY")),
            ("k1", Some("SLUICE_SECRET_K1")),
            ("a.pem", Some("SLUICE_SECRET_A_PEM")),
            ("acme--key", None),
            ("acme__key", None),
            ("acme-/key", None),
            ("-key", None),
            ("key-", None),
            ("/key", None),
            ("acme/", None),
            ("clé", None),
            ("", None),
        ] {
            assert_eq!(variable(name).as_deref(), wanted, "{name}");
        }
    }
}
