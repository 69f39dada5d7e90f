//! A real name server behind `udp` and `tcp` on the same port: dig asks, and asks again over TCP when
//! an answer is too large.

use sluice_tests::peer::{self, Peer};
use sluice_tests::sluice::TempDir;
use sluice_tests::{Sluice, ports, wait};
use std::fmt::Write as _;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};

fn nsd(dir: &TempDir) -> (SocketAddr, Peer) {
    let addr = SocketAddr::from((Ipv4Addr::LOCALHOST, ports::free()));
    let mut zone = String::from(
        "$ORIGIN zone.test.\n$TTL 60\n@ SOA ns.zone.test. admin.zone.test. 1 3600 600 86400 60\n@ NS ns\n\
         ns A 127.0.0.1\nwww A 192.0.2.80\nwww AAAA 2001:db8::80\n",
    );
    for i in 0..100 {
        let _ = writeln!(zone, "host{i} A 198.51.100.{i}\nlarge TXT \"line {i} of an answer that fits no datagram\"");
    }
    fs::write(dir.path().join("zone"), zone).unwrap();
    let d = dir.path().display();
    let config = format!(
        "server:\n  ip-address: 127.0.0.1@{}\n  username: \"\"\n  chroot: \"\"\n  zonesdir: \"{d}\"\n  database: \"\"\n  \
         pidfile: \"\"\n  xfrdfile: \"{d}/xfrd\"\n  zonelistfile: \"{d}/list\"\n  xfrdir: \"{d}\"\n  server-count: 1\n\
         remote-control:\n  control-enable: no\nzone:\n  name: zone.test\n  zonefile: zone\n",
        addr.port()
    );
    fs::write(dir.path().join("conf"), config).unwrap();
    peer::give(dir.path());
    let mut command = peer::unprivileged_command("nsd", "nsd");
    let peer = Peer::start(command.arg("-d").arg("-c").arg(dir.path().join("conf"))).listens(addr);
    (addr, peer)
}

/// As resolvers do, it asks again: a machine that floods itself beside this test loses datagrams before
/// anybody sees them (`net.core.netdev_max_backlog`).
#[track_caller]
fn dig(port: u16, args: &[&str]) -> String {
    let mut dig = peer::command("dig", "bind9-dnsutils");
    let port = port.to_string();
    dig.args(["@127.0.0.1", "-p", &port, "+tries=3", "+time=3", "+nocookie"]).args(args);
    peer::succeed(&mut dig)
}

#[test]
fn dig_over_udp_and_over_tcp_when_the_answer_is_large() {
    let dir = TempDir::new();
    let (server, _peer) = nsd(&dir);
    let port = ports::free();
    let route = format!(
        "pool dns {{\n    {server}\n    # A query for zone.test SOA, and any answer to it.\n    check udp send hex \
         \"abcd01000001000000000000047a6f6e6504746573740000060001\" expect hex \"abcd\" every 1s within 1s\n}}\n\
         udp 127.0.0.1:{port} {{\n    idle 5s\n    limit 1000/s per client.ip\n    -> dns\n}}\n\
         tcp 127.0.0.1:{port} {{\n    idle 10s\n    -> dns\n}}\n"
    );
    let sluice = Sluice::with(route);
    wait::until("both listeners are open", || {
        let asks = |how: &str| {
            let mut dig = peer::command("dig", "bind9-dnsutils");
            dig.args(["@127.0.0.1", "-p", &port.to_string(), "+tries=1", "+time=1", "+short", how, "ns.zone.test"]);
            peer::run(&mut dig).stdout == b"127.0.0.1\n"
        };
        (asks("+notcp") && asks("+tcp")).then_some(())
    });

    assert_eq!(dig(port, &["+short", "www.zone.test", "A", "www.zone.test", "AAAA"]), "192.0.2.80\n2001:db8::80\n");
    let unknown = dig(port, &["nobody.zone.test", "A"]);
    assert!(unknown.contains("status: NXDOMAIN"), "{unknown}");
    let elsewhere = dig(port, &["example.org", "A"]);
    assert!(elsewhere.contains("status: REFUSED"), "{elsewhere}");

    // Many at once, each of a socket of its own.
    let answers: Vec<String> = std::thread::scope(|scope| {
        let ask = |i: usize| move || dig(port, &["+short", &format!("host{i}.zone.test"), "A"]);
        let asked: Vec<_> = (0..100).map(|i| scope.spawn(ask(i))).collect();
        asked.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    for (i, answer) in answers.iter().enumerate() {
        assert_eq!(answer, &format!("198.51.100.{i}\n"));
    }

    // An answer that is told to be cut, and asked for again over TCP.
    let large = dig(port, &["+bufsize=512", "large.zone.test", "TXT"]);
    assert!(large.contains("Truncated, retrying in TCP mode"), "{large}");
    assert_eq!(large.matches("of an answer that fits no datagram").count(), 100, "{large}");
    assert!(large.contains("(TCP)"), "{large}");
    // And one that fits only a datagram larger than most.
    let datagram = dig(port, &["+bufsize=1400", "+ignore", "large.zone.test", "TXT"]);
    assert!(datagram.contains("flags: qr aa tc"), "{datagram}");

    let udp = sluice.record("a flow", |r| r["route"] == format!("udp 127.0.0.1:{port}").as_str());
    assert_eq!(udp["endpoint"], server.to_string(), "{udp}");
    assert_eq!(udp["datagrams_in"], udp["datagrams_out"], "{udp}");
    let tcp = sluice.record("the large answer", |r| {
        r["route"] == format!("tcp 127.0.0.1:{port}").as_str() && r["bytes_out"].as_u64() > Some(4000)
    });
    assert_eq!(tcp["end"], "client-closed", "{tcp}");
}
