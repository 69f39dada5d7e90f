//! PROXY protocol headers, versions 1 and 2, read and written.
//!
//! The specification is HAProxy's `doc/proxy-protocol.txt`, whose sections are named where they are
//! followed. A header is read strictly: what the text does not allow is refused, and nothing of it is
//! guessed, since whoever may send one speaks for its clients.

mod crc32c;
mod read;
mod write;

pub use read::{Bad, Header, MAX, Step, parse};
pub use write::{Secured, Told, v1, v2};

/// Section 2.2: what a binary header begins with. No text and no TLS begins so.
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";

#[cfg(test)]
mod tests;
