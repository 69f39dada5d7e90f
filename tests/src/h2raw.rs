//! HTTP/2 by hand: frames and header blocks as an attacker would write them (RFC 9113, RFC 7541).

use crate::wait::PATIENCE;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};

/// The client's preface.
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Frame types.
#[allow(missing_docs)] // named as in RFC 9113 section 6
pub mod kind {
    pub const DATA: u8 = 0;
    pub const HEADERS: u8 = 1;
    pub const RST_STREAM: u8 = 3;
    pub const SETTINGS: u8 = 4;
    pub const PING: u8 = 6;
    pub const GOAWAY: u8 = 7;
    pub const WINDOW_UPDATE: u8 = 8;
    pub const CONTINUATION: u8 = 9;
}

/// Flag: the stream ends here. Also ACK of SETTINGS and PING.
pub const END_STREAM: u8 = 1;
/// Flag: the header block ends here.
pub const END_HEADERS: u8 = 4;

/// A frame.
#[derive(Clone, Debug)]
pub struct Frame {
    /// Its type.
    pub kind: u8,
    /// Its flags.
    pub flags: u8,
    /// Its stream.
    pub stream: u32,
    /// What it carries.
    pub payload: Vec<u8>,
}

/// Writes a frame.
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut bytes = vec![length[1], length[2], length[3], kind, flags];
    bytes.extend_from_slice(&stream.to_be_bytes());
    bytes.extend_from_slice(payload);
    bytes
}

/// Writes a header block: every field a literal that is not indexed, any byte allowed.
pub fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (name, value) in fields {
        bytes.push(0);
        text(&mut bytes, name.as_bytes());
        text(&mut bytes, value.as_bytes());
    }
    bytes
}

/// A string literal without Huffman coding (RFC 7541 section 5.2).
fn text(bytes: &mut Vec<u8>, text: &[u8]) {
    let mut left = text.len();
    if left < 127 {
        bytes.push(u8::try_from(left).unwrap());
    } else {
        bytes.push(127);
        left -= 127;
        while left >= 128 {
            bytes.push(u8::try_from(left % 128).unwrap() | 128);
            left /= 128;
        }
        bytes.push(u8::try_from(left).unwrap());
    }
    bytes.extend_from_slice(text);
}

/// What became of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Answered with a status, and the stream ended.
    Answered(u16),
    /// Reset with an error code.
    Reset(u32),
    /// The connection was ended with an error code.
    GoneAway(u32),
    /// The connection ended without a word.
    Closed,
}

/// A connection.
pub struct RawH2 {
    socket: TcpStream,
    buffer: Vec<u8>,
}

impl RawH2 {
    /// Connects in the clear, sends preface and empty settings.
    pub fn connect(addr: SocketAddr) -> Self {
        let socket = TcpStream::connect(addr).unwrap();
        socket.set_nodelay(true).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket.set_write_timeout(Some(PATIENCE)).unwrap();
        let mut raw = Self { socket, buffer: Vec::new() };
        raw.send(PREFACE).send(frame(kind::SETTINGS, 0, 0, &[]));
        raw
    }

