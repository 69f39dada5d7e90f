//! Findings that only whoever sees all that serves can make, and that no load waits for.

use super::{g3007, g3023, g3026, g5006};
use crate::diagnostic::{Diagnostic, Sources};
use crate::tree::ir::{Gateway, Site};

/// What `sluice lint` says of a whole directory beside [`together`](super::together).
#[must_use]
pub fn advice(gateway: &Gateway, sites: &[&Site], sources: &dyn Sources) -> Vec<Diagnostic> {
    let mut out = Vec::new();
    for site in sites {
        if g3007::trusts_nobody(gateway) {
            g3007::run(site, &mut out);
            g5006::run(site, &mut out);
        }
        g3023::run(site, sources, &mut out);
        g3026::run(site, &mut out);
    }
    // A site with several layouts of hosts is several trees.
    out.sort_by_key(|d| (d.primary.loc, d.code));
    out.dedup_by(|b, a| a.code == b.code && a.primary.loc == b.primary.loc);
    out
}
