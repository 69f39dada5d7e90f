//! ## What
//!
//! A statement stands where it has no meaning.
//!
//! ## Why
//!
//! An endpoint in a site, a route in a pool: nothing would happen.
//!
//! ## Wrong
//!
//! ```route
//! site a.example.com {
//!     /x/* {
//!         tls off
//!         -> respond 404
//!     }
//!     else -> respond 404
//! }
//! ```
//!
//! ## Right
//!
//! ```route
//! site a.example.com {
//!     tls off
//!     else -> respond 404
//! }
//! ```

use crate::diagnostic::Diagnostic;
use crate::syntax::span::Loc;

/// Anything but endpoints and settings in a pool.
pub(crate) fn in_pool(loc: Loc) -> Diagnostic {
    Diagnostic::error("G1022", loc, "a pool holds endpoints and settings, nothing else")
}

/// A pool without endpoints.
pub(crate) fn empty_pool(loc: Loc, name: &str) -> Diagnostic {
    Diagnostic::error("G1022", loc, format!("the pool `{name}` has no endpoint"))
        .help("add one", "127.0.0.1:8000", None)
}

/// What only a site says of TLS, in a `tcp`.
pub(crate) fn tls_of_port(loc: Loc) -> Diagnostic {
    Diagnostic::error("G1022", loc, "a `tcp` port ends TLS with certificates of the internal CA and says nothing else of it")
        .help("end TLS here", "tls auto", None)
        .note("certificates of hosts, versions and client certificates are said in a `site`; for other protocols hand the TLS on: `passthrough HOST -> pool`")
}

/// A setting of a whole site, elsewhere.
pub(crate) fn site_only(loc: Loc, name: &str) -> Diagnostic {
    Diagnostic::error("G1022", loc, format!("`{name}` is said of a whole site, not of a block or in a policy"))
}

/// Something of a policy that cannot depend on a request.
pub(crate) fn conditional(loc: Loc, name: &str) -> Diagnostic {
    Diagnostic::error("G1022", loc, format!("a policy with `{name}` cannot be used under a condition"))
        .help("write a block with the condition and use the policy inside it", "", None)
}

/// `-> pool else …` (LANGUAGE rule 1).
pub(crate) fn else_of_pool(loc: Loc) -> Diagnostic {
    Diagnostic::error("G1022", loc, "`else` behind a pool has no meaning: only tables, `require` and routes have an `else`")
        .help("for a pool that fails, write above the routes", "catch [502, 503, 504] -> respond 503", None)
}

/// A pool or files where the gateway itself must answer.
pub(crate) fn own_answer(loc: Loc) -> Diagnostic {
    Diagnostic::error("G1022", loc, "only `deny`, `respond` or `redirect` can stand here")
}

/// A `catch` block with more than an arrow.
pub(crate) fn catch_block(loc: Loc) -> Diagnostic {
    Diagnostic::error("G1022", loc, "the block of a `catch` holds one arrow, nothing else")
}

/// `catch [502] -> respond verdict`
pub(crate) fn relay_in_catch(loc: Loc) -> Diagnostic {
    Diagnostic::error("G1022", loc, "a `catch` asks nobody: what an `ask` said cannot be its answer")
        .help("answer with a status", "catch [502, 503, 504] -> respond 503", None)
        .help("and pass on what the service said where it is asked", "require verdict else respond verdict", None)
}

/// An endpoint outside a pool (LANGUAGE rule 13).
pub(crate) fn endpoint(loc: Loc) -> Diagnostic {
    Diagnostic::error("G1022", loc, "an endpoint stands only in a pool")
}

/// A row outside a table (LANGUAGE rule 13).
pub(crate) fn row(loc: Loc) -> Diagnostic {
    Diagnostic::error("G1022", loc, "a row stands only in a table")
}

/// A statement in `tenant`.
pub(crate) fn in_tenant(loc: Loc) -> Diagnostic {
    Diagnostic::error("G1022", loc, "`tenant` holds `files`, `owns`, `dials`, `secrets`, `limits` and `use`, nothing else")
}

/// A statement in `gateway`.
pub(crate) fn in_gateway(loc: Loc) -> Diagnostic {
    Diagnostic::error("G1022", loc, "`gateway` holds settings, nothing else")
}

