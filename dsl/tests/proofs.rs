//! Proofs: what holds, what a request refutes, what cannot be decided.
#![allow(clippy::unwrap_used)] // a test whose route text does not load fails

mod front;

use dsl::reach::prove::{BUDGET, Verdict, prove};
use dsl::reach::{Carried, PoolKey, Sites, Way, who_carries, who_reaches};
use front::Files;

const POOLS: &str = "pool admin = 10.0.3.10:9000\npool web = 10.0.1.10:3000\n";

struct Made {
    compiled: Vec<dsl::Compiled>,
}

/// Compiles some files, which all load.
fn made(files: &[(&str, &str)]) -> Made {
    let files = Files(files.iter().map(|(name, text)| (format!("sites/{name}"), (*text).to_owned())).collect());
    let compiled: Vec<_> = (0..u32::try_from(files.0.len()).unwrap()).map(|at| files.compile(at)).collect();
    for one in &compiled {
        assert!(one.is_sound(), "{}", files.render(&one.diagnostics));
    }
    Made { compiled }
}

impl Made {
    fn sites(&self) -> Sites {
        Sites::of(self.compiled.iter().flat_map(|one| one.programs.iter().cloned()))
    }

    fn items(&self) -> Vec<Carried> {
        let of = |one: &dsl::Compiled| {
            let listening = one.listening.iter().cloned().map(Carried::Listening);
            listening.chain(one.passthroughs.iter().cloned().map(Carried::Passthrough)).collect::<Vec<_>>()
        };
        self.compiled.iter().flat_map(of).collect()
    }

    /// What comes of each claim, in a word, and the request that refutes it.
    fn told(&self) -> Vec<String> {
        let proofs: Vec<_> = self.compiled.iter().flat_map(|one| one.proofs.iter().cloned()).collect();
        let outcomes = prove(&proofs, &self.sites(), &self.sites().all(), &self.items(), BUDGET);
        let word = |verdict: &Verdict| match verdict {
            Verdict::Holds { meant: true } => "holds".to_owned(),
            Verdict::Holds { meant: false } => "holds of nothing".to_owned(),
            Verdict::Refuted(counter) => format!("{} {}", counter.request, counter.why),
            Verdict::Undecided(why) => format!("undecided: {why}"),
        };
        outcomes.iter().flat_map(|outcome| outcome.claims.iter().map(|(_, verdict)| word(verdict))).collect()
    }
}

/// One file of sites, and the claims of a proof in it.
fn claims(sites: &str, lines: &str) -> Vec<String> {
    let text = format!("import std/auth\n{POOLS}{sites}\nprove \"it\" {{\n{lines}\n}}\n");
    made(&[("a.route", &text)]).told()
}

