//! A storm of reloads under TCP, UDP and passthrough load: connections that are never opened again,
//! flows that must stay where they are, and new ones all the while.

use crate::endpoint::{Client, Flow, Named, NamedUdp, dial, reaches, reaches_udp};
use crate::pki::Pki;
use crate::sluice::{get, says};
use crate::tls::{self, Offer};
use crate::wait::{self, Watched};
use crate::{Sluice, ports};
use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How big a storm.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    /// Reloads in all.
    pub reloads: usize,
    /// Workers of the gateway.
    pub workers: usize,
    /// Clients of each kind that keep what they opened.
    pub clients: u8,
}

/// What came of it.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// Reloads that were confirmed by an answer that changed.
    pub confirmed: usize,
    /// Connections and flows that were opened before the storm and had to last.
    pub kept: u64,
    /// What was said and heard back on them.
    pub exchanges: u64,
    /// TCP and TLS connections that were opened and ended during the storm.
    pub connections: u64,
    /// UDP flows that were opened during the storm.
    pub flows: u64,
    /// What went wrong, first things first.
    pub failures: Vec<String>,
    /// From the write to the changed answer, sorted.
    pub latencies: Vec<Duration>,
    /// Memory after each tenth of the storm.
    pub memory: Vec<usize>,
}

/// What the clients share.
#[derive(Default)]
struct Tally {
    stop: AtomicBool,
    exchanges: AtomicU64,
    connections: AtomicU64,
    flows: AtomicU64,
    failures: Watched<Vec<String>>,
}

impl Tally {
    fn goes_on(&self) -> bool {
        !self.stop.load(Ordering::SeqCst)
    }

    fn failed(&self, what: String) {
        self.failures.change(|f| {
            if f.len() < 20 {
                f.push(what);
            }
        });
    }

