//! `test "…" { … }`: its lines, read.

mod connect;
mod expect;
mod given;
mod prove;
mod request;
mod token;
mod words;

use super::Checker;
use crate::lint;
use crate::resolve::nearest;
use crate::syntax::ast::TestLine;
use crate::syntax::span::{Loc, Span, Spanned};
use crate::testing::{Step, Test};
use std::sync::Arc;
use words::Words;

/// How a line of a test or a proof may begin, in this version or a later one.
pub(crate) const LINES: &[&str] = &["given", "request", "connect", "expect", "every", "no"];

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

    /// What is written at a place of the file, without what is around it.
    fn written(&self, loc: Loc) -> Arc<str> {
        let text = self.text.get(loc.span.start as usize..loc.span.end as usize).unwrap_or_default();
        text.split_whitespace().collect::<Vec<_>>().join(" ").into()
    }
}
