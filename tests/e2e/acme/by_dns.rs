//! Names that are proved by DNS: wildcards, through a command, through a server that only answers challenges,
//! and by a record that is there for good.

use super::{Front, Said, authority, failed, is_good, order, via_corp};
use dsl::tree::ir::DnsProvider;
use sluice::tls::acme::Cause;
use sluice_tests::authority::Authority;
use sluice_tests::pebble::Pebble;
use sluice_tests::sluice::TempDir;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::sync::{Arc, Mutex};

const NAME: &str = "*.sluice-tests.net";

/// A program, and the directory that it lies in.
fn program(text: &str) -> (TempDir, DnsProvider) {
    let dir = TempDir::new();
    let path = dir.path().join("dns-hook");
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    let command = path.display().to_string().into();
    (dir, DnsProvider::Hook { command, key: None, wait: Some(0) })
}

#[tokio::test]
async fn a_wildcard_through_a_command() {
    let front = Front::start().await;
    let mut pebble = Pebble::setup().start();
    // Names in DNS have their dot here.
    let text = format!(
        "#!/bin/sh\necho \"$@\" >>\"$0.log\"\ncase $1 in present) what=set-txt ;; cleanup) what=clear-txt ;; esac\n\
         exec curl -sS --fail -d \"{{\\\"host\\\": \\\"$2.\\\", \\\"value\\\": \\\"$3\\\"}}\" http://{}/$what\n",
        pebble.answers()
    );
    let (dir, hook) = program(&text);
    let said = Said::of(vec![authority(&pebble.directory(), Some(&pebble.root()))]).provider(hook);
    let issuers = said.issuers(&front.board);
    let issued = issuers.issue(&via_corp(NAME)).await.unwrap();
    is_good(&issued, NAME, &pebble.issued_root());
    let log = std::fs::read_to_string(dir.path().join("dns-hook.log")).unwrap();
    let lines: Vec<&str> = log.lines().collect();
    assert_eq!(lines.len(), 2, "{log}");
    let value = lines[0].strip_prefix("present _acme-challenge.sluice-tests.net ").unwrap();
    assert_eq!(lines[1], format!("cleanup _acme-challenge.sluice-tests.net {value}"));

    // Without a proof by DNS nothing is asked of anybody.
    let why = failed(issuers.issue(&order(NAME)).await);
    assert_eq!(why.kind, Cause::Ours);
    assert!(why.said.contains("tls auto via dns"), "{why}");

    // The authority has forgotten the account: another one is made.
    pebble.again();
    let issued = issuers.issue(&via_corp(NAME)).await.unwrap();
    is_good(&issued, NAME, &pebble.issued_root());
}

#[tokio::test]
async fn a_command_that_fails_and_a_record_that_is_wrong() {
    let front = Front::start().await;
    let pebble = Pebble::setup().start();
    let at = || vec![authority(&pebble.directory(), Some(&pebble.root()))];
    let (_dir, hook) = program("#!/bin/sh\necho no such zone >&2\nexit 7\n");
    let why = failed(Said::of(at()).provider(hook).issuers(&front.board).issue(&via_corp(NAME)).await);
    assert_eq!(why.kind, Cause::Ours);
    assert!(why.said.contains("exit status: 7: no such zone"), "{why}");

    // It says that it did, and did not.
    let (_dir, hook) = program("#!/bin/sh\nexit 0\n");
    let why = failed(Said::of(at()).provider(hook).issuers(&front.board).issue(&via_corp(NAME)).await);
    assert_eq!(why.kind, Cause::Validation, "{why:?}");

    let why = failed(Said::of(at()).issuers(&front.board).issue(&via_corp(NAME)).await);
    assert_eq!(why.kind, Cause::Ours);
    assert!(why.said.contains("no DNS provider named corp"), "{why}");
}

