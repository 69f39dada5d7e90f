//! What a request that goes to a pool meets there: each setting in force, defaults included.

use super::Story;
use super::connection::chosen;
use crate::http::{forward, grpc, upgrade};
use crate::upstream::Spot;
use dsl::tree::ir::{Plan, Pool, PoolIdx, PoolLimit, PoolTls, Protocol, Site};
use dsl::tree::request::Plain;
use dsl::tree::upstream_text::{duration, mirror};
use dsl::tree::words;
use std::net::SocketAddr;
use std::sync::Arc;

impl Story<'_> {
    /// What becomes of a request in its pools.
    pub(super) fn upstream(&mut self, site: &Site, plan: &Plan, pools: &[PoolIdx], request: &Plain) {
        for index in pools {
            let pool = &site.pools[index.0 as usize];
            if pools.len() > 1 {
                self.say("pool", &format!("{}: {}", pool.name, words::endpoints(pool)), Some(pool.loc));
            }
            self.met(site, plan, pool, request);
        }
    }

    fn met(&mut self, site: &Site, plan: &Plan, pool: &Arc<Pool>, request: &Plain) {
        let of = &plan.settings;
        let idempotent = http::Method::from_bytes(request.method.as_bytes()).is_ok_and(|method| method.is_idempotent());
        let (timeout, mut idle) = forward::bounds(of, pool, idempotent);
        let calls = request
            .headers
            .iter()
            .any(|(name, value)| name == "content-type" && value.starts_with(b"application/grpc"));
        if calls && of.idle_ms.or(pool.idle_ms).is_none() {
            idle = grpc::IDLE_MS;
        }
        self.say("protocol", &protocol(pool), Some(pool.loc));
        let mut say = |label: &str, text: String| self.say(label, &text, None);
        let off = || "off".to_owned();
        say("balance", balance(pool, request));
        let check = pool.check.as_ref().map_or_else(|| "off: every endpoint is up".to_owned(), ToString::to_string);
        say("check", check);
        say("eject", pool.eject.map_or_else(off, |eject| eject.to_string()));
        let panic = match (pool.panic_below, pool.eject) {
            (Some(share), _) => format!("below {share}% that are well, all are used"),
            (None, Some(_)) => "below 50% that are well, those that were ejected are used too".to_owned(),
            (None, None) => off(),
        };
        say("panic", panic);
        say("slow-start", pool.slow_start_ms.map_or_else(off, duration));
        let connect = duration(pool.connect_within_ms.unwrap_or(crate::upstream::CONNECT_MS));
        let (timeout, idle) = (duration(timeout), duration(idle));
        let time = format!("connect within {connect}, timeout {timeout}, idle {idle}");
        say("time", time);
        let retry = match of.retry.as_ref().or(pool.retry.as_ref()).filter(|retry| retry.times > 0) {
            Some(retry) => retry.to_string(),
            None => "off: another endpoint is tried only where nothing was sent".to_owned(),
        };
        say("retry", retry);
        say("hedge", of.hedge.or(pool.hedge).map_or_else(off, |hedge| hedge.to_string()));
        let limit = if pool.limit == PoolLimit::default() { off() } else { pool.limit.to_string() };
        say("limit", limit);
        say("sticky", pool.sticky.as_ref().map_or_else(off, ToString::to_string));
        if let Some(paths) = pool.paths {
            say("paths", paths.to_string());
        }
        say("mirror", of.mirror.as_ref().map_or_else(off, |copy| mirror(copy, site)));
        let websocket = match of.websocket {
            Some(false) => off(),
            Some(true) | None => format!("on, idle {}", duration(of.idle_ms.unwrap_or(upgrade::IDLE_MS))),
        };
        say("websocket", websocket);
        say("log", if of.log == Some(false) { off() } else { "what fails".to_owned() });
    }
}

/// What is spoken, and how the endpoint is known.
fn protocol(pool: &Pool) -> String {
    let spoken = match (pool.protocol, pool.tls.is_some()) {
        (Protocol::Auto, true) => "auto: HTTP/2 where an endpoint agrees to it, HTTP/1.1 otherwise",
        (Protocol::Auto, false) => "auto: HTTP/1.1",
        (Protocol::H1, _) => "h1: HTTP/1.1",
        (Protocol::H2, _) => "h2: HTTP/2",
        (Protocol::H2c, _) => "h2c: HTTP/2",
        (Protocol::Grpc, _) => "grpc: HTTP/2",
    };
    let how = pool.tls.as_ref().map_or_else(|| ", in clear".to_owned(), verified);
    let told = pool.proxy_protocol.map(|told| format!(", told the client by PROXY {told}")).unwrap_or_default();
    format!("{spoken}{how}{told}")
}

/// Whom the pool's certificate must be for, and who must say so.
fn verified(tls: &PoolTls) -> String {
    let by_key = !tls.pins.is_empty() && tls.trust.is_none();
    let name = match &tls.name {
        Some(name) => format!(" for {name}"),
        None if by_key => String::new(),
        None => " for the endpoint's own name".to_owned(),
    };
    let by = match (&tls.trust, by_key) {
        (Some(file), _) => format!("an authority in {file}"),
        (None, true) => "its key".to_owned(),
        (None, false) => "an authority of the system".to_owned(),
    };
    let client = tls.client.as_ref().map(|(file, _)| format!(", shown {file}")).unwrap_or_default();
    let least = if tls.min_13 { "1.3" } else { "1.2" };
    format!(", over TLS {least} or later, verified{name} by {by}{client}")
}

/// How an endpoint is chosen, and which it is where that can be said beforehand.
fn balance(pool: &Arc<Pool>, request: &Plain) -> String {
    let by = &pool.balance;
    // Where the request arrived is known to the gateway only: no part of a request's key.
    let local = SocketAddr::from(([192, 0, 2, 1], 443));
    match Spot::of_request(by, request, local) {
        Err(conflict) => format!("{by}: 400, `{}` arrived several times with different values", conflict.0),
        Ok(spot) => chosen(pool, spot),
    }
}
