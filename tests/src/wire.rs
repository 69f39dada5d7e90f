//! An HTTP/1 client that sends exactly the bytes it is given and reads answers strictly.

use crate::wait::PATIENCE;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

/// A stream of bytes, plain or TLS.
pub trait Stream: Read + Write + Send {}
impl<T: Read + Write + Send> Stream for T {}

/// A connection.
pub struct Wire {
    stream: Box<dyn Stream>,
    /// The socket below, for deadlines and half-closing.
    socket: TcpStream,
    buffer: Vec<u8>,
}

/// How a message ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// By its own framing: as many bytes as promised, or the last chunk.
    Framed,
    /// By the end of the connection, which is how it said it would end.
    Closed,
    /// The connection ended before the message did.
    Cut,
}

/// An answer.
#[derive(Clone, Debug)]
pub struct Reply {
    /// The status.
    pub status: u16,
    /// The first line.
    pub line: String,
    /// Headers in the order they came, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body, decoded from its chunks.
    pub body: Vec<u8>,
    /// Trailers.
    pub trailers: Vec<(String, String)>,
    /// How it ended.
    pub end: End,
}

impl Reply {
    /// The only value of a header.
    ///
    /// # Panics
    ///
    /// When it came twice.
    #[track_caller]
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut all = self.headers.iter().filter(|(n, _)| n == name);
        let first = all.next().map(|(_, value)| value.as_str());
        assert!(all.next().is_none(), "{name} came more than once: {:?}", self.headers);
        first
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {} {:?}", self.line, self.text()))
    }
}

impl Wire {
    /// Connects in the clear.
    pub fn connect(addr: SocketAddr) -> Self {
        let socket = TcpStream::connect_timeout(&addr, PATIENCE).unwrap();
        socket.set_nodelay(true).unwrap();
        let stream = Box::new(socket.try_clone().unwrap());
        Self::over(stream, socket)
    }

    /// Takes a stream over a socket.
    pub fn over(stream: Box<dyn Stream>, socket: TcpStream) -> Self {
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket.set_write_timeout(Some(PATIENCE)).unwrap();
        Self { stream, socket, buffer: Vec::new() }
    }

    /// Waits at most so long for bytes from now on.
    pub fn patience(&self, patience: Duration) {
        self.socket.set_read_timeout(Some(patience)).unwrap();
    }

