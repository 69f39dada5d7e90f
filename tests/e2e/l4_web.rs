//! HTTP/2 and WebSocket with a real server behind `passthrough`: the gateway has no part in either.

use sluice_tests::peer::{self, Peer};
use sluice_tests::pki::Pki;
use sluice_tests::sluice::{TempDir, says};
use sluice_tests::{Sluice, ports};
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};

/// nginx with this in its `http` block.
#[track_caller]
fn nginx(dir: &TempDir, http: &str, addr: SocketAddr) -> Peer {
    let d = dir.path().display();
    let paths =
        ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map(|p| format!("{p}_temp_path {d}/{p};")).join(" ");
    let config = format!(
        "daemon off; worker_processes 1; pid {d}/pid; error_log stderr notice;\nevents {{}}\n\
         http {{ access_log off; {paths}\n{http}\n}}\n"
    );
    fs::write(dir.path().join("nginx.conf"), config).unwrap();
    let mut command = peer::command("nginx", "nginx-light");
    command.arg("-c").arg(dir.path().join("nginx.conf")).args(["-e", "stderr", "-p"]).arg(dir.path());
    Peer::start(&mut command).listens(addr)
}

#[test]
fn http2_through_passthrough_beside_a_terminated_site() {
    let pki = Pki::new();
    let identity = pki.issue(&["h2.test", "*.deep.h2.test"]);
    let addr = SocketAddr::from((Ipv4Addr::LOCALHOST, ports::free()));
    let dir = TempDir::new();
    let large = "0123456789abcdef".repeat(64 * 1024);
    fs::create_dir(dir.path().join("www")).unwrap();
    fs::write(dir.path().join("www/large"), &large).unwrap();
    let server = format!(
        "server {{ listen {addr} ssl http2; ssl_certificate {}; ssl_certificate_key {}; root {}/www; client_max_body_size 8m;\n\
         location = /who {{ return 200 \"$server_protocol $ssl_server_name $ssl_alpn_protocol\"; }} }}",
        identity.cert.display(),
        identity.key.display(),
        dir.path().display()
    );
    let _nginx = nginx(&dir, &server, addr);
    let route = format!("pool h2 = {addr}\npassthrough h2.test, *.deep.h2.test -> h2\n");
    let sluice = Sluice::setup().file("h2.route", route).file("www.route", says("www.test", "own")).start();
    let https = sluice.https;

    let curl = |host: &str, target: &str, more: &[&str]| {
        let mut curl = peer::command("curl", "curl");
        curl.args(["-sS", "--max-time", "15", "--noproxy", "*", "--cacert"]);
        curl.arg(if host == "www.test" { sluice.root() } else { pki.root() });
        curl.args(["--connect-to", &format!("::{https}")]).args(more).arg(format!("https://{host}{target}"));
        peer::succeed(&mut curl)
    };
    let version = ["-w", "\n%{http_version}"];
    assert_eq!(curl("h2.test", "/who", &version), "HTTP/2.0 h2.test h2\n2");
    assert_eq!(curl("h2.test", "/who", &["--http1.1"]), "HTTP/1.1 h2.test http/1.1");
    assert_eq!(curl("a.deep.h2.test", "/who", &version), "HTTP/2.0 a.deep.h2.test h2\n2");
    assert_eq!(curl("h2.test", "/large", &[]), large);
    assert_eq!(curl("www.test", "/", &version), "own\n2", "the same port ends the TLS of a site");

    let mut h2load = peer::command("h2load", "nghttp2-client");
    h2load.args(["-n", "600", "-c", "6", "-m", "10", &format!("--connect-to={https}"), "https://h2.test/large"]);
    let said = peer::succeed(&mut h2load);
    assert!(said.contains("600 succeeded, 0 failed, 0 errored, 0 timeout"), "{said}");
    assert!(said.contains("Application protocol: h2"), "{said}");

    let mut nghttp = peer::command("nghttp", "nghttp2-client");
    nghttp.args(["-ns", &format!("https://{https}/who"), "-H:authority: h2.test"]);
    // nghttp takes the name of its hello from :authority.
    let said = peer::succeed(&mut nghttp);
    assert!(said.contains(" 200 ") && said.contains("/who"), "{said}");
}

#[test]
fn websocket_through_passthrough() {
    let pki = Pki::new();
    let identity = pki.issue(&["ws.test"]);
    let dir = TempDir::new();
    let script = dir.path().join("websocket.py");
    fs::write(&script, include_str!("programs/websocket.py")).unwrap();
    let addr = SocketAddr::from((Ipv4Addr::LOCALHOST, ports::free()));
    let mut serve = peer::python();
    serve.arg(&script).args(["serve", &addr.port().to_string()]).arg(&identity.cert).arg(&identity.key);
    let server = Peer::start(&mut serve);
    server.says("serving");
    let route = format!("pool ws = {addr}\npassthrough ws.test -> ws\n");
    let sluice = Sluice::setup().file("ws.route", route).file("www.route", says("www.test", "own")).start();
    let mut ask = peer::python();
    ask.arg(&script).args(["ask", &sluice.https.port().to_string(), "ws.test"]).arg(pki.root());
    let said = peer::succeed(&mut ask);
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines[..3], ["text grüße", "binary 2097152 True", "pong"], "{said}");
    server.says("closed 4001 done here");
    let record = sluice.record("the connection", |r| r["sni"] == "ws.test");
    let bytes = |name: &str| record[name].as_u64().unwrap();
    assert!(bytes("bytes_in") > 2 << 20 && bytes("bytes_out") > 2 << 20, "{record}");
}
