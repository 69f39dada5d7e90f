//! Certificates and handshakes.

pub mod acme;
mod any_name;
mod ca;
pub mod certificates;
mod leaves;
mod looked;
pub(crate) mod pair;
pub(crate) mod pem;
mod resolver;
mod site;
pub(crate) mod terms;
pub mod tickets;
mod x509;

pub use any_name::{AnyName, Said};
pub use ca::InternalCa;
pub use looked::Told;
pub use pair::{FilePair, Pair};
pub use resolver::{By, Chosen, Handshakes, LocalAddress, Resolver, Shown, asked, managed};
pub use site::{Expiry, SiteFiles, SiteTls};
pub use terms::{Proved, Terms};
pub use tickets::Tickets;
pub use x509::{Identity, Leaf};

/// The name of a hello as it is compared: lower case, without the trailing dot.
#[must_use]
pub fn server_name(sent: &str) -> Box<str> {
    sent.strip_suffix('.').unwrap_or(sent).to_ascii_lowercase().into_boxed_str()
}
