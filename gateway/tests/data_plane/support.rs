//! A gateway and origins on free ports of the loopback.

use arc_swap::ArcSwap;
use dsl::syntax::span::Loc;
use dsl::tree::ir::{self, Answer, Cond, HostHead, HostPattern, PathPattern, Plan, Segment};
use dsl::tree::{HostIndex, compile};
use sluice::edge::rules::Rules;
use sluice::edge::{self, Edge};
use sluice::limit::Counted;
use sluice::runtime::{self, listeners, notice, notice::Notice, sockets};
use sluice::secrets::Secrets;
use sluice::snapshot::{Host, Published, Served, Snapshot};
use sluice::tls::{InternalCa, Tickets};
use sluice::upstream::Pools;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// Longer than anything takes; a test that waits so long has failed.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// A running gateway.
pub struct Rig {
    pub handle: Option<runtime::Handle>,
    pub http: SocketAddr,
    pub https: SocketAddr,
    pub notices: Receiver<Notice>,
    pub ca: Arc<InternalCa>,
    pub dir: PathBuf,
    published: Published,
    kept: Kept,
}

/// What is kept over reloads.
struct Kept {
    pools: Pools,
    edge: edge::Kept,
    files: sluice::tls::SiteFiles,
}

impl Drop for Rig {
    fn drop(&mut self) {
        if let Some(handle) = self.handle.take() {
            handle.drain(Duration::ZERO);
            handle.join();
        }
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

impl Rig {
    /// Serves these sites.
    pub fn new(sites: Vec<ir::Site>) -> Self {
        Self::with(sites, |_| {})
    }

    /// Serves these sites, by other settings.
    pub fn with(sites: Vec<ir::Site>, change: impl FnOnce(&mut ir::Gateway)) -> Self {
        Self::with_secrets(sites, &[], 1, change)
    }

    /// Serves these sites by so many workers, with secrets.
    pub fn with_secrets(
        sites: Vec<ir::Site>,
        secrets: &[(&str, &str)],
        workers: usize,
        change: impl FnOnce(&mut ir::Gateway),
    ) -> Self {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let dir = std::env::temp_dir().join(format!("sluice-rig-{}-{number}", std::process::id()));
        std::fs::create_dir_all(dir.join("public")).unwrap();
        let mut gateway = ir::Gateway { http: vec![local()], https: vec![local()], ..Default::default() };
        change(&mut gateway);
        std::fs::create_dir_all(dir.join("secrets")).unwrap();
        for (name, content) in secrets {
            std::fs::write(dir.join("secrets").join(name), content).unwrap();
        }
        let secrets = Arc::new(Secrets::new(Some(dir.join("secrets"))));
        secrets.look();
        let listeners = sockets::bind(&gateway, workers).unwrap();
        let (http, https) = (listeners[0].address, listeners[1].address);
        let (sender, notices) = notice::channel();
        let pools = Pools::new(workers).telling(sender.clone()).with_secrets(secrets);
        let kept = Kept { pools, edge: edge::Kept::default(), files: sluice::tls::SiteFiles::default() };
        let snapshot = snapshot(sites, &kept, &dir, gateway, https.port());
        let published = Arc::new(ArcSwap::from_pointee(snapshot));
        let ca = Arc::new(InternalCa::load_or_create(&dir.join("ca")).unwrap());
        let config = runtime::Config {
            workers,
            published: Arc::clone(&published),
            listeners: listeners::fixed(listeners),
            ca: Arc::clone(&ca),
            tickets: Tickets::start(None, |_| ()).unwrap(),
            certificates: sluice::tls::certificates::Certificates::at(std::path::Path::new("/nonexistent")),
            board: sluice::tls::acme::Board::new(),
            notices: sender,
            log: Default::default(),
            countries: Default::default(),
        };
        let handle = runtime::start(config).unwrap();
        Self { handle: Some(handle), http, https, notices, ca, dir, published, kept }
    }

    /// Publishes these sites in place of the others.
    pub fn publish(&self, sites: Vec<ir::Site>) {
        let gateway = ir::Gateway::clone(&self.published.load().gateway);
        let next = snapshot(sites, &self.kept, &self.dir, gateway, self.https.port());
        self.published.store(Arc::new(next));
    }

    /// Changes a secret.
    pub fn secret(&self, name: &str, content: &str) {
        std::fs::write(self.dir.join("secrets").join(name), content).unwrap();
        self.kept.pools.secrets().look();
    }

    /// What limits have counted.
    pub fn counted(&self) -> Vec<Counted> {
        self.kept.edge.limits.counted()
    }

    /// Connects to the clear port.
    pub fn connect(&self) -> TcpStream {
        connect(self.http)
    }

    /// Sends bytes on a new connection and reads until the gateway closes it.
    pub fn until_closed(&self, request: &[u8]) -> String {
        let mut stream = self.connect();
        stream.write_all(request).unwrap();
        read_to_end(&mut stream)
    }

    /// Sends a request on a new connection and reads the answer to it.
    pub fn ask(&self, request: &str) -> Reply {
        let mut stream = self.connect();
        stream.write_all(request.as_bytes()).unwrap();
        Reply::read(&mut stream)
    }

    /// GET on a new connection.
    pub fn get(&self, path: &str) -> Reply {
        self.ask(&format!("GET {path} HTTP/1.1\r\nHost: a.test\r\n\r\n"))
    }

    /// The next notice.
    pub fn notice(&self) -> String {
        self.notices.recv_timeout(PATIENCE).expect("a notice").to_string()
    }
}

fn snapshot(sites: Vec<ir::Site>, kept: &Kept, dir: &Path, gateway: ir::Gateway, https: u16) -> Snapshot {
    let mut hosts = HostIndex::seeded(7);
    let mut default = None;
    for site in sites {
        let site = Arc::new(site);
        let served = Arc::new(Served {
            edge: Edge::new(&site, dir, None, kept.pools.secrets(), &kept.edge),
            rules: Rules::new(&site, &|loc| format!("{}", loc.span.start), &kept.edge.rules),
            pools: site.pools.iter().map(|p| kept.pools.intern(p, dir)).collect(),
            program: compile(Arc::clone(&site)).unwrap(),
            dir: dir.to_owned(),
            tls: kept.files.intern(&site, dir, kept.pools.secrets()),
        });
        for (host, _) in &site.hosts {
            hosts.insert(host, Host::Site(Arc::clone(&served)));
        }
        if site.settings.default {
            default = Some(served);
        }
    }
    hosts.insert(&host("broken.test"), Host::Unavailable);
    Snapshot {
        generation: 1,
        hosts,
        default,
        listening: Arc::default(),
        gateway: Arc::new(gateway),
        https_port: Some(https),
    }
}

pub fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

/// Reads until the end; a reset counts as one, and is shown.
pub fn read_to_end(stream: &mut impl Read) -> String {
    let mut bytes = Vec::new();
    let end = stream.read_to_end(&mut bytes);
    let mut text = String::from_utf8_lossy(&bytes).into_owned();
    if let Err(e) = end {
        text.push_str(&format!("<{:?}>", e.kind()));
    }
    text
}

/// An answer.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    /// In lower case names, as sent.
    pub head: String,
    pub body: Vec<u8>,
}

impl Reply {
    /// Reads one answer with a body framed by length or chunks, or none.
    pub fn read(stream: &mut impl Read) -> Self {
        let mut head = read_head(stream);
        while head.starts_with("HTTP/1.1 100") {
            head = read_head(stream);
        }
        let status = head.split(' ').nth(1).unwrap_or_else(|| panic!("{head:?}")).parse().unwrap();
        let mut reply = Self { status, head, body: Vec::new() };
        if let Some(len) = reply.header("content-length") {
            if status != 304 {
                reply.body = vec![0; len.parse().unwrap()];
                stream.read_exact(&mut reply.body).unwrap();
            }
        } else if reply.header("transfer-encoding").is_some() {
            reply.body = read_chunks(stream);
        }
        reply
    }

