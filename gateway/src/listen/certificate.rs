//! Before a handshake goes on: whether the name in its hello has a certificate, or gets one in time.
//!
//! The resolver is asked in the middle of a handshake, where nothing can wait. What there is to wait for is waited
//! for here: what `allow` says of a name, the file that its certificate lies in, the order that is under way.

use super::hello::Failure;
use crate::edge::on_demand::{self, Verdict};
use crate::runtime::notice::Notice;
use crate::runtime::ticks::within;
use crate::runtime::worker::Worker;
use crate::snapshot::Served;
use crate::tls::certificates::names::is_public;
use crate::tls::certificates::{Readiness, Wanted};
use crate::tls::{By, managed};
use dsl::tree::ir::Tls;
use std::borrow::Cow;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

/// What is asked about a name beside its handshake takes no longer.
const BESIDE_MS: u64 = 10_000;

/// A name, and whose.
pub(super) struct Asked<'a> {
    /// It, as hosts are looked up.
    pub(super) name: &'a str,
    /// The client.
    pub(super) peer: SocketAddr,
    /// What it reached.
    pub(super) local: SocketAddr,
}

/// The name whose certificate a handshake for a site may have to wait for: that of its hello, or where it has none
/// the one that such clients are shown.
pub(super) fn awaited<'n>(worker: &Worker, site: &Served, by: By, name: Option<&'n str>) -> Option<Cow<'n, str>> {
    let certificates = &worker.certificates;
    let is_cold = |name: &str| certificates.hot(name).is_none();
    match (site.program.site().settings.tls, name) {
        (Tls::OnDemand, Some(name)) => {
            (!site.edge.certifies(name) || certificates.orders() && is_cold(name)).then_some(name.into())
        }
        (Tls::Auto, Some(name)) => (certificates.manages(name) && is_cold(name)).then_some(name.into()),
        (Tls::Auto, None) if by == By::Default => {
            let mut shown = managed(site.program.site(), certificates).peekable();
            let first = shown.peek().cloned()?;
            shown.all(|name| is_cold(&name)).then_some(first.into())
        }
        // Addresses have certificates of the internal CA; and who names nobody is nobody that `tls on-demand` allows.
        (Tls::Auto | Tls::OnDemand, None) | (Tls::Internal | Tls::File | Tls::Off, _) => None,
    }
}

/// Waits until the handshake can go on: the deadline is the caller's.
///
/// # Errors
/// Why it cannot.
pub(super) async fn wait(worker: &Rc<Worker>, site: &Arc<Served>, asked: Asked<'_>) -> Result<(), Failure> {
    if site.program.site().settings.tls == Tls::OnDemand {
        is_allowed(worker, site, &asked).await?;
    }
    match worker.certificates.ready(asked.name).await {
        Readiness::Ready | Readiness::Unmanaged => Ok(()),
        Readiness::Failed => Err(Failure::NoCertificate),
    }
}

/// Tells that somebody asked for a name that has no certificate.
pub(super) fn tell(worker: &Worker, name: &str) {
    worker.tell_once(name, || Notice::NoCertificate { name: name.into() });
}

/// Whether `tls on-demand` has a certificate for the name; it is ordered where there is none.
async fn is_allowed(worker: &Rc<Worker>, site: &Arc<Served>, asked: &Asked<'_>) -> Result<(), Failure> {
    let Asked { name, peer, local } = *asked;
    let certificates = &worker.certificates;
    let ordered = certificates.orders() && is_public(name);
    if !site.edge.certifies(name) {
        if ordered && certificates.manages(name) && site.edge.vouches(name) {
            // It has been allowed before, and maybe before a restart: who comes now does not wait for the question.
            let (worker, site, name) = (Rc::clone(worker), Arc::clone(site), Box::from(name));
            tokio::task::spawn_local(async move { again(&worker, &site, name, peer, local).await });
        } else {
            match on_demand::decide(worker, site, name, peer, local).await {
                Verdict::Allowed => {}
                Verdict::TooMany => return Err(Failure::TooManyNames),
                Verdict::Refused | Verdict::Unknown => return Err(Failure::NotAllowed),
            }
        }
    }
    let tenant = &site.program.site().settings.handshake.tenant;
    let wanted = || Wanted { name: name.into(), tenant: tenant.clone(), via: None };
    if ordered && !certificates.manages(name) && !certificates.demand(wanted()) {
        return Err(Failure::TooManyNames);
    }
    Ok(())
}

/// Asks once more about a name that has a certificate. Only a no counts.
async fn again(worker: &Rc<Worker>, site: &Arc<Served>, name: Box<str>, peer: SocketAddr, local: SocketAddr) {
    let decided = on_demand::again(worker, site, &name, peer, local);
    if within(&worker.ticks, BESIDE_MS, decided).await == Some(Verdict::Refused) {
        worker.certificates.withdraw(&name);
    }
}
