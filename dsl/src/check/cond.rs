//! Expressions as conditions: every leaf is a test of one field or a relation of two values.

use super::expr::is_host;
use super::ty::Ty;
use super::val::{TplPart, Val, With};
use super::{Checker, Env};
use crate::lint;
use crate::syntax::ast::{CmpOp, Expr};
use crate::syntax::span::{Loc, Spanned};
use crate::tree::ir::{Cond, Encode, Field, IpNet, Order, Part, Regex, Relation, Test, Value};
use std::sync::Arc;

impl<'a> Checker<'a> {
    /// A condition.
    pub(super) fn cond(&mut self, e: &Spanned<Expr>, env: &Env) -> Cond {
        match &e.node {
            Expr::And(items) => and(items.iter().map(|i| self.cond(i, env)).collect()),
            Expr::Or(items) => or(items.iter().map(|i| self.cond(i, env)).collect()),
            Expr::Not(inner) => not(self.cond(inner, env)),
            Expr::Paren(inner) => self.cond(inner, env),
            Expr::Compare { left, op, right } => self.compare(left, op.node, right, env, self.at(env, e.span)),
            Expr::Text(_)
            | Expr::Regex(_)
            | Expr::Bool(_)
            | Expr::Number(_)
            | Expr::Range(..)
            | Expr::Percent(_)
            | Expr::Duration(_)
            | Expr::Size(_)
            | Expr::Rate { .. }
            | Expr::Ip(_)
            | Expr::Cidr(..)
            | Expr::List(_)
            | Expr::Call { .. }
            | Expr::Request { .. }
            | Expr::Url(_)
            | Expr::Path(_)
            | Expr::Name(_)
            | Expr::Index { .. } => {
                let val = self.eval(e, env, Some(&Ty::Bool));
                self.truth(val, self.at(env, e.span))
            }
        }
    }

    /// A bare value as a condition: an optional one asks whether it is there.
    fn truth(&mut self, val: Val, loc: Loc) -> Cond {
        match val {
            Val::Cond(cond) => cond,
            Val::Field { with, .. } if with.local => {
                self.report(lint::g1005::local_path_here(loc));
                Cond::Const(true)
            }
            Val::Field { field, optional: true, .. } => Cond::Test(field, Test::Present),
            Val::Absent(_) => Cond::Const(false),
            Val::Opaque(Ty::Bool | Ty::Claims | Ty::Unknown, _) | Val::Opaque(_, true) => Cond::Const(true),
            Val::Template(_, parts) if parts.iter().any(|p| matches!(p, TplPart::Hole(v, _) if v.ty().1)) => {
                let tests = parts.into_iter().filter_map(|p| match p {
                    TplPart::Hole(v, _) => match *v {
                        Val::Field { field, optional: true, .. } => Some(Cond::Test(field, Test::Present)),
                        Val::Absent(_) => Some(Cond::Const(false)),
                        _ => None,
                    },
                    TplPart::Text(_) => None,
                });
                and(tests.collect())
            }
            other => {
                let (ty, _) = other.ty();
                self.report(lint::g1005::no_condition(loc, &ty.noun(), matches!(other, Val::Field { .. })));
                Cond::Const(true)
            }
        }
    }

