//! Providers behind TLS: a private authority, another's name, names that the gateway's own `resolver` knows, and what a
//! tenant may dial.

use rustls::{ServerConnection, StreamOwned};
use serde_json::{Value, json};
use sluice_tests::dns::Dns;
use sluice_tests::pki::{Identity, Pki};
use sluice_tests::sluice::{Setup, Sluice, workspace};
use sluice_tests::{Origin, peer};
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A name that only the test's name server knows.
const NAME: &str = "login.corp.test";

/// A provider behind TLS: connections that it got.
struct Provider {
    addr: SocketAddr,
    connections: Arc<AtomicUsize>,
    token: String,
}

impl Provider {
    /// Shows this certificate, and signs tokens with PyJWT. Its threads end with the process.
    fn start(identity: &Identity) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let issuer = format!("https://{NAME}:{}", addr.port());
        let program = workspace().join("tests/e2e/programs/provider_tokens.py");
        let made = peer::succeed(peer::python().arg(program).args([&issuer, "api"]));
        let made: Value = serde_json::from_str(&made).unwrap();
        let token = made["valid"]["ES256 by PyJWT"].as_str().unwrap().to_owned();
        let said = Arc::new((
            json!({ "issuer": issuer, "jwks_uri": format!("{issuer}/jwks") }).to_string(),
            json!({ "keys": made["keys"] }).to_string(),
        ));
        let (connections, tls) = (Arc::<AtomicUsize>::default(), identity.server(&["http/1.1"]));
        let counted = Arc::clone(&connections);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(stream) = stream else { continue };
                counted.fetch_add(1, Ordering::SeqCst);
                let (said, session) = (Arc::clone(&said), ServerConnection::new(Arc::clone(&tls)).unwrap());
                // Whoever does not trust it hangs up.
                std::thread::spawn(move || drop(answers(StreamOwned::new(session, stream), &said)));
            }
        });
        Self { addr, connections, token }
    }

    fn setup(&self, dns: &Dns, gateway: &str, file: &str, trust: &str, origin: &Origin) -> Setup {
        let route = format!(
            "provider corp {{\n    issuer \"https://{NAME}:{}\"\n{trust}}}\n\npool web = {}\n\nsite a.test {{\n    \
             http allowed\n    let who = jwt(header.x-token, key: corp, aud: \"api\")\n    require who else deny 401\n    \
             set request header x-user = who.sub\n    else -> web\n}}\n",
            self.addr.port(),
            origin.addr()
        );
        Sluice::setup().gateway(&format!("    resolver {}{gateway}", dns.addr())).file(file, route)
    }

    fn ask(&self, sluice: &Sluice) -> u16 {
        let mut wire = sluice.wire();
        wire.send(format!("GET / HTTP/1.1\r\nHost: a.test\r\nX-Token: {}\r\n\r\n", self.token));
        wire.reply().status
    }

    /// Nobody is let in by it, and the console says why.
    #[track_caller]
    fn is_refused(&self, sluice: &Sluice, says: &str) {
        let line = sluice.says("what is wrong with the provider", |line| line.contains("provider corp"));
        assert!(line.contains(says), "{line}");
        assert_eq!(self.ask(sluice), 503);
    }
}

/// The discovery document and the keys, request by request.
fn answers(mut stream: StreamOwned<ServerConnection, TcpStream>, said: &(String, String)) -> std::io::Result<()> {
    loop {
        let mut head = Vec::new();
        let mut lines = BufReader::with_capacity(1, &mut stream);
        while !head.ends_with(b"\r\n\r\n") {
            if lines.read_until(b'\n', &mut head)? == 0 {
                return Ok(());
            }
        }
        let body = if head.starts_with(b"GET /jwks ") { &said.1 } else { &said.0 };
        let length = body.len();
        let head = format!("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n");
        stream.write_all((head + body).as_bytes())?;
        stream.flush()?;
    }
}

