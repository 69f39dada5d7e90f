//! The line for a WebSocket, when it has ended.

use super::line;
use crate::http::forward::About;
use crate::l4::End;
use std::fmt::Write;
use std::sync::Arc;
use std::time::SystemTime;

/// A WebSocket that has ended.
#[derive(Clone, Debug)]
pub struct WebSocket {
    /// When the origin agreed to it.
    pub started: SystemTime,
    /// The handshake.
    pub about: About,
    /// The pool's name.
    pub pool: Arc<str>,
    /// The endpoint: `host:port`.
    pub endpoint: Arc<str>,
    /// Bytes from the client.
    pub bytes_in: u64,
    /// Bytes to the client.
    pub bytes_out: u64,
    /// How long it lasted, milliseconds.
    pub lasted_ms: u64,
    /// Why it ended.
    pub end: End,
}

impl WebSocket {
    /// Appends the line, with its end.
    pub(super) fn write(&self, out: &mut String) {
        line::request(out, self.started, "websocket", &self.about);
        line::asked(out, &self.about);
        line::field(out, "pool", Some(&self.pool));
        line::field(out, "endpoint", Some(&self.endpoint));
        let Self { bytes_in, bytes_out, lasted_ms, end, .. } = self;
        let end = end.label();
        // Writing to a `String` cannot fail.
        let _ = writeln!(
            out,
            ",\"bytes_in\":{bytes_in},\"bytes_out\":{bytes_out},\"lasted_ms\":{lasted_ms},\"end\":\"{end}\"}}"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, UNIX_EPOCH};

    #[test]
    fn a_line_says_how_it_went_and_keeps_the_query_out() {
        let about = About {
            client: "192.0.2.7".parse().unwrap(),
            method: http::Method::GET,
            target: Some("/chat?token=secret".parse().unwrap()),
            host: Some(http::HeaderValue::from_static("a.test")),
            quiet: false,
        };
        let ended = WebSocket {
            started: UNIX_EPOCH + Duration::from_millis(1_709_164_800_007),
            about,
            pool: "chat".into(),
            endpoint: "10.0.0.1:80".into(),
            bytes_in: 10,
            bytes_out: 20,
            lasted_ms: 1234,
            end: End::ClientClosed,
        };
        let mut line = String::new();
        ended.write(&mut line);
        assert_eq!(
            line,
            "{\"time\":\"2024-02-29T00:00:00.007Z\",\"request\":\"websocket\",\"client\":\"192.0.2.7\",\
             \"host\":\"a.test\",\"path\":\"/chat\",\"pool\":\"chat\",\"endpoint\":\"10.0.0.1:80\",\"bytes_in\":10,\
             \"bytes_out\":20,\"lasted_ms\":1234,\"end\":\"client-closed\"}\n"
        );
    }
}
