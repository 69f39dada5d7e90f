//! The rules of LANGUAGE section 14 that the checker settles, each by its number.

#![allow(clippy::unwrap_used)] // a test that cannot read its case fails

mod front;

use front::{Files, ask, codes, compile, sound};

/// Pools, and a site with these statements.
fn site(body: &str) -> String {
    format!(
        "pool web = 10.0.0.1:80\npool api = 10.0.0.2:80\npool admin = 10.0.0.3:80\n\n\
         site a.example.com {{\n{body}\n}}\n"
    )
}

#[test]
fn rule_01_else_is_for_routes_and_require() {
    assert_eq!(codes(&site("/x/* -> web else respond 404\nelse -> web")), ["G1022"]);
    let good = sound(&site("require client.port > 1 else deny 401\nelse -> web"));
    assert_eq!(ask(&good, "GET https://a.example.com/", &[]), "web");
    // Alone an arrow answers everything; beside other routes it is written `else ->`.
    assert_eq!(codes(&site("-> web")), [""; 0]);
    assert_eq!(codes(&site("/x/* -> api\n-> web")), ["G2024"]);
}

#[test]
fn rule_02_pathless_forms_yield_to_longer_paths() {
    let good = sound(&site("when method is POST -> admin\n/x/* -> api\nelse -> web"));
    assert_eq!(ask(&good, "POST https://a.example.com/x/y", &[]), "api");
    assert_eq!(ask(&good, "POST https://a.example.com/y", &[]), "admin");
    assert_eq!(codes(&site("when method is POST -> deny\n/x/* -> api\nelse -> web")), ["G2021"]);
    assert_eq!(codes(&site("when method is POST -> redirect /y\n/x/* -> api\nelse -> web")), ["G2021"]);
    assert_eq!(codes(&site("when method is POST -> deny\nelse -> web")), [""; 0], "nothing longer is beside it");
}

#[test]
fn rule_03_a_protected_block_covers_its_whole_pattern() {
    let block = "{\nrequire client.ip in [10.0.0.0/8] else deny\n-> admin\n}";
    assert_eq!(codes(&site(&format!("/admin/* {block}\n/admin/login/* -> web\nelse -> web"))), ["G3001"]);
    let found = compile(&site(&format!("/admin/* when method in [GET, POST] {block}\nelse -> web")));
    assert_eq!(found.diagnostics[0].code, "G3001");
    assert_eq!(found.diagnostics[0].witness.as_deref(), Some("HEAD https://a.example.com/admin"));
    // A block without a path of its own has none to protect.
    let pathless = "when method is POST {\nrequire cookie.a is \"b\" else deny\n-> admin\n}\n/x/* -> api\nelse -> web";
    assert_eq!(codes(&site(pathless)), [""; 0]);
    // Setting a header protects nothing.
    assert_eq!(
        codes(&site("/admin/* {\nset request header x-a = \"b\"\n-> admin\n}\n/admin/login/* -> web\nelse -> web")),
        [""; 0]
    );
}

#[test]
fn rule_04_guards_choose_the_route_then_its_policies_run() {
    let good = sound(&site(
        "set response header x-a = \"1\"\n/x/* {\nrequire cookie.a is \"b\" else deny 401\n-> api\n}\nelse -> web",
    ));
    assert_eq!(ask(&good, "GET https://a.example.com/x", &[]), "deny 401");
    assert_eq!(ask(&good, "GET https://a.example.com/x", &["cookie: a=b"]), "api [x-a: 1]");
}

#[test]
fn rule_05_without_removes_direct_uses_by_their_name_for_one_path() {
    let policies = "policy inner {\n    require cookie.inner is \"1\" else deny 401\n}\n\
                    policy outer {\n    use inner\n    require cookie.outer is \"1\" else deny 402\n}\n";
    let with = |route: &str| {
        format!("{policies}{}", site(&format!("/x/* {{\nuse outer\n{route}\nelse -> web\n}}\nelse -> respond 404")))
    };
    let good = sound(&with("./free without outer -> api"));
    assert_eq!(ask(&good, "GET https://a.example.com/x/free", &[]), "api", "what it uses goes with it");
    assert_eq!(ask(&good, "GET https://a.example.com/x/other", &[]), "deny 401");
    assert_eq!(codes(&with("./free without inner -> api")), ["G2022"], "a nested use stays");
    assert_eq!(codes(&with("./free/* without outer -> api")), ["G3022"], "the path is literal");
    assert_eq!(codes(&with("./{x} without outer -> api")), ["G2022"]);
    assert_eq!(codes(&with("./free without oter -> api")), ["G2022"]);
}

