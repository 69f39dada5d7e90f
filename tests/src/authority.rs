//! An ACME authority written for tests: what pebble lacks (renewal information, profiles, dns-persist-01), and
//! what pebble never does (429 with `Retry-After`, trouble, silence). It believes whatever it is told: signatures
//! are not looked at, challenges are good once they are said to be ready.

use crate::pki::{Identity, Pki};
use crate::wait::{PATIENCE, Watched};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DnType, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use rustls::pki_types::CertificateSigningRequestDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// How it answers new orders.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Mood {
    /// As it should.
    #[default]
    Well,
    /// 429, and leave me alone for so many seconds.
    Limited(u64),
    /// 503.
    Trouble,
    /// Not at all.
    Silent,
}

#[derive(Debug, Default)]
struct State {
    mood: Mood,
    challenge: String,
    /// The payloads of the orders that came, refused ones too.
    orders: Vec<Value>,
    /// What came on each path.
    asked: Vec<String>,
    ready: bool,
    chain: Option<String>,
}

/// A running authority; it ends with the value.
pub struct Authority {
    address: SocketAddr,
    secure: bool,
    pki: Pki,
    state: Arc<Watched<State>>,
    over: Arc<AtomicBool>,
}

impl Authority {
    /// Over TLS with a root of its own, or in clear on this machine.
    pub fn start(secure: bool) -> Self {
        let pki = Pki::new();
        let tls = secure.then(|| pki.issue(&["127.0.0.1"]));
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(Watched::new(State { challenge: "http-01".to_owned(), ..State::default() }));
        let over = Arc::new(AtomicBool::new(false));
        let made = Self { address, secure, pki, state, over };
        let serve = Serve { base: made.base(), state: Arc::clone(&made.state), issuer: Arc::new(issuer()) };
        let (over, config) =
            (Arc::clone(&made.over), tls.as_ref().map(|identity: &Identity| identity.server(&["http/1.1"])));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if over.load(Ordering::Relaxed) {
                    return;
                }
                let (serve, config) = (serve.clone(), config.clone());
                // A client that goes away ends its thread.
                std::thread::spawn(move || stream.map(|stream| serve.connection(stream, config)));
            }
        });
        made
    }

    fn base(&self) -> String {
        format!("{}://{}", if self.secure { "https" } else { "http" }, self.address)
    }

    /// The URL of its directory.
    pub fn directory(&self) -> String {
        format!("{}/dir", self.base())
    }

    /// The file with the root of its TLS.
    pub fn root(&self) -> std::path::PathBuf {
        self.pki.root()
    }

    /// From now on new orders are answered so.
    pub fn mood(&self, mood: Mood) {
        self.state.change(|state| state.mood = mood);
    }

    /// The one challenge that it offers: `http-01` when nothing is said.
    pub fn offers(&self, challenge: &str) {
        self.state.change(|state| state.challenge = challenge.to_owned());
    }

    /// The payloads of the orders that came.
    pub fn orders(&self) -> Vec<Value> {
        self.state.get().orders.clone()
    }

    /// What was asked for, as `POST /order`.
    pub fn asked(&self) -> Vec<String> {
        self.state.get().asked.clone()
    }
}

impl Drop for Authority {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        let _ = TcpStream::connect(self.address);
    }
}

fn issuer() -> Issuer<'static, KeyPair> {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "authority of a test");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    Issuer::new(params, key)
}

#[derive(Clone)]
struct Serve {
    base: String,
    state: Arc<Watched<State>>,
    issuer: Arc<Issuer<'static, KeyPair>>,
}

struct Answer {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: String,
}

impl Answer {
    fn json(status: u16, body: &Value) -> Self {
        Self { status, headers: vec![("Content-Type", "application/json".into())], body: body.to_string() }
    }

    fn with(mut self, name: &'static str, value: String) -> Self {
        self.headers.push((name, value));
        self
    }
}

impl Serve {
    fn connection(&self, stream: TcpStream, tls: Option<Arc<ServerConfig>>) {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        match tls {
            Some(config) => self.requests(StreamOwned::new(ServerConnection::new(config).unwrap(), stream)),
            None => self.requests(stream),
        }
    }

    fn requests(&self, stream: impl Read + Write) {
        let mut stream = BufReader::new(stream);
        loop {
            let (mut line, mut length) = (String::new(), 0);
            if stream.read_line(&mut line).unwrap_or(0) == 0 {
                return;
            }
            let mut header = String::new();
            while stream.read_line(&mut header).unwrap_or(0) > 2 {
                let lower = header.to_ascii_lowercase();
                if let Some(value) = lower.strip_prefix("content-length:") {
                    length = value.trim().parse().unwrap();
                }
                header.clear();
            }
            let mut body = vec![0; length];
            if stream.read_exact(&mut body).is_err() {
                return;
            }
            let (method, path) = line.split_once(' ').unwrap();
            let path = path.split(' ').next().unwrap();
            let Some(answer) = self.answer(method, path, &payload(&body)) else { continue };
            let mut head = format!("HTTP/1.1 {} X\r\nReplay-Nonce: nonce\r\n", answer.status);
            for (name, value) in &answer.headers {
                head.push_str(&format!("{name}: {value}\r\n"));
            }
            head.push_str(&format!("Content-Length: {}\r\n\r\n", answer.body.len()));
            let body = if method == "HEAD" { "" } else { answer.body.as_str() };
            if stream.get_mut().write_all(format!("{head}{body}").as_bytes()).is_err()
                || stream.get_mut().flush().is_err()
            {
                return;
            }
        }
    }