    fn compare(&mut self, left: &Spanned<Expr>, op: CmpOp, right: &Spanned<Expr>, env: &Env, loc: Loc) -> Cond {
        let (left_loc, right_loc) = (self.at(env, left.span), self.at(env, right.span));
        if op == CmpOp::Matches {
            return self.matches(left, right, env);
        }
        // A bare `GTE` or `shop.example.com` on the left takes its meaning from the right.
        let hint = match &left.node {
            Expr::Name(_) => match &right.node {
                Expr::Name(_) if self.is_field(right, env) => Some(self.eval(right, env, None).ty().0),
                _ => None,
            },
            _ => None,
        };
        let l = self.eval(left, env, hint.as_ref());
        let (left_ty, _) = l.ty();
        let want = match op {
            CmpOp::In | CmpOp::NotIn => Ty::List(Box::new(left_ty.clone())),
            _ => left_ty.clone(),
        };
        let r = match (&l, &right.node) {
            // `request.version is 1.1`
            (Val::Field { field: Field::Version | Field::TlsVersion, .. }, Expr::Number(n)) => {
                Val::Text(n.as_str().into())
            }
            (Val::Field { field: Field::Version | Field::TlsVersion, .. }, Expr::List(items)) => Val::List(
                items
                    .iter()
                    .map(|i| match &i.node {
                        Expr::Number(n) => (Val::Text(n.as_str().into()), self.at(env, i.span)),
                        _ => (self.eval(i, env, Some(&Ty::Text)), self.at(env, i.span)),
                    })
                    .collect(),
            ),
            _ => self.eval(right, env, Some(&want)),
        };
        if let Some(cond) = self.secret_compared((&l, left_loc), op, (&r, right_loc), loc) {
            return cond;
        }
        self.no_credential(&l, &r, right_loc);
        self.no_credential(&r, &l, left_loc);
        if l.is_opaque() || r.is_opaque() {
            return Cond::Const(true);
        }
        for (val, at) in [(&l, left_loc), (&r, right_loc)] {
            if matches!(val, Val::Field { with, .. } if with.local) {
                self.report(lint::g1005::local_path_here(at));
                return Cond::Const(true);
            }
        }
        let cx = Sides { left: left_loc, right: right_loc, whole: loc };
        match op {
            CmpOp::Is => self.is(&l, &r, cx),
            CmpOp::IsNot => not(self.is(&l, &r, cx)),
            CmpOp::In => self.within(&l, &r, cx),
            CmpOp::NotIn => not(self.within(&l, &r, cx)),
            CmpOp::Has => self.part_of(&l, &r, Relation::Has, cx),
            CmpOp::StartsWith => self.part_of(&l, &r, Relation::StartsWith, cx),
            CmpOp::EndsWith => self.part_of(&l, &r, Relation::EndsWith, cx),
            CmpOp::Lt => self.order(&l, &r, Order::Lt, cx),
            CmpOp::Le => self.order(&l, &r, Order::Le, cx),
            CmpOp::Gt => self.order(&l, &r, Order::Gt, cx),
            CmpOp::Ge => self.order(&l, &r, Order::Ge, cx),
            // Handled above.
            CmpOp::Matches => Cond::Const(true),
        }
    }

    /// Says where what a part of the request is compared with should be a secret.
    fn no_credential(&mut self, asked: &Val, with: &Val, loc: Loc) {
        let field = match asked {
            Val::Field { field, .. } => Some(field),
            _ => None,
        };
        let one = (with.clone(), loc);
        let all = if let Val::List(items) = with { items.as_slice() } else { std::slice::from_ref(&one) };
        let several = matches!(with, Val::List(_));
        let said = all.iter().filter_map(|(val, at)| lint::g3016::compared(field, &val.as_text()?, several, *at));
        for d in said.collect::<Vec<_>>() {
            self.report(d);
        }
    }

    /// Whether an expression names a part of the request.
    fn is_field(&self, e: &Spanned<Expr>, env: &Env) -> bool {
        match &e.node {
            Expr::Name(name) => {
                let head = &name.parts[0].node;
                matches!(head.as_str(), "request" | "method" | "host" | "client" | "tls") || env.local(head).is_some()
            }
            _ => false,
        }
    }

