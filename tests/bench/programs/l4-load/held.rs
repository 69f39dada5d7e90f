//! Connections and flows that are many and quiet: for `tests/bench/l4-memory`. Opens them, says `held`, and
//! for each line that it reads makes sure that every one of them still works, and says `alive`.

use crate::shape::{Datagram, ECHO};
use crate::streams::PATIENCE;
use crate::system::{Batch, Bound};
use crate::{Outcome, because, tls};
use std::io::{BufRead, Write};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::TlsConnector;

/// Connections that are opened, and flows that are asked, at one time.
const AT_ONCE: usize = 64;
/// Connections that share one address of ours: far fewer than it has ports.
const PER_ADDRESS: usize = 5_000;
/// A datagram that did not come back in so long is sent again.
const AGAIN: Duration = Duration::from_secs(1);

/// What a connection is held by.
trait Stream: AsyncRead + AsyncWrite + Unpin {}
impl<T: AsyncRead + AsyncWrite + Unpin> Stream for T {}

/// Connections, within TLS if a certificate is given.
pub fn connections(port: u16, count: usize, certificate: Option<&str>) -> Outcome<()> {
    let connector = certificate.map(tls::connector).transpose()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(because("runtime"))?;
    runtime.block_on(async {
        let mut held: Vec<Box<dyn Stream>> = Vec::with_capacity(count);
        while held.len() < count {
            let first = held.len();
            // Each at once says what it has to say: who waits for its hello does not wait for ever.
            let some = (first..count.min(first + AT_ONCE)).map(|number| one(number, port, connector.clone()));
            held.extend(futures(some).await?);
        }
        told("held")?;
        for line in std::io::stdin().lock().lines() {
            line.map_err(because("stdin"))?;
            for (number, stream) in held.iter_mut().enumerate() {
                let timed = tokio::time::timeout(PATIENCE, echo(stream)).await;
                timed.map_err(|_| "no answer".to_owned()).flatten().map_err(|e| format!("connection {number}: {e}"))?;
            }
            told("alive")?;
        }
        Ok(())
    })
}

/// Waits for several at a time.
async fn futures<F: Future<Output = Outcome<Box<dyn Stream>>> + 'static>(
    some: impl Iterator<Item = F>,
) -> Outcome<Vec<Box<dyn Stream>>> {
    let local = tokio::task::LocalSet::new();
    let tasks: Vec<_> = some.map(|one| local.spawn_local(one)).collect();
    local
        .run_until(async {
            let mut streams = Vec::with_capacity(tasks.len());
            for task in tasks {
                streams.push(task.await.map_err(because("task"))??);
            }
            Ok(streams)
        })
        .await
}

async fn one(number: usize, port: u16, connector: Option<TlsConnector>) -> Outcome<Box<dyn Stream>> {
    let stream = open(number, port).await?;
    let mut stream: Box<dyn Stream> = match connector {
        None => Box::new(stream),
        Some(connector) => Box::new(connector.connect(tls::name(), stream).await.map_err(because("handshake"))?),
    };
    echo(&mut stream).await?;
    Ok(stream)
}

async fn open(number: usize, port: u16) -> Outcome<TcpStream> {
    let socket = TcpSocket::new_v4().map_err(because("socket"))?;
    let from = Ipv4Addr::from(u32::from(Ipv4Addr::new(127, 2, 0, 1)) + (number / PER_ADDRESS) as u32);
    socket.bind(SocketAddrV4::new(from, 0).into()).map_err(because("bind"))?;
    let connected = socket.connect(SocketAddrV4::new(Ipv4Addr::LOCALHOST, port).into());
    let stream = tokio::time::timeout(PATIENCE, connected).await.map_err(because("connect"))?;
    stream.map_err(because("connect"))
}

async fn echo(stream: &mut Box<dyn Stream>) -> Outcome<()> {
    let mut byte = [0];
    stream.write_all(&[ECHO]).await.map_err(because("send"))?;
    stream.flush().await.map_err(because("send"))?;
    stream.read_exact(&mut byte).await.map_err(because("receive"))?;
    if byte == [ECHO] { Ok(()) } else { Err(format!("answered {byte:?}")) }
}

/// Where the flows come from: an address each, 127.32.0.1 and on.
const FIRST: u32 = u32::from_be_bytes([127, 32, 0, 1]);

