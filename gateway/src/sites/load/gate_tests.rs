//! What keeps a sound file from loading: its tests, and secrets that are not at hand.

use super::tests::{Sites, site};
use super::*;

fn tested(says: &str, expects: &str) -> String {
    let site = site("a.test", says);
    format!(
        "{site}\ntest \"it says so\" {{\n    request GET https://a.test/\n    expect respond 200 \"{expects}\"\n}}\n"
    )
}

#[test]
fn a_test_that_fails_keeps_the_version_before_it_and_touches_no_other_file() {
    let mut s = Sites::new("gate-test");
    s.write(&[("a.route", Some(&tested("one", "one"))), ("b.route", Some(&site("b.test", "b")))]);
    assert_eq!(s.hosts(), [("a.test", "one"), ("b.test", "b")]);
    s.write(&[("a.route", Some(&tested("two", "one"))), ("b.route", Some(&site("b.test", "c")))]);
    assert_eq!(s.hosts(), [("a.test", "one"), ("b.test", "c")]);
    let line = s.last.line();
    assert!(line.contains("sites/a.route:7 G9007 test \"it says so\" fails: expected respond 200 \"one\""), "{line}");
    s.restart();
    assert_eq!(s.hosts(), [("a.test", "one"), ("b.test", "c")], "also after a restart");
    s.write(&[("a.route", Some(&tested("two", "two")))]);
    assert_eq!(s.hosts(), [("a.test", "two"), ("b.test", "c")]);
}

#[test]
fn a_file_that_never_passed_answers_503_until_tests_are_off() {
    let mut s = Sites::new("gate-off");
    s.write(&[("a.route", Some(&tested("two", "one")))]);
    assert_eq!(s.hosts(), [("a.test", "503")]);
    s.write(&[("gateway.route", Some("gateway {\n    tests off\n}\n"))]);
    assert_eq!(s.hosts(), [("a.test", "two")]);
    s.write(&[("b.route", Some(&tested("b", "no").replace("a.test", "b.test")))]);
    assert_eq!(s.hosts(), [("a.test", "two"), ("b.test", "b")]);
    s.write(&[("gateway.route", None), ("b.route", Some(&tested("c", "no").replace("a.test", "b.test")))]);
    assert_eq!(s.hosts(), [("a.test", "two"), ("b.test", "b")]);
}

#[test]
fn whether_tests_decide_is_known_before_the_first_file_is_loaded() {
    let mut s = Sites::new("gate-first");
    s.write(&[
        ("a.route", Some(&tested("two", "one"))),
        ("gateway.route", Some("import ./ports\n\ngateway {\n    tests off\n}\n")),
        ("ports.route", Some("let unused = 1\n")),
    ]);
    assert_eq!(s.hosts(), [("a.test", "two")]);
}

#[test]
fn importers_keep_a_module_whose_tests_pass() {
    let mut s = Sites::new("gate-module");
    let module = |says: &str, expects: &str| format!("let said = \"{says}\"\n{}", tested(says, expects));
    let user =
        "import ./m\n\nsite u.test {\n    else -> respond 200 m.said\n}\n".replace("200 m.said", "200 \"{m.said}\"");
    s.write(&[("m.route", Some(&module("one", "one"))), ("u.route", Some(&user))]);
    assert_eq!(s.hosts(), [("a.test", "one"), ("u.test", "one")]);
    s.write(&[("m.route", Some(&module("two", "one")))]);
    assert_eq!(s.hosts(), [("a.test", "one"), ("u.test", "one")]);
    s.write(&[("m.route", Some(&module("two", "two")))]);
    assert_eq!(s.hosts(), [("a.test", "two"), ("u.test", "two")]);
}

const STICKY: &str = "pool web {\n    10.0.0.1:80\n    sticky cookie \"route\" key secret.sticky\n}\n\
    site a.test {\n    /web -> web\n    else -> respond 200 \"one\"\n}\n";

