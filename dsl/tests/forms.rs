//! Calls, limits and sessions: what the checker makes of each form, and what becomes of requests that meet them.
//!
//! A form that the gateway does not carry out yet is G0002 beside what it means: these tests look at what it means.

#![allow(clippy::unwrap_used)] // a test that cannot read its case fails

mod front;

use dsl::Checked;
use dsl::diagnostic::Diagnostic;
use dsl::syntax::span::FileId;
use dsl::tree::calls::Outcome;
use dsl::tree::ir::*;
use dsl::tree::judge::{Admit, Edit, Progress, Refused, Rendered, Walk};
use dsl::tree::request::Plain;
use dsl::tree::session::{Issue, kept};
use dsl::tree::{Program, eval};
use front::Files;
use std::sync::Arc;

/// A file, checked: G0002 of forms that are not carried out yet is no error of the program's.
fn check(text: &str) -> (Checked, Vec<Diagnostic>) {
    let files = Files::one("sites/a.route", text);
    let unit = dsl::Unit { file: FileId(0), path: "sites/a.route", text, gateway: false, modules: &files };
    let checked = dsl::check(&unit);
    let said = checked.diagnostics.iter().filter(|d| d.code != "G0002").cloned().collect();
    (checked, said)
}

/// The codes of what is said of a site's statements.
fn codes(statements: &str) -> Vec<&'static str> {
    check(&site(statements)).1.iter().map(|d| d.code).collect()
}

fn site(statements: &str) -> String {
    format!(
        "import std/auth\n\npool web = 10.0.0.1:80\npool control = 10.0.0.9:80\n\n\
         site a.example.com {{\n{statements}\n    else -> web\n}}\n"
    )
}

/// A site that nothing is said about.
fn lowered(statements: &str) -> Arc<Site> {
    let text = site(statements);
    let (checked, said) = check(&text);
    assert!(said.is_empty(), "{}", Files::one("sites/a.route", &text).render(&said));
    Arc::clone(&checked.sites[0])
}

fn limits(site: &Site) -> Vec<Arc<Limit>> {
    let mut found: Vec<Arc<Limit>> = Vec::new();
    for step in site.plans.iter().flat_map(|plan| &plan.steps) {
        if let Step::Limit(limit) = step
            && !found.iter().any(|known| Arc::ptr_eq(known, limit))
        {
            found.push(Arc::clone(limit));
        }
    }
    found
}

/// What a walk was told, and what its limits say.
#[derive(Default)]
struct Walked {
    edits: Vec<String>,
    counted: Vec<(String, Vec<u8>, u64)>,
    sessions: Vec<Option<String>>,
    full: bool,
}

impl<'p> Walk<'p> for Walked {
    fn edit(&mut self, edit: Edit<'p>) -> Result<(), eval::BadText> {
        self.edits.push(format!("{}: {}", edit.name, edit.value));
        Ok(())
    }
    fn limit(&mut self, limit: &'p Arc<Limit>, key: Vec<u8>, cost: u64) -> Admit {
        self.counted.push((limit.name.to_string(), key, cost));
        if self.full { Admit::Later(1000) } else { Admit::Pass }
    }
    fn session(&mut self, _: &'p Arc<Session>, issue: Issue<'_>) {
        self.sessions.push(match issue {
            Issue::Start(sub) => Some(sub.to_owned()),
            Issue::Keep(claims) => kept(claims, 1_000).map(|(sub, times)| format!("{sub} until {}", times.expires)),
            Issue::End => None,
        });
    }
}

/// What becomes of a request: calls are answered by `answers`, by how they are shown, when they are asked.
struct Asked {
    answer: String,
    asked: Vec<String>,
    walked: Walked,
}

fn judge(site: &Arc<Site>, plain: &Plain, answers: &[(&str, Outcome)], mut walked: Walked) -> Asked {
    let program: Program = dsl::tree::compile(Arc::clone(site)).unwrap();
    let mut plain = Plain { host: "a.example.com".into(), ..plain.clone() };
    let mut progress = Progress::default();
    let mut asked = Vec::new();
    loop {
        let judged = program.judge(&plain, &mut || 0, &mut Lent(&mut walked), &mut progress);
        let answer = match judged.answer {
            Rendered::Pending(call) => {
                let shown = site.calls[call.0 as usize].shown.to_string();
                assert!(!asked.contains(&shown), "{shown} is asked once");
                let outcome =
                    answers.iter().find(|(start, _)| shown.starts_with(start)).unwrap_or_else(|| panic!("{shown}"));
                plain.calls.tell(call, outcome.1.clone());
                asked.push(shown);
                continue;
            }
            Rendered::Proxy { pool, target, .. } => {
                let pool = &site.pools[pool.0 as usize].name;
                target.map_or_else(|| pool.to_string(), |target| format!("{pool} at {target}"))
            }
            Rendered::Redirect { status, location } => format!("{status} {location}"),
            Rendered::Respond { status, .. } | Rendered::Deny { status } => status.to_string(),
            Rendered::Limited { .. } => "429".to_owned(),
            Rendered::NotFound => "404".to_owned(),
            Rendered::Refused(Refused::Failed(_)) => "503".to_owned(),
            Rendered::Refused(_) => "400".to_owned(),
            other => format!("{other:?}"),
        };
        return Asked { answer, asked, walked };
    }
}

struct Lent<'w>(&'w mut Walked);

impl<'p> Walk<'p> for Lent<'_> {
    fn edit(&mut self, edit: Edit<'p>) -> Result<(), eval::BadText> {
        self.0.edit(edit)
    }
    fn limit(&mut self, limit: &'p Arc<Limit>, key: Vec<u8>, cost: u64) -> Admit {
        self.0.limit(limit, key, cost)
    }
    fn session(&mut self, session: &'p Arc<Session>, issue: Issue<'_>) {
        self.0.session(session, issue);
    }
}

fn yes(claims: &[(&str, &str)]) -> Outcome {
    Outcome::Yes(claims.iter().map(|(name, text)| ((*name).into(), (*text).into())).collect())
}

fn get(path: &str) -> Plain {
    Plain { path: path.into(), ..Plain::default() }
}

