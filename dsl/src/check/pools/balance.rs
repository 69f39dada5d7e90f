//! `balance …`: how a pool chooses among its endpoints.

use super::words::{begins, name};
use crate::check::template::source_name;
use crate::check::val::{TplPart, Val};
use crate::check::{Checker, Env};
use crate::lint;
use crate::resolve::nearest;
use crate::syntax::ast::{Expr, Word};
use crate::syntax::span::{Loc, Spanned};
use crate::tree::ir::{Balance, Field, HashKey, HashPart, Pool};
use crate::tree::l4::{Key, KeyPart};
use std::sync::Arc;

/// The words after `balance`.
const KNOWN: &[&str] =
    &["round-robin", "random", "least-connections", "least-requests", "peak-ewma", "hash KEY", "maglev KEY"];

/// What a key is made of.
enum Piece {
    /// `connection`
    Connection(Loc),
    /// A value of the request.
    Field { field: Field, optional: bool, loc: Loc },
    /// A constant.
    Text(Arc<str>),
}

impl<'a> Checker<'a> {
    /// `balance hash client.ip`
    pub(super) fn balance(&mut self, words: &[Spanned<Word>], env: &Env, at: Loc, out: &mut Pool) {
        let word = words.first().and_then(|w| name(&w.node));
        let alone = words.len() == 1;
        match word.as_deref() {
            Some("round-robin") if alone => out.balance = Balance::RoundRobin,
            Some("random") if alone => out.balance = Balance::Random,
            Some("least-connections") if alone => out.balance = Balance::LeastConnections,
            Some("least-requests") if alone => out.balance = Balance::LeastRequests,
            Some("peak-ewma") if alone => out.balance = Balance::PeakEwma,
            Some("hash") => {
                if let Some(key) = self.hash_key("hash", &words[1..], env, at) {
                    out.balance = Balance::Hash(key);
                }
            }
            Some("maglev") => {
                if let Some(key) = self.hash_key("maglev", &words[1..], env, at) {
                    out.balance = Balance::Maglev(key);
                }
            }
            other => {
                let known =
                    ["round-robin", "random", "least-connections", "least-requests", "peak-ewma", "hash", "maglev"];
                let near = other.and_then(|o| nearest(o, known)).filter(|near| Some(*near) != other);
                self.report(lint::g1024::one_of(at, "balance", KNOWN, near));
            }
        }
    }

    /// `client.ip`, `header.x-user if missing client.ip`, `[cookie.uid, request.path] if missing "none"`
    fn hash_key(&mut self, form: &str, words: &[Spanned<Word>], env: &Env, at: Loc) -> Option<HashKey> {
        let Some((Spanned { node: Word::Value(expr), span }, mut rest)) = words.split_first() else {
            self.report(lint::g1024::shape(at, &format!("balance {form}"), "a key, as in `client.ip`"));
            return None;
        };
        let key = Spanned::new(expr.clone(), *span);
        let mut pieces = Vec::new();
        let mut sound = true;
        let items: Vec<&Spanned<Expr>> = match &key.node {
            Expr::List(items) => items.iter().collect(),
            _ => vec![&key],
        };
        for item in items {
            sound &= self.key_pieces(item, env, &mut pieces);
        }
        let (mut instead, mut otherwise): (Vec<Field>, Option<Arc<str>>) = (Vec::new(), None);
        let mut optional = true;
        while !rest.is_empty() {
            let loc = self.at(env, rest[0].span);
            if !begins(rest, &["if", "missing"]) {
                self.report(lint::g1024::shape(loc, "a key", "one value or one list, and `if missing` behind it"));
                return None;
            }
            let Some(Spanned { node: Word::Value(expr), span }) = rest.get(2) else {
                self.report(lint::g1024::shape(loc, "if missing", "another value, as in `if missing client.ip`"));
                return None;
            };
            let value_at = self.at(env, *span);
            if matches!(name(&rest[2].node).as_deref(), Some("deny" | "respond" | "redirect")) {
                self.report(lint::g1022::pool_answers(value_at));
                return None;
            }
            let mut found = Vec::new();
            if !self.key_pieces(&Spanned::new(expr.clone(), *span), env, &mut found) {
                return None;
            }
            match found.as_slice() {
                [Piece::Field { field, optional: may, .. }] => {
                    instead.push(field.clone());
                    optional = *may;
                }
                [Piece::Text(text)] => {
                    otherwise = Some(Arc::clone(text));
                    optional = false;
                }
                _ => {
                    self.report(lint::g1024::shape(value_at, "if missing", "one value of the request or a text"));
                    return None;
                }
            }
            rest = &rest[3..];
            if !optional && !rest.is_empty() {
                let loc = self.at(env, rest[0].span);
                self.report(lint::g1024::range(loc, "what stands before this is never missing"));
                return None;
            }
        }
        if !sound {
            return None;
        }
        self.made_key(form, &key, pieces, instead, otherwise, optional, env)
    }

