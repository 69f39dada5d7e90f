//! The metrics say what was sent, and what the log says.

use serde_json::Value;
use sluice_tests::endpoint::{Client, Flow, Named, NamedUdp, dial, reaches, reaches_udp};
use sluice_tests::observed::Metrics;
use sluice_tests::pki::Pki;
use sluice_tests::ports::Refusing;
use sluice_tests::sluice::says;
use sluice_tests::tls::{self, Offer};
use sluice_tests::wire::Wire;
use sluice_tests::{Sluice, ports, wait};
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

fn local(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

/// A whole number out of a metric.
fn whole(value: f64) -> u64 {
    assert!(value >= 0.0 && value.fract() == 0.0, "{value} is no count");
    value as u64
}

fn text<'a>(record: &'a Value, field: &str) -> &'a str {
    record[field].as_str().unwrap_or_default()
}

fn number(record: &Value, field: &str) -> u64 {
    record[field].as_u64().unwrap_or_default()
}

/// Log lines, added up by what a metric's label says.
#[derive(Debug, Default, PartialEq, Eq)]
struct Sums {
    begun: u64,
    bytes: [u64; 2],
    datagrams: [u64; 2],
    ends: BTreeMap<String, u64>,
}

impl Sums {
    /// As the lines say.
    fn of_lines(records: &[Value], field: &str, value: &str) -> Self {
        let mut sums = Self::default();
        for record in records.iter().filter(|record| text(record, field) == value) {
            sums.begun += 1;
            for (i, way) in ["in", "out"].iter().enumerate() {
                sums.bytes[i] += number(record, &format!("bytes_{way}"));
                sums.datagrams[i] += number(record, &format!("datagrams_{way}"));
            }
            *sums.ends.entry(text(record, "end").to_owned()).or_default() += 1;
        }
        sums
    }

    /// As the metrics say.
    fn of_metrics(metrics: &Metrics, prefix: &str, label: &str, value: &str) -> Self {
        let labels = [(label, value)];
        let get = |name: &str| whole(metrics.sum(&format!("{prefix}_{name}_total"), &labels));
        let ended = metrics.samples(&format!("{prefix}_ended_total"), &labels);
        let ends = ended.into_iter().filter(|(_, count)| *count > 0.0);
        Self {
            begun: get("begun"),
            bytes: ["received_bytes", "sent_bytes"].map(get),
            datagrams: ["received_datagrams", "sent_datagrams"].map(get),
            ends: ends.map(|(labels, count)| (labels["reason"].clone(), whole(count))).collect(),
        }
    }
}

