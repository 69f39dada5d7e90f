//! Test support: the program run from outside, origins with real sockets, clients that may misbehave.
//!
//! Nothing here knows the gateway's code: what the tests see is what a client, an origin and an
//! operator's terminal see.

// A helper that cannot do its work ends the test, with the place and the reason.
#![allow(clippy::unwrap_used)]

pub mod acme;
pub mod authority;
pub mod client;
pub mod dns;
pub mod endpoint;
pub mod faults;
pub mod h2_origin;
pub mod h2raw;
pub mod l4_storm;
pub mod observed;
pub mod origin;
pub mod pages;
pub mod pebble;
pub mod peer;
pub mod pki;
pub mod ports;
pub mod slow;
pub mod sluice;
pub mod storm;
pub mod tls;
pub mod wait;
pub mod wire;

pub use origin::Origin;
pub use sluice::Sluice;
pub use wire::Wire;
