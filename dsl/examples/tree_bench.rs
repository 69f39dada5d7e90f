//! The decision tree at 100 000 routes: build time, bytes per route, mean and 99th percentile per decision.
//!
//! `cargo run --release -p sluice-dsl --example tree_bench`
//!
//! Three shapes: 10 000 sites of 10 routes, 1 site of 100 000 routes, 100 000 hosts of 1 route. Each
//! is asked through the host index, as the gateway does, with requests drawn uniformly and by Zipf's
//! law. Every answer is compared with the route that the request was made for.

use dsl::tree::ir::*;
use dsl::tree::request::{Request, TlsFacts};
use dsl::tree::{Decision, HostIndex, Program, compile};
use std::hint::black_box;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

/// What one decision is asked, and what it must answer.
struct Ask {
    path: String,
    site: usize,
    plan: PlanIdx,
}

struct Shape {
    name: &'static str,
    sites: Vec<Site>,
    asks: Vec<Ask>,
}

fn main() {
    println!(
        "{:<24} {:>9} {:>10} {:>22} {:>22} {:>22}",
        "shape", "build", "B/route", "hot: mean / p99", "Zipf: mean / p99", "uniform: mean / p99"
    );
    for shape in [sites(10_000, 10), sites(1, 100_000), sites(100_000, 1)] {
        run(shape);
    }
    change_of_one_host();
}

/// So many sites with so many routes each: paths of one to four segments, captures and splats, a
/// condition on every tenth.
fn sites(count: usize, routes: usize) -> Shape {
    let name = match (count, routes) {
        (1, _) => "1 site x 100 000 routes",
        (_, 1) => "100 000 hosts x 1",
        _ => "10 000 sites x 10",
    };
    let mut shape = Shape { name, sites: Vec::new(), asks: Vec::new() };
    for n in 0..count {
        let host = format!("tenant-{n}.example.com");
        let mut entries = Vec::new();
        for r in 0..routes {
            let (texts, path): (Vec<String>, String) = match r % 5 {
                0 => (vec![format!("page-{r}")], format!("/page-{r}")),
                1 => (vec!["api".into(), format!("v{r}"), "*".into()], format!("/api/v{r}/users/7")),
                2 => (vec!["blog".into(), format!("topic-{r}"), "{}".into()], format!("/blog/topic-{r}/hello")),
                3 => (
                    vec!["shop".into(), "catalogue".into(), format!("c{r}"), "items".into()],
                    format!("/shop/catalogue/c{r}/items"),
                ),
                _ => (vec![format!("static-{r}"), "*".into()], format!("/static-{r}/css/site.css")),
            };
            let splat = texts.last().is_some_and(|t| t == "*");
            let segments = texts.iter().filter(|t| *t != "*").map(|t| match &**t {
                "{}" => Segment::any(),
                text => Segment::Lit(text.into()),
            });
            let guard = match r % 10 {
                9 => Cond::Test(Field::Method, Test::OneOf(vec!["GET".into(), "HEAD".into()])),
                _ => Cond::Const(true),
            };
            entries.push(Entry {
                pattern: PathPattern { segments: segments.collect(), splat },
                guard,
                target: Target::Plan(plan(r)),
                pathless: false,
                loc: Default::default(),
                names: Vec::new(),
            });
            shape.asks.push(Ask { path, site: n, plan: plan(r) });
        }
        shape.sites.push(site(&host, entries, routes));
    }
    shape
}

fn plan(n: usize) -> PlanIdx {
    PlanIdx(u32::try_from(n).expect("few plans"))
}

fn site(host: &str, entries: Vec<Entry>, miss: usize) -> Site {
    let pattern = PathPattern { segments: Vec::new(), splat: true };
    Site {
        hosts: vec![(HostPattern::of_literal(host), Default::default())],
        scopes: vec![Scope { pattern, entries, miss: plan(miss), protected: false, loc: Default::default() }],
        plans: Vec::new(),
        pools: Vec::new(),
        calls: Vec::new(),
        providers: Vec::new(),
        on_demand: None,
        via: None,
        settings: SiteSettings {
            tls: Tls::Auto,
            http_allowed: true,
            default: false,
            paths: Paths::Canonical,
            semicolon: true,
            walls: Default::default(),
            handshake: Handshake::default(),
        },
        loc: Default::default(),
    }
}

