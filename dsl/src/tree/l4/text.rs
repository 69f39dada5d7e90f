//! Rules of connections in the words of the language, for `explain`, `routes` and log lines.

use super::{Bound, Key, KeyPart, Limit, Step};
use crate::tree::ir::{Balance, HashKey, HashPart};
use std::fmt::{self, Display, Formatter};

impl Display for KeyPart {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ClientIp => "client.ip",
            Self::ClientPort => "client.port",
            Self::Connection => "connection",
            Self::Sni => "tls.sni",
        })
    }
}

impl Display for Key {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.0.as_slice() {
            [one] => one.fmt(f),
            all => {
                let all: Vec<String> = all.iter().map(ToString::to_string).collect();
                write!(f, "[{}]", all.join(", "))
            }
        }
    }
}

impl Display for Limit {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.bound {
            Bound::Rate { count, per_ms, burst } => {
                let unit = match per_ms {
                    60_000 => "m",
                    3_600_000 => "h",
                    86_400_000 => "d",
                    _ => "s",
                };
                write!(f, "limit {count}/{unit} burst {burst}")?;
            }
            Bound::AtOnce(n) => write!(f, "limit {n} at-once")?,
            Bound::Bytes(n) => write!(f, "limit {n}B/s")?,
        }
        if self.cost > 1 {
            write!(f, " cost {}", self.cost)?;
        }
        write!(f, " per {}", self.key)?;
        if let Some(name) = &self.name {
            write!(f, " as {name}")?;
        }
        f.write_str(if self.shadow { " shadow" } else { "" })
    }
}

impl Display for Step {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Require { cond, .. } => write!(f, "require {cond}"),
            Self::Limit(limit) => limit.fmt(f),
        }
    }
}

impl Display for Balance {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::RoundRobin => f.write_str("round-robin"),
            Self::Random => f.write_str("random"),
            Self::LeastConnections => f.write_str("least-connections"),
            Self::LeastRequests => f.write_str("least-requests"),
            Self::PeakEwma => f.write_str("peak-ewma"),
            Self::Hash(key) => write!(f, "hash {key}"),
            Self::Maglev(key) => write!(f, "maglev {key}"),
        }
    }
}

impl Display for HashKey {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connection(key) => key.fmt(f),
            Self::Request(parts) => match parts.as_slice() {
                [one] => one.fmt(f),
                all => {
                    let all: Vec<String> = all.iter().map(ToString::to_string).collect();
                    write!(f, "[{}]", all.join(", "))
                }
            },
        }
    }
}

impl Display for HashPart {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let fields: Vec<String> = self.fields.iter().map(ToString::to_string).collect();
        f.write_str(&fields.join(" if missing "))?;
        if self.otherwise.is_empty() { Ok(()) } else { write!(f, " if missing \"{}\"", self.otherwise) }
    }
}
