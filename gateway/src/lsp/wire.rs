//! Messages as they stand on the wire: a header with the length, then JSON.

use lsp_server::Message;
use std::io::{self, BufRead, Read};

/// The longest message that is read.
const LONGEST: usize = 64 << 20;

/// What was read.
pub(super) enum Read1 {
    /// A message.
    Message(Box<Message>),
    /// Something that is no message; the next one can be read.
    Malformed(String),
    /// The other side is gone.
    End,
}

/// Reads one message.
///
/// # Errors
/// What is read has no length: where the next message begins cannot be known.
pub(super) fn read(from: &mut dyn BufRead) -> io::Result<Read1> {
    let mut length = None;
    loop {
        let mut line = String::new();
        // A header line is short; who sends something else sends no headers.
        let n = from.take(8 << 10).read_line(&mut line)?;
        if n == 0 {
            return Ok(Read1::End);
        }
        let header = line.trim_end();
        if header.is_empty() {
            break;
        }
        if let Some((name, value)) = header.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse::<usize>().ok();
        }
    }
    let length = length.filter(|n| *n <= LONGEST);
    let length = length.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "a message has no Content-Length"))?;
    let mut body = vec![0; length];
    from.read_exact(&mut body)?;
    Ok(match serde_json::from_slice(&body) {
        Ok(message) => Read1::Message(Box::new(message)),
        Err(e) => Read1::Malformed(e.to_string()),
    })
}
