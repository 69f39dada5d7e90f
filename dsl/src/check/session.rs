//! `start session("sid", key: secret.x, sub: who, for: 12h)`, `end session("sid")`

use super::route::{Chain, Frame, Tagged};
use super::template::Place;
use super::ty::Ty;
use super::val::Val;
use super::{Checker, Env};
use crate::lint;
use crate::syntax::ast::Arg;
use crate::syntax::span::Loc;
use crate::tree::ir::{Session, SessionStart, Step, Value};
use std::sync::Arc;

/// How long a session holds where nothing is written, milliseconds.
const FOR_MS: u64 = 12 * 3_600_000;

impl<'a> Checker<'a> {
    /// A session that is issued, or ended, with whatever answers.
    pub(super) fn session(&mut self, chain: &mut Chain, frame: &Frame, start: bool, args: &[Arg], loc: Loc) {
        let env = &frame.env;
        let (form, params): (_, &[&str]) =
            if start { ("start session", &["name", "key", "sub", "for"]) } else { ("end session", &["name"]) };
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
        let issued = if start {
            match self.issued([argument(1), argument(2), argument(3)], chain, env, loc) {
                Some(issued) => Some(issued),
                None => return,
            }
        } else {
            None
        };
        let Some(cookie) = cookie else { return };
        let session = Session { cookie, start: issued, when: frame.when.clone(), loc };
        chain.steps.push(Tagged { node: Step::Session(Arc::new(session)), tags: frame.tags.clone() });
    }

    /// What a session says of whom it is for.
    fn issued(
        &mut self,
        [key, sub, for_ms]: [Option<&Arg>; 3],
        chain: &Chain,
        env: &Env,
        loc: Loc,
    ) -> Option<SessionStart> {
        let form = "start session";
        let key = match key {
            Some(arg) => self.one_key(arg, env),
            None => {
                let want = "a secret, as in `secret.session-key`";
                self.report(lint::g1021::missing(loc, form, "key", Some(want)));
                None
            }
        };
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
        let for_ms = match for_ms {
            None => Some(FOR_MS),
            Some(arg) => {
                let at = self.at(env, arg.value.span);
                let val = self.eval(&arg.value, env, Some(&Ty::Duration));
                self.deadline("for", val, at)
            }
        };
        Some(SessionStart { key: key??, sub: sub?, for_ms: for_ms? })
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
