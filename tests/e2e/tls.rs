//! TLS from the outside: certificates of the internal CA, names, protocols, and the way from http to https.

use sluice_tests::sluice::{self, says};
use sluice_tests::tls::Offer;
use sluice_tests::{Origin, Sluice};
use std::process::Command;

/// Runs curl against a gateway, names resolved to it.
fn curl(sluice: &Sluice, args: &[&str]) -> (String, bool) {
    let mut command = Command::new("curl");
    command.args(["--silent", "--show-error", "--max-time", "20", "--noproxy", "*", "--cacert"]).arg(sluice.root());
    for port in [sluice.http.port(), sluice.https.port()] {
        for host in ["a.test", "b.test", "x.wild.test"] {
            command.arg("--resolve").arg(format!("{host}:{port}:127.0.0.1"));
        }
    }
    let output = command.args(args).output().expect("curl is installed");
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    (text, output.status.success())
}

#[test]
fn curl_trusts_the_root_that_the_console_names() {
    let sluice = Sluice::with(says("a.test", "hello"));
    let url = format!("https://a.test:{}/", sluice.https.port());
    for (version, expected) in [("--http1.1", "hello 1.1"), ("--http2", "hello 2")] {
        let (text, ok) = curl(&sluice, &[version, "--write-out", " %{http_version}", &url]);
        assert!(ok && text == expected, "{text}");
    }
}

#[test]
fn curl_does_not_trust_it_otherwise() {
    let sluice = Sluice::with(says("a.test", "hello"));
    let output = Command::new("curl")
        .args(["--silent", "--noproxy", "*", "--resolve", &format!("a.test:{}:127.0.0.1", sluice.https.port())])
        .arg(format!("https://a.test:{}/", sluice.https.port()))
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(60), "{output:?}");
}

#[test]
fn root_survives_a_restart() {
    let mut sluice = Sluice::with(says("a.test", "hello"));
    let before = std::fs::read(sluice.root()).unwrap();
    sluice.restart();
    assert_eq!(std::fs::read(sluice.root()).unwrap(), before);
}

#[test]
fn keys_are_for_the_owner_only() {
    use std::os::unix::fs::PermissionsExt;
    let sluice = Sluice::with(says("a.test", "hello"));
    drop(sluice.secure("a.test"));
    let mut directories = vec![sluice.data()];
    let mut keys = 0;
    while let Some(directory) = directories.pop() {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                directories.push(path);
            } else if std::fs::read(&path).is_ok_and(|c| String::from_utf8_lossy(&c).contains("PRIVATE KEY")) {
                keys += 1;
                let mode = std::fs::metadata(&path).unwrap().permissions().mode() & 0o777;
                assert_eq!(mode & 0o077, 0, "{} is readable by others: {mode:o}", path.display());
            }
        }
    }
    assert!(keys > 0, "the CA's key is kept in the data directory");
}

#[test]
fn certificate_is_the_names_own() {
    let sluice =
        Sluice::setup().file("a.route", says("a.test", "a")).file("w.route", says("*.wild.test", "wild")).start();
    // The client verifies the name.
    for name in ["a.test", "x.wild.test", "y.wild.test"] {
        sluice.handshake(&Offer::h1(name)).unwrap_or_else(|e| panic!("{name}: {e}"));
    }
}

#[test]
fn names_are_compared_without_case() {
    let sluice = Sluice::with(says("a.test", "a"));
    let mut wire = sluice.secure("A.TEST");
    assert_eq!(wire.send("GET / HTTP/1.1\r\nHost: A.test\r\n\r\n").reply().text(), "a");
}

#[test]
fn unknown_name_is_refused() {
    let sluice = Sluice::with(says("a.test", "a"));
    let error = sluice.handshake(&Offer::h1("nobody.test")).map(|_| ()).unwrap_err();
    assert!(
        error.to_string().contains("UnrecognisedName")
            || error.to_string().contains("AccessDenied")
            || error.to_string().contains("HandshakeFailure")
            || error.to_string().to_lowercase().contains("alert"),
        "an alert, not a cut: {error}"
    );
}

#[test]
fn no_name_is_refused() {
    let sluice = Sluice::with(says("a.test", "a"));
    assert!(sluice.handshake(&Offer { sni: false, ..Offer::h1("a.test") }).is_err());
}

