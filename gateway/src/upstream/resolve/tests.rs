//! From answers to endpoints, and when names are asked about: no socket, and a clock that is turned by hand.

use super::book::{Answer, Book, Found, Host, Said, Service, Trouble, Verdict};
use super::watch::{Watch, keep};
use super::*;
use crate::runtime::notice;
use crate::upstream::Pools;
use dsl::syntax::span::Loc;
use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::path::Path;
use tokio::time::Instant;

fn ips(all: &[&str]) -> Vec<IpAddr> {
    all.iter().map(|ip| ip.parse().unwrap()).collect()
}

fn has(all: &[&str], seconds: u32) -> Said<IpAddr> {
    Said::Records(ips(all), seconds)
}

fn none(exists: bool) -> Said<IpAddr> {
    Said::None { exists, seconds: Some(60) }
}

fn silence<T>() -> Said<T> {
    Said::Nothing("no answer from 192.0.2.53".into())
}

fn host(four: Said<IpAddr>, six: Said<IpAddr>) -> Answer {
    Answer::Host(Host { four, six })
}

fn four(all: &[&str], seconds: u32) -> Answer {
    host(has(all, seconds), none(true))
}

fn at(found: &[Found]) -> Vec<String> {
    let one = |found: &Found| {
        let ips: Vec<String> = found.ips.iter().map(ToString::to_string).collect();
        let target = found.target.as_ref().map(|(host, port)| format!("{host}:{port} ")).unwrap_or_default();
        let weight = if found.weight == 1 { String::new() } else { format!(" weight {}", found.weight) };
        format!("{target}{}{weight}{}", ips.join("+"), if found.backup { " backup" } else { "" })
    };
    found.iter().map(one).collect()
}

const MINUTE: Duration = Duration::from_secs(60);

fn note(book: &mut Book, answer: Answer) -> Verdict {
    book.note(answer, MINUTE)
}

// === what is known

#[test]
fn addresses_are_endpoints_in_an_order_of_their_own() {
    let mut book = Book::default();
    let verdict = note(&mut book, four(&["10.0.0.2", "10.0.0.1"], 30));
    assert_eq!(at(&verdict.found), ["10.0.0.1", "10.0.0.2"]);
    assert_eq!((verdict.trouble, verdict.again), (None, Duration::from_secs(30)));
    let verdict = note(&mut book, host(has(&["10.0.0.1"], 30), has(&["fd00::1"], 20)));
    assert_eq!(at(&verdict.found), ["fd00::1+10.0.0.1"]);
    assert_eq!(verdict.again, Duration::from_secs(20));
}

#[test]
fn what_does_not_exist_has_no_endpoint_and_is_asked_about_soon() {
    let mut book = Book::default();
    note(&mut book, four(&["10.0.0.1"], 30));
    let verdict = note(&mut book, host(none(false), none(false)));
    assert_eq!((at(&verdict.found), verdict.trouble), (vec![], Some(Trouble::NoName)));
    assert_eq!(verdict.again, Duration::from_secs(10), "whatever its SOA says");
    let verdict = note(&mut book, host(none(true), none(true)));
    assert_eq!(verdict.trouble.unwrap().to_string(), "it has no address");
    // Servers that know nothing of IPv6 may say that the name does not exist (RFC 4074).
    let verdict = note(&mut book, host(has(&["10.0.0.1"], 30), none(false)));
    assert_eq!((at(&verdict.found), verdict.trouble), (vec!["10.0.0.1".to_owned()], None));
}

