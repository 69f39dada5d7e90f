//! Cookies of logins: read from a request, written to a browser.
//!
//! A session that does not fit into one cookie lies in several: `NAME`, `NAME.1`, … The first says of how many.

use dsl::tree::calls::{self, Outcome};
use dsl::tree::ir::{Encode, Field, Part, Transform, Value};
use dsl::tree::request::Request;
use std::sync::Arc;

/// Letters of a cookie's value that browsers keep: 4 KB with its name and what stands behind it.
const MOST_LETTERS: usize = 3_800;
/// More cookies than this one session never has: servers take so much of a head.
pub(super) const MOST_PARTS: usize = 4;

/// The value of a cookie.
///
/// # Errors
/// What a call comes to without it: no where there is none, refused where it arrived twice with different values.
pub(super) fn value(name: &str, request: &impl Request) -> Result<String, Outcome> {
    let field = Field::Cookie(name.into());
    let hole = Part::Hole { field, transform: Transform::None, encode: Encode::Plain, if_missing: None };
    calls::argument(&Value { parts: vec![hole] }, request)
}

/// The names of the cookies that a request brought and that begin so; as many as `most`.
pub(super) fn names(prefix: &str, most: usize, request: &impl Request) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    request.header("cookie", &mut |line| {
        for pair in line.split(|byte| *byte == b';') {
            let name = pair.split(|byte| *byte == b'=').next().unwrap_or_default().trim_ascii();
            let Ok(name) = std::str::from_utf8(name) else { continue };
            if name.starts_with(prefix) && names.len() < most && !names.iter().any(|known| known == name) {
                names.push(name.to_owned());
            }
        }
    });
    names
}

fn part(name: &str, number: usize) -> String {
    if number == 0 { name.to_owned() } else { format!("{name}.{number}") }
}

/// Whether that stands behind the name of a text's first cookie in those of its other parts.
pub(super) fn is_part(behind: &[u8]) -> bool {
    // Asked of every cookie whose name begins so: nothing is made for it.
    matches!(behind, [b'.', digit @ b'1'..=b'9'] if usize::from(digit - b'0') < MOST_PARTS)
}

/// What was written in parts.
///
/// # Errors
/// What a call comes to without it.
pub(super) fn joined(name: &str, request: &impl Request) -> Result<String, Outcome> {
    let first = value(name, request)?;
    let (count, first) = first.split_once('.').ok_or(Outcome::No)?;
    let count = count.parse::<usize>().ok().filter(|count| (1..=MOST_PARTS).contains(count)).ok_or(Outcome::No)?;
    let mut text = first.to_owned();
    for number in 1..count {
        text.push_str(&value(&part(name, number), request)?);
    }
    (text.len() <= MOST_LETTERS * MOST_PARTS).then_some(text).ok_or(Outcome::No)
}

/// How many cookies a text takes.
pub(super) fn parts(text: &str) -> usize {
    text.len().div_ceil(MOST_LETTERS).max(1)
}

/// The parts of a session that a browser has, by number: those that are left over are ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct There([bool; MOST_PARTS]);

/// The parts that a request brought.
pub(super) fn there(name: &str, request: &impl Request) -> There {
    let mut there = There::default();
    for (number, there) in there.0.iter_mut().enumerate() {
        *there = !matches!(value(&part(name, number), request), Err(Outcome::No));
    }
    there
}

impl There {
    /// The lines that end the parts from a number on.
    pub(super) fn ended(self, name: &str, from: usize) -> Vec<String> {
        let left = self.0.iter().enumerate().skip(from).filter(|(_, there)| **there);
        left.map(|(number, _)| line(&part(name, number), "", 0)).collect()
    }
}

