//! What a worker counts. Each worker has its own, so that counting touches no shared line.

use crate::http::gate::Reason;
use crate::l4::quic::classifier::Lost;
use crate::listen::hello::Failure;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The counts of one worker.
#[derive(Debug)]
pub struct Counters {
    requests: AtomicU64,
    proxy_headers_refused: AtomicU64,
    clients_refused: AtomicU64,
    refused: [AtomicU64; Reason::ALL.len()],
    hellos: [AtomicU64; Failure::ALL.len()],
    quic: [AtomicU64; Lost::ALL.len()],
}

fn zeros<const N: usize>() -> [AtomicU64; N] {
    std::array::from_fn(|_| AtomicU64::new(0))
}

impl Default for Counters {
    fn default() -> Self {
        Self {
            requests: AtomicU64::new(0),
            proxy_headers_refused: AtomicU64::new(0),
            clients_refused: AtomicU64::new(0),
            refused: zeros(),
            hellos: zeros(),
            quic: zeros(),
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

    /// A client had as many connections open as one may have.
    pub fn client_refused(&self) {
        self.clients_refused.fetch_add(1, Ordering::Relaxed);
    }

    /// A request was refused.
    pub fn refused(&self, reason: Reason) {
        self.refused[reason as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// A connection to a TLS port came to nothing.
    pub fn hello_failed(&self, failure: Failure) {
        self.hellos[failure as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// Datagrams, or hellos, that came to a QUIC port led to nothing.
    pub fn quic_lost(&self, lost: Lost, times: u64) {
        self.quic[lost as usize].fetch_add(times, Ordering::Relaxed);
    }
}

/// The counts of all workers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Totals {
    /// Requests that reached the gateway's routing, refused ones not counted.
    pub requests: u64,
    /// Connections of trusted peers that began with no valid PROXY header in time.
    pub proxy_headers_refused: u64,
    /// Connections of clients that had as many open as one may have.
    pub clients_refused: u64,
    /// Requests refused, by reason; reasons that never occurred are left out.
    pub refused: Vec<(Reason, u64)>,
    /// Connections to TLS ports that came to nothing, by reason; reasons that never occurred are left out.
    pub hellos: Vec<(Failure, u64)>,
    /// Datagrams to QUIC ports that led to nothing, by reason; reasons that never occurred are left out.
    pub quic: Vec<(Lost, u64)>,
}

impl Totals {
    /// Adds up.
    #[must_use]
    pub fn of(counters: &[Arc<Counters>]) -> Self {
        let sum = |each: &dyn Fn(&Counters) -> u64| counters.iter().map(|c| each(c)).sum::<u64>();
        Self {
            requests: sum(&|c| c.requests.load(Ordering::Relaxed)),
            proxy_headers_refused: sum(&|c| c.proxy_headers_refused.load(Ordering::Relaxed)),
            clients_refused: sum(&|c| c.clients_refused.load(Ordering::Relaxed)),
            refused: occurred(Reason::ALL, counters, |c, reason| &c.refused[reason as usize]),
            hellos: occurred(Failure::ALL, counters, |c, failure| &c.hellos[failure as usize]),
            quic: occurred(Lost::ALL, counters, |c, lost| &c.quic[lost as usize]),
        }
    }
}

fn occurred<T: Copy>(all: &[T], counters: &[Arc<Counters>], of: fn(&Counters, T) -> &AtomicU64) -> Vec<(T, u64)> {
    let sum = |reason: &T| counters.iter().map(|c| of(c, *reason).load(Ordering::Relaxed)).sum();
    all.iter().map(|reason| (*reason, sum(reason))).filter(|(_, n)| *n > 0).collect()
}
