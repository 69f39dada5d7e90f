//! Answers and pools in words, for people.

use super::ir::{Answer, CallIdx, Destination, Endpoint, EndpointKind, Part, Pool, PoolIdx, ProviderIdx, Site, Value};
use crate::syntax::ast::VisitDoes;

/// An answer as it would be written, holes left open.
pub fn answer(answer: &Answer, site: &Site) -> String {
    match answer {
        Answer::Redirect { status, to, keep_query: _ } => format!("redirect {status} {}", template(to)),
        Answer::Respond { status, body, content_type: _ } if body.parts.is_empty() => format!("respond {status}"),
        Answer::Respond { status, body, content_type: _ } => format!("respond {status} \"{}\"", short(&template(body))),
        Answer::RespondFile { status, path, content_type: _ } => format!("respond {status} file \"{path}\""),
        Answer::Relay { call } => relay(*call, site),
        Answer::Deny { status } => format!("deny {status}"),
        Answer::Visit { does, provider, call: _ } => visit(*does, *provider, site),
        Answer::NotFound => "404, no route".into(),
        Answer::Files { dir, index: _, fallback, at } => {
            let at = at.as_ref().map(|at| format!(" at {}", template(at))).unwrap_or_default();
            let fallback = fallback.as_ref().map(|f| format!(" fallback {f}")).unwrap_or_default();
            format!("files \"{dir}\"{fallback}{at}")
        }
        Answer::Proxy { to, at, host } => {
            let at = at.as_ref().map(|at| format!(" at {}", template(at))).unwrap_or_default();
            let host = host.as_ref().map(|host| format!(" host {}", template(host))).unwrap_or_default();
            format!("{}{at}{host}", destination(to, site))
        }
    }
}

/// `respond ask(auth, GET /check)`
pub fn relay(call: CallIdx, site: &Site) -> String {
    format!("respond {}", site.calls.get(call.0 as usize).map_or("", |call| &call.shown))
}

/// `login corp`
pub fn visit(does: VisitDoes, provider: ProviderIdx, site: &Site) -> String {
    let name = site.providers.get(provider.0 as usize).map_or("", |provider| &provider.name);
    format!("{} {name}", does.word())
}

/// A pool, or shares of pools.
pub fn destination(to: &Destination, site: &Site) -> String {
    let name = |pool: &PoolIdx| site.pools[pool.0 as usize].name.to_string();
    match to {
        Destination::Pool(pool) => name(pool),
        Destination::Split { shares, by, salt: _ } => {
            let all: Vec<String> =
                shares.iter().map(|(share, pool)| format!("{}% {}", percent(*share), name(pool))).collect();
            let by = by.as_ref().map(|by| format!(" by {by}")).unwrap_or_default();
            format!("{}{by}", all.join(", "))
        }
        Destination::Table(by) => {
            let otherwise = match &*by.otherwise {
                Answer::NotFound => String::new(),
                other => format!(" else {}", answer(other, site)),
            };
            format!("{}{otherwise}", by.lookup)
        }
    }
}

/// A pool's endpoints.
pub fn endpoints(pool: &Pool) -> String {
    let shown = |e: &Endpoint| {
        let weight = if e.weight == 1 { String::new() } else { format!(" weight {}", e.weight) };
        format!("{}{weight}{}", endpoint(e), if e.backup { " backup" } else { "" })
    };
    pool.endpoints.iter().map(shown).collect::<Vec<_>>().join(", ")
}

/// An endpoint's address.
pub fn endpoint(e: &Endpoint) -> String {
    match e.kind {
        EndpointKind::Tcp if e.host.contains(':') => format!("[{}]:{}", e.host, e.port),
        EndpointKind::Tcp => format!("{}:{}", e.host, e.port),
        EndpointKind::Unix => format!("unix:{}", e.host),
        EndpointKind::Srv => format!("srv {}", e.host),
    }
}

/// A template, holes in braces, without quotes around it.
pub fn template(value: &Value) -> String {
    match value.parts.as_slice() {
        [Part::Hole { .. }] => format!("{{{value}}}"),
        _ => {
            let quoted = value.to_string();
            let inner = quoted.strip_prefix('"').and_then(|q| q.strip_suffix('"'));
            inner.unwrap_or(&quoted).to_owned()
        }
    }
}

/// `95`, `2.5`
pub fn percent(basis_points: u32) -> String {
    let (whole, rest) = (basis_points / 100, basis_points % 100);
    if rest == 0 { whole.to_string() } else { format!("{whole}.{rest:02}").trim_end_matches('0').to_owned() }
}

/// The beginning of a text.
pub fn short(text: &str) -> String {
    const LONG: usize = 40;
    if text.chars().count() <= LONG { text.to_owned() } else { text.chars().take(LONG - 1).chain(['…']).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_written_as_people_write_them() {
        assert_eq!([9500, 250, 5, 10_000].map(percent), ["95", "2.5", "0.05", "100"]);
    }

    #[test]
    fn long_texts_are_cut() {
        assert_eq!(short("ok"), "ok");
        assert_eq!(short(&"ü".repeat(50)).chars().count(), 40);
    }
}