fn with(path: &str, headers: &[(&str, &str)]) -> Plain {
    let headers = headers.iter().map(|(n, v)| ((*n).to_owned(), v.as_bytes().to_vec())).collect();
    Plain { headers, ..get(path) }
}

mod limit {
    use super::*;

    fn one(text: &str) -> Arc<Limit> {
        let site = lowered(text);
        let mut all = limits(&site);
        assert_eq!(all.len(), 1, "{text}");
        all.remove(0)
    }

    #[test]
    fn a_rate_has_a_burst_of_one_second_and_at_least_one() {
        let bound = |text: &str| one(text).bound;
        let rate = |count, per_ms, burst| LimitBound::Rate { count, per_ms, burst };
        assert_eq!(bound("limit 100/s per client.ip"), rate(100, 1000, 100));
        assert_eq!(bound("limit 100/s burst 200 per client.ip"), rate(100, 1000, 200));
        assert_eq!(bound("limit 5/h per client.ip"), rate(5, 3_600_000, 1));
        assert_eq!(bound("limit 20 at-once per client.ip"), LimitBound::AtOnce(20));
        assert_eq!(bound("limit 10MB/s per client.ip"), LimitBound::Bytes(10 << 20));
        assert_eq!(codes("limit 100/s burst 0 per client.ip"), ["G6003"]);
    }

    #[test]
    fn options_and_cost() {
        let limit = one("limit 10/s burst 20 cost 5 per client.ip as logins shadow");
        assert_eq!((&*limit.name, limit.shadow), ("logins", true));
        let site = lowered("limit 10/s cost request.size if missing 1 per client.ip");
        let counted = |plain: &Plain| judge(&site, plain, &[], Walked::default()).walked.counted[0].2;
        assert_eq!(counted(&with("/", &[("content-length", "512")])), 512);
        assert_eq!(counted(&get("/")), 1);
        assert_eq!(codes("limit 10/s cost request.size per client.ip"), ["G1012"]);
        for wrong in [
            "limit 10/s burts 5 per client.ip",
            "limit 10/s per client.ip shade",
            "limit 10/s per client.ip as",
            "limit 10/s burst 5 burst 6 per client.ip",
            "limit 10 at-once burst 5 per client.ip",
            "limit 10MB/s cost 2 per client.ip",
            "limit 0/s per client.ip",
            "limit 10/s",
            "limit banana per client.ip",
        ] {
            let found = codes(wrong);
            assert!(matches!(found.as_slice(), ["G1024"] | ["G1003"] | ["G0001"]), "{wrong}: {found:?}");
        }
    }

    #[test]
    fn a_cost_has_cases_and_the_first_that_holds_counts() {
        let cost = "cost 5 when method is POST, 0 when method is OPTIONS, request.size if missing 2 per client.ip";
        let site = lowered(&format!("limit 10/s burst 20 {cost}"));
        let counted = |plain: &Plain| judge(&site, plain, &[], Walked::default()).walked.counted;
        let by = |method: &str| Plain { method: method.into(), ..get("/") };
        let cost_of = |plain: &Plain| counted(plain).iter().map(|(_, _, cost)| *cost).collect::<Vec<_>>();
        assert_eq!(cost_of(&by("POST")), [5]);
        assert_eq!(cost_of(&by("OPTIONS")), [0]);
        assert_eq!(cost_of(&by("GET")), [2]);
        assert_eq!(cost_of(&with("/", &[("content-length", "7")])), [7]);
        // One set of buckets, whatever it costs.
        assert_eq!(counted(&by("POST"))[0].0, counted(&by("GET"))[0].0);
        for wrong in [
            "limit 10/s cost 5, 6 per client.ip",
            "limit 10/s cost 5, 6 when method is POST per client.ip",
            "limit 10/s cost 0 per client.ip",
            "limit 10/s cost 11 when method is POST per client.ip",
            "limit 10/s cost 5 when method is POST, per client.ip",
            "limit 10/s cost request.size if missing 1 on [401] per client.ip",
        ] {
            let found = codes(wrong);
            assert!(matches!(found.as_slice(), ["G1024"] | ["G0001"] | ["G1003"]), "{wrong}: {found:?}");
        }
        assert_eq!(codes("limit 10/s cost 5 when request.sise > 1KB per client.ip"), ["G1004"]);
    }

    #[test]
    fn an_answer_counts_by_its_status() {
        let limit = one("limit 5/m burst 10 per client.ip on [401, 403, 500..599] as guesses tell");
        assert!(limit.tell);
        assert_eq!(limit.to_string(), "limit 5/m burst 10 per client.ip on [401, 403, 500..599] tell");
        let cost = |status| limit.answer.cost(3, status);
        assert_eq!((cost(200), cost(401), cost(402), cost(599)), (0, 3, 0, 3));
        assert_eq!(limit.answer.range(3), (0, 3));
        let limit = one("limit 5/m burst 10 cost 2, 7 on [401, 402], 1 on [404] per client.ip");
        assert_eq!(limit.to_string(), "limit 5/m burst 10 cost 2, 7 on [401, 402], 1 on [404] per client.ip");
        let cost = |status| limit.answer.cost(2, status);
        assert_eq!((cost(200), cost(401), cost(404)), (2, 7, 1));
        assert_eq!(limit.answer.range(2), (1, 7));
        let limit = one("limit 5/m burst 10 cost 7 on 401 per client.ip");
        assert_eq!(limit.to_string(), "limit 5/m burst 10 cost 7 on [401] per client.ip");
        assert_eq!(codes("limit 5/m per client.ip on [401]"), ["G6003"]);
        for wrong in [
            "limit 5/m burst 10 per client.ip on",
            "limit 5/m burst 10 per client.ip on []",
            "limit 5/m burst 10 cost 2 on [403] per client.ip on [401]",
            "limit 5/m burst 10 cost 11 on [403] per client.ip",
            "limit 5 at-once per client.ip on [401]",
            "limit 5MB/s per client.ip tell",
        ] {
            assert_eq!(codes(wrong), ["G1024"], "{wrong}");
        }
        assert_eq!(codes("limit 5/m burst 10 per client.ip on [1000]"), ["G1011"]);
        // One name is one meaning.
        let twice = "limit 5/m burst 10 per client.ip as a\nlimit 5/m burst 10 per client.ip on [401] as a";
        assert_eq!(codes(twice), ["G1023"]);
    }