/// A pool that has endpoints for bad days only.
pub(crate) fn only_backups(loc: Loc, name: &str) -> Diagnostic {
    Diagnostic::error("G1022", loc, format!("every endpoint of `{name}` is a `backup`: there is nothing that they stand in for"))
        .help("leave `backup` out where an endpoint serves every day", "", None)
}

/// A pool with and without `https://`.
pub(crate) fn half_encrypted(plain: Loc, https: Loc) -> Diagnostic {
    Diagnostic::error("G1022", plain, "all endpoints of a pool speak TLS or none does; this one does not")
        .label(https, "this one speaks TLS")
        .help("write `https://` here too, or make two pools", "", None)
}

/// An item of connections that leads nowhere.
pub(crate) fn leads_nowhere(loc: Loc, item: &str) -> Diagnostic {
    Diagnostic::error("G1022", loc, format!("this `{item}` leads nowhere: every connection would be refused"))
        .help("say where they go", "-> pool", None)
}

/// A setting of a whole `tcp`, `udp` or `passthrough`, elsewhere.
pub(crate) fn item_only(loc: Loc, name: &str, item: &str) -> Diagnostic {
    Diagnostic::error("G1022", loc, format!("`{name}` is said of a whole `{item}`, not of a block or in a policy"))
}

/// A setting of `udp`, elsewhere.
pub(crate) fn udp_only(loc: Loc, name: &str) -> Diagnostic {
    Diagnostic::error("G1022", loc, format!("`{name}` is of `udp`: only datagrams need telling which belong together"))
}

/// A statement that needs HTTP, among connections.
pub(crate) fn http_here(loc: Loc, what: &str, item: &str) -> Diagnostic {
    Diagnostic::error("G1022", loc, format!("{what} needs HTTP, and `{item}` hands bytes on unread"))
        .help("read the requests in a `site`", "", None)
}

/// A setting that needs HTTP, among connections; `instead` says what is there for it.
pub(crate) fn http_setting(loc: Loc, name: &str, item: &str, instead: &str) -> Diagnostic {
    let d = Diagnostic::error("G1022", loc, format!("`{name}` is a setting of HTTP, and `{item}` hands bytes on unread"));
    if instead.is_empty() { d } else { d.note(instead) }
}

/// A policy with something that needs HTTP, used among connections.
pub(crate) fn http_in_policy(loc: Loc, policy: &str, what: &str, item: &str, at: Loc) -> Diagnostic {
    let d = Diagnostic::error("G1022", loc, format!("`{policy}` is for requests: {what} needs HTTP, and `{item}` hands bytes on unread"));
    if at == loc { d } else { d.label(at, "this needs HTTP") }
}

/// An answer that only a request can be given.
pub(crate) fn answer_here(loc: Loc, word: &str, item: &str) -> Diagnostic {
    Diagnostic::error("G1022", loc, format!("`{word}` answers a request, and `{item}` hands bytes on unread"))
        .help("refuse the connection", "deny", super::replace(loc, "deny", false))
}

/// A pool where a connection can only be refused.
pub(crate) fn only_deny(loc: Loc) -> Diagnostic {
    Diagnostic::error("G1022", loc, "only `deny` can stand here: a connection that does not pass is refused")
        .help("choose a pool by a condition instead", "when client.ip in [10.0.0.0/8] -> pool", None)
}

/// `deny 403` of a connection.
pub(crate) fn status_of_connection(loc: Loc, whole: Loc) -> Diagnostic {
    Diagnostic::error("G1022", loc, "a connection has no status: it is refused")
        .help("write", "deny", super::replace(whole, "deny", true))
}

/// `tls …` where TLS does not end.
pub(crate) fn tls_of(loc: Loc, item: &str) -> Diagnostic {
    let why = if item == "udp" {
        "datagrams are handed on as they are"
    } else {
        "TLS ends at the pool, with the pool's own certificate"
    };
    let d = Diagnostic::error("G1022", loc, format!("`tls` has no meaning in `{item}`: {why}"));
    if item == "udp" { d } else { d.help("to end TLS here", "site HOST { … }, or tcp :PORT { tls auto … }", None) }
}

/// A pool of streams among datagrams.
pub(crate) fn pool_of_udp(loc: Loc, word: &str, why: &str, setting: Loc) -> Diagnostic {
    Diagnostic::error("G1022", loc, format!("a pool with `{word}` cannot take datagrams: {why}"))
        .label(setting, "the pool says so here")
        .help("make a pool for `udp` without it", "", None)
}

