//! Outcomes in words.

use super::same::Both;
use crate::syntax::ast::{HeaderOp, Side};
use crate::tree::ir::{Answer, Catch, Cond, HeaderEdit, Limit, LimitBound, Plan, Pool, Settings, Site, Step};
use crate::tree::upstream_text::{duration, mirror, size};
use crate::tree::words;

/// An answer, as it would be written.
pub(super) fn answer(answer: &Answer, site: &Site) -> String {
    words::answer(answer, site)
}

/// What the pools of an answer are, for those whose names do not tell them apart.
pub(super) fn pools(answer: &Answer, both: &Both) -> Vec<String> {
    let Answer::Proxy { to, .. } = answer else { return Vec::new() };
    to.pools().into_iter().filter_map(|pool| both.of(pool)).flat_map(pool).collect()
}

/// Everything that is said of a pool.
fn pool(pool: &Pool) -> Vec<String> {
    let mut out = vec![format!("endpoints {}", words::endpoints(pool))];
    let named = |name: &str, ms: Option<u64>| ms.map(|ms| format!("{name} {}", duration(ms)));
    out.extend(named("connect within", pool.connect_within_ms));
    out.extend(named("pool timeout", pool.timeout_ms));
    out.extend(named("pool idle", pool.idle_ms));
    out.extend(named("resolve every", pool.resolve_ms));
    out.extend(named("slow-start", pool.slow_start_ms));
    out.push(format!("balance {}", pool.balance));
    out.push(format!("protocol {}", pool.protocol));
    out.extend(pool.check.as_ref().map(|check| format!("check {check}")));
    out.extend(pool.eject.map(|eject| format!("eject {eject}")));
    out.extend(pool.panic_below.map(|share| format!("panic below {share}%")));
    out.extend(pool.retry.as_ref().map(|retry| format!("pool retry {retry}")));
    out.extend(pool.hedge.map(|hedge| format!("pool hedge {hedge}")));
    out.push(format!("limit {}", pool.limit));
    out.extend(pool.sticky.as_ref().map(|sticky| format!("sticky {sticky}")));
    out.extend(pool.paths.map(|paths| format!("paths {paths}")));
    out.extend(pool.proxy_protocol.map(|version| format!("proxy-protocol {version}")));
    out.push(match &pool.tls {
        None => "no tls".to_owned(),
        Some(tls) => {
            let text = |name: &str, said: Option<&str>| said.map(|said| format!(" {name} {said}")).unwrap_or_default();
            let pins =
                if tls.pins.is_empty() { String::new() } else { format!(" {} pins {:02x?}", tls.pins.len(), tls.pins) };
            let client = text("client", tls.client.as_ref().map(|(path, _)| &**path));
            let min = if tls.min_13 { " min 1.3" } else { "" };
            format!(
                "tls{}{}{client}{pins}{min}",
                text("name", tls.name.as_deref()),
                text("trust", tls.trust.as_deref())
            )
        }
    });
    out
}

/// What is done besides answering, each in a few words.
pub(super) fn details(steps: &[Step], catches: &[Catch], settings: &Settings, plan: &Plan, site: &Site) -> Vec<String> {
    let mut out: Vec<String> = steps.iter().filter_map(step).collect();
    for catch in catches {
        let statuses: Vec<String> = catch.statuses.iter().map(ToString::to_string).collect();
        out.push(format!("catch [{}] -> {}", statuses.join(", "), words::answer(&catch.answer, site)));
    }
    let named = |name: &str, ms: Option<u64>| ms.map(|ms| format!("{name} {}", duration(ms)));
    out.extend(named("timeout", settings.timeout_ms));
    out.extend(named("idle", settings.idle_ms));
    out.extend(settings.body_limit.map(|bytes| format!("body limit {}", size(bytes))));
    out.extend(settings.header_limit.map(|bytes| format!("header limit {}", size(bytes))));
    out.extend(settings.retry.as_ref().map(|retry| format!("retry {retry}")));
    out.extend(settings.hedge.map(|hedge| format!("hedge {hedge}")));
    out.extend(settings.mirror.and(plan.settings.mirror.as_ref()).map(|m| format!("mirror {}", mirror(m, site))));
    if settings.websocket == Some(false) {
        out.push("websocket off".into());
    }
    if settings.log == Some(false) {
        out.push("log off".into());
    }
    out
}

fn step(step: &Step) -> Option<String> {
    let when = |when: &Cond| if *when == Cond::Const(true) { String::new() } else { format!(" when {when}") };
    match step {
        Step::Require { .. } => None,
        Step::Header(edit) => {
            let HeaderEdit { op, side, name, value, when: cond, loc: _ } = &**edit;
            let op_word = match op {
                HeaderOp::Set => "set",
                HeaderOp::Add => "add",
                HeaderOp::Remove => "remove",
            };
            let side = match side {
                Side::Request => "request",
                Side::Response => "response",
            };
            let value = if *op == HeaderOp::Remove { String::new() } else { format!(" = {value}") };
            Some(format!("{op_word} {side} header {name}{value}{}", when(cond)))
        }
        Step::Limit(limit) => Some(format!("{}{}", limited(limit), when(&limit.when))),
        Step::Session(session) => Some(format!("{} session {}{}", session.verb(), session.cookie, when(&session.when))),
    }
}

fn limited(limit: &Limit) -> String {
    let bound = match limit.bound {
        LimitBound::Rate { count, per_ms, burst } => format!("{count} in {} burst {burst}", duration(per_ms)),
        LimitBound::AtOnce(count) => format!("{count} at-once"),
        LimitBound::Bytes(bytes) => format!("{}/s", size(bytes)),
    };
    let key: Vec<&str> = limit.key.iter().map(|key| &*key.source).collect();
    let shadow = if limit.shadow { " shadow" } else { "" };
    format!("limit {bound}{} per {}{}{shadow}", limit.costs(), key.join(", "), limit.counted_on())
}

/// Two outcomes, each with what the other does not do.
pub(super) fn apart(a: &(String, Vec<String>), b: &(String, Vec<String>)) -> (String, String) {
    let only = |own: &[String], other: &[String]| {
        let mut rest = other.to_vec();
        let kept = own.iter().filter(|one| match rest.iter().position(|other| other == *one) {
            Some(at) => {
                rest.remove(at);
                false
            }
            None => true,
        });
        kept.cloned().collect::<Vec<_>>()
    };
    let join = |answer: &str, details: Vec<String>| {
        std::iter::once(answer.to_owned()).chain(details).collect::<Vec<_>>().join(", ")
    };
    let (da, db) = (only(&a.1, &b.1), only(&b.1, &a.1));
    (join(&a.0, da), join(&b.0, db))
}
