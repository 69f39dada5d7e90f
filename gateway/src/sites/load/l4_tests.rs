//! Loading of `tcp`, `udp` and `passthrough`: who gets a port or a host, and what goes on.

use super::tests::{BROKEN, Sites, site};

fn item(head: &str) -> String {
    format!("pool x = 127.0.0.1:1\n\n{head} -> x\n")
}

#[test]
fn a_listener_comes_and_goes_with_its_file_and_a_broken_edit_keeps_it() {
    let mut s = Sites::new("l4-file");
    s.write(&[("db.route", Some(&item("tcp :5432")))]);
    assert_eq!(s.ports(), [("tcp :5432", "sites/db.route")]);
    s.write(&[("db.route", Some("tcp :5432 -> nowhere\n"))]);
    assert_eq!((s.ports(), s.last.refused().count()), (vec![("tcp :5432", "sites/db.route")], 1));
    s.restart();
    assert_eq!((s.ports(), s.last.refused().count()), (vec![("tcp :5432", "sites/db.route")], 1));
    s.write(&[("db.route", Some(&item("tcp 127.0.0.1:5432")))]);
    assert_eq!(s.ports(), [("tcp 127.0.0.1:5432", "sites/db.route")]);
    s.write(&[("db.route", None)]);
    assert_eq!(s.ports(), []);
}

#[test]
fn the_incumbent_keeps_its_port_also_over_a_restart() {
    let mut s = Sites::new("l4-incumbent");
    s.write(&[("z.route", Some(&item("tcp :5432")))]);
    s.write(&[("a.route", Some(&item("tcp 127.0.0.1:5432"))), ("u.route", Some(&item("udp :5432")))]);
    let expected = [("tcp :5432", "sites/z.route"), ("udp :5432", "sites/u.route")];
    assert_eq!(s.ports(), expected, "tcp and udp do not meet");
    let line = s.last.line();
    let refused = "refused sites/a.route:3 G7001 `tcp 127.0.0.1:5432` overlaps with `tcp :5432` of sites/z.route:3";
    assert!(line.contains(refused), "{line}");
    s.restart();
    assert_eq!(s.ports(), expected);
    s.write(&[("z.route", None)]);
    assert_eq!(s.ports(), [("tcp 127.0.0.1:5432", "sites/a.route"), ("udp :5432", "sites/u.route")]);
}

#[test]
fn on_a_first_start_neither_gets_the_port_until_one_gives_way() {
    let mut s = Sites::new("l4-both");
    s.write(&[("a.route", Some(&item("tcp :5432"))), ("b.route", Some(&item("tcp 127.0.0.1:5432")))]);
    assert_eq!((s.ports(), s.last.refused().count()), (vec![], 2));
    s.write(&[("b.route", Some(&item("tcp 127.0.0.1:5433")))]);
    assert_eq!(s.ports(), [("tcp 127.0.0.1:5433", "sites/b.route"), ("tcp :5432", "sites/a.route")]);
}

#[test]
fn a_port_moves_between_files_in_one_batch() {
    let mut s = Sites::new("l4-move");
    s.write(&[("a.route", Some(&item("tcp :5432")))]);
    s.write(&[("a.route", None), ("b.route", Some(&item("tcp :5432")))]);
    assert_eq!(s.ports(), [("tcp :5432", "sites/b.route")]);
}

#[test]
fn the_gateway_holds_its_ports_written_or_not() {
    let mut s = Sites::new("l4-gateway");
    s.write(&[("a.route", Some(&item("tcp :8443")))]);
    let line = s.last.line();
    assert_eq!(
        line,
        "refused sites/a.route:3 G7001 `tcp :8443` overlaps with `https :8443`, where the gateway listens while gateway.route says nothing else"
    );
    // Who waits for the port gets it when the gateway's own file names others.
    s.write(&[("gateway.route", Some("gateway {\n    http :8000\n    https :9443\n    metrics 127.0.0.1:9090\n}\n"))]);
    assert_eq!(s.ports(), [("tcp :8443", "sites/a.route")]);
    s.write(&[("b.route", Some(&item("tcp :9090")))]);
    let line = s.last.line();
    assert!(line.contains("`tcp :9090` overlaps with `metrics 127.0.0.1:9090` of sites/gateway.route:4"), "{line}");
    // The gateway's file is refused like any other for a port that somebody has.
    s.write(&[("gateway.route", Some("gateway {\n    http :8443\n}\n"))]);
    let line = s.last.line();
    assert!(line.contains("`http :8443` overlaps with `tcp :8443` of sites/a.route:3"), "{line}");
    s.restart();
    assert_eq!(s.ports(), [("tcp :8443", "sites/a.route")]);
    s.write(&[("a.route", None)]);
    assert_eq!(s.ports(), [("tcp :9090", "sites/b.route")], "its change serves now, and lets :9090 go");
    s.write(&[("gateway.route", None), ("c.route", Some(&item("tcp :8443")))]);
    assert!(s.last.line().contains("`tcp :8443` overlaps with `https :8443`"), "{}", s.last.line());
}

