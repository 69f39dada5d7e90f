//! What pools and routes say about endpoints and tries, as it would be written.

use super::ir::{
    Check, Eject, Hedge, Mirror, PathCase, Plan, Pool, PoolLimit, Probe, Protocol, ProxyProtocol, Retry, RetryOn, Site,
    Sticky,
};
use super::words::percent;
use std::fmt::{self, Display, Formatter};

/// A duration: `250ms`, `5s`, `10m`, `12h`.
#[must_use]
pub fn duration(ms: u64) -> String {
    match ms {
        0 => "0s".into(),
        ms if ms % 3_600_000 == 0 => format!("{}h", ms / 3_600_000),
        ms if ms % 60_000 == 0 => format!("{}m", ms / 60_000),
        ms if ms % 1000 == 0 => format!("{}s", ms / 1000),
        ms => format!("{ms}ms"),
    }
}

/// A size: `64KB`, `1MB`.
#[must_use]
pub fn size(bytes: u64) -> String {
    match bytes {
        0 => "0".into(),
        n if n % (1 << 20) == 0 => format!("{}MB", n >> 20),
        n if n % (1 << 10) == 0 => format!("{}KB", n >> 10),
        n => format!("{n}B"),
    }
}

/// `1% shadow body 64KB`
#[must_use]
pub fn mirror(mirror: &Mirror, site: &Site) -> String {
    let pool = &site.pools[mirror.pool.0 as usize].name;
    format!("{}% {pool} body {}", percent(mirror.share), size(mirror.body_bytes))
}

/// What is written about the tries of a plan, and about its copies: what holds by default is left out.
#[must_use]
pub fn tries(plan: &Plan, pool: &Pool, site: &Site) -> Vec<String> {
    let of = &plan.settings;
    let mut out = Vec::new();
    if let Some(ms) = of.timeout_ms.or(pool.timeout_ms) {
        out.push(format!("timeout {}", duration(ms)));
    }
    if let Some(retry) = of.retry.as_ref().or(pool.retry.as_ref()) {
        out.push(format!("retry {retry}"));
    }
    if let Some(hedge) = of.hedge.or(pool.hedge) {
        out.push(format!("hedge {hedge}"));
    }
    out.extend(of.mirror.as_ref().map(|m| format!("mirror {}", mirror(m, site))));
    if of.websocket == Some(false) {
        out.push("websocket off".into());
    }
    if of.log == Some(false) {
        out.push("log off".into());
    }
    if pool.protocol != Protocol::Auto {
        out.push(format!("protocol {}", pool.protocol));
    }
    if pool.balance != super::ir::Balance::RoundRobin {
        out.push(format!("balance {}", pool.balance));
    }
    out.extend(pool.sticky.as_ref().map(|sticky| format!("sticky {sticky}")));
    if pool.limit != PoolLimit::default() {
        out.push(format!("limit {}", pool.limit));
    }
    out
}

impl Display for Protocol {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Auto => "auto",
            Self::H1 => "h1",
            Self::H2 => "h2",
            Self::H2c => "h2c",
            Self::Grpc => "grpc",
        })
    }
}

impl Display for ProxyProtocol {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V1 => "v1",
            Self::V2 => "v2",
        })
    }
}

impl Display for PathCase {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sensitive => "case-sensitive",
            Self::Insensitive => "case-insensitive",
        })
    }
}

impl Display for Eject {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let failures = self.failures.map(|n| format!("{n} {}", if n == 1 { "failure" } else { "failures" }));
        let ratio = self.ratio.map(|(share, window)| format!("{share}% within {}", duration(window)));
        let after: Vec<String> = failures.into_iter().chain(ratio).collect();
        write!(f, "after {} for {} up to {}%", after.join(", "), duration(self.for_ms), self.up_to)
    }
}

impl Display for RetryOn {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let causes =
            [(self.connect, "connect"), (self.reset, "reset"), (self.refused, "refused"), (self.timeout, "timeout")];
        let causes = causes.into_iter().filter(|(said, _)| *said).map(|(_, cause)| cause.to_owned());
        let all: Vec<String> = causes.chain(runs(&self.statuses)).collect();
        write!(f, "[{}]", all.join(", "))
    }
}

/// Sorted statuses, those that follow each other as a range.
fn runs(statuses: &[u16]) -> Vec<String> {
    let mut out: Vec<(u16, u16)> = Vec::new();
    for &status in statuses {
        match out.last_mut() {
            Some((_, last)) if *last + 1 == status => *last = status,
            _ => out.push((status, status)),
        }
    }
    let shown = |(first, last): (u16, u16)| match last - first {
        0 => vec![first.to_string()],
        1 => vec![first.to_string(), last.to_string()],
        _ => vec![format!("{first}..{last}")],
    };
    out.into_iter().flat_map(shown).collect()
}

