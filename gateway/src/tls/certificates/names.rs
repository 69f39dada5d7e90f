//! Which names a public certificate authority serves, and whose limit they count for.
//!
//! Names are hosts in lower case ASCII without a trailing dot; `*.example.com` is a wildcard name.

use dsl::tree::ir;

/// Whether a public certificate authority can have a certificate for this name. What none serves stays with the
/// internal CA: addresses, single labels, reserved domains, public suffixes (`co.uk`, `*.co.uk`), and whatever is
/// no name of a host.
#[must_use]
pub fn is_public(name: &str) -> bool {
    let host = name.strip_prefix("*.").unwrap_or(name);
    if !is_host(host) || !ir::is_public(host) {
        return false;
    }
    // A suffix of the private part (`github.io`) is somebody's, who may ask for it.
    let suffix = psl::suffix(host.as_bytes());
    let icann = |suffix: &psl::Suffix<'_>| suffix.typ() == Some(psl::Type::Icann);
    !suffix.is_some_and(|suffix| icann(&suffix) && suffix.as_bytes() == host.as_bytes())
}

/// The domain that somebody registered and this name is in, by the public suffix list: what authorities count
/// certificates by. The name itself where it is a suffix.
#[must_use]
pub fn registered_domain(name: &str) -> &str {
    let host = name.strip_prefix("*.").unwrap_or(name);
    psl::domain(host.as_bytes()).and_then(|domain| std::str::from_utf8(domain.as_bytes()).ok()).unwrap_or(host)
}

/// The wildcard whose certificate a host can have: `*.example.com` of `a.example.com`.
#[must_use]
pub fn wildcard_of(host: &str) -> Option<String> {
    let (first, parent) = host.split_once('.')?;
    (first != "*" && !first.is_empty() && !parent.is_empty()).then(|| format!("*.{parent}"))
}

/// RFC 1123 section 2.1: letters, digits and inner hyphens. Certificates have held no underscores since 2019.
fn is_host(host: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    host.len() <= 253 && host.split('.').all(label)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_no_authority_serves_are_not_public() {
        for name in [
            "localhost",
            "a.localhost",
            "shop.test",
            "a.example",
            "b.invalid",
            "printer.local",
            "db.internal",
            "example.com",
            "a.b.example.net",
            "*.example.org",
            "127.0.0.1",
            "::1",
            "[::1]",
            "com",
            "co.uk",
            "*.co.uk",
            "intranet",
            "",
            ".",
            "a..b.com",
            "under_score.sluice.dev",
            "-a.sluice.dev",
            "*",
            "*.*.sluice.dev",
            "a.*.sluice.dev",
            "UPPER.sluice.dev",
            "sluice.dev.",
        ] {
            assert!(!is_public(name), "{name}");
        }
        let long = format!("{}.sluice.dev", "a".repeat(64));
        assert!(!is_public(&long));
    }

    #[test]
    fn other_names_are_public() {
        for name in [
            "sluice.dev",
            "a.sluice-tests.net",
            "*.sluice-tests.net",
            "notexample.com",
            "example.com.sluice.dev",
            "localhost.sluice.dev",
            "xn--bcher-kva.de",
            "mine.co.uk",
            "*.mine.co.uk",
            "github.io",
            "*.github.io",
            "a.corp",
        ] {
            assert!(is_public(name), "{name}");
        }
    }

    #[test]
    fn the_registered_domain_goes_by_the_public_suffix_list() {
        for (name, domain) in [
            ("a.b.sluice.dev", "sluice.dev"),
            ("sluice.dev", "sluice.dev"),
            ("*.shop.mine.co.uk", "mine.co.uk"),
            ("me.github.io", "me.github.io"),
            ("a.me.github.io", "me.github.io"),
            ("github.io", "github.io"),
            ("x.y.corp", "y.corp"),
        ] {
            assert_eq!(registered_domain(name), domain, "{name}");
        }
    }

    #[test]
    fn a_host_has_one_wildcard() {
        assert_eq!(wildcard_of("a.sluice.dev").as_deref(), Some("*.sluice.dev"));
        assert_eq!(wildcard_of("a.b.sluice.dev").as_deref(), Some("*.b.sluice.dev"));
        assert_eq!(wildcard_of("*.sluice.dev"), None);
        assert_eq!(wildcard_of("localhost"), None);
    }
}
