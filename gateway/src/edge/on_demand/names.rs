//! Names that a certificate can be made for at all, told by their letters alone.
//!
//! Whoever makes up such a name gets no further: nobody is asked about it, nothing is remembered of it.

use std::net::Ipv4Addr;

/// A name has no more labels: Let's Encrypt makes certificates for no longer ones.
const LABELS: usize = 10;
/// RFC 1035 section 2.3.4.
const LONGEST: usize = 253;
/// Likewise, of a label.
const LONGEST_LABEL: usize = 63;

/// Whether a name, in lower case and without a dot at its end, may be asked about: letters, digits and hyphens
/// (RFC 5890 section 2.3.1), not too long, no address, and no public suffix such as `co.uk`, which is nobody's.
#[must_use]
pub(super) fn may_be_certified(name: &str) -> bool {
    name.len() <= LONGEST
        && name.split('.').count() <= LABELS
        && name.split('.').all(is_label)
        && name.parse::<Ipv4Addr>().is_err()
        && !is_public_suffix(name)
}

fn is_label(label: &str) -> bool {
    let bytes = label.as_bytes();
    let ldh = bytes.iter().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-'));
    let ends = bytes.first().is_some_and(|b| *b != b'-') && bytes.last().is_some_and(|b| *b != b'-');
    // Two hyphens there say how the rest is to be read; one way is known (RFC 5890 section 2.3.2.1).
    let plain = bytes.get(2..4) != Some(b"--") || label.starts_with("xn--");
    label.len() <= LONGEST_LABEL && ldh && ends && plain
}

/// By the list of publicsuffix.org, its private part included, as it was when this was built. Domains that the
/// list does not know, such as `localhost`, are no suffixes.
fn is_public_suffix(name: &str) -> bool {
    psl::suffix(name.as_bytes()).is_some_and(|suffix| suffix.is_known() && suffix.as_bytes() == name.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_by_their_letters() {
        for name in
            ["ann.app.test", "a", "localhost", "xn--bcher-kva.example.app", "1.ann.test", "foo.co.uk", "foo.github.io"]
        {
            assert!(may_be_certified(name), "{name}");
        }
        let long = "a".repeat(64) + ".test";
        let many = "a.".repeat(10) + "test";
        let longest = ["a".repeat(63).as_str(); 4].join(".");
        for name in [
            "",
            "a..test",
            ".test",
            "a_b.test",
            "-a.test",
            "a-.test",
            "a*.test",
            "A.test",
            "ab--c.test",
            "192.0.2.1",
            "co.uk",
            "uk",
            "github.io",
            "com",
            &long,
            &many,
            &longest,
        ] {
            assert!(!may_be_certified(name), "{name}");
        }
        assert!(may_be_certified(&("a.".repeat(9) + "test")));
    }
}
