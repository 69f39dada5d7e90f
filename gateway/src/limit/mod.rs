//! Buckets and places of limits, by key: the same for connections, flows and requests.
//!
//! What is kept is bounded (`local`); where there is no room, a limit refuses too much and never admits
//! too much. A limit is one number, whatever the count of workers. Limits count through [`Store`], which is where
//! counters that several gateways share would come in.

mod answered;
mod at_once;
mod bytes;
mod digest;
mod local;
mod rate;
mod store;
mod table;

pub use answered::{Answered, Awaited};
pub use at_once::{AtOnce, Held};
pub use bytes::Bytes;
pub use digest::{Digest, Secret};
pub use local::{Clock, Local, Since};
pub use rate::{Left, Rate};
pub use store::{Open, Store};
pub use table::{Bucketed, Counted, Kept, Known};

#[cfg(test)]
pub use local::MOST;
#[cfg(test)]
mod tests;
