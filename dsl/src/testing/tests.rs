use super::*;
use crate::syntax::span::FileId;
use crate::{NoModules, Unit};

const SITES: &str = r#"
pool web {
    10.0.0.1:80
    10.0.0.2:80
    retry 2 on [503]
    timeout 5s
}
pool next = api.internal:8080, unix:/run/next.sock
pool spare = 10.0.0.9:80

site shop.example.com {
    set response header x-frame-options = "deny"
    /api/{version}/*rest {
        retry off
        require header.x-key else deny 401
        set request header x-version = version
        remove request header cookie
        -> web at /internal/{version}/{rest} host api.internal
    }
    /canary -> 95% web, 5% next by cookie.uid if missing client.ip
    /dice -> 95% web, 5% next
    /old/*rest -> redirect 308 https://new.example.com/{rest}
    /hello -> respond 200 "hello" type "text/plain"
    /static/* -> files "public"
    /twice when header.x-a is "1" -> respond 200 "one"
    /fall {
        catch [503] -> spare
        mirror 1% next
        -> web
    }
    /h2 when request.version is "2" -> respond 200 "two"
    /h2 when tls.alpn is "h2" -> respond 200 "alpn"
    /me when client.ip in [10.0.0.0/8] -> respond 200 "inside"
    else -> web
}

site {tenant}.example.app {
    http allowed
    set request header x-tenant = tenant
    else -> web
}
"#;

fn compile(tests: &str) -> (crate::Compiled, String) {
    let text = format!("{SITES}\n{tests}");
    let unit = Unit { file: FileId(7), path: "a.route", text: &text, gateway: false, modules: &NoModules };
    (crate::compile(&unit), text)
}

fn run_all(tests: &str, budget: u64) -> Vec<Verdict> {
    let (compiled, _) = compile(tests);
    let errors: Vec<_> =
        compiled.diagnostics.iter().filter(|d| d.severity == crate::diagnostic::Severity::Error).collect();
    assert!(errors.is_empty(), "{errors:#?}");
    run(&compiled.tests, compiled.subject(), budget)
}

/// What came, for each expectation that is not met.
fn got(lines: &str) -> Vec<String> {
    let verdicts = run_all(&format!("test \"t\" {{\n{lines}\n}}\n"), BUDGET);
    verdicts.into_iter().flat_map(|v| v.failures).map(|f| f.got).collect()
}

#[track_caller]
fn holds(lines: &str) {
    assert_eq!(got(lines), [""; 0], "{lines}");
}

#[track_caller]
fn fails(lines: &str, words: &str) {
    assert_eq!(got(lines), [words], "{lines}");
}

#[test]
fn what_a_site_does_can_be_expected() {
    holds(
        r#"
        request GET https://shop.example.com/x
        expect pool web
        expect at /x
        expect host shop.example.com
        expect response header x-frame-options = "deny"
        request GET https://shop.example.com/old/a/b?c=d
        expect redirect 308 https://new.example.com/a/b?c=d
        expect redirect https://new.example.com/a/b?c=d
        expect 308
        request GET https://shop.example.com/hello
        expect respond 200 "hello"
        expect respond 200
        expect 200
        expect response header content-type = "text/plain"
        expect response header x-frame-options = "deny"
        request GET https://shop.example.com/api/v1/users
        expect deny 401
        expect deny
        expect 401
        request GET https://shop.example.com/static/logo.svg
        expect files "public" at /static/logo.svg
        expect files "public"
        "#,
    );
}

#[test]
fn what_an_origin_receives_can_be_expected() {
    holds(
        r#"
        request POST https://shop.example.com/api/v1/users/?q=1 with header.x-key = "k", cookie.sid = "s"
        expect pool web at /internal/v1/users/ host api.internal
        expect at /internal/v1/users/?q=1
        expect request header x-version = "v1"
        expect request header x-key = "k"
        expect no request header cookie
        expect request header host = "api.internal"
        request GET http://acme.example.app/
        expect pool web
        expect request header x-tenant = "acme"
        "#,
    );
    fails(
        "request GET http://acme.example.app/\nexpect no response header server",
        "whatever the origin says in server: nothing here sets or removes it",
    );
    fails(
        "request GET https://shop.example.com/x\nexpect request header x-version = \"v1\"",
        "no request header x-version",
    );
    fails(
        "request GET https://shop.example.com/hello\nexpect no request header cookie",
        "no request is sent on: respond 200 \"hello\"",
    );
}

#[test]
fn what_differs_is_said_in_the_words_of_tests() {
    fails("request GET https://shop.example.com/x\nexpect pool next", "pool web");
    fails("request GET https://shop.example.com/x\nexpect pool web at /y", "pool web at /x");
    fails("request GET https://shop.example.com/x\nexpect pool web host y", "pool web host shop.example.com");
    fails("request GET https://shop.example.com/hello\nexpect respond 200 \"hallo\"", "respond 200 \"hello\"");
    fails("request GET https://shop.example.com/api/v1/x\nexpect pool web", "deny 401");
    fails(
        "request GET https://shop.example.com/old/x\nexpect redirect 302 https://new.example.com/x",
        "redirect 308 https://new.example.com/x",
    );
    fails("request GET https://shop.example.com/static/x\nexpect pool web", "files \"public\" at /static/x");
    fails("request GET https://other.example.com/\nexpect 404", "no site of this file answers for other.example.com");
    fails("request GET https://shop.example.com/static/x\nexpect 404", "files \"public\" at /static/x");
}

#[test]
fn what_comes_before_a_site_is_walked_too() {
    holds("request GET http://shop.example.com/x?y=z\nexpect redirect 308 https://shop.example.com/x?y=z");
    holds("request GET https://shop.example.com/static/%2e%2e/hello\nexpect respond 200 \"hello\"");
    holds("request GET https://SHOP.example.com:443/hello\nexpect respond 200 \"hello\"");
    holds("request GET https://shop.example.com/a%2Fb\nexpect 400");
    holds("request GET https://shop.example.com/hello with tls.sni = \"nobody.example.com\"\nexpect 421");
    holds("request GET https://shop.example.com/twice with header.x-a = \"1\", header.x-a = \"2\"\nexpect 400");
}

#[test]
fn the_client_and_its_connection_can_be_said() {
    holds("request GET https://shop.example.com/me from 10.1.2.3\nexpect respond 200 \"inside\"");
    holds("request GET https://shop.example.com/me from [2001:db8::1]:443\nexpect pool web");
    holds("request GET https://shop.example.com/h2 with request.version = \"2\"\nexpect respond 200 \"two\"");
    holds("request GET https://shop.example.com/h2 with tls.alpn = \"h2\" from 10.0.0.1\nexpect respond 200 \"alpn\"");
    holds("request PATCH \"https://shop.example.com/x,(y)\"\nexpect pool web at \"/x,(y)\"");
}

#[test]
fn shares_are_computed_by_their_key_or_given() {
    let key = |uid: &str| {
        got(&format!("request GET https://shop.example.com/canary with cookie.uid = \"{uid}\"\nexpect pool next"))
    };
    let next = (0..200).filter(|n| key(&format!("u{n}")).is_empty()).count();
    assert!((2..30).contains(&next), "{next}");
    holds(
        "given draw 94.99%\nrequest GET https://shop.example.com/dice\nexpect pool web\ngiven draw 95%\nrequest GET https://shop.example.com/dice\nexpect pool next",
    );
    let words = got("request GET https://shop.example.com/dice\nexpect pool web").remove(0);
    assert_eq!(words, "one of 95% web, 5% next, drawn anew for each request; say which with `given draw 5%`");
}

#[test]
fn health_is_given() {
    fails(
        "given web down\nrequest GET https://shop.example.com/x\nexpect pool web",
        "503, for pool web fails and nothing catches it",
    );
    holds("given web down\nrequest GET https://shop.example.com/x\nexpect 503");
    holds("given web down\nrequest GET https://shop.example.com/fall\nexpect pool spare");
    holds("given web answers 502\nrequest GET https://shop.example.com/fall\nexpect 502");
    holds("given 10.0.0.1:80 down\nrequest GET https://shop.example.com/x\nexpect pool web");
    holds(
        "given 10.0.0.1:80 down\ngiven 10.0.0.2:80 down\nrequest GET https://shop.example.com/fall\nexpect pool spare",
    );
    holds("given web down\ngiven spare down\nrequest GET https://shop.example.com/fall\nexpect 503");
    holds(
        "given api.internal:8080 down\ngiven unix:/run/next.sock down\ngiven draw 99%\nrequest GET https://shop.example.com/dice\nexpect 503",
    );
}

#[test]
fn settings_are_those_of_the_route_then_of_the_pool() {
    holds("request GET https://shop.example.com/x\nexpect retry 2\nexpect timeout 5s\nexpect no mirror");
    holds("request GET https://shop.example.com/api/v1/x with header.x-key = \"k\"\nexpect retry off");
    holds("request GET https://shop.example.com/fall\nexpect mirror next");
    fails("request GET https://shop.example.com/fall\nexpect retry 3", "retry 2");
    fails("request GET https://shop.example.com/fall\nexpect mirror spare", "mirror next");
    fails("request GET https://shop.example.com/x\nexpect timeout 6s", "timeout 5s");
    fails("request GET https://shop.example.com/x\nexpect idle 6s", "no `idle` is written, so the gateway's own");
}

#[test]
fn a_failure_has_its_places_and_the_way_of_the_request() {
    let text = "test \"t\" {\n    request GET https://shop.example.com/api/v1/x\n    expect pool web\n}\n";
    let (compiled, whole) = compile(text);
    let verdicts = run(&compiled.tests, compiled.subject(), BUDGET);
    let failure = &verdicts[0].failures[0];
    let at = |loc: Loc| &whole[loc.span.start as usize..loc.span.end as usize];
    assert_eq!((at(failure.loc), &*failure.expected), ("expect pool web", "pool web"));
    let (request, loc) = failure.request.as_ref().unwrap();
    assert_eq!(
        (&**request, at(*loc)),
        ("GET https://shop.example.com/api/v1/x", "request GET https://shop.example.com/api/v1/x")
    );
    let way: Vec<String> = failure.lines.iter().map(crate::tree::tell::Line::plain).collect();
    assert_eq!(way.last().unwrap(), "answer     deny 401", "{way:#?}");
    assert!(way.iter().any(|line| line.contains("require header.x-key  · does not hold")), "{way:#?}");
    let d = &findings(&verdicts)[0];
    assert_eq!((d.code, d.message.as_str()), ("G9007", "test \"t\" fails: expected pool web"));
    assert_eq!(d.primary.text, "got deny 401");
}

#[test]
fn the_budget_ends_what_takes_too_long() {
    let one = "request GET https://shop.example.com/x\nexpect pool web\n";
    let text = format!("test \"a\" {{\n{one}}}\ntest \"b\" {{\n{}}}\n", one.repeat(100));
    let verdicts = run_all(&text, 300);
    assert!(verdicts[0].failures.is_empty());
    assert_eq!(verdicts[1].failures[0].got, "the tests of this file take more than 300 steps");
    assert!(run_all(&text, BUDGET).iter().all(|v| v.failures.is_empty()));
}

const CONNECTIONS: &str = r#"
pool pg = 10.0.0.1:5432
pool office = 10.0.0.2:5432
pool dns = 10.0.0.3:53
pool vault = 10.0.0.4:8443
pool any = 10.0.0.5:8443

tcp :5432 {
    require client.ip not in [192.0.2.0/24]
    when client.ip in [10.0.0.0/8] -> office
    else -> pg
}
udp :53 {
    idle 10s
    limit 50/s per client.ip
    -> dns
}
passthrough vault.example.com -> vault
passthrough *.example.com {
    when tls.alpn has "h2" -> any
    else -> 95% vault, 5% any
}
"#;

fn connected(lines: &str) -> Vec<String> {
    let text = format!("{CONNECTIONS}\ntest \"t\" {{\n{lines}\n}}\n");
    let unit = Unit { file: FileId(7), path: "a.route", text: &text, gateway: false, modules: &NoModules };
    let compiled = crate::compile(&unit);
    let errors: Vec<_> =
        compiled.diagnostics.iter().filter(|d| d.severity == crate::diagnostic::Severity::Error).collect();
    assert!(errors.is_empty(), "{errors:#?}");
    let verdicts = run(&compiled.tests, compiled.subject(), BUDGET);
    verdicts.into_iter().flat_map(|v| v.failures).map(|f| f.got).collect()
}

#[test]
fn connections_are_walked_through_their_items() {
    let holds = |lines: &str| assert_eq!(connected(lines), [""; 0], "{lines}");
    holds("connect tcp :5432\nexpect pool pg");
    holds("connect tcp :5432 from 10.1.2.3\nexpect pool office");
    holds("connect tcp :5432 from 192.0.2.7\nexpect deny");
    holds("connect udp :53\nexpect pool dns");
    holds("connect tls vault.example.com\nexpect pool vault");
    holds("connect tls VAULT.example.com with tls.alpn = \"http/1.1\", tls.alpn = \"h2\"\nexpect pool vault");
    holds("connect tls a.example.com with tls.alpn = \"http/1.1\", tls.alpn = \"h2\"\nexpect pool any");
    holds(
        "given draw 94%\nconnect tls a.example.com\nexpect pool vault\ngiven draw 95%\nconnect tls a.example.com\nexpect pool any",
    );
    let fails = |lines: &str, words: &str| assert_eq!(connected(lines), [words], "{lines}");
    fails("connect tcp :5432\nexpect deny", "pool pg");
    fails("connect tcp :5432 from 192.0.2.7\nexpect pool pg", "deny: a `require` does not hold");
    fails("connect tcp :5433\nexpect pool pg", "no item of this file listens on tcp :5433");
    fails("connect udp :5432\nexpect pool pg", "no item of this file listens on udp :5432");
    fails("connect tls example.com\nexpect pool vault", "no `passthrough` of this file is for example.com");
    fails(
        "connect tls a.example.com\nexpect pool any",
        "one of 95% vault, 5% any, drawn anew for each connection; say which with `given draw 5%`",
    );
}

/// What no test goes through, in words, and of how many outcomes how many were seen.
fn covered(tests: &str) -> (Vec<String>, usize, usize) {
    let (compiled, _) = compile(tests);
    assert!(compiled.is_sound(), "{:#?}", compiled.diagnostics);
    let mut coverage = Coverage::default();
    coverage.expect(compiled.subject());
    let verdicts = run_covering(&compiled.tests, compiled.subject(), BUDGET, &mut coverage);
    assert!(verdicts.iter().all(|verdict| verdict.failures.is_empty()), "{verdicts:#?}");
    let points = coverage.points(|_| true);
    let sum = |of: fn((usize, usize)) -> usize| points.iter().map(|point| of(point.outcomes())).sum();
    let missing = points.iter().filter_map(|point| Some(format!("{}: {}", point.shown, point.missing()?)));
    (missing.collect(), sum(|(all, _)| all), sum(|(_, seen)| seen))
}

#[test]
fn coverage_is_by_route_and_by_outcome_of_condition() {
    let (missing, all, seen) = covered("");
    assert_eq!((seen, all), (0, 24), "{missing:#?}");
    let ask = |path: &str, then: &str| format!("request GET https://shop.example.com{path}\nexpect {then}\n");
    let test = |lines: &str| format!("test \"t\" {{\n{lines}}}\n");
    // A route behind a `require` that does not hold was not reached.
    let (missing, _, seen) = covered(&test(&ask("/api/v1/x", "401")));
    assert!(missing.iter().any(|m| m == "/api/{version}/*rest (else): never reached"), "{missing:#?}");
    assert!(missing.iter().any(|m| m == "require header.x-key: never true"), "{missing:#?}");
    assert_eq!(seen, 1);
    let lines = ask("/api/v1/x with header.x-key = \"k\"", "pool web") + &ask("/api/v1/x", "401");
    let (missing, _, seen) = covered(&test(&lines));
    assert!(!missing.iter().any(|m| m.contains("x-key") || m.contains("/api/")), "{missing:#?}");
    assert_eq!(seen, 3);
    // Candidates behind the one that takes a request are not asked.
    let (missing, _, _) = covered(&test(&ask("/h2 with request.version = \"2\"", "200")));
    assert!(missing.iter().any(|m| m == "when request.version is \"2\": never false"), "{missing:#?}");
    assert!(missing.iter().any(|m| m == "when tls.alpn is \"h2\": never asked"), "{missing:#?}");
    let (missing, _, _) = covered(&test(&format!("given web down\n{}", ask("/fall", "pool spare"))));
    assert!(!missing.iter().any(|m| m.starts_with("catch")), "{missing:#?}");
}

/// The first finding about the tests of a file.
fn wrong(lines: &str) -> String {
    let (compiled, _) = compile(&format!("test \"t\" {{\n{lines}\n}}\n"));
    let first = compiled.diagnostics.iter().find(|d| d.primary.loc.span.start as usize > SITES.len());
    first.map(|d| format!("{} {}", d.code, d.message)).unwrap_or_default()
}

#[test]
fn mistakes_are_said_where_they_are() {
    let ask = |rest: &str| format!("request GET https://shop.example.com/x{rest}");
    let expect = |what: &str| format!("{}\nexpect {what}", ask(""));
    let mut missed = Vec::new();
    for (lines, words) in [
        ("gvien web down".to_owned(), "G1001 unknown statement `gvien`; did you mean `given`?"),
        (expect("pool wbe"), "G1002 no pool named `wbe`; did you mean `web`?"),
        (expect("respnd 200"), "G1001 unknown statement `respnd`; did you mean `respond`?"),
        (expect("pool"), "G1024 `expect pool` takes the name of a pool"),
        (expect("redirect 308"), "G1024 `expect redirect` takes a target"),
        (expect("999"), "G1011 a status is 100 to 599, not 999"),
        (expect("pool web at /a b"), "G1024 this belongs to no `expect`"),
        (expect("timeout soon"), "G1024 `expect timeout` takes a duration"),
        (expect("request header x-forwarded-for = \"1\""), "G1024 `x-forwarded-for` is written by the gateway"),
        (expect("no request header x = \"1\""), "G1024 `expect request` takes"),
        (ask(""), "G1024 nothing is expected of this"),
        ("expect pool web".to_owned(), "G1024 an `expect` stands below the `request` or `connect`"),
        ("given web down".to_owned(), "G1024 this test asks nothing"),
        (
            "request GTE https://shop.example.com/\nexpect 404".to_owned(),
            "G1011 `GTE` is not a method; did you mean `GET`?",
        ),
        ("request GET /x\nexpect 404".to_owned(), "G1024 a test's request names its host"),
        ("request GET https://shop.example.com/{x}\nexpect 404".to_owned(), "G1027 a test is written out"),
        ("request GET \"ftp://shop.example.com/\"\nexpect 404".to_owned(), "G1024 a request's URL starts with"),
        (format!("{}\nexpect 404", ask(" form 10.0.0.1")), "G1001 unknown statement `form`; did you mean `from`?"),
        (
            format!("{}\nexpect 404", ask(" with heder.x = \"1\"")),
            "G1003 `heder` is not the name of a value here; did you mean `header`?",
        ),
        (format!("{}\nexpect 404", ask(" with header.x \"1\"")), "G1024 `with` takes"),
        (format!("{}\nexpect 404", ask(" with header.host = \"a\"")), "G1024 the URL says the host"),
        (
            format!("{}\nexpect 404", ask(" with tls.apln = \"h2\"")),
            "G1004 `tls` has no member `apln`; did you mean `alpn`?",
        ),
        (format!("{}\nexpect 404", ask(" with query.x = \"h2\"")), "G1024 the query stands in the URL"),
        ("connect tcp 5432\nexpect deny".to_owned(), "G1024 `connect` takes"),
        ("connect tcp :5432\nexpect 404".to_owned(), "G1024 of a connection only"),
        (
            "connect tls a.example.com with tls.sni = \"b.example.com\"\nexpect deny".to_owned(),
            "G1024 `tls HOST` says the name already",
        ),
        (
            "connect tcp :5432 with tls.apln = \"h2\"\nexpect deny".to_owned(),
            "G1003 `tls.apln` is not the name of a value here; did you mean `tls.alpn`?",
        ),
        (format!("given pool wbe down\n{}\nexpect 404", ask("")), "G1002 no pool named `wbe`; did you mean `web`?"),
        (format!("given web dwon\n{}\nexpect 404", ask("")), "G1001 unknown statement `dwon`; did you mean `down`?"),
        (format!("given wbe down\n{}\nexpect 404", ask("")), "G1002 no pool named `wbe`; did you mean `web`?"),
        (format!("given draw 42\n{}\nexpect 404", ask("")), "G1024 `given draw` takes where in the shares"),
        (format!("given draw 100%\n{}\nexpect 404", ask("")), "G1024 `given draw` takes where in the shares"),
    ] {
        let said = wrong(&lines);
        if !said.starts_with(words) {
            missed.push(format!("{lines}\nsays {said}\nnot  {words}"));
        }
    }
    assert!(missed.is_empty(), "{}", missed.join("\n\n"));
}
