//! Tables: what is declared of them, their rows, and what a look-up makes of a key.

use super::ty::{NAMES, Ty};
use super::val::{TplPart, Val, With};
use super::{Checker, Env};
use crate::lint;
use crate::resolve::{ModIdx, nearest};
use crate::syntax::ast::{self, Expr, Ident, ItemKind, StmtKind, Word};
use crate::syntax::span::{Loc, Span, Spanned};
use crate::tree::ir::{self, Field, KeyText, KeyType, Lookup, Schema, Table, ValueType};
use crate::tree::rows::{self, Builder, Rows};
use std::sync::Arc;

/// A pool, by module and item.
type PoolAt = (ModIdx, usize);

/// A table that was lowered.
#[derive(Clone, Debug)]
pub(crate) struct Made {
    /// The table.
    pub(crate) table: Arc<Table>,
    /// The pools of its declared set, in its order.
    pub(crate) pools: Vec<PoolAt>,
}

/// The values that a declaration allows: as they are written, with the pools that they are.
#[derive(Default)]
struct Among {
    texts: Vec<Arc<str>>,
    pools: Vec<PoolAt>,
}

impl<'a> Checker<'a> {
    /// A table by its item; `None` when something about it was reported.
    pub(super) fn table(&mut self, module: ModIdx, item: usize) -> Option<Made> {
        if let Some(known) = self.tables.get(&(module, item)) {
            return known.clone();
        }
        // A value cannot name the table that it stands in: only constants are values.
        self.tables.insert((module, item), None);
        let linked = self.linked;
        let ItemKind::Table(def) = &linked.item(module, item).kind else { return None };
        let made = self.make_table(module, def);
        self.tables.insert((module, item), made.clone());
        made
    }

    fn make_table(&mut self, module: ModIdx, def: &'a ast::Table) -> Option<Made> {
        let loc = self.loc(module, def.name.span);
        let env = Env::top(module);
        let rows: Vec<&ast::Stmt> = def.body.iter().flat_map(|body| &body.stmts).collect();
        let (key, value) = match &def.types {
            Some((key, Some(value))) => (Some(self.key_type(key, module)?), Some(self.value_type(value, module)?)),
            Some((key, None)) => (Some(self.key_type(key, module)?), None),
            None => (None, None),
        };
        let mut among = Among::default();
        let mut value = value;
        if let Some(list) = &def.among {
            let (ty, declared) = self.among(list, value, &env)?;
            value = Some(ty);
            among = declared;
        }
        match (&def.from, rows.is_empty()) {
            (Some(from), false) => {
                let first = rows.first().map_or(loc, |row| self.loc(module, row.span));
                self.report(lint::g1029::both(first, self.loc(module, from.span)));
                None
            }
            (None, true) => {
                self.report(lint::g1029::no_rows(loc, &def.name.node));
                None
            }
            (Some(from), true) => {
                // Where the keys' type stands alone, so do the keys.
                let other = if key.is_some() { ValueType::Nothing } else { ValueType::Text };
                let (key, value) = (key.unwrap_or(KeyType::Text), value.unwrap_or(other));
                if value == ValueType::Pool && def.among.is_none() {
                    self.report(lint::g1029::no_set(loc, &def.name.node, key.word(), self.some_pools(module)));
                    return None;
                }
                let schema = Schema { key, value, among: among.texts };
                let (from, rows) = self.rows_from(module, from, &schema)?;
                let table = Table::new(def.name.node.as_str().into(), schema, Some(from), loc, rows);
                Some(Made { table: Arc::new(table), pools: among.pools })
            }
            (None, false) => {
                let declared = def.among.is_some();
                let (schema, rows, pools) = self.rows_of(&rows, key, value, among, declared, &env)?;
                let table = Table::new(def.name.node.as_str().into(), schema, None, loc, rows);
                Some(Made { table: Arc::new(table), pools })
            }
        }
    }

    fn key_type(&mut self, written: &Ident, module: ModIdx) -> Option<KeyType> {
        let at = self.loc(module, written.span);
        match Ty::parse(&written.node) {
            Some((Ty::Text, _)) => Some(KeyType::Text),
            Some((Ty::Host, _)) => Some(KeyType::Host),
            Some((Ty::Path, _)) => Some(KeyType::Path),
            Some((Ty::Int, _)) => Some(KeyType::Int),
            Some((Ty::Ip | Ty::Cidr, _)) => Some(KeyType::Net),
            Some(_) => {
                self.report(lint::g1029::no_key_type(at, &written.node));
                None
            }
            None => self.no_type(written, at),
        }
    }

