//! A storm of reloads under load: files change, come, go and break while clients keep asking on
//! connections that they never open again (DESIGN invariant 4).

use crate::client::{H2, empty};
use crate::sluice::{get, says};
use crate::{Origin, Sluice, Wire};
use http::Request;
use std::fmt::Write as _;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How big a storm.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    /// Reloads in all.
    pub reloads: usize,
    /// Site files.
    pub files: usize,
    /// Workers of the gateway.
    pub workers: usize,
    /// Clients of each kind: HTTP/1.1 and HTTP/2, plain and TLS.
    pub clients: usize,
    /// Whether wrk and h2load ask as well.
    pub tools: bool,
}

/// What came of it.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// Reloads that were confirmed by an answer that changed.
    pub confirmed: usize,
    /// Requests of our own clients.
    pub requests: u64,
    /// Connections that our own clients opened; as many as there are clients when none was closed.
    pub connections: u64,
    /// How many clients of our own there were.
    pub clients: u64,
    /// What went wrong, first things first.
    pub failures: Vec<String>,
    /// From the write to the changed answer, sorted.
    pub latencies: Vec<Duration>,
    /// Connections that the origin of the unchanged site took over the whole storm.
    pub origin_connections: usize,
    /// Memory after each tenth of the storm.
    pub memory: Vec<usize>,
    /// What wrk and h2load said.
    pub tools: String,
}

/// What our own clients share.
#[derive(Default)]
struct Tally {
    stop: AtomicBool,
    requests: AtomicU64,
    connections: AtomicU64,
    failures: crate::wait::Watched<Vec<String>>,
}

impl Tally {
    fn failed(&self, what: String) {
        self.failures.change(|f| {
            if f.len() < 20 {
                f.push(what);
            }
        });
    }
}

/// Raises a storm and reports.
pub fn raise(size: Size) -> Outcome {
    let origin = Origin::fixed("proxied");
    let mut setup = Sluice::setup().workers(size.workers);
    for i in 0..size.files {
        setup = setup.file(&format!("s{i}.route"), says(&format!("s{i}.test"), "0"));
    }
    let site = format!(
        "pool origin = {}\n\nsite load.test {{\n    http allowed\n    /own -> respond 200 \"own\"\n    else -> origin\n}}\n",
        origin.addr()
    );
    let sluice = setup.file("load.route", site).start();

    let tally = Arc::new(Tally::default());
    let mut clients = Vec::new();
    for _ in 0..size.clients {
        clients.push(h1_client(sluice.wire(), &tally));
        clients.push(h1_client(sluice.secure("load.test"), &tally));
        clients.push(h2_client(sluice.h2(), "http", &tally));
        clients.push(h2_client(sluice.h2_secure("load.test"), "https", &tally));
    }
    let tools = size.tools.then(|| Tools::start(&sluice, &tally));

    let mut outcome = Outcome { clients: clients.len() as u64, ..Outcome::default() };
    for i in 0..size.reloads {
        if i % (size.reloads / 10).max(1) == 0 {
            outcome.memory.push(sluice.rss());
        }
        match reload(&sluice, i, size.files) {
            Ok(latency) => {
                outcome.confirmed += 1;
                outcome.latencies.push(latency);
            }
            Err(why) => tally.failed(why),
        }
    }
    outcome.memory.push(sluice.rss());
    tally.stop.store(true, Ordering::SeqCst);
    for client in clients {
        client.join().unwrap();
    }
    if let Some(tools) = tools {
        outcome.tools = tools.finish(&tally);
    }
    outcome.requests = tally.requests.load(Ordering::SeqCst);
    outcome.connections = tally.connections.load(Ordering::SeqCst);
    outcome.failures = tally.failures.get().clone();
    outcome.latencies.sort();
    outcome.origin_connections = origin.connections();
    outcome
}

/// One change, and the wait until an answer shows it.
fn reload(sluice: &Sluice, i: usize, files: usize) -> Result<Duration, String> {
    let round = i / 5;
    let k = (round * 7) % files;
    let (file, host) = (format!("s{k}.route"), format!("s{k}.test"));
    let text = format!("version {i}");
    let begin = Instant::now();
    let shows = |host: &str, status: u16, text: Option<&str>| {
        let seen = crate::wait::within(Duration::from_secs(10), || {
            let reply = get(sluice.http, host, "/")?;
            (reply.status == status && text.is_none_or(|t| reply.text() == t)).then_some(())
        });
        seen.map(|()| begin.elapsed()).ok_or_else(|| format!("reload {i}: {host} never answers {status} {text:?}"))
    };
    match i % 5 {
        0 => {
            sluice.write(&file, says(&host, &text));
            shows(&host, 200, Some(&text))
        }
        1 => {
            sluice.write("added.route", says("added.test", &text));
            shows("added.test", 200, Some(&text))
        }
        2 => {
            // Broken: the console says so, and the old version goes on.
            let pool = format!("nowhere{i}");
            let broken = format!("{}\nsite broken.test {{\n    else -> {pool}\n}}\n", says(&host, "broken"));
            sluice.write(&file, broken);
            sluice.says(&format!("that {file} is broken"), |line| line.contains(&pool));
            let took = begin.elapsed();
            let reply = get(sluice.http, &host, "/").map(|r| r.text());
            match reply {
                Some(text) if text == format!("version {}", i - 2) => Ok(took),
                other => Err(format!("reload {i}: a broken file, and {host} answers {other:?}")),
            }
        }
        3 => {
            // Mended, by rename.
            let (temporary, path) = (sluice.sites().join(".new"), sluice.sites().join(&file));
            crate::sluice::write(&temporary, says(&host, &text));
            std::fs::rename(temporary, path).map_err(|e| e.to_string())?;
            shows(&host, 200, Some(&text))
        }
        _ => {
            std::fs::remove_file(sluice.sites().join("added.route")).map_err(|e| e.to_string())?;
            shows("added.test", 404, None)
        }
    }
}

