//! What stands behind the proxies: one thread for streams, one for datagrams, one for each bulk transfer.

use crate::shape::{BULK, BYE, COMMAND_MARK, Datagram, ECHO, HELLO, RAW};
use crate::system::{Batch, Bound};
use crate::{Outcome, because, bulk, tls};
use std::collections::HashMap;
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddrV4};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio_rustls::TlsAcceptor;

/// Serves on the ports for plain streams, TLS and datagrams.
pub fn run(ip: Ipv4Addr, [tcp, secure, udp]: [u16; 3], certificate: &str, key: &str) -> Outcome<()> {
    let datagrams = Bound::open(SocketAddrV4::new(ip, udp)).map_err(because("UDP socket"))?;
    std::thread::spawn(move || {
        let Err(message) = answer_datagrams(&datagrams);
        fail(&message);
    });
    let acceptor = tls::acceptor(certificate, key)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(because("runtime"))?;
    let local = tokio::task::LocalSet::new();
    runtime.block_on(local.run_until(async {
        let plain = tokio::task::spawn_local(accept(listen(ip, tcp)?, None));
        let secure = tokio::task::spawn_local(accept(listen(ip, secure)?, Some(acceptor)));
        println!("ready");
        std::io::stdout().flush().map_err(because("stdout"))?;
        tokio::select! {
            ended = plain => ended.map_err(because("task"))?,
            ended = secure => ended.map_err(because("task"))?,
        }
    }))
}

fn listen(ip: Ipv4Addr, port: u16) -> Outcome<TcpListener> {
    let socket = TcpSocket::new_v4().map_err(because("socket"))?;
    socket.set_reuseaddr(true).map_err(because("socket"))?;
    socket.bind((ip, port).into()).map_err(because("bind"))?;
    socket.listen(4096).map_err(because("listen"))
}

async fn accept(listener: TcpListener, tls: Option<TlsAcceptor>) -> Outcome<()> {
    loop {
        let (stream, _) = listener.accept().await.map_err(because("accept"))?;
        stream.set_nodelay(true).map_err(because("nodelay"))?;
        let tls = tls.clone();
        tokio::task::spawn_local(async move {
            let served = match tls {
                None => plain(stream).await,
                Some(tls) => secure(tls, stream).await,
            };
            if let Err(message) = served {
                fail(&message);
            }
        });
    }
}

/// Something was wrong with what a proxy sent. The load sees that an answer is missing; this says why.
fn fail(message: &str) {
    eprintln!("origin: {message}");
}

async fn plain(mut stream: TcpStream) -> Outcome<()> {
    let mut first = [0];
    // Nobody sends a byte: a proxy's check, or who waits for it to listen.
    if stream.read(&mut first).await.map_err(because("first byte"))? == 0 {
        return Ok(());
    }
    match first {
        [HELLO] => bye(stream).await,
        [ECHO] => echo(stream).await,
        [COMMAND_MARK] => transfer(stream, &first),
        _ => Err(format!("a stream begins with {first:?}")),
    }
}

async fn secure(tls: TlsAcceptor, stream: TcpStream) -> Outcome<()> {
    let mut first = [0];
    if stream.peek(&mut first).await.map_err(because("first byte"))? == 0 {
        return Ok(());
    }
    let mut stream = tls.accept(stream).await.map_err(because("handshake"))?;
    if stream.get_ref().1.server_name() != Some(tls::NAME) {
        return Err(format!("the hello names {:?}", stream.get_ref().1.server_name()));
    }
    stream.read_exact(&mut first).await.map_err(because("first byte"))?;
    match first {
        [HELLO] => bye(stream).await,
        [ECHO] => echo(stream).await,
        [RAW] => {
            stream.write_all(&[BULK]).await.map_err(because("answer"))?;
            stream.flush().await.map_err(because("answer"))?;
            transfer(stream.into_inner().0, &[])
        }
        _ => Err(format!("TLS begins with {first:?}")),
    }
}

async fn bye(mut stream: impl AsyncRead + AsyncWrite + Unpin) -> Outcome<()> {
    stream.write_all(&[BYE]).await.map_err(because("answer"))?;
    stream.shutdown().await.map_err(because("close"))
}

async fn echo(mut stream: impl AsyncRead + AsyncWrite + Unpin) -> Outcome<()> {
    stream.write_all(&[ECHO]).await.map_err(because("echo"))?;
    stream.flush().await.map_err(because("echo"))?;
    let mut buffer = [0; 4096];
    loop {
        let length = stream.read(&mut buffer).await.map_err(because("echo"))?;
        if length == 0 {
            return Ok(());
        }
        stream.write_all(&buffer[..length]).await.map_err(because("echo"))?;
        stream.flush().await.map_err(because("echo"))?;
    }
}

/// Bulk is cheapest on a thread of its own, where nothing is polled.
fn transfer(stream: TcpStream, begun: &[u8]) -> Outcome<()> {
    let stream = stream.into_std().map_err(because("stream"))?;
    let begun = begun.to_vec();
    std::thread::spawn(move || {
        if let Err(message) = bulk::serve(stream, &begun) {
            fail(&message);
        }
    });
    Ok(())
}

fn answer_datagrams(socket: &Bound) -> Outcome<std::convert::Infallible> {
    let mut batch = Batch::new(64);
    let mut counts: HashMap<SocketAddrV4, u32> = HashMap::new();
    loop {
        let count = batch.receive(socket).map_err(because("receive"))?;
        for i in 0..count {
            let Some(head) = Datagram::read(batch.bytes(i)) else { continue };
            match head.kind {
                Datagram::ECHOED => batch.answer(i, None),
                Datagram::COUNTED => {
                    let counted = counts.entry(batch.peer(i)).or_default();
                    *counted += 1;
                    if head.last {
                        let number = std::mem::take(counted);
                        batch.answer(i, Some(Datagram { kind: Datagram::ANSWER, number, ..head }));
                    }
                }
                Datagram::WHO => {
                    // Who was reached, and by which port of the gateway's.
                    let number = u32::from(batch.local(i)) << 16 | u32::from(batch.peer(i).port());
                    batch.answer(i, Some(Datagram { kind: Datagram::ANSWER, number, ..head }));
                }
                _ => {}
            }
        }
        batch.send(socket).map_err(because("send"))?;
    }
}
