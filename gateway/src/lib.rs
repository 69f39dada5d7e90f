//! The gateway: a control plane that turns route files into programs, and a data plane that
//! answers requests by them. They share nothing but the published snapshot.

pub mod cli;
pub mod console;
pub mod sites;
