//! Certificates by ACME: by state, and what became of orders.

use super::text::{Kind, Text};
use crate::tls::certificates::Certificates;

/// Writes them.
pub(super) fn write(certificates: &Certificates, text: &mut Text) {
    let states = certificates.states();
    let mut by_state =
        text.family("sluice_acme_certificates", Kind::Gauge, "Names that are to have certificates by ACME, by state.");
    for (state, count) in states.counts() {
        by_state.add(&[("state", state)], count);
    }
    if let Some(until) = states.earliest {
        text.family(
            "sluice_acme_earliest_expiry_seconds",
            Kind::Gauge,
            "When the first certificate is over that was had by ACME, seconds since 1970.",
        )
        .add(&[], until);
    }
    let mut outcomes =
        text.family("sluice_acme_orders", Kind::Counter, "Orders that came to an end, by what became of them.");
    for (outcome, count) in certificates.tally().outcomes() {
        outcomes.add(&[("outcome", outcome)], count);
    }
    let (waiting, under_way) = certificates.tally().orders();
    text.family("sluice_acme_orders_waiting", Kind::Gauge, "Orders that wait for their turn.").add(&[], waiting);
    text.family("sluice_acme_orders_under_way", Kind::Gauge, "Orders that are under way.").add(&[], under_way);
}
