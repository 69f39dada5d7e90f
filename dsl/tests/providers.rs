//! `provider NAME { … }` and tokens that a provider signs: what they come to, and what is said of what does not fit.

#![allow(clippy::unwrap_used)] // a test that cannot read its case fails

mod front;

use dsl::testing;
use dsl::tree::ir::{CallKind, KeySource, Part, Site};
use front::Files;
use std::sync::Arc;

const CORP: &str = "issuer \"https://login.sluice-tests.net/realm\"";

fn files(lines: &str, site: &str) -> Files {
    let text = format!(
        "provider corp {{\n{lines}\n}}\npool web = 10.0.0.1:80\nsite a.example.com {{\n{site}\n    else -> web\n}}\n"
    );
    Files::one("sites/a.route", &text)
}

fn site(files: &Files) -> Arc<Site> {
    let compiled = files.compile(0);
    assert!(compiled.is_sound(), "{}", files.render(&compiled.diagnostics));
    Arc::clone(compiled.programs[0].site())
}

/// The only message about a file, with its code.
#[track_caller]
fn said(files: &Files, wanted: &str) {
    let said: Vec<String> = files.compile(0).diagnostics.iter().map(|d| format!("{} {}", d.code, d.message)).collect();
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(said[0].starts_with(wanted), "{said:?}");
}

#[track_caller]
fn item(lines: &str, wanted: &str) {
    said(&files(lines, ""), wanted);
}

#[track_caller]
fn call(lines: &str, call: &str, wanted: &str) {
    said(&files(lines, &format!("require {call} else deny 401")), wanted);
}

#[test]
fn what_little_is_needed() {
    let made = site(&files(CORP, "require jwt(header.authorization, key: corp, aud: \"api\") else deny 401"));
    let [provider] = made.providers.as_slice() else { panic!("{:?}", made.providers) };
    assert_eq!((&*provider.name, provider.issuer.as_deref()), ("corp", Some("https://login.sluice-tests.net/realm")));
    assert_eq!((&provider.keys, &provider.trust, &provider.client, &provider.session), (&None, &None, &None, &None));
    assert_eq!((provider.scopes.as_slice(), &*provider.callback), (["openid".into()].as_slice(), "/login/callback"));
    let CallKind::Jwt(jwt) = &made.calls[0].kind else { panic!("{:?}", made.calls) };
    assert!(matches!(jwt.keys, KeySource::Provider(at) if at.0 == 0));
    let issuer = Part::Text("https://login.sluice-tests.net/realm".into());
    assert_eq!(jwt.issuer.as_ref().unwrap().parts, [issuer], "`iss` is the provider's");
    assert!(!jwt.endless && !jwt.nbf);
    assert_eq!(&*made.calls[0].shown, "jwt(header.authorization, key: corp, aud: \"api\")");
}

#[test]
fn all_that_can_be_said() {
    let lines = format!(
        "{CORP}\nkeys \"https://login.sluice-tests.net/jwks.json\"\ntrust \"pki/corp-ca.pem\"\n\
         client \"shop\" key secret.corp-client\nscopes [openid, profile, \"offline_access\"]\ncallback /login/corp\n\
         session \"__Host-sid\" key secret.session-key for 8h idle 30m\nclaims [email, name, \"realm_access.roles\"]"
    );
    let made = site(&files(&lines, "require jwt(header.authorization, key: corp, aud: \"api\") else deny 401"));
    let provider = &made.providers[0];
    assert_eq!(provider.keys.as_deref(), Some("https://login.sluice-tests.net/jwks.json"));
    assert_eq!(provider.trust.as_deref(), Some("pki/corp-ca.pem"));
    let client = provider.client.as_ref().unwrap();
    assert_eq!((&*client.id, client.key.as_deref()), ("shop", Some("corp-client")));
    assert_eq!(provider.scopes, ["openid".into(), "profile".into(), "offline_access".into()]);
    assert_eq!(&*provider.callback, "/login/corp");
    let session = provider.session.as_ref().unwrap();
    assert_eq!((&*session.cookie, &*session.key), ("__Host-sid", "session-key"));
    assert_eq!((session.for_ms, session.idle_ms), (8 * 3_600_000, Some(30 * 60_000)));
    assert_eq!(provider.claims, ["email".into(), "name".into(), "realm_access.roles".into()]);
    let secrets: Vec<(&str, bool)> = provider.secrets().map(|(name, signs)| (&**name, signs)).collect();
    assert_eq!(secrets, [("corp-client", false), ("session-key", true)]);
}

