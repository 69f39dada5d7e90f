//! Requests of one HTTP/2 connection go to different endpoints, and many connections of clients share few to
//! an endpoint: h2load before, origins that count behind.

use sluice_tests::h2_origin::{H2Origin, Manners, Seen};
use sluice_tests::peer;
use sluice_tests::{Sluice, wait};
use std::net::SocketAddr;

const REQUESTS: u64 = 3000;

fn gateway(addrs: &[SocketAddr], lines: &str, workers: usize) -> Sluice {
    let endpoints: String = addrs.iter().map(|addr| format!("    {addr}\n")).collect();
    let route = format!(
        "pool origins {{\n{endpoints}    protocol h2c\n{lines}}}\n\nsite a.test {{\n    http allowed\n    else -> origins\n}}\n"
    );
    Sluice::setup().workers(workers).file("a.route", route).start()
}

/// Loads the gateway with h2load over so many connections; every request must be answered 200.
#[track_caller]
fn h2load(sluice: &Sluice, connections: usize, streams: usize) {
    let mut h2load = peer::command("h2load", "nghttp2-client");
    h2load.args(["-n", &REQUESTS.to_string(), "-c", &connections.to_string(), "-m", &streams.to_string()]);
    h2load.args([&format!("--connect-to={}", sluice.https), "https://a.test/"]);
    let said = peer::succeed(&mut h2load);
    let all = format!("{REQUESTS} succeeded, 0 failed, 0 errored, 0 timeout");
    assert!(said.contains(&all) && said.contains(&format!("{REQUESTS} 2xx")), "{said}");
}

#[track_caller]
fn told(what: &str, origins: &[H2Origin]) -> Vec<Seen> {
    let seen: Vec<Seen> = origins.iter().map(H2Origin::seen).collect();
    println!("{what}: {seen:?}");
    assert_eq!(seen.iter().map(|s| s.requests).sum::<u64>(), REQUESTS);
    seen
}

fn origins<const N: usize>(manners: Manners) -> [H2Origin; N] {
    std::array::from_fn(|i| H2Origin::start(&format!("origin {i}"), manners))
}

#[test]
fn one_client_connection_reaches_every_endpoint() {
    let origins = origins::<3>(Manners::default());
    let sluice = gateway(&origins.each_ref().map(H2Origin::addr), "", 2);
    h2load(&sluice, 1, 32);
    for seen in told("1 connection of 32 streams, by turn", &origins) {
        assert_eq!(seen.requests, REQUESTS / 3, "each third request");
        assert!(seen.connections <= 2, "{seen:?}");
    }
}

#[test]
fn weights_count_for_requests() {
    let origins = origins::<2>(Manners::default());
    let [a, b] = origins.each_ref().map(H2Origin::addr);
    let route = format!(
        "pool origins {{\n    {a} weight 3\n    {b}\n    protocol h2c\n}}\n\nsite a.test {{\n    else -> origins\n}}\n"
    );
    let sluice = Sluice::setup().workers(2).file("a.route", route).start();
    h2load(&sluice, 1, 16);
    let seen = told("weights 3 and 1", &origins);
    assert!(seen[0].requests.abs_diff(REQUESTS * 3 / 4) <= 2, "{seen:?}");
}

/// Forty connections of clients, two workers: as many connections to an endpoint as there are workers.
#[test]
fn many_clients_share_few_connections() {
    let origins = origins::<2>(Manners { streams: Some(1000), ..Manners::default() });
    let sluice = gateway(&origins.each_ref().map(H2Origin::addr), "    balance least-requests\n", 2);
    h2load(&sluice, 40, 4);
    for seen in told("40 connections of 4 streams", &origins) {
        assert!(seen.connections <= 4, "{seen:?}");
        assert!(seen.requests > REQUESTS / 3, "{seen:?}");
    }
}

/// An origin that takes two requests at a time on a connection gets no third; nobody is refused.
#[test]
fn limit_of_an_origin_is_kept() {
    let origins = origins::<1>(Manners { streams: Some(2), ..Manners::default() });
    let sluice = gateway(&origins.each_ref().map(H2Origin::addr), "", 1);
    h2load(&sluice, 8, 8);
    let seen = told("two streams a connection", &origins);
    assert!(seen[0].connections >= 2, "{seen:?}");
}

/// Origins that say GOAWAY after a hundred requests, as servers do that are being replaced: no request fails.
#[test]
fn goaway_costs_no_request() {
    let origins = origins::<3>(Manners { requests_per_connection: Some(100), ..Manners::default() });
    let sluice = gateway(&origins.each_ref().map(H2Origin::addr), "", 2);
    h2load(&sluice, 4, 16);
    for seen in told("GOAWAY after 100", &origins) {
        assert!(seen.connections >= 5, "{seen:?}");
    }
    wait::until("nothing is under way", || origins.iter().all(|o| o.seen().now == 0).then_some(()));
}
