//! Expressions and values.

use super::{Builder, literal, need, only};
use crate::syntax::ast::{Arg, CmpOp, Expr, Ident, IfMissing, Name, Operand, Param, TemplatePart};
use crate::syntax::grammar::{Pair, Rule};
use crate::syntax::span::Spanned;

/// `not not not …` would nest without a bracket to count.
const MAX_NOT: usize = 8;

impl Builder {
    pub(super) fn expr(&mut self, pair: Pair<'_>) -> Spanned<Expr> {
        let span = self.span(&pair);
        let mut pairs = pair.into_inner();
        let first = self.term(need(&mut pairs));
        let Some(joint) = pairs.next() else { return first };
        let mut terms = vec![first];
        let either = joint.as_rule() == Rule::k_or;
        for pair in pairs {
            if pair.as_rule() == Rule::term {
                terms.push(self.term(pair));
            }
        }
        Spanned::new(if either { Expr::Or(terms) } else { Expr::And(terms) }, span)
    }

    fn term(&mut self, pair: Pair<'_>) -> Spanned<Expr> {
        let whole = self.span(&pair);
        let mut nots = Vec::new();
        let mut pairs = pair.into_inner();
        let mut next = need(&mut pairs);
        while next.as_rule() == Rule::k_not {
            nots.push(self.span(&next));
            next = need(&mut pairs);
        }
        let left = self.value(next);
        let mut expr = match pairs.next() {
            None => left,
            Some(op) => {
                let span = left.span.to(whole);
                let (op, right) = self.comparison(op, need(&mut pairs));
                Spanned::new(Expr::Compare { left: Box::new(left), op, right: Box::new(right) }, span)
            }
        };
        if nots.len() > MAX_NOT {
            self.error(whole, format!("`not` stands {} times in a row; {MAX_NOT} are allowed", nots.len()));
            return expr;
        }
        for not in nots.iter().rev() {
            let span = not.to(expr.span);
            expr = Spanned::new(Expr::Not(Box::new(expr)), span);
        }
        expr
    }

    fn comparison(&mut self, op: Pair<'_>, right: Pair<'_>) -> (Spanned<CmpOp>, Spanned<Expr>) {
        if op.as_rule() == Rule::k_matches {
            let regex = self.spanned(Expr::Regex(only(right.clone()).as_str().to_owned()), &right);
            return (self.spanned(CmpOp::Matches, &op), regex);
        }
        let kind = match (&op.as_str()[..1], op.as_str()) {
            ("i", "is") => CmpOp::Is,
            ("i", "in") => CmpOp::In,
            ("i", _) => CmpOp::IsNot,
            ("n", _) => CmpOp::NotIn,
            ("h", _) => CmpOp::Has,
            ("s", _) => CmpOp::StartsWith,
            ("e", _) => CmpOp::EndsWith,
            ("<", "<") => CmpOp::Lt,
            ("<", _) => CmpOp::Le,
            (_, ">") => CmpOp::Gt,
            _ => CmpOp::Ge,
        };
        (self.spanned(kind, &op), self.value(right))
    }

    /// The rule `value`.
    pub(super) fn value(&mut self, pair: Pair<'_>) -> Spanned<Expr> {
        self.form(only(pair))
    }

    /// One of the forms of a value.
    pub(super) fn form(&mut self, pair: Pair<'_>) -> Spanned<Expr> {
        let span = self.span(&pair);
        let node = match pair.as_rule() {
            Rule::string => Expr::Text(self.template(pair).node),
            Rule::literal => self.literal(pair.as_str(), span),
            Rule::v6 => match literal::address(pair.as_str()) {
                Ok(expr) => expr,
                Err(wrong) => {
                    self.wrong(span, wrong);
                    Expr::Number("0".to_owned())
                }
            },
            Rule::url => Expr::Url(self.template(pair).node),
            Rule::path => Expr::Path(self.template(pair).node),
            Rule::request => {
                let mut pairs = pair.into_inner();
                let method = self.ident(&need(&mut pairs));
                Expr::Request { method, path: self.template(need(&mut pairs)).node }
            }
            Rule::list => {
                let values = pair.into_inner().filter(|part| part.as_rule() == Rule::value);
                Expr::List(values.map(|value| self.value(value)).collect())
            }
            Rule::group => {
                let inner = self.expr(only(pair));
                Expr::Paren(Box::new(inner))
            }
            _ => return self.atom(pair),
        };
        Spanned::new(node, span)
    }

    /// A name, an index or a call.
    pub(super) fn atom(&mut self, pair: Pair<'_>) -> Spanned<Expr> {
        let whole = self.span(&pair);
        let mut pairs = pair.into_inner();
        let reference = self.reference(need(&mut pairs));
        let Some(args) = pairs.next() else { return reference };
        let Expr::Name(name) = reference.node else {
            self.error(reference.span, "only a name can be called");
            return reference;
        };
        let name = Spanned::new(name, reference.span);
        let args = self.args(args);
        Spanned::new(Expr::Call { name, args }, whole)
    }

