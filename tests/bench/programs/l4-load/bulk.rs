//! A few connections that carry as much as they can, one direction at a time. Senders give pages of a file
//! in memory to the kernel; receivers compare every byte.

use crate::shape::{COMMAND, Command, PERIOD, pattern};
use crate::{Done, Outcome, Task, because, system, tls};
use std::fs::File;
use std::io::{Read, Seek, Write};
use std::net::TcpStream;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// Connections at a time.
const CONNECTIONS: usize = 4;
/// Bytes a command: a fraction of a second, so that the end is not far when the time is up.
const PIECE: u64 = 64 << 20;
/// Nothing in so long is the end.
const PATIENCE: Duration = Duration::from_secs(20);

/// Which way the bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From clients.
    In,
    /// To clients.
    Out,
}

/// What is sent: in memory to compare with, in a file of memory to send from.
struct Content {
    bytes: Vec<u8>,
    file: File,
}

fn content() -> Outcome<&'static Content> {
    static CONTENT: OnceLock<Outcome<Content>> = OnceLock::new();
    let made = CONTENT.get_or_init(|| {
        let bytes = pattern();
        let mut file = system::memory_file().map_err(because("memfd"))?;
        file.write_all(&bytes).and_then(|()| file.rewind()).map_err(because("memfd"))?;
        Ok(Content { bytes, file })
    });
    made.as_ref().map_err(Clone::clone)
}

/// Loads; with a certificate, each connection begins with TLS to who has it.
pub fn load(task: Task, direction: Direction, certificate: Option<&str>) -> Outcome<Done> {
    let threads: Vec<_> = (0..CONNECTIONS)
        .map(|_| {
            let certificate = certificate.map(str::to_owned);
            std::thread::spawn(move || one(task, direction, certificate.as_deref()))
        })
        .collect();
    let mut done = Done::default();
    for thread in threads {
        let bytes = thread.join().map_err(|_| "a thread of the load panicked".to_owned())??;
        done.bytes += bytes;
        done.units += 1;
    }
    Ok(done)
}

fn one(task: Task, direction: Direction, certificate: Option<&str>) -> Outcome<u64> {
    let mut stream = match certificate {
        None => TcpStream::connect_timeout(&task.to, PATIENCE).map_err(because("connect"))?,
        Some(certificate) => tls::raw_after_handshake(task.to, certificate)?,
    };
    patient(&stream)?;
    let mut total = 0;
    while Instant::now() < task.until {
        match direction {
            Direction::In => {
                command(&mut stream, Command::Take(PIECE))?;
                send(&mut stream, PIECE)?;
                let answer = read_command(&mut stream)?;
                if answer != Some(Command::Took(PIECE)) {
                    return Err(format!("{PIECE} bytes are answered by {answer:?}"));
                }
            }
            Direction::Out => {
                command(&mut stream, Command::Send(PIECE))?;
                receive(&mut stream, PIECE)?;
            }
        }
        total += PIECE;
    }
    Ok(total)
}

/// The origin's side, until the client closes. `begun` was read of the first command already.
pub fn serve(mut stream: TcpStream, begun: &[u8]) -> Outcome<()> {
    stream.set_nonblocking(false).map_err(because("blocking"))?;
    patient(&stream)?;
    let mut bytes = [0; COMMAND];
    bytes[..begun.len()].copy_from_slice(begun);
    stream.read_exact(&mut bytes[begun.len()..]).map_err(because("command"))?;
    let mut next = Command::read(&bytes);
    loop {
        match next {
            Some(Command::Take(count)) => {
                receive(&mut stream, count)?;
                command(&mut stream, Command::Took(count))?;
            }
            Some(Command::Send(count)) => send(&mut stream, count)?,
            None => return Ok(()),
            Some(Command::Took(_)) => return Err("a client that took".into()),
        }
        next = read_command(&mut stream)?;
    }
}

fn patient(stream: &TcpStream) -> Outcome<()> {
    stream.set_nodelay(true).map_err(because("nodelay"))?;
    stream.set_read_timeout(Some(PATIENCE)).map_err(because("timeout"))?;
    stream.set_write_timeout(Some(PATIENCE)).map_err(because("timeout"))
}

fn command(stream: &mut TcpStream, command: Command) -> Outcome<()> {
    stream.write_all(&command.bytes()).map_err(because("command"))
}

/// The next command; `None` when the other side closed before it.
fn read_command(stream: &mut TcpStream) -> Outcome<Option<Command>> {
    let mut bytes = [0; COMMAND];
    let first = stream.read(&mut bytes).map_err(because("command"))?;
    if first == 0 {
        return Ok(None);
    }
    stream.read_exact(&mut bytes[first..]).map_err(because("command"))?;
    Command::read(&bytes).map(Some).ok_or_else(|| format!("no command: {bytes:?}"))
}

fn send(stream: &mut TcpStream, count: u64) -> Outcome<()> {
    let file = &content()?.file;
    let mut sent = 0;
    while sent < count {
        let at = sent % PERIOD as u64;
        let length = (PERIOD as u64 - at).min(count - sent);
        let now = system::send_file(stream, file, at, length).map_err(because("send"))?;
        if now == 0 {
            return Err("sendfile sends nothing".into());
        }
        sent += now;
    }
    Ok(())
}

fn receive(stream: &mut TcpStream, count: u64) -> Outcome<()> {
    let expected = &content()?.bytes;
    let mut buffer = vec![0; 256 << 10];
    let mut received = 0;
    while received < count {
        let room = buffer.len().min(usize::try_from(count - received).unwrap_or(usize::MAX));
        let length = stream.read(&mut buffer[..room]).map_err(because("receive"))?;
        if length == 0 {
            return Err(format!("the end after {received} of {count} bytes"));
        }
        let at = (received % PERIOD as u64) as usize;
        let before = length.min(PERIOD - at);
        if buffer[..before] != expected[at..at + before] || buffer[before..length] != expected[..length - before] {
            return Err(format!("other bytes than were sent, after {received}"));
        }
        received += length as u64;
    }
    Ok(())
}
