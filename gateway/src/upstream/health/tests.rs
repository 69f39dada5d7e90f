//! Checks: their verdicts, their pace, and each probe against real sockets.

use super::judge::Judge;
use super::probe::probe;
use super::run::{Jitter, run};
use super::*;
use crate::runtime::notice;
use crate::upstream::{PoolHandle, Pools, Tried, Upstreams};
use dsl::syntax::span::Loc;
use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::sync::mpsc::Receiver;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, UdpSocket};
use tokio::time::Instant;

const PATIENCE: Duration = Duration::from_secs(20);

pub(super) fn check(probe: ir::Probe) -> ir::Check {
    ir::Check { probe, port: None, every_ms: 5_000, within_ms: 1_000, rise: 2, fall: 3 }
}

fn quick(probe: ir::Probe) -> ir::Check {
    ir::Check { every_ms: 20, within_ms: 2_000, rise: 1, fall: 2, ..check(probe) }
}

fn endpoint(at: SocketAddr) -> ir::Endpoint {
    ir::Endpoint {
        kind: ir::EndpointKind::Tcp,
        host: at.ip().to_string().into(),
        port: at.port(),
        weight: 1,
        backup: false,
        loc: Loc::default(),
    }
}

pub(super) fn pool(name: &str, at: &[SocketAddr], check: ir::Check) -> ir::Pool {
    let mut pool = ir::Pool::new(name.into(), at.iter().copied().map(endpoint).collect(), Loc::default());
    pool.check = Some(check);
    pool
}

// === verdicts

#[test]
fn so_many_in_a_row_change_a_verdict() {
    let mut judge = Judge::new(&check(ir::Probe::Tcp));
    let mut notes = |checks: &str| checks.chars().map(|c| judge.note(c == '+')).collect::<Vec<_>>();
    assert_eq!(notes("+--+--+"), [None; 7]);
    assert_eq!(notes("---"), [None, None, Some(false)]);
    assert_eq!(notes("--+-+-"), [None; 6]);
    assert_eq!(notes("++"), [None, Some(true)]);
    assert_eq!(notes("+--"), [None; 3]);
    assert_eq!(notes("-"), [Some(false)]);
}

#[test]
fn until_something_is_known_checks_follow_quickly() {
    let every = Duration::from_secs(5);
    let mut judge = Judge::new(&check(ir::Probe::Tcp));
    assert_eq!(judge.pace(every), every / 10);
    assert_eq!(judge.pace(Duration::from_millis(500)), Duration::from_millis(100));
    assert_eq!(judge.pace(Duration::from_millis(50)), Duration::from_millis(50));
    judge.note(false);
    judge.note(false);
    assert_eq!(judge.pace(every), every / 10);
    judge.note(false);
    assert_eq!(judge.pace(every), every, "down is known too");
    let mut judge = Judge::new(&check(ir::Probe::Tcp));
    judge.note(true);
    assert_eq!(judge.pace(every), every);
}

/// Runs checks whose outcomes are given by the clock; returns what changed when, in milliseconds.
async fn ran(check: ir::Check, lasts: Duration, outcome: impl Fn(u64) -> (Duration, Result<(), String>)) -> Ran {
    let begin = Instant::now();
    let since = || begin.elapsed().as_millis() as u64;
    let (times, changes) = (RefCell::new(Vec::new()), RefCell::new(Vec::new()));
    let permits = Semaphore::new(1);
    let probe = || {
        times.borrow_mut().push(since());
        let (takes, outcome) = outcome(since());
        async move {
            tokio::time::sleep(takes).await;
            outcome
        }
    };
    let changed = |up: bool, reason: &str| changes.borrow_mut().push((since(), up, reason.to_owned()));
    let running = run(&check, Jitter::new(), &permits, probe, changed);
    let _ = tokio::time::timeout(lasts, running).await;
    Ran { times: times.into_inner(), changes: changes.into_inner() }
}

struct Ran {
    times: Vec<u64>,
    changes: Vec<(u64, bool, String)>,
}