#[test]
fn keys_by_url_are_a_provider_of_keys() {
    let one = "require jwt(header.authorization, keys: \"https://k.sluice-tests.net/jwks.json\", iss: \"x\", aud: none, exp: \
               optional, nbf: required) else deny 401";
    let made = site(&files(CORP, one));
    let provider = &made.providers[0];
    assert_eq!(provider.keys.as_deref(), Some("https://k.sluice-tests.net/jwks.json"));
    assert_eq!(provider.issuer, None);
    let CallKind::Jwt(jwt) = &made.calls[0].kind else { panic!("{:?}", made.calls) };
    assert!(jwt.endless && jwt.nbf && jwt.audience.is_none());
    let twice = format!("{one}\n{}", one.replace("\"x\"", "\"y\""));
    assert_eq!(site(&files(CORP, &twice)).providers.len(), 1, "keys at one URL are one provider's");
}

#[test]
fn a_provider_is_handed_to_policies_and_over_imports() {
    let shared = format!("provider corp {{\n{CORP}\n}}\n");
    let text = "import ./shared\n\npolicy token(by: provider, for: text) {\n    require jwt(header.authorization, key: by, aud: for) \
                else deny 401\n}\n\nsite a.example.com {\n    use token(by: shared.corp, for: \"api\")\n    -> respond 200 \"in\"\n}\n";
    let files = Files(vec![("sites/a.route".into(), text.into()), ("sites/shared.route".into(), shared)]);
    assert_eq!(&*site(&files).providers[0].name, "corp");
    let wrong = text.replace("shared.corp, for", "\"corp\", for");
    let files = Files(vec![("sites/a.route".into(), wrong), files.0[1].clone()]);
    said(&files, "G1005 `by` takes a provider, this is a text");
}

#[test]
fn what_does_not_fit_is_said_with_what_to_write() {
    item("", "G1024 a provider has an `issuer`");
    item("issuer \"http://login.sluice-tests.net\"", "G1024 `issuer` takes `https://`");
    item("issuer \"https://a@login.sluice-tests.net\"", "G1024");
    item("issuer \"https://login.sluice-tests.net/?a=1\"", "G1024 `issuer` takes the URL in front of");
    item(
        "issuer \"https://login.sluice-tests.net/.well-known/openid-configuration\"",
        "G1024 `issuer` takes the URL in front",
    );
    item(&format!("{CORP}\nissuers \"x\""), "G1001 unknown setting `issuers`");
    item(&format!("{CORP}\n{CORP}"), "G1023");
    item(&format!("{CORP}\ntls off"), "G1024 `provider` takes settings");
    item(&format!("{CORP}\nclient"), "G1024 `client` takes the identifier");
    item(&format!("{CORP}\nclient \"shop\" key \"geheim\""), "G1005 `client … key` takes a secret");
    item(&format!("{CORP}\nscopes [profile]"), "G1024 `scopes` has `openid`");
    item(&format!("{CORP}\nscopes [openid, openid]"), "G1024 `openid` stands twice");
    item(&format!("{CORP}\nscopes [openid, \"a b\"]"), "G1024 `scopes` takes a list of names");
    item(&format!("{CORP}\ncallback /"), "G1024 `callback` takes a path");
    item(&format!("{CORP}\ncallback \"https://evil.sluice-tests.net\""), "G1005");
    item(&format!("{CORP}\nsession \"sid\" key secret.k"), "G1024 a session begins with a login");
    let with = format!("{CORP}\nclient \"shop\"");
    item(&format!("{with}\nsession \"sid\""), "G1024 `session` takes a cookie and its key");
    item(&format!("{with}\nsession \"s id\" key secret.k"), "G1024 a cookie's name");
    item(&format!("{with}\nsession \"sid\" key secret.k for 1h idle 2h"), "G1024 `idle` is no longer than `for`");
    item(&format!("{with}\nsession \"sid\" key secret.k fro 1h"), "G1001 unknown setting `fro`");
    item("keys \"https://k.sluice-tests.net/jwks\"\nclient \"shop\"", "G1024 this is of logins");
}

