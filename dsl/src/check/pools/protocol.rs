//! `protocol …`: what is spoken to the endpoints, and `proxy-protocol …`: what they are told first.

use super::words::name;
use crate::check::Checker;
use crate::lint;
use crate::resolve::nearest;
use crate::syntax::ast::Word;
use crate::syntax::span::{Loc, Spanned};
use crate::tree::ir::{PathCase, Pool, Protocol, ProxyProtocol};

/// The words after `protocol`.
const PROTOCOLS: &[&str] = &["auto", "h1", "h2", "h2c", "grpc"];

impl<'a> Checker<'a> {
    /// `protocol h2c`
    pub(super) fn protocol(&mut self, words: &[Spanned<Word>], at: Loc, out: &mut Pool) {
        let word = words.first().and_then(|w| name(&w.node));
        out.protocol = match word.as_deref() {
            Some("auto") if words.len() == 1 => Protocol::Auto,
            Some("h1") if words.len() == 1 => Protocol::H1,
            Some("h2") if words.len() == 1 => Protocol::H2,
            Some("h2c") if words.len() == 1 => Protocol::H2c,
            Some("grpc") if words.len() == 1 => Protocol::Grpc,
            other => {
                let near = other.and_then(|o| nearest(o, PROTOCOLS.iter().copied()));
                return self.report(lint::g1024::one_of(at, "protocol", PROTOCOLS, near));
            }
        };
    }

    /// `proxy-protocol v2`
    pub(super) fn proxy_protocol(&mut self, words: &[Spanned<Word>], at: Loc, out: &mut Pool) {
        let word = words.first().and_then(|w| name(&w.node));
        match word.as_deref() {
            Some("v1") if words.len() == 1 => out.proxy_protocol = Some(ProxyProtocol::V1),
            Some("v2") if words.len() == 1 => out.proxy_protocol = Some(ProxyProtocol::V2),
            other => {
                let near = other.and_then(|o| nearest(o, ["v1", "v2"]));
                self.report(lint::g1024::one_of(at, "proxy-protocol", &["v1", "v2"], near));
            }
        }
    }

    /// `paths case-sensitive`, `paths case-insensitive`
    pub(super) fn path_case(&mut self, words: &[Spanned<Word>], at: Loc) -> Option<PathCase> {
        const KNOWN: [&str; 2] = ["case-sensitive", "case-insensitive"];
        let word = words.first().filter(|_| words.len() == 1).and_then(|w| name(&w.node));
        match word.as_deref() {
            Some("case-sensitive") => Some(PathCase::Sensitive),
            Some("case-insensitive") => Some(PathCase::Insensitive),
            other => {
                let near = other.and_then(|o| nearest(o, KNOWN));
                self.report(lint::g1024::one_of(at, "paths", &KNOWN, near));
                None
            }
        }
    }

    /// A pool's protocol, its `tls` and its `proxy-protocol` must go together.
    pub(super) fn protocols_agree(&mut self, pool: &Pool, protocol: Option<Loc>, proxy: Option<Loc>, tls: Option<Loc>) {
        let Some(at) = protocol else { return };
        match (pool.protocol, &pool.tls) {
            (Protocol::H2, None) => self.report(lint::g1022::h2_in_clear(at)),
            (Protocol::H2c, Some(_)) => self.report(lint::g1022::h2c_with_tls(at, tls.unwrap_or(pool.loc))),
            _ => {}
        }
        if let (Protocol::H2 | Protocol::H2c | Protocol::Grpc, Some(proxy)) = (pool.protocol, proxy) {
            self.report(lint::g1022::told_of_many(proxy, at));
        }
    }
}
