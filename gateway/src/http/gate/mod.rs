//! The strict gate in front of hyper (DESIGN invariant 8): ambiguity is refused, never repaired.
//!
//! [`Scanner`] is pure: bytes in, verdict out. [`Gate`] is the stream that hyper reads from: it
//! lets through what the scanner accepted and, in place of what it refused, one tiny request whose
//! answer is the refusal. INVARIANT: no byte reaches hyper that the scanner has not accepted.

mod chunked;
mod head;
mod io;
mod scan;
mod tables;

pub use head::Limits;
pub(super) use head::forbidden_trailer;
pub use io::{Gate, Link, Patience, Transport};
pub use scan::{Scan, Scanner};
pub use tables::is_token;

/// Declares the reasons once: name, status, words.
macro_rules! reasons {
    ($($(#[doc = $doc:literal])* $name:ident $status:literal $text:literal,)*) => {
        /// Why a request is refused before anything routes it.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Reason {
            $($(#[doc = $doc])* $name,)*
        }

        impl Reason {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The status of the answer.
            #[must_use]
            pub const fn status(self) -> u16 {
                match self { $(Self::$name => $status,)* }
            }

            /// What is wrong, in words for the client.
            #[must_use]
            pub const fn text(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// The label for counting.
            #[must_use]
            pub const fn label(self) -> &'static str {
                match self { $(Self::$name => stringify!($name),)* }
            }
        }
    };
}

reasons! {
    /// A line that ends without a carriage return.
    BareLf 400 "a line ends with a bare line feed",
    /// A carriage return that does not end a line.
    BareCr 400 "a carriage return stands inside a line",
    /// NUL or another control byte.
    ControlByte 400 "a control byte stands in the request head",
    /// More empty lines before a request line than the one that RFC 9112 section 2.2 excuses.
    EmptyLines 400 "empty lines stand before the request line",
    /// Not method, target and version, parted by single spaces.
    RequestLine 400 "the request line is malformed",
    /// Not a token.
    Method 400 "the method is malformed",
    /// A byte that no URL contains, or a form that is not understood.
    Target 400 "the request target is malformed",
    /// Neither HTTP/1.0 nor HTTP/1.1.
    Version 400 "the version is neither HTTP/1.0 nor HTTP/1.1",
    /// A tunnel.
    Connect 501 "CONNECT is not supported",
    /// HTTP/2: an extended CONNECT (RFC 8441) for anything but WebSocket.
    Protocol 501 "CONNECT is for WebSocket only",
    /// `OPTIONS *`: asks about the server as a whole, which has no route.
    Asterisk 501 "the asterisk form is not supported",
    /// Not a token.
    HeaderName 400 "a header name is malformed",
    /// RFC 9112 section 5.1.
    SpaceBeforeColon 400 "white space stands between a header name and its colon",
    /// RFC 9112 section 5.2.
    ObsFold 400 "a header is folded over several lines",
    /// RFC 9112 section 3.2.
    HostMissing 400 "the Host header is missing",
    /// RFC 9112 section 3.2.
    HostRepeated 400 "the Host header stands there more than once",
    /// Not a host with an optional port.
    HostInvalid 400 "the host is malformed",
    /// The target names another host than the Host header.
    HostMismatch 400 "the request target and the Host header name different hosts",
    /// `Connection` names a header that frames, addresses or forwards: hop-by-hop abuse.
    ConnectionOption 400 "the Connection header names a header that is not for it to remove",
    /// Content-Length beside Transfer-Encoding: request smuggling.
    LengthAndEncoding 400 "Content-Length and Transfer-Encoding stand side by side",
    /// Several, even equal ones.
    LengthRepeated 400 "the Content-Length header stands there more than once",
    /// Not a decimal number that fits.
    LengthInvalid 400 "the Content-Length is malformed",
    /// Anything but exactly `chunked`.
    Encoding 400 "the Transfer-Encoding is not exactly `chunked`",
    /// RFC 9112 section 6.1.
    EncodingOnOld 400 "HTTP/1.0 has no Transfer-Encoding",
    /// A chunk's size line, or what ends its data, is malformed.
    Chunk 400 "the chunked body is malformed",
    /// A trailer section that is malformed, or a field in it that may not stand there.
    Trailer 400 "the trailer section is malformed",
    /// Too long.
    LineTooLong 414 "the request line is too long",
    /// The head as a whole, or one of its lines.
    HeadTooLarge 431 "the request head is too large",
    /// Too many.
    TooManyHeaders 431 "the request has too many headers",
    /// The head did not arrive in time.
    HeadTimeout 408 "the request head did not arrive in time",
    /// The body did not arrive in time.
    BodyTimeout 408 "the request body did not arrive in time",
    /// More than `body limit`.
    BodyTooLarge 413 "the request body is too large",
    /// The client broke off its body while it was looked into.
    BodyBroken 400 "the request body broke off",
    /// A rule reads the body, which is of another type or says its type in two ways.
    BodyType 415 "the type of the request body is not acceptable here",
    /// A rule reads the body, which is compressed.
    BodyCoding 415 "a compressed request body is not acceptable here",
    /// A rule reads the body, which is not what it says it is.
    BodyMalformed 400 "the request body is malformed",
    /// A rule reads the body, which can be read in two ways.
    BodyAmbiguous 400 "the request body can be read in two ways",
    /// A rule reads the body, which is longer than `inspect`.
    BodyUnread 413 "the request body is too large to be looked into",
    /// As much of bodies is being looked into as may lie in memory.
    BodiesFull 503 "too many request bodies are being looked into",
    /// gRPC-Web in base64 that is none.
    Base64 400 "the body is not base64",
    /// HTTP/2: a header that belongs to a connection (RFC 9113 section 8.2.2).
    ConnectionHeader 400 "a connection-specific header stands in an HTTP/2 request",
    /// HTTP/2: neither `:authority` nor Host, or both and different.
    Authority 400 "the authority is missing or contradicts the Host header",
    /// The path has no canonical form (LANGUAGE section 4).
    Path 400 "the path is not acceptable",
    /// A field that a rule reads stands there twice with different values (LANGUAGE section 5).
    Repeated 400 "a field that decides about this request stands there more than once",
    /// A value of the request cannot stand where a rule puts it (LANGUAGE rule 24).
    Unrenderable 400 "a value of this request cannot be used where it is needed",
    /// The host is served by other TLS settings than those of the handshake (LANGUAGE rule 26).
    Misdirected 421 "this connection was not made for that host",
}
