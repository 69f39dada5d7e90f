//! Endpoints by name: a name server that changes its mind, fails, is silent; and endpoints that are files.

use sluice_tests::dns::{Dns, Mood, SRV};
use sluice_tests::sluice::Setup;
use sluice_tests::{Origin, Sluice, ports, wait};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Origins on 127.0.0.2, 127.0.0.3 and on, one port, each of which tells its last number.
fn origins(count: u8) -> (u16, Vec<Origin>) {
    'port: loop {
        let port = ports::free();
        let mut listeners = Vec::new();
        for n in 2..2 + count {
            match TcpListener::bind((Ipv4Addr::new(127, 0, 0, n), port)) {
                Ok(listener) => listeners.push((n, listener)),
                Err(_) => continue 'port,
            }
        }
        let serve = |(n, listener): (u8, TcpListener)| {
            Origin::on(listener, move |seen, conn| {
                conn.body(seen)?;
                conn.respond("200 OK", "", n.to_string())
            })
        };
        return (port, listeners.into_iter().map(serve).collect());
    }
}

/// A gateway that asks a name server, with a site `a.test` before a pool of these endpoints and settings.
fn asking(dns: &Dns, pool: &str) -> Setup {
    let route = format!(
        "pool api {{\n    {pool}\n    resolve every 1s\n}}\nsite a.test {{\n    http allowed\n    /own -> respond 200 \"own\"\n    else -> api\n}}\n"
    );
    Sluice::setup().gateway(&format!("    resolver {}", dns.addr())).file("a.route", route)
}

/// The status and the body of one request.
#[track_caller]
fn get(sluice: &Sluice, path: &str) -> (u16, String) {
    let mut wire = sluice.wire();
    wire.send(format!("GET {path} HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n"));
    let reply = wire.reply();
    (reply.status, String::from_utf8_lossy(&reply.body).into_owned())
}

/// Waits until exactly these answer.
#[track_caller]
fn answer(sluice: &Sluice, expected: &[&str]) {
    wait::until(&format!("{expected:?} answer"), || {
        let mut seen: Vec<String> = (0..6).map(|_| get(sluice, "/").1).collect();
        seen.sort();
        seen.dedup();
        (seen == expected).then_some(())
    });
}

#[test]
fn endpoints_come_and_go_with_their_records_and_no_request_fails() {
    let (port, _origins) = origins(3);
    let dns = Dns::start();
    dns.set("api.internal", &["127.0.0.2"], 1);
    let sluice = Arc::new(asking(&dns, &format!("api.internal:{port}")).workers(2).start());
    answer(&sluice, &["2"]);
    let over = Arc::new(AtomicBool::new(false));
    let traffic = |sluice: Arc<Sluice>, over: Arc<AtomicBool>| {
        std::thread::spawn(move || {
            let mut failed = Vec::new();
            let mut count = 0;
            while !over.load(Ordering::Relaxed) {
                count += 1;
                let (status, body) = get(&sluice, "/");
                if status != 200 {
                    failed.push((status, body));
                }
            }
            (count, failed)
        })
    };
    let threads: Vec<_> = (0..2).map(|_| traffic(Arc::clone(&sluice), Arc::clone(&over))).collect();
    for _ in 0..3 {
        dns.set("api.internal", &["127.0.0.3", "127.0.0.2"], 1);
        answer(&sluice, &["2", "3"]);
        dns.set("api.internal", &["127.0.0.4"], 1);
        answer(&sluice, &["4"]);
        dns.set("api.internal", &["127.0.0.2"], 1);
        answer(&sluice, &["2"]);
    }
    over.store(true, Ordering::Relaxed);
    for thread in threads {
        let (count, failed) = thread.join().unwrap();
        println!("{count} requests while endpoints came and went: {} failed", failed.len());
        assert!(failed.is_empty(), "{} of {count}: {:?}", failed.len(), &failed[..failed.len().min(3)]);
    }
}

#[test]
fn while_the_name_server_is_out_the_last_answer_holds() {
    let (port, _origins) = origins(1);
    let dns = Dns::start();
    dns.set("api.internal", &["127.0.0.2"], 1);
    let sluice = asking(&dns, &format!("api.internal:{port}")).start();
    answer(&sluice, &["2"]);
    for (mood, why) in [(Mood::Fails, "failed to find out"), (Mood::Silent, "no answer from")] {
        dns.is(mood);
        let about = |line: &str| line.contains("api.internal of pool api") && line.contains(why);
        let line = sluice.says("that the name server is out", about);
        assert!(line.contains("1 endpoint goes on"), "{line}");
        dns.is_asked_again("api.internal");
        assert_eq!(get(&sluice, "/"), (200, "2".into()));
        assert_eq!(sluice.console().iter().filter(|line| about(line)).count(), 1, "{}", sluice.console_text());
        let found = |sluice: &Sluice| sluice.console().iter().filter(|line| line.contains("is found again")).count();
        let before = found(&sluice);
        dns.is(Mood::Well);
        wait::until("that it is over", || (found(&sluice) > before).then_some(()));
    }
}

