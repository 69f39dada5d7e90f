//! `limits { per-client N }`: connections of one client, over all listeners and workers.

use sluice_tests::endpoint::{Client, Named, dial};
use sluice_tests::observed::Metrics;
use sluice_tests::sluice::says;
use sluice_tests::wire::Wire;
use sluice_tests::{Sluice, ports, wait};
use std::net::{Ipv4Addr, SocketAddr};

const LIMIT: usize = 3;
const ONE: Ipv4Addr = Ipv4Addr::new(127, 0, 15, 1);
const OTHER: Ipv4Addr = Ipv4Addr::new(127, 0, 15, 2);
const BALANCER: Ipv4Addr = Ipv4Addr::new(127, 0, 14, 1);

/// A connection that has had an answer, after these first bytes; `None`: it was closed.
fn served(from: Ipv4Addr, to: SocketAddr, first: &str) -> Option<Wire> {
    let mut wire = dial(from, to).ok()?;
    wire.try_send(format!("{first}GET / HTTP/1.1\r\nHost: a.test\r\n\r\n")).ok()?;
    let reply = wire.try_reply("GET")?;
    assert_eq!((reply.status, &*reply.text()), (200, "hello"));
    Some(wire)
}

/// The program with three workers and one more listener, and its metrics.
fn start(limits: &str, endpoint: &Named) -> (Sluice, SocketAddr, SocketAddr) {
    let [tcp, metrics] = [0; 2].map(|_| SocketAddr::from((Ipv4Addr::LOCALHOST, ports::free())));
    let lines = format!("    {limits}\n    proxy-protocol from [127.0.14.0/24]\n    metrics {metrics}");
    let route = format!("pool other = {}\ntcp {tcp} -> other\n", endpoint.addr());
    let setup = Sluice::setup().workers(3).gateway(&lines);
    (setup.file("a.route", says("a.test", "hello")).file("tcp.route", route).start(), tcp, metrics)
}

fn refused(metrics: SocketAddr) -> usize {
    Metrics::of(metrics).sum("sluice_client_connections_refused_total", &[]) as usize
}

#[test]
fn one_client_has_so_many_connections_over_all_listeners_and_workers() {
    let endpoint = Named::start("other");
    let (sluice, tcp, metrics) = start("limits { per-client 3 }", &endpoint);
    let mut open: Vec<Wire> = (1..LIMIT).map(|_| served(ONE, sluice.http, "").expect("below the limit")).collect();
    let mut carried = Client::from(ONE, tcp).expect("the last one, on another listener");
    for n in 0..12 {
        let to = if n % 2 == 0 { sluice.http } else { tcp };
        match dial(ONE, to) {
            // Which worker it came to is the system's choice: none of them lets it pass.
            Ok(mut wire) if n % 2 == 0 => assert!(wire.try_send("GET").is_err() || wire.ends().is_err()),
            Ok(wire) => assert!(Client::over(wire).is_none()),
            Err(_) => {}
        }
    }
    assert!(served(OTHER, sluice.http, "").is_some(), "another client is not concerned");
    assert!(carried.echoes("and those that are open go on"));
    for wire in &mut open {
        assert_eq!(wire.send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n").reply().status, 200);
    }
    assert_eq!(refused(metrics), 12);
    let notice = "127.0.15.1 has 3 connections open, which is the limit for a client; further ones are closed";
    sluice.says(notice, |line| line.contains(notice));
    let told = sluice.console().iter().filter(|line| line.contains(notice)).count();
    assert!(told <= 3, "once a worker: {told}");
    // A place comes back with the end of a connection, whoever had it.
    drop(carried);
    open.push(wait::until("a place comes back", || served(ONE, sluice.http, "")));
    assert!(served(ONE, sluice.http, "").is_none());
}

#[test]
fn behind_a_proxy_protocol_the_told_client_counts() {
    let endpoint = Named::start("other");
    let (sluice, _, metrics) = start("limits { per-client 3 }", &endpoint);
    let told = |client: &str| {
        let family = if client.contains(':') { "TCP6" } else { "TCP4" };
        let local = if client.contains(':') { "2001:db8::ffff" } else { "192.0.2.255" };
        served(BALANCER, sluice.http, &format!("PROXY {family} {client} {local} 4000 80\r\n"))
    };
    // More than one client may have come from the balancer.
    let four = ["192.0.2.1", "192.0.2.1", "192.0.2.2", "192.0.2.1", "2001:db8::1", "2001:db8::2", "2001:db8::3"];
    let open: Vec<Wire> = four.iter().map(|client| told(client).expect(client)).collect();
    assert!(told("192.0.2.1").is_none());
    assert!(told("2001:db8::4").is_none(), "one /64 is one client");
    assert!(told("2001:db8:0:1::4").is_some());
    assert!(told("192.0.2.2").is_some());
    assert_eq!(refused(metrics), 2);
    drop(open);
    wait::until("the places come back", || told("2001:db8::4"));
}

#[test]
fn a_limit_comes_and_changes_with_a_reload() {
    let endpoint = Named::start("other");
    let (sluice, _, _) = start("", &endpoint);
    let many: Vec<Wire> = (0..8).map(|_| served(ONE, sluice.http, "").expect("no limit")).collect();
    let gateway = std::fs::read_to_string(sluice.sites().join("gateway.route")).unwrap();
    let limited = gateway.replacen("proxy-protocol", "limits { per-client 1 }\n    proxy-protocol", 1);
    sluice.write("gateway.route", limited);
    // Those before it count for nobody; of those after it one passes at a time.
    wait::until("the limit holds", || {
        let first = served(OTHER, sluice.http, "")?;
        let second = served(OTHER, sluice.http, "");
        drop(first);
        second.is_none().then_some(())
    });
    assert_eq!(many.len(), 8);
}
