//! The connection log and the counts, from outside.

use crate::support::{Dir, Running, until};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;

fn free() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Says what it is sent, and ends when the client does.
fn echo() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            std::thread::spawn(move || {
                let mut bytes = Vec::new();
                let _ = stream.read_to_end(&mut bytes);
                let _ = stream.write_all(&bytes);
            });
        }
    });
    at
}

fn gateway(extra: &str) -> String {
    format!("gateway {{\n    http 127.0.0.1:0\n    https 127.0.0.1:0\n    {extra}\n}}\n")
}

fn item(head: &str, to: SocketAddr) -> String {
    format!("pool x = {to}\n\n{head} -> x\n")
}

/// One connection from its begin to its end.
fn talk(port: u16, say: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(crate::support::PATIENCE)).unwrap();
    stream.write_all(say).unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    let mut heard = Vec::new();
    stream.read_to_end(&mut heard).unwrap();
    heard
}

fn lines(path: &Path) -> Vec<serde_json::Value> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"))).collect()
}

fn ask(port: u16, path: &str, extra: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(crate::support::PATIENCE)).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\n{extra}\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// The number behind a name and its labels.
fn number(port: u16, what: &str) -> Option<u64> {
    let answer = ask(port, "/metrics", "");
    let line = answer.lines().find_map(|line| line.strip_prefix(what)?.strip_prefix(' '))?;
    line.trim().parse().ok()
}

#[test]
fn each_connection_is_a_line_and_the_log_moves_with_gateway_route() {
    let dir = Dir::new();
    let (port, to) = (free(), echo());
    dir.write("sites/db.route", &item(&format!("tcp 127.0.0.1:{port}"), to));
    let running = dir.start_with(&gateway("log \"../connections.log\""), &[]);
    assert_eq!(talk(port, b"hello"), b"hello");
    let log = dir.path().join("connections.log");
    until("the line", || lines(&log).len() == 1);
    let line = &lines(&log)[0];
    assert_eq!(line["route"], format!("tcp 127.0.0.1:{port}"));
    assert_eq!((&line["pool"], &line["endpoint"]), (&"x".into(), &to.to_string().into()));
    assert_eq!((&line["bytes_in"], &line["bytes_out"], &line["end"]), (&5.into(), &5.into(), &"client-closed".into()));
    assert_eq!(line["local"], format!("127.0.0.1:{port}"));
    let time = line["time"].as_str().unwrap();
    assert!(time.len() == "2026-01-01T00:00:00.000Z".len() && time.ends_with('Z'), "{time}");
    // Rotated: the old file is moved away, and SIGHUP asks for a new one.
    let moved = dir.path().join("connections.log.1");
    std::fs::rename(&log, &moved).unwrap();
    running.signal("HUP");
    running.says("that it opens the log anew", |line| line.contains("opened anew"));
    until("a line in the new file", || {
        talk(port, b"x");
        !lines(&log).is_empty()
    });
    // In the sites directory it is no route file, and wakes nobody.
    dir.write("sites/gateway.route", &gateway("log \"connections.log\""));
    let inside = dir.path().join("sites/connections.log");
    until("a line in the third file", || {
        talk(port, b"x");
        !lines(&inside).is_empty()
    });
    dir.write("sites/gateway.route", &gateway("log off"));
    let changes = |running: &Running| running.text().matches("changed sites/gateway.route").count();
    until("the second change", || changes(&running) == 2);
    let before = lines(&inside).len();
    talk(port, b"x");
    assert!(lines(&inside).len() <= before + 1, "what was under way");
    assert_eq!(running.text().matches("reloaded in").count(), 2, "{}", running.text());
}

#[test]
fn a_log_that_nobody_reads_holds_up_nobody() {
    let dir = Dir::new();
    let (port, to) = (free(), echo());
    dir.write("sites/db.route", &item(&format!("tcp 127.0.0.1:{port}"), to));
    // A pipe whose reader is gone.
    let mut running = dir.start_with(&gateway("log stdout"), &[]);
    drop(running.child.stdout.take());
    for _ in 0..50 {
        assert_eq!(talk(port, b"hello"), b"hello");
    }
    running.says("what is wrong", |line| line.contains("cannot write the connection log to standard output"));
    running.signal("TERM");
    assert_eq!(running.ends().code(), Some(0));
}

