//! UDP flows, with real sockets on the loopback.

mod flows;
mod reload;
mod support;
