//! Certificates from files: served, replaced while the gateway runs, and what serves when what comes is no good.

use rustls::pki_types::CertificateDer;
use sluice_tests::pki::{Identity, Pki};
use sluice_tests::sluice::{Setup, run};
use sluice_tests::tls::{self, Offer};
use sluice_tests::wait;
use sluice_tests::{Sluice, Wire};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::{Duration, SystemTime};

/// A site with a pair of files beside it.
fn site(host: &str, lines: &str) -> String {
    format!("site {host} {{\n    http allowed\n    {lines}\n    else -> respond 200 \"{host}\"\n}}\n")
}

const PAIR: &str = "tls file \"pki/cert.pem\" key \"pki/key.pem\"";

fn pair(setup: Setup, identity: &Identity) -> Setup {
    let (cert, key) = (fs::read(&identity.cert).unwrap(), fs::read(&identity.key).unwrap());
    setup.file("pki/cert.pem", cert).file("pki/key.pem", key)
}

/// Puts a pair in the place of the one that is there: by renames, as careful writers do.
fn put(sluice: &Sluice, identity: &Identity) {
    for (from, to) in [(&identity.cert, "cert.pem"), (&identity.key, "key.pem")] {
        let dir = sluice.sites().join("pki");
        fs::copy(from, dir.join("new")).unwrap();
        fs::rename(dir.join("new"), dir.join(to)).unwrap();
    }
}

fn shown(sluice: &Sluice, root: &Path, name: &str) -> Option<CertificateDer<'static>> {
    tls::connect(sluice.https, root, &Offer::h1(name)).ok().map(|secured| secured.shown[0].clone())
}

#[track_caller]
fn soon_shows(sluice: &Sluice, pki: &Pki, name: &str, identity: &Identity) {
    let wanted = identity.chain();
    wait::until("the new certificate is shown", || (shown(sluice, &pki.root(), name)? == wanted[0]).then_some(()));
}

