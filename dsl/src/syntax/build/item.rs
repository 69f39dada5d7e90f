//! Top-level items.

use super::{Builder, Place, need, only};
use crate::syntax::ast::{
    Import, Item, ItemKind, L4, ListenAddr, Passthrough, Policy, Pool, Provider, Site, Table, TestLine,
};
use crate::syntax::grammar::{Pair, Pairs, Rule};
use crate::syntax::span::Spanned;

impl Builder {
    /// The rule `item`.
    pub(crate) fn item(&mut self, pair: Pair<'_>, doc: Option<String>) -> Item {
        let pair = only(pair);
        let span = self.span(&pair);
        let rule = pair.as_rule();
        if rule == Rule::let_in {
            return Item { kind: ItemKind::Let(self.let_in(pair)), span, doc };
        }
        let mut pairs = pair.into_inner();
        let keyword = need(&mut pairs);
        let kind = match rule {
            Rule::import => {
                let module = self.ident(&need(&mut pairs));
                let alias = pairs.last().map(|alias| self.declared(&alias));
                ItemKind::Import(Import { module, alias })
            }
            Rule::pool => ItemKind::Pool(self.pool(pairs)),
            Rule::table => ItemKind::Table(self.table(pairs)),
            Rule::policy => {
                let name = self.declared(&need(&mut pairs));
                let mut params = Vec::new();
                let mut next = need(&mut pairs);
                if next.as_rule() == Rule::params {
                    params = self.params(next);
                    next = need(&mut pairs);
                }
                ItemKind::Policy(Policy { name, params, body: self.block(next, Place::Http) })
            }
            Rule::provider => {
                let name = self.declared(&need(&mut pairs));
                ItemKind::Provider(Provider { name, body: self.block(need(&mut pairs), Place::Settings) })
            }
            Rule::site => {
                let hosts = self.hosts(need(&mut pairs));
                ItemKind::Site(Site { hosts, body: self.block(need(&mut pairs), Place::Http) })
            }
            Rule::passthrough => {
                let hosts = self.hosts(need(&mut pairs));
                ItemKind::Passthrough(Passthrough { hosts, body: self.body(need(&mut pairs), Place::Bytes) })
            }
            Rule::l4 => {
                let listen = self.listen_here(&need(&mut pairs));
                let udp = keyword.as_rule() == Rule::k_udp;
                ItemKind::L4(L4 { udp, listen, body: self.body(need(&mut pairs), Place::Bytes) })
            }
            Rule::gateway => ItemKind::Gateway(self.block(need(&mut pairs), Place::Settings)),
            Rule::tenant => {
                let name = self.declared(&need(&mut pairs));
                ItemKind::Tenant { name, body: self.block(need(&mut pairs), Place::Settings) }
            }
            _ => {
                let title = self.quoted(need(&mut pairs));
                let lines = need(&mut pairs).into_inner().map(|line| self.test_line(line)).collect();
                if rule == Rule::test { ItemKind::Test { title, lines } } else { ItemKind::Prove { title, lines } }
            }
        };
        Item { kind, span, doc }
    }

    fn pool(&mut self, mut pairs: Pairs<'_>) -> Pool {
        let mut pool = Pool { name: self.declared(&need(&mut pairs)), endpoints: Vec::new(), body: None };
        for part in pairs {
            if part.as_rule() == Rule::pool_block {
                pool.body = Some(self.block(part, Place::Pool));
                continue;
            }
            if part.as_rule() == Rule::gets {
                continue;
            }
            let span = self.span(&part);
            let endpoint = self.endpoint(part);
            pool.endpoints.push(Spanned::new(endpoint, span));
        }
        pool
    }

    fn table(&mut self, mut pairs: Pairs<'_>) -> Table {
        let mut table =
            Table { name: self.declared(&need(&mut pairs)), types: None, among: None, from: None, body: None };
        for part in pairs {
            match part.as_rule() {
                Rule::table_types => {
                    let mut types = part.into_inner();
                    let key = self.ident(&need(&mut types));
                    // The arrow, where there is one, and then the type.
                    let value = types.next().map(|_| self.ident(&need(&mut types)));
                    table.types = Some((key, value));
                }
                Rule::among => {
                    let list = part.into_inner().last().expect("`in` has a list");
                    table.among = Some(self.form(list));
                }
                Rule::from => {
                    let file = part.into_inner().last().expect("`from` has a file");
                    table.from = Some(self.quoted(file));
                }
                _ => table.body = Some(self.block(part, Place::Table)),
            }
        }
        table
    }

    fn listen_here(&mut self, pair: &Pair<'_>) -> Spanned<ListenAddr> {
        let span = self.span(pair);
        match super::literal::listen(pair.as_str()) {
            Ok(addr) => Spanned::new(addr, span),
            Err(wrong) => {
                self.wrong(span, wrong);
                Spanned::new(ListenAddr { ip: None, port: 0, quic: false }, span)
            }
        }
    }

    /// The rule `test_line`.
    pub(crate) fn test_line(&mut self, pair: Pair<'_>) -> TestLine {
        let mut pairs = pair.into_inner();
        let head = self.ident(&need(&mut pairs));
        let words = pairs.flat_map(|word| self.word(word)).collect();
        TestLine { head, words }
    }
}
