//! Tenants: what their files may claim, dial and read, and what the operator puts around them.

#![allow(clippy::unwrap_used)] // a test that cannot read its case fails

mod front;

use dsl::diagnostic::Severity;
use dsl::tree::ir::Step;
use front::Files;

const GATEWAY: &str = "gateway {
    edition 2026
    export shared, policy base
}

pool shared = 10.9.0.1:80
pool hidden = 10.9.0.2:80

policy base {
    set response header x-tenant = \"yes\"
    remove request header x-secret
}

tenant acme {
    files   \"sites/acme/*.route\"
    owns    acme.com, **.acme.com
    dials   [10.20.0.0/16] unix:/run/acme.sock
    secrets \"acme-*\"
    use base
}

tenant globex {
    files \"globex/*.route\"
    owns  globex.com, **.globex.com
    dials [10.30.0.0/16]
}

tenant initech {
    files \"initech/*.route\"
    owns  initech.com, **.initech.com
}
";

fn files(acme: &str) -> Files {
    Files(vec![("sites/acme/a.route".into(), acme.into()), ("sites/gateway.route".into(), GATEWAY.into())])
}

fn said(files: &Files) -> Vec<String> {
    let wrong = files.compile(0).diagnostics;
    wrong.iter().filter(|d| d.severity == Severity::Error).map(|d| format!("{} {}", d.code, d.message)).collect()
}

#[track_caller]
fn one(acme: &str, wanted: &str) {
    let said = said(&files(acme));
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(said[0].starts_with(wanted), "{said:?}");
}

#[test]
fn the_gateway_file_is_sound() {
    let gateway = Files::one("sites/gateway.route", GATEWAY);
    let compiled = gateway.compile(0);
    assert!(compiled.is_sound(), "{}", gateway.render(&compiled.diagnostics));
    assert_eq!(compiled.tenants.len(), 3);
}

#[test]
fn rule_28_a_tenant_claims_what_it_owns_and_nothing_else() {
    assert_eq!(
        said(&files("site acme.com, shop.acme.com, *.x.acme.com, {a}.acme.com {\n    else -> respond 404\n}\n")),
        [""; 0]
    );
    one("site b.com {\n    else -> respond 404\n}\n", "G8001 `b.com` is not acme's to claim");
    one("site shop.globex.com {\n    else -> respond 404\n}\n", "G8001 `shop.globex.com` belongs to globex");
    one(
        "import gateway\npassthrough vault.globex.com -> gateway.shared\n",
        "G8001 `vault.globex.com` belongs to globex",
    );
    one(
        "site *.com {\n    else -> respond 404\n}\n",
        "G8005 `*.com` would take hosts of 2 other tenants, such as globex.com",
    );
    one(
        "site **.com {\n    else -> respond 404\n}\n",
        "G8005 `**.com` would take hosts of 2 other tenants, such as globex.com",
    );
    one("site *.org {\n    else -> respond 404\n}\n", "G8001 `*.org` is not acme's to claim");
}

#[test]
fn rule_28_the_most_specific_owner_has_a_host() {
    let gateway = GATEWAY
        .replace("owns    acme.com, **.acme.com", "owns    **.com")
        .replace("owns  initech.com, **.initech.com", "owns  x.globex.com");
    let with = |path: &str, host: &str| {
        let text = format!("site {host} {{\n    else -> respond 404\n}}\n");
        said(&Files(vec![(path.into(), text), ("sites/gateway.route".into(), gateway.clone())])).join("; ")
    };
    assert_eq!(with("sites/acme/a.route", "a.other.com"), "");
    assert_eq!(with("sites/acme/a.route", "**.com"), "", "what others own it does not answer");
    assert!(with("sites/acme/a.route", "a.globex.com").starts_with("G8001 `a.globex.com` belongs to globex"));
    assert_eq!(with("sites/globex/a.route", "a.globex.com"), "");
    assert!(with("sites/globex/a.route", "x.globex.com").starts_with("G8001 `x.globex.com` belongs to initech"));
    assert_eq!(with("sites/initech/a.route", "x.globex.com"), "");
}

#[test]
fn rule_27_what_a_tenant_dials_is_named() {
    let site = "site acme.com {\n    else -> api\n}\n";
    let with = |pool: &str| said(&files(&format!("{pool}\n{site}"))).join("; ");
    assert_eq!(with("pool api = 10.20.0.5:80"), "");
    assert_eq!(with("pool api = unix:/run/acme.sock"), "");
    assert_eq!(with("pool api = api.acme.internal:80"), "", "names are held against it when they are looked up");
    for pool in ["10.30.0.5:80", "127.0.0.1:80", "unix:/run/other.sock", "169.254.169.254:80", "[::1]:80"] {
        assert!(with(&format!("pool api = {pool}")).starts_with("G8002 "), "{pool}");
    }
    let pools = files(&format!("pool api = api.acme.internal:80\n{site}")).compile(0);
    assert_eq!(&*pools.programs[0].site().pools[0].dials.as_ref().unwrap().tenant, "acme");
}

