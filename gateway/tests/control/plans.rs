//! `plan`, `explain --who-reaches`, and proofs in `test` and `lint`: what they print and how they end.

use crate::support::Dir;

/// The shipped example, as one directory and as another.
fn saas() -> Dir {
    let dir = Dir::new();
    let from = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/saas/sites");
    for name in ["gateway", "pools", "shop", "api", "www"] {
        let text = std::fs::read_to_string(from.join(format!("{name}.route"))).unwrap();
        dir.write(&format!("old/{name}.route"), &text);
        dir.write(&format!("new/{name}.route"), &text);
    }
    for version in ["old", "new"] {
        dir.write(&format!("{version}/public/logo.svg"), "<svg/>");
    }
    dir
}

fn edit(dir: &Dir, file: &str, edits: &[(&str, &str)]) {
    let path = dir.path().join("new").join(file);
    let mut text = std::fs::read_to_string(&path).unwrap();
    for (from, to) in edits {
        assert!(text.contains(from), "{from} in {text}");
        text = text.replace(from, to);
    }
    dir.write(&format!("new/{file}"), &text);
}

#[track_caller]
fn ends(dir: &Dir, args: &[&str], code: i32, expected: &str) {
    let (ended, out, err) = dir.run(args);
    assert_eq!((ended, out.as_str()), (Some(code), expected), "{err}");
}

const ALL_WELL: &str = "  5 of 5 proofs hold · 9 of 9 tests pass\n";

#[test]
fn two_versions_of_the_example_that_mean_the_same() {
    let dir = saas();
    let none = format!("plan: no change in behaviour\n{ALL_WELL}");
    ends(&dir, &["plan", "old", "new"], 0, &none);
    // Pools of other names, in every file.
    edit(&dir, "pools.route", &[("pool app", "pool front"), ("pool api", "pool interface")]);
    for file in ["shop.route", "api.route", "gateway.route"] {
        let text = std::fs::read_to_string(dir.path().join("new").join(file)).unwrap();
        let renamed = text.replace("pools.app", "pools.front").replace("pools.api", "pools.interface");
        dir.write(&format!("new/{file}"), &renamed);
    }
    ends(&dir, &["plan", "old", "new"], 0, &none);
    // A policy taken out, and a site in another file and folder.
    edit(
        &dir,
        "shop.route",
        &[
            (
                "site shop.localhost {",
                "policy reading {\n    require method in [GET, HEAD, POST] else deny 405\n}\n\nsite shop.localhost {",
            ),
            (
                "        require method in [GET, HEAD, POST] else deny 405\n        set",
                "        use reading\n        set",
            ),
        ],
    );
    let www = std::fs::read_to_string(dir.path().join("new/www.route")).unwrap();
    std::fs::remove_file(dir.path().join("new/www.route")).unwrap();
    dir.write("new/old-hosts/www.route", &www);
    ends(&dir, &["plan", "old", "new"], 0, &none);
}

