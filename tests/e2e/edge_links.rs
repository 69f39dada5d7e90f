//! `auth.signed-url` and `auth.client-cert` from outside: links that Python signed, and certificates that were proved in
//! real handshakes.

use rcgen::{DnType, SanType};
use serde_json::Value;
use sluice_tests::origin::Origin;
use sluice_tests::peer;
use sluice_tests::pki::{Identity, Pki};
use sluice_tests::sluice::Sluice;
use sluice_tests::tls::Offer;
use sluice_tests::wire::Reply;
use std::collections::BTreeMap;

/// Signs as docs/auth.md says, with nothing of ours.
const SIGN: &str = r#"
import base64, hashlib, hmac, json, sys, time
new, old, other = (key.encode() for key in sys.argv[1:4])
now = int(time.time())
def mac(key, text):
    return base64.urlsafe_b64encode(hmac.new(key, text.encode(), hashlib.sha256).digest()).rstrip(b"=").decode()
def link(path, until, key=new, signed=None):
    return f"{path}?expires={until}&signature={mac(key, signed or f'{path}{chr(10)}{until}')}"
hour, past = now + 3600, now - 1
good = link("/files/report.pdf", hour)
signature = good.rsplit("=", 1)[1]
flip = lambda text: ("B" if text[0] == "A" else "A") + text[1:]
print(json.dumps({
    "holds": {
        "as it is": good,
        "the older key": link("/files/report.pdf", hour, key=old),
        "the other order": f"/files/report.pdf?signature={signature}&expires={hour}",
        "another spelling of the path": good.replace("report", "%72eport"),
        "a path of other letters": link("/files/%C3%A9%20x", hour),
    },
    "over": {"a second ago": link("/files/report.pdf", past), "long ago": link("/files/report.pdf", 0)},
    "tampered": {
        "another path": good.replace("report", "secret"),
        "another case": good.replace("report", "Report"),
        "a path above": good.replace("/files/report.pdf", "/files/../files/secret.pdf"),
        "a later time": good.replace(str(hour), str(hour + 1)),
        "a time with zeros before it": good.replace(str(hour), "0" + str(hour)),
        "a time with a sign": good.replace(str(hour), "%2B" + str(hour)),
        "an endless time": link("/files/report.pdf", 10**13),
        "a first letter": good.replace(signature, flip(signature)),
        "a shorter signature": good[:-1],
        "padding": good + "=",
        "no signature": good.split("&")[0],
        "an empty signature": good.replace(signature, ""),
        "no time": f"/files/report.pdf?signature={signature}",
        "a signature of the path alone": link("/files/report.pdf", hour, signed="/files/report.pdf"),
        "a signature without the line between": link("/files/report.pdf", hour, signed=f"/files/report.pdf{hour}"),
        "somebody else's key": link("/files/report.pdf", hour, key=other),
        "an empty key": link("/files/report.pdf", hour, key=b""),
        "more in the query": good + "&a=b",
        "more before it": good.replace("?", "?a=b&"),
        "the time twice": good + f"&expires={hour + 1}",
        "the signature twice": good + f"&signature={signature}",
        "the name in another case": good.replace("signature=", "Signature="),
        "nothing at all": "/files/report.pdf",
    },
    "good": good,
}))
"#;

