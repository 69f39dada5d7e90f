//! Logins at OpenID providers: a browser that goes through all of it, at a provider of another's, and attacks.

use serde_json::json;
use sluice_tests::origin::Origin;
use sluice_tests::peer::{self, Peer};
use sluice_tests::sluice::{Setup, Sluice, workspace};

const KEY: &str = "a key of the sessions of these tests, 32+ bytes\n";

/// An origin whose pages say who is logged in.
fn who_is_it() -> Origin {
    Origin::start(|seen, conn| {
        let said = |name: &str| seen.header(name).unwrap_or_default().to_owned();
        let body = json!({ "user": said("x-user"), "email": said("x-email"), "target": seen.target });
        conn.respond("200 OK", "Content-Type: application/json\r\n", body.to_string())
    })
}

/// npm oidc-provider, and where it listens.
fn other_provider() -> (Peer, String) {
    let provider = Peer::start_to_tell(peer::node("oidc_provider.mjs").arg(peer::node_modules()));
    let port = provider.says("listening").rsplit(' ').next().unwrap().to_owned();
    (provider, format!("http://127.0.0.1:{port}"))
}

/// An item of a provider that both sites and programs know.
fn item(name: &str, issuer: &str, cookie: &str, idle: &str) -> String {
    format!(
        "provider {name} {{\n    issuer   \"{issuer}\"\n    client   \"shop\" key secret.client\n    \
         scopes   [openid, email, offline_access]\n    callback /login/{name}\n    \
         session  \"{cookie}\" key secret.session for 12h idle {idle}\n    claims   [email]\n}}\n\n"
    )
}

/// Goes through it with Chromium: `what` at one provider, or at two.
fn browse(what: &str, lasts: u32, providers: &[&str]) -> (Vec<String>, String) {
    let origin = who_is_it();
    let (mut items, mut blocks, mut running) = (String::new(), String::new(), Vec::new());
    for name in providers {
        let (provider, issuer) = other_provider();
        let (cookie, path) = if *name == "corp" { ("__Host-sid", "admin") } else { ("__Host-partner", "partner") };
        items.push_str(&item(name, &issuer, cookie, "30m"));
        blocks.push_str(&format!(
            "    /login/{name} -> login {name}\n    /{path}/* {{\n        let who = session({name})\n        \
             use auth.login(by: {name})\n        set request header x-email = who.email if missing \"\"\n        \
             -> web\n    }}\n"
        ));
        running.push((provider, (*name).to_owned(), issuer));
    }
    let route = format!(
        "import std/auth\n\npool web = {}\n\n{items}site shop.localhost {{\n{blocks}    \
         /logout -> logout corp\n    else -> respond 200 \"out\"\n}}\n",
        origin.addr()
    );
    let sluice = Sluice::setup()
        .gateway("    secrets from \"../secrets\"")
        .file("../secrets/session", KEY)
        .file("../secrets/client", "a secret: of the client & its own\n")
        .file("a.route", route)
        .start();
    let site = format!("https://shop.localhost:{}", sluice.https.port());
    for (provider, name, _) in &mut running {
        let told = json!({
            "redirect_uris": [format!("{site}/login/{name}")],
            "post_logout_redirect_uris": [format!("{site}/"), format!("{site}/login/{name}")],
            "lasts": lasts,
        });
        provider.tell(&told.to_string());
    }
    let program = workspace().join("tests/e2e/programs/login_browser.py");
    // Its folder has a program that is called as a package is.
    let said = peer::succeed(peer::python().arg("-P").arg(program).args([what, &site, &running[0].2, KEY.trim_end()]));
    assert!(said.ends_with("done\n"), "{said}");
    let consoles = running.iter().map(|(provider, ..)| provider.console_text()).collect();
    (consoles, sluice.console_text())
}

#[test]
fn a_browser_logs_in_comes_back_is_refreshed_and_logs_out() {
    let (consoles, console) = browse("whole", 6, &["corp"]);
    let granted = |what: &str| consoles[0].lines().filter(|line| *line == format!("grants {what}")).count();
    assert_eq!(granted("authorization_code"), 1, "{}", consoles[0]);
    assert!(granted("refresh_token") >= 1, "{}", consoles[0]);
    assert!(!consoles[0].contains("refuses") && !consoles[0].contains("fails"), "{}", consoles[0]);
    assert!(!console.contains("of the client") && !console.contains("a key of"), "{console}");
}

#[test]
fn a_session_that_nobody_uses_is_over_and_one_that_is_used_goes_on() {
    let (consoles, _) = browse("idle", 600, &["corp"]);
    let back = consoles[0].lines().filter(|line| *line == "sends back").count();
    assert!(back >= 2, "{}", consoles[0]);
}

