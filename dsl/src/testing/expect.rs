//! What is expected beside what came.

use super::ask::{Came, Outcome};
use super::ask_l4::Ended;
use super::{Asked, Wanted};
use crate::syntax::ast::{HeaderOp, Side};
use crate::tree::calls;
use crate::tree::ir::{Pool, alike};
use crate::tree::judge::Rendered;
use crate::tree::upstream_text::duration;

/// What came instead of what is expected, in words; `None` where it is what came.
pub(super) fn differs(wanted: &Wanted, came: &Came<'_>, asked: &Asked) -> Option<String> {
    let outcome = &came.outcome;
    let answer = || Some(outcome.words().into_owned());
    let status = |wanted: &Option<u16>, got: u16| wanted.is_none_or(|wanted| wanted == got);
    match wanted {
        Wanted::Proxy { pool, at, host } => {
            let Outcome::Pool { pool: got, target, host: sent, .. } = outcome else { return answer() };
            let path = |wanted: &str| match wanted.contains('?') {
                true => wanted == target,
                false => wanted == target.split('?').next().unwrap_or_default(),
            };
            let right = pool.as_ref().is_none_or(|pool| pool.is(got))
                && at.as_deref().is_none_or(path)
                && host.as_deref().is_none_or(|host| host == sent);
            if right {
                return None;
            }
            let mut words = format!("pool {}", got.name);
            if at.is_some() {
                words.push_str(&format!(" at {target}"));
            }
            if host.is_some() {
                words.push_str(&format!(" host {sent}"));
            }
            Some(words)
        }
        Wanted::Redirect(code, to) => match location(came) {
            Some((got, location)) if status(code, got) && **to == *location => None,
            Some(_) | None => answer(),
        },
        Wanted::Respond(code, body) => match outcome {
            Outcome::Site(Rendered::Respond { status: got, body: text, content_type: _ })
                if status(code, *got) && body.as_ref().is_none_or(|body| **body == *text) =>
            {
                None
            }
            Outcome::Site(Rendered::File { status: got, .. } | Rendered::Relay { status: Some(got), .. })
                if status(code, *got) && body.is_none() =>
            {
                None
            }
            _ => answer(),
        },
        Wanted::Visit(does, provider) => match (outcome, came.plan) {
            (Outcome::Site(Rendered::Visit { does: got, provider: at, .. }), Some((program, _)))
                if does == got && program.site().providers.get(at.0 as usize).is_some_and(|p| p.name == *provider) =>
            {
                None
            }
            _ => answer(),
        },
        Wanted::Deny(code) => match outcome {
            Outcome::Site(Rendered::Deny { status: got }) if status(code, *got) => None,
            // Where a service refuses, and says more about it than we.
            Outcome::Site(Rendered::Relay { status: Some(got), .. }) if *got >= 400 && status(code, *got) => None,
            _ => answer(),
        },
        Wanted::Files(dir, at) => match outcome {
            Outcome::Site(Rendered::Files { dir: got, path, .. })
                if **dir == **got && at.as_ref().is_none_or(|at| **at == *path) =>
            {
                None
            }
            _ => answer(),
        },
        Wanted::Status(code) => {
            if outcome.status() == Some(*code) {
                None
            } else {
                answer()
            }
        }
        Wanted::Header { side, name, value } => header(*side, name, value.as_deref(), came, asked),
        Wanted::Session(cookie, sub) => session(cookie, sub.as_deref(), came),
        Wanted::Retry(_) | Wanted::Mirror(_) | Wanted::Timeout(_) | Wanted::Idle(_) => setting(wanted, came),
    }
}

/// The same of a connection, of which a pool or a refusal is expected.
pub(super) fn differs_l4(wanted: &Wanted, end: &Ended<'_>) -> Option<String> {
    let right = match (wanted, end) {
        (Wanted::Proxy { pool: Some(pool), at: None, host: None }, Ended::Pool(got)) => pool.is(got),
        (Wanted::Deny(None), Ended::Refused(_)) => true,
        _ => false,
    };
    (!right).then(|| end.words())
}

/// A setting of the route, or of the pool that it leads to where the route has none.
fn setting(wanted: &Wanted, came: &Came<'_>) -> Option<String> {
    let Some((program, plan)) = came.plan else { return Some(came.outcome.words().into_owned()) };
    let pool: Option<&Pool> = match &came.outcome {
        Outcome::Pool { pool, .. } | Outcome::Failed(pool, _) => Some(pool),
        Outcome::Nobody(_) | Outcome::Early(_) | Outcome::ToHttps(_) | Outcome::Site(_) | Outcome::Open(_) => None,
    };
    let written = |name: &str, ms: Option<u64>, wanted: u64| match ms {
        Some(ms) if ms == wanted => None,
        Some(ms) => Some(format!("{name} {}", duration(ms))),
        None => Some(format!("no `{name}` is written, so the gateway's own")),
    };
    match wanted {
        Wanted::Retry(times) => {
            let retry = plan.settings.retry.as_ref().or_else(|| pool?.retry.as_ref());
            match retry.map_or(0, |retry| retry.times) {
                got if got == *times => None,
                0 => Some("retry off".to_owned()),
                got => Some(format!("retry {got}")),
            }
        }
        Wanted::Mirror(wanted) => {
            let got = plan.settings.mirror.map(|mirror| &*program.site().pools[mirror.pool.0 as usize]);
            match (wanted, got) {
                (None, None) => None,
                (Some(name), Some(pool)) if name.is(pool) => None,
                (_, Some(pool)) => Some(format!("mirror {}", pool.name)),
                (Some(_), None) => Some("no mirror".to_owned()),
            }
        }
        Wanted::Timeout(ms) => written("timeout", plan.settings.timeout_ms.or_else(|| pool?.timeout_ms), *ms),
        Wanted::Idle(ms) => written("idle", plan.settings.idle_ms.or_else(|| pool?.idle_ms), *ms),
        Wanted::Proxy { .. }
        | Wanted::Redirect(..)
        | Wanted::Respond(..)
        | Wanted::Deny(_)
        | Wanted::Visit(..)
        | Wanted::Files(..)
        | Wanted::Status(_)
        | Wanted::Session(..)
        | Wanted::Header { .. } => None,
    }
}