    #[test]
    fn a_key_that_can_be_missing_says_what_then() {
        assert_eq!(codes("limit 100/s per header.x-api-key"), ["G1012"]);
        assert_eq!(codes("limit 100/s per [client.ip, header.x-api-key]"), ["G1012"]);
        let site = lowered("limit 100/s per header.x-api-key if missing deny 401");
        assert_eq!(judge(&site, &get("/"), &[], Walked::default()).answer, "401");
        assert_eq!(judge(&site, &with("/", &[("x-api-key", "k")]), &[], Walked::default()).answer, "web");
        let full = judge(&site, &with("/", &[("x-api-key", "k")]), &[], Walked { full: true, ..Walked::default() });
        assert_eq!(full.answer, "429");
        let twice = with("/", &[("x-api-key", "k"), ("x-api-key", "l")]);
        assert_eq!(judge(&site, &twice, &[], Walked::default()).answer, "400");
        lowered("require header.x-api-key else deny 401\nlimit 100/s per header.x-api-key");
    }

    #[test]
    fn a_limit_in_the_shadow_refuses_nobody() {
        let site = lowered("limit 1/s per client.ip shadow");
        let full = judge(&site, &get("/"), &[], Walked { full: true, ..Walked::default() });
        assert_eq!((full.answer.as_str(), full.walked.counted.len()), ("web", 1));
    }

    #[test]
    fn used_under_a_condition_it_counts_only_then() {
        let text = format!("policy bots {{\n    limit 1/s per client.ip\n}}\n{}", site("use bots when header.x-bot"));
        let (checked, said) = check(&text);
        assert!(said.is_empty(), "{said:?}");
        let site = &checked.sites[0];
        assert_eq!(judge(site, &get("/"), &[], Walked::default()).walked.counted.len(), 0);
        assert_eq!(judge(site, &with("/", &[("x-bot", "1")]), &[], Walked::default()).walked.counted.len(), 1);
    }

    #[test]
    fn explain_names_it_as_it_would_be_written() {
        let limit = one("/v1/* {\nlimit 100/s burst 200 per header.x-api-key if missing client.ip\n-> web\n}");
        assert_eq!(limit.to_string(), "limit 100/s burst 200 per header.x-api-key if missing client.ip");
        assert_eq!(
            &*limit.name,
            "sites/a.route, site a.example.com, /v1/* limit 100/s burst 200 per header.x-api-key if missing client.ip"
        );
    }
}

mod secret {
    use super::*;

    #[test]
    fn it_is_compared_in_constant_time() {
        let site = lowered("require header.x-api-key in secret.keys else deny 401\nlimit 10/s per header.x-api-key");
        let [call] = site.calls.as_slice() else { panic!("{:?}", site.calls) };
        assert_eq!(&*call.shown, "header.x-api-key in secret.keys");
        let CallKind::Secret(test) = &call.kind else { panic!("{call:?}") };
        assert!(test.any_line && &*test.secret == "keys");
        let asked = |outcome: Outcome| {
            judge(&site, &with("/", &[("x-api-key", "k")]), &[("header", outcome)], Walked::default())
        };
        assert_eq!(asked(yes(&[])).answer, "web");
        assert_eq!(asked(Outcome::No).answer, "401");
        let not = lowered("require not (header.x-key is secret.old) else deny 403");
        assert!(matches!(&not.calls[0].kind, CallKind::Secret(test) if !test.any_line));
        let has =
            |outcome| judge(&not, &with("/", &[("x-key", "k")]), &[("header", outcome)], Walked::default()).answer;
        assert_eq!((has(yes(&[])).as_str(), has(Outcome::No).as_str()), ("403", "web"));
    }

    #[test]
    fn it_leaves_nowhere() {
        for wrong in [
            "set response header x-k = secret.k",
            "set request header x-k = \"a {secret.k}\"",
            "set request header x-k = lower(secret.k)",
            "require header.x starts with secret.k else deny",
            "require secret.k matches \"a+\" else deny",
            "/x -> redirect \"/{secret.k}\"",
            "limit 1/s per secret.k",
            "let k = secret.k\nset request header x-k = k",
            "require ask(web, \"/x/{secret.k}\") else deny",
            "let who = jwt(secret.k, key: secret.k)",
        ] {
            assert_eq!(codes(wrong), ["G3015"], "{wrong}");
        }
        assert_eq!(codes("require \"a\" is secret.k else deny"), ["G1005"]);
        assert_eq!(codes("require secret.a is secret.b else deny"), ["G1005"]);
        assert_eq!(codes("let who = jwt(cookie.a, key: \"sk_live\")"), ["G3016"]);
        assert_eq!(codes("require header.x is secret.a.b else deny"), ["G1004"]);
    }

    #[test]
    fn policies_take_it_by_its_type() {
        let policy = "policy keyed(k: secret) {\n    require header.x is k else deny 401\n}\n";
        let text = format!("{policy}{}", site("use keyed(secret.api)"));
        let (checked, said) = check(&text);
        assert!(said.is_empty(), "{said:?}");
        assert!(matches!(&checked.sites[0].calls[0].kind, CallKind::Secret(test) if &*test.secret == "api"));
        let text =
            format!("policy p(k: text) {{\n    require header.x is k else deny 401\n}}\n{}", site("use p(secret.api)"));
        assert_eq!(check(&text).1.iter().map(|d| d.code).collect::<Vec<_>>(), ["G1005"]);
    }
}

mod jwt {
    use super::*;

    const WHO: &str = "let who = jwt(cookie.sid, key: secret.k, iss: \"sluice\", aud: host)\n";

    #[test]
    fn its_claims_are_there_behind_a_require() {
        let site = lowered(&format!("{WHO}require who else redirect 303 /login\nset request header x-user = who.sub"));
        let [call] = site.calls.as_slice() else { panic!("{:?}", site.calls) };
        assert_eq!(&*call.shown, "jwt(cookie.sid, key: secret.k, iss: \"sluice\", aud: host)");
        let CallKind::Jwt(jwt) = &call.kind else { panic!() };
        assert_eq!(jwt.algorithms.len(), 5);
        assert_eq!(jwt.leeway_ms, 0);
        let ask = |outcome: Outcome| judge(&site, &get("/"), &[("jwt", outcome)], Walked::default());
        let ann = ask(yes(&[("sub", "ann")]));
        assert_eq!((ann.answer.as_str(), ann.walked.edits.as_slice()), ("web", ["x-user: ann".to_owned()].as_slice()));
        assert_eq!(ann.asked.len(), 1);
        assert_eq!(ask(Outcome::No).answer, "303 /login");
        assert_eq!(ask(yes(&[])).answer, "403", "a token without the claim");
        assert_eq!(ask(Outcome::Failed).answer, "503");
    }

