//! The difference of two versions: what is the same in other words, and what is not.
#![allow(clippy::unwrap_used)] // a test whose route text does not load fails

mod front;

use dsl::reach::Carried;
use dsl::reach::plan::{BUDGET, Change, Difference, Version, difference};
use front::Files;

/// A version of some files.
fn version(files: &[(&str, &str)]) -> Version {
    let files = Files(files.iter().map(|(name, text)| (format!("sites/{name}"), (*text).to_owned())).collect());
    let mut out = Version::default();
    for at in 0..u32::try_from(files.0.len()).unwrap() {
        let made = files.compile(at);
        assert!(made.is_sound(), "{}", files.render(&made.diagnostics));
        let (dir, _) = files.0[at as usize].0["sites/".len()..].rsplit_once('/').unwrap_or(("", ""));
        out.sites.extend(made.programs.into_iter().map(|program| (program, dir.into())));
        let carried = made.listening.into_iter().map(Carried::Listening);
        let carried = carried.chain(made.passthroughs.into_iter().map(Carried::Passthrough));
        out.carried.extend(carried.map(|item| (item, dir.into())));
        out.gateway = made.gateway.map(Into::into).or(out.gateway);
    }
    out
}

fn compare(old: &[(&str, &str)], new: &[(&str, &str)]) -> Difference {
    difference(&version(old), &version(new), BUDGET)
}

fn line(change: &Change) -> String {
    let Change { kind, tenant, site, path, when, before, after, witness, possibly } = change;
    let when = when.as_ref().map(|when| format!(" when {when}")).unwrap_or_default();
    let witness = witness.as_ref().map(|witness| format!(" | {witness}")).unwrap_or_default();
    let possibly = if *possibly { " possibly" } else { "" };
    let tenant = tenant.as_ref().map(|tenant| format!(" [{tenant}]")).unwrap_or_default();
    format!("{}{possibly}{tenant} {site} {path}{when} | {before} -> {after}{witness}", kind.sign())
}

/// The changes between two versions of one file, nothing undecided.
fn changes(old: &str, new: &str) -> Vec<String> {
    let found = compare(&[("a.route", old)], &[("a.route", new)]);
    assert_eq!(found.undecided, [""; 0]);
    found.changes.iter().map(line).collect()
}