#[test]
fn a_token_of_a_provider_says_for_whom_it_is() {
    call(CORP, "jwt(header.authorization, key: corp)", "G1021 `jwt` needs an argument for `aud`");
    call(CORP, "jwt(header.authorization, key: corp, aud: \"a\", iss: \"b\")", "G1024 `corp` says who its `issuer` is");
    call(CORP, "jwt(header.authorization, key: corp, aud: \"a\", alg: HS256)", "G1024 a provider publishes its keys");
    call(
        "keys \"https://k.sluice-tests.net/jwks\"",
        "jwt(header.authorization, key: corp, aud: \"a\")",
        "G1021 `jwt` needs an argument for `iss`",
    );
    let url = "\"https://k.sluice-tests.net/jwks\"";
    call(
        CORP,
        &format!("jwt(header.authorization, keys: {url}, aud: \"a\")"),
        "G1021 `jwt` needs an argument for `iss`",
    );
    call(
        CORP,
        &format!("jwt(header.authorization, keys: {url}, key: corp, aud: \"a\")"),
        "G1024 a token is verified by",
    );
    call(CORP, "jwt(header.authorization, keys: corp, aud: \"a\")", "G1024 `keys` takes the URL");
    call(
        CORP,
        "jwt(header.authorization, keys: \"http://k.sluice-tests.net\", iss: \"i\", aud: \"a\")",
        "G1024 `keys:` takes `https://`",
    );
    call(CORP, "jwt(header.authorization, key: corp, aud: \"a\", nbf: maybe)", "G1024 `nbf:` is said as");
}

/// What came, for each expectation that is not met.
fn run(site: &str, lines: &str) -> Vec<String> {
    let text = format!(
        "import std/auth\nprovider corp {{\n{CORP}\n}}\nprovider other {{\n    issuer \"https://o.sluice-tests.net\"\n}}\n\
         pool web = 10.0.0.1:80\nsite a.example.com {{\n{site}\n    else -> web\n}}\ntest \"t\" {{\n{lines}\n}}\n"
    );
    let files = Files::one("sites/a.route", &text);
    let compiled = files.compile(0);
    assert!(compiled.is_sound(), "{}", files.render(&compiled.diagnostics));
    let verdicts = testing::run(&compiled.tests, compiled.subject(), testing::BUDGET);
    verdicts.into_iter().flat_map(|verdict| verdict.failures).map(|failure| failure.got).collect()
}

#[track_caller]
fn holds(site: &str, with: &str, expect: &str) {
    let with = if with.is_empty() { String::new() } else { format!(" with {with}") };
    let lines = format!("request GET https://a.example.com/{with}\nexpect {expect}\n");
    let got = run(site, &lines);
    assert!(got.is_empty(), "{with}: {got:#?}");
}

#[test]
fn the_policy_of_the_standard_library_asks_for_tokens() {
    let site = "use auth.token(by: corp, aud: \"api\")";
    let with = |claims: &str| format!("header.authorization = token({claims})");
    holds(
        site,
        &with("sub: \"ann\""),
        "pool web\nexpect request header x-user = \"ann\"\nexpect no request header authorization",
    );
    holds(site, &with("sub: \"ann\", key: corp"), "pool web");
    for token in [
        "sub: \"ann\", key: other",
        "sub: \"ann\", key: secret.corp",
        "sub: \"ann\", aud: \"else\"",
        "sub: \"ann\", iss: \"else\"",
        "sub: \"ann\", exp: \"2025-12-31 00:00:00\"",
    ] {
        holds(
            site,
            &with(token),
            "respond 401\nexpect response header www-authenticate = \"Bearer error=\\\"invalid_token\\\"\"",
        );
    }
    holds(site, "", "respond 401\nexpect response header www-authenticate = \"Bearer\"");
    holds(site, "header.authorization = \"Basic YTpi\"", "respond 401");
}

#[test]
fn claims_compare_as_what_they_are_compared_with() {
    let site = |cond: &str| {
        format!(
            "let who = jwt(header.authorization, key: corp, aud: \"api\")\nrequire who else deny 401\nwhen {cond} -> respond 200 \"yes\""
        )
    };
    let level = |cond: &str, says: &str, yes: bool| {
        let with = format!("header.authorization = token(sub: \"ann\", {says})");
        holds(&site(cond), &with, if yes { "respond 200" } else { "pool web" });
    };
    for (cond, says, yes) in [
        ("who.level >= 3", "level: 3", true),
        ("who.level >= 3", "level: 10", true),
        ("who.level >= 3", "level: 2", false),
        ("who.level >= 3", "other: 3", false),
        ("who.level >= 3", "level: \"high\"", false),
        ("3 < who.level", "level: 10", true),
        ("who.level is 3", "level: 3", true),
        ("who.level is not 3", "level: 4", true),
        ("who.level in [1, 3]", "level: 3", true),
        ("who.level in [1, 3]", "level: 2", false),
        ("who.level in 2..4", "level: 3", true),
        ("who.level in 2..4", "level: 5", false),
        ("who.email_verified is true", "email_verified: \"true\"", true),
        ("who.email_verified is true", "email_verified: \"false\"", false),
        ("who.email_verified is false", "email_verified: \"false\"", true),
        ("who.role in [\"a\", \"b\"]", "role: \"b\"", true),
    ] {
        level(cond, says, yes);
    }
}