#[test]
fn silence_changes_nothing_and_is_asked_into_less_and_less() {
    let mut book = Book::default();
    note(&mut book, host(has(&["10.0.0.1"], 30), has(&["fd00::1"], 30)));
    let again: Vec<u64> = (0..5)
        .map(|_| {
            let verdict = note(&mut book, host(silence(), silence()));
            assert_eq!(at(&verdict.found), ["fd00::1+10.0.0.1"]);
            assert_eq!(verdict.trouble.unwrap().to_string(), "cannot be looked up (no answer from 192.0.2.53)");
            verdict.again.as_secs()
        })
        .collect();
    assert_eq!(again, [1, 2, 4, 5, 5]);
    // Half an answer is taken for what it says.
    let verdict = note(&mut book, host(has(&["10.0.0.2"], 30), silence()));
    assert_eq!((at(&verdict.found), verdict.trouble), (vec!["fd00::1+10.0.0.2".to_owned()], None));
    let verdict = note(&mut book, host(silence(), none(true)));
    assert_eq!(at(&verdict.found), ["10.0.0.2"]);
    assert!(verdict.trouble.is_some());
}

#[test]
fn no_name_is_asked_about_all_the_time_or_hardly_ever() {
    let again = |seconds, ceiling| Book::default().note(four(&["10.0.0.1"], seconds), ceiling).again;
    assert_eq!(again(0, MINUTE), Duration::from_secs(1));
    assert_eq!(again(86_400, MINUTE), MINUTE);
    assert_eq!(again(86_400, Duration::from_millis(200)), Duration::from_millis(200), "where somebody says so");
}

#[test]
fn a_name_has_so_many_endpoints_at_most() {
    let many: Vec<IpAddr> = (0..2_000_u32).map(|n| std::net::Ipv4Addr::from(0x0a00_0000 + n).into()).collect();
    let verdict = note(&mut Book::default(), host(Said::Records(many, 30), none(true)));
    assert_eq!(verdict.found.len(), 256);
    assert_eq!(at(&verdict.found)[255], "10.0.0.255");
}

fn services(all: &[(u16, u16, &str, u16)], hosts: &[(&str, Said<IpAddr>)]) -> Answer {
    let service = |(priority, weight, target, port): &(u16, u16, &str, u16)| Service {
        priority: *priority,
        target: (*target).into(),
        port: *port,
        weight: *weight,
    };
    let six = |four: &Said<IpAddr>| if matches!(four, Said::Records(..)) { none(true) } else { four.clone() };
    let hosts = hosts.iter().map(|(name, four)| ((*name).into(), Host { four: four.clone(), six: six(four) }));
    Answer::Service(Said::Records(all.iter().map(service).collect(), 30), hosts.collect())
}

#[test]
fn a_service_has_ports_weights_and_backups() {
    let hosts =
        [("a", has(&["10.0.0.1", "10.0.0.2"], 20)), ("b", has(&["10.0.1.1"], 300)), ("c", has(&["10.0.2.1"], 300))];
    let all = [(20, 0, "c", 8003), (10, 0, "b", 8002), (10, 5, "a", 8001)];
    let verdict = note(&mut Book::default(), services(&all, &hosts));
    let expected =
        ["a:8001 10.0.0.1 weight 5", "a:8001 10.0.0.2 weight 5", "b:8002 10.0.1.1", "c:8003 10.0.2.1 backup"];
    assert_eq!((at(&verdict.found), verdict.trouble), (expected.map(str::to_owned).to_vec(), None));
    assert_eq!(verdict.again, Duration::from_secs(20), "when the first of the records is due");
}

