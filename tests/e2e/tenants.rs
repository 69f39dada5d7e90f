//! Tenants: a file of one harms no other, and does nothing that gateway.route does not allow.

use sluice_tests::dns::Dns;
use sluice_tests::sluice::{Setup, run, says};
use sluice_tests::{Origin, Sluice};
use std::fs;
use std::os::unix::fs::symlink;
use std::time::Duration;

/// From the write to the answer.
const SOON: Duration = Duration::from_secs(2);

/// Two tenants; the gateway block's own brace ends the second.
fn tenants(acme: &str, globex: &str) -> Setup {
    Sluice::setup().gateway(&format!(
        "    export shared, base\n}}\n\npool shared = 127.0.0.1:1\n\npolicy base {{\n    set response header x-operator = \"yes\"\n}}\n\n\
         tenant acme {{\n    files \"acme/*.route\"\n    {acme}\n}}\n\n\
         tenant globex {{\n    files \"sites/globex/*.route\"\n    {globex}"
    ))
}

fn both() -> Setup {
    tenants("owns acme.test, **.acme.test\n    dials [127.0.0.0/8]\n    use base", "owns globex.test, **.globex.test")
}

/// Waits until a host says something.
#[track_caller]
fn soon(sluice: &Sluice, host: &str, text: &str) {
    let took = sluice.serves(host, "/", |reply| reply.status == 200 && reply.text() == text);
    assert!(took < SOON, "{host} says {text:?} after {took:?}");
}

#[test]
fn a_file_that_claims_somebody_elses_host_is_refused_and_everything_else_serves() {
    let sluice = both()
        .file("acme/a.route", says("acme.test", "acme"))
        .file("globex/g.route", says("globex.test", "globex"))
        .file("o.route", says("o.test", "operator"))
        .start();
    soon(&sluice, "acme.test", "acme");
    soon(&sluice, "globex.test", "globex");
    sluice.write("acme/thief.route", says("shop.globex.test", "acme"));
    let line = sluice.says("that it is refused", |line| line.contains("refused") && line.contains("G8001"));
    assert!(line.contains("`shop.globex.test` belongs to globex"), "{line}");
    assert_ne!(sluice.get("shop.globex.test", "/").status, 200);
    sluice.write("acme/wide.route", says("**.test", "acme"));
    sluice.says("that it would take others' hosts", |line| line.contains("refused") && line.contains("G8005"));
    sluice.write("acme/deep/port.route", "pool db = 127.0.0.1:2\n\ntcp 127.0.0.1:1 -> db\n");
    sluice.says("that it binds no listeners", |line| line.contains("refused") && line.contains("G8004"));
    for (host, text) in [("acme.test", "acme"), ("globex.test", "globex"), ("o.test", "operator")] {
        assert_eq!(sluice.get(host, "/").text(), text);
    }
    let lint = run(&["lint", sluice.sites().to_str().unwrap()]);
    let text = String::from_utf8_lossy(&lint.stdout).into_owned() + &String::from_utf8_lossy(&lint.stderr);
    assert_eq!(lint.status.code(), Some(1));
    assert!(text.contains("G8001") && text.contains("G8004") && text.contains("G8005"), "{text}");
}

#[test]
fn the_operators_policy_stands_around_every_site_of_the_tenant_and_follows_its_file() {
    let sluice = both()
        .file("acme/a.route", says("acme.test", "acme"))
        .file("globex/g.route", format!("import gateway\n\n{}", says("globex.test", "globex")))
        .start();
    let header = |host: &str| sluice.get(host, "/").header("x-operator").map(str::to_owned);
    assert_eq!(header("acme.test").as_deref(), Some("yes"));
    assert_eq!(header("globex.test"), None);
    let gateway = fs::read_to_string(sluice.sites().join("gateway.route")).unwrap();
    sluice.write("gateway.route", gateway.replace("\"yes\"", "\"again\""));
    let took = sluice.serves("acme.test", "/", |reply| reply.header("x-operator") == Some("again"));
    assert!(took < SOON, "{took:?}");
}

#[test]
fn a_host_that_changes_its_owner_does_not_stay_with_the_one_before() {
    let sluice = both().file("acme/a.route", says("x.acme.test", "acme")).start();
    soon(&sluice, "x.acme.test", "acme");
    let gateway = fs::read_to_string(sluice.sites().join("gateway.route")).unwrap();
    let moved = gateway
        .replace("owns acme.test, **.acme.test", "owns acme.test")
        .replace("owns globex.test, **.globex.test", "owns globex.test, **.acme.test");
    sluice.write("globex/g.route", says("x.acme.test", "globex"));
    sluice.says("that globex may not", |line| line.contains("refused") && line.contains("globex/g.route"));
    sluice.write("gateway.route", moved);
    soon(&sluice, "x.acme.test", "globex");
}

