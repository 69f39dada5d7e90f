//! What `gateway.route` says.

use super::{Acme, IpNet};
use crate::syntax::span::Loc;
use std::sync::Arc;

/// What `gateway.route` says, checked. Defaults stand for what it does not say.
#[derive(Clone, Debug, PartialEq)]
pub struct Gateway {
    /// `http …`: clear listeners.
    pub http: Vec<Listener>,
    /// `https …`: TLS listeners.
    pub https: Vec<Listener>,
    /// `trust proxies […]`: whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// `proxy-protocol from […]`: who begins each TCP connection with a PROXY header.
    pub proxy_protocol_from: Vec<IpNet>,
    /// `log …`: where the line for each connection goes.
    pub log: LogTo,
    /// `metrics ADDRESS:PORT`: where counts are read.
    pub metrics: Option<Listener>,
    /// `limits { … }`
    pub limits: Limits,
    /// `secrets from "DIR"`: a file for each secret; relative to the sites directory.
    pub secrets: Option<Arc<str>>,
    /// `secrets from env`, `secrets from "DIR" env`: what no file there has is looked for in the environment.
    pub secrets_env: bool,
    /// `country "FILE"`: where countries of addresses are read, in MaxMind's format; relative to the sites directory.
    pub country: Option<Arc<str>>,
    /// `tests off` makes this false: files are loaded whatever their tests say.
    pub tests: bool,
    /// `resolver ADDRESS …`: the name servers that names of endpoints are looked up at; those of the
    /// system where there are none.
    pub resolver: Vec<std::net::SocketAddr>,
    /// `acme { … }`: whom certificates of public names are ordered from; nobody where there is none.
    pub acme: Option<Arc<Acme>>,
}

/// `log …`
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum LogTo {
    /// `log stdout`
    #[default]
    Stdout,
    /// `log "file"`, relative to the sites directory.
    File(Arc<str>),
    /// `log off`
    Off,
}

/// A listener.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Listener {
    /// `None`: every address, both families.
    pub ip: Option<std::net::IpAddr>,
    /// The port; 0 takes a free one (tests).
    pub port: u16,
    /// `https :8443 public 443`: the port that clients see.
    pub public: Option<u16>,
    /// Its line, where written.
    pub loc: Loc,
}

/// `limits { … }`: ceilings of the whole gateway (LANGUAGE rule 16).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// `connections`: client connections at once, all workers together.
    pub connections: u64,
    /// `per-client`: connections at once of one client address, likewise; IPv6 by /64. `None`: as many as there
    /// may be.
    pub per_client: Option<u32>,
    /// `header`: bytes of a request head.
    pub header_bytes: u64,
    /// `header timeout`: from the first byte of a head to its last, milliseconds.
    pub header_ms: u64,
    /// `idle`: a connection without a request, milliseconds.
    pub keep_alive_ms: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 50_000,
            per_client: None,
            header_bytes: 32 * 1024,
            header_ms: 10_000,
            keep_alive_ms: 75_000,
        }
    }
}

impl Default for Gateway {
    fn default() -> Self {
        let at = |port| Listener { ip: None, port, public: None, loc: Loc::default() };
        Self {
            http: vec![at(8080)],
            https: vec![at(8443)],
            trusted_proxies: Vec::new(),
            proxy_protocol_from: Vec::new(),
            log: LogTo::default(),
            metrics: None,
            limits: Limits::default(),
            secrets: None,
            secrets_env: false,
            country: None,
            tests: true,
            resolver: Vec::new(),
            acme: None,
        }
    }
}
