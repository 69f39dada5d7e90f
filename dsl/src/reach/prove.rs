//! `prove "…" { … }`: statements about every request, decided by the analysis.
//!
//! A statement is refuted by one request; each site is asked for one by itself, so what a file changes
//! is looked at without looking at the others.

mod judge;

use super::PoolKey;
use crate::syntax::span::{FileId, Loc};
use crate::tree::ir::{Cond, HostPattern, PathPattern};
use crate::tree::tell::Line;
use std::sync::Arc;

pub use judge::{BUDGET, Outcome, findings, prove};

/// A proof, checked and not decided yet.
#[derive(Clone, Debug, PartialEq)]
pub struct Proof {
    /// What it says.
    pub title: Arc<str>,
    /// Its first line.
    pub loc: Loc,
    /// Its statements, in order.
    pub claims: Vec<Claim>,
}

/// A line of a proof.
#[derive(Clone, Debug, PartialEq)]
pub struct Claim {
    /// `every request …`, else `no request …`.
    pub every: bool,
    /// Which requests it speaks of.
    pub subject: Subject,
    /// What is said of them.
    pub says: Says,
    /// As it is written.
    pub shown: Arc<str>,
    /// Its line.
    pub loc: Loc,
}

/// The requests that a claim speaks of.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Subject {
    /// `to pool admin`: those that reach an endpoint of it.
    pub pool: Option<PoolKey>,
    /// `to https://host/…`, `to host.example.com`
    pub host: Option<HostPattern>,
    /// `to https://host/admin/*`, `to /admin/*`
    pub path: Option<PathPattern>,
    /// `when …`, `from …`: what holds of them.
    pub when: Vec<Cond>,
}

/// What a claim says of its requests.
#[derive(Clone, Debug, PartialEq)]
pub enum Says {
    /// Nothing: `no request to pool admin from [0.0.0.0/0]`.
    There,
    /// `passes auth.session, office`: all of them.
    Passes(Vec<Policy>),
    /// `reaches pool admin`
    Reaches(PoolKey),
    /// `gets …`
    Gets(Gets),
}

/// A policy that a claim names.
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    /// As it is called there.
    pub name: Arc<str>,
    /// As [`crate::tree::ir::Use::policy`].
    pub policy: (FileId, Arc<str>),
}

/// What the gateway itself answers.
#[derive(Clone, Debug, PartialEq)]
pub enum Gets {
    /// `gets 403`: with this status, whatever the form.
    Status(u16),
    /// `gets redirect [308] [URL]`
    Redirect(Option<u16>, Option<Arc<str>>),
    /// `gets deny [403]`
    Deny(Option<u16>),
    /// `gets respond [200]`
    Respond(Option<u16>),
}

/// What came of a claim.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// It holds; whether any request is meant at all.
    Holds {
        /// `false` where the claim speaks of no request that is there.
        meant: bool,
    },
    /// A request that shows the contrary.
    Refuted(Box<Counter>),
    /// It cannot be decided, for this reason.
    Undecided(String),
}

/// A request that refutes a claim, replayed through program and interpreter.
#[derive(Clone, Debug, PartialEq)]
pub struct Counter {
    /// The request, as it would be asked of `sluice explain`.
    pub request: String,
    /// What becomes of it, in words that say why the claim is false.
    pub why: String,
    /// The line of the route that shows it.
    pub at: Loc,
    /// The way of the request, as `sluice explain` tells it.
    pub lines: Vec<Line>,
}
