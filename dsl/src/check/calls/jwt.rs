//! `jwt(token, key: secret.x, iss: "…", aud: host, alg: ES256, leeway: 30s)`, `jwt(token, key: corp, aud: "api")`,
//! `jwt(token, keys: "https://…", iss: "…", aud: "api")`

use super::{Given, shown_arg};
use crate::check::ty::Ty;
use crate::check::val::{Val, With};
use crate::check::{Checker, Env};
use crate::lint;
use crate::syntax::ast::{Arg, Expr};
use crate::syntax::span::{Loc, Spanned};
use crate::tree::ir::{Algorithm, CallKind, Encode, Field, Jwt, KeySource, Part, Provider, Transform, Value};
use crate::tree::session;
use std::sync::Arc;

/// How a token can be signed; the kind of the key bounds it further.
const ALGORITHMS: &[(&str, Algorithm)] = &[
    ("HS256", Algorithm::Hs256),
    ("RS256", Algorithm::Rs256),
    ("PS256", Algorithm::Ps256),
    ("ES256", Algorithm::Es256),
    ("EdDSA", Algorithm::EdDsa),
];

/// What it takes.
const PARAMS: &[&str] = &["token", "key", "keys", "iss", "aud", "alg", "leeway", "exp", "nbf"];

/// `exp: optional`, `nbf: required`: whether a token does without.
const TIMES: &[(&str, bool)] = &[("optional", true), ("required", false)];

/// Clocks that differ by more are wrong, milliseconds.
const MOST_LEEWAY_MS: u64 = 600_000;

impl<'a> Checker<'a> {
    /// The claims of a token: there where it is valid, missing otherwise.
    pub(super) fn jwt(&mut self, args: &[Arg], env: &Env, loc: Loc) -> Val {
        let nothing = Val::Opaque(Ty::Claims, true);
        let given = self.call_args("jwt", 1, PARAMS, args, env);
        let [token, key, keys, iss, aud, alg, leeway, exp, nbf] = given.as_slice() else { return nothing };
        let token = self.needed(*token, "jwt", "token", "a text, as in `cookie.sid`", loc);
        let token = token.map(|arg| self.call_text("jwt", "token", arg, env));
        let source = self.key_source(*key, *keys, env, loc);
        let issuer = iss.map(|arg| self.call_constant("jwt", "iss", arg, env));
        // Not a name of anything: a token with an `aud` is for somebody else.
        let for_nobody =
            aud.is_some_and(|arg| matches!(&arg.value.node, Expr::Name(n) if Self::name_text(n) == "none"));
        let audience = aud.filter(|_| !for_nobody).map(|arg| self.call_constant("jwt", "aud", arg, env));
        let endless = exp.map_or(Some(false), |arg| self.call_word("exp", arg, TIMES, env));
        let nbf = nbf.map_or(Some(false), |arg| self.call_word("nbf", arg, TIMES, env).map(|optional| !optional));
        let algorithms = alg.map_or(Some(all()), |arg| self.algorithms(arg, env));
        let leeway_ms = leeway.map_or(Given::There(0), |arg| self.call_duration("leeway", arg, env));
        if let (Given::There(MOST_LEEWAY_MS..), Some(arg)) = (&leeway_ms, leeway) {
            let at = self.at(env, arg.value.span);
            self.report(lint::g1024::range(at, "`leeway` is by how much clocks differ: less than 10m"));
            return nothing;
        }
        if let Some(Given::Absent) = token {
            return Val::Absent(Ty::Claims);
        }
        let (Some(token), Some(source), Some(algorithms), Some(leeway_ms)) =
            (token.and_then(Given::there), source.and_then(Given::there), algorithms, leeway_ms.there())
        else {
            return nothing;
        };
        let (Some(issuer), Some(audience)) = (settled(issuer), settled(audience)) else { return nothing };
        let (Some(endless), Some(nbf)) = (endless, nbf) else { return nothing };
        let (keys, issuer, shown_key) = match source {
            Source::Secrets(names) => {
                let shown: Vec<String> = names.iter().map(|key| format!("secret.{key}")).collect();
                let shown = match shown.as_slice() {
                    [one] => format!("key: {one}"),
                    all => format!("key: [{}]", all.join(", ")),
                };
                (KeySource::Secrets(names), issuer, shown)
            }
            Source::Provider(provider) => {
                let Some(issuer) = self.issued_by(&provider, issuer, *iss, env, loc) else { return nothing };
                if aud.is_none() {
                    let d = lint::g1021::missing(loc, "jwt", "aud", Some("whom the token is for, as in `\"api\"`"));
                    self.report(
                        d.note("a provider signs tokens for many; where its tokens have no `aud`, write `aud: none`"),
                    );
                    return nothing;
                }
                if let (Some(alg), true) = (alg, algorithms.as_slice() == [Algorithm::Hs256]) {
                    let why = "a provider publishes its keys, and `HS256` is for keys that nobody else knows";
                    self.report(lint::g1024::range(self.at(env, alg.value.span), why));
                    return nothing;
                }
                let shown = match *provider.name == *provider.keys.as_deref().unwrap_or_default() {
                    true => format!("keys: \"{}\"", provider.name),
                    false => format!("key: {}", provider.name),
                };
                (KeySource::Provider(self.provider_index(&provider)), Some(issuer), shown)
            }
        };
        let shown = format!("jwt({token}, {shown_key}");
        let shown = format!(
            "{shown}{}{})",
            shown_arg("iss", issuer.as_ref().filter(|_| iss.is_some()).map(|v| v as &dyn std::fmt::Display)),
            shown_arg("aud", audience.as_ref().map(|v| v as &dyn std::fmt::Display)),
        );
        let call = Jwt { token, keys, algorithms, issuer, audience, endless, nbf, leeway_ms };
        let field = self.made_call(CallKind::Jwt(call), shown, loc);
        Val::Field { field, ty: Ty::Claims, optional: true, with: With::default() }
    }