    #[expect(clippy::too_many_arguments, reason = "the parts of one key")]
    fn made_key(
        &mut self,
        form: &str,
        key: &Spanned<Expr>,
        pieces: Vec<Piece>,
        instead: Vec<Field>,
        otherwise: Option<Arc<str>>,
        can_miss: bool,
        env: &Env,
    ) -> Option<HashKey> {
        let at = self.at(env, key.span);
        if !pieces.iter().any(|p| matches!(p, Piece::Connection(_) | Piece::Field { .. })) {
            let what = format!("balance {form}");
            let known = "a key that tells clients apart: `client.ip`, `connection`, `header.x if missing client.ip`, or a list of such";
            self.report(lint::g1024::shape(at, &what, known));
            return None;
        }
        let settled = !instead.is_empty() || otherwise.is_some();
        let missing = pieces.iter().any(|p| matches!(p, Piece::Field { optional: true, .. }));
        if !(settled && missing)
            && let Some(parts) = pieces.iter().map(of_connections).collect::<Option<Vec<_>>>()
        {
            let mut out: Vec<KeyPart> = Vec::new();
            for part in parts {
                if !out.contains(&part) {
                    out.push(part);
                }
            }
            return Some(HashKey::Connection(Key(out)));
        }
        let mut parts: Vec<HashPart> = Vec::new();
        for piece in pieces {
            let part = match piece {
                Piece::Connection(loc) => {
                    let rule = "`connection` stands with `client.ip`, `client.port` and `tls.sni` only";
                    self.report(lint::g1024::range(loc, rule));
                    return None;
                }
                Piece::Text(text) => HashPart { fields: Vec::new(), otherwise: text },
                Piece::Field { field, optional: false, .. } => HashPart { fields: vec![field], otherwise: "".into() },
                Piece::Field { field, loc, .. } if can_miss => {
                    let own = loc.file == self.linked.modules[0].file;
                    let written = self.text.get(at.span.range()).filter(|_| own).map(str::to_owned);
                    let name = source_name(&field);
                    let d = lint::g1012::pool_key(loc, at, &name, &written.unwrap_or_else(|| name.clone()));
                    self.report(d);
                    return None;
                }
                Piece::Field { field, .. } => {
                    let fields = std::iter::once(field).chain(instead.iter().cloned()).collect();
                    HashPart { fields, otherwise: otherwise.clone().unwrap_or_else(|| "".into()) }
                }
            };
            if !parts.contains(&part) {
                parts.push(part);
            }
        }
        Some(HashKey::Request(parts))
    }

    /// What a value is as a part of a key.
    fn key_pieces(&mut self, item: &Spanned<Expr>, env: &Env, out: &mut Vec<Piece>) -> bool {
        let loc = self.at(env, item.span);
        if let Expr::Name(name) = &item.node
            && env.local(&Self::name_text(name)).is_none()
        {
            match Self::name_text(name).as_str() {
                "connection" => {
                    out.push(Piece::Connection(loc));
                    return true;
                }
                "path" | "uri" | "query-string" => {
                    let whole = format!("request.{}", Self::name_text(name));
                    self.report(lint::g1003::unknown_name(loc, &Self::name_text(name), Some(&whole)));
                    return false;
                }
                _ => {}
            }
        }
        let val = self.eval(item, env, None);
        self.pieces_of(&val, loc, out)
    }

    fn pieces_of(&mut self, val: &Val, loc: Loc, out: &mut Vec<Piece>) -> bool {
        match val {
            Val::List(items) => items.iter().all(|(item, at)| self.pieces_of(item, *at, out)),
            Val::Field { with, .. } if !with.nothing() => {
                self.report(lint::g1024::range(
                    loc,
                    "a key of a pool takes values as they arrive: functions have no place in it",
                ));
                false
            }
            Val::Field { field: Field::Call(..) | Field::Claim(..), .. } => {
                self.report(lint::g1024::range(
                    loc,
                    "a key of a pool reads the request itself: a token is a thing of its site",
                ));
                false
            }
            Val::Field { field: Field::Body(..), .. } => {
                self.report(lint::g1024::range(
                    loc,
                    "a key of a pool reads the head of a request: its body is sent on, not looked at, here",
                ));
                false
            }
            Val::Field { field, optional, .. } => {
                out.push(Piece::Field { field: field.clone(), optional: *optional, loc });
                true
            }
            Val::Template(_, parts) => parts.iter().all(|part| match part {
                TplPart::Text(text) => {
                    out.push(Piece::Text(text.as_str().into()));
                    true
                }
                TplPart::Hole(val, at) => self.pieces_of(val, *at, out),
            }),
            Val::Opaque(..) => false,
            other => match other.as_text() {
                Some(text) => {
                    out.push(Piece::Text(text));
                    true
                }
                None => {
                    let found = other.ty().0.noun();
                    self.report(lint::g1005::wrong(loc, "a key takes", "values of a request", &found));
                    false
                }
            },
        }
    }
}

/// A piece that connections have too.
fn of_connections(piece: &Piece) -> Option<KeyPart> {
    match piece {
        Piece::Connection(_) => Some(KeyPart::Connection),
        Piece::Field { field: Field::ClientIp, .. } => Some(KeyPart::ClientIp),
        Piece::Field { field: Field::ClientPort, .. } => Some(KeyPart::ClientPort),
        Piece::Field { field: Field::TlsSni, .. } => Some(KeyPart::Sni),
        Piece::Field { .. } | Piece::Text(_) => None,
    }
}
