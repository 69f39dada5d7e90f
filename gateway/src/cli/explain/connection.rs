//! `sluice explain 'tcp :5432'`, `'udp :53'`, `'tls vault.example.com'`: where a connection would go.

use super::Story;
use crate::cli::{Failed, story};
use crate::l4::ListenKey;
use crate::sites::item::{Item, own_ports};
use crate::sites::load::Stand;
use crate::upstream::{Pools, Spot, Tried, Upstreams};
use dsl::tree::canonical;
use dsl::tree::ir::{Endpoint, EndpointKind, Gateway, Pool, Tls};
use dsl::tree::l4::tell::{End, tell};
use dsl::tree::l4::{Facts, Transport};
use dsl::tree::words;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::Arc;

/// A connection as it was typed.
#[derive(Debug)]
pub(super) struct Asked {
    what: What,
    client: SocketAddr,
    sni: Option<String>,
    alpn: Vec<Box<str>>,
}

#[derive(Debug)]
enum What {
    /// To a `tcp` or `udp` item.
    Listener(ListenKey),
    /// To an `https` listener, for this name.
    Tls(String),
}

impl Asked {
    /// Reads `tcp :5432`; `None` where it is a request.
    pub(super) fn parse(
        text: &str,
        client: SocketAddr,
        sni: Option<&str>,
        alpn: &[String],
    ) -> Result<Option<Self>, Failed> {
        let Some((word, rest)) = text.trim().split_once(char::is_whitespace) else { return Ok(None) };
        let rest = rest.trim();
        let name = |text: &str| {
            canonical::host(text.as_bytes())
                .map(std::borrow::Cow::into_owned)
                .map_err(|why| Failed::new(format!("`{text}` is no host: {why}")))
        };
        let what = match word {
            "tcp" => What::Listener(listener(Transport::Tcp, rest)?),
            "udp" => What::Listener(listener(Transport::Udp, rest)?),
            "tls" => What::Tls(name(rest)?),
            _ => return Ok(None),
        };
        let sni = sni.map(name).transpose()?;
        Ok(Some(Self { what, client, sni, alpn: alpn.iter().map(|one| one.as_str().into()).collect() }))
    }
}

/// `:5432`, `10.0.0.1:5432`, `[::1]:5432`
fn listener(transport: Transport, text: &str) -> Result<ListenKey, Failed> {
    let bad = || Failed::new(format!("`{text}` is no listener; write it as `:5432` or `10.0.0.1:5432`"));
    let (ip, port) = match text.strip_prefix(':') {
        Some(port) => (None, port.parse().map_err(|_| bad())?),
        None => {
            let address: SocketAddr = text.parse().map_err(|_| bad())?;
            (Some(address.ip()), address.port())
        }
    };
    Ok(ListenKey { transport, ip, port })
}

