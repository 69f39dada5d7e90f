//! Which answer a request gets: a few of each form, over real connections. The rules themselves are
//! tested where the language is implemented.

use sluice_tests::{Origin, Sluice};

/// Asks a gateway with one file for several targets of `a.test`.
#[track_caller]
fn answers(site: &str, expected: &[(&str, u16, &str)]) {
    let sluice = Sluice::with(format!("site a.test {{\n    http allowed\n{site}}}\n"));
    for (target, status, text) in expected {
        let reply = sluice.get("a.test", target);
        assert_eq!((reply.status, reply.text().as_str()), (*status, *text), "{target}");
    }
}

/// Asks a gateway with one file for a target of `a.test` and returns where it is sent.
#[track_caller]
fn sent_to(site: &str, target: &str) -> (u16, String) {
    let sluice = Sluice::with(format!("site a.test {{\n    http allowed\n{site}}}\n"));
    let reply = sluice.get("a.test", target);
    (reply.status, reply.header("location").unwrap_or_default().to_owned())
}

#[test]
fn most_specific_path_wins_whatever_the_order() {
    answers(
        "    /api/*        -> respond 200 \"api\"\n    /api/v1/users -> respond 200 \"users\"\n    /api/{v}/x    -> respond 200 \"any {v}\"\n    /about        -> respond 200 \"about\"\n    else          -> respond 404 \"else\"\n",
        &[
            ("/api", 200, "api"),
            ("/api/", 200, "api"),
            ("/api/zzz/y", 200, "api"),
            ("/api/v1/users", 200, "users"),
            ("/api/v9/x", 200, "any v9"),
            ("/about/", 200, "about"),
            ("/About", 404, "else"),
            ("/abouts", 404, "else"),
            ("/", 404, "else"),
        ],
    );
}

#[test]
fn typed_captures() {
    answers(
        "    /u/{id:int}         -> respond 200 \"int {id}\"\n    /v/{v:a|b}          -> respond 200 \"set {v}\"\n    /f/{name}.png       -> respond 200 \"png {name}\"\n    /s/{sku:\"[A-Z]{3}-\\d+\"} -> respond 200 \"sku {sku}\"\n    else                -> respond 404 \"else\"\n",
        &[
            ("/u/7", 200, "int 7"),
            ("/u/07", 404, "else"),
            ("/u/x", 404, "else"),
            ("/v/b", 200, "set b"),
            ("/v/c", 404, "else"),
            ("/f/cat.png", 200, "png cat"),
            ("/f/.png", 404, "else"),
            ("/s/ABC-12", 200, "sku ABC-12"),
            ("/s/ABC-12x", 404, "else"),
        ],
    );
}

#[test]
fn blocks_are_walls() {
    let sluice = Sluice::with(
        "site a.test {\n    http allowed\n    /admin/* {\n        require header.x-key is \"k\" else deny 401\n        ./users -> respond 200 \"users\"\n        else -> respond 404 \"inside\"\n    }\n    else -> respond 200 \"outside\"\n}\n",
    );
    for (target, key, status, text) in [
        ("/admin/users", "k", 200, "users"),
        ("/admin/other", "k", 404, "inside"),
        ("/admin", "k", 404, "inside"),
        ("/x", "", 200, "outside"),
    ] {
        let mut wire = sluice.wire();
        wire.send(format!("GET {target} HTTP/1.1\r\nHost: a.test\r\nX-Key: {key}\r\n\r\n"));
        let reply = wire.reply();
        assert_eq!((reply.status, reply.text().as_str()), (status, text), "{target}");
    }
    for target in ["/admin/users", "/admin/other", "/admin/", "/admin"] {
        assert_eq!(sluice.get("a.test", target).status, 401, "{target}");
    }
}

#[test]
fn guards_are_read_top_to_bottom() {
    let sluice = Sluice::with(
        "site a.test {\n    http allowed\n    /x when header.v is \"1\" -> respond 200 \"one\"\n    /x when header.v in [\"1\", \"2\"] -> respond 200 \"two\"\n    /x -> respond 200 \"any\"\n    else -> respond 404\n}\n",
    );
    for (header, text) in [("V: 1\r\n", "one"), ("V: 2\r\n", "two"), ("V: 3\r\n", "any"), ("", "any")] {
        let mut wire = sluice.wire();
        wire.send(format!("GET /x HTTP/1.1\r\nHost: a.test\r\n{header}\r\n"));
        assert_eq!(wire.reply().text(), text, "{header}");
    }
}

#[test]
fn most_specific_host_wins() {
    let say = |hosts: &str, text: &str| {
        format!("site {hosts} {{\n    http allowed\n    else -> respond 200 \"{text}\"\n}}\n\n")
    };
    let file = [
        say("a.example.test", "exact"),
        say("{tenant}.example.test", "one {tenant}"),
        say("pr-{n:int}.example.test", "pr {n}"),
        say("**.example.test", "deep"),
    ]
    .concat();
    let sluice = Sluice::with(file);
    for (host, text) in [
        ("a.example.test", "exact"),
        ("b.example.test", "one b"),
        ("pr-7.example.test", "pr 7"),
        ("pr-x.example.test", "one pr-x"),
        ("x.y.example.test", "deep"),
    ] {
        assert_eq!(sluice.get(host, "/").text(), text, "{host}");
    }
    assert_eq!(sluice.get("example.test", "/").status, 404);
    assert_eq!(sluice.get("xexample.test", "/").status, 404);
}