#[tokio::test(start_paused = true)]
async fn checks_come_in_time_and_not_all_at_once() {
    let well = |_| (Duration::from_millis(3), Ok(()));
    let Ran { times, changes } = ran(check(ir::Probe::Tcp), Duration::from_secs(1_000), well).await;
    assert!(changes.is_empty());
    assert!(times[0] <= 500, "{}", times[0]);
    // One is quick, for nothing was known before it.
    for pair in times[2..].windows(2) {
        assert!((4_495..=5_505).contains(&(pair[1] - pair[0])), "{pair:?}");
    }
    let other = ran(check(ir::Probe::Tcp), Duration::from_secs(1_000), well).await;
    assert_ne!(times, other.times);
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_goes_and_comes_back() {
    // Down from 100 s to 200 s.
    let outcome = |at| {
        let bad = (100_000..200_000).contains(&at);
        (Duration::from_millis(3), if bad { Err("connection refused".to_owned()) } else { Ok(()) })
    };
    let Ran { changes, .. } = ran(check(ir::Probe::Tcp), Duration::from_secs(300), outcome).await;
    let [(down_at, false, reason), (up_at, true, _)] = &changes[..] else { panic!("{changes:?}") };
    assert_eq!(reason, "connection refused");
    // Three checks, the first within an interval; then two.
    assert!((109_000..=117_000).contains(down_at), "{down_at}");
    assert!((204_500..=211_100).contains(up_at), "{up_at}");
}

#[tokio::test(start_paused = true)]
async fn what_is_dead_from_the_start_is_soon_known_to_be() {
    let dead = |_| (Duration::from_secs(3_600), Ok(()));
    let Ran { changes, .. } = ran(check(ir::Probe::Tcp), Duration::from_secs(60), dead).await;
    let [(down_at, false, reason)] = &changes[..] else { panic!("{changes:?}") };
    assert_eq!(reason, "no answer within 1000 ms");
    assert!(*down_at <= 4_000, "{down_at}");
}

#[tokio::test(start_paused = true)]
async fn where_too_many_are_under_way_a_check_is_left_out() {
    let permits = Semaphore::new(1);
    let held = permits.acquire().await.expect("it is open");
    let asked = Cell::new(0);
    let probe = || {
        asked.set(asked.get() + 1);
        async { Ok(()) }
    };
    let check = check(ir::Probe::Tcp);
    let running = run(&check, Jitter::new(), &permits, probe, |_, _| panic!("nothing is known"));
    let mut running = std::pin::pin!(running);
    let _ = tokio::time::timeout(Duration::from_secs(100), running.as_mut()).await;
    assert_eq!(asked.get(), 0);
    drop(held);
    let _ = tokio::time::timeout(Duration::from_secs(100), running.as_mut()).await;
    assert!(asked.get() >= 15);
}

// === probes

pub(super) async fn probed(pool: &ir::Pool) -> Result<(), String> {
    let check = pool.check.as_ref().expect("it has one");
    // Nobody else checks it meanwhile.
    let unchecked = ir::Pool { check: None, ..pool.clone() };
    let handle = Pools::new(1).intern(&Arc::new(unchecked), Path::new(""));
    let target = Target::of(&handle, handle.members().endpoint(0), check);
    tokio::time::timeout(PATIENCE, probe(&target)).await.expect("in time")
}

/// Answers each connection; returns where, and what was asked.
pub(super) async fn answering(answer: &'static [u8]) -> (SocketAddr, tokio::sync::mpsc::Receiver<Vec<u8>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    let (sender, asked) = tokio::sync::mpsc::channel(16);
    tokio::spawn(async move {
        while let Ok((mut tcp, _)) = listener.accept().await {
            let mut seen = Vec::new();
            while !seen.ends_with(b"\r\n\r\n") && tcp.read_buf(&mut seen).await.is_ok_and(|n| n > 0) {}
            let _ = tcp.write_all(answer).await;
            let _ = sender.send(seen).await;
        }
    });
    (at, asked)
}

fn get(expect: (u16, u16)) -> ir::Check {
    check(ir::Probe::Http { method: "GET".into(), path: "/healthz?full".into(), expect, body: None })
}

/// A port that nobody listens on.
async fn nobody() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
}

