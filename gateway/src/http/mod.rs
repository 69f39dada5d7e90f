//! HTTP: the strict gate, the servers, and the exchange of one request.

pub mod again;
pub mod body;
pub mod client;
pub mod exchange;
pub mod forward;
pub mod gate;
pub mod grpc;
pub mod h1;
pub mod h2;
pub mod headers;
pub mod judge;
pub mod received;
pub mod unread;
pub mod upgrade;