#[test]
fn two_providers_of_one_site_have_sessions_of_their_own() {
    browse("two", 600, &["corp", "partner"]);
}

/// A site whose provider is a program of ours that does what an attack needs.
fn attacked(issuers: &str) -> Setup {
    let public = "provider away {\n    issuer   \"http://127.0.0.1:1/away\"\n    client   \"shop\"\n    \
                  callback /login/away\n    session  \"__Host-away\" key secret.session\n}\n\n";
    let block = |name: &str, path: &str| {
        format!("    {path}/* {{\n        use auth.login(by: {name})\n        -> respond 200 \"in\"\n    }}\n")
    };
    let sites = "site b.test {
    http allowed
    use auth.login(by: corp)
    else -> respond 200 \"in\"
}

site c.test {
    http allowed
    catch [502] -> login corp
    /login/corp -> login corp
    else -> gone
}

site d.test {
    http allowed
    use auth.login(by: corp)
    catch [502] -> told
    /told/asked {
        require ask(told, GET /told/decides, within: 5s) else deny
        -> told
    }
    else -> gone
}
";
    let told = issuers.trim_start_matches("http://");
    let route = format!(
        "import std/auth\n\npool gone = 127.0.0.1:1\npool told = {told}\n\n{}{}{public}site a.test {{\n    http allowed\n    \
         /login/partner -> login partner\n    /login/away -> login away\n    /login/corp -> login corp\n    \
         /out -> logout corp\n{}{}{}}}\n\n{sites}",
        item("corp", &format!("{issuers}/corp"), "__Host-sid", "30m"),
        item("partner", &format!("{issuers}/partner"), "__Host-partner", "30m"),
        block("partner", "/partner"),
        block("away", "/away"),
        block("corp", "/x"),
    );
    Sluice::setup()
        .gateway("    secrets from \"../secrets\"")
        .file("../secrets/session", KEY)
        .file("../secrets/client", "s&cret: of a client\n")
        .file("a.route", route)
}

/// Has the program attack; what the gateway told its operator.
fn attack(name: &str) -> String {
    let program = workspace().join("tests/e2e/programs/login_attacks.py");
    let mut attacker = Peer::start_to_tell(peer::python().arg("-u").arg(program).arg(name));
    let port = attacker.says("listening").rsplit(' ').next().unwrap().to_owned();
    let sluice = attacked(&format!("http://127.0.0.1:{port}")).start();
    attacker.tell(&sluice.http.port().to_string());
    let (good, said) = attacker.ends();
    assert!(good && said.ends_with("done"), "{said}\n{}", sluice.console_text());
    let console = sluice.console_text();
    assert!(!console.contains("s&cret") && !console.contains("<script>"), "{console}");
    console
}

macro_rules! attacks {
    ($($test:ident $name:literal,)*) => {
        $(#[test]
        fn $test() {
            attack($name);
        })*
    };
}

attacks! {
    attack_login_csrf "login_csrf",
    attack_open_redirect_on_return "open_redirect",
    attack_state_replay "state_replay",
    attack_code_injection "code_injection",
    attack_nonce_of_another_login "nonce",
    attack_cookie_tossing "cookie_tossing",
    attack_oversize_sessions "oversize",
    attack_cookie_of_another_site_or_provider "of_another",
    attack_callback_without_a_cookie "without_cookie",
    attack_error_answers_reflect_nothing "error_answers",
    attack_tampered_cookies "tampered",
    expired_sessions_are_none "expired",
    sessions_are_refreshed_once_and_end_with_the_provider "refresh",
    attack_userinfo_of_another "userinfo_of_another",
    scripts_are_not_sent_away "scripts",
    a_catch_leads_to_a_login "caught",
    attack_origins_get_no_cookies_of_logins "to_origins",
    attack_logout_by_another_site "logout",
    attack_open_redirect_after_logout "logout_redirect",
}

#[test]
fn attack_mix_up_of_providers() {
    let console = attack("mix_up");
    assert!(console.contains("login corp: a login came back with the `iss` of another provider"), "{console}");
}

#[test]
fn attack_forged_id_tokens() {
    let console = attack("forged_id_token");
    assert!(console.contains("login corp: its ID token"), "{console}");
}

#[test]
fn a_provider_that_is_down_slow_or_huge_lets_nobody_in() {
    let console = attack("provider_in_trouble");
    for what in ["answers 500", "has more than", "no JSON object", "no answer within 5 s", "provider away"] {
        assert!(console.contains(what), "{what}: {console}");
    }
    // Told once, not for each request.
    assert_eq!(console.matches("token endpoint answers 500").count(), 1, "{console}");
}
