//! HTTP: the strict gate, the servers, and the exchange of one request.

pub mod body;
pub mod client;
pub mod exchange;
mod forward;
pub mod gate;
pub mod h1;
pub mod h2;
mod headers;
mod received;
