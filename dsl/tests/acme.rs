//! `acme { … }` and `tls auto via dns(…)`: what they come to, and what is said of what does not fit.

#![allow(clippy::unwrap_used)] // a test that cannot read its case fails

mod front;

use dsl::tree::ir::{Acme, Challenge, DnsProvider, Eab, Gateway, LETS_ENCRYPT, Tsig};
use front::Files;
use std::sync::Arc;

const NEEDED: &str = "contact \"ops@sluice-tests.net\"\nterms agreed\n";

fn file(acme: &str, sites: &str) -> Files {
    let text = format!("gateway {{\nhttp :80\nhttps :443\nacme {{\n{acme}\n}}\n}}\n{sites}\n");
    Files::one("sites/gateway.route", &text)
}

fn acme(lines: &str) -> Arc<Acme> {
    let files = file(&format!("{NEEDED}{lines}"), "");
    let compiled = files.compile(0);
    assert!(compiled.is_sound(), "{}", files.render(&compiled.diagnostics));
    compiled.gateway.unwrap().acme.unwrap()
}

/// Code and message of what is said of these lines.
fn said(lines: &str, sites: &str) -> Vec<(&'static str, String)> {
    let compiled = file(lines, sites).compile(0);
    compiled.diagnostics.iter().map(|d| (d.code, d.message.to_string())).collect()
}

#[test]
fn what_little_is_needed() {
    let made = acme("");
    assert_eq!(made.contact, ["ops@sluice-tests.net".into()]);
    assert_eq!(made.challenges, [Challenge::TlsAlpn, Challenge::Http]);
    let [authority] = made.authorities.as_slice() else { panic!("{made:?}") };
    assert_eq!((&*authority.directory, authority.orders), (LETS_ENCRYPT, (300, 10_800_000)));
    assert_eq!((&authority.root, &authority.eab, &authority.profile), (&None, &None, &None));
    assert_eq!(Gateway::default().acme, None, "without a block nobody is asked");
}

#[test]
fn all_that_can_be_said() {
    let made = acme(
        "directory https://acme.sluice-tests.net:14000/dir\nroot \"pki/pebble.pem\"\neab \"kid-1\" key secret.eab\n\
         profile \"shortlived\"\nchallenges [http]\nlimit 20/30m\n\
         fallback \"https://other.sluice-tests.net/dir\" {\n eab \"kid-2\" key secret.other\n limit 5/h\n}\n\
         dns corp = rfc2136(server: \"10.0.0.53\", name: \"Sluice.\", key: secret.tsig, wait: 10s)\n\
         dns six = rfc2136(server: \"[2001:db8::53]:5353\", name: \"k\", algorithm: \"hmac-sha512\")\n\
         dns adns = acme-dns(server: \"https://auth.sluice-tests.net\", key: secret.adns)\n\
         dns mine = hook(\"/usr/local/bin/dns-hook\")\n\
         dns still = persist()",
    );
    assert_eq!(made.challenges, [Challenge::Http]);
    let [first, second] = made.authorities.as_slice() else { panic!("{made:?}") };
    assert_eq!(first.root.as_deref(), Some("pki/pebble.pem"));
    assert_eq!(first.eab, Some(Eab { kid: "kid-1".into(), key: "eab".into() }));
    assert_eq!((first.profile.as_deref(), first.orders), (Some("shortlived"), (20, 1_800_000)));
    assert_eq!((&*second.directory, second.orders), ("https://other.sluice-tests.net/dir", (5, 3_600_000)));
    assert_eq!((&second.profile, &second.root), (&None, &None), "each authority has its own");
    let corp = DnsProvider::Rfc2136 {
        server: "10.0.0.53:53".parse().unwrap(),
        name: "sluice".into(),
        algorithm: Tsig::Sha256,
        key: Some("tsig".into()),
        wait: Some(10_000),
    };
    assert_eq!(made.provider("corp"), Some(&corp));
    let six = made.provider("six").unwrap();
    let wanted = "[2001:db8::53]:5353".parse().unwrap();
    assert!(
        matches!(six, DnsProvider::Rfc2136 { server, algorithm: Tsig::Sha512, key: None, .. } if *server == wanted)
    );
    assert_eq!(made.provider("still"), Some(&DnsProvider::Persist));
    assert_eq!(made.provider("nobody"), None);
    let mut secrets: Vec<_> = made.secrets().map(|name| name.to_string()).collect();
    secrets.sort();
    assert_eq!(secrets, ["adns", "eab", "other", "tsig"]);
}

#[test]
fn contact_and_terms_are_needed() {
    let found = said("", "");
    assert_eq!(found.iter().map(|(code, _)| *code).collect::<Vec<_>>(), ["G1024"], "one place, said once: {found:?}");
    let of = |lines: &str| said(lines, "").into_iter().map(|(_, message)| message).collect::<Vec<_>>().join("\n");
    assert!(of("terms agreed").contains("needs `contact`"));
    assert!(of("contact \"a@sluice-tests.net\"").contains("needs `terms agreed`"));
    assert!(of("contact \"a@sluice-tests.net\"\nterms accepted").contains("did you mean `terms agreed`"));
}

