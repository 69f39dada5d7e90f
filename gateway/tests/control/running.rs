//! `sluice run`, while files, directories and signals come and go.

use crate::support::{Dir, answer, site, until};
use std::os::unix::fs::symlink;

#[test]
fn files_come_change_and_go() {
    let dir = Dir::new();
    dir.write("sites/a.route", &site("a.test", "one"));
    let running = dir.start(&[]);
    running.serves("a.test", (200, "one"));
    dir.write("sites/team/b.route", &site("b.test", "new"));
    running.serves("b.test", (200, "new"));
    dir.write("sites/a.route", &site("a.test", "two"));
    running.serves("a.test", (200, "two"));
    let other = dir.write("sites/a.route.tmp", &site("a.test", "three"));
    std::fs::rename(other, dir.path().join("sites/a.route")).unwrap();
    running.serves("a.test", (200, "three"));
    std::fs::remove_file(dir.path().join("sites/a.route")).unwrap();
    running.serves("a.test", (404, ""));
    assert_eq!(running.get("b.test", "/").0, 200);
}

#[test]
fn directories_are_replaced_whole_and_links_are_swapped() {
    let dir = Dir::new();
    dir.write("sites/team/a.route", &site("a.test", "one"));
    dir.write("sites/..v1/l.route", &site("l.test", "v1"));
    dir.write("sites/..v2/l.route", &site("l.test", "v2"));
    dir.write("next/a.route", &site("a.test", "two"));
    let at = |name: &str| dir.path().join(name);
    symlink("..v1", at("sites/..data")).unwrap();
    symlink("..data/l.route", at("sites/l.route")).unwrap();
    let running = dir.start(&[]);
    running.serves("l.test", (200, "v1"));
    symlink("..v2", at("sites/..tmp")).unwrap();
    std::fs::rename(at("sites/..tmp"), at("sites/..data")).unwrap();
    running.serves("l.test", (200, "v2"));
    std::fs::rename(at("sites/team"), at("old")).unwrap();
    std::fs::rename(at("next"), at("sites/team")).unwrap();
    running.serves("a.test", (200, "two"));
    dir.write("sites/team/a.route", &site("a.test", "three"));
    running.serves("a.test", (200, "three"));
}

#[test]
fn a_root_that_is_away_changes_nothing_and_one_that_is_back_counts() {
    let dir = Dir::new();
    dir.write("sites/a.route", &site("a.test", "one"));
    let running = dir.start(&[]);
    std::fs::rename(dir.path().join("sites"), dir.path().join("away")).unwrap();
    running.says("that the directory is away", |line| line.contains("nothing changes"));
    assert_eq!(running.get("a.test", "/"), (200, "one".into()));
    std::fs::write(dir.path().join("away/a.route"), site("a.test", "two")).unwrap();
    std::fs::rename(dir.path().join("away"), dir.path().join("sites")).unwrap();
    running.serves("a.test", (200, "two"));
    dir.write("sites/a.route", &site("a.test", "three"));
    running.serves("a.test", (200, "three"));
}

#[test]
fn a_broken_edit_prints_what_lint_prints_and_survives_a_restart() {
    let dir = Dir::new();
    dir.write("sites/a.route", &site("a.test", "one"));
    let mut running = dir.start(&[]);
    dir.write("sites/a.route", "site a.test {\n    else -> nowhere\n}\n");
    let line = running.says("what was refused", |line| line.starts_with("reloaded in "));
    assert!(line.contains("refused sites/a.route:2 G1002 ") && line.contains("its last good version serves"), "{line}");
    let (code, lint, _) = dir.run(&["lint", "sites/a.route"]);
    assert_eq!(code, Some(1));
    for line in lint.lines() {
        running.says(&format!("`{line}`, as lint does"), |said| said == line);
    }
    assert_eq!(running.get("a.test", "/"), (200, "one".into()));
    running.signal("KILL");
    running.ends();
    let running = dir.start(&[]);
    assert_eq!(running.get("a.test", "/"), (200, "one".into()));
    running.says("what is refused", |line| line.contains("refused sites/a.route: its last good version serves"));
}

#[test]
fn a_host_of_two_files_stays_with_the_incumbent_or_answers_503() {
    let dir = Dir::new();
    dir.write("sites/x.route", &site("x.test", "x"));
    dir.write("sites/y.route", &site("x.test", "y"));
    let running = dir.start(&[]);
    assert_eq!(running.get("x.test", "/").0, 503);
    std::fs::remove_file(dir.path().join("sites/y.route")).unwrap();
    running.serves("x.test", (200, "x"));
    dir.write("sites/a.route", &site("x.test", "newcomer"));
    running.says("who has it", |line| {
        line.contains("refused sites/a.route:1 G2007 `x.test` is already served by sites/x.route:1")
    });
    assert_eq!(running.get("x.test", "/"), (200, "x".into()));
}

