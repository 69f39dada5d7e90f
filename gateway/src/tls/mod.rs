//! Certificates and handshakes.

pub mod acme;
mod any_name;
mod ca;
pub mod certificates;
mod leaves;
mod resolver;
pub mod tickets;

pub use any_name::{AnyName, Said};
pub use ca::InternalCa;
pub use resolver::{LocalAddress, Resolver, server_config};
pub use tickets::Tickets;

/// The name of a hello as it is compared: lower case, without the trailing dot.
#[must_use]
pub fn server_name(sent: &str) -> Box<str> {
    sent.strip_suffix('.').unwrap_or(sent).to_ascii_lowercase().into_boxed_str()
}