#[test]
fn what_does_not_fit() {
    for (line, code, word) in [
        ("directory \"http://acme.sluice-tests.net/dir\"", "G1024", "takes `https://`"),
        ("directory \"acme.sluice-tests.net/dir\"", "G1024", "begins with `https://`"),
        ("directory \"https://\"", "G1024", "no URL of a server"),
        ("directory \"https://a b/\"", "G1024", "no URL of a server"),
        ("contct \"a@b.net\"", "G1001", "did you mean `contact`"),
        ("root pki", "G1003", "pki"),
        ("eab \"kid\" key \"in the file\"", "G1005", "a secret"),
        ("eab \"kid\"", "G1024", "key secret.eab"),
        ("challenges [tls-alpn, dns]", "G1024", "proved by DNS where a site says so"),
        ("challenges [tls]", "G1024", "`tls-alpn` and `http`"),
        ("challenges [http, http]", "G1024", "twice"),
        ("challenges []", "G1024", "no name can be proved"),
        ("limit 300", "G1024", "300/3h"),
        ("fallback \"https://b.net/dir\" {\ncontact \"a@b.net\"\n}", "G1001", "contact"),
        ("dns corp = rfc2163(server: \"10.0.0.53\")", "G1003", "did you mean `rfc2136`"),
        ("dns corp = rfc2136(server: \"ns.sluice-tests.net\", name: \"k\")", "G1024", "takes an address"),
        ("dns corp = rfc2136(name: \"k\")", "G1021", "`server`"),
        ("dns corp = rfc2136(server: \"10.0.0.53\", name: \"k\", algorithm: \"hmac-md5\")", "G1024", "hmac-sha256"),
        ("dns corp = hook(\"dns-hook\")", "G1024", "absolute path"),
        ("dns corp = hook()", "G1024", "the program"),
        ("dns corp = acme-dns(server: \"http://auth.sluice-tests.net\")", "G1024", "takes `https://`"),
        ("dns corp = acme-dns(server: \"https://auth.sluice-tests.net\", key: \"x\")", "G3016", "in clear"),
        ("dns corp = persist(\"x\")", "G1021", "persist"),
        ("dns corp = hook(\"/x\", wait: 2h)", "G1024", "an hour"),
        ("dns corp = hook(\"/x\")\ndns corp = persist()", "G1024", "named `corp`"),
        ("terms agreed", "G1023", "twice"),
    ] {
        let found = said(&format!("{NEEDED}{line}"), "");
        assert!(found.iter().any(|(c, m)| *c == code && m.contains(word)), "{line}: {found:?}");
        assert_eq!(found.len(), 1, "{line}: one mistake is one finding: {found:?}");
    }
    let here = "directory \"http://127.0.0.1:14000/dir\"";
    assert_eq!(said(&format!("{NEEDED}{here}"), ""), []);
}

#[test]
fn hosts_that_only_dns_proves() {
    let codes = |lines: &str, site: &str| {
        let found = said(&format!("{NEEDED}{lines}"), site);
        found
            .into_iter()
            .map(|(code, _)| code)
            .filter(|code| !code.starts_with("G3") && *code != "G1006")
            .collect::<Vec<_>>()
    };
    let site = |host: &str, tls: &str| format!("site {host} {{\n{tls}\nelse -> respond 200\n}}\n");
    let corp = "dns corp = hook(\"/x\")";
    for host in ["*.sluice-tests.net", "pr-{n:int}.sluice-tests.net", "**.sluice-tests.net"] {
        assert_eq!(codes(corp, &site(host, "tls auto")), ["G4002"], "{host}");
    }
    assert_eq!(codes(corp, &site("*.sluice-tests.net", "tls auto via dns(corp)")), [""; 0]);
    assert_eq!(codes(corp, &site("pr-{n:int}.sluice-tests.net", "tls auto via dns(corp)")), [""; 0]);
    assert_eq!(codes(corp, &site("**.sluice-tests.net", "tls auto via dns(corp)")), ["G4002"], "a star is one label");
    assert_eq!(codes(corp, &site("a.sluice-tests.net", "tls auto")), [""; 0]);
    // Nobody else's business: the internal CA makes them.
    assert_eq!(codes(corp, &site("*.example.com", "tls auto")), [""; 0]);
    assert_eq!(codes(corp, &site("*.sluice-tests.net", "tls internal")), [""; 0]);
    assert_eq!(codes(corp, &site("a.sluice-tests.net", "tls auto via dns(crop)")), ["G1003"]);
    let alone =
        Files::one("sites/gateway.route", &format!("gateway {{\nhttp :80\n}}\n{}", site("*.sluice-tests.net", "")));
    assert!(alone.compile(0).diagnostics.iter().all(|d| d.code != "G4002"), "without `acme` nothing changes");
}

#[test]
fn http_01_needs_its_port() {
    let found = |listeners: &str, lines: &str, site: &str| {
        let text = format!(
            "gateway {{\n{listeners}\nacme {{\n{NEEDED}{lines}\n}}\n}}\nsite {site} {{\nelse -> respond 200\n}}\n"
        );
        let compiled = Files::one("sites/gateway.route", &text).compile(0);
        compiled.diagnostics.iter().filter(|d| d.code == "G4012").count()
    };
    assert_eq!(found("https :443", "challenges [http]", "a.sluice-tests.net"), 1);
    assert_eq!(found("http :8080\nhttps :443", "challenges [http]", "a.sluice-tests.net"), 1);
    assert_eq!(found("http :80\nhttps :443", "challenges [http]", "a.sluice-tests.net"), 0);
    assert_eq!(found("https :443", "", "a.sluice-tests.net"), 0, "TLS-ALPN-01 will do");
    assert_eq!(found("https :443", "challenges [http]", "a.example.com"), 0, "nobody is asked for it");
}

#[test]
fn a_rate_may_be_of_any_time() {
    let limit = |text: &str| acme(&format!("limit {text}")).authorities[0].orders;
    assert_eq!(limit("300/3h"), (300, 10_800_000));
    assert_eq!(limit("1/36s"), (1, 36_000));
    assert_eq!(limit("50/7d"), (50, 604_800_000));
    for wrong in ["300/3x", "300/0h", "300/h3", "300/99999999d"] {
        assert!(!said(&format!("{NEEDED}limit {wrong}"), "").is_empty(), "{wrong}");
    }
}