fn run(shape: Shape) {
    let sites: Vec<Arc<Site>> = shape.sites.into_iter().map(Arc::new).collect();
    let start = Instant::now();
    let programs: Vec<Arc<Program>> =
        sites.iter().map(|site| Arc::new(compile(site.clone()).expect("the sites are sound"))).collect();
    let mut hosts = HostIndex::seeded(0x5eed);
    for (n, program) in programs.iter().enumerate() {
        for (host, _) in &program.site().hosts {
            hosts.insert(host, (n, program.clone()));
        }
    }
    let built = start.elapsed();
    let bytes: usize = programs.iter().map(|p| p.size().bytes).sum();
    assert!(programs.iter().all(|p| p.size().automaton));
    let all = shape.asks.len();
    let hot = measure(&hosts, &shape.asks, || 4711 % all);
    let zipf = measure(&hosts, &shape.asks, {
        // Rank r with a chance of about 1/r, ranks spread over the routes.
        let (last, mut random) = ((all as f64).ln(), Random(7));
        move || {
            let rank = (random.unit() * last).exp() as usize;
            rank.wrapping_mul(0x9e37_79b1) % all
        }
    });
    let mut random = Random(9);
    let uniform = measure(&hosts, &shape.asks, move || (random.next() % all as u64) as usize);
    let pair = |(mean, p99): (f64, u64)| format!("{mean:.0} ns / {p99} ns");
    println!(
        "{:<24} {:>6} ms {:>10.0} {:>22} {:>22} {:>22}",
        shape.name,
        built.as_millis(),
        bytes as f64 / all as f64,
        pair(hot),
        pair(zipf),
        pair(uniform)
    );
}

/// Mean over runs that are timed as a whole, 99th percentile over decisions that are timed one by one
/// (what reading the clock takes is subtracted). Requests are laid out in the order in which they are
/// asked, as a connection's buffer would be at hand.
fn measure(hosts: &HostIndex<(usize, Arc<Program>)>, asks: &[Ask], mut draw: impl FnMut() -> usize) -> (f64, u64) {
    const RUN: usize = 200_000;
    const CHUNK: usize = 1_000;
    // One text, as a connection's buffer is: what is measured is the decision, not the fetching of the request.
    let mut text = String::new();
    let mut drawn = Vec::with_capacity(RUN);
    for _ in 0..RUN {
        let ask = &asks[draw()];
        let start = text.len();
        text.push_str(&format!("tenant-{}.example.com", ask.site));
        let middle = text.len();
        text.push_str(&ask.path);
        drawn.push((start, middle, text.len(), ask.site, ask.plan));
    }
    let request =
        |(start, middle, end): (usize, usize, usize)| Get { host: &text[start..middle], path: &text[middle..end] };
    let decide = |request: &Get<'_>| {
        let (site, program) = hosts.get(request.host).expect("every host is served");
        (*site, program.decide(request))
    };
    // The median of many runs: what else the machine does is not measured.
    let mut runs: Vec<f64> = drawn
        .chunks(CHUNK)
        .map(|chunk| {
            let start = Instant::now();
            for (start, middle, end, site, plan) in chunk {
                let request = request((*start, *middle, *end));
                let answer = black_box(decide(black_box(&request)));
                assert!(answer == (*site, Decision::Plan(*plan)), "{}: {answer:?}", request.path);
            }
            start.elapsed().as_nanos() as f64 / chunk.len() as f64
        })
        .collect();
    runs.sort_unstable_by(f64::total_cmp);
    let mean = runs[runs.len() / 2];
    let mut clock: Vec<u64> = (0..1000)
        .map(|_| {
            let start = Instant::now();
            u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX)
        })
        .collect();
    clock.sort_unstable();
    let mut single: Vec<u64> = drawn
        .iter()
        .rev()
        .map(|(start, middle, end, _, _)| {
            let request = request((*start, *middle, *end));
            black_box(request.host.bytes().chain(request.path.bytes()).fold(0u8, |a, b| a ^ b));
            let start = Instant::now();
            black_box(decide(black_box(&request)));
            let taken = u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX);
            taken.saturating_sub(clock[500])
        })
        .collect();
    single.sort_unstable();
    (mean, single[RUN * 99 / 100])
}

/// A changed copy of an index of 100 000 hosts.
fn change_of_one_host() {
    let mut hosts = HostIndex::seeded(1);
    for n in 0..100_000 {
        hosts.insert(&HostPattern::of_literal(&format!("tenant-{n}.example.com")), Arc::new(n));
    }
    let mut taken: Vec<u128> = (0..1000)
        .map(|n| {
            let host = HostPattern::of_literal(&format!("tenant-{}.example.com", n * 97));
            let start = Instant::now();
            let mut copy = hosts.clone();
            copy.insert(&host, Arc::new(0));
            let taken = start.elapsed().as_nanos();
            hosts = copy;
            taken
        })
        .collect();
    taken.sort_unstable();
    println!("one host changed in a copy of 100 000: median {} us, p99 {} us", taken[500] / 1000, taken[990] / 1000);
}

/// A GET without headers.
struct Get<'a> {
    host: &'a str,
    path: &'a str,
}

impl Request for Get<'_> {
    fn method(&self) -> &str {
        "GET"
    }
    fn host(&self) -> &str {
        self.host
    }
    fn path(&self) -> &str {
        self.path
    }
    fn query(&self) -> Option<&str> {
        None
    }
    fn version(&self) -> &'static str {
        "1.1"
    }
    fn header<'a>(&'a self, _: &str, _: &mut dyn FnMut(&'a [u8])) {}
    fn client_ip(&self) -> IpAddr {
        IpAddr::from([203, 0, 113, 1])
    }
    fn client_port(&self) -> u16 {
        50_000
    }
    fn size(&self) -> Option<u64> {
        None
    }
    fn tls(&self) -> Option<TlsFacts<'_>> {
        None
    }
}

/// SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }
}
