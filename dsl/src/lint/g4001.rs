//! ## What
//!
//! The certificates of a site are for other names than its hosts.
//!
//! ## Why
//!
//! Every browser refuses such a handshake: the host would be down, and nobody could click it away.
//!
//! ## Wrong
//!
//! ```route
//! site b.example.com {
//!     tls file "pki/a.example.com.pem" key secret.tls-key
//!     else -> respond 200
//! }
//! ```
//!
//! ## Right
//!
//! ```route
//! site b.example.com {
//!     tls file "pki/b.example.com.pem" key secret.tls-key
//!     else -> respond 200
//! }
//! ```

use crate::diagnostic::Diagnostic;
use crate::syntax::span::Loc;
use crate::tree::ir::{Class, HostHead, HostPattern, Segment};

/// Names of a certificate that are shown; the rest is counted.
const SHOWN: usize = 6;

/// How far the names of certificates cover a host pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cover {
    /// Each host of it.
    All,
    /// Those with one label before the parent, and it takes more (RFC 6125 section 6.4.3: `*` is one label).
    OneLabel,
    /// Not all of them.
    Not,
}

/// Whether a certificate's names cover each host of a pattern. Names are as in the certificate: hosts in any
/// case, `*.example.com`, addresses.
pub fn cover<'n>(pattern: &HostPattern, names: impl Iterator<Item = &'n str> + Clone) -> Cover {
    let has = |host: &str| names.clone().any(|name| name.eq_ignore_ascii_case(host));
    let parent = &*pattern.parent;
    // A wildcard for a whole top-level domain is accepted by nobody.
    let wild = parent.contains('.') && has(&format!("*.{parent}"));
    let one = |label: &str| if parent.is_empty() { has(label) } else { wild || has(&format!("{label}.{parent}")) };
    let covered = match &pattern.head {
        // An address is no label.
        HostHead::Label(Segment::Lit(_)) => {
            let host = pattern.literal().unwrap_or_default();
            let address = host.trim_matches(['[', ']']).parse::<std::net::IpAddr>().ok();
            match address {
                Some(ip) => has(&ip.to_string()),
                None => wild || has(&host),
            }
        }
        HostHead::Label(Segment::Capture { prefix, class: Class::Set(values), suffix }) => {
            values.iter().all(|value| one(&format!("{prefix}{value}{suffix}")))
        }
        HostHead::Label(Segment::Capture { .. }) => wild,
        HostHead::Many if wild => return Cover::OneLabel,
        HostHead::Many => false,
    };
    if covered { Cover::All } else { Cover::Not }
}

/// A host that no certificate of its site is for; the names that they are for.
pub fn uncovered(loc: Loc, host: &HostPattern, at: Loc, names: &[&str]) -> Diagnostic {
    let d = Diagnostic::error("G4001", loc, format!("the certificate is for {}, and not for {host}", listed(names)))
        .label(at, "this host has no certificate");
    match host.literal() {
        Some(_) => d.help("name a certificate for it beside this one", "tls file \"cert.pem\" key \"key.pem\"", None),
        None => d.help("take a wildcard certificate", format!("*.{}", host.parent), None),
    }
}

/// Names as a list, the first of them.
pub(crate) fn listed(names: &[&str]) -> String {
    let few = names.iter().take(SHOWN).copied().collect::<Vec<_>>().join(", ");
    match names.len() {
        0 => "no host at all".to_owned(),
        n if n > SHOWN => format!("{few} and {} more", n - SHOWN),
        _ => few,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    fn pattern(head: HostHead, parent: &str) -> HostPattern {
        HostPattern { head, parent: parent.into() }
    }

    fn covers(pattern: &HostPattern, names: &[&str]) -> Cover {
        cover(pattern, names.iter().copied())
    }

    #[test]
    fn hosts_are_covered_as_clients_see_it() {
        let a = HostPattern::of_literal("a.example.com");
        assert_eq!(covers(&a, &["A.Example.com"]), Cover::All);
        assert_eq!(covers(&a, &["*.example.com"]), Cover::All);
        assert_eq!(covers(&a, &["example.com", "*.a.example.com", "b.example.com"]), Cover::Not);
        let deep = HostPattern::of_literal("b.a.example.com");
        assert_eq!(covers(&deep, &["*.example.com"]), Cover::Not, "a wildcard is one label");
        assert_eq!(covers(&HostPattern::of_literal("example.com"), &["*.com"]), Cover::Not);
    }

    #[test]
    fn wildcards_need_a_wildcard_and_subdomains_of_any_depth_have_none() {
        let any = pattern(HostHead::Label(Segment::any()), "example.com");
        assert_eq!(covers(&any, &["*.example.com"]), Cover::All);
        assert_eq!(covers(&any, &["a.example.com"]), Cover::Not);
        let many = pattern(HostHead::Many, "example.com");
        assert_eq!(covers(&many, &["*.example.com"]), Cover::OneLabel);
        assert_eq!(covers(&many, &["example.com"]), Cover::Not);
    }

    #[test]
    fn each_of_several_literals_is_covered() {
        let values: Arc<[Arc<str>]> = ["a".into(), "b".into()].into();
        let class = Class::Set(values);
        let set = Segment::Capture { prefix: "x-".into(), class, suffix: "".into() };
        let set = pattern(HostHead::Label(set), "example.com");
        assert_eq!(covers(&set, &["x-a.example.com", "x-b.example.com"]), Cover::All);
        assert_eq!(covers(&set, &["x-a.example.com"]), Cover::Not);
    }

    #[test]
    fn an_address_is_no_label() {
        let ip = HostPattern::of_literal("192.0.2.7");
        assert_eq!(covers(&ip, &["192.0.2.7"]), Cover::All);
        assert_eq!(covers(&ip, &["*.0.2.7"]), Cover::Not);
    }
}
