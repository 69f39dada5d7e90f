//! Certificates and handshakes.

mod any_name;
mod ca;
mod leaves;
mod resolver;

pub use any_name::{AnyName, Said};
pub use ca::InternalCa;
pub use resolver::{LocalAddress, Resolver, server_config};