    /// The call that verifies the session in a cookie: the same that `auth.session` of the standard library makes.
    pub(in crate::check) fn session_token(&mut self, cookie: &Arc<str>, key: &Arc<str>, loc: Loc) -> Field {
        let hole = |field| Part::Hole { field, transform: Transform::None, encode: Encode::Plain, if_missing: None };
        let value = |part| Value { parts: vec![part] };
        let (token, host) = (value(hole(Field::Cookie(Arc::clone(cookie)))), value(hole(Field::Host)));
        let issuer = value(Part::Text(session::ISSUER.into()));
        let shown = format!("jwt({token}, key: secret.{key}, iss: {issuer}, aud: {host})");
        let jwt = Jwt {
            token,
            keys: KeySource::Secrets(vec![Arc::clone(key)]),
            algorithms: vec![Algorithm::Hs256],
            issuer: Some(issuer),
            audience: Some(host),
            endless: false,
            nbf: false,
            leeway_ms: 0,
        };
        self.made_call(CallKind::Jwt(jwt), shown, loc)
    }

    /// What `key:` or `keys:` says a token is verified with.
    fn key_source(&mut self, key: Option<&Arg>, keys: Option<&Arg>, env: &Env, loc: Loc) -> Option<Given<Source>> {
        if let (Some(_), Some(keys)) = (key, keys) {
            let at = self.at(env, keys.value.span);
            self.report(lint::g1024::range(at, "a token is verified by `key:` or by `keys:`, not by both"));
            return None;
        }
        let Some(keys) = keys else {
            let what = "a secret or a provider, as in `secret.session-key`";
            let key = self.needed(key, "jwt", "key", what, loc)?;
            return Some(self.secrets_or_provider(key, env));
        };
        let at = self.at(env, keys.value.span);
        let val = self.eval(&keys.value, env, Some(&Ty::Url));
        Some(match val {
            Val::Url(url) | Val::Text(url) => match self.provider_url("keys:", &url, at) {
                Some(url) => {
                    let mut provider = Provider::of_keys(url, at);
                    self.bound_provider(env.module, &mut provider);
                    Given::There(Source::Provider(Arc::new(provider)))
                }
                None => Given::Broken,
            },
            Val::Opaque(..) => Given::Opaque,
            Val::Secret(_) | Val::Provider(..) => {
                let d =
                    lint::g1024::range(at, "`keys` takes the URL of a set of keys; a secret or a provider is a `key`");
                self.report(d.help("write", "key: …", None));
                Given::Broken
            }
            other => {
                let found = other.ty().0.noun();
                self.report(lint::g1005::wrong(at, "`keys` takes", "a URL that the file settles", &found));
                Given::Broken
            }
        })
    }