#[test]
fn rule_06_a_policys_routes_join_the_block() {
    let policy = "policy known {\n    ./ping -> respond 200 \"pong\"\n    set response header x-a = \"1\"\n}\n";
    // Its routes pass what stands below it, and its own statements stand before its routes.
    assert!(codes(&format!("{policy}{}", site("else -> web"))).contains(&"G1020"));
    let policy = "policy known {\n    ./ping -> respond 200 \"pong\"\n}\n";
    let good = sound(&format!(
        "{policy}{}",
        site("/x/* {\nuse known\nset response header x-b = \"2\"\nelse -> web\n}\nelse -> respond 404")
    ));
    assert_eq!(ask(&good, "GET https://a.example.com/x/ping", &[]), "respond 200 pong [x-b: 2]");
    assert_eq!(ask(&good, "GET https://a.example.com/ping", &[]), "respond 404");
    for route in ["else -> respond 404", "-> respond 404"] {
        assert_eq!(codes(&format!("policy p {{\n    {route}\n}}\n")), ["G2023"]);
    }
    let outside = "policy known {\n    /ping -> respond 200\n}\n";
    assert!(codes(&format!("{outside}{}", site("/x/* {\nuse known\nelse -> web\n}\nelse -> web"))).contains(&"G2020"));
}

#[test]
fn rule_07_one_capture_a_segment_alternatives_are_texts() {
    assert_eq!(codes(&site("/{a}{b} -> respond 200\nelse -> web")), ["G1026"]);
    assert_eq!(codes(&site("/{a:int|uuid} -> respond 200\nelse -> web")), ["G1026"]);
    let good = sound(&site("/v/{v:v1|v2}/* -> api\n/n/{n:int} -> respond 200 \"{n}\"\nelse -> web"));
    assert_eq!(ask(&good, "GET https://a.example.com/v/v2/x", &[]), "api");
    assert_eq!(ask(&good, "GET https://a.example.com/v/v3/x", &[]), "web");
    assert_eq!(ask(&good, "GET https://a.example.com/n/10", &[]), "respond 200 10");
    assert_eq!(ask(&good, "GET https://a.example.com/n/010", &[]), "web");
}

#[test]
fn rule_08_overlap_without_inclusion_is_refused() {
    let two = "/{team}/settings -> web\n/admin/{page} -> admin\n";
    assert_eq!(codes(&site(&format!("{two}else -> respond 404"))), ["G2002"]);
    let settled = site(&format!("{two}/admin/settings -> admin\nelse -> respond 404"));
    assert_eq!(codes(&settled), [""; 0], "what both match has a route of its own");
    let guarded = site(&format!("{two}/admin/settings when method is GET -> admin\nelse -> respond 404"));
    assert_eq!(codes(&guarded), ["G2002"], "only an unconditional route settles it");
    let same = "/{team}/settings -> web\n/admin/{page} -> web\nelse -> respond 404";
    assert_eq!(codes(&site(same)), [""; 0], "both lead to the same outcome");
}

#[test]
fn rule_09_only_the_leftmost_label_is_open() {
    let site = |host: &str| format!("site {host} {{\n    else -> respond 404\n}}\n");
    for host in ["a.*.example.com", "{a}.{b}.example.com", "a.**.example.com"] {
        assert_eq!(codes(&site(host)), ["G1026"], "{host}");
    }
    for host in ["*.example.com", "**.example.com", "{t}.example.com", "pr-{n:int}.example.com"] {
        assert_eq!(codes(&site(host)), [""; 0], "{host}");
    }
    assert_eq!(codes(&site("**")), ["G8004"]);
}

