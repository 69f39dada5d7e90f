//! Requests that make a condition hold, found by trying a value of every class of each field.

use crate::region::Algebra;
use crate::tree::calls::Outcome;
use crate::tree::eval;
use crate::tree::ir::{Capture, Class, Cond, Field, IpNet, Order, Regex, Segment, Test};
use crate::tree::request::{Plain, Request};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

/// Requests that are tried for one question.
const LIMIT: usize = 20_000;

/// What is known about a condition.
#[derive(Debug)]
pub(super) enum Sat {
    /// This request makes it hold.
    Yes(Box<Plain>),
    /// No request on this path does.
    No,
    /// None was found, and there may be one.
    Unknown,
}

/// A value that a field can be given; `None` takes it away.
type Choice = Option<String>;

/// Looks for a request like `base` that makes the condition hold.
pub(super) fn solve(cond: &Cond, base: &Plain, algebra: &mut Algebra) -> Sat {
    if eval::holds(cond, base) {
        return Sat::Yes(Box::new(base.clone()));
    }
    if *cond == Cond::Const(false) {
        return Sat::No;
    }
    let mut fields: Vec<(Field, Vec<&Test>)> = Vec::new();
    let mut complete = collect(cond, &mut fields);
    let mut choices: Vec<(Field, Vec<Choice>)> = Vec::new();
    for (field, tests) in fields {
        let (values, all) = values(&field, &tests, algebra);
        complete &= all;
        choices.push((field, values));
    }
    let mut at = vec![0; choices.len()];
    for _ in 0..LIMIT {
        let mut request = base.clone();
        let fits = choices.iter().zip(&at).all(|((field, values), &n)| apply(&mut request, field, &values[n]));
        if fits && eval::holds(cond, &request) {
            return Sat::Yes(Box::new(request));
        }
        let Some(next) = (0..at.len()).find(|&n| at[n] + 1 < choices[n].1.len()) else {
            return if complete { Sat::No } else { Sat::Unknown };
        };
        at[next] += 1;
        at[..next].fill(0);
    }
    Sat::Unknown
}

/// The tests of each field; `false` when something in the condition is no test of one field.
pub(super) fn collect<'c>(cond: &'c Cond, out: &mut Vec<(Field, Vec<&'c Test>)>) -> bool {
    match cond {
        Cond::Const(_) => true,
        Cond::Test(field, test) => {
            match out.iter_mut().find(|(f, _)| f == field) {
                Some((_, tests)) => tests.push(test),
                None => out.push((field.clone(), vec![test])),
            }
            true
        }
        Cond::Relate(..) => false,
        Cond::Not(inner) => collect(inner, out),
        Cond::And(all) | Cond::Or(all) => {
            let mut whole = true;
            for c in all {
                whole &= collect(c, out);
            }
            whole
        }
    }
}

