//! Patterns, fields and conditions in the words of the language, for `explain`, `routes` and findings.
//!
//! Patterns and fields know captures by their place: `{_}` stands for a captured value. An [`Entry`]
//! remembers what its own are called.

use super::ir::{
    Capture, Class, Cond, Encode, Entry, Field, HostHead, HostPattern, KeyText, Lookup, Missing, Order, Part,
    PathPattern, Relation, Segment, Test, Transform, Value,
};
use std::fmt::{self, Display, Formatter, Write};
use std::sync::Arc;

impl Entry {
    /// Its pattern, captures by their names.
    pub fn shown(&self) -> String {
        let name = |of: &dyn Fn(&Capture) -> bool| self.names.iter().find(|(c, _)| of(c)).map(|(_, name)| &**name);
        let mut out = String::new();
        for (at, segment) in self.pattern.segments.iter().enumerate() {
            let own = name(&|c| matches!(c, Capture::Segment { index, .. } if *index as usize == at));
            let text = segment.to_string();
            out.push('/');
            match (segment, own) {
                (Segment::Capture { .. }, Some(own)) => out.push_str(&text.replacen("{_", &format!("{{{own}"), 1)),
                (Segment::Capture { .. }, None) | (Segment::Lit(_), _) => out.push_str(&text),
            }
        }
        if self.pattern.splat {
            out.push_str("/*");
            out.push_str(name(&|c| matches!(c, Capture::Splat { .. })).unwrap_or_default());
        } else if out.is_empty() {
            out.push('/');
        }
        out
    }

    /// A text made of this entry's conditions or answers, captures by their names.
    pub fn named(&self, text: &str) -> String {
        let mut known: Vec<(String, &str)> = self.names.iter().map(|(c, name)| (c.to_string(), &**name)).collect();
        // `the path` stands in `segment 2 of the path`.
        known.sort_by_key(|(place, _)| std::cmp::Reverse(place.len()));
        known.iter().fold(text.to_owned(), |text, (place, name)| text.replace(place.as_str(), name))
    }
}

impl Display for PathPattern {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for segment in &self.segments {
            write!(f, "/{segment}")?;
        }
        match (self.splat, self.segments.is_empty()) {
            (true, _) => f.write_str("/*"),
            (false, true) => f.write_str("/"),
            (false, false) => Ok(()),
        }
    }
}

impl Display for HostPattern {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match &self.head {
            HostHead::Many => f.write_str("**")?,
            HostHead::Label(label) if *label == Segment::any() => f.write_str("*")?,
            HostHead::Label(label) => label.fmt(f)?,
        }
        if self.parent.is_empty() { Ok(()) } else { write!(f, ".{}", self.parent) }
    }
}

impl Display for Segment {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lit(text) => f.write_str(text),
            Self::Capture { prefix, class, suffix } => match class {
                Class::Any => write!(f, "{prefix}{{_}}{suffix}"),
                class => write!(f, "{prefix}{{_:{class}}}{suffix}"),
            },
        }
    }
}

impl Display for Class {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("text"),
            Self::Set(all) => f.write_str(&all.join("|")),
            Self::Int => f.write_str("int"),
            Self::Uuid => f.write_str("uuid"),
            Self::Regex(regex) => write!(f, "\"{}\"", regex.source()),
        }
    }
}

impl Display for Field {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Method => f.write_str("method"),
            Self::Path => f.write_str("request.path"),
            Self::Uri => f.write_str("request.uri"),
            Self::QueryString => f.write_str("request.query-string"),
            Self::Size => f.write_str("request.size"),
            Self::Version => f.write_str("request.version"),
            Self::Host => f.write_str("host"),
            Self::ClientIp => f.write_str("client.ip"),
            Self::ClientPort => f.write_str("client.port"),
            Self::ClientCountry => f.write_str("client.country"),
            Self::TlsSni => f.write_str("tls.sni"),
            Self::TlsVersion => f.write_str("tls.version"),
            Self::TlsAlpn => f.write_str("tls.alpn"),
            Self::TlsCert(part) => part.fmt(f),
            Self::Header(name) => member(f, "header", name),
            Self::Cookie(name) => member(f, "cookie", name),
            Self::Query(name) => member(f, "query", name),
            Self::Capture(capture) => capture.fmt(f),
            Self::Row(lookup) => lookup.fmt(f),
            Self::Call(_, shown) => f.write_str(shown),
            Self::Claim(_, name) => write!(f, "claim {name}"),
            Self::Body(_, shown) => f.write_str(shown),
        }
    }
}

impl Display for Lookup {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}[", self.table.name)?;
        match self.key.as_slice() {
            [KeyText::Field { field, lower: false }] => field.fmt(f)?,
            [KeyText::Field { field, lower: true }] => write!(f, "lower({field})")?,
            [KeyText::Text(text)] => quoted(f, text)?,
            parts => {
                f.write_char('"')?;
                for part in parts {
                    match part {
                        KeyText::Text(text) => f.write_str(text)?,
                        KeyText::Field { field, lower: false } => write!(f, "{{{field}}}")?,
                        KeyText::Field { field, lower: true } => write!(f, "{{lower({field})}}")?,
                    }
                }
                f.write_char('"')?;
            }
        }
        f.write_char(']')
    }
}

