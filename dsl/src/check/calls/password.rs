//! `password("users.htpasswd")`

use super::Given;
use super::lines::Kind;
use crate::check::ty::Ty;
use crate::check::val::{Val, With};
use crate::check::{Checker, Env};
use crate::syntax::ast::Arg;
use crate::syntax::span::Loc;
use crate::tree::ir::{CallKind, Encode, Field, Part, Password, Transform, Value, ValueType};

const USERS: Kind = Kind { ending: ".htpasswd", value: ValueType::Hash };

impl<'a> Checker<'a> {
    /// Who sent a request, where the name and the password that it brings are those of a user.
    pub(super) fn password(&mut self, args: &[Arg], env: &Env, loc: Loc) -> Val {
        let nothing = Val::Opaque(Ty::Claims, true);
        let given = self.call_args("password", 1, &["users"], args, env);
        let [users] = given.as_slice() else { return nothing };
        let users = self.needed(*users, "password", "users", "a file, as in `\"users.htpasswd\"`, or a secret", loc);
        let users = users.map(|arg| self.lines("password", "users", arg, &USERS, env));
        let Some(users) = users.and_then(Given::there) else { return nothing };
        let shown = format!("password({users})");
        let field = Field::Header("authorization".into());
        let (transform, encode) = (Transform::default(), Encode::Plain);
        let credentials = Value { parts: vec![Part::Hole { field, transform, encode, if_missing: None }] };
        let field = self.made_call(CallKind::Password(Password { credentials, users }), shown, loc);
        Val::Field { field, ty: Ty::Claims, optional: true, with: With::default() }
    }
}
