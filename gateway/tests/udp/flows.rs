//! What goes through, and where.

use crate::support::{Client, Rig, Server, endpoints, eventually, item};
use sluice::l4::End;
use std::collections::HashSet;
use std::time::Duration;

#[test]
fn datagrams_go_through_and_are_counted() {
    let server = Server::named("a");
    let rig = Rig::new(&item("idle 60s\n-> p", &endpoints(&[&server])));
    let client = rig.client();
    assert_eq!(client.ask(b"one"), b"a:one");
    assert_eq!(client.ask(b"two"), b"a:two");
    assert_eq!(server.askers().len(), 1, "a flow keeps its port");
    let counts = rig.counts();
    assert_eq!((rig.begun(), rig.ended()), (1, 0));
    assert_eq!((counts.sum(|s| &s.datagrams_in), counts.sum(|s| &s.datagrams_out)), (2, 2));
    assert_eq!((counts.sum(|s| &s.bytes_in), counts.sum(|s| &s.bytes_out)), (6, 10));
}

#[test]
fn empty_and_largest_datagrams_pass() {
    let server = Server::echo();
    let rig = Rig::new(&item("idle 60s\n-> p", &endpoints(&[&server])));
    let client = rig.client();
    assert_eq!(client.ask(b""), b"");
    let largest: Vec<u8> = (0..65_507_u32).map(|n| n as u8).collect();
    assert!(client.ask(&largest) == largest);
    assert_eq!(client.ask(b""), b"");
}

#[test]
fn each_client_gets_its_own_answers() {
    let servers = [Server::echo(), Server::echo(), Server::echo()];
    let rig = Rig::with(&item("idle 60s\n-> p", &endpoints(&servers.iter().collect::<Vec<_>>())), 2);
    let clients: Vec<_> =
        (0..200).map(|n| (Client::at(format!("127.0.{}.{}:0", n / 100, 1 + n % 100), rig.address), n)).collect();
    for round in 0..5 {
        for (client, n) in &clients {
            client.send(format!("{round} {n}").as_bytes());
        }
        for (client, n) in &clients {
            assert_eq!(client.receive(), format!("{round} {n}").as_bytes());
        }
    }
    assert_eq!(rig.begun(), 200);
    assert_eq!(servers.iter().map(|s| s.askers().len()).sum::<usize>(), 200);
}

#[test]
fn flows_to_different_endpoints_share_ports() {
    let servers: Vec<_> = (0..4).map(|_| Server::echo()).collect();
    let rig = Rig::new(&item("idle 60s\n-> p", &endpoints(&servers.iter().collect::<Vec<_>>())));
    let clients: Vec<_> = (0..40).map(|_| rig.client()).collect();
    for client in &clients {
        assert_eq!(client.ask(b"x"), b"x");
    }
    let ports: HashSet<_> = servers.iter().flat_map(Server::askers).collect();
    assert_eq!(servers.iter().map(|s| s.askers().len()).sum::<usize>(), 40);
    assert_eq!(ports.len(), 10);
}

#[test]
fn answers_leave_from_the_address_that_was_reached() {
    let server = Server::echo();
    let rig = Rig::new(&format!("udp :0 {{\nidle 60s\n-> p\n}}\npool p {{\n{}\n}}\n", server.address));
    let port = rig.address.port();
    for reached in ["127.0.0.1", "127.0.0.2", "127.3.2.1"] {
        // `receive` looks at the address that the answer comes from.
        let client = Client::at("127.0.0.1:0", format!("{reached}:{port}").parse().unwrap());
        assert_eq!(client.ask(b"from where?"), b"from where?");
    }
}

#[test]
fn one_client_port_has_a_flow_for_each_address_that_it_reached() {
    let server = Server::echo();
    let rig = Rig::new(&format!("udp :0 {{\nidle 60s\n-> p\n}}\npool p {{\n{}\n}}\n", server.address));
    let port = rig.address.port();
    let client = Client::at("127.0.0.1:0", format!("127.0.0.1:{port}").parse().unwrap());
    client.ask(b"x");
    client.socket.send_to(b"y", ("127.0.0.2", port)).unwrap();
    let (_, from) = client.socket.recv_from(&mut [0; 8]).unwrap();
    assert_eq!(from.to_string(), format!("127.0.0.2:{port}"));
    assert_eq!(rig.begun(), 2);
}

#[test]
fn version_six_goes_through() {
    let server = Server::on("[::1]:0", |bytes, _| Some(bytes.to_vec()));
    let rig = Rig::new(&format!("udp [::1]:0 {{\nidle 60s\n-> p\n}}\npool p {{\n{}\n}}\n", server.address));
    let client = Client::at("[::1]:0", rig.address);
    assert_eq!(client.ask(b"six"), b"six");
    let mixed = Server::echo();
    let rig = Rig::new(&format!("udp [::1]:0 {{\nidle 60s\n-> p\n}}\npool p {{\n{}\n}}\n", mixed.address));
    let client = Client::at("[::1]:0", rig.address);
    assert_eq!(client.ask(b"six to four"), b"six to four");
}

#[test]
fn a_quiet_flow_ends() {
    let server = Server::echo();
    let rig = Rig::new(&item("idle 200ms\n-> p", &endpoints(&[&server])));
    let client = rig.client();
    client.ask(b"x");
    eventually("the flow ends", || rig.ends(End::Idle) == 1);
    client.ask(b"x");
    assert_eq!(rig.begun(), 2);
    eventually("the second one too", || rig.ends(End::Idle) == 2);
}

