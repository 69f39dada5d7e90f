//! Settings that are not carried out yet: what they take is checked all the same.

use super::l4;
use super::route::Chain;
use super::ty::Ty;
use super::val::Val;
use super::{Checker, Env};
use crate::lint;
use crate::resolve::nearest;
use crate::syntax::ast::{Expr, Ident, Word};
use crate::syntax::span::{Loc, Spanned};
use crate::tree::ir::{Field, Step};

/// Heads of such settings, and the form that is refused.
pub(super) const LATER: &[(&str, &str)] = &[("compress", "compress"), ("cache", "cache"), ("queue", "queue")];

/// How answers can be compressed.
const CODINGS: &[&str] = &["zstd", "br", "gzip", "deflate"];

impl<'a> Checker<'a> {
    /// Checks the words of a setting of [`LATER`].
    pub(super) fn later_setting(&mut self, head: &Ident, words: &[Spanned<Word>], chain: &Chain, env: &Env, loc: Loc) {
        let bare = |n: usize| words.get(n).and_then(word);
        match head.node.as_str() {
            "compress" => match words {
                [Spanned { node: Word::Value(Expr::List(items)), .. }] => {
                    for item in items {
                        let named = match &item.node {
                            Expr::Name(name) => Self::name_text(name),
                            _ => String::new(),
                        };
                        if !CODINGS.contains(&named.as_str()) {
                            let at = self.at(env, item.span);
                            let near = nearest(&named, CODINGS.iter().copied());
                            self.report(lint::g1024::one_of(at, "compress", CODINGS, near));
                        }
                    }
                }
                [_] if bare(0).as_deref() == Some("off") => {}
                _ => self.report(lint::g1024::shape(
                    loc,
                    "compress",
                    "a list, as in `compress [zstd, br, gzip]`, or `off`",
                )),
            },
            "cache" => match words {
                [_] if bare(0).as_deref() == Some("off") => {}
                [first, rest @ ..] => {
                    self.takes(first, &Ty::Duration, "`cache` takes", env);
                    match rest {
                        // LANGUAGE rule 22: what one client may see is not another's.
                        [] if asks_who(chain) => {
                            let why = "behind a token, a signature or an `ask` a cache says whose answers it keeps: `cache 10m per KEY`";
                            self.report(lint::g1024::range(loc, why));
                        }
                        [] => {}
                        [per, key] if word(per).as_deref() == Some("per") => {
                            if let Word::Value(expr) = &key.node {
                                self.eval(&Spanned::new(expr.clone(), key.span), env, Some(&Ty::Text));
                            }
                        }
                        _ => self.report(lint::g1024::shape(loc, "cache", "a duration, and `per KEY` behind it")),
                    }
                }
                [] => self.report(lint::g1024::shape(loc, "cache", "a duration, as in `cache 10m`")),
            },
            _ => match words {
                [count] => self.takes(count, &Ty::Int, "`queue` takes", env),
                [count, within, wait] if word(within).as_deref() == Some("within") => {
                    self.takes(count, &Ty::Int, "`queue` takes", env);
                    self.takes(wait, &Ty::Duration, "`within` takes", env);
                }
                _ => self.report(lint::g1024::shape(loc, "queue", "a number, as in `queue 100 within 2s`")),
            },
        }
    }

    /// A word of a type.
    fn takes(&mut self, word: &Spanned<Word>, ty: &Ty, what: &str, env: &Env) {
        let at = self.at(env, word.span);
        let Word::Value(expr) = &word.node else {
            return self.report(lint::g1005::wrong(at, what, &ty.noun(), "none"));
        };
        let val = self.eval(&Spanned::new(expr.clone(), word.span), env, Some(ty));
        let (found, _) = val.ty();
        if found != *ty && !matches!(val, Val::Opaque(..)) {
            self.report(lint::g1005::wrong(at, what, &ty.noun(), &found.noun()));
        }
    }
}

/// Whether a policy above asks who a client is.
fn asks_who(chain: &Chain) -> bool {
    let mut read = Vec::new();
    for step in &chain.steps {
        if let Step::Require { cond, .. } = &step.node {
            l4::fields(cond, &mut read);
        }
    }
    read.iter().any(|field| matches!(field, Field::Call(..) | Field::Claim(..)))
}

fn word(word: &Spanned<Word>) -> Option<String> {
    match &word.node {
        Word::Value(Expr::Name(name)) => Some(Checker::name_text(name)),
        _ => None,
    }
}
