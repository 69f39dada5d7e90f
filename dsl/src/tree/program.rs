//! The compiled program of a site.

use super::interpret::{candidates, interpret};
use super::ir::{self, Entry, Field, PlanIdx, ScopeIdx};
use super::request::Request;
use crate::region::Algebra;
use crate::syntax::span::Loc;
use std::fmt;
use std::sync::Arc;

/// Where a request goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// To a plan of the site.
    Plan(PlanIdx),
    /// Nowhere: this field, which a condition on the way names, arrived several times with different values. 400.
    Conflict(Field),
}

/// Why a site is not compiled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CompileError {
    /// The code of the finding.
    pub code: &'static str,
    /// The line it is said of.
    pub loc: Loc,
    /// What is wrong, in one line.
    pub message: String,
    /// Another line that matters.
    pub other: Option<Loc>,
}

impl fmt::Display for CompileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for CompileError {}

/// A compiled site: the decision tree, and the plans it leads to.
#[derive(Clone, Debug)]
pub struct Program {
    site: Arc<ir::Site>,
}

/// Compiles a site.
///
/// # Errors
/// Its meaning cannot be decided within the limits.
pub fn compile(site: Arc<ir::Site>) -> Result<Program, CompileError> {
    Ok(Program { site })
}

impl Program {
    /// What it was compiled from: plans, pools, settings.
    pub fn site(&self) -> &Arc<ir::Site> {
        &self.site
    }

    /// Decides a request for this site.
    pub fn decide(&self, req: &impl Request) -> Decision {
        interpret(&self.site, req)
    }

    /// The entries of a scope that match a path, in their order.
    pub(super) fn scope_candidates(&self, scope: ScopeIdx, path: &str) -> Vec<&Entry> {
        candidates(&self.site, scope, path, &mut Algebra::paths())
    }
}
