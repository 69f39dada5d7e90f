//! `check …`: how it is found out whether an endpoint is well.

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
/// The most checks in a row that an endpoint is judged by.
const IN_A_ROW: i64 = 100;

/// What is tried.
#[derive(Clone, Debug, PartialEq)]
enum Sort {
    Http { method: Arc<str>, path: Arc<str> },
    Tcp,
    Udp,
}

/// What a check says beside that.
#[derive(Default)]
struct Said {
    every: Option<u64>,
    within: Option<u64>,
    rise: Option<u32>,
    fall: Option<u32>,
    port: Option<u16>,
    expect: Option<(u16, u16)>,
    send: Option<Arc<[u8]>>,
    answer: Option<Arc<[u8]>>,
}

impl<'a> Checker<'a> {
    /// `check tcp every 5s within 1s rise 2 fall 3`; `None` when something about it was reported.
    pub(super) fn check(&mut self, words: &[Spanned<Word>], env: &Env, at: Loc) -> Option<Check> {
        let (first, mut rest) = match words.split_first() {
            Some(parts) => parts,
            None => {
                self.report(lint::g1024::one_of(at, "check", &["tcp", "GET /healthz", "udp send \"ping\""], None));
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
                Some("grpc") => {
                    self.unsupported("check grpc", at);
                    return None;
                }
                other => {
                    let near = other.and_then(|o| nearest(o, ["tcp", "udp", "grpc"]));
                    self.report(lint::g1024::one_of(at, "check", &["tcp", "GET /healthz", "udp send \"ping\""], near));
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
            ("every", _) => said.every = Some(self.check_duration(word, loc, after, env)?),
            ("within", _) => said.within = Some(self.check_duration(word, loc, after, env)?),
            ("rise", _) => said.rise = u32::try_from(self.check_number(word, loc, after, env, IN_A_ROW)?).ok(),
            ("fall", _) => said.fall = u32::try_from(self.check_number(word, loc, after, env, IN_A_ROW)?).ok(),
            ("port", _) => said.port = u16::try_from(self.check_number(word, loc, after, env, 65_535)?).ok(),
            ("expect", Sort::Http { .. }) => said.expect = Some(self.check_statuses(loc, after, env)?),
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
                Probe::Http { method, path, expect: said.expect.unwrap_or((200, 299)), body: None }
            }
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

    /// The value behind a word.
    fn check_value(&mut self, word: &str, loc: Loc, after: &[Spanned<Word>], env: &Env) -> Option<(Val, Loc)> {
        match after.first() {
            Some(Spanned { node: Word::Value(expr), span }) => {
                Some((self.eval(&Spanned::new(expr.clone(), *span), env, None), self.at(env, *span)))
            }
            _ => {
                self.report(lint::g1024::shape(loc, word, "a value behind it"));
                None
            }
        }
    }

    fn check_duration(&mut self, word: &str, loc: Loc, after: &[Spanned<Word>], env: &Env) -> Option<u64> {
        let (val, at) = self.check_value(word, loc, after, env)?;
        self.deadline(word, val, at)
    }

    fn check_number(&mut self, word: &str, loc: Loc, after: &[Spanned<Word>], env: &Env, max: i64) -> Option<i64> {
        match self.check_value(word, loc, after, env)? {
            (Val::Int(n), _) if (1..=max).contains(&n) => Some(n),
            (Val::Opaque(..), _) => None,
            (_, at) => {
                self.report(lint::g1024::range(at, &format!("`{word}` takes a number from 1 to {max}")));
                None
            }
        }
    }

    fn check_statuses(&mut self, loc: Loc, after: &[Spanned<Word>], env: &Env) -> Option<(u16, u16)> {
        let rule = "`expect` takes a status or a range of them, as in `expect 200..299`";
        let (first, last, at) = match self.check_value("expect", loc, after, env)? {
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
        Sort::Http { .. } => "`every D`, `within D`, `expect 200..299`, `rise N`, `fall N`, `port N`",
        Sort::Tcp => "`every D`, `within D`, `rise N`, `fall N`, `port N`",
        Sort::Udp => "`send \"…\"`, `expect \"…\"`, `every D`, `within D`, `rise N`, `fall N`, `port N`",
    };
    lint::g1024::shape(loc, "check", form)
}

/// A word that is a bare name.
fn name(word: &Word) -> Option<String> {
    match word {
        Word::Value(Expr::Name(name)) => Some(Checker::name_text(name)),
        _ => None,
    }
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
