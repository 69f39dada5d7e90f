//! `api-key(header.x-api-key, "keys.csv")`

use super::Given;
use super::lines::Kind;
use crate::check::ty::Ty;
use crate::check::val::{Val, With};
use crate::check::{Checker, Env};
use crate::syntax::ast::Arg;
use crate::syntax::span::Loc;
use crate::tree::ir::{ApiKey, CallKind, ValueType};

const KEYS: Kind = Kind { ending: ".csv", value: ValueType::Owner };

impl<'a> Checker<'a> {
    /// Whose a key is: missing where it is nobody's.
    pub(super) fn api_key(&mut self, args: &[Arg], env: &Env, loc: Loc) -> Val {
        let nothing = Val::Opaque(Ty::Claims, true);
        let given = self.call_args("api-key", 2, &["key", "keys"], args, env);
        let [key, keys] = given.as_slice() else { return nothing };
        let key = self.needed(*key, "api-key", "key", "a text, as in `header.x-api-key`", loc);
        let keys = self.needed(*keys, "api-key", "keys", "a file, as in `\"keys.csv\"`, or a secret", loc);
        let key = key.map(|arg| self.call_text("api-key", "key", arg, env));
        let keys = keys.map(|arg| self.lines("api-key", "keys", arg, &KEYS, env));
        if let Some(Given::Absent) = key {
            return Val::Absent(Ty::Claims);
        }
        let (Some(key), Some(keys)) = (key.and_then(Given::there), keys.and_then(Given::there)) else {
            return nothing;
        };
        let shown = format!("api-key({key}, {keys})");
        let field = self.made_call(CallKind::ApiKey(ApiKey { key, keys }), shown, loc);
        Val::Field { field, ty: Ty::Claims, optional: true, with: With::default() }
    }
}
