//! The gateway: a control plane that turns route files into programs, and a data plane that
//! answers requests by them. They share nothing but the published snapshot.

pub mod answer;
mod base64url;
pub mod cli;
pub mod console;
pub mod countries;
pub mod edge;
mod files;
pub mod http;
pub mod l4;
pub mod limit;
pub mod listen;
pub mod lsp;
pub mod observe;
pub mod runtime;
pub mod secrets;
pub mod sites;
pub mod snapshot;
pub mod tls;
pub mod upstream;
