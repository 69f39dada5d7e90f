//! The types of the language.

use std::fmt;

/// A type. Whether a value may be missing stands beside it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Ty {
    /// `text`
    Text,
    /// `path`
    Path,
    /// `host`
    Host,
    /// `url`
    Url,
    /// `int`
    Int,
    /// `bool`
    Bool,
    /// `duration`
    Duration,
    /// `size`
    Size,
    /// `rate`
    Rate,
    /// `percent`
    Percent,
    /// `ip`
    Ip,
    /// `cidr`
    Cidr,
    /// `method`
    Method,
    /// `status`
    Status,
    /// `pool`
    Pool,
    /// A table, as in `x in table`.
    Table,
    /// `provider`
    Provider,
    /// `secret`
    Secret,
    /// `file`: lines of a file, or of a secret.
    File,
    /// `claims`
    Claims,
    /// `list<T>`
    List(Box<Ty>),
    /// Not known, because something about it was already reported: agrees with everything.
    Unknown,
}

/// The names that may be written, for did-you-mean.
pub(crate) const NAMES: &[&str] = &[
    "text", "path", "host", "url", "int", "bool", "duration", "size", "rate", "percent", "ip", "cidr", "method",
    "status", "pool", "provider", "secret", "file", "list", "claims",
];

impl Ty {
    /// Reads `text`, `text?`, `list<ip>`, `list`: the type and whether it may be missing.
    pub(crate) fn parse(text: &str) -> Option<(Self, bool)> {
        let compact: String = text.chars().filter(|c| !c.is_whitespace()).collect();
        let (name, optional) = match compact.strip_suffix('?') {
            Some(name) => (name, true),
            None => (compact.as_str(), false),
        };
        let ty = match name {
            "text" => Self::Text,
            "path" => Self::Path,
            "host" => Self::Host,
            "url" => Self::Url,
            "int" => Self::Int,
            "bool" => Self::Bool,
            "duration" => Self::Duration,
            "size" => Self::Size,
            "rate" => Self::Rate,
            "percent" => Self::Percent,
            "ip" => Self::Ip,
            "cidr" => Self::Cidr,
            "method" => Self::Method,
            "status" => Self::Status,
            "pool" => Self::Pool,
            "provider" => Self::Provider,
            "secret" => Self::Secret,
            "file" => Self::File,
            "claims" => Self::Claims,
            "list" => Self::List(Box::new(Self::Unknown)),
            other => {
                let inner = other.strip_prefix("list<")?.strip_suffix('>')?;
                Self::List(Box::new(Self::parse(inner)?.0))
            }
        };
        Some((ty, optional))
    }

    /// `a text`, `an address`
    pub(crate) fn noun(&self) -> String {
        match self {
            Self::Text => "a text".into(),
            Self::Path => "a path".into(),
            Self::Host => "a host".into(),
            Self::Url => "a URL".into(),
            Self::Int => "a number".into(),
            Self::Bool => "a condition".into(),
            Self::Duration => "a duration".into(),
            Self::Size => "a size".into(),
            Self::Rate => "a rate".into(),
            Self::Percent => "a percentage".into(),
            Self::Ip => "an address".into(),
            Self::Cidr => "a network".into(),
            Self::Method => "a method".into(),
            Self::Status => "a status".into(),
            Self::Pool => "a pool".into(),
            Self::Provider => "a provider".into(),
            Self::Table => "a table".into(),
            Self::Secret => "a secret".into(),
            Self::File => "a file or a secret".into(),
            Self::Claims => "a set of claims".into(),
            Self::List(inner) if **inner == Self::Unknown => "a list".into(),
            Self::List(inner) => format!("a list of {}", inner.plural()),
            Self::Unknown => "a value".into(),
        }
    }

    fn plural(&self) -> &'static str {
        match self {
            Self::Text => "texts",
            Self::Path => "paths",
            Self::Host => "hosts",
            Self::Url => "URLs",
            Self::Int => "numbers",
            Self::Bool => "conditions",
            Self::Duration => "durations",
            Self::Size => "sizes",
            Self::Rate => "rates",
            Self::Percent => "percentages",
            Self::Ip => "addresses",
            Self::Cidr => "networks",
            Self::Method => "methods",
            Self::Status => "statuses",
            Self::Pool => "pools",
            Self::Provider => "providers",
            Self::Table => "tables",
            Self::Secret => "secrets",
            Self::File => "files",
            Self::Claims => "claims",
            Self::List(_) => "lists",
            Self::Unknown => "values",
        }
    }

    /// Whether values of it are written as text in a template or a header.
    pub(crate) fn is_text(&self) -> bool {
        match self {
            Self::Text | Self::Path | Self::Host | Self::Url | Self::Method => true,
            Self::Int
            | Self::Bool
            | Self::Duration
            | Self::Size
            | Self::Rate
            | Self::Percent
            | Self::Ip
            | Self::Cidr
            | Self::Status
            | Self::Pool
            | Self::Provider
            | Self::Table
            | Self::Secret
            | Self::File
            | Self::Claims
            | Self::List(_)
            | Self::Unknown => false,
        }
    }
}

impl fmt::Display for Ty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.noun())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_read_as_written() {
        assert_eq!(Ty::parse("text?"), Some((Ty::Text, true)));
        assert_eq!(Ty::parse("list<cidr>"), Some((Ty::List(Box::new(Ty::Cidr)), false)));
        assert_eq!(Ty::parse("list< ip >?"), Some((Ty::List(Box::new(Ty::Ip)), true)));
        assert_eq!(Ty::parse("lst"), None);
    }
}
