//! `password(secret.users)`

use super::Given;
use crate::check::ty::Ty;
use crate::check::val::{Val, With};
use crate::check::{Checker, Env};
use crate::lint;
use crate::syntax::ast::Arg;
use crate::syntax::span::Loc;
use crate::tree::ir::{CallKind, Encode, Field, Lines, Part, Password, Transform, Value};

impl<'a> Checker<'a> {
    /// Who sent a request, where the name and the password that it brings are those of a user.
    pub(super) fn password(&mut self, args: &[Arg], env: &Env, loc: Loc) -> Val {
        let nothing = Val::Opaque(Ty::Claims, true);
        let given = self.call_args("password", 1, &["users"], args, env);
        let [users] = given.as_slice() else { return nothing };
        let users = self.needed(*users, "password", "users", "a secret, as in `secret.users`", loc);
        let Some(users) = users.and_then(|arg| self.lines("password", "users", arg, env).there()) else {
            return nothing;
        };
        let shown = format!("password({})", shown(&users));
        let field = Field::Header("authorization".into());
        let credentials = Value {
            parts: vec![Part::Hole { field, transform: Transform::default(), encode: Encode::Plain, if_missing: None }],
        };
        let field = self.made_call(CallKind::Password(Password { credentials, users }), shown, loc);
        Val::Field { field, ty: Ty::Claims, optional: true, with: With::default() }
    }

    /// Lines that stand outside of route files.
    fn lines(&mut self, callee: &str, param: &str, arg: &Arg, env: &Env) -> Given<Lines> {
        let at = self.at(env, arg.value.span);
        match self.eval(&arg.value, env, Some(&Ty::Secret)) {
            Val::Secret(name) => Given::There(Lines::Secret(name)),
            Val::Opaque(Ty::Secret | Ty::Unknown, _) => Given::Opaque,
            other => {
                let what = format!("`{param}` of `{callee}` takes");
                self.report(lint::g1005::wrong(at, &what, "a secret, as in `secret.name`", &other.ty().0.noun()));
                Given::Broken
            }
        }
    }
}

fn shown(lines: &Lines) -> String {
    match lines {
        Lines::Secret(name) => format!("secret.{name}"),
    }
}
