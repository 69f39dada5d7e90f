//! An HTTP/1 origin whose way to fail is switched while it runs. It is a process of its own, so that
//! `kill -9` is what it is elsewhere: connections end in the middle of whatever they carried.
//!
//! `fault-origin NAME PORT CONTROL [MODE]` serves on PORT; `PUT /MODE` on CONTROL switches, `GET /` there
//! tells what it has seen.

use crate::peer::Peer;
use crate::sluice::get;
use crate::wait::{self, PATIENCE};
use crate::{Wire, ports};
use socket2::SockRef;
use std::fmt;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::Command;
use std::str::FromStr;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Bytes of an ordinary answer's body.
pub const BODY: usize = 1000;

/// How an origin fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// It does not.
    Well,
    /// It answers after so many milliseconds.
    Slow(u64),
    /// Every second answer is 503.
    Half503,
    /// Every answer is 503.
    All503,
    /// What it sends is not HTTP.
    Garbage,
    /// The connection ends in the middle of the body.
    HalfAnswer,
    /// The connection ends in the middle of the head.
    HalfHead,
    /// It takes requests and says nothing.
    Silent,
    /// It neither accepts nor refuses connections, and says nothing on those that it has.
    BlackHole,
    /// It ends each connection when a second request comes on it, before it answers: what a client
    /// sees whose request crosses the end of an idle connection.
    ClosesIdle,
    /// It sends the body in ten pieces, so many milliseconds apart: something to kill it in the middle of.
    Pieces(u64),
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Well => f.write_str("well"),
            Self::Slow(ms) => write!(f, "slow-{ms}"),
            Self::Half503 => f.write_str("half-503"),
            Self::All503 => f.write_str("all-503"),
            Self::Garbage => f.write_str("garbage"),
            Self::HalfAnswer => f.write_str("half-answer"),
            Self::HalfHead => f.write_str("half-head"),
            Self::Silent => f.write_str("silent"),
            Self::BlackHole => f.write_str("black-hole"),
            Self::ClosesIdle => f.write_str("closes-idle"),
            Self::Pieces(ms) => write!(f, "pieces-{ms}"),
        }
    }
}

impl FromStr for Mode {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        let ms = |text: &str| text.parse().map_err(|e| format!("{word}: {e}"));
        Ok(match word {
            "well" => Self::Well,
            "half-503" => Self::Half503,
            "all-503" => Self::All503,
            "garbage" => Self::Garbage,
            "half-answer" => Self::HalfAnswer,
            "half-head" => Self::HalfHead,
            "silent" => Self::Silent,
            "black-hole" => Self::BlackHole,
            "closes-idle" => Self::ClosesIdle,
            _ => match (word.strip_prefix("slow-"), word.strip_prefix("pieces-")) {
                (Some(text), _) => Self::Slow(ms(text)?),
                (_, Some(text)) => Self::Pieces(ms(text)?),
                (None, None) => return Err(format!("{word} is no mode")),
            },
        })
    }
}

/// What an origin has seen since it started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Connections that it accepted.
    pub connections: u64,
    /// Requests whose heads came whole, checks not among them.
    pub requests: u64,
    /// Requests to `/healthz`.
    pub checks: u64,
}

#[derive(Default)]
struct State {
    connections: AtomicU64,
    requests: AtomicU64,
    checks: AtomicU64,
}

// === the process ===

/// Serves until the process ends.
///
/// # Errors
///
/// When a port is taken.
pub fn serve(name: &str, port: u16, control: u16, mode: Mode) -> io::Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
    let controller = TcpListener::bind((Ipv4Addr::LOCALHOST, control))?;
    let mode = Arc::new(Mutex::new(mode));
    let state = Arc::new(State::default());
    let (own_mode, own_state) = (mode.clone(), state.clone());
    std::thread::spawn(move || controller.incoming().flatten().for_each(|s| command(s, &own_mode, &own_state)));
    // accept(2) keeps the deadline of the socket, so that a change of mode is seen.
    SockRef::from(&listener).set_read_timeout(Some(Duration::from_millis(20)))?;
    let name: Arc<str> = name.into();
    loop {
        if current(&mode) == Mode::BlackHole {
            black_hole(&listener, &mode)?;
        }
        match listener.accept() {
            Ok((stream, _)) => {
                state.connections.fetch_add(1, Relaxed);
                let (name, mode, state) = (name.clone(), mode.clone(), state.clone());
                // What goes wrong on a connection ends it, and nothing else.
                std::thread::spawn(move || answer_all(stream, &name, &mode, &state));
            }
            Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted) => {}
            Err(e) => return Err(e),
        }
    }
}

