//! A flood of new flows from addresses that nobody answers for. Alone in its process: the sockets of
//! flows are bounded over all workers.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

#[path = "../udp/support.rs"]
#[allow(dead_code)]
mod support;

use sluice::l4::End;
use std::net::{Ipv4Addr, UdpSocket};
use support::{Client, Rig, Server, endpoints, eventually, item};

/// Flows that a worker holds for a listener.
const CAPACITY: u64 = 131_072;

/// Sends a datagram from another address each time.
fn flood(rig: &Rig, from: u32, count: u32) {
    for n in from..from + count {
        let ip = Ipv4Addr::from(0x7f40_0000 + n);
        UdpSocket::bind((ip, 4_000)).unwrap().send_to(b"flood", rig.address).unwrap();
        if n % 512 == 0 {
            // Not faster than it is taken: what the kernel drops floods nobody.
            eventually("the flood is taken", || rig.begun() + 1_024 > u64::from(n));
        }
    }
}

#[test]
fn a_flood_of_new_flows_evicts_no_live_flow_and_grows_nothing() {
    // Half of what arrives is answered, which makes half of the flood look alive.
    let servers: Vec<_> = (0..12)
        .map(|n| Server::on("127.0.0.1:0", move |bytes, _| (n % 2 == 0 || bytes != b"flood").then(|| bytes.to_vec())))
        .collect();
    let rig = Rig::new(&item("idle 10m\n-> p", &endpoints(&servers.iter().collect::<Vec<_>>())));
    let live: Vec<Client> = (0..60).map(|_| rig.client()).collect();
    let ask = || live.iter().enumerate().all(|(n, client)| client.ask(&n.to_be_bytes()) == n.to_be_bytes());
    assert!(ask());
    let open = || rig.begun() - rig.ended();
    flood(&rig, 0, 100_000);
    assert!(ask());
    flood(&rig, 100_000, 60_000);
    eventually("the table is full", || rig.ends(End::TableFull) > 0);
    assert!(open() <= CAPACITY, "{}", open());
    assert!(ask(), "who is live is heard while the table is full");
    // New clients get in at the cost of flows that nobody answered.
    for _ in 0..20 {
        rig.client().ask_again(b"new");
    }
    assert!(ask());
    assert!(open() <= CAPACITY, "{}", open());
    // Each live flow had one port from its first datagram to its last.
    for server in &servers {
        let seen = server.seen.lock().unwrap().clone();
        let live = seen.iter().take(5).collect::<std::collections::HashSet<_>>();
        assert_eq!(live.len(), 5);
        assert!(live.iter().all(|port| seen.iter().filter(|p| p == port).count() >= 4));
    }
}
