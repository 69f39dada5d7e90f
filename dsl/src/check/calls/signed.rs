//! `signed(text, signature, key: secret.x, expires: query.expires)`

use super::{Given, shown_arg};
use crate::check::ty::Ty;
use crate::check::val::Val;
use crate::check::{Checker, Env};
use crate::syntax::ast::Arg;
use crate::syntax::span::Loc;
use crate::tree::ir::{CallKind, Cond, Signed};

impl<'a> Checker<'a> {
    /// Whether a text carries a signature by one of the keys.
    pub(super) fn signed(&mut self, args: &[Arg], env: &Env, loc: Loc) -> Val {
        let nothing = Val::Opaque(Ty::Bool, false);
        let given = self.call_args("signed", 2, &["text", "signature", "key", "expires"], args, env);
        let [text, signature, key, expires] = given.as_slice() else { return nothing };
        let text = self.needed(*text, "signed", "text", "a text, as in `request.path`", loc);
        let signature = self.needed(*signature, "signed", "signature", "a text, as in `query.signature`", loc);
        let key = self.needed(*key, "signed", "key", "a secret, as in `secret.links`", loc);
        let text = text.map(|arg| self.call_text("signed", "text", arg, env));
        let signature = signature.map(|arg| self.call_text("signed", "signature", arg, env));
        let expires = expires.map(|arg| self.call_text("signed", "expires", arg, env));
        let keys = key.map(|arg| self.keys(arg, env));
        if [&text, &signature, &expires].into_iter().any(|given| matches!(given, Some(Given::Absent))) {
            return Val::Cond(Cond::Const(false));
        }
        let expires = match expires {
            None => None,
            Some(Given::There(value)) => Some(value),
            Some(Given::Opaque | Given::Absent | Given::Broken) => return nothing,
        };
        let (Some(text), Some(signature), Some(keys)) =
            (text.and_then(Given::there), signature.and_then(Given::there), keys.and_then(Given::there))
        else {
            return nothing;
        };
        let names: Vec<String> = keys.iter().map(|key| format!("secret.{key}")).collect();
        let shown = format!(
            "signed({text}, {signature}, key: {}{})",
            if names.len() == 1 { names.concat() } else { format!("[{}]", names.join(", ")) },
            shown_arg("expires", expires.as_ref().map(|v| v as &dyn std::fmt::Display)),
        );
        Val::Cond(self.truth_of_call(CallKind::Signed(Signed { text, signature, expires, keys }), shown, loc))
    }
}
