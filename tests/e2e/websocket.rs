//! WebSocket with a library that others wrote, at both ends: many messages, close codes, subprotocols,
//! compression; in the clear, with TLS, over HTTP/2, and to an origin with TLS.

use sluice_tests::peer::{self, Peer};
use sluice_tests::pki::Pki;
use sluice_tests::sluice::TempDir;
use sluice_tests::{Sluice, ports};
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

/// Ten thousand messages take longer than other things that tests wait for.
const PATIENCE: Duration = Duration::from_secs(120);

struct Rig {
    sluice: Sluice,
    server: Peer,
    script: PathBuf,
    _dir: TempDir,
}

impl Rig {
    #[track_caller]
    fn start(more: &str) -> Self {
        let dir = TempDir::new();
        let script = dir.path().join("websocket_peer.py");
        fs::write(&script, include_str!("programs/websocket_peer.py")).unwrap();
        let addr = SocketAddr::from((Ipv4Addr::LOCALHOST, ports::free()));
        let mut serve = peer::python();
        serve.arg(&script).args(["serve", &addr.port().to_string()]);
        let server = Peer::start(&mut serve);
        server.says("serving");
        let route = format!("pool ws = {addr}\nsite ws.test {{\n    http allowed\n    {more}\n    else -> ws\n}}\n");
        let sluice = Sluice::with(route);
        Self { sluice, server, script, _dir: dir }
    }

    fn program(&self, what: &str) -> Command {
        let mut command = peer::python();
        command.arg(&self.script).arg(what);
        command
    }

    /// A client of an address by `ws` or `wss`.
    fn talk(&self, what: &str, scheme: &str, to: &str) -> Command {
        let mut command = self.program(what);
        let port = if scheme == "wss" { self.sluice.https.port() } else { self.sluice.http.port() };
        command.args([&format!("{scheme}://{to}"), &port.to_string()]);
        if scheme == "wss" {
            command.arg(self.sluice.root());
        }
        command
    }

    /// Runs a client and returns the lines that it printed.
    #[track_caller]
    fn lines(&self, command: &mut Command) -> Vec<String> {
        let output = peer::run_for(command, PATIENCE);
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{command:?}\n{out}{err}\n{}", self.sluice.console_text());
        out.lines().map(str::to_owned).collect()
    }
}

/// Ten thousand messages there and back, with compression and without.
#[track_caller]
fn ten_thousand(scheme: &str, seen: &str) {
    let rig = Rig::start("");
    let lines = rig.lines(&mut rig.talk("talk", scheme, "ws.test/chat"));
    assert_eq!(lines[..2], ["echoed 10000 of 10000 compressed", "echoed 10000 of 10000 plain"]);
    rig.server.says(&format!("opened /chat None {seen}"));
}

#[test]
fn ten_thousand_messages_in_the_clear() {
    ten_thousand("ws", "http");
}

#[test]
fn ten_thousand_messages_with_tls() {
    ten_thousand("wss", "https");
}

#[test]
fn ten_thousand_messages_over_http2() {
    let rig = Rig::start("");
    let port = rig.sluice.https.port().to_string();
    let lines = rig.lines(rig.program("talk2").args([&port, "ws.test"]).arg(rig.sluice.root()));
    let wanted =
        ["answer 200 chat", "echoed 10000 of 10000 compressed", "pong True", "server closed 4000 the client says so"];
    assert_eq!(lines[..4], wanted);
    rig.server.says("closed 4000 the client says so");
}

#[test]
fn close_codes_both_ways_subprotocols_and_pings() {
    let rig = Rig::start("");
    for scheme in ["ws", "wss"] {
        let lines = rig.lines(&mut rig.talk("codes", scheme, "ws.test/chat"));
        let wanted = [1000, 1001, 4000].map(|code| format!("server closed {code} the server says so"));
        assert_eq!(lines[..3], wanted);
        assert_eq!(lines[3..6], ["subprotocol chat", "pong", "still there"]);
        for code in [1000, 1001, 4000] {
            rig.server.says(&format!("closed {code} the client says so"));
        }
        // Who vanished is seen to have vanished.
        rig.server.says("closed 1006");
    }
}

#[test]
fn a_websocket_is_closed_when_it_was_idle_for_too_long() {
    let rig = Rig::start("idle 300ms");
    let mut wire = rig.sluice.wire();
    wire.send(
        "GET /chat HTTP/1.1\r\nHost: ws.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
    );
    let all = String::from_utf8_lossy(&wire.rest()).into_owned();
    assert!(all.starts_with("HTTP/1.1 101 "), "{all}");
    rig.server.says("closed 1006");
    let line = rig.sluice.record("the WebSocket", |line| line["request"] == "websocket");
    assert_eq!((&line["end"], &line["host"], &line["path"]), (&"idle".into(), &"ws.test".into(), &"/chat".into()));
    assert!(line["lasted_ms"].as_u64().unwrap() >= 300, "{line}");
}

#[test]
fn to_an_origin_with_tls() {
    let pki = Pki::new();
    let identity = pki.issue(&["ws.internal"]);
    let dir = TempDir::new();
    let script = dir.path().join("websocket_peer.py");
    fs::write(&script, include_str!("programs/websocket_peer.py")).unwrap();
    let addr = SocketAddr::from((Ipv4Addr::LOCALHOST, ports::free()));
    let mut serve = peer::python();
    serve.arg(&script).args(["serve", &addr.port().to_string()]).arg(&identity.cert).arg(&identity.key);
    let server = Peer::start(&mut serve);
    server.says("serving");
    let route = format!(
        "pool ws {{\n    https://{addr}\n    tls {{ name ws.internal  trust \"root.pem\" }}\n}}\n\
         site ws.test {{\n    else -> ws\n}}\n"
    );
    let root = fs::read(pki.root()).unwrap();
    let sluice = Sluice::setup().file("root.pem", root).file("a.route", route).start();
    let rig = Rig { sluice, server, script, _dir: dir };
    let port = rig.sluice.https.port().to_string();
    // TLS of its own on either side, HTTP/2 on one.
    let lines = rig.lines(rig.program("codes").args(["wss://ws.test/chat", &port]).arg(rig.sluice.root()));
    assert_eq!(lines.last().map(|last| last.starts_with("version")), Some(true), "{lines:?}");
    let lines = rig.lines(rig.program("talk2").args([&port, "ws.test"]).arg(rig.sluice.root()));
    assert_eq!(lines[1], "echoed 10000 of 10000 compressed");
}

#[test]
fn a_reload_closes_no_websocket() {
    let rig = Rig::start("");
    let mut wire = rig.sluice.wire();
    wire.send(
        "GET /chat HTTP/1.1\r\nHost: ws.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
    );
    rig.server.says("opened /chat");
    rig.sluice.write("a.route", "site ws.test {\n    http allowed\n    else -> respond 200 \"moved\"\n}\n");
    rig.sluice.serves("ws.test", "/", |reply| reply.text() == "moved");
    let head = wire.head().unwrap();
    assert_eq!(head.status, 101);
    // A text of two letters, masked with zeros, comes back unmasked; then the close does.
    wire.send(b"\x81\x82\0\0\0\0hi");
    assert_eq!(wire.take(4), b"\x81\x02hi");
    wire.send(b"\x88\x80\0\0\0\0");
    assert_eq!(wire.rest(), b"\x88\0");
}
