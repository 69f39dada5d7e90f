//! Origins that others wrote: nginx by HTTP/1.1 and by HTTP/2 with TLS, Node by HTTP/1.1, HTTP/2 in the clear
//! and HTTP/2 with TLS.

use http::{HeaderMap, HeaderValue, Request};
use http_body_util::{BodyExt, Full};
use sluice_tests::client::{empty, full};
use sluice_tests::peer::{self, Peer};
use sluice_tests::pki::{Identity, Pki};
use sluice_tests::sluice::TempDir;
use sluice_tests::{Sluice, ports};
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};

fn local() -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, ports::free()))
}

/// nginx with these servers; it speaks HTTP/2 on ports with `http2`.
#[track_caller]
fn nginx(dir: &TempDir, servers: &str, addr: SocketAddr) -> Peer {
    let d = dir.path().display();
    let paths =
        ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map(|p| format!("{p}_temp_path {d}/{p};")).join(" ");
    let config = format!(
        "daemon off; worker_processes 1; pid {d}/pid; error_log stderr notice;\nevents {{}}\n\
         http {{ access_log off; client_max_body_size 64m; {paths}\n{servers}\n}}\n"
    );
    fs::write(dir.path().join("nginx.conf"), config).unwrap();
    let mut command = peer::command("nginx", "nginx-light");
    command.arg("-c").arg(dir.path().join("nginx.conf")).args(["-e", "stderr", "-p"]).arg(dir.path());
    Peer::start(&mut command).listens(addr)
}

/// A Node server.
#[track_caller]
fn node(dir: &TempDir, name: &str, kind: &str, identity: Option<&Identity>) -> (SocketAddr, Peer) {
    let script = dir.path().join("h2_origin.js");
    fs::write(&script, include_str!("programs/h2_origin.js")).unwrap();
    let addr = local();
    let mut command = peer::command("node", "nodejs");
    command.arg(&script).args([name, &addr.port().to_string(), kind]);
    if let Some(identity) = identity {
        command.arg(&identity.cert).arg(&identity.key);
    }
    let node = Peer::start(&mut command);
    node.says("serving");
    (addr, node)
}

/// A site with one pool; `ca.pem` is the authority of the test.
fn gateway(pki: &Pki, pool: &str) -> Sluice {
    let route = format!(
        "pool origin {{\n{pool}}}\n\nsite a.test {{\n    http allowed\n    body limit 64MB\n    else -> origin\n}}\n"
    );
    Sluice::setup().file("ca.pem", fs::read(pki.root()).unwrap()).file("a.route", route).start()
}

/// The protocol is what the pool says, or what the server chooses by ALPN.
#[test]
fn nginx_by_every_protocol_that_it_speaks() {
    let (pki, dir) = (Pki::new(), TempDir::new());
    let identity = pki.issue(&["origin.internal"]);
    let large = "0123456789abcdef".repeat(64 * 1024);
    fs::create_dir(dir.path().join("www")).unwrap();
    fs::write(dir.path().join("www/large"), &large).unwrap();
    let [plain, h2c, tls, h2] = [(); 4].map(|()| local());
    let www = dir.path().display();
    let server = |listen: String| {
        format!(
            "server {{ listen {listen}; ssl_protocols TLSv1.2 TLSv1.3; ssl_certificate {}; ssl_certificate_key {}; root {www}/www;\n\
             location = /who {{ return 200 \"$server_protocol $ssl_protocol $ssl_server_name $host\"; }} }}\n",
            identity.cert.display(),
            identity.key.display()
        )
    };
    let servers = [
        server(plain.to_string()),
        server(format!("{h2c} http2")),
        server(format!("{tls} ssl")),
        server(format!("{h2} ssl http2")),
    ];
    let _nginx = nginx(&dir, &servers.concat(), plain);
    let verified = "    tls {\n        name origin.internal\n        trust \"ca.pem\"\n    }\n";
    for (pool, wanted) in [
        (format!("    {plain}\n"), "HTTP/1.1   a.test"),
        (format!("    {h2c}\n    protocol h2c\n"), "HTTP/2.0   a.test"),
        (format!("    https://{tls}\n{verified}"), "HTTP/1.1 TLSv1.3 origin.internal a.test"),
        (format!("    https://{h2}\n{verified}"), "HTTP/2.0 TLSv1.3 origin.internal a.test"),
        (format!("    https://{h2}\n    protocol h2\n{verified}"), "HTTP/2.0 TLSv1.3 origin.internal a.test"),
        (format!("    https://{h2}\n    protocol h1\n{verified}"), "HTTP/1.1 TLSv1.3 origin.internal a.test"),
    ] {
        let sluice = gateway(&pki, &pool);
        let reply = sluice.get("a.test", "/who");
        assert_eq!((reply.status, reply.text().as_str()), (200, wanted), "{pool}");
        // By HTTP/2 from the client as well, and large bodies.
        let answer = sluice.h2_secure("a.test").get("https://a.test/who");
        assert_eq!(answer.text(), wanted, "{pool}");
        assert_eq!(sluice.get("a.test", "/large").text(), large, "{pool}");
        // As many requests as nginx takes on a connection, 1000, and more: its GOAWAY or `Connection: close` costs none.
        let mut wire = sluice.wire();
        for number in 0..1500 {
            wire.send("GET /who HTTP/1.1\r\nHost: a.test\r\n\r\n");
            let reply = wire.reply();
            assert_eq!((reply.status, reply.text().as_str()), (200, wanted), "{pool}, request {number}");
        }
    }
}