/// A value of every class that the tests tell apart; `false` when some class may be missing.
pub(super) fn values(field: &Field, tests: &[&Test], algebra: &mut Algebra) -> (Vec<Choice>, bool) {
    let mut out: Vec<Choice> = Vec::new();
    let mut complete = true;
    let mut push = |value: Choice| {
        if !out.contains(&value) {
            out.push(value);
        }
    };
    match field {
        Field::Method => ["GET", "POST", "HEAD", "X-OTHER"].iter().for_each(|m| push(Some((*m).into()))),
        Field::Version => ["1.1", "2", "1.0", "3"].iter().for_each(|v| push(Some((*v).into()))),
        Field::ClientIp => {
            push(Some(IpAddr::from(Ipv4Addr::new(203, 0, 113, 1)).to_string()));
            push(Some(IpAddr::from(Ipv4Addr::new(198, 51, 100, 1)).to_string()));
            push(Some(IpAddr::from(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1)).to_string()));
        }
        Field::ClientPort => push(Some("50000".into())),
        Field::ClientCountry => [None, Some("DE"), Some("US")].iter().for_each(|code| push(code.map(Into::into))),
        Field::Size => {
            push(None);
            push(Some("0".into()));
        }
        Field::Header(_) | Field::Cookie(_) | Field::Query(_) | Field::QueryString => {
            push(None);
            push(Some("x".into()));
            push(Some(String::new()));
        }
        // They follow from the path, the host and the handshake.
        Field::Path
        | Field::Uri
        | Field::Host
        | Field::TlsSni
        | Field::TlsVersion
        | Field::TlsAlpn
        | Field::TlsCert(_) => {
            complete = false;
        }
        Field::Capture(_) => complete = false,
        // What its key leads to.
        Field::Row(_) => {
            push(None);
            complete = false;
        }
        Field::Call(..) => {
            push(None);
            push(Some("yes".into()));
        }
        Field::Claim(..) | Field::Body(..) => {
            push(None);
            push(Some("x".into()));
        }
    }
    let mut shapes: Vec<Segment> = Vec::new();
    for test in tests {
        match test {
            Test::Present => {}
            Test::OneOf(texts) => texts.iter().for_each(|t| push(Some(t.to_string()))),
            Test::StartsWith(t) => shapes.extend(shape(&format!("{}.*", escape(t)))),
            Test::EndsWith(t) => shapes.extend(shape(&format!(".*{}", escape(t)))),
            Test::Has(t) if matches!(field, Field::Header(_) | Field::Cookie(_) | Field::Query(_)) => {
                push(Some(t.to_string()));
            }
            Test::Has(t) => shapes.extend(shape(&format!(".*{}.*", escape(t)))),
            Test::Matches(regex) => {
                shapes.push(Segment::Capture {
                    prefix: "".into(),
                    class: Class::Regex(regex.clone()),
                    suffix: "".into(),
                });
            }
            Test::InNets(nets) => {
                for net in nets {
                    push(Some(net.network().to_string()));
                    for outside in beside(net) {
                        push(Some(outside.to_string()));
                    }
                }
            }
            Test::Number(order, n) => {
                let near = match order {
                    Order::Eq | Order::Lt | Order::Le | Order::Gt | Order::Ge => {
                        [*n, n.saturating_sub(1), n.saturating_add(1)]
                    }
                };
                near.iter().filter(|n| **n >= 0).for_each(|n| push(Some(n.to_string())));
            }
        }
    }
    if !shapes.is_empty() {
        let all: Vec<&Segment> = shapes.iter().collect();
        match algebra.atoms(&all) {
            Ok(atoms) => atoms.iter().for_each(|a| push(Some(decode(&a.text)))),
            Err(_) => complete = false,
        }
        for test in tests {
            if let Test::StartsWith(t) | Test::EndsWith(t) | Test::Has(t) = test {
                push(Some(t.to_string()));
            }
        }
    }
    (out, complete)
}

fn shape(regex: &str) -> Option<Segment> {
    let class = Class::Regex(Regex::new(regex).ok()?);
    Some(Segment::Capture { prefix: "".into(), class, suffix: "".into() })
}

fn escape(text: &str) -> String {
    text.chars().flat_map(|c| if c.is_alphanumeric() { vec![c] } else { vec!['\\', c] }).collect()
}