#[test]
fn a_flow_ends_after_its_lifetime() {
    let server = Server::echo();
    let rig = Rig::new(&item("idle 60s\nlifetime 300ms\n-> p", &endpoints(&[&server])));
    let client = rig.client();
    client.ask(b"x");
    eventually("its lifetime is over", || {
        // An answer that is under way at the end of its flow is lost: none is waited for.
        client.send(b"x");
        rig.ends(End::Lifetime) > 0
    });
}

#[test]
fn a_client_address_keeps_its_endpoint_over_ports_and_workers() {
    let servers = [Server::named("a"), Server::named("b"), Server::named("c")];
    let rig =
        Rig::with(&item("idle 60s\nflow per client.ip\n-> p", &endpoints(&servers.iter().collect::<Vec<_>>())), 2);
    let mut used = HashSet::new();
    for host in 1..10 {
        let clients: Vec<_> = (0..20).map(|_| Client::at(format!("127.0.9.{host}:0"), rig.address)).collect();
        let answers: HashSet<_> = clients.iter().map(|c| c.ask(b"who?")).collect();
        assert_eq!(answers.len(), 1, "one client, one endpoint");
        used.extend(answers);
    }
    assert_eq!(used.len(), 3, "clients are spread");
}

#[test]
fn hashed_clients_keep_their_endpoint() {
    let servers = [Server::named("a"), Server::named("b"), Server::named("c")];
    let pool = format!("{}balance maglev client.ip", endpoints(&servers.iter().collect::<Vec<_>>()));
    let rig = Rig::with(&item("idle 60s\n-> p", &pool), 2);
    for host in 1..30 {
        let answers: HashSet<_> =
            (0..4).map(|_| Client::at(format!("127.0.8.{host}:0"), rig.address).ask(b"who?")).collect();
        assert_eq!(answers.len(), 1);
    }
}

#[test]
fn what_no_rule_takes_is_dropped() {
    let server = Server::echo();
    let rig = Rig::new(&item(
        "idle 60s\nwhen client.ip in [127.0.0.2/32] -> deny\nwhen client.ip in [127.0.0.1/32] -> p",
        &endpoints(&[&server]),
    ));
    let (denied, nowhere) = (Client::at("127.0.0.2:0", rig.address), Client::at("127.0.0.3:0", rig.address));
    denied.send(b"x");
    nowhere.send(b"x");
    assert_eq!(rig.client().ask(b"x"), b"x");
    eventually("both are counted", || (rig.ends(End::Denied), rig.ends(End::NoRoute)) == (1, 1));
    assert_eq!(rig.dropped(), 2);
}

#[test]
fn nobody_else_is_heard() {
    let server = Server::echo();
    let rig = Rig::new(&item("idle 60s\n-> p", &endpoints(&[&server])));
    let client = rig.client();
    client.ask(b"x");
    let port = server.askers()[0];
    for stranger in ["127.0.0.1:0", "127.0.0.7:0"] {
        std::net::UdpSocket::bind(stranger).unwrap().send_to(b"poison", port).unwrap();
    }
    // What comes next is what was asked for.
    assert_eq!(client.ask(b"y"), b"y");
    assert!(client.hears_nothing());
}

#[test]
fn bursts_arrive_whole_and_in_order() {
    let server = Server::echo();
    let rig = Rig::new(&item("idle 60s\n-> p", &endpoints(&[&server])));
    let clients: Vec<_> = (0..4).map(|_| rig.client()).collect();
    for size in [1_usize, 100, 1200, 1472, 9000] {
        for round in 0..10_u8 {
            // Equal lengths, and a shorter one at the end, as runs are made of; clients interleaved.
            for n in 0..16_u8 {
                for (c, client) in clients.iter().enumerate() {
                    let len = if n == 15 { size.div_ceil(2) } else { size };
                    let mut bytes = vec![n.wrapping_mul(7) ^ round; len + 3];
                    bytes[..3].copy_from_slice(&[c as u8, round, n]);
                    client.send(&bytes);
                }
            }
            for n in 0..16_u8 {
                for (c, client) in clients.iter().enumerate() {
                    let bytes = client.receive();
                    let len = if n == 15 { size.div_ceil(2) } else { size };
                    assert_eq!(bytes[..3], [c as u8, round, n]);
                    assert!(bytes.len() == len + 3 && bytes[3..].iter().all(|b| *b == n.wrapping_mul(7) ^ round));
                }
            }
        }
    }
}

#[test]
fn a_name_of_the_machine_itself_is_known_at_once() {
    let server = Server::echo();
    let rig = Rig::new(&item("idle 60s\n-> p", &format!("localhost:{}", server.address.port())));
    let client = rig.client();
    for n in 0..5_u8 {
        client.send(&[n]);
    }
    for n in 0..5_u8 {
        assert_eq!(client.receive(), [n]);
    }
    assert_eq!(rig.begun(), 1);
}

#[test]
fn a_refusing_endpoint_is_left() {
    let (gone, server) = (Server::named("gone").close(), Server::named("b"));
    let pool = format!("{gone}\n{}", server.address);
    let rig = Rig::new(&item("idle 60s\n-> p", &pool));
    for _ in 0..6 {
        // Whoever got the closed port has the other one at its next datagram.
        assert_eq!(rig.client().ask_again(b"x"), b"b:x");
    }
    let told = rig.notices.recv_timeout(Duration::from_secs(20)).unwrap().to_string();
    assert_eq!(told, format!("origin {gone} of pool p: datagrams are refused"));
    assert!(rig.ends(End::ConnectFailed) > 0);
}
