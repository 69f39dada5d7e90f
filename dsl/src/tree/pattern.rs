//! What a pattern matches, said plainly: the interpreter, the order of candidates and the tests use
//! this, the compiled program only to test one capture.

use super::ir::{Class, HostHead, HostPattern, PathPattern, Segment};

/// The segments of a path: a slash at its end adds none. A canonical path has no empty ones; a raw one may.
pub fn segments(path: &str) -> impl Iterator<Item = &str> + Clone {
    let inner = path.strip_prefix('/').unwrap_or(path);
    let root = inner.is_empty();
    let inner = inner.strip_suffix('/').unwrap_or(inner);
    inner.split('/').skip(usize::from(root))
}

impl PathPattern {
    /// Whether it matches a canonical path.
    pub fn matches(&self, path: &str) -> bool {
        let mut texts = segments(path);
        for segment in &self.segments {
            match texts.next() {
                Some(text) if segment.matches(text) => {}
                Some(_) | None => return false,
            }
        }
        self.splat || texts.next().is_none()
    }

    /// Whether it has neither captures nor a splat.
    pub fn is_literal(&self) -> bool {
        !self.splat && self.segments.iter().all(|s| matches!(s, Segment::Lit(_)))
    }
}

impl HostPattern {
    /// Whether it matches a canonical host.
    pub fn matches(&self, host: &str) -> bool {
        let (first, rest) = host.split_once('.').unwrap_or((host, ""));
        match &self.head {
            HostHead::Label(label) => *rest == *self.parent && label.matches(first),
            HostHead::Many if self.parent.is_empty() => !host.is_empty(),
            HostHead::Many => {
                host.strip_suffix(&*self.parent).and_then(|h| h.strip_suffix('.')).is_some_and(|h| !h.is_empty())
            }
        }
    }

    /// The host, when it is one host.
    pub fn literal(&self) -> Option<String> {
        match &self.head {
            HostHead::Label(Segment::Lit(first)) if self.parent.is_empty() => Some(first.to_string()),
            HostHead::Label(Segment::Lit(first)) => Some(format!("{first}.{}", self.parent)),
            HostHead::Label(Segment::Capture { .. }) | HostHead::Many => None,
        }
    }

    /// The pattern of one host in canonical form.
    pub fn of_literal(host: &str) -> Self {
        let (first, rest) = host.split_once('.').unwrap_or((host, ""));
        Self { head: HostHead::Label(Segment::Lit(first.into())), parent: rest.into() }
    }
}

impl Segment {
    /// A capture of anything.
    pub fn any() -> Self {
        Self::Capture { prefix: "".into(), class: Class::Any, suffix: "".into() }
    }

    /// Whether it matches one segment of a canonical path, or one label of a canonical host.
    pub fn matches(&self, text: &str) -> bool {
        match self {
            Self::Lit(lit) => **lit == *text,
            Self::Capture { prefix, class, suffix } => text
                .strip_prefix(&**prefix)
                .and_then(|t| t.strip_suffix(&**suffix))
                .is_some_and(|value| !cuts_escape(value) && class.matches(value)),
        }
    }

    /// Its place in the order of LANGUAGE rule 8.
    pub(crate) fn rank(&self) -> u8 {
        match self {
            Self::Lit(_) => 0,
            Self::Capture { class: Class::Set(_), .. } => 1,
            Self::Capture { prefix, suffix, .. } if !prefix.is_empty() || !suffix.is_empty() => 2,
            Self::Capture { class: Class::Int | Class::Uuid | Class::Regex(_), .. } => 3,
            Self::Capture { class: Class::Any, .. } => 4,
        }
    }
}

/// `{x}0` must not take the last digit of the escape in `a%20`.
fn cuts_escape(value: &str) -> bool {
    value.len().checked_sub(2).is_some_and(|at| value.as_bytes()[at] == b'%') || value.ends_with('%')
}