fn decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let hex = text.get(at + 1..at + 3).and_then(|h| u8::from_str_radix(h, 16).ok());
        match (bytes[at], hex) {
            (b'%', Some(byte)) => {
                out.push(byte);
                at += 3;
            }
            (byte, _) => {
                out.push(byte);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// The addresses just outside a network.
fn beside(net: &IpNet) -> Vec<IpAddr> {
    match net {
        IpNet::V4(net) => {
            let (low, high) = (u32::from(net.network()), u32::from(net.broadcast()));
            [low.checked_sub(1), high.checked_add(1)].into_iter().flatten().map(|n| Ipv4Addr::from(n).into()).collect()
        }
        IpNet::V6(net) => {
            let (low, high) = (u128::from(net.network()), u128::from(net.broadcast()));
            [low.checked_sub(1), high.checked_add(1)].into_iter().flatten().map(|n| Ipv6Addr::from(n).into()).collect()
        }
    }
}

/// Gives a field a value; `false` when it cannot have it.
fn apply(request: &mut Plain, field: &Field, value: &Choice) -> bool {
    match (field, value) {
        (Field::Method, Some(v)) => request.method.clone_from(v),
        (Field::Version, Some(v)) => match ["1.0", "1.1", "2", "3"].into_iter().find(|known| known == v) {
            Some(v) => request.version = v,
            None => return false,
        },
        (Field::ClientIp, Some(v)) => match v.parse() {
            Ok(ip) => request.client.0 = ip,
            Err(_) => return false,
        },
        (Field::ClientPort, Some(v)) => match v.parse() {
            Ok(port) => request.client.1 = port,
            Err(_) => return false,
        },
        (Field::ClientCountry, code) => request.country.clone_from(code),
        (Field::Size, Some(v)) => set_header(request, "content-length", v),
        (Field::Header(name), Some(v)) => {
            if v.bytes().any(|b| b.is_ascii_control()) {
                return false;
            }
            set_header(request, name, v);
        }
        (Field::Cookie(name), Some(v)) => {
            if v.bytes().any(|b| b.is_ascii_control() || b == b';' || b == b' ') {
                return false;
            }
            let pair = format!("{name}={v}");
            match request.headers.iter_mut().find(|(n, _)| n == "cookie") {
                Some((_, line)) => {
                    line.extend_from_slice(b"; ");
                    line.extend_from_slice(pair.as_bytes());
                }
                None => request.headers.push(("cookie".into(), pair.into_bytes())),
            }
        }
        (Field::Query(name), Some(v)) => {
            let pair = format!("{}={}", encode(name, b""), encode(v, b""));
            request.query = Some(match request.query.take() {
                Some(query) => format!("{query}&{pair}"),
                None => pair,
            });
        }
        (Field::QueryString, Some(v)) => request.query = Some(v.clone()),
        (Field::Capture(Capture::Segment { index, prefix, suffix }), Some(v)) => {
            let mut parts: Vec<String> = request.path.split('/').skip(1).map(str::to_owned).collect();
            let Some(part) = parts.get_mut(*index as usize) else { return false };
            let (Some(head), Some(tail)) =
                (part.get(..*prefix as usize), part.len().checked_sub(*suffix as usize).and_then(|at| part.get(at..)))
            else {
                return false;
            };
            *part = format!("{head}{}{tail}", encode(v, b""));
            request.path = format!("/{}", parts.join("/"));
        }
        (Field::Capture(Capture::Splat { from }), Some(v)) => {
            let mut parts: Vec<&str> = request.path.split('/').skip(1).take(*from as usize).collect();
            let rest = encode(v, b"/");
            if !rest.is_empty() {
                parts.push(&rest);
            }
            request.path = format!("/{}", parts.join("/"));
        }
        (Field::Call(call, _), Some(_)) => match request.calls.outcome(*call) {
            Some(Outcome::Yes(_)) => {}
            Some(Outcome::No | Outcome::Failed | Outcome::Refused(_)) => return false,
            None => request.calls.suppose(*call, Outcome::Yes(Arc::from([]))),
        },
        (Field::Call(call, _), None) => {
            if matches!(request.calls.outcome(*call), Some(Outcome::Yes(_))) {
                return false;
            }
            request.calls.suppose(*call, Outcome::No);
        }
        (Field::Claim(call, name), Some(v)) => {
            if matches!(request.calls.outcome(*call), Some(Outcome::No | Outcome::Failed | Outcome::Refused(_))) {
                return false;
            }
            request.calls.suppose_claim(*call, name, v);
        }
        (Field::Body(call, _), Some(v)) => request.calls.suppose_claim(*call, "", v),
        (Field::Body(call, _), None) => request.calls.suppose(*call, Outcome::No),
        (Field::Path, Some(v)) if v.starts_with('/') => request.path = encode(v, b"/%"),
        // The host, the handshake and what is made of them stay as they are.
        (Field::Capture(Capture::Host { .. }) | Field::Row(_), _)
        | (
            Field::Path
            | Field::Uri
            | Field::Host
            | Field::TlsSni
            | Field::TlsVersion
            | Field::TlsAlpn
            | Field::TlsCert(_),
            _,
        )
        | (_, None) => {}
    }
    true
}

fn set_header(request: &mut Plain, name: &str, value: &str) {
    request.headers.push((name.to_owned(), value.as_bytes().to_vec()));
}

fn encode(text: &str, keep: &[u8]) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) || keep.contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

/// A request as it would be asked of `sluice explain`.
pub(crate) fn describe(request: &Plain) -> String {
    let scheme = if request.https { "https" } else { "http" };
    let mut out = format!("{} {scheme}://{}{}", request.method(), request.host(), request.path());
    if let Some(query) = request.query() {
        out.push('?');
        out.push_str(query);
    }
    for (name, value) in &request.headers {
        out.push_str(&format!(" -H '{name}: {}'", String::from_utf8_lossy(value)));
    }
    let default = Plain::default();
    if request.client.0 != default.client.0 {
        out.push_str(&format!(" from {}", request.client.0));
    }
    if request.client.1 != default.client.1 {
        out.push_str(&format!(" port {}", request.client.1));
    }
    if let Some(country) = &request.country {
        out.push_str(&format!(" in {country}"));
    }
    if request.version != default.version {
        out.push_str(&format!(" by HTTP/{}", request.version));
    }
    out
}