    /// `None`: no answer at all.
    fn answer(&self, method: &str, path: &str, payload: &Value) -> Option<Answer> {
        let base = &self.base;
        let url = |path: &str| format!("{base}{path}");
        self.state.change(|state| state.asked.push(format!("{method} {path}")));
        let refused = |status, kind: &str| {
            let kind = format!("urn:ietf:params:acme:error:{kind}");
            Answer::json(status, &json!({ "type": kind, "detail": "said by the test", "status": status }))
        };
        Some(match path {
            "/dir" => Answer::json(
                200,
                &json!({
                    "newNonce": url("/nonce"), "newAccount": url("/account"), "newOrder": url("/order"),
                    "revokeCert": url("/revoke"), "keyChange": url("/key"), "renewalInfo": url("/ari"),
                    "meta": { "profiles": { "shortlived": "six days", "tlsserver": "45 days" } }
                }),
            ),
            "/nonce" => Answer { status: 200, headers: Vec::new(), body: String::new() },
            "/account" => Answer::json(201, &json!({ "status": "valid" })).with("Location", url("/account/1")),
            "/order" => {
                let mood = self.state.change(|state| {
                    state.orders.push(payload.clone());
                    (state.ready, state.chain) = (false, None);
                    state.mood.clone()
                });
                match mood {
                    Mood::Silent => return None,
                    Mood::Trouble => refused(503, "serverInternal"),
                    Mood::Limited(seconds) => refused(429, "rateLimited").with("Retry-After", seconds.to_string()),
                    Mood::Well => Answer::json(201, &self.order()).with("Location", url("/order/1")),
                }
            }
            "/order/1" => Answer::json(200, &self.order()),
            "/authorization" => {
                let state = self.state.get();
                let status = if state.ready { "valid" } else { "pending" };
                let name = state.orders.last().map(|order| order["identifiers"][0]["value"].clone());
                let name = name.and_then(|name| name.as_str().map(str::to_owned)).unwrap_or_default();
                Answer::json(
                    200,
                    &json!({
                        "identifier": { "type": "dns", "value": name.trim_start_matches("*.") },
                        "status": status, "wildcard": name.starts_with("*."),
                        "challenges": [{ "type": state.challenge, "url": url("/challenge"), "token": "token", "status": status }]
                    }),
                )
            }
            "/challenge" => {
                let kind = self.state.change(|state| {
                    state.ready = true;
                    state.challenge.clone()
                });
                Answer::json(
                    200,
                    &json!({ "type": kind, "url": url("/challenge"), "token": "token", "status": "processing" }),
                )
            }
            "/finalize" => {
                let csr = CertificateSigningRequestDer::from(decode(payload["csr"].as_str().unwrap()));
                let mut csr = CertificateSigningRequestParams::from_der(&csr).unwrap();
                csr.params.use_authority_key_identifier_extension = true;
                let signed = csr.signed_by(&self.issuer).unwrap();
                self.state.change(|state| state.chain = Some(signed.pem()));
                Answer::json(200, &self.order())
            }
            "/certificate" => {
                let body = self.state.get().chain.clone().unwrap();
                Answer {
                    status: 200,
                    headers: vec![("Content-Type", "application/pem-certificate-chain".into())],
                    body,
                }
            }
            path if path.starts_with("/ari/") => Answer::json(
                200,
                &json!({
                    "suggestedWindow": { "start": "2031-01-02T04:00:00Z", "end": "2031-01-03T04:00:00Z" },
                    "explanationURL": "https://authority.test/why"
                }),
            )
            .with("Retry-After", "21600".into()),
            _ => refused(404, "malformed"),
        })
    }

    fn order(&self) -> Value {
        let state = self.state.get();
        let status = match (&state.chain, state.ready) {
            (Some(_), _) => "valid",
            (None, true) => "ready",
            (None, false) => "pending",
        };
        let said = state.orders.last().unwrap();
        let mut order = json!({
            "status": status, "identifiers": said["identifiers"], "authorizations": [format!("{}/authorization", self.base)],
            "finalize": format!("{}/finalize", self.base),
        });
        for echoed in ["replaces", "profile"] {
            if said.get(echoed).is_some() {
                order[echoed] = said[echoed].clone();
            }
        }
        if status == "valid" {
            order["certificate"] = format!("{}/certificate", self.base).into();
        }
        order
    }
}

/// What a signed request carries.
fn payload(body: &[u8]) -> Value {
    let signed: Value = serde_json::from_slice(body).unwrap_or_default();
    serde_json::from_slice(&decode(signed["payload"].as_str().unwrap_or_default())).unwrap_or_default()
}

/// base64url (RFC 4648 section 5).
fn decode(text: &str) -> Vec<u8> {
    let (mut out, mut group, mut bits) = (Vec::new(), 0_u32, 0);
    for letter in text.bytes() {
        let value = match letter {
            b'A'..=b'Z' => letter - b'A',
            b'a'..=b'z' => letter - b'a' + 26,
            b'0'..=b'9' => letter - b'0' + 52,
            b'-' => 62,
            _ => 63,
        };
        group = group << 6 | u32::from(value);
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            out.push((group >> bits & 0xff) as u8);
        }
    }
    out
}
