//! The gateway.

pub mod answer;
pub mod http;
pub mod listen;
pub mod runtime;
pub mod snapshot;
pub mod tls;
pub mod upstream;