#[test]
fn a_host_of_a_service_that_is_not_there_harms_no_other() {
    let mut book = Book::default();
    let all = [(10, 1, "a", 1), (10, 1, "b", 2)];
    note(&mut book, services(&all, &[("a", has(&["10.0.0.1"], 30)), ("b", has(&["10.0.0.2"], 30))]));
    let verdict = note(&mut book, services(&all, &[("a", none(false)), ("b", silence())]));
    assert_eq!(at(&verdict.found), ["b:2 10.0.0.2"], "who says nothing keeps what it had");
    assert_eq!(verdict.trouble.unwrap().to_string(), "its host a: no such name");
    // Where the best are not there the next ones are the best.
    let all = [(10, 1, "a", 1), (20, 1, "b", 2)];
    let verdict = note(&mut book, services(&all, &[("a", none(false)), ("b", has(&["10.0.0.2"], 30))]));
    assert_eq!(at(&verdict.found), ["b:2 10.0.0.2"]);
    // Silence about the records keeps them all.
    let verdict = note(&mut book, Answer::Service(silence(), BTreeMap::new()));
    assert_eq!(at(&verdict.found), ["b:2 10.0.0.2"]);
    // `.`: decidedly not there (RFC 2782).
    let verdict = note(&mut book, services(&[(0, 0, "", 0)], &[]));
    assert_eq!(at(&verdict.found), [""; 0]);
    assert!(verdict.trouble.is_some());
}

// === when it is asked

/// Answers in turn, the last one for ever; when it was asked, in milliseconds.
struct Script {
    answers: RefCell<VecDeque<Answer>>,
    asked: RefCell<Vec<u64>>,
    start: Instant,
}

impl Script {
    fn new(answers: &[Answer]) -> Self {
        Self {
            answers: RefCell::new(answers.iter().cloned().collect()),
            asked: RefCell::default(),
            start: Instant::now(),
        }
    }

    fn ask(&self) -> Answer {
        self.asked.borrow_mut().push(self.start.elapsed().as_millis() as u64);
        let mut answers = self.answers.borrow_mut();
        if answers.len() > 1 { answers.pop_front().unwrap() } else { answers[0].clone() }
    }

    /// Runs for so many seconds.
    async fn run(&self, watch: &Arc<Watch>, servers: &mut channel::Receiver<Servers>, seconds: u64) {
        let running = keep(Arc::downgrade(watch), servers, |_, _| async { self.ask() });
        let _ = tokio::time::timeout(Duration::from_secs(seconds), running).await;
    }
}

/// It is known whom to ask, and does not change.
fn asks_forever() -> channel::Receiver<Servers> {
    let sender = channel::Sender::new(Some([].into()));
    let receiver = sender.subscribe();
    // A sender that is gone means that the gateway ends.
    std::mem::forget(sender);
    receiver
}

fn watch(notices: Option<NoticeSender>) -> Arc<Watch> {
    let question = Question { name: "api.internal".into(), service: false };
    Arc::new(Watch::new(question, None, notices))
}

#[tokio::test(start_paused = true)]
async fn a_name_is_asked_about_when_its_records_are_due() {
    let script = Script::new(&[four(&["10.0.0.1"], 10), four(&["10.0.0.2"], 10), four(&["10.0.0.2"], 3_600)]);
    let watch = watch(None);
    script.run(&watch, &mut asks_forever(), 100).await;
    let asked = script.asked.take();
    let gaps: Vec<u64> = asked.windows(2).map(|two| two[1] - two[0]).collect();
    assert_eq!(asked[0], 0);
    assert!((9_000..=10_001).contains(&gaps[0]) && (9_000..=10_001).contains(&gaps[1]), "{gaps:?}");
    assert!((54_000..=60_001).contains(&gaps[2]), "the ceiling, {gaps:?}");
    assert_eq!(at(&watch.found()), ["10.0.0.2"]);
}

#[tokio::test(start_paused = true)]
async fn nobody_is_asked_before_it_is_known_whom_to_ask_and_everything_anew_when_that_changes() {
    let script = Script::new(&[four(&["10.0.0.1"], 3_600)]);
    let sender = channel::Sender::new(None);
    let mut servers = sender.subscribe();
    let watch = watch(None);
    script.run(&watch, &mut servers, 100).await;
    assert!(script.asked.borrow().is_empty() && watch.is_open());
    let told = async {
        for seconds in [1, 10] {
            tokio::time::sleep(Duration::from_secs(seconds)).await;
            let server: SocketAddr = ([192, 0, 2, seconds as u8], 53).into();
            sender.send_replace(Some([server].into()));
        }
    };
    tokio::join!(told, script.run(&watch, &mut servers, 20));
    assert_eq!(script.asked.take(), [101_000, 111_000]);
    assert!(!watch.is_open());
}

