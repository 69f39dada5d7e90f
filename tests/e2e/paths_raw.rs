//! `paths raw`: a site routes by the path as sent, and sends that on.

use sluice_tests::{Origin, Sluice};
use std::fs;

/// A site with two origins: one for a signed path, one for the rest.
fn start(signed: &Origin, rest: &Origin) -> Sluice {
    let route = format!(
        "pool vault = {}\npool rest = {}\n\nsite a.test {{\n    http allowed\n    paths raw\n    \
         /v1/{{name}}/%2E/*key -> vault\n    /exact -> respond 200 \"exact\"\n    \
         /re/{{x:\"[a-z%0-9]+\"}} -> respond 200 \"{{x}}\"\n    /at/*key -> vault at /moved/{{key}}\n    \
         /away/*key -> redirect 302 /{{key}}\n    /files/*key -> files \"public\" at /{{key}}\n    else -> rest\n}}\n",
        signed.addr(),
        rest.addr()
    );
    let setup = Sluice::setup().file("a.route", route).file("public/a b.txt", "a file");
    fs::write(setup.sites().join("secret.txt"), "a secret").unwrap();
    setup.start()
}

#[test]
fn what_is_matched_is_what_is_sent_on() {
    let (signed, rest) = (Origin::echo(), Origin::echo());
    let sluice = start(&signed, &rest);
    let mut to_signed = Vec::new();
    let mut to_rest = Vec::new();
    for (sent, seen, by_signed) in [
        ("/v1/a%2Fb/%2E/x//y?q=%20//..", "/v1/a%2Fb/%2E/x//y?q=%20//..", true),
        ("/v1/%61/%2E//..", "/v1/%61/%2E//..", true),
        ("/at//k/%2e%2E/%zz", "/moved//k/%2e%2E/%zz", true),
        // Other spellings are other paths.
        ("/v1/a/./x", "/v1/a/./x", false),
        ("/v1/a/%2e/x", "/v1/a/%2e/x", false),
        ("/v1//%2E/x", "/v1//%2E/x", false),
        ("//exact", "//exact", false),
        ("/exact//", "/exact//", false),
        ("/%65xact", "/%65xact", false),
        ("/x/../exact", "/x/../exact", false),
        ("//", "//", false),
        ("/re/a%20B", "/re/a%20B", false),
    ] {
        let reply = sluice.get("a.test", sent);
        assert_eq!(reply.status, 200, "{sent}: {reply:?}");
        if by_signed { to_signed.push(seen) } else { to_rest.push(seen) }
    }
    let targets = |origin: &Origin| origin.requests().into_iter().map(|seen| seen.target).collect::<Vec<_>>();
    assert_eq!(targets(&signed), to_signed);
    assert_eq!(targets(&rest), to_rest);
    // Captures hold the text as sent.
    assert_eq!(sluice.get("a.test", "/re/a%20b").text(), "a%20b");
    assert_eq!(
        (sluice.get("a.test", "/exact").text(), sluice.get("a.test", "/exact/").text()),
        ("exact".into(), "exact".into())
    );
    // HTTP/2 is no other way.
    let mut h2 = sluice.h2();
    assert_eq!(h2.get("http://a.test//x/%2e").status, 200);
    assert_eq!(targets(&rest).last().unwrap(), "//x/%2e");
}

#[test]
fn what_cannot_be_sent_on_is_refused_and_nothing_gets_out_of_a_directory() {
    let (signed, rest) = (Origin::echo(), Origin::echo());
    let sluice = start(&signed, &rest);
    for sent in ["/a\\b", "/at/\\", "/a\u{1}"] {
        assert_eq!(sluice.get("a.test", sent).status, 400, "{sent:?}");
    }
    // To a browser `//evil.example` is another host.
    let reply = sluice.get("a.test", "/away//evil.example/x");
    assert_eq!((reply.status, reply.header("location")), (400, None));
    let reply = sluice.get("a.test", "/away/%2fevil.example");
    assert_eq!((reply.status, reply.header("location")), (302, Some("/%2fevil.example")));
    assert_eq!(sluice.get("a.test", "/files/a%20b.txt").text(), "a file");
    assert_eq!(sluice.get("a.test", "/files/.//a%20b.tx%74").text(), "a file", "files have canonical paths");
    for sent in [
        "/files/../secret.txt",
        "/files/%2e%2e/secret.txt",
        "/files/x/%2e%2e/%2e%2E/secret.txt",
        "/files/..%2fsecret.txt",
    ] {
        let reply = sluice.get("a.test", sent);
        assert!([400, 404].contains(&reply.status), "{sent}: {reply:?}");
    }
    signed.saw_nothing();
    rest.saw_nothing();
}
