//! Listeners of `tcp` and `udp` items, while files come and go.

use crate::support::{Dir, Running, until};
use std::io::Read;
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};

/// A port that is free now, on every address.
fn free() -> u16 {
    TcpListener::bind("0.0.0.0:0").unwrap().local_addr().unwrap().port()
}

fn item(head: &str) -> String {
    // Nobody is there: a connection is accepted, and then reset.
    format!("pool x = 127.0.0.1:1\n\n{head} -> x\n")
}

fn accepts(address: SocketAddr) -> bool {
    TcpStream::connect(address).is_ok()
}

fn starts(dir: &Dir) -> Running {
    dir.start(&["--workers", "2"])
}

#[test]
fn a_file_opens_its_port_and_its_deletion_closes_it() {
    let dir = Dir::new();
    let running = starts(&dir);
    let port = free();
    let (v4, v6) = (SocketAddr::from(([127, 0, 0, 1], port)), SocketAddr::from((std::net::Ipv6Addr::LOCALHOST, port)));
    let file = dir.write("sites/db.route", &item(&format!("tcp :{port}")));
    until("the port is open", || accepts(v4));
    if TcpListener::bind("[::1]:0").is_ok() {
        assert!(accepts(v6), "both families");
    }
    let said = running.says("what was opened", |line| line.contains("listening on tcp 0.0.0.0:"));
    assert!(said.contains(&format!("tcp 0.0.0.0:{port}")), "{said}");
    // Every worker has one: what is accepted is closed, whoever has it.
    for _ in 0..20 {
        let mut stream = TcpStream::connect(v4).unwrap();
        let _ = stream.read(&mut [0]);
    }
    std::fs::remove_file(file).unwrap();
    until("the port is closed", || !accepts(v4));
    running.says("what was closed", |line| line.contains(&format!("closed tcp :{port}")));
    until("the port is closed for the other family", || !accepts(v6));
}

#[test]
fn a_taken_port_is_told_and_opened_when_it_is_free() {
    let dir = Dir::new();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = taken.local_addr().unwrap();
    let port = at.port();
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    let udp_port = udp.local_addr().unwrap().port();
    // At the start, and at a reload.
    dir.write("sites/db.route", &item(&format!("tcp 127.0.0.1:{port}")));
    let running = starts(&dir);
    let said = running.says("what is wrong", |line| line.contains(&format!("port {port} is taken")));
    assert!(said.contains(&format!("change `tcp 127.0.0.1:{port}` in sites/db.route")), "{said}");
    dir.write(
        "sites/dns.route",
        &item(&format!("udp 127.0.0.1:{udp_port} {{\n    idle 5s\n   ")).replace("-> x", "-> x\n}"),
    );
    running.says("what is wrong", |line| line.contains(&format!("UDP port {udp_port} is taken")));
    drop((taken, udp));
    let opened = |line: &str, what: String| line.starts_with("listening on ") && line.contains(&what);
    running.says("that it is open", |line| opened(line, format!("tcp 127.0.0.1:{port}")));
    running.says("that it is open", |line| opened(line, format!("udp 127.0.0.1:{udp_port}")));
    assert!(accepts(at));
    assert!(UdpSocket::bind(("127.0.0.1", udp_port)).is_err());
    assert_eq!(running.text().matches(&format!("port {port} is taken")).count(), 1, "it is told once");
}

#[test]
fn a_port_of_the_gateway_is_refused_with_both_lines() {
    let dir = Dir::new();
    let running = starts(&dir);
    let port = free();
    let gateway = format!("gateway {{\n    http 127.0.0.1:0\n    https 127.0.0.1:0\n    https :{port}\n}}\n");
    dir.write("sites/gateway.route", &gateway);
    running.says("that it listens", |line| line.contains(&format!("listening on https 0.0.0.0:{port}")));
    dir.write("sites/a.route", &item(&format!("tcp :{port}")));
    running.says("which lines", |line| {
        let found = format!("G7001 `tcp :{port}` overlaps with `https :{port}` of sites/gateway.route:4");
        line.contains("sites/a.route:3") && line.contains(&found)
    });
}