const OFFICE: &str = "
site a.example.com {
    /admin/* {
        use auth.only-from([10.0.0.0/8])
        -> admin
    }
    /old/* -> redirect 308 https://a.example.com/new
    else -> web
}";

/// Found by random programs: what the condition of a route names as a path is no path of the claim's.
#[test]
fn a_claim_is_refuted_on_its_own_paths_alone() {
    let site = "
site a.example.com {
    /{x} when request.path starts with \"/a/\" -> web
    else -> deny 403
}";
    assert_eq!(claims(site, "every request to /b/* gets 403"), ["holds"]);
}

/// Found by random programs: the condition cannot hold on the path of its route.
#[test]
fn a_route_that_nothing_reaches_leaves_nothing_undecided() {
    let site = "
site a.example.com {
    /b when header.a and header.b is \"1\" -> deny 403
    /b when cookie.c is \"1\" and request.path starts with \"/a/\" -> web
    else -> deny 403
}";
    assert_eq!(claims(site, "every request to /b/* gets 403"), ["holds"]);
}

#[test]
fn what_passes_a_policy() {
    assert_eq!(
        claims(
            OFFICE,
            "every request to pool admin passes auth.only-from
             every request to https://a.example.com/admin/* passes auth.only-from
             every request to pool web passes auth.only-from
             every request to a.example.com passes auth.only-from
             no request to pool web passes auth.only-from"
        ),
        [
            "holds",
            "holds",
            "GET https://a.example.com/ reaches pool web without `auth.only-from`",
            "GET https://a.example.com/ goes without `auth.only-from` to web",
            "holds",
        ]
    );
}

#[test]
fn a_policy_that_is_used_under_a_condition_is_passed_by_some() {
    let site = "
site a.example.com {
    use auth.only-from([10.0.0.0/8]) when method in [POST, PUT]
    else -> admin
}";
    assert_eq!(
        claims(
            site,
            "every request to pool admin passes auth.only-from
             every request to pool admin when method is POST passes auth.only-from
             every request to pool admin passes auth.only-from when method in [PUT, POST]"
        ),
        ["GET https://a.example.com/ reaches pool admin without `auth.only-from`", "holds", "holds"]
    );
}

#[test]
fn requires_keep_out_whom_they_name() {
    let site = "
let office = [10.0.0.0/8]
site a.example.com {
    require client.ip in [10.1.0.0/16, 10.2.0.0/16] else deny 403
    else -> admin
}";
    assert_eq!(
        claims(
            site,
            "no request to pool admin when client.ip not in [10.0.0.0/8]
             no request to pool admin from [192.168.0.0/16, 203.0.113.0/24]
             no request to pool admin from office
             every request to /x when client.ip not in office gets 403
             every request to /x gets deny"
        ),
        [
            "holds",
            "holds",
            "GET https://a.example.com/ from 10.1.0.0 reaches pool admin",
            "holds",
            "GET https://a.example.com/x from 10.1.0.0 gets admin",
        ]
    );
}

#[test]
fn where_requests_lead() {
    assert_eq!(
        claims(
            OFFICE,
            "every request to https://a.example.com/old/* gets redirect 308
             every request to https://a.example.com/old/* gets redirect 308 https://a.example.com/new
             every request to https://a.example.com/old gets 404
             every request to https://a.example.com/cart reaches pool web
             every request to https://a.example.com/* reaches pool web
             no request to https://a.example.com/static/* reaches pool admin
             no request to /admin/x reaches pool admin
             no request to https://a.example.com/* gets redirect 302
             every request to https://b.example.com/* gets 404"
        ),
        [
            "holds",
            "holds",
            "GET https://a.example.com/old gets redirect 308 https://a.example.com/new",
            "holds",
            "GET https://a.example.com/admin gets deny 403",
            "holds",
            "GET https://a.example.com/admin/x from 10.0.0.0 reaches pool admin",
            "holds",
            "holds of nothing",
        ]
    );
}

#[test]
fn pools_are_the_same_by_their_endpoints_in_whatever_file() {
    let a = format!(
        "import std/auth\n{POOLS}{OFFICE}\nprove \"it\" {{\n every request to pool admin passes auth.only-from\n}}\n"
    );
    let b = "pool backoffice {\n    10.0.3.10:9000\n    10.0.3.11:9000\n}\nsite b.example.com {\n    else -> backoffice\n}\n";
    assert_eq!(
        made(&[("a.route", &a), ("b.route", b)]).told(),
        ["GET https://b.example.com/ reaches pool backoffice without `auth.only-from`"]
    );
}

#[test]
fn every_dial_counts() {
    let caught = "site b.example.com {\n    catch [502] -> admin\n    else -> web\n}";
    let mirrored = "site b.example.com {\n    mirror 1% admin\n    else -> web\n}";
    let shared = "site b.example.com {\n    else -> 99% web, 1% admin by client.ip\n}";
    for (site, request) in [
        (caught, "GET https://b.example.com/ reaches pool admin by `catch` without `auth.only-from`"),
        (mirrored, "GET https://b.example.com/ reaches pool admin by `mirror` without `auth.only-from`"),
        (shared, "GET https://b.example.com/ reaches pool admin without `auth.only-from`"),
    ] {
        let all = format!("{OFFICE}\n{site}\n");
        assert_eq!(claims(&all, "every request to pool admin passes auth.only-from"), [request], "{site}");
    }
    let carried = format!("{OFFICE}\ntcp :9000 {{\n    require client.ip in [10.0.0.0/8]\n    -> admin\n}}\n");
    assert_eq!(
        claims(
            &carried,
            "every request to pool admin passes auth.only-from
             no request to pool admin when client.ip not in [10.0.0.0/8]"
        ),
        ["a connection to tcp :9000 from 10.0.0.0 is carried to pool admin as it is, through no policy", "holds"]
    );
}

#[test]
fn what_rests_on_an_opaque_part_is_undecided_unless_a_request_shows_it() {
    let site = "
site a.example.com {
    /x when header.a is header.b and header.b is not header.a -> admin
    else -> web
}";
    let told = claims(site, "no request to pool admin");
    assert!(told[0].starts_with("undecided: it rests on `header.a is header.b`"), "{told:?}");
    let site = "
site a.example.com {
    /x when header.a is not header.b -> admin
    else -> web
}";
    assert_eq!(claims(site, "no request to pool admin"), ["GET https://a.example.com/x reaches pool admin"]);
}

#[test]
fn what_a_service_answers_nobody_knows() {
    let site = "
site a.example.com {
    /shut/* -> respond ask(web, GET /v)
    else -> web
}";
    let told = claims(
        site,
        "every request to /shut/* gets 401
         no request to /shut/* gets redirect
         every request to /shut/* gets 200
         no request to /shut/* gets 200
         no request to /shut/* gets respond 500",
    );
    let open = "undecided: it rests on `ask(web, GET /v)`, which the analysis cannot look into";
    let refuted = "GET https://a.example.com/shut gets respond ask(web, GET /v)";
    assert_eq!(told, [open, open, refuted, "holds", "holds"]);
}

#[test]
fn captures_are_looked_into() {
    let site = "
site a.example.com {
    /u/{id:int} when id is 7 -> admin
    /t/{name} when name starts with \"adm\" -> admin
    else -> web
}";
    assert_eq!(
        claims(site, "no request to /u/* reaches pool admin")[0],
        "GET https://a.example.com/u/7 reaches pool admin"
    );
    assert_eq!(
        claims(site, "no request to /t/* reaches pool admin")[0],
        "GET https://a.example.com/t/adm reaches pool admin"
    );
    let site = "
site {tenant}.example.com {
    /t/{name} when name matches \"ad[0-9]m\" -> admin
    /v/{name} when name matches \"ad[0-9]m\" and name starts with \"adm\" -> admin
    when tenant matches \"ad[0-9]m\" and method is PUT -> admin
    else -> web
}";
    assert_eq!(
        claims(
            site,
            "no request to /t/* reaches pool admin when method is GET
             no request to /v/* reaches pool admin when method is GET
             no request to /w/* reaches pool admin"
        ),
        [
            "GET https://x.example.com/t/ad7m reaches pool admin",
            "holds",
            "PUT https://ad7m.example.com/w reaches pool admin",
        ]
    );
}

#[test]
fn lines_that_mean_nothing_are_refused() {
    for (line, code) in [
        ("every request to pool admn passes auth.only-from", "G1002"),
        ("every request to pool admin passes auth.only-form", "G1004"),
        ("every request to pool admin", "G1024"),
        ("every request passses auth.only-from", "G1001"),
        ("no request", "G1024"),
        ("all request to pool admin", "G1001"),
        ("every request to pool admin gets 403", "G1024"),
        ("every request to https://a.example.com/{x} gets 403", "G1027"),
        ("every request to https://a.example.com/*/x gets 403", "G1024"),
        ("no request to pool admin when client.ip is \"10.0.0.1\"", "G1010"),
        ("no request to pool admin to pool web", "G1024"),
        ("no request to admin", "G1024"),
        ("no request to pool admin when nobody is \"x\"", "G1003"),
    ] {
        let text = format!("import std/auth\n{POOLS}{OFFICE}\nprove \"it\" {{\n    {line}\n}}\n");
        let files = Files::one("sites/a.route", &text);
        let found = files.compile(0).diagnostics;
        let codes: Vec<_> = found.iter().map(|d| d.code).collect();
        assert_eq!(codes, [code], "{line}\n{}", files.render(&found));
    }
}

