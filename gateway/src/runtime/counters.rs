//! What a worker counts. Each worker has its own, so that counting touches no shared line.

use crate::http::gate::Reason;
use crate::listen::hello::Failure;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The counts of one worker.
#[derive(Debug)]
pub struct Counters {
    requests: AtomicU64,
    proxy_headers_refused: AtomicU64,
    refused: [AtomicU64; Reason::ALL.len()],
    hellos: [AtomicU64; Failure::ALL.len()],
}

fn zeros<const N: usize>() -> [AtomicU64; N] {
    std::array::from_fn(|_| AtomicU64::new(0))
}

impl Default for Counters {
    fn default() -> Self {
        Self {
            requests: AtomicU64::new(0),
            proxy_headers_refused: AtomicU64::new(0),
            refused: zeros(),
            hellos: zeros(),
        }
    }
}

impl Counters {
    /// A request arrived.
    #[inline]
    pub fn request(&self) {
        // One writer: a load and a store cost less than a locked addition.
        self.requests.store(self.requests.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
    }

    /// A trusted peer sent no valid PROXY header in time.
    pub fn proxy_header_refused(&self) {
        self.proxy_headers_refused.fetch_add(1, Ordering::Relaxed);
    }

    /// A request was refused.
    pub fn refused(&self, reason: Reason) {
        self.refused[reason as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// A connection to a TLS port came to nothing.
    pub fn hello_failed(&self, failure: Failure) {
        self.hellos[failure as usize].fetch_add(1, Ordering::Relaxed);
    }
}

/// The counts of all workers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Totals {
    /// Requests that reached the gateway's routing, refused ones not counted.
    pub requests: u64,
    /// Connections of trusted peers that began with no valid PROXY header in time.
    pub proxy_headers_refused: u64,
    /// Requests refused, by reason; reasons that never occurred are left out.
    pub refused: Vec<(Reason, u64)>,
    /// Connections to TLS ports that came to nothing, by reason; reasons that never occurred are left out.
    pub hellos: Vec<(Failure, u64)>,
}

impl Totals {
    /// Adds up.
    #[must_use]
    pub fn of(counters: &[Arc<Counters>]) -> Self {
        let sum = |each: &dyn Fn(&Counters) -> u64| counters.iter().map(|c| each(c)).sum::<u64>();
        let refused = Reason::ALL
            .iter()
            .map(|r| (*r, sum(&|c| c.refused[*r as usize].load(Ordering::Relaxed))))
            .filter(|(_, n)| *n > 0)
            .collect();
        let hellos = Failure::ALL
            .iter()
            .map(|f| (*f, sum(&|c| c.hellos[*f as usize].load(Ordering::Relaxed))))
            .filter(|(_, n)| *n > 0)
            .collect();
        Self {
            requests: sum(&|c| c.requests.load(Ordering::Relaxed)),
            proxy_headers_refused: sum(&|c| c.proxy_headers_refused.load(Ordering::Relaxed)),
            refused,
            hellos,
        }
    }
}
