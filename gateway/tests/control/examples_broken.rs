//! The eight tasks of the examples and the small SaaS, each broken in ways that people break such files: `sluice lint` says it, with
//! the right code, before it serves. Where only a test or a proof of the example notices, it is G9007 or G9002.

use crate::support::Dir;
use std::path::Path;

/// An example, a file of it, what is replaced in it, and what is said then.
type Break = (&'static str, &'static str, &'static str, &'static str, &'static str);

const BREAKS: &[Break] = &[
    // (a) three hosts, and a session in front of the administration
    ("shop", "shop.route", "use auth.session(\"sid\", key", "use auth.sesion(\"sid\", key", "error[G1004]"),
    ("shop", "shop.route", "    /logout {", "    /admin/export -> admin\n    /logout {", "error[G3001]"),
    ("shop", "shop.route", "site api.localhost {\n    -> api", "site api.localhost {\n    -> admin", "error[G9007]"),
    ("shop", "shop.route", "key: secret.session-key, login: /login", "key: \"hunter2\", login: /login", "error[G3016]"),
    (
        "shop",
        "shop.route",
        "        use auth.session(\"sid\", key: secret.session-key, login: /login)\n",
        "",
        "error[G9007]",
    ),
    ("shop", "shop.route", "sub: who.sub, for", "sub: cookie.name, for", "error[G1012]"),
    // (b) tenants, certificates on demand
    ("tenants", "tenants.route", "    use tenants.told(tenant)\n", "", "error[G9007]"),
    ("tenants", "tenants.route", "told(tenant)", "told(tennant)", "error[G1003]"),
    (
        "tenants",
        "tenants.route",
        "    -> respond 200 \"which tenant?",
        "    /admin/* -> app\n    else -> respond 200 \"which tenant?",
        "error[G9002]",
    ),
    ("tenants", "tenants.route", "ask(control, GET", "ask(contrl, GET", "error[G1002]"),
    // (c) one port for what ends here and what does not
    ("passthrough", "vault.route", "-> vault\n\ntest", "-> valt\n\ntest", "error[G1002]"),
    (
        "passthrough",
        "vault.route",
        "passthrough vault.localhost -> vault",
        "passthrough vault.localhost {\n    require header.x-key\n    -> vault\n}",
        "error[G7002]",
    ),
    ("passthrough", "gateway.route", "metrics 127.0.0.1:9090", "metrics 127.0.0.1:8080", "error[G7001]"),
    (
        "passthrough",
        "www.route",
        "test \"what ends here\"",
        "site vault.localhost {\n    -> respond 404\n}\n\ntest \"what ends here\"",
        "error[G2007]",
    ),
    ("passthrough", "vault.route", "passthrough vault.localhost", "passthrough safe.localhost", "error[G9007]"),
    // (d) UDP, one address always on the same server
    ("udp-game", "game.route", "balance maglev client.ip", "balance maglev tls.sni", "error[G"),
    ("udp-game", "game.route", "    idle 30s\n", "", "warning[G7004]"),
    ("udp-game", "game.route", "    -> game\n", "    -> gmae\n", "error[G1002]"),
    ("udp-game", "game.route", "udp 127.0.0.1:27015 {", "udp 127.0.0.1:27016 {", "error[G9007]"),
    // (e) limits by key
    ("api-limits", "api.route", "per who.owner if missing deny 401", "per header.x-client", "error[G1012]"),
    ("api-limits", "api.route", "        use auth.api-key(secret.api-keys)\n", "", "error[G9007]"),
    (
        "api-limits",
        "api.route",
        "limit 5/s burst 10 per who.owner if missing deny 401",
        "limit 5/s burst 10 per header.x-forwarded-for if missing deny 401",
        "error[G3005]",
    ),
    ("api-limits", "api.route", "limit 5/s burst 10", "limit 5/s burst 11", "error[G9007]"),
    ("api-limits", "api.route", "    /healthz ->", "    /v1/admin -> api\n    /healthz ->", "error[G3001]"),
    // (f) a canary
    ("canary", "shop.route", "95% pools.stable, 5%", "90% pools.stable, 5%", "error[G2009]"),
    (
        "canary",
        "shop.route",
        "when cookie.canary is \"never\"  -> pools.stable",
        "when cookie.canary is \"always\" -> pools.stable",
        "error[G2004]",
    ),
    ("canary", "shop.route", "-> pools.search\n", "-> pools.serch\n", "error[G1004]"),
    ("canary", "shop.route", "        catch [502, 503, 504] -> pools.stable\n", "", "error[G9007]"),
    // (g) TLS to the origins
    ("reencrypt", "ledger.route", "        min    1.3\n", "        verify off\n", "error[G4008]"),
    (
        "reencrypt",
        "ledger.route",
        "        name   ledger.internal  # sent as SNI, and what the certificate must be for\n",
        "",
        "error[G4009]",
    ),
    ("reencrypt", "ledger.route", "-> ledger host", "-> stranger host", "error[G9007]"),
    ("reencrypt", "ledger.route", ", \"n4bQgYhMfWWaL+qgxVrQFaO/TxsrC4Is0V1sFbDwCgg=\"", "", "warning[G4010]"),
    // (h) rewrites
    ("rewrites", "www.route", "at /internal/{version}/{rest}", "at /internal/{vresion}/{rest}", "error[G1003]"),
    ("rewrites", "www.route", "{year:int}/{slug} ->", "{year}/{slug} ->", "error[G9007]"),
    ("rewrites", "www.route", "        remove request  header cookie\n", "", "error[G9007]"),
    (
        "rewrites",
        "www.route",
        "site blog.localhost {\n    -> web",
        "site blog.localhost {\n    /old/* -> legacy\n    else -> web",
        "error[G9002]",
    ),
    (
        "rewrites",
        "www.route",
        "    /healthz ",
        "    /{page} -> web\n    /healthz/{part} -> web\n    /{any}/live -> api\n    /healthz ",
        "error[G2002]",
    ),
    // A login in front of the administration, keys in front of the interface
    ("saas", "shop.route", "        use auth.login(by: pools.staff)\n", "", "error[G9007]"),
    ("saas", "shop.route", "    /login/callback    -> login pools.staff\n", "", "error[G3030]"),
    ("saas", "shop.route", "    /logout  ", "    /admin/export -> pools.admin\n    /logout  ", "error[G3001]"),
    ("saas", "api.route", "    /health ->", "    /staff/* -> pools.admin\n    /health ->", "error[G9002]"),
    ("saas", "shop.route", "        remove request header x-owner\n", "", "warning[G3018]"),
    ("saas", "api.route", "        use auth.api-key(secret.api-keys)\n", "", "error[G9007]"),
    ("saas", "api.route", "per who.owner if missing deny 401", "per header.x-api-kye", "error[G1012]"),
    ("saas", "api.route", "https://shop.localhost:8443\"], headers", "*\"], headers", "error[G9007]"),
];

fn copied(example: &str) -> Dir {
    let dir = Dir::new();
    let sites = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("examples").join(example).join("sites");
    copy(&dir, &sites, "sites");
    dir
}

fn copy(dir: &Dir, from: &Path, to: &str) {
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let to = format!("{to}/{}", path.file_name().unwrap().to_str().unwrap());
        if path.is_dir() {
            copy(dir, &path, &to);
        } else {
            dir.write(&to, &std::fs::read_to_string(&path).unwrap());
        }
    }
}