    fn is(&mut self, l: &Val, r: &Val, at: Sides) -> Cond {
        match (l, r) {
            (Val::Absent(_), _) | (_, Val::Absent(_)) => Cond::Const(false),
            (value, Val::Secret(name)) => self.secret_test(value, at.left, Arc::clone(name), false),
            // A claim that is a truth value stands as its word.
            (Val::Field { field: field @ Field::Claim(..), with, .. }, Val::Cond(Cond::Const(truth)))
            | (Val::Cond(Cond::Const(truth)), Val::Field { field: field @ Field::Claim(..), with, .. })
                if with.nothing() =>
            {
                Cond::Test(field.clone(), Test::OneOf(vec![if *truth { "true" } else { "false" }.into()]))
            }
            (Val::Cond(l), Val::Cond(r)) => {
                or(vec![and(vec![l.clone(), r.clone()]), and(vec![not(l.clone()), not(r.clone())])])
            }
            (Val::Field { field, ty, with, .. }, constant) if !is_made(constant) => {
                self.field_is(field, ty, *with, constant, at)
            }
            (constant, Val::Field { field, ty, with, .. }) if !is_made(constant) => {
                self.field_is(field, ty, *with, constant, at.swapped())
            }
            _ => {
                let (lt, rt) = (l.ty().0, r.ty().0);
                if let (Some(a), Some(b)) = (l.as_text(), r.as_text())
                    && (lt == rt || (lt.is_text() && rt.is_text()))
                {
                    return Cond::Const(a == b);
                }
                if let (Val::Size(a) | Val::Duration(a), Val::Size(b) | Val::Duration(b)) = (l, r)
                    && lt == rt
                {
                    return Cond::Const(a == b);
                }
                let alike =
                    (lt.is_text() && rt.is_text()) || (lt == rt && (lt == Ty::Int || lt == Ty::Ip || lt == Ty::Size));
                if alike && let (Some(a), Some(b)) = (plain(l), plain(r)) {
                    return Cond::Relate(Box::new(a), Relation::Is, Box::new(b));
                }
                self.mismatch(&lt, r, at);
                Cond::Const(true)
            }
        }
    }

    /// A field against a constant.
    fn field_is(&mut self, field: &Field, ty: &Ty, with: With, constant: &Val, at: Sides) -> Cond {
        match (ty, constant) {
            (Ty::Ip, Val::Ip(ip)) => Cond::Test(field.clone(), Test::InNets(vec![IpNet::from(*ip)])),
            (Ty::Int, Val::Int(n)) => Cond::Test(field.clone(), Test::Number(Order::Eq, *n)),
            // Claims have no types that a file knows: what is compared with a number is read as one.
            (Ty::Text, Val::Int(n)) if matches!(field, Field::Claim(..)) && with.nothing() => {
                Cond::Test(field.clone(), Test::Number(Order::Eq, *n))
            }
            (Ty::Size, Val::Size(n)) => {
                Cond::Test(field.clone(), Test::Number(Order::Eq, i64::try_from(*n).unwrap_or(i64::MAX)))
            }
            (Ty::Size, Val::Int(n)) if *n == 0 => Cond::Test(field.clone(), Test::Number(Order::Eq, 0)),
            _ => match self.text_for(field, ty, constant, at) {
                Some(text) if !with.nothing() => relate_with(field, with, Relation::Is, &text),
                Some(text) => Cond::Test(field.clone(), Test::OneOf(vec![text])),
                None => Cond::Const(true),
            },
        }
    }