#[test]
fn rule_10_relative_routes_join_the_base_without_its_splat() {
    let good =
        sound(&site("/a/* {\n./x -> respond 200 \"x\"\nelse -> api\n}\n/b/*rest -> web at /c/{rest}\nelse -> web"));
    assert_eq!(ask(&good, "GET https://a.example.com/a/x", &[]), "respond 200 x");
    assert_eq!(ask(&good, "GET https://a.example.com/a/x/y", &[]), "api");
    assert_eq!(codes(&site("/a {\n./x -> web\nelse -> web\n}\nelse -> web")), ["G2020"]);
}

#[test]
fn rule_11_a_redirect_is_302_and_keeps_the_query() {
    let good = sound(&site("/x -> redirect /y\n/z -> redirect 308 https://b.example.com{request.uri}\nelse -> web"));
    assert_eq!(ask(&good, "GET https://a.example.com/x", &[]), "redirect 302 /y");
    assert_eq!(ask(&good, "GET https://a.example.com/z?a=b", &[]), "redirect 308 https://b.example.com/z?a=b");
}

#[test]
fn rule_12_no_visible_name_is_declared_again() {
    for (text, code) in [
        (site("/{web} -> api\nelse -> web"), "G1018"),
        (site("/{method} -> api\nelse -> web"), "G1018"),
        (site("let api = \"x\"\nelse -> web"), "G1018"),
        (site("/{x}/* {\nlet x = \"y\"\n-> web\n}\nelse -> web"), "G1018"),
        ("pool a = 10.0.0.1:80\nlet a = \"x\"\n".to_owned(), "G1018"),
    ] {
        assert!(codes(&text).contains(&code), "{text}");
    }
    // A module and a pool may share a name: they never stand in one place.
    assert_eq!(codes(&format!("import std/web\n{}", site("use web.hsts\nelse -> web"))), [""; 0]);
    // What one of several patterns lacks may be missing.
    let two =
        |value: &str| site(&format!("/u/{{id}}, /me {{\nset request header x-id = {value}\n-> api\n}}\nelse -> web"));
    assert_eq!(codes(&two("id")), ["G1012"]);
    let good = sound(&two("id if missing \"me\""));
    assert_eq!(ask(&good, "GET https://a.example.com/u/7", &[]), "api [x-id: 7]");
    assert_eq!(ask(&good, "GET https://a.example.com/me", &[]), "api [x-id: me]");
    let hosts = "pool web = 10.0.0.1:80\nsite {t}.b.example, b.example {\n    set request header x-t = t if missing \"none\"\n    else -> web\n}\n";
    let good = sound(hosts);
    assert_eq!(ask(&good, "GET https://x.b.example/", &[]), "web [x-t: x]");
    assert_eq!(ask(&good, "GET https://b.example/", &[]), "web [x-t: none]");
}

#[test]
fn rule_13_endpoints_stand_in_pools() {
    let found = codes(&site("10.0.0.1:80\nelse -> web"));
    assert!(found.contains(&"G1022") || found.contains(&"G0001"), "{found:?}");
    assert!(
        codes("pool a {\n    10.0.0.1:80\n    /x -> respond 200\n}\n").iter().any(|c| *c == "G1022" || *c == "G0001")
    );
}

#[test]
fn rule_14_a_proxied_exact_path_is_a_warning() {
    assert_eq!(codes(&site("/api -> api\nelse -> web")), ["G2026"]);
    assert_eq!(codes(&site("/api/* -> api\nelse -> web")), [""; 0]);
    assert_eq!(codes(&site("/api -> api\n/api/* -> web\nelse -> web")), [""; 0], "its sibling is there");
    assert_eq!(codes(&site("/api -> respond 200\nelse -> web")), [""; 0], "only pools have prefixes");
}

