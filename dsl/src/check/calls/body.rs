//! `body.json("/user/role")`, `body.form("name")`, `body.file("avatar")`, `body.text`, `body.values`

use crate::body::{Part, Pointer, PointerError};
use crate::check::ty::Ty;
use crate::check::val::{Val, With};
use crate::check::{Checker, Env};
use crate::lint;
use crate::resolve::nearest;
use crate::syntax::ast::{Arg, Ident};
use crate::syntax::span::Loc;
use crate::tree::fields;
use crate::tree::ir::{CallKind, Cond, Field};

/// What is asked by a name in brackets.
pub(crate) const BODY_CALLS: &[&str] = &["json", "form", "file"];
/// What stands alone.
pub(crate) const BODY_PARTS: &[&str] = &["text", "values"];

impl<'a> Checker<'a> {
    /// `body.json(…)`
    pub(in crate::check) fn body_call(&mut self, member: Option<&Ident>, args: &[Arg], env: &Env, loc: Loc) -> Val {
        let nothing = Val::Opaque(Ty::Text, true);
        let Some(member) = member else {
            self.report(body_alone(loc));
            return nothing;
        };
        let at = self.at(env, member.span);
        let name = member.node.as_str();
        if BODY_PARTS.contains(&name) {
            self.report(lint::g1024::range(loc, &format!("`body.{name}` stands without brackets")));
            return nothing;
        }
        if !BODY_CALLS.contains(&name) {
            let near = nearest(name, BODY_CALLS.iter().chain(BODY_PARTS).copied());
            self.report(lint::g1004::no_member(at, "body", "member", name, near));
            return nothing;
        }
        let [arg] = args else {
            self.report(lint::g1021::count(loc, &format!("body.{name}"), 1, args.len()));
            return nothing;
        };
        let given = self.at(env, arg.value.span);
        let val = self.eval(&arg.value, env, Some(&Ty::Text));
        let text = match (&val, val.as_text()) {
            (Val::Opaque(Ty::Text | Ty::Path | Ty::Unknown, _), _) => return nothing,
            (Val::Text(_) | Val::Path(_), Some(text)) => text,
            _ => {
                let found = val.ty().0;
                let found = if found.is_text() { "one that the request decides".to_owned() } else { found.noun() };
                let what = format!("`body.{name}` takes");
                self.report(lint::g1005::wrong(given, &what, "a text that the file settles", &found));
                return nothing;
            }
        };
        let part = match name {
            "json" => match Pointer::new(&text) {
                Ok(pointer) => Part::Json(pointer),
                Err(why) => {
                    let why = match why {
                        PointerError::Start => "a pointer begins with `/`, as in `body.json(\"/user/role\")`",
                        PointerError::Escape => "in a pointer `~` is written `~0`, and a `/` in a name `~1`",
                        PointerError::Deep => "no body is read as deep as this pointer goes",
                    };
                    self.report(lint::g1024::range(given, why));
                    return nothing;
                }
            },
            _ if text.is_empty() => {
                self.report(lint::g1024::range(given, "a field of a form has a name"));
                return nothing;
            }
            "form" => Part::Form(text),
            _ => Part::File(text),
        };
        self.body_part(part, loc)
    }

    /// `body.text`
    pub(in crate::check) fn body_member(&mut self, member: Option<&Ident>, loc: Loc) -> Val {
        let nothing = Val::Opaque(Ty::Text, true);
        let Some(member) = member else {
            self.report(body_alone(loc));
            return nothing;
        };
        match member.node.as_str() {
            "text" => self.body_part(Part::Text, loc),
            "values" => self.body_part(Part::Values, loc),
            name if BODY_CALLS.contains(&name) => {
                let shape = if name == "json" { "(\"/user/role\")" } else { "(\"name\")" };
                self.report(lint::g1024::range(loc, &format!("`body.{name}` says of what: `body.{name}{shape}`")));
                nothing
            }
            name => {
                let near = nearest(name, BODY_CALLS.iter().chain(BODY_PARTS).copied());
                self.report(lint::g1004::no_member(loc, "body", "member", name, near));
                nothing
            }
        }
    }

    fn body_part(&mut self, part: Part, loc: Loc) -> Val {
        let shown = part.to_string();
        match self.made_call(CallKind::Body(part), shown, loc) {
            Field::Call(call, shown) => {
                let field = Field::Body(call, shown);
                Val::Field { field, ty: Ty::Text, optional: true, with: With::default() }
            }
            // A call is made as one.
            _ => Val::Opaque(Ty::Text, true),
        }
    }

    /// Whether a condition reads what has to be waited for: what another service says, a body, a password's hash.
    pub(in crate::check) fn waits_in(&self, cond: &Cond) -> bool {
        fields::reads_call(cond, &|call| self.asked.kind(call).is_some_and(CallKind::waits))
    }
}

fn body_alone(loc: Loc) -> crate::diagnostic::Diagnostic {
    lint::g1003::unknown_name(loc, "body", None)
        .note("name a part of it: `body.json(\"/user/role\")`, `body.form(\"name\")`, `body.file(\"name\")`, `body.text`, `body.values`")
}