#[test]
fn each_example_is_clean_and_its_tests_and_proofs_pass() {
    let mut examples: Vec<&str> = BREAKS.iter().map(|(example, ..)| *example).collect();
    examples.dedup();
    assert_eq!(examples.len(), 9);
    for example in examples {
        let dir = copied(example);
        let (code, out, err) = dir.run(&["lint", "--deny", "warnings"]);
        assert_eq!(code, Some(0), "{example}: {out}{err}");
        let (code, out, err) = dir.run(&["test"]);
        assert_eq!(code, Some(0), "{example}: {out}{err}");
        assert!(out.contains("  ok  "), "{example} has tests: {out}");
        assert!(BREAKS.iter().filter(|(name, ..)| *name == example).count() >= 3, "{example}");
    }
}

#[test]
fn what_breaks_an_example_is_caught() {
    let mut missed = Vec::new();
    for (example, file, find, instead, said) in BREAKS {
        let dir = copied(example);
        let path = format!("sites/{file}");
        let text = std::fs::read_to_string(dir.path().join(&path)).unwrap();
        assert_eq!(text.matches(find).count(), 1, "{example}/{file} has {find:?} once");
        dir.write(&path, &text.replacen(find, instead, 1));
        let (code, out, err) = dir.run(&["lint", "--deny", "warnings", "--format", "concise"]);
        if code != Some(1) || !out.contains(said) {
            missed.push(format!("{example}/{file}: {find:?} -> {instead:?}\nsays {out}{err}not  {said}"));
        }
    }
    assert!(missed.is_empty(), "{}", missed.join("\n\n"));
}