#[track_caller]
fn asks(wire: &mut Wire, host: &str) -> u16 {
    wire.send(format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n")).reply().status
}

#[test]
fn files_are_served_and_replaced_without_a_restart_or_a_connection_lost() {
    let pki = Pki::new();
    let first = pki.issue_as("first", &["a.test"], |_| {});
    let sluice = pair(Sluice::setup(), &first).file("a.route", site("a.test", PAIR)).start();
    assert_eq!(shown(&sluice, &pki.root(), "a.test").as_ref(), first.chain().first());
    let mut wire = tls::connect(sluice.https, &pki.root(), &Offer::h1("a.test")).unwrap().wire;
    assert_eq!(asks(&mut wire, "a.test"), 200);
    let second = pki.issue_as("second", &["a.test"], |_| {});
    put(&sluice, &second);
    soon_shows(&sluice, &pki, "a.test", &second);
    assert_eq!(asks(&mut wire, "a.test"), 200, "a connection from before goes on");
    sluice.says("that it was read", |line| line.contains("certificate read again") && line.contains("cert.pem"));
}

#[test]
fn a_volume_that_is_swapped_as_kubernetes_does_is_noticed() {
    let pki = Pki::new();
    let identities = ["first", "second"].map(|name| pki.issue_as(name, &["a.test"], |_| {}));
    let setup = Sluice::setup().file("pki/..one/x", "");
    let dir = setup.sites().join("pki");
    let data = |version: &str, identity: &Identity| {
        fs::create_dir_all(dir.join(version)).unwrap();
        fs::copy(&identity.cert, dir.join(version).join("cert.pem")).unwrap();
        fs::copy(&identity.key, dir.join(version).join("key.pem")).unwrap();
    };
    data("..one", &identities[0]);
    symlink("..one", dir.join("..data")).unwrap();
    symlink("..data/cert.pem", dir.join("cert.pem")).unwrap();
    symlink("..data/key.pem", dir.join("key.pem")).unwrap();
    let sluice = setup.file("a.route", site("a.test", PAIR)).start();
    soon_shows(&sluice, &pki, "a.test", &identities[0]);
    data("..two", &identities[1]);
    symlink("..two", dir.join("..data_tmp")).unwrap();
    fs::rename(dir.join("..data_tmp"), dir.join("..data")).unwrap();
    fs::remove_dir_all(dir.join("..one")).unwrap();
    soon_shows(&sluice, &pki, "a.test", &identities[1]);
}

#[test]
fn the_last_good_pair_serves_whatever_is_put_in_its_place() {
    let pki = Pki::new();
    let good = pki.issue_as("good", &["a.test"], |_| {});
    let sluice = pair(Sluice::setup(), &good).file("a.route", site("a.test", PAIR)).start();
    let dir = sluice.sites().join("pki");
    let pem = fs::read_to_string(&good.cert).unwrap();
    let other = pki.issue_as("other", &["b.test"], |_| {});
    let past = SystemTime::now() - Duration::from_secs(3 * 86_400);
    let expired = pki.issue_as("expired", &["a.test"], |params| {
        params.not_before = (past - Duration::from_secs(86_400)).into();
        params.not_after = past.into();
    });
    let soon = SystemTime::now() + Duration::from_secs(5 * 86_400);
    let not_yet = pki.issue_as("not-yet", &["a.test"], |params| params.not_before = soon.into());
    let write = |cert: &[u8], key: &[u8]| {
        fs::write(dir.join("cert.pem"), cert).unwrap();
        fs::write(dir.join("key.pem"), key).unwrap();
    };
    let good_key = fs::read(&good.key).unwrap();
    let files = |identity: &Identity| (fs::read(&identity.cert).unwrap(), fs::read(&identity.key).unwrap());
    let torn = (pem.as_bytes()[..pem.len() / 2].to_vec(), good_key.clone());
    type Pair = (Vec<u8>, Vec<u8>);
    let cases: [(&str, Pair, &str); 7] = [
        ("a torn certificate", torn, "not PEM"),
        ("no PEM at all", (b"hello".to_vec(), good_key.clone()), "there is no certificate in it"),
        ("no key", (pem.clone().into_bytes(), b"hello".to_vec()), "there is no private key in it"),
        (
            "the key of another",
            (pem.clone().into_bytes(), fs::read(&other.key).unwrap()),
            "is not the key of the first certificate",
        ),
        ("another host's", files(&other), "no longer for a.test"),
        ("one that is over", files(&expired), "expired 3 days ago"),
        ("one that is not valid yet", files(&not_yet), "is not valid yet"),
    ];
    for (what, (cert, key), words) in cases {
        write(&cert, &key);
        let line = sluice.says(what, |line| line.contains(words));
        assert!(line.contains("the one before it serves on"), "{what}: {line}");
        assert_eq!(shown(&sluice, &pki.root(), "a.test").as_ref(), good.chain().first(), "{what}");
    }
    fs::remove_file(dir.join("key.pem")).unwrap();
    sluice.says("a key that is gone", |line| line.contains("key.pem") && line.contains("No such file"));
    assert_eq!(shown(&sluice, &pki.root(), "a.test").as_ref(), good.chain().first());
    let next = pki.issue_as("next", &["a.test"], |_| {});
    put(&sluice, &next);
    soon_shows(&sluice, &pki, "a.test", &next);
    assert!(!sluice.console_text().contains("PRIVATE KEY"));
}

#[test]
fn a_site_whose_pair_cannot_be_used_does_not_load_until_it_can() {
    let pki = Pki::new();
    let own = pki.issue_as("own", &["a.test"], |_| {});
    let other = pki.issue_as("other", &["a.test"], |_| {});
    let sluice = Sluice::setup()
        .file("pki/cert.pem", fs::read(&own.cert).unwrap())
        .file("pki/key.pem", fs::read(&other.key).unwrap())
        .file("a.route", site("a.test", PAIR))
        .file("b.route", site("b.test", ""))
        .start();
    sluice.says("why", |line| line.contains("G4016"));
    sluice.says("which", |line| line.contains("`pki/key.pem` cannot be used") && line.contains("is not the key of"));
    sluice.says("what to type", |line| line.contains("tls file \"cert.pem\" key \"key.pem\""));
    assert_eq!(sluice.get("a.test", "/").status, 503);
    assert_eq!(sluice.get("b.test", "/").status, 200, "it harms nobody");
    // The route file is not touched.
    put(&sluice, &own);
    sluice.serves("a.test", "/", |reply| reply.status == 200);
    soon_shows(&sluice, &pki, "a.test", &own);
}

#[test]
fn a_certificate_that_is_over_or_not_valid_yet_is_served_and_said() {
    let pki = Pki::new();
    let now = SystemTime::now();
    let days = |n: u64| Duration::from_secs(n * 86_400);
    let expired = pki.issue_as("expired", &["a.test"], |params| {
        params.not_before = (now - days(30)).into();
        params.not_after = (now - days(2)).into();
    });
    let sluice = pair(Sluice::setup(), &expired).file("a.route", site("a.test", PAIR)).start();
    // What the clock says keeps no file from loading.
    assert_eq!(sluice.get("a.test", "/").status, 200);
    sluice.says("that it is over", |line| line.contains("cert.pem expired 2 days ago"));
    assert!(shown(&sluice, &pki.root(), "a.test").is_none(), "no client takes it");
    let lint = |code: i32| {
        let output = run(&["lint", sluice.sites().to_str().unwrap()]);
        let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{text}");
        text
    };
    let text = lint(1);
    assert!(text.contains("error[G4004]") && text.contains("`pki/cert.pem` expired 2 days ago"), "{text}");
    // Nothing valid serves, so this takes its place.
    put(&sluice, &pki.issue_as("early", &["a.test"], |params| params.not_before = (now + days(3)).into()));
    sluice.says("that it is not yet", |line| line.contains("cert.pem is not valid yet"));
    assert!(lint(1).contains("is not valid yet"));
    put(
        &sluice,
        &pki.issue_as("ending", &["a.test"], |params| params.not_after = (now + days(9) + days(1) / 2).into()),
    );
    sluice.says("that it ends", |line| line.contains("cert.pem expires in 9 days"));
    let text = lint(0);
    assert!(text.contains("warning[G4004]") && text.contains("expires in 9 days"), "{text}");
    assert!(shown(&sluice, &pki.root(), "a.test").is_some());
}

#[test]
fn every_host_of_a_site_has_a_certificate_or_the_file_does_not_load() {
    let pki = Pki::new();
    let wild = pki.issue_as("wild", &["*.a.test", "a.test"], |_| {});
    let sluice = pair(Sluice::setup(), &wild).file("a.route", site("a.test, *.a.test", PAIR)).start();
    for host in ["a.test", "x.a.test"] {
        assert!(shown(&sluice, &pki.root(), host).is_some(), "{host}");
    }
    sluice.write("a.route", site("a.test, b.test", PAIR));
    let line = sluice.says("whom it is for", |line| line.contains("refused") && line.contains("G4001"));
    assert!(line.contains("the certificate is for *.a.test, a.test, and not for b.test"), "{line}");
    sluice.write("a.route", site("**.a.test", PAIR));
    let line = sluice.says("one label", |line| line.contains("refused") && line.contains("G4003"));
    assert!(line.contains("`a.b.a.test` would fail the handshake"), "{line}");
    assert!(shown(&sluice, &pki.root(), "a.test").is_some(), "the last good version serves");
}

#[test]
fn several_pairs_serve_the_hosts_that_they_are_for() {
    let pki = Pki::new();
    let (a, b) = (pki.issue(&["a.test"]), pki.issue(&["b.test"]));
    let read = |path: &Path| fs::read(path).unwrap();
    let sluice = Sluice::setup()
        .file("a.pem", read(&a.cert))
        .file("a.key", read(&a.key))
        .file("b.pem", read(&b.cert))
        .gateway("    secrets from \"../secrets\"")
        .file("../secrets/b-key", read(&b.key))
        .file(
            "a.route",
            site("a.test, b.test", "tls file \"a.pem\" key \"a.key\"\n    tls file \"b.pem\" key secret.b-key"),
        )
        .start();
    assert_eq!(shown(&sluice, &pki.root(), "a.test").as_ref(), a.chain().first());
    assert_eq!(shown(&sluice, &pki.root(), "b.test").as_ref(), b.chain().first());
}

#[test]
fn attack_a_tenants_certificate_path_leads_to_another_tenants_key() {
    let pki = Pki::new();
    let globex = pki.issue(&["acme.test"]);
    let setup = Sluice::setup().gateway(
        "}\n\ntenant acme {\n    files \"acme/*.route\"\n    owns acme.test\n    dials [127.0.0.0/8]\n}\n\n\
         tenant globex {\n    files \"globex/*.route\"\n    owns globex.test\n    dials [127.0.0.0/8]",
    );
    let read = |path: &Path| fs::read(path).unwrap();
    let setup = setup.file("globex/tls.pem", read(&globex.cert)).file("globex/tls.key", read(&globex.key));
    fs::create_dir_all(setup.sites().join("acme")).unwrap();
    symlink("../globex/tls.key", setup.sites().join("acme/link.key")).unwrap();
    symlink("../globex/tls.pem", setup.sites().join("acme/link.pem")).unwrap();
    let sluice = setup
        .file("acme/a.route", site("acme.test", "tls file \"../globex/tls.pem\" key \"../globex/tls.key\""))
        .start();
    sluice.says("that it leads out", |line| line.contains("G4016") && line.contains("leads out of this file's folder"));
    assert_ne!(sluice.get("acme.test", "/").status, 200);
    let refused = |sluice: &Sluice| sluice.console().iter().filter(|line| line.contains("leads out")).count();
    let before = refused(&sluice);
    sluice.write("acme/a.route", site("acme.test", "tls file \"link.pem\" key \"link.key\""));
    wait::until("links are followed", || (refused(&sluice) > before).then_some(()));
    assert_ne!(sluice.get("acme.test", "/").status, 200);
}

#[test]
fn metrics_tell_when_certificates_end() {
    let pki = Pki::new();
    let identity = pki.issue_as("a", &["a.test"], |params| {
        params.not_after = (SystemTime::now() + Duration::from_secs(30 * 86_400)).into();
    });
    let port = sluice_tests::ports::free();
    let setup = pair(Sluice::setup(), &identity).gateway(&format!("    metrics 127.0.0.1:{port}"));
    let sluice = setup.file("a.route", site("a.test", PAIR)).start();
    let metrics = ([127, 0, 0, 1], port).into();
    let text = wait::until("counts", || Some(sluice_tests::sluice::get(metrics, "localhost", "/metrics")?.text()));
    let line = text.lines().find(|line| line.starts_with("sluice_certificate_expiry_seconds{")).expect(&text);
    assert!(line.contains("name=\"a.test\"") && line.contains("cert.pem"), "{line}");
    let left: i64 = line.rsplit(' ').next().unwrap().parse().unwrap();
    assert!((29 * 86_400..=30 * 86_400).contains(&left), "{line}");
    assert!(text.contains("sluice_certificate_files 1"), "{text}");
    drop(sluice);
}
