//! A real MQTT broker: in the clear, with TLS that ends or begins at the gateway, with TLS of its own.

use sluice_tests::peer::{self, Peer};
use sluice_tests::pki::Pki;
use sluice_tests::sluice::{TempDir, says};
use sluice_tests::{Sluice, ports, wait};
use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::Path;

/// A broker with a clear port, one with TLS, and one where clients must show a certificate.
struct Broker {
    clear: SocketAddr,
    tls: SocketAddr,
    mutual: SocketAddr,
    _peer: Peer,
    _dir: TempDir,
}

impl Broker {
    #[track_caller]
    fn start(pki: &Pki) -> Self {
        let dir = TempDir::new();
        // mosquitto's clients have no way to ask one address for another name.
        let identity = pki.issue(&["localhost"]);
        for (from, name) in [(&identity.cert, "cert"), (&identity.key, "key"), (&pki.root(), "root")] {
            fs::copy(from, dir.path().join(name)).unwrap();
            peer::give(&dir.path().join(name));
        }
        let [clear, tls, mutual] = [0; 3].map(|_| SocketAddr::from((Ipv4Addr::LOCALHOST, ports::free())));
        let d = dir.path().display();
        let shown = format!("certfile {d}/cert\nkeyfile {d}/key\n");
        let config = format!(
            "allow_anonymous true\npersistence false\nlistener {} 127.0.0.1\nlistener {} 127.0.0.1\n{shown}\
             listener {} 127.0.0.1\n{shown}cafile {d}/root\nrequire_certificate true\n",
            clear.port(),
            tls.port(),
            mutual.port(),
        );
        fs::write(dir.path().join("conf"), config).unwrap();
        let mut command = peer::unprivileged_command("mosquitto", "mosquitto");
        command.arg("-c").arg(dir.path().join("conf"));
        let peer = Peer::start(&mut command).listens(clear).listens(tls).listens(mutual);
        Self { clear, tls, mutual, _peer: peer, _dir: dir }
    }
}

/// Publishes and receives through a port; `root` for TLS.
#[track_caller]
fn published_is_received(port: u16, root: Option<&Path>, topic: &str) {
    let client = |name: &str| {
        // Line by line, so that «Subscribed» comes when it happens.
        let mut command = peer::command("stdbuf", "coreutils");
        command.arg("-oL").arg(peer::program(name, "mosquitto-clients"));
        let host = if root.is_some() { "localhost" } else { "127.0.0.1" };
        command.args(["-h", host, "-p", &port.to_string(), "-t", topic, "-q", "1", "-V", "mqttv5"]);
        if let Some(root) = root {
            command.arg("--cafile").arg(root);
        }
        command
    };
    let mut subscribe = client("mosquitto_sub");
    let subscriber = Peer::start(subscribe.args(["-d", "-C", "3", "-W", "20", "-F", "got %t %l %p"]));
    subscriber.says("Subscribed");
    let long = "x".repeat(40_000);
    for message in ["first", "zweite Größe", &long] {
        peer::succeed(client("mosquitto_pub").args(["-m", message]));
    }
    let (ok, said) = subscriber.ends();
    assert!(ok, "{said}");
    let got: Vec<&str> = said.lines().filter(|line| line.starts_with("got ")).collect();
    let wanted = ["first", "zweite Größe", &long].map(|m| format!("got {topic} {} {m}", m.len()));
    assert_eq!(got, wanted);
}

#[test]
fn mosquitto_in_the_clear_terminated_originated_and_passed_through() {
    let pki = Pki::new();
    let broker = Broker::start(&pki);
    let [clear, ended, begun, shown] = [0; 4].map(|_| ports::free());
    let identity = pki.issue(&["the gateway"]);
    let route = format!(
        "pool mqtt {{\n    {plain}\n    check tcp every 1s within 1s\n}}\npool mqtts = {tls}\n\
         tcp 127.0.0.1:{clear} -> mqtt\n\
         tcp 127.0.0.1:{ended} {{\n    tls auto\n    limit 50 at-once per client.ip\n    -> mqtt\n}}\n\
         passthrough localhost -> mqtts\n\
         pool verified {{\n    {tls}\n    tls {{\n        name localhost\n        trust \"root.crt\"\n    }}\n}}\n\
         pool known {{\n    {mutual}\n    tls {{\n        name localhost\n        trust \"root.crt\"\n        client \"own.crt\" key \"own.key\"\n    }}\n}}\n\
         tcp 127.0.0.1:{begun} -> verified\ntcp 127.0.0.1:{shown} -> known\n",
        plain = broker.clear,
        tls = broker.tls,
        mutual = broker.mutual,
    );
    // What a route file names lies beside it.
    let mut setup = Sluice::setup();
    for (from, name) in [(&pki.root(), "root.crt"), (&identity.cert, "own.crt"), (&identity.key, "own.key")] {
        setup = setup.file(name, fs::read(from).unwrap());
    }
    let sluice = setup.file("mqtt.route", route).file("www.route", says("www.test", "w")).start();
    for port in [clear, ended, begun, shown] {
        wait::until("the listener opens", || TcpStream::connect(("127.0.0.1", port)).ok());
    }
    published_is_received(clear, None, "through/tcp");
    published_is_received(ended, Some(&sluice.root()), "tls/ends/here");
    // The client speaks no TLS; the gateway does, and shows who it is where it must.
    published_is_received(begun, None, "tls/begins/here");
    published_is_received(shown, None, "tls/begins/here/and/is/known");
    published_is_received(sluice.https.port(), Some(&pki.root()), "passed/through");
    let passed = sluice.record("a passed connection", |r| r["route"] == "passthrough localhost");
    assert_eq!(passed["sni"], "localhost", "{passed}");
}