    /// The first value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (n, v) = line.split_once(':')?;
            n.eq_ignore_ascii_case(name).then(|| v.trim())
        })
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}

/// Reads a head, byte by byte so that nothing after it is lost.
pub fn read_head(stream: &mut impl Read) -> String {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read(&mut byte) {
            Ok(1) => head.push(byte[0]),
            other => panic!("{other:?} after {:?}", String::from_utf8_lossy(&head)),
        }
    }
    String::from_utf8(head).unwrap()
}

/// Reads chunks to the last, raw trailers appended after a NUL.
fn read_chunks(stream: &mut impl Read) -> Vec<u8> {
    let mut body = Vec::new();
    loop {
        let line = read_line(stream);
        let size = usize::from_str_radix(line.trim(), 16).unwrap();
        if size == 0 {
            break;
        }
        let mut data = vec![0; size + 2];
        stream.read_exact(&mut data).unwrap();
        body.extend_from_slice(&data[..size]);
    }
    loop {
        let line = read_line(stream);
        if line == "\r\n" {
            return body;
        }
        body.push(0);
        body.extend_from_slice(line.trim().as_bytes());
    }
}

fn read_line(stream: &mut impl Read) -> String {
    let mut line = Vec::new();
    let mut byte = [0];
    while !line.ends_with(b"\n") {
        stream.read_exact(&mut byte).unwrap();
        line.push(byte[0]);
    }
    String::from_utf8(line).unwrap()
}