    /// The text that a text-like field is compared with; reported when the types do not agree.
    fn text_for(&mut self, field: &Field, ty: &Ty, constant: &Val, at: Sides) -> Option<Arc<str>> {
        match (ty, constant) {
            (Ty::Method, Val::Method(m)) => Some(Arc::clone(m)),
            (Ty::Method, Val::Text(t)) if !super::names::METHODS.contains(&t.as_ref()) => {
                if t.is_empty() || !t.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b)) {
                    self.report(lint::g1011::no_method(at.right, t));
                    return None;
                }
                Some(Arc::clone(t))
            }
            (Ty::Host, Val::Host(t) | Val::Text(t)) => {
                if !is_host(t) {
                    self.report(lint::g1005::never_host(at.right, t));
                    return None;
                }
                Some(t.to_ascii_lowercase().into())
            }
            (Ty::Text, Val::Text(t)) if *field == Field::ClientCountry && !is_country(t) => {
                self.report(lint::g1005::never_country(at.right, t));
                None
            }
            (Ty::Path, Val::Path(t) | Val::Text(t)) => {
                if *field == Field::Uri || self.raw_paths {
                    Some(Arc::clone(t))
                } else {
                    Some(super::pattern::canonical_text(t).into())
                }
            }
            (Ty::Text, Val::Text(t) | Val::Path(t) | Val::Host(t) | Val::Url(t)) => Some(Arc::clone(t)),
            (Ty::Url, Val::Url(t) | Val::Text(t)) => Some(Arc::clone(t)),
            _ => {
                self.mismatch(ty, constant, at);
                None
            }
        }
    }

    fn within(&mut self, l: &Val, r: &Val, at: Sides) -> Cond {
        if let Val::Absent(_) = l {
            return Cond::Const(false);
        }
        if let Val::Table(module, item) = r {
            return match self.in_table(*module, *item, l, at.left) {
                Some(val) => self.truth(val, at.whole),
                None => Cond::Const(true),
            };
        }
        let items = match r {
            Val::List(items) => items.clone(),
            Val::Cidr(_) if l.ty().0 == Ty::Ip => vec![(r.clone(), at.right)],
            Val::Range(a, b) if l.ty().0 == Ty::Int || is_claim(l) => {
                let ge = self.order(l, &Val::Int(*a), Order::Ge, at);
                let le = self.order(l, &Val::Int(*b), Order::Le, at);
                return and(vec![ge, le]);
            }
            other => {
                self.report(lint::g1005::in_takes_list(at.right, &other.ty().0.noun()));
                return Cond::Const(true);
            }
        };
        if items.iter().any(|(v, _)| v.is_opaque()) {
            return Cond::Const(true);
        }
        let before = self.diagnostics.len();
        let mut texts: Vec<Arc<str>> = Vec::new();
        let mut nets: Vec<IpNet> = Vec::new();
        let mut rest: Vec<Cond> = Vec::new();
        for (item, loc) in &items {
            let at = Sides { right: *loc, ..at };
            match (l, item) {
                (Val::Field { ty: Ty::Ip, .. }, Val::Ip(ip)) => nets.push(IpNet::from(*ip)),
                (Val::Field { ty: Ty::Ip, .. }, Val::Cidr(net)) => nets.push(*net),
                (Val::Ip(ip), Val::Cidr(net)) => rest.push(Cond::Const(net.contains(ip))),
                (Val::Field { field, ty, with, .. }, constant)
                    if ty.is_text()
                        && with.nothing()
                        && !is_made(constant)
                        && !(is_claim(l) && matches!(constant, Val::Int(_))) =>
                {
                    if let Some(text) = self.text_for(field, ty, constant, at)
                        && !texts.contains(&text)
                    {
                        texts.push(text);
                    }
                }
                _ => rest.push(self.is(l, item, at)),
            }
        }
        if self.diagnostics.len() > before {
            return Cond::Const(true);
        }
        if let Val::Field { field, .. } = l {
            if !nets.is_empty() {
                rest.push(Cond::Test(field.clone(), Test::InNets(IpNet::aggregate(&nets))));
            }
            if !texts.is_empty() {
                rest.push(Cond::Test(field.clone(), Test::OneOf(texts)));
            }
        }
        or(rest)
    }

    fn part_of(&mut self, l: &Val, r: &Val, relation: Relation, at: Sides) -> Cond {
        let what = match relation {
            Relation::Is => "`is` takes",
            Relation::StartsWith => "`starts with` takes",
            Relation::EndsWith => "`ends with` takes",
            Relation::Has => "`has` takes",
        };
        for (val, loc) in [(l, at.left), (r, at.right)] {
            let (ty, _) = val.ty();
            if !ty.is_text() {
                self.report(lint::g1005::wrong(loc, what, &Ty::Text.noun(), &ty.noun()));
                return Cond::Const(true);
            }
        }
        match (l, r) {
            (Val::Absent(_), _) | (_, Val::Absent(_)) => Cond::Const(false),
            (Val::Field { field, with, .. }, constant) if constant.as_text().is_some() => {
                let text = constant.as_text().unwrap_or_default();
                if !with.nothing() {
                    return relate_with(field, *with, relation, &text);
                }
                let text: Arc<str> = if *field == Field::Host { text.to_ascii_lowercase().into() } else { text };
                let test = match relation {
                    Relation::Is => Test::OneOf(vec![text]),
                    Relation::StartsWith => Test::StartsWith(text),
                    Relation::EndsWith => Test::EndsWith(text),
                    Relation::Has => Test::Has(text),
                };
                Cond::Test(field.clone(), test)
            }
            _ => {
                if let (Some(a), Some(b)) = (l.as_text(), r.as_text()) {
                    return Cond::Const(match relation {
                        Relation::Is => a == b,
                        Relation::StartsWith => a.starts_with(&*b),
                        Relation::EndsWith => a.ends_with(&*b),
                        Relation::Has => a.contains(&*b),
                    });
                }
                match (plain(l), plain(r)) {
                    (Some(a), Some(b)) => Cond::Relate(Box::new(a), relation, Box::new(b)),
                    _ => Cond::Const(true),
                }
            }
        }
    }

    fn order(&mut self, l: &Val, r: &Val, order: Order, at: Sides) -> Cond {
        let number = |v: &Val| match v {
            Val::Int(n) => Some(*n),
            Val::Size(n) => Some(i64::try_from(*n).unwrap_or(i64::MAX)),
            _ => None,
        };
        match (l, r) {
            (Val::Absent(_), _) | (_, Val::Absent(_)) => Cond::Const(false),
            (Val::Field { field, .. }, Val::Int(n)) if is_claim(l) => {
                Cond::Test(field.clone(), Test::Number(order, *n))
            }
            (Val::Int(_), Val::Field { .. }) if is_claim(r) => self.order(r, l, order.flipped(), at.swapped()),
            (Val::Field { field, ty: ty @ (Ty::Int | Ty::Size), .. }, constant)
                if number(constant).is_some() && (constant.ty().0 == *ty || number(constant) == Some(0)) =>
            {
                Cond::Test(field.clone(), Test::Number(order, number(constant).unwrap_or(0)))
            }
            (constant, Val::Field { field, ty: ty @ (Ty::Int | Ty::Size), .. })
                if number(constant).is_some() && (constant.ty().0 == *ty || number(constant) == Some(0)) =>
            {
                Cond::Test(field.clone(), Test::Number(order.flipped(), number(constant).unwrap_or(0)))
            }
            _ => {
                if let (Some(a), Some(b)) = (number(l), number(r))
                    && l.ty().0 == r.ty().0
                {
                    return Cond::Const(match order {
                        Order::Eq => a == b,
                        Order::Lt => a < b,
                        Order::Le => a <= b,
                        Order::Gt => a > b,
                        Order::Ge => a >= b,
                    });
                }
                let (lt, rt) = (l.ty().0, r.ty().0);
                if matches!(lt, Ty::Int | Ty::Size) {
                    self.mismatch(&lt, r, at);
                } else {
                    self.report(lint::g1005::no_order(at.whole, &lt.noun(), &rt.noun()));
                }
                Cond::Const(true)
            }
        }
    }

    fn matches(&mut self, left: &Spanned<Expr>, right: &Spanned<Expr>, env: &Env) -> Cond {
        let (left_loc, right_loc) = (self.at(env, left.span), self.at(env, right.span));
        let l = self.eval(left, env, None);
        let r = self.eval(right, env, None);
        if r.is_opaque() {
            return Cond::Const(true);
        }
        let pattern = match (&r, &right.node) {
            (Val::Text(t), _) => Arc::clone(t),
            (other, _) => {
                let found = other.ty().0.noun();
                self.report(lint::g1005::wrong(right_loc, "`matches` takes", "a regular expression", &found));
                return Cond::Const(true);
            }
        };
        let regex = match Regex::new(&pattern) {
            Ok(regex) => {
                if let Some(d) = lint::g3024::run(right_loc, &regex).filter(|_| env.module == 0) {
                    self.report(d);
                }
                regex
            }
            Err(why) => {
                self.report(lint::g1017::bad(right_loc, &pattern, &why.to_string()));
                return Cond::Const(true);
            }
        };
        match l {
            Val::Opaque(..) => Cond::Const(true),
            Val::Secret(_) => {
                self.report(lint::g3015::compared(left_loc));
                Cond::Const(true)
            }
            Val::Absent(_) => Cond::Const(false),
            Val::Field { field, ty, with, .. } if with.nothing() && (ty.is_text() || ty == Ty::Int) => {
                Cond::Test(field, Test::Matches(regex))
            }
            Val::Field { with, .. } if !with.nothing() => {
                self.report(lint::g1005::lower_matches(left_loc, &pattern));
                Cond::Const(true)
            }
            other => {
                let (ty, _) = other.ty();
                let what = if ty.is_text() { "a part of the request" } else { "a text" };
                self.report(lint::g1005::wrong(left_loc, "`matches` reads", what, &ty.noun()));
                Cond::Const(true)
            }
        }
    }

    /// Two sides whose types do not agree: G1010 where quotes are all that is wrong.
    fn mismatch(&mut self, want: &Ty, found: &Val, at: Sides) {
        let (ty, _) = found.ty();
        if *want == Ty::Unknown || ty == Ty::Unknown {
            return;
        }
        let bare = match (want, found) {
            (Ty::Ip, Val::Text(t)) => {
                (t.parse::<std::net::IpAddr>().is_ok() || t.parse::<IpNet>().is_ok()).then(|| t.to_string())
            }
            (Ty::Int, Val::Text(t)) => t.parse::<i64>().is_ok().then(|| t.to_string()),
            (Ty::Method, Val::Text(t)) => Some(t.to_string()),
            (Ty::Text | Ty::Host, Val::Ip(_) | Val::Int(_) | Val::Method(_)) => {
                found.as_text().map(|t| format!("\"{t}\""))
            }
            _ => None,
        };
        match bare {
            Some(text) => self.report(lint::g1010::quotes(at.right, &want.noun(), &ty.noun(), &text)),
            None => {
                let network = *want == Ty::Ip && ty == Ty::Cidr;
                self.report(lint::g1005::compared(at.whole, &want.noun(), &ty.noun(), network));
            }
        }
    }
}

