//! What comes first on a TLS port: the client's hello, in a buffer of our own, so that it can be handed
//! on as it came.
//!
//! The records are only measured here (RFC 8446 section 5.1): whether what arrived is a ClientHello,
//! and whether it is whole. It is read once, by rustls, when it is. Until then a client costs us the
//! bytes that it sent and nothing more.

use crate::l4::End;
use crate::l4::tcp::Opening;
use bytes::BytesMut;
use rustls::server::{Accepted, Acceptor};
use rustls::{InvalidMessage, PeerMisbehaved};
use std::io;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

/// The longest hello, with the header of its message.
pub const LONGEST: usize = 16 * 1024;
/// The longest that it is in records: who cuts it up small pays for the headers out of 4 KB.
const LONGEST_RAW: usize = LONGEST + 4 * 1024;
/// What is read at once at first: hellos with post-quantum keys have some 1800 bytes.
const FIRST: usize = 2 * 1024;

/// TLSPlaintext.type, RFC 8446 section 5.1.
const HANDSHAKE: u8 = 22;
/// TLSPlaintext.length at most.
const FRAGMENT: usize = 1 << 14;
/// Handshake.msg_type, RFC 8446 section 4.
const CLIENT_HELLO: u8 = 1;

/// PostgreSQL's SSLRequest: its length, then a number that is no protocol version.
pub const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 4, 210, 22, 47];
/// PostgreSQL's GSSENCRequest.
const GSS_REQUEST: [u8; 8] = [0, 0, 0, 8, 4, 210, 22, 48];

