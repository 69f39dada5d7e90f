//! Functions that make a text of a text: `lower`, `hash`, `local-path`; and which call is which.

use crate::check::ty::Ty;
use crate::check::val::{TplPart, Val, With};
use crate::check::{Checker, Env};
use crate::lint;
use crate::syntax::ast::Arg;
use crate::syntax::span::Loc;
use crate::tree::hash_hex;

impl<'a> Checker<'a> {
    /// A function of the language.
    pub(in crate::check) fn builtin_call(&mut self, name: &str, args: &[Arg], env: &Env, loc: Loc, at: Loc) -> Val {
        match name {
            "lower" => self.lower(args, env, loc),
            "hash" => {
                self.unsupported("hash", at);
                self.hash(args, env, loc)
            }
            "local-path" => {
                self.unsupported("local-path", at);
                self.local_path(args, env, loc)
            }
            "jwt" => {
                self.unsupported("jwt", at);
                self.jwt(args, env, loc)
            }
            "signed" => {
                self.unsupported("signed", at);
                self.signed(args, env, loc)
            }
            "password" => self.password(args, env, loc),
            "api-key" => self.api_key(args, env, loc),
            "session" => self.logged_in(args, env, loc),
            _ => {
                self.unsupported("ask", at);
                self.ask(args, env, loc)
            }
        }
    }

    /// The one argument of a function of texts.
    fn one_text(&mut self, name: &str, args: &[Arg], env: &Env, loc: Loc) -> Option<(Val, Loc)> {
        let [arg] = args else {
            self.report(lint::g1021::count(loc, name, 1, args.len()));
            return None;
        };
        let at = self.at(env, arg.value.span);
        let val = self.eval(&arg.value, env, Some(&Ty::Text));
        let (ty, _) = val.ty();
        match &val {
            Val::Secret(_) | Val::Opaque(Ty::Secret, _) => {
                self.report(lint::g3015::leaves(at));
                None
            }
            Val::Opaque(..) | Val::Absent(_) => Some((val, at)),
            _ if ty.is_text() || matches!(ty, Ty::Ip | Ty::Int) => Some((val, at)),
            _ => {
                self.report(lint::g1005::wrong(at, &format!("`{name}` takes"), &Ty::Text.noun(), &ty.noun()));
                None
            }
        }
    }

    fn lower(&mut self, args: &[Arg], env: &Env, loc: Loc) -> Val {
        let Some((val, _)) = self.one_text("lower", args, env, loc) else { return Val::Opaque(Ty::Text, false) };
        // The digits of a hash are in lower case as it is.
        let lower = |with: With| if with.hash { with } else { With { lower: true, ..with } };
        match val {
            Val::Field { field, optional, with, .. } => Val::Field { field, ty: Ty::Text, optional, with: lower(with) },
            Val::Template(ty, parts) => {
                let parts = parts
                    .into_iter()
                    .map(|part| match part {
                        TplPart::Text(t) => TplPart::Text(t.to_ascii_lowercase()),
                        TplPart::Hole(val, loc) => match *val {
                            Val::Field { field, ty, optional, with } => {
                                TplPart::Hole(Box::new(Val::Field { field, ty, optional, with: lower(with) }), loc)
                            }
                            other => TplPart::Hole(Box::new(other), loc),
                        },
                    })
                    .collect();
                Val::Template(ty, parts)
            }
            val => match val.as_text() {
                Some(text) => Val::Text(text.to_ascii_lowercase().into()),
                None => val,
            },
        }
    }

    /// SHA-256, 64 hexadecimal digits for each value: no two lists of values come to the same text.
    fn hash(&mut self, args: &[Arg], env: &Env, loc: Loc) -> Val {
        if args.len() < 2 {
            return self.hash_one(args, env, loc);
        }
        let (mut parts, mut bad) = (Vec::new(), None);
        for arg in args {
            let at = self.at(env, arg.value.span);
            match self.hash_one(std::slice::from_ref(arg), env, at) {
                val @ Val::Field { .. } => parts.push(TplPart::Hole(Box::new(val), at)),
                val @ (Val::Opaque(..) | Val::Absent(_)) => bad = Some(val),
                val => parts.extend(val.as_text().map(|text| TplPart::Text(text.to_string()))),
            }
        }
        match bad {
            Some(val) => val,
            None if parts.iter().all(|part| matches!(part, TplPart::Text(_))) => {
                let text = |part| if let TplPart::Text(text) = part { text } else { String::new() };
                Val::Text(parts.into_iter().map(text).collect::<String>().into())
            }
            None => Val::Template(Ty::Text, parts),
        }
    }

    fn hash_one(&mut self, args: &[Arg], env: &Env, loc: Loc) -> Val {
        let nothing = Val::Opaque(Ty::Text, false);
        let Some((val, at)) = self.one_text("hash", args, env, loc) else { return nothing };
        match val {
            Val::Field { with, .. } if with.hash || with.local => {
                self.report(lint::g1005::wrong(
                    at,
                    "`hash` takes",
                    "a value as it arrived, or in `lower(…)`",
                    "neither",
                ));
                nothing
            }
            Val::Field { field, optional, with, .. } => {
                Val::Field { field, ty: Ty::Text, optional, with: With { hash: true, ..with } }
            }
            Val::Template(..) => {
                self.report(lint::g1005::wrong(at, "`hash` takes", "one value of the request", "a text of several"));
                nothing
            }
            val => match val.as_text() {
                Some(text) => Val::Text(hash_hex(&text).into()),
                None => val,
            },
        }
    }

    /// A client's text that may only lead to this host (LANGUAGE rule 25).
    fn local_path(&mut self, args: &[Arg], env: &Env, loc: Loc) -> Val {
        let nothing = Val::Opaque(Ty::Path, false);
        let Some((val, at)) = self.one_text("local-path", args, env, loc) else { return nothing };
        match val {
            Val::Field { field, optional, with, .. } if with.nothing() => {
                Val::Field { field, ty: Ty::Path, optional, with: With { local: true, ..with } }
            }
            Val::Field { .. } | Val::Template(..) => {
                let want = "one value of the request, as it arrived";
                self.report(lint::g1005::wrong(at, "`local-path` takes", want, "another"));
                nothing
            }
            Val::Opaque(_, optional) => Val::Opaque(Ty::Path, optional),
            Val::Absent(_) => Val::Absent(Ty::Path),
            val => match val.as_text() {
                Some(text) if text.starts_with('/') && !text.starts_with("//") && !text.contains('\\') => {
                    Val::Path(text)
                }
                _ => {
                    self.report(lint::g1005::wrong(at, "`local-path` takes", "a path of this host", "none"));
                    nothing
                }
            },
        }
    }
}
