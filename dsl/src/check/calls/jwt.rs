//! `jwt(token, key: secret.x, iss: "…", aud: host, alg: ES256, leeway: 30s)`

use super::{Given, shown_arg};
use crate::check::ty::Ty;
use crate::check::val::{Val, With};
use crate::check::{Checker, Env};
use crate::lint;
use crate::syntax::ast::{Arg, Expr};
use crate::syntax::span::{Loc, Spanned};
use crate::tree::ir::{Algorithm, CallKind, Jwt};

/// How a token can be signed; the kind of the key bounds it further.
const ALGORITHMS: &[(&str, Algorithm)] = &[
    ("HS256", Algorithm::Hs256),
    ("RS256", Algorithm::Rs256),
    ("PS256", Algorithm::Ps256),
    ("ES256", Algorithm::Es256),
    ("EdDSA", Algorithm::EdDsa),
];

/// Clocks that differ by more are wrong, milliseconds.
const MOST_LEEWAY_MS: u64 = 600_000;

impl<'a> Checker<'a> {
    /// The claims of a token: there where it is valid, missing otherwise.
    pub(super) fn jwt(&mut self, args: &[Arg], env: &Env, loc: Loc) -> Val {
        let nothing = Val::Opaque(Ty::Claims, true);
        let given = self.call_args("jwt", 1, &["token", "key", "iss", "aud", "alg", "leeway"], args, env);
        let [token, key, iss, aud, alg, leeway] = given.as_slice() else { return nothing };
        let token = self.needed(*token, "jwt", "token", "a text, as in `cookie.sid`", loc);
        let key = self.needed(*key, "jwt", "key", "a secret, as in `secret.session-key`", loc);
        let token = token.map(|arg| self.call_text("jwt", "token", arg, env));
        let keys = key.map(|arg| self.keys(arg, env));
        let issuer = iss.map(|arg| self.call_constant("jwt", "iss", arg, env));
        let audience = aud.map(|arg| self.call_constant("jwt", "aud", arg, env));
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
        let (Some(token), Some(keys), Some(algorithms), Some(leeway_ms)) =
            (token.and_then(Given::there), keys.and_then(Given::there), algorithms, leeway_ms.there())
        else {
            return nothing;
        };
        let (Some(issuer), Some(audience)) = (settled(issuer), settled(audience)) else { return nothing };
        let names: Vec<String> = keys.iter().map(|key| format!("secret.{key}")).collect();
        let shown = match names.as_slice() {
            [one] => format!("jwt({token}, key: {one}"),
            all => format!("jwt({token}, key: [{}]", all.join(", ")),
        };
        let shown = format!(
            "{shown}{}{})",
            shown_arg("iss", issuer.as_ref().map(|v| v as &dyn std::fmt::Display)),
            shown_arg("aud", audience.as_ref().map(|v| v as &dyn std::fmt::Display)),
        );
        let call = Jwt { token, keys, algorithms, issuer, audience, leeway_ms };
        let field = self.made_call(CallKind::Jwt(call), shown, loc);
        Val::Field { field, ty: Ty::Claims, optional: true, with: With::default() }
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
