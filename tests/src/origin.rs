//! Origins with real sockets: they record the exact bytes they receive and answer as a test says,
//! wrong answers included. Written on plain sockets, because a library would mend what is tested.

use crate::wait::{PATIENCE, Watched};
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// A request as an origin saw it.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// Which connection it came on, from 0.
    pub connection: usize,
    /// The first line.
    pub line: String,
    /// The method.
    pub method: String,
    /// The target as sent.
    pub target: String,
    /// Headers in the order and spelling they came.
    pub headers: Vec<(String, String)>,
    /// The body as far as it was read, decoded from its chunks.
    pub body: Vec<u8>,
    /// How many bytes of body were read.
    pub body_len: usize,
    /// Trailers.
    pub trailers: Vec<(String, String)>,
    /// Whether the body was read to its end.
    pub complete: bool,
}

impl Seen {
    /// All values of a header.
    pub fn all(&self, name: &str) -> Vec<&str> {
        self.headers.iter().filter(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str()).collect()
    }

    /// The only value of a header.
    ///
    /// # Panics
    ///
    /// When it came more than once.
    #[track_caller]
    pub fn header(&self, name: &str) -> Option<&str> {
        let all = self.all(name);
        assert!(all.len() < 2, "{name} came more than once: {:?}", self.headers);
        all.first().copied()
    }
}

/// What an origin has seen so far.
#[derive(Debug, Default)]
pub struct Record {
    /// Requests, in the order their heads came.
    pub requests: Vec<Seen>,
    /// How many connections were opened.
    pub connections: usize,
    /// How many of them have ended.
    pub closed: usize,
    /// The first bytes of everything received, connections mixed.
    pub bytes: Vec<u8>,
}

/// Kept of the bytes and of each body: enough to look at, not a gigabyte.
const KEPT: usize = 1 << 20;

/// A connection in the hands of a handler.
pub struct Conn {
    stream: TcpStream,
    buffer: Vec<u8>,
    request: usize,
    record: Arc<Watched<Record>>,
}

/// Answers one request; an error closes the connection.
pub type Handler = dyn Fn(&Seen, &mut Conn) -> io::Result<()> + Send + Sync;

/// Ends a handler and with it the connection.
pub fn hang_up<T>() -> io::Result<T> {
    Err(io::ErrorKind::ConnectionAborted.into())
}

impl Conn {
    fn fill(&mut self) -> io::Result<usize> {
        let mut piece = vec![0; 64 * 1024];
        let n = self.stream.read(&mut piece)?;
        self.buffer.extend_from_slice(&piece[..n]);
        self.record.change(|r| {
            let room = KEPT.saturating_sub(r.bytes.len());
            r.bytes.extend_from_slice(&piece[..n.min(room)]);
        });
        Ok(n)
    }

    /// A line without its end; `None` at the end of the connection.
    fn line(&mut self) -> io::Result<Option<String>> {
        loop {
            if let Some(at) = self.buffer.windows(2).position(|w| w == b"\r\n") {
                // Latin-1: every byte is kept as a character.
                let line = self.buffer[..at].iter().map(|&b| char::from(b)).collect();
                self.buffer.drain(..at + 2);
                return Ok(Some(line));
            }
            if self.fill()? == 0 {
                return Ok(None);
            }
        }
    }

    fn fields(&mut self) -> io::Result<Vec<(String, String)>> {
        let mut fields = Vec::new();
        while let Some(line) = self.line()? {
            if line.is_empty() {
                return Ok(fields);
            }
            let Some((name, value)) = line.split_once(':') else { return hang_up() };
            fields.push((name.to_owned(), value.trim().to_owned()));
        }
        hang_up()
    }

    fn head(&mut self, connection: usize) -> io::Result<Option<Seen>> {
        let Some(line) = self.line()? else { return Ok(None) };
        let headers = self.fields()?;
        let mut words = line.split(' ');
        let mut next = || words.next().unwrap_or_default().to_owned();
        let (method, target) = (next(), next());
        let seen = Seen { connection, line, method, target, headers, ..Seen::default() };
        self.request = self.record.change(|r| {
            r.requests.push(seen.clone());
            r.requests.len() - 1
        });
        Ok(Some(seen))
    }