#[test]
fn two_versions_of_the_example_that_differ() {
    let dir = saas();
    edit(&dir, "shop.route", &[("require method in [GET, HEAD, POST]", "require method in [GET, HEAD]")]);
    edit(&dir, "www.route", &[("redirect 308 https://shop.localhost:8443{request.uri}", "respond 410")]);
    edit(
        &dir,
        "www.route",
        &[
            ("    request GET https://www.localhost/blog/latest/hello?a=b\n", ""),
            ("    expect redirect 308 https://shop.localhost:8443/blog/latest/hello?a=b\n", ""),
        ],
    );
    dir.write("new/next.route", "site next.localhost {\n    else -> respond 200 \"soon\"\n}\n");
    let (code, out, err) = dir.run(&["plan", "old", "new"]);
    assert_eq!(code, Some(2), "{out}{err}");
    assert_eq!(
        out,
        "plan: 3 behaviours change
  next.localhost
    + /*  404, no site → respond 200 \"soon\"
        e.g. GET https://next.localhost/
  shop.localhost
    - /api/{version:v1|v2}/*  when method is POST  api → deny 405
        e.g. POST https://shop.localhost/api/v1
  www.localhost
    - /*  redirect 308 https://shop.localhost:8443{request.uri} → respond 410
        e.g. GET https://www.localhost/
  4 of 5 proofs hold · 9 of 9 tests pass
"
    );
    let (code, out, _) = dir.run(&["plan", "--format", "json", "old", "new"]);
    let told: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, &told["verdict"]), (Some(2), &"changes".into()));
    assert_eq!(told["changes"][1]["when"], "method is POST");
    assert_eq!(told["proofs"]["well"], 4);
    // One file, whatever lies beside it.
    ends(
        &dir,
        &["plan", "old/www.route", "new/www.route"],
        2,
        "plan: 1 behaviour changes
  www.localhost
    - /*  redirect 308 https://shop.localhost:8443{request.uri} → respond 410
        e.g. GET https://www.localhost/
  1 of 1 tests pass
",
    );
}

#[test]
fn what_cannot_be_compared_is_no_answer() {
    let dir = saas();
    dir.write("new/broken.route", "site broken.localhost {\n    else -> nowhere\n}\n");
    let (code, out, err) = dir.run(&["plan", "old", "new"]);
    assert_eq!((code, out.as_str()), (Some(1), ""));
    assert!(err.contains("new does not load, so it cannot be compared"), "{err}");
    let (code, _, err) = dir.run(&["plan", "old", "nowhere"]);
    assert_eq!(code, Some(1));
    assert!(err.contains("cannot read `nowhere`"), "{err}");
    std::fs::remove_file(dir.path().join("new/broken.route")).unwrap();
    let site =
        |cond: &str| format!("site x.localhost {{\n    /x when {cond} -> respond 200\n    else -> respond 404\n}}\n");
    dir.write("old/x.route", &site("header.a is header.b"));
    dir.write("new/x.route", &site("header.a is header.b or header.b is header.a"));
    let (code, out, _) = dir.run(&["plan", "old", "new"]);
    assert_eq!(code, Some(1));
    assert!(out.starts_with("plan: possibly 1 behaviour changes\n"), "{out}");
}

#[test]
fn a_proof_that_fails_is_told_with_its_request() {
    let dir = saas();
    dir.write("new/back.route", "import ./pools\n\nsite back.localhost {\n    else -> pools.app\n}\n");
    let (code, out, err) = dir.run(&["test", "new"]);
    assert_eq!(code, Some(1), "{err}");
    let failed = "  FAILED  prove files and answers of the application are hardened  [new/shop.route:";
    assert!(out.contains(failed), "{out}");
    assert!(out.contains("got       a request that reaches pool app without `web.secure-headers`"), "{out}");
    assert!(out.contains("request   GET https://back.localhost/  [new/back.route:4]"), "{out}");
    assert!(out.contains("      answer     pool app: 127.0.0.1:9001"), "{out}");
    // Of files that come together the one whose proof is false is refused, where the others came before it.
    let (code, out, _) = dir.run(&["lint", "--format", "concise", "new"]);
    assert_eq!(code, Some(1));
    assert!(out.contains("G9002") && out.contains("GET https://back.localhost/ reaches pool app"), "{out}");
}

#[test]
fn who_reaches_a_pool() {
    let dir = saas();
    ends(
        &dir,
        &["explain", "--who-reaches", "pools.api", "new"],
        0,
        "who reaches 127.0.0.1:9002
  api.localhost  /v1/* when not (method is OPTIONS and header.origin and header.access-control-request-method) and api-key(header.x-api-key, secret.api-keys) and (method in [GET, HEAD] or claim scope has \"write\")  -> api  · passes cors.allow, silent, allowed when header.origin is \"https://shop.localhost:8443\" and header.origin is not \"null\", preflight, auth.api-key  [new/api.route:21]
      e.g. GET https://api.localhost/v1 where api-key(header.x-api-key, secret.api-keys) says yes
  shop.localhost  /api/{version:v1|v2}/* when method in [GET, HEAD, POST]  -> api  · passes web.secure-headers  [new/shop.route:16]
      e.g. GET https://shop.localhost/api/v1
",
    );
    let (code, out, _) = dir.run(&["explain", "--who-reaches", "127.0.0.1:9001", "new", "--format", "json"]);
    let told: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(
        (code, told[0]["pool"].as_str(), told[0]["policies"][0].as_str()),
        (Some(0), Some("app"), Some("web.secure-headers"))
    );
    let (code, _, err) = dir.run(&["explain", "--who-reaches", "nobody", "new"]);
    assert_eq!(code, Some(2));
    assert!(err.contains("dialled are admin, api, app"), "{err}");
}

const TENANTS: &str = "gateway {
}
tenant acme {
    files \"acme/*.route\"
    owns  acme.localhost, **.acme.localhost
    dials [10.20.0.0/16]
}
tenant globex {
    files \"globex/*.route\"
    owns  globex.localhost
    dials [10.30.0.0/16]
}
";

#[test]
fn where_tenants_are_the_changes_are_told_tenant_by_tenant() {
    let dir = Dir::new();
    let says = |host: &str, says: &str| format!("site {host} {{\n    else -> respond 200 \"{says}\"\n}}\n");
    for version in ["old", "new"] {
        dir.write(&format!("{version}/gateway.route"), TENANTS);
        dir.write(&format!("{version}/www.route"), &says("www.localhost", version));
        dir.write(&format!("{version}/acme/a.route"), &says("acme.localhost", version));
        dir.write(&format!("{version}/globex/g.route"), &says("globex.localhost", "always"));
    }
    dir.write("new/acme/b.route", &says("b.acme.localhost", "b"));
    dir.write("new/gateway.route", &TENANTS.replace("10.30.0.0/16", "10.40.0.0/16"));
    ends(
        &dir,
        &["plan", "old", "new"],
        2,
        "plan: 4 behaviours change
  outside tenants: 1 behaviour changes
    www.localhost
      ~ /*  respond 200 \"old\" → respond 200 \"new\"
          e.g. GET https://www.localhost/
  tenant acme: 2 behaviours change
    acme.localhost
      ~ /*  respond 200 \"old\" → respond 200 \"new\"
          e.g. GET https://acme.localhost/
    b.acme.localhost
      + /*  404, no site → respond 200 \"b\"
          e.g. GET https://b.acme.localhost/
  tenant globex: 1 behaviour changes
    tenant
      ~ dials 10.30.0.0/16 → dials 10.40.0.0/16
",
    );
    let (_, out, _) = dir.run(&["plan", "--format", "json", "old", "new"]);
    let told: serde_json::Value = serde_json::from_str(&out).unwrap();
    let tenants: Vec<_> = told["changes"].as_array().unwrap().iter().map(|change| &change["tenant"]).collect();
    assert_eq!(tenants, [&serde_json::Value::Null, &"acme".into(), &"acme".into(), &"globex".into()]);
    ends(&dir, &["plan", "new", "new"], 0, "plan: no change in behaviour\n");
}
