//! A connection's request stream: heads, bodies, trailers, one after the other.

use super::Reason;
use super::chunked::{Chunked, Chunks};
use super::head::{Framing, Head, Limits, Seen};

/// Follows a stream of HTTP/1 requests. Pure: bytes in, verdict out.
///
/// Show it the bytes that were not accepted yet, more of them each time: [`Scan::accepted`] says
/// how many of them may be passed on and are never to be shown again.
#[derive(Clone, Debug)]
pub struct Scanner {
    limits: Limits,
    at: At,
    heads: u64,
}

#[derive(Clone, Debug)]
enum At {
    Head(Head),
    Body(u64),
    Chunks(Chunked),
    Trailers(Head),
    /// A request asked for another protocol: what follows is HTTP if it stays.
    Asked,
    /// Nothing more is accepted; the request that was refused has not been seen by anybody.
    Refused,
    /// Nothing more is accepted; the beginning of the request has been passed on.
    Cut,
}

/// What the scanner says of the bytes it was shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scan {
    /// So many may be passed on. The rest is the beginning of a head or trailer section, to be
    /// shown again with what follows; after a refusal it is to be thrown away.
    pub accepted: usize,
    /// Why nothing more is accepted.
    pub refused: Option<Reason>,
}

impl Scanner {
    /// Stands before the first request of a connection.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self { limits, at: At::Head(Head::default()), heads: 0 }
    }

    /// Looks at the bytes that follow what was accepted.
    pub fn scan(&mut self, input: &[u8]) -> Scan {
        let mut accepted = 0;
        // Where the head began whose body is being looked at, if it is among these bytes: the
        // whole request can still be refused before anybody has seen it.
        let mut begin = None;
        loop {
            let rest = &input[accepted..];
            if rest.is_empty() {
                return Scan { accepted, refused: None };
            }
            match &mut self.at {
                At::Head(head) => match head.request(rest, &self.limits) {
                    Seen::Partial => return Scan { accepted, refused: None },
                    Seen::Refused(reason) => return self.refuse(accepted, reason),
                    Seen::Complete(len, framing) => {
                        begin = Some(accepted);
                        accepted += len;
                        self.heads += 1;
                        self.at = match framing {
                            Framing::Length(0) => At::Head(Head::default()),
                            Framing::Length(n) => At::Body(n),
                            Framing::Chunked => At::Chunks(Chunked::new()),
                            Framing::Switch => At::Asked,
                        };
                    }
                },
                At::Body(left) => {
                    let here = (rest.len() as u64).min(*left);
                    *left -= here;
                    // At most `rest.len()`, which is a usize.
                    accepted += here as usize;
                    if *left == 0 {
                        self.at = At::Head(Head::default());
                    }
                }
                At::Chunks(chunks) => match chunks.scan(rest) {
                    Chunks::More => return Scan { accepted: input.len(), refused: None },
                    Chunks::Last(len) => {
                        accepted += len;
                        self.at = At::Trailers(Head::default());
                    }
                    Chunks::Malformed(len) => {
                        return self.refuse_body(begin, accepted + len, Reason::Chunk);
                    }
                },
                At::Trailers(head) => match head.trailers(rest) {
                    Seen::Partial => return Scan { accepted, refused: None },
                    Seen::Complete(len, ()) => {
                        accepted += len;
                        self.at = At::Head(Head::default());
                    }
                    Seen::Refused(reason) => return self.refuse_body(begin, accepted, reason),
                },
                At::Asked | At::Refused | At::Cut => return Scan { accepted, refused: None },
            }
        }
    }

    /// How many heads were accepted.
    #[must_use]
    pub fn heads(&self) -> u64 {
        self.heads
    }

    /// Whether the stream stands between two requests with nothing of the next one seen.
    #[must_use]
    pub fn at_boundary(&self) -> bool {
        matches!(&self.at, At::Head(head) if !head.begun())
    }

    /// Whether the stream stands in a head of which something was seen.
    #[must_use]
    pub fn in_head(&self) -> bool {
        matches!(&self.at, At::Head(head) if head.begun())
    }

    /// Whether the stream stands in a body or its trailers: a refusal there finds a request that
    /// has been passed on.
    #[must_use]
    pub fn in_body(&self) -> bool {
        matches!(self.at, At::Body(_) | At::Chunks(_) | At::Trailers(_) | At::Cut)
    }

    /// Whether the last request asked for another protocol. Nothing behind it is accepted until it is
    /// known that the stream stays HTTP.
    #[must_use]
    pub fn asked(&self) -> bool {
        matches!(self.at, At::Asked)
    }

    /// No other protocol was agreed on: the next request follows.
    pub fn stays(&mut self) {
        if self.asked() {
            self.at = At::Head(Head::default());
        }
    }

    fn refuse(&mut self, accepted: usize, reason: Reason) -> Scan {
        self.at = At::Refused;
        Scan { accepted, refused: Some(reason) }
    }

    fn refuse_body(&mut self, begin: Option<usize>, accepted: usize, reason: Reason) -> Scan {
        match begin {
            Some(begin) => {
                self.heads -= 1;
                self.refuse(begin, reason)
            }
            None => {
                self.at = At::Cut;
                Scan { accepted, refused: Some(reason) }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scan(input: &[u8]) -> Scan {
        Scanner::new(Limits::default()).scan(input)
    }

    fn refused(input: &str) -> Option<Reason> {
        let whole = scan(input.as_bytes());
        // However the bytes are cut, the verdict is the same.
        let mut scanner = Scanner::new(Limits::default());
        let (mut from, mut piecewise) = (0, None);
        for to in 1..=input.len() {
            let step = scanner.scan(&input.as_bytes()[from..to]);
            from += step.accepted;
            if step.refused.is_some() {
                piecewise = step.refused;
                break;
            }
        }
        assert_eq!(whole.refused, piecewise, "{input:?}");
        whole.refused
    }

    const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

    #[test]
    fn plain_requests_pass_whole() {
        for text in [
            GET,
            "\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET / HTTP/1.0\r\n\r\n",
            "GET http://a:80/x?y HTTP/1.1\r\nhost:a:80\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: [::1]:8080\r\nX: \t a\u{fc} \r\nY:\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabcGET / HTTP/1.1\r\nHost: a\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n3;x=\"y\"\r\nabc\r\n0\r\nDigest: x\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n00A\r\n0123456789\r\n000\r\n\r\n",
        ] {
            assert_eq!(refused(text), None, "{text:?}");
            assert_eq!(scan(text.as_bytes()).accepted, text.len(), "{text:?}");
        }
    }

    #[test]
    fn heads_are_held_back_until_they_are_whole() {
        let mut scanner = Scanner::new(Limits::default());
        for end in 0..GET.len() {
            assert_eq!(scanner.scan(&GET.as_bytes()[..end]).accepted, 0);
            assert!(end == 0 || scanner.in_head());
        }
        assert_eq!(scanner.scan(GET.as_bytes()).accepted, GET.len());
        assert!(scanner.at_boundary());
        assert_eq!(scanner.heads(), 1);
    }

    #[test]
    fn what_follows_a_request_for_websocket_waits() {
        let ask = "GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n\r\n";
        let mut scanner = Scanner::new(Limits::default());
        let text = format!("{ask}{GET}");
        assert_eq!(scanner.scan(text.as_bytes()), Scan { accepted: ask.len(), refused: None });
        assert!(scanner.asked());
        assert_eq!(scanner.scan(b"\x81\x05hello"), Scan { accepted: 0, refused: None });
        scanner.stays();
        assert_eq!(scanner.scan(GET.as_bytes()), Scan { accepted: GET.len(), refused: None });
    }

    #[test]
    fn other_requests_to_switch_are_requests_like_any_other() {
        let no = |head: &str| {
            let text = format!("{head}\r\n{GET}");
            let mut scanner = Scanner::new(Limits::default());
            assert_eq!(scanner.scan(text.as_bytes()), Scan { accepted: text.len(), refused: None }, "{head:?}");
            assert!(!scanner.asked(), "{head:?}");
        };
        let both = "Connection: Upgrade\r\nUpgrade: websocket\r\n";
        no(
            "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AA\r\n",
        );
        no("GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket, h2c\r\n");
        no(&format!("GET / HTTP/1.1\r\nHost: a\r\n{both}Upgrade: h2c\r\n"));
        no(&format!("GET / HTTP/1.1\r\nHost: a\r\nUpgrade: h2c\r\n{both}"));
        no(&format!("GET / HTTP/1.1\r\nHost: a\r\n{both}Connection: close\r\n"));
        no("GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n");
        no(&format!("HEAD / HTTP/1.1\r\nHost: a\r\n{both}"));
        no(&format!("POST / HTTP/1.1\r\nHost: a\r\n{both}"));
        no(&format!("GET / HTTP/1.0\r\nHost: a\r\n{both}"));
        let body = format!("GET / HTTP/1.1\r\nHost: a\r\n{both}Content-Length: 5\r\n\r\nhello{GET}");
        assert_eq!(scan(body.as_bytes()), Scan { accepted: body.len(), refused: None });
    }

    #[test]
    fn malformed_heads_are_refused() {
        let cases: &[(&str, Reason)] = &[
            ("GET / HTTP/1.1\nHost: a\n\n", Reason::BareLf),
            ("GET / HTTP/1.1\r\nHost: a\n\r\n", Reason::BareLf),
            ("GET / HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n\r\n", Reason::BareCr),
            ("GET / HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n", Reason::ControlByte),
            ("GET / HTTP/1.1\r\nHost: a\r\nX: a\x7fb\r\n\r\n", Reason::ControlByte),
            ("\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", Reason::EmptyLines),
            ("GET /\r\n", Reason::RequestLine),
            ("GET  HTTP/1.1\r\n", Reason::Target),
            (" GET / HTTP/1.1\r\n", Reason::RequestLine),
            ("G(T / HTTP/1.1\r\n", Reason::Method),
            ("GET /a b HTTP/1.1\r\n", Reason::Target),
            ("GET  / HTTP/1.1\r\n", Reason::Target),
            ("GET /  HTTP/1.1\r\n", Reason::Target),
            ("GET /#x HTTP/1.1\r\n", Reason::Target),
            ("GET /\u{fc} HTTP/1.1\r\n", Reason::Target),
            ("GET a HTTP/1.1\r\n", Reason::Target),
            ("GET ftp://a/ HTTP/1.1\r\n", Reason::Target),
            ("GET http://u@a/ HTTP/1.1\r\n", Reason::HostInvalid),
            ("GET http:/// HTTP/1.1\r\n", Reason::HostInvalid),
            ("GET / HTTP/1.2\r\n", Reason::Version),
            ("GET / HTTP/2.0\r\n", Reason::Version),
            ("GET / http/1.1\r\n", Reason::Version),
            ("GET / HTTP/1.1 \r\n", Reason::Version),
            ("CONNECT a:443 HTTP/1.1\r\n", Reason::Connect),
            ("OPTIONS * HTTP/1.1\r\n", Reason::Asterisk),
            ("GET / HTTP/1.1\r\nHost : a\r\n\r\n", Reason::SpaceBeforeColon),
            ("GET / HTTP/1.1\r\nHost: a\r\nX\t: b\r\n\r\n", Reason::SpaceBeforeColon),
            ("GET / HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\n\r\n", Reason::ObsFold),
            ("GET / HTTP/1.1\r\nHost: a\r\n\tX: a\r\n\r\n", Reason::ObsFold),
            ("GET / HTTP/1.1\r\n Host: a\r\n\r\n", Reason::ObsFold),
            ("GET / HTTP/1.1\r\nHost: a\r\n: b\r\n\r\n", Reason::HeaderName),
            ("GET / HTTP/1.1\r\nHost: a\r\nX(: b\r\n\r\n", Reason::HeaderName),
            ("GET / HTTP/1.1\r\nHost: a\r\nX\r\n\r\n", Reason::HeaderName),
            ("GET / HTTP/1.1\r\n\r\n", Reason::HostMissing),
            ("GET / HTTP/1.1\r\nHost:\r\n\r\n", Reason::HostInvalid),
            ("GET / HTTP/1.1\r\nHost: a b\r\n\r\n", Reason::HostInvalid),
            ("GET / HTTP/1.1\r\nHost: a,b\r\n\r\n", Reason::HostInvalid),
            ("GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", Reason::HostInvalid),
            ("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", Reason::HostInvalid),
            ("GET / HTTP/1.1\r\nHost: a:\r\n\r\n", Reason::HostInvalid),
            ("GET / HTTP/1.1\r\nHost: a:99999\r\n\r\n", Reason::HostInvalid),
            ("GET / HTTP/1.1\r\nHost: a:8x\r\n\r\n", Reason::HostInvalid),
            ("GET / HTTP/1.1\r\nHost: [::1\r\n\r\n", Reason::HostInvalid),
            ("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", Reason::HostRepeated),
            ("GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n", Reason::HostMismatch),
            ("GET http://a/ HTTP/1.1\r\n\r\n", Reason::HostMissing),
        ];
        for (text, reason) in cases {
            assert_eq!(refused(text), Some(*reason), "{text:?}");
        }
    }

    #[test]
    fn malformed_framing_is_refused() {
        let cases: &[(&str, Reason)] = &[
            ("Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", Reason::LengthAndEncoding),
            ("Transfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n", Reason::LengthAndEncoding),
            ("Content-Length: 1\r\nContent-Length: 1\r\n\r\n", Reason::LengthRepeated),
            ("Content-Length: 1, 1\r\n\r\n", Reason::LengthInvalid),
            ("Content-Length: +1\r\n\r\n", Reason::LengthInvalid),
            ("Content-Length: -1\r\n\r\n", Reason::LengthInvalid),
            ("Content-Length: 0x1\r\n\r\n", Reason::LengthInvalid),
            ("Content-Length:\r\n\r\n", Reason::LengthInvalid),
            ("Content-Length: 18446744073709551616\r\n\r\n", Reason::LengthInvalid),
            ("Transfer-Encoding: gzip, chunked\r\n\r\n", Reason::Encoding),
            ("Transfer-Encoding: chunked, identity\r\n\r\n", Reason::Encoding),
            ("Transfer-Encoding: xchunked\r\n\r\n", Reason::Encoding),
            ("Transfer-Encoding: identity\r\n\r\n", Reason::Encoding),
            ("Transfer-Encoding:\r\n\r\n", Reason::Encoding),
            ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", Reason::Encoding),
            ("Transfer-Encoding: \x0bchunked\r\n\r\n", Reason::ControlByte),
        ];
        for (fields, reason) in cases {
            let text = format!("POST / HTTP/1.1\r\nHost: a\r\n{fields}");
            assert_eq!(refused(&text), Some(*reason), "{text:?}");
        }
        let old = "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n";
        assert_eq!(refused(old), Some(Reason::EncodingOnOld));
    }

    #[test]
    fn malformed_chunks_are_refused() {
        let cases: &[(&str, Reason)] = &[
            ("3\nabc\r\n0\r\n\r\n", Reason::Chunk),
            ("3 \r\nabc\r\n0\r\n\r\n", Reason::Chunk),
            (" 3\r\nabc\r\n0\r\n\r\n", Reason::Chunk),
            ("0x3\r\nabc\r\n0\r\n\r\n", Reason::Chunk),
            ("+3\r\nabc\r\n0\r\n\r\n", Reason::Chunk),
            ("\r\nabc\r\n0\r\n\r\n", Reason::Chunk),
            ("3;a\rb\r\nabc\r\n", Reason::Chunk),
            ("3;a\nb\r\nabc\r\n", Reason::Chunk),
            ("3\r\nabcd\r\n0\r\n\r\n", Reason::Chunk),
            ("3\r\nabc\n0\r\n\r\n", Reason::Chunk),
            ("FFFFFFFFFFFFFFFF0\r\nabc", Reason::Chunk),
            ("10000000000000000\r\nabc", Reason::Chunk),
            ("0\r\nX : y\r\n\r\n", Reason::Trailer),
            ("0\r\nX: y\n\r\n", Reason::Trailer),
            ("0\r\n X: y\r\n\r\n", Reason::Trailer),
            ("0\r\nContent-Length: 5\r\n\r\n", Reason::Trailer),
            ("0\r\nGET / HTTP/1.1\r\n\r\n", Reason::Trailer),
        ];
        for (body, reason) in cases {
            let text = format!("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{body}");
            assert_eq!(refused(&text), Some(*reason), "{text:?}");
            // Nobody has seen the request yet when it came at once.
            assert_eq!(scan(text.as_bytes()).accepted, 0, "{text:?}");
        }
        let long = format!("3;{}\r\nabc\r\n0\r\n\r\n", "x".repeat(5000));
        let text = format!("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{long}");
        assert_eq!(refused(&text), Some(Reason::Chunk));
    }

    #[test]
    fn a_request_before_the_refused_one_stands() {
        let text = format!("{GET}POST / HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n");
        let seen = scan(text.as_bytes());
        assert_eq!(seen, Scan { accepted: GET.len(), refused: Some(Reason::LengthInvalid) });
    }

    #[test]
    fn limits_have_their_own_statuses() {
        let line = format!("GET /{} HTTP/1.1\r\n", "a".repeat(9000));
        assert_eq!(refused(&line), Some(Reason::LineTooLong));
        assert_eq!(refused(&line[..8500]), Some(Reason::LineTooLong));
        let field = format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}", "a".repeat(17_000));
        assert_eq!(refused(&field), Some(Reason::HeadTooLarge));
        let fields = "X: y\r\n".repeat(101);
        let many = format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
        assert_eq!(refused(&many), Some(Reason::TooManyHeaders));
        let wide = format!("X: {}\r\n", "y".repeat(8000)).repeat(5);
        let head = format!("GET / HTTP/1.1\r\nHost: a\r\n{wide}\r\n");
        assert_eq!(refused(&head), Some(Reason::HeadTooLarge));
    }
}