#[tokio::test(start_paused = true)]
async fn what_is_wrong_is_told_once_and_that_it_is_over() {
    let answers = [
        host(none(false), none(false)),
        host(none(false), none(false)),
        four(&["10.0.0.1"], 1),
        host(silence(), silence()),
        host(silence(), silence()),
        four(&["10.0.0.1"], 3_600),
    ];
    let script = Script::new(&answers);
    let (sender, notices) = notice::channel();
    let watch = watch(Some(sender));
    let pool = ir::Pool::new("api".into(), Vec::new(), Loc::default());
    let pool = Pools::new(1).intern(&Arc::new(pool), Path::new(""));
    watch.told_to(&pool);
    script.run(&watch, &mut asks_forever(), 60).await;
    let told: Vec<String> = notices.try_iter().map(|notice| notice.to_string()).collect();
    let expected = [
        "api.internal of pool api: no such name",
        "api.internal of pool api is found again: 1 endpoint",
        "api.internal of pool api: cannot be looked up (no answer from 192.0.2.53); 1 endpoint goes on",
        "api.internal of pool api is found again: 1 endpoint",
    ];
    assert_eq!(told, expected);
}

#[tokio::test(start_paused = true)]
async fn a_pool_that_wants_it_more_often_need_not_wait() {
    let named = |name: &str, resolve_ms| {
        let mut pool = ir::Pool::new(name.into(), Vec::new(), Loc::default());
        pool.resolve_ms = resolve_ms;
        Arc::new(pool)
    };
    let pools = Pools::new(1);
    let (slow, quick) =
        (pools.intern(&named("slow", None), Path::new("")), pools.intern(&named("quick", Some(5_000)), Path::new("")));
    let script = Script::new(&[four(&["10.0.0.1"], 3_600)]);
    let watch = watch(None);
    watch.told_to(&slow);
    let joins = async {
        tokio::time::sleep(Duration::from_secs(10)).await;
        watch.told_to(&quick);
    };
    let mut servers = asks_forever();
    tokio::join!(joins, script.run(&watch, &mut servers, 19));
    let asked = script.asked.take();
    assert_eq!(asked[..2], [0, 10_000]);
    assert!((14_500..=15_001).contains(&asked[2]), "{asked:?}");
}

// === pools

fn pool_of(name: &str, endpoints: &[(ir::EndpointKind, &str)]) -> Arc<ir::Pool> {
    let endpoint = |(kind, host): &(ir::EndpointKind, &str)| ir::Endpoint {
        kind: *kind,
        host: (*host).into(),
        port: 8080,
        weight: 1,
        backup: false,
        loc: Loc::default(),
    };
    Arc::new(ir::Pool::new(name.into(), endpoints.iter().map(endpoint).collect(), Loc::default()))
}

fn names_of(pool: &PoolHandle) -> Vec<String> {
    pool.members().each().iter().map(|member| member.endpoint.name().to_string()).collect()
}

#[test]
fn a_name_is_asked_about_once_and_for_as_long_as_somebody_has_it() {
    let pools = Pools::new(1);
    let named =
        pool_of("a", &[(ir::EndpointKind::Tcp, "api.internal"), (ir::EndpointKind::Srv, "_http._tcp.api.internal")]);
    let first = pools.intern(&named, Path::new(""));
    let second = pools.intern(&pool_of("b", &[(ir::EndpointKind::Tcp, "api.internal")]), Path::new(""));
    assert_eq!(pools.names(), 2);
    assert!(first.is_open() && first.members().is_empty());
    drop(first);
    assert_eq!(pools.names(), 1);
    drop(second);
    assert_eq!(pools.names(), 0);
}

