//! The data plane, driven over real sockets: a snapshot built by hand, real workers, real origins.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

mod attacks;
mod edge;
mod errors;
mod exchange;
mod files;
mod hello;
mod http2;
mod mirror;
mod pool_limits;
mod retry;
mod support;
mod tcp;
mod trouble;
mod upstream_h2;
mod upstream_tls;
mod websocket;
mod websocket_attacks;
mod websocket_h2;
