//! What is known of a connection: the fields that its conditions and keys may read.

use super::Kind;
use crate::check::Checker;
use crate::check::route::Frame;
use crate::check::val::Val;
use crate::lint;
use crate::syntax::ast::{Expr, Operand};
use crate::syntax::span::{Loc, Span, Spanned};
use crate::tree::ir::{Cond, Field};
use crate::tree::l4::{Key, KeyPart};

/// Heads of names that HTTP or TLS is read by.
const READ: &[&str] = &["header", "cookie", "query", "request", "method", "host", "tls"];

impl<'a> Checker<'a> {
    /// A condition of connections: it reads what is known of one.
    pub(super) fn l4_cond(&mut self, kind: Kind, e: &Spanned<Expr>, frame: &Frame, stmt: Loc) -> Cond {
        let cond = self.cond(e, &frame.env);
        let mut read = Vec::new();
        fields(&cond, &mut read);
        let Some(field) = read.into_iter().find(|f| !known(kind, f)) else { return cond };
        match &frame.used {
            Some((name, at)) => self.report(lint::g7002::in_policy(*at, name, &field, kind, stmt)),
            None => {
                let at = named(e, &field).unwrap_or(e.span);
                self.report(lint::g7002::unread(self.at(&frame.env, at), &field, kind));
            }
        }
        Cond::Const(true)
    }

    /// A key of connections.
    pub(super) fn l4_key(&mut self, kind: Kind, operand: &Operand, frame: &Frame) -> Option<Key> {
        if operand.if_missing.is_some() {
            let loc = self.at(&frame.env, operand.value.span);
            self.report(lint::g1024::shape(loc, "a key of connections", "no `if missing`: it is always there"));
            return None;
        }
        self.key_of(kind, &operand.value, frame)
    }

    /// A key of connections, from its expression.
    pub(super) fn key_of(&mut self, kind: Kind, e: &Spanned<Expr>, frame: &Frame) -> Option<Key> {
        let mut parts = Vec::new();
        let mut sound = true;
        let items: Vec<&Spanned<Expr>> = match &e.node {
            Expr::List(items) => items.iter().collect(),
            _ => vec![e],
        };
        for item in items {
            let loc = self.at(&frame.env, item.span);
            if let Expr::Name(name) = &item.node
                && Self::name_text(name) == "connection"
                && frame.env.local("connection").is_none()
            {
                parts.push(KeyPart::Connection);
                continue;
            }
            let val = self.eval(item, &frame.env, None);
            sound &= self.key_parts(kind, &val, frame, loc, &mut parts);
        }
        let mut out: Vec<KeyPart> = Vec::new();
        for part in parts {
            if !out.contains(&part) {
                out.push(part);
            }
        }
        (sound && !out.is_empty()).then_some(Key(out))
    }

    fn key_parts(&mut self, kind: Kind, val: &Val, frame: &Frame, loc: Loc, out: &mut Vec<KeyPart>) -> bool {
        match val {
            Val::List(items) => items.iter().all(|(item, _)| self.key_parts(kind, item, frame, loc, out)),
            Val::Field { field, .. } => {
                let part = match field {
                    Field::ClientIp => KeyPart::ClientIp,
                    Field::ClientPort => KeyPart::ClientPort,
                    Field::TlsSni if known(kind, field) => KeyPart::Sni,
                    _ => {
                        match &frame.used {
                            Some((name, at)) => self.report(lint::g7002::in_policy(*at, name, field, kind, loc)),
                            None => self.report(lint::g7002::unread(loc, field, kind)),
                        }
                        return false;
                    }
                };
                out.push(part);
                true
            }
            Val::Opaque(..) => false,
            _ => {
                let known = "`client.ip`, `client.port`, `connection`, `tls.sni`, or a list of them";
                self.report(lint::g1024::shape(loc, "a key of connections", known));
                false
            }
        }
    }
}

/// Whether a field is known of connections of this kind.
fn known(kind: Kind, field: &Field) -> bool {
    match field {
        Field::ClientIp | Field::ClientPort => true,
        Field::TlsSni => matches!(kind, Kind::Passthrough | Kind::TcpTls),
        Field::TlsAlpn => kind == Kind::Passthrough,
        _ => false,
    }
}

/// The fields that a condition reads.
pub(crate) fn fields(cond: &Cond, out: &mut Vec<Field>) {
    match cond {
        Cond::Const(_) => {}
        Cond::Test(field, _) => out.push(field.clone()),
        Cond::Relate(left, _, right) => out.extend(left.fields().chain(right.fields()).cloned()),
        Cond::Not(inner) => fields(inner, out),
        Cond::And(all) | Cond::Or(all) => all.iter().for_each(|c| fields(c, out)),
    }
}

/// Where an expression names a field; `None` where it does so by another name.
fn named(e: &Spanned<Expr>, field: &Field) -> Option<Span> {
    match &e.node {
        Expr::And(all) | Expr::Or(all) | Expr::List(all) => all.iter().find_map(|e| named(e, field)),
        Expr::Not(inner) | Expr::Paren(inner) => named(inner, field),
        Expr::Compare { left, right, .. } => named(left, field).or_else(|| named(right, field)),
        Expr::Call { args, .. } => args.iter().find_map(|arg| named(&arg.value, field)),
        Expr::Name(name) if READ.contains(&name.parts[0].node.as_str()) => {
            let text = Checker::name_text(name);
            let same = text == field.to_string() || (text == "method" && *field == Field::Method);
            same.then_some(e.span)
        }
        _ => None,
    }
}