impl Story<'_> {
    /// Tells the way of a connection.
    pub(super) fn connection(&mut self, asked: &Asked) {
        match &asked.what {
            What::Listener(key) => self.listener(*key, asked),
            What::Tls(host) => self.tls(host, asked),
        }
    }

    fn listener(&mut self, key: ListenKey, asked: &Asked) {
        self.head(&key.to_string());
        let items: Vec<_> = self.loaded.loader.items().into_iter().map(|(_, item)| item).collect();
        let of = |item: &&Arc<Item>| item.listens().is_some_and(|l| l == key || l.overlaps(&key));
        let exact = items.iter().find(|item| item.listens() == Some(key));
        let Some(item) = exact.or_else(|| items.iter().find(of)) else { return self.nobody(key) };
        self.say("listener", &item.name(), Some(item.loc()));
        if let Some(other) = items.iter().filter(of).find(|other| !Arc::ptr_eq(other, item)) {
            self.say("", &format!("also {}: name its address to ask about it", other.name()), Some(other.loc()));
        }
        let local = SocketAddr::new(key.ip.unwrap_or(IpAddr::from([192, 0, 2, 1])), key.port);
        self.way(item, local, asked.sni.clone(), asked);
    }

    /// No item listens there.
    fn nobody(&mut self, key: ListenKey) {
        let default = Gateway::default();
        let gateway = self.loaded.outcome.gateway.as_deref().unwrap_or(&default);
        let own = own_ports(gateway).find(|(own, ..)| *own == key || own.overlaps(&key));
        match own {
            Some((_, shown, loc)) => {
                let written = (loc != Default::default()).then_some(loc);
                let ask = "ask about a request or, for https, about `tls HOST`";
                self.say("listener", &format!("{shown} of the gateway: {ask}"), written);
            }
            None => self.say("listener", &format!("{}: nothing listens there", self.style.red("refused")), None),
        }
    }

    fn tls(&mut self, host: &str, asked: &Asked) {
        self.head(&format!("tls {host}"));
        match self.loaded.hosts().get(host) {
            Some(Stand::Passthrough(item)) => {
                let Item::Passthrough(passed) = &**item else { return };
                let own = passed.hosts.iter().find(|(pattern, _)| pattern.matches(host));
                let (pattern, loc) = own.map_or((host.to_owned(), item.loc()), |(p, loc)| (p.to_string(), *loc));
                let why = if pattern == host { String::new() } else { format!("  (matches {pattern})") };
                self.say("host", &format!("{host}: passed through{why}"), Some(loc));
                let local = SocketAddr::from(([192, 0, 2, 1], 443));
                self.way(item, local, Some(host.to_owned()), asked);
            }
            Some(Stand::Site(site)) => {
                let site = site.site();
                let own = site.hosts.iter().find(|(pattern, _)| pattern.matches(host));
                let loc = own.map_or(site.loc, |(_, loc)| *loc);
                if site.settings.tls == Tls::Off {
                    let why = "this site says `tls off`: it is served on the clear ports only";
                    return self.say("host", &format!("{}: {why}", self.style.red("refused")), Some(loc));
                }
                self.say("host", &format!("{host}: a site, so TLS ends here"), Some(loc));
                self.say("next", &format!("sluice explain 'GET https://{host}/'"), None);
            }
            Some(Stand::Unavailable) => {
                self.say("host", &format!("{host}: its file does not load; TLS ends here and requests get 503"), None);
            }
            Some(Stand::Nobody) | None => {
                let why = "neither a site nor a passthrough claims it: the handshake is refused";
                self.say("host", &format!("{} {host}: {why}", self.style.red("refused")), None);
            }
        }
    }

    fn head(&mut self, line: &str) {
        use std::fmt::Write as _;
        let _ = writeln!(self.out, "{}\n", self.style.bold(line));
    }

    /// What an item's rules make of it.
    fn way(&mut self, item: &Item, local: SocketAddr, sni: Option<String>, asked: &Asked) {
        let facts = Facts { client: asked.client, local, sni: sni.as_deref(), alpn: &asked.alpn };
        let rules = item.rules();
        let mut known = format!("from {}", facts.client.ip());
        if let (Some(sni), Item::Listening(_)) = (&sni, item) {
            known.push_str(&format!(", for {sni}"));
        }
        if !asked.alpn.is_empty() {
            known.push_str(&format!(", offering {}", asked.alpn.join(", ")));
        }
        self.say("client", &known, None);
        let told = tell(rules, item.transport(), &facts, None);
        for line in &told.lines {
            self.out.push_str(&story::line(line, self.style, &self.loaded.outcome.report.texts));
        }
        if let End::Pool(pool) = told.end {
            self.balance(pool, &facts);
        }
    }

    /// Who of the pool gets it, where that can be said beforehand.
    fn balance(&mut self, pool: &Arc<Pool>, facts: &Facts<'_>) {
        let mut line = chosen(pool, Spot::of_connection(&pool.balance, facts));
        let tls = if pool.tls.is_some() { ", with TLS" } else { "" };
        let told = match pool.proxy_protocol {
            Some(version) => format!(", told the client by PROXY {version}"),
            None => String::new(),
        };
        line.push_str(tls);
        line.push_str(&told);
        self.say("balance", &line, Some(pool.loc));
    }
}

/// How a pool chooses, and whom for a key, where that can be said beforehand.
pub(super) fn chosen(pool: &Arc<Pool>, spot: Option<Spot>) -> String {
    let by = &pool.balance;
    match spot.and_then(|spot| destination(pool, spot)) {
        Some(endpoint) => format!("{by}: {endpoint}, while all are up"),
        None => by.to_string(),
    }
}

/// The endpoint that a pool's table has for a key: the one that the gateway looks up. Which addresses a name
/// has is not known beforehand.
fn destination(pool: &Arc<Pool>, spot: Spot) -> Option<String> {
    let known = |e: &Endpoint| match e.kind {
        EndpointKind::Tcp => e.host.parse::<IpAddr>().is_ok(),
        EndpointKind::Unix => true,
        EndpointKind::Srv => false,
    };
    if !pool.endpoints.iter().all(known) {
        return None;
    }
    // Nothing is dialled: neither its checks nor its certificates matter.
    let plain = Pool { check: None, tls: None, ..Pool::clone(pool) };
    let handle = Pools::new(1).intern(&Arc::new(plain), Path::new(""));
    let members = handle.members();
    let chosen = Upstreams::default().choose(&members, Some(spot), Tried::default(), 0)?;
    pool.endpoints.get(chosen).map(words::endpoint)
}
