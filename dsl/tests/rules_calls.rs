//! The rules of LANGUAGE section 14 about calls, limits and secrets, each by its number. The others are in
//! `rules.rs`; those of tables, tenants and proofs (27, 30, 32) have their tests beside what settles them.

#![allow(clippy::unwrap_used)] // a test that cannot read its case fails

mod front;

use dsl::diagnostic::Diagnostic;
use dsl::syntax::span::FileId;
use dsl::tree::calls::Outcome;
use dsl::tree::ir::*;
use dsl::tree::judge::{Admit, Edit, Progress, Refused, Rendered, Walk, admit};
use dsl::tree::request::Plain;
use dsl::tree::{Program, eval};
use front::Files;
use std::net::IpAddr;
use std::sync::Arc;

fn check(files: &Files) -> (Vec<Arc<Site>>, Vec<Diagnostic>) {
    let (path, text) = &files.0[0];
    let checked = dsl::check(&dsl::Unit { file: FileId(0), path, text, gateway: false, modules: files });
    // A form that is not carried out yet means what it means.
    (checked.sites, checked.diagnostics.into_iter().filter(|d| d.code != "G0002").collect())
}

fn site(statements: &str) -> Files {
    Files::one(
        "sites/a.route",
        &format!(
            "pool web = 10.0.0.1:80\npool control = 10.0.0.9:80\n\nsite a.example.com {{\n{statements}\n    else -> web\n}}\n"
        ),
    )
}

fn codes(statements: &str) -> Vec<&'static str> {
    check(&site(statements)).1.iter().map(|d| d.code).collect()
}

fn lowered(files: &Files) -> Vec<Arc<Site>> {
    let (sites, said) = check(files);
    assert!(said.is_empty(), "{}", files.render(&said));
    sites
}

#[derive(Default)]
struct Keys(Vec<(String, Vec<u8>)>);

impl<'p> Walk<'p> for Keys {
    fn edit(&mut self, _: Edit<'p>) -> Result<(), eval::BadText> {
        Ok(())
    }
    fn limit(&mut self, limit: &'p Arc<Limit>, key: Vec<u8>, _: u64) -> Admit {
        self.0.push((limit.name.to_string(), key));
        Admit::Pass
    }
}

/// The limits that count a request, with its keys; and what becomes of it when each call comes to this.
fn counted(site: &Arc<Site>, plain: &Plain, outcome: &Outcome) -> (Vec<(String, Vec<u8>)>, String) {
    let program: Program = dsl::tree::compile(Arc::clone(site)).unwrap();
    let (mut keys, mut progress, mut plain) = (Keys::default(), Progress::default(), plain.clone());
    loop {
        match program.judge(&plain, &mut || 0, &mut keys, &mut progress).answer {
            Rendered::Pending(call) => plain.calls.tell(call, outcome.clone()),
            Rendered::Proxy { pool, .. } => return (keys.0, site.pools[pool.0 as usize].name.to_string()),
            Rendered::Deny { status } => return (keys.0, status.to_string()),
            Rendered::Refused(Refused::Failed(_)) => return (keys.0, "503".to_owned()),
            other => return (keys.0, format!("{other:?}")),
        }
    }
}

fn from(client: &str, headers: &[(&str, &str)]) -> Plain {
    Plain {
        host: "a.example.com".into(),
        client: (client.parse::<IpAddr>().unwrap(), 1),
        headers: headers.iter().map(|(n, v)| ((*n).to_owned(), v.as_bytes().to_vec())).collect(),
        ..Plain::default()
    }
}

fn yes() -> Outcome {
    Outcome::Yes(Arc::from([]))
}

