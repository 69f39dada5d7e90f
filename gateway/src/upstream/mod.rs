//! Pools, their endpoints, and the connections to them.

mod pools;

pub use pools::{EndpointHandle, PoolHandle, Pools};