/// Where the sides of a comparison stand.
#[derive(Clone, Copy)]
struct Sides {
    left: Loc,
    right: Loc,
    whole: Loc,
}

impl Sides {
    fn swapped(self) -> Self {
        Self { left: self.right, right: self.left, whole: self.whole }
    }
}

/// Whether a value is made of the request.
/// Whether a value is a claim as it is.
fn is_claim(val: &Val) -> bool {
    matches!(val, Val::Field { field: Field::Claim(..), ty: Ty::Text, with, .. } if with.nothing())
}

fn is_made(val: &Val) -> bool {
    matches!(val, Val::Field { .. } | Val::Template(..) | Val::Absent(_) | Val::Cond(_))
}

/// A value as it is, for relations.
pub(super) fn plain(val: &Val) -> Option<Value> {
    let hole = |field: &Field, with: With| Part::Hole {
        field: field.clone(),
        transform: with.transform(),
        encode: Encode::Plain,
        if_missing: None,
    };
    match val {
        Val::Field { field, with, .. } => Some(Value { parts: vec![hole(field, *with)] }),
        Val::Template(_, parts) => {
            let mut out = Vec::new();
            for part in parts {
                match part {
                    TplPart::Text(t) => out.push(Part::Text(t.as_str().into())),
                    TplPart::Hole(v, _) => match v.as_ref() {
                        Val::Field { field, with, .. } => out.push(hole(field, *with)),
                        _ => return None,
                    },
                }
            }
            Some(Value { parts: out })
        }
        other => other.as_text().map(|t| Value { parts: vec![Part::Text(t)] }),
    }
}