#[test]
fn rule_04_a_guard_that_asks_competes_with_no_without() {
    let policy = "policy p {\n    require cookie.a is \"b\" else deny 401\n}\n";
    let with = |block: &str| {
        let mut files = site(&format!("/x/* {{\nuse p\n{block}\nelse -> web\n}}"));
        files.0[0].1.insert_str(0, policy);
        check(&files).1.iter().map(|d| d.code).collect::<Vec<_>>()
    };
    assert_eq!(with("./y when ask(control, GET /y) -> control"), [""; 0]);
    assert_eq!(with("./y when ask(control, GET /y) -> control\n./z without p -> web"), ["G1022"]);
    assert_eq!(with("./y when password(secret.users) -> control\n./z without p -> web"), ["G1022"], "a hash is dear");
    assert_eq!(with("./y when cookie.c is \"d\" -> control\n./z without p -> web"), [""; 0], "pure guards may");
    // What an inner block's own policy leaves out was not run before the outer guard asks.
    let inner = "./y/* when ask(control, GET /y) {\nuse q\n./z without q -> web\nelse -> control\n}";
    let mut files = site(&format!("/x/* {{\nuse p\n{inner}\nelse -> web\n}}"));
    files.0[0].1.insert_str(0, &format!("{policy}policy q {{\n    require cookie.q else deny 401\n}}\n"));
    assert_eq!(check(&files).1.iter().map(|d| d.code).filter(|c| *c == "G1022").count(), 0);
}

#[test]
fn rule_04_a_guard_hashes_a_password_behind_its_blocks_policies() {
    let text =
        "/x/* {\nrequire header.x-token else deny 401\n./y when password(secret.users) -> control\nelse -> web\n}";
    let sites = lowered(&site(text));
    let program: Program = dsl::tree::compile(Arc::clone(&sites[0])).unwrap();
    let at = |headers: &[(&str, &str)]| {
        let plain = Plain { path: "/x/y".into(), ..from("203.0.113.1", headers) };
        program.judge(&plain, &mut || 0, &mut Keys::default(), &mut Progress::default()).answer
    };
    let refused = at(&[("authorization", "Basic YTpi")]);
    assert!(matches!(refused, Rendered::Deny { status: 401 }), "no hash for who is refused anyway: {refused:?}");
    let asked = at(&[("authorization", "Basic YTpi"), ("x-token", "1")]);
    assert!(matches!(asked, Rendered::Pending(_)), "{asked:?}");
}

#[test]
fn rule_12_names_in_policies_are_their_own() {
    let policy = "policy p(name: text) {\n    let own = \"{name}-x\"\n    set request header x-a = own\n}\n";
    let mut files = site("let own = \"site\"\nuse p(own)\nset request header x-b = own");
    files.0[0].1.insert_str(0, policy);
    let sites = lowered(&files);
    let steps = &sites[0].plans[0].steps;
    let values: Vec<String> = steps
        .iter()
        .filter_map(|step| match step {
            Step::Header(edit) => Some(edit.value.to_string()),
            _ => None,
        })
        .collect();
    assert_eq!(values, ["\"site-x\"", "\"site\""], "neither sees the other's");
    assert_eq!(codes("let jwt = \"x\""), ["G1018"]);
    assert_eq!(codes("let secret = \"x\""), ["G1018"]);
}

#[test]
fn rule_17_a_header_that_an_ask_copies_is_tested_no_more() {
    assert_eq!(
        codes("require ask(control, GET /v, copy: [x-user]) else deny\n/a/* when header.x-user is \"ann\" -> control"),
        ["G1025"]
    );
    assert_eq!(
        codes("require header.x-user is \"ann\" else deny\nrequire ask(control, GET /v, copy: [x-user]) else deny"),
        [""; 0],
        "tested first, copied then"
    );
}

#[test]
fn rule_20_an_ask_is_yes_no_or_failed() {
    let client = from("203.0.113.1", &[]);
    let at = |ask: &str, outcome: &Outcome| {
        let sites = lowered(&site(&format!("require {ask} else deny 401")));
        counted(&sites[0], &client, outcome).1
    };
    let plain = "ask(control, GET /v)";
    assert_eq!([at(plain, &yes()), at(plain, &Outcome::No), at(plain, &Outcome::Failed)], ["web", "401", "503"]);
    assert_eq!(at("not ask(control, GET /v)", &Outcome::Failed), "503", "failed is no no");
    let sites = lowered(&site("/x/* when ask(control, GET /v, failed: yes) -> control"));
    let CallKind::Ask(ask) = &sites[0].calls[0].kind else { panic!() };
    assert_eq!(ask.failed, Some(true));
}

