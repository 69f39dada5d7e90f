//! Settings of items.

use super::{Build, Kind};
use crate::check::Checker;
use crate::check::route::Frame;
use crate::lint;
use crate::resolve::nearest;
use crate::syntax::ast::{self, Expr, Ident, Word};
use crate::syntax::span::{Loc, Spanned};
use crate::tree::l4::KeyPart;

/// Settings, for did-you-mean.
pub(crate) const KNOWN: &[&str] = &["idle", "lifetime", "drain", "cut", "flow", "log"];

/// Words that may begin a statement, for did-you-mean.
const STATEMENTS: &[&str] = &["let", "use", "require", "limit", "when", "else", "tls"];

/// Settings of HTTP, and what to write instead; empty where there is nothing.
const HTTP: &[(&str, &str)] = &[
    ("timeout", "a connection is bounded by `idle` and `lifetime`; dialling by `connect within` in the pool"),
    ("body", ""),
    ("header", ""),
    ("http", ""),
    ("default", "only a `site` takes the names that nobody serves"),
    ("paths", ""),
    ("compress", ""),
    ("cache", ""),
    ("mirror", ""),
    ("websocket", "WebSocket passes as any other bytes"),
    ("client", "ask for client certificates where TLS ends"),
    ("retry", "another endpoint is tried by itself until the first byte is sent"),
    ("hedge", ""),
    ("queue", ""),
];

impl<'a> Checker<'a> {
    /// A setting of an item.
    pub(super) fn l4_setting(
        &mut self,
        b: &mut Build,
        head: &Ident,
        words: &[Spanned<Word>],
        frame: &Frame,
        of_item: bool,
        loc: Loc,
    ) {
        let env = &frame.env;
        let at = self.at(env, head.span);
        let name = head.node.as_str();
        let kind = b.kind;
        if let Some((_, instead)) = HTTP.iter().find(|(h, _)| *h == name) {
            return match &frame.used {
                Some((policy, used)) => {
                    self.report(lint::g1022::http_in_policy(*used, policy, &format!("`{name}`"), kind.word(), loc));
                }
                None => self.report(lint::g1022::http_setting(at, name, kind.word(), instead)),
            };
        }
        if !KNOWN.contains(&name) {
            let near = nearest(name, KNOWN.iter().chain(STATEMENTS).copied());
            return self.report(lint::g1001::statement(at, name, near));
        }
        if !of_item || !frame.tags.is_empty() {
            return self.report(lint::g1022::item_only(at, name, kind.word()));
        }
        if name == "flow" && kind != Kind::Udp {
            return self.report(lint::g1022::udp_only(at, name));
        }
        if !self.l4_once(b, name, at) {
            return;
        }
        match name {
            "idle" => {
                if let Some(ms) = self.word_duration(head, words, &[], env) {
                    b.settings.idle_ms = ms;
                }
            }
            "lifetime" => b.settings.lifetime_ms = self.word_duration(head, words, &[], env),
            "drain" => {
                if let Some(ms) = self.word_duration(head, words, &[], env) {
                    b.settings.drain_ms = ms;
                }
            }
            "cut" => match Self::word_names(words).as_slice() {
                [word] if word == "on-unhealthy" && words.len() == 1 => b.settings.cut_on_unhealthy = true,
                other => {
                    let near = other.first().and_then(|w| nearest(w, ["on-unhealthy"]));
                    self.report(lint::g1024::one_of(loc, "cut", &["on-unhealthy"], near));
                }
            },
            "log" => match Self::word_names(words).as_slice() {
                [word] if word == "off" && words.len() == 1 => b.settings.log = false,
                other => {
                    let near = other.first().and_then(|w| nearest(w, ["off"]));
                    self.report(lint::g1024::one_of(loc, "log", &["off"], near));
                }
            },
            _ => self.flow(b, words, frame, loc),
        }
    }

    /// `flow per KEY`
    fn flow(&mut self, b: &mut Build, words: &[Spanned<Word>], frame: &Frame, loc: Loc) {
        let shape = "a key, as in `flow per client.ip`";
        let [per, Spanned { node: Word::Value(expr), span }] = words else {
            return self.report(lint::g1024::shape(loc, "flow", shape));
        };
        if !matches!(&per.node, Word::Value(Expr::Name(n)) if Self::name_text(n) == "per") {
            return self.report(lint::g1024::shape(loc, "flow", shape));
        }
        let Some(key) = self.key_of(b.kind, &Spanned::new(expr.clone(), *span), frame) else { return };
        if !key.0.iter().any(|part| matches!(part, KeyPart::ClientIp | KeyPart::Connection)) {
            let at = self.at(&frame.env, *span);
            return self.report(lint::g1024::range(
                at,
                "datagrams of several clients would be one flow: the key needs `client.ip` or `connection`",
            ));
        }
        b.settings.flow = key;
    }

    fn l4_once(&mut self, b: &mut Build, name: &str, loc: Loc) -> bool {
        if let Some((_, first)) = b.said.iter().find(|(n, _)| n == name) {
            let first = *first;
            self.report(lint::g1023::twice(loc, name, first));
            return false;
        }
        b.said.push((name.to_owned(), loc));
        true
    }

    /// `tls …` in an item.
    pub(super) fn l4_tls(
        &mut self,
        b: &mut Build,
        words: &[Spanned<Word>],
        body: Option<&ast::Block>,
        head: Loc,
        loc: Loc,
    ) {
        if matches!(b.kind, Kind::Udp | Kind::Passthrough) {
            return self.report(lint::g1022::tls_of(head, b.kind.word()));
        }
        let names = Self::word_names(words);
        let first = names.first().map(String::as_str);
        // What a site may say besides: a port has no name that a certificate could be for.
        if matches!(first, Some("on-demand" | "file" | "min" | "max" | "client")) || words.len() > 1 {
            return self.report(lint::g1022::tls_of_port(loc));
        }
        if !self.l4_once(b, "tls", head) {
            return;
        }
        b.settings.tls = match (first, words.len(), body) {
            (Some("auto" | "internal"), 1, None) => true,
            (Some("off"), 1, None) => false,
            (other, _, _) => {
                let near = other.and_then(|o| nearest(o, ["auto", "internal", "off"]));
                self.report(lint::g1024::one_of(loc, "tls", &["auto", "internal", "off"], near));
                false
            }
        };
    }
}
