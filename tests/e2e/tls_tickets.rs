//! Session tickets, shown by OpenSSL: they open on every worker, after a reload and after a restart, and
//! nowhere that they were not made for.

use sluice_tests::sluice::says;
use sluice_tests::{Origin, Sluice, ports};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The versions whose sessions are resumed.
const VERSIONS: [&str; 2] = ["-tls1_3", "-tls1_2"];

/// What OpenSSL's client says of a handshake.
#[derive(Debug, PartialEq, Eq)]
enum Shaken {
    New,
    Resumed,
}

/// An OpenSSL client with the session that it was given last.
struct Client {
    root: PathBuf,
    session: PathBuf,
    version: &'static str,
}

impl Client {
    fn new(sluice: &Sluice, version: &'static str) -> Self {
        Self { root: sluice.root(), session: sluice.data().join(format!("session{version}.pem")), version }
    }

    /// Shows the session, if it has one, asks for `/`, and keeps the session that it is given.
    #[track_caller]
    fn asks(&self, to: SocketAddr) -> Shaken {
        self.asks_for(to, "a.test", &self.session)
    }

    #[track_caller]
    fn asks_for(&self, to: SocketAddr, name: &str, kept: &Path) -> Shaken {
        // It ends when it is told so by the server.
        let mut command = Command::new("timeout");
        command.args(["20", "openssl", "s_client", "-ign_eof", self.version, "-servername", name]);
        command.args(["-verify_return_error", "-connect", &to.to_string()]);
        command.arg("-CAfile").arg(&self.root).arg("-sess_out").arg(kept);
        if self.session.exists() {
            command.arg("-sess_in").arg(&self.session);
        }
        let request = format!("GET / HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut client = command.spawn().unwrap();
        std::io::Write::write_all(&mut client.stdin.take().unwrap(), request.as_bytes()).unwrap();
        let output = client.wait_with_output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        let said = || format!("{text}\n{}", String::from_utf8_lossy(&output.stderr));
        assert!(text.contains("HTTP/1.1 200"), "{}", said());
        if text.contains("\nReused, TLSv1.") {
            Shaken::Resumed
        } else {
            assert!(text.contains("\nNew, TLSv1."), "{}", said());
            Shaken::New
        }
    }
}

/// Nanoseconds that each worker's thread was on a core.
fn on_core(sluice: &Sluice) -> HashMap<String, u64> {
    let tasks = std::fs::read_dir(format!("/proc/{}/task", sluice.pid())).unwrap();
    let worker = |task: PathBuf| {
        let name = std::fs::read_to_string(task.join("comm")).ok()?.trim().to_owned();
        name.strip_prefix("sluice-").filter(|number| number.parse::<u32>().is_ok())?;
        let times = std::fs::read_to_string(task.join("schedstat")).ok()?;
        Some((name, times.split(' ').next()?.parse().ok()?))
    };
    tasks.filter_map(|task| worker(task.unwrap().path())).collect()
}

#[test]
fn a_session_is_resumed_by_every_worker() {
    let sluice = Sluice::setup().workers(2).file("a.route", says("a.test", "a")).start();
    for version in VERSIONS {
        let client = Client::new(&sluice, version);
        assert_eq!(client.asks(sluice.https), Shaken::New, "{version}");
        let mut served = HashMap::new();
        // The kernel draws lots among the workers: after so many connections both have had some.
        for _ in 0..64 {
            let before = on_core(&sluice);
            assert_eq!(before.len(), 2, "{before:?}");
            assert_eq!(client.asks(sluice.https), Shaken::Resumed, "{version}, after {served:?}");
            let spent = |worker: &String, now: u64| now - before[worker];
            let (busiest, _) = on_core(&sluice).into_iter().max_by_key(|(worker, now)| spent(worker, *now)).unwrap();
            *served.entry(busiest).or_insert(0) += 1;
            if served.len() == 2 {
                break;
            }
        }
        assert_eq!(served.len(), 2, "one worker was never asked: {served:?}");
    }
}

#[test]
fn a_session_is_resumed_after_a_reload() {
    let sluice = Sluice::with(says("a.test", "before"));
    let clients = VERSIONS.map(|version| Client::new(&sluice, version));
    for client in &clients {
        assert_eq!(client.asks(sluice.https), Shaken::New);
    }
    sluice.write("a.route", says("a.test", "after"));
    sluice.write("b.route", says("b.test", "b"));
    sluice.serves("a.test", "/", |reply| reply.text() == "after");
    sluice.serves("b.test", "/", |reply| reply.text() == "b");
    for client in &clients {
        assert_eq!(client.asks(sluice.https), Shaken::Resumed, "{}", client.version);
    }
}

#[test]
fn a_session_is_resumed_after_a_restart() {
    let mut sluice = Sluice::with(says("a.test", "a"));
    let clients = VERSIONS.map(|version| Client::new(&sluice, version));
    for client in &clients {
        assert_eq!(client.asks(sluice.https), Shaken::New);
    }
    // Killed: nothing can be written at the last moment.
    sluice.restart();
    for client in &clients {
        assert_eq!(client.asks(sluice.https), Shaken::Resumed, "{}", client.version);
    }
}

#[test]
fn a_session_of_sites_is_not_resumed_at_a_tcp_port() {
    let origin = Origin::verbatim_then_close(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
    let port = ports::free();
    let route =
        format!("pool origin = {}\n\ntcp 127.0.0.1:{port} {{\n    tls auto\n    else -> origin\n}}\n", origin.addr());
    let sluice = Sluice::setup().file("a.route", says("a.test", "a")).file("tcp.route", route).start();
    let tcp = SocketAddr::from(([127, 0, 0, 1], port));
    for version in VERSIONS {
        let client = Client::new(&sluice, version);
        let aside = sluice.data().join("aside.pem");
        assert_eq!(client.asks(sluice.https), Shaken::New);
        assert_eq!(client.asks_for(tcp, "a.test", &aside), Shaken::New, "{version}");
        assert_eq!(client.asks(sluice.https), Shaken::Resumed, "{version}: where it was made it is still good");
    }
}

#[test]
fn a_session_is_not_resumed_for_another_name() {
    let sluice = Sluice::setup().file("a.route", says("a.test", "a")).file("b.route", says("b.test", "b")).start();
    for version in VERSIONS {
        let client = Client::new(&sluice, version);
        assert_eq!(client.asks(sluice.https), Shaken::New);
        let aside = sluice.data().join("aside.pem");
        assert_eq!(client.asks_for(sluice.https, "b.test", &aside), Shaken::New, "{version}");
    }
}

#[test]
fn a_torn_file_of_keys_is_told_and_costs_a_full_handshake() {
    let mut sluice = Sluice::with(says("a.test", "a"));
    let client = Client::new(&sluice, "-tls1_3");
    assert_eq!(client.asks(sluice.https), Shaken::New);
    sluice.kill();
    let path = sluice.data().join("tickets.key");
    let whole = std::fs::read(&path).unwrap();
    std::fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    sluice.restart();
    let line = sluice.says("that the keys were of no use", |line| line.contains("tickets.key"));
    assert!(line.contains("damaged, or not ours; session tickets have new keys"), "{line}");
    assert_eq!(client.asks(sluice.https), Shaken::New);
    assert_eq!(client.asks(sluice.https), Shaken::Resumed);
    sluice.restart();
    assert_eq!(client.asks(sluice.https), Shaken::Resumed);
    assert!(!sluice.console_text().contains("tickets.key"), "{}", sluice.console_text());
}