#[test]
fn identity_headers_are_the_gateways_wherever_a_request_goes() {
    let statements = "client cert optional from \"pki/c.pem\"\n\
        let who = jwt(cookie.a, key: secret.k, iss: \"i\", aud: host)\n\
        /a/* {\nrequire who else deny 401\nset request header x-user = who.sub if missing \"nobody\"\n-> web\n}\n\
        /c/* {\nset request header x-cert = tls.cert.subject if missing \"none\"\n-> web\n}\n\
        /d/* {\nadd request header x-groups = who.role if missing \"\"\n-> web\n}\n\
        /e/* {\nset request header x-path = request.path\n-> web\n}\n\
        /f/* {\nrequire ask(control, GET /v, copy: [x-asked]) else deny\n-> web\n}\n\
        /g/* {\nset response header x-answer = who.sub if missing \"\"\n-> web\n}";
    let sites = lowered(&site(statements));
    let names: Vec<String> = sites[0].identities().iter().map(|one| one.name.to_string()).collect();
    assert_eq!(names, ["x-asked", "x-user", "x-cert", "x-groups"], "neither a path nor an answer says who asks");
    // On a path whose policies fill none of them, they are told to be gone all the same.
    let program = dsl::tree::compile(Arc::clone(&sites[0])).unwrap();
    let plain = from("203.0.113.1", &[("x-user", "root"), ("x_cert", "CN=root")]);
    let told = dsl::tree::tell::tell(&program, &plain, None);
    let gone: Vec<&str> = told.edits.iter().map(|edit| edit.name).collect();
    assert_eq!(gone, names);
    assert!(
        told.lines.iter().any(|line| line.text.starts_with("remove request header x-cert  · only tls.cert.subject"))
    );
}

#[test]
fn an_answer_that_reads_a_call_does_not_let_its_require_be_passed() {
    let text = "provider corp {\n    issuer \"https://login.example\"\n    client \"shop\" key secret.client\n    \
        session \"__Host-sid\" key secret.session\n}\n\npool web = 10.0.0.1:80\n\nsite a.example.com {\n    \
        require client.ip in [10.0.0.0/8] else login corp\n    else -> web\n}\n";
    let sites = lowered(&Files(vec![("sites/a.route".to_owned(), text.to_owned())]));
    let came = counted(&sites[0], &from("203.0.113.1", &[]), &yes()).1;
    assert!(came.starts_with("Visit"), "{came}");
}

#[test]
fn rule_21_keys_are_told_apart_by_their_source() {
    let sites = lowered(&site("limit 10/s per header.x-key if missing client.ip"));
    let key = |plain: &Plain| counted(&sites[0], plain, &yes()).0.remove(0).1;
    let by_address = key(&from("203.0.113.7", &[]));
    assert_ne!(by_address, key(&from("198.51.100.1", &[("x-key", "203.0.113.7")])), "a header's text is no address");
    assert_ne!(by_address, key(&from("203.0.113.8", &[])));
    // IPv6 addresses count by their /64; an IPv4-mapped one is the IPv4 address.
    assert_eq!(key(&from("2001:db8::1", &[])), key(&from("2001:db8::2", &[])));
    assert_ne!(key(&from("2001:db8::1", &[])), key(&from("2001:db8:0:1::1", &[])));
    assert_eq!(key(&from("::ffff:203.0.113.7", &[])), by_address);
    // A list is no join of texts.
    let sites = lowered(&site("limit 10/s per [header.x-a, header.x-b] if missing \"\""));
    let key = |plain: &Plain| counted(&sites[0], plain, &yes()).0.remove(0).1;
    assert_ne!(key(&from("::1", &[("x-a", "ab"), ("x-b", "c")])), key(&from("::1", &[("x-a", "a"), ("x-b", "bc")])));
}

