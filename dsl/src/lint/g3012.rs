//! ## What
//!
//! A site that asks for a session's cookie or for passwords, or starts sessions, is served on clear ports too: it says
//! `http allowed`.
//!
//! ## Why
//!
//! Whoever listens on the way reads the cookie, or the password that it is given for, and is that user from then
//! on. A browser sends the password of `password(…)` with every request. A TLS site without `http allowed` sends clear requests to https before it reads anything of them. A site
//! with `tls off` is left alone: what stands before it may speak TLS.
//!
//! ## Wrong
//!
//! ```route
//! pool admin = 10.0.0.1:80
//!
//! site a.example.com {
//!     http allowed
//!     let who = jwt(cookie.sid, key: secret.session-key, iss: "login", aud: host)
//!     require who else deny 401
//!     else -> admin
//! }
//! ```
//!
//! ## Right
//!
//! ```route
//! pool admin = 10.0.0.1:80
//!
//! site a.example.com {
//!     let who = jwt(cookie.sid, key: secret.session-key, iss: "login", aud: host)
//!     require who else deny 401
//!     else -> admin
//! }
//! ```

use super::reads::Reads;
use super::solve::describe;
use super::world::{At, World};
use crate::diagnostic::{Diagnostic, Edit};
use crate::syntax::span::{Loc, Span};
use crate::tree::eval;
use crate::tree::ir::{CallKind, Cond, Field, Part, Plan, Step, Target, Tls, Value};
use crate::tree::request::Plain;

/// Looks for a clear request whose cookie or password is read for who sent it.
pub(super) fn run(w: &mut World<'_>) {
    let settings = &w.site.settings;
    if settings.tls == Tls::Off || !settings.http_allowed || w.site.hosts.iter().all(|(host, _)| super::g3019::inside(host)) {
        return;
    }
    for at in w.entries() {
        let Target::Plan(index) = w.entry(at).target else { continue };
        let Some((what, loc)) = asked(w, &w.site.plans[index.0 as usize]) else { continue };
        let Some(request) = in_clear(w, at) else { continue };
        let said = format!("{what} would cross the network unencrypted: this site is served in clear too");
        let place = allowed(w);
        let mut d = Diagnostic::error("G3012", place.unwrap_or(w.site.loc), said)
            .label(loc, "asks for it here")
            .witness(describe(&request));
        let edit = place.map(|at| Edit { loc: super::g2001::whole_lines(w.text, at), text: String::new(), safe: true });
        d = d.help("take `http allowed` away: clear requests are sent to https then", "", edit);
        w.out.push(d);
        return;
    }
}

/// What a plan knows somebody by, and where.
fn asked(w: &World<'_>, plan: &Plan) -> Option<(String, Loc)> {
    let mut found = None;
    let mut reads = Reads::of(w.site, |field: &Field| {
        let (Field::Call(call, _) | Field::Claim(call, _)) = field else { return };
        let Some(call) = w.site.calls.get(call.0 as usize) else { return };
        let of_cookie = match &call.kind {
            CallKind::Jwt(jwt) => cookie(&jwt.token),
            CallKind::Signed(signed) => cookie(&signed.text).or_else(|| cookie(&signed.signature)),
            CallKind::Session(session) => cookie(&session.cookie),
            CallKind::Password(_) => {
                found.get_or_insert_with(|| ("passwords".to_owned(), call.loc));
                None
            }
            CallKind::Secret(_) | CallKind::Ask(_) | CallKind::ApiKey(_) | CallKind::Body(_) | CallKind::Visit(..) => None,
        };
        if let Some(name) = of_cookie {
            found.get_or_insert_with(|| (format!("the session cookie `{name}`"), call.loc));
        }
    });
    reads.plan(plan);
    let started = plan.steps.iter().find_map(|step| match step {
        Step::Session(session) if session.key().is_some() => {
            Some((format!("the session cookie `{}`", session.cookie), session.loc))
        },
        _ => None,
    });
    found.or(started)
}

fn cookie(value: &Value) -> Option<&str> {
    value.parts.iter().find_map(|part| match part {
        Part::Hole { field: Field::Cookie(name), .. } => Some(&**name),
        Part::Hole { .. } | Part::Text(_) => None,
    })
}

/// A request of a route on a clear port that nothing above its policies sends to https.
fn in_clear(w: &mut World<'_>, at: At) -> Option<Plain> {
    let mut request = w.plain_witness(at)?;
    request.https = false;
    let plan = w.decide(&request, w.entry(at).loc).filter(|plan| w.leads_to(at, *plan))?;
    let sent_away = w.site.plans[plan.0 as usize].steps.iter().any(|step| match step {
        Step::Require { cond, .. } => of_tls(w, cond) && !eval::cond(cond, &request).unwrap_or(true),
        Step::Header(_) | Step::Limit(_) | Step::Session(_) => false,
    });
    (!sent_away).then_some(request)
}

/// Whether a condition asks for nothing but the handshake.
fn of_tls(w: &World<'_>, cond: &Cond) -> bool {
    let (mut all, mut any) = (true, false);
    Reads::of(w.site, |field: &Field| {
        any = true;
        all &= matches!(field, Field::TlsVersion | Field::TlsSni | Field::TlsAlpn);
    })
    .cond(cond);
    any && all
}

/// Where the site says `http allowed`.
fn allowed(w: &World<'_>) -> Option<Loc> {
    let block = w.info.scopes[0].block;
    let mut start = block.span.start as usize;
    for line in w.source(block).split_inclusive('\n') {
        let said = line.split('#').next().unwrap_or_default().trim();
        if said.split_whitespace().eq(["http", "allowed"]) {
            let from = start + line.len() - line.trim_start().len();
            return Some(Loc { file: block.file, span: Span::new(from, from + said.len()) });
        }
        start += line.len();
    }
    None
}
