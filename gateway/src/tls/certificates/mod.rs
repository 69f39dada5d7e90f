//! Certificates of public names, by ACME: which are wanted, which there are, and how the others are had.
//!
//! [`Certificates`] is what the data plane asks inside a handshake, and what the control plane tells which
//! names are wanted. Behind it a thread ([`carry`]) does what the [`manager`] decides, through an
//! [`Issuer`](crate::tls::acme::Issuer). What is kept over restarts is in the [`store`] and the [`ledger`].
//!
//! INVARIANT: a certificate serves for as long as it is valid and there is no newer one, whatever fails; a handshake
//! never gets one of another name.

pub mod backoff;
pub mod book;
pub mod budget;
pub mod carry;
mod dirs;
pub mod handle;
mod inbox;
pub mod ledger;
pub mod manager;
pub mod names;
pub mod pair;
pub mod queue;
pub mod renewal;
pub mod requests;
mod slots;
pub mod store;
pub mod tell;

pub use handle::{Certificates, Readiness, States};

use dsl::tree::ir;
use std::sync::Arc;

/// A name that is to have a certificate.
#[derive(Clone, Debug, PartialEq)]
pub struct Wanted {
    /// A host in lower case, or `*.` and one.
    pub name: Box<str>,
    /// Whose it is; nobody's where the operator's own files want it.
    pub tenant: Option<Arc<str>>,
    /// By which DNS provider it is proved, where not by this gateway itself.
    pub via: Option<ir::Via>,
}
