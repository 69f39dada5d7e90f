//! `set`, `add` and `remove`.

use super::Checker;
use super::cond::{and, not};
use super::route::{Chain, Frame, ScopeAcc, Tagged};
use super::template::{Made, Place, all_present};
use crate::lint;
use crate::syntax::ast::{HeaderOp, HeaderStmt, Side};
use crate::syntax::span::Loc;
use crate::tree::ir::{Cond, Field, HeaderEdit, Part, Step, Value};
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
        let Some(name) = self.editable_header(&h.name.node, h.side.node, at) else { return };
        let lower = &name;
        let known: Vec<Field> = chain.known.iter().map(|k| k.node.clone()).collect();
        match (&h.value, h.op) {
            (None, HeaderOp::Remove) => {
                self.protect(chain, frame, acc, "remove", format!("remove {:?} {lower}", h.side.node), loc);
                self.push_header(chain, frame, h, &name, Value::default(), Cond::Const(true), loc);
            }
            (Some(operand), HeaderOp::Set | HeaderOp::Add) => {
                let made = self.operand(operand, Place::Header, &frame.env, &known);
                let value = self.at(&frame.env, operand.value.span);
                self.sends_credential(&name, &made, value);
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

    /// Says where a header is set to what looks like a credential.
    fn sends_credential(&mut self, name: &str, made: &Made, loc: Loc) {
        let Made::Value(value) = made else { return };
        let text = |part: &Part| match part {
            Part::Text(text) => lint::g3016::sent(name, text, loc),
            Part::Hole { .. } => None,
        };
        if let Some(d) = value.parts.iter().find_map(text) {
            self.report(d);
        }
    }

    /// A header that may be edited, in lower case.
    pub(super) fn editable_header(&mut self, written: &str, side: Side, at: Loc) -> Option<Arc<str>> {
        let lower = written.to_ascii_lowercase();
        let token =
            !lower.is_empty() && lower.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b));
        if !token {
            self.report(lint::g1028::no_header(at, written));
            return None;
        }
        if FRAMING.contains(&lower.as_str()) {
            self.report(lint::g1028::framing(at, &lower));
            return None;
        }
        if lower == "host" && side == Side::Request {
            self.report(lint::g1028::host(at));
            return None;
        }
        Some(lower.into())
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
        let (op, side, name) = (h.op, h.side.node, Arc::clone(name));
        let step = Step::Header(Arc::new(HeaderEdit { op, side, name, value, when, loc }));
        chain.steps.push(Tagged { node: step, tags: frame.tags.clone() });
    }
}