    fn secrets_or_provider(&mut self, arg: &Arg, env: &Env) -> Given<Source> {
        match self.eval(&arg.value, env, Some(&Ty::Secret)) {
            Val::Provider(module, item) => match self.provider_item(module, item) {
                Some(provider) => Given::There(Source::Provider(provider)),
                None => Given::Broken,
            },
            Val::Opaque(Ty::Provider, _) => Given::Opaque,
            _ => match self.keys(arg, env) {
                Given::There(names) => Given::There(Source::Secrets(names)),
                Given::Opaque => Given::Opaque,
                Given::Absent => Given::Absent,
                Given::Broken => Given::Broken,
            },
        }
    }

    /// What `iss` of a provider's token must be.
    fn issued_by(
        &mut self,
        provider: &Provider,
        said: Option<Value>,
        arg: Option<&Arg>,
        env: &Env,
        loc: Loc,
    ) -> Option<Value> {
        match (&provider.issuer, said) {
            (Some(issuer), None) => Some(Value { parts: vec![Part::Text(Arc::clone(issuer))] }),
            (None, Some(said)) => Some(said),
            (Some(_), Some(_)) => {
                let at = arg.map_or(loc, |arg| self.at(env, arg.value.span));
                let why = format!("`{}` says who its `issuer` is: leave `iss:` out", provider.name);
                self.report(lint::g1024::range(at, &why));
                None
            }
            (None, None) => {
                let what = "who issued the token, as in `\"https://login.example.com\"`";
                self.report(lint::g1021::missing(loc, "jwt", "iss", Some(what)));
                None
            }
        }
    }

    /// `alg: ES256`, `alg: [ES256, EdDSA]`. A token that nobody signed is none (G3014).
    fn algorithms(&mut self, arg: &Arg, env: &Env) -> Option<Vec<Algorithm>> {
        let items: Vec<Spanned<Expr>> = match &arg.value.node {
            Expr::List(items) => items.clone(),
            _ => vec![arg.value.clone()],
        };
        let mut out = Vec::new();
        for item in items {
            let at = self.at(env, item.span);
            if matches!(&item.node, Expr::Name(name) if Self::name_text(name).eq_ignore_ascii_case("none")) {
                self.report(lint::g3014::none(at));
                return None;
            }
            let one = self.call_word("alg", &Arg { name: arg.name.clone(), value: item }, ALGORITHMS, env)?;
            if !out.contains(&one) {
                out.push(one);
            }
        }
        if out.is_empty() {
            let at = self.at(env, arg.value.span);
            self.report(lint::g1024::shape(at, "alg:", "an algorithm or more, as in `alg: [ES256, EdDSA]`"));
            return None;
        }
        out.sort_unstable();
        Some(out)
    }
}

/// What a token is verified with, as written.
enum Source {
    Secrets(Vec<Arc<str>>),
    Provider(Arc<Provider>),
}

fn all() -> Vec<Algorithm> {
    ALGORITHMS.iter().map(|(_, algorithm)| *algorithm).collect()
}

/// An argument that need not be written: `None` where it was, and nothing is known of it.
fn settled<T>(given: Option<Given<T>>) -> Option<Option<T>> {
    match given {
        None => Some(None),
        Some(given) => given.there().map(Some),
    }
}
