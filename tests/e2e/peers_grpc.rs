//! gRPC with clients and servers of another implementation, grpcio: all kinds of calls, metadata, trailers,
//! deadlines, cancellation, large messages, errors, health, and gRPC-Web by hand.

use serde_json::Value;
use sluice_tests::peer::{self, Peer};
use sluice_tests::pki::Pki;
use sluice_tests::sluice::TempDir;
use sluice_tests::{Sluice, ports, wait};
use std::fs;
use std::path::PathBuf;
use std::process::Command;

/// The programs, in a directory.
struct Programs(TempDir);

impl Programs {
    fn new() -> Self {
        let dir = TempDir::new();
        for (name, text) in [
            ("server.py", include_str!("programs/grpc_server.py")),
            ("client.py", include_str!("programs/grpc_client.py")),
        ] {
            fs::write(dir.path().join(name), text).unwrap();
        }
        Self(dir)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// A server on a port.
    #[track_caller]
    fn serve(&self, name: &str, port: u16) -> Peer {
        let mut command = peer::python();
        command.arg(self.path("server.py")).arg(name).arg(port.to_string());
        let server = Peer::start(&mut command);
        server.says("serving");
        server
    }

    /// Servers with these names on free ports.
    #[track_caller]
    fn servers<const N: usize>(&self, names: [&str; N]) -> [(u16, Peer); N] {
        names.map(|name| {
            let port = ports::free();
            (port, self.serve(name, port))
        })
    }

    /// A client for a scene, in the clear or by TLS.
    fn client(&self, scene: &str, sluice: &Sluice, tls: bool) -> Command {
        let mut command = peer::python();
        command.arg(self.path("client.py")).args([scene, "grpc.test"]);
        if tls {
            command.arg(sluice.https.port().to_string()).arg(sluice.root());
        } else {
            command.arg(sluice.http.port().to_string());
        }
        command
    }
}

/// A site `grpc.test` before servers on these ports; more lines for its pool.
fn gateway(ports: &[u16], lines: &str) -> Sluice {
    let endpoints: String = ports.iter().map(|port| format!("    127.0.0.1:{port}\n")).collect();
    let route = format!(
        "pool servers {{\n{endpoints}    protocol grpc\n{lines}}}\n\n\
         site grpc.test {{\n    http allowed\n    body limit 32MB\n    else -> servers\n}}\n"
    );
    Sluice::setup().workers(2).file("grpc.route", route).start()
}

/// What a client printed until its end, which must be a success.
#[track_caller]
fn ends(client: Peer) -> String {
    let (ok, said) = client.ends();
    assert!(ok, "{said}");
    said
}

#[test]
fn all_kinds_of_calls_in_the_clear_and_by_tls() {
    let programs = Programs::new();
    let [(port, _server)] = programs.servers(["one"]);
    let sluice = gateway(&[port], "");
    for tls in [false, true] {
        let said = peer::succeed(&mut programs.client("kinds", &sluice, tls));
        let wanted = [
            "unary one",
            "server streaming 1000 1000",
            "client streaming 500500",
            "bidirectional streaming 100 from 1 server",
            "metadata True grpc-python",
            "messages of 0, 1 and 4194304 bytes",
            "error INVALID_ARGUMENT so nicht: 100 %, grüße | müßte anders heißen",
            "error UNIMPLEMENTED",
            "done",
        ];
        assert_eq!(said.lines().collect::<Vec<_>>(), wanted, "tls: {tls}");
    }
}

/// The servers end TLS themselves: HTTP/2 by ALPN, verified.
#[test]
fn servers_with_tls_of_their_own() {
    let (pki, programs, port) = (Pki::new(), Programs::new(), ports::free());
    let identity = pki.issue(&["ledger.internal"]);
    let mut command = peer::python();
    command.arg(programs.path("server.py")).arg("secure").arg(port.to_string()).arg(&identity.cert).arg(&identity.key);
    let server = Peer::start(&mut command);
    server.says("serving");
    let route = format!(
        "pool servers {{\n    https://127.0.0.1:{port}\n    protocol grpc\n    tls {{\n        name ledger.internal\n        trust \"ca.pem\"\n    }}\n}}\n\n\
         site grpc.test {{\n    body limit 32MB\n    else -> servers\n}}\n"
    );
    let setup = Sluice::setup().file("ca.pem", fs::read(pki.root()).unwrap());
    let sluice = setup.file("grpc.route", route).start();
    let said = peer::succeed(&mut programs.client("kinds", &sluice, true));
    assert!(said.starts_with("unary secure\n") && said.ends_with("error UNIMPLEMENTED\ndone\n"), "{said}");
}

#[test]
fn deadlines_reach_the_server_and_end_calls() {
    let programs = Programs::new();
    let [(port, server)] = programs.servers(["one"]);
    let sluice = gateway(&[port], "    timeout 2s\n");
    let said = peer::succeed(&mut programs.client("deadlines", &sluice, true));
    assert_eq!(said, "deadline of 7 s reaches the server\ndeadline of 0.5 s ends in DEADLINE_EXCEEDED\ndone\n");
    server.says("cancelled deadline");
    // Who names no deadline has the pool's, and is told in gRPC's words.
    let said = peer::succeed(&mut programs.client("gateways_deadline", &sluice, true));
    assert_eq!(said, "late DEADLINE_EXCEEDED after 2 s\ndone\n");
    server.says("cancelled late");
}

#[test]
fn cancellation_reaches_the_server() {
    let programs = Programs::new();
    let [(port, server)] = programs.servers(["one"]);
    let sluice = gateway(&[port], "");
    let mut client = Peer::start_to_tell(&mut programs.client("cancels", &sluice, true));
    server.says("hangs unary");
    client.tell("it is there");
    assert_eq!(ends(client), "cancelled CANCELLED\ncancelled CANCELLED\ndone");
    server.says("cancelled unary");
    server.says("cancelled stream");
}

/// A gRPC client has one connection: what is balanced is its calls.
#[test]
fn calls_of_one_connection_are_spread_over_servers() {
    let programs = Programs::new();
    let servers = programs.servers(["a", "b", "c"]);
    let sluice = gateway(&servers.each_ref().map(|(port, _)| *port), "");
    let said = peer::succeed(&mut programs.client("spread", &sluice, true));
    let counts = said.lines().find_map(|line| line.strip_prefix("spread ")).unwrap();
    println!("{counts}");
    let counts: Value = serde_json::from_str(counts).unwrap();
    // By turn, counted by the one worker that has the connection; a call may be a turn ahead of another.
    for name in ["a", "b", "c"] {
        let count = counts[name].as_u64().unwrap_or(0);
        assert!((95..=105).contains(&count), "{counts}");
    }
}

/// What is not there, what was there a moment ago.
#[test]
fn server_that_is_killed_is_unavailable() {
    let programs = Programs::new();
    let [(port, mut server)] = programs.servers(["one"]);
    let sluice = gateway(&[port], "");
    let mut client = Peer::start_to_tell(&mut programs.client("dies", &sluice, true));
    client.says("streaming");
    server.kill();
    client.tell("it is dead");
    let said = ends(client);
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines[..2], ["streaming", "stream UNAVAILABLE"], "{said}");
    // The words are the gateway's own, and say nothing of the inside.
    assert!(lines[2].starts_with("unary UNAVAILABLE | ") && !lines[2].contains(&port.to_string()), "{said}");
    assert!(!lines[2].contains("127.0.0.1"), "{said}");
}

