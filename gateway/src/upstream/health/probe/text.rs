//! `body "ok"`: whether the beginning of an answer holds a text.

use super::driven::driven;
use super::{Stream, describe};
use bytes::Bytes;
use http::{Method, Request, header};
use http_body_util::{BodyExt, Empty};
use hyper_util::rt::TokioIo;

/// So much of an answer is looked at.
const MOST: usize = 64 * 1024;

/// Looks for a text in what comes, piece by piece.
pub(super) struct Looked<'t> {
    text: &'t str,
    seen: Vec<u8>,
}

impl<'t> Looked<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        Self { text, seen: Vec::new() }
    }

    /// Whether it is known by now how the answer is: that it holds the text, or does not.
    pub(super) fn add(&mut self, piece: &[u8]) -> Option<Result<(), String>> {
        let room = MOST - self.seen.len();
        // The text may begin in what came before.
        let from = self.seen.len().saturating_sub(self.text.len());
        self.seen.extend_from_slice(&piece[..piece.len().min(room)]);
        if memchr::memmem::find(&self.seen[from..], self.text.as_bytes()).is_some() {
            return Some(Ok(()));
        }
        let full = self.seen.len() >= MOST;
        full.then(|| Err(format!("the first 64 KB of its answer do not hold {:?}", self.text)))
    }

    /// The answer ended.
    pub(super) fn end(self) -> Result<(), String> {
        // A text of no length is in any answer.
        if self.text.is_empty() { Ok(()) } else { Err(format!("its answer does not hold {:?}", self.text)) }
    }
}

/// Asks by HTTP/1.1 on a new connection, which is closed behind it, for an answer whose status is good and
/// that holds a text.
pub(super) async fn ask(
    stream: Box<dyn Stream>,
    method: &str,
    path: &str,
    authority: &str,
    expect: (u16, u16),
    text: &str,
) -> Result<(), String> {
    let method = Method::from_bytes(method.as_bytes()).map_err(|_| "its method cannot be asked for".to_owned())?;
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header(header::HOST, authority)
        .header(header::USER_AGENT, "sluice-check")
        .header(header::ACCEPT, "*/*")
        .header(header::CONNECTION, "close")
        .body(Empty::<Bytes>::new())
        .map_err(|e| format!("it cannot be asked ({e})"))?;
    let shake = hyper::client::conn::http1::handshake(TokioIo::new(stream));
    let (mut sender, connection) = shake.await.map_err(|e| describe(&e))?;
    let asked = async {
        let mut response = sender.send_request(request).await.map_err(|e| {
            if e.is_parse() {
                "what it answered is not HTTP".to_owned()
            } else if e.is_incomplete_message() {
                "closed the connection without an answer".to_owned()
            } else {
                describe(&e)
            }
        })?;
        super::http::good(response.status().as_u16(), expect)?;
        let mut looked = Looked::new(text);
        while let Some(frame) = response.frame().await {
            let frame = frame.map_err(|e| describe(&e))?;
            if let Some(known) = frame.data_ref().and_then(|data| looked.add(data)) {
                return known;
            }
        }
        looked.end()
    };
    driven(connection, asked).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_may_come_in_pieces() {
        let mut looked = Looked::new("\"ok\"");
        assert_eq!(looked.add(b"{\"status\":\"o"), None);
        assert_eq!(looked.add(b"k\"}"), Some(Ok(())));
        let mut looked = Looked::new("ok");
        assert_eq!(looked.add(b"not o"), None);
        assert_eq!(looked.end(), Err("its answer does not hold \"ok\"".into()));
        assert_eq!(Looked::new("").end(), Ok(()));
    }

    #[test]
    fn only_the_beginning_is_looked_at() {
        let full = Some(Err("the first 64 KB of its answer do not hold \"ok\"".to_owned()));
        let mut looked = Looked::new("ok");
        assert_eq!(looked.add(&vec![b'.'; MOST - 1]), None);
        assert_eq!(looked.add(b"ok"), full);
        let mut looked = Looked::new("ok");
        assert_eq!(looked.add(&vec![b'.'; MOST - 2]), None);
        assert_eq!(looked.add(b"ok, and more"), Some(Ok(())));
    }
}
