//! What a handshake may come to, asked for with OpenSSL: versions, suites, groups, protocols.

use sluice_tests::Sluice;
use sluice_tests::sluice::says;
use std::process::{Command, Stdio};

/// What `openssl s_client` tells of a handshake, and whether it came to one.
fn s_client(sluice: &Sluice, name: &str, args: &[&str]) -> (bool, String) {
    let mut command = Command::new("openssl");
    command
        .args(["s_client", "-connect", &sluice.https.to_string(), "-servername", name, "-CAfile"])
        .arg(sluice.root());
    command.args(["-verify_return_error", "-verify_hostname", name]).args(args);
    let output = command.stdin(Stdio::null()).output().expect("openssl is installed");
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    (output.status.success() && text.contains("Verify return code: 0"), text)
}

fn narrowed(host: &str, line: &str) -> String {
    format!("site {host} {{\n    {line}\n    else -> respond 200 \"{host}\"\n}}\n")
}

/// OpenSSL itself refuses to speak what is broken, unless it is told to.
const WEAK: &str = "DEFAULT:@SECLEVEL=0";

#[test]
fn tls_1_3_and_1_2_are_spoken_and_nothing_older() {
    let sluice = Sluice::with(says("a.test", "a"));
    for (version, named) in [("-tls1_3", "TLSv1.3"), ("-tls1_2", "TLSv1.2")] {
        let (ok, text) = s_client(&sluice, "a.test", &[version]);
        assert!(ok && text.contains(named), "{version}: {text}");
    }
    for version in ["-tls1_1", "-tls1"] {
        let (ok, text) = s_client(&sluice, "a.test", &[version, "-cipher", WEAK]);
        assert!(!ok && text.contains("alert"), "{version}: {text}");
    }
}

#[test]
fn each_site_has_its_versions() {
    let sluice = Sluice::setup()
        .file("new.route", narrowed("new.test", "tls min 1.3"))
        .file("old.route", narrowed("old.test", "tls max 1.2"))
        .file("both.route", narrowed("both.test", "tls min 1.2"))
        .start();
    let cases = [("new.test", true, false), ("old.test", false, true), ("both.test", true, true)];
    for (host, tls13, tls12) in cases {
        for (version, expected) in [("-tls1_3", tls13), ("-tls1_2", tls12)] {
            let (ok, text) = s_client(&sluice, host, &[version]);
            assert_eq!(ok, expected, "{host} {version}: {text}");
        }
    }
    // A connection by the terms of one is none for the other.
    let mut h2 = sluice.h2_secure("new.test");
    assert_eq!(h2.get("https://new.test/").status, 200);
    assert_eq!(h2.get("https://both.test/").status, 421);
}

#[test]
fn suites_without_forward_secrecy_or_authentication_of_what_is_sent_are_refused() {
    let sluice = Sluice::with(says("a.test", "a"));
    for suite in ["ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384", "ECDHE-ECDSA-CHACHA20-POLY1305"] {
        let (ok, text) = s_client(&sluice, "a.test", &["-tls1_2", "-cipher", suite]);
        assert!(ok && text.contains(suite), "{suite}: {text}");
    }
    for suite in ["ECDHE-ECDSA-AES128-SHA", "AES128-GCM-SHA256", "ECDHE-ECDSA-AES128-SHA256", "NULL", "aNULL"] {
        let cipher = format!("{suite}:@SECLEVEL=0");
        let (ok, text) = s_client(&sluice, "a.test", &["-tls1_2", "-cipher", &cipher]);
        assert!(!ok, "{suite}: {text}");
    }
}

#[test]
fn the_post_quantum_group_is_preferred_and_the_others_are_there() {
    let sluice = Sluice::with(says("a.test", "a"));
    // Whoever offers it, in whichever order, gets it.
    let offer = sluice_tests::tls::Offer::h1("a.test");
    let config = sluice_tests::tls::config(&sluice.root(), &offer);
    let name = rustls::pki_types::ServerName::try_from("a.test").unwrap();
    let mut provider = rustls::crypto::aws_lc_rs::default_provider();
    provider.kx_groups =
        vec![rustls::crypto::aws_lc_rs::kx_group::X25519, rustls::crypto::aws_lc_rs::kx_group::X25519MLKEM768];
    let groups = |config: std::sync::Arc<rustls::ClientConfig>| {
        let mut session = rustls::ClientConnection::new(config, name.clone()).unwrap();
        let mut socket = std::net::TcpStream::connect(sluice.https).unwrap();
        while session.is_handshaking() {
            session.complete_io(&mut socket).unwrap();
        }
        session.negotiated_key_exchange_group().unwrap().name()
    };
    assert_eq!(groups(config), rustls::NamedGroup::X25519MLKEM768);
    for group in ["X25519", "P-256", "P-384"] {
        let (ok, text) = s_client(&sluice, "a.test", &["-tls1_3", "-groups", group]);
        assert!(ok, "{group}: {text}");
    }
    let (ok, text) = s_client(&sluice, "a.test", &["-tls1_3", "-groups", "ffdhe2048"]);
    assert!(!ok, "{text}");
}

#[test]
fn protocols_are_agreed_on_and_renegotiation_compression_and_early_data_are_not() {
    let sluice = Sluice::with(says("a.test", "a"));
    for (offered, chosen) in [("h2,http/1.1", "h2"), ("http/1.1,h2", "h2"), ("http/1.1", "http/1.1")] {
        let (ok, text) = s_client(&sluice, "a.test", &["-alpn", offered]);
        assert!(ok && text.contains(&format!("ALPN protocol: {chosen}")), "{offered}: {text}");
    }
    let (_, text) = s_client(&sluice, "a.test", &["-alpn", "spdy/1"]);
    assert!(text.contains("no application protocol"), "{text}");
    let (_, text) = s_client(&sluice, "a.test", &["-tls1_2"]);
    assert!(text.contains("Compression: NONE") && text.contains("Secure Renegotiation IS supported"), "{text}");
    let (_, text) = s_client(&sluice, "a.test", &["-tls1_3"]);
    assert!(text.contains("Early data was not sent") || !text.contains("Max Early Data: 1"), "{text}");
}

#[test]
fn attack_a_hello_without_a_name_gets_no_tenants_certificate() {
    let sluice = Sluice::with(says("a.test", "a"));
    let nameless = |sluice: &Sluice| {
        let mut command = Command::new("openssl");
        command.args(["s_client", "-connect", &sluice.https.to_string(), "-noservername"]);
        let output = command.stdin(Stdio::null()).output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let text = nameless(&sluice);
    assert!(text.contains("no peer certificate available"), "{text}");
    sluice.write("d.route", narrowed("d.test", "default"));
    sluice.serves("d.test", "/", |reply| reply.status == 308);
    let text = nameless(&sluice);
    assert!(text.contains("CN = d.test") || text.contains("CN=d.test"), "{text}");
    assert!(!text.contains("a.test"), "{text}");
}
