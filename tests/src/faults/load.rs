//! A load of HTTP/1.1 clients that check every answer, and the tally of what they saw.

use super::origin::BODY;
use crate::wait::{PATIENCE, Watched};
use std::collections::BTreeMap;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Who asks, and how fast.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// Clients, each with a connection that it keeps.
    pub clients: usize,
    /// Between the end of an answer and the next request of a client.
    pub pause: Duration,
    /// How long a client waits for an answer.
    pub patience: Duration,
}

/// One request, as its client saw it.
#[derive(Clone, Debug)]
pub struct Asked {
    /// When it was sent, since the load began.
    pub at: Duration,
    /// Until the last byte of the answer.
    pub took: Duration,
    /// Who answered, or what went wrong.
    pub answer: Result<String, String>,
}

impl Asked {
    /// When it had ended, since the load began.
    pub fn end(&self) -> Duration {
        self.at + self.took
    }
}

/// All requests so far, by their ends.
#[derive(Clone, Debug, Default)]
pub struct Tally(pub Vec<Asked>);

impl Tally {
    /// How many failed, and how.
    pub fn failures(&self) -> BTreeMap<String, usize> {
        count(self.0.iter().filter_map(|asked| asked.answer.clone().err()))
    }

    /// How many failed.
    pub fn failed(&self) -> usize {
        self.0.iter().filter(|asked| asked.answer.is_err()).count()
    }

    /// How many each origin answered.
    pub fn answered(&self) -> BTreeMap<String, usize> {
        count(self.0.iter().filter_map(|asked| asked.answer.clone().ok()))
    }

    /// The requests that were sent at some time or later.
    pub fn since(&self, at: Duration) -> Self {
        Self(self.0.iter().filter(|asked| asked.at >= at).cloned().collect())
    }

    /// The time below which a share of the answers lies: 0.99 for the 99th percentile.
    ///
    /// # Panics
    ///
    /// When there are none.
    pub fn quantile(&self, share: f64) -> Duration {
        let mut all: Vec<Duration> = self.0.iter().map(|asked| asked.took).collect();
        all.sort();
        #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let at = (all.len() as f64 * share) as usize;
        all[at.min(all.len() - 1)]
    }
}

fn count(words: impl Iterator<Item = String>) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for word in words {
        *counts.entry(word).or_default() += 1;
    }
    counts
}

/// A running load.
pub struct Load {
    begin: Instant,
    tally: Arc<Watched<Tally>>,
    stopped: Arc<AtomicBool>,
    clients: Vec<JoinHandle<()>>,
}

impl Load {
    /// Begins to ask a host for `/` with GET.
    pub fn start(addr: SocketAddr, host: &str, shape: Shape) -> Self {
        let mut load =
            Self { begin: Instant::now(), tally: Arc::default(), stopped: Arc::default(), clients: Vec::new() };
        let request: Arc<str> = format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n").into();
        for _ in 0..shape.clients {
            let (begin, tally, stopped, request) =
                (load.begin, load.tally.clone(), load.stopped.clone(), request.clone());
            load.clients.push(std::thread::spawn(move || {
                let mut stream = None;
                while !stopped.load(SeqCst) {
                    let at = begin.elapsed();
                    let answer = ask(&mut stream, addr, &request, shape.patience);
                    if answer.is_err() {
                        // Whatever came of it: the next request has a connection of its own.
                        stream = None;
                    }
                    let took = begin.elapsed() - at;
                    tally.change(|t| t.0.push(Asked { at, took, answer }));
                    std::thread::park_timeout(shape.pause);
                }
            }));
        }
        load
    }

    /// The time since it began.
    pub fn now(&self) -> Duration {
        self.begin.elapsed()
    }

    /// Waits until so many more requests that were sent from now on have ended.
    ///
    /// # Panics
    ///
    /// When they do not in three times the patience of tests.
    #[track_caller]
    pub fn goes_on(&self, count: usize) {
        let now = self.now();
        let enough = |t: &mut Tally| {
            let ended = t.0.iter().rev().take_while(|asked| asked.end() >= now).filter(|asked| asked.at >= now).count();
            (ended >= count).then_some(())
        };
        self.tally.wait(3 * PATIENCE, enough).expect("the load goes on");
    }

    /// Waits until an origin answers a request that was sent from now on; when that request was sent.
    pub fn reaches(&self, origin: &str, patience: Duration) -> Option<Duration> {
        let now = self.now();
        let reached = |asked: &&Asked| asked.at >= now && asked.answer.as_deref() == Ok(origin);
        let seen = self.tally.wait(patience, |t| {
            t.0.iter().rev().take_while(|asked| asked.end() >= now).filter(reached).map(|asked| asked.at).min()
        });
        seen.map(|at| at.saturating_sub(now))
    }

    /// What was asked so far.
    pub fn tally(&self) -> Tally {
        self.tally.get().clone()
    }

    /// Lets every client end its request, and tells.
    #[track_caller]
    pub fn stop(self) -> Tally {
        self.stopped.store(true, SeqCst);
        for client in self.clients {
            client.join().expect("a client of the load");
        }
        std::mem::take(&mut *self.tally.get())
    }
}

/// Asks once: the name at the beginning of the body, or what went wrong in a word or two.
fn ask(stream: &mut Option<TcpStream>, addr: SocketAddr, request: &str, patience: Duration) -> Result<String, String> {
    if stream.is_none() {
        let fresh = TcpStream::connect_timeout(&addr, patience).map_err(|e| told("connect", &e))?;
        fresh.set_nodelay(true).map_err(|e| told("connect", &e))?;
        *stream = Some(fresh);
    }
    let Some(stream) = stream else { return Err("no connection".into()) };
    stream.write_all(request.as_bytes()).map_err(|e| told("send", &e))?;
    let end = Instant::now() + patience;
    let mut buffer = Vec::with_capacity(2048);
    let (mut head, mut whole) = (None, usize::MAX);
    while buffer.len() < whole {
        let left = end.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
        stream.set_read_timeout(Some(left)).map_err(|e| told("read", &e))?;
        let mut piece = [0; 4096];
        match stream.read(&mut piece) {
            Ok(0) if buffer.is_empty() => return Err("closed without an answer".into()),
            Ok(0) => return Err("cut".into()),
            Ok(n) => buffer.extend_from_slice(&piece[..n]),
            Err(e) => return Err(told("read", &e)),
        }
        if head.is_none()
            && let Some(at) = buffer.windows(4).position(|w| w == b"\r\n\r\n")
        {
            let text = String::from_utf8_lossy(&buffer[..at]).to_ascii_lowercase();
            let length =
                text.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse::<usize>().ok());
            whole = at + 4 + length.ok_or("no length")?;
            head = Some((text, at + 4));
        }
    }
    let (head, at) = head.ok_or("no head")?;
    let status = head.split(' ').nth(1).unwrap_or_default();
    let body = String::from_utf8_lossy(&buffer[at..]);
    match status {
        "200" if body.len() == BODY => Ok(body.trim_end_matches('.').to_owned()),
        "200" => Err(format!("a body of {} bytes", body.len())),
        _ => Err(status.to_owned()),
    }
}

fn told(what: &str, error: &io::Error) -> String {
    match error.kind() {
        ErrorKind::WouldBlock | ErrorKind::TimedOut => format!("{what}: late"),
        kind => format!("{what}: {kind}"),
    }
}
