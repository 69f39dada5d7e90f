//! Literals that begin with a digit or a colon: one token each, told apart by their form.

use super::Builder;
use crate::syntax::ast::{Expr, HostLabel, HostPattern, ListenAddr, SegmentPart, Word};
use crate::syntax::span::{Span, Spanned};
use std::net::IpAddr;

/// What is wrong with a literal, and what to write instead where that is known.
pub(super) struct Wrong {
    pub(super) message: String,
    pub(super) instead: Option<(&'static str, String)>,
}

impl Wrong {
    fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), instead: None }
    }

    fn instead(mut self, help: &'static str, text: impl Into<String>) -> Self {
        self.instead = Some((help, text.into()));
        self
    }
}

type Read<T> = Result<T, Wrong>;

impl Builder {
    pub(super) fn wrong(&mut self, span: Span, wrong: Wrong) {
        match wrong.instead {
            Some((help, text)) => self.error_instead(span, wrong.message, help, &text),
            None => {
                self.error(span, wrong.message);
            }
        }
    }

    /// A literal where a value stands.
    pub(super) fn literal(&mut self, text: &str, span: Span) -> Expr {
        match literal(text) {
            Ok(expr) => expr,
            Err(wrong) => {
                self.wrong(span, wrong);
                Expr::Number("0".to_owned())
            }
        }
    }

    /// A literal where a word of a setting stands: also an address to listen on, or a host.
    pub(super) fn literal_word(&mut self, text: &str, span: Span) -> Word {
        if looks_like_listen(text) {
            return match listen(text) {
                Ok(addr) => Word::Listen(addr),
                Err(wrong) => {
                    self.wrong(span, wrong);
                    Word::Comma
                }
            };
        }
        if let Some(host) = numeric_host(text, span) {
            return Word::Host(host);
        }
        Word::Value(self.literal(text, span))
    }

    /// A number of a status line.
    pub(super) fn status(&mut self, text: &str, span: Span) -> i64 {
        if !text.bytes().all(|b| b.is_ascii_digit()) {
            self.error(span, format!("`{text}` is not a status: a number such as 404"));
            return 0;
        }
        match text.parse() {
            Ok(status) if text.len() <= 3 => status,
            _ => {
                self.error(span, format!("the status `{text}` is too long: it has three digits"));
                0
            }
        }
    }

    /// A whole number.
    pub(super) fn whole(&mut self, text: &str, span: Span) -> i64 {
        if let Ok(number) = text.parse() {
            return number;
        }
        let why = if text.bytes().all(|b| b.is_ascii_digit()) { "is too large" } else { "is not a whole number" };
        self.error(span, format!("`{text}` {why}"));
        0
    }
}

/// A value.
pub(super) fn literal(text: &str) -> Read<Expr> {
    if let Some(number) = text.strip_suffix('%') {
        return percent(number).map(Expr::Percent);
    }
    if text.contains(':') {
        return address(text);
    }
    if let Some((from, to)) = text.split_once("..") {
        let bound =
            |s: &str| s.parse::<i64>().map_err(|_| Wrong::new(format!("`{text}` is not a range such as 200..299")));
        return Ok(Expr::Range(bound(from)?, bound(to)?));
    }
    if let Some((left, right)) = text.split_once('/') {
        return if left.contains('.') { address(text) } else { rate(text, left, right) };
    }
    let digits = text.strip_prefix('-').unwrap_or(text);
    let unit = digits.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
    if unit.is_empty() {
        return match digits.split('.').count() {
            1 => Ok(Expr::Number(text.to_owned())),
            2 if !digits.ends_with('.') => Ok(Expr::Number(text.to_owned())),
            _ => address(text),
        };
    }
    let number = &text[..text.len() - unit.len()];
    if let Some(scale) = duration_unit(unit) {
        return scaled(text, number, scale).map(Expr::Duration);
    }
    if let Some(scale) = size_unit(unit) {
        return scaled(text, number, scale).map(Expr::Size);
    }
    Err(unknown(text, number, unit))
}

