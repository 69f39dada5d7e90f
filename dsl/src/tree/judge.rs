//! What is done with a request: the plan, walked.
//!
//! INVARIANT: this is walked by the data plane, by `explain` and by tests alike. Nothing here waits or
//! draws; what is drawn is handed in.

use super::canonical;
use super::eval::{self, BadText, Unrenderable};
use super::ir::{
    Answer, Catch, Cond, Destination, Field, Paths, Plan, PlanIdx, PoolIdx, Site, SiteSettings, Step, Tls, Value,
};
use super::program::{Decision, Program};
use super::request::Request;
use crate::syntax::ast::{HeaderOp, Side};
use crate::syntax::span::Loc;

/// What sees a request go through the policies of its plan.
pub trait Walk<'p> {
    /// A header of the request or of its answer is edited.
    ///
    /// # Errors
    /// The value cannot stand in a header.
    fn edit(&mut self, edit: Edit<'p>) -> Result<(), BadText>;

    /// A `require` was asked.
    fn asked(&mut self, _cond: &'p Cond, _held: bool, _loc: Loc) {}
}

/// An edit of a header.
#[derive(Clone, Debug, PartialEq)]
pub struct Edit<'p> {
    /// What is done.
    pub op: HeaderOp,
    /// To which message.
    pub side: Side,
    /// To which header, in lower case.
    pub name: &'p str,
    /// With which value; empty for `remove`.
    pub value: String,
    /// The line that says so.
    pub loc: Loc,
}

/// What becomes of a request.
#[derive(Clone, Debug)]
pub struct Judged<'p> {
    /// The plan, and its place in the site; `None` where the request is refused before there is one.
    pub plan: Option<(PlanIdx, &'p Plan)>,
    /// What answers.
    pub answer: Rendered<'p>,
    /// The line that says so; `None` without a plan.
    pub at: Option<Loc>,
}

/// An answer, rendered as far as the request has a part in it.
#[derive(Clone, Debug, PartialEq)]
pub enum Rendered<'p> {
    /// `redirect`
    Redirect {
        /// The status.
        status: u16,
        /// The Location, whole.
        location: String,
    },
    /// `respond`
    Respond {
        /// The status.
        status: u16,
        /// The body.
        body: String,
        /// The Content-Type.
        content_type: &'p str,
    },
    /// `respond … file`
    File {
        /// The status.
        status: u16,
        /// Relative to the route file's directory.
        path: &'p str,
        /// The Content-Type, where one is written.
        content_type: Option<&'p str>,
    },
    /// `deny`
    Deny {
        /// The status.
        status: u16,
    },
    /// 404: no route.
    NotFound,
    /// `files`
    Files {
        /// Relative to the route file's directory.
        dir: &'p str,
        /// What is looked up in it.
        path: String,
        /// Served for a directory.
        index: &'p str,
        /// Served when nothing is found.
        fallback: Option<&'p str>,
    },
    /// A pool.
    Proxy {
        /// Which.
        pool: PoolIdx,
        /// Of which shares it is one.
        to: &'p Destination,
        /// The path and query that are sent; as received without it.
        target: Option<String>,
        /// The Host that is sent; as received without it.
        host: Option<String>,
    },
    /// 400.
    Refused(Refused<'p>),
}

/// Why a request is refused.
#[derive(Clone, Debug, PartialEq)]
pub enum Refused<'p> {
    /// A field arrived several times with different values.
    Repeated(Field),
    /// What the client sent cannot stand where a template puts it.
    BadText(BadText),
    /// A field that a template needs is missing.
    Missing(&'p Field),
    /// The Host that would be sent is none.
    Host,
}

impl Program {
    /// Decides about a request, walks the policies and renders the answer. `draw` gives a point below
    /// 10 000 and is asked where shares are drawn anew.
    pub fn judge<'p>(
        &'p self,
        req: &impl Request,
        draw: &mut dyn FnMut() -> u32,
        walk: &mut impl Walk<'p>,
    ) -> Judged<'p> {
        let (index, plan) = match self.decide(req) {
            Decision::Plan(index) => (index, &self.site().plans[index.0 as usize]),
            Decision::Conflict(field) => {
                return Judged { plan: None, answer: Rendered::Refused(Refused::Repeated(field.clone())), at: None };
            }
        };
        let (answer, at) = match steps(plan, req, walk) {
            Ok(None) => (render(&plan.answer, self.site(), req, draw), plan.loc),
            Ok(Some((answer, loc))) => (render(answer, self.site(), req, draw), loc),
            Err(refused) => (Rendered::Refused(refused), plan.loc),
        };
        Judged { plan: Some((index, plan)), answer, at: Some(at) }
    }
}

/// Goes through the policies. An answer and its line, when one of them gives it.
fn steps<'p>(
    plan: &'p Plan,
    req: &impl Request,
    walk: &mut impl Walk<'p>,
) -> Result<Option<(&'p Answer, Loc)>, Refused<'p>> {
    let holds = |cond: &Cond| eval::cond(cond, req).map_err(|eval::Conflict(field)| Refused::Repeated(field));
    for step in &plan.steps {
        match step {
            Step::Require { cond, otherwise, loc } => {
                let held = holds(cond)?;
                walk.asked(cond, held, *loc);
                if !held {
                    return Ok(Some((otherwise, *loc)));
                }
            }
            Step::Header { op, side, name, value, when, loc } => {
                if !holds(when)? {
                    continue;
                }
                match text(value, req) {
                    Ok(value) => {
                        walk.edit(Edit { op: *op, side: *side, name, value, loc: *loc }).map_err(Refused::BadText)?
                    }
                    Err(Unrenderable::Answer(answer)) => return Ok(Some((answer, *loc))),
                    Err(other) => return Err(refused(other)),
                }
            }
        }
    }
    Ok(None)
}

fn text<'p>(value: &'p Value, req: &impl Request) -> Result<String, Unrenderable<'p>> {
    let mut text = String::new();
    eval::render(value, req, &mut text)?;
    Ok(text)
}

