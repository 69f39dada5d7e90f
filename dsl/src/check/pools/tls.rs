//! `tls { … }` in a pool: how its endpoints are verified.

use super::sticky::secret;
use crate::check::ty::Ty;
use crate::check::val::Val;
use crate::check::{Checker, Env};
use crate::lint;
use crate::resolve::{ModIdx, nearest};
use crate::syntax::ast::{self, Expr, HostLabel, SegmentPart, StmtKind, Word};
use crate::syntax::span::{Loc, Spanned};
use crate::tree::ir::{KeyFrom, PoolTls};
use std::sync::Arc;

/// What it says.
const KNOWN: &[&str] = &["name", "trust", "pin", "client", "min"];

impl<'a> Checker<'a> {
    /// `tls { name ledger.internal  trust "pki/ca.pem" }`, on one line or on several.
    pub(super) fn pool_tls(
        &mut self,
        module: ModIdx,
        words: &[Spanned<Word>],
        body: Option<&ast::Block>,
        head: Loc,
    ) -> PoolTls {
        let mut out = PoolTls::default();
        let shape = "a block in a pool, as in `tls { name ledger.internal }`";
        let Some(body) = body.filter(|_| words.is_empty()) else {
            self.report(lint::g1024::shape(head, "tls", shape));
            return out;
        };
        let env = Env::top(module);
        let mut seen: Vec<(String, Loc)> = Vec::new();
        for stmt in &body.stmts {
            let StmtKind::Setting { head, words, body: None } = &stmt.kind else {
                self.report(lint::g1024::shape(
                    self.loc(module, stmt.span),
                    "tls",
                    "`name`, `trust`, `pin`, `client` and `min`",
                ));
                continue;
            };
            let (mut head, mut at, mut rest) = (head.node.clone(), head.span, words.as_slice());
            loop {
                let loc = self.loc(module, at);
                if lint::g4008::WORDS.contains(&head.as_str()) {
                    self.report(lint::g4008::off(loc, &head));
                    break;
                }
                if !KNOWN.contains(&head.as_str()) {
                    let near = nearest(&head, KNOWN.iter().copied());
                    self.report(lint::g1001::setting(loc, &head, "tls", near));
                    break;
                }
                if let Some((_, first)) = seen.iter().find(|(h, _)| *h == head) {
                    let first = *first;
                    self.report(lint::g1023::twice(loc, &head, first));
                    break;
                }
                seen.push((head.clone(), loc));
                let Some(taken) = self.pool_tls_word(&head, loc, rest, &env, &mut out) else { break };
                rest = rest.get(taken..).unwrap_or_default();
                match rest.split_first() {
                    None => break,
                    Some((Spanned { node: Word::Value(Expr::Name(name)), span }, after)) => {
                        (head, at, rest) = (Self::name_text(name), *span, after);
                    }
                    Some((word, _)) => {
                        let at = self.loc(module, word.span);
                        self.report(lint::g1024::shape(at, "tls", "`name`, `trust`, `pin`, `client` and `min`"));
                        break;
                    }
                }
            }
        }
        out
    }

    /// One setting; how many words it took, `None` when something about it was reported.
    fn pool_tls_word(
        &mut self,
        head: &str,
        loc: Loc,
        words: &[Spanned<Word>],
        env: &Env,
        out: &mut PoolTls,
    ) -> Option<usize> {
        match head {
            "name" => {
                out.name = Some(self.verified_name(loc, words, env)?);
                Some(1)
            }
            "trust" => {
                out.trust = Some(self.file_name(head, loc, words.first(), env)?);
                Some(1)
            }
            "client" => {
                let cert = self.file_name(head, loc, words.first(), env)?;
                let key = match words.get(1) {
                    Some(Spanned { node: Word::Value(Expr::Name(n)), .. }) if Self::name_text(n) == "key" => {
                        words.get(2)
                    }
                    _ => {
                        let shape = "a certificate and its key, as in `client \"pki/gw.pem\" key \"pki/gw.key\"`";
                        self.report(lint::g1024::shape(loc, head, shape));
                        return None;
                    }
                };
                let key = match key.and_then(|word| secret(&word.node)) {
                    Some(name) => KeyFrom::Secret(name),
                    None => KeyFrom::File(self.file_name("key", loc, key, env)?),
                };
                out.client = Some((cert, key));
                Some(3)
            }
            "pin" => self.pins(loc, words, env, out),
            _ => {
                match words.first().map(|w| &w.node) {
                    Some(Word::Value(Expr::Number(n))) if n == "1.3" => out.min_13 = true,
                    Some(Word::Value(Expr::Number(n))) if n == "1.2" => out.min_13 = false,
                    _ => {
                        self.report(lint::g1024::one_of(loc, "min", &["1.2", "1.3"], None));
                        return None;
                    }
                }
                Some(1)
            }
        }
    }

