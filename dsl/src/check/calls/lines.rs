//! Lines that stand outside of route files: `"users.htpasswd"`, `secret.users`.

use super::Given;
use crate::Data;
use crate::check::ty::Ty;
use crate::check::val::Val;
use crate::check::{Checker, Env};
use crate::lint;
use crate::resolve::ModIdx;
use crate::syntax::ast::Arg;
use crate::syntax::span::Loc;
use crate::tree::ir::{self, KeyType, Lines, Schema, Table, ValueType};
use std::sync::Arc;

/// What lines are.
pub(super) struct Kind {
    /// What a file of them is named like.
    pub(super) ending: &'static str,
    /// What is read of them.
    pub(super) value: ValueType,
}

impl<'a> Checker<'a> {
    /// The lines that an argument names.
    pub(super) fn lines(&mut self, callee: &str, param: &str, arg: &Arg, kind: &Kind, env: &Env) -> Given<Lines> {
        let at = self.at(env, arg.value.span);
        let (module, path, at) = match self.eval(&arg.value, env, Some(&Ty::File)) {
            Val::Secret(name) => return Given::There(Lines::Secret(name)),
            Val::File(module, path, at) => (module, path, at),
            // Of a `let`.
            Val::Text(path) => (env.module, path, at),
            Val::Opaque(Ty::Secret | Ty::File | Ty::Unknown, _) => return Given::Opaque,
            other => {
                let what = format!("`{param}` of `{callee}` takes");
                let want = format!("a file whose name ends in `{}`, or a secret", kind.ending);
                self.report(lint::g1005::wrong(at, &what, &want, &other.ty().0.noun()));
                return Given::Broken;
            }
        };
        let known = (module, Arc::clone(&path), kind.value.word());
        let made = match self.lines.get(&known) {
            Some(made) => made.clone(),
            None => {
                let made = self.read_lines(module, &path, kind, at);
                self.lines.insert(known, made.clone());
                made
            }
        };
        made.map_or(Given::Broken, |table| Given::There(Lines::File(table)))
    }

    /// The lines of a file.
    fn read_lines(&mut self, module: ModIdx, path: &Arc<str>, kind: &Kind, at: Loc) -> Option<Arc<Table>> {
        if !path.ends_with(kind.ending) {
            self.report(lint::g1029::other_ending(at, path, kind.ending));
            return None;
        }
        let file = self.linked.modules[module].file;
        let data: Data = match self.modules.data(file, path) {
            Ok(data) => data,
            Err(why) => {
                self.report(lint::g1029::unreadable(at, path, &why));
                return None;
            }
        };
        self.modules.hide(data.file);
        let schema = Schema { key: KeyType::Text, value: kind.value, among: Vec::new() };
        match crate::read_rows(&schema, &data) {
            Ok(rows) => {
                if kind.value == ValueType::Hash
                    && let Some(weak) = lint::files::weak(at, &format!("`{path}`"), &rows)
                {
                    self.report(weak);
                }
                let from = ir::From { path: Arc::clone(path), file, data: data.file };
                let name = self.linked.modules[module].path.as_str();
                Some(Arc::new(Table::new(format!("{name} {path}").into(), schema, Some(from), at, rows)))
            }
            Err(wrong) => {
                for d in wrong {
                    self.report(d.label(at, "it is read here"));
                }
                None
            }
        }
    }
}
