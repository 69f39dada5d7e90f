//! `session(corp)`: who logged in at a provider; and the answers `login corp`, `logout corp`.

use crate::check::ty::Ty;
use crate::check::val::{Val, With};
use crate::check::{Checker, Env};
use crate::lint;
use crate::syntax::ast::{Arg, Expr, Name, VisitDoes};
use crate::syntax::span::{Loc, Spanned};
use crate::tree::ir::{Answer, CallKind, Encode, Field, LoggedIn, Part, Provider, Transform, Value};
use std::sync::Arc;

impl<'a> Checker<'a> {
    /// Who is logged in: there where the session holds, missing otherwise.
    pub(super) fn logged_in(&mut self, args: &[Arg], env: &Env, loc: Loc) -> Val {
        let nothing = Val::Opaque(Ty::Claims, true);
        let given = self.call_args("session", 1, &["provider"], args, env);
        let [provider] = given.as_slice() else { return nothing };
        let Some(arg) = self.needed(*provider, "session", "provider", "a provider", loc) else { return nothing };
        let Some(provider) = self.login_provider("session", &arg.value, env) else { return nothing };
        // Said of a provider that can be logged in at.
        let Some(session) = &provider.session else { return nothing };
        let field = Field::Cookie(Arc::clone(&session.cookie));
        let hole = Part::Hole { field, transform: Transform::default(), encode: Encode::Plain, if_missing: None };
        let cookie = Value { parts: vec![hole] };
        let shown = format!("session({})", provider.name);
        let call = CallKind::Session(LoggedIn { provider: self.provider_index(&provider), cookie });
        let field = self.made_call(call, shown, loc);
        Val::Field { field, ty: Ty::Claims, optional: true, with: With::default() }
    }

    /// `login corp`, `logout corp`
    pub(in crate::check) fn visit(
        &mut self,
        does: VisitDoes,
        provider: &Spanned<Name>,
        env: &Env,
        loc: Loc,
    ) -> Option<Answer> {
        let named = Spanned::new(Expr::Name(provider.node.clone()), provider.span);
        let found = self.login_provider(does.word(), &named, env)?;
        let index = self.provider_index(&found);
        let shown = format!("{} {}", does.word(), found.name);
        let Field::Call(call, _) = self.made_call(CallKind::Visit(index, does), shown, loc) else { return None };
        Some(Answer::Visit { does, provider: index, call })
    }

    /// A provider that can be logged in at; `None` for what was reported, and for a parameter.
    fn login_provider(&mut self, what: &str, written: &Spanned<Expr>, env: &Env) -> Option<Arc<Provider>> {
        let at = self.at(env, written.span);
        let provider = match self.eval(written, env, Some(&Ty::Provider)) {
            Val::Provider(module, item) => self.provider_item(module, item)?,
            Val::Opaque(Ty::Provider | Ty::Unknown, _) => return None,
            other => {
                let what = format!("`{what}` takes");
                self.report(lint::g1005::wrong(at, &what, &Ty::Provider.noun(), &other.ty().0.noun()));
                return None;
            }
        };
        let lacks = |setting: &str| format!("nobody can log in at `{}`: it has no `{setting}`", provider.name);
        let (lacking, line) = match (&provider.client, &provider.session) {
            (None, _) => (lacks("client"), "client \"shop\" key secret.client"),
            (_, None) => (lacks("session"), "session \"__Host-sid\" key secret.session-key for 12h idle 30m"),
            (Some(_), Some(_)) => return Some(provider),
        };
        let d = lint::g1024::range(at, &lacking).help("add to the provider", line, None);
        self.report(d.label(provider.loc, "declared here"));
        None
    }
}
