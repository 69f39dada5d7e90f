//! UDP flows, with real sockets on the loopback.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

mod flows;
mod reload;
mod support;