#[test]
fn a_budget_is_a_bound() {
    let text = format!("import std/auth\n{POOLS}{OFFICE}\nprove \"it\" {{\n    no request to pool web\n}}\n");
    let made = made(&[("a.route", &text)]);
    let outcomes = prove(&made.compiled[0].proofs, &made.sites(), &made.sites().all(), &[], 10);
    assert!(matches!(&outcomes[0].claims[0].1, Verdict::Undecided(why) if why.contains("more steps")));
}

#[test]
fn the_table_has_a_line_for_every_way() {
    let text = format!(
        "import std/auth\n{POOLS}{OFFICE}
site b.example.com, c.example.com {{
    use auth.only-from([10.0.0.0/8]) when method is POST
    /x when header.beta is \"1\" -> admin
    /never when method is GET and method is POST -> web
    else {{
        catch [502] -> admin
        -> web
    }}
}}
passthrough v.example.com -> admin
"
    );
    let files = Files::one("sites/a.route", &text);
    let compiled = files.compile(0);
    let sites = Sites::of(compiled.programs.iter().cloned());
    let admin = compiled.programs[0].site().pools.iter().find(|pool| &*pool.name == "admin").unwrap();
    let key = PoolKey::of(admin);
    let items: Vec<_> = compiled.passthroughs.iter().cloned().map(Carried::Passthrough).collect();
    let line = |way: &Way| {
        let when = way.when.clone().unwrap_or_default();
        let witness = way.witness.clone().unwrap_or_default();
        format!("{} | {} | {when} | {} | {} | {witness}", way.hosts, way.path, way.how.word(), way.policies.join(", "))
    };
    let ways: Vec<_> = who_reaches(&sites, &key).iter().chain(&who_carries(&items, &key)).map(line).collect();
    assert_eq!(
        ways,
        [
            "a.example.com | /admin/* | client.ip in [10.0.0.0/8] | route | auth.only-from | GET https://a.example.com/admin from 10.0.0.0",
            "b.example.com, c.example.com | /* | (method is not POST or client.ip in [10.0.0.0/8]) | catch | auth.only-from when method is POST | GET https://b.example.com/",
            "b.example.com, c.example.com | /x | header.beta is \"1\" and (method is not POST or client.ip in [10.0.0.0/8]) | route | auth.only-from when method is POST | GET https://b.example.com/x -H 'beta: 1'",
            "passthrough v.example.com |  |  | route |  | a connection to passthrough v.example.com from 203.0.113.1",
        ]
    );
}