#[test]
fn links_that_python_signed_hold_until_they_are_over_and_tampered_ones_never_do() {
    let [new, old, other] =
        ["new", "old", "other"].map(|name| format!("a key of the tests, the {name} one, of 32 bytes"));
    let made = peer::succeed(peer::python().args(["-c", SIGN, &new, &old, &other]));
    let links: Value = serde_json::from_str(&made).unwrap();
    let of = |kind: &str| -> BTreeMap<String, String> { serde_json::from_value(links[kind].clone()).unwrap() };
    let origin = Origin::echo();
    let route = format!(
        "import std/auth\n\npool web = {}\n\nsite a.test {{\n    http allowed\n    /files/* {{\n        \
         use auth.signed-url(secret.links)\n        -> web\n    }}\n    else -> respond 404\n}}\n",
        origin.addr()
    );
    let sluice = Sluice::setup()
        .gateway("    secrets from \"../secrets\"")
        .file("../secrets/links", format!("{new}\n{old}\n"))
        .file("a.route", route)
        .start();
    let ask = |method: &str, target: &str| {
        let mut wire = sluice.wire();
        wire.send(format!("{method} {target} HTTP/1.1\r\nHost: a.test\r\n\r\n"));
        wire.reply_to(method).status
    };
    let holds = of("holds");
    for (what, link) in &holds {
        assert_eq!(ask("GET", link), 200, "{what}: {link}");
    }
    let passed = origin.requests().len();
    assert_eq!(passed, holds.len());
    for (what, link) in of("over").iter().chain(&of("tampered")) {
        let status = ask("GET", link);
        assert!(matches!(status, 400 | 403), "{what}: {status} {link}");
    }
    // A link is for reading.
    let good = links["good"].as_str().unwrap();
    assert_eq!((ask("POST", good), ask("DELETE", good)), (405, 405));
    assert_eq!(origin.requests().len(), passed, "none of them came through");
    assert_eq!(ask("HEAD", good), 200);
    let keys = [&new, &old, &other];
    assert!(keys.iter().all(|key| !sluice.console_text().contains(key.as_str())));
}

#[test]
fn a_key_that_is_taken_away_opens_nothing_any_more() {
    let [new, old] = ["new", "old"].map(|name| format!("a key of the tests, the {name} one, of 32 bytes"));
    let made = peer::succeed(peer::python().args(["-c", SIGN, &new, &old, "-"]));
    let links: Value = serde_json::from_str(&made).unwrap();
    let route = "import std/auth\n\nsite a.test {\n    http allowed\n    use auth.signed-url(secret.links)\n    \
                 else -> respond 200 \"in\"\n}\n";
    let sluice = Sluice::setup()
        .gateway("    secrets from \"../secrets\"")
        .file("../secrets/links", format!("{new}\n{old}\n"))
        .file("a.route", route)
        .start();
    let (by_new, by_old) = (links["good"].as_str().unwrap(), links["holds"]["the older key"].as_str().unwrap());
    assert_eq!((sluice.get("a.test", by_new).status, sluice.get("a.test", by_old).status), (200, 200));
    sluice.write("../secrets/links", format!("{new}\n"));
    sluice.serves("a.test", by_old, |reply| reply.status == 403);
    assert_eq!(sluice.get("a.test", by_new).status, 200);
}

/// A certificate of an authority, with a whole subject and a name.
fn certificate(authority: &Pki, file: &str, subject: &[(DnType, &str)], san: Option<&str>) -> Identity {
    authority.issue_as(file, &[], |params| {
        params.distinguished_name = rcgen::DistinguishedName::new();
        for (part, text) in subject {
            params.distinguished_name.push(part.clone(), *text);
        }
        params.subject_alt_names.extend(san.map(|san| SanType::DnsName(san.try_into().unwrap())));
    })
}

