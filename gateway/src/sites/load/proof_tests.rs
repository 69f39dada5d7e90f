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
