//! The difference of two versions: which requests are treated otherwise, region by region.
//!
//! Sites are paired by their hosts. The paths of a pair are divided by the patterns of both versions at
//! once; in each class the rows of one are held against those of the other, and where what they come to
//! differs, a request is looked for that takes both. What is compared is meaning: names of pools,
//! policies, `let`s and captures, the order of statements and the file that they stand in are none.

mod acme;
mod carried;
mod differ;
mod gateway;
mod outcome;
mod pair;
mod same;
mod tenants;
mod twice;
mod words;

use super::Carried;
use crate::tree::Program;
use crate::tree::ir::{Gateway, Tenant};
use std::sync::Arc;

pub use outcome::NOBODY;
pub use pair::BUDGET;

/// A version: everything that is served.
#[derive(Debug, Default)]
pub struct Version {
    /// The sites, each with where it stands.
    pub sites: Vec<(Arc<Program>, Home)>,
    /// What `tcp`, `udp` and `passthrough` carry, likewise.
    pub carried: Vec<(Carried, Home)>,
    /// The tenants that `gateway.route` names.
    pub tenants: Vec<Arc<Tenant>>,
    /// What `gateway.route` says; `None` where that is not compared.
    pub gateway: Option<Arc<Gateway>>,
}

/// Where a site or an item stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Home {
    /// The folder of its file, below the sites directory.
    pub dir: Arc<str>,
    /// Whose the file is, where it is a tenant's.
    pub tenant: Option<Arc<str>>,
}

impl From<&str> for Home {
    /// A folder of the operator's.
    fn from(dir: &str) -> Self {
        Self { dir: dir.into(), tenant: None }
    }
}

/// What differs.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Difference {
    /// What is the operator's first, then tenant by tenant; in the order of the sites, then of their paths.
    pub changes: Vec<Change>,
    /// Whether either version has tenants.
    pub tenants: bool,
    /// What could not be compared, and why.
    pub undecided: Vec<String>,
}

impl Difference {
    /// Whether it was shown that nothing differs.
    pub fn is_none(&self) -> bool {
        self.changes.is_empty() && self.undecided.is_empty()
    }

    /// The changes that a request shows, or that need none.
    pub fn certain(&self) -> impl Iterator<Item = &Change> {
        self.changes.iter().filter(|change| !change.possibly)
    }
}

/// Requests that are treated otherwise.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// What kind of change.
    pub kind: Kind,
    /// The tenant in whose files it stands, in the version after where it is there; `None` for the operator.
    pub tenant: Option<Arc<str>>,
    /// The site by its hosts, the item, `gateway`, or `tenant`.
    pub site: String,
    /// The pattern of the paths; empty where paths have no part in it.
    pub path: String,
    /// What holds of the requests besides.
    pub when: Option<String>,
    /// What became of them.
    pub before: String,
    /// What becomes of them.
    pub after: String,
    /// One of them, asked of both versions. `None` for what is no matter of requests.
    pub witness: Option<String>,
    /// Whether no request was found that is treated otherwise, though there may be one.
    pub possibly: bool,
}

impl Change {
    /// Of what is no matter of requests: a setting, an item that listens.
    fn said(kind: Kind, site: &str, before: String, after: String) -> Self {
        let site = site.to_owned();
        Self {
            kind,
            tenant: None,
            site,
            path: String::new(),
            when: None,
            before,
            after,
            witness: None,
            possibly: false,
        }
    }
}

/// Kinds of changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Served before and after, in another way.
    Changed,
    /// Not served before.
    New,
    /// Not served any more.
    Gone,
}

impl Kind {
    /// `~`, `+`, `-`
    pub fn sign(self) -> char {
        match self {
            Self::Changed => '~',
            Self::New => '+',
            Self::Gone => '-',
        }
    }

    /// In a word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Changed => "changed",
            Self::New => "new",
            Self::Gone => "gone",
        }
    }
}

/// What is treated otherwise by another version, within a budget of steps ([`BUDGET`]).
#[must_use]
pub fn difference(old: &Version, new: &Version, budget: u64) -> Difference {
    let mut out = Difference::default();
    if let (Some(old), Some(new)) = (&old.gateway, &new.gateway) {
        gateway::compare(old, new, &mut out);
    }
    tenants::compare(&old.tenants, &new.tenants, &mut out);
    carried::compare(&old.carried, &new.carried, &mut out);
    pair::compare(old, new, budget, &mut out);
    out.tenants = !(old.tenants.is_empty() && new.tenants.is_empty());
    out.changes.sort_by(|a, b| a.tenant.cmp(&b.tenant));
    out
}