impl Class {
    /// Whether it takes the value, as it stands in a canonical path.
    pub fn matches(&self, value: &str) -> bool {
        let text = value.as_bytes();
        match self {
            Self::Any => !text.is_empty(),
            Self::Set(all) => all.iter().any(|one| **one == *value),
            Self::Int => match text {
                [b'0'] => true,
                [b'1'..=b'9', rest @ ..] => rest.len() <= 17 && rest.iter().all(u8::is_ascii_digit),
                _ => false,
            },
            Self::Uuid => {
                text.len() == 36
                    && text.iter().enumerate().all(|(at, byte)| match at {
                        8 | 13 | 18 | 23 => *byte == b'-',
                        _ => byte.is_ascii_hexdigit(),
                    })
            }
            Self::Regex(regex) if regex.is_raw() => !text.is_empty() && regex.is_match(text),
            Self::Regex(regex) => !text.is_empty() && regex.accepts(super::bytes::Bytes::percent(text)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::ir::Regex;

    fn capture(prefix: &str, class: Class, suffix: &str) -> Segment {
        Segment::Capture { prefix: prefix.into(), class, suffix: suffix.into() }
    }

    #[test]
    fn a_capture_takes_one_byte_or_more_and_whole_escapes() {
        let png = capture("", Class::Any, ".png");
        assert!(png.matches("a.png") && !png.matches(".png") && !png.matches("png"));
        let zero = capture("", Class::Any, "0");
        assert!(zero.matches("a0") && zero.matches("a%200"));
        assert!(!zero.matches("a%20") && !zero.matches("%C0"));
        let overlap = capture("ab", Class::Any, "bc");
        assert!(!overlap.matches("abc") && overlap.matches("abxbc"));
    }

    #[test]
    fn only_a_splat_takes_an_empty_segment() {
        let of = |path: &'static str| segments(path).collect::<Vec<_>>();
        assert_eq!((of("/"), of("/a/"), of("/a/b")), (vec![], vec!["a"], vec!["a", "b"]));
        assert_eq!((of("//"), of("/a//"), of("//a")), (vec![""], vec!["a", ""], vec!["", "a"]));
        let below = PathPattern { segments: vec![Segment::Lit("a".into())], splat: true };
        assert!(below.matches("/a") && below.matches("/a//b") && !below.matches("//a"));
        let one = PathPattern { segments: vec![Segment::any()], splat: false };
        assert!(one.matches("/a/") && !one.matches("//") && !one.matches("/a//"));
    }

    #[test]
    fn rule_07_int_has_no_leading_zero() {
        for (text, is) in [("0", true), ("7", true), ("00", false), ("07", false), ("", false), ("-1", false)] {
            assert_eq!(Class::Int.matches(text), is, "{text}");
        }
        assert!(Class::Int.matches("999999999999999999") && !Class::Int.matches("1000000000000000000"));
    }

    #[test]
    fn expressions_see_decoded_text() {
        let words = capture("", Class::Regex(Regex::new("[a-z]+ [a-z]+").unwrap()), "");
        assert!(words.matches("a%20b") && !words.matches("a+b"));
    }

    #[test]
    fn splat_takes_the_path_itself_and_a_trailing_slash_distinguishes_nothing() {
        let api = PathPattern { segments: vec![Segment::Lit("api".into())], splat: true };
        for path in ["/api", "/api/", "/api/x", "/api/x/y/"] {
            assert!(api.matches(path), "{path}");
        }
        assert!(!api.matches("/") && !api.matches("/apix"));
        let about = PathPattern { segments: vec![Segment::Lit("about".into())], splat: false };
        assert!(about.matches("/about") && about.matches("/about/") && !about.matches("/about/x"));
    }

    #[test]
    fn hosts() {
        let many = HostPattern { head: HostHead::Many, parent: "x.com".into() };
        assert!(many.matches("a.x.com") && many.matches("a.b.x.com"));
        assert!(!many.matches("x.com") && !many.matches("ax.com") && !many.matches(".x.com"));
        let one = HostPattern { head: HostHead::Label(Segment::any()), parent: "x.com".into() };
        assert!(one.matches("a.x.com") && !one.matches("a.b.x.com") && !one.matches("x.com"));
        assert_eq!(HostPattern::of_literal("a.x.com").literal().as_deref(), Some("a.x.com"));
        assert_eq!(HostPattern::of_literal("localhost").literal().as_deref(), Some("localhost"));
    }
}