    fn value_type(&mut self, written: &Ident, module: ModIdx) -> Option<ValueType> {
        let at = self.loc(module, written.span);
        match Ty::parse(&written.node) {
            Some((ty, _)) => {
                let value = value_type_of(&ty);
                if value.is_none() {
                    self.report(lint::g1029::no_value_type(at, &written.node));
                }
                value
            }
            None => self.no_type(written, at),
        }
    }

    fn no_type<T>(&mut self, written: &Ident, at: Loc) -> Option<T> {
        self.report(lint::g1005::no_type(at, &written.node, nearest(&written.node, NAMES.iter().copied())));
        None
    }

    /// Names of pools that a module has, for help.
    fn some_pools(&self, module: ModIdx) -> Vec<String> {
        let m = &self.linked.modules[module];
        let pools = m.values.iter().filter(|(_, item)| matches!(m.parsed.ast.items[**item].kind, ItemKind::Pool(_)));
        pools.map(|(name, _)| name.clone()).take(3).collect()
    }

    /// `in [a, b]`
    fn among(&mut self, list: &Spanned<Expr>, want: Option<ValueType>, env: &Env) -> Option<(ValueType, Among)> {
        let Expr::List(items) = &list.node else {
            self.report(lint::g1005::in_takes_list(self.at(env, list.span), "something else"));
            return None;
        };
        let mut ty = want;
        let mut among = Among::default();
        let mut sound = true;
        for item in items {
            let (name, val) = self.row_value(item, ty, env);
            let at = self.at(env, item.span);
            match self.typed(&val, name.as_deref(), &mut ty, at) {
                Some(text) if among.texts.contains(&text) => self.report(lint::g1029::in_set_twice(at, &text)),
                Some(text) => {
                    among.texts.push(text);
                    if let Val::Pool(module, item) = val {
                        among.pools.push((module, item));
                    }
                }
                None => sound = false,
            }
        }
        if items.is_empty() {
            self.report(lint::g1029::empty_set(self.at(env, list.span)));
            return None;
        }
        sound.then_some((ty?, among))
    }

    /// A value of a row, and its name where it is written as one.
    fn row_value(&mut self, expr: &Spanned<Expr>, want: Option<ValueType>, env: &Env) -> (Option<String>, Val) {
        let ty = match want {
            Some(value) => type_of(value),
            // A bare name is a pool, unless it is nothing at all: then that is what is said.
            None => Ty::Pool,
        };
        let name = match &expr.node {
            Expr::Name(name) => Some(Self::name_text(name)),
            _ => None,
        };
        (name, self.eval(expr, env, Some(&ty)))
    }

    /// The text of a constant that fits a type; settles the type where it is open yet.
    fn typed(&mut self, val: &Val, name: Option<&str>, ty: &mut Option<ValueType>, at: Loc) -> Option<Arc<str>> {
        if val.is_opaque() {
            return None;
        }
        let found = val.ty().0;
        let want = match *ty {
            Some(want) => want,
            None => {
                let Some(own) = value_type_of(&found) else {
                    self.report(lint::g1029::no_value_type(at, &found.noun()));
                    return None;
                };
                *ty.insert(own)
            }
        };
        let text: Option<Arc<str>> = match (want, val) {
            (ValueType::Pool, Val::Pool(..)) => name.map(Into::into),
            (ValueType::Pool, _) | (_, Val::Pool(..)) => None,
            (ValueType::Int, Val::Int(_)) | (ValueType::Ip, Val::Ip(_)) => val.as_text(),
            (ValueType::Int | ValueType::Ip, _) => None,
            (_, val) if found.is_text() => val.as_text(),
            _ => None,
        };
        let Some(text) = text else {
            self.report(lint::g1005::wrong(at, "this table's values are", &plural(want), &found.noun()));
            return None;
        };
        match rows::check_value(want, &text) {
            Ok(text) => Some(text.as_ref().into()),
            Err(why) => {
                self.report(lint::g1029::row(at, &why));
                None
            }
        }
    }

