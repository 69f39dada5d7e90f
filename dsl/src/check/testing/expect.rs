//! `expect …`

use super::words::Words;
use crate::check::Checker;
use crate::lint;
use crate::resolve::nearest;
use crate::syntax::ast::{Side, VisitDoes, Word};
use crate::syntax::span::{Loc, Span};
use crate::testing::{Expect, Wanted};
use std::sync::Arc;

/// What may be expected.
const WHAT: &[&str] = &[
    "pool", "at", "host", "redirect", "respond", "deny", "files", "request", "response", "no", "retry", "mirror",
    "timeout", "idle", "session", "login", "logout",
];

/// Headers that the gateway writes on what it sends on, whatever a route says.
const GATEWAYS: &[&str] = &["x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "forwarded", "connection"];

impl Checker<'_> {
    pub(super) fn expect_line(&mut self, words: &mut Words<'_>) -> Option<Expect> {
        let start = words.peek().map_or(words.line.span.end, |word| word.span.start);
        let line = Loc { span: Span { start, end: words.line.span.end }, ..words.line };
        let what = self.wanted(words)?;
        Some(Expect { what, shown: self.written(line), loc: words.line })
    }

    fn wanted(&mut self, words: &mut Words<'_>) -> Option<Wanted> {
        if let Some(status) = self.status_word(words) {
            return Some(Wanted::Status(status));
        }
        let Some(first) = words.peek() else {
            self.report(lint::g1024::shape(
                words.line,
                "expect",
                "what is expected, as in `expect pool api` or `expect 404`",
            ));
            return None;
        };
        let word = words.peek_word().unwrap_or_default();
        match word {
            "pool" | "at" | "host" => self.proxied(words),
            "redirect" => {
                words.next();
                let status = self.status_word(words);
                match self.url_word(words) {
                    Some(to) => Some(Wanted::Redirect(status, to.node)),
                    None => self.bad(words, "redirect", "a target, as in `expect redirect 308 https://host/path`"),
                }
            }
            "respond" => {
                words.next();
                let status = self.status_word(words);
                let body = self.text_word(words).map(|text| text.node);
                if status.is_none() && body.is_none() {
                    return self.bad(words, "respond", "a status, a text, or both: `expect respond 200 \"ok\"`");
                }
                Some(Wanted::Respond(status, body))
            }
            "login" | "logout" => {
                let does = if word == "login" { VisitDoes::Login } else { VisitDoes::Logout };
                words.next();
                match words.name().and_then(|name| name.node.parts.last().map(|last| last.node.clone())) {
                    Some(provider) => Some(Wanted::Visit(does, provider.as_str().into())),
                    None => self.bad(words, does.word(), "a provider, as in `expect login corp`"),
                }
            }
            "deny" => {
                words.next();
                Some(Wanted::Deny(self.status_word(words)))
            }
            "files" => {
                words.next();
                let Some(dir) = self.text_word(words) else {
                    return self.bad(words, "files", "a directory, as in `expect files \"public\" at /logo.svg`");
                };
                Some(Wanted::Files(dir.node, self.at_word(words)?))
            }
            "request" | "response" | "no" => self.header_or_none(words),
            "session" => {
                words.next();
                let name = words.name().map(|name| Self::name_text(&name.node));
                let equals = words.take(|word| matches!(word, Word::Equals).then_some(()));
                match (name, equals, self.text_word(words)) {
                    (Some(name), Some(()), Some(sub)) => Some(Wanted::Session(name.into(), Some(sub.node))),
                    _ => self.bad(words, "session", "a cookie and whom it is for: `expect session sid = \"ann\"`"),
                }
            }
            "retry" => {
                words.next();
                let times =
                    if words.eat("off") { Some(0) } else { words.number().and_then(|n| u32::try_from(n.node).ok()) };
                times.map(Wanted::Retry).or_else(|| self.bad(words, "retry", "a number, or `off`"))
            }
            "mirror" => {
                words.next();
                match words.name() {
                    Some(name) => Some(Wanted::Mirror(Some(self.test_pool(&name)?))),
                    None => self.bad(words, "mirror", "a pool"),
                }
            }
            "timeout" | "idle" => {
                words.next();
                let Some(ms) = words.duration() else { return self.bad(words, word, "a duration, as in `5s`") };
                Some(if word == "idle" { Wanted::Idle(ms) } else { Wanted::Timeout(ms) })
            }
            other => {
                let at = self.loc(0, first.span);
                let near = nearest(other, WHAT.iter().copied()).filter(|_| !other.is_empty());
                let shown = if other.is_empty() { self.written(at) } else { other.into() };
                let d = lint::g1001::statement(at, &shown, near);
                self.report(d.note("expected can be `pool NAME`, `redirect URL`, `respond 200 \"…\"`, `deny 403`, `404`, `request header x = \"…\"` and more: docs/testing.md"));
                None
            }
        }
    }

    fn bad(&mut self, words: &Words<'_>, word: &str, shape: &str) -> Option<Wanted> {
        self.report(lint::g1024::shape(words.line, &format!("expect {word}"), shape));
        None
    }

    /// `pool api at /x host internal`, each part optional
    fn proxied(&mut self, words: &mut Words<'_>) -> Option<Wanted> {
        let pool = match words.eat("pool") {
            true => match words.name() {
                Some(name) => Some(self.test_pool(&name)?),
                None => return self.bad(words, "pool", "the name of a pool"),
            },
            false => None,
        };
        let at = self.at_word(words)?;
        let host = match words.eat("host") {
            true => match self.host_word(words) {
                Some(host) => Some(host),
                None => return self.bad(words, "host", "a host, as in `expect host ledger.internal`"),
            },
            false => None,
        };
        Some(Wanted::Proxy { pool, at, host })
    }

    /// `at /path`; `None` where it is broken.
    fn at_word(&mut self, words: &mut Words<'_>) -> Option<Option<Arc<str>>> {
        if !words.eat("at") {
            return Some(None);
        }
        let path = self.path_word(words);
        if path.is_none() {
            self.bad(words, "at", "a path, as in `expect pool api at /v2/users`");
        }
        path.map(|path| Some(path.node))
    }

    pub(super) fn host_word(&mut self, words: &mut Words<'_>) -> Option<Arc<str>> {
        if let Some(text) = self.text_word(words) {
            return Some(text.node);
        }
        let loc = self.loc(0, words.peek()?.span);
        let host = match &words.peek()?.node {
            Word::Value(_) | Word::Host(_) => self.written(loc).to_ascii_lowercase(),
            _ => return None,
        };
        words.next();
        // `host a.internal:8080`
        let port = words.take(|word| match word {
            Word::Listen(addr) if addr.ip.is_none() => Some(addr.port),
            _ => None,
        });
        Some(port.map_or(host.clone(), |port| format!("{host}:{port}")).into())
    }

    /// `request header x = "…"`, `no response header x`, `no mirror`
    fn header_or_none(&mut self, words: &mut Words<'_>) -> Option<Wanted> {
        const SHAPE: &str =
            "`request header NAME = \"…\"`, `no request header NAME`, the same of `response`, or `no mirror`";
        let none = words.eat("no");
        if none && words.eat("mirror") {
            return Some(Wanted::Mirror(None));
        }
        if none && words.eat("session") {
            return match words.name() {
                Some(name) => Some(Wanted::Session(Self::name_text(&name.node).into(), None)),
                None => self.bad(words, "no session", "a cookie, as in `expect no session sid`"),
            };
        }
        if none && words.eat("retry") {
            return Some(Wanted::Retry(0));
        }
        let side = match words.peek_word() {
            Some("request") => Side::Request,
            Some("response") => Side::Response,
            _ => return self.bad(words, "no", SHAPE),
        };
        words.next();
        let name = words.eat("header").then(|| words.peek()).flatten();
        let Some(at) = name.map(|name| self.loc(0, name.span)) else { return self.bad(words, "request", SHAPE) };
        let name = match self.text_word(words) {
            Some(text) => text.node.to_ascii_lowercase(),
            None => match words.name() {
                Some(name) => Self::name_text(&name.node).to_ascii_lowercase(),
                None => return self.bad(words, "request", SHAPE),
            },
        };
        if !self.header_word(&name, at) {
            return None;
        }
        if side == Side::Request && GATEWAYS.contains(&name.as_str()) {
            let why =
                format!("`{name}` is written by the gateway on every request that it sends on: a test does not see it");
            self.report(lint::g1024::range(at, &why));
            return None;
        }
        let equals = words.take(|word| matches!(word, Word::Equals).then_some(())).is_some();
        let value = match (none, equals) {
            (true, false) => None,
            (false, true) => match self.text_word(words) {
                Some(text) => Some(text.node),
                None => return self.bad(words, "request", SHAPE),
            },
            _ => return self.bad(words, "request", SHAPE),
        };
        Some(Wanted::Header { side, name: name.into(), value })
    }
}