#[test]
fn a_name_that_is_dead_harms_nobody_else() {
    let (port, _origins) = origins(1);
    let dns = Dns::start();
    dns.set("live.internal", &["127.0.0.2"], 1);
    let sluice = asking(&dns, &format!("dead.internal:{port}\n    live.internal:{port}")).start();
    let line = sluice.says("that there is no such name", |line| line.contains("dead.internal"));
    assert!(line.contains("dead.internal of pool api: no such name"), "{line}");
    for _ in 0..8 {
        assert_eq!(get(&sluice, "/"), (200, "2".into()));
    }
    // When nobody is left it is said, at once, and the rest of the site goes on.
    dns.set("live.internal", &[], 1);
    wait::until("nobody is left", || (get(&sluice, "/").0 == 503).then_some(()));
    let start = Instant::now();
    assert_eq!(get(&sluice, "/").0, 503);
    assert!(start.elapsed() < Duration::from_secs(2), "nothing is waited for");
    assert_eq!(get(&sluice, "/own"), (200, "own".into()));
    dns.set("dead.internal", &["127.0.0.2"], 1);
    answer(&sluice, &["2"]);
}

#[test]
fn a_silent_name_server_delays_no_start_and_requests_only_for_a_while() {
    let (port, _origins) = origins(1);
    let dns = Dns::start();
    dns.is(Mood::Silent);
    dns.set("api.internal", &["127.0.0.2"], 1);
    let pool = format!("api.internal:{port}\n    connect within 500ms");
    // It answers before it knows anything of the name.
    let sluice = asking(&dns, &pool).start();
    assert_eq!(get(&sluice, "/own"), (200, "own".into()));
    let start = Instant::now();
    assert_eq!(get(&sluice, "/").0, 503);
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
    dns.is(Mood::Well);
    answer(&sluice, &["2"]);
}

#[test]
fn a_service_has_hosts_ports_and_backups() {
    let (port, mut all) = origins(3);
    let dns = Dns::start();
    for (name, ip) in [("a.internal", "127.0.0.2"), ("b.internal", "127.0.0.3"), ("c.internal", "127.0.0.4")] {
        dns.set(name, &[ip], 1);
    }
    let service = "_http._tcp.api.internal";
    dns.set_srv(service, &[(10, 1, port, "a.internal"), (10, 0, port, "b.internal"), (20, 1, port, "c.internal")], 1);
    let sluice = asking(&dns, &format!("srv {service}")).start();
    answer(&sluice, &["2", "3"]);
    // The backup serves when the others are gone.
    all.truncate(3);
    let backup = all.pop().unwrap();
    drop(all);
    dns.set("a.internal", &[], 1);
    dns.set("b.internal", &[], 1);
    answer(&sluice, &["4"]);
    drop(backup);
    assert!(dns.asked().iter().any(|asked| asked.of == SRV && asked.name == service));
}

#[test]
fn an_answer_that_fits_no_datagram_comes_over_tcp() {
    let (port, _origins) = origins(1);
    let dns = Dns::start();
    dns.is(Mood::Truncates);
    dns.set("api.internal", &["127.0.0.2"], 1);
    let sluice = asking(&dns, &format!("api.internal:{port}")).start();
    answer(&sluice, &["2"]);
    assert!(dns.asked().iter().any(|asked| asked.tcp));
}

#[test]
fn of_two_kinds_of_addresses_the_one_that_answers_is_taken() {
    let (port, _origins) = origins(1);
    let dns = Dns::start();
    // Nobody listens there by IPv6.
    dns.set("api.internal", &["::1", "127.0.0.2"], 1);
    let sluice = asking(&dns, &format!("api.internal:{port}")).start();
    for _ in 0..4 {
        assert_eq!(get(&sluice, "/"), (200, "2".into()));
    }
}

