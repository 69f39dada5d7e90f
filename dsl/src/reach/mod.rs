//! Which requests reach what: the reachability table, proofs, and the difference of two versions.
//!
//! A site is looked at by *classes of paths* (paths that none of its patterns tells apart); a class has
//! the rows of its chain, a row leads to a plan, and a plan dials pools behind the policies that it has.
//! So every question here is one about conditions: whether a request makes these hold and not those.
//!
//! INVARIANT: what is said to exist comes with a request that program and interpreter agree on; what is
//! said to hold was searched without leaving anything out; whatever is neither is *undecided*.

mod carried;
pub(crate) mod dial;
pub(crate) mod endings;
mod events;
pub mod plan;
pub(crate) mod pool;
pub mod prove;
pub(crate) mod rows;
pub(crate) mod show;
mod sites;
pub(crate) mod solve;
mod table;

pub use carried::{Carried, who_carries};
pub use dial::How;
pub use pool::PoolKey;
pub use show::request as show_request;
pub use sites::Sites;
pub use table::{Way, who_reaches};
