//! What is told about a connection when it has ended: its line, with the right reason, and the counts.

use serde_json::Value;
use sluice_tests::endpoint::{Client, Flow, Named, NamedUdp, dial, reaches, reaches_udp};
use sluice_tests::observed::Metrics;
use sluice_tests::ports::Refusing;
use sluice_tests::{Sluice, ports, wait};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

fn local(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

/// The line of a connection, once it has ended: with this reason.
#[track_caller]
fn ended(sluice: &Sluice, client: SocketAddr, end: &str) -> Value {
    let record = sluice.record_of(client);
    assert_eq!(record["end"], end, "{record}");
    record
}

#[test]
fn tcp_ends_and_their_lines() {
    let a = Named::start("a");
    let refusing = Refusing::new();
    let ports: [u16; 6] = [0; 6].map(|_| ports::free());
    let [plain, idle, lifetime, guarded, nobody, limited] = ports;
    let route = format!(
        "pool a = {}\npool nobody = {}\n\
         tcp 127.0.0.1:{plain} -> a\n\
         tcp 127.0.0.1:{idle} {{\n    idle 1s\n    -> a\n}}\n\
         tcp 127.0.0.1:{lifetime} {{\n    lifetime 1s\n    -> a\n}}\n\
         tcp 127.0.0.1:{guarded} {{\n    when client.ip in [127.0.4.1] -> deny\n    when client.ip in [127.0.4.0/24] -> a\n}}\n\
         tcp 127.0.0.1:{nobody} -> nobody\n\
         tcp 127.0.0.1:{limited} {{\n    limit 2 at-once per client.ip\n    -> a\n}}\n",
        a.addr(),
        refusing.addr(),
    );
    let sluice = Sluice::with(route);
    let to = local(plain);
    let name = "a\n".len() as u64;
    reaches(to);

    // In order, the client first: half-close is handed on, what comes back after it arrives.
    let mut client = Client::connect(to).unwrap();
    assert!(client.echoes("twelve bytes"));
    client.wire.try_send("and these").unwrap();
    client.wire.finish();
    assert_eq!(client.wire.rest(), b"and these");
    let record = ended(&sluice, client.wire.local(), "client-closed");
    assert_eq!((record["bytes_in"].as_u64(), record["bytes_out"].as_u64()), (Some(21), Some(21 + name)), "{record}");
    assert_eq!(record["endpoint"], a.addr().to_string(), "{record}");
    assert_eq!(
        (&record["pool"], &record["route"]),
        (&"a".into(), &format!("tcp 127.0.0.1:{plain}").into()),
        "{record}"
    );
    assert_eq!(record["local"], to.to_string(), "{record}");

    // In order, the upstream first.
    let mut client = Client::connect(to).unwrap();
    a.finish_all();
    assert_eq!(client.wire.rest(), b"");
    client.wire.finish();
    ended(&sluice, client.wire.local(), "upstream-closed");

    // By a reset, each side.
    let mut client = Client::connect(to).unwrap();
    assert!(client.echoes("x"));
    let from = client.wire.local();
    client.wire.reset();
    ended(&sluice, from, "client-reset");
    let mut client = Client::connect(to).unwrap();
    a.reset_all();
    let cut = client.wire.ends();
    assert_eq!(cut.map_err(|e| e.kind()), Err(std::io::ErrorKind::ConnectionReset), "a reset is passed on");
    ended(&sluice, client.wire.local(), "upstream-reset");

    // By time.
    let begin = Instant::now();
    let mut quiet = reaches(local(idle));
    let mut long = reaches(local(lifetime));
    let _ = quiet.wire.ends();
    // Something is said all the time, and it ends nevertheless.
    while long.echoes("talking") {
        assert!(begin.elapsed() < wait::PATIENCE, "it lasts for {:?}", begin.elapsed());
        std::thread::yield_now();
    }
    for (client, end) in [(&quiet, "idle"), (&long, "lifetime")] {
        let record = ended(&sluice, client.wire.local(), end);
        let lasted = record["lasted_ms"].as_u64().unwrap();
        assert!((950..4000).contains(&lasted), "{record}");
    }

    // Refused before anything is dialled.
    let begun = a.seen().get().begun;
    for (from, end) in [([127, 0, 4, 1], "denied"), ([127, 0, 5, 1], "no-route")] {
        let mut wire = wait::until("the listener is open", || dial(from.into(), local(guarded)).ok());
        assert!(wire.ends().is_err(), "refused by a reset");
        ended(&sluice, wire.local(), end);
    }
    assert_eq!(a.seen().get().begun, begun, "nothing reached the endpoint");
    let mut refused = wait::until("the listener is open", || dial(Ipv4Addr::LOCALHOST, local(nobody)).ok());
    assert!(refused.ends().is_err(), "refused by a reset");
    let record = ended(&sluice, refused.local(), "connect-failed");
    assert_eq!(record["pool"], "nobody", "{record}");

    let mut open = vec![reaches(local(limited))];
    // The first that reached it may have been asked for more than once.
    wait::until("two are open", || {
        open.push(Client::connect(local(limited))?);
        Some(())
    });
    let mut third = dial(Ipv4Addr::LOCALHOST, local(limited)).unwrap();
    assert!(third.ends().is_err(), "refused by a reset");
    ended(&sluice, third.local(), "limited");
    assert!(
        Client::from(Ipv4Addr::new(127, 0, 4, 9), local(limited)).is_some(),
        "another client has a count of its own"
    );
    open.pop();
    wait::until("there is room again", || Client::connect(local(limited)).map(|_| ()));
}

#[test]
fn limits_over_time_refuse_before_dialling() {
    let a = Named::start("a");
    let port = ports::free();
    let route =
        format!("pool a = {}\ntcp 127.0.0.1:{port} {{\n    limit 1/m burst 5 per client.ip\n    -> a\n}}\n", a.addr());
    let sluice = Sluice::setup().workers(2).file("a.route", route).start();
    wait::until("the listener is open", || Client::from(Ipv4Addr::new(127, 0, 6, 1), local(port)));
    let client = Ipv4Addr::new(127, 0, 6, 2);
    let mut taken = 0;
    for _ in 0..30 {
        taken += usize::from(Client::from(client, local(port)).is_some());
    }
    // One bucket for all workers.
    assert_eq!(taken, 5, "{}", sluice.console_text());
    assert_eq!(a.seen().get().begun, 6, "nothing that was refused was dialled");
    let limited = |r: &&Value| r["end"] == "limited";
    wait::until("each refusal has its line", || (sluice.records().iter().filter(limited).count() == 25).then_some(()));
}

#[test]
fn limits_share_a_name_weigh_and_only_watch() {
    let a = Named::start("a");
    let [first, second, dear, watched, metrics] = [0; 5].map(|_| ports::free());
    let route = format!(
        "pool a = {}\n\
         tcp 127.0.0.1:{first} {{\n    limit 1/m burst 4 per client.ip as doors\n    -> a\n}}\n\
         tcp 127.0.0.1:{second} {{\n    limit 1/m burst 4 per client.ip as doors\n    -> a\n}}\n\
         tcp 127.0.0.1:{dear} {{\n    limit 1/m burst 10 cost 5 per client.ip\n    -> a\n}}\n\
         tcp 127.0.0.1:{watched} {{\n    limit 1/m burst 1 per client.ip as watched shadow\n    -> a\n}}\n",
        a.addr()
    );
    let setup = Sluice::setup().workers(2).gateway(&format!("metrics 127.0.0.1:{metrics}"));
    let _sluice = setup.file("a.route", route).start();
    for port in [first, second, dear, watched] {
        wait::until("the listener is open", || Client::from(Ipv4Addr::new(127, 0, 6, 1), local(port)));
    }
    let client = Ipv4Addr::new(127, 0, 6, 2);
    let taken =
        |ports: &[u16]| (0..10).filter(|n| Client::from(client, local(ports[n % ports.len()])).is_some()).count();
    assert_eq!(taken(&[first, second]), 4, "one bucket for both items");
    assert_eq!(taken(&[dear]), 2, "ten tokens, five a connection");
    assert_eq!(taken(&[watched]), 10, "nobody is refused");
    let counted = |limit: &str, outcome: &str| {
        let labels = [("limit", limit), ("outcome", outcome)];
        Metrics::of(local(metrics)).sum("sluice_limit_connections_total", &labels).to_string()
    };
    assert_eq!(counted("doors", "refused"), "6");
    assert_eq!(counted("watched", "refused"), "0");
    assert_eq!(counted("watched", "shadow"), "9");
}

#[test]
fn udp_ends_and_their_lines() {
    let a = NamedUdp::start("a");
    let [plain, guarded, limited] = [0; 3].map(|_| ports::free());
    let route = format!(
        "pool a = {}\n\
         udp 127.0.0.1:{plain} {{\n    idle 1s\n    limit 1000/s per client.ip\n    -> a\n}}\n\
         udp 127.0.0.1:{guarded} {{\n    idle 1s\n    limit 1000/s per client.ip\n    when client.ip in [127.0.4.1] -> deny\n    else -> a\n}}\n\
         udp 127.0.0.1:{limited} {{\n    idle 10s\n    limit 1/m burst 3 per client.ip\n    -> a\n}}\n",
        a.addr(),
    );
    let sluice = Sluice::with(route);
    let (_, name) = reaches_udp(Ipv4Addr::LOCALHOST, local(plain));
    assert_eq!(name, "a");
    let flow = Flow::from(Ipv4Addr::LOCALHOST, local(plain));
    for text in ["one", "two", "three"] {
        assert_eq!(flow.asks(text, wait::PATIENCE).as_deref(), Some("a"));
    }
    let record = ended(&sluice, flow.local(), "idle");
    let figures = ["bytes_in", "bytes_out", "datagrams_in", "datagrams_out"].map(|f| record[f].as_u64().unwrap());
    assert_eq!(figures, [11, 17, 3, 3], "{record}");
    assert_eq!(record["endpoint"], a.addr().to_string(), "{record}");

    let (_, name) = reaches_udp(Ipv4Addr::LOCALHOST, local(guarded));
    assert_eq!(name, "a");
    let denied = Flow::from(Ipv4Addr::new(127, 0, 4, 1), local(guarded));
    assert_eq!(denied.asks("x", Duration::from_millis(300)), None);

    reaches_udp(Ipv4Addr::LOCALHOST, local(limited));
    let client = Ipv4Addr::new(127, 0, 6, 3);
    let flows: Vec<_> = (0..12).map(|_| Flow::from(client, local(limited))).collect();
    flows.iter().for_each(|flow| assert!(flow.send("hello")));
    let answered = flows.iter().filter(|flow| flow.receive(Duration::from_millis(200)).is_some()).count();
    assert_eq!(answered, 3);
    // Those that were let in go on.
    assert_eq!(flows[0].asks("again", wait::PATIENCE).as_deref(), Some("a"));
}

#[test]
fn log_off_and_a_log_file() {
    let a = Named::start("a");
    let [told, untold] = [0; 2].map(|_| ports::free());
    let route = format!(
        "pool a = {}\ntcp 127.0.0.1:{told} -> a\ntcp 127.0.0.1:{untold} {{\n    log off\n    -> a\n}}\n",
        a.addr()
    );
    let setup = Sluice::setup();
    let file = setup.sites().with_file_name("connections.log");
    let sluice = setup.gateway(&format!("    log \"{}\"", file.display())).file("a.route", route).start();
    reaches(local(untold));
    let client = reaches(local(told));
    let from = client.wire.local().to_string();
    drop(client);
    let line = wait::until("the line is in the file", || {
        let text = std::fs::read_to_string(&file).ok()?;
        text.lines().find(|line| line.contains(&from)).map(str::to_owned)
    });
    let record: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(record["route"], format!("tcp 127.0.0.1:{told}"), "{record}");
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(!text.contains(&format!(":{untold}\"")), "{text}");
    assert!(sluice.records().is_empty(), "nothing of it is on the console");
}