#[test]
fn a_second_run_on_the_same_data_directory_or_ports_fails() {
    let dir = Dir::new();
    dir.write("sites/a.route", &site("a.test", "one"));
    let running = dir.start(&["--data", "data"]);
    let (code, _, said) = dir.run(&["run", "--data", "data"]);
    assert_eq!(code, Some(2));
    let process = format!("(process {})", running.child.id());
    assert!(said.contains("is in use by another sluice") && said.contains(&process), "{said}");
    let port = running.http.port();
    dir.write("other/gateway.route", &format!("gateway {{\n    http 127.0.0.1:{port}\n}}\n"));
    let (code, _, said) = dir.run(&["run", "other", "--data", "data2"]);
    assert_eq!(code, Some(2));
    assert!(said.contains(&format!("port {port} is taken")), "{said}");
}

#[test]
fn a_data_directory_that_cannot_be_written_is_one_line_and_no_end() {
    let dir = Dir::new();
    dir.write("sites/a.route", &site("a.test", "one"));
    dir.write("file", "");
    let running = dir.start(&["--data", "file/data"]);
    assert_eq!(running.get("a.test", "/"), (200, "one".into()));
    dir.write("sites/a.route", &site("a.test", "two"));
    running.serves("a.test", (200, "two"));
    running.says("what is wrong", |line| line.contains("cannot write the data directory"));
    let said = running.text();
    assert_eq!(said.matches("cannot ").count(), 1, "{said}");
}

#[test]
fn everything_that_is_written_is_in_the_data_directory() {
    let dir = Dir::new();
    dir.write("sites/a.route", &site("a.test", "one"));
    let mut running = dir.start(&[]);
    running.signal("TERM");
    assert_eq!(running.ends().code(), Some(0));
    let mut found: Vec<_> = std::fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    found.sort();
    assert_eq!(found, [".local", "sites"]);
    let data = dir.path().join(".local/state/sluice");
    assert!(data.join("ca/root.crt").is_file() && data.join("last-good").is_dir());
}

#[test]
fn a_first_signal_drains_and_a_second_ends_it() {
    use std::io::Write as _;
    let dir = Dir::new();
    let origin = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = origin.local_addr().unwrap().port();
    let text = format!("pool app = 127.0.0.1:{port}\n\nsite a.test {{\n    http allowed\n    else -> app\n}}\n");
    dir.write("sites/a.route", &text);
    let mut running = dir.start(&[]);
    let mut stream = std::net::TcpStream::connect(running.http).unwrap();
    write!(stream, "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n").unwrap();
    // The origin has the request and never answers it.
    let held = origin.accept().unwrap();
    running.signal("INT");
    running.says("that it stops", |line| line.starts_with("stopping: 1 connection"));
    running.signal("INT");
    assert_eq!(running.ends().code(), Some(1));
    drop(held);
}

#[test]
fn listeners_change_with_gateway_route_and_what_stays_is_not_touched() {
    let dir = Dir::new();
    dir.write("sites/a.route", &site("a.test", "one"));
    let mut running = dir.start(&[]);
    let kept = std::net::TcpStream::connect(running.http).unwrap();
    let before = running.http;
    let gateway = "gateway {\n    http 127.0.0.1:0\n    http 127.0.0.2:0\n    https 127.0.0.1:0\n}\n";
    dir.write("sites/gateway.route", gateway);
    let line = running.says("what was opened", |line| line.contains("listening on http 127.0.0.2:"));
    running.http = line.split("127.0.0.2:").nth(1).unwrap().split(';').next().unwrap().parse().map(local2).unwrap();
    assert_eq!(running.get("a.test", "/"), (200, "one".into()));
    dir.write("sites/gateway.route", "gateway {\n    http 127.0.0.2:0\n    https 127.0.0.1:0\n}\n");
    running.says("what was closed", |line| line.contains("closed http 127.0.0.1:0"));
    until("the port is closed", || std::net::TcpStream::connect(before).is_err());
    assert_eq!(running.get("a.test", "/"), (200, "one".into()));
    // A connection outlives its listener.
    running.http = before;
    assert_eq!(answer(kept, "a.test"), (200, "one".into()));
}

fn local2(port: u16) -> std::net::SocketAddr {
    (std::net::Ipv4Addr::new(127, 0, 0, 2), port).into()
}

#[test]
fn a_gateway_file_that_never_loaded_keeps_it_from_starting() {
    let dir = Dir::new();
    dir.write("sites/a.route", &site("a.test", "one"));
    dir.write("sites/gateway.route", "gateway {\n    htp :80\n}\n");
    let (code, _, said) = dir.run(&["run"]);
    assert_eq!(code, Some(2));
    assert!(said.contains("gateway.route:2:5") && said.contains("gateway.route does not load"), "{said}");
}
