//! `client.country`: who is where, in both evaluators, in tests of the language, and what is refused.

#![allow(clippy::unwrap_used)] // a test that cannot read its case fails

mod front;

use dsl::diagnostic::Severity;
use dsl::testing;
use front::Files;

const SITE: &str = r#"pool web = 10.0.0.1:80

site shop.example.com {
    require client.country is not "XK" else respond 403
    /de/* {
        require client.country in ["DE", "AT", "CH"] else respond 451
        -> web
    }
    /told {
        set response header x-country = client.country if missing "nowhere"
        -> respond 200
    }
    else -> web
}
"#;

/// What came, for each expectation that is not met.
fn run(lines: &str) -> Vec<String> {
    let files = Files::one("sites/a.route", &format!("{SITE}\ntest \"t\" {{\n{lines}\n}}\n"));
    let compiled = files.compile(0);
    assert!(compiled.is_sound(), "{}", files.render(&compiled.diagnostics));
    let verdicts = testing::run(&compiled.tests, compiled.subject(), testing::BUDGET);
    verdicts.into_iter().flat_map(|verdict| verdict.failures).map(|failure| failure.got).collect()
}

fn errors(text: &str) -> Vec<String> {
    let compiled = Files::one("sites/a.route", text).compile(0);
    let wrong = compiled.diagnostics.iter().filter(|d| d.severity == Severity::Error);
    wrong.map(|d| format!("{} {}", d.code, d.message)).collect()
}

#[test]
fn a_test_says_where_its_clients_are() {
    let lines = r#"
        request GET https://shop.example.com/de/x
        expect 451
        given country "DE"
        request GET https://shop.example.com/de/x
        expect pool web
        given country "FR"
        request GET https://shop.example.com/de/x
        expect 451
        request GET https://shop.example.com/x
        expect pool web
        given country "XK"
        request GET https://shop.example.com/x
        expect 403
    "#;
    assert_eq!(run(lines), [""; 0]);
    assert_eq!(run("given country \"DE\"\nrequest GET https://shop.example.com/de/x\nexpect 451").len(), 1);
    let said = errors(&format!("{SITE}\ntest \"t\" {{\n    given country \"de\"\n}}\n"));
    assert!(said[0].contains("given country \"DE\""), "{said:?}");
}

#[test]
fn a_country_is_two_capitals_or_missing() {
    let site = |cond: &str| format!("site a.test {{\n    when {cond} -> respond 403\n    else -> respond 200\n}}\n");
    for never in ["client.country is \"de\"", "client.country in [\"DE\", \"Germany\"]"] {
        let said = errors(&site(never));
        assert!(said.len() == 1 && said[0].contains("two capital letters"), "{never}: {said:?}");
    }
    assert_eq!(errors(&site("client.country is not \"DE\"")), [""; 0]);
    assert_eq!(errors(&site("not client.country")), [""; 0]);
}

#[test]
fn it_is_known_which_files_need_a_file_of_countries() {
    let reads = |text: &str| Files::one("sites/a.route", text).compile(0).country.is_some();
    assert!(reads(SITE));
    let policy = "policy here {\n    require client.country is \"DE\" else deny 403\n}\n";
    assert!(!reads(&format!("{policy}site a.test {{\n    else -> respond 200\n}}\n")), "nobody uses it");
    assert!(reads(&format!("{policy}site a.test {{\n    use here\n    else -> respond 200\n}}\n")));
}

#[test]
fn the_gateway_names_a_file() {
    let of = |line: &str| Files::one("sites/gateway.route", &format!("gateway {{\n    {line}\n}}\n")).compile(0);
    let gateway = of("country \"geo.mmdb\"").gateway.unwrap();
    assert_eq!(gateway.country.as_deref(), Some("geo.mmdb"));
    for wrong in ["country", "country geo", "country \"\"", "country \"a\" \"b\""] {
        assert!(!of(wrong).is_sound(), "{wrong}");
    }
}

#[test]
fn secrets_come_from_files_from_the_environment_or_both() {
    let of = |line: &str| Files::one("sites/gateway.route", &format!("gateway {{\n    {line}\n}}\n")).compile(0);
    for (line, dir, env) in [
        ("secrets from \"s\"", Some("s"), false),
        ("secrets from env", None, true),
        ("secrets from \"s\" env", Some("s"), true),
    ] {
        let gateway = of(line).gateway.unwrap();
        assert_eq!((gateway.secrets.as_deref(), gateway.secrets_env), (dir, env), "{line}");
    }
    for wrong in ["secrets env", "secrets from", "secrets from \"\"", "secrets from env \"s\"", "secrets from vault"] {
        assert!(!of(wrong).is_sound(), "{wrong}");
    }
}
