//! The file that breaks a proof is refused, and no other.

use super::tests::Sites;

const GATEWAY_FILE: &str = "pool admin = 10.0.3.10:9000
policy office {
    require client.ip in [10.0.0.0/8] else deny 403
}
";

/// `gateway.route`, which declares the pool and the policy, and says who may reach it.
fn gateway(lines: &str) -> String {
    format!("{GATEWAY_FILE}gateway {{\n}}\nprove \"the admin pool is for the office\" {{\n    {lines}\n}}\n")
}

const PASSES: &str = "every request to pool admin passes office";

/// A site that may lead to the admin pool, and answers with a text otherwise.
fn file(host: &str, says: &str, admin: &str) -> String {
    format!(
        "import ./shared\npool back = 10.0.3.10:9000\nsite {host} {{\n    {admin}\n    else -> respond 200 \"{says}\"\n}}\n"
    )
}

const SHARED: &str = "policy office {\n    require client.ip in [10.0.0.0/8] else deny 403\n}\n";
const OPEN: &str = "/admin/* -> back";
const CLOSED: &str = "/admin/* {\n        use shared.office\n        -> back\n    }";
const NONE: &str = "/other -> deny";

/// As `gateway`, with the policy of the module that the sites import.
fn stated() -> String {
    "import ./shared\npool admin = 10.0.3.10:9000\ngateway {\n}\n\
     prove \"the admin pool is for the office\" {\n    every request to pool admin passes shared.office\n}\n"
        .to_owned()
}

#[test]
fn a_change_that_breaks_a_proof_of_the_gateway_file_keeps_the_version_before_it() {
    let mut s = Sites::new("proof-gate");
    s.write(&[
        ("gateway.route", Some(&stated())),
        ("shared.route", Some(SHARED)),
        ("a.route", Some(&file("a.test", "a", CLOSED))),
        ("b.route", Some(&file("b.test", "one", NONE))),
    ]);
    assert_eq!(s.hosts(), [("a.test", "a"), ("b.test", "one")]);
    s.write(&[("b.route", Some(&file("b.test", "two", OPEN))), ("a.route", Some(&file("a.test", "a2", CLOSED)))]);
    assert_eq!(s.hosts(), [("a.test", "a2"), ("b.test", "one")]);
    let line = s.last.line();
    let said = "sites/b.route:4 G9002 proof \"the admin pool is for the office\" does not hold: \
                GET https://b.test/admin reaches pool back without `shared.office`";
    assert!(line.contains(said), "{line}");
    s.restart();
    assert_eq!(s.hosts(), [("a.test", "a2"), ("b.test", "one")], "also after a restart");
    s.write(&[("b.route", Some(&file("b.test", "two", CLOSED)))]);
    assert_eq!(s.hosts(), [("a.test", "a2"), ("b.test", "two")]);
}

#[test]
fn a_proof_that_comes_and_is_false_is_the_one_that_is_refused() {
    let mut s = Sites::new("proof-comes");
    s.write(&[("shared.route", Some(SHARED)), ("b.route", Some(&file("b.test", "one", OPEN)))]);
    let proof = "import ./shared\npool admin = 10.0.3.10:9000\nsite c.test {\n    else -> respond 200 \"c\"\n}\n\
                 prove \"it\" {\n    every request to pool admin passes shared.office\n}\n";
    s.write(&[("c.route", Some(proof))]);
    assert_eq!(s.hosts(), [("b.test", "one"), ("c.test", "503")]);
    let line = s.last.line();
    assert!(line.contains("sites/c.route:7 G9002"), "{line}");
    // What broke it is gone: it is tried again without being touched.
    s.write(&[("b.route", Some(&file("b.test", "two", CLOSED)))]);
    assert_eq!(s.hosts(), [("b.test", "two"), ("c.test", "c")]);
}

#[test]
fn a_file_that_was_refused_is_tried_again_when_the_proof_changes_and_said_once() {
    let mut s = Sites::new("proof-again");
    s.write(&[("gateway.route", Some(&gateway(PASSES))), ("b.route", Some(&file("b.test", "b", OPEN)))]);
    s.write(&[("shared.route", Some(SHARED))]);
    assert_eq!(s.hosts(), [("b.test", "503")]);
    s.write(&[("c.route", Some("site c.test {\n    else -> respond 200 \"c\"\n}\n"))]);
    assert_eq!(s.hosts(), [("b.test", "503"), ("c.test", "c")]);
    assert!(!s.last.line().contains("b.route"), "{}", s.last.line());
    s.write(&[("gateway.route", Some(&gateway("no request to pool admin when method is PATCH")))]);
    assert_eq!(s.hosts(), [("b.test", "503"), ("c.test", "c")]);
    s.write(&[("gateway.route", Some(GATEWAY_FILE))]);
    assert_eq!(s.hosts(), [("b.test", "b"), ("c.test", "c")]);
}

#[test]
fn tests_off_loads_what_breaks_a_proof() {
    let mut s = Sites::new("proof-off");
    let off = stated().replace("gateway {\n", "gateway {\n    tests off\n");
    let all = |gateway: &str| {
        [("gateway.route", gateway.to_owned()), ("shared.route", SHARED.into()), ("b.route", file("b.test", "b", OPEN))]
    };
    let write = |s: &mut Sites, all: [(&str, String); 3]| {
        s.write(&all.iter().map(|(name, text)| (*name, Some(text.as_str()))).collect::<Vec<_>>());
    };
    write(&mut s, all(&stated()));
    assert_eq!(s.hosts(), [("b.test", "503")]);
    write(&mut s, all(&off));
    assert_eq!(s.hosts(), [("b.test", "b")]);
}

