//! `prove "…" { … }`: its lines, read.

use super::words::Words;
use crate::check::pattern::Host;
use crate::check::policy::Found;
use crate::check::{Checker, Env};
use crate::lint;
use crate::reach::PoolKey;
use crate::reach::prove::{Claim, Gets, Policy, Proof, Says, Subject};
use crate::resolve::nearest;
use crate::syntax::ast::{CmpOp, Expr, HostLabel, HostPattern, Ident, Name, SegmentPart, TestLine, Word};
use crate::syntax::span::{Loc, Span, Spanned};
use crate::tree::canonical;
use crate::tree::fields;
use crate::tree::ir::{Cond, PathPattern, Paths, Segment};
use std::sync::Arc;

/// How a line of a proof may begin.
const HEADS: &[&str] = &["every", "no"];
/// What a line is made of.
const PARTS: &[&str] = &["to", "from", "when", "passes", "reaches", "gets"];

const SHAPE: &str = "`every request to pool NAME passes POLICY`, `no request to https://host/path/* reaches pool NAME` \
                     or another form of docs/proofs.md";

impl Checker<'_> {
    /// Reads a proof. What is wrong with it is reported, and is an error of its file.
    pub(in crate::check) fn proof(&mut self, title: &Spanned<String>, lines: &[TestLine], loc: Loc) -> Proof {
        let mut claims = Vec::new();
        for line in lines {
            let end = line.words.last().map_or(line.head.span.end, |word| word.span.end);
            let at = self.loc(0, Span { start: line.head.span.start, end });
            let every = match line.head.node.as_str() {
                "every" => true,
                "no" => false,
                other => {
                    let head = self.loc(0, line.head.span);
                    let d = lint::g1001::statement(head, other, nearest(other, HEADS.iter().copied()));
                    self.report(d.note(format!("the lines of a proof are {SHAPE}")));
                    continue;
                }
            };
            let mut words = Words::new(&line.words, at);
            claims.extend(self.claim(every, &mut words));
        }
        if lines.is_empty() {
            self.report(lint::g1024::range(loc, "this proof says nothing"));
        }
        Proof { title: title.node.as_str().into(), loc, claims }
    }

    fn claim(&mut self, every: bool, words: &mut Words<'_>) -> Option<Claim> {
        let line = words.line;
        if !words.eat("request") {
            self.report(lint::g1024::shape(line, if every { "every" } else { "no" }, SHAPE));
            return None;
        }
        let mut subject = Subject::default();
        let mut says = None;
        while let Some(word) = words.peek() {
            let at = self.loc(0, word.span);
            if matches!(word.node, Word::When) {
                words.next();
                let span = words.peek()?.span;
                let expr = words.take(|word| match word {
                    Word::Value(expr) => Some(expr.clone()),
                    _ => None,
                })?;
                let cond = self.request_cond(&Spanned::new(expr, span))?;
                subject.when.push(cond);
                continue;
            }
            let word = words.peek_word().unwrap_or_default();
            match word {
                "to" => {
                    words.next();
                    self.subject(words, &mut subject)?;
                }
                "from" => {
                    words.next();
                    subject.when.push(self.client_networks(words)?);
                }
                "passes" | "reaches" | "gets" if says.is_some() => {
                    self.report(lint::g1024::range(at, "a line says one thing: write another line for this"));
                    return None;
                }
                "passes" => {
                    words.next();
                    says = Some(Says::Passes(self.policies(words)?));
                }
                "reaches" => {
                    words.next();
                    says = Some(Says::Reaches(self.pool_words(words)?));
                }
                "gets" => {
                    words.next();
                    says = Some(Says::Gets(self.gets(words)?));
                }
                other => {
                    match nearest(other, PARTS.iter().copied()).filter(|_| !other.is_empty()) {
                        Some(near) => self.report(lint::g1001::statement(at, other, Some(near))),
                        None => self.report(lint::g1024::shape(line, if every { "every" } else { "no" }, SHAPE)),
                    }
                    return None;
                }
            }
        }
        let says = match says {
            None if every => {
                let why = "what is said of every such request: `passes POLICY`, `reaches pool NAME` or `gets 403`";
                self.report(lint::g1024::shape(line, "every request", why));
                return None;
            }
            Some(Says::Reaches(_) | Says::Gets(_)) if subject.pool.is_some() => {
                let why = "requests to a pool go to that pool: say which hosts or paths are meant instead";
                self.report(lint::g1024::range(line, why));
                return None;
            }
            says => says.unwrap_or(Says::There),
        };
        let nothing = subject == Subject::default() && says == Says::There;
        if nothing {
            self.report(lint::g1024::shape(line, "no request", "which requests there must not be"));
            return None;
        }
        Some(Claim { every, subject, says, shown: self.written(line), loc: line })
    }

    /// `to pool NAME`, `to https://host/path/*`, `to host.example.com`, `to /path/*`
    fn subject(&mut self, words: &mut Words<'_>, subject: &mut Subject) -> Option<()> {
        const WHERE: &str = "`pool NAME`, `https://host/path/*`, a host or `/path/*`";
        let line = words.line;
        if words.peek_word() == Some("pool") {
            let key = self.pool_words(words)?;
            let again = subject.pool.replace(key).is_some();
            return self.said_once(line, again);
        }
        if let Some(host) = words.take(|word| match word {
            Word::Host(host) => Some(host.clone()),
            _ => None,
        }) {
            let span = Span { start: line.span.start, end: line.span.end };
            let host = self.host_pattern(0, &Spanned::new(host, span))?;
            return self.subject_host(host, subject, line);
        }
        let bare = matches!(words.peek().map(|word| &word.node), Some(Word::Value(Expr::Name(_))));
        if bare {
            let name = words.name()?;
            return self.subject_name(&name, subject, line);
        }
        let Some(text) = self.url_word(words) else {
            self.report(lint::g1024::shape(line, "to", WHERE));
            return None;
        };
        let at = self.loc(0, text.span);
        let written = &*text.node;
        let (host, path) = match written.strip_prefix("https://").or_else(|| written.strip_prefix("http://")) {
            Some(rest) => {
                let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
                (Some(host), (!path.is_empty()).then_some(path))
            }
            None => (None, Some(written)),
        };
        if let Some(host) = host {
            let labels = host.split('.').map(|label| Spanned::new(host_label(label), text.span)).collect();
            let host = self.host_pattern(0, &Spanned::new(HostPattern { labels }, text.span))?;
            self.subject_host(host, subject, at)?;
        }
        if let Some(path) = path {
            let pattern = self.subject_path(path, at)?;
            let again = subject.path.replace(pattern).is_some();
            self.said_once(at, again)?;
        }
        Some(())
    }

    fn said_once(&mut self, loc: Loc, again: bool) -> Option<()> {
        if again {
            self.report(lint::g1024::range(loc, "this is said twice"));
            return None;
        }
        Some(())
    }

    fn subject_host(&mut self, host: Host, subject: &mut Subject, loc: Loc) -> Option<()> {
        let again = subject.host.replace(host.pattern).is_some();
        self.said_once(loc, again)
    }

    /// `shop.example.com`, which reads like a name.
    fn subject_name(&mut self, name: &Spanned<Name>, subject: &mut Subject, loc: Loc) -> Option<()> {
        let part = |part: &Ident| Spanned::new(HostLabel::Parts(vec![SegmentPart::Lit(part.node.clone())]), part.span);
        let labels: Vec<_> = name.node.parts.iter().map(part).collect();
        if labels.len() < 2 {
            let at = self.loc(0, name.span);
            let shown = Self::name_text(&name.node);
            let d = lint::g1024::range(at, "this is neither a host nor a path");
            self.report(d.help("a pool is named with its word", format!("pool {shown}"), None));
            return None;
        }
        let host = self.host_pattern(0, &Spanned::new(HostPattern { labels }, name.span))?;
        self.subject_host(host, subject, loc)
    }

    /// `/admin`, `/admin/*`
    fn subject_path(&mut self, written: &str, loc: Loc) -> Option<PathPattern> {
        let (text, splat) = match written.strip_suffix("/*") {
            Some(text) => (text, true),
            None => (written, false),
        };
        let text = if text.is_empty() { "/" } else { text };
        if text.contains(['*', '?', '#', '{']) || !text.starts_with('/') {
            let why = "a path here is written out, with `/*` at its end for all that is below it";
            self.report(lint::g1024::range(loc, why));
            return None;
        }
        let path = match canonical::path(text.as_bytes(), Paths::Canonical) {
            Ok(path) => path.into_owned(),
            Err(why) => {
                self.report(lint::g1024::range(loc, &format!("no request has this path: {why}")));
                return None;
            }
        };
        let segments = crate::tree::pattern::segments(&path).map(|segment| Segment::Lit(segment.into())).collect();
        Some(PathPattern { segments, splat })
    }

    /// `pool NAME`
    fn pool_words(&mut self, words: &mut Words<'_>) -> Option<PoolKey> {
        let pool = words.eat("pool");
        let Some(name) = words.name().filter(|_| pool) else {
            self.report(lint::g1024::shape(words.line, "request", "`pool NAME` where a pool is meant"));
            return None;
        };
        let (module, item) = self.pool_name(&name, &Env::top(0))?;
        let pool = self.pool(module, item)?;
        Some(PoolKey { name: Self::name_text(&name.node).into(), ..PoolKey::of(&pool) })
    }

    /// `passes auth.session, office`
    fn policies(&mut self, words: &mut Words<'_>) -> Option<Vec<Policy>> {
        let mut all = Vec::new();
        loop {
            let Some(name) = words.name() else {
                self.report(lint::g1024::shape(words.line, "passes", "a policy, as in `passes auth.only-from`"));
                return None;
            };
            let text: Arc<str> = Self::name_text(&name.node).into();
            let loc = self.loc(0, name.span);
            match self.find_policy(&name.node, 0, loc) {
                Found::Policy(module, item) => all.push(Policy { name: text, policy: self.declared(module, item) }),
                Found::Nothing => return None,
            }
            if words.take(|word| matches!(word, Word::Comma).then_some(())).is_none() {
                return Some(all);
            }
        }
    }

    /// `gets 403`, `gets redirect 308 https://…`, `gets deny`, `gets respond 200`
    fn gets(&mut self, words: &mut Words<'_>) -> Option<Gets> {
        if let Some(status) = self.status_word(words) {
            return Some(Gets::Status(status));
        }
        let gets = match words.peek_word() {
            Some("redirect") => {
                words.next();
                let status = self.status_word(words);
                Gets::Redirect(status, self.url_word(words).map(|url| url.node))
            }
            Some("deny") => {
                words.next();
                Gets::Deny(self.status_word(words))
            }
            Some("respond") => {
                words.next();
                Gets::Respond(self.status_word(words))
            }
            _ => {
                let shape = "a status, `redirect`, `deny` or `respond`, as in `gets 403` or `gets redirect 308`";
                self.report(lint::g1024::shape(words.line, "gets", shape));
                return None;
            }
        };
        Some(gets)
    }

    /// `from [10.0.0.0/8]`, `from office`
    fn client_networks(&mut self, words: &mut Words<'_>) -> Option<Cond> {
        let span = words.peek().map_or(words.line.span, |word| word.span);
        let nets = words.take(|word| match word {
            Word::Value(expr) => Some(expr.clone()),
            _ => None,
        });
        let Some(nets) = nets else {
            self.report(lint::g1024::shape(words.line, "from", "networks, as in `from [203.0.113.0/24]`"));
            return None;
        };
        let nets = match nets {
            one @ (Expr::Ip(_) | Expr::Cidr(..)) => Expr::List(vec![Spanned::new(one, span)]),
            other => other,
        };
        let part = |text: &str| Spanned::new(text.to_owned(), span);
        let client = Expr::Name(Name { parts: vec![part("client"), part("ip")] });
        let compare = Expr::Compare {
            left: Box::new(Spanned::new(client, span)),
            op: Spanned::new(CmpOp::In, span),
            right: Box::new(Spanned::new(nets, span)),
        };
        self.request_cond(&Spanned::new(compare, span))
    }

    /// A condition on a request alone: a call belongs to the site that makes it.
    fn request_cond(&mut self, expr: &Spanned<Expr>) -> Option<Cond> {
        let before = self.diagnostics.len();
        let cond = self.cond(expr, &Env::top(0));
        if self.diagnostics.len() > before {
            return None;
        }
        let loc = self.loc(0, expr.span);
        if fields::reads_call(&cond, &|_| true) {
            self.report(lint::g1024::range(loc, "a proof speaks of what a request carries, not of what a call says"));
            return None;
        }
        Some(cond)
    }
}

fn host_label(label: &str) -> HostLabel {
    match label {
        "*" => HostLabel::Star,
        "**" => HostLabel::DoubleStar,
        text => HostLabel::Parts(vec![SegmentPart::Lit(text.to_owned())]),
    }
}