/// `lower(field)`, `hash(field)` against a constant: no test of the field itself, so a relation.
fn relate_with(field: &Field, with: With, relation: Relation, text: &str) -> Cond {
    let left =
        Part::Hole { field: field.clone(), transform: with.transform(), encode: Encode::Plain, if_missing: None };
    Cond::Relate(
        Box::new(Value { parts: vec![left] }),
        relation,
        Box::new(Value { parts: vec![Part::Text(text.into())] }),
    )
}

/// Negation, constants folded.
pub(crate) fn not(cond: Cond) -> Cond {
    match cond {
        Cond::Const(b) => Cond::Const(!b),
        Cond::Not(inner) => *inner,
        other @ (Cond::Test(..) | Cond::Relate(..) | Cond::And(_) | Cond::Or(_)) => Cond::Not(Box::new(other)),
    }
}

/// Conjunction, constants folded, flat.
pub(crate) fn and(items: Vec<Cond>) -> Cond {
    let mut out = Vec::new();
    for item in items {
        match item {
            Cond::Const(true) => {}
            Cond::Const(false) => return Cond::Const(false),
            Cond::And(inner) => out.extend(inner),
            other @ (Cond::Test(..) | Cond::Relate(..) | Cond::Not(_) | Cond::Or(_)) => out.push(other),
        }
    }
    match out.len() {
        0 => Cond::Const(true),
        1 => out.remove(0),
        _ => Cond::And(out),
    }
}