    #[test]
    fn without_a_require_a_claim_can_be_missing() {
        assert_eq!(codes(&format!("{WHO}set request header x-user = who.sub")), ["G1012"]);
        let site = lowered(&format!("{WHO}set request header x-user = who.sub if missing \"nobody\""));
        let ask = |outcome: Outcome| judge(&site, &get("/"), &[("jwt", outcome)], Walked::default()).walked.edits;
        assert_eq!(ask(Outcome::No), ["x-user: nobody"]);
        assert_eq!(ask(yes(&[("sub", "ann")])), ["x-user: ann"]);
        assert_eq!(codes(&format!("{WHO}set request header x-user = who")), ["G1005"]);
        let inner = lowered(&format!("{WHO}require who.org.id is \"7\" else deny"));
        assert_eq!(judge(&inner, &get("/"), &[("jwt", yes(&[("org.id", "7")]))], Walked::default()).answer, "web");
    }

    #[test]
    fn a_claim_that_is_a_list_is_looked_into() {
        let site = lowered(&format!("{WHO}require who.groups has \"admins\" else deny 403"));
        let ask = |claims: &[(&str, &str)]| judge(&site, &get("/"), &[("jwt", yes(claims))], Walked::default()).answer;
        assert_eq!(ask(&[("groups", "users"), ("groups", "admins")]), "web");
        assert_eq!(ask(&[("groups", "superadmins")]), "403", "an element, not a part of one");
        let is = lowered(&format!("{WHO}require who.role is \"admin\" else deny 403"));
        let ask = |claims: &[(&str, &str)]| judge(&is, &get("/"), &[("jwt", yes(claims))], Walked::default()).answer;
        assert_eq!(ask(&[("role", "admin")]), "web");
        assert_eq!(ask(&[("role", "admin"), ("role", "user")]), "403", "a list is no text");
    }

    #[test]
    fn the_same_token_is_verified_once() {
        let site = lowered(&format!(
            "{WHO}/a/* when who.role is \"x\" -> control\n/b/* {{\nuse auth.session(\"sid\", key: secret.k)\n-> web\n}}\n\
             /c/* {{\nuse auth.session(\"sid\", key: secret.k)\n-> web\n}}"
        ));
        assert_eq!(site.calls.len(), 2, "{:?}", site.calls.iter().map(|c| &c.shown).collect::<Vec<_>>());
    }

    #[test]
    fn each_site_has_calls_of_its_own() {
        let policy = "policy keyed {\n    require who else deny 401\n}\n";
        let text = format!(
            "let who = jwt(cookie.sid, key: secret.k, iss: \"i\", aud: host)\n{policy}{}{policy2}site b.example.com {{\n    \
             require header.k is secret.x else deny\n    use keyed\n    else -> web\n}}\n",
            site("use keyed"),
            policy2 = policy.replace("keyed", "again"),
        )
        .replace("import std/auth\n", "");
        let (checked, said) = check(&text);
        assert!(said.is_empty(), "{said:?}");
        assert_eq!(checked.sites.iter().map(|site| site.calls.len()).collect::<Vec<_>>(), [1, 2]);
        for site in &checked.sites {
            let plain = Plain { headers: vec![("k".into(), b"x".to_vec())], ..get("/") };
            assert_eq!(
                judge(site, &plain, &[("jwt", Outcome::No), ("header", yes(&[]))], Walked::default()).answer,
                "401"
            );
        }
    }

    #[test]
    fn its_arguments() {
        for (wrong, code) in [
            ("jwt(cookie.sid)", "G1021"),
            ("jwt(key: secret.k)", "G1021"),
            ("jwt(cookie.sid, secret.k)", "G1021"),
            ("jwt(cookie.sid, kye: secret.k)", "G1021"),
            ("jwt(cookie.sid, key: secret.k, alg: none)", "G3014"),
            ("jwt(cookie.sid, key: secret.k, alg: [HS256, none])", "G3014"),
            ("jwt(cookie.sid, key: secret.k, alg: HS265)", "G1024"),
            ("jwt(cookie.sid, key: secret.k, leeway: 5)", "G1005"),
            ("jwt(cookie.sid, key: secret.k, leeway: 1h)", "G1024"),
            ("jwt(cookie.sid, key: secret.k, aud: header.x)", "G1012"),
            ("jwt(5m, key: secret.k)", "G1005"),
            ("jwt(cookie.sid, key: [])", "G1005"),
        ] {
            let found = codes(&format!("let who = {wrong}"));
            assert!(found.contains(&code), "{wrong}: {found:?}");
        }
        let site = lowered(
            "let who = jwt(cookie.sid, key: [secret.new, secret.old], alg: [ES256, EdDSA], leeway: 30s)\nrequire who else deny 401",
        );
        let CallKind::Jwt(jwt) = &site.calls[0].kind else { panic!() };
        assert_eq!(jwt.keys.secrets().iter().map(|k| &**k).collect::<Vec<_>>(), ["new", "old"]);
        assert_eq!(jwt.algorithms, [Algorithm::Es256, Algorithm::EdDsa]);
        assert_eq!(jwt.leeway_ms, 30_000);
    }

    #[test]
    fn the_session_policy_sends_to_the_login_and_back() {
        let site = lowered("/admin/* {\nuse auth.session(\"sid\", key: secret.k)\n-> control\n}");
        let ask = |outcome| {
            judge(
                &site,
                &Plain { query: Some("a=1&b=2".into()), ..get("/admin/users") },
                &[("jwt", outcome)],
                Walked::default(),
            )
        };
        assert_eq!(ask(Outcome::No).answer, "303 /login?next=/admin/users%3Fa%3D1%26b%3D2");
        let ann = ask(yes(&[("sub", "ann")]));
        assert_eq!(
            (ann.answer.as_str(), ann.walked.edits.as_slice()),
            ("control", ["x-user: ann".to_owned()].as_slice())
        );
        assert_eq!(judge(&site, &get("/"), &[], Walked::default()).answer, "web", "nothing is asked outside");
    }
}