#[test]
fn rule_21_one_written_limit_is_one_set_of_buckets() {
    let shared = "policy limited(n: rate) {\n    limit n per client.ip\n}\n";
    let of = |path: &str, import: &str, host: &str, rate: &str| {
        let text = format!(
            "import {import} as shared\npool web = 10.0.0.1:80\nsite {host} {{\n    use shared.limited({rate})\n    else -> web\n}}\n"
        );
        let files = Files(vec![(path.to_owned(), text), ("sites/shared.route".to_owned(), shared.to_owned())]);
        let sites = lowered(&files);
        counted(&sites[0], &from("203.0.113.1", &[]), &yes()).0.remove(0).0
    };
    let one = of("sites/a.route", "./shared", "a.example.com", "10/s");
    assert_eq!(one, of("sites/b/b.route", "../shared", "b.example.com", "10/s"), "its uses share it");
    assert_ne!(one, of("sites/a.route", "./shared", "a.example.com", "20/s"), "another argument is another limit");

    let names = |statements: &str| {
        let sites = lowered(&site(statements));
        let mut names: Vec<String> = Vec::new();
        for step in sites[0].plans.iter().flat_map(|plan| &plan.steps) {
            if let Step::Limit(limit) = step
                && !names.contains(&limit.name.to_string())
            {
                names.push(limit.name.to_string());
            }
        }
        names
    };
    let two = "/a/* {\nlimit 10/s per client.ip\n-> web\n}\n/b/* {\nlimit 10/s per client.ip\n-> control\n}";
    assert_eq!(names(two).len(), 2, "two lines are two limits");
    assert_eq!(names("limit 10/s per client.ip\n/a/* -> web\n/b/* -> control").len(), 1, "one line is one");
    assert_eq!(names(&format!("timeout 5s\n# moved\n/c/* -> web\n{two}")), names(two), "other edits leave it");
    assert_eq!(names("limit 10/s per client.ip as x"), ["x"]);
    assert_eq!(codes("limit 10/s per client.ip as x\n/a/* {\nlimit 20/s per client.ip as x\n-> web\n}"), ["G1023"]);
}

#[test]
fn rule_22_a_cache_under_a_call_says_per_whom() {
    let who = "require jwt(cookie.a, key: secret.k, iss: \"i\", aud: host) else deny\n";
    assert_eq!(codes(&format!("{who}cache 10m")), ["G1024"]);
    assert_eq!(codes(&format!("{who}cache 10m per cookie.a")), [""; 0]);
    assert_eq!(codes("cache 10m"), [""; 0]);
}

#[test]
fn rule_23_a_secret_is_compared_by_a_call_of_its_own() {
    let sites = lowered(&site("require header.k in secret.keys else deny 401"));
    assert!(matches!(&sites[0].calls[0].kind, CallKind::Secret(test) if test.any_line));
    // The condition reads the outcome and nothing of the secret, nor of the header.
    let Some(Step::Require { cond, .. }) = sites[0].plans[0].steps.first() else { panic!() };
    assert!(matches!(cond, Cond::Test(Field::Call(..), Test::Present)), "{cond:?}");
}

#[test]
fn rule_26_another_sites_handshake_is_421() {
    let settings = |tls: Tls| {
        let sites = lowered(&site(match tls {
            Tls::Off => "tls off",
            Tls::Internal => "tls internal",
            Tls::Auto | Tls::OnDemand | Tls::File => "tls auto",
        }));
        sites[0].settings.clone()
    };
    let auto = settings(Tls::Auto);
    assert_eq!(admit(&auto, true, None), dsl::tree::judge::Admission::Serve);
    assert_eq!(admit(&auto, true, Some(Some(&settings(Tls::Auto)))), dsl::tree::judge::Admission::Serve);
    assert_eq!(admit(&auto, true, Some(Some(&settings(Tls::Internal)))), dsl::tree::judge::Admission::Misdirected);
    assert_eq!(admit(&auto, true, Some(None)), dsl::tree::judge::Admission::Misdirected, "a passthrough's handshake");
    assert_eq!(admit(&settings(Tls::Off), true, None), dsl::tree::judge::Admission::Misdirected);
}

#[test]
fn rule_31_calls_and_relations_are_opaque() {
    // Two routes that calls tell apart overlap as far as anybody can see; nothing is said to be dead.
    let statements = "let who = jwt(cookie.a, key: secret.k, iss: \"i\", aud: host)\n\
                      /x/* when who.role is \"a\" -> control\n/x/* when who.role is \"b\" -> web\n/x/* -> control";
    assert_eq!(codes(statements), [""; 0]);
    let sites = lowered(&site(statements));
    assert_eq!(sites[0].calls.len(), 1);
}