fn unknown(text: &str, number: &str, unit: &str) -> Wrong {
    let wrong = Wrong::new(format!("`{text}` is not a number, duration, size, rate or address"));
    let lower = unit.to_ascii_lowercase();
    let known = match lower.as_str() {
        "sec" | "secs" | "second" | "seconds" => "s",
        "min" | "mins" | "minute" | "minutes" => "m",
        "hour" | "hours" | "hr" => "h",
        "day" | "days" => "d",
        "msec" | "millis" => "ms",
        "k" | "kb" | "kib" => "KB",
        "mb" | "mib" => "MB",
        "g" | "gb" | "gib" => "GB",
        "r" => return rate_of(wrong, number),
        _ => {
            return wrong.instead(
                "durations are 250ms 5s 10m 1h 30d, sizes 64KB 10MB, rates 100/s; a text needs quotes",
                format!("\"{text}\""),
            );
        }
    };
    wrong.instead("write", format!("{number}{known}"))
}

fn rate_of(wrong: Wrong, number: &str) -> Wrong {
    wrong.instead("a rate is written", format!("{number}/s"))
}

fn duration_unit(unit: &str) -> Option<u64> {
    Some(match unit {
        "ms" => 1,
        "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    })
}

fn size_unit(unit: &str) -> Option<u64> {
    Some(match unit {
        "B" => 1,
        "KB" => 1 << 10,
        "MB" => 1 << 20,
        "GB" => 1 << 30,
        _ => return None,
    })
}

fn scaled(text: &str, number: &str, scale: u64) -> Read<u64> {
    let whole = |n: &str| n.parse::<u64>().ok().and_then(|n| n.checked_mul(scale));
    if let Some(n) = whole(number) {
        return Ok(n);
    }
    if number.starts_with('-') {
        return Err(Wrong::new(format!("`{text}` cannot be negative")));
    }
    if number.contains('.') {
        return Err(Wrong::new(format!("`{text}` is not a whole number of its unit; use the next smaller unit")));
    }
    Err(Wrong::new(format!("`{text}` is too large")))
}

fn rate(text: &str, left: &str, right: &str) -> Read<Expr> {
    let seconds = match right {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        "sec" | "second" => return Err(not_a_rate(text).instead("write", format!("{left}/s"))),
        "min" | "minute" => return Err(not_a_rate(text).instead("write", format!("{left}/m"))),
        "hour" => return Err(not_a_rate(text).instead("write", format!("{left}/h"))),
        // `300/3h`: in three hours.
        _ => match times(right) {
            Some(seconds) => seconds,
            None => return Err(not_a_rate(text)),
        },
    };
    if let Ok(count) = left.parse() {
        return Ok(Expr::Rate { count, seconds, bytes: false });
    }
    let unit = left.trim_start_matches(|c: char| c.is_ascii_digit());
    match size_unit(unit) {
        Some(scale) => scaled(left, &left[..left.len() - unit.len()], scale).map(|count| Expr::Rate {
            count,
            seconds,
            bytes: true,
        }),
        None if unit.is_empty() => Err(Wrong::new(format!("`{text}` is too large"))),
        None => Err(not_a_rate(text)),
    }
}

/// The seconds of `30s` or `3h`, a year at most.
fn times(span: &str) -> Option<u64> {
    let unit = span.trim_start_matches(|c: char| c.is_ascii_digit());
    let number: u64 = span[..span.len() - unit.len()].parse().ok()?;
    let seconds = (duration_unit(unit)? / 1000).checked_mul(number)?;
    (1..=365 * 86_400).contains(&seconds).then_some(seconds)
}

fn not_a_rate(text: &str) -> Wrong {
    Wrong::new(format!("`{text}` is not a rate such as 100/s, 5000/h or 10MB/s"))
}

/// Ten-thousandths of a percentage's digits.
pub(super) fn percent(number: &str) -> Read<u32> {
    let wrong = || Wrong::new(format!("`{number}%` is not a percentage such as 5% or 2.5%"));
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let digits = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit());
    if !digits(whole) || !digits(fraction) {
        return Err(wrong());
    }
    if fraction.len() > 2 {
        return Err(Wrong::new(format!("`{number}%` is too fine: a percentage has at most two decimals")));
    }
    let hundredths: u32 = format!("{fraction:0<2}").parse().map_err(|_| wrong())?;
    let points = whole.parse::<u32>().ok().and_then(|n| n.checked_mul(100)).and_then(|n| n.checked_add(hundredths));
    match points {
        Some(points) if points <= 10_000 => Ok(points),
        _ => Err(Wrong::new(format!("`{number}%` is more than 100%"))),
    }
}

/// `10.0.0.1`, `10.0.0.0/8`, `2001:db8::/32`
pub(super) fn address(text: &str) -> Read<Expr> {
    let Some((ip, prefix)) = text.split_once('/') else {
        return ip_address(text).map(Expr::Ip);
    };
    let ip = ip_address(ip)?;
    let max = if ip.is_ipv4() { 32 } else { 128 };
    match prefix.parse::<u8>() {
        Ok(len) if len <= max && prefix.len() <= 3 => Ok(Expr::Cidr(ip, len)),
        Ok(_) => Err(Wrong::new(format!("the prefix `/{prefix}` is out of range: 0 to {max} for this address"))),
        Err(_) if !prefix.is_empty() && prefix.bytes().all(|b| b.is_ascii_digit()) => {
            Err(Wrong::new(format!("the prefix `/{prefix}` is out of range: 0 to {max} for this address")))
        }
        Err(_) => Err(Wrong::new(format!("`/{prefix}` is not a prefix length such as /{max}"))),
    }
}

fn ip_address(text: &str) -> Read<IpAddr> {
    text.parse().map_err(|_| {
        let port =
            text.rsplit_once(':').filter(|(ip, port)| ip.parse::<std::net::Ipv4Addr>().is_ok() && !port.is_empty());
        match port {
            Some((ip, port)) => {
                Wrong::new(format!("`{text}` is an address with a port, and an address alone belongs here"))
                    .instead(if port.len() < 6 { "leave the port out" } else { "write" }, ip)
            }
            None => Wrong::new(format!("`{text}` is not an IP address")),
        }
    })
}

fn looks_like_listen(text: &str) -> bool {
    match text.rsplit_once(':') {
        Some((host, _)) => !host.contains(':') || host.starts_with('['),
        None => false,
    }
}

/// `:443`, `10.0.0.1:443/quic`, `[::1]:443`
pub(super) fn listen(text: &str) -> Read<ListenAddr> {
    let (addr, quic) = match text.split_once('/') {
        None => (text, false),
        Some((addr, "quic")) => (addr, true),
        Some((_, other)) => {
            return Err(Wrong::new(format!("`/{other}` is not known here; only `/quic` may follow a port")));
        }
    };
    let Some((host, port)) = addr.rsplit_once(':') else {
        return Err(Wrong::new(format!("`{text}` has no port")).instead("write", format!("{text}:443")));
    };
    let port = self::port(port)?;
    let bare = host.strip_prefix('[').and_then(|h| h.strip_suffix(']'));
    let ip = match bare.unwrap_or(host) {
        "" => None,
        ip => Some(ip.parse().map_err(|_| {
            Wrong::new(format!("`{ip}` is not an IP address; a listener is `:{port}` or `ADDRESS:{port}`"))
        })?),
    };
    Ok(ListenAddr { ip, port, quic })
}

pub(super) fn port(text: &str) -> Read<u16> {
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
        return Err(Wrong::new(format!("`:{text}` is not a port")));
    }
    text.parse().map_err(|_| Wrong::new(format!("the port `{text}` is out of range: 0 to 65535")))
}

/// `1and1.example.com`: a host whose first label begins with a digit.
fn numeric_host(text: &str, span: Span) -> Option<HostPattern> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'.';
    let last = text.rsplit('.').next()?;
    let is_host = text.contains('.')
        && text.bytes().all(plain)
        && last.bytes().any(|b| b.is_ascii_alphabetic())
        && text.split('.').all(|label| !label.is_empty());
    if !is_host {
        return None;
    }
    let mut start = span.start as usize;
    let labels = text.split('.').map(|label| {
        let span = Span::new(start, start + label.len());
        start += label.len() + 1;
        Spanned::new(HostLabel::Parts(vec![SegmentPart::Lit(label.to_ascii_lowercase())]), span)
    });
    Some(HostPattern { labels: labels.collect() })
}
