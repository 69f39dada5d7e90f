//! Client certificates: who gets in, what routes see of them, and that what was proved to one site is proved to
//! no other.

use rustls::client::{ClientSessionStore, Resumption, Tls12ClientSessionValue, Tls13ClientSessionValue};
use rustls::pki_types::ServerName;
use rustls::{ClientConnection, HandshakeKind, NamedGroup};
use sluice_tests::client::H2;
use sluice_tests::pki::Pki;
use sluice_tests::sluice::{Setup, run};
use sluice_tests::tls::{self, Offer};
use sluice_tests::wait;
use sluice_tests::{Sluice, Wire};
use std::fs;
use std::net::TcpStream;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

/// A site that says who it is, and in a header whom it takes the client for.
fn site(host: &str, lines: &str) -> String {
    let who = "set response header x-who = tls.cert.subject if missing \"nobody\"";
    format!("site {host} {{\n    {who}\n    {lines}\n    else -> respond 200 \"{host}\"\n}}\n")
}

const MUST: &str = "client cert from \"pki/clients.pem\"";
const MAY: &str = "client cert optional from \"pki/clients.pem\"";
const LISTED: &str = "client cert from \"pki/clients.pem\" crl \"pki/crl.pem\"";

fn with_clients(clients: &Pki) -> Setup {
    Sluice::setup().file("pki/clients.pem", fs::read(clients.root()).unwrap())
}

/// One request on a new connection: the answer, or why there is none. TLS 1.3 clients are told of a refusal after
/// their handshake.
fn ask(sluice: &Sluice, offer: &Offer<'_>) -> Result<(u16, String), String> {
    let mut wire = sluice.handshake(offer).map_err(|e| e.to_string())?.wire;
    request(&mut wire, offer.name)
}

