//! Tests in the language that are given the time, tokens, secrets, answers of services, and requests that came before.

#![allow(clippy::unwrap_used)] // a test that cannot read its case fails

mod front;

use dsl::syntax::span::FileId;
use dsl::testing::{self, Coverage};
use front::Files;

const SITE: &str = r#"import std/auth

pool web     = 10.0.0.1:80
pool admin   = 10.0.0.2:80
pool control = 10.0.0.9:80

site shop.example.com {
    /login {
        let who = jwt(cookie.id, key: secret.id-key, iss: "id.example.com", aud: host, alg: HS256)
        require who else respond 401 "not known"
        start session("sid", key: secret.session-key, sub: who.sub, for: 12h)
        -> redirect 303 "/admin?from=login"
    }
    /logout {
        end session("sid")
        -> redirect 303 "/?bye=1"
    }
    /admin/* {
        use auth.session("sid", key: secret.session-key, login: /login)
        -> admin
    }
    /asked/* {
        use auth.forward(control)
        -> web
    }
    /keyed/* {
        require header.x-api-key in secret.api-keys else deny 403
        -> web
    }
    /download/* {
        require signed(request.path, query.sig, expires: query.until, key: secret.links) else deny 410
        -> web
    }
    /limited/* {
        limit 10/s burst 20 per header.x-api-key if missing deny 401
        -> web
    }
    /guess/* {
        limit 5/m burst 3 per client.ip on [401, 403] as guesses
        require header.x-api-key in secret.api-keys else deny 403
        -> web
    }
    /dear/* {
        limit 1/m burst 10 cost 4 when method is POST, 0 when method is OPTIONS, 6 on [500..599] per client.ip as dear
        -> web
    }
    /narrow/* {
        limit 2 at-once per client.ip
        -> web
    }
    else -> web
}
"#;

/// What came, for each expectation that is not met, and the way of the first.
fn run(lines: &str) -> (Vec<String>, Vec<String>) {
    let text = format!("{SITE}\ntest \"t\" {{\n{lines}\n}}\n");
    let files = Files::one("sites/a.route", &text);
    let compiled = files.compile(0);
    assert!(compiled.is_sound(), "{}", files.render(&compiled.diagnostics));
    let verdicts = testing::run(&compiled.tests, compiled.subject(), testing::BUDGET);
    let failures: Vec<_> = verdicts.into_iter().flat_map(|verdict| verdict.failures).collect();
    let way = failures.first().map(|failure| failure.lines.iter().map(|line| line.plain()).collect());
    (failures.into_iter().map(|failure| failure.got).collect(), way.unwrap_or_default())
}

#[track_caller]
fn holds(lines: &str) {
    let (got, way) = run(lines);
    assert!(got.is_empty(), "{lines}\n{got:#?}\n{way:#?}");
}

fn ask(path: &str, then: &str) -> String {
    format!("request GET https://shop.example.com{path}\nexpect {then}\n")
}

#[test]
fn tokens_open_what_they_say() {
    holds(&ask("/admin/users", "redirect 303 /login?next=/admin/users"));
    holds(&ask(
        "/admin/users with cookie.sid = token(sub: \"ann\")",
        "pool admin\nexpect request header x-user = \"ann\"",
    ));
    // Somebody else's, for another host, by another key, or just a text.
    for token in ["iss: \"other\"", "aud: \"www.example.com\"", "key: secret.id-key", "exp: \"2025-12-31 23:59:59\""] {
        let with = format!("/admin/users with cookie.sid = token(sub: \"ann\", {token})");
        holds(&ask(&with, "redirect 303 /login?next=/admin/users"));
    }
    holds(&ask("/admin/users with cookie.sid = \"ann\"", "303"));
    holds(&ask("/admin/users with cookie.sid = token(sub: \"ann\", key: secret.session-key)", "pool admin"));
    holds(&format!(
        "given time \"2025-12-31 23:59:58\"\n{}",
        ask("/admin/users with cookie.sid = token(sub: \"ann\", exp: \"2025-12-31 23:59:59\")", "pool admin")
    ));
}

#[test]
fn sessions_are_issued_and_ended() {
    holds(&ask("/login", "respond 401"));
    holds(&ask(
        "/login with cookie.id = token(sub: \"ann\")",
        "session sid = \"ann\"\nexpect redirect 303 /admin?from=login",
    ));
    holds(&ask("/logout", "no session sid"));
    let idle = "/admin with cookie.sid = token(sub: \"ann\", idle: 30m, exp: \"2026-01-01 00:14:59\")";
    holds(&ask(idle, "session sid = \"ann\"\nexpect pool admin"));
    let (got, _) = run(&ask("/login with cookie.id = token(sub: \"ann\")", "session sid = \"bob\""));
    assert_eq!(got, ["session sid = \"ann\""]);
    let (got, _) = run(&ask("/x", "session sid = \"bob\""));
    assert_eq!(got, ["nothing about a session sid: pool web"]);
}

#[test]
fn a_test_sees_that_nobody_else_says_who_asks() {
    holds(
        "request GET https://shop.example.com/open with header.x-user = \"root\", header.x_groups = \"root\"\n\
         expect pool web\nexpect no request header x-user\nexpect no request header x_groups\n\
         expect no request header x-groups",
    );
}

#[test]
fn what_services_answer_is_given() {
    let (got, _) = run(&ask("/asked/x", "pool web"));
    assert_eq!(got.len(), 1);
    assert!(got[0].starts_with("it depends on what pool control answers to ask(control, GET /verify"), "{got:?}");
    assert!(got[0].ends_with("say so: `given control answers 200`"), "{got:?}");
    holds(&format!(
        "given control answers 204 with header.x-user = \"ann\"\n{}",
        ask(
            "/asked/x with header.x-user = \"mallory\"",
            "pool web\nexpect request header x-user = \"ann\"\nexpect no request header x-groups"
        )
    ));
    for (answer, then) in [
        ("answers 403", "respond 403\nexpect deny 403\nexpect 403"),
        (
            "answers 401 with header.www-authenticate = \"Basic\"",
            "deny 401\nexpect response header www-authenticate = \"Basic\"",
        ),
        ("answers 302 with header.location = \"/login\"", "redirect 302 /login\nexpect 302"),
        ("answers 303 with header.location = \"/login\"", "redirect /login\nexpect respond 303"),
        ("answers 304", "503"),
    ] {
        holds(&format!("given control {answer}\n{}", ask("/asked/x", then)));
    }
    let (got, _) = run(&format!("given control answers 403\n{}", ask("/asked/x", "respond 401")));
    assert_eq!(got, ["respond 403, as the service said"]);
    let (got, _) = run(&format!("given control answers 302\n{}", ask("/asked/x", "deny")));
    assert_eq!(got, ["respond 302, as the service said"], "nobody is denied who is sent elsewhere");
    holds(&format!("given control answers 500\n{}", ask("/asked/x", "503")));
    holds(&format!("given control down\n{}", ask("/asked/x", "503")));
}

#[test]
fn secrets_and_signatures_are_given() {
    let key = |key: &str| format!("/keyed/x with header.x-api-key = \"{key}\"");
    holds(&ask(&key("k1"), "deny 403"));
    let given = "given secret.api-keys = \"k1\\nk2\"\n";
    holds(&format!(
        "{given}{}{}{}",
        ask(&key("k1"), "pool web"),
        ask(&key("k2"), "pool web"),
        ask(&key("k3"), "deny 403")
    ));
    let link = "/download/x?sig=abc&until=1767225601";
    holds(&ask(link, "deny 410"));
    holds(&format!("given signatures valid\n{}", ask(link, "pool web")));
    holds(&format!("given signatures valid\ngiven time \"2026-01-01 00:00:01\"\n{}", ask(link, "deny 410")));
}

#[test]
fn requests_that_came_before_are_counted() {
    let key = |key: &str| format!("/limited/x with header.x-api-key = \"{key}\"");
    holds(&ask("/limited/x", "deny 401"));
    holds(&format!("given 19 requests\n{}{}", ask(&key("k1"), "pool web"), ask(&key("k1"), "429")));
    // As LANGUAGE section 10 writes it.
    let before = "given 20 requests from [203.0.113.7] with header.x-api-key \"k1\"\n";
    holds(&format!("{before}{}{}", ask(&key("k1"), "429"), ask(&key("k2"), "pool web")));
    // A tenth of a second is a token.
    holds(&format!(
        "given time \"2026-01-01 00:00:00\"\n{before}{}given time \"2026-01-01 00:00:01\"\ngiven 9 requests\n{}{}",
        ask(&key("k1"), "429"),
        ask(&key("k1"), "pool web"),
        ask(&key("k1"), "429"),
    ));
    // Those that came before are under way until time goes by.
    holds(&format!(
        "given 2 requests from [192.0.2.1]\n{}{}given time \"2026-01-01 00:00:01\"\n{}",
        ask("/narrow/x from 192.0.2.1", "429"),
        ask("/narrow/x from 192.0.2.2", "pool web"),
        ask("/narrow/x from 192.0.2.1", "pool web"),
    ));
    let (got, way) = run(&format!("{before}{}", ask(&key("k1"), "pool web")));
    assert_eq!(got, ["429"]);
    assert!(way.iter().any(|line| line.contains("is exceeded")), "{way:#?}");
}

#[test]
fn a_limit_is_seen_to_let_pass_and_to_be_exceeded() {
    let lines =
        "given 20 requests\nrequest GET https://shop.example.com/limited/x with header.x-api-key = \"k\"\nexpect 429";
    let text = format!("{SITE}\ntest \"t\" {{\n{lines}\n}}\n");
    let compiled = Files::one("sites/a.route", &text).compile(0);
    let mut coverage = Coverage::default();
    coverage.expect(compiled.subject());
    let _ = testing::run_covering(&compiled.tests, compiled.subject(), testing::BUDGET, &mut coverage);
    let limits: Vec<_> =
        coverage.points(|file| file == FileId(0)).into_iter().filter(|p| p.what == testing::What::Limit).collect();
    let missing: Vec<_> = limits.iter().map(|point| point.missing()).collect();
    let never = Some("never asked");
    assert_eq!(missing, [Some("never let pass"), never, never, never]);
}

#[test]
fn mistakes_are_said() {
    for (line, said) in [
        ("given time \"tomorrow\"", "`given time` takes"),
        ("given 0 requests", "as many as 1 to 10000"),
        ("given 5 requets", "`given` takes"),
        ("given 5 requests from nowhere", "`from` takes"),
        ("given secret.k", "`given secret` takes"),
        ("given signatures good", "`given signatures` takes"),
        ("request GET https://shop.example.com/ with cookie.sid = token(\"ann\")", "`token` takes"),
        ("request GET https://shop.example.com/ with cookie.sid = token(exp: \"soon\")", "`token` takes"),
    ] {
        let text =
            format!("{SITE}\ntest \"t\" {{\n{line}\nrequest GET https://shop.example.com/\nexpect pool web\n}}\n");
        let compiled = Files::one("sites/a.route", &text).compile(0);
        let all: Vec<_> = compiled.diagnostics.iter().map(|d| d.message.clone()).collect();
        assert!(all.iter().any(|message| message.starts_with(said)), "{line}: {all:#?}");
    }
}

#[test]
fn what_the_answer_says_counts_once_it_is_known() {
    let refused = ask("/guess/x", "deny 403");
    let limited = ask("/guess/x", "429");
    let good = "given secret.api-keys = \"k\"\n";
    let right = |then: &str| {
        format!("request GET https://shop.example.com/guess/x with header.x-api-key = \"k\"\nexpect {then}\n")
    };
    // Good answers count nothing, however many come.
    holds(&format!("{good}{}{}", right("pool web").repeat(20), right("pool web")));
    // Three bad ones, and nobody gets to the key any more, not even with the right one.
    holds(&format!("{good}{}{limited}{}", refused.repeat(3), right("429")));
    holds(&format!("given 3 requests\n{limited}"));
    holds(&format!("given 2 requests\n{refused}{limited}"));
    // One comes back in twelve seconds.
    let later = |second: u32| format!("given time \"2026-01-01 00:00:{second}\"\n");
    holds(&format!("{}{}{limited}{}{refused}{limited}", refused.repeat(3), later(11), later(12)));
    // It is the status that the client gets, whoever says it.
    let down = "given web answers 401\n";
    holds(&format!("{good}{down}{}{}", right("401").repeat(3), right("429")));
    // Who is told 429 by it has not failed once more.
    holds(&format!("{}{}{}{refused}", refused.repeat(3), limited.repeat(9), later(12)));
}

#[test]
fn a_cost_goes_by_method_and_by_answer() {
    let one = |method: &str, then: &str| format!("request {method} https://shop.example.com/dear/x\nexpect {then}\n");
    let (get, limited) = (one("GET", "pool web"), one("GET", "429"));
    // What may cost six is let in where six are left.
    holds(&format!("{}{limited}", get.repeat(5)));
    holds(&format!("{}{}", one("POST", "pool web"), get));
    holds(&format!("{}{}{limited}", one("POST", "pool web"), get));
    holds(&format!("{}{}", one("OPTIONS", "pool web").repeat(50), get));
    holds(&format!("given web down\n{}{limited}", one("GET", "503")));
}
