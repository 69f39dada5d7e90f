//! Pools, their endpoints, and the connections to them.

mod balance;
mod connect;
mod connections;
mod dial;
mod endpoint;
mod health;
mod identity;
mod members;
mod names;
mod pools;
mod reached;
mod sending;
mod tls;
mod under_way;

pub use balance::{Spot, Tried, client_group, hash_of};
pub use connect::{ConnectError, connect};
pub use connections::{Connection, Held, Lease, Upstreams};
pub use dial::dial;
pub use endpoint::{EndpointHandle, InUse};
pub use health::health_epoch;
pub use identity::Place;
pub(crate) use identity::Table;
pub use members::{Member, Members};
pub use pools::{PoolHandle, Pools};
pub use reached::Reached;
pub use sending::{Cause, Incoming, Unanswered};
pub use tls::{UpstreamTls, connect_tls};
pub use under_way::{Outcome, UnderWay};