/// Two tenants that may dial the same network, and a pool and a policy of the operator's for both.
const TENANTS: &str = "gateway {
    export shared, policy office
}
pool shared = 10.0.3.10:9000
policy office {
    require client.ip in [10.0.0.0/8] else deny 403
}
tenant acme {
    files \"acme/*.route\"
    owns  acme.test, **.acme.test
    dials [10.0.0.0/8]
}
tenant globex {
    files \"globex/*.route\"
    owns  globex.test, **.globex.test
    dials [10.0.0.0/8]
}
";

/// A tenant's site that answers with a text, and leads to the operator's pool, open or behind its policy.
fn of_tenant(host: &str, says: &str, open: bool) -> String {
    let using = if open { "" } else { "        use gateway.office\n" };
    format!(
        "import gateway\nsite {host} {{\n    /admin/* {{\n{using}        -> gateway.shared\n    }}\n    \
         else -> respond 200 \"{says}\"\n}}\n"
    )
}

const TENANTS_PROOF: &str =
    "prove \"ours is for the office\" {\n    every request to pool gateway.shared passes gateway.office\n}\n";

#[test]
fn another_tenants_file_neither_breaks_nor_decides_a_tenants_proof() {
    let mut s = Sites::new("proof-tenants");
    let acme = of_tenant("acme.test", "acme", false) + TENANTS_PROOF;
    let globex = of_tenant("globex.test", "globex", true);
    s.write(&[("gateway.route", Some(TENANTS)), ("acme/a.route", Some(&acme))]);
    s.write(&[("globex/g.route", Some(&globex))]);
    let hosts = |s: &Sites| s.hosts().iter().map(|(h, says)| format!("{h} {says}")).collect::<Vec<_>>();
    assert_eq!(hosts(&s), ["acme.test acme", "globex.test globex"], "{}", s.last.line());
    // Nor does what stands, where the proof comes.
    let changed = of_tenant("acme.test", "acme2", false) + TENANTS_PROOF;
    s.write(&[("acme/a.route", Some(&changed))]);
    assert_eq!(hosts(&s), ["acme.test acme2", "globex.test globex"], "{}", s.last.line());
    let told = s.loader.proofs(&|_| true);
    assert!(
        told.len() == 1 && told[0].outcomes.iter().all(dsl::reach::prove::Outcome::holds),
        "{:?}",
        told[0].outcomes
    );
}

#[test]
fn a_tenants_own_file_that_breaks_its_proof_is_refused() {
    let mut s = Sites::new("proof-tenant-own");
    let acme = of_tenant("acme.test", "acme", false) + TENANTS_PROOF;
    let globex = of_tenant("globex.test", "globex", false) + TENANTS_PROOF;
    s.write(&[
        ("gateway.route", Some(TENANTS)),
        ("acme/a.route", Some(&acme)),
        ("globex/g.route", Some(&globex)),
        ("acme/b.route", Some(&of_tenant("b.acme.test", "b", true))),
        ("globex/h.route", Some(&of_tenant("h.globex.test", "h", false))),
    ]);
    assert_eq!(
        s.hosts(),
        [("acme.test", "acme"), ("b.acme.test", "503"), ("globex.test", "globex"), ("h.globex.test", "h")]
    );
    let line = s.last.line();
    assert!(line.contains("GET https://b.acme.test/admin reaches pool shared without `gateway.office`"), "{line}");
}

#[test]
fn the_operators_proof_speaks_of_every_tenant() {
    let mut s = Sites::new("proof-operator");
    let operator = format!("{TENANTS}prove \"it\" {{\n    every request to pool shared passes office\n}}\n");
    let open = of_tenant("globex.test", "globex", true);
    s.write(&[
        ("gateway.route", Some(&operator)),
        ("acme/a.route", Some(&of_tenant("acme.test", "acme", false))),
        ("globex/g.route", Some(&open)),
    ]);
    assert_eq!(s.hosts(), [("acme.test", "acme"), ("globex.test", "503")]);
    assert!(s.last.line().contains("globex/g.route"), "{}", s.last.line());
    // The proof goes, and the file is tried again.
    s.write(&[("gateway.route", Some(TENANTS))]);
    assert_eq!(s.hosts(), [("acme.test", "acme"), ("globex.test", "globex")], "{}", s.last.line());
}

#[test]
fn a_host_of_another_owner_is_no_counterexample() {
    let mut s = Sites::new("proof-barrier");
    let wide = TENANTS.replace("owns  acme.test, **.acme.test", "owns  acme.test, **.test");
    let proof = "prove \"no admin there\" {\n    no request to https://*.globex.test/admin/*\n}\n";
    let acme = of_tenant("**.test", "acme", false) + proof;
    s.write(&[("gateway.route", Some(&wide)), ("acme/a.route", Some(&acme))]);
    // Hosts of globex do not come to acme, though it serves none of them.
    let serving: Vec<_> = s.hosts().into_iter().filter(|(_, says)| *says == "acme").collect();
    assert_eq!(serving, [("**.test", "acme")], "{}", s.last.line());
    let own = proof.replace("*.globex.test", "*.acme.test");
    s.write(&[("acme/a.route", Some(&(of_tenant("**.test", "two", false) + &own)))]);
    assert!(s.last.line().contains("G9002"), "{}", s.last.line());
}
