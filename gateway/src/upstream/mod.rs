//! Pools, their endpoints, and the connections to them.

mod balance;
mod connect;
mod connections;
mod dial;
mod endpoint;
mod health;
mod identity;
mod lease;
mod members;
mod names;
mod pools;
mod reached;
mod registry;
mod sending;
mod tls;
mod transport;
mod under_way;
mod whereabouts;

pub use balance::{Spot, Tried, client_group, hash_of};
pub use connect::{ConnectError, connect};
pub use connections::{Held, Upstreams};
pub use dial::dial;
pub use endpoint::{EndpointHandle, InUse};
pub use health::health_epoch;
pub use identity::Place;
pub(crate) use identity::Table;
pub use lease::{Connection, Lease};
pub use members::{Member, Members};
pub use pools::{PoolHandle, Pools};
pub use reached::Reached;
pub use sending::{Cause, Incoming, Unanswered};
pub use tls::{UpstreamTls, connect_tls};
pub use transport::{Speaks, Transport};
pub use under_way::{Outcome, UnderWay};
pub use whereabouts::Whereabouts;
