//! `set`, `add` and `remove`; and `limit`, whose key is checked though its effect comes later.

use super::Checker;
use super::cond::{and, not};
use super::route::{Chain, Frame, ScopeAcc, Tagged};
use super::site::{KeyUse, SiteBuild};
use super::template::{Made, Place, all_present};
use crate::lint;
use crate::syntax::ast::{HeaderOp, HeaderStmt, IfMissing, Limit, Operand, Side};
use crate::syntax::span::Loc;
use crate::tree::ir::{Cond, Field, Part, Step, Value};
use std::sync::Arc;

/// Headers that frame the message: they are the gateway's.
const FRAMING: &[&str] = &[
    "connection",
    "content-length",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

impl<'a> Checker<'a> {
    /// `set|add|remove request|response header NAME = VALUE`
    pub(super) fn header(
        &mut self,
        chain: &mut Chain,
        frame: &Frame,
        acc: &mut ScopeAcc<'a>,
        h: &HeaderStmt,
        loc: Loc,
    ) {
        let at = self.at(&frame.env, h.name.span);
        let lower = h.name.node.to_ascii_lowercase();
        let token =
            !lower.is_empty() && lower.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b));
        if !token {
            self.report(lint::g1028::no_header(at, &h.name.node));
            return;
        }
        if FRAMING.contains(&lower.as_str()) {
            self.report(lint::g1028::framing(at, &lower));
            return;
        }
        if lower == "host" && h.side.node == Side::Request {
            self.report(lint::g1028::host(at));
            return;
        }
        let name: Arc<str> = lower.as_str().into();
        let known: Vec<Field> = chain.known.iter().map(|k| k.node.clone()).collect();
        match (&h.value, h.op) {
            (None, HeaderOp::Remove) => {
                self.protect(chain, frame, acc, "remove", format!("remove {:?} {lower}", h.side.node), loc);
                self.push_header(chain, frame, h, &name, Value::default(), Cond::Const(true), loc);
            }
            (Some(operand), HeaderOp::Set | HeaderOp::Add) => {
                let made = self.operand(operand, Place::Header, &frame.env, &known);
                self.push_made(chain, frame, h, &name, made, Cond::Const(true), loc);
            }
            (None, HeaderOp::Set | HeaderOp::Add) | (Some(_), HeaderOp::Remove) => {
                self.report(lint::g1028::shape(loc));
            }
        }
        if h.side.node == Side::Request {
            chain.edited.push((name, loc));
        }
    }

    #[expect(clippy::too_many_arguments, reason = "the parts of one step and where it stands")]
    fn push_made(
        &mut self,
        chain: &mut Chain,
        frame: &Frame,
        h: &HeaderStmt,
        name: &Arc<str>,
        made: Made,
        when: Cond,
        loc: Loc,
    ) {
        match made {
            Made::Value(value) => self.push_header(chain, frame, h, name, value, when, loc),
            Made::Either { needs, value, otherwise } => {
                let there = all_present(&needs);
                self.push_header(chain, frame, h, name, value, and(vec![when.clone(), there.clone()]), loc);
                self.push_made(chain, frame, h, name, *otherwise, and(vec![when, not(there)]), loc);
            }
            Made::Answer(answer) => {
                let cond = not(and(vec![frame.when.clone(), when]));
                let step = Step::Require { cond, otherwise: answer, loc };
                chain.steps.push(Tagged { node: step, tags: frame.tags.clone() });
            }
            Made::Broken => {}
        }
    }

    #[expect(clippy::too_many_arguments, reason = "the parts of one step and where it stands")]
    fn push_header(
        &mut self,
        chain: &mut Chain,
        frame: &Frame,
        h: &HeaderStmt,
        name: &Arc<str>,
        value: Value,
        when: Cond,
        loc: Loc,
    ) {
        let when = and(vec![frame.when.clone(), when]);
        let step = Step::Header { op: h.op, side: h.side.node, name: Arc::clone(name), value, when, loc };
        chain.steps.push(Tagged { node: step, tags: frame.tags.clone() });
    }

    /// `limit …`: refused, and all the same it protects its block and its key is checked.
    pub(super) fn limit(
        &mut self,
        b: &mut SiteBuild,
        chain: &mut Chain,
        frame: &Frame,
        acc: &mut ScopeAcc<'a>,
        limit: &Limit,
        loc: Loc,
    ) {
        let known: Vec<Field> = chain.known.iter().map(|k| k.node.clone()).collect();
        if let Some(per) = &limit.per {
            let made = self.operand(per, Place::Key, &frame.env, &known);
            let mut fields = Vec::new();
            fields_of(&made, &mut fields);
            if fields.is_empty() {
                // A key that may be missing was reported, and is still a key.
                let val = self.eval(&per.value, &frame.env, None);
                if let super::val::Val::Field { field, .. } = val {
                    fields.push(field);
                }
            }
            b.info.keys.push(KeyUse { fields, loc: self.at(&frame.env, last_value(per)) });
        }
        let key = match self.text.get(loc.span.range()) {
            Some(text) if loc.file == self.linked.modules[0].file => text.to_owned(),
            _ => format!("{loc:?}"),
        };
        self.protect(chain, frame, acc, "limit", key, loc);
        // A policy for connections says it with effect; where requests pass it, that is refused.
        if !self.alone {
            self.unsupported("limit", loc);
        }
    }
}

fn last_value(op: &Operand) -> crate::syntax::span::Span {
    match &op.if_missing {
        Some(IfMissing::Value(_) | IfMissing::Answer(_)) | None => op.value.span,
    }
}

/// The fields that a key is made of.
fn fields_of(made: &Made, out: &mut Vec<Field>) {
    match made {
        Made::Value(value) => fields_in(value, out),
        Made::Either { value, otherwise, .. } => {
            fields_in(value, out);
            fields_of(otherwise, out);
        }
        Made::Answer(_) | Made::Broken => {}
    }
}

fn fields_in(value: &Value, out: &mut Vec<Field>) {
    for part in &value.parts {
        if let Part::Hole { field, if_missing, .. } = part {
            out.push(field.clone());
            if let Some(missing) = if_missing
                && let crate::tree::ir::Missing::Value(next) = missing.as_ref()
            {
                fields_in(next, out);
            }
        }
    }
}
