//! `request METHOD URL [from IP] [with header.x = "…", …]`

use super::words::Words;
use crate::check::{Checker, METHODS};
use crate::lint;
use crate::resolve::nearest;
use crate::syntax::ast::{Expr, Name, Word};
use crate::syntax::span::{Loc, Spanned};
use crate::testing::Asked;
use crate::tree::ir::CertPart;
use crate::tree::request::Plain;
use std::net::IpAddr;

/// What `with` may say.
const WITH: &[&str] = &["header", "cookie", "body", "tls", "request"];

impl Checker<'_> {
    pub(super) fn request_line(&mut self, words: &mut Words<'_>) -> Option<Asked> {
        let method = self.method_word(words)?;
        // A test says all there is to a request.
        let plain = Plain { method, body: Some(Vec::new()), ..Plain::default() };
        let mut asked = Asked { plain, tokens: Vec::new(), shown: "".into(), loc: words.line };
        let Some(url) = self.url_word(words) else {
            self.report(lint::g1024::shape(
                words.line,
                "request",
                "a method and a URL: `request GET https://host/path`",
            ));
            return None;
        };
        let at = self.loc(0, url.span);
        self.url(&url.node, at, &mut asked.plain)?;
        asked.shown = format!("{} {}", asked.plain.method, self.written(at).trim_matches('"')).into();
        let mut cookies = Vec::new();
        let (mut from, mut with) = (false, false);
        while let Some(word) = words.peek() {
            let again = match words.peek_word() {
                Some("from") => std::mem::replace(&mut from, true),
                Some("with") => std::mem::replace(&mut with, true),
                other => {
                    let at = self.loc(0, word.span);
                    let shape = "a method and a URL, then `from ADDRESS` and `with header.x = \"…\"`";
                    match other.and_then(|word| nearest(word, ["from", "with"])) {
                        Some(near) => self.report(lint::g1001::statement(at, other.unwrap_or_default(), Some(near))),
                        None => self.report(lint::g1024::shape(at, "request", shape)),
                    }
                    return None;
                }
            };
            if again {
                self.report(lint::g1024::range(self.loc(0, word.span), "this is said twice"));
                return None;
            }
            if words.eat("from") {
                asked.plain.client = self.client_word(words)?;
            } else {
                words.next();
                self.with(words, &mut asked, &mut cookies, true)?;
            }
        }
        if !cookies.is_empty() {
            asked.plain.headers.push(("cookie".to_owned(), cookies.join("; ").into_bytes()));
        }
        Some(asked)
    }

    fn method_word(&mut self, words: &mut Words<'_>) -> Option<String> {
        if let Some(text) = self.text_word(words) {
            let token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
            if text.node.is_empty() || !text.node.bytes().all(token) {
                self.report(lint::g1011::no_method(self.loc(0, text.span), &text.node));
                return None;
            }
            return Some(text.node.to_string());
        }
        if let Some(Word::Value(Expr::Request { .. })) = words.peek().map(|word| &word.node) {
            let why = "a test's request names its host: `request GET https://host/path`";
            self.report(lint::g1024::range(words.line, why));
            return None;
        }
        match words.name() {
            Some(name) if METHODS.contains(&Self::name_text(&name.node).as_str()) => Some(Self::name_text(&name.node)),
            Some(name) => {
                self.report(lint::g1011::no_method(self.loc(0, name.span), &Self::name_text(&name.node)));
                None
            }
            None => {
                let shape = "a method and a URL: `request GET https://host/path`";
                self.report(lint::g1024::shape(words.line, "request", shape));
                None
            }
        }
    }

    fn url(&mut self, url: &str, loc: Loc, plain: &mut Plain) -> Option<()> {
        if url.is_empty() {
            // Reported as what it is.
            return None;
        }
        let (https, rest) = match (url.strip_prefix("https://"), url.strip_prefix("http://")) {
            (Some(rest), _) => (true, rest),
            (None, Some(rest)) => (false, rest),
            (None, None) => {
                self.report(lint::g1024::range(loc, "a request's URL starts with https:// or http://"));
                return None;
            }
        };
        let (authority, target) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        let (path, query) = target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
        if authority.is_empty() || url.contains(['#', ' ']) || url.bytes().any(|b| b.is_ascii_control()) {
            self.report(lint::g1024::range(
                loc,
                "this is no URL that a client sends: it has no host, or a blank or `#` in it",
            ));
            return None;
        }
        plain.https = https;
        authority.clone_into(&mut plain.host);
        if path.is_empty() { "/" } else { path }.clone_into(&mut plain.path);
        plain.query = query.map(str::to_owned);
        Some(())
    }

    /// `10.0.0.7`, `10.0.0.7:50000`
    pub(super) fn client_word(&mut self, words: &mut Words<'_>) -> Option<(IpAddr, u16)> {
        let client = words.take(|word| match word {
            Word::Value(Expr::Ip(ip)) => Some((ip.to_canonical(), Plain::default().client.1)),
            Word::Listen(addr) => Some((addr.ip?.to_canonical(), addr.port)),
            _ => None,
        });
        if client.is_none() {
            self.report(lint::g1024::shape(words.line, "from", "the client's address: `from 10.0.0.7`"));
        }
        client
    }

    /// `header.x = "…", cookie.y = token(…), tls.alpn = "h2", request.version = "2"`
    pub(super) fn with(
        &mut self,
        words: &mut Words<'_>,
        asked: &mut Asked,
        cookies: &mut Vec<String>,
        equals_needed: bool,
    ) -> Option<()> {
        loop {
            let shape = "`header.NAME = \"…\"`, `cookie.NAME = \"…\"`, `tls.alpn = \"h2\"`, with commas between";
            let name = words.name();
            let is_body = name.as_ref().is_some_and(|name| Self::name_text(&name.node) == "body");
            if is_body && words.peek().is_some_and(|word| !matches!(word.node, Word::Equals)) {
                self.body_word(words, asked)?;
                if words.take(|word| matches!(word, Word::Comma).then_some(())).is_none() {
                    return Some(());
                }
                continue;
            }
            let equals = words.take(|word| matches!(word, Word::Equals).then_some(()));
            let (Some(name), true) = (name, equals.is_some() || !equals_needed) else {
                self.report(lint::g1024::shape(words.line, "with", shape));
                return None;
            };
            let value = match self.token_word(words, asked)? {
                Some(token) => Some(token),
                None => self.text_word(words),
            };
            let Some(value) = value else {
                self.report(lint::g1024::shape(words.line, "with", shape));
                return None;
            };
            self.assign(&name, &value.node, self.loc(0, value.span), asked, cookies)?;
            if words.take(|word| matches!(word, Word::Comma).then_some(())).is_none() {
                return Some(());
            }
        }
    }

    fn assign(
        &mut self,
        name: &Spanned<Name>,
        value: &str,
        at: Loc,
        asked: &mut Asked,
        cookies: &mut Vec<String>,
    ) -> Option<()> {
        let loc = self.loc(0, name.span);
        if let [tls, cert, part] = name.node.parts.as_slice()
            && (tls.node.as_str(), cert.node.as_str()) == ("tls", "cert")
        {
            if !asked.plain.https {
                self.report(lint::g1024::range(loc, "there is no TLS on http://"));
                return None;
            }
            let Some(part) = CertPart::of(&part.node) else {
                let near = nearest(&part.node, CertPart::ALL.map(CertPart::name));
                let at = self.loc(0, part.span);
                self.report(lint::g1004::no_member(at, "tls.cert", "member", &part.node, near));
                return None;
            };
            asked.plain.prove(part, value);
            return Some(());
        }
        if let [body] = name.node.parts.as_slice()
            && body.node == "body"
        {
            return self.give_body(value, loc, asked);
        }
        let [of, member] = name.node.parts.as_slice() else {
            self.report(lint::g1024::shape(
                loc,
                "with",
                "a header, a cookie or a body: `header.NAME`, `cookie.NAME`, `body`",
            ));
            return None;
        };
        if value.bytes().any(|b| b.is_ascii_control() && b != b'\t') {
            self.report(lint::g1024::range(at, "a control byte reaches no route: the gateway answers 400"));
            return None;
        }
        let member_loc = self.loc(0, member.span);
        match of.node.as_str() {
            "header" => {
                let lower = member.node.to_ascii_lowercase();
                if !self.header_word(&lower, member_loc) {
                    return None;
                }
                if lower == "host" {
                    self.report(lint::g1024::range(member_loc, "the URL says the host"));
                    return None;
                }
                asked.plain.headers.push((lower, value.as_bytes().to_vec()));
            }
            "cookie" => {
                if value.contains(';') {
                    self.report(lint::g1024::range(at, "a `;` ends a cookie"));
                    return None;
                }
                cookies.push(format!("{}={value}", member.node));
            }
            "tls" if asked.plain.https => {
                let place = match member.node.as_str() {
                    "sni" => &mut asked.plain.tls.sni,
                    "version" => &mut asked.plain.tls.version,
                    "alpn" => &mut asked.plain.tls.alpn,
                    other => {
                        let near = nearest(other, ["sni", "version", "alpn", "cert.subject"]);
                        self.report(lint::g1004::no_member(member_loc, "tls", "member", other, near));
                        return None;
                    }
                };
                *place = Some(value.to_owned());
            }
            "tls" => {
                self.report(lint::g1024::range(loc, "there is no TLS on http://"));
                return None;
            }
            "request" if member.node == "version" => {
                let known = ["1.0", "1.1", "2", "3"];
                let Some(version) = known.into_iter().find(|known| *known == value) else {
                    self.report(lint::g1024::range(at, "a version is \"1.0\", \"1.1\", \"2\" or \"3\""));
                    return None;
                };
                asked.plain.version = version;
            }
            "query" => {
                self.report(lint::g1024::range(loc, "the query stands in the URL"));
                return None;
            }
            other => {
                let of_loc = self.loc(0, of.span);
                self.report(lint::g1003::unknown_name(of_loc, other, nearest(other, WITH.iter().copied())));
                return None;
            }
        }
        Some(())
    }

    /// `body "…"`
    fn body_word(&mut self, words: &mut Words<'_>, asked: &mut Asked) -> Option<()> {
        match self.text_word(words) {
            Some(text) => self.give_body(&text.node, self.loc(0, text.span), asked),
            None => {
                self.report(lint::g1024::shape(words.line, "body", "a text, as in `with body \"a=1\"`"));
                None
            }
        }
    }

    fn give_body(&mut self, text: &str, at: Loc, asked: &mut Asked) -> Option<()> {
        let body = asked.plain.body.get_or_insert_default();
        if !body.is_empty() {
            self.report(lint::g1024::range(at, "a request has one body"));
            return None;
        }
        body.extend_from_slice(text.as_bytes());
        // As whoever knows its length sends it.
        if !asked.plain.headers.iter().any(|(name, _)| matches!(name.as_str(), "content-length" | "transfer-encoding"))
        {
            asked.plain.headers.push(("content-length".to_owned(), text.len().to_string().into_bytes()));
        }
        Some(())
    }

    /// Whether a text is a header's name.
    pub(super) fn header_word(&mut self, lower: &str, loc: Loc) -> bool {
        let token =
            !lower.is_empty() && lower.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b));
        if !token {
            self.report(lint::g1028::no_header(loc, lower));
        }
        token
    }
}