mod session {
    use super::*;

    #[test]
    fn it_is_issued_and_ended_with_the_answer() {
        let site = lowered(
            "/login {\nstart session(\"sid\", key: secret.k, sub: header.x-user if missing)\n-> respond 200\n}"
                .replace(" if missing", "")
                .replace("start", "require header.x-user else deny 401\nstart")
                .as_str(),
        );
        let step = site.plans.iter().flat_map(|p| &p.steps).find_map(|s| match s {
            Step::Session(session) => Some(session),
            _ => None,
        });
        let start = step.unwrap().starts().unwrap();
        assert_eq!((&*start.key, start.for_ms, start.idle_ms), ("k", 12 * 3_600_000, None));
        let ann = judge(&site, &with("/login", &[("x-user", "ann")]), &[], Walked::default());
        assert_eq!((ann.answer.as_str(), ann.walked.sessions), ("200", vec![Some("ann".to_owned())]));
        let end = lowered("/logout {\nend session(\"sid\")\n-> redirect 303 /\n}");
        assert_eq!(judge(&end, &get("/logout"), &[], Walked::default()).walked.sessions, [None]);
    }

    /// What `keep session` keeps is the call that `auth.session` makes, whatever verifies it first.
    #[test]
    fn it_is_kept_by_the_call_that_verified_it() {
        let site = lowered("/app/* {\nuse auth.session(\"sid\", key: secret.k, login: /login)\n-> web\n}");
        assert_eq!(site.calls.len(), 1);
        let shown = "jwt(cookie.sid, key: secret.k, iss: \"sluice\", aud: host)";
        let times = [("sub", "ann"), ("iat", "400"), ("exp", "1010"), ("end", "4000"), ("idle", "600")];
        let ask = |claims: &[(&str, &str)]| {
            judge(&site, &get("/app"), &[(shown, yes(claims))], Walked::default()).walked.sessions
        };
        assert_eq!(ask(&times), [Some("ann until 1600".to_owned())]);
        assert_eq!(ask(&times[..3]), [None], "one that only ends");
        let out = judge(&site, &get("/app"), &[(shown, Outcome::No)], Walked::default());
        assert_eq!((out.answer.as_str(), out.walked.sessions), ("303 /login?next=/app", vec![]));
    }

    #[test]
    fn its_arguments() {
        for (wrong, code) in [
            ("keep session(\"sid\")", "G1021"),
            ("keep session(key: secret.k)", "G1021"),
            ("keep session(\"sid\", key: \"k\")", "G3016"),
            ("keep session(\"sid\", key: secret.k, sub: host)", "G1021"),
            ("start session(\"sid\", key: secret.k, sub: host, for: 1h, idle: 1h)", "G1024"),
            ("start session(\"sid\", key: secret.k, sub: host, idle: 0s)", "G1024"),
            ("start session(\"sid\", key: secret.k)", "G1021"),
            ("start session(\"sid\", sub: host)", "G1021"),
            ("start session(\"s d\", key: secret.k, sub: host)", "G1024"),
            ("start session(\"sid\", key: secret.k, sub: header.x)", "G1012"),
            ("start session(\"sid\", key: \"k\", sub: host)", "G3016"),
            ("start session(\"sid\", key: secret.k, sub: host, for: 5)", "G1005"),
            ("start session(\"sid\", key: [secret.k, secret.l], sub: host)", "G1024"),
            ("end session(\"sid\", key: secret.k)", "G1021"),
            ("end session(header.x)", "G1005"),
        ] {
            let found = codes(wrong);
            assert!(found.contains(&code), "{wrong}: {found:?}");
        }
    }
}

mod ask {
    use super::*;

    #[test]
    fn it_is_asked_once_and_only_when_it_is_reached() {
        let site = lowered(
            "require client.ip in [203.0.113.0/24] else deny 403\nlet ok = ask(control, GET /v/{client.ip}, copy: [x-user])\n\
             require ok else deny 401\n/a/* when ok -> control",
        );
        let ask = |plain: &Plain, outcome: Outcome| judge(&site, plain, &[("ask", outcome)], Walked::default());
        let passed = ask(&get("/a/b"), yes(&[]));
        assert_eq!(
            (passed.answer.as_str(), passed.asked.as_slice()),
            ("control", ["ask(control, GET /v/{client.ip})".to_owned()].as_slice())
        );
        assert_eq!(ask(&get("/"), Outcome::No).answer, "401");
        assert_eq!(ask(&get("/"), Outcome::Failed).answer, "503");
        let outside = Plain { client: ("10.0.0.1".parse().unwrap(), 1), ..get("/a/b") };
        let refused = ask(&outside, yes(&[]));
        assert_eq!((refused.answer.as_str(), refused.asked.len()), ("403", 0), "policies above come first");
        let CallKind::Ask(ask) = &site.calls[0].kind else { panic!() };
        assert_eq!((&*ask.method, ask.within_ms, ask.failed), ("GET", 1000, None));
        assert_eq!(ask.copy.iter().map(|c| &**c).collect::<Vec<_>>(), ["x-user"]);
        assert_eq!(&*site.pools[ask.pool.0 as usize].name, "control");
    }

    #[test]
    fn a_limit_above_it_counts_once() {
        let site = lowered("limit 10/s per client.ip\nrequire ask(control, GET /v) else deny 401");
        let walked = judge(&site, &get("/"), &[("ask", yes(&[]))], Walked::default()).walked;
        assert_eq!(walked.counted.len(), 1);
    }

    #[test]
    fn the_forward_policy() {
        let site = lowered("use auth.forward(control)");
        let CallKind::Ask(ask) = &site.calls[0].kind else { panic!() };
        assert_eq!(ask.at.to_string(), "\"/verify\"");
        assert_eq!((ask.within_ms, ask.copy.len()), (500, 2));
        let no = judge(&site, &get("/"), &[("ask", Outcome::No)], Walked::default());
        assert_eq!(no.answer, "Relay { call: CallIdx(0), status: None }");
    }

