//! HTTP/2 to endpoints (RFC 9113): few connections, many streams.
//!
//! A request is a stream of a connection that others use too, so nothing of what befalls one may touch
//! the others: there is no task for a request without a body, and what one client does not take stays in
//! its stream's window, never in the connection's ([`CONNECTION_WINDOW`]).
//!
//! A connection is used once its endpoint has sent its settings: until then it may speak something else,
//! and how many streams it allows is not known. What fails by then is a connection that did not come
//! about, and nothing of a request was sent.

mod body;
mod drive;
mod faults;
mod head;
mod pump;
mod send;
mod shared;

use std::time::Duration;

pub(super) use body::Incoming;
pub(super) use send::send;
pub(super) use shared::{Shared, Slot, start};

/// Streams of one connection at once, whatever more an endpoint allows: a window for each is what an
/// endpoint may make this gateway hold.
const STREAMS: usize = 256;
/// What an endpoint may send on a stream before the client has taken it.
const STREAM_WINDOW: u32 = 128 * 1024;
/// Likewise on all streams of a connection: as much as all of them together may, so that clients who
/// take nothing never hold up the others.
const CONNECTION_WINDOW: u32 = STREAM_WINDOW * STREAMS as u32;
/// What is buffered of a request's body on a stream that has no window.
const SEND_BUFFER: usize = 128 * 1024;
const FRAME: u32 = 16 * 1024;
/// The most that is read of the head or the trailers of an answer.
const HEADER_LIST: u32 = 64 * 1024;
/// Streams given up by us of which the connection remembers that something may still come …
const RESETS: usize = 1024;
/// … for so long.
const RESET_FOR: Duration = Duration::from_secs(3);
/// Frames on streams that it has forgotten: more of them in its life, and h2 ends the connection.
const STRAYS: usize = 8 * 1024;
/// Before it comes to that: a connection on which so many streams were given up takes no new ones.
const GIVEN_UP: usize = 4 * 1024;