#[tokio::test]
async fn http_is_asked_for_a_status() {
    let (at, mut asked) = answering(b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n").await;
    assert_eq!(probed(&pool("p", &[at], get((200, 299)))).await, Ok(()));
    let request = String::from_utf8(asked.recv().await.unwrap()).unwrap();
    assert_eq!(
        request,
        format!(
            "GET /healthz?full HTTP/1.1\r\nHost: {at}\r\nUser-Agent: sluice-check\r\nAccept: */*\r\nConnection: close\r\n\r\n"
        )
    );
    assert_eq!(probed(&pool("p", &[at], get((200, 200)))).await, Err("answered 204, expected 200".into()));
    assert_eq!(probed(&pool("p", &[at], get((300, 399)))).await, Err("answered 204, expected 300..399".into()));
    let (at, _asked) = answering(b"SSH-2.0-OpenSSH_9.2\r\n").await;
    assert_eq!(probed(&pool("p", &[at], get((200, 299)))).await, Err("what it answered is not HTTP".into()));
    let (at, _asked) = answering(b"").await;
    assert_eq!(probed(&pool("p", &[at], get((200, 299)))).await, Err("closed the connection without an answer".into()));
    assert_eq!(probed(&pool("p", &[nobody().await], get((200, 299)))).await, Err("connection refused".into()));
}

#[tokio::test]
async fn a_check_may_have_a_port_of_its_own() {
    let (at, mut asked) = answering(b"HTTP/1.1 200 OK\r\n\r\n").await;
    let check = ir::Check { port: Some(at.port()), ..get((200, 299)) };
    let mut pool = pool("p", &[nobody().await], check);
    // Which is spoken to plainly: the settings are those of the other port.
    pool.proxy_protocol = Some(ir::ProxyProtocol::V1);
    pool.tls = Some(ir::PoolTls::default());
    assert_eq!(probed(&pool).await, Ok(()));
    assert!(asked.recv().await.unwrap().starts_with(b"GET "));
}

#[tokio::test]
async fn who_expects_a_proxy_header_gets_one() {
    for (version, header) in [
        (ir::ProxyProtocol::V1, &b"PROXY UNKNOWN\r\n"[..]),
        (ir::ProxyProtocol::V2, b"\x0d\x0a\x0d\x0a\x00\x0d\x0a\x51\x55\x49\x54\x0a\x20\x00\x00\x00"),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut pool = pool("p", &[listener.local_addr().unwrap()], check(ir::Probe::Tcp));
        pool.proxy_protocol = Some(version);
        assert_eq!(probed(&pool).await, Ok(()));
        let mut seen = Vec::new();
        listener.accept().await.unwrap().0.read_to_end(&mut seen).await.unwrap();
        assert_eq!(seen, header);
    }
}

#[tokio::test]
async fn tcp_is_a_connection() {
    let listener = TcpListener::bind("[::1]:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    assert_eq!(probed(&pool("p", &[at], check(ir::Probe::Tcp))).await, Ok(()));
    drop(listener);
    assert_eq!(probed(&pool("p", &[at], check(ir::Probe::Tcp))).await, Err("connection refused".into()));
    let path = std::env::temp_dir().join(format!("sluice-check-{}", std::process::id()));
    let _ = std::fs::remove_file(&path);
    let mut socket = pool("p", &[at], check(ir::Probe::Tcp));
    socket.endpoints[0].kind = ir::EndpointKind::Unix;
    socket.endpoints[0].host = path.display().to_string().into();
    assert!(probed(&socket).await.unwrap_err().starts_with("cannot connect (No such file"));
    let _listener = tokio::net::UnixListener::bind(&path).unwrap();
    assert_eq!(probed(&socket).await, Ok(()));
    std::fs::remove_file(&path).unwrap();
}

#[tokio::test]
async fn tcp_with_tls_is_a_handshake() {
    let dir = std::env::temp_dir().join(format!("sluice-health-{}", std::process::id()));
    let ca = crate::tls::InternalCa::load_or_create(&dir).unwrap();
    let config = rustls::ServerConfig::builder_with_provider(rustls::crypto::aws_lc_rs::default_provider().into())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(rustls::sign::SingleCertAndKey::from(rustls::sign::CertifiedKey::clone(
            &ca.issue(&["127.0.0.1"]).unwrap(),
        ))));
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut pool = pool("p", &[listener.local_addr().unwrap()], check(ir::Probe::Tcp));
    tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            let _ = acceptor.accept(tcp).await;
        }
    });
    let trust: Arc<str> = ca.root_path().to_str().unwrap().into();
    pool.tls = Some(ir::PoolTls { trust: Some(trust), ..ir::PoolTls::default() });
    assert_eq!(probed(&pool).await, Ok(()));
    if let Some(tls) = &mut pool.tls {
        tls.name = Some("ledger.internal".into());
    }
    assert_eq!(probed(&pool).await, Err("TLS: its certificate is for 127.0.0.1, expected ledger.internal".into()));
    std::fs::remove_dir_all(&dir).unwrap();
}