/// Declares the failures once: name, label.
macro_rules! failures {
    ($($(#[doc = $doc:literal])* $name:ident $label:literal $end:ident,)*) => {
        /// Why a connection to a TLS port ended before anything was served on it.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Failure {
            $($(#[doc = $doc])* $name,)*
        }

        impl Failure {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The label in counts.
            #[must_use]
            pub const fn label(self) -> &'static str {
                match self { $(Self::$name => $label,)* }
            }

            /// The end of the connection, in the words of all connections.
            #[must_use]
            pub const fn end(self) -> End {
                match self { $(Self::$name => End::$end,)* }
            }
        }
    };
}

failures! {
    /// HTTP in the clear.
    PlainHttp "plain-http" Hello,
    /// Bytes that are no TLS.
    NotTls "not-tls" Hello,
    /// A hello in the form of SSL 2 (RFC 6176 forbids it).
    Ssl2 "ssl2" Hello,
    /// A hello of more than 16 KB.
    TooLong "too-long" Hello,
    /// Handshake records that are no ClientHello, or a broken one.
    Malformed "malformed" Hello,
    /// Two names in the hello, or one that is no name (RFC 6066 section 3).
    BadName "bad-name" Hello,
    /// The client left before its hello was whole.
    Left "left" Hello,
    /// The hello was not whole in time.
    Timeout "timeout" HelloTimeout,
    /// A PostgreSQL client that asked for a site, or for nobody, or said more than it may.
    Postgres "postgres" Hello,
    /// Nobody here answers for the name, or for a client without one.
    Unserved "unserved" ClientTls,
    /// `tls on-demand` does not allow the name, or could not be asked.
    NotAllowed "not-allowed" ClientTls,
    /// `tls on-demand` asked nobody about the name: too many unknown ones are asked for.
    TooManyNames "too-many-names" ClientTls,
    /// A name whose certificate is not there yet, or whose order failed.
    NoCertificate "no-certificate" ClientTls,
    /// A challenge of a certificate authority about a name for which none is under way.
    Challenge "acme-challenge" ClientTls,
    /// The files that say whom the site's clients' certificates come from could not be read so far.
    NoTerms "no-terms" ClientTls,
    /// The handshake failed after the hello.
    Handshake "handshake" ClientTls,
    /// The handshake took too long after the hello.
    HandshakeTimeout "handshake-timeout" ClientTls,
}

/// Reads until the hello is whole. What was read stands in `raw` afterwards, without PostgreSQL's
/// SSLRequest, which is answered; more than the hello may stand there.
///
/// It waits for as long as the client does: the deadline is the caller's.
///
/// # Errors
/// Why this is not going to be a TLS connection. [`Failure::Left`] with nothing in `raw` is a client
/// that connected and said nothing.
pub async fn read(tcp: &mut TcpStream, raw: &mut BytesMut) -> Result<Opening, Failure> {
    let mut opening = Opening::None;
    let mut gss = false;
    let mut measure = Measure::default();
    loop {
        match measure.look(raw)? {
            Seen::Whole => return Ok(opening),
            Seen::Part if raw.len() >= LONGEST_RAW => return Err(Failure::TooLong),
            Seen::Part => {}
            // What came behind a request in the clear would be taken for what comes after the
            // answer, inside TLS (CVE-2021-23222): a client waits.
            Seen::SslRequest | Seen::GssRequest if raw.len() > SSL_REQUEST.len() => return Err(Failure::Postgres),
            Seen::SslRequest if opening == Opening::None => {
                opening = Opening::Postgres;
                raw.clear();
                tcp.write_all(b"S").await.map_err(|_| Failure::Left)?;
                continue;
            }
            Seen::GssRequest if opening == Opening::None && !gss => {
                gss = true;
                raw.clear();
                tcp.write_all(b"N").await.map_err(|_| Failure::Left)?;
                continue;
            }
            Seen::SslRequest | Seen::GssRequest => return Err(Failure::Postgres),
        }
        if !more(tcp, raw).await.map_err(|_| Failure::Left)? {
            return Err(Failure::Left);
        }
    }
}

/// Reads what there is; `false` at the end. Nothing is held while nothing has come.
async fn more(tcp: &TcpStream, raw: &mut BytesMut) -> io::Result<bool> {
    loop {
        tcp.readable().await?;
        if raw.len() == raw.capacity() {
            raw.reserve(raw.len().max(FIRST).min(LONGEST_RAW.saturating_sub(raw.len()).max(1)));
        }
        match tcp.try_read_buf(raw) {
            Ok(n) => return Ok(n > 0),
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
            Err(e) => return Err(e),
        }
    }
}

/// What the bytes so far are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// A hello, whole.
    Whole,
    /// What may become one.
    Part,
    /// PostgreSQL's SSLRequest.
    SslRequest,
    /// PostgreSQL's GSSENCRequest.
    GssRequest,
}

/// How far the records were measured: each is looked at once, however slowly they come.
#[derive(Debug, Default)]
pub struct Measure {
    /// Where the record begins that is not whole.
    at: usize,
    /// Bytes of the message in the records before it.
    have: usize,
    /// The header of the message.
    header: [u8; 4],
}

impl Measure {
    /// Looks at all that has arrived.
    ///
    /// # Errors
    /// Why it cannot become a ClientHello.
    pub fn look(&mut self, raw: &[u8]) -> Result<Seen, Failure> {
        if raw.first().is_some_and(|first| *first != HANDSHAKE) {
            return foreign(raw);
        }
        loop {
            let rest = raw.get(self.at..).unwrap_or_default();
            if rest.first().is_some_and(|first| *first != HANDSHAKE) {
                return Err(Failure::Malformed);
            }
            // Major version 3: SSL 3 to TLS 1.3.
            if rest.get(1).is_some_and(|major| *major != 3) {
                return Err(if self.at == 0 { Failure::NotTls } else { Failure::Malformed });
            }
            let Some((head, body)) = rest.split_at_checked(5) else { return Ok(Seen::Part) };
            let length = usize::from(u16::from_be_bytes([head[3], head[4]]));
            if length == 0 || length > FRAGMENT {
                return Err(Failure::Malformed);
            }
            let body = &body[..body.len().min(length)];
            let needed = self.header(body)?;
            if body.len() < length {
                return Ok(Seen::Part);
            }
            self.at += 5 + length;
            self.have += length;
            if needed.is_some_and(|needed| self.have >= needed) {
                return Ok(Seen::Whole);
            }
        }
    }

    /// The length of the message, once its header is there.
    fn header(&mut self, body: &[u8]) -> Result<Option<usize>, Failure> {
        let from = self.have.min(4);
        let known = (from + body.len()).min(4);
        self.header[from..known].copy_from_slice(&body[..known - from]);
        if known > 0 && self.header[0] != CLIENT_HELLO {
            return Err(Failure::Malformed);
        }
        if known < 4 {
            return Ok(None);
        }
        let [_, a, b, c] = self.header;
        let needed = 4 + usize::from(a) * 65_536 + usize::from(b) * 256 + usize::from(c);
        if needed > LONGEST { Err(Failure::TooLong) } else { Ok(Some(needed)) }
    }
}

/// What begins otherwise than TLS.
fn foreign(raw: &[u8]) -> Result<Seen, Failure> {
    const METHODS: [&[u8]; 9] =
        [b"GET ", b"HEAD ", b"POST ", b"PUT ", b"PATCH ", b"DELETE ", b"OPTIONS ", b"CONNECT ", b"TRACE "];
    let begins = |with: &[u8]| raw.iter().zip(with).all(|(a, b)| a == b);
    for (request, seen) in [(SSL_REQUEST, Seen::SslRequest), (GSS_REQUEST, Seen::GssRequest)] {
        if begins(&request) && raw.len() >= request.len() {
            return Ok(seen);
        }
    }
    if begins(&SSL_REQUEST) || begins(&GSS_REQUEST) {
        return Ok(Seen::Part);
    }
    if let Some(method) = METHODS.iter().find(|method| begins(method)) {
        return if raw.len() >= method.len() { Err(Failure::PlainHttp) } else { Ok(Seen::Part) };
    }
    match raw {
        // A record of SSL 2 with the two-byte header, and its CLIENT-HELLO.
        [first, _, 1, ..] if first & 0x80 != 0 => Err(Failure::Ssl2),
        [first] | [first, _] if first & 0x80 != 0 => Ok(Seen::Part),
        _ => Err(Failure::NotTls),
    }
}

/// A hello that was read.
pub struct Hello {
    /// What rustls made of it.
    pub accepted: Accepted,
    /// How much of the raw bytes it has.
    pub taken: usize,
}

/// A hello that cannot be read.
pub struct Unreadable {
    /// Why.
    pub failure: Failure,
    /// What the client is told.
    pub alert: Vec<u8>,
}

/// Reads a hello that is whole.
///
/// # Errors
/// When it is broken, or names two hosts, or lacks what every TLS 1.2 hello has.
pub fn open(raw: &[u8]) -> Result<Hello, Unreadable> {
    let mut acceptor = Acceptor::default();
    let mut rest = raw;
    loop {
        // Measured to be whole: if rustls wants more of it all the same, it is not what it says.
        if !matches!(acceptor.read_tls(&mut rest), Ok(1..)) {
            return Err(Unreadable { failure: Failure::Malformed, alert: Vec::new() });
        }
        match acceptor.accept() {
            Ok(Some(accepted)) => return Ok(Hello { accepted, taken: raw.len() - rest.len() }),
            Ok(None) => {}
            Err((error, mut alert)) => {
                let mut told = Vec::new();
                // Memory takes all of it.
                let _ = alert.write_all(&mut told);
                return Err(Unreadable { failure: failure_of(&error), alert: told });
            }
        }
    }
}

fn failure_of(error: &rustls::Error) -> Failure {
    match error {
        rustls::Error::InvalidMessage(InvalidMessage::InvalidServerName)
        | rustls::Error::PeerMisbehaved(PeerMisbehaved::ServerNameMustContainOneHostName) => Failure::BadName,
        _ => Failure::Malformed,
    }
}

#[cfg(test)]
#[path = "hello_tests.rs"]
mod tests;