fn current(mode: &Mutex<Mode>) -> Mode {
    *mode.lock().unwrap()
}

/// Fills the queue of its own listener, so that the kernel drops every further handshake, until the mode changes.
fn black_hole(listener: &TcpListener, mode: &Mutex<Mode>) -> io::Result<()> {
    SockRef::from(listener).listen(0)?;
    let addr = listener.local_addr()?;
    let patience = Duration::from_millis(200);
    let queue: Vec<_> = (0..8).map_while(|_| TcpStream::connect_timeout(&addr, patience).ok()).collect();
    while current(mode) == Mode::BlackHole {
        std::thread::park_timeout(Duration::from_millis(5));
    }
    drop(queue);
    SockRef::from(listener).listen(1024)
}

/// One word on the control port: `PUT /MODE`, or `GET /`.
fn command(mut stream: TcpStream, mode: &Mutex<Mode>, state: &State) {
    let _ = stream.set_read_timeout(Some(PATIENCE));
    let mut buffer = Vec::new();
    let Ok(Some((head, _))) = head(&mut stream, &mut buffer) else { return };
    let mut words = head.split(' ');
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let (status, body) = if method == "PUT" {
        match target.trim_start_matches('/').parse() {
            Ok(wanted) => {
                *mode.lock().unwrap() = wanted;
                ("200 OK", wanted.to_string())
            }
            Err(why) => ("400 Bad Request", why),
        }
    } else {
        let body = serde_json::json!({
            "mode": current(mode).to_string(),
            "connections": state.connections.load(Relaxed),
            "requests": state.requests.load(Relaxed),
            "checks": state.checks.load(Relaxed),
        });
        ("200 OK", body.to_string())
    };
    let length = body.len() + 1;
    let _ = write!(stream, "HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}\n");
}

