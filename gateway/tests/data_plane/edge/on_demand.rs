//! `tls on-demand`: who gets a certificate.

use super::*;
use crate::support::{Origin, PATIENCE, fixed, pool, read_to_end};
use dsl::tree::ir::{Ask, Capture, Class, HostHead, HostPattern, OnDemand, PoolIdx, Segment, Tls};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use std::io::Write;
use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::mpsc::channel;
use std::thread;

const OF_CAPTURE: Capture = Capture::Host { prefix: 0, suffix: 0 };

/// `site {tenant}.example.test { tls on-demand { allow when ask(control, GET /tenants/{tenant}) limit … } … }`
fn tenants(service: &Origin, limit: Option<(u32, u64)>) -> ir::Site {
    let at = Value {
        parts: vec![
            Part::Text("/tenants/".into()),
            encoded(Field::Capture(OF_CAPTURE), Encode::Segment).parts.remove(0),
        ],
    };
    let ask = Ask {
        pool: PoolIdx(0),
        method: "GET".into(),
        at,
        within_ms: 20_000,
        copy: Vec::new(),
        failed: None,
        keep: None,
    };
    let respond = Answer::Respond { status: 200, body: fixed("hello"), content_type: "text/plain".into() };
    let mut tenants = site(vec![("/*", plan(respond))], vec![pool(&[service.address])]);
    let label = Segment::Capture { prefix: "".into(), class: Class::Any, suffix: "".into() };
    tenants.hosts[0].0 = HostPattern { head: HostHead::Label(label), parent: "example.test".into() };
    tenants.calls = vec![call(CallKind::Ask(ask), "ask(control, GET /tenants/{tenant})")];
    tenants.settings.tls = Tls::OnDemand;
    tenants.on_demand = Some(Arc::new(OnDemand { allow: yes(0), limit, loc: Loc::default() }));
    tenants
}

/// 200 for `/tenants/ann…`, 404 for others.
fn control() -> Origin {
    Origin::raw(|mut stream, _| {
        while let Some((head, _)) = crate::support::read_request(&mut stream) {
            let status = if head.starts_with("GET /tenants/ann") { "200 OK" } else { "404 Not Found" };
            let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n");
            if stream.write_all(answer.as_bytes()).is_err() {
                return;
            }
        }
    })
}

/// What a client of a name gets: the answer, or why there is no handshake.
fn https(rig: &Rig, name: &str) -> Result<String, String> {
    dial(rig.https, rig.ca.root(), name)
}

fn dial(address: SocketAddr, root: &CertificateDer<'static>, name: &str) -> Result<String, String> {
    let mut roots = RootCertStore::empty();
    roots.add(root.clone()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = builder.with_root_certificates(roots).with_no_client_auth();
    let server = ServerName::try_from(name.to_owned()).unwrap();
    let tls = ClientConnection::new(Arc::new(config), server).unwrap();
    let mut stream = StreamOwned::new(tls, crate::support::connect(address));
    let request = format!("GET / HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).map_err(|e| e.to_string())?;
    Ok(read_to_end(&mut stream))
}

#[test]
fn a_name_is_asked_about_once_and_refused_in_the_handshake() {
    let service = Origin::new(|stream, _| stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").is_ok());
    let rig = Rig::new(vec![tenants(&service, None)]);
    for _ in 0..3 {
        assert!(https(&rig, "ann.example.test").unwrap().ends_with("hello"));
    }
    let heads = service.heads();
    assert_eq!(heads.len(), 1, "{heads:?}");
    let head = heads[0].to_ascii_lowercase();
    assert!(head.starts_with("get /tenants/ann http/1.1\r\n"), "{head}");
    assert!(
        head.contains("\r\nhost: ann.example.test\r\n") && head.contains("\r\nx-forwarded-for: 127.0.0.1\r\n"),
        "{head}"
    );
    let denying = control();
    let rig = Rig::new(vec![tenants(&denying, None)]);
    for _ in 0..3 {
        let refused = https(&rig, "bob.example.test").unwrap_err();
        assert!(refused.contains("UnrecognisedName") || refused.contains("UnrecognizedName"), "{refused}");
    }
    assert!(https(&rig, "ann.example.test").unwrap().ends_with("hello"));
    assert_eq!(denying.connections.load(std::sync::atomic::Ordering::SeqCst), 1);
    assert!(https(&rig, "a.b.example.test").is_err(), "no site's name");
}

#[test]
fn a_service_that_is_down_means_no_certificate() {
    let gone = Origin { address: crate::support::refusing(), ..Origin::answering("") };
    let rig = Rig::new(vec![tenants(&gone, None)]);
    assert!(https(&rig, "ann.example.test").is_err());
}

#[test]
fn the_limit_counts_new_names_and_outlives_reloads() {
    let service = control();
    let rig = Rig::new(vec![tenants(&service, Some((2, 3_600_000)))]);
    assert!(https(&rig, "bob.example.test").is_err(), "a name that is refused uses none of it");
    for name in ["ann1.example.test", "ann2.example.test", "ann1.example.test"] {
        assert!(https(&rig, name).unwrap().ends_with("hello"), "{name}");
    }
    assert!(https(&rig, "ann3.example.test").is_err());
    assert!(rig.notice().starts_with("tls on-demand: as many new names"));
    rig.publish(vec![tenants(&service, Some((2, 3_600_000)))]);
    assert!(https(&rig, "ann3.example.test").is_err());
    assert!(https(&rig, "ann2.example.test").is_ok(), "who was allowed still is");
}

#[test]
fn many_clients_of_a_new_name_cause_one_question() {
    let (go, wait) = channel();
    let wait = Mutex::new(wait);
    let (arrived, arrivals) = channel();
    let arrived = Mutex::new(arrived);
    let service = Origin::new(move |stream, _| {
        arrived.lock().unwrap().send(()).unwrap();
        wait.lock().unwrap().recv_timeout(PATIENCE).unwrap();
        stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").is_ok()
    });
    let rig = Rig::with_secrets(vec![tenants(&service, None)], &[], 2, |_| {});
    thread::scope(|scope| {
        let (address, root) = (rig.https, rig.ca.root());
        let client = move || dial(address, root, "ann.example.test");
        let clients: Vec<_> = (0..6).map(|_| scope.spawn(client)).collect();
        arrivals.recv_timeout(PATIENCE).unwrap();
        go.send(()).unwrap();
        for client in clients {
            assert!(client.join().unwrap().unwrap().ends_with("hello"));
        }
    });
    assert_eq!(service.heads().len(), 1);
}