    /// Sends bytes. That the peer has hung up is no error here: the answer tells.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) -> &mut Self {
        let _ = self.try_send(bytes);
        self
    }

    /// Sends bytes, or says why not.
    pub fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.stream.write_all(bytes.as_ref())?;
        self.stream.flush()
    }

    /// Says that nothing more will be sent.
    pub fn finish(&mut self) {
        let _ = self.socket.shutdown(Shutdown::Write);
    }

    /// Reads more into the buffer: `false` when the connection ended.
    ///
    /// # Panics
    ///
    /// When nothing comes in time.
    #[track_caller]
    fn fill(&mut self) -> bool {
        let mut piece = [0; 64 * 1024];
        match self.stream.read(&mut piece) {
            Ok(0) => false,
            Ok(n) => {
                self.buffer.extend_from_slice(&piece[..n]);
                true
            }
            Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                panic!("nothing came in time; had {:?}", String::from_utf8_lossy(&self.buffer))
            }
            Err(e) if e.kind() == ErrorKind::Interrupted => true,
            // Reset, or TLS cut without a closing message.
            Err(_) => false,
        }
    }

    /// Takes a line without its end; `None` when the connection ended first.
    #[track_caller]
    fn line(&mut self) -> Option<String> {
        loop {
            if let Some(at) = self.buffer.windows(2).position(|w| w == b"\r\n") {
                let line = String::from_utf8_lossy(&self.buffer[..at]).into_owned();
                self.buffer.drain(..at + 2);
                return Some(line);
            }
            if !self.fill() {
                return None;
            }
        }
    }

    #[track_caller]
    fn fields(&mut self) -> Option<Vec<(String, String)>> {
        let mut fields = Vec::new();
        loop {
            let line = self.line()?;
            if line.is_empty() {
                return Some(fields);
            }
            let (name, value) = line.split_once(':').unwrap_or_else(|| panic!("not a header: {line:?}"));
            fields.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
    }

    /// Reads the head of an answer; `None` when the connection ended without one.
    #[track_caller]
    pub fn head(&mut self) -> Option<Reply> {
        let line = self.line()?;
        let status = line.split(' ').nth(1).and_then(|s| s.parse().ok());
        let status = status.unwrap_or_else(|| panic!("not a status line: {line:?}"));
        let headers = self.fields().unwrap_or_else(|| panic!("cut within the head: {line:?}"));
        Some(Reply { status, line, headers, body: Vec::new(), trailers: Vec::new(), end: End::Framed })
    }

    /// Reads an answer to a request with this method; 1xx answers before it are passed over.
    ///
    /// # Panics
    ///
    /// When the connection ends without one.
    #[track_caller]
    pub fn reply_to(&mut self, method: &str) -> Reply {
        self.try_reply(method).expect("the connection ended without an answer")
    }

    /// Reads an answer to a GET.
    #[track_caller]
    pub fn reply(&mut self) -> Reply {
        self.reply_to("GET")
    }

    /// Reads an answer, if one comes before the connection ends.
    #[track_caller]
    pub fn try_reply(&mut self, method: &str) -> Option<Reply> {
        let mut reply = self.head()?;
        while (100..200).contains(&reply.status) {
            reply = self.head()?;
        }
        if method == "HEAD" || reply.status == 204 || reply.status == 304 {
            return Some(reply);
        }
        match (reply.header("transfer-encoding"), reply.header("content-length")) {
            (Some(coding), None) => {
                assert!(coding.eq_ignore_ascii_case("chunked"), "unknown coding {coding}");
                self.chunks(&mut reply);
            }
            (None, Some(length)) => {
                let length: usize = length.parse().unwrap_or_else(|_| panic!("not a length: {length:?}"));
                while self.buffer.len() < length && self.fill() {}
                if self.buffer.len() < length {
                    reply.end = End::Cut;
                }
                reply.body = self.buffer.drain(..length.min(self.buffer.len())).collect();
            }
            (None, None) => {
                while self.fill() {}
                reply.body = std::mem::take(&mut self.buffer);
                reply.end = End::Closed;
            }
            (Some(_), Some(_)) => panic!("both lengths in an answer: {:?}", reply.headers),
        }
        Some(reply)
    }

    #[track_caller]
    fn chunks(&mut self, reply: &mut Reply) {
        reply.end = End::Cut;
        loop {
            let Some(line) = self.line() else { return };
            let digits = line.split(';').next().unwrap_or_default();
            let size = usize::from_str_radix(digits, 16).unwrap_or_else(|_| panic!("not a chunk: {line:?}"));
            if size == 0 {
                let Some(trailers) = self.fields() else { return };
                reply.trailers = trailers;
                reply.end = End::Framed;
                return;
            }
            while self.buffer.len() < size + 2 && self.fill() {}
            let have = size.min(self.buffer.len());
            reply.body.extend(self.buffer.drain(..have));
            if have < size || self.buffer.len() < 2 {
                return;
            }
            assert_eq!(self.buffer.drain(..2).collect::<Vec<_>>(), b"\r\n", "a chunk is longer than it said");
        }
    }

    /// Reads so many bytes of a body and leaves the rest where it is.
    #[track_caller]
    pub fn take(&mut self, count: usize) -> Vec<u8> {
        while self.buffer.len() < count && self.fill() {}
        self.buffer.drain(..count.min(self.buffer.len())).collect()
    }

    /// Takes what comes before a byte, and the byte away; `None` when the connection ended first.
    #[track_caller]
    pub fn until(&mut self, end: u8) -> Option<Vec<u8>> {
        loop {
            if let Some(at) = self.buffer.iter().position(|b| *b == end) {
                let before = self.buffer.drain(..at).collect();
                self.buffer.drain(..1);
                return Some(before);
            }
            if !self.fill() {
                return None;
            }
        }
    }

    /// Waits for the end of the connection: in order, or the error with which it was cut.
    ///
    /// # Panics
    ///
    /// When it does not end in time.
    #[track_caller]
    pub fn ends(&mut self) -> io::Result<()> {
        let mut piece = [0; 64 * 1024];
        loop {
            match self.stream.read(&mut piece) {
                Ok(0) => return Ok(()),
                Ok(_) => {}
                Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                    panic!("the connection does not end")
                }
                Err(e) => return Err(e),
            }
        }
    }

    /// The address that it was opened from.
    pub fn local(&self) -> SocketAddr {
        self.socket.local_addr().unwrap()
    }

    /// Ends it with a reset: what was not sent is thrown away.
    pub fn reset(self) {
        let _ = socket2::SockRef::from(&self.socket).set_linger(Some(Duration::ZERO));
    }

    /// Reads and forgets until the connection ends; how much it was.
    #[track_caller]
    pub fn drain(&mut self) -> usize {
        let mut count = self.buffer.len();
        self.buffer.clear();
        while self.fill() {
            count += self.buffer.len();
            self.buffer.clear();
        }
        count
    }

    /// Waits for the end of the connection and returns what came before it.
    #[track_caller]
    pub fn rest(&mut self) -> Vec<u8> {
        while self.fill() {}
        std::mem::take(&mut self.buffer)
    }
}
