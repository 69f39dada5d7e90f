//! ## What
//!
//! An endpoint with TLS is an address, and no `name` is written.
//!
//! ## Why
//!
//! A certificate is for a name. Without one there is nothing to hold it against.
//!
//! ## Wrong
//!
//! ```route
//! pool ledger {
//!     https://10.7.0.1:8443
//!     tls {
//!         trust "pki/ledger-ca.pem"
//!     }
//! }
//! ```
//!
//! ## Right
//!
//! ```route
//! pool ledger {
//!     https://10.7.0.1:8443
//!     tls {
//!         name ledger.internal
//!         trust "pki/ledger-ca.pem"
//!     }
//! }
//! ```

use crate::diagnostic::Diagnostic;
use crate::tree::ir::{Endpoint, EndpointKind, Pool};

/// The first endpoint of a pool that nothing can be verified against. Who pins keys and trusts no
/// authority knows whom they talk to without a name.
pub(crate) fn run(pool: &Pool) -> Option<Diagnostic> {
    pool.tls.as_ref().filter(|tls| tls.name.is_none() && (tls.pins.is_empty() || tls.trust.is_some()))?;
    let nameless = |e: &&Endpoint| match e.kind {
        EndpointKind::Tcp => e.host.parse::<std::net::IpAddr>().is_ok(),
        EndpointKind::Unix => true,
        EndpointKind::Srv => false,
    };
    pool.endpoints.iter().find(nameless).map(nothing_to_verify)
}

fn nothing_to_verify(endpoint: &Endpoint) -> Diagnostic {
    let d = Diagnostic::error("G4009", endpoint.loc, "there is no name to verify the certificate against")
        .help("say in the pool whose certificate it must be", "tls { name ledger.internal }", None);
    match endpoint.kind {
        EndpointKind::Tcp => d.help("or, where the certificate is for the address", format!("tls {{ name {} }}", endpoint.host), None),
        EndpointKind::Unix | EndpointKind::Srv => d,
    }
}
