//! `check …`: how it is found out whether an endpoint is well.

use super::words::name;
use crate::check::ty::Ty;
use crate::check::val::Val;
use crate::check::{Checker, Env};
use crate::lint;
use crate::resolve::nearest;
use crate::syntax::ast::{Expr, Word};
use crate::syntax::span::{Loc, Spanned};
use crate::tree::ir::{Check, Probe};
use std::sync::Arc;

/// Two checks of an endpoint are at least this far apart, milliseconds.
const LEAST_EVERY_MS: u64 = 100;
/// The longest datagram that a check sends or expects, bytes: it passes any path in one piece.
const DATAGRAM: usize = 1200;
/// The longest text that an answer's body must hold, bytes.
const LONGEST_BODY: usize = 1024;
/// The most checks in a row that an endpoint is judged by.
const IN_A_ROW: i64 = 100;

/// What is tried.
#[derive(Clone, Debug, PartialEq)]
enum Sort {
    Http { method: Arc<str>, path: Arc<str> },
    Grpc,
    Tcp,
    Udp,
}

/// What may stand behind `check`.
const SORTS: &[&str] = &["tcp", "GET /healthz", "grpc", "udp send \"ping\""];

/// What a check says beside that.
#[derive(Default)]
struct Said {
    every: Option<u64>,
    within: Option<u64>,
    rise: Option<u32>,
    fall: Option<u32>,
    port: Option<u16>,
    expect: Option<(u16, u16)>,
    body: Option<Arc<str>>,
    service: Option<Arc<str>>,
    send: Option<Arc<[u8]>>,
    answer: Option<Arc<[u8]>>,
}

impl<'a> Checker<'a> {
    /// `check tcp every 5s within 1s rise 2 fall 3`; `None` when something about it was reported.
    pub(super) fn check(&mut self, words: &[Spanned<Word>], env: &Env, at: Loc) -> Option<Check> {
        let (first, mut rest) = match words.split_first() {
            Some(parts) => parts,
            None => {
                self.report(lint::g1024::one_of(at, "check", SORTS, None));
                return None;
            }
        };
        let sort = match &first.node {
            Word::Value(Expr::Request { method, path }) => {
                if method.node != "GET" && method.node != "HEAD" {
                    let loc = self.at(env, method.span);
                    self.report(lint::g1024::range(loc, "a check asks with `GET` or `HEAD`: it must change nothing"));
                    return None;
                }
                let path = self.constant(&Spanned::new(path.clone(), first.span), Ty::Path, env)?;
                Sort::Http { method: method.node.as_str().into(), path }
            }
            word => match name(word).as_deref() {
                Some("tcp") => Sort::Tcp,
                Some("udp") => Sort::Udp,
                Some("grpc") => Sort::Grpc,
                other => {
                    let near = other.and_then(|o| nearest(o, ["tcp", "udp", "grpc"]));
                    self.report(lint::g1024::one_of(at, "check", SORTS, near));
                    return None;
                }
            },
        };
        let mut said = Said::default();
        let mut seen: Vec<(String, Loc)> = Vec::new();
        while let Some((head, after)) = rest.split_first() {
            let loc = self.at(env, head.span);
            let Some(word) = name(&head.node) else {
                self.report(shape(loc, &sort));
                return None;
            };
            if let Some((_, first)) = seen.iter().find(|(w, _)| *w == word) {
                let first = *first;
                self.report(lint::g1023::twice(loc, &word, first));
                return None;
            }
            rest = self.check_word(&sort, &word, loc, after, env, &mut said)?;
            seen.push((word, loc));
        }
        self.made_of(sort, said, at)
    }