fn refused(why: Unrenderable<'_>) -> Refused<'_> {
    match why {
        Unrenderable::Conflict(field) => Refused::Repeated(field),
        Unrenderable::BadRequest(bad) => Refused::BadText(bad),
        Unrenderable::Missing(field) => Refused::Missing(field),
        // Followed by whoever calls.
        Unrenderable::Answer(_) => Refused::BadText(BadText::NotCanonical),
    }
}

/// Renders an answer.
pub fn render<'p>(
    answer: &'p Answer,
    site: &'p Site,
    req: &impl Request,
    draw: &mut dyn FnMut() -> u32,
) -> Rendered<'p> {
    let mut answer = answer;
    // A template may answer instead of giving a text, and that answer has templates of its own;
    // they are written inside one another, so this ends.
    loop {
        match attempt(answer, site.settings.paths, req, draw) {
            Ok(rendered) => return rendered,
            Err(Unrenderable::Answer(instead)) => answer = instead,
            Err(other) => return Rendered::Refused(refused(other)),
        }
    }
}

fn attempt<'p>(
    answer: &'p Answer,
    paths: Paths,
    req: &impl Request,
    draw: &mut dyn FnMut() -> u32,
) -> Result<Rendered<'p>, Unrenderable<'p>> {
    Ok(match answer {
        Answer::Redirect { status, to, keep_query } => {
            let mut location = String::new();
            eval::render_url(to, req, paths, &mut location)?;
            if *keep_query && !location.contains('?') {
                append_query(&mut location, req);
            }
            Rendered::Redirect { status: *status, location }
        }
        Answer::Respond { status, body, content_type } => {
            Rendered::Respond { status: *status, body: text(body, req)?, content_type }
        }
        Answer::RespondFile { status, path, content_type } => {
            Rendered::File { status: *status, path, content_type: content_type.as_deref() }
        }
        Answer::Deny { status } => Rendered::Deny { status: *status },
        Answer::NotFound => Rendered::NotFound,
        Answer::Files { dir, index, fallback, at } => {
            let path = match at {
                Some(at) => {
                    let mut path = String::new();
                    eval::render_path(at, req, paths, &mut path)?;
                    path.truncate(path.find('?').unwrap_or(path.len()));
                    path
                }
                None => req.path().to_owned(),
            };
            Rendered::Files { dir, path, index, fallback: fallback.as_deref() }
        }
        Answer::Proxy { to, at, host } => {
            let host = match host {
                Some(host) => match text(host, req)? {
                    host if canonical::host(host.as_bytes()).is_ok() => Some(host),
                    _ => return Ok(Rendered::Refused(Refused::Host)),
                },
                None => None,
            };
            let target = match at {
                Some(at) => {
                    let mut path = String::new();
                    eval::render_path(at, req, paths, &mut path)?;
                    if !path.contains('?') {
                        append_query(&mut path, req);
                    }
                    Some(path)
                }
                None => None,
            };
            let pool = match to {
                Destination::Pool(pool) => *pool,
                Destination::Split { shares, by, salt } => {
                    let point = match by {
                        Some(key) => sticky(*salt, text(key, req)?.as_bytes()),
                        None => draw(),
                    };
                    share(shares, point)
                }
            };
            Rendered::Proxy { pool, to, target, host }
        }
    })
}

/// Appends `?` and the query, where there is one.
pub fn append_query(target: &mut String, req: &impl Request) {
    if let Some(query) = req.query() {
        target.push('?');
        target.push_str(query);
    }
}

/// The catch that replaces a failure of the upstream, where one does: the innermost for its status.
#[must_use]
pub fn catch(plan: &Plan, status: u16) -> Option<&Catch> {
    plan.catches.iter().find(|catch| catch.statuses.contains(&status))
}

/// What the kind of connection says before a site is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// The site serves it.
    Serve,
    /// 308 to the same address with https.
    ToHttps,
    /// 421: the connection was made for a site with other TLS settings, or TLS ends elsewhere.
    Misdirected,
}

/// Whether a site serves on such a connection. `sni`: the TLS setting of the site that the handshake
/// named where that is another host than the request's, `Some(None)` where there is none.
#[must_use]
pub fn admit(settings: &SiteSettings, https: bool, sni: Option<Option<Tls>>) -> Admission {
    match https {
        true if settings.tls == Tls::Off || sni.is_some_and(|tls| tls != Some(settings.tls)) => Admission::Misdirected,
        false if settings.tls != Tls::Off && !settings.http_allowed => Admission::ToHttps,
        true | false => Admission::Serve,
    }
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
pub fn share(shares: &[(u32, PoolIdx)], point: u32) -> PoolIdx {
    let mut end = 0;
    for (width, pool) in shares {
        end += width;
        if point < end {
            return *pool;
        }
    }
    // Shares add up to 10 000, so only an empty split gets here, which is none.
    shares.last().map_or(PoolIdx(0), |(_, pool)| *pool)
}

#[cfg(test)]
mod tests {
    use super::*;

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