    #[test]
    fn what_it_said_is_passed_on() {
        let answer = |rules: &str, outcome: Outcome| {
            let site = lowered(rules);
            assert!(site.calls[0].relayed);
            judge(&site, &get("/"), &[("ask", outcome)], Walked::default()).answer
        };
        let relayed = "Relay { call: CallIdx(0), status: None }";
        for rules in [
            "let verdict = ask(control, GET /v)\nrequire verdict else respond verdict",
            "require ask(control, GET /v) else respond ask(control, GET /v)",
            "let verdict = ask(control, GET /v)\nset request header x = header.a if missing respond verdict",
        ] {
            assert_eq!(answer(rules, Outcome::No), relayed, "{rules}");
            assert_eq!(answer(rules, Outcome::Failed), "503", "{rules}");
        }
        let rules = "let verdict = ask(control, GET /v)\nrequire verdict and header.a else respond verdict";
        assert_eq!(answer(rules, yes(&[])), "403", "a yes is no answer to who is refused all the same");
        let rules = "let verdict = ask(control, GET /v)\nrequire header.a else respond verdict";
        assert_eq!(answer(rules, yes(&[])), "403");
        assert_eq!(answer(rules, Outcome::No), relayed, "the answer asks where nothing did before");
        let site = lowered("let verdict = ask(control, GET /v)\nrequire verdict else deny 401");
        assert!(!site.calls[0].relayed);
    }

    #[test]
    fn only_one_ask_has_something_to_pass_on() {
        for (wrong, code, part) in [
            ("let who = jwt(cookie.sid, key: secret.k)\nrequire who else respond who", "G1005", "or an `ask`"),
            ("let v = ask(control, GET /v)\nlet w = v and header.a\nrequire w else respond w", "G1005", "a condition"),
            ("let v = ask(control, GET /v)\nlet w = not v\nrequire v else respond w", "G1005", "a condition"),
            (
                "let ok = signed(request.path, query.s, key: secret.k)\nrequire ok else respond ok",
                "G1005",
                "no answer of its own",
            ),
            ("let n = \"x\"\nrequire header.a else respond n", "G1005", "a text"),
            ("require header.a else respond nothing", "G1003", "nothing"),
            ("let v = ask(control, GET /v)\nrequire v\ncatch [502] -> respond v", "G1022", "`catch` asks nobody"),
        ] {
            let found = check(&site(wrong)).1;
            assert!(found.iter().any(|d| d.code == code && d.message.contains(part)), "{wrong}: {found:#?}");
        }
    }

    #[test]
    fn its_arguments() {
        for (wrong, code) in [
            ("ask(control)", "G1021"),
            ("ask(contrl, GET /x)", "G1002"),
            ("ask(\"control\", GET /x)", "G1005"),
            ("ask(control, DELETE /x)", "G1024"),
            ("ask(control, GET /x, within: 0s)", "G1024"),
            ("ask(control, GET /x, within: 5m)", "G1024"),
            ("ask(control, GET /x, withn: 5s)", "G1021"),
            ("ask(control, GET /x, failed: maybe)", "G1024"),
            ("ask(control, GET /x, copy: [content-length])", "G1028"),
            ("ask(control, GET /x, copy: x-user)", "G1003"),
            ("ask(control, GET /x/{header.y})", "G1012"),
            ("ask(control, 5m)", "G1005"),
        ] {
            let found = codes(&format!("require {wrong} else deny"));
            assert!(found.contains(&code), "{wrong}: {found:?}");
        }
        let site =
            lowered("require header.y else deny\nrequire ask(control, HEAD /x/{header.y}, failed: no) else deny");
        let CallKind::Ask(ask) = &site.calls[0].kind else { panic!() };
        assert_eq!((&*ask.method, ask.failed), ("HEAD", Some(false)));
    }

    #[test]
    fn what_it_copies_is_tested_no_more() {
        let text =
            "require ask(control, GET /v, copy: [x-user]) else deny 401\n/a/* when header.x-user is \"ann\" -> control";
        assert_eq!(codes(text), ["G1025"]);
    }
}

mod signed {
    use super::*;

    #[test]
    fn a_link_carries_its_signature() {
        let site = lowered(
            "/dl/* {\nrequire signed(request.path, query.sig, key: secret.links, expires: query.until) else deny 403\n-> web\n}",
        );
        let CallKind::Signed(signed) = &site.calls[0].kind else { panic!() };
        assert_eq!(signed.text.to_string(), "request.path");
        assert_eq!(signed.expires.as_ref().unwrap().to_string(), "query.until");
        assert_eq!(judge(&site, &get("/dl/x"), &[("signed", Outcome::No)], Walked::default()).answer, "403");
        assert_eq!(judge(&site, &get("/dl/x"), &[("signed", yes(&[]))], Walked::default()).answer, "web");
        for (wrong, code) in [
            ("signed(request.path)", "G1021"),
            ("signed(request.path, query.sig)", "G1021"),
            ("signed(request.path, query.sig, secret.k)", "G1021"),
            ("signed(request.path, query.sig, key: \"k\")", "G3016"),
        ] {
            let found = codes(&format!("require {wrong} else deny"));
            assert!(found.contains(&code), "{wrong}: {found:?}");
        }
    }
}

mod pure {
    use super::*;

    fn header(value: &str, plain: &Plain) -> Vec<String> {
        judge(&lowered(&format!("set request header x-a = {value}")), plain, &[], Walked::default()).walked.edits
    }

