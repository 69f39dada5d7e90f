//! gRPC-Web to gRPC: browsers cannot read trailers, so they come as a last message (gRPC's
//! `PROTOCOL-WEB.md`). Messages are framed alike; in `-text` everything is base64.

use super::base64::{Decoder, encode};
use crate::http::body::{Broken, OriginBody, RequestBody, Upload};
use crate::http::gate::Reason;
use bytes::{BufMut, Bytes, BytesMut};
use dsl::tree::ir::Protocol;
use http::header::{ACCEPT, CONTENT_LENGTH, CONTENT_TYPE, HeaderValue, TE};
use http::{HeaderMap, HeaderName};
use http_body::{Body, Frame, SizeHint};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

const KIND: &[u8] = b"application/grpc-web";
/// The flag of a message that holds trailers.
const TRAILERS: u8 = 0x80;
const TRAILER: HeaderName = http::header::TRAILER;

/// How a client of gRPC-Web speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Web {
    /// It sends base64.
    sends_text: bool,
    /// It is answered in base64.
    reads_text: bool,
}

impl Web {
    /// How a request to a pool speaks that it has to be translated for; its head is, by that.
    #[must_use]
    pub fn wanted(protocol: Protocol, headers: &mut HeaderMap) -> Option<Self> {
        if protocol != Protocol::Grpc {
            return None;
        }
        let web = Self::of(headers)?;
        web.to_grpc(headers);
        Some(web)
    }

    /// How a request speaks; `None` where it is no gRPC-Web.
    #[must_use]
    pub fn of(headers: &HeaderMap) -> Option<Self> {
        let (sends_text, _) = kind(headers.get(CONTENT_TYPE)?.as_bytes())?;
        let accepts = headers.get(ACCEPT).and_then(|accept| kind(accept.as_bytes()));
        let reads_text = accepts.map_or(sends_text, |(text, _)| text);
        Some(Self { sends_text, reads_text })
    }

    /// Makes of a request's head one of gRPC's.
    pub fn to_grpc(self, headers: &mut HeaderMap) {
        let suffix = headers.get(CONTENT_TYPE).and_then(|kind_of| kind(kind_of.as_bytes()));
        let suffix = suffix.map_or_else(Vec::new, |(_, suffix)| suffix.to_vec());
        let grpc = HeaderValue::from_bytes(&[b"application/grpc", &suffix[..]].concat());
        headers.insert(CONTENT_TYPE, grpc.unwrap_or(HeaderValue::from_static("application/grpc")));
        headers.insert(TE, HeaderValue::from_static("trailers"));
        headers.remove(ACCEPT);
        if self.sends_text {
            // It was that of the base64.
            headers.remove(CONTENT_LENGTH);
        }
    }

    /// Makes of a request's body one of gRPC's.
    #[must_use]
    pub fn body(self, body: RequestBody, upload: &Rc<Upload>) -> RequestBody {
        if self.sends_text { RequestBody::Text(Box::new(Text::new(body, Rc::clone(upload)))) } else { body }
    }

    /// Makes of an answer's head one of gRPC-Web's. False where it is no gRPC, and goes as it is.
    #[must_use]
    pub fn to_web(self, headers: &mut HeaderMap) -> bool {
        if !super::is_grpc(headers) {
            return false;
        }
        let kind = headers.get(CONTENT_TYPE).map(|kind| kind.as_bytes()[16..].to_vec()).unwrap_or_default();
        let base: &[u8] = if self.reads_text { b"application/grpc-web-text" } else { KIND };
        let kind = if kind.is_empty() { b"+proto".to_vec() } else { kind };
        let web = HeaderValue::from_bytes(&[base, &kind[..]].concat());
        headers.insert(CONTENT_TYPE, web.unwrap_or(HeaderValue::from_static("application/grpc-web")));
        headers.remove(CONTENT_LENGTH);
        headers.remove(TRAILER);
        true
    }

    /// Makes of an answer's body one of gRPC-Web's.
    #[must_use]
    pub fn answer(self, origin: OriginBody) -> Answer {
        Answer { origin, text: self.reads_text, ended: false }
    }
}

/// Whether it is base64, and what follows: `+proto`, `; charset=…`.
fn kind(kind: &[u8]) -> Option<(bool, &[u8])> {
    let (head, rest) = kind.split_at_checked(KIND.len())?;
    if !head.eq_ignore_ascii_case(KIND) {
        return None;
    }
    let (text, rest) = match rest.split_at_checked(5) {
        Some((text, rest)) if text.eq_ignore_ascii_case(b"-text") => (true, rest),
        Some(_) | None => (false, rest),
    };
    matches!(rest.first(), None | Some(b'+' | b';' | b' ' | b',')).then(|| {
        // A list in `Accept` ends there.
        (text, rest.split(|byte| *byte == b',').next().unwrap_or_default())
    })
}

/// A client's body that comes in base64.
pub struct Text {
    body: RequestBody,
    decoder: Decoder,
    ended: bool,
    upload: Rc<Upload>,
}

impl Text {
    fn new(body: RequestBody, upload: Rc<Upload>) -> Self {
        Self { body, decoder: Decoder::default(), ended: false, upload }
    }

    fn malformed(&self) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        let broken = Broken::Refused(Reason::Base64);
        self.upload.breaks(broken);
        Poll::Ready(Some(Err(broken)))
    }
}