#[test]
fn members_follow_and_who_stays_is_the_same() {
    let pools = Pools::new(1);
    let pool = pools.intern(
        &pool_of("api", &[(ir::EndpointKind::Tcp, "10.0.0.9"), (ir::EndpointKind::Tcp, "api.internal")]),
        Path::new(""),
    );
    assert_eq!(names_of(&pool), ["10.0.0.9:8080"], "who is written as an address waits for nobody");
    assert!(!pool.is_open());
    let watch = pools.watched("api.internal");
    watch.note(four(&["10.0.0.2", "10.0.0.1"], 30));
    let before = pool.members();
    assert_eq!(names_of(&pool), ["10.0.0.9:8080", "api.internal:8080 (10.0.0.1)", "api.internal:8080 (10.0.0.2)"]);
    let version = pool.version();
    watch.note(four(&["10.0.0.1", "10.0.0.2"], 30));
    assert_eq!(pool.version(), version, "the order of an answer means nothing");
    let epoch = crate::upstream::health_epoch();
    watch.note(four(&["10.0.0.2", "10.0.0.3"], 30));
    assert_eq!(names_of(&pool), ["10.0.0.9:8080", "api.internal:8080 (10.0.0.2)", "api.internal:8080 (10.0.0.3)"]);
    assert!(Arc::ptr_eq(before.endpoint(2), pool.members().endpoint(1)));
    assert_eq!(pool.members().find(before.endpoint(1)), None);
    assert_ne!(crate::upstream::health_epoch(), epoch, "connections to who left are looked at");
    // A pool that is written anew has the same endpoints at once.
    let anew = pools.intern(&pool_of("other", &[(ir::EndpointKind::Tcp, "api.internal")]), Path::new(""));
    assert!(Arc::ptr_eq(pool.members().endpoint(1), anew.members().endpoint(0)));
}

#[test]
fn a_service_verifies_what_is_written_and_dials_what_was_found() {
    let pools = Pools::new(1);
    let pool = pools.intern(&pool_of("api", &[(ir::EndpointKind::Srv, "_http._tcp.api.internal")]), Path::new(""));
    pools
        .watched("_http._tcp.api.internal")
        .note(services(&[(1, 3, "node-1.internal", 9000)], &[("node-1.internal", has(&["10.0.0.1"], 30))]));
    let members = pool.members();
    let endpoint = members.endpoint(0);
    assert_eq!(&**endpoint.name(), "node-1.internal:9000 (10.0.0.1)");
    assert_eq!((&**endpoint.host(), endpoint.port()), ("api.internal", 9000));
    assert_eq!(endpoint.addresses(), ["10.0.0.1:9000".parse().unwrap()]);
    assert_eq!(members.each()[0].weight, 3);
}

#[test]
fn the_checks_of_who_left_end() {
    let pools = Pools::new(1);
    let mut pool = ir::Pool::clone(&pool_of("api", &[(ir::EndpointKind::Tcp, "api.internal")]));
    pool.check =
        Some(ir::Check { probe: ir::Probe::Tcp, port: None, every_ms: 3_600_000, within_ms: 1_000, rise: 1, fall: 1 });
    let pool = pools.intern(&Arc::new(pool), Path::new(""));
    let watch = pools.watched("api.internal");
    watch.note(four(&["127.0.0.1", "127.0.0.2"], 30));
    let standing = pool.members().each()[1].standing.clone().map(|standing| Arc::downgrade(&standing));
    let checks = |expected: usize| {
        let end = std::time::Instant::now() + Duration::from_secs(20);
        while pools.checks() != expected && std::time::Instant::now() < end {
            std::thread::yield_now();
        }
        assert_eq!(pools.checks(), expected);
    };
    checks(2);
    watch.note(four(&["127.0.0.2"], 30));
    checks(1);
    assert!(standing.unwrap().upgrade().is_some_and(|kept| kept.is_up()), "what is known of who stays is kept");
}
