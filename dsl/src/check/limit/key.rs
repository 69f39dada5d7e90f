//! The key of a limit: values of the request, each with where it comes from.

use crate::check::template::{Flat, simple, source_name};
use crate::check::ty::Ty;
use crate::check::val::Val;
use crate::check::{Checker, Env};
use crate::lint;
use crate::syntax::ast::{Expr, IfMissing, Operand};
use crate::syntax::span::{Loc, Spanned};
use crate::tree::ir::{Answer, Encode, Field, LimitKey, Missing, Value};

/// What a key came to.
pub(super) enum Key {
    /// The parts by which requests are told apart.
    Parts(Vec<LimitKey>),
    /// A part of it is never there: this answers, always.
    Answer(Answer),
    /// Reported; with the fields that it reads, as far as they are known.
    Broken(Vec<Field>),
}

impl Key {
    /// The fields that it is made of.
    pub(super) fn fields(&self) -> Vec<Field> {
        let mut out = Vec::new();
        match self {
            Self::Parts(parts) => {
                for part in parts {
                    let mut next = Some(part);
                    while let Some(part) = next {
                        out.extend(part.value.fields().cloned());
                        next = part.otherwise.as_deref();
                    }
                }
            }
            Self::Broken(fields) => out.clone_from(fields),
            Self::Answer(_) => {}
        }
        out
    }
}

impl<'a> Checker<'a> {
    /// `client.ip`, `[client.ip, header.x-api-key] if missing deny 401`
    pub(super) fn limit_key(&mut self, operand: &Operand, env: &Env, known: &[Field]) -> Key {
        let written: Vec<&Spanned<Expr>> = match &operand.value.node {
            Expr::List(items) => items.iter().collect(),
            _ => vec![&operand.value],
        };
        let mut items: Vec<(Val, Loc)> = Vec::new();
        for item in written {
            match self.eval(item, env, Some(&Ty::Text)) {
                Val::List(inner) => items.extend(inner),
                val => items.push((val, self.at(env, item.span))),
            }
        }
        let mut parts: Vec<LimitKey> = Vec::new();
        let mut broken = Vec::new();
        let mut sound = !items.is_empty();
        for (val, loc) in items {
            match self.limit_part(&val, loc, operand.if_missing.as_ref(), env, known) {
                Key::Parts(made) => {
                    broken.extend(Key::Parts(made.clone()).fields());
                    for part in made {
                        if !parts.contains(&part) {
                            parts.push(part);
                        }
                    }
                }
                Key::Answer(answer) => return Key::Answer(answer),
                Key::Broken(fields) => {
                    broken.extend(fields);
                    sound = false;
                }
            }
        }
        if sound { Key::Parts(parts) } else { Key::Broken(broken) }
    }

    fn limit_part(&mut self, val: &Val, loc: Loc, if_missing: Option<&IfMissing>, env: &Env, known: &[Field]) -> Key {
        let Some(flat) = self.flatten(val, loc, known) else { return Key::Broken(Vec::new()) };
        if flat.iter().any(|part| matches!(part, Flat::Hole { with, .. } if with.local)) {
            self.report(lint::g1005::local_path_here(loc));
            return Key::Broken(Vec::new());
        }
        let mut optional = flat.iter().filter_map(|part| match part {
            Flat::Hole { field, optional: true, .. } => Some(field),
            Flat::Hole { .. } | Flat::Text(_) | Flat::Absent(_) => None,
        });
        let first = optional.next().cloned();
        let absent = flat.iter().any(|part| matches!(part, Flat::Absent(_)));
        let address = matches!(flat.as_slice(), [Flat::Hole { ty: Ty::Ip, with, .. }] if with.nothing());
        let made = |value: Value, otherwise| {
            let source = source_of(&flat).into();
            Key::Parts(vec![LimitKey { source, value, address, otherwise }])
        };
        match if_missing {
            _ if first.is_none() && !absent => made(self.key_value(&flat, None), None),
            None => {
                let name = first.as_ref().map_or_else(|| "this capture".to_owned(), source_name);
                let own = loc.file == self.linked.modules[0].file;
                let written = self.text.get(loc.span.range()).filter(|_| own).unwrap_or(&name).to_owned();
                self.report(lint::g1012::key(loc, &name, &written));
                Key::Broken(first.into_iter().collect())
            }
            Some(IfMissing::Value(next)) => {
                let at = self.at(env, next.value.span);
                let instead = self.eval(&next.value, env, Some(&Ty::Text));
                let otherwise = match self.limit_part(&instead, at, next.if_missing.as_ref(), env, known) {
                    Key::Parts(parts) => parts,
                    other => return other,
                };
                match otherwise.into_iter().next() {
                    Some(otherwise) if absent => Key::Parts(vec![otherwise]),
                    otherwise => made(self.key_value(&flat, None), otherwise.map(Box::new)),
                }
            }
            Some(IfMissing::Answer(action)) => match self.own_answer(action, env, known) {
                None => Key::Broken(first.into_iter().collect()),
                Some(answer) if absent => Key::Answer(answer),
                Some(answer) => made(self.key_value(&flat, Some(&Missing::Answer(answer))), None),
            },
        }
    }

    fn key_value(&mut self, flat: &[Flat], settled: Option<&Missing>) -> Value {
        let mut value = simple(flat, Encode::Plain, settled);
        super::super::template::imply(flat, &mut value);
        value
    }
}

/// Where a key's text comes from: what is no text of the file, named. A capture is one source wherever
/// it stands, so that a policy that counts by it is one set of buckets.
fn source_of(flat: &[Flat]) -> String {
    let one = |field: &Field| match field {
        Field::Capture(_) => "capture".to_owned(),
        Field::Claim(..) | Field::Call(..) | Field::Body(..) | Field::Row(_) => field.to_string(),
        other => source_name(other),
    };
    let hole = |part: &Flat| match part {
        Flat::Text(text) => text.clone(),
        Flat::Hole { field, with, .. } => match (with.hash, with.lower) {
            (true, _) => format!("hash({})", one(field)),
            (false, true) => format!("lower({})", one(field)),
            (false, false) => one(field),
        },
        Flat::Absent(_) => String::new(),
    };
    match flat {
        [Flat::Text(text)] => format!("\"{text}\""),
        [only] => hole(only),
        parts => {
            let parts = parts.iter().map(|part| match part {
                Flat::Text(text) => text.clone(),
                part => format!("{{{}}}", hole(part)),
            });
            format!("\"{}\"", parts.collect::<String>())
        }
    }
}