    fn got(&mut self, count: usize) {
        let piece: Vec<u8> = self.buffer.drain(..count).collect();
        let request = self.request;
        self.record.change(|r| {
            let seen = &mut r.requests[request];
            let room = KEPT.saturating_sub(seen.body.len());
            seen.body.extend_from_slice(&piece[..piece.len().min(room)]);
            seen.body_len += piece.len();
        });
    }

    fn take_exactly(&mut self, mut count: usize) -> io::Result<()> {
        while count > 0 {
            if self.buffer.is_empty() && self.fill()? == 0 {
                return hang_up();
            }
            let piece = count.min(self.buffer.len());
            self.got(piece);
            count -= piece;
        }
        Ok(())
    }

    /// Reads the body of a request to its end and returns it with its trailers.
    pub fn body(&mut self, seen: &Seen) -> io::Result<Seen> {
        if let Some(coding) = seen.header("transfer-encoding") {
            assert_eq!(coding, "chunked", "the only coding a gateway may send");
            loop {
                let Some(line) = self.line()? else { return hang_up() };
                let size = usize::from_str_radix(&line, 16).map_err(io::Error::other)?;
                if size == 0 {
                    break;
                }
                self.take_exactly(size)?;
                if self.line()? != Some(String::new()) {
                    return hang_up();
                }
            }
            let trailers = self.fields()?;
            let request = self.request;
            self.record.change(|r| r.requests[request].trailers = trailers);
        } else if let Some(length) = seen.header("content-length") {
            self.take_exactly(length.parse().map_err(io::Error::other)?)?;
        }
        let request = self.request;
        Ok(self.record.change(|r| {
            r.requests[request].complete = true;
            r.requests[request].clone()
        }))
    }

    /// Writes bytes.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.stream.write_all(bytes.as_ref())
    }

    /// Answers with a body and its length.
    pub fn respond(&mut self, status: &str, headers: &str, body: impl AsRef<[u8]>) -> io::Result<()> {
        let body = body.as_ref();
        let mut answer = format!("HTTP/1.1 {status}\r\n{headers}content-length: {}\r\n\r\n", body.len()).into_bytes();
        answer.extend_from_slice(body);
        self.send(answer)
    }

    /// Waits until the peer hangs up, so that a test can hold a connection open; then hangs up.
    pub fn hold(&mut self) -> io::Result<()> {
        self.stream.set_read_timeout(None)?;
        while self.fill()? > 0 {
            self.buffer.clear();
        }
        hang_up()
    }

    /// Ends the connection by a reset instead of a clean end.
    pub fn reset(&mut self) -> io::Result<()> {
        socket2::SockRef::from(&self.stream).set_linger(Some(Duration::ZERO))?;
        hang_up()
    }

    /// Shrinks what the kernel takes in before we read it, to see backpressure soon.
    pub fn small_buffer(&self) {
        let _ = socket2::SockRef::from(&self.stream).set_recv_buffer_size(64 * 1024);
    }
}

/// An origin. It ends with the value.
pub struct Origin {
    addr: SocketAddr,
    record: Arc<Watched<Record>>,
    handler: Arc<Watched<Arc<Handler>>>,
    stopped: Arc<AtomicBool>,
}

