//! Addresses: both families, every address of the machine, a port that somebody else has.

use sluice_tests::endpoint::{Client, Named, NamedUdp, reaches};
use sluice_tests::sluice::says;
use sluice_tests::{Sluice, ports, wait};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, UdpSocket};
use std::time::Duration;

#[test]
fn a_bare_port_is_every_address_and_answers_come_from_the_one_that_was_asked() {
    let (a, u) = (Named::start("a"), NamedUdp::start("u"));
    let port = ports::free();
    let route = format!(
        "pool a = {}\npool u = {}\ntcp :{port} -> a\nudp :{port} {{\n    idle 30s\n    limit 1000/s per client.ip\n    -> u\n}}\n",
        a.addr(),
        u.addr()
    );
    let sluice = Sluice::setup().workers(2).file("a.route", route).start();
    let addresses: [IpAddr; 4] = [
        Ipv4Addr::LOCALHOST.into(),
        Ipv4Addr::new(127, 0, 16, 1).into(),
        Ipv4Addr::new(127, 9, 9, 9).into(),
        Ipv6Addr::LOCALHOST.into(),
    ];
    for ip in addresses {
        let to = SocketAddr::new(ip, port);
        let client = reaches(to);
        let from = client.wire.local();
        drop(client);
        let record = sluice.record_of(from);
        assert_eq!(record["local"], to.to_string(), "{record}");
        let any: IpAddr = if ip.is_ipv4() { Ipv4Addr::LOCALHOST.into() } else { Ipv6Addr::LOCALHOST.into() };
        let socket = UdpSocket::bind((any, 0)).unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
        // Not connected: it would hear an answer from any address.
        let mut piece = [0; 64];
        let (n, answered) = wait::until("an answer", || {
            socket.send_to(b"hello", to).unwrap();
            socket.recv_from(&mut piece).ok()
        });
        assert_eq!((&piece[..n], answered), (b"u:hello".as_slice(), to));
    }
}

#[test]
fn ipv6_endpoints_and_an_ipv4_client() {
    let endpoint = SocketAddr::new(Ipv6Addr::LOCALHOST.into(), ports::free());
    let a = Named::on(endpoint, "six", None);
    let u = NamedUdp::on(SocketAddr::new(Ipv6Addr::LOCALHOST.into(), ports::free()), "six");
    let port = ports::free();
    let route = format!(
        "pool a = {}\npool u = {}\ntcp 127.0.0.1:{port} -> a\nudp 127.0.0.1:{port} {{\n    idle 30s\n    limit 1000/s per client.ip\n    -> u\n}}\n",
        a.addr(),
        u.addr()
    );
    let _sluice = Sluice::with(route);
    let to = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    assert_eq!(reaches(to).name, "six");
    assert_eq!(sluice_tests::endpoint::reaches_udp(Ipv4Addr::LOCALHOST, to).1, "six");
}

#[test]
fn a_port_that_somebody_has_is_told_and_everything_else_serves() {
    let a = Named::start("a");
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let (there, free) = (taken.local_addr().unwrap(), ports::free());
    let pool = format!("pool a = {}\n", a.addr());
    let sluice = Sluice::setup().file("a.route", format!("{pool}tcp 127.0.0.1:{free} -> a\n")).start();
    let to = SocketAddr::from((Ipv4Addr::LOCALHOST, free));
    let mut kept = reaches(to);
    sluice.write("b.route", format!("pool a = {}\ntcp {there} -> a\n{}", a.addr(), says("b.test", "b")));
    let port = there.port().to_string();
    sluice.says("that the port is taken", |line| line.contains(&port) && line.contains("is taken"));
    // The rest of the file, and of the gateway, serves.
    sluice.serves("b.test", "/", |reply| reply.text() == "b");
    assert!(kept.echoes("still here"));
    drop(taken);
    // It is asked for again without anybody's doing.
    assert_eq!(reaches(there).name, "a");
    assert_eq!(Client::connect(to).expect("served").name, "a");
}
