//! What a QUIC client says of its connection in its hello: how long it keeps a quiet one.

use super::packet::varint;

/// The extension of the transport parameters (RFC 9001 section 8.2).
const PARAMETERS: u16 = 57;
/// max_idle_timeout (RFC 9000 section 18.2).
const MAX_IDLE: u64 = 1;

/// How long a client keeps a quiet connection, milliseconds. It is the lesser of what both sides say
/// (RFC 9000 section 10.1), so that nobody speaks on the connection when this is over. `None` where the
/// client says nothing, or for ever.
#[must_use]
pub fn max_idle_ms(hello: &[u8]) -> Option<u64> {
    let parameters = extension(hello, PARAMETERS)?;
    let mut at = 0;
    while at < parameters.len() {
        let id = varint(parameters, &mut at)?;
        let length = usize::try_from(varint(parameters, &mut at)?).ok()?;
        let value = parameters.get(at..at.checked_add(length)?)?;
        if id == MAX_IDLE {
            return varint(value, &mut 0).filter(|ms| *ms > 0);
        }
        at += length;
    }
    None
}

/// The body of an extension of a ClientHello (RFC 8446 section 4.1.2).
fn extension(hello: &[u8], wanted: u16) -> Option<&[u8]> {
    // The message's header, the version, the random bytes.
    let rest = hello.get(4 + 2 + 32..)?;
    let (_session, rest) = prefixed::<1>(rest)?;
    let (_suites, rest) = prefixed::<2>(rest)?;
    let (_compressions, rest) = prefixed::<1>(rest)?;
    let (mut extensions, _) = prefixed::<2>(rest)?;
    loop {
        let (kind, rest) = extensions.split_first_chunk::<2>()?;
        let (body, rest) = prefixed::<2>(rest)?;
        if u16::from_be_bytes(*kind) == wanted {
            return Some(body);
        }
        extensions = rest;
    }
}

/// Bytes with their length in `N` bytes before them, and what follows.
fn prefixed<const N: usize>(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<N>()?;
    let length = length.iter().fold(0, |n, byte| n << 8 | usize::from(*byte));
    rest.split_at_checked(length)
}

#[cfg(test)]
mod tests {
    use super::super::testing::Client;
    use super::*;
    use rustls::quic::Version;

    #[test]
    fn what_a_client_says_of_quiet_connections() {
        for (parameters, expected) in [
            (&[4, 1, 9, 1, 2, 0x75, 0x30, 5, 0][..], Some(13_616)),
            (&[1, 4, 0x80, 0, 0x75, 0x30], Some(30_000)),
            (&[1, 1, 0], None),
            (&[4, 1, 9], None),
            (&[1, 9, 0], None),
            (&[0xff], None),
            (&[], None),
        ] {
            let client = Client::saying(Version::V1, "a.test", parameters);
            assert_eq!(max_idle_ms(&client.hello), expected, "{parameters:?}");
            // Cut anywhere.
            for end in 0..client.hello.len() {
                let _ = max_idle_ms(&client.hello[..end]);
            }
        }
    }
}