impl Body for Text {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        let this = self.get_mut();
        while !this.ended {
            match ready!(Pin::new(&mut this.body).poll_frame(cx)) {
                Some(Ok(frame)) => {
                    // There are no trailers in gRPC-Web.
                    let Ok(text) = frame.into_data() else { continue };
                    match this.decoder.decode(&text) {
                        // Less than four characters so far.
                        Some(data) if data.is_empty() => {}
                        Some(data) => return Poll::Ready(Some(Ok(Frame::data(data)))),
                        None => return this.malformed(),
                    }
                }
                Some(Err(broken)) => return Poll::Ready(Some(Err(broken))),
                None => {
                    this.ended = true;
                    if !this.decoder.is_whole() {
                        return this.malformed();
                    }
                }
            }
        }
        Poll::Ready(None)
    }

    fn is_end_stream(&self) -> bool {
        self.ended
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}

/// An answer's body whose trailers come as a last message.
pub struct Answer {
    origin: OriginBody,
    text: bool,
    ended: bool,
}

impl Answer {
    /// What the origin sends.
    pub(crate) fn origin(&mut self) -> &mut OriginBody {
        &mut self.origin
    }

    /// Whether nothing more comes.
    #[must_use]
    pub fn is_end(&self) -> bool {
        self.ended
    }

    /// The next piece.
    pub fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        if self.ended {
            return Poll::Ready(None);
        }
        let piece = match ready!(self.origin.poll_frame(cx)) {
            Some(Ok(frame)) => match frame.into_data() {
                Ok(data) => data,
                Err(frame) => {
                    self.ended = true;
                    message(&frame.into_trailers().unwrap_or_default())
                }
            },
            Some(Err(broken)) => return Poll::Ready(Some(Err(broken))),
            None => {
                self.ended = true;
                return Poll::Ready(None);
            }
        };
        // Each piece by itself, padding included: what has come can be read.
        let piece = if self.text { encode(&piece) } else { piece };
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }
}

/// Trailers as a message: names in lower case, lines as HTTP/1 has them.
fn message(trailers: &HeaderMap) -> Bytes {
    let len: usize = trailers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
    let mut message = BytesMut::with_capacity(5 + len);
    message.put_u8(TRAILERS);
    // Trailers are bounded far below that.
    message.put_u32(u32::try_from(len).unwrap_or(u32::MAX));
    for (name, value) in trailers {
        message.put_slice(name.as_str().as_bytes());
        message.put_slice(b": ");
        message.put_slice(value.as_bytes());
        message.put_slice(b"\r\n");
    }
    message.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(HeaderName, &str)]) -> HeaderMap {
        let pair = |(name, value): &(HeaderName, &str)| (name.clone(), HeaderValue::from_str(value).expect("a value"));
        pairs.iter().map(pair).collect()
    }

    #[test]
    fn what_is_grpc_web_and_what_becomes_of_it() {
        for (sent, sends, grpc) in [
            ("application/grpc-web", false, "application/grpc"),
            ("application/grpc-web+proto", false, "application/grpc+proto"),
            ("Application/GRPC-Web-Text", true, "application/grpc"),
            ("application/grpc-web-text+proto; x=y", true, "application/grpc+proto; x=y"),
        ] {
            let mut asked = headers(&[(CONTENT_TYPE, sent), (CONTENT_LENGTH, "8")]);
            let web = Web::of(&asked).expect("it is one");
            assert_eq!((web.sends_text, web.reads_text), (sends, sends), "{sent}");
            web.to_grpc(&mut asked);
            assert_eq!(asked[CONTENT_TYPE], grpc, "{sent}");
            assert_eq!(asked.contains_key(CONTENT_LENGTH), !sends, "{sent}");
            assert_eq!(asked[TE], "trailers");
        }
        for not in ["application/grpc", "application/grpc-webx", "application/grpc-web-textual", "text/html"] {
            assert_eq!(Web::of(&headers(&[(CONTENT_TYPE, not)])), None, "{not}");
        }
        let asked = headers(&[(CONTENT_TYPE, "application/grpc-web"), (ACCEPT, "application/grpc-web-text, */*")]);
        assert_eq!(Web::of(&asked), Some(Web { sends_text: false, reads_text: true }));
    }

    #[test]
    fn answers_are_called_what_they_are() {
        for (reads_text, from, to) in [
            (false, "application/grpc", "application/grpc-web+proto"),
            (true, "application/grpc+proto", "application/grpc-web-text+proto"),
            (false, "application/grpc+json", "application/grpc-web+json"),
        ] {
            let mut answer = headers(&[(CONTENT_TYPE, from)]);
            assert!(Web { sends_text: false, reads_text }.to_web(&mut answer));
            assert_eq!(answer[CONTENT_TYPE], to);
        }
        let mut page = headers(&[(CONTENT_TYPE, "text/html")]);
        assert!(!Web { sends_text: false, reads_text: false }.to_web(&mut page));
    }

    #[test]
    fn trailers_become_a_message() {
        let trailers = headers(&[("grpc-status".parse().expect("a name"), "0")]);
        assert_eq!(message(&trailers), &b"\x80\0\0\0\x10grpc-status: 0\r\n"[..]);
        assert_eq!(message(&HeaderMap::new()), &b"\x80\0\0\0\0"[..]);
    }
}