    /// The name that a certificate must be for: a host, or an address.
    fn verified_name(&mut self, loc: Loc, words: &[Spanned<Word>], env: &Env) -> Option<Arc<str>> {
        let shape = "the name that the endpoints' certificate is for, as in `name ledger.internal`";
        let Some(word) = words.first() else {
            self.report(lint::g1024::shape(loc, "name", shape));
            return None;
        };
        let at = self.at(env, word.span);
        let text: Arc<str> = match &word.node {
            Word::Value(Expr::Name(name)) => Self::name_text(name).into(),
            Word::Value(Expr::Ip(ip)) => ip.to_string().into(),
            Word::Value(Expr::Text(t)) => self.constant(&Spanned::new(t.clone(), word.span), Ty::Text, env)?,
            Word::Host(host) => match literal(host) {
                Some(host) => host.into(),
                None => {
                    self.report(lint::g1024::shape(at, "name", shape));
                    return None;
                }
            },
            _ => {
                self.report(lint::g1024::shape(at, "name", shape));
                return None;
            }
        };
        if text.parse::<std::net::IpAddr>().is_err() && !crate::check::expr::is_host(&text) {
            self.report(lint::g1005::never_host(at, &text));
            return None;
        }
        Some(text.to_ascii_lowercase().into())
    }

    pub(in crate::check) fn file_name(
        &mut self,
        what: &str,
        loc: Loc,
        word: Option<&Spanned<Word>>,
        env: &Env,
    ) -> Option<Arc<str>> {
        match word {
            Some(Spanned { node: Word::Value(Expr::Text(t)), span }) => {
                let file = self.constant(&Spanned::new(t.clone(), *span), Ty::Text, env)?;
                if file.is_empty() || file.bytes().any(|c| c.is_ascii_control()) {
                    self.report(lint::g1024::range(self.at(env, *span), &format!("`{what}` takes the name of a file")));
                    return None;
                }
                Some(file)
            }
            Some(Spanned { node: Word::Value(expr @ Expr::Name(_)), span }) => {
                let val = self.eval(&Spanned::new(expr.clone(), *span), env, None);
                if !matches!(val, Val::Opaque(..)) {
                    self.report(lint::g1024::shape(self.at(env, *span), what, "the name of a file in quotes"));
                }
                None
            }
            _ => {
                self.report(lint::g1024::shape(loc, what, "the name of a file in quotes"));
                None
            }
        }
    }

    /// `pin sha256 "…", "…"`
    fn pins(&mut self, loc: Loc, words: &[Spanned<Word>], env: &Env, out: &mut PoolTls) -> Option<usize> {
        let shape = "digests of public keys, as in `pin sha256 \"…44 characters of base64…\"`";
        let sha256 = matches!(words.first(), Some(Spanned { node: Word::Value(Expr::Name(n)), .. }) if Self::name_text(n) == "sha256");
        if !sha256 {
            self.report(lint::g1024::shape(loc, "pin", shape));
            return None;
        }
        let mut taken = 1;
        loop {
            let Some(Spanned { node: Word::Value(Expr::Text(t)), span }) = words.get(taken) else {
                self.report(lint::g1024::shape(loc, "pin", shape));
                return None;
            };
            let text = self.constant(&Spanned::new(t.clone(), *span), Ty::Text, env)?;
            match digest(&text) {
                Some(pin) => out.pins.push(pin),
                None => {
                    let at = self.at(env, *span);
                    self.report(lint::g1024::range(
                        at,
                        "a pin is the base64 of the SHA-256 of a public key (its SubjectPublicKeyInfo): 32 bytes",
                    ));
                    return None;
                }
            }
            taken += 1;
            match words.get(taken) {
                Some(Spanned { node: Word::Comma, .. }) => taken += 1,
                _ => {
                    if out.pins.len() == 1 {
                        self.report(lint::g4010::one(loc));
                    }
                    return Some(taken);
                }
            }
        }
    }
}

/// A host without stars and captures.
fn literal(host: &ast::HostPattern) -> Option<String> {
    let labels = host.labels.iter().map(|label| match &label.node {
        HostLabel::Parts(parts) => match parts.as_slice() {
            [SegmentPart::Lit(text)] => Some(text.as_str()),
            _ => None,
        },
        HostLabel::Star | HostLabel::DoubleStar => None,
    });
    labels.collect::<Option<Vec<_>>>().map(|labels| labels.join("."))
}

/// 32 bytes in base64 (RFC 4648, section 4), with or without its padding.
fn digest(text: &str) -> Option<[u8; 32]> {
    let text = text.trim_end_matches('=');
    let mut bytes = Vec::with_capacity(33);
    let (mut bits, mut held) = (0u32, 0);
    for c in text.bytes() {
        let six = match c {
            b'A'..=b'Z' => c - b'A',
            b'a'..=b'z' => c - b'a' + 26,
            b'0'..=b'9' => c - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = (bits << 6) | u32::from(six);
        held += 6;
        if held >= 8 {
            held -= 8;
            bytes.push(u8::try_from((bits >> held) & 0xff).ok()?);
            bits &= (1 << held) - 1;
        }
    }
    // The bits that are left over say nothing.
    if bits != 0 { None } else { bytes.try_into().ok() }
}