fn member(f: &mut Formatter<'_>, of: &str, name: &str) -> fmt::Result {
    let word = |c: u8| c.is_ascii_alphanumeric() || c == b'_';
    let plain = name.split('-').all(|part| !part.is_empty() && part.bytes().all(word))
        && !name.starts_with(|c: char| c.is_ascii_digit());
    if plain {
        write!(f, "{of}.{name}")
    } else {
        write!(f, "{of}[")?;
        quoted(f, name)?;
        f.write_char(']')
    }
}

impl Display for Capture {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Segment { index, .. } => write!(f, "segment {} of the path", index + 1),
            Self::Splat { from: 0 } => f.write_str("the path"),
            Self::Splat { from } => write!(f, "the path after segment {from}"),
            Self::Host { .. } => f.write_str("the first label of the host"),
        }
    }
}

impl Display for Cond {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Const(value) => write!(f, "{value}"),
            Self::Test(field, test) => write_test(f, field, test, false),
            Self::Relate(left, relation, right) => {
                let word = match relation {
                    Relation::Is => "is",
                    Relation::StartsWith => "starts with",
                    Relation::EndsWith => "ends with",
                    Relation::Has => "has",
                };
                write!(f, "{left} {word} {right}")
            }
            Self::Not(inner) => match &**inner {
                Self::Test(field, test) => write_test(f, field, test, true),
                inner => write!(f, "not ({inner})"),
            },
            Self::And(all) => joined(f, all, " and "),
            Self::Or(all) => joined(f, all, " or "),
        }
    }
}

fn joined(f: &mut Formatter<'_>, all: &[Cond], word: &str) -> fmt::Result {
    for (at, cond) in all.iter().enumerate() {
        if at > 0 {
            f.write_str(word)?;
        }
        match cond {
            Cond::And(inner) | Cond::Or(inner) if inner.len() > 1 && all.len() > 1 => write!(f, "({cond})")?,
            cond => cond.fmt(f)?,
        }
    }
    Ok(())
}

fn write_test(f: &mut Formatter<'_>, field: &Field, test: &Test, negated: bool) -> fmt::Result {
    let not = if negated { "not " } else { "" };
    match test {
        Test::Present => write!(f, "{not}{field}"),
        Test::OneOf(all) => match &**all {
            [one] => {
                write!(f, "{field} is {not}")?;
                constant(f, field, one)
            }
            all => {
                write!(f, "{field} {not}in [")?;
                for (at, one) in all.iter().enumerate() {
                    f.write_str(if at > 0 { ", " } else { "" })?;
                    constant(f, field, one)?;
                }
                f.write_char(']')
            }
        },
        Test::StartsWith(text) => write_text_test(f, field, negated, "starts with", text),
        Test::EndsWith(text) => write_text_test(f, field, negated, "ends with", text),
        Test::Has(text) => write_text_test(f, field, negated, "has", text),
        Test::Matches(regex) if negated => write!(f, "not ({field} matches \"{}\")", regex.source()),
        Test::Matches(regex) => write!(f, "{field} matches \"{}\"", regex.source()),
        Test::InNets(nets) => {
            write!(f, "{field} {not}in [")?;
            // A list of thousands would hide the rest of the line.
            for (at, net) in nets.iter().take(8).enumerate() {
                write!(f, "{}{net}", if at > 0 { ", " } else { "" })?;
            }
            f.write_str(if nets.len() > 8 { ", …]" } else { "]" })
        }
        Test::Number(order, n) => match order {
            Order::Eq => write!(f, "{field} is {not}{n}"),
            Order::Lt => write_number_test(f, field, negated, "<", *n),
            Order::Le => write_number_test(f, field, negated, "<=", *n),
            Order::Gt => write_number_test(f, field, negated, ">", *n),
            Order::Ge => write_number_test(f, field, negated, ">=", *n),
        },
    }
}

fn write_number_test(f: &mut Formatter<'_>, field: &Field, negated: bool, sign: &str, n: i64) -> fmt::Result {
    if negated { write!(f, "not ({field} {sign} {n})") } else { write!(f, "{field} {sign} {n}") }
}

fn write_text_test(f: &mut Formatter<'_>, field: &Field, negated: bool, word: &str, text: &str) -> fmt::Result {
    f.write_str(if negated { "not (" } else { "" })?;
    write!(f, "{field} {word} ")?;
    quoted(f, text)?;
    f.write_str(if negated { ")" } else { "" })
}

fn constant(f: &mut Formatter<'_>, field: &Field, text: &str) -> fmt::Result {
    match field {
        Field::Method | Field::ClientPort | Field::Size => f.write_str(text),
        Field::Path
        | Field::Uri
        | Field::QueryString
        | Field::Version
        | Field::Host
        | Field::ClientIp
        | Field::ClientCountry
        | Field::TlsSni
        | Field::TlsVersion
        | Field::TlsAlpn
        | Field::TlsCert(_)
        | Field::Header(_)
        | Field::Cookie(_)
        | Field::Query(_)
        | Field::Capture(_)
        | Field::Call(..)
        | Field::Row(_)
        | Field::Claim(..)
        | Field::Body(..) => quoted(f, text),
    }
}