    /// Sends bytes; that the peer hung up is seen when reading.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) -> &mut Self {
        let _ = self.try_send(bytes);
        self
    }

    /// Sends bytes, or says why not.
    pub fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> std::io::Result<()> {
        self.socket.write_all(bytes.as_ref())
    }

    /// Sends a request without a body.
    pub fn request(&mut self, stream: u32, fields: &[(&str, &str)]) -> &mut Self {
        self.send(frame(kind::HEADERS, END_HEADERS | END_STREAM, stream, &block(fields)))
    }

    /// Sends a request whose body follows.
    pub fn open(&mut self, stream: u32, fields: &[(&str, &str)]) -> &mut Self {
        self.send(frame(kind::HEADERS, END_HEADERS, stream, &block(fields)))
    }

    /// Sends a piece of a body.
    pub fn data(&mut self, stream: u32, flags: u8, data: &[u8]) -> &mut Self {
        self.send(frame(kind::DATA, flags, stream, data))
    }

    /// The next frame; `None` when the connection ended. Settings and pings are acknowledged.
    ///
    /// # Panics
    ///
    /// When nothing comes in time.
    #[track_caller]
    pub fn next_frame(&mut self) -> Option<Frame> {
        loop {
            if self.buffer.len() >= 9 {
                let b = &self.buffer;
                let length = u32::from_be_bytes([0, b[0], b[1], b[2]]) as usize;
                if b.len() >= 9 + length {
                    let stream = u32::from_be_bytes([b[5] & 0x7f, b[6], b[7], b[8]]);
                    let frame = Frame { kind: b[3], flags: b[4], stream, payload: b[9..9 + length].to_vec() };
                    self.buffer.drain(..9 + length);
                    if frame.kind == kind::SETTINGS && frame.flags & END_STREAM == 0 {
                        self.send(self::frame(kind::SETTINGS, END_STREAM, 0, &[]));
                    }
                    return Some(frame);
                }
            }
            let mut piece = [0; 64 * 1024];
            match self.socket.read(&mut piece) {
                Ok(0) => return None,
                Ok(n) => self.buffer.extend_from_slice(&piece[..n]),
                Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                    panic!("no frame came in time")
                }
                Err(_) => return None,
            }
        }
    }

    /// Reads until a stream has ended, one way or another.
    ///
    /// Only the connection's first answer can be read: later ones may refer to its header table.
    #[track_caller]
    pub fn fate(&mut self, stream: u32) -> Fate {
        let mut status = None;
        while let Some(frame) = self.next_frame() {
            match frame.kind {
                kind::GOAWAY => {
                    let code = frame.payload.get(4..8).map_or(0, |b| u32::from_be_bytes([b[0], b[1], b[2], b[3]]));
                    // A goodbye without an error lets the streams end.
                    if code != 0 {
                        return Fate::GoneAway(code);
                    }
                }
                kind::RST_STREAM if frame.stream == stream => {
                    let code = u32::from_be_bytes(frame.payload[..4].try_into().unwrap());
                    return status.map_or(Fate::Reset(code), Fate::Answered);
                }
                kind::HEADERS if frame.stream == stream && status.is_none() => {
                    status = Some(status_of(&frame.payload));
                    if frame.flags & END_STREAM != 0 {
                        return Fate::Answered(status.unwrap());
                    }
                }
                kind::DATA | kind::HEADERS if frame.stream == stream && frame.flags & END_STREAM != 0 => {
                    return status.map_or(Fate::Closed, Fate::Answered);
                }
                _ => {}
            }
        }
        Fate::Closed
    }

    /// Whether the connection still answers a ping.
    #[track_caller]
    pub fn is_alive(&mut self) -> bool {
        let mark = *b"are you ";
        self.send(frame(kind::PING, 0, 0, &mark));
        while let Some(frame) = self.next_frame() {
            if frame.kind == kind::PING && frame.payload == mark {
                return true;
            }
        }
        false
    }
}

/// The status in a header block, which must be the connection's first and start with `:status`.
fn status_of(block: &[u8]) -> u16 {
    // Size updates of the table may come first (RFC 7541 section 6.3).
    let start = block.iter().position(|b| b & 0xe0 != 0x20).unwrap();
    match block[start] {
        indexed @ 0x88..=0x8e => [200, 204, 206, 304, 400, 404, 500][usize::from(indexed - 0x88)],
        // A literal whose name is entry 8 of the static table.
        0x48 | 0x08 | 0x18 => {
            let (length, rest) = (block[start + 1], &block[start + 2..]);
            let value = &rest[..usize::from(length & 0x7f)];
            if length & 0x80 == 0 { String::from_utf8_lossy(value).parse().unwrap() } else { huffman_digits(value) }
        }
        other => panic!("not a status: {other:#x}"),
    }
}

/// Three digits in the code of RFC 7541 appendix B: `0`–`2` take five bits, `3`–`9` six.
fn huffman_digits(bytes: &[u8]) -> u16 {
    let bits: Vec<u16> = bytes.iter().flat_map(|b| (0..8).rev().map(move |i| u16::from(b >> i & 1))).collect();
    let number = |bits: &[u16]| bits.iter().fold(0, |n, b| n * 2 + b);
    let (mut at, mut status) = (0, 0);
    for _ in 0..3 {
        let short = number(&bits[at..at + 5]);
        let digit = if short < 3 {
            at += 5;
            short
        } else {
            at += 6;
            number(&bits[at - 6..at]) - 0x19 + 3
        };
        status = status * 10 + digit;
    }
    status
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_are_read_in_every_coding() {
        assert_eq!(status_of(&[0x88]), 200);
        assert_eq!(status_of(&[0x20, 0x8c]), 400);
        assert_eq!(status_of(b"\x48\x03421"), 421);
        // 302 as in RFC 7541 appendix C.6.1.
        assert_eq!(status_of(&[0x48, 0x82, 0x64, 0x02]), 302);
        // 307 as in C.6.2: it replaces 302.
        assert_eq!(status_of(&[0x48, 0x83, 0x64, 0x0e, 0xff]), 307);
    }
}
