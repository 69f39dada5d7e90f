//! Checks, and what becomes of connections when they fail.

use sluice_tests::endpoint::{Client, Flow, Named, NamedUdp, dial, reaches, reaches_udp};
use sluice_tests::{Origin, Sluice, ports, wait};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

fn local(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

/// Waits until so many connections in a row come to an endpoint.
#[track_caller]
fn all_come_to(to: SocketAddr, name: &str) -> Duration {
    let begin = Instant::now();
    wait::until(&format!("everything comes to {name}"), || {
        let next = || Client::connect(to).is_some_and(|client| client.name == name);
        (0..6).all(|_| next()).then_some(())
    });
    begin.elapsed()
}

/// Waits until connections come to both of two endpoints.
#[track_caller]
fn both_are_used(to: SocketAddr) -> Duration {
    let begin = Instant::now();
    wait::until("both are used", || {
        let mut names: Vec<_> = (0..8).filter_map(|_| Client::connect(to)).map(|client| client.name).collect();
        names.sort();
        names.dedup();
        (names.len() == 2).then_some(())
    });
    begin.elapsed()
}

/// An HTTP answer for checks, which can be made to say another status.
fn healthy() -> Origin {
    Origin::fixed("fine")
}

fn says_status(origin: &Origin, status: &'static str) {
    origin.change(move |seen, conn| {
        conn.body(seen)?;
        conn.respond(status, "", "")
    });
}

#[test]
fn http_check_on_another_port_takes_an_endpoint_out_and_back() {
    let [a, b] = ["a", "b"].map(Named::start);
    let health = healthy();
    let port = ports::free();
    // One answer for both endpoints: when it is bad, nobody is left.
    let route = format!(
        "pool p {{\n    {}\n    {} backup\n    check GET /healthz every 300ms within 250ms expect 200..299 rise 2 fall 2 \
         port {}\n}}\ntcp 127.0.0.1:{port} {{\n    drain 20s\n    -> p\n}}\n",
        a.addr(),
        b.addr(),
        health.addr().port()
    );
    let sluice = Sluice::with(route);
    let to = local(port);
    assert_eq!(reaches(to).name, "a");
    let mut old = Client::connect(to).unwrap();

    // Asked as it should be.
    let asked = health.first();
    assert_eq!((asked.method.as_str(), asked.target.as_str()), ("GET", "/healthz"));

    // All are down: refused at once, by a reset, and told so.
    says_status(&health, "503 Service Unavailable");
    let refused = wait::until("nobody is up", || {
        let mut wire = dial(Ipv4Addr::LOCALHOST, to).ok()?;
        wire.until(b'\n').is_none().then_some(wire)
    });
    let record = sluice.record_of(refused.local());
    assert_eq!(record["end"], "no-endpoint", "{record}");
    // A connection that was there before goes on: it has 20 s.
    assert!(old.echoes("still there"));

    says_status(&health, "200 OK");
    let took = all_come_to(to, "a");
    // Two good answers, 300 ms apart; the rest is for a busy machine.
    assert!(took < Duration::from_secs(3), "{took:?}");
    assert!(old.echoes("and still"));
}

#[test]
fn tcp_check_sees_an_endpoint_go_and_come_back_within_an_interval() {
    let mut a = Named::start("a");
    let b = Named::start("b");
    let mut door = Named::start("door");
    let port = ports::free();
    // b has no door; a's is the one that is closed.
    let route = format!(
        "pool p {{\n    {}\n    check tcp every 500ms within 400ms rise 1 fall 2 port {}\n}}\n\
         pool q {{\n    {}\n    {}\n    check tcp every 500ms within 400ms rise 1 fall 2\n}}\n\
         tcp 127.0.0.1:{port} {{\n    when client.ip in [127.0.9.0/24] -> p\n    else -> q\n}}\n",
        a.addr(),
        door.addr().port(),
        a.addr(),
        b.addr()
    );
    let sluice = Sluice::with(route);
    let to = local(port);
    reaches(to);
    both_are_used(to);
    let other = Ipv4Addr::new(127, 0, 9, 1);
    assert_eq!(Client::from(other, to).unwrap().name, "a");

    // A port beside the endpoint's own decides, where the check names one.
    let addr = door.addr();
    door.stop();
    wait::until("the closed door is seen", || Client::from(other, to).is_none().then_some(()));
    door = Named::on(addr, "door", None);
    let begin = Instant::now();
    wait::until("the open door is seen", || Client::from(other, to).map(|_| ()));
    assert!(begin.elapsed() < Duration::from_secs(2), "{:?}", begin.elapsed());
    drop(door);

    // The endpoint itself goes: connections are led to the other, none fails meanwhile.
    let addr = a.addr();
    a.stop();
    for _ in 0..20 {
        assert_eq!(Client::connect(to).expect("another endpoint answers").name, "b");
    }
    all_come_to(to, "b");
    a = Named::on(addr, "a", None);
    let took = both_are_used(to);
    assert!(took < Duration::from_secs(2), "{took:?}");
    drop((sluice, a));
}

#[test]
fn cut_on_unhealthy_ends_connections_and_without_it_drain_does() {
    let a = Named::start("a");
    let health = healthy();
    let [cut, drained] = [0; 2].map(|_| ports::free());
    let route = format!(
        "pool p {{\n    {}\n    check GET / every 300ms within 250ms rise 1 fall 1 port {}\n}}\n\
         tcp 127.0.0.1:{cut} {{\n    cut on-unhealthy\n    -> p\n}}\n\
         tcp 127.0.0.1:{drained} {{\n    drain 2s\n    -> p\n}}\n",
        a.addr(),
        health.addr().port()
    );
    let sluice = Sluice::with(route);
    let mut at_once = reaches(local(cut));
    let mut later = reaches(local(drained));
    says_status(&health, "500 Internal Server Error");
    let begin = Instant::now();
    let _ = at_once.wire.ends();
    let cut_after = begin.elapsed();
    assert!(cut_after < Duration::from_millis(1900), "{cut_after:?}");
    assert!(later.echoes("still there"));
    let _ = later.wire.ends();
    let drained_after = begin.elapsed();
    assert!(drained_after > Duration::from_millis(1900) && drained_after < Duration::from_secs(6), "{drained_after:?}");
    assert_eq!(sluice.record_of(at_once.wire.local())["end"], "unhealthy");
    assert_eq!(sluice.record_of(later.wire.local())["end"], "drained");
}

#[test]
fn udp_probe_with_an_expected_answer() {
    // Three who all answer, one of them not what is expected.
    let [good, other] = ["good", "other"].map(NamedUdp::start);
    let port = ports::free();
    let route = |expected: &str| {
        format!(
            "pool p {{\n    {}\n    {}\n    check udp send \"ping\" expect \"{expected}\" every 300ms within 250ms rise 1 fall 1\n}}\n\
             udp 127.0.0.1:{port} {{\n    idle 10s\n    cut on-unhealthy\n    limit 1000/s burst 1000 per client.ip\n    -> p\n}}\n",
            good.addr(),
            other.addr()
        )
    };
    let sluice = Sluice::with(route("good:"));
    let to = local(port);
    wait::until("only the one that answers as expected is used", || {
        let names: Vec<_> = (0..6).map(|_| reaches_udp(Ipv4Addr::LOCALHOST, to).1).collect();
        names.iter().all(|name| name == "good").then_some(())
    });
    // Nobody answers as expected: datagrams are dropped, and the flow that was there is cut.
    let (flow, _) = reaches_udp(Ipv4Addr::LOCALHOST, to);
    sluice.write("a.route", route("nobody:"));
    wait::until("nobody is used", || flow.asks("anybody", Duration::from_millis(100)).is_none().then_some(()));
    let fresh = Flow::from(Ipv4Addr::LOCALHOST, to);
    assert_eq!(fresh.asks("anybody", Duration::from_millis(300)), None);
    sluice.record_of(flow.local());
    // And back: the same socket is answered again.
    sluice.write("a.route", route("other:"));
    wait::until("the other one is used", || {
        (flow.asks("again", Duration::from_millis(200)).as_deref() == Some("other")).then_some(())
    });
}
