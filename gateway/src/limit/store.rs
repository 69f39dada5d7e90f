//! Where buckets are kept: the seam between what limits say and who counts.
//!
//! A bucket is one number, the time at which it is full again (GCRA). Everything that a limit does to it is one step
//! that reads it and writes it, so that a store is what makes steps, and nothing of rates is known to it.

use super::digest::Digest;
use super::local::Local;
use std::fmt;
use std::sync::Arc;

/// The buckets of one limit. [`Local`] keeps them in this process; one that several gateways share takes its place
/// without any limit knowing.
///
/// It is called on data threads, for each request, so that it never waits. A store that counts with others takes its
/// part of a bucket from them beforehand, and tells them afterwards.
///
/// INVARIANT: a store may forget a bucket that has been full for a while, and say of one that it is emptier than it is
/// where it has no room. It never says of one that it is fuller.
pub trait Store: fmt::Debug + Send + Sync {
    /// The time that its buckets go by, nanoseconds since it began. All that share it go by one time.
    fn now(&self) -> u64;

    /// Makes one step on the bucket of a key, which no other step comes between: `step` is called once with the time at
    /// which the bucket is full again, one that has passed where nothing is known of it, and says what that is from now
    /// on, or `None` where it stays as it is.
    fn step(&self, key: Digest, step: &mut dyn FnMut(u64) -> Option<u64>);
}

/// Opens the store of a limit, by what it is known by: the same wherever it is opened.
pub type Open = Arc<dyn Fn(&str) -> Arc<dyn Store> + Send + Sync>;

/// Buckets in this process, for each limit of its own.
#[must_use]
pub fn local() -> Open {
    Arc::new(|_| Arc::new(Local::<super::local::Since>::default()))
}