#[tokio::test]
async fn udp_is_a_question_and_how_the_answer_starts() {
    let server = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let at = server.local_addr().unwrap();
    let task = tokio::spawn(async move {
        let mut seen = [0; 64];
        while let Ok((length, from)) = server.recv_from(&mut seen).await {
            if &seen[..length] == b"ping" {
                server.send_to(b"pong 17", from).await.unwrap();
            }
        }
    });
    let ask = |send: &[u8], expect: &[u8]| {
        let probe = ir::Probe::Udp { send: send.into(), expect: expect.into() };
        ir::Check { within_ms: 10_000, ..check(probe) }
    };
    assert_eq!(probed(&pool("p", &[at], ask(b"ping", b"pong"))).await, Ok(()));
    assert_eq!(probed(&pool("p", &[at], ask(b"ping", b""))).await, Ok(()));
    assert_eq!(
        probed(&pool("p", &[at], ask(b"ping", b"pang"))).await,
        Err("answered something else than expected".into())
    );
    let silent = ir::Check { within_ms: 300, ..ask(b"hello", b"") };
    assert_eq!(probed(&pool("p", &[at], silent)).await, Err("no answer within 300 ms".into()));
    task.abort();
    let _ = task.await;
    assert_eq!(probed(&pool("p", &[at], ask(b"ping", b"pong"))).await, Err("port unreachable".into()));
}

// === pools

/// The next notice.
fn next(notices: &Receiver<Notice>) -> String {
    notices.recv_timeout(PATIENCE).expect("a notice").to_string()
}

fn up(pool: &PoolHandle) -> Vec<bool> {
    {
        let members = pool.members();
        (0..members.len()).map(|index| members.is_up(index)).collect()
    }
}

fn chosen(pool: &PoolHandle) -> Vec<usize> {
    let facts = |n: u8| dsl::tree::l4::Facts {
        client: ([192, 0, 2, n], 1).into(),
        local: ([192, 0, 2, 1], 2).into(),
        sni: None,
        alpn: &[],
    };
    let upstreams = Upstreams::default();
    let choose = |n| {
        let members = pool.members();
        upstreams.choose(&members, members.spot(&facts(n)), Tried::default(), 0)
    };
    let mut all: Vec<_> = (0..=255).filter_map(choose).collect();
    all.sort_unstable();
    all.dedup();
    all
}

#[test]
fn a_pool_follows_its_endpoints() {
    let listen = |at: &str| std::net::TcpListener::bind(at).unwrap();
    let (one, two) = (listen("127.0.0.1:0"), listen("127.0.0.1:0"));
    let at = [one.local_addr().unwrap(), two.local_addr().unwrap()];
    let takes = |listener: std::net::TcpListener| std::thread::spawn(move || listener.incoming().for_each(drop));
    takes(one);
    let (sender, notices) = notice::channel();
    let pools = Pools::new(1).telling(sender);
    let mut said = pool("pg", &at, quick(ir::Probe::Tcp));
    said.balance =
        ir::Balance::Maglev(ir::HashKey::Connection(dsl::tree::l4::Key(vec![dsl::tree::l4::KeyPart::ClientIp])));
    let handle = pools.intern(&Arc::new(said.clone()), Path::new(""));
    assert_eq!((up(&handle), chosen(&handle)), (vec![true, true], vec![0, 1]));
    let epoch = health_epoch();
    drop(two);
    let told = next(&notices);
    assert_eq!(told, format!("endpoint {} of pool pg is down: connection refused (2 checks in a row)", at[1]));
    assert!(health_epoch() > epoch);
    assert_eq!((up(&handle), chosen(&handle)), (vec![true, false], vec![0]));
    // A reload changes the pool, not what is known of its endpoints.
    said.connect_within_ms = Some(1_234);
    let changed = pools.intern(&Arc::new(said.clone()), Path::new(""));
    assert!(!Arc::ptr_eq(&handle, &changed));
    drop(handle);
    assert_eq!((up(&changed), chosen(&changed)), (vec![true, false], vec![0]));
    // Another check has to find out for itself.
    said.check = Some(ir::Check { every_ms: 3_600_000, ..quick(ir::Probe::Tcp) });
    assert_eq!(up(&pools.intern(&Arc::new(said), Path::new(""))), [true, true]);
    takes(listen(&at[1].to_string()));
    assert_eq!(next(&notices), format!("endpoint {} of pool pg is up", at[1]));
    assert_eq!((up(&changed), chosen(&changed)), (vec![true, true], vec![0, 1]));
}

#[test]
fn the_checks_of_a_pool_that_is_gone_end() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let pools = Pools::new(1);
    let said = Arc::new(pool("p", &[listener.local_addr().unwrap()], quick(ir::Probe::Tcp)));
    let handle = pools.intern(&said, Path::new(""));
    listener.accept().unwrap();
    let standing = Arc::downgrade(handle.members().each()[0].standing.as_ref().expect("a check"));
    drop(handle);
    assert_eq!(standing.strong_count(), 0);
    // What was under way comes to its end; then nobody connects any more, which the runtime knows.
    let begin = std::time::Instant::now();
    while pools.checks() > 0 {
        assert!(begin.elapsed() < PATIENCE, "a check goes on");
        std::thread::yield_now();
    }
}