/// Flows, from one socket, each of which must stay with who it met at first: the same endpoint, reached
/// from the same port.
pub fn flows(port: u16, count: usize) -> Outcome<()> {
    let socket = Bound::open(SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 0)).map_err(because("socket"))?;
    socket.set_patience(AGAIN).map_err(because("socket"))?;
    let met = ask(&socket, port, count, None)?.0;
    told("held")?;
    for line in std::io::stdin().lock().lines() {
        let repeats: u32 = line.map_err(because("stdin"))?.parse().unwrap_or(1);
        let (mut missing, begin) = (0, Instant::now());
        for _ in 0..repeats {
            missing += ask(&socket, port, count, Some(&met))?.1;
        }
        let each = begin.elapsed().as_secs_f64() * 1e6 / f64::from(repeats) / count as f64;
        told(&format!(
            "alive, of {} datagrams {missing} were sent again, {each:.1} µs each",
            count as u64 * u64::from(repeats)
        ))?;
    }
    Ok(())
}

/// Asks each flow whom it meets, some at a time; also how many datagrams were lost on the way.
fn ask(socket: &Bound, port: u16, count: usize, met: Option<&[u32]>) -> Outcome<(Vec<u32>, u64)> {
    let to = SocketAddrV4::new(Ipv4Addr::LOCALHOST, port);
    let (mut batch, mut answers) = (Batch::new(AT_ONCE), Batch::new(AT_ONCE));
    let mut found = vec![0; count];
    let mut lost = 0;
    for first in (0..count).step_by(AT_ONCE) {
        let numbers = first..count.min(first + AT_ONCE);
        let mut waiting: Vec<usize> = numbers.clone().collect();
        let end = Instant::now() + PATIENCE;
        while !waiting.is_empty() {
            for (slot, number) in waiting.iter().enumerate() {
                let head = Datagram { kind: Datagram::WHO, last: true, flow: 0, number: 0 };
                batch.put(slot, (FIRST + *number as u32).into(), to, 64, head);
            }
            batch.send(socket).map_err(because("send"))?;
            while !waiting.is_empty() {
                let Ok(came) = answers.receive(socket) else { break };
                for slot in 0..came {
                    let number = (u32::from(answers.local(slot)).wrapping_sub(FIRST)) as usize;
                    let head = Datagram::read(answers.bytes(slot)).ok_or("a datagram without head")?;
                    if head.kind != Datagram::ANSWER || answers.peer(slot) != to {
                        return Err(format!("flow {number} gets {head:?} from {}", answers.peer(slot)));
                    }
                    // An answer that came late to one that was asked again.
                    let Some(at) = waiting.iter().position(|w| *w == number) else { continue };
                    waiting.swap_remove(at);
                    found[number] = head.number;
                    if met.is_some_and(|met| met[number] != head.number) {
                        return Err(format!("flow {number} is with another endpoint, or on another port, than before"));
                    }
                }
            }
            lost += waiting.len() as u64;
            if !waiting.is_empty() && Instant::now() > end {
                return Err(format!("{} flows have no answer, the first is {}", waiting.len(), waiting[0]));
            }
        }
    }
    Ok((found, lost))
}

/// Datagrams from addresses and ports that were never seen before, at a rate. `answered`: the endpoints
/// answer them, so that their flows look alive.
pub fn flood(port: u16, count: u64, per_second: u64, answered: bool) -> Outcome<()> {
    const SOCKETS: usize = 16;
    let to = SocketAddrV4::new(Ipv4Addr::LOCALHOST, port);
    let sockets: Vec<_> = (0..SOCKETS)
        .map(|_| Bound::open(SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 0)))
        .collect::<Result<_, _>>()
        .map_err(because("socket"))?;
    let kind = if answered { Datagram::WHO } else { Datagram::IGNORED };
    let mut batch = Batch::new(64);
    let mut state = 0x2545_F491_4F6C_DD1D_u64;
    let begin = Instant::now();
    let mut sent = 0;
    while sent < count {
        for slot in 0..64 {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            // 127.64.0.0/10: not where the flows are.
            let from = (127 << 24) | (64 << 16) | ((state >> 20) as u32 & 0x003F_FFFF);
            batch.put(slot, from.into(), to, 64, Datagram { kind, last: true, flow: 0, number: 0 });
        }
        batch.send(&sockets[(sent / 64) as usize % SOCKETS]).map_err(because("send"))?;
        sent += 64;
        let due = begin + Duration::from_secs_f64(sent as f64 / per_second as f64);
        if let Some(early) = due.checked_duration_since(Instant::now()) {
            std::thread::sleep(early);
        }
    }
    told(&format!("{sent} datagrams in {:.1} s", begin.elapsed().as_secs_f64()))
}

fn told(what: &str) -> Outcome<()> {
    println!("{what}");
    std::io::stdout().flush().map_err(because("stdout"))
}