/// Disjunction, constants folded, flat.
pub(crate) fn or(items: Vec<Cond>) -> Cond {
    let mut out = Vec::new();
    for item in items {
        match item {
            Cond::Const(false) => {}
            Cond::Const(true) => return Cond::Const(true),
            Cond::Or(inner) => out.extend(inner),
            other @ (Cond::Test(..) | Cond::Relate(..) | Cond::Not(_) | Cond::And(_)) => out.push(other),
        }
    }
    match out.len() {
        0 => Cond::Const(false),
        1 => out.remove(0),
        _ => Cond::Or(out),
    }
}

/// Fields that are there whenever the condition holds: a test on a missing value is false.
pub(crate) fn present_when(cond: &Cond) -> Vec<Field> {
    match cond {
        Cond::Test(field, Test::Has(_)) if matches!(field, Field::Header(_) | Field::Cookie(_) | Field::Query(_)) => {
            vec![field.clone()]
        }
        Cond::Test(field, _) => vec![field.clone()],
        Cond::Relate(left, _, right) => left.fields().chain(right.fields()).cloned().collect(),
        Cond::And(items) => items.iter().flat_map(present_when).collect(),
        Cond::Or(items) => {
            let mut all = items.iter().map(present_when);
            let first = all.next().unwrap_or_default();
            let rest: Vec<Vec<Field>> = all.collect();
            first.into_iter().filter(|f| rest.iter().all(|r| r.contains(f))).collect()
        }
        Cond::Const(_) | Cond::Not(_) => Vec::new(),
    }
}

/// Headers that a condition reads.
pub(crate) fn headers_read(cond: &Cond, out: &mut Vec<Arc<str>>) {
    match cond {
        Cond::Const(_) => {}
        Cond::Test(Field::Header(name), _) => out.push(Arc::clone(name)),
        Cond::Test(..) => {}
        Cond::Relate(left, _, right) => {
            for part in left.parts.iter().chain(&right.parts) {
                if let Part::Hole { field: Field::Header(name), .. } = part {
                    out.push(Arc::clone(name));
                }
            }
        }
        Cond::Not(inner) => headers_read(inner, out),
        Cond::And(items) | Cond::Or(items) => items.iter().for_each(|c| headers_read(c, out)),
    }
}

/// Whether a text is spelt as codes of countries are.
fn is_country(text: &str) -> bool {
    text.len() == 2 && text.bytes().all(|b| b.is_ascii_uppercase())
}
