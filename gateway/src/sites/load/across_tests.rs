//! What spans files: the file that closes a redirect loop is refused, and ways past a check are told.

use super::tests::{Sites, site};

/// A site that answers with a text at its root, and redirects the rest.
fn redirecting(host: &str, says: &str, to: &str) -> String {
    format!("site {host} {{\n    / -> respond 200 \"{says}\"\n    else -> redirect 308 {to}\n}}\n")
}

#[test]
fn the_file_that_closes_a_loop_is_refused_and_tried_again_when_it_is_open() {
    let mut s = Sites::new("across-loop");
    let a = redirecting("a.test", "a", "https://b.test{request.uri}");
    let b = redirecting("b.test", "b", "https://a.test{request.uri}");
    s.write(&[("b.route", Some(&b))]);
    s.write(&[("a.route", Some(&a))]);
    assert_eq!(s.hosts(), [("a.test", "503"), ("b.test", "b")]);
    let line = s.last.line();
    assert!(line.contains("sites/a.route:3 G2011 redirect loop: https://a.test/"), "{line}");
    // Another start does not turn the tables, though its path comes first.
    s.restart();
    assert_eq!(s.hosts(), [("a.test", "503"), ("b.test", "b")]);
    s.write(&[("c.route", Some(&site("c.test", "c")))]);
    assert_eq!(s.hosts(), [("a.test", "503"), ("b.test", "b"), ("c.test", "c")]);
    assert!(!s.last.line().contains("a.route"), "said once: {}", s.last.line());
    s.write(&[("b.route", Some(&site("b.test", "b2")))]);
    assert_eq!(s.hosts(), [("a.test", "a"), ("b.test", "b2"), ("c.test", "c")]);
}

#[test]
fn of_files_that_come_together_the_last_one_closes_the_loop() {
    let mut s = Sites::new("across-ring");
    // Three hosts in a circle, and one that only leads into it.
    s.write(&[
        ("a.route", Some(&redirecting("a.test", "a", "https://b.test/x"))),
        ("b.route", Some(&redirecting("b.test", "b", "https://c.test/x"))),
        ("c.route", Some(&redirecting("c.test", "c", "https://a.test/x"))),
        ("d.route", Some(&redirecting("d.test", "d", "https://a.test/x"))),
    ]);
    assert_eq!(s.hosts(), [("a.test", "a"), ("b.test", "b"), ("c.test", "503"), ("d.test", "d")], "{}", s.last.line());
}

#[test]
fn an_edit_that_closes_a_loop_keeps_the_version_before_it() {
    let mut s = Sites::new("across-edit");
    let old =
        "site *.shop.test {\n    /old/* -> redirect 302 https://www.test/moved\n    else -> respond 200 \"old\"\n}\n";
    s.write(&[
        ("old.route", Some(old)),
        ("www.route", Some(&redirecting("www.test", "www", "https://elsewhere.test/"))),
    ]);
    // Only what lies below `/old` goes in circles, and only by a host that is not written out there.
    s.write(&[("www.route", Some(&redirecting("www.test", "new", "https://one.shop.test/old/page")))]);
    assert_eq!(s.hosts(), [("*.shop.test", "old"), ("www.test", "www")]);
    assert!(
        s.last.line().contains("G2011") && s.last.line().contains("(its last good version serves)"),
        "{}",
        s.last.line()
    );
    s.write(&[("www.route", Some(&redirecting("www.test", "new", "https://one.shop.test/page")))]);
    assert_eq!(s.hosts(), [("*.shop.test", "old"), ("www.test", "new")], "{}", s.last.line());
}

const POLICIES: &str = "policy office {\n    require client.ip in [10.0.0.0/8] else deny 403\n}\n";

fn protected(host: &str) -> String {
    format!(
        "import ./shared\npool admin = 10.0.3.10:9000\nsite {host} {{\n    / -> respond 200 \"{host}\"\n    \
         /admin/* {{\n        use shared.office\n        set request header x-user = \"ann\"\n        -> admin\n    }}\n    \
         else -> respond 404\n}}\n"
    )
}

fn open(host: &str) -> String {
    format!("pool back = 10.0.3.10:9000\nsite {host} {{\n    / -> respond 200 \"{host}\"\n    else -> back\n}}\n")
}

#[test]
fn a_way_past_a_check_is_told_whichever_file_comes_second() {
    for order in [["a.route", "b.route"], ["b.route", "a.route"]] {
        let mut s = Sites::new("across-open");
        s.write(&[("shared.route", Some(POLICIES))]);
        let text = |name: &str| if name == "a.route" { protected("a.test") } else { open("b.test") };
        s.write(&[(order[0], Some(&text(order[0])))]);
        assert_eq!(s.last.warnings, [""; 0]);
        s.write(&[(order[1], Some(&text(order[1])))]);
        assert_eq!(s.hosts(), [("a.test", "a.test"), ("b.test", "b.test")], "a warning refuses nobody");
        assert_eq!(
            s.last.warnings,
            [
                "sites/b.route:4 G3003 pool `back` is reached without `shared.office`, which every way to it through \
                 a.test passes: GET https://b.test/x",
                "sites/b.route:4 G3018 the client's own `x-user` reaches pool `back` here: GET https://b.test/x -H \
                 'x-user: somebody'",
            ],
            "{order:?}"
        );
        // What stands is not said again for what has no part in it.
        s.write(&[("c.route", Some(&site("c.test", "c")))]);
        assert_eq!(s.last.warnings, [""; 0]);
        // Nor what somebody has looked at.
        let allowed = open("b.test").replace("    else", "    # allow G3003, G3018: the same people\n    else");
        s.write(&[("b.route", Some(&allowed))]);
        assert_eq!(s.last.warnings, [""; 0]);
        // A third one behind the check says nothing new of the second.
        s.write(&[("d.route", Some(&protected("d.test")))]);
        assert_eq!(s.last.warnings, [""; 0]);
    }
}

#[test]
fn one_file_among_many_is_looked_at_beside_few() {
    let mut s = Sites::new("across-many");
    let many: Vec<(String, String)> =
        (0..300).map(|n| (format!("s{n}.route"), protected(&format!("s{n}.test")))).collect();
    let mut files: Vec<(&str, Option<&str>)> = many.iter().map(|(name, text)| (name.as_str(), Some(&**text))).collect();
    files.push(("shared.route", Some(POLICIES)));
    s.write(&files);
    assert_eq!(s.last.warnings, [""; 0]);
    s.write(&[("open.route", Some(&open("open.test")))]);
    let codes: Vec<&str> = s.last.warnings.iter().filter_map(|line| line.split(' ').nth(1)).collect();
    assert_eq!(codes, ["G3003", "G3018"]);
    let beside = s.loader.serving.beside_count(s.loader.ids.get(std::path::Path::new("open.route")).unwrap());
    assert!(beside <= 4, "{beside} of 301 sites are looked at");
}
