//! Certificates by ACME follow what is published: which names, and from whom.

use super::load::OutcomeOf;
use super::publish::Serve;
use super::wants::Wants;
use crate::tls::acme::Issuer;
use crate::tls::certificates::Certificates;
use dsl::syntax::span::Loc;
use dsl::tree::ir::{Acme, Gateway};
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

/// Makes what orders, by an `acme` block and the name servers that `resolver` names.
pub type MakeIssuer = Box<dyn Fn(&Arc<Acme>, &[SocketAddr]) -> Arc<dyn Issuer> + Send>;

/// Tells the certificates what the sites want.
pub struct Certifying {
    certificates: Arc<Certificates>,
    wants: Wants,
    make: MakeIssuer,
    /// What is ordered by, without where it is written.
    acme: Option<(Acme, Vec<SocketAddr>)>,
}

impl Certifying {
    /// Nothing is wanted yet.
    #[must_use]
    pub fn new(certificates: Arc<Certificates>, make: MakeIssuer) -> Self {
        Self { certificates, wants: Wants::default(), make, acme: None }
    }

    /// Takes in what is about to be published: who connects then finds the name managed.
    pub fn follow(&mut self, outcome: &OutcomeOf<Serve>, gateway: &Gateway) {
        self.order_from(gateway);
        let changes = self.wants.update(&outcome.hosts, |served| served.program.site());
        self.certificates.follow(changes);
    }

    fn order_from(&mut self, gateway: &Gateway) {
        let now = gateway.acme.as_ref().map(|acme| {
            let without_place = Acme { loc: Loc::default(), ..Acme::clone(acme) };
            (without_place, gateway.resolver.clone())
        });
        if now == self.acme {
            return;
        }
        self.acme = now;
        let source = gateway.acme.as_ref().map(|acme| (&**acme, (self.make)(acme, &gateway.resolver)));
        self.certificates.order_from(source);
    }
}

impl fmt::Debug for Certifying {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certifying").field("certificates", &self.certificates).finish_non_exhaustive()
    }
}