fn request(wire: &mut Wire, host: &str) -> Result<(u16, String), String> {
    wire.try_send(format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n")).map_err(|e| e.to_string())?;
    let reply = wire.try_reply("GET").ok_or("closed")?;
    let who = reply.header("x-who").map(|who| format!(" {who}")).unwrap_or_default();
    Ok((reply.status, reply.text() + &who))
}

#[track_caller]
fn says(got: Result<(u16, String), String>, text: &str) {
    assert_eq!(got, Ok((200, text.to_owned())));
}

#[test]
fn a_site_that_needs_a_certificate_lets_in_whoever_proves_one_and_nobody_else() {
    let (clients, others) = (Pki::new(), Pki::new());
    let (ann, eve) = (clients.client("ann", 7), others.client("ann", 7));
    let sluice = with_clients(&clients).file("a.route", site("a.test", MUST)).start();
    for old in [false, true] {
        let offer = Offer { old, ..Offer::h1("a.test") };
        says(ask(&sluice, &offer.clone().showing(&ann)), "a.test CN=ann");
        assert!(ask(&sluice, &offer).is_err(), "none, TLS 1.2: {old}");
        assert!(ask(&sluice, &offer.clone().showing(&eve)).is_err(), "of another authority, TLS 1.2: {old}");
    }
    // And with a program that is none of ours.
    let curl = |args: &[&str]| {
        let mut command = std::process::Command::new("curl");
        command.args(["--silent", "--max-time", "20", "--noproxy", "*", "--cacert"]).arg(sluice.root());
        command.arg("--resolve").arg(format!("a.test:{}:127.0.0.1", sluice.https.port())).args(args);
        let output = command.arg(format!("https://a.test:{}/", sluice.https.port())).output().unwrap();
        (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let (cert, key) = (ann.cert.to_str().unwrap(), ann.key.to_str().unwrap());
    assert_eq!(curl(&["--cert", cert, "--key", key]), (true, "a.test".to_owned()));
    assert!(!curl(&[]).0);
}

#[test]
fn where_it_is_optional_routes_decide() {
    let (clients, others) = (Pki::new(), Pki::new());
    let (ann, eve) = (clients.client("ann", 7), others.client("eve", 1));
    let lines = format!(
        "{MAY}\n    /admin/* {{\n        require tls.cert else deny 403\n        -> respond 200 \"admin\"\n    }}"
    );
    let sluice = with_clients(&clients).file("a.route", site("a.test", &lines)).start();
    says(ask(&sluice, &Offer::h1("a.test")), "a.test nobody");
    says(ask(&sluice, &Offer::h1("a.test").showing(&ann)), "a.test CN=ann");
    let admin = |offer: Offer<'_>| {
        let mut wire = sluice.handshake(&offer).unwrap().wire;
        wire.send("GET /admin/x HTTP/1.1\r\nHost: a.test\r\n\r\n").reply().status
    };
    assert_eq!(admin(Offer::h1("a.test")), 403);
    assert_eq!(admin(Offer::h1("a.test").showing(&ann)), 200);
    assert!(ask(&sluice, &Offer::h1("a.test").showing(&eve)).is_err(), "a wrong one is worse than none");
}

#[test]
fn every_part_of_a_certificate_can_be_read_and_tested() {
    let clients = Pki::new();
    let ann = clients.issue_as("ann", &["ann.clients.test"], |params| {
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(rcgen::DnType::CommonName, "ann, O=root");
        params.serial_number = Some(0xabcd_u64.into());
    });
    let parts = ["subject", "issuer", "serial", "san", "fingerprint"];
    let headers = parts.map(|part| format!("    set response header x-{part} = tls.cert.{part} if missing \"-\"\n"));
    let route = format!(
        "site a.test {{\n    client cert from \"pki/clients.pem\"\n{}    /ann when tls.cert.san is \"ann.clients.test\" -> respond 200 \"ann\"\n    else -> respond 200\n}}\n\n\
         test \"what a certificate says is given\" {{\n    request GET https://a.test/ann with tls.cert.subject = \"CN=bob\", tls.cert.san = \"ann.clients.test\"\n    expect respond 200 \"ann\"\n    \
         request GET https://a.test/ann with tls.cert.subject = \"CN=bob\"\n    expect respond 200 \"\"\n}}\n",
        headers.concat()
    );
    let sluice = with_clients(&clients).file("a.route", route).start();
    let mut wire = sluice.handshake(&Offer::h1("a.test").showing(&ann)).unwrap().wire;
    let reply = wire.send("GET /ann HTTP/1.1\r\nHost: a.test\r\n\r\n").reply();
    assert_eq!(reply.text(), "ann");
    let said = parts.map(|part| reply.header(&format!("x-{part}")).unwrap_or_default().to_owned());
    assert_eq!(said[0], "CN=ann\\, O=root");
    assert!(said[1].contains("CN=authority of the test's origins"), "{said:?}");
    assert_eq!(said[2..4], ["00abcd", "ann.clients.test"]);
    assert_eq!(said[4].len(), 64, "{said:?}");
    let tested = run(&["test", sluice.sites().to_str().unwrap()]);
    assert!(tested.status.success(), "{tested:?}");
}

#[test]
fn what_is_revoked_is_refused_at_once_on_new_connections_open_ones_and_tickets() {
    let clients = Pki::new();
    let (ann, bob) = (clients.client("ann", 7), clients.client("bob", 8));
    let sluice = with_clients(&clients)
        .file("pki/crl.pem", clients.revoked(&[8]))
        .file("a.route", site("a.test", LISTED))
        .start();
    let as_ann = Offer::h1("a.test").showing(&ann);
    says(ask(&sluice, &as_ann), "a.test CN=ann");
    assert!(ask(&sluice, &Offer::h1("a.test").showing(&bob)).is_err(), "revoked before the start");
    let mut open = sluice.handshake(&as_ann).unwrap().wire;
    says(request(&mut open, "a.test"), "a.test CN=ann");
    let mut others = sluice.handshake(&as_ann).unwrap().wire;
    says(request(&mut others, "a.test"), "a.test CN=ann");
    let client = Resuming::new(&sluice, &as_ann);
    assert_eq!(client.shake(&sluice, "a.test").unwrap().0, HandshakeKind::Full);
    assert_eq!(client.shake(&sluice, "a.test").unwrap().0, HandshakeKind::Resumed);
    // A list of nobody new changes nothing for who is connected.
    let lists = sluice.sites().join("pki/crl.pem");
    fs::write(&lists, clients.revoked(&[8, 9])).unwrap();
    sluice.says("that it was read", |line| line.contains("client certificates read again"));
    says(request(&mut others, "a.test"), "a.test CN=ann");
    fs::write(&lists, clients.revoked(&[7, 8])).unwrap();
    wait::until("new connections are refused", || ask(&sluice, &as_ann).is_err().then_some(()));
    assert_eq!(request(&mut open, "a.test").map(|(status, _)| status), Ok(421), "one that was open asks no more");
    assert!(client.shake(&sluice, "a.test").is_err(), "a ticket is no way in");
}

#[test]
fn a_list_of_revoked_certificates_that_is_overdue_is_told_and_gone_by() {
    let clients = Pki::new();
    let (ann, bob) = (clients.client("ann", 7), clients.client("bob", 8));
    let due = SystemTime::now() - Duration::from_secs(3 * 86_400);
    let sluice = with_clients(&clients)
        .file("pki/crl.pem", clients.revoked_until(&[8], due))
        .file("a.route", site("a.test", LISTED))
        .start();
    sluice.says("that it is overdue", |line| line.contains("crl.pem: a newer list of revoked certificates was due on"));
    says(ask(&sluice, &Offer::h1("a.test").showing(&ann)), "a.test CN=ann");
    assert!(ask(&sluice, &Offer::h1("a.test").showing(&bob)).is_err(), "what it says still counts");
    fs::write(sluice.sites().join("pki/crl.pem"), clients.revoked(&[7])).unwrap();
    sluice.says("that it was read", |line| line.contains("client certificates read again"));
    says(ask(&sluice, &Offer::h1("a.test").showing(&bob)), "a.test CN=bob");
}

#[test]
fn a_file_of_authorities_that_makes_no_sense_changes_nothing() {
    let (clients, next) = (Pki::new(), Pki::new());
    let (ann, bob) = (clients.client("ann", 7), next.client("bob", 8));
    let sluice = with_clients(&clients).file("a.route", site("a.test", MUST)).start();
    let file = sluice.sites().join("pki/clients.pem");
    fs::write(&file, "hello").unwrap();
    let line = sluice.says("what is wrong", |line| line.contains("clients.pem: there is no certificate in it"));
    assert!(line.contains("what was read before is gone by"), "{line}");
    says(ask(&sluice, &Offer::h1("a.test").showing(&ann)), "a.test CN=ann");
    fs::copy(next.root(), &file).unwrap();
    wait::until("the next authority's are let in", || ask(&sluice, &Offer::h1("a.test").showing(&bob)).ok().map(drop));
    assert!(ask(&sluice, &Offer::h1("a.test").showing(&ann)).is_err());
}

#[test]
fn a_site_whose_authorities_cannot_be_read_does_not_load() {
    let sluice = Sluice::with(site("a.test", MUST));
    let line = sluice.says("why", |line| line.contains("`pki/clients.pem` cannot be used"));
    assert!(line.contains("No such file"), "{line}");
    assert!(sluice.get("a.test", "/").status == 503);
}

// === attacks

#[test]
fn attack_http2_reuse_carries_an_identity_to_another_site() {
    let clients = Pki::new();
    let ann = clients.client("ann", 7);
    let sluice = with_clients(&clients)
        .file("a.route", site("a.test", MUST))
        .file("b.route", site("b.test", MUST))
        .file("may.route", site("may.test", MAY))
        .file("plain.route", site("plain.test", ""))
        .start();
    let mut h2 = H2::with(sluice.https, &sluice.root(), &Offer::h2("a.test").showing(&ann));
    assert_eq!(h2.get("https://a.test/").headers["x-who"], "CN=ann");
    for other in ["b.test", "may.test", "plain.test"] {
        let answer = h2.get(&format!("https://{other}/"));
        assert_eq!(answer.status, 421, "{other}: {}", answer.text());
    }
    assert_eq!(h2.get("https://a.test/").status, 200, "the connection is good for its own site");
}

#[test]
fn attack_a_connection_without_a_certificate_asks_a_site_that_needs_one() {
    let clients = Pki::new();
    let sluice = with_clients(&clients)
        .file("a.route", site("a.test", MUST))
        .file("plain.route", site("plain.test", "default"))
        .start();
    let mut wire = sluice.handshake(&Offer::h1("plain.test")).unwrap().wire;
    assert_eq!(request(&mut wire, "a.test").map(|(status, _)| status), Ok(421));
    // Without a name in the hello it is the default site's handshake.
    let mut wire = sluice.handshake(&Offer { sni: false, ..Offer::h1("plain.test") }).unwrap().wire;
    says(request(&mut wire, "plain.test"), "plain.test nobody");
    assert_eq!(request(&mut wire, "a.test").map(|(status, _)| status), Ok(421));
    let mut h2 = sluice.h2_secure("plain.test");
    assert_eq!(h2.get("https://a.test/").status, 421);
}

#[test]
fn attack_the_clear_port_is_no_way_around_the_certificate() {
    let clients = Pki::new();
    let sluice =
        with_clients(&clients).gateway("    trust proxies [127.0.0.0/8]").file("a.route", site("a.test", MUST)).start();
    assert_eq!(sluice.get("a.test", "/").status, 308);
    let mut wire = sluice.wire();
    let reply = wire.send("GET / HTTP/1.1\r\nHost: a.test\r\nX-Forwarded-Proto: https\r\n\r\n").reply();
    assert_eq!(reply.status, 421, "{}", reply.text());
    sluice.write("a.route", site("a.test", &format!("http allowed\n    {MUST}")));
    sluice.says("that both cannot be", |line| line.contains("who comes in the clear shows no certificate"));
    assert_eq!(sluice.get("a.test", "/").status, 308);
}

#[test]
fn attack_a_ticket_of_one_site_is_shown_to_another() {
    let clients = Pki::new();
    let ann = clients.client("ann", 7);
    let sluice = with_clients(&clients)
        .file("a.route", site("a.test", MUST))
        .file("b.route", site("b.test", MUST))
        .file("plain.route", site("plain.test", ""))
        .start();
    let client = Resuming::new(&sluice, &Offer::h1("a.test").showing(&ann));
    assert_eq!(client.shake(&sluice, "a.test").unwrap().0, HandshakeKind::Full);
    assert_eq!(client.shake(&sluice, "a.test").unwrap(), (HandshakeKind::Resumed, "a.test CN=ann".to_owned()));
    for (other, text) in [("b.test", "b.test CN=ann"), ("plain.test", "plain.test nobody")] {
        // It has the ticket of the site before and shows it here: it is not opened.
        let (kind, said) = client.shake(&sluice, other).unwrap();
        assert_eq!((kind, said.as_str()), (HandshakeKind::Full, text));
    }
}

#[test]
fn attack_a_tenants_connection_asks_another_tenants_site() {
    let tenants = "}\n\ntenant acme {\n    files \"acme/*.route\"\n    owns acme.test\n    dials [127.0.0.0/8]\n}\n\n\
         tenant globex {\n    files \"globex/*.route\"\n    owns globex.test\n    dials [127.0.0.0/8]";
    let sluice = Sluice::setup()
        .gateway(tenants)
        .file("acme/a.route", site("acme.test", ""))
        .file("globex/g.route", site("globex.test", ""))
        .start();
    let mut h2 = sluice.h2_secure("acme.test");
    assert_eq!(h2.get("https://acme.test/").status, 200);
    assert_eq!(h2.get("https://globex.test/").status, 421);
}

#[test]
fn a_reload_that_asks_for_certificates_holds_for_connections_from_before() {
    let clients = Pki::new();
    let ann = clients.client("ann", 7);
    let sluice = with_clients(&clients).file("a.route", site("a.test", "")).start();
    let mut before = sluice.handshake(&Offer::h1("a.test")).unwrap().wire;
    says(request(&mut before, "a.test"), "a.test nobody");
    sluice.write("a.route", site("a.test", MUST));
    wait::until("certificates are asked for", || ask(&sluice, &Offer::h1("a.test")).is_err().then_some(()));
    assert_eq!(request(&mut before, "a.test").map(|(status, _)| status), Ok(421));
    says(ask(&sluice, &Offer::h1("a.test").showing(&ann)), "a.test CN=ann");
}

// === a client that shows its last ticket to whomever

#[derive(Debug, Default)]
struct LastTicket(Mutex<(Option<Tls13ClientSessionValue>, Option<NamedGroup>)>);

impl ClientSessionStore for LastTicket {
    fn set_kx_hint(&self, _: ServerName<'static>, group: NamedGroup) {
        self.0.lock().unwrap().1 = Some(group);
    }
    fn kx_hint(&self, _: &ServerName<'_>) -> Option<NamedGroup> {
        self.0.lock().unwrap().1
    }
    fn set_tls12_session(&self, _: ServerName<'static>, _: Tls12ClientSessionValue) {}
    fn tls12_session(&self, _: &ServerName<'_>) -> Option<Tls12ClientSessionValue> {
        None
    }
    fn remove_tls12_session(&self, _: &ServerName<'static>) {}
    fn insert_tls13_ticket(&self, _: ServerName<'static>, ticket: Tls13ClientSessionValue) {
        self.0.lock().unwrap().0 = Some(ticket);
    }
    fn take_tls13_ticket(&self, _: &ServerName<'static>) -> Option<Tls13ClientSessionValue> {
        self.0.lock().unwrap().0.take()
    }
}

struct Resuming(Arc<rustls::ClientConfig>);

impl Resuming {
    fn new(sluice: &Sluice, offer: &Offer<'_>) -> Self {
        let mut config = rustls::ClientConfig::clone(&tls::config(&sluice.root(), offer));
        config.resumption = Resumption::store(Arc::new(LastTicket::default()));
        Self(Arc::new(config))
    }

    /// How the handshake went, and what the site answered on it.
    fn shake(&self, sluice: &Sluice, name: &str) -> Result<(HandshakeKind, String), String> {
        let session =
            ClientConnection::new(Arc::clone(&self.0), ServerName::try_from(name.to_owned()).unwrap()).unwrap();
        let mut socket = TcpStream::connect(sluice.https).unwrap();
        socket.set_read_timeout(Some(wait::PATIENCE)).unwrap();
        let mut session = session;
        while session.is_handshaking() {
            session.complete_io(&mut socket).map_err(|e| e.to_string())?;
        }
        let kind = session.handshake_kind().unwrap();
        let below = socket.try_clone().unwrap();
        let mut wire = Wire::over(Box::new(rustls::StreamOwned::new(session, socket)), below);
        // Tickets come with the answer.
        let (status, text) = request(&mut wire, name)?;
        assert_eq!(status, 200, "{text}");
        Ok((kind, text))
    }
}