#[test]
fn attack_certificates_that_are_not_listed_do_not_enter() {
    let (clients, others) = (Pki::new(), Pki::new());
    let of = |authority: &Pki, file: &str, name: &str, organisation: &str, san: Option<&str>| {
        certificate(authority, file, &[(DnType::OrganizationName, organisation), (DnType::CommonName, name)], san)
    };
    let origin = Origin::echo();
    let route = format!(
        "import std/auth\n\npool web = {}\n\nsite a.test {{\n    client cert optional from \"pki/clients.pem\"\n    \
         /machines/* {{\n        use auth.client-cert(sans: [\"ann.clients.test\"], subjects: [\"CN=bob,O=Example\"])\n        \
         -> web\n    }}\n    else -> web\n}}\n",
        origin.addr()
    );
    let sluice =
        Sluice::setup().file("pki/clients.pem", std::fs::read(clients.root()).unwrap()).file("a.route", route).start();
    let spoofed = "X-Client-San: ann.clients.test\r\nX_Client_Subject: CN=bob,O=Example\r\nX-Client-Fingerprint: 0\r\n";
    let ask = |path: &str, identity: Option<&Identity>| -> Option<Reply> {
        let offer = Offer::h1("a.test");
        let offer = match identity {
            Some(identity) => offer.showing(identity),
            None => offer,
        };
        let mut wire = sluice.handshake(&offer).ok()?.wire;
        wire.try_send(format!("GET {path} HTTP/1.1\r\nHost: a.test\r\n{spoofed}\r\n")).ok()?;
        wire.try_reply("GET")
    };
    let status = |identity: &Identity| ask("/machines/x", Some(identity)).map(|reply| reply.status);

    // Ann by a name in it, bob by his whole subject; and the origin hears who it is from nobody else.
    let ann = of(&clients, "ann", "whoever", "Elsewhere", Some("ann.clients.test"));
    let bob = of(&clients, "bob", "bob", "Example", None);
    assert_eq!((status(&ann), status(&bob)), (Some(200), Some(200)));
    let seen = origin.requests();
    let said = |at: usize, name: &str| seen[at].all(name).into_iter().map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(
        (said(0, "x-client-san"), said(0, "x-client-subject")),
        (vec!["ann.clients.test".into()], vec!["CN=whoever,O=Elsewhere".into()])
    );
    assert_eq!(
        (said(1, "x-client-san"), said(1, "x-client-subject")),
        (vec![String::new()], vec!["CN=bob,O=Example".into()])
    );
    assert!(said(0, "x-client-fingerprint")[0].len() == 64 && said(0, "x_client_subject").is_empty());
    assert_ne!(said(0, "x-client-fingerprint"), said(1, "x-client-fingerprint"));

    // Nobody, and those whom the authority knows and the list does not.
    assert_eq!(ask("/machines/x", None).map(|reply| reply.status), Some(401));
    for (file, name, organisation, san) in [
        ("carol", "carol", "Example", None),
        ("bob-of-another", "bob", "Other", None),
        ("bob-more", "bob,O=Example", "x", None),
        ("bob-case", "Bob", "Example", None),
        ("ann-below", "a", "b", Some("x.ann.clients.test")),
        ("ann-wild", "a", "b", Some("*.clients.test")),
        ("ann-in-subject", "ann.clients.test", "b", None),
    ] {
        let listed_not = of(&clients, file, name, organisation, san);
        assert_eq!(status(&listed_not), Some(403), "{file}");
    }
    // A name of ann's in a certificate of another authority's, and in one that is over, gets no connection.
    let eve = of(&others, "eve", "whoever", "Elsewhere", Some("ann.clients.test"));
    assert_eq!(status(&eve), None);
    let over = clients.issue_as("over", &["ann.clients.test"], |params| {
        params.not_before = rcgen::date_time_ymd(2020, 1, 1);
        params.not_after = rcgen::date_time_ymd(2020, 2, 1);
    });
    assert_eq!(status(&over), None);
    assert_eq!(origin.requests().len(), 2);
    // Outside of it nobody is asked, and nobody says who they are either.
    assert_eq!(ask("/x", None).map(|reply| reply.status), Some(200));
    let open = origin.requests().pop().unwrap();
    assert!(
        ["x-client-san", "x-client-subject", "x-client-fingerprint", "x_client_subject"]
            .iter()
            .all(|name| open.all(name).is_empty())
    );

    // With programs that are none of ours.
    let curl = |identity: &Identity| {
        let mut command = std::process::Command::new("curl");
        command.args([
            "--silent",
            "--max-time",
            "20",
            "--noproxy",
            "*",
            "--output",
            "/dev/null",
            "--write-out",
            "%{http_code}",
        ]);
        command.arg("--cacert").arg(sluice.root()).arg("--cert").arg(&identity.cert).arg("--key").arg(&identity.key);
        command.arg("--resolve").arg(format!("a.test:{}:127.0.0.1", sluice.https.port()));
        let output = command.arg(format!("https://a.test:{}/machines/x", sluice.https.port())).output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let carol = of(&clients, "carol-again", "carol", "Example", None);
    assert_eq!([curl(&ann), curl(&bob), curl(&carol), curl(&eve)], ["200", "200", "403", "000"]);
}