#[test]
fn rule_15_the_salt_is_site_and_pattern() {
    use dsl::tree::ir::{Answer, Destination};
    let salts = |text: &str| -> Vec<u64> {
        let compiled = sound(text);
        let plans = compiled.programs.iter().flat_map(|p| p.site().plans.clone());
        plans
            .filter_map(|p| match p.answer {
                Answer::Proxy { to: Destination::Split { salt, .. }, .. } => Some(salt),
                _ => None,
            })
            .collect()
    };
    let before = salts(&site("/x/* -> 95% web, 5% api by client.ip\nelse -> 95% web, 5% api by client.ip"));
    let after =
        salts(&site("/y/* -> web\n/x/* -> 90% web, 10% api by client.ip\nelse -> 95% web, 5% api by client.ip"));
    assert_eq!(before, after, "neither shares nor neighbours change it");
    assert_ne!(before[0], before[1]);
}

#[test]
fn rule_16_policies_add_and_settings_replace() {
    let compiled = sound(&site(
        "timeout 30s\nset response header x-a = \"1\"\n/x/* {\ntimeout 5s\nset response header x-b = \"2\"\n-> api\n}\nelse -> web",
    ));
    assert_eq!(ask(&compiled, "GET https://a.example.com/x", &[]), "api [x-a: 1] [x-b: 2]");
    let timeouts: Vec<_> = compiled.programs[0].site().plans.iter().map(|p| p.settings.timeout_ms).collect();
    assert!(timeouts.contains(&Some(5_000)) && timeouts.contains(&Some(30_000)), "{timeouts:?}");
}

#[test]
fn rule_17_a_test_of_an_edited_header_is_an_error() {
    let edits = ["set request header x-a = \"b\"", "remove request header X-A"];
    for edit in edits {
        let text = site(&format!("{edit}\n/x/* when header.x-a is \"b\" -> api\nelse -> web"));
        assert!(codes(&text).contains(&"G1025"), "{edit}");
        let inner = site(&format!("{edit}\n/x/* {{\nrequire header.x-a is \"b\" else deny\n-> api\n}}\nelse -> web"));
        assert!(codes(&inner).contains(&"G1025"), "{edit}");
    }
    let before = site("require header.x-a is \"b\" else deny\nremove request header x-a\nelse -> web");
    assert_eq!(codes(&before), [""; 0], "tested first, removed then");
    let answer = site("set response header x-a = \"b\"\n/x/* when header.x-a is \"b\" -> api\nelse -> web");
    assert_eq!(codes(&answer), [""; 0], "the response's headers are others");
}

#[test]
fn rule_18_inner_response_headers_come_last() {
    let good = sound(&site(
        "set response header x-a = \"outer\"\n/x/* {\nset response header x-a = \"inner\"\n-> api\n}\nelse -> web",
    ));
    assert_eq!(ask(&good, "GET https://a.example.com/x", &[]), "api [x-a: inner]");
    assert_eq!(ask(&good, "GET https://a.example.com/y", &[]), "web [x-a: outer]");
}

#[test]
fn rule_19_the_innermost_catch_comes_first() {
    use dsl::tree::ir::Answer;
    let compiled =
        sound(&site("catch [502, 503] -> respond 503 \"outer\"\n/x/* {\ncatch [502] -> web\n-> api\n}\nelse -> web"));
    let plans = &compiled.programs[0].site().plans;
    let inner = plans.iter().find(|p| p.catches.len() == 2).expect("the block's plan has both");
    assert_eq!(inner.catches[0].statuses, [502]);
    assert!(matches!(inner.catches[0].answer, Answer::Proxy { .. }));
    assert_eq!(inner.catches[1].statuses, [502, 503]);
    assert_eq!(codes(&site("catch [200] -> respond 503\nelse -> web")), ["G2015"]);
    assert!(codes(&site("catch [99] -> respond 503\nelse -> web")).contains(&"G1011"));
}

#[test]
fn rule_20_header_edits_are_read_off_the_program() {
    let good = sound(&site("remove request header Cookie\nset request header X-User = \"a\"\nelse -> web"));
    assert_eq!(ask(&good, "GET https://a.example.com/", &[]), "web [-cookie] [x-user: a]");
    assert_eq!(codes(&site("set request header content-length = \"1\"\nelse -> web")), ["G1028"]);
    assert_eq!(codes(&site("set request header host = \"b\"\nelse -> web")), ["G1028"]);
}