    fn count(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

/// How long an answer may take: the machine is busy.
const PATIENCE: Duration = Duration::from_secs(10);
/// Clients of the flows that come anew, each with an address of its own.
const COMERS: u8 = 40;

/// The addresses of a storm.
struct Place {
    tcp: SocketAddr,
    by_address: SocketAddr,
    udp: SocketAddr,
    fixed: SocketAddr,
    https: SocketAddr,
    root: PathBuf,
    streams: Vec<Named>,
    datagrams: Vec<NamedUdp>,
    secured: Vec<Named>,
}

/// Raises a storm and reports.
pub fn raise(size: Size) -> Outcome {
    let pki = Pki::new();
    let server = pki.issue(&["pass.test"]).server(&[]);
    let local = || SocketAddr::from((Ipv4Addr::LOCALHOST, ports::free()));
    let mut place = Place {
        tcp: local(),
        by_address: local(),
        udp: local(),
        fixed: local(),
        https: local(),
        root: pki.root(),
        streams: ["s0", "s1", "s2"].map(Named::start).into(),
        datagrams: ["d0", "d1", "d2"].map(NamedUdp::start).into(),
        secured: ["t0", "t1"].map(|name| Named::secure(name, server.clone())).into(),
    };
    let sluice = Sluice::setup().workers(size.workers).file("l4.route", place.route(0, [1; 3], "")).start();
    let place = {
        place.https = sluice.https;
        Arc::new(place)
    };
    for addr in [place.tcp, place.by_address] {
        reaches(addr);
    }

    let tally = Arc::new(Tally::default());
    let mut threads = Vec::new();
    let mut outcome = Outcome::default();
    for i in 0..size.clients {
        threads.push(stream_client(reaches(place.tcp), "tcp", &tally));
        threads.push(stream_client(place.secure().expect("the host is passed through"), "passthrough", &tally));
        threads.push(flow_client(i, &place, &tally));
        outcome.kept += 3;
    }
    threads.push(stream_comer(&place, &tally));
    threads.push(secure_comer(&place, &tally));
    threads.push(flow_comer(&place, &tally));

    for i in 0..size.reloads {
        if i % (size.reloads / 10).max(1) == 0 {
            outcome.memory.push(sluice.rss());
        }
        match reload(&sluice, &place, i) {
            Ok(latency) => {
                outcome.confirmed += 1;
                outcome.latencies.push(latency);
            }
            Err(why) => tally.failed(why),
        }
    }
    outcome.memory.push(sluice.rss());
    tally.stop.store(true, Ordering::SeqCst);
    for thread in threads {
        thread.join().unwrap();
    }
    for wrong in place.datagrams_at_two_endpoints() {
        tally.failed(wrong);
    }
    outcome.exchanges = tally.exchanges.load(Ordering::SeqCst);
    outcome.connections = tally.connections.load(Ordering::SeqCst);
    outcome.flows = tally.flows.load(Ordering::SeqCst);
    outcome.failures = tally.failures.get().clone();
    outcome.latencies.sort();
    outcome
}

impl Place {
    /// The file that all of the load passes through, with a site that tells its version.
    fn route(&self, version: usize, weights: [u32; 3], more: &str) -> String {
        let weighted = |addrs: [SocketAddr; 3]| {
            let lines = addrs.iter().zip(weights).map(|(addr, weight)| format!("    {addr} weight {weight}\n"));
            lines.collect::<String>()
        };
        let streams = [0, 1, 2].map(|i| self.streams[i].addr());
        let datagrams = [0, 1, 2].map(|i| self.datagrams[i].addr());
        let plain = |addrs: &[SocketAddr]| addrs.iter().map(|addr| format!("    {addr}\n")).collect::<String>();
        let secured: Vec<_> = self.secured.iter().map(Named::addr).collect();
        format!(
            "# {more}\n\
             pool streams {{\n{}}}\n\
             pool sticky {{\n{}    balance maglev client.ip\n}}\n\
             pool datagrams {{\n{}    balance maglev client.ip\n}}\n\
             pool fixed {{\n{}    balance maglev client.ip\n}}\n\
             pool secured {{\n{}}}\n\
             tcp {} {{\n    limit 100000/s burst 100000 per client.ip\n    log off\n    -> streams\n}}\n\
             tcp {} {{\n    log off\n    -> sticky\n}}\n\
             udp {} {{\n    idle 60s\n    limit 100000/s burst 100000 per client.ip\n    log off\n    -> datagrams\n}}\n\
             udp {} {{\n    idle 60s\n    limit 100000/s burst 100000 per client.ip\n    log off\n    -> fixed\n}}\n\
             passthrough pass.test {{\n    log off\n    -> secured\n}}\n{}",
            weighted(streams),
            plain(&streams),
            weighted(datagrams),
            plain(&datagrams),
            plain(&secured),
            self.tcp,
            self.by_address,
            self.udp,
            self.fixed,
            says("marker.test", &format!("version {version}")),
        )
    }

    /// A TLS connection that is passed through.
    fn secure(&self) -> std::io::Result<Client> {
        let offer = Offer { alpn: &[], ..Offer::h1("pass.test") };
        let wire = tls::connect(self.https, &self.root, &offer)?.wire;
        Client::over(wire).ok_or_else(|| std::io::ErrorKind::UnexpectedEof.into())
    }

    /// Flows whose datagrams came to more than one endpoint, by what the endpoints saw.
    fn datagrams_at_two_endpoints(&self) -> Vec<String> {
        let mut seen: HashMap<String, usize> = HashMap::new();
        let mut wrong = Vec::new();
        for (i, endpoint) in self.datagrams.iter().enumerate() {
            for word in endpoint.seen().get().words.keys() {
                if let Some(other) = seen.insert(word.clone(), i) {
                    wrong.push(format!("datagrams of {word} came to d{other} and to d{i}"));
                }
            }
        }
        wrong
    }
}

/// One change, and the wait until an answer shows it.
fn reload(sluice: &Sluice, place: &Place, i: usize) -> Result<Duration, String> {
    let text = format!("version {i}");
    // Each round's weights are others, and no round leaves them as they began.
    let round = u32::try_from(i / 6).unwrap_or_default();
    let weights = [1 + round % 3, 1 + (round + 1) % 3, 1 + (round + 2) % 3];
    let begin = Instant::now();
    let shows = |host: &str, status: u16, text: Option<&str>| {
        let seen = wait::within(PATIENCE, || {
            let reply = get(sluice.http, host, "/")?;
            (reply.status == status && text.is_none_or(|t| reply.text() == t)).then_some(())
        });
        seen.map(|()| begin.elapsed()).ok_or_else(|| format!("reload {i}: {host} never answers {status} {text:?}"))
    };
    match i % 6 {
        0 => {
            sluice.write("other.route", says("other.test", &text));
            shows("other.test", 200, Some(&text))
        }
        1 => {
            // Broken: the console says so, and all of it goes on.
            let pool = format!("nowhere{i}");
            let broken = place.route(i, weights, "broken").replace("-> secured", &format!("-> {pool}"));
            sluice.write("l4.route", broken);
            sluice.says("that l4.route is broken", |line| line.contains(&pool));
            Ok(begin.elapsed())
        }
        2 => {
            sluice.write(
                "l4.route",
                place.route(i, weights, &format!("a comment, number {i}\n#\n# and lines that move")),
            );
            shows("marker.test", 200, Some(&text))
        }
        3 => {
            let others = [weights[1] + 3, weights[2], weights[0]];
            sluice.write("l4.route", place.route(i, others, "other weights"));
            shows("marker.test", 200, Some(&text))
        }
        4 => {
            let [tcp, udp] = [0; 2].map(|_| ports::free());
            let more = format!(
                "pool more = {}\ntcp 127.0.0.1:{tcp} -> more\nudp 127.0.0.1:{udp} {{\n    idle 5s\n    \
                 limit 10/s per client.ip\n    -> more\n}}\npassthrough more.test -> more\n{}",
                place.streams[0].addr(),
                says("extra.test", &text)
            );
            sluice.write("extra.route", more);
            shows("extra.test", 200, Some(&text))
        }
        _ => {
            std::fs::remove_file(sluice.sites().join("extra.route")).map_err(|e| e.to_string())?;
            shows("extra.test", 404, None)
        }
    }
}

/// A connection that is never opened again.
fn stream_client(mut client: Client, kind: &'static str, tally: &Arc<Tally>) -> JoinHandle<()> {
    let tally = tally.clone();
    std::thread::spawn(move || {
        let mut round = 0_u64;
        while tally.goes_on() {
            round += 1;
            // From one byte to more than a buffer.
            let text = "x".repeat(
                1 + usize::try_from(round * 7919 % 100_000).unwrap_or_default()
                    / (1 + 99 * usize::from(!round.is_multiple_of(8))),
            );
            if !client.echoes(&text) {
                tally.failed(format!("{kind}: a connection was lost after {round} rounds"));
                return;
            }
            Tally::count(&tally.exchanges);
        }
    })
}

/// A flow that must stay on its endpoint.
fn flow_client(i: u8, place: &Place, tally: &Arc<Tally>) -> JoinHandle<()> {
    let (flow, name) = reaches_udp(Ipv4Addr::new(127, 0, 10, i + 1), place.udp);
    let tally = tally.clone();
    std::thread::spawn(move || {
        let mut round = 0_u64;
        while tally.goes_on() {
            round += 1;
            match flow.asks(&format!("long{i} {round}"), PATIENCE) {
                Some(answered) if answered == name => {}
                Some(answered) => tally.failed(format!("udp: a flow of {name} was answered by {answered}")),
                None => tally.failed(format!("udp: datagram {round} of a flow of {name} was not answered")),
            }
            Tally::count(&tally.exchanges);
        }
    })
}

/// Connections that come and go: each address always to the same endpoint.
fn stream_comer(place: &Arc<Place>, tally: &Arc<Tally>) -> JoinHandle<()> {
    let (place, tally) = (place.clone(), tally.clone());
    std::thread::spawn(move || {
        let mut homes: HashMap<Ipv4Addr, String> = HashMap::new();
        let mut i = 0_u32;
        while tally.goes_on() {
            i += 1;
            let source = Ipv4Addr::new(127, 0, 11, u8::try_from(i % u32::from(COMERS)).unwrap_or_default() + 1);
            for (addr, sticky) in [(place.tcp, false), (place.by_address, true)] {
                let client = dial(source, addr).map(Client::over);
                let Ok(Some(mut client)) = client else {
                    tally.failed(format!("tcp: connection {i} from {source} was not served: {:?}", client.err()));
                    continue;
                };
                if sticky && homes.entry(source).or_insert_with(|| client.name.clone()) != &client.name {
                    tally.failed(format!("tcp: {source} came to {} and to {}", homes[&source], client.name));
                }
                let whole = client.echoes("some text") && client.wire.try_send("and the rest").is_ok();
                client.wire.finish();
                if !whole || client.wire.rest() != b"and the rest" {
                    tally.failed(format!("tcp: connection {i} from {source} was cut"));
                }
                Tally::count(&tally.connections);
            }
        }
    })
}

/// TLS connections that come and go.
fn secure_comer(place: &Arc<Place>, tally: &Arc<Tally>) -> JoinHandle<()> {
    let (place, tally) = (place.clone(), tally.clone());
    std::thread::spawn(move || {
        while tally.goes_on() {
            match place.secure() {
                Ok(mut client) => {
                    if !client.name.starts_with('t') || !client.echoes("through and through") {
                        tally.failed(format!("passthrough: cut, or answered by {}", client.name));
                    }
                }
                Err(error) => tally.failed(format!("passthrough: {error}")),
            }
            Tally::count(&tally.connections);
        }
    })
}

/// Flows that come anew: each address always to the same endpoint.
fn flow_comer(place: &Arc<Place>, tally: &Arc<Tally>) -> JoinHandle<()> {
    let (place, tally) = (place.clone(), tally.clone());
    let clients = (1..=COMERS).map(|i| Ipv4Addr::new(127, 0, 12, i));
    let homes: HashMap<Ipv4Addr, String> = clients.map(|client| (client, reaches_udp(client, place.fixed).1)).collect();
    std::thread::spawn(move || {
        while tally.goes_on() {
            for (client, home) in &homes {
                let flow = Flow::from(*client, place.fixed);
                match flow.asks(&format!("new-{client} hello"), PATIENCE) {
                    Some(name) if name == *home => {}
                    other => tally.failed(format!("udp: {client} belongs to {home} and was answered by {other:?}")),
                }
                Tally::count(&tally.flows);
            }
        }
    })
}