/// The `Set-Cookie` lines that write a text in parts, for so many seconds, and end those of a longer one before it;
/// `None` where it is too long. The text is base64url.
pub(super) fn written(name: &str, text: &str, seconds: u64, there: There) -> Option<Vec<String>> {
    let count = parts(text);
    if count > MOST_PARTS {
        return None;
    }
    let mut lines = Vec::new();
    let mut rest = text;
    for number in 0..count {
        let (piece, behind) = rest.split_at(rest.len().min(MOST_LETTERS));
        rest = behind;
        let value = if number == 0 { format!("{count}.{piece}") } else { piece.to_owned() };
        lines.push(line(&part(name, number), &value, seconds));
    }
    lines.extend(there.ended(name, count));
    Some(lines)
}

/// One line: only TLS carries it, no script reads it, and of what other sites send only navigations have it.
pub(super) fn line(name: &str, value: &str, seconds: u64) -> String {
    format!("{name}={value}; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age={seconds}")
}

/// As what calls say claims: each line once.
pub(super) fn as_claims(lines: impl IntoIterator<Item = String>) -> impl Iterator<Item = (Arc<str>, Arc<str>)> {
    lines.into_iter().map(|line| (super::SET_COOKIE.into(), line.into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use dsl::tree::request::Plain;

    fn with(cookies: &str) -> Plain {
        Plain { headers: vec![("cookie".into(), cookies.as_bytes().to_vec())], ..Plain::default() }
    }

    /// What a browser sends of lines that it was told.
    fn kept(lines: &[String]) -> Plain {
        let pairs: Vec<&str> = lines.iter().map(|line| line.split(';').next().unwrap_or_default()).collect();
        with(&pairs.join("; "))
    }

    #[test]
    fn a_long_text_lies_in_several_cookies() {
        for length in [0, 1, MOST_LETTERS, MOST_LETTERS + 1, MOST_LETTERS * MOST_PARTS] {
            let text = "A".repeat(length);
            let lines = written("sid", &text, 60, There::default()).expect("it fits");
            assert_eq!(lines.len(), parts(&text));
            assert!(lines.iter().all(|line| line.len() < 4_096), "{length}");
            assert_eq!(joined("sid", &kept(&lines)), Ok(text));
        }
        assert_eq!(written("sid", &"A".repeat(MOST_LETTERS * MOST_PARTS + 1), 60, There::default()), None);
    }

    #[test]
    fn a_shorter_one_ends_what_is_left_of_a_longer_one() {
        let long = written("sid", &"A".repeat(MOST_LETTERS * 3), 60, There::default()).expect("it fits");
        let short = written("sid", "B", 60, there("sid", &kept(&long))).expect("it fits");
        assert_eq!(short.len(), 3);
        assert!(
            short[1].starts_with("sid.1=; ") && short[2].starts_with("sid.2=; ") && short[2].ends_with("Max-Age=0")
        );
        assert_eq!(there("sid", &kept(&long)).ended("sid", 0).len(), 3);
        assert_eq!(there("sid", &with("sid=1.A; sidx=1")).ended("sid", 0).len(), 1);
        assert_eq!(there("sid", &with("sidx=1")), There::default());
    }

    #[test]
    fn attack_parts_that_are_missing_too_many_or_tossed_in() {
        for cookies in
            ["sid=", "sid=A", "sid=2.A", "sid=0.A", "sid=5.A; sid.1=A; sid.2=A; sid.3=A; sid.4=A", "sid=-1.A"]
        {
            assert_eq!(joined("sid", &with(cookies)), Err(Outcome::No), "{cookies}");
        }
        for cookies in ["sid=1.A; sid=1.B", "sid=2.A; sid.1=B; sid.1=C"] {
            assert!(matches!(joined("sid", &with(cookies)), Err(Outcome::Refused(_))), "{cookies}");
        }
        let parts = [".1", ".2", ".3", "", ".0", ".4", ".10", ".", "1", ".1 "];
        let are: Vec<_> = parts.into_iter().filter(|behind| is_part(behind.as_bytes())).collect();
        assert_eq!(are, [".1", ".2", ".3"]);
        assert_eq!(names("a-", 2, &with("a-1=x; b=y; a-2=z; a-1=w; a-3=v")), ["a-1", "a-2"]);
    }
}