#[test]
fn rule_28_a_wildcard_of_another_owner_does_not_answer() {
    let sluice = tenants("owns **.wide.test", "owns shop.wide.test, **.shop.wide.test")
        .file("acme/a.route", says("**.wide.test", "acme"))
        .start();
    soon(&sluice, "other.wide.test", "acme");
    assert_eq!(sluice.get("shop.wide.test", "/").status, 404);
    assert_eq!(sluice.get("a.shop.wide.test", "/").status, 404);
    sluice.write("globex/g.route", says("shop.wide.test", "globex"));
    soon(&sluice, "shop.wide.test", "globex");
    fs::remove_file(sluice.sites().join("globex/g.route")).unwrap();
    let took = sluice.serves("shop.wide.test", "/", |reply| reply.status == 404);
    assert!(took < SOON, "{took:?}");
}

#[test]
fn names_that_lead_outside_of_what_a_tenant_dials_are_not_dialled() {
    let origin = Origin::fixed("origin");
    let dns = Dns::start();
    dns.set("api.internal", &["10.99.0.1"], 1);
    let port = origin.addr().port();
    let route = format!(
        "pool api {{\n    api.internal:{port}\n    resolve every 1s\n}}\n\nsite acme.test {{\n    http allowed\n    else -> api\n}}\n"
    );
    let setup = Sluice::setup().gateway(&format!(
        "    resolver {}\n}}\n\ntenant acme {{\n    files \"acme/*.route\"\n    owns acme.test\n    dials [127.0.0.0/8]",
        dns.addr()
    ));
    let sluice = setup.file("acme/a.route", &route).start();
    let line = sluice.says("that it is not dialled", |line| line.contains("G8002"));
    assert!(line.contains("10.99.0.1 is not acme's to dial"), "{line}");
    assert_eq!(sluice.get("acme.test", "/").status, 503);
    dns.set("api.internal", &["127.0.0.1"], 1);
    soon(&sluice, "acme.test", "origin");
    sluice.write("acme/b.route", route.replace("acme.test", "b.acme.test").replace("api.internal", "10.0.0.1"));
    sluice.says("that an address outside is refused", |line| line.contains("refused") && line.contains("acme/b.route"));
}

#[test]
fn rule_27_imports_and_links_do_not_lead_out_of_a_tenants_files() {
    let sluice = both().file("globex/pools.route", "pool theirs = 127.0.0.1:1\n").start();
    let importing = |module: &str| format!("import {module}\n\n{}", says("acme.test", "acme"));
    sluice.write("acme/a.route", importing("../globex/pools"));
    sluice.says("that it leads out", |line| line.contains("refused") && line.contains("acme/a.route"));
    symlink("../globex/pools.route", sluice.sites().join("acme/pools.route")).unwrap();
    sluice.write("acme/a.route", importing("./pools"));
    sluice.says("that the link leads out", |line| {
        line.contains("refused") && line.contains("leads out of the tenant's files")
    });
    fs::remove_file(sluice.sites().join("acme/pools.route")).unwrap();
    sluice.write("acme/pools.route", "pool own = 127.0.0.1:1\n");
    sluice.write("acme/a.route", importing("./pools"));
    soon(&sluice, "acme.test", "acme");
}

#[test]
fn a_tenant_over_its_limits_is_told() {
    let limits = "owns acme.test\n    limits {\n        routes 1\n        table-rows 1\n    }";
    let table = "table t: text -> text from \"t.csv\"\n\n";
    let site = "site acme.test {\n    http allowed\n    /a when host in t -> respond 200 \"b\"\n    else -> respond 200 \"a\"\n}\n";
    let sluice = tenants(limits, "owns globex.test")
        .file("acme/a.route", format!("{table}{site}"))
        .file("acme/t.csv", "a,1\nb,2\n")
        .start();
    assert_eq!(sluice.get("acme.test", "/a").text(), "a");
    let lint = run(&["lint", sluice.sites().to_str().unwrap()]);
    let text = String::from_utf8_lossy(&lint.stdout).into_owned() + &String::from_utf8_lossy(&lint.stderr);
    assert_eq!(lint.status.code(), Some(0), "{text}");
    assert!(text.contains("acme has 2 routes, and its limit is 1"), "{text}");
    assert!(text.contains("acme has 2 rows of tables, and its limit is 1"), "{text}");
}