fn h1_client(mut wire: Wire, tally: &Arc<Tally>) -> JoinHandle<()> {
    tally.connections.fetch_add(1, Ordering::SeqCst);
    let tally = tally.clone();
    std::thread::spawn(move || {
        while !tally.stop.load(Ordering::SeqCst) {
            for (target, body) in [("/", "proxied"), ("/own", "own")] {
                wire.send(format!("GET {target} HTTP/1.1\r\nHost: load.test\r\n\r\n"));
                match wire.try_reply("GET") {
                    Some(reply) if reply.status == 200 && reply.text() == body => {}
                    Some(reply) => tally.failed(format!("h1 {target}: {reply:?}")),
                    None => {
                        tally.failed(format!("h1 {target}: the connection was closed"));
                        return;
                    }
                }
                tally.requests.fetch_add(1, Ordering::SeqCst);
            }
        }
    })
}

fn h2_client(mut h2: H2, scheme: &'static str, tally: &Arc<Tally>) -> JoinHandle<()> {
    tally.connections.fetch_add(1, Ordering::SeqCst);
    let tally = tally.clone();
    std::thread::spawn(move || {
        while !tally.stop.load(Ordering::SeqCst) {
            for (target, body) in [("/", "proxied"), ("/own", "own")] {
                let request = Request::get(format!("{scheme}://load.test{target}")).body(empty()).unwrap();
                match h2.try_ask(request) {
                    Ok(answer) if answer.status == 200 && answer.text() == body && answer.cut.is_none() => {}
                    Ok(answer) => tally.failed(format!("h2 {target}: {answer:?}")),
                    Err(error) => {
                        tally.failed(format!("h2 {target}: {error}"));
                        return;
                    }
                }
                tally.requests.fetch_add(1, Ordering::SeqCst);
            }
        }
    })
}

/// wrk for as long as the storm lasts, and h2load again and again.
struct Tools {
    wrk: Child,
    sockets: Vec<String>,
    h2load: JoinHandle<String>,
}

/// How many connections wrk holds.
const WRK_CONNECTIONS: usize = 8;

impl Tools {
    fn start(sluice: &Sluice, tally: &Arc<Tally>) -> Self {
        let mut wrk = Command::new("wrk");
        wrk.args(["-t1", &format!("-c{WRK_CONNECTIONS}"), "-d3600s", "-H", "Host: load.test"]);
        wrk.arg(format!("http://{}/", sluice.http)).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let wrk = wrk.spawn().unwrap_or_else(|e| panic!("wrk: {e}"));
        let sockets = crate::wait::until("wrk opens its connections", || {
            Some(sockets(&wrk)).filter(|s| s.len() == WRK_CONNECTIONS)
        });
        let (tally, https) = (tally.clone(), sluice.https);
        let h2load = std::thread::spawn(move || {
            let mut said = String::new();
            while !tally.stop.load(Ordering::SeqCst) {
                let mut h2load = Command::new("h2load");
                h2load.args(["-t1", "-c4", "-m4", "-D2", &format!("--connect-to={https}"), "https://load.test/"]);
                let output = h2load.output().unwrap_or_else(|e| panic!("h2load: {e}"));
                let text = String::from_utf8_lossy(&output.stdout).into_owned();
                let find = |start: &str| text.lines().find(|l| l.starts_with(start)).unwrap_or_default().to_owned();
                let (requests, codes) = (find("requests:"), find("status codes:"));
                if !requests.contains(" 0 failed, 0 errored, 0 timeout") || !codes.contains(" 0 3xx, 0 4xx, 0 5xx") {
                    tally.failed(format!("h2load saw errors:\n{text}"));
                }
                let _ = writeln!(said, "h2load {requests}");
            }
            said
        });
        Self { wrk, sockets, h2load }
    }

    fn finish(self, tally: &Tally) -> String {
        if sockets(&self.wrk) != self.sockets {
            tally.failed("wrk had to open connections again".into());
        }
        let _ = Command::new("kill").args(["-INT", &self.wrk.id().to_string()]).status();
        let output = self.wrk.wait_with_output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        if text.contains("Socket errors") || text.contains("Non-2xx") || !text.contains("requests in") {
            tally.failed(format!("wrk saw errors:\n{text}"));
        }
        let counted = text.lines().find(|l| l.contains("requests in")).unwrap_or_default().trim();
        let mut said = self.h2load.join().unwrap();
        let _ = write!(said, "wrk {counted}, on the {} connections it opened first", self.sockets.len());
        said
    }
}

/// The sockets of a process, by their inodes.
fn sockets(child: &Child) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(format!("/proc/{}/fd", child.id())) else { return Vec::new() };
    let links = entries.filter_map(|e| std::fs::read_link(e.ok()?.path()).ok());
    let mut all: Vec<_> = links.map(|l| l.display().to_string()).filter(|l| l.starts_with("socket:")).collect();
    all.sort();
    all
}
