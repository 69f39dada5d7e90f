//! What names were found to mean, kept for editors: hover, definitions, references, completion.

use super::ty::Ty;
use super::val::Val;
use super::{Checker, Env, LocalKind};
use crate::resolve::ModIdx;
use crate::syntax::ast::{Arg, Ident, Name, Param};
use crate::syntax::span::{FileId, Loc, Spanned};
use crate::tree::ir;

/// What a written name means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Means {
    /// What is declared there: by an item, a `let`, a parameter or a capture.
    Declared(Loc),
    /// A module, by the name that it is imported under.
    Module(FileId),
    /// A part of the language: `client.ip`, `header.x`.
    Builtin(String),
    /// A path pattern, captures without their names.
    Path(ir::PathPattern),
    /// A host pattern, captures without their names.
    Host(ir::HostPattern),
}

impl Means {
    /// A path or host that a pattern takes.
    pub fn example(&self) -> Option<String> {
        match self {
            Self::Path(pattern) => crate::region::Algebra::paths().path_example(pattern).ok().flatten(),
            Self::Host(pattern) => crate::region::Algebra::hosts().host_example(pattern).ok().flatten(),
            Self::Declared(_) | Self::Module(_) | Self::Builtin(_) => None,
        }
    }
}

/// A written name, and what it means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Where it is written.
    pub at: Loc,
    /// What it means there.
    pub means: Means,
    /// Its type as the language writes it (`text?`), where it has one.
    pub ty: Option<String>,
}

/// A name that is visible in a block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Visible {
    /// The name.
    pub name: String,
    /// `capture`, `let` or `parameter`.
    pub kind: &'static str,
    /// Its type.
    pub ty: Option<String>,
    /// Where it is declared.
    pub loc: Loc,
}

/// What the check of a file found out about its names.
#[derive(Clone, Debug, Default)]
pub struct Names {
    /// Names, each place once, in the order they were looked at.
    pub seen: Vec<Seen>,
    /// Blocks, and what is visible in them beside the items of the file.
    pub scopes: Vec<(Loc, Vec<Visible>)>,
    /// The modules that it imports, by the name they are known by in it.
    pub imports: Vec<(String, FileId)>,
}

/// A type as it is written; `None` where nothing is known of it.
pub(super) fn written(val: &Val) -> Option<String> {
    let (ty, optional) = val.ty();
    type_text(&ty).map(|text| if optional { format!("{text}?") } else { text })
}

fn type_text(ty: &Ty) -> Option<String> {
    Some(match ty {
        Ty::Text => "text".into(),
        Ty::Path => "path".into(),
        Ty::Host => "host".into(),
        Ty::Url => "url".into(),
        Ty::Int => "int".into(),
        Ty::Bool => "bool".into(),
        Ty::Duration => "duration".into(),
        Ty::Size => "size".into(),
        Ty::Rate => "rate".into(),
        Ty::Percent => "percent".into(),
        Ty::Ip => "ip".into(),
        Ty::Cidr => "cidr".into(),
        Ty::Method => "method".into(),
        Ty::Status => "status".into(),
        Ty::Pool => "pool".into(),
        Ty::Provider => "provider".into(),
        Ty::Secret => "secret".into(),
        Ty::File => "file".into(),
        Ty::Claims => "claims".into(),
        Ty::Table => "table".into(),
        Ty::List(inner) => type_text(inner).map_or_else(|| "list".into(), |inner| format!("list<{inner}>")),
        Ty::Unknown => return None,
    })
}

impl<'a> Checker<'a> {
    /// Keeps what a name means, where somebody wants to know.
    pub(super) fn saw(&mut self, at: Loc, means: Means, val: Option<&Val>) {
        if let Some(names) = &mut self.names {
            names.seen.push(Seen { at, means, ty: val.and_then(written) });
        }
    }

    /// An item by its name, or `module.name`.
    pub(super) fn saw_item(&mut self, parts: &[Ident], from: ModIdx, module: ModIdx, item: usize, val: Option<&Val>) {
        if self.names.is_none() {
            return;
        }
        let Some(name) = crate::resolve::item_name(self.linked.item(module, item)) else { return };
        let declared = self.loc(module, name.span);
        let mut parts = parts.iter();
        if let (true, Some(alias)) = (parts.len() > 1, parts.as_slice().first())
            && let Some(&other) = self.linked.modules[from].imports.get(&alias.node)
        {
            let file = self.linked.modules[other].file;
            self.saw(self.loc(from, alias.span), Means::Module(file), None);
            parts.next();
        }
        if let Some(own) = parts.next() {
            self.saw(self.loc(from, own.span), Means::Declared(declared), val);
        }
    }

    /// A policy that `without` names.
    pub(super) fn saw_policy(&mut self, name: &Spanned<Name>, from: ModIdx) {
        if self.names.is_none() {
            return;
        }
        let modules = &self.linked.modules;
        let found = match name.node.parts.as_slice() {
            [own] => modules[from].policies.get(&own.node).map(|item| (from, *item)),
            [alias, own] => modules[from]
                .imports
                .get(&alias.node)
                .and_then(|module| Some((*module, *modules[*module].policies.get(&own.node)?))),
            _ => None,
        };
        if let Some((module, item)) = found {
            self.saw_item(&name.node.parts, from, module, item, None);
        }
    }

    /// Arguments by name: the parameters that they are for.
    pub(super) fn saw_args(&mut self, args: &[Arg], env: &Env, params: &[Param], module: ModIdx) {
        if self.names.is_none() {
            return;
        }
        for name in args.iter().filter_map(|arg| arg.name.as_ref()) {
            if let Some(param) = params.iter().find(|p| p.name.node == name.node) {
                let declared = self.loc(module, param.name.span);
                self.saw(self.loc(env.module, name.span), Means::Declared(declared), None);
            }
        }
    }

    pub(super) fn saw_path(&mut self, at: Loc, pattern: &ir::PathPattern) {
        if self.names.is_some() {
            self.saw(at, Means::Path(pattern.clone()), None);
        }
    }

    pub(super) fn saw_host(&mut self, at: Loc, pattern: &ir::HostPattern) {
        if self.names.is_some() {
            self.saw(at, Means::Host(pattern.clone()), None);
        }
    }

    /// A block, with what is visible in it.
    pub(super) fn saw_block(&mut self, braces: Loc, env: &Env) {
        let Some(names) = &mut self.names else { return };
        let mut visible: Vec<Visible> = env
            .locals
            .iter()
            .map(|local| Visible {
                name: local.name.clone(),
                kind: match local.kind {
                    LocalKind::Capture => "capture",
                    LocalKind::Let => "let",
                    LocalKind::Param => "parameter",
                },
                ty: written(&local.val),
                loc: local.loc,
            })
            .collect();
        visible.extend(env.functions.iter().map(|(f, loc)| Visible {
            name: f.name.node.clone(),
            kind: "let",
            ty: None,
            loc: *loc,
        }));
        names.scopes.push((braces, visible));
    }
}