#[test]
fn counts_are_read_where_metrics_says_and_labels_are_no_clients() {
    let dir = Dir::new();
    let (port, metrics, to) = (free(), free(), echo());
    dir.write("sites/db.route", &item(&format!("tcp 127.0.0.1:{port}"), to));
    let running = dir.start_with(&gateway(&format!("metrics 127.0.0.1:{metrics}")), &["--workers", "2"]);
    let route = format!("{{route=\"tcp 127.0.0.1:{port}\"}}");
    assert_eq!(number(metrics, &format!("sluice_l4_begun_total{route}")), Some(0));
    for _ in 0..3 {
        talk(port, b"hello");
    }
    until("all have ended", || {
        let ended =
            format!("sluice_l4_ended_total{{route=\"tcp 127.0.0.1:{port}\",reason=\"client-closed\",error=\"false\"}}");
        number(metrics, &ended) == Some(3)
    });
    let mut open = TcpStream::connect(("127.0.0.1", port)).unwrap();
    open.write_all(b"more").unwrap();
    until("one is open", || number(metrics, &format!("sluice_l4_active{route}")) == Some(1));
    assert_eq!(number(metrics, &format!("sluice_l4_begun_total{route}")), Some(4));
    until("its bytes are counted", || number(metrics, &format!("sluice_l4_received_bytes_total{route}")) >= Some(15));
    assert_eq!(number(metrics, &format!("sluice_l4_sent_bytes_total{route}")), Some(15));
    let endpoint = format!("{{endpoint=\"{to}\"}}");
    assert_eq!(number(metrics, &format!("sluice_l4_endpoint_begun_total{endpoint}")), Some(4));
    assert_eq!(number(metrics, &format!("sluice_l4_endpoint_active{endpoint}")), Some(1));
    assert_eq!(number(metrics, &format!("sluice_endpoint_up{{pool=\"x\",endpoint=\"{to}\"}}")), Some(1));
    assert_eq!(number(metrics, "sluice_connections"), Some(1));
    assert_eq!(number(metrics, "sluice_log_dropped_total"), Some(0));
    assert_eq!(running.get("nobody.test", "/").0, 404);
    assert_eq!(number(metrics, "sluice_http_requests_total"), Some(1));

    let prometheus = ask(metrics, "/metrics", "");
    assert!(prometheus.contains("content-type: text/plain; version=0.0.4"), "{prometheus}");
    let open_metrics = ask(metrics, "/metrics", "Accept: application/openmetrics-text; version=1.0.0\r\n");
    assert!(open_metrics.ends_with("# EOF\n") && open_metrics.contains("# TYPE sluice_l4_begun counter"));
    assert!(ask(metrics, "/", "").starts_with("HTTP/1.1 404 "));
    // It moves with gateway.route, too.
    let moved = free();
    dir.write("sites/gateway.route", &gateway(&format!("metrics 127.0.0.1:{moved}")));
    running.says("that it moved", |line| line.contains(&format!("listening on metrics 127.0.0.1:{moved}")));
    until("it answers there", || TcpStream::connect(("127.0.0.1", moved)).is_ok());
    assert_eq!(number(moved, &format!("sluice_l4_begun_total{route}")), Some(4));
    assert!(TcpStream::connect(("127.0.0.1", metrics)).is_err());
}

#[test]
fn connections_that_are_handed_on_count_for_the_limit() {
    let dir = Dir::new();
    let (port, to) = (free(), echo());
    dir.write("sites/db.route", &item(&format!("tcp 127.0.0.1:{port}"), to));
    let running = dir.start_with(&gateway("limits {\n        connections 2\n    }"), &[]);
    let open: Vec<TcpStream> = (0..2).map(|_| TcpStream::connect(("127.0.0.1", port)).unwrap()).collect();
    let waits = TcpStream::connect(("127.0.0.1", port)).unwrap();
    running.says("that there is no room", |line| line.contains("2 connections are open, which is the limit"));
    drop(open);
    // There is room now.
    let mut waits = waits;
    waits.set_read_timeout(Some(crate::support::PATIENCE)).unwrap();
    waits.write_all(b"x").unwrap();
    waits.shutdown(std::net::Shutdown::Write).unwrap();
    let mut heard = Vec::new();
    waits.read_to_end(&mut heard).unwrap();
    assert_eq!(heard, b"x");
}
