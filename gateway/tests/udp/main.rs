//! UDP flows, with real sockets on the loopback.
#![allow(clippy::unwrap_used)] // a test says what is wrong by failing

mod flows;
mod reload;
mod support;