fn quoted(f: &mut Formatter<'_>, text: &str) -> fmt::Result {
    f.write_char('"')?;
    for c in text.chars() {
        match c {
            '"' | '\\' | '{' | '}' => write!(f, "\\{c}")?,
            '\n' => f.write_str("\\n")?,
            '\t' => f.write_str("\\t")?,
            c => f.write_char(c)?,
        }
    }
    f.write_char('"')
}

impl Display for Value {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match &*self.parts {
            [Part::Hole { field, transform, if_missing, encode }] => {
                write_hole(f, field, *transform, *encode, if_missing.as_deref())
            }
            parts => {
                f.write_char('"')?;
                for part in parts {
                    match part {
                        Part::Text(text) => escaped(f, text)?,
                        Part::Hole { field, transform, if_missing, encode } => {
                            f.write_char('{')?;
                            write_hole(f, field, *transform, *encode, if_missing.as_deref())?;
                            f.write_char('}')?;
                        }
                    }
                }
                f.write_char('"')
            }
        }
    }
}

fn escaped(f: &mut Formatter<'_>, text: &Arc<str>) -> fmt::Result {
    for c in text.chars() {
        match c {
            '"' | '\\' => write!(f, "\\{c}")?,
            '\n' => f.write_str("\\n")?,
            c => f.write_char(c)?,
        }
    }
    Ok(())
}

fn write_hole(
    f: &mut Formatter<'_>,
    field: &Field,
    transform: Transform,
    encode: Encode,
    if_missing: Option<&Missing>,
) -> fmt::Result {
    match (transform, encode) {
        (Transform::None, Encode::LocalPath) => write!(f, "local-path({field})")?,
        (Transform::None, _) => field.fmt(f)?,
        (Transform::Lower, _) => write!(f, "lower({field})")?,
        (Transform::Hash, _) => write!(f, "hash({field})")?,
        (Transform::LowerHash, _) => write!(f, "hash(lower({field}))")?,
    }
    match if_missing {
        None => Ok(()),
        Some(Missing::Value(value)) => write!(f, " if missing {value}"),
        Some(Missing::Answer(_)) => f.write_str(" if missing …"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::ir::Regex;

    #[test]
    fn patterns() {
        let affix = Segment::Capture { prefix: "".into(), class: Class::Any, suffix: ".png".into() };
        let int = Segment::Capture { prefix: "v".into(), class: Class::Int, suffix: "".into() };
        let path = PathPattern { segments: vec![Segment::Lit("img".into()), int.clone(), affix], splat: true };
        assert_eq!(path.to_string(), "/img/v{_:int}/{_}.png/*");
        assert_eq!(PathPattern { segments: vec![], splat: false }.to_string(), "/");
        assert_eq!(PathPattern { segments: vec![], splat: true }.to_string(), "/*");
        let host = |head, parent: &str| HostPattern { head, parent: parent.into() }.to_string();
        assert_eq!(host(HostHead::Many, ""), "**");
        assert_eq!(host(HostHead::Many, "x.com"), "**.x.com");
        assert_eq!(host(HostHead::Label(Segment::any()), "x.com"), "*.x.com");
        assert_eq!(host(HostHead::Label(int), "x.com"), "v{_:int}.x.com");
        assert_eq!(HostPattern::of_literal("a.x.com").to_string(), "a.x.com");
    }

    #[test]
    fn conditions() {
        let is = |field, text: &str| Cond::Test(field, Test::OneOf(vec![text.into()]));
        let canary = is(Field::Cookie("canary".into()), "always");
        assert_eq!(canary.to_string(), "cookie.canary is \"always\"");
        let not = Cond::Not(Box::new(canary.clone()));
        assert_eq!(not.to_string(), "cookie.canary is not \"always\"");
        let methods = Cond::Test(Field::Method, Test::OneOf(vec!["GET".into(), "HEAD".into()]));
        let nets = Cond::Test(Field::ClientIp, Test::InNets(vec!["10.0.0.0/8".parse().unwrap()]));
        let both = Cond::And(vec![methods, Cond::Or(vec![not, nets])]);
        assert_eq!(
            both.to_string(),
            "method in [GET, HEAD] and (cookie.canary is not \"always\" or client.ip in [10.0.0.0/8])"
        );
        let odd = Cond::Test(Field::Header("x\"y".into()), Test::Present);
        assert_eq!(Cond::Not(Box::new(odd)).to_string(), "not header[\"x\\\"y\"]");
        let size = Cond::Test(Field::Size, Test::Number(Order::Le, 10));
        assert_eq!(size.to_string(), "request.size <= 10");
        let regex = Cond::Test(Field::Query("q".into()), Test::Matches(Regex::new(r"\d{3}").unwrap()));
        assert_eq!(regex.to_string(), r#"query.q matches "\d{3}""#);
    }
}