/// Sites whose secrets lie beside them.
fn with_secrets(name: &str) -> (Sites, Arc<Secrets>) {
    let mut s = Sites::new(name);
    let secrets = Arc::new(Secrets::new(None));
    s.loader = std::mem::replace(&mut s.loader, Loader::new(Places::new(Path::new("")), super::tests::Say, None))
        .with_secrets(Arc::clone(&secrets));
    (s, secrets)
}

#[test]
fn a_file_waits_for_its_secret() {
    let (mut s, secrets) = with_secrets("gate-secret");
    s.write(&[("gateway.route", Some("gateway {\n    secrets from \"../secrets\"\n}\n")), ("a.route", Some(STICKY))]);
    assert_eq!(s.hosts(), [("a.test", "503")]);
    let line = s.last.line();
    assert!(line.contains("sites/a.route:1 G3025 secret `sticky` cannot be had"), "{line}");
    s.temp.write("secrets/sticky", "hunter2\n");
    assert!(secrets.look().new.iter().any(|name| &**name == "sticky"));
    let outcome = s.loader.secrets_came();
    s.take(outcome);
    assert_eq!(s.hosts(), [("a.test", "one")]);
    assert!(!format!("{:?} {:?}", s.last, secrets).contains("hunter2"));
    // What is gone later harms nothing that serves.
    std::fs::remove_file(s.temp.path().join("secrets/sticky")).unwrap();
    s.write(&[("a.route", Some(&STICKY.replace("one", "two")))]);
    assert_eq!(s.hosts(), [("a.test", "two")]);
}

#[test]
fn it_is_said_where_secrets_could_come_from() {
    let (mut s, _) = with_secrets("gate-nowhere");
    s.write(&[("a.route", Some(STICKY))]);
    let finding = s.last.findings.iter().find(|d| d.code == "G3025").unwrap();
    assert!(finding.notes[0].contains("write `secrets from \"DIR\"`"), "{finding:?}");
    // A directory that is named later is looked at then, with a secret that is there already.
    s.temp.write("secrets/sticky.txt", "x");
    s.write(&[("gateway.route", Some("gateway {\n    secrets from \"../secrets\"\n}\n"))]);
    assert_eq!(s.hosts(), [("a.test", "one")]);
}

#[test]
fn a_key_that_is_too_short_to_sign_with_keeps_its_file_out_until_it_is_longer() {
    let (mut s, secrets) = with_secrets("gate-short");
    s.temp.write("secrets/session", "hunter2\n");
    let file = "site a.test {\n    /in/* {\n        require jwt(cookie.sid, key: secret.session, iss: \"i\", aud: host) else deny 401\n        \
                -> respond 200 \"in\"\n    }\n    else -> respond 200 \"one\"\n}\n";
    s.write(&[
        ("gateway.route", Some("gateway {\n    secrets from \"../secrets\"\n}\n")),
        ("a.route", Some(&file.replace("200 \"in\"", "200 \"one\""))),
    ]);
    assert_eq!(s.hosts(), [("a.test", "503")]);
    let finding = s.last.findings.iter().find(|d| d.code == "G3025").unwrap();
    assert_eq!(finding.message, "secret `session` is no key to sign with");
    assert!(finding.notes[0].contains("a key has 7 bytes"), "{finding:?}");
    // It is not tried again for nothing.
    s.write(&[("b.route", Some(&site("b.test", "b")))]);
    assert!(!s.last.line().contains("a.route"), "{}", s.last.line());
    s.temp.write("secrets/session", "thirty-two bytes, as RFC 7518 wants them\n");
    assert!(!secrets.look().new.is_empty());
    let outcome = s.loader.secrets_came();
    s.take(outcome);
    assert_eq!(s.hosts(), [("a.test", "one"), ("b.test", "b")]);
    assert!(!format!("{:?} {:?}", s.last, secrets).contains("hunter2"));
}