#[test]
fn metrics_equal_what_was_sent_and_what_the_log_says() {
    let pki = Pki::new();
    let a = Named::start("a");
    let t = Named::secure("t", pki.issue(&["passed.test"]).server(&[]));
    let u = NamedUdp::start("u");
    let refusing = Refusing::new();
    let [plain, guarded, gone, udp, metrics] = [0; 5].map(|_| ports::free());
    let route = format!(
        "pool a = {}\npool t = {}\npool u = {}\npool gone = {}\n\
         tcp 127.0.0.1:{plain} -> a\n\
         tcp 127.0.0.1:{guarded} {{\n    require client.ip in [127.0.0.1] else deny\n    limit 2/m burst 2 per client.ip\n    -> a\n}}\n\
         tcp 127.0.0.1:{gone} -> gone\n\
         udp 127.0.0.1:{udp} {{\n    idle 1s\n    limit 60/m burst 20 per client.ip\n    -> u\n}}\n\
         passthrough passed.test -> t\n",
        a.addr(),
        t.addr(),
        u.addr(),
        refusing.addr()
    );
    let setup = Sluice::setup().workers(2).gateway(&format!("    metrics 127.0.0.1:{metrics}"));
    let sluice = setup.file("a.route", route).file("www.route", says("www.test", "w")).start();
    let metrics = local(metrics);
    drop(reaches(local(plain)));

    // Known bytes, in connections of several kinds.
    const SIZE: usize = 300_000;
    for i in 0..20 {
        let mut client = Client::connect(local(plain)).unwrap();
        assert!(client.echoes(&"x".repeat(SIZE + i)));
    }
    for _ in 0..5 {
        let offer = Offer { alpn: &[], ..Offer::h1("passed.test") };
        let mut client = Client::over(tls::connect(sluice.https, &pki.root(), &offer).unwrap().wire).unwrap();
        assert!(client.echoes("through"));
    }
    for _ in 0..4 {
        // Two of these eight are let in.
        let _ = (Client::connect(local(guarded)), Client::connect(local(guarded)));
        let _ = dial(Ipv4Addr::new(127, 0, 15, 1), local(guarded)).unwrap().ends();
    }
    for _ in 0..3 {
        let _ = dial(Ipv4Addr::LOCALHOST, local(gone)).unwrap().ends();
    }
    let (first, _) = reaches_udp(Ipv4Addr::new(127, 0, 15, 2), local(udp));
    let flows: Vec<_> = (0..30).map(|_| Flow::from(Ipv4Addr::new(127, 0, 15, 3), local(udp))).collect();
    let answered = flows.iter().filter(|flow| flow.asks("one of thirty", Duration::from_millis(300)).is_some()).count();
    assert!((20..24).contains(&answered), "{answered}");
    // While they are open they are counted so.
    let mut open = reaches(local(plain));
    assert!(open.echoes("open"));
    let now = Metrics::of(metrics);
    let tcp = format!("tcp 127.0.0.1:{plain}");
    assert_eq!(whole(now.sum("sluice_l4_active", &[("route", &tcp)])), 1);
    assert_eq!(whole(now.sum("sluice_l4_endpoint_active", &[("endpoint", &a.addr().to_string())])), 1);
    drop(open);

    let routes = [
        tcp.clone(),
        format!("tcp 127.0.0.1:{guarded}"),
        format!("tcp 127.0.0.1:{gone}"),
        format!("udp 127.0.0.1:{udp}"),
        "passthrough passed.test".into(),
    ];
    // A line is written, and a count made, within moments of the end: both are looked at until they agree.
    let differs = || {
        let (metrics, records) = (Metrics::of(metrics), sluice.records());
        let active = whole(metrics.sum("sluice_l4_active", &[]));
        let by_route = routes.iter().map(|route| ("sluice_l4", "route", route.clone()));
        let endpoints = [a.addr(), t.addr(), u.addr()].map(|addr| addr.to_string());
        let by_endpoint = endpoints.into_iter().map(|addr| ("sluice_l4_endpoint", "endpoint", addr));
        let mut different = Vec::new();
        for (prefix, label, value) in by_route.chain(by_endpoint) {
            let told = Sums::of_lines(&records, label, &value);
            let mut counted = Sums::of_metrics(&metrics, prefix, label, &value);
            if value == routes[3] {
                // A datagram that is refused is counted and has no line: a flood must not fill the log.
                counted.begun -= counted.ends.remove("limited").unwrap_or_default();
            }
            if told != counted || told.begun == 0 {
                different.push(format!("{value}: log {told:?}, metrics {counted:?}"));
            }
        }
        (active, different)
    };
    let agreed = wait::within(wait::PATIENCE, || (differs() == (0, Vec::new())).then_some(()));
    assert!(agreed.is_some(), "{:#?}", differs());

    // And both are what was sent.
    let records = sluice.records();
    let name = "a\n".len() as u64;
    let sums = Sums::of_lines(&records, "route", &tcp);
    let sent = (0..20).map(|i| (SIZE + i) as u64).sum::<u64>() + "open".len() as u64;
    assert_eq!(sums.bytes, [sent, sent + name * sums.begun]);
    let at_endpoint = Sums::of_lines(&records, "endpoint", &a.addr().to_string());
    assert_eq!(at_endpoint.bytes[0], a.seen().get().bytes, "what the endpoint saw");
    assert_eq!(at_endpoint.begun, a.seen().get().begun as u64);
    let guarded = Sums::of_lines(&records, "route", &routes[1]);
    assert_eq!(guarded.ends.get("denied"), Some(&4), "{guarded:?}");
    assert_eq!(guarded.ends.get("limited"), Some(&6), "{guarded:?}");
    let gone = Sums::of_lines(&records, "route", &routes[2]);
    assert_eq!(gone.ends, BTreeMap::from([("connect-failed".to_owned(), 3)]));
    let flows = Sums::of_lines(&records, "route", &routes[3]);
    assert_eq!(flows.datagrams[0], u.seen().get().count, "what the endpoint saw");
    drop(first);
    let dropped = Metrics::of(metrics).sum("sluice_l4_dropped_datagrams_total", &[("route", &routes[3])]);
    assert_eq!(whole(dropped), 30 - answered as u64);
}

/// What came to nothing before it was anybody's connection is counted by its reason.
#[test]
fn hellos_that_come_to_nothing_are_counted() {
    let pki = Pki::new();
    let t = Named::secure("t", pki.issue(&["passed.test"]).server(&[]));
    let metrics = ports::free();
    let setup = Sluice::setup().gateway(&format!("    metrics 127.0.0.1:{metrics}"));
    let route = format!("pool t = {}\npassthrough passed.test -> t\n", t.addr());
    let sluice = setup.file("a.route", route).file("www.route", says("www.test", "w")).start();
    let count = || whole(Metrics::of(local(metrics)).sum("sluice_hellos_failed_total", &[]));
    let before = count();
    let mut wire = Wire::connect(sluice.https);
    wire.send("this is no hello, and it is long enough to be seen as none\r\n").drain();
    assert!(tls::connect(sluice.https, &pki.root(), &Offer::h1("nobody.test")).is_err());
    assert!(tls::connect(sluice.https, &pki.root(), &Offer { sni: false, ..Offer::h1("nobody.test") }).is_err());
    wait::until("three are counted", || (count() == before + 3).then_some(()));
    assert_eq!(t.seen().get().begun, 0, "none of it reached the backend");
}