#[test]
fn on_a_first_start_the_gateway_gets_the_port() {
    let mut s = Sites::new("l4-gateway-first");
    s.write(&[
        ("gateway.route", Some("gateway {\n    https :9443\n}\n")),
        ("a.route", Some(&item("tcp 127.0.0.1:9443"))),
    ]);
    let line = s.last.line();
    assert!(line.contains("`tcp 127.0.0.1:9443` overlaps with `https :9443` of sites/gateway.route:2"), "{line}");
    assert_eq!((s.ports(), s.last.refused().count()), (vec![], 1));
}

#[test]
fn listeners_of_one_file_that_overlap_are_refused() {
    let mut s = Sites::new("l4-one-file");
    s.write(&[("a.route", Some(&format!("{}tcp 127.0.0.1:5432 -> x\n", item("tcp :5432"))))]);
    let line = s.last.line();
    assert!(line.contains("sites/a.route:4 G7001 "), "{line}");
    assert_eq!(s.last.findings.len(), 1);
}

#[test]
fn passthrough_hosts_are_claimed_like_those_of_sites() {
    let mut s = Sites::new("l4-passthrough");
    s.write(&[
        ("v.route", Some(&item("passthrough vault.test, *.vault.test"))),
        ("w.route", Some(&site("*.test", "wild"))),
    ]);
    let passed = "passthrough vault.test";
    assert_eq!(s.hosts(), [("*.test", "wild"), ("*.vault.test", passed), ("vault.test", passed)]);
    s.write(&[("a.route", Some(&site("vault.test", "mine")))]);
    assert_eq!(s.last.line(), "refused sites/a.route:1 G2007 `vault.test` is already served by sites/v.route:3");
    s.write(&[("v.route", Some(BROKEN))]);
    assert_eq!(s.hosts(), [("*.test", "wild"), ("*.vault.test", passed), ("vault.test", passed)]);
    s.restart();
    assert_eq!(s.hosts(), [("*.test", "wild"), ("*.vault.test", passed), ("vault.test", passed)]);
    s.write(&[("v.route", None)]);
    assert_eq!(s.hosts(), [("*.test", "wild"), ("vault.test", "mine")]);
    s.write(&[("n.route", Some("passthrough new.test -> nowhere\n"))]);
    assert_eq!(s.hosts(), [("*.test", "wild"), ("new.test", "503"), ("vault.test", "mine")], "it never loaded");
}

#[test]
fn files_that_a_pool_names_are_there_and_inside() {
    let mut s = Sites::new("l4-files");
    let text = |trust: &str| {
        format!(
            "pool x {{\n    127.0.0.1:1\n    tls {{\n        name a.test\n        trust \"{trust}\"\n    }}\n}}\n\ntcp :5432 -> x\n"
        )
    };
    s.write(&[("a.route", Some(&text("pki/ca.pem")))]);
    assert!(s.last.line().contains("G8008"), "{}", s.last.line());
    s.temp.write("secret.pem", "");
    s.write(&[("a.route", Some(&text("../secret.pem")))]);
    assert!(s.last.line().contains("G8007"), "{}", s.last.line());
    s.temp.write("sites/pki/ca.pem", "");
    s.write(&[("a.route", Some(&text("pki/ca.pem")))]);
    assert_eq!(s.ports(), [("tcp :5432", "sites/a.route")]);
}

#[test]
fn thousands_of_listeners_that_come_and_go_leave_nothing_behind() {
    let mut s = Sites::new("l4-flat");
    for n in 0..300 {
        let name = format!("f{n}.route");
        s.write(&[(&name, Some(&item(&format!("tcp 127.0.0.1:{}", 20_000 + n))))]);
        s.write(&[(&name, None)]);
    }
    assert_eq!(s.ports(), []);
    assert_eq!(s.loader.claims.size(), 2, "the gateway's own ports");
}
