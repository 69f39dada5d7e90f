//! A crowd of slow clients: each asks once and takes its answer in small pieces, with pauses. What does
//! the gateway hold for each of them?

use crate::sluice::proxy;
use crate::{Sluice, wait};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::Semaphore;

/// What a client's kernel takes in before the client reads, bytes: little, so that it is the gateway that
/// waits.
const CLIENT_BUFFER: u32 = 4 * 1024;
/// What a client reads at once.
const PIECE: usize = 1024;
/// Longer than all of it takes; what takes longer has failed.
const PATIENCE: Duration = Duration::from_secs(180);
/// Clients that come at once: what no queue of a listener has room for is no finding.
const COMING: usize = 100;

/// How big a crowd.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    /// Clients at once.
    pub clients: usize,
    /// Bytes of each answer.
    pub answer: usize,
    /// Pieces that a client takes slowly …
    pub pieces: u32,
    /// … with pauses this long before it takes the rest.
    pub pause: Duration,
    /// Workers of the gateway.
    pub workers: usize,
}

/// What came of it. Memory is the gateway's, resident, in bytes.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// Before the first client.
    pub before: usize,
    /// The most that was seen.
    pub most: usize,
    /// When all of them had gone.
    pub after: usize,
    /// Clients that got their whole answer.
    pub whole: usize,
    /// What happened to one that did not.
    pub failure: Option<String>,
}

impl Outcome {
    /// What each client took at most.
    pub fn each(&self, size: Size) -> usize {
        self.most.saturating_sub(self.before) / size.clients
    }
}

/// Lets them come, and go.
pub fn crowd(size: Size) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let listener = runtime.block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))).unwrap();
    let route = proxy("a.test", listener.local_addr().unwrap());
    let sluice = Sluice::setup().file("a.route", route).workers(size.workers).start();
    let (http, pid) = (sluice.http, sluice.pid());
    let (begun, whole) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let failed = Arc::new(crate::wait::Watched::new(None));
    let (counted, done, failures) = (begun, whole.clone(), failed.clone());
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let crowd = std::thread::spawn(move || {
        runtime.block_on(async move {
            let answer = Arc::new(answer(size.answer));
            tokio::spawn(origin(listener, answer));
            let coming = Arc::new(Semaphore::new(COMING));
            let mut clients = tokio::task::JoinSet::new();
            for _ in 0..size.clients {
                let (begun, whole, failed) = (counted.clone(), done.clone(), failures.clone());
                let coming = coming.clone();
                clients.spawn(async move {
                    match client(http, size, &coming, &begun).await {
                        Ok(()) => drop(whole.fetch_add(1, Ordering::SeqCst)),
                        Err(e) => failed.change(|failure| *failure = Some(e.to_string())),
                    }
                });
            }
            let _ = tokio::time::timeout(PATIENCE, clients.join_all()).await;
            let _ = stop.send(());
        });
    });
    let mut outcome = Outcome { before: rss(pid), ..Outcome::default() };
    let mut stopped = stopped;
    while stopped.try_recv() == Err(tokio::sync::oneshot::error::TryRecvError::Empty) {
        outcome.most = outcome.most.max(rss(pid));
        std::thread::sleep(Duration::from_millis(20));
    }
    crowd.join().unwrap();
    outcome.whole = whole.load(Ordering::SeqCst);
    outcome.failure = failed.change(Option::take);
    // What the last of them had is given back in its own time.
    let mut last = usize::MAX;
    wait::within(Duration::from_secs(10), || {
        let now = rss(pid);
        let falls = now < last;
        last = now;
        (!falls).then_some(())
    });
    outcome.after = rss(pid);
    outcome
}

fn rss(pid: u32) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() * 1024
}

fn answer(len: usize) -> Vec<u8> {
    let mut answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {len}\r\n\r\n").into_bytes();
    answer.resize(answer.len() + len, b'x');
    answer
}

async fn origin(listener: TcpListener, answer: Arc<Vec<u8>>) {
    while let Ok((mut stream, _)) = listener.accept().await {
        let answer = answer.clone();
        tokio::spawn(async move {
            while head(&mut stream).await.is_some() {
                if stream.write_all(&answer).await.is_err() {
                    return;
                }
            }
        });
    }
}

/// Reads to the end of a head and not further.
async fn head(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    Some(head)
}

async fn client(http: SocketAddr, size: Size, coming: &Semaphore, begun: &AtomicUsize) -> std::io::Result<()> {
    let comes = coming.acquire().await.map_err(std::io::Error::other)?;
    let socket = TcpSocket::new_v4()?;
    socket.set_recv_buffer_size(CLIENT_BUFFER)?;
    let mut stream = socket.connect(http).await?;
    stream.write_all(b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n").await?;
    let answered = head(&mut stream).await.ok_or(std::io::ErrorKind::UnexpectedEof)?;
    begun.fetch_add(1, Ordering::SeqCst);
    drop(comes);
    if !answered.starts_with(b"HTTP/1.1 200 ") {
        return Err(std::io::Error::other(String::from_utf8_lossy(&answered).into_owned()));
    }
    let mut left = size.answer;
    let mut piece = [0; PIECE];
    // Nobody goes on before everybody has come.
    while begun.load(Ordering::SeqCst) < size.clients {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    for _ in 0..size.pieces {
        let n = stream.read(&mut piece[..left.min(PIECE)]).await?;
        left -= n;
        tokio::time::sleep(size.pause).await;
    }
    let mut rest = vec![0; 16 * 1024];
    while left > 0 {
        let most = left.min(rest.len());
        match stream.read(&mut rest[..most]).await? {
            0 => return Err(std::io::ErrorKind::UnexpectedEof.into()),
            n => left -= n,
        }
    }
    Ok(())
}
