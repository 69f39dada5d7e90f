//! `client.country`: files in MaxMind's format, made by another library, read and read again while it serves.

use sluice_tests::sluice::{Setup, Sluice, run};
use sluice_tests::{peer, wait};
use std::fs;
use std::path::Path;

const ROUTE: &str = r#"
site a.test {
    http allowed
    set response header x-country = client.country if missing "nowhere"
    /de/* {
        require client.country in ["DE", "AT"] else respond 451
        -> respond 200 "welcome"
    }
    else -> respond 200
}
"#;

const MAKE: &str = r#"
import sys
from netaddr import IPSet
from mmdb_writer import MMDBWriter
out, kind = sys.argv[1], sys.argv[2]
writer = MMDBWriter(6, kind, ipv4_compatible=True, languages=["en"], description="made for tests")
for line in sys.argv[3:]:
    net, code = line.split("=")
    record = {"country": {"iso_code": code, "names": {"en": code}}} if kind != "ASN" else {"autonomous_system_number": 7}
    writer.insert_network(IPSet([net]), record)
writer.to_db_file(out)
"#;

/// Makes a file of countries, and puts it in its place whole.
fn make(place: &Path, kind: &str, networks: &[&str]) {
    let beside = place.with_extension("new");
    let output = peer::python().args(["-c", MAKE]).arg(&beside).arg(kind).args(networks).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    fs::rename(&beside, place).unwrap();
}

fn setup() -> Setup {
    Sluice::setup().gateway("    trust proxies [127.0.0.0/8]\n    country \"../geo.mmdb\"").file("a.route", ROUTE)
}

fn asked(sluice: &Sluice, from: &str, target: &str) -> (u16, String) {
    let mut wire = sluice.wire();
    wire.send(format!("GET {target} HTTP/1.1\r\nHost: a.test\r\nX-Forwarded-For: {from}\r\n\r\n"));
    let reply = wire.reply();
    (reply.status, reply.header("x-country").unwrap_or_default().to_owned())
}

#[track_caller]
fn is_in(sluice: &Sluice, from: &str, country: &str) {
    assert_eq!(asked(sluice, from, "/"), (200, country.to_owned()), "{from}");
}

#[test]
fn clients_are_where_the_file_says_and_a_newer_one_is_read_while_it_serves() {
    let setup = setup();
    let geo = setup.sites().join("../geo.mmdb");
    make(&geo, "GeoLite2-Country", &["192.0.2.0/24=DE", "198.51.100.0/24=FR", "2001:db8::/32=AT"]);
    let sluice = setup.start();
    for (from, country) in [
        ("192.0.2.7", "DE"),
        ("198.51.100.255", "FR"),
        ("2001:db8::7", "AT"),
        ("::ffff:192.0.2.7", "DE"),
        ("203.0.113.1", "nowhere"),
        ("10.0.0.1", "nowhere"),
        ("::1", "nowhere"),
    ] {
        is_in(&sluice, from, country);
    }
    assert_eq!(asked(&sluice, "2001:db8::7", "/de/x").0, 200);
    for refused in ["198.51.100.1", "203.0.113.1"] {
        assert_eq!(asked(&sluice, refused, "/de/x").0, 451, "{refused}");
    }
    // As updaters do it: another file in its place.
    make(&geo, "GeoLite2-Country", &["192.0.2.0/24=CH"]);
    wait::until("the newer file is read", || (asked(&sluice, "192.0.2.7", "/").1 == "CH").then_some(()));
    sluice.says("that it was read", |line| line.contains("countries read: ") && line.contains("GeoLite2-Country"));
    is_in(&sluice, "198.51.100.1", "nowhere");
    let sites = sluice.sites();
    let explain = |more: &[&str]| {
        let request = ["explain", "http://a.test/de/x", "--client", "192.0.2.7", "--sites", sites.to_str().unwrap()];
        String::from_utf8_lossy(&run(&[&request[..], more].concat()).stdout).into_owned()
    };
    assert!(explain(&[]).contains("451"), "{}", explain(&[]));
    assert!(explain(&["--country", "DE"]).contains("200"), "{}", explain(&["--country", "DE"]));
}

#[test]
fn a_file_that_is_broken_is_told_and_the_one_before_it_goes_on() {
    let setup = setup();
    let geo = setup.sites().join("../geo.mmdb");
    make(&geo, "GeoLite2-Country", &["192.0.2.0/24=DE"]);
    let mut sluice = setup.start();
    let whole = fs::read(&geo).unwrap();
    // The metadata stands at the end: what is cut off there opens as nothing, what is changed before it is looked at.
    let mut flipped = whole.clone();
    flipped[..24].fill(0xff);
    for (broken, what) in [(whole[..whole.len() / 2].to_vec(), "cut off"), (flipped, "changed")] {
        fs::write(geo.with_extension("new"), broken).unwrap();
        fs::rename(geo.with_extension("new"), &geo).unwrap();
        let line = sluice.says(what, |line| line.contains("geo.mmdb: it is no sound file in MaxMind's format"));
        assert!(line.contains("what was read before goes on"), "{line}");
        is_in(&sluice, "192.0.2.7", "DE");
        fs::write(&geo, &whole).unwrap();
        sluice.says("that the whole one was read", |line| line.contains("countries read: "));
    }
    make(&geo, "ASN", &["192.0.2.0/24=x"]);
    sluice.says("that it is another kind of file", |line| line.contains("it tells no countries"));
    is_in(&sluice, "192.0.2.7", "DE");
    // After a restart nothing is known: nobody is let in by a country.
    sluice.restart();
    sluice.says("that no client has one", |line| line.contains("no client has a country"));
    is_in(&sluice, "192.0.2.7", "nowhere");
    assert_eq!(asked(&sluice, "192.0.2.7", "/de/x").0, 451);
}

#[test]
fn a_site_that_reads_countries_waits_until_gateway_route_names_a_file() {
    let sluice = Sluice::setup().file("a.route", ROUTE).start();
    let line = sluice.says("what is missing", |line| line.contains("nothing says which address is in which country"));
    assert!(line.contains("G8009"), "{line}");
    assert_eq!(sluice.get("a.test", "/").status, 503);
    let lint = run(&["lint", sluice.sites().to_str().unwrap()]);
    let text = String::from_utf8_lossy(&lint.stdout).into_owned() + &String::from_utf8_lossy(&lint.stderr);
    assert_eq!(lint.status.code(), Some(1), "{text}");
    assert!(text.contains("gateway { country \"GeoLite2-Country.mmdb\" }"), "{text}");
    make(&sluice.sites().join("geo.mmdb"), "GeoLite2-Country", &["127.0.0.0/8=DE"]);
    let gateway = fs::read_to_string(sluice.sites().join("gateway.route")).unwrap();
    sluice.write("gateway.route", gateway.replace("gateway {", "gateway {\n    country \"geo.mmdb\""));
    sluice.serves("a.test", "/", |reply| reply.status == 200 && reply.header("x-country") == Some("DE"));
    // Taken away again: that is told at once, and what was in force goes on with what was read.
    sluice.write("gateway.route", gateway);
    let line =
        sluice.says("what is missing now", |line| line.contains("nothing says which address is in which country"));
    assert!(line.contains("G8009"), "{line}");
    is_in(&sluice, "127.0.0.1", "DE");
    // So it does where the file on disk reads none any more, and is refused for something else.
    sluice.write("a.route", "site a.test {\n    http allowed\n    else -> nobody-knows-it\n}\n");
    sluice.says("what is wrong with it", |line| line.contains("nobody-knows-it"));
    is_in(&sluice, "127.0.0.1", "DE");
}
