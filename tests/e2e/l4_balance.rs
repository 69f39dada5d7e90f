//! Which endpoint a connection or flow comes to, from outside.

use sluice_tests::endpoint::{Client, Flow, Named, NamedUdp, reaches, reaches_udp};
use sluice_tests::{Sluice, ports, wait};
use std::collections::{BTreeMap, HashMap};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

/// How many clients there are, each with an address of its own.
const CLIENTS: u8 = 60;

/// Where the clients are.
fn clients() -> impl Iterator<Item = Ipv4Addr> {
    (1..=CLIENTS).map(|i| Ipv4Addr::new(127, 0, 2, i))
}

/// Who answers whom: a new flow for each client, which asks again when a datagram is lost.
#[track_caller]
fn who_answers(to: SocketAddr) -> BTreeMap<Ipv4Addr, (String, Flow)> {
    let ask = |client: Ipv4Addr| (client, reaches_udp(client, to));
    clients().map(ask).map(|(client, (flow, name))| (client, (name, flow))).collect()
}

fn names(map: &BTreeMap<Ipv4Addr, (String, Flow)>) -> BTreeMap<Ipv4Addr, String> {
    map.iter().map(|(client, (name, _))| (*client, name.clone())).collect()
}

fn local(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

#[test]
fn maglev_moves_only_the_clients_of_the_endpoint_that_goes() {
    let mut endpoints = ["a", "b", "c"].map(NamedUdp::start);
    let port = ports::free();
    let lines: String = endpoints.iter().map(|e| format!("    {}\n", e.addr())).collect();
    let route = format!(
        "pool game {{\n{lines}    balance maglev client.ip\n    check udp send \"ping\" every 300ms within 250ms rise 1 fall 2\n}}\n\
         udp 127.0.0.1:{port} {{\n    idle 60s\n    limit 1000/s burst 1000 per client.ip\n    -> game\n}}\n"
    );
    let sluice = Sluice::setup().workers(2).file("game.route", route).start();
    let to = local(port);

    let before = who_answers(to);
    let mut shares = HashMap::new();
    names(&before).into_values().for_each(|name| *shares.entry(name).or_insert(0) += 1);
    assert!(shares.len() == 3 && shares.values().all(|n| *n > 6), "every endpoint has its part: {shares:?}");
    assert_eq!(names(&who_answers(to)), names(&before), "another flow of the same client comes to the same endpoint");

    // One goes. Its clients' new flows come to others, nobody else's do.
    let gone = endpoints[1].addr();
    endpoints[1].stop();
    let during = wait::until("the check has seen that an endpoint is gone", || {
        let found = names(&who_answers(to));
        found.values().all(|name| name != "b").then_some(found)
    });
    for (client, (name, flow)) in &before {
        if name != "b" {
            assert_eq!(&during[client], name, "{client} moved and did not have to");
            let still = flow.asks("still there", wait::PATIENCE);
            assert_eq!(still.as_ref(), Some(name), "{client}: a flow that was there stays where it is");
        }
    }

    // It comes back, and so do its clients.
    endpoints[1] = NamedUdp::on(gone, "b");
    wait::until("the clients come back", || (names(&who_answers(to)) == names(&before)).then_some(()));
    drop(sluice);
}

#[test]
fn maglev_by_the_address_of_a_tcp_client() {
    let endpoints = ["a", "b", "c"].map(Named::start);
    let port = ports::free();
    let lines: String = endpoints.iter().map(|e| format!("    {}\n", e.addr())).collect();
    let pool = |lines: &str| format!("pool p {{\n{lines}    balance maglev client.ip\n}}\ntcp 127.0.0.1:{port} -> p\n");
    let sluice = Sluice::setup().workers(2).file("a.route", pool(&lines)).start();
    let to = local(port);
    reaches(to);
    let ask = || clients().map(|client| (client, Client::from(client, to).expect("an answer").name)).collect();
    let before: BTreeMap<Ipv4Addr, String> = ask();
    assert_eq!(ask(), before);
    // An endpoint leaves the file: a reload, and only its clients move.
    sluice.write("a.route", pool(&lines.replace(&format!("    {}\n", endpoints[2].addr()), "")));
    let after = wait::until("nobody comes to the endpoint that was removed", || {
        let found = ask();
        found.values().all(|name| name != "c").then_some(found)
    });
    for (client, name) in &before {
        assert!(name == "c" || &after[client] == name, "{client} moved from {name} to {}", after[client]);
    }
    sluice.write("a.route", pool(&lines));
    wait::until("the clients come back", || (ask() == before).then_some(()));
}

#[test]
fn round_robin_by_weight_least_connections_and_backup() {
    let [a, b, c] = ["a", "b", "c"].map(Named::start);
    let [turns, least, spare] = [0; 3].map(|_| ports::free());
    let route = format!(
        "pool turns {{\n    {a} weight 3\n    {b}\n    {c} backup\n}}\n\
         pool least {{\n    {a}\n    {b}\n    balance least-connections\n}}\n\
         pool spare {{\n    {nobody}\n    {c} backup\n    check tcp every 200ms within 150ms rise 1 fall 1\n}}\n\
         tcp 127.0.0.1:{turns} -> turns\ntcp 127.0.0.1:{least} -> least\ntcp 127.0.0.1:{spare} -> spare\n",
        a = a.addr(),
        b = b.addr(),
        c = c.addr(),
        nobody = local(ports::free()),
    );
    let _sluice = Sluice::with(route);
    for port in [turns, least, spare] {
        reaches(local(port));
    }
    let count = |names: Vec<String>| {
        let mut counts = BTreeMap::new();
        names.into_iter().for_each(|name| *counts.entry(name).or_insert(0) += 1);
        counts
    };
    let round: Vec<_> = (0..40).map(|_| Client::connect(local(turns)).unwrap().name).collect();
    assert_eq!(count(round), BTreeMap::from([("a".into(), 30), ("b".into(), 10)]));

    // Ten that stay open are shared out evenly; those that end make room for the next.
    let mut open: Vec<_> = (0..10).map(|_| Client::connect(local(least)).unwrap()).collect();
    assert_eq!(count(open.iter().map(|c| c.name.clone()).collect()).into_values().collect::<Vec<_>>(), [5, 5]);
    let ended = a.seen().get().ended;
    open.retain(|client| client.name != "a");
    a.seen().wait(wait::PATIENCE, |s| (s.ended >= ended + 5).then_some(())).expect("they end at the endpoint too");
    // The gateway may learn of an end a moment after the endpoint did.
    wait::until("the next five come to a", || {
        let next: Vec<_> = (0..5).map(|_| Client::connect(local(least)).unwrap()).collect();
        next.iter().all(|client| client.name == "a").then_some(())
    });

    for _ in 0..10 {
        assert_eq!(Client::connect(local(spare)).unwrap().name, "c");
    }
}

#[test]
fn udp_flow_by_address_keeps_the_ports_of_a_client_together() {
    let endpoints = ["a", "b", "c"].map(NamedUdp::start);
    let [by_connection, by_address] = [0; 2].map(|_| ports::free());
    let lines: String = endpoints.iter().map(|e| format!("    {}\n", e.addr())).collect();
    let route = format!(
        "pool p {{\n{lines}}}\n\
         udp 127.0.0.1:{by_connection} {{\n    idle 60s\n    limit 1000/s per client.ip\n    -> p\n}}\n\
         udp 127.0.0.1:{by_address} {{\n    idle 60s\n    flow per client.ip\n    limit 1000/s per client.ip\n    -> p\n}}\n"
    );
    let _sluice = Sluice::with(route);
    let client = Ipv4Addr::new(127, 0, 3, 1);
    let found = |port: u16| {
        let flows: Vec<_> = (0..12).map(|_| reaches_udp(client, local(port))).collect();
        let mut names: Vec<_> = flows.into_iter().map(|(_, name)| name).collect();
        names.sort();
        names.dedup();
        names.len()
    };
    assert_eq!(found(by_connection), 3, "each socket is a flow, and the turns go round");
    assert_eq!(found(by_address), 1, "all sockets of an address are one flow");
    // Each of its sockets hears its own answers.
    let flows: Vec<_> = (0..8).map(|_| Flow::from(client, local(by_address))).collect();
    for (i, flow) in flows.iter().enumerate() {
        flow.send(format!("from {i}"));
    }
    for (i, flow) in flows.iter().enumerate() {
        let answer = flow.receive(Duration::from_secs(5)).map(|a| String::from_utf8(a).unwrap());
        assert!(answer.as_ref().is_some_and(|a| a.ends_with(&format!(":from {i}"))), "{i} hears {answer:?}");
    }
}