// === origins

/// Requests by head and body.
pub type Seen = Arc<Mutex<Vec<(String, Vec<u8>)>>>;

/// An origin: a thread that answers connections as it is told to.
pub struct Origin {
    pub address: SocketAddr,
    /// Requests that arrived: head and body.
    pub seen: Seen,
    /// Connections that were accepted.
    pub connections: Arc<AtomicUsize>,
}

impl Origin {
    /// Answers every request with these bytes, on connections that stay open.
    pub fn answering(answer: &'static str) -> Self {
        Self::new(move |stream, _| stream.write_all(answer.as_bytes()).is_ok())
    }

    /// Answers by a function of the request's number (on all connections, from 0); false closes.
    pub fn new(answer: impl Fn(&mut TcpStream, usize) -> bool + Send + Sync + 'static) -> Self {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let record = Arc::clone(&seen);
        let connections = Self::raw(move |mut stream, _| {
            while let Some((head, body)) = read_request(&mut stream) {
                let number = {
                    let mut seen = record.lock().unwrap();
                    seen.push((head, body));
                    seen.len() - 1
                };
                if !answer(&mut stream, number) {
                    return;
                }
            }
        });
        Self { seen, ..connections }
    }

    /// Hands each connection, with its number, to a function.
    pub fn raw(serve: impl Fn(TcpStream, usize) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let connections = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&connections);
        let serve = Arc::new(serve);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(stream) = stream else { return };
                let number = count.fetch_add(1, Ordering::SeqCst);
                stream.set_read_timeout(Some(PATIENCE)).unwrap();
                stream.set_nodelay(true).unwrap();
                let serve = Arc::clone(&serve);
                thread::spawn(move || serve(stream, number));
            }
        });
        Self { address, seen: Arc::default(), connections }
    }

    /// The heads that arrived.
    pub fn heads(&self) -> Vec<String> {
        self.seen.lock().unwrap().iter().map(|(head, _)| head.clone()).collect()
    }
}

/// Reads a request with its body; `None` when the connection ended.
pub fn read_request(stream: &mut TcpStream) -> Option<(String, Vec<u8>)> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read(&mut byte) {
            Ok(1) => head.push(byte[0]),
            Ok(_) | Err(_) => return None,
        }
    }
    let head = String::from_utf8(head).unwrap();
    let lower = head.to_ascii_lowercase();
    let field = |name: &str| lower.lines().find_map(|l| l.strip_prefix(name)).map(|v| v.trim().to_owned());
    let body = if let Some(len) = field("content-length:") {
        let mut body = vec![0; len.parse().unwrap()];
        stream.read_exact(&mut body).ok()?;
        body
    } else if field("transfer-encoding:").is_some() {
        read_chunks(stream)
    } else {
        Vec::new()
    };
    Some((head, body))
}

