//! Many connections with little on them: small messages back and forth, and connections that are opened,
//! carry a byte each way and close.

use crate::shape::{BYE, ECHO, HELLO};
use crate::{Done, Outcome, Task, because, tls};
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// Connections at a time.
const CONNECTIONS: u16 = 64;
/// Bytes of a small message.
const MESSAGE: usize = 64;
/// Nothing in so long is the end.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// 64-byte messages, each sent when the last one came back.
pub fn small(task: Task) -> Outcome<Done> {
    let units = run(task, |number| async move {
        let mut stream = open(task).await?;
        stream.write_all(&[ECHO]).await.map_err(because("send"))?;
        let mut first = [0];
        stream.read_exact(&mut first).await.map_err(because("receive"))?;
        let mut message = [0xA5_u8; MESSAGE];
        message[..2].copy_from_slice(&number.to_be_bytes());
        let mut echo = [0; MESSAGE];
        let mut trips = 0_u64;
        while Instant::now() < task.until {
            message[2..10].copy_from_slice(&trips.to_be_bytes());
            stream.write_all(&message).await.map_err(because("send"))?;
            stream.read_exact(&mut echo).await.map_err(because("receive"))?;
            if message != echo {
                return Err(format!("connection {number} got other bytes back after {trips} round trips"));
            }
            trips += 1;
        }
        Ok(trips)
    })?;
    Ok(Done { units, bytes: units * 2 * MESSAGE as u64 })
}

/// Connections one after the other: a byte there, a byte back, the origin closes. With a certificate,
/// inside a whole TLS handshake with who has it.
pub fn connect(task: Task, certificate: Option<&str>) -> Outcome<Done> {
    let connector = certificate.map(tls::connector).transpose()?;
    let units = run(task, |_| {
        let connector = connector.clone();
        async move {
            let mut count = 0;
            while Instant::now() < task.until {
                let stream = open(task).await?;
                match &connector {
                    None => hello(stream).await?,
                    Some(connector) => hello(secure(connector, stream).await?).await?,
                }
                count += 1;
            }
            Ok(count)
        }
    })?;
    Ok(Done { units, bytes: units * 2 })
}

/// Runs as many as there are connections, on one thread; what they did together.
fn run<F: Future<Output = Outcome<u64>> + 'static>(task: Task, one: impl Fn(u16) -> F) -> Outcome<u64> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(because("runtime"))?;
    let local = tokio::task::LocalSet::new();
    let all = async {
        let tasks: Vec<_> = (0..CONNECTIONS).map(|number| tokio::task::spawn_local(one(number))).collect();
        let mut sum = 0;
        for task in tasks {
            sum += task.await.map_err(because("task"))??;
        }
        Ok(sum)
    };
    // One deadline for all: a timer for each of many short waits would be most of the load's own cost.
    let end = task.until + PATIENCE;
    runtime.block_on(local.run_until(async {
        let timed = tokio::time::timeout_at(end.into(), all).await;
        timed.unwrap_or_else(|_| Err(format!("not all had their answer {PATIENCE:?} after the end")))
    }))
}

async fn open(task: Task) -> Outcome<TcpStream> {
    let stream = TcpStream::connect(task.to).await.map_err(because("connect"))?;
    stream.set_nodelay(true).map_err(because("nodelay"))?;
    Ok(stream)
}

async fn secure(connector: &TlsConnector, stream: TcpStream) -> Outcome<impl AsyncRead + AsyncWrite + Unpin> {
    connector.connect(tls::name(), stream).await.map_err(because("handshake"))
}

async fn hello(mut stream: impl AsyncRead + AsyncWrite + Unpin) -> Outcome<()> {
    stream.write_all(&[HELLO]).await.map_err(because("send"))?;
    stream.flush().await.map_err(because("send"))?;
    let mut answer = [0; 2];
    let mut length = 0;
    loop {
        let more = stream.read(&mut answer[length..]).await.map_err(because("receive"))?;
        length += more;
        if more == 0 || length == answer.len() {
            break;
        }
    }
    if answer[..length] == [BYE] { Ok(()) } else { Err(format!("a connection was answered {:?}", &answer[..length])) }
}
