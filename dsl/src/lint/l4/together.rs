//! Findings that items make only beside each other and beside the gateway's own listeners.

use crate::diagnostic::Diagnostic;
use crate::lint::{g4002, g4012, g4014, g5002, g7006};
use crate::tree::ir::{Gateway, Listener, Site};
use crate::tree::l4::{Listening, Passthrough, Transport};
use std::sync::Arc;

/// What serves together: of one file, or of all.
#[derive(Clone, Copy, Debug, Default)]
pub struct Together<'a> {
    /// What `gateway.route` says, where it is known.
    pub gateway: Option<&'a Gateway>,
    /// The `tcp` and `udp` items.
    pub listening: &'a [Arc<Listening>],
    /// The `passthrough` items.
    pub passthroughs: &'a [Arc<Passthrough>],
    /// The sites.
    pub sites: &'a [&'a Site],
}

/// Says what can be said of items that serve together.
#[must_use]
pub fn together(all: &Together<'_>) -> Vec<Diagnostic> {
    let mut out = Vec::new();
    g4002::run(all, &mut out);
    g4012::run(all, &mut out);
    g4014::run(all, &mut out);
    g5002::run(all, &mut out);
    g7006::run(all, &mut out);
    out
}

/// Whether two listeners want one port of one address: a bare port means every address (LANGUAGE rule
/// 29). TCP and UDP ports are two things; port 0 is whatever is free.
pub(crate) fn overlap(a: (Transport, &Listener), b: (Transport, &Listener)) -> bool {
    let every = |l: &Listener| l.ip.is_none_or(|ip| ip.is_unspecified());
    a.0 == b.0 && a.1.port == b.1.port && a.1.port != 0 && (every(a.1) || every(b.1) || a.1.ip == b.1.ip)
}
