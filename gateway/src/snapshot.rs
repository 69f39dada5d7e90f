//! What the control plane publishes and the data plane reads: immutable, shared, swapped whole.

use crate::edge::Edge;
use crate::edge::rules::Rules;
use crate::l4::{ListenKey, Route};
use crate::tls::SiteTls;
use crate::upstream::PoolHandle;
use arc_swap::ArcSwap;
use dsl::tree::{HostIndex, Program, ir};
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

/// Everything a worker needs to answer requests.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// Counts publications.
    pub generation: u64,
    /// Who answers for a host.
    pub hosts: HostIndex<Host>,
    /// The site that says `default`.
    pub default: Option<Arc<Served>>,
    /// What is carried on the `tcp` and `udp` listeners.
    pub listening: Arc<HashMap<ListenKey, Arc<Route>>>,
    /// What `gateway.route` says.
    pub gateway: Arc<ir::Gateway>,
    /// The port that clients see for HTTPS, for redirects; `None` when nothing listens with TLS.
    pub https_port: Option<u16>,
}

/// What stands behind a host.
#[derive(Debug, Clone)]
pub enum Host {
    /// A site.
    Site(Arc<Served>),
    /// TLS connections to it are handed on.
    Passthrough(Arc<Route>),
    /// A host of a file that never loaded: 503, never somebody else's wildcard.
    Unavailable,
    /// A host of a tenant that serves nothing there: as if nobody claimed it, never somebody else's wildcard.
    Nobody,
}

/// A compiled site with what the gateway needs to carry its plans out.
#[derive(Debug)]
pub struct Served {
    /// The decision tree and the plans.
    pub program: Program,
    /// By `ir::PoolIdx`.
    pub pools: Vec<Arc<PoolHandle>>,
    /// The route file's directory, against which `files` and `respond … file` are resolved.
    pub dir: PathBuf,
    /// What its calls, limits and sessions need.
    pub edge: Edge,
    /// What refuses its requests.
    pub rules: Rules,
    /// What its handshakes are made with.
    pub tls: SiteTls,
}

/// Where the current snapshot is found.
pub type Published = Arc<ArcSwap<Snapshot>>;