#[test]
fn no_name_goes_to_the_default_site() {
    let default = "site a.test {\n    default\n    http allowed\n    else -> respond 200 \"default\"\n}\n";
    let sluice = Sluice::setup().file("a.route", default).file("b.route", says("b.test", "b")).start();
    let mut wire = sluice.handshake(&Offer { sni: false, ..Offer::h1("a.test") }).unwrap().wire;
    assert_eq!(wire.send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n").reply().text(), "default");
    // A host that nobody serves, in the clear.
    assert_eq!(sluice.get("nobody.test", "/").text(), "default");
    assert_eq!(sluice.get("b.test", "/").text(), "b");
}

#[test]
fn protocol_is_chosen_by_alpn() {
    let sluice = Sluice::with(says("a.test", "a"));
    let chosen = |alpn| sluice.handshake(&Offer { alpn, ..Offer::h1("a.test") }).map(|s| s.alpn);
    assert_eq!(chosen(&["h2", "http/1.1"]).unwrap().as_deref(), Some("h2"));
    assert_eq!(chosen(&["http/1.1"]).unwrap().as_deref(), Some("http/1.1"));
    assert_eq!(chosen(&[]).unwrap(), None);
    // RFC 7301 section 3.2: no protocol in common is a fatal alert.
    assert!(chosen(&["spdy/1"]).is_err());
}

#[test]
fn http_1_without_alpn() {
    let sluice = Sluice::with(says("a.test", "a"));
    let mut wire = sluice.handshake(&Offer { alpn: &[], ..Offer::h1("a.test") }).unwrap().wire;
    assert_eq!(wire.send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n").reply().text(), "a");
}

#[test]
fn tls_1_2_clients() {
    let sluice = Sluice::with(says("a.test", "a"));
    let mut wire = sluice.handshake(&Offer { old: true, ..Offer::h1("a.test") }).unwrap().wire;
    assert_eq!(wire.send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n").reply().text(), "a");
}

#[test]
fn http_spoken_to_the_tls_port() {
    let sluice = Sluice::with(says("a.test", "a"));
    let mut wire = sluice_tests::Wire::connect(sluice.https);
    wire.send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
    // An alert or a plain 400: never an answer of the site.
    let rest = wire.rest();
    assert!(!String::from_utf8_lossy(&rest).contains("200 OK"));
    drop(sluice.secure("a.test"));
}

#[test]
fn tls_spoken_to_the_clear_port() {
    let sluice = Sluice::with(says("a.test", "a"));
    let mut wire = sluice.wire();
    wire.send(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n");
    wire.rest();
    assert_eq!(sluice.get("a.test", "/").text(), "a");
}

#[test]
fn host_of_another_site_on_one_connection() {
    // Same TLS settings: a client may reuse the connection, as browsers do.
    let sluice = Sluice::setup().file("a.route", says("a.test", "a")).file("b.route", says("b.test", "b")).start();
    let mut wire = sluice.secure("a.test");
    let reply = wire.send("GET / HTTP/1.1\r\nHost: b.test\r\n\r\n").reply();
    assert!(reply.text() == "b" || reply.status == 421, "{reply:?}");
}

#[test]
fn host_whose_tls_settings_differ_is_421() {
    let off = "site off.test {\n    tls off\n    else -> respond 200 \"off\"\n}\n";
    let sluice = Sluice::setup().file("a.route", says("a.test", "a")).file("off.route", off).start();
    let mut wire = sluice.secure("a.test");
    assert_eq!(wire.send("GET / HTTP/1.1\r\nHost: off.test\r\n\r\n").reply().status, 421);
    assert_eq!(sluice.get("off.test", "/").text(), "off");
}

#[test]
fn clear_port_redirects_to_https() {
    let sluice = Sluice::with("site a.test {\n    else -> respond 200 \"secret\"\n}\n");
    let reply = sluice.get("a.test", "/x/y?z=%20a");
    assert!([301, 308].contains(&reply.status), "{reply:?}");
    let port = sluice.https.port();
    assert_eq!(reply.header("location"), Some(format!("https://a.test:{port}/x/y?z=%20a").as_str()));
    assert!(!reply.text().contains("secret"));
    let (text, ok) = curl(&sluice, &["--location", &format!("http://a.test:{}/", sluice.http.port())]);
    assert!(ok && text == "secret", "{text}");
}

#[test]
fn clear_port_redirects_to_the_public_port() {
    // `https … public 443`: what clients see behind a port mapping.
    let setup = Sluice::setup();
    let spare = sluice_tests::ports::free();
    let setup = setup.gateway(&format!("    https 127.0.0.1:{spare} public 443"));
    let sluice = setup.file("a.route", "site a.test {\n    else -> respond 200 \"secret\"\n}\n").start();
    // Two https listeners: the redirect names one of them.
    let reply = sluice.get("a.test", "/");
    let location = reply.header("location").unwrap().to_owned();
    let first = format!("https://a.test:{}/", sluice.https.port());
    assert!(location == first || location == "https://a.test/", "{location}");
}

#[test]
fn redirect_to_https_does_not_believe_the_path() {
    let sluice = Sluice::with("site a.test {\n    else -> respond 200 \"secret\"\n}\n");
    let reply = sluice.get("a.test", "//evil.test/x");
    let location = reply.header("location").unwrap().to_owned();
    assert!(location.starts_with(&format!("https://a.test:{}/", sluice.https.port())), "{location}");
}

#[test]
fn http_allowed_serves_both() {
    let sluice = Sluice::with(says("a.test", "both"));
    assert_eq!(sluice.get("a.test", "/").text(), "both");
    let mut wire = sluice.secure("a.test");
    assert_eq!(wire.send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n").reply().text(), "both");
}

#[test]
fn origin_learns_that_the_client_came_by_tls() {
    let origin = Origin::echo();
    let sluice = Sluice::before(origin.addr());
    let mut wire = sluice.secure("a.test");
    wire.send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
    assert_eq!(wire.reply().status, 200);
    let seen = origin.only();
    assert_eq!(seen.header("x-forwarded-proto"), Some("https"));
    assert!(seen.header("forwarded").unwrap().contains("proto=https"));
}

#[test]
fn new_site_has_its_certificate_at_once() {
    let sluice = Sluice::with(says("a.test", "a"));
    assert!(sluice.handshake(&Offer::h1("new.test")).is_err());
    sluice.write("new.route", says("new.test", "new"));
    sluice.serves("new.test", "/", |reply| reply.status == 200);
    let mut wire = sluice.secure("new.test");
    assert_eq!(wire.send("GET / HTTP/1.1\r\nHost: new.test\r\n\r\n").reply().text(), "new");
}

#[test]
fn console_says_that_no_public_ca_is_asked() {
    let sluice = Sluice::with(sluice::says("www.somewhere.org", "a"));
    sluice.says("where certificates come from", |line| line.contains("internal CA"));
    let mut wire = sluice.secure("www.somewhere.org");
    assert_eq!(wire.send("GET / HTTP/1.1\r\nHost: www.somewhere.org\r\n\r\n").reply().text(), "a");
}