#[test]
fn rule_24_every_hole_is_encoded_for_its_place() {
    let good = sound(&site(
        "/f/*rest -> web at /g/{rest}\n/s/{name} -> redirect \"/t/{name}?n={name}\"\n\
         /h/{name} {\nset request header x-name = name\n-> web\n}\n\
         /q {\nset request header x-name = query.n if missing \"\"\n-> web\n}\nelse -> web",
    ));
    assert_eq!(ask(&good, "GET https://a.example.com/f/a/b", &[]), "web at /g/a/b");
    assert_eq!(ask(&good, "GET https://a.example.com/s/a%3Fb%26c", &[]), "redirect 302 /t/a%3Fb%26c?n=a%3Fb%26c");
    assert_eq!(ask(&good, "GET https://a.example.com/q?n=a%0Ab", &[]), "deny 400");
    assert_eq!(ask(&good, "GET https://a.example.com/q?n=a%20b", &[]), "web [x-name: a b]");
    assert_eq!(ask(&good, "GET https://a.example.com/h/a%20b", &[]), "web [x-name: a b]");
}

#[test]
fn rule_25_the_client_does_not_choose_the_authority() {
    for target in [
        "\"{query.x}\"",
        "\"https://{query.x}/\"",
        "\"https://b.example{query.x}\"",
        "\"https://b.example{request.path}\"",
    ] {
        let text = site(&format!("/x when query.x -> redirect {target}\nelse -> web"));
        assert_eq!(codes(&text), ["G3008"], "{target}");
    }
    for target in [
        "\"/{query.x}\"",
        "\"https://b.example/{query.x}\"",
        "\"https://b.example?x={query.x}\"",
        "\"https://b.example{request.uri}\"",
    ] {
        let text = site(&format!("/x when query.x -> redirect {target}\nelse -> web"));
        assert_eq!(codes(&text), [""; 0], "{target}");
    }
}

#[test]
fn rule_28_a_hosts_most_specific_owner_claims_it() {
    let text = "site a.example.com {\n    else -> respond 200 \"a\"\n}\nsite *.example.com {\n    else -> respond 200 \"any\"\n}\n";
    assert_eq!(codes(text), [""; 0], "a wildcard beside one of its hosts is no conflict");
    assert_eq!(codes(&format!("{text}site a.example.com {{\n    else -> respond 404\n}}\n")), ["G2007"]);
    assert_eq!(
        codes(
            "site pr-{n}.x.example {\n    else -> respond 404\n}\nsite {n}-eu.x.example {\n    else -> respond 404\n}\n"
        ),
        ["G2002"]
    );
}

#[test]
fn rule_29_listeners_do_not_overlap() {
    let gateway = |body: &str| {
        let files = Files::one("sites/gateway.route", &format!("gateway {{\n{body}\n}}\n"));
        files.compile(0).diagnostics.iter().map(|d| d.code).collect::<Vec<_>>()
    };
    assert_eq!(gateway("http :8080\nhttps 10.0.0.1:8080"), ["G7001"]);
    assert_eq!(gateway("http 10.0.0.2:8080\nhttps 10.0.0.1:8080"), [""; 0]);
    assert_eq!(gateway("http :8080\nhttps :8443"), [""; 0]);
}

/// One mistake is one finding: what a condition of the wrong type would have meant is not known.
#[test]
fn a_wrong_condition_is_not_taken_for_a_condition_that_always_holds() {
    let text = "site a.example.com {\n    /u/{id:int} when id is \"7\" -> respond 200\n    /u/{id:int} -> respond 404\n    else -> respond 404\n}\n";
    let unit = dsl::Unit {
        file: dsl::syntax::span::FileId(1),
        path: "a.route",
        text,
        gateway: false,
        modules: &dsl::NoModules,
    };
    let codes: Vec<_> = dsl::compile(&unit).diagnostics.iter().map(|d| d.code).collect();
    assert_eq!(codes, ["G1010"]);
}