/// A session that is issued or ended.
fn session(cookie: &str, sub: Option<&str>, came: &Came<'_>) -> Option<String> {
    let last = came.sessions.iter().rev().find(|(name, _)| **name == *cookie);
    match last {
        Some((_, got)) if got.as_deref() == sub => None,
        Some((_, Some(got))) => Some(format!("session {cookie} = {got:?}")),
        Some((_, None)) => Some(format!("no session {cookie}: it was ended")),
        None => Some(format!("nothing about a session {cookie}: {}", came.outcome.words())),
    }
}

/// What is known of a header that is sent on.
enum Sent {
    Values(Vec<String>),
    /// What the origin sends, and after it these.
    Origins(Vec<String>),
}

fn header(side: Side, name: &str, value: Option<&str>, came: &Came<'_>, asked: &Asked) -> Option<String> {
    let word = match side {
        Side::Request => "request",
        Side::Response => "response",
    };
    if side == Side::Request && !matches!(came.outcome, Outcome::Pool { .. }) {
        return Some(format!("no request is sent on: {}", came.outcome.words()));
    }
    if let Outcome::Nobody(why) | Outcome::Open(why) = &came.outcome {
        return Some(why.clone());
    }
    let mut sent = received(side, name, came, asked);
    for edit in came.edits.iter().filter(|edit| edit.side == side && alike(edit.name, name)) {
        // `set` and `remove` delete the spellings with `_` and the like too.
        let exact = edit.name == name;
        match (edit.op, &mut sent) {
            (HeaderOp::Set, _) => sent = Sent::Values(if exact { vec![edit.value.to_string()] } else { Vec::new() }),
            (HeaderOp::Remove, _) => sent = Sent::Values(Vec::new()),
            (HeaderOp::Add, Sent::Values(all) | Sent::Origins(all)) if exact => all.push(edit.value.to_string()),
            (HeaderOp::Add, _) => {}
        }
    }
    match (sent, value) {
        (Sent::Values(all), None) if all.is_empty() => None,
        (Sent::Values(all), Some(value)) if all.join(", ") == value => None,
        (Sent::Values(all), _) if all.is_empty() => Some(format!("no {word} header {name}")),
        (Sent::Values(all), _) => Some(format!("{word} header {name} = {:?}", all.join(", "))),
        (Sent::Origins(all), _) if all.is_empty() => {
            Some(format!("whatever the origin says in {name}: nothing here sets or removes it"))
        }
        (Sent::Origins(all), _) => {
            Some(format!("whatever the origin says in {name}, and {:?} after it", all.join(", ")))
        }
    }
}

/// Where a redirect leads, ours or a service's that is passed on.
fn location<'c>(came: &'c Came<'_>) -> Option<(u16, &'c str)> {
    match &came.outcome {
        Outcome::Site(Rendered::Relay { status: Some(status), .. }) if calls::is_redirect(*status) => {
            let to = came.relayed.iter().find(|(name, _)| **name == *"location");
            to.map(|(_, to)| (*status, to.as_str()))
        }
        outcome => outcome.location(),
    }
}

/// Before any edit.
fn received(side: Side, name: &str, came: &Came<'_>, asked: &Asked) -> Sent {
    match (side, &came.outcome) {
        (Side::Request, Outcome::Pool { host, .. }) if name == "host" => Sent::Values(vec![host.clone()]),
        (Side::Request, _) => {
            let values = asked.plain.headers.iter().filter(|(n, _)| n == name);
            Sent::Values(values.map(|(_, value)| String::from_utf8_lossy(value).into_owned()).collect())
        }
        (Side::Response, Outcome::Pool { .. }) => Sent::Origins(Vec::new()),
        (Side::Response, Outcome::Site(Rendered::Relay { .. })) => {
            Sent::Values(came.relayed.iter().filter(|(n, _)| **n == *name).map(|(_, value)| value.clone()).collect())
        }
        (Side::Response, outcome) => Sent::Values(match (name, outcome) {
            ("location", outcome) => outcome.location().map(|(_, to)| to.to_owned()).into_iter().collect(),
            ("content-type", Outcome::Site(Rendered::Respond { content_type, .. })) => vec![(*content_type).to_owned()],
            _ => Vec::new(),
        }),
    }
}
