//! Draining and reloads: what goes on, for how long, and what is not touched at all.

use sluice_tests::endpoint::{Client, Named, NamedUdp, reaches, reaches_udp};
use sluice_tests::pki::Pki;
use sluice_tests::sluice::says;
use sluice_tests::tls::Offer;
use sluice_tests::wire::Wire;
use sluice_tests::{Sluice, ports, tls, wait};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

fn local(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

/// A stated time, as it is from outside: not before it, and not long after.
#[track_caller]
fn about(took: Duration, stated: Duration) {
    assert!(took > stated - Duration::from_millis(100), "{took:?}, stated {stated:?}");
    assert!(took < stated + Duration::from_secs(4), "{took:?}, stated {stated:?}");
}

const DRAIN: Duration = Duration::from_secs(2);

#[test]
fn endpoint_that_leaves_the_pool_keeps_its_connections_for_the_stated_time() {
    let [a, b] = ["a", "b"].map(Named::start);
    let [port, whole] = [0; 2].map(|_| ports::free());
    let route = |endpoints: &[&Named]| {
        let lines: String = endpoints.iter().map(|e| format!("    {}\n", e.addr())).collect();
        format!(
            "pool p {{\n{lines}}}\npool q = {}\ntcp 127.0.0.1:{port} {{\n    drain 2s\n    -> p\n}}\n\
             tcp 127.0.0.1:{whole} {{\n    drain 1s\n    -> q\n}}\n",
            b.addr()
        )
    };
    let sluice = Sluice::with(route(&[&a]));
    let (to, untouched) = (local(port), local(whole));
    let mut old = reaches(to);
    assert_eq!(old.name, "a");
    let mut other = reaches(untouched);

    sluice.write("a.route", route(&[&b]));
    wait::until("new connections come to b", || (Client::connect(to)?.name == "b").then_some(()));
    let begin = Instant::now();
    assert!(old.echoes("still there"), "an old connection goes on");
    let _ = old.wire.ends();
    // The reload was a little before the first answer that showed it.
    about(begin.elapsed() + Duration::from_millis(500), DRAIN);
    let record = sluice.record_of(old.wire.local());
    assert_eq!(record["end"], "drained", "{record}");
    assert_eq!(record["endpoint"], a.addr().to_string(), "{record}");
    // Its drain was shorter, and nothing of it changed.
    assert!(other.echoes("not touched"));
}

#[test]
fn endpoint_that_comes_back_in_time_keeps_its_connections() {
    let [a, b] = ["a", "b"].map(Named::start);
    let [port, clock] = [0; 2].map(|_| ports::free());
    let route = |p: &Named, q: &Named| {
        let item = |port: u16, pool: &str| format!("tcp 127.0.0.1:{port} {{\n    drain 1s\n    -> {pool}\n}}\n");
        format!("pool p = {}\npool q = {}\n{}{}", p.addr(), q.addr(), item(port, "p"), item(clock, "q"))
    };
    let sluice = Sluice::with(route(&a, &a));
    let to = local(port);
    let mut old = reaches(to);
    let mut telling = reaches(local(clock));
    sluice.write("a.route", route(&b, &a));
    wait::until("new connections come to b", || (Client::connect(to)?.name == "b").then_some(()));
    sluice.write("a.route", route(&a, &b));
    wait::until("new connections come to a", || (Client::connect(to)?.name == "a").then_some(()));
    // The other item's connection drains from now on: its end tells that the first drain would be over.
    let _ = telling.wire.ends();
    assert_eq!(sluice.record_of(telling.wire.local())["end"], "drained");
    assert!(old.echoes("its endpoint came back in time"));
}

#[test]
fn listener_that_leaves_the_file_closes_and_its_connections_drain() {
    let a = Named::start("a");
    let [stays, goes] = [0; 2].map(|_| ports::free());
    let item = |port: u16| format!("tcp 127.0.0.1:{port} {{\n    drain 2s\n    -> p\n}}\n");
    let pool = format!("pool p = {}\n", a.addr());
    let sluice = Sluice::with(format!("{pool}{}{}", item(stays), item(goes)));
    let mut kept = reaches(local(stays));
    let mut old = reaches(local(goes));
    sluice.write("a.route", format!("{pool}{}", item(stays)));
    wait::until("the listener is closed", || std::net::TcpStream::connect(local(goes)).is_err().then_some(()));
    let begin = Instant::now();
    assert!(old.echoes("still there"));
    let _ = old.wire.ends();
    about(begin.elapsed() + Duration::from_millis(500), DRAIN);
    assert_eq!(sluice.record_of(old.wire.local())["end"], "drained");
    assert!(kept.echoes("not touched"));
    // And it opens again.
    sluice.write("a.route", format!("{pool}{}{}", item(stays), item(goes)));
    assert_eq!(reaches(local(goes)).name, "a");
    assert!(kept.echoes("not touched"));
}

#[test]
fn udp_flow_stays_for_the_drain_and_moves_then() {
    let [a, b] = ["a", "b"].map(NamedUdp::start);
    let port = ports::free();
    let route = |endpoint: &NamedUdp| {
        format!(
            "pool p = {}\nudp 127.0.0.1:{port} {{\n    idle 30s\n    drain 2s\n    limit 1000/s burst 1000 per client.ip\n    -> p\n}}\n",
            endpoint.addr()
        )
    };
    let sluice = Sluice::with(route(&a));
    let to = local(port);
    let (flow, name) = reaches_udp(Ipv4Addr::LOCALHOST, to);
    assert_eq!(name, "a");
    sluice.write("a.route", route(&b));
    wait::until("new flows come to b", || (reaches_udp(Ipv4Addr::LOCALHOST, to).1 == "b").then_some(()));
    let begin = Instant::now();
    assert_eq!(flow.asks("still there", wait::PATIENCE).as_deref(), Some("a"), "an old flow goes on");
    let mut round = 0;
    wait::until("the old flow is led to b", || {
        round += 1;
        let answer = flow.asks(&format!("round {round}"), Duration::from_millis(100));
        (answer.as_deref() == Some("b")).then_some(())
    });
    about(begin.elapsed() + Duration::from_millis(500), DRAIN);
    let record = sluice.record_of(flow.local());
    assert_eq!(record["end"], "drained", "{record}");
}

#[test]
fn passthrough_that_leaves_the_file_drains_and_certificates_touch_nothing() {
    let pki = Pki::new();
    let identity = pki.issue(&["one.test", "two.test"]);
    let one = Named::secure("one", identity.server(&[]));
    let two = Named::secure("two", identity.server(&[]));
    let first = format!("pool one = {}\npassthrough one.test {{\n    drain 2s\n    -> one\n}}\n", one.addr());
    let second = format!("pool two = {}\npassthrough two.test -> two\n", two.addr());
    let setup = Sluice::setup().file("one.route", &first).file("two.route", &second);
    let sluice = setup.file("www.route", says("www.test", "0")).start();
    let connect = |name: &str| -> std::io::Result<Wire> {
        let offer = Offer { alpn: &[], ..Offer::h1(name) };
        tls::connect(sluice.https, &pki.root(), &offer).map(|secured| secured.wire)
    };
    let mut old = Client::over(connect("one.test").unwrap()).unwrap();
    let mut kept = Client::over(connect("two.test").unwrap()).unwrap();
    assert_eq!((old.name.as_str(), kept.name.as_str()), ("one", "two"));
    std::fs::remove_file(sluice.sites().join("one.route")).unwrap();
    wait::until("nobody answers for the host", || connect("one.test").is_err().then_some(()));
    let begin = Instant::now();
    assert!(old.echoes("still there"));
    let _ = old.wire.ends();
    about(begin.elapsed() + Duration::from_millis(500), DRAIN);

    // The host becomes a site, with a certificate of its own, and is passed through again.
    sluice.write("one.route", says("one.test", "a site"));
    wait::until("the host is a site now", || {
        let secured = sluice.handshake(&Offer::h1("one.test")).ok()?;
        let mut wire = secured.wire;
        wire.send("GET / HTTP/1.1\r\nHost: one.test\r\n\r\n");
        wire.try_reply("GET").filter(|reply| reply.text() == "a site").map(|_| ())
    });
    sluice.write("one.route", &first);
    wait::until("the host is passed through again", || {
        Client::over(connect("one.test").ok()?).filter(|client| client.name == "one").map(|_| ())
    });
    assert!(kept.echoes("not touched"));
}

#[test]
fn the_end_of_the_gateway_lets_connections_finish() {
    let (a, u) = (Named::start("a"), NamedUdp::start("u"));
    let port = ports::free();
    let route = format!(
        "pool a = {}\npool u = {}\ntcp 127.0.0.1:{port} -> a\nudp 127.0.0.1:{port} {{\n    idle 30s\n    limit 1000/s per client.ip\n    -> u\n}}\n",
        a.addr(),
        u.addr()
    );
    let mut sluice = Sluice::with(route);
    let mut old = reaches(local(port));
    let mut last = Client::connect(local(port)).unwrap();
    let (flow, _) = reaches_udp(Ipv4Addr::LOCALHOST, local(port));
    sluice.signal("TERM");
    wait::until("it takes no new connections", || std::net::TcpStream::connect(local(port)).is_err().then_some(()));
    assert!(old.echoes("still there"), "an old connection goes on");
    old.wire.finish();
    assert_eq!(old.wire.rest(), b"");
    assert!(last.echoes("still there too"));
    last.wire.finish();
    assert_eq!(last.wire.rest(), b"");
    // Nothing is left to wait for but a flow, which has no end of its own.
    assert!(sluice.ends().success());
    for client in [&old, &last] {
        assert_eq!(sluice.record_of(client.wire.local())["end"], "client-closed");
    }
    assert_eq!(sluice.record_of(flow.local())["end"], "stopped");
}