#[test]
fn redirects() {
    let site = "    /old/*rest   -> redirect 308 /new/{rest}\n    /away/{slug} -> redirect 301 https://b.test/{slug}\n    /fixed       -> redirect 303 /x?only=this\n    /plain       -> redirect /x\n    else         -> redirect 308 https://b.test{request.uri}\n";
    for (target, status, location) in [
        ("/old/a/b?q=1", 308, "/new/a/b?q=1"),
        ("/old", 308, "/new"),
        ("/away/a%20b", 301, "https://b.test/a%20b"),
        ("/fixed?q=1", 303, "/x?only=this"),
        ("/plain", 302, "/x"),
        ("/else?q=1", 308, "https://b.test/else?q=1"),
        ("//evil.test", 308, "https://b.test/evil.test"),
    ] {
        assert_eq!(sent_to(site, target), (status, location.to_owned()), "{target}");
    }
}

#[test]
fn redirect_is_no_open_door() {
    // Client text can neither leave the host nor split the header.
    let site = "    /go/*rest -> redirect 302 /{rest}\n    else -> respond 404\n";
    for target in
        ["/go//evil.test", "/go/%2F%2Fevil.test", "/go/https://evil.test", "/go/%0d%0aX:%201", "/go/\\evil.test"]
    {
        let (status, location) = sent_to(site, target);
        // Refused at load (503) is an answer as well.
        assert!(
            status == 400 || status == 503 || (location.starts_with('/') && !location.starts_with("//")),
            "{target}: {location}"
        );
    }
}

#[test]
fn shares_are_kept_by_their_key() {
    let (a, b) = (Origin::fixed("a"), Origin::fixed("b"));
    let sluice = Sluice::with(format!(
        "pool a = {}\npool b = {}\n\nsite a.test {{\n    http allowed\n    else -> 50% a, 50% b by cookie.uid if missing client.ip\n}}\n",
        a.addr(),
        b.addr()
    ));
    let ask = |uid: usize| {
        let mut wire = sluice.wire();
        wire.send(format!("GET / HTTP/1.1\r\nHost: a.test\r\nCookie: uid={uid}\r\n\r\n"));
        wire.reply().text()
    };
    let first: Vec<_> = (0..100).map(ask).collect();
    let again: Vec<_> = (0..100).map(ask).collect();
    assert_eq!(first, again);
    let share = first.iter().filter(|t| *t == "a").count();
    assert!((25..=75).contains(&share), "{share} of 100");
}

#[test]
fn policies_of_the_standard_library() {
    let sluice = Sluice::with(
        "import std/web\n\nsite a.test {\n    http allowed\n    use web.secure-headers\n    else -> respond 200 \"ok\"\n}\n",
    );
    let reply = sluice.get("a.test", "/");
    assert_eq!((reply.status, reply.text().as_str()), (200, "ok"));
    assert_eq!(reply.header("x-content-type-options"), Some("nosniff"));
}

#[test]
fn policies_of_ones_own() {
    let sluice = Sluice::with(
        "policy keyed(key: text) {\n    require header.x-key is key else deny 401\n    set response header x-keyed = \"yes\"\n}\n\nsite a.test {\n    http allowed\n    /in/* {\n        use keyed(\"k\")\n        ./open without keyed -> respond 200 \"open\"\n        else -> respond 200 \"in\"\n    }\n    else -> respond 404\n}\n",
    );
    assert_eq!(sluice.get("a.test", "/in/x").status, 401);
    assert_eq!(sluice.get("a.test", "/in/open").text(), "open");
    let mut wire = sluice.wire();
    wire.send("GET /in/x HTTP/1.1\r\nHost: a.test\r\nX-Key: k\r\n\r\n");
    let reply = wire.reply();
    assert_eq!((reply.text().as_str(), reply.header("x-keyed")), ("in", Some("yes")));
}

#[test]
fn nobody_serves_this_host() {
    let sluice = Sluice::with("site a.test {\n    http allowed\n    else -> respond 200 \"a\"\n}\n");
    let reply = sluice.get("nobody.test", "/");
    assert_eq!(reply.status, 404);
}

#[test]
fn text_is_sent_as_text() {
    let sluice = Sluice::with(
        "site a.test {\n    http allowed\n    /robots.txt -> respond 200 \"a\\nb\\n\" type \"text/x-odd\"\n    else -> respond 200 \"grüße {request.path}\"\n}\n",
    );
    let reply = sluice.get("a.test", "/robots.txt");
    assert_eq!((reply.text().as_str(), reply.header("content-type")), ("a\nb\n", Some("text/x-odd")));
    let reply = sluice.get("a.test", "/<script>".replace('<', "%3C").replace('>', "%3E").as_str());
    assert!(reply.header("content-type").is_some_and(|t| t.starts_with("text/plain")), "{reply:?}");
    assert!(reply.text().starts_with("grüße /"), "{reply:?}");
}

#[test]
fn file_with_crlf_line_ends() {
    let sluice = Sluice::with("site a.test {\r\n    http allowed\r\n    else -> respond 200 \"crlf\"\r\n}\r\n");
    assert_eq!(sluice.get("a.test", "/").text(), "crlf");
}
