//! Buckets and places of limits, by key: the same for connections, flows and requests.
//!
//! What is kept is bounded (`store`); where there is no room, a limit refuses too much and never admits
//! too much. A limit is one number, whatever the count of workers.

mod at_once;
mod bytes;
mod digest;
mod rate;
mod store;

pub use at_once::{AtOnce, Held};
pub use bytes::Bytes;
pub use digest::{Digest, Secret};
pub use rate::Rate;
pub use store::{Clock, Since, Store};

#[cfg(test)]
pub use store::MOST;
