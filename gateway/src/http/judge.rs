//! What is to be done with a request: decided and rendered while it is as it arrived.
//!
//! Nothing here waits. What comes out borrows from the snapshot only, so that the request can be
//! changed and sent on.

use super::headers::Edit;
use super::received::Received;
use crate::answer;
use crate::answer::files::Lookup;
use crate::http::body::Content;
use crate::http::gate::Reason;
use crate::runtime::worker::Worker;
use crate::snapshot::Served;
use crate::upstream::{PoolHandle, Spot};
use dsl::syntax::ast::Side;
use dsl::tree::Decision;
use dsl::tree::eval::{self, Conflict, Unrenderable};
use dsl::tree::ir::{Answer, Destination, Plan, PlanIdx, Step, Value};
use http::header::{HeaderName, HeaderValue};
use http::uri::PathAndQuery;
use http::{Response, StatusCode};
use std::sync::Arc;

/// A decided request.
pub struct Judged<'s> {
    /// The plan, and its place in the site; `None` when the request is refused.
    pub plan: Option<(PlanIdx, &'s Plan)>,
    /// What answers.
    pub prepared: Prepared<'s>,
    /// Edits of the request.
    pub edits: Vec<Edit>,
    /// Edits of the answer.
    pub answer_edits: Vec<Edit>,
}

/// An answer, rendered as far as the request has a part in it.
pub enum Prepared<'s> {
    /// The gateway's own.
    Answer(Response<Content>),
    /// Refused: as the gateway's own, but nothing more is read from an HTTP/1 client.
    Refused(Reason),
    /// One file.
    File {
        /// The status.
        status: StatusCode,
        /// Relative to the site's directory.
        path: &'s str,
        /// The content type, where one is written.
        kind: Option<HeaderValue>,
    },
    /// Files of a directory.
    Files(Box<Lookup>),
    /// An origin's.
    Proxy {
        /// Whose.
        pool: &'s Arc<PoolHandle>,
        /// Where the request lies in the pool's table, if the pool has one.
        spot: Option<Spot>,
        /// The path and query that are sent; as received without it.
        target: Option<PathAndQuery>,
        /// The Host that is sent; as received without it.
        host: Option<HeaderValue>,
    },
}

/// Decides.
#[must_use]
pub fn judge<'s>(served: &'s Served, request: &Received<'_>, worker: &Worker) -> Judged<'s> {
    let mut judged = Judged {
        plan: None,
        prepared: Prepared::Refused(Reason::Repeated),
        edits: Vec::new(),
        answer_edits: Vec::new(),
    };
    let plan = match served.program.decide(request) {
        Decision::Plan(index) => {
            let plan = &served.program.site().plans[index.0 as usize];
            judged.plan = Some((index, plan));
            plan
        }
        Decision::Conflict(_) => return judged,
    };
    judged.prepared = match steps(plan, request, &mut judged.edits, &mut judged.answer_edits) {
        Ok(None) => prepare(&plan.answer, served, request, worker),
        Ok(Some(answer)) => prepare(answer, served, request, worker),
        Err(reason) => Prepared::Refused(reason),
    };
    judged
}

/// Goes through the policies. An answer, when one of them gives it.
fn steps<'s>(
    plan: &'s Plan,
    request: &Received<'_>,
    edits: &mut Vec<Edit>,
    answer_edits: &mut Vec<Edit>,
) -> Result<Option<&'s Answer>, Reason> {
    for step in &plan.steps {
        match step {
            Step::Require { cond, otherwise, loc: _ } => {
                if !holds(cond, request)? {
                    return Ok(Some(otherwise));
                }
            }
            Step::Header { op, side, name, value, when, loc: _ } => {
                if !holds(when, request)? {
                    continue;
                }
                let value = match render(value, request) {
                    Ok(text) => HeaderValue::from_str(&text).map_err(|_| Reason::Unrenderable)?,
                    Err(Unrenderable::Answer(answer)) => return Ok(Some(answer)),
                    Err(other) => return Err(refused(&other)),
                };
                // The checker lets only tokens pass.
                let Ok(name) = HeaderName::from_bytes(name.as_bytes()) else { continue };
                let edit = Edit { op: *op, name, value };
                match side {
                    Side::Request => edits.push(edit),
                    Side::Response => answer_edits.push(edit),
                }
            }
        }
    }
    Ok(None)
}

fn holds(cond: &dsl::tree::ir::Cond, request: &Received<'_>) -> Result<bool, Reason> {
    eval::cond(cond, request).map_err(|_| Reason::Repeated)
}

fn render<'s>(value: &'s Value, request: &Received<'_>) -> Result<String, Unrenderable<'s>> {
    let mut text = String::new();
    eval::render(value, request, &mut text)?;
    Ok(text)
}

fn refused(why: &Unrenderable<'_>) -> Reason {
    match why {
        Unrenderable::Conflict(_) => Reason::Repeated,
        Unrenderable::BadRequest(_) | Unrenderable::Missing(_) | Unrenderable::Answer(_) => Reason::Unrenderable,
    }
}

/// Renders an answer.
#[must_use]
pub fn prepare<'s>(answer: &'s Answer, served: &'s Served, request: &Received<'_>, worker: &Worker) -> Prepared<'s> {
    let mut answer = answer;
    // A template may answer instead of giving a text, and that answer has templates of its own;
    // they are written inside one another, so this ends.
    loop {
        match attempt(answer, served, request, worker) {
            Ok(prepared) => return prepared,
            Err(Unrenderable::Answer(instead)) => answer = instead,
            Err(other) => return Prepared::Refused(refused(&other)),
        }
    }
}