#[test]
fn a_narrower_address_takes_over_and_what_stays_is_not_bound_again() {
    let dir = Dir::new();
    let (port, other) = (free(), free());
    dir.write("sites/kept.route", &item(&format!("tcp :{other}")));
    let file = dir.write("sites/db.route", &item(&format!("tcp :{port}")));
    let running = starts(&dir);
    let inode = |port| listening(running.child.id(), port);
    let before = inode(other);
    assert!(!before.is_empty());
    for n in 0..10 {
        let address = if n % 2 == 0 { "127.0.0.1" } else { "" };
        std::fs::write(&file, item(&format!("tcp {address}:{port}"))).unwrap();
        let wildcard = SocketAddr::from(([127, 0, 0, 2], port));
        until("only the address is open", || accepts(wildcard) == address.is_empty());
        until("the port is open", || accepts(([127, 0, 0, 1], port).into()));
    }
    assert_eq!(inode(other), before);
}

#[test]
fn a_udp_listener_that_comes_back_before_its_flows_ended_goes_on() {
    let dir = Dir::new();
    let origin = UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = origin.local_addr().unwrap().port();
    let here = free();
    // Tells each who asks, and from where.
    std::thread::spawn(move || {
        let mut bytes = [0; 64];
        while let Ok((n, from)) = origin.recv_from(&mut bytes) {
            let _ = origin.send_to(format!("{} {from}", String::from_utf8_lossy(&bytes[..n])).as_bytes(), from);
        }
    });
    let text = format!("pool x = 127.0.0.1:{port}\n\nudp :{here} {{\n    idle 10m\n    -> x\n}}\n");
    let file = dir.write("sites/dns.route", &text);
    let running = starts(&dir);
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    client.connect(("127.0.0.1", here)).unwrap();
    client.set_read_timeout(Some(std::time::Duration::from_millis(500))).unwrap();
    let ask = |what: &str| {
        let mut bytes = [0; 64];
        client.send(what.as_bytes()).unwrap();
        let n = client.recv(&mut bytes).ok()?;
        Some(String::from_utf8_lossy(&bytes[..n]).into_owned())
    };
    let first = ask("a").unwrap();
    for n in 1..=3 {
        std::fs::remove_file(&file).unwrap();
        until("it closes", || running.text().matches("closed udp").count() == n);
        // The flow goes on, and nobody else may begin one.
        assert_eq!(ask("a"), Some(first.clone()));
        let stranger = UdpSocket::bind("127.0.0.1:0").unwrap();
        stranger.send_to(b"b", ("127.0.0.1", here)).unwrap();
        stranger.set_read_timeout(Some(std::time::Duration::from_millis(50))).unwrap();
        assert!(stranger.recv(&mut [0; 64]).is_err());
        dir.write("sites/dns.route", &text);
        until("it is back", || running.text().matches("listening on udp").count() == n);
        assert_eq!(ask("a"), Some(first.clone()), "the same flow");
        // New flows begin again, on whichever worker.
        for _ in 0..16 {
            let another = UdpSocket::bind("127.0.0.1:0").unwrap();
            another.set_read_timeout(Some(std::time::Duration::from_millis(200))).unwrap();
            // A worker may hear of it a moment after the console does: who is not answered asks again.
            until("a new flow begins", || {
                another.send_to(b"c", ("127.0.0.1", here)).unwrap();
                another.recv(&mut [0; 64]).is_ok()
            });
        }
    }
}

/// The sockets that a process listens with on a port, by their inodes.
fn listening(process: u32, port: u16) -> Vec<String> {
    let mut inodes = Vec::new();
    for table in ["tcp", "tcp6"] {
        let table = std::fs::read_to_string(format!("/proc/{process}/net/{table}")).unwrap_or_default();
        for line in table.lines().skip(1) {
            let fields: Vec<&str> = line.split_whitespace().collect();
            if fields[1].ends_with(&format!(":{port:04X}")) && fields[3] == "0A" {
                inodes.push(fields[9].to_owned());
            }
        }
    }
    inodes.sort();
    inodes
}

#[test]
fn quic_is_listened_for_while_a_host_is_passed_through() {
    let dir = Dir::new();
    let running = starts(&dir);
    let file = dir.write("sites/v.route", &item("passthrough vault.test"));
    let said = running.says("that it listens", |line| line.contains("listening on quic 127.0.0.1:"));
    let port: u16 = said.rsplit(':').next().unwrap().parse().unwrap();
    let https = running.says("where https is", |line| line.trim_start().starts_with("https "));
    assert!(https.ends_with(&format!("127.0.0.1:{port}")), "the same port: {https}");
    assert!(UdpSocket::bind(("127.0.0.1", port)).is_err());
    std::fs::remove_file(file).unwrap();
    running.says("that it closes", |line| line.contains("closed quic"));
    until("the port is free", || UdpSocket::bind(("127.0.0.1", port)).is_ok());
}
