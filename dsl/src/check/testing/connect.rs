//! `connect tcp :5432 [from IP] [with tls.sni = "…", tls.alpn = "…"]`, `connect tls vault.example.com`

use super::words::Words;
use crate::check::Checker;
use crate::lint;
use crate::resolve::nearest;
use crate::syntax::ast::Word;
use crate::syntax::span::Loc;
use crate::testing::{Connection, Reached, Wanted};
use crate::tree::l4::Transport;
use crate::tree::request::Plain;

const SHAPE: &str =
    "`tcp :5432`, `udp :53` or `tls vault.example.com`, then `from ADDRESS` and `with tls.alpn = \"…\"`";

impl Checker<'_> {
    pub(super) fn connect_line(&mut self, words: &mut Words<'_>) -> Option<Connection> {
        let Some(to) = self.reached(words) else {
            self.report(lint::g1024::shape(words.line, "connect", SHAPE));
            return None;
        };
        let client = Plain::default().client;
        let mut connection = Connection { to, client, sni: None, alpn: Vec::new(), loc: words.line };
        if words.eat("from") {
            connection.client = self.client_word(words)?;
        }
        if words.eat("with") {
            self.hello(words, &mut connection)?;
        }
        Some(connection)
    }

    fn reached(&mut self, words: &mut Words<'_>) -> Option<Reached> {
        let transport = match words.peek_word()? {
            "tcp" => Transport::Tcp,
            "udp" => Transport::Udp,
            "tls" => {
                words.next();
                return self.host_word(words).map(Reached::Tls);
            }
            _ => return None,
        };
        words.next();
        words.take(|word| match word {
            Word::Listen(addr) => Some(Reached::Port(transport, addr.ip, addr.port)),
            _ => None,
        })
    }

    /// `tls.sni = "…", tls.alpn = "…"`: each protocol that the hello offers is said by itself, in its order.
    fn hello(&mut self, words: &mut Words<'_>, connection: &mut Connection) -> Option<()> {
        loop {
            let name = words.name();
            let equals = words.take(|word| matches!(word, Word::Equals).then_some(()));
            let (Some(name), Some(()), Some(value)) = (name, equals, self.text_word(words)) else {
                self.report(lint::g1024::shape(words.line, "with", "`tls.sni = \"…\"`, `tls.alpn = \"…\"`"));
                return None;
            };
            let at = self.loc(0, name.span);
            match Self::name_text(&name.node).as_str() {
                "tls.sni" if matches!(connection.to, Reached::Tls(_)) => {
                    self.report(lint::g1024::range(at, "`tls HOST` says the name already"));
                    return None;
                }
                "tls.sni" => connection.sni = Some(value.node.to_ascii_lowercase()),
                "tls.alpn" => connection.alpn.push(Box::from(&*value.node)),
                other => {
                    self.report(lint::g1003::unknown_name(at, other, nearest(other, ["tls.sni", "tls.alpn"])));
                    return None;
                }
            }
            if words.take(|word| matches!(word, Word::Comma).then_some(())).is_none() {
                return Some(());
            }
        }
    }

    /// Of a connection only its end is expected. Whether that is what is.
    pub(super) fn expects_end(&mut self, wanted: &Wanted, loc: Loc) -> bool {
        let right = matches!(wanted, Wanted::Proxy { pool: Some(_), at: None, host: None } | Wanted::Deny(None));
        if !right {
            let why = "of a connection only `expect pool NAME` and `expect deny` can be said: nothing in it is read";
            self.report(lint::g1024::range(loc, why));
        }
        right
    }
}
