//! `token(sub: "ann", …)`: a token, as a test makes one.

use super::words::{Plain, Words, plain};
use crate::check::Checker;
use crate::lint;
use crate::syntax::ast::{Arg, Expr, Name, Word};
use crate::syntax::span::Spanned;
use crate::testing::{Asked, Signer, Token};
use std::sync::Arc;

const SHAPE: &str = "claims, as in `token(sub: \"ann\")`; `exp: \"2026-01-01 00:00:00\"`, and `key: secret.x` or \
     `key: PROVIDER` for who signed it";

impl Checker<'_> {
    /// The next word where it is a token: the text that stands for it. `Some(None)` where it is none.
    #[expect(clippy::option_option, reason = "broken, no token, or one")]
    pub(super) fn token_word(&mut self, words: &mut Words<'_>, asked: &mut Asked) -> Option<Option<Spanned<Arc<str>>>> {
        let Some(word) = words.peek() else { return Some(None) };
        let Word::Value(Expr::Call { name, args }) = &word.node else { return Some(None) };
        if Self::name_text(&name.node) != "token" {
            return Some(None);
        }
        words.next();
        let mut token = Token { claims: Vec::new(), key: None, expires: None };
        for arg in args {
            if self.token_arg(arg, &mut token).is_none() {
                self.report(lint::g1024::shape(self.loc(0, arg.value.span), "token", SHAPE));
                return None;
            }
        }
        let stands = format!("token-{}", asked.tokens.len() + 1);
        asked.tokens.push((stands.as_str().into(), token));
        Some(Some(Spanned::new(stands.into(), word.span)))
    }

    fn token_arg(&mut self, arg: &Arg, token: &mut Token) -> Option<()> {
        let name = arg.name.as_ref()?.node.as_str();
        match (name, &arg.value.node) {
            ("key", Expr::Name(Name { parts })) => {
                token.key = Some(match parts.as_slice() {
                    [of, secret] if of.node == "secret" => Signer::Secret(secret.node.as_str().into()),
                    // `corp`, `login.corp`
                    [provider] | [_, provider] => Signer::Provider(provider.node.as_str().into()),
                    _ => return None,
                });
                Some(())
            }
            ("exp", Expr::Text(text)) => {
                let Plain::Text(text) = plain(text) else { return None };
                token.expires = Some(crate::calendar::seconds(&text)?);
                Some(())
            }
            // When and how a session ends that `keep session` keeps.
            ("end", Expr::Text(text)) => {
                let Plain::Text(text) = plain(text) else { return None };
                token.claims.push(("end".into(), crate::calendar::seconds(&text)?.to_string().into()));
                Some(())
            }
            ("idle", Expr::Duration(ms)) => {
                token.claims.push(("idle".into(), (ms / 1_000).to_string().into()));
                Some(())
            }
            ("key" | "exp" | "end" | "idle", _) => None,
            (_, Expr::Text(text)) => {
                let Plain::Text(text) = plain(text) else { return None };
                token.claims.push((name.into(), text.into()));
                Some(())
            }
            (_, Expr::Number(number)) => {
                token.claims.push((name.into(), number.as_str().into()));
                Some(())
            }
            _ => None,
        }
    }
}
