//! The program from outside: what a client, an origin and an operator's terminal see.

// A test fails by panicking, with the place and the reason.
#![allow(clippy::unwrap_used)]

mod attack_h1;
mod attack_h2;
mod attack_slow;
mod cli;
mod documentation;
mod files;
mod forwarding;
mod framing;
mod origin_trouble;
mod reload;
mod routing;
mod storm;
mod tls;