#[test]
fn rule_4_a_guard_that_reads_the_body_does_so_behind_its_blocks_policies() {
    let files = site(
        "    /x {\n        require header.k is \"v\" else deny 401\n        when body.text has \"a\" -> control\n        else -> web\n    }",
    );
    let program = dsl::tree::compile(Arc::clone(&lowered(&files)[0])).unwrap();
    let mut plain = Plain { host: "a.example.com".into(), path: "/x".into(), ..Plain::default() };
    let judged = |plain: &Plain| {
        let mut walk = Keys::default();
        let answer = program.judge(plain, &mut || 0, &mut walk, &mut Progress::default()).answer;
        format!("{answer:?}")
    };
    assert!(judged(&plain).starts_with("Deny { status: 401 }"), "{}", judged(&plain));
    plain.headers.push(("k".into(), b"v".into()));
    assert!(judged(&plain).starts_with("Pending"), "{}", judged(&plain));
    let call = CallIdx(0);
    let said = |text: &str| Outcome::Yes(Arc::from([("".into(), text.into())]));
    for (outcome, pool) in [(said("bab"), "control"), (said("b"), "web"), (Outcome::No, "web")] {
        let mut plain = plain.clone();
        plain.calls.tell(call, outcome);
        let judged = program.judge(&plain, &mut || 0, &mut Keys::default(), &mut Progress::default());
        let Rendered::Proxy { pool: at, .. } = judged.answer else { panic!("{:?}", judged.answer) };
        assert_eq!(&*program.site().pools[at.0 as usize].name, pool);
    }
}

#[test]
fn bodies_where_they_can_and_cannot_be() {
    for fine in [
        "    require body.json(\"/a/0\") is \"x\"",
        "    inspect 1MB else pass\n    require not body.text matches \".*x.*\"",
        "    limit 5/s per body.form(\"a\") if missing client.ip",
        "    set request header x-a = body.file(\"a\") if missing \"\"",
        "    require body.values has \"x\"\n    /x when body.text -> control",
        "    let role = body.json(\"\")\n    require role in [\"a\", \"b\"]",
        // Under one `inspect`, under a stricter one before, and behind a condition that is not on its way.
        "    inspect 1KB else pass\n    /x when body.text {\n        require body.text is not \"a\"\n        -> control\n    }",
        "    inspect 1KB\n    /x when body.text {\n        inspect 64KB\n        require body.text is not \"a\"\n        -> control\n    }",
        "    inspect 1KB else pass\n    /y when body.text -> control\n    /x {\n        inspect 64KB\n        require body.text is not \"a\"\n        -> control\n    }",
        "    require body.text is not \"a\"\n    catch [502] -> 50% web, 50% control by body.text if missing client.ip",
        "    catch [502] -> 50% web, 50% control by body.text if missing client.ip\n    /x {\n        require body.text is not \"a\"\n        -> control\n    }",
    ] {
        assert_eq!(codes(fine), Vec::<&str>::new(), "{fine}");
    }
    for (wrong, code) in [
        ("    require body.json(\"a\")", "G1024"),
        ("    require body.json(\"/~\")", "G1024"),
        ("    require body.json(header.x)", "G1005"),
        ("    require body.xml(\"/a\")", "G1004"),
        ("    require body.text(\"a\")", "G1024"),
        ("    require body.json", "G1024"),
        ("    require body", "G1003"),
        ("    let body = \"a\"", "G1018"),
        ("    limit 5/s per body.form(\"a\")", "G1012"),
        ("    inspect 2MB", "G1024"),
        ("    inspect 0B", "G1024"),
        ("    inspect 1KB else deny", "G1024"),
        (
            "    inspect 1KB else pass\n    /x when body.text {\n        inspect 64KB\n        require body.text is not \"a\"\n        -> control\n    }",
            "G1024",
        ),
        (
            "    inspect 1KB else pass\n    when body.text {\n        inspect 1KB\n        /x when body.text is \"a\" -> control\n        else -> control\n    }",
            "G1024",
        ),
        ("    catch [502] -> 50% web, 50% control by body.text if missing client.ip", "G1024"),
        ("    tls on-demand {\n        allow when body.text\n        limit 20/h\n    }", "G1022"),
    ] {
        assert!(codes(wrong).contains(&code), "{wrong}: {:?}", codes(wrong));
    }
}

