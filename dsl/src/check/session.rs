//! `start session("sid", key: secret.x, sub: who, for: 12h, idle: 30m)`, `keep session("sid", key: secret.x)`,
//! `end session("sid")`

use super::cond::and;
use super::route::{Chain, Frame, Tagged};
use super::template::Place;
use super::ty::Ty;
use super::val::Val;
use super::{Checker, Env};
use crate::lint;
use crate::syntax::ast::{Arg, SessionVerb};
use crate::syntax::span::Loc;
use crate::tree::ir::{Cond, Field, Session, SessionDoes, SessionStart, Step, Test, Value};
use std::sync::Arc;

/// How long a session holds where nothing is written, milliseconds.
const FOR_MS: u64 = 12 * 3_600_000;

impl<'a> Checker<'a> {
    /// A session that is issued, kept or ended, with whatever answers.
    pub(super) fn session(&mut self, chain: &mut Chain, frame: &Frame, verb: SessionVerb, args: &[Arg], loc: Loc) {
        let env = &frame.env;
        let (form, params): (_, &[&str]) = match verb {
            SessionVerb::Start => ("start session", &["name", "key", "sub", "for", "idle"]),
            SessionVerb::Keep => ("keep session", &["name", "key"]),
            SessionVerb::End => ("end session", &["name"]),
        };
        self.unsupported(form, loc);
        let given = self.call_args(form, 1, params, args, env);
        let argument = |n: usize| given.get(n).copied().flatten();
        let cookie = match argument(0) {
            Some(arg) => self.cookie_name(arg, env),
            None => {
                self.report(lint::g1021::missing(loc, form, "name", Some("the name of a cookie")));
                None
            }
        };
        let mut when = frame.when.clone();
        let does = match verb {
            SessionVerb::Start => {
                let times = [argument(3), argument(4)];
                self.issued(argument(1), argument(2), times, chain, env, loc).map(SessionDoes::Start)
            }
            SessionVerb::Keep => {
                self.session_key(argument(1), form, env, loc).zip(cookie.as_ref()).and_then(|(key, cookie)| {
                    let field = self.session_token(cookie, &key, loc);
                    let Field::Call(token, _) = field else { return None };
                    when = and(vec![std::mem::replace(&mut when, Cond::Const(true)), Cond::Test(field, Test::Present)]);
                    Some(SessionDoes::Keep { key, token })
                })
            }
            SessionVerb::End => Some(SessionDoes::End),
        };
        let (Some(cookie), Some(does)) = (cookie, does) else { return };
        let session = Session { cookie, does, when, loc };
        chain.steps.push(Tagged { node: Step::Session(Arc::new(session)), tags: frame.tags.clone() });
    }

    /// The secret that signs a session; `None` where it was reported, or nothing is known of it.
    fn session_key(&mut self, key: Option<&Arg>, form: &str, env: &Env, loc: Loc) -> Option<Arc<str>> {
        match key {
            Some(arg) => self.one_key(arg, env)?,
            None => {
                let want = "a secret, as in `secret.session-key`";
                self.report(lint::g1021::missing(loc, form, "key", Some(want)));
                None
            }
        }
    }

    /// What a session says of whom it is for, and how it ends.
    fn issued(
        &mut self,
        key: Option<&Arg>,
        sub: Option<&Arg>,
        [lasts, idle]: [Option<&Arg>; 2],
        chain: &Chain,
        env: &Env,
        loc: Loc,
    ) -> Option<SessionStart> {
        let form = "start session";
        let key = self.session_key(key, form, env, loc);
        let sub: Option<Value> = match sub {
            Some(arg) => {
                let at = self.at(env, arg.value.span);
                let val = self.eval(&arg.value, env, Some(&Ty::Text));
                self.place(&val, Place::Key, &chain.known_fields(), at)
            }
            None => {
                self.report(lint::g1021::missing(loc, form, "sub", Some("a text: whom the session is for")));
                None
            }
        };
        let for_ms = match lasts {
            None => Some(FOR_MS),
            Some(arg) => self.session_time("for", arg, env),
        };
        let idle_ms = match idle {
            None => Some(None),
            Some(arg) => self.session_time("idle", arg, env).map(Some),
        };
        let (for_ms, idle_ms) = (for_ms?, idle_ms?);
        if let (Some(arg), Some(ms)) = (idle, idle_ms)
            && ms >= for_ms
        {
            let at = self.at(env, arg.value.span);
            self.report(lint::g1024::range(at, "`idle` ends a session before `for` does: it has to be shorter"));
            return None;
        }
        Some(SessionStart { key: key?, sub: sub?, for_ms, idle_ms })
    }

    /// How long something of a session lasts, milliseconds.
    fn session_time(&mut self, what: &str, arg: &Arg, env: &Env) -> Option<u64> {
        let at = self.at(env, arg.value.span);
        let val = self.eval(&arg.value, env, Some(&Ty::Duration));
        self.deadline(what, val, at)
    }

    /// A text that can name a cookie (RFC 6265 section 4.1.1).
    fn cookie_name(&mut self, arg: &Arg, env: &Env) -> Option<Arc<str>> {
        let at = self.at(env, arg.value.span);
        let token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
        match self.eval(&arg.value, env, Some(&Ty::Text)) {
            Val::Text(name) if (1..=64).contains(&name.len()) && name.bytes().all(token) => Some(name),
            Val::Text(_) => {
                let rule = "a cookie's name has letters, digits, `-` and `_`, 64 at most";
                self.report(lint::g1024::range(at, rule));
                None
            }
            Val::Opaque(..) => None,
            other => {
                self.report(lint::g1005::wrong(
                    at,
                    "`name` takes",
                    "a text that the file settles",
                    &other.ty().0.noun(),
                ));
                None
            }
        }
    }
}