/// The head of a request and the length of its body; `None` at the end of the connection.
fn head(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> io::Result<Option<(String, usize)>> {
    let end = loop {
        if let Some(at) = buffer.windows(4).position(|w| w == b"\r\n\r\n") {
            break at + 4;
        }
        let mut piece = [0; 16 * 1024];
        match stream.read(&mut piece)? {
            0 => return Ok(None),
            n => buffer.extend_from_slice(&piece[..n]),
        }
    };
    let text = String::from_utf8_lossy(&buffer.drain(..end).collect::<Vec<_>>()).into_owned();
    let length = text.lines().filter_map(|line| line.split_once(':'));
    let length = length.filter(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    let length = length.filter_map(|(_, value)| value.trim().parse().ok()).next().unwrap_or(0);
    Ok(Some((text, length)))
}

fn answer_all(mut stream: TcpStream, name: &str, mode: &Mutex<Mode>, state: &State) -> io::Result<()> {
    stream.set_nodelay(true)?;
    // It has the listener's own deadline from accept(2).
    stream.set_read_timeout(None)?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut buffer = Vec::new();
    let mut served = 0_u64;
    loop {
        if served > 0 && buffer.is_empty() {
            // Wait without taking anything, so that a connection that ends now ends by a reset.
            stream.peek(&mut [0])?;
            if current(mode) == Mode::ClosesIdle {
                return Ok(());
            }
        }
        let Some((head, length)) = head(&mut stream, &mut buffer)? else { return Ok(()) };
        let check = head.split(' ').nth(1) == Some("/healthz");
        let number = if check { &state.checks } else { &state.requests }.fetch_add(1, Relaxed);
        served += 1;
        while buffer.len() < length {
            let mut piece = [0; 16 * 1024];
            match stream.read(&mut piece)? {
                0 => return Ok(()),
                n => buffer.extend_from_slice(&piece[..n]),
            }
        }
        buffer.drain(..length);
        match current(mode) {
            Mode::Well | Mode::ClosesIdle => respond(&mut stream, "200 OK", name)?,
            Mode::Slow(ms) => {
                std::thread::park_timeout(Duration::from_millis(ms));
                respond(&mut stream, "200 OK", name)?;
            }
            // The checks of an overloaded origin succeed as often as its requests do.
            Mode::Half503 if number % 2 == 0 => respond(&mut stream, "200 OK", name)?,
            Mode::Half503 | Mode::All503 => respond(&mut stream, "503 Service Unavailable", name)?,
            Mode::Garbage => {
                stream.write_all(b"\x16\x03\x01 what is this? \x00\xff\r\n\r\n")?;
                return Ok(());
            }
            Mode::HalfAnswer => {
                stream.write_all(&answer("200 OK", name)[..answer("200 OK", name).len() - BODY / 2])?;
                return stream.shutdown(Shutdown::Both);
            }
            Mode::HalfHead => {
                stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-le")?;
                return stream.shutdown(Shutdown::Both);
            }
            Mode::Silent | Mode::BlackHole => {
                while stream.read(&mut [0; 1024])? > 0 {}
                return Ok(());
            }
            Mode::Pieces(ms) => {
                let whole = answer("200 OK", name);
                let (head, body) = whole.split_at(whole.len() - BODY);
                stream.write_all(head)?;
                for piece in body.chunks(BODY / 10) {
                    std::thread::park_timeout(Duration::from_millis(ms));
                    stream.write_all(piece)?;
                }
            }
        }
    }
}

/// An answer: the origin's name, then dots.
fn answer(status: &str, name: &str) -> Vec<u8> {
    let head =
        format!("HTTP/1.1 {status}\r\ncontent-type: text/plain\r\nx-origin: {name}\r\ncontent-length: {BODY}\r\n\r\n");
    format!("{head}{name:.<BODY$}").into_bytes()
}

fn respond(stream: &mut TcpStream, status: &str, name: &str) -> io::Result<()> {
    stream.write_all(&answer(status, name))
}

// === the handle ===

/// A running one.
#[derive(Debug)]
pub struct FaultOrigin {
    /// Its name: what its answers begin with.
    pub name: String,
    /// Where it serves.
    pub addr: SocketAddr,
    control: SocketAddr,
    peer: Option<Peer>,
}

/// The program: beside whatever runs.
fn program() -> PathBuf {
    let own = std::env::current_exe().unwrap();
    let found = own.ancestors().skip(1).take(2).map(|dir| dir.join("fault-origin")).find(|path| path.is_file());
    found.expect("`fault-origin` is built beside the tests: cargo build --package sluice-tests --bins")
}

impl FaultOrigin {
    /// Starts one that is well.
    #[track_caller]
    pub fn start(name: &str) -> Self {
        let [addr, control] = [0; 2].map(|_| SocketAddr::from((Ipv4Addr::LOCALHOST, ports::free())));
        let mut origin = Self { name: name.to_owned(), addr, control, peer: None };
        origin.restart(Mode::Well);
        origin
    }

    /// Starts it again on its address, in a mode.
    #[track_caller]
    pub fn restart(&mut self, mode: Mode) {
        self.kill();
        let mut command = Command::new(program());
        command.arg(&self.name).arg(self.addr.port().to_string()).arg(self.control.port().to_string());
        command.arg(mode.to_string());
        self.peer = Some(Peer::start(&mut command).listens(self.control));
    }

    /// Ends it as `kill -9` does.
    pub fn kill(&mut self) {
        if let Some(mut peer) = self.peer.take() {
            peer.kill();
        }
    }

    /// Switches its mode.
    ///
    /// # Panics
    ///
    /// When it does not run.
    #[track_caller]
    pub fn set(&self, mode: Mode) {
        let mut wire = Wire::connect(self.control);
        wire.send(format!("PUT /{mode} HTTP/1.1\r\nHost: control\r\n\r\n"));
        assert_eq!(wire.reply().text().trim_end(), mode.to_string());
        if mode == Mode::BlackHole {
            let closed = || TcpStream::connect_timeout(&self.addr, Duration::from_millis(100)).is_err().then_some(());
            wait::until("it accepts nothing more", closed);
        }
    }

    /// What it has seen since it was started.
    #[track_caller]
    pub fn counts(&self) -> Counts {
        let told = get(self.control, "control", "/").expect("it answers on its control port").json();
        let of = |name: &str| told[name].as_u64().unwrap();
        Counts { connections: of("connections"), requests: of("requests"), checks: of("checks") }
    }
}