/// An address that refuses connections.
pub fn refusing() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    listener.local_addr().unwrap()
}

// === the route IR, by hand

fn local() -> ir::Listener {
    ir::Listener { ip: Some(Ipv4Addr::LOCALHOST.into()), port: 0, public: None, loc: Loc::default() }
}

/// A literal host.
pub fn host(name: &str) -> HostPattern {
    let (label, parent) = name.split_once('.').unwrap_or((name, ""));
    HostPattern { head: HostHead::Label(Segment::Lit(label.into())), parent: parent.into() }
}

/// A literal path; `/*` at its end.
pub fn path(text: &str) -> PathPattern {
    let (text, splat) = match text.strip_suffix("/*") {
        Some(text) => (text, true),
        None => (text, false),
    };
    let segments = text.split('/').filter(|s| !s.is_empty());
    PathPattern { segments: segments.map(|s| Segment::Lit(s.into())).collect(), splat }
}

/// A plan that only answers.
pub fn plan(answer: Answer) -> Plan {
    Plan {
        steps: Vec::new(),
        answer,
        catches: Vec::new(),
        settings: ir::Settings::default(),
        loc: Loc::default(),
        policies: Vec::new(),
    }
}

/// A pool of these endpoints.
pub fn pool(endpoints: &[SocketAddr]) -> ir::Pool {
    let endpoint = |a: &SocketAddr| ir::Endpoint {
        kind: ir::EndpointKind::Tcp,
        host: a.ip().to_string().into(),
        port: a.port(),
        weight: 1,
        backup: false,
        loc: Loc::default(),
    };
    ir::Pool::new("api".into(), endpoints.iter().map(endpoint).collect(), Loc::default())
}

/// To the first pool.
pub fn proxy() -> Answer {
    Answer::Proxy { to: ir::Destination::Pool(ir::PoolIdx(0)), at: None, host: None }
}

/// A template without holes.
pub fn fixed(text: &str) -> ir::Value {
    ir::Value { parts: vec![ir::Part::Text(text.into())] }
}

/// A site on `a.test` that is served on clear ports too.
pub fn site(routes: Vec<(&str, Plan)>, pools: Vec<ir::Pool>) -> ir::Site {
    let mut plans = vec![plan(Answer::NotFound)];
    let mut entries = Vec::new();
    for (pattern, plan) in routes {
        entries.push(ir::Entry {
            pattern: path(pattern),
            guard: Cond::Const(true),
            target: ir::Target::Plan(ir::PlanIdx(plans.len() as u32)),
            pathless: false,
            loc: Loc::default(),
            names: Vec::new(),
        });
        plans.push(plan);
    }
    ir::Site {
        hosts: vec![(host("a.test"), Loc::default())],
        scopes: vec![ir::Scope {
            pattern: path("/*"),
            entries,
            miss: ir::PlanIdx(0),
            protected: false,
            loc: Loc::default(),
        }],
        plans,
        pools: pools.into_iter().map(Arc::new).collect(),
        calls: Vec::new(),
        providers: Vec::new(),
        on_demand: None,
        via: None,
        settings: ir::SiteSettings {
            tls: ir::Tls::Auto,
            http_allowed: true,
            default: false,
            paths: ir::Paths::Canonical,
            semicolon: true,
            walls: Default::default(),
            handshake: ir::Handshake::default(),
        },
        loc: Loc::default(),
    }
}

/// A site that sends everything to one origin.
pub fn proxied(origin: SocketAddr) -> ir::Site {
    site(vec![("/*", plan(proxy()))], vec![pool(&[origin])])
}

/// A site that says `hello` to everything.
pub fn hello() -> ir::Site {
    let hello = Answer::Respond { status: 200, body: fixed("hello"), content_type: "text/plain; charset=utf-8".into() };
    site(vec![("/*", plan(hello))], Vec::new())
}