impl Display for Retry {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if self.times == 0 {
            return f.write_str("off");
        }
        write!(f, "{} on {}", self.times, self.on)?;
        for (word, ms) in [("within", self.within_ms), ("each", self.each_ms)] {
            if let Some(ms) = ms {
                write!(f, " {word} {}", duration(ms))?;
            }
        }
        write!(f, " budget {}%", self.budget)?;
        if self.body_bytes > 0 {
            write!(f, " body {}", size(self.body_bytes))?;
        }
        if self.any_method { f.write_str(" any method") } else { Ok(()) }
    }
}

impl Display for Hedge {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::After(ms) => write!(f, "after {}", duration(*ms)),
            Self::Percentile(n) => write!(f, "after p{n}"),
        }
    }
}

impl Display for PoolLimit {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let connections = self.connections.map(|n| format!("{n} connections"));
        let requests = self.requests.map(|n| format!("{n} requests"));
        let queue = self.queue.map(|(n, ms)| format!("{n} queued within {}", duration(ms)));
        let all: Vec<String> = connections.into_iter().chain(requests).chain(queue).collect();
        f.write_str(&all.join(", "))
    }
}

impl Display for Sticky {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "cookie \"{}\"", self.cookie)?;
        if let Some(secret) = &self.secret {
            write!(f, " key secret.{secret}")?;
        }
        match self.for_ms {
            Some(ms) => write!(f, " for {}", duration(ms)),
            None => Ok(()),
        }
    }
}

impl Display for Probe {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Http { method, path, expect, body } => {
                write!(f, "{method} {path} expect {}", expect.0)?;
                if expect.0 != expect.1 {
                    write!(f, "..{}", expect.1)?;
                }
                match body {
                    Some(text) => write!(f, " body {text:?}"),
                    None => Ok(()),
                }
            }
            Self::Grpc { service } if service.is_empty() => f.write_str("grpc"),
            Self::Grpc { service } => write!(f, "grpc service \"{service}\""),
            Self::Tcp => f.write_str("tcp"),
            Self::Udp { .. } => f.write_str("udp"),
        }
    }
}

impl Display for Check {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let (every, within) = (duration(self.every_ms), duration(self.within_ms));
        write!(f, "{} every {every} within {within} rise {} fall {}", self.probe, self.rise, self.fall)?;
        match self.port {
            Some(port) => write!(f, " port {port}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_people_write_them() {
        assert_eq!(
            [0, 250, 5000, 90_000, 600_000, 43_200_000].map(duration),
            ["0s", "250ms", "5s", "90s", "10m", "12h"]
        );
        assert_eq!([0, 100, 65_536, 1 << 20].map(size), ["0", "100B", "64KB", "1MB"]);
        assert_eq!(runs(&[404, 500, 501, 502, 503, 598, 599]), ["404", "500..503", "598", "599"]);
    }

    #[test]
    fn settings_are_shown_as_they_are_written() {
        let retry = Retry {
            times: 2,
            on: RetryOn { connect: true, reset: true, statuses: vec![502, 503], ..RetryOn::default() },
            within_ms: Some(10_000),
            each_ms: Some(3000),
            budget: 20,
            body_bytes: 64 << 10,
            any_method: true,
        };
        assert_eq!(
            retry.to_string(),
            "2 on [connect, reset, 502, 503] within 10s each 3s budget 20% body 64KB any method"
        );
        let eject = Eject { failures: Some(5), ratio: Some((50, 10_000)), for_ms: 30_000, up_to: 50 };
        assert_eq!(eject.to_string(), "after 5 failures, 50% within 10s for 30s up to 50%");
        let limit = PoolLimit { connections: Some(10), requests: None, queue: Some((5, 1000)) };
        assert_eq!(limit.to_string(), "10 connections, 5 queued within 1s");
        let sticky = Sticky { cookie: "route".into(), secret: Some("k".into()), for_ms: Some(43_200_000) };
        assert_eq!(sticky.to_string(), "cookie \"route\" key secret.k for 12h");
        let probe =
            Probe::Http { method: "GET".into(), path: "/h".into(), expect: (200, 299), body: Some("ok".into()) };
        let check = Check { probe, port: Some(81), every_ms: 5000, within_ms: 1000, rise: 2, fall: 3 };
        assert_eq!(check.to_string(), "GET /h expect 200..299 body \"ok\" every 5s within 1s rise 2 fall 3 port 81");
    }
}