    /// Rows in the block of a table.
    fn rows_of(
        &mut self,
        stmts: &[&'a ast::Stmt],
        key: Option<KeyType>,
        value: Option<ValueType>,
        among: Among,
        declared: bool,
        env: &Env,
    ) -> Option<(Schema, Rows, Vec<PoolAt>)> {
        let (mut key, mut value, mut among) = (key, value, among);
        let mut found: Vec<(String, Arc<str>, Loc)> = Vec::new();
        let mut sound = true;
        for stmt in stmts {
            let StmtKind::Row { key: word, value: expr } = &stmt.kind else {
                self.report(lint::g1029::no_row(self.at(env, stmt.span)));
                sound = false;
                continue;
            };
            let key_at = self.at(env, word.span);
            let text = self.row_key(word, &mut key, env);
            let (name, val) = self.row_value(expr, value, env);
            let at = self.at(env, expr.span);
            let written = self.typed(&val, name.as_deref(), &mut value, at);
            let (Some(text), Some(written)) = (text, written) else {
                sound = false;
                continue;
            };
            if !among.texts.contains(&written) {
                if declared {
                    self.report(lint::g1029::not_in_set(at, &written, &among.texts));
                    sound = false;
                    continue;
                }
                if let Val::Pool(module, item) = val {
                    among.texts.push(Arc::clone(&written));
                    among.pools.push((module, item));
                }
            }
            found.push((text, written, key_at));
        }
        let schema = Schema { key: key?, value: value?, among: among.texts };
        let mut builder = Builder::among(&schema.among);
        for (at, (key, value, _)) in found.iter().enumerate() {
            builder.push(key, value, u32::try_from(at + 1).unwrap_or(u32::MAX));
        }
        match builder.finish(schema.key) {
            Ok(rows) => sound.then_some((schema, rows, among.pools)),
            Err(twice) => {
                for twice in twice {
                    let (key, _, again) = &found[twice.again as usize];
                    self.report(lint::g1029::twice(*again, key, found[twice.first as usize].2));
                }
                None
            }
        }
    }

    /// The key of a row, as its type spells it.
    fn row_key(&mut self, word: &Spanned<Word>, ty: &mut Option<KeyType>, env: &Env) -> Option<String> {
        let at = self.at(env, word.span);
        let (own, text) = match &word.node {
            Word::Host(host) => {
                let host = self.host_pattern(env.module, &Spanned::new(host.clone(), word.span))?;
                (KeyType::Host, host.pattern.to_string())
            }
            Word::Value(Expr::Name(name)) if name.parts.len() > 1 || *ty == Some(KeyType::Host) => {
                (KeyType::Host, Self::name_text(name))
            }
            Word::Value(Expr::Name(name)) => {
                self.report(lint::g1029::bare_key(at, &Self::name_text(name)));
                return None;
            }
            Word::Value(expr) => {
                let val = self.eval(&Spanned::new(expr.clone(), word.span), env, None);
                let own = match &val {
                    Val::Text(_) | Val::Url(_) => KeyType::Text,
                    Val::Path(_) => KeyType::Path,
                    Val::Int(_) => KeyType::Int,
                    Val::Ip(_) | Val::Cidr(_) => KeyType::Net,
                    Val::Opaque(..) => return None,
                    other => {
                        let found = other.ty().0.noun();
                        self.report(lint::g1029::no_key_type(at, &found));
                        return None;
                    }
                };
                let text = match &val {
                    Val::Cidr(net) => net.to_string(),
                    other => other.as_text().map(|t| t.to_string()).unwrap_or_default(),
                };
                (own, text)
            }
            Word::Listen(_) | Word::Unix(_) | Word::Comma | Word::Equals | Word::When => {
                self.report(lint::g1029::no_row(at));
                return None;
            }
        };
        let want = *ty.get_or_insert(own);
        // In quotes a host, or a path, is one all the same.
        let fits = own == want || (own == KeyType::Text && matches!(want, KeyType::Host | KeyType::Path));
        if !fits {
            self.report(lint::g1029::other_key(at, &text, want.word()));
            return None;
        }
        match rows::check_key(want, &text) {
            Ok(text) => Some(text.into_owned()),
            Err(why) => {
                self.report(lint::g1029::row(at, &why));
                None
            }
        }
    }

    /// The rows of a file.
    fn rows_from(&mut self, module: ModIdx, from: &Spanned<String>, schema: &Schema) -> Option<(ir::From, Rows)> {
        let at = self.loc(module, from.span);
        let endings = if schema.value == ValueType::Nothing { rows::ENDINGS } else { rows::WITH_VALUES };
        if !rows::ends_in(&from.node, endings) {
            self.report(lint::g1029::other_file(at, &from.node, endings));
            return None;
        }
        let file = self.linked.modules[module].file;
        let data = match self.modules.data(file, &from.node) {
            Ok(data) => data,
            Err(why) => {
                self.report(lint::g1029::unreadable(at, &from.node, &why));
                return None;
            }
        };
        match crate::read_rows(schema, &data) {
            Ok(rows) => Some((ir::From { path: from.node.as_str().into(), file, data: data.file }, rows)),
            Err(wrong) => {
                for d in wrong {
                    self.report(d.label(at, "it is read here"));
                }
                None
            }
        }
    }

    /// The table that a look-up names: `tenants`, `data.tenants`.
    fn table_named(&mut self, name: &Ident, env: &Env) -> Option<Made> {
        let at = self.loc(env.module, name.span);
        // Each part at its own place: nothing but dots stands between them.
        let mut start = name.span.start as usize;
        let parts = name.node.split('.').map(|part| {
            let span = Span::new(start, start + part.len());
            start += part.len() + 1;
            Spanned::new(part.to_owned(), span)
        });
        let parts = parts.collect();
        match self.name(&ast::Name { parts }, name.span, env, None) {
            Val::Table(module, item) => self.table(module, item),
            Val::Opaque(..) => None,
            other => {
                self.report(lint::g1029::no_table(at, &name.node, &other.ty().0.noun()));
                None
            }
        }
    }

    /// `tenants[key]` as a value.
    pub(super) fn look_up(&mut self, table: &Ident, key: &Spanned<Expr>, env: &Env) -> Val {
        let made = self.table_named(table, env);
        let want = made.as_ref().map(|made| key_ty(made.table.schema.key));
        let val = self.eval(key, env, want.as_ref());
        let Some(made) = made else { return Val::unknown() };
        if self.has_no_values(&made.table, self.loc(env.module, table.span)) {
            return Val::unknown();
        }
        self.found(&made.table, &val, self.at(env, key.span))
    }

    /// Whether the rows of a table are keys alone, which is reported.
    fn has_no_values(&mut self, table: &Table, at: Loc) -> bool {
        let none = table.schema.value == ValueType::Nothing;
        if none {
            self.report(lint::g1029::no_values(at, &table.name, table.loc));
        }
        none
    }

    /// `tenants["acme"]`, whose quotes are read as part of a name.
    pub(super) fn look_up_text(&mut self, module: ModIdx, item: usize, key: &Val, at: Loc) -> Option<Val> {
        let made = self.table(module, item)?;
        (!self.has_no_values(&made.table, at)).then(|| self.found(&made.table, key, at))
    }

    /// Whether the keys of a table are what a list of this type holds: `list<cidr>` takes a table of networks.
    pub(super) fn is_list_of(&mut self, module: ModIdx, item: usize, ty: &Ty) -> bool {
        let Some(made) = self.table(module, item) else { return true };
        match made.table.schema.key {
            _ if *ty == Ty::Unknown => true,
            KeyType::Net => *ty == Ty::Cidr,
            KeyType::Text => *ty == Ty::Text,
            KeyType::Host => *ty == Ty::Host,
            KeyType::Path => *ty == Ty::Path,
            KeyType::Int => *ty == Ty::Int,
        }
    }

    /// The pools of a table that is a destination.
    pub(super) fn pools_of(&mut self, table: &Table) -> Vec<PoolAt> {
        let made = self.tables.values().flatten().find(|made| std::ptr::eq(&*made.table, table));
        made.map(|made| made.pools.clone()).unwrap_or_default()
    }

    /// `key in tenants`: the same as whether there is a value for it.
    pub(super) fn in_table(&mut self, module: ModIdx, item: usize, key: &Val, at: Loc) -> Option<Val> {
        let made = self.table(module, item)?;
        Some(self.found(&made.table, key, at))
    }

    fn found(&mut self, table: &Arc<Table>, key: &Val, at: Loc) -> Val {
        let ty = type_of(table.schema.value);
        let Some(parts) = self.key(table, key, at) else { return Val::Opaque(ty, true) };
        if parts.is_empty() {
            return Val::Absent(ty);
        }
        let lookup = Lookup { table: Arc::clone(table), key: parts };
        Val::Field { field: Field::Row(Arc::new(lookup)), ty, optional: true, with: With::default() }
    }

    /// The parts of a key; none where one of them is never there.
    fn key(&mut self, table: &Table, key: &Val, at: Loc) -> Option<Vec<KeyText>> {
        let want = table.schema.key;
        if key.is_opaque() {
            return None;
        }
        let (found, _) = key.ty();
        let fits = match want {
            KeyType::Text => found.is_text() || found == Ty::Int,
            KeyType::Host => matches!(found, Ty::Host | Ty::Text),
            KeyType::Path => matches!(found, Ty::Path | Ty::Text),
            KeyType::Int => found == Ty::Int,
            KeyType::Net => found == Ty::Ip,
        };
        if !fits {
            self.report(lint::g1029::key_of_other_type(
                at,
                &table.name,
                &key_ty(want).noun(),
                &found.noun(),
                table.loc,
            ));
            return None;
        }
        match key {
            Val::Absent(_) => Some(Vec::new()),
            Val::Field { field, with, .. } => Some(vec![self.key_field(field, *with, at)?]),
            Val::Template(_, parts) => {
                let mut out = Vec::new();
                for part in parts {
                    match part {
                        TplPart::Text(text) => out.push(KeyText::Text(text.as_str().into())),
                        TplPart::Hole(val, _) => match val.as_ref() {
                            Val::Field { field, with, .. } => out.push(self.key_field(field, *with, at)?),
                            _ => return Some(Vec::new()),
                        },
                    }
                }
                Some(out)
            }
            constant => {
                let text = constant.as_text().unwrap_or_default();
                match rows::check_key(want, &text) {
                    Ok(text) => Some(vec![KeyText::Text(text.as_ref().into())]),
                    Err(why) => {
                        self.report(lint::g1029::row(at, &why));
                        None
                    }
                }
            }
        }
    }

    /// A field in a key: what is looked up is what arrived, or that in lower case.
    fn key_field(&mut self, field: &Field, with: With, at: Loc) -> Option<KeyText> {
        if with.hash || with.local {
            self.report(lint::g1029::made_key(at));
            return None;
        }
        Some(KeyText::Field { field: field.clone(), lower: with.lower })
    }

    /// Every table that was read from a file.
    pub(super) fn tables_from_files(&self) -> Vec<Arc<Table>> {
        let made = self.tables.values().flatten().map(|made| &made.table).filter(|table| table.from.is_some());
        made.chain(self.lines.values().flatten()).map(Arc::clone).collect()
    }
}

fn value_type_of(ty: &Ty) -> Option<ValueType> {
    Some(match ty {
        Ty::Pool => ValueType::Pool,
        Ty::Text => ValueType::Text,
        Ty::Host => ValueType::Host,
        Ty::Path => ValueType::Path,
        Ty::Url => ValueType::Url,
        Ty::Int => ValueType::Int,
        Ty::Ip => ValueType::Ip,
        _ => return None,
    })
}

fn type_of(value: ValueType) -> Ty {
    match value {
        ValueType::Pool => Ty::Pool,
        ValueType::Text => Ty::Text,
        ValueType::Host => Ty::Host,
        ValueType::Path => Ty::Path,
        ValueType::Url => Ty::Url,
        ValueType::Int => Ty::Int,
        ValueType::Ip => Ty::Ip,
        // Nobody can look up in those.
        ValueType::Hash | ValueType::Owner => Ty::Text,
        // What is asked of it is whether it is there.
        ValueType::Nothing => Ty::Text,
    }
}

fn key_ty(key: KeyType) -> Ty {
    match key {
        KeyType::Text => Ty::Text,
        KeyType::Host => Ty::Host,
        KeyType::Path => Ty::Path,
        KeyType::Int => Ty::Int,
        KeyType::Net => Ty::Ip,
    }
}

fn plural(value: ValueType) -> String {
    match value {
        ValueType::Ip => "addresses".into(),
        ValueType::Hash => "hashed passwords".into(),
        ValueType::Owner => "owners of keys".into(),
        ValueType::Int => "numbers".into(),
        ValueType::Url => "URLs".into(),
        other => format!("{}s", other.word()),
    }
}