    #[test]
    fn a_hash_is_sha_256_in_hexadecimal() {
        let abc = "x-a: ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(header("hash(\"abc\")", &get("/")), [abc]);
        let plain = with("/", &[("x-b", "ABC")]);
        assert_eq!(header("hash(lower(header.x-b)) if missing \"\"", &plain), [abc]);
        assert_ne!(header("hash(header.x-b) if missing \"\"", &plain), [abc]);
        assert_eq!(codes("set request header x-a = hash(header.x)"), ["G1012"]);
        assert_eq!(codes("set request header x-a = hash(\"{host}{method}\")"), ["G1005"]);
        assert_eq!(codes("set request header x-a = hash(5m)"), ["G1005"]);
        let is = lowered(
            "require hash(header.x-b) is \"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\" else deny",
        );
        assert_eq!(judge(&is, &with("/", &[("x-b", "abc")]), &[], Walked::default()).answer, "web");
        assert_eq!(judge(&is, &plain, &[], Walked::default()).answer, "403");
    }

    #[test]
    fn several_values_have_a_hash_each_so_that_no_two_lists_come_to_the_same() {
        let of = |a: &str, b: &str| {
            header("hash(header.x-b, header.x-c) if missing \"\"", &with("/", &[("x-b", a), ("x-c", b)])).remove(0)
        };
        assert_ne!(of("ab", "c"), of("a", "bc"));
        assert_eq!(of("abc", "abc").len(), "x-a: ".len() + 128);
        let constant = header("hash(\"abc\", \"abc\")", &get("/"));
        assert_eq!(constant, [of("abc", "abc")], "of texts and of values alike");
        assert_eq!(codes("set request header x-a = hash(header.x, header.y)"), ["G1012"]);
        assert_eq!(codes("set request header x-a = hash(host, 5m)"), ["G1005"]);
        assert_eq!(codes("set request header x-a = hash()"), ["G1021"]);
    }

    #[test]
    fn a_local_path_cannot_leave_the_host() {
        for target in ["\"{local-path(query.next)}\"", "\"https://b.example{local-path(query.next)}\""] {
            let site =
                lowered(&format!("/in {{\nrequire query.next else redirect 303 /\n-> redirect 303 {target}\n}}"));
            let to = |next: &str| {
                judge(&site, &Plain { query: Some(format!("next={next}")), ..get("/in") }, &[], Walked::default())
                    .answer
            };
            let host = if target.contains("b.example") { "https://b.example" } else { "" };
            assert_eq!(to("/a/b?x=1"), format!("303 {host}/a/b?x=1"));
            assert_eq!(to("/a%20b"), format!("303 {host}/a%20b"));
            for evil in [
                "//evil.example",
                "https://evil.example",
                "/%5Cevil.example",
                "%5C/x",
                "/%09/x",
                "x",
                "",
                "/a/../..//evil",
            ] {
                assert_eq!(to(evil), "400", "{evil}");
            }
        }
        assert_eq!(codes("/in when query.n -> redirect \"/{local-path(query.n)}\""), ["G1005"]);
        assert_eq!(codes("/in when query.n -> redirect \"/a?next={local-path(query.n)}\""), ["G1005"]);
        assert_eq!(codes("require local-path(query.n) is \"/x\" else deny"), ["G1005"]);
        assert_eq!(codes("/in -> redirect \"{local-path(query.n)}\""), ["G1012"]);
    }
}

mod on_demand {
    use super::*;

    #[test]
    fn certificates_are_allowed_by_name() {
        let text = "pool web = 10.0.0.1:80\npool control = 10.0.0.9:80\nsite {tenant}.b.example {\n    tls on-demand {\n        \
                    allow when ask(control, GET /tenants/{tenant})\n        limit 20/h\n    }\n    else -> web\n}\n";
        let (checked, said) = check(text);
        assert!(said.is_empty(), "{said:?}");
        let site = &checked.sites[0];
        let on_demand = site.on_demand.as_ref().unwrap();
        assert_eq!((site.settings.tls, on_demand.limit), (Tls::OnDemand, Some((20, 3_600_000))));
        assert!(matches!(&on_demand.allow, Cond::Test(Field::Call(..), Test::Present)), "{:?}", on_demand.allow);
    }

    #[test]
    fn what_it_takes() {
        for (wrong, code) in [
            ("tls on-demand", "G4006"),
            ("tls on-demand {\nlimit 20/h\n}", "G4006"),
            ("tls on-demand {\nallow when host ends with \".example.com\"\n}", "G4007"),
            ("tls on-demand {\nallow when header.x is \"y\"\nlimit 20/h\n}", "G1022"),
            ("tls on-demand {\nallow when ask(control, GET /x/{request.path})\nlimit 20/h\n}", "G1022"),
            ("tls on-demand {\nallow when host is \"a.example.com\"\nlimit 20/h per client.ip\n}", "G1024"),
            ("tls on-demand {\nalow when host is \"a.example.com\"\nlimit 20/h\n}", "G1001"),
            ("tls file \"a.pem\"", "G1024"),
            ("tls file \"a.pem\" key 5m", "G1024"),
            ("tls file \"a.pem\" key \"a.key\"\ntls internal", "G1023"),
            ("tls file \"a.pem\" key \"a.key\"\ntls file \"a.pem\" key \"b.key\"", "G1023"),
            ("tls min 1.3\ntls max 1.2", "G1024"),
            ("tls off\ntls min 1.3", "G1024"),
            ("tls off\nclient cert from \"a.pem\"", "G1024"),
            ("http allowed\nclient cert from \"a.pem\"", "G1024"),
            ("require tls.cert.sbuject is \"CN=ann\" else deny", "G1004"),
            ("tls auto via dns(key: secret.k)", "G1024"),
            ("tls auto via dns(route53, kye: secret.k)", "G1021"),
            ("tls min 1.4", "G1024"),
            ("tls client maybe", "G1024"),
            ("compress [gzip, brr]", "G1024"),
            ("cache soon", "G1003"),
            ("cache 10MB", "G1005"),
            ("header limit 5m", "G1005"),
            ("client cert \"a.pem\"", "G1024"),
            ("log maybe", "G1024"),
            ("queue 5m", "G1005"),
        ] {
            let found = codes(wrong);
            assert!(found.contains(&code), "{wrong}: {found:?}");
        }
    }
}

mod guards_that_ask {
    use super::*;

