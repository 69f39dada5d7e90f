//! Findings about sites beside each other: when they are made, and when not.
#![allow(clippy::unwrap_used)] // a test whose route text does not load fails

mod front;

use front::compile;

/// Code and witness, or message, of what is found across the sites of a file.
fn found(text: &str) -> Vec<String> {
    let codes = ["G2011", "G2012", "G3003", "G3018"];
    let compiled = compile(text);
    let mut all = compiled.diagnostics;
    all.extend(dsl::lint::of_all(&compiled.programs));
    all.retain(|d| codes.contains(&d.code));
    all.iter().map(|d| format!("{} {}", d.code, d.witness.clone().unwrap_or_else(|| d.message.clone()))).collect()
}

#[test]
fn loops_are_followed_to_their_end() {
    for (text, expected) in [
        // Through three hosts, and a page that everybody is sent to and that is behind the same check.
        (
            "site a.example.com {\n    else -> redirect 302 https://b.example.com/x\n}\n\
             site b.example.com {\n    /x -> redirect 302 http://c.example.com/\n    else -> respond 404\n}\n\
             site c.example.com {\n    else -> redirect 302 https://b.example.com/x\n}\n",
            vec!["G2011 GET https://c.example.com/"],
        ),
        (
            "site a.example.com {\n    require cookie.sid else redirect 303 /login\n    else -> respond 200\n}\n",
            vec!["G2011 GET https://a.example.com/login"],
        ),
        // A redirect that goes on to an answer, to another's host, or by the query elsewhere.
        ("site a.example.com {\n    /x -> redirect 302 /y\n    else -> respond 200\n}\n", vec![]),
        ("site a.example.com {\n    else -> redirect 302 https://elsewhere.example.net{request.uri}\n}\n", vec![]),
        (
            "site a.example.com {\n    /login -> respond 200\n    /* {\n        require cookie.sid else redirect 303 /login\n        -> redirect 302 /login\n    }\n}\n",
            vec![],
        ),
    ] {
        let found: Vec<String> = found(text).into_iter().filter(|f| f.starts_with("G2011")).collect();
        if expected.is_empty() {
            assert_eq!(found, [""; 0], "{text}");
        } else {
            assert!(found.iter().any(|f| f == expected[0]), "{found:?} of {text}");
        }
    }
}

#[test]
fn a_host_of_our_own_that_nobody_serves() {
    let text = |host: &str| {
        format!(
            "site shop.example.com {{\n    else -> respond 200\n}}\nsite www.example.com {{\n    else -> redirect 308 https://{host}{{request.uri}}\n}}\n"
        )
    };
    assert_eq!(
        found(&text("shpo.example.com")),
        ["G2012 nobody serves `shpo.example.com`; did you mean `shop.example.com`?"]
    );
    for host in [
        "shop.example.com",
        "shpo.example.net",
        "accounts.example.com",
        "blog.example.com",
        "shop2.example.com",
        "sho.example.com",
    ] {
        assert_eq!(found(&text(host)), [""; 0], "{host}");
    }
}

const PROTECTED: &str = "import std/auth\npool admin = 10.0.3.10:9000\npool back = 10.0.3.10:9000\n\
    site a.example.com {\n    /admin/* {\n        use auth.only-from([10.0.0.0/8])\n        -> admin\n    }\n    else -> respond 404\n}\n";

#[test]
fn a_pool_that_is_protected_elsewhere() {
    let with = |site: &str| format!("{PROTECTED}{site}");
    assert_eq!(found(&with("site b.example.com {\n    else -> back\n}\n")), ["G3003 GET https://b.example.com/"]);
    for site in [
        // Another check, the same one, and nobody at all.
        "site b.example.com {\n    require header.x-key is \"k\" else deny\n    else -> back\n}\n",
        "site b.example.com {\n    use auth.only-from([10.0.0.0/8])\n    else -> back\n}\n",
        "site b.example.com {\n    else -> respond 404\n}\n",
    ] {
        assert_eq!(found(&with(site)), [""; 0], "{site}");
    }
    // A pool that its own site serves openly too is no secret.
    let open = PROTECTED.replace("else -> respond 404", "else -> admin");
    assert_eq!(found(&format!("{open}site b.example.com {{\n    else -> back\n}}\n")), [""; 0]);
}

#[test]
fn an_identity_that_the_client_may_tell() {
    let site = |open: &str, set: &str| {
        format!(
            "pool app = 10.0.1.10:80\nsite a.example.com {{\n    /admin/* {{\n        {set}\n        -> app\n    }}\n    else {{\n        {open}\n        -> app\n    }}\n}}\n"
        )
    };
    let set = "set request header x-user = \"ann\"";
    assert_eq!(found(&site("timeout 5s", set)), ["G3018 GET https://a.example.com/ -H 'x-user: somebody'"]);
    for (open, set) in [
        ("remove request header x-user", set),
        ("set request header x_user = \"nobody\"", set),
        ("timeout 5s", "set request header x-region = \"eu\""),
    ] {
        assert_eq!(found(&site(open, set)), [""; 0], "{open} {set}");
    }
}