/// Its health is asked by gRPC's own protocol; who says NOT_SERVING gets nothing, and nobody notices.
#[test]
fn server_that_says_it_does_not_serve() {
    let programs = Programs::new();
    let servers = programs.servers(["a", "b"]);
    let check = "    check grpc service \"test.Peer\" every 200ms within 150ms rise 1 fall 1\n";
    let sluice = gateway(&servers.each_ref().map(|(port, _)| *port), check);
    let direct = |status: &str| {
        let mut command = peer::python();
        command.arg(programs.path("client.py")).args(["turn", "direct", &servers[0].0.to_string()]);
        let mut client = Peer::start_to_tell(&mut command);
        client.tell(status);
        assert_eq!(ends(client), "turned\ndone");
    };
    let answered = || -> (u64, u64) {
        let said = peer::succeed(&mut programs.client("spread", &sluice, false));
        let counts: Value = serde_json::from_str(said.lines().next().unwrap().trim_start_matches("spread ")).unwrap();
        (counts["a"].as_u64().unwrap_or(0), counts["b"].as_u64().unwrap_or(0))
    };
    assert_eq!(answered(), (150, 150));
    direct("test.Peer NOT_SERVING");
    wait::until("a gets nothing", || (answered() == (0, 300)).then_some(()));
    direct("test.Peer SERVING");
    wait::until("a is asked again", || (answered() == (150, 150)).then_some(()));
    // Nor does one that does not know the service.
    direct("test.Peer SERVICE_UNKNOWN");
    wait::until("a gets nothing", || (answered() == (0, 300)).then_some(()));
}

/// Three servers are replaced one after the other while calls go on.
#[test]
fn servers_are_replaced_and_no_call_fails() {
    let programs = Programs::new();
    let mut servers = programs.servers(["a", "b", "c"]);
    let lines = "    check grpc every 200ms within 150ms rise 1 fall 1\n    connect within 500ms\n    \
                 retry 2 on [connect, reset, refused, 503] within 10s each 3s budget 100% body 64KB any method\n";
    let sluice = gateway(&servers.each_ref().map(|(port, _)| *port), lines);
    let mut client = Peer::start_to_tell(&mut programs.client("many", &sluice, true));
    client.says("under way");
    for (port, server) in &mut servers {
        server.kill();
        *server = programs.serve("new", *port);
    }
    wait::until("the new ones are asked", || {
        let said = peer::succeed(&mut programs.client("spread", &sluice, true));
        said.contains("{\"new\": 300}").then_some(())
    });
    client.tell("enough");
    let said = ends(client);
    println!("{said}");
    assert!(said.contains("failed 0 {}"), "{said}");
}