#[test]
fn rule_30_pools_are_known_by_their_endpoints_and_every_dial_counts() {
    let file = |route: &str| {
        format!(
            "pool admin = 10.0.3.10:9000\npool web = 10.0.1.10:80\npool other = 10.0.9.9:1, 10.0.3.10:9000\n\
             table t: text -> pool in [web, other] {{\n    \"a\" -> web\n}}\n\
             policy office {{\n    require client.ip in [10.0.0.0/8] else deny 403\n}}\n\
             site a.example.com {{\n{route}\n    else -> web\n}}\n\
             prove \"it\" {{\n    every request to pool admin passes office\n}}\n"
        )
    };
    let holds = |route: &str| {
        let files = Files::one("sites/a.route", &file(route));
        let compiled = files.compile(0);
        assert!(compiled.is_sound(), "{}", files.render(&compiled.diagnostics));
        let sites = Sites::of(compiled.programs.iter().cloned());
        prove(&compiled.proofs, &sites, &sites.all(), &[], BUDGET).iter().all(dsl::reach::prove::Outcome::holds)
    };
    assert!(holds("    /x/* -> web"));
    assert!(holds("    /x/* {\n        use office\n        -> other\n    }"));
    for route in [
        "    /x/* -> other",
        "    /x/* {\n        catch [502] -> other\n        -> web\n    }",
        "    /x/* {\n        mirror 1% other\n        -> web\n    }",
        "    /x/* -> t[host] else respond 404",
        "    /x/* {\n        require ask(other, GET /verify) else deny 401\n        -> web\n    }",
        "    /x/* -> 99% web, 1% other by client.ip",
    ] {
        assert!(!holds(route), "{route}");
    }
}

#[test]
fn a_pool_that_handshakes_ask_is_reached_by_them() {
    let text = "pool app = 10.0.0.1:80\npool control = 10.0.9.5:80\nsite {tenant}.example.app {\n    tls on-demand {\n        \
                allow when ask(control, GET /tenants/{tenant})\n        limit 20/h\n    }\n    else -> app\n}\n";
    let files = Files::one("sites/a.route", text);
    let compiled = files.compile(0);
    assert!(compiled.is_sound(), "{}", files.render(&compiled.diagnostics));
    let control = compiled.programs[0].site().pools.iter().find(|pool| &*pool.name == "control").unwrap();
    let ways = who_reaches(&Sites::of(compiled.programs.iter().cloned()), &PoolKey::of(control));
    let told: Vec<_> =
        ways.iter().map(|way| (way.path.as_str(), way.how.word(), way.witness.clone().unwrap())).collect();
    assert_eq!(told.len(), 1, "{ways:?}");
    assert_eq!((told[0].0, told[0].1), ("tls on-demand", "ask"));
    assert!(told[0].2.starts_with("a handshake for ") && told[0].2.ends_with(".example.app"), "{told:?}");
}
