//! `given …`

use super::words::Words;
use crate::check::{Checker, Env};
use crate::lint;
use crate::resolve::nearest;
use crate::syntax::ast::{Expr, Name, Word};
use crate::syntax::span::Spanned;
use crate::testing::{Asked, Earlier, Given, PoolName};
use crate::tree::ir::EndpointKind;
use crate::tree::request::Plain;
use std::net::IpAddr;
use std::sync::Arc;

const SHAPE: &str = "`POOL down`, `POOL answers STATUS`, `ADDRESS:PORT down`, `draw 97%`, `time \"2026-01-01 00:00:00\"`, \
     `N requests`, `country \"DE\"`, `secret.NAME = \"…\"` or `signatures valid`";

/// More are played by no test in a moment.
const MOST_REQUESTS: i64 = 10_000;

impl Checker<'_> {
    pub(super) fn given(&mut self, words: &mut Words<'_>) -> Option<Given> {
        let first = words.peek().map(|word| word.span);
        if let Some(count) = words.number() {
            return self.earlier(words, &count);
        }
        // A pool of that name is another thing.
        let free = |word: &str| !self.linked.modules[0].values.contains_key(word);
        match words.peek_word() {
            Some("time") if free("time") => {
                words.next();
                return self.time_word(words).map(Given::Time);
            }
            Some("country") if free("country") => {
                words.next();
                return self.country_word(words).map(Given::Country);
            }
            Some("draw") if free("draw") => {
                words.next();
                return self.draw(words);
            }
            Some("signatures") if free("signatures") => {
                words.next();
                let valid = words.eat("valid");
                if valid || words.eat("invalid") {
                    return Some(Given::Signed(valid));
                }
                self.report(lint::g1024::shape(words.line, "given signatures", "`valid` or `invalid`"));
                return None;
            }
            Some("secret") => {
                words.next();
                let Some(name) = words.name() else {
                    let shape = "a name and its content: `given secret.api-keys = \"k1\"`";
                    self.report(lint::g1024::shape(words.line, "given secret", shape));
                    return None;
                };
                return self.secret_content(words, Self::name_text(&name.node));
            }
            _ => {}
        }
        if let Some(Word::Value(Expr::Name(Name { parts }))) = words.peek().map(|word| &word.node)
            && let [secret, name] = parts.as_slice()
            && secret.node == "secret"
        {
            words.next();
            return self.secret_content(words, name.node.clone());
        }
        if let Some((kind, host, port)) = self.endpoint_words(words) {
            if words.eat("down") {
                return Some(Given::Down { kind, host, port });
            }
            self.report(lint::g1024::shape(words.line, "given", SHAPE));
            return None;
        }
        // `given pool api down`: what it is may be said.
        let says = |word: &Word| Words::one(word).is_some_and(|word| ["down", "answers"].contains(&word));
        if words.after().is_some_and(|next| !says(&next.node)) {
            words.eat("pool");
        }
        let Some(name) = words.name() else {
            self.report(lint::g1024::shape(words.line, "given", SHAPE));
            return None;
        };
        if words.eat("down") {
            return Some(Given::Answers { pool: self.test_pool(&name)?, status: 503, headers: Vec::new() });
        }
        if words.eat("answers") {
            return self.answers(words, &name);
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

    /// `given api answers 200 with header.x-user = "ann"`
    fn answers(&mut self, words: &mut Words<'_>, name: &Spanned<Name>) -> Option<Given> {
        let pool: Option<PoolName> = self.test_pool(name);
        let Some(status) = self.status_word(words) else {
            let shape = "a status, as in `given api answers 502`";
            self.report(lint::g1024::shape(words.line, "given … answers", shape));
            return None;
        };
        let mut headers = Vec::new();
        if words.eat("with") {
            let said = self.headers_only(words)?;
            headers =
                said.into_iter().map(|(name, value)| (name.into(), String::from_utf8_lossy(&value).into())).collect();
        }
        Some(Given::Answers { pool: pool?, status, headers })
    }

    /// `given 200 requests [from [203.0.113.7]] [with header.x = "…"]`
    fn earlier(&mut self, words: &mut Words<'_>, count: &Spanned<i64>) -> Option<Given> {
        if !(words.eat("requests") || words.eat("request")) {
            self.report(lint::g1024::shape(words.line, "given", SHAPE));
            return None;
        }
        if !(1..=MOST_REQUESTS).contains(&count.node) {
            let why = format!("as many as 1 to {MOST_REQUESTS} requests are played");
            self.report(lint::g1024::range(self.loc(0, count.span), &why));
            return None;
        }
        let count = u32::try_from(count.node).unwrap_or_default();
        let mut earlier = Earlier { count, from: Vec::new(), headers: Vec::new() };
        if words.eat("from") {
            earlier.from = self.addresses(words)?;
        }
        if words.eat("with") {
            earlier.headers = self.headers_only(words)?;
        }
        Some(Given::Requests(Box::new(earlier)))
    }

    /// `203.0.113.7`, `[203.0.113.7, 203.0.113.8]`
    fn addresses(&mut self, words: &mut Words<'_>) -> Option<Vec<IpAddr>> {
        let address = |expr: &Expr| match expr {
            Expr::Ip(ip) => Some(ip.to_canonical()),
            _ => None,
        };
        let all = words.take(|word| match word {
            Word::Value(Expr::List(items)) => items.iter().map(|item| address(&item.node)).collect::<Option<Vec<_>>>(),
            Word::Value(expr) => address(expr).map(|one| vec![one]),
            _ => None,
        });
        if all.as_ref().is_none_or(Vec::is_empty) {
            self.report(lint::g1024::shape(words.line, "from", "addresses, as in `from [203.0.113.7, 203.0.113.8]`"));
            return None;
        }
        all
    }

    /// `header.x = "…", cookie.y = "…"`, of no request in particular.
    fn headers_only(&mut self, words: &mut Words<'_>) -> Option<Vec<(String, Vec<u8>)>> {
        let mut asked = Asked { plain: Plain::default(), tokens: Vec::new(), shown: "".into(), loc: words.line };
        let mut cookies = Vec::new();
        self.with(words, &mut asked, &mut cookies, false)?;
        if !asked.tokens.is_empty() {
            self.report(lint::g1024::range(words.line, "a token is of one request: say it there"));
            return None;
        }
        let mut headers = asked.plain.headers;
        if !cookies.is_empty() {
            headers.push(("cookie".to_owned(), cookies.join("; ").into_bytes()));
        }
        Some(headers)
    }

    fn secret_content(&mut self, words: &mut Words<'_>, name: String) -> Option<Given> {
        words.take(|word| matches!(word, Word::Equals).then_some(()));
        match self.text_word(words) {
            Some(text) => Some(Given::Secret(name.into(), text.node)),
            None => {
                let shape = "a name and its content: `given secret.api-keys = \"k1\"`";
                self.report(lint::g1024::shape(words.line, "given secret", shape));
                None
            }
        }
    }

    /// `"DE"`
    fn country_word(&mut self, words: &mut Words<'_>) -> Option<Arc<str>> {
        let text = self.text_word(words);
        let code = text.filter(|text| text.node.len() == 2 && text.node.bytes().all(|b| b.is_ascii_uppercase()));
        if code.is_none() {
            let shape = "the code of a country (ISO 3166-1): `given country \"DE\"`";
            self.report(lint::g1024::shape(words.line, "given country", shape));
        }
        code.map(|code| code.node.as_ref().into())
    }

    /// `"2026-01-01 00:00:00"`, UTC.
    fn time_word(&mut self, words: &mut Words<'_>) -> Option<i64> {
        let text = self.text_word(words);
        let time = text.as_ref().and_then(|text| crate::calendar::seconds(&text.node));
        if time.is_none() {
            let shape = "a day and a time of it, UTC, from 1970 on: `given time \"2026-01-01 00:00:00\"`";
            self.report(lint::g1024::shape(words.line, "given time", shape));
        }
        time
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
    pub(super) fn test_pool(&mut self, name: &Spanned<Name>) -> Option<PoolName> {
        let (module, item) = self.pool_name(name, &Env::top(0))?;
        let pool = self.pool(module, item)?;
        Some(PoolName { name: Self::name_text(&name.node).into(), loc: pool.loc })
    }
}