fn attempt<'s>(
    answer: &'s Answer,
    served: &'s Served,
    request: &Received<'_>,
    worker: &Worker,
) -> Result<Prepared<'s>, Unrenderable<'s>> {
    let paths = served.program.site().settings.paths;
    Ok(match answer {
        Answer::Redirect { status, to, keep_query } => {
            let mut location = String::new();
            eval::render_url(to, request, paths, &mut location)?;
            if *keep_query
                && !location.contains('?')
                && let Some(query) = request.query
            {
                append_query(&mut location, query);
            }
            Prepared::Answer(answer::redirect(*status, &location))
        }
        Answer::Respond { status, body, content_type } => {
            let text = render(body, request)?;
            let kind = HeaderValue::from_str(content_type).unwrap_or(answer::TEXT);
            Prepared::Answer(answer::text(*status, kind, text))
        }
        Answer::RespondFile { status, path, content_type } => Prepared::File {
            status: answer::status(*status),
            path,
            kind: content_type.as_deref().and_then(|kind| HeaderValue::from_str(kind).ok()),
        },
        Answer::Deny { status } => Prepared::Answer(answer::deny(*status)),
        Answer::NotFound => Prepared::Answer(answer::plain(404, "no route here matches this path")),
        Answer::Files { dir, index, fallback, at } => {
            let path = match at {
                Some(at) => {
                    let mut path = String::new();
                    eval::render_path(at, request, paths, &mut path)?;
                    path.truncate(path.find('?').unwrap_or(path.len()));
                    path
                }
                None => request.path.to_owned(),
            };
            let mut shown = request.path.to_owned();
            if let Some(query) = request.query {
                append_query(&mut shown, query);
            }
            Prepared::Files(Box::new(Lookup {
                root: served.dir.join(&**dir),
                path,
                index: index.to_string(),
                fallback: fallback.as_deref().map(str::to_owned),
                shown,
            }))
        }
        Answer::Proxy { to, at, host } => {
            let host = match host {
                Some(host) => match host_value(&render(host, request)?) {
                    Some(host) => Some(host),
                    None => return Ok(Prepared::Refused(Reason::HostInvalid)),
                },
                None => None,
            };
            let target = match at {
                Some(at) => {
                    let mut path = String::new();
                    eval::render_path(at, request, paths, &mut path)?;
                    if !path.contains('?')
                        && let Some(query) = request.query
                    {
                        append_query(&mut path, query);
                    }
                    Some(path)
                }
                None => None,
            };
            let target = match target.map(PathAndQuery::try_from).transpose() {
                Ok(target) => target,
                Err(_) => return Ok(Prepared::Refused(Reason::Unrenderable)),
            };
            let index = match to {
                Destination::Pool(index) => *index,
                Destination::Split { shares, by, salt } => {
                    let point = match by {
                        Some(key) => sticky(*salt, render(key, request)?.as_bytes()),
                        None => worker.draw(),
                    };
                    share(shares, point)
                }
            };
            let pool = &served.pools[index.0 as usize];
            let spot = Spot::of_request(&pool.pool().balance, request, request.client.local)
                .map_err(|Conflict(field)| Unrenderable::Conflict(field))?;
            Prepared::Proxy { pool, spot, target, host }
        }
    })
}

fn host_value(text: &str) -> Option<HeaderValue> {
    dsl::tree::canonical::host(text.as_bytes()).ok()?;
    HeaderValue::from_str(text).ok()
}

fn append_query(target: &mut String, query: &str) {
    target.push('?');
    target.push_str(query);
}

/// Where in ten thousand a key stands; the same on every worker and after every restart.
#[must_use]
pub fn sticky(salt: u64, key: &[u8]) -> u32 {
    // FNV-1a, stirred at the end so that near keys lie far apart.
    let mut hash = 0xcbf2_9ce4_8422_2325 ^ salt;
    for byte in key {
        hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    }
    hash ^= hash >> 33;
    hash = hash.wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash ^= hash >> 33;
    point(hash)
}

/// A point in ten thousand, of a number whose bits are all as good as each other.
#[must_use]
pub fn point(bits: u64) -> u32 {
    // Below 10 000.
    ((u128::from(bits) * 10_000) >> 64) as u32
}

/// The pool whose share a point falls into.
#[must_use]
pub fn share(shares: &[(u32, dsl::tree::ir::PoolIdx)], point: u32) -> dsl::tree::ir::PoolIdx {
    let mut end = 0;
    for (width, pool) in shares {
        end += width;
        if point < end {
            return *pool;
        }
    }
    // Shares add up to 10 000, so only an empty split gets here, which is none.
    shares.last().map_or(dsl::tree::ir::PoolIdx(0), |(_, pool)| *pool)
}

#[cfg(test)]
mod tests {
    use super::*;
    use dsl::tree::ir::PoolIdx;

    fn canary(percent: u32, key: &str) -> bool {
        let shares = [(10_000 - percent * 100, PoolIdx(0)), (percent * 100, PoolIdx(1))];
        share(&shares, sticky(7, key.as_bytes())) == PoolIdx(1)
    }

    #[test]
    fn raising_a_share_keeps_who_had_it() {
        let keys: Vec<_> = (0..10_000).map(|n| format!("user-{n}")).collect();
        let five = keys.iter().filter(|k| canary(5, k)).count();
        assert!((400..600).contains(&five), "{five}");
        assert!(keys.iter().all(|k| !canary(5, k) || canary(10, k)));
    }
}