/// A name server that knows the provider's name.
fn names(ip: &str) -> Dns {
    let dns = Dns::start();
    dns.set(NAME, &[ip], 60);
    dns
}

/// Puts the root of an authority beside the route files of a folder.
fn trusted(setup: &Setup, pki: &Pki, folder: &str) {
    let folder = setup.sites().join(folder);
    fs::create_dir_all(&folder).unwrap();
    fs::copy(pki.root(), folder.join("ca.pem")).unwrap();
}

const TRUST: &str = "    trust \"ca.pem\"\n";

#[test]
fn a_provider_behind_a_private_authority_is_trusted_by_its_file_and_found_by_the_gateways_resolver() {
    let (pki, dns, origin) = (Pki::new(), names("127.0.0.1"), Origin::echo());
    let provider = Provider::start(&pki.issue(&[NAME]));
    let setup = provider.setup(&dns, "", "a.route", TRUST, &origin);
    trusted(&setup, &pki, "");
    let sluice = setup.start();
    assert_eq!(provider.ask(&sluice), 200, "{}", sluice.console_text());
    assert_eq!(origin.only().all("x-user"), ["ann"]);
    assert!(dns.asked().iter().any(|asked| asked.name == NAME));
}

#[test]
fn attack_a_provider_of_an_authority_that_nobody_trusts() {
    let (pki, dns, origin) = (Pki::new(), names("127.0.0.1"), Origin::echo());
    let provider = Provider::start(&pki.issue(&[NAME]));
    let sluice = provider.setup(&dns, "", "a.route", "", &origin).start();
    provider.is_refused(&sluice, "UnknownIssuer");
    // Nor by another's root.
    let setup = provider.setup(&dns, "", "a.route", TRUST, &origin);
    trusted(&setup, &Pki::new(), "");
    provider.is_refused(&setup.start(), "TLS: ");
    origin.saw_nothing();
}

#[test]
fn attack_a_provider_that_shows_the_certificate_of_another() {
    let (pki, dns, origin) = (Pki::new(), names("127.0.0.1"), Origin::echo());
    let provider = Provider::start(&pki.issue(&["other.corp.test"]));
    let setup = provider.setup(&dns, "", "a.route", TRUST, &origin);
    trusted(&setup, &pki, "");
    provider.is_refused(&setup.start(), "not valid for name");
    origin.saw_nothing();
}

#[test]
fn a_provider_whose_name_is_nowhere_is_told() {
    let (pki, dns, origin) = (Pki::new(), Dns::start(), Origin::echo());
    let provider = Provider::start(&pki.issue(&[NAME]));
    let sluice = provider.setup(&dns, "", "a.route", "", &origin).start();
    provider.is_refused(&sluice, "its name does not exist");
}

#[test]
fn attack_a_tenants_provider_whose_name_comes_to_what_the_tenant_may_not_dial() {
    let (pki, origin) = (Pki::new(), Origin::echo());
    let provider = Provider::start(&pki.issue(&[NAME]));
    let of = |dials: &str| {
        format!("\n}}\n\ntenant acme {{\n    files \"acme/*.route\"\n    owns a.test\n    dials [{dials}]")
    };
    let started = |dns: &Dns, dials: &str| {
        let setup = provider.setup(dns, &of(dials), "acme/a.route", TRUST, &origin);
        trusted(&setup, &pki, "acme");
        setup.start()
    };
    // Its pool is at 127.0.0.1, and its provider's name comes to another address of this machine.
    let dns = names("127.0.0.2");
    provider.is_refused(&started(&dns, "127.0.0.1/32"), "127.0.0.2 may not be dialled");
    assert_eq!(provider.connections.load(Ordering::SeqCst), 0);
    dns.set(NAME, &["127.0.0.1"], 60);
    let sluice = started(&dns, "127.0.0.1/32");
    assert_eq!(provider.ask(&sluice), 200, "{}", sluice.console_text());
    assert!(provider.connections.load(Ordering::SeqCst) > 0);
}