/// Requests that a stricter `inspect` would refuse, in all orders of a laxer one before it: either the file is an
/// error, or they are refused.
#[test]
fn attack_what_a_laxer_inspect_took_for_missing_passes_no_stricter_one() {
    let refused = "require body.json(\"/role\") is not \"admin\"\n        -> control";
    let layouts = [
        // A condition of the block itself, one of a longer path, one beside it, one around it, one that overlaps.
        "OUTER\n    /x when body.json(\"/role\") is not \"root\" {\n        INNER\n        REFUSED\n    }",
        "OUTER\n    /x when body.json(\"/role\") -> web\n    /* {\n        INNER\n        REFUSED\n    }",
        "OUTER\n    /x when body.json(\"/role\") is \"root\" -> web\n    /x {\n        INNER\n        REFUSED\n    }",
        "OUTER\n    /x when body.json(\"/role\") is not \"root\" {\n        /x {\n        INNER\n        REFUSED\n        }\n        else -> web\n    }",
        "OUTER\n    /{a}/y when body.json(\"/role\") -> web\n    /x/* {\n        INNER\n        REFUSED\n    }\n    /x when body.json(\"/role\") -> web\n    /{a} {\n        INNER\n        REFUSED\n    }",
        // A policy that a condition has come first; and one of the site that the block is to carry out.
        "OUTER\n    require body.json(\"/role\") is not \"root\"\n    /x when body.json(\"/pad\") is not \"\" {\n        INNER\n        REFUSED\n    }",
        "OUTER\n    require body.json(\"/role\") is not \"admin\"\n    /x when body.json(\"/pad\") is not \"\" {\n        INNER\n        -> control\n    }",
        // Two conditions under two of them.
        "OUTER\n    /x when body.json(\"/role\") is not \"root\" {\n        INNER\n        when body.json(\"/role\") is not \"admin\" -> control\n        else -> web\n    }",
    ];
    let words = ["", "inspect 64B", "inspect 1KB", "inspect 64B else pass", "inspect 1KB else pass"];
    let bodies = [
        format!("{{\"pad\":\"{}\",\"role\":\"admin\"}}", "a".repeat(100)),
        format!("{{\"pad\":\"{}\",\"role\":\"admin\"}}", "a".repeat(2000)),
        "{\"role\":\"admin\",}".to_owned(),
        "{\"role\":\"admin\"}".to_owned(),
    ];
    let (mut errors, mut refusals) = (0, 0);
    for layout in layouts {
        for (outer, inner) in words.iter().flat_map(|outer| words.map(|inner| (*outer, inner))) {
            let text = layout.replace("OUTER", outer).replace("INNER", inner).replace("REFUSED", refused);
            let told = codes(&text);
            assert!(told.iter().all(|code| *code == "G1024"), "{text}: {told:?}");
            let inspect = if inner.is_empty() { outer } else { inner };
            let same = inner.is_empty() || inner == outer;
            assert!(told.is_empty() || !same && outer.ends_with("pass"), "a false alarm: {text}");
            if !told.is_empty() {
                errors += 1;
                continue;
            }
            let program = dsl::tree::compile(Arc::clone(&lowered(&site(&text))[0])).unwrap();
            for body in &bodies {
                let plain = Plain {
                    host: "a.example.com".into(),
                    path: "/x".into(),
                    headers: vec![("content-type".into(), b"application/json".into())],
                    body: Some(body.clone().into_bytes()),
                    ..Plain::default()
                };
                let told = dsl::tree::tell::tell(&program, &plain, None);
                let passed = matches!(&told.judged.answer, Rendered::Proxy { pool, .. } if &*program.site().pools[pool.0 as usize].name == "control");
                // What is whole and can be read is seen under all of them; the rest may go by where it is said.
                let seen = body.len() < 64 && body.ends_with("\"}");
                assert!(!passed || !seen && inspect.ends_with("pass"), "{text}\n{body}");
                refusals += usize::from(!passed);
            }
        }
    }
    assert!(errors >= 30 && refusals >= 300, "{errors} errors, {refusals} refusals");
}
