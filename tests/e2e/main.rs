//! The program from outside: what a client, an origin and an operator's terminal see.

// A test fails by panicking, with the place and the reason.
#![allow(clippy::unwrap_used)]

mod acme;
mod attack_h1;
mod attack_h2;
mod attack_slow;
mod balance;
mod cli;
mod documentation;
mod edge_auth;
mod edge_limits;
mod editor;
mod files;
mod fmt;
mod forwarding;
mod framing;
mod l4_addresses;
mod l4_balance;
mod l4_counts;
mod l4_dns;
mod l4_drain;
mod l4_ends;
mod l4_examples;
mod l4_health;
mod l4_hello;
mod l4_iperf;
mod l4_mqtt;
mod l4_postgres;
mod l4_proxy;
mod l4_quic;
mod l4_quinn;
mod l4_ssh;
mod l4_storm;
mod l4_trouble;
mod l4_web;
mod lsp;
mod names;
mod on_demand;
mod origin_trouble;
mod peers_examples;
mod peers_faults;
mod peers_grpc;
mod peers_spread;
mod peers_web;
mod reload;
mod routing;
mod secrets;
mod storm;
mod streaming;
mod tables;
mod tenants;
mod tls;
mod tls_tickets;
mod websocket;
