//! Certificates from public authorities: one issuance at a time.
//!
//! An [`Issuer`] does one issuance whole: it orders, proves the name, and hands back the certificate with
//! its key. What is ordered, when, how often and who comes next is not decided here. While an order is
//! under way, what answers the authority's question is on the [`Board`], where the data plane finds it.

mod accounts;
mod board;
mod dns;
mod https;
mod instant_acme;
mod issuers;
mod problem;
mod rustls_acme;

pub use accounts::{Account, AccountFiles, Accounts};
pub use board::{Board, Posted};
pub use issuers::{Issuers, Means};

use dsl::tree::ir;
use rustls::pki_types::CertificateDer;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use zeroize::Zeroizing;

/// What an [`Issuer`] is asked for: a certificate for one name.
#[derive(Clone, Debug)]
pub struct Order {
    /// The name, in lower case, without a trailing dot; `*.example.com` is a wildcard.
    pub name: Box<str>,
    /// How the name is proved by DNS; `None` where this gateway answers for it.
    pub via: Option<ir::Via>,
    /// The certificate that the new one takes the place of, for authorities that count such orders apart
    /// (RFC 9773 section 5).
    pub replaces: Option<CertificateDer<'static>>,
}

/// Gets certificates, one order at a time.
pub trait Issuer: Send + Sync + fmt::Debug {
    /// Does one issuance, whole, within its own deadline. Never tries again what counts at the authority; a
    /// bad nonce is tried again at once.
    fn issue<'a>(&'a self, order: &'a Order) -> Pin<Box<dyn Future<Output = Result<Issued, IssueError>> + Send + 'a>>;

    /// The renewal window that the authority suggests for a certificate (RFC 9773), if it has any.
    fn window<'a>(
        &'a self,
        leaf: &'a CertificateDer<'static>,
    ) -> Pin<Box<dyn Future<Output = Option<Window>> + Send + 'a>>;
}

/// A certificate that was issued.
pub struct Issued {
    /// The chain, the leaf first, PEM.
    pub chain: String,
    /// The leaf's key, PKCS#8 in PEM; overwritten when it is dropped.
    pub key: Zeroizing<String>,
    /// The directory of the authority that issued it.
    pub by: Arc<str>,
}

impl fmt::Debug for Issued {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Issued").field("by", &self.by).finish_non_exhaustive()
    }
}

/// Why there is no certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IssueError {
    /// What went wrong, for whoever decides about the next try.
    pub kind: Cause,
    /// What went wrong, for people.
    pub said: String,
    /// How long the authority wants to be left alone.
    pub retry_after: Option<Duration>,
}

impl IssueError {
    /// Without a wish of the authority's.
    #[must_use]
    pub fn new(kind: Cause, said: impl Into<String>) -> Self {
        Self { kind, said: said.into(), retry_after: None }
    }
}

impl fmt::Display for IssueError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.said)
    }
}

impl std::error::Error for IssueError {}

/// What went wrong with an issuance, as it is written down too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cause {
    /// The authority could not be asked, or is in trouble itself.
    Unreachable,
    /// The authority has had enough of us for now.
    RateLimited,
    /// The authority could not convince itself that the name is ours. It counts at the authority.
    Validation,
    /// The authority will not: the name, a CAA record, the account. Of no use to try soon.
    Refused,
    /// The deadline passed.
    Timeout,
    /// Something of our own: a provider that is not declared, a secret that is missing, a file.
    Ours,
}

/// When an authority wants a certificate to be renewed (RFC 9773 section 4.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window {
    /// The first moment.
    pub start: SystemTime,
    /// The last moment.
    pub end: SystemTime,
    /// Where the authority says why.
    pub explanation: Option<String>,
    /// When to ask again.
    pub ask_again: Duration,
}