const SHOP: &str = "
import std/web
pool app = 10.0.1.1:80, 10.0.1.2:80
pool api = 10.0.2.1:80
site shop.example.com {
    use web.secure-headers
    /api/{version:v1|v2}/* {
        require method in [GET, HEAD, POST] else deny 405
        set request header x-api-version = version
        -> api
    }
    /products/{id:int} -> app at /p/{id}
    /cart when cookie.beta is \"1\" -> api
    /cart -> app
    else -> app
}
";

#[test]
fn the_same_in_other_words_is_no_change() {
    let renamed = "
import std/web as w
pool web = 10.0.1.1:80, 10.0.1.2:80
pool backend = 10.0.2.1:80
site shop.example.com {
    use w.secure-headers
    /api/{v:v1|v2}/* {
        require method in [GET, HEAD, POST] else deny 405
        set request header x-api-version = v
        -> backend
    }
    /products/{number:int} -> web at /p/{number}
    /cart when cookie.beta is \"1\" -> backend
    /cart -> web
    else -> web
}
";
    let reordered = "
import std/web
pool api = 10.0.2.1:80
pool app = 10.0.1.1:80, 10.0.1.2:80

site shop.example.com {
    use web.secure-headers

    # The cart first.
    /cart when cookie.beta is \"1\" -> api
    /cart -> app
    /products/{id:int} -> app at /p/{id}
    /api/{version:v1|v2}/* {
        require method in [GET, HEAD, POST] else deny 405
        set request header x-api-version = version
        else -> api
    }
    else -> app
}
";
    let extracted = "
pool app = 10.0.1.1:80, 10.0.1.2:80
pool api = 10.0.2.1:80
let reading = [GET, HEAD]
policy hardened {
    set response header referrer-policy        = \"strict-origin-when-cross-origin\"
    set response header x-frame-options        = \"SAMEORIGIN\"
    set response header x-content-type-options = \"nosniff\"
}
policy versioned(version: text) {
    require method in [GET, HEAD, POST] else deny 405
    set request header x-api-version = version
}
site shop.example.com {
    use hardened
    /api/{version:v1|v2}/* {
        use versioned(version)
        -> api
    }
    /products/{id:int} -> app at /p/{id}
    /cart {
        when cookie.beta is \"1\" -> api
        else -> app
    }
    else -> app
}
";
    // The same requests are kept out, by two conditions instead of one.
    let split = SHOP.replace(
        "require method in [GET, HEAD, POST] else deny 405",
        "require method in [GET, HEAD, POST, PUT] else deny 405\n        require method is not PUT else deny 405",
    );
    for (what, new) in [("renamed", renamed), ("reordered", reordered), ("extracted", extracted), ("split", &split)] {
        assert_eq!(changes(SHOP, new), [""; 0], "{what}");
        assert_eq!(changes(new, SHOP), [""; 0], "{what}, back");
    }
    let pools = "pool app = 10.0.1.1:80, 10.0.1.2:80\npool api = 10.0.2.1:80\n";
    let site =
        SHOP.replace(pools, "import ./pools\n").replace("-> app", "-> pools.app").replace("-> api", "-> pools.api");
    let moved = compare(&[("a.route", SHOP)], &[("team/shop.route", &site), ("team/pools.route", pools)]);
    assert!(moved.is_none(), "{moved:?}");
}

#[test]
fn what_differs_is_told_region_by_region() {
    let new = "
import std/web
pool app = 10.0.1.1:80, 10.0.1.2:80
pool api = 10.0.2.1:80
pool next = 10.0.2.9:80
site shop.example.com {
    use web.secure-headers
    /api/{version:v1|v2}/* {
        require method in [GET, HEAD] else deny 405
        set request header x-api-version = version
        -> api
    }
    /beta/v2/* -> next
    /products/{id:int} -> app at /p/{id}
    /cart -> app
    else -> app
}
site new.example.com {
    else -> respond 200 \"ok\"
}
";
    let old = format!(
        "{SHOP}\nsite old.example.com {{\n    /x -> app\n    else -> redirect 308 https://shop.example.com/\n}}\n"
    );
    assert_eq!(
        changes(&old, new),
        [
            "+ new.example.com /* | 404, no site -> respond 200 \"ok\" | GET https://new.example.com/",
            "- old.example.com /* | redirect 308 https://shop.example.com/ -> 404, no site | GET https://old.example.com/",
            "- old.example.com /x | app -> 404, no site | GET https://old.example.com/x",
            "- shop.example.com /api/{version:v1|v2}/* when method is POST | api -> deny 405 | POST https://shop.example.com/api/v1",
            "~ shop.example.com /beta/v2/* | app -> next | GET https://shop.example.com/beta/v2",
            "~ shop.example.com /cart when cookie.beta is \"1\" | api -> app | GET https://shop.example.com/cart -H 'cookie: beta=1'",
        ]
    );
}

#[test]
fn settings_headers_and_pools_are_behaviour() {
    let old = "
pool app {
    10.0.1.1:80
    timeout 10s
}
site a.example.com {
    set response header x-a = \"1\"
    timeout 5s
    else -> app
}
";
    let told = |from: &str, to: &str| changes(old, &old.replace(from, to));
    assert_eq!(
        told("x-a = \"1\"", "x-a = \"2\""),
        [
            "~ a.example.com /* | app, set response header x-a = \"1\" -> app, set response header x-a = \"2\" | GET https://a.example.com/"
        ]
    );
    assert_eq!(
        told("    timeout 5s\n", ""),
        ["~ a.example.com /* | app, timeout 5s -> app | GET https://a.example.com/"]
    );
    assert_eq!(
        told("timeout 10s", "timeout 20s"),
        ["~ a.example.com /* | app, pool timeout 10s -> app, pool timeout 20s | GET https://a.example.com/"]
    );
    assert_eq!(
        told("10.0.1.1:80", "10.0.1.1:81"),
        ["~ a.example.com /* | app, endpoints 10.0.1.1:80 -> app, endpoints 10.0.1.1:81 | GET https://a.example.com/"]
    );
    assert_eq!(told("    timeout 5s\n", "    timeout 5s\n    tls off\n")[0], "~ a.example.com  | tls auto -> tls off");
    // An edit that a later one undoes is none.
    assert_eq!(told("    set response", "    add response header x-a = \"0\"\n    set response"), [""; 0]);
    // An edit under a condition that always holds where it is asked.
    let when = old.replace(
        "set response header x-a = \"1\"",
        "use x when method is GET\n    require method is GET else deny 405",
    );
    let always = old.replace("set response header x-a = \"1\"", "use x\n    require method is GET else deny 405");
    let policy = "policy x {\n    set response header x-a = \"1\"\n}\n";
    assert_eq!(
        changes(&format!("{policy}{when}"), &format!("{policy}{always}")),
        [
            "~ a.example.com /* when method is not GET | deny 405, set response header x-a = \"1\" when method is GET -> deny 405, set response header x-a = \"1\" | POST https://a.example.com/"
        ]
    );
}

#[test]
fn what_cannot_be_shown_is_possible() {
    let site = |cond: &str| {
        format!("pool a = 10.0.1.1:80\nsite a.example.com {{\n    /x when {cond} -> respond 200\n    else -> a\n}}\n")
    };
    let told = changes(&site("header.a is header.b"), &site("header.a is header.b or header.b is header.a"));
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].starts_with("~ possibly a.example.com /x when"), "{told:?}");
}

#[test]
fn captures_and_hosts_are_looked_into() {
    let site = |cond: &str| {
        format!(
            "pool a = 10.0.1.1:80\nsite {{t}}.example.com {{\n    /u/{{id}} when {cond} -> respond 200\n    else -> a\n}}\n"
        )
    };
    assert_eq!(
        changes(&site("id matches \"[0-9]{3}\""), &site("id matches \"[0-9]{3}|a\"")),
        [
            "~ *.example.com /u/{id} when not (id matches \"[0-9]{3}\") and id matches \"[0-9]{3}|a\" | a -> respond 200 | GET https://x.example.com/u/a"
        ]
    );
    assert_eq!(changes(&site("id matches \"[0-9]{3}\""), &site("id matches \"[0-9][0-9][0-9]\"")), [""; 0],);
}

#[test]
fn a_value_that_arrives_twice_is_refused_where_a_condition_names_it() {
    let site = |more: &str| format!("pool a = 10.0.1.1:80\nsite a.example.com {{\n    {more}\n    else -> a\n}}\n");
    let dead = site("/x when header.k is \"1\" -> a\n    /x -> a");
    assert_eq!(
        changes(&site("/x -> a"), &dead),
        [
            "~ a.example.com /x when header.k arrives twice with different values | a -> 400 | GET https://a.example.com/x -H 'k: 1' -H 'k: 2'"
        ]
    );
}

#[test]
fn hosts_go_to_the_most_specific_site_of_each_version() {
    let wide = "pool a = 10.0.1.1:80\nsite *.example.com {\n    else -> a\n}\n";
    let both = format!("{wide}site www.example.com {{\n    else -> respond 200 \"www\"\n}}\n");
    assert_eq!(
        changes(wide, &both),
        ["~ www.example.com /* | a -> respond 200 \"www\" | GET https://www.example.com/"]
    );
    let same = format!("{wide}site www.example.com {{\n    else -> a\n}}\n");
    assert_eq!(changes(wide, &same), [""; 0]);
    let default = wide.replace("{\n", "{\n    default\n");
    assert_eq!(changes(wide, &default), ["+ any other host /* | 404, no site -> a | GET https://unclaimed.invalid/"]);
}

#[test]
fn items_and_the_gateway_are_compared() {
    let old = [
        ("gateway.route", "gateway {\n    https :443\n}\n"),
        ("l4.route", "pool pg = 10.0.5.1:5432\ntcp :5432 {\n    limit 10 at-once per client.ip\n    -> pg\n}\n"),
    ];
    let new = [
        ("gateway.route", "gateway {\n    https :8443\n}\n"),
        (
            "l4.route",
            "pool db = 10.0.5.1:5432\nudp :53 {\n    idle 5s\n    limit 9/s per client.ip\n    -> db\n}\ntcp :5432 {\n    limit 10 at-once per client.ip\n    -> db\n}\n",
        ),
    ];
    let found = compare(&old, &new);
    let told: Vec<_> = found.changes.iter().map(line).collect();
    assert_eq!(
        told,
        [
            "~ gateway  | https :443 -> https :8443",
            "+ udp :53  | nothing listens -> -> db [limit 9/s burst 9 per client.ip]",
        ]
    );
}

#[test]
fn a_comparison_has_a_budget() {
    let old = version(&[("a.route", SHOP)]);
    let new = version(&[("a.route", &SHOP.replace("\"1\"", "\"2\""))]);
    let found = difference(&old, &new, 3);
    assert_eq!(found.undecided, ["shop.example.com: it takes more steps than a comparison may"]);
    assert!(!found.is_none());
}

/// Found by random programs: a route that names a header is no change to whom a policy refuses already.
#[test]
fn a_field_that_arrives_twice_is_refused_by_a_policy_before() {
    let policy = "        require header.a is cookie.c else deny 403\n";
    let old = format!(
        "site a.example.com {{\n    /b/* {{\n{policy}        else -> respond 200\n    }}\n    else -> respond 404\n}}\n"
    );
    let new = old.replace(
        "        else -> respond 200\n",
        "        ./x when header.a is \"1\" -> respond 200\n        else -> respond 200\n",
    );
    let [old, new] = [&old, &new].map(|text| version(&[("a.route", text)]));
    let found = difference(&old, &new, BUDGET);
    let twice = |change: &Change| change.when.as_ref().is_some_and(|when| when.contains("arrives twice"));
    assert!(!found.changes.iter().any(twice), "{:?}", found.changes);
}

/// Found by random programs: a route that nothing reaches was a possible change.
#[test]
fn a_route_that_nothing_reaches_changes_nothing() {
    let old = "site a.example.com {\n    /{x:int} -> respond 200 \"1\"\n    else -> deny 403\n}\n";
    let new = old.replace("    /{x", "    /7 when request.path starts with \"/a/\" -> deny 403\n    /{x");
    let [old, new] = [old, &new].map(|text| crate::version(&[("a.route", text)]));
    let found = difference(&old, &new, BUDGET);
    assert_eq!((found.changes, found.undecided), (vec![], vec![]));
}

/// Found by random programs: a change that only copies which differ could show, and those are answered 400.
#[test]
fn what_only_differing_copies_could_show_is_no_change() {
    let old = "pool p = 10.0.0.1:80
policy guard() {
    require cookie.c is \"1\" else deny 403
}
site a.example.com {
    /a/* {
        use guard()
        when not (header.a has \"2\") -> respond 200
        else -> p
    }
    else -> p
}
";
    let new = old.replace("cookie.c is \"1\"", "header.a");
    let told = changes(old, &new);
    assert!(!told.is_empty() && !told.iter().any(|line| line.contains("possibly")), "{told:#?}");
    // The same where a call is read on the way, whose numbers the two versions have for themselves.
    let signed = |text: &str| {
        text.replace(
            "        use guard()\n",
            "        use guard()\n        require signed(request.path, query.s, key: secret.k) else deny 401\n",
        )
    };
    let told = changes(&signed(old), &signed(&new));
    assert!(!told.is_empty() && !told.iter().any(|line| line.contains("possibly")), "{told:#?}");
}

/// Found by random programs (pair 13646): both answer 403, and one reads a header before it does.
#[test]
fn a_value_that_arrives_twice_is_refused_where_a_policy_names_it() {
    let site = |cond: &str| {
        format!(
            "site a.example.com {{\n    /a/* {{\n        require {cond} else deny 403\n        else -> deny 403\n    }}\n    else -> respond 200\n}}\n"
        )
    };
    let by_cookie = site("cookie.c is \"1\"");
    assert_eq!(
        changes(&by_cookie, &site("(method is GET and header.a)")),
        [
            "~ a.example.com /a/* when not (method is GET and header.a) and cookie.c arrives twice with different values | 400 -> deny 403 | GET https://a.example.com/a -H 'cookie: c=1; c=2'",
            "~ a.example.com /a/* when cookie.c is not \"1\" and header.a arrives twice with different values | deny 403 -> 400 | GET https://a.example.com/a -H 'a: 1' -H 'a: 2'",
            "~ a.example.com /a/* when method is GET and header.a and cookie.c arrives twice with different values | 400 -> deny 403 | GET https://a.example.com/a -H 'a: x' -H 'cookie: c=1; c=2'",
            "~ a.example.com /a/* when cookie.c is \"1\" and header.a arrives twice with different values | deny 403 -> 400 | GET https://a.example.com/a -H 'cookie: c=1' -H 'a: 1' -H 'a: 2'",
        ]
    );
    assert_eq!(
        changes(&site("cookie.c is \"1\" and method is GET"), &site("method is GET and cookie.c is \"1\"")),
        [""; 0]
    );
    // A field that a policy before it refuses, in both.
    let before = |more: &str| {
        site("query.k is not \"1\"").replace("        else -> deny 403", &format!("{more}        else -> deny 403"))
    };
    assert_eq!(changes(&before(""), &before("        require query.k is not \"2\" else deny 403\n")), [""; 0]);
}
