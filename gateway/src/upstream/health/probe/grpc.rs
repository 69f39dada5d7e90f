//! `check grpc [service "pkg.Svc"]`: the gRPC health protocol,
//! <https://github.com/grpc/grpc/blob/master/doc/health-checking.md>. A call of
//! `grpc.health.v1.Health/Check`; the endpoint is up when it answers SERVING.

use super::Stream;
use super::http2::{broke, exchange, request};
use bytes::{BufMut, Bytes, BytesMut};
use h2::RecvStream;
use http::{HeaderMap, HeaderValue, Method, Response, header};

/// The most of an answer that is read: its message has two bytes.
const MOST: usize = 4 * 1024;
const SERVING: u64 = 1;

/// Asks on a new connection, which is closed behind it.
pub(super) async fn ask(stream: Box<dyn Stream>, secure: bool, authority: &str, service: &str) -> Result<(), String> {
    let mut request = request(Method::POST, secure, authority, "/grpc.health.v1.Health/Check")?;
    let headers = request.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    headers.insert(header::TE, HeaderValue::from_static("trailers"));
    exchange(stream, request, Some(question(service)), |response| answer(response, service)).await
}

/// A message in its frame: `HealthCheckRequest { string service = 1; }`.
fn question(service: &str) -> Bytes {
    let mut message = BytesMut::new();
    if !service.is_empty() {
        message.put_u8(0x0a);
        varint(service.len() as u64, &mut message);
        message.put_slice(service.as_bytes());
    }
    let mut frame = BytesMut::new();
    frame.put_u8(0);
    // Names of services are short.
    frame.put_u32(message.len() as u32);
    frame.extend_from_slice(&message);
    frame.freeze()
}

async fn answer(response: Response<RecvStream>, service: &str) -> Result<(), String> {
    let (head, mut body) = response.into_parts();
    let is_grpc = head.headers.get(header::CONTENT_TYPE).is_some_and(|kind| {
        kind.as_bytes().get(..16).is_some_and(|start| start.eq_ignore_ascii_case(b"application/grpc"))
    });
    if head.status != 200 || !is_grpc {
        return Err(format!("answered {}, which is no gRPC", head.status.as_u16()));
    }
    // An answer without a message has its status in its head.
    if let Some(status) = status(&head.headers) {
        return judged(status, &head.headers, None, service);
    }
    let mut message = Vec::new();
    while let Some(piece) = body.data().await {
        let piece = piece.map_err(|e| broke(&e))?;
        let _ = body.flow_control().release_capacity(piece.len());
        message.extend_from_slice(&piece);
        if message.len() > MOST {
            return Err("what it answered is not of the gRPC health protocol".to_owned());
        }
    }
    let trailers = body.trailers().await.map_err(|e| broke(&e))?.unwrap_or_default();
    match status(&trailers) {
        Some(status) => judged(status, &trailers, serving(&message), service),
        None => Err("ended its answer without a gRPC status".to_owned()),
    }
}

fn status(headers: &HeaderMap) -> Option<u64> {
    headers.get("grpc-status")?.to_str().ok()?.parse().ok()
}

fn judged(status: u64, headers: &HeaderMap, serving: Option<u64>, service: &str) -> Result<(), String> {
    match (status, serving) {
        (0, Some(SERVING)) => Ok(()),
        (0, Some(2)) => Err("answered NOT_SERVING".to_owned()),
        (0, Some(3)) => Err(format!("knows no service {service:?} (SERVICE_UNKNOWN)")),
        (0, Some(other)) => Err(format!("answered a status that is not SERVING ({other})")),
        (0, None) => Err("what it answered is not of the gRPC health protocol".to_owned()),
        (5, _) => Err(format!("knows no service {service:?} (NOT_FOUND)")),
        (12, _) => Err("does not have the gRPC health service (UNIMPLEMENTED); `check tcp` would do".to_owned()),
        (other, _) => {
            let message = headers.get("grpc-message").map(HeaderValue::as_bytes).unwrap_or_default();
            let message = percent_encoding::percent_decode(message).decode_utf8_lossy();
            let message: String = message.chars().filter(|c| !c.is_control()).take(200).collect();
            Err(format!("answered gRPC status {other} ({message})"))
        }
    }
}

/// The status in a frame with a `HealthCheckResponse { ServingStatus status = 1; }`. Protocol buffers leave
/// out what is 0: UNKNOWN.
fn serving(frame: &[u8]) -> Option<u64> {
    let (head, message) = frame.split_at_checked(5)?;
    let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]);
    // Compression was not offered.
    if head[0] != 0 || message.len() != length as usize {
        return None;
    }
    let (mut rest, mut status) = (message, 0);
    while !rest.is_empty() {
        let tag = read_varint(&mut rest)?;
        match (tag >> 3, tag & 7) {
            (1, 0) => status = read_varint(&mut rest)?,
            (_, 0) => drop(read_varint(&mut rest)?),
            (_, 1) => rest = rest.get(8..)?,
            (_, 2) => {
                let length = usize::try_from(read_varint(&mut rest)?).ok()?;
                rest = rest.get(length..)?;
            }
            (_, 5) => rest = rest.get(4..)?,
            _ => return None,
        }
    }
    Some(status)
}

fn varint(mut value: u64, into: &mut BytesMut) {
    while value >= 0x80 {
        into.put_u8(value as u8 | 0x80);
        value >>= 7;
    }
    into.put_u8(value as u8);
}

fn read_varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_those_of_the_protocol() {
        assert_eq!(&question("")[..], b"\0\0\0\0\0");
        assert_eq!(&question("a.B")[..], b"\0\0\0\0\x05\x0a\x03a.B");
        let long = "x".repeat(200);
        assert_eq!(&question(&long)[..8], b"\0\0\0\0\xcb\x0a\xc8\x01");
    }

    #[test]
    fn statuses_are_read_and_other_fields_skipped() {
        assert_eq!(serving(b"\0\0\0\0\x02\x08\x01"), Some(1));
        assert_eq!(serving(b"\0\0\0\0\0"), Some(0));
        assert_eq!(serving(b"\0\0\0\0\x07\x12\x01x\x18\x05\x08\x02"), Some(2));
        for broken in
            [&b""[..], b"\0\0\0\0", b"\x01\0\0\0\x02\x08\x01", b"\0\0\0\0\x03\x08\x01", b"\0\0\0\0\x02\x08\x80"]
        {
            assert_eq!(serving(broken), None, "{broken:?}");
        }
    }
}