    #[test]
    fn they_are_asked_behind_their_blocks_policies() {
        let site = lowered(
            "limit 10/s per client.ip\n/a/* {\nrequire header.x-k is \"1\" else deny 401\nset request header x-b = \"2\"\n\
             ./x when ask(control, GET /x) -> control\nelse -> web\n}",
        );
        let ask = |plain: &Plain, outcome: Outcome| judge(&site, plain, &[("ask", outcome)], Walked::default());
        let known = with("/a/x", &[("x-k", "1")]);
        let passed = ask(&known, yes(&[]));
        assert_eq!((passed.answer.as_str(), passed.asked.len()), ("control", 1));
        assert_eq!((passed.walked.counted.len(), passed.walked.edits.len()), (1, 1), "no step is taken twice");
        let no = ask(&known, Outcome::No);
        assert_eq!((no.answer.as_str(), no.walked.counted.len(), no.walked.edits.len()), ("web", 1, 1));
        let failed = ask(&known, Outcome::Failed);
        assert_eq!(failed.answer, "503");
        let unknown = ask(&get("/a/x"), yes(&[]));
        assert_eq!((unknown.answer.as_str(), unknown.asked.len()), ("401", 0), "who is refused is not asked about");
        assert_eq!(ask(&with("/a/y", &[("x-k", "1")]), yes(&[])).asked.len(), 0, "another path is not asked about");
    }

    #[test]
    fn a_token_in_a_guard_is_looked_at_at_once() {
        let site = lowered(
            "let who = jwt(cookie.sid, key: secret.k, iss: \"i\", aud: host)\nrequire client.ip in [10.0.0.0/8] else deny 403\n/a/* when who.role is \"admin\" -> control",
        );
        let inside = Plain { client: ("10.0.0.1".parse().unwrap(), 1), ..get("/a/x") };
        assert_eq!(judge(&site, &inside, &[("jwt", yes(&[("role", "admin")]))], Walked::default()).answer, "control");
        assert_eq!(judge(&site, &inside, &[("jwt", Outcome::No)], Walked::default()).answer, "web");
    }

    #[test]
    fn an_answer_of_a_policy_may_read_a_claim() {
        let site = lowered(
            "let who = jwt(cookie.sid, key: secret.k, iss: \"i\", aud: host)\nrequire who else deny 401\n\
             /me -> respond 200 \"{who.sub}\"",
        );
        assert_eq!(judge(&site, &get("/me"), &[("jwt", yes(&[("sub", "ann")]))], Walked::default()).answer, "200");
        assert_eq!(judge(&site, &get("/me"), &[("jwt", yes(&[]))], Walked::default()).answer, "403");
    }

    #[test]
    fn what_a_call_reads_is_read_once() {
        let site = lowered("require jwt(cookie.sid, key: secret.k, iss: \"i\", aud: host) else deny 401");
        let CallKind::Jwt(jwt) = &site.calls[0].kind else { panic!() };
        let twice = with("/", &[("cookie", "sid=a"), ("cookie", "sid=b")]);
        let outcome = dsl::tree::calls::argument(&jwt.token, &twice).unwrap_err();
        assert!(matches!(outcome, Outcome::Refused(_)), "{outcome:?}");
        assert_eq!(judge(&site, &twice, &[("jwt", outcome)], Walked::default()).answer, "400");
        assert_eq!(dsl::tree::calls::argument(&jwt.token, &get("/")), Err(Outcome::No));
    }
}

mod logins {
    use super::*;

    const PROVIDER: &str = "pool web = 10.0.0.1:3000\n\nprovider corp {\n    issuer \"https://login.corp.example\"\n    \
         client \"shop\" key secret.client\n    callback /login/corp\n    session \"__Host-sid\" key secret.session\n}\n\n";

    fn with_provider(statements: &str) -> String {
        format!("{PROVIDER}site a.example.com {{\n{statements}\n    else -> web\n}}\n")
    }

    fn made(statements: &str) -> Arc<Site> {
        let text = with_provider(statements);
        let (checked, said) = check(&text);
        assert!(said.is_empty(), "{}", Files::one("sites/a.route", &text).render(&said));
        Arc::clone(&checked.sites[0])
    }

    /// The answer of a `require` that waits for a call does not let the request past the `require`.
    #[test]
    fn attack_a_require_is_not_passed_while_its_answer_waits() {
        let site = made("require header.x-a else login corp\nset request header x-b = \"1\"");
        let judged = judge(&site, &get("/"), &[("login corp", yes(&[]))], Walked::default());
        assert!(judged.answer.starts_with("Visit"), "{}", judged.answer);
        assert_eq!((judged.asked.len(), judged.walked.edits.len()), (1, 0));
    }

    #[test]
    fn who_is_logged_in_passes_and_others_are_sent_away() {
        let site = made(
            "/login/corp -> login corp\n/out -> logout corp\n/in/* {\nlet who = session(corp)\n\
             require who else login corp\nset request header x-user = who.sub\n-> web\n}",
        );
        let ask = |path: &str, session: Outcome| {
            let answers = [("session(corp)", session), ("login corp", yes(&[])), ("logout corp", yes(&[]))];
            judge(&site, &get(path), &answers, Walked::default())
        };
        let ann = ask("/in/x", yes(&[("sub", "ann")]));
        assert_eq!((ann.answer.as_str(), ann.walked.edits), ("web", vec!["x-user: ann".to_owned()]));
        assert!(ask("/in/x", Outcome::No).answer.contains("does: Login"));
        assert_eq!(ask("/in/x", Outcome::Failed).answer, "503");
        assert!(ask("/login/corp", Outcome::No).answer.contains("does: Login"));
        assert!(ask("/out", Outcome::No).answer.contains("does: Logout"));
    }

    /// Pools may be called so.
    #[test]
    fn a_pool_may_be_called_login() {
        let text = "pool login = 10.0.0.1:3000\n\nsite a.example.com {\n    /a -> login\n    /b -> login at /x\n    \
             /c -> login host b.example.com\n    else -> login\n}\n";
        assert_eq!(check(text).1, []);
    }

    #[test]
    fn what_is_no_provider_to_log_in_at() {
        let found =
            |statements: &str| -> Vec<&str> { check(&with_provider(statements)).1.iter().map(|d| d.code).collect() };
        assert_eq!(found("/a -> login web"), ["G1005"]);
        assert_eq!(found("require session(web) else deny"), ["G1005"]);
        assert_eq!(found("require session() else deny"), ["G1021"]);
        let keys =
            "provider keys {\n    issuer \"https://a.example\"\n}\n\nsite a.example.com {\n    -> login keys\n}\n";
        assert_eq!(check(keys).1.iter().map(|d| d.code).collect::<Vec<_>>(), ["G1024"]);
    }
}
