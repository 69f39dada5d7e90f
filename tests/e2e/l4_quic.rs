//! QUIC passed through by the name in its first packet: another implementation at both ends.

use sluice_tests::peer::{self, Peer};
use sluice_tests::pki::Pki;
use sluice_tests::sluice::{TempDir, says};
use sluice_tests::{Sluice, ports, tls};
use std::fs;
use std::path::Path;
use std::process::Command;

fn server(script: &Path, name: &str, pki: &Pki, host: &str) -> (u16, Peer) {
    let port = ports::free();
    let identity = pki.issue(&[host]);
    let mut command = peer::python();
    command.arg(script).args(["serve", name, &port.to_string()]).arg(identity.cert).arg(identity.key);
    let peer = Peer::start(&mut command);
    peer.says("serving");
    (port, peer)
}

#[test]
fn quic_by_the_name_of_its_hello_on_the_port_of_https() {
    let pki = Pki::new();
    let dir = TempDir::new();
    let script = dir.path().join("quic.py");
    fs::write(&script, include_str!("programs/quic.py")).unwrap();
    let (first, one) = server(&script, "one", &pki, "one.test");
    let (second, two) = server(&script, "two", &pki, "two.test");
    let route = format!(
        "pool one = 127.0.0.1:{first}\npool two = 127.0.0.1:{second}\n\
         passthrough one.test -> one\npassthrough *.test -> two\n"
    );
    let sluice = Sluice::setup().workers(2).file("q.route", route).file("www.route", says("www.test", "own")).start();
    let ask = |name: &str, seconds: &str| -> Command {
        let mut command = peer::python();
        command.arg(&script).args(["ask", &sluice.https.port().to_string(), name]).arg(pki.root()).arg(seconds);
        command
    };
    // Several at once: each comes to the server of its name, whichever worker its datagrams reach.
    let said: Vec<(&str, String)> = std::thread::scope(|scope| {
        let asked = ["one.test", "two.test", "one.test", "two.test"]
            .map(|name| (name, scope.spawn(move || peer::succeed(&mut ask(name, "15")))));
        asked.into_iter().map(|(name, thread)| (name, thread.join().unwrap())).collect()
    });
    for (name, said) in &said {
        let server = name.strip_suffix(".test").unwrap();
        let wanted = format!("server {server}\necho 1048576 True\nagain {server} by another connection ID\n");
        assert_eq!(said, &wanted, "{name}");
    }
    for server in [&one, &two] {
        server.says("handshake echo");
        server.says("terminated 7 done here");
    }

    // The same port, and the same names, over TCP: a site's TLS ends here.
    let mut wire = tls::connect(sluice.https, &sluice.root(), &tls::Offer::h1("www.test")).unwrap().wire;
    wire.send("GET / HTTP/1.1\r\nHost: www.test\r\n\r\n");
    assert_eq!(wire.reply().text(), "own");

    // A host that is a site is nobody's over QUIC: the client is left without an answer, or refused, but
    // nothing of it reaches a server.
    let output = peer::run(&mut ask("www.test", "2"));
    assert!(!output.status.success(), "{output:?}");
    let handshakes = [&one, &two].map(|peer| peer.console_text().matches("handshake").count());
    assert_eq!(handshakes, [2, 2]);
}
