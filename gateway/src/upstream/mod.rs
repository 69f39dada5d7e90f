//! Pools, their endpoints, and the connections to them.

mod connect;
mod connections;
mod names;
mod pools;
mod turns;

pub use connect::{ConnectError, connect};
pub use connections::{Connection, Lease, Upstreams};
pub use pools::{EndpointHandle, Place, PoolHandle, Pools};
pub use turns::Tried;