    fn reference(&mut self, pair: Pair<'_>) -> Spanned<Expr> {
        let whole = self.span(&pair);
        let mut parts: Vec<Ident> = Vec::new();
        let mut key = None;
        for pair in pair.into_inner() {
            let part = if pair.as_rule() == Rule::ident {
                self.ident(&pair)
            } else {
                let value = self.value(only(pair));
                match value.node {
                    // `header["X_Odd"]`: a part of the name like any other.
                    Expr::Text(template) if template.parts.len() <= 1 => match template.parts.into_iter().next() {
                        Some(TemplatePart::Text(text)) => Spanned::new(text, value.span),
                        Some(TemplatePart::Hole(hole)) => {
                            key = Some(hole);
                            continue;
                        }
                        None => {
                            self.error(value.span, "a name cannot be empty");
                            continue;
                        }
                    },
                    node => {
                        key = Some(Spanned::new(node, value.span));
                        continue;
                    }
                }
            };
            if key.is_some() {
                self.error(part.span, "nothing can follow a key in brackets");
            }
            parts.push(part);
        }
        match key {
            None if parts.len() == 1 && parts[0].node == "true" => Spanned::new(Expr::Bool(true), whole),
            None if parts.len() == 1 && parts[0].node == "false" => Spanned::new(Expr::Bool(false), whole),
            None => Spanned::new(Expr::Name(Name { parts }), whole),
            Some(key) => {
                let table = joined(&parts);
                Spanned::new(Expr::Index { table, key: Box::new(key) }, whole)
            }
        }
    }

    /// The rule `name`.
    pub(super) fn name(&mut self, pair: Pair<'_>) -> Spanned<Name> {
        let span = self.span(&pair);
        let parts = pair.into_inner().map(|part| self.ident(&part)).collect();
        Spanned::new(Name { parts }, span)
    }

    pub(super) fn args(&mut self, pair: Pair<'_>) -> Vec<Arg> {
        let mut args = Vec::new();
        for arg in pair.into_inner().filter(|part| part.as_rule() == Rule::arg) {
            let mut pairs = arg.into_inner();
            let first = need(&mut pairs);
            args.push(match first.as_rule() {
                Rule::arg_name => {
                    let name = self.ident(&only(first));
                    Arg { name: Some(name), value: self.expr(need(&mut pairs)) }
                }
                _ => Arg { name: None, value: self.expr(first) },
            });
        }
        args
    }

    pub(super) fn params(&mut self, pair: Pair<'_>) -> Vec<Param> {
        let mut params = Vec::new();
        for param in pair.into_inner().filter(|part| part.as_rule() == Rule::param) {
            let mut pairs = param.into_inner();
            let name = self.declared(&need(&mut pairs));
            let mut built = Param { name, ty: None, default: None };
            for part in pairs {
                match part.as_rule() {
                    Rule::type_name => built.ty = Some(self.ident(&part)),
                    Rule::value => built.default = Some(self.value(part)),
                    _ => {}
                }
            }
            params.push(built);
        }
        params
    }

    pub(super) fn operand(&mut self, pair: Pair<'_>) -> Operand {
        let mut pairs = pair.into_inner();
        let value = self.value(need(&mut pairs));
        let alternatives: Vec<Pair<'_>> = pairs.collect();
        Operand { value, if_missing: self.if_missing(&mut alternatives.into_iter()) }
    }

    /// `if missing a if missing b`: each applies where the one before it is missing too.
    fn if_missing(&mut self, alternatives: &mut std::vec::IntoIter<Pair<'_>>) -> Option<IfMissing> {
        if alternatives.len() > MAX_NOT {
            let rest: Vec<Pair<'_>> = alternatives.collect();
            let span = self.span(&rest[0]);
            self.error(span, format!("`if missing` stands {} times in a row; {MAX_NOT} are allowed", rest.len()));
            return None;
        }
        let pair = alternatives.next()?;
        let last = pair.into_inner().last().expect("`if missing` has an alternative");
        if last.as_rule() == Rule::value {
            let value = self.value(last);
            let if_missing = self.if_missing(alternatives);
            return Some(IfMissing::Value(Box::new(Operand { value, if_missing })));
        }
        let span = self.span(&last);
        let action = self.answer(last);
        if let Some(after) = alternatives.next() {
            let span = self.span(&after);
            self.error(span, "nothing can follow an answer: it is never missing");
        }
        Some(IfMissing::Answer(Box::new(Spanned::new(action, span))))
    }
}

/// `pools.tenants` as one identifier.
fn joined(parts: &[Ident]) -> Ident {
    match parts {
        [] => Spanned::new(String::new(), Default::default()),
        [one] => one.clone(),
        [first, .., last] => {
            let texts: Vec<&str> = parts.iter().map(|part| part.node.as_str()).collect();
            Spanned::new(texts.join("."), first.span.to(last.span))
        }
    }
}
