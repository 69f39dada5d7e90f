//! `examples/saas/run`: starts, answers, and leaves nothing behind.

use crate::support::{Dir, PATIENCE};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::time::Instant;

#[test]
fn the_saas_example_runs_on_ports_of_choice_and_cleans_up() {
    let dir = Dir::new();
    // Held together, so that they differ.
    let held: Vec<_> = (0..6).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
    let ports: Vec<u16> = held.iter().map(|l| l.local_addr().unwrap().port()).collect();
    drop(held);
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/saas/run");
    let mut command = Command::new(script);
    command.env("SLUICE", env!("CARGO_BIN_EXE_sluice")).env("DATA", dir.path().join("data"));
    for (name, port) in ["HTTP", "HTTPS", "APP", "API", "IDP", "ADMIN"].iter().zip(&ports) {
        command.env(name, port.to_string());
    }
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    let said: Vec<String> = lines.take_while(|line| !line.contains("Ctrl-C ends all")).collect();
    assert!(said.iter().any(|line| line.contains("curl --cacert")), "{said:?}");

    let mut stream = TcpStream::connect(("127.0.0.1", ports[0])).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    write!(stream, "GET /a?b=c HTTP/1.1\r\nHost: www.localhost\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 308 "), "{answer}");

    let told = Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap();
    assert!(told.success());
    assert_eq!(child.wait().unwrap().code(), Some(0));
    let begin = Instant::now();
    for port in ports {
        while TcpStream::connect(("127.0.0.1", port)).is_ok() {
            assert!(begin.elapsed() < PATIENCE, "somebody still listens on {port}");
            std::thread::yield_now();
        }
    }
}
