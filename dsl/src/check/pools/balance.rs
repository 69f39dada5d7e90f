//! `balance …`: how a pool chooses among its endpoints.

use crate::check::Checker;
use crate::check::route::Frame;
use crate::lint;
use crate::resolve::nearest;
use crate::syntax::ast::Word;
use crate::syntax::span::{Loc, Spanned};
use crate::tree::ir::{Balance, HashKey, Pool};

/// The words after `balance`.
const KNOWN: &[&str] = &["round-robin", "random", "least-connections", "hash KEY", "maglev KEY"];

impl<'a> Checker<'a> {
    /// `balance hash client.ip`
    pub(super) fn balance(&mut self, words: &[Spanned<Word>], frame: &Frame, at: Loc, out: &mut Pool) {
        let names = Self::word_names(words);
        let alone = words.len() == 1;
        match names.first().map(String::as_str) {
            Some("round-robin") if alone => out.balance = Balance::RoundRobin,
            Some("random") if alone => out.balance = Balance::Random,
            Some("least-connections") if alone => out.balance = Balance::LeastConnections,
            Some(word @ ("hash" | "maglev")) => {
                let [_, Spanned { node: Word::Value(expr), span }] = words else {
                    let form = format!("balance {word}");
                    return self.report(lint::g1024::shape(at, &form, "a key, as in `client.ip`"));
                };
                let key = self.key_of(None, &Spanned::new(expr.clone(), *span), frame);
                if let Some(key) = key.map(HashKey::Connection) {
                    out.balance = if word == "hash" { Balance::Hash(key) } else { Balance::Maglev(key) };
                }
            }
            Some("least-requests" | "peak-ewma") => self.unsupported("balance by requests", at),
            other => {
                let known = ["round-robin", "random", "least-connections", "hash", "maglev"];
                let near = other.and_then(|o| nearest(o, known));
                self.report(lint::g1024::one_of(at, "balance", KNOWN, near));
            }
        }
    }
}