#[test]
fn secrets_listeners_and_the_gateways_own_words_are_not_for_tenants() {
    let site = "site acme.com {\n    else -> api\n}\n";
    let sticky = |name: &str| {
        format!(
            "pool api {{\n    10.20.0.5:80\n    10.20.0.6:80\n    check tcp\n    sticky cookie \"r\" key secret.{name}\n}}\n{site}"
        )
    };
    assert_eq!(said(&files(&sticky("acme-key"))), [""; 0]);
    one(&sticky("globex-key"), "G8003 `secret.globex-key` is not acme's to read");
    one("pool db = 10.20.0.5:5432\ntcp :5432 -> db\n", "G8004 files of acme bind no listeners");
    one("tenant other {\n    files \"x/*.route\"\n}\n", "G8004 only gateway.route may say `tenant`");
    one("gateway {\n    http :80\n}\n", "G8004 only gateway.route may say `gateway`");
    one("site acme.com {\n    default\n    else -> respond 404\n}\n", "G8001 `default` would take hosts");
}

#[test]
fn what_the_gateway_file_exports_is_seen_and_the_rest_is_not() {
    let f = files("import gateway\n\nsite acme.com {\n    use gateway.base\n    else -> gateway.shared\n}\n");
    let compiled = f.compile(0);
    assert!(compiled.is_sound(), "{}", f.render(&compiled.diagnostics));
    assert_eq!(compiled.programs[0].site().pools[0].dials, None, "it is the operator's pool");
    one("import gateway\n\nsite acme.com {\n    else -> gateway.hidden\n}\n", "G1004");
    one("site acme.com {\n    else -> shared\n}\n", "G1002");
}

#[test]
fn rule_5_policies_of_the_operator_stand_outermost_and_are_not_removed() {
    let f = files(
        "policy own {\n    set response header x-tenant = \"no\"\n}\n\nsite acme.com {\n    use own\n    /free without own -> respond 200\n    else -> respond 404\n}\n",
    );
    let compiled = f.compile(0);
    assert!(compiled.is_sound(), "{}", f.render(&compiled.diagnostics));
    for plan in &compiled.programs[0].site().plans {
        assert!(matches!(&plan.steps[0], Step::Header(edit) if &*edit.name == "x-tenant"), "{plan:?}");
        assert!(matches!(&plan.steps[1], Step::Header(edit) if &*edit.name == "x-secret"), "{plan:?}");
    }
    one("site acme.com {\n    /free without base -> respond 200\n    else -> respond 404\n}\n", "G2022");
}

#[test]
fn what_a_tenant_is_declared_as() {
    let with = |line: &str| {
        said(&Files::one(
            "sites/gateway.route",
            &format!("{GATEWAY}\ntenant more {{\n    files \"more/*.route\"\n    {line}\n}}\n"),
        ))
        .join("; ")
    };
    assert_eq!(with("limits {\n        routes 100\n        table-rows 5\n        regex-states 7\n    }"), "");
    assert!(with("owns acme.com").starts_with("G8001 `acme.com` is owned by acme already"));
    assert!(with("own more.com").starts_with("G1001"));
    assert!(with("limits {\n        route 100\n    }").starts_with("G1001"));
    assert!(with("owns a.more.com\n    owns b.more.com").starts_with("G1023"));
    assert!(with("/x -> shared").starts_with("G1022"));
    assert!(with("use nothing").starts_with("G1004"));
    let twice = format!("{GATEWAY}\ntenant acme {{\n    files \"other/*.route\"\n}}\n");
    assert!(said(&Files::one("sites/gateway.route", &twice)).join("; ").starts_with("G1018"));
    let folder = format!("{GATEWAY}\ntenant more {{\n    files \"acme/deep/*.route\"\n}}\n");
    assert!(said(&Files::one("sites/gateway.route", &folder)).join("; ").starts_with("G8001 files below `acme/deep`"));
}

#[test]
fn an_edition_that_is_not_known_is_said_clearly() {
    let with =
        |line: &str| said(&Files::one("sites/gateway.route", &format!("gateway {{\n    {line}\n}}\n"))).join("; ");
    assert_eq!(with("edition 2026"), "");
    assert_eq!(with("edition 2027"), "G1024 edition 2027 is not known to this version: it reads edition 2026");
    assert!(with("edition next").starts_with("G1024 `edition` takes a year"));
}