/// A server that does what acme-dns does: takes values from whoever has the password, and answers them.
fn acme_dns(pebble: &Pebble) -> (SocketAddr, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (address, answers, seen) = (listener.local_addr().unwrap(), pebble.answers(), Arc::default());
    let log: Arc<Mutex<Vec<String>>> = Arc::clone(&seen);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = BufReader::new(stream.unwrap());
            let (mut head, mut length) = (String::new(), 0);
            while stream.read_line(&mut head).unwrap() > 2 {
                let last = head.lines().last().unwrap().to_ascii_lowercase();
                length = last.strip_prefix("content-length: ").map_or(length, |n| n.parse().unwrap());
            }
            let mut body = vec![0; length];
            stream.read_exact(&mut body).unwrap();
            let lower = head.to_ascii_lowercase();
            let known = lower.contains("x-api-user: ann") && lower.contains("x-api-key: secret-of-ann");
            log.lock().unwrap().push(head.lines().next().unwrap().to_owned());
            let said: serde_json::Value = serde_json::from_slice(&body).unwrap();
            let status = if known && said["subdomain"] == "d420c923" {
                // The name that `_acme-challenge.…` is an alias of; this DNS knows no aliases.
                let record = serde_json::json!({ "host": "_acme-challenge.sluice-tests.net.", "value": said["txt"] });
                tell(answers, &record.to_string());
                "200 OK"
            } else {
                "401 Unauthorized"
            };
            let body = r#"{"error": "forbidden"}"#;
            let answer =
                format!("HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}", body.len());
            stream.get_mut().write_all(answer.as_bytes()).unwrap();
        }
    });
    (address, seen)
}

fn tell(answers: SocketAddr, record: &str) {
    let mut stream = TcpStream::connect(answers).unwrap();
    let length = record.len();
    let head = format!("POST /set-txt HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n");
    stream.write_all(format!("{head}{record}").as_bytes()).unwrap();
    stream.read_to_end(&mut Vec::new()).unwrap();
}

#[tokio::test]
async fn a_wildcard_through_acme_dns() {
    let front = Front::start().await;
    let pebble = Pebble::setup().start();
    let (server, seen) = acme_dns(&pebble);
    let provider = |key: &str| DnsProvider::AcmeDns {
        server: format!("http://{server}").into(),
        key: Some(key.into()),
        wait: Some(0),
    };
    let one = r#"{"username": "ann", "password": "secret-of-ann", "fulldomain": "d420c923.auth.x", "subdomain": "d420c923", "allowfrom": []}"#;
    let said = |key: &str| {
        Said::of(vec![authority(&pebble.directory(), Some(&pebble.root()))])
            .provider(provider(key))
            .secret("one", one)
            .secret("each", &format!(r#"{{"sluice-tests.net": {one}}}"#))
            .secret("wrong", &one.replace("secret-of-ann", "secret-of-bob"))
            .secret("none", "ann:secret-of-ann")
    };
    for key in ["one", "each"] {
        let issued = said(key).issuers(&front.board).issue(&via_corp(NAME)).await.unwrap();
        is_good(&issued, NAME, &pebble.issued_root());
    }
    assert_eq!(*seen.lock().unwrap(), ["POST /update HTTP/1.1"; 2]);
    let why = failed(said("wrong").issuers(&front.board).issue(&via_corp(NAME)).await);
    assert!(why.kind == Cause::Ours && why.said.contains("401"), "{why:?}");
    assert!(!why.said.contains("secret-of-bob"), "{why}");
    let why = failed(said("none").issuers(&front.board).issue(&via_corp(NAME)).await);
    assert!(why.said.contains("what acme-dns answers") && !why.said.contains("secret-of-ann"), "{why}");
}

#[tokio::test]
async fn a_record_that_is_there_for_good() {
    let front = Front::start().await;
    let authority_ = Authority::start(false);
    let said = Said::of(vec![authority(&authority_.directory(), None)]).provider(DnsProvider::Persist);
    let why = failed(said.issuers(&front.board).issue(&via_corp(NAME)).await);
    assert_eq!(why.kind, Cause::Refused);
    assert!(why.said.contains("does not offer dns-persist-01"), "{why}");
    authority_.offers("dns-persist-01");
    let issued = said.issuers(&front.board).issue(&via_corp(NAME)).await.unwrap();
    assert!(issued.chain.contains("BEGIN CERTIFICATE"));
}