impl Origin {
    /// Starts one that answers as the handler says, for each request of a connection in turn.
    pub fn start(handler: impl Fn(&Seen, &mut Conn) -> io::Result<()> + Send + Sync + 'static) -> Self {
        Self::on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap(), handler)
    }

    /// [`Origin::start`] on a listener of one's own.
    pub fn on(
        listener: TcpListener,
        handler: impl Fn(&Seen, &mut Conn) -> io::Result<()> + Send + Sync + 'static,
    ) -> Self {
        let addr = listener.local_addr().unwrap();
        let first: Arc<Handler> = Arc::new(handler);
        let origin =
            Self { addr, record: Arc::default(), handler: Arc::new(Watched::new(first)), stopped: Arc::default() };
        let (record, handler, stopped) = (origin.record.clone(), origin.handler.clone(), origin.stopped.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if stopped.load(Ordering::SeqCst) {
                    return;
                }
                let Ok(stream) = stream else { continue };
                let connection = record.change(|r| {
                    r.connections += 1;
                    r.connections - 1
                });
                let (record, handler) = (record.clone(), handler.clone());
                std::thread::spawn(move || serve(stream, connection, record, &handler));
            }
        });
        origin
    }

    /// Tells the request back as JSON: method, target, headers in order, body, trailers.
    pub fn echo() -> Self {
        Self::start(echo)
    }

    /// Always the same text.
    pub fn fixed(body: &'static str) -> Self {
        Self::start(move |seen, conn| {
            conn.body(seen)?;
            conn.respond("200 OK", "content-type: text/plain\r\n", body)
        })
    }

    /// Answers with these bytes as they stand and goes on with the connection.
    pub fn verbatim(answer: &'static [u8]) -> Self {
        Self::start(move |seen, conn| {
            conn.body(seen)?;
            conn.send(answer)
        })
    }

    /// Answers with these bytes and hangs up.
    pub fn verbatim_then_close(answer: &'static [u8]) -> Self {
        Self::start(move |seen, conn| {
            conn.body(seen)?;
            conn.send(answer)?;
            conn.stream.shutdown(Shutdown::Write)?;
            hang_up()
        })
    }

    /// Takes requests and never answers.
    pub fn silent() -> Self {
        Self::start(|seen, conn| {
            conn.body(seen)?;
            conn.hold()
        })
    }

    /// Where it is.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Answers otherwise from the next request on.
    pub fn change(&self, handler: impl Fn(&Seen, &mut Conn) -> io::Result<()> + Send + Sync + 'static) {
        self.handler.change(|h| *h = Arc::new(handler));
    }

    /// What it has seen.
    pub fn record(&self) -> &Watched<Record> {
        &self.record
    }

    /// The requests so far.
    pub fn requests(&self) -> Vec<Seen> {
        self.record.get().requests.clone()
    }

    /// The only request so far, its body complete.
    ///
    /// # Panics
    ///
    /// When there is none in time, or another.
    #[track_caller]
    pub fn only(&self) -> Seen {
        let seen = self.record.wait(PATIENCE, |r| r.requests.first().filter(|s| s.complete).cloned());
        let count = self.record.get().requests.len();
        assert!(count < 2, "more than one request: {:?}", self.requests());
        seen.expect("the origin saw no complete request")
    }

    /// The first request, once there is one.
    ///
    /// # Panics
    ///
    /// When there is none in time.
    #[track_caller]
    pub fn first(&self) -> Seen {
        let seen = self.record.wait(PATIENCE, |r| r.requests.first().cloned());
        seen.expect("the origin saw no request")
    }

    /// How many connections were opened so far.
    pub fn connections(&self) -> usize {
        self.record.get().connections
    }

    /// That nothing has reached it: no byte of a request.
    ///
    /// # Panics
    ///
    /// When something has.
    #[track_caller]
    pub fn saw_nothing(&self) {
        let record = self.record.get();
        assert!(record.bytes.is_empty(), "it reached the origin: {:?}", String::from_utf8_lossy(&record.bytes));
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.addr);
    }
}

/// Tells a request back as JSON.
pub fn echo(seen: &Seen, conn: &mut Conn) -> io::Result<()> {
    let seen = conn.body(seen)?;
    let told = serde_json::json!({
        "line": seen.line,
        "method": seen.method,
        "target": seen.target,
        "headers": seen.headers,
        "body": String::from_utf8_lossy(&seen.body),
        "body_len": seen.body_len,
        "trailers": seen.trailers,
    });
    let body = if seen.method == "HEAD" { String::new() } else { told.to_string() };
    conn.respond("200 OK", "content-type: application/json\r\n", body)
}

fn serve(stream: TcpStream, connection: usize, record: Arc<Watched<Record>>, handler: &Watched<Arc<Handler>>) {
    let _ = stream.set_nodelay(true);
    let _ = stream.set_write_timeout(Some(PATIENCE));
    let mut conn = Conn { stream, buffer: Vec::new(), request: 0, record };
    while let Ok(Some(seen)) = conn.head(connection) {
        let answer = handler.get().clone();
        if answer(&seen, &mut conn).is_err() {
            break;
        }
    }
    conn.record.change(|r| r.closed += 1);
}
