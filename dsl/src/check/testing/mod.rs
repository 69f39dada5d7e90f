//! `test "…" { … }`: its lines, read.

mod connect;
mod expect;
mod prove;
mod request;
mod words;

use super::{Checker, Env};
use crate::lint;
use crate::resolve::nearest;
use crate::syntax::ast::{Expr, TestLine, Word};
use crate::syntax::span::{Loc, Span, Spanned};
use crate::testing::{Given, PoolName, Step, Test};
use crate::tree::ir::EndpointKind;
use std::sync::Arc;
use words::Words;

/// How a line of a test may begin.
const HEADS: &[&str] = &["given", "request", "connect", "expect"];

impl<'a> Checker<'a> {
    /// Reads a test. What is wrong with it is reported, and is an error of its file.
    pub(super) fn test(&mut self, title: &Spanned<String>, lines: &[TestLine], loc: Loc) -> Test {
        let mut steps = Vec::new();
        // The request that nothing was expected of yet.
        let mut open: Option<Loc> = None;
        let (mut asked, mut broken, mut connects) = (false, false, false);
        for line in lines {
            let end = line.words.last().map_or(line.head.span.end, |word| word.span.end);
            let at = self.loc(0, Span { start: line.head.span.start, end });
            let mut words = Words::new(&line.words, at);
            let step = match line.head.node.as_str() {
                "given" => self.given(&mut words).map(Step::Given),
                "request" => {
                    self.nothing_expected(open.replace(at));
                    (asked, connects) = (true, false);
                    self.request_line(&mut words).map(|request| Step::Request(Box::new(request)))
                }
                "expect" => {
                    open = None;
                    if !asked {
                        broken = true;
                        self.report(lint::g1024::range(
                            at,
                            "an `expect` stands below the `request` or `connect` that it is about",
                        ));
                        continue;
                    }
                    let expect = self.expect_line(&mut words);
                    expect.filter(|expect| !connects || self.expects_end(&expect.what, expect.loc)).map(Step::Expect)
                }
                "connect" => {
                    self.nothing_expected(open.replace(at));
                    (asked, connects) = (true, true);
                    self.connect_line(&mut words).map(|connection| Step::Connect(Box::new(connection)))
                }
                other => {
                    let head = self.loc(0, line.head.span);
                    let d = lint::g1001::statement(head, other, nearest(other, HEADS.iter().copied()));
                    self.report(
                        d.note("the lines of a test are `given …`, `request METHOD URL`, `connect …` and `expect …`"),
                    );
                    None
                }
            };
            let Some(step) = step else {
                broken = true;
                continue;
            };
            if let Some(left) = words.peek() {
                let left = self.loc(0, left.span);
                self.report(lint::g1024::range(left, &format!("this belongs to no `{}`", line.head.node)));
            }
            steps.push(step);
        }
        self.nothing_expected(open);
        if !asked && !broken {
            self.report(lint::g1024::range(loc, "this test asks nothing: it has no `request` and no `connect`"));
        }
        Test { title: title.node.as_str().into(), loc, steps }
    }

    fn nothing_expected(&mut self, request: Option<Loc>) {
        if let Some(at) = request {
            self.report(lint::g1024::range(at, "nothing is expected of this: add an `expect` below it"));
        }
    }

    /// `given draw 97%`, `given api down`, `given api answers 502`, `given 10.0.0.1:80 down`
    fn given(&mut self, words: &mut Words<'_>) -> Option<Given> {
        const SHAPE: &str = "`POOL down`, `POOL answers STATUS`, `ADDRESS:PORT down` or `draw 97%`";
        let first = words.peek().map(|word| word.span);
        if words.number().is_some() {
            self.unsupported("given requests", words.line);
            return None;
        }
        match words.peek_word() {
            Some("time") => {
                self.unsupported("given time", words.line);
                return None;
            }
            // A pool of that name is another thing.
            Some("draw") if !self.linked.modules[0].values.contains_key("draw") => {
                words.next();
                return self.draw(words);
            }
            _ => {}
        }
        if let Some((kind, host, port)) = self.endpoint_words(words) {
            if words.eat("down") {
                return Some(Given::Down { kind, host, port });
            }
            self.report(lint::g1024::shape(words.line, "given", SHAPE));
            return None;
        }
        // `given pool api down`: what it is may be said.
        if words
            .after()
            .is_some_and(|next| Words::one(&next.node).is_none_or(|word| !["down", "answers"].contains(&word)))
        {
            words.eat("pool");
        }
        let Some(name) = words.name() else {
            self.report(lint::g1024::shape(words.line, "given", SHAPE));
            return None;
        };
        if words.eat("down") {
            return Some(Given::Answers(self.test_pool(&name)?, 503));
        }
        if words.eat("answers") {
            let pool = self.test_pool(&name);
            let Some(status) = self.status_word(words) else {
                self.report(lint::g1024::shape(
                    words.line,
                    "given … answers",
                    "a status, as in `given api answers 502`",
                ));
                return None;
            };
            return Some(Given::Answers(pool?, status));
        }
        let near = words.peek_word().and_then(|word| nearest(word, ["down", "answers"]));
        let at = words.peek().map(|word| word.span).or(first).map_or(words.line, |span| self.loc(0, span));
        match near {
            Some(near) => {
                let word = words.peek_word().unwrap_or_default();
                self.report(lint::g1001::statement(at, word, Some(near)));
            }
            None => self.report(lint::g1024::shape(words.line, "given", SHAPE)),
        }
        None
    }

    fn draw(&mut self, words: &mut Words<'_>) -> Option<Given> {
        let percent = words.take(|word| match word {
            Word::Value(Expr::Percent(points)) => Some(*points),
            _ => None,
        });
        match percent {
            Some(points) if points < 10_000 => Some(Given::Draw(points)),
            _ => {
                let shape = "where in the shares the draw falls, 0% to 99.99%, as in `given draw 97%`";
                self.report(lint::g1024::shape(words.line, "given draw", shape));
                None
            }
        }
    }

    /// `10.0.0.1:80`, `[::1]:80`, `api.internal:8080`, `unix:/run/app.sock`
    fn endpoint_words(&mut self, words: &mut Words<'_>) -> Option<(EndpointKind, Arc<str>, u16)> {
        let tcp = |host: &str, port| Some((EndpointKind::Tcp, Arc::from(host), port));
        match &words.peek()?.node {
            Word::Listen(addr) => {
                words.next();
                tcp(&addr.ip?.to_string(), addr.port)
            }
            Word::Unix(path) => {
                words.next();
                Some((EndpointKind::Unix, path.as_str().into(), 0))
            }
            Word::Value(Expr::Name(name)) => {
                let port = match &words.after()?.node {
                    Word::Listen(addr) if addr.ip.is_none() => addr.port,
                    _ => return None,
                };
                words.next();
                words.next();
                tcp(&Self::name_text(name).to_ascii_lowercase(), port)
            }
            _ => None,
        }
    }

    /// The pool that a name means.
    fn test_pool(&mut self, name: &Spanned<crate::syntax::ast::Name>) -> Option<PoolName> {
        let (module, item) = self.pool_name(name, &Env::top(0))?;
        let pool = self.pool(module, item)?;
        Some(PoolName { name: Self::name_text(&name.node).into(), loc: pool.loc })
    }

    /// What is written at a place of the file, without what is around it.
    fn written(&self, loc: Loc) -> Arc<str> {
        let text = self.text.get(loc.span.start as usize..loc.span.end as usize).unwrap_or_default();
        text.split_whitespace().collect::<Vec<_>>().join(" ").into()
    }
}