    /// One word of a check with what it takes; what follows them.
    fn check_word<'w>(
        &mut self,
        sort: &Sort,
        word: &str,
        loc: Loc,
        after: &'w [Spanned<Word>],
        env: &Env,
        said: &mut Said,
    ) -> Option<&'w [Spanned<Word>]> {
        let mut taken = 1;
        match (word, sort) {
            ("every", _) => said.every = Some(self.duration_behind(word, loc, after, env)?),
            ("within", _) => said.within = Some(self.duration_behind(word, loc, after, env)?),
            ("rise", _) => said.rise = u32::try_from(self.number_behind(word, loc, after, env, IN_A_ROW)?).ok(),
            ("fall", _) => said.fall = u32::try_from(self.number_behind(word, loc, after, env, IN_A_ROW)?).ok(),
            ("port", _) => said.port = u16::try_from(self.number_behind(word, loc, after, env, 65_535)?).ok(),
            ("expect", Sort::Http { .. }) => said.expect = Some(self.check_statuses(loc, after, env)?),
            ("body", Sort::Http { method, .. }) => {
                let text = self.check_text(word, loc, after, env)?;
                if &**method == "HEAD" || text.is_empty() || text.len() > LONGEST_BODY {
                    let rule = format!(
                        "`body` takes a text of 1 to {LONGEST_BODY} bytes, and `GET`: `HEAD` is answered without one"
                    );
                    self.report(lint::g1024::range(loc, &rule));
                    return None;
                }
                said.body = Some(text);
            }
            ("service", Sort::Grpc) => {
                let text = self.check_text(word, loc, after, env)?;
                let part = |p: &str| !p.is_empty() && p.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
                if text.len() > 255 || !text.split('.').all(part) {
                    self.report(lint::g1024::range(
                        loc,
                        "`service` takes a service's full name, as in `service \"shop.v1.Cart\"`",
                    ));
                    return None;
                }
                said.service = Some(text);
            }
            ("send", Sort::Udp) => {
                let (bytes, words) = self.check_bytes(word, loc, after, env)?;
                if bytes.is_empty() {
                    self.report(lint::g1024::range(
                        loc,
                        "an empty datagram asks nothing: `send` takes at least a byte",
                    ));
                    return None;
                }
                said.send = Some(bytes);
                taken = words;
            }
            ("expect", Sort::Udp) => {
                let (bytes, words) = self.check_bytes(word, loc, after, env)?;
                said.answer = Some(bytes);
                taken = words;
            }
            _ => {
                self.report(shape(loc, sort));
                return None;
            }
        }
        Some(after.get(taken..).unwrap_or_default())
    }

    fn made_of(&mut self, sort: Sort, said: Said, at: Loc) -> Option<Check> {
        let every_ms = said.every.unwrap_or(5000);
        if every_ms < LEAST_EVERY_MS {
            self.report(lint::g1024::range(at, "`every` takes a duration of 100ms or more"));
            return None;
        }
        let within_ms = said.within.unwrap_or(1000.min(every_ms));
        if within_ms > every_ms {
            self.report(lint::g1024::range(
                at,
                "`within` is longer than `every`: a check would overtake the one before it",
            ));
            return None;
        }
        let probe = match sort {
            Sort::Http { method, path } => {
                Probe::Http { method, path, expect: said.expect.unwrap_or((200, 299)), body: said.body }
            }
            Sort::Grpc => Probe::Grpc { service: said.service.unwrap_or_default() },
            Sort::Tcp => Probe::Tcp,
            Sort::Udp => match said.send {
                Some(send) => Probe::Udp { send, expect: said.answer.unwrap_or_default() },
                None => {
                    let what = "what to ask, as in `check udp send \"ping\"` or `check udp send hex \"0001\"`";
                    self.report(lint::g1024::shape(at, "check udp", what));
                    return None;
                }
            },
        };
        let (rise, fall) = (said.rise.unwrap_or(2), said.fall.unwrap_or(3));
        Some(Check { probe, port: said.port, every_ms, within_ms, rise, fall })
    }

    /// A text without holes.
    fn check_text(&mut self, word: &str, loc: Loc, after: &[Spanned<Word>], env: &Env) -> Option<Arc<str>> {
        let Some(Spanned { node: Word::Value(Expr::Text(t)), span }) = after.first() else {
            self.report(lint::g1024::shape(loc, word, "a text in quotes"));
            return None;
        };
        self.constant(&Spanned::new(t.clone(), *span), Ty::Text, env)
    }

    fn check_statuses(&mut self, loc: Loc, after: &[Spanned<Word>], env: &Env) -> Option<(u16, u16)> {
        let rule = "`expect` takes a status or a range of them, as in `expect 200..299`";
        let (first, last, at) = match self.value_behind("expect", loc, after, env)? {
            (Val::Int(n), at) => (n, n, at),
            (Val::Range(a, z), at) => (a, z, at),
            (Val::Opaque(..), _) => return None,
            (_, at) => (0, 0, at),
        };
        if first < 100 || last > 599 || first > last {
            self.report(lint::g1024::range(at, rule));
            return None;
        }
        Some((u16::try_from(first).ok()?, u16::try_from(last).ok()?))
    }

    /// `"ping"` or `hex "0001"`: the bytes, and how many words they took.
    fn check_bytes(&mut self, word: &str, loc: Loc, after: &[Spanned<Word>], env: &Env) -> Option<(Arc<[u8]>, usize)> {
        let hex = after.first().is_some_and(|w| name(&w.node).as_deref() == Some("hex"));
        let Some(Spanned { node: Word::Value(Expr::Text(t)), span }) = after.get(usize::from(hex)) else {
            self.report(lint::g1024::shape(loc, word, "a text, or `hex` and a text of hex digits"));
            return None;
        };
        let text = self.constant(&Spanned::new(t.clone(), *span), Ty::Text, env)?;
        let at = self.at(env, *span);
        let bytes: Vec<u8> = if hex {
            match unhex(&text) {
                Some(bytes) => bytes,
                None => {
                    self.report(lint::g1024::range(at, "`hex` takes pairs of hex digits, as in `hex \"00 0a ff\"`"));
                    return None;
                }
            }
        } else {
            text.bytes().collect()
        };
        if bytes.len() > DATAGRAM {
            self.report(lint::g1024::range(at, &format!("a check's datagram has at most {DATAGRAM} bytes")));
            return None;
        }
        Some((bytes.into(), 1 + usize::from(hex)))
    }
}

fn shape(loc: Loc, sort: &Sort) -> crate::diagnostic::Diagnostic {
    let form = match sort {
        Sort::Http { .. } => "`every D`, `within D`, `expect 200..299`, `body \"…\"`, `rise N`, `fall N`, `port N`",
        Sort::Grpc => "`service \"…\"`, `every D`, `within D`, `rise N`, `fall N`, `port N`",
        Sort::Tcp => "`every D`, `within D`, `rise N`, `fall N`, `port N`",
        Sort::Udp => "`send \"…\"`, `expect \"…\"`, `every D`, `within D`, `rise N`, `fall N`, `port N`",
    };
    lint::g1024::shape(loc, "check", form)
}

/// Pairs of hex digits; spaces may stand between them.
fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits: Vec<u32> = text.chars().filter(|c| *c != ' ').map(|c| c.to_digit(16)).collect::<Option<_>>()?;
    let pairs = digits.chunks_exact(2);
    if !pairs.remainder().is_empty() {
        return None;
    }
    pairs.map(|pair| u8::try_from(pair[0] * 16 + pair[1]).ok()).collect()
}
