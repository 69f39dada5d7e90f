//! `check GET /healthz expect 200..299`: HTTP/1.1, a request without body, the status of the answer.

use super::{Stream, broke};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// The most that is read before a status: heads of 1xx answers come before it.
const MOST: usize = 16 * 1024;

/// Asks on a new connection, which is closed behind it.
pub(super) async fn ask(
    mut stream: Box<dyn Stream>,
    method: &str,
    path: &str,
    authority: &str,
    expect: (u16, u16),
) -> Result<(), String> {
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: {authority}\r\nUser-Agent: sluice-check\r\nAccept: */*\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.map_err(|e| broke(&e))?;
    let mut seen = Vec::with_capacity(1024);
    loop {
        match status(&seen)? {
            Some(status) => return good(status, expect),
            None if seen.len() >= MOST => return Err("answered no status".to_owned()),
            None => {}
        }
        match stream.read_buf(&mut seen).await {
            Ok(0) => return Err("closed the connection without an answer".to_owned()),
            Ok(_) => {}
            Err(e) => return Err(broke(&e)),
        }
    }
}

/// Whether a status is one of those that are good.
pub(super) fn good(status: u16, (first, last): (u16, u16)) -> Result<(), String> {
    if (first..=last).contains(&status) {
        Ok(())
    } else if first == last {
        Err(format!("answered {status}, expected {first}"))
    } else {
        Err(format!("answered {status}, expected {first}..{last}"))
    }
}

/// The status of the answer, when it has arrived.
fn status(mut seen: &[u8]) -> Result<Option<u16>, String> {
    loop {
        let Some(end) = seen.iter().position(|byte| *byte == b'\n') else {
            let begins = b"HTTP/1.".iter().zip(seen).all(|(a, b)| a == b);
            return if begins { Ok(None) } else { Err(not_http()) };
        };
        // RFC 9112 section 4: `HTTP/1.1 200 OK`, the reason possibly missing with its space.
        let line = seen[..end].trim_ascii_end();
        let status = match line.strip_prefix(b"HTTP/1.") {
            Some([b'0'..=b'9', b' ', a @ b'1'..=b'9', b @ b'0'..=b'9', c @ b'0'..=b'9', rest @ ..])
                if rest.first().is_none_or(|byte| *byte == b' ') =>
            {
                let digit = |byte: &u8| u16::from(*byte - b'0');
                digit(a) * 100 + digit(b) * 10 + digit(c)
            }
            _ => return Err(not_http()),
        };
        if !(100..200).contains(&status) || status == 101 {
            return Ok(Some(status));
        }
        // An interim answer: the final one comes behind its head.
        let Some(head) = seen.windows(4).position(|four| four == b"\r\n\r\n") else { return Ok(None) };
        seen = &seen[head + 4..];
    }
}

fn not_http() -> String {
    "what it answered is not HTTP".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses() {
        assert_eq!(status(b""), Ok(None));
        assert_eq!(status(b"HTT"), Ok(None));
        assert_eq!(status(b"HTTP/1.1 20"), Ok(None));
        assert_eq!(status(b"HTTP/1.1 204 No Content\r\n"), Ok(Some(204)));
        assert_eq!(status(b"HTTP/1.0 503\r\n"), Ok(Some(503)));
        assert_eq!(status(b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n"), Ok(None));
        assert_eq!(status(b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\n"), Ok(Some(200)));
        for not in [&b"SSH-2.0-OpenSSH"[..], b"HTTP/2 200\r\n", b"HTTP/1.1 2000\r\n", b"HTTP/1.1  200\r\n", b"\r\n"] {
            assert!(status(not).is_err(), "{not:?}");
        }
    }
}