/// `check udp` in a pool that requests go to.
pub(crate) fn datagrams_for_requests(loc: Loc, setting: Loc) -> Diagnostic {
    Diagnostic::error("G1022", loc, "requests go to this pool by TCP, and its check asks by UDP: nobody would ever be up")
        .label(setting, "the pool says so here")
        .help("write `check tcp` or `check GET /healthz`", "", None)
}

/// A client's TLS inside the gateway's own.
pub(crate) fn tls_in_tls(loc: Loc, setting: Loc) -> Diagnostic {
    Diagnostic::error("G1022", loc, "`passthrough` hands the client's own TLS on, and this pool would wrap it in a second one")
        .label(setting, "the pool speaks TLS")
        .help("make a pool for `passthrough` without `tls` and `https://`", "", None)
}

/// What only requests can have, in a pool of connections; `instead` says what is there for it.
pub(crate) fn pool_of_requests(loc: Loc, word: &str, item: &str, instead: &str, setting: Loc) -> Diagnostic {
    let d = Diagnostic::error("G1022", loc, format!("a pool of `{item}` cannot have this `{word}`: it is of requests, and these are not read"))
        .label(setting, "the pool says so here");
    if instead.is_empty() { d } else { d.note(instead) }
}

/// `weight` of SRV records.
pub(crate) fn weight_of_srv(loc: Loc) -> Diagnostic {
    Diagnostic::error("G1022", loc, "SRV records say the weights of their targets: `weight` has no meaning here")
}

/// `check … port N` where an endpoint is a socket of the file system.
pub(crate) fn port_of_socket(loc: Loc, socket: Loc) -> Diagnostic {
    Diagnostic::error("G1022", loc, "a check of another port cannot reach a Unix socket: it has no port")
        .label(socket, "this endpoint is one")
        .help("leave `port` out, or make two pools", "", None)
}

/// `protocol h2` without TLS.
pub(crate) fn h2_in_clear(loc: Loc) -> Diagnostic {
    Diagnostic::error("G1022", loc, "`h2` is agreed on in a TLS handshake, and this pool speaks in clear")
        .help("for HTTP/2 in clear write", "protocol h2c", None)
        .help("or let the endpoints speak TLS", "https://HOST:PORT", None)
}

/// `protocol h2c` with TLS.
pub(crate) fn h2c_with_tls(loc: Loc, tls: Loc) -> Diagnostic {
    Diagnostic::error("G1022", loc, "`h2c` is HTTP/2 in clear, and this pool speaks TLS")
        .label(tls, "the pool says so here")
        .help("for HTTP/2 over TLS write", "protocol h2", None)
}

/// `proxy-protocol` on connections that many clients share.
pub(crate) fn told_of_many(loc: Loc, protocol: Loc) -> Diagnostic {
    Diagnostic::error("G1022", loc, "`proxy-protocol` tells one client of a connection, and HTTP/2 carries those of many on one")
        .label(protocol, "the pool speaks HTTP/2")
        .help("leave it out: the origin reads `X-Forwarded-For` and `Forwarded`, or write", "protocol h1", None)
}

/// `limit RATE` in a pool.
pub(crate) fn limit_of_clients(loc: Loc) -> Diagnostic {
    Diagnostic::error("G1022", loc, "a `limit` in a pool bounds what is under way: `1000 connections, 500 requests, 200 queued within 1s`")
        .note("a rate for each client stands in a site, a block or an item of connections")
}

/// An answer in a pool's key.
pub(crate) fn pool_answers(loc: Loc) -> Diagnostic {
    Diagnostic::error("G1022", loc, "a pool cannot answer: `if missing` takes another value here")
        .help("write", "if missing client.ip", None)
}

/// What `tls on-demand` reads before there is a request.
pub(crate) fn before_a_request(loc: Loc, name: &str) -> Diagnostic {
    Diagnostic::error("G1022", loc, format!("`{name}` is not known yet when a certificate is asked for"))
        .note("known are `host` and its captures, `tls.sni` and `client.ip`")
}

/// A guard that asks another service, beside a route that leaves out a policy which runs before it.
pub(crate) fn asks_beside_without(loc: Loc, without: Loc) -> Diagnostic {
    Diagnostic::error("G1022", loc, "this condition asks behind the policies of its block, and a route beside it leaves one of them out")
        .label(without, "this route")
        .help("ask in the block instead", "require ask(…)", None)
}