/// gRPC-Web by hand: what a browser sends, and what it must get.
#[test]
fn grpc_web_from_http1() {
    let programs = Programs::new();
    let [(port, _server)] = programs.servers(["one"]);
    let sluice = gateway(&[port], "");
    let dir = TempDir::new();
    // A StringValue of "hi": field 1, five bytes of prefix before it.
    let message = b"\x00\x00\x00\x00\x04\x0a\x02hi";
    fs::write(dir.path().join("binary"), message).unwrap();
    fs::write(dir.path().join("text"), base64(message)).unwrap();
    let ask = |version: &str, kind: &str, body: &str, method: &str| -> (String, Vec<u8>) {
        let mut curl = peer::command("curl", "curl");
        curl.args(["-sS", version, "--max-time", "15", "--noproxy", "*", "--cacert"]).arg(sluice.root());
        curl.args(["--connect-to", &format!("::{}", sluice.https), "-D", "-", "-X", "POST"]);
        curl.args(["-H", &format!("content-type: {kind}"), "-H", "x-grpc-web: 1", "--data-binary"]);
        curl.arg(format!("@{}", dir.path().join(body).display())).arg(format!("https://grpc.test/test.Peer/{method}"));
        let output = peer::run(&mut curl);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let at = output.stdout.windows(4).position(|w| w == b"\r\n\r\n").unwrap() + 4;
        (String::from_utf8_lossy(&output.stdout[..at]).to_ascii_lowercase(), output.stdout[at..].to_vec())
    };
    for version in ["--http1.1", "--http2"] {
        let (head, body) = ask(version, "application/grpc-web+proto", "binary", "Who");
        assert!(head.contains("content-type: application/grpc-web+proto\r\n"), "{head}");
        assert_eq!(frames(&body), [(0, b"\x0a\x03one".to_vec()), (0x80, trailers(&[("grpc-status", "0")]))], "{head}");

        let (head, body) = ask(version, "application/grpc-web-text", "text", "Who");
        assert!(head.contains("content-type: application/grpc-web-text"), "{head}");
        let decoded = unbase64(&body);
        assert_eq!(frames(&decoded)[0], (0, b"\x0a\x03one".to_vec()), "{head}");
        assert_eq!(frames(&decoded)[1].0, 0x80, "{head}");

        // An error has no message: its status is in the trailers, or in the head where there is no body at all.
        let (head, body) = ask(version, "application/grpc-web+proto", "binary", "Missing");
        let told = format!("{head}{}", String::from_utf8_lossy(&body).to_ascii_lowercase());
        assert!(told.contains("grpc-status: 12") || told.contains("grpc-status:12"), "{told}");
    }
}

/// The frames of gRPC-Web: their flags and payloads; trailers in lower case without blanks after the colon.
fn frames(mut bytes: &[u8]) -> Vec<(u8, Vec<u8>)> {
    let mut frames = Vec::new();
    while let [flag, a, b, c, d, rest @ ..] = bytes {
        let length = usize::try_from(u32::from_be_bytes([*a, *b, *c, *d])).unwrap();
        let payload = rest[..length].to_vec();
        let text = || String::from_utf8(payload.clone()).unwrap().to_ascii_lowercase().replace(": ", ":");
        frames.push((*flag, if *flag == 0x80 { status_only(&text()) } else { payload.clone() }));
        bytes = &rest[length..];
    }
    assert!(bytes.is_empty(), "a frame that is cut");
    frames
}

/// Of trailers the status alone: an empty message may stand beside it or not.
fn status_only(text: &str) -> Vec<u8> {
    let lines = text.split("\r\n").filter(|line| line.starts_with("grpc-status:"));
    lines.map(|line| format!("{line}\r\n")).collect::<String>().into_bytes()
}

fn trailers(fields: &[(&str, &str)]) -> Vec<u8> {
    fields.iter().map(|(name, value)| format!("{name}:{value}\r\n")).collect::<String>().into_bytes()
}

const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

fn base64(bytes: &[u8]) -> String {
    let mut text = String::new();
    for piece in bytes.chunks(3) {
        let word = piece.iter().fold(0_u32, |word, byte| word << 8 | u32::from(*byte)) << (8 * (3 - piece.len()));
        for i in 0..4 {
            let digit = usize::try_from(word >> (18 - 6 * i) & 63).unwrap();
            text.push(if i <= piece.len() { char::from(DIGITS[digit]) } else { '=' });
        }
    }
    text
}

/// Pieces of base64, each with its own padding, one after the other: as servers may send them.
fn unbase64(text: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for piece in text.chunks(4) {
        let digit = |c: &u8| DIGITS.iter().position(|d| d == c).map_or(0, |at| u32::try_from(at).unwrap());
        let word = piece.iter().fold(0, |word, c| word << 6 | digit(c));
        let padding = piece.iter().filter(|c| **c == b'=').count();
        bytes.extend_from_slice(&word.to_be_bytes()[1..4 - padding]);
    }
    bytes
}