/// A server that wants HTTP/2 and does not get it, and the other way round.
#[test]
fn protocol_that_the_server_does_not_speak() {
    let (pki, dir) = (Pki::new(), TempDir::new());
    let identity = pki.issue(&["origin.internal"]);
    let tls = local();
    let server = format!(
        "server {{ listen {tls} ssl; ssl_certificate {}; ssl_certificate_key {}; }}",
        identity.cert.display(),
        identity.key.display()
    );
    let _nginx = nginx(&dir, &server, tls);
    let pool = format!(
        "    https://{tls}\n    protocol h2\n    tls {{\n        name origin.internal\n        trust \"ca.pem\"\n    }}\n"
    );
    let sluice = gateway(&pki, &pool);
    assert_eq!(sluice.get("a.test", "/").status, 502);
}

#[test]
fn node_by_http2_in_the_clear_and_with_tls() {
    let (pki, dir) = (Pki::new(), TempDir::new());
    let identity = pki.issue(&["origin.internal"]);
    let verified = "    tls {\n        name origin.internal\n        trust \"ca.pem\"\n    }\n";
    for (kind, scheme, lines) in [("h2c", "", "    protocol h2c\n"), ("h2", "https://", verified)] {
        let (addr, _node) = node(&dir, kind, kind, (kind == "h2").then_some(&identity));
        let sluice = gateway(&pki, &format!("    {scheme}{addr}\n{lines}"));
        let told = sluice.get("a.test", "/x?q=1").json();
        assert_eq!((told["protocol"].as_str(), told["path"].as_str()), (Some("2.0"), Some("/x?q=1")), "{told}");
        assert_eq!(told["host"], "a.test", "{told}");

        // Many clients, one connection to the origin.
        let mut wires: Vec<_> = (0..20).map(|_| sluice.wire()).collect();
        for wire in &mut wires {
            wire.send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
        }
        let told: Vec<_> = wires.iter_mut().map(|wire| wire.reply().json()).collect();
        assert!(told.iter().all(|told| told["connections"] == 1), "{told:?}");

        // A body both ways, and trailers both ways.
        let mut h2 = sluice.h2_secure("a.test");
        let body = vec![b'x'; 3 << 20];
        let told = h2.ask(Request::post("https://a.test/").body(full(body)).unwrap()).json();
        assert_eq!((told["method"].as_str(), told["length"].as_u64()), (Some("POST"), Some(3 << 20)), "{told}");
        let answer = h2.get("https://a.test/trailers");
        assert_eq!(answer.text(), "body\n");
        assert!(answer.trailers.expect("trailers come through").contains_key("x-count"));
        let mut trailers = HeaderMap::new();
        trailers.insert("x-sum", HeaderValue::from_static("42"));
        let body = Full::new("abc".into()).with_trailers(std::future::ready(Some(Ok(trailers)))).boxed();
        let request = Request::post("https://a.test/").header("te", "trailers").body(body).unwrap();
        let told = h2.ask(request).json();
        assert_eq!((told["length"].as_u64(), told["trailers"]["x-sum"].as_str()), (Some(3), Some("42")), "{told}");

        // The origin ends connections in the middle of everything: nothing fails.
        for _ in 0..20 {
            let paths = ["/goaway", "/a", "/b", "/c"].into_iter().cycle().take(16);
            let requests = paths.map(|path| Request::get(format!("https://a.test{path}")).body(empty()).unwrap());
            for answer in h2.ask_all(requests.collect()) {
                assert_eq!(answer.expect("an answer").status, 200);
            }
        }
    }
}

#[test]
fn node_by_http1() {
    let (pki, dir) = (Pki::new(), TempDir::new());
    let (addr, _node) = node(&dir, "one", "h1", None);
    let sluice = gateway(&pki, &format!("    {addr}\n"));
    let told = sluice.get("a.test", "/y").json();
    assert_eq!((told["protocol"].as_str(), told["host"].as_str()), (Some("1.1"), Some("a.test")), "{told}");
    let mut h2 = sluice.h2_secure("a.test");
    let answer = h2.get("https://a.test/trailers");
    assert_eq!((answer.text().as_str(), answer.trailers.is_some()), ("body\n", true));
}
