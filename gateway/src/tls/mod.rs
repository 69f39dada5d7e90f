//! Certificates and handshakes.

mod ca;
mod resolver;

pub use ca::InternalCa;
pub use resolver::{LocalAddress, Resolver, server_config};