#[test]
fn another_name_server_is_asked_when_the_gateway_file_says_so() {
    let (port, _origins) = origins(2);
    let (first, second) = (Dns::start(), Dns::start());
    first.set("api.internal", &["127.0.0.2"], 3_600);
    second.set("api.internal", &["127.0.0.3"], 3_600);
    let sluice = asking(&first, &format!("api.internal:{port}")).start();
    answer(&sluice, &["2"]);
    let gateway = std::fs::read_to_string(sluice.sites().join("gateway.route")).unwrap();
    let (was, is) = (first.addr().to_string(), second.addr().to_string());
    sluice.write("gateway.route", gateway.replace(&was, &is));
    answer(&sluice, &["3"]);
}

#[test]
fn connections_of_tcp_items_go_where_the_name_leads_and_old_ones_drain() {
    let (port, _origins) = origins(2);
    let dns = Dns::start();
    dns.set("db.internal", &["127.0.0.2"], 1);
    let listens = ports::free();
    let route = format!(
        "pool db {{\n    db.internal:{port}\n    resolve every 1s\n}}\ntcp 127.0.0.1:{listens} {{\n    drain 60s\n    -> db\n}}\n"
    );
    let sluice = Sluice::setup().gateway(&format!("    resolver {}", dns.addr())).file("a.route", route).start();
    let ask = |tcp: &mut TcpStream| {
        tcp.set_read_timeout(Some(wait::PATIENCE)).unwrap();
        tcp.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").ok()?;
        let mut answer = [0; 1024];
        let n = tcp.read(&mut answer).ok()?;
        answer[..n].last().map(|last| char::from(*last))
    };
    let connect = || TcpStream::connect((Ipv4Addr::LOCALHOST, listens)).ok();
    let mut old = wait::until("the first endpoint answers", || {
        let mut tcp = connect()?;
        (ask(&mut tcp)? == '2').then_some(tcp)
    });
    dns.set("db.internal", &["127.0.0.3"], 1);
    wait::until("new connections go to the other one", || (ask(&mut connect()?)? == '3').then_some(()));
    assert_eq!(ask(&mut old), Some('2'), "the old one goes on");
    drop(sluice);
}

/// Answers requests on a socket in the file system, with the number of the connection.
fn unix_origin(path: &std::path::Path) {
    let listener = UnixListener::bind(path).unwrap();
    std::thread::spawn(move || {
        for (n, stream) in listener.incoming().enumerate() {
            let mut stream = stream.unwrap();
            std::thread::spawn(move || {
                let mut seen = Vec::new();
                let mut piece = [0; 4096];
                while let Ok(got @ 1..) = stream.read(&mut piece) {
                    seen.extend_from_slice(&piece[..got]);
                    if seen.ends_with(b"\r\n\r\n") {
                        let host = String::from_utf8_lossy(&seen).to_ascii_lowercase().contains("host: a.test");
                        let body = format!("{n} {host}");
                        let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
                        stream.write_all(answer.as_bytes()).unwrap();
                        seen.clear();
                    }
                }
            });
        }
    });
}

#[test]
fn an_endpoint_may_be_a_socket_in_the_file_system() {
    let setup = Sluice::setup();
    let path = setup.sites().parent().unwrap().join("api.sock");
    let listens = ports::free();
    let route = format!(
        "pool api {{\n    unix:{path}\n    check GET / every 1s within 1s\n}}\nsite a.test {{\n    http allowed\n    else -> api\n}}\n\
         pool raw {{\n    unix:{path}\n}}\ntcp 127.0.0.1:{listens} -> raw\n",
        path = path.display()
    );
    let sluice = setup.file("a.route", route).start();
    // It is not there yet, which the check finds out.
    let down = |line: &str| line.contains(&format!("unix:{}", path.display())) && line.contains("is down");
    sluice.says("that nobody is there", down);
    assert_eq!(get(&sluice, "/").0, 503);
    unix_origin(&path);
    let body = wait::until("it answers", || {
        let (status, body) = get(&sluice, "/");
        (status == 200).then_some(body)
    });
    assert!(body.ends_with(" true"), "the client's Host goes there: {body}");
    // Its connections are kept.
    let again = get(&sluice, "/").1;
    assert_eq!(again, get(&sluice, "/").1);
    // And bytes of TCP connections go there as well, a megabyte of them too.
    let to = SocketAddr::from((Ipv4Addr::LOCALHOST, listens));
    let mut tcp = TcpStream::connect(to).unwrap();
    tcp.set_read_timeout(Some(wait::PATIENCE)).unwrap();
    let padding = "x".repeat(1 << 20);
    tcp.write_all(format!("GET / HTTP/1.1\r\nHost: a.test\r\nX: {padding}\r\n\r\n").as_bytes()).unwrap();
    let mut answer = [0; 15];
    tcp.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200 OK");
}
