//! Tables: rows in the file and in files of their own, what a look-up means, and what is refused.

#![allow(clippy::unwrap_used)] // a test that cannot read its case fails

mod front;

use dsl::diagnostic::Severity;
use dsl::tree::ir::{Answer, Destination};
use dsl::tree::judge::{Progress, Rendered, Walk};
use dsl::tree::request::Plain;
use dsl::{Compiled, Data};
use front::Files;

const POOLS: &str = "pool gold = 10.0.0.1:80\npool silver = 10.0.0.2:80\npool other = 10.0.0.3:80\n";

fn files(route: &str, csv: &str) -> Files {
    Files(vec![("sites/a.route".into(), format!("{POOLS}{route}")), ("sites/data/t.csv".into(), csv.into())])
}

fn errors(files: &Files) -> Vec<String> {
    let compiled = files.compile(0);
    let wrong = compiled.diagnostics.iter().filter(|d| d.severity == Severity::Error);
    wrong.map(|d| format!("{} {}", d.code, d.message)).collect()
}

fn sound(files: &Files) -> Compiled {
    let compiled = files.compile(0);
    assert!(compiled.is_sound(), "{}", files.render(&compiled.diagnostics));
    compiled
}

#[derive(Default)]
struct Edits(Vec<String>);

impl<'p> Walk<'p> for Edits {
    fn edit(&mut self, edit: dsl::tree::judge::Edit<'p>) -> Result<(), dsl::tree::eval::BadText> {
        self.0.push(format!("{}={}", edit.name, edit.value));
        Ok(())
    }
}

/// What becomes of a request, in a few words.
fn ask(compiled: &Compiled, host: &str, path: &str) -> String {
    asked(compiled, Plain { host: host.into(), path: path.into(), ..Plain::default() })
}

fn asked(compiled: &Compiled, request: Plain) -> String {
    let program = &compiled.programs[0];
    let mut edits = Edits::default();
    let judged = program.judge(&request, &mut || 0, &mut edits, &mut Progress::default());
    let answer = match judged.answer {
        Rendered::Proxy { pool, target, host, .. } => {
            let name = &program.site().pools[pool.0 as usize].name;
            let target = target.map(|t| format!(" at {t}")).unwrap_or_default();
            format!("{name}{target}{}", host.map(|h| format!(" host {h}")).unwrap_or_default())
        }
        Rendered::Redirect { location, .. } => format!("to {location}"),
        Rendered::Respond { status, body, .. } => format!("{status} {body}").trim_end().to_owned(),
        Rendered::Deny { status } => status.to_string(),
        Rendered::NotFound => "404".into(),
        other => format!("{other:?}"),
    };
    if edits.0.is_empty() { answer } else { format!("{answer} [{}]", edits.0.join(" ")) }
}

#[test]
fn rows_in_the_file_say_their_types() {
    let route = "table tenants {\n    \"acme\" -> gold\n    \"globex\" -> silver\n}\n\
        site {t}.example.app {\n    else -> tenants[t] at /x host \"{t}.internal\" else respond 404 \"who?\"\n}\n";
    let c = sound(&files(route, ""));
    assert_eq!(ask(&c, "acme.example.app", "/"), "gold at /x host acme.internal");
    assert_eq!(ask(&c, "globex.example.app", "/"), "silver at /x host globex.internal");
    assert_eq!(ask(&c, "initech.example.app", "/"), "404 who?");
}

#[test]
fn rows_of_a_file_are_read_by_what_the_table_says() {
    let route = "table tenants: text -> pool in [gold, silver] from \"data/t.csv\"\n\
        site {t}.example.app {\n    else -> tenants[t] else respond 404\n}\n";
    let c = sound(&files(route, "tenant,pool\r\nacme,gold\r\n\"globex\",silver\r\n"));
    assert_eq!(ask(&c, "acme.example.app", "/"), "gold");
    assert_eq!(ask(&c, "globex.example.app", "/"), "silver");
    assert_eq!(ask(&c, "x.example.app", "/"), "404");
    assert_eq!(c.tables.len(), 1);
}

#[test]
fn values_stand_in_headers_templates_redirects_and_conditions() {
    let route = "table plans: text -> text {\n    \"acme\" -> \"big\"\n}\n\
        table moved: path -> url {\n    /old -> https://new.example.com/there\n    \"/x\" -> https://x.example.com\n}\n\
        table fronts: text -> host {\n    \"acme\" -> acme.internal\n}\n\
        table ports: int -> int {\n    1 -> 8080\n}\n\
        site {t}.example.app {\n\
        \x20   let plan = plans[t]\n\
        \x20   set request header x-plan = plan if missing \"none\"\n\
        \x20   /old, /x when request.path in moved -> redirect 308 \"{moved[request.path]}\"\n\
        \x20   /big when plan is \"big\" -> respond 200 \"{plans[t]}\"\n\
        \x20   /front when t in fronts -> gold host \"{fronts[t]}\"\n\
        \x20   /n/{n:int} when ports[n] > 8000 -> respond 200 \"high\"\n\
        \x20   /away when t in fronts -> redirect \"https://{fronts[t]}/x\"\n\
        \x20   else -> respond 404\n}\n";
    let c = sound(&files(route, ""));
    assert_eq!(ask(&c, "acme.example.app", "/old"), "to https://new.example.com/there [x-plan=big]");
    assert_eq!(ask(&c, "acme.example.app", "/x"), "to https://x.example.com [x-plan=big]");
    assert_eq!(ask(&c, "acme.example.app", "/big"), "200 big [x-plan=big]");
    assert_eq!(ask(&c, "b.example.app", "/big"), "404 [x-plan=none]");
    assert_eq!(ask(&c, "acme.example.app", "/front"), "gold host acme.internal [x-plan=big]");
    assert_eq!(ask(&c, "acme.example.app", "/n/1"), "200 high [x-plan=big]");
    assert_eq!(ask(&c, "acme.example.app", "/n/2"), "404 [x-plan=big]");
    assert_eq!(ask(&c, "acme.example.app", "/away"), "to https://acme.internal/x [x-plan=big]");
}

#[test]
fn a_key_may_be_a_constant_or_a_text_with_holes() {
    let route = "table plans {\n    \"acme\" -> \"big\"\n    \"acme/eu\" -> \"small\"\n}\n\
        site {t}.example.app {\n\
        \x20   /one when plans[\"acme\"] is \"big\" -> respond 200 \"one\"\n\
        \x20   /two/{r} when \"{t}/{r}\" in plans -> respond 200 \"{plans[\"{t}/{r}\"]}\"\n\
        \x20   else -> respond 404\n}\n";
    let route = route.replace("\"{plans[\"{t}/{r}\"]}\"", "\"two\"");
    let c = sound(&files(&route, ""));
    assert_eq!(ask(&c, "acme.example.app", "/one"), "200 one");
    assert_eq!(ask(&c, "acme.example.app", "/two/eu"), "200 two");
    assert_eq!(ask(&c, "acme.example.app", "/two/us"), "404");
}

#[test]
fn networks_by_longest_match_and_as_a_condition() {
    let route = "table offices: cidr -> text {\n    10.0.0.0/8 -> \"all\"\n    10.1.0.0/16 -> \"berlin\"\n    2001:db8::/32 -> \"six\"\n}\n\
        site a.example.com {\n    require client.ip in offices else deny 403\n    set request header x-office = offices[client.ip]\n    else -> gold\n}\n";
    let c = sound(&files(route, ""));
    let from = |ip: &str| {
        asked(&c, Plain { host: "a.example.com".into(), client: (ip.parse().unwrap(), 1), ..Plain::default() })
    };
    assert_eq!(from("10.1.2.3"), "gold [x-office=berlin]");
    assert_eq!(from("10.2.2.3"), "gold [x-office=all]");
    assert_eq!(from("2001:db8::5"), "gold [x-office=six]");
    assert_eq!(from("192.0.2.1"), "403");
}

#[test]
fn a_key_that_can_be_missing_has_no_row_and_copies_that_differ_are_refused() {
    let route = "table tenants: text -> pool in [gold] from \"data/t.csv\"\n\
        site a.example.com {\n    else -> tenants[header.x-tenant] else respond 404\n}\n";
    let c = sound(&files(route, "acme,gold\n"));
    let with = |values: &[&str]| {
        let headers = values.iter().map(|v| ("x-tenant".to_owned(), v.as_bytes().to_vec())).collect();
        asked(&c, Plain { host: "a.example.com".into(), headers, ..Plain::default() })
    };
    assert_eq!(with(&[]), "404");
    assert_eq!(with(&["acme"]), "gold");
    assert_eq!(with(&["acme", "acme"]), "gold");
    assert!(with(&["acme", "other"]).contains("Repeated"), "{}", with(&["acme", "other"]));
    assert_eq!(with(&[&"a".repeat(5000)]), "404");
}

#[test]
fn a_look_up_without_else_is_a_warning_with_a_fix() {
    let route = "table tenants {\n    \"acme\" -> gold\n}\nsite {t}.example.app {\n    else -> tenants[t] at /x\n}\n";
    let f = files(route, "");
    let c = sound(&f);
    let found: Vec<_> = c.diagnostics.iter().filter(|d| d.code == "G2013").collect();
    assert_eq!(found.len(), 1);
    let fixed = f.edited(found[0].help[0].edit.as_ref().unwrap());
    assert!(fixed.0[0].1.contains("-> tenants[t] at /x else respond 404\n"));
    assert!(fixed.compile(0).diagnostics.iter().all(|d| d.code != "G2013"));
}

#[test]
fn what_a_table_cannot_be() {
    let site = "site {t}.example.app {\n    else -> tenants[t] else respond 404\n}\n";
    let with = |table: &str, csv: &str| errors(&files(&format!("{table}\n{site}"), csv)).join("; ");
    assert!(
        with("table tenants: text -> pool from \"data/t.csv\"", "a,gold\n").contains("does not say which they may be")
    );
    assert!(with("table tenants: text -> pool in [gold] from \"data/none.csv\"", "").contains("does not exist"));
    assert!(with("table tenants: text -> pool in [gold] from \"data/t.txt\"", "").contains("ends in `.csv`"));
    assert!(
        with("table tenants: text -> pool in [gold, silver] from \"data/t.csv\"", "a,silver\nb,bronze\n")
            .contains("`bronze` is not in the declared set")
    );
    assert!(
        with("table tenants: text -> pool in [gold] from \"data/t.csv\" {\n    \"b\" -> gold\n}", "a,gold\n")
            .contains("not in both")
    );
    assert!(with("table tenants: text -> text from \"data/t.csv\"", "a,b\n").contains("a route leads to a pool"));
    assert!(with("table tenants: duration -> pool in [gold] from \"data/t.csv\"", "").contains("no type of keys"));
    assert!(with("table tenants: txt -> pool in [gold] from \"data/t.csv\"", "").contains("did you mean `text`"));
    assert!(with("table tenants {\n    \"a\" -> gold\n    \"a\" -> silver\n}", "").contains("stands twice"));
    assert!(with("table tenants in [gold] {\n    \"a\" -> silver\n}", "").contains("not in the declared set"));
    assert!(
        with("table tenants {\n    \"a\" -> gold\n    7 -> silver\n}", "").contains("the keys of this table are text")
    );
    assert!(with("table tenants {\n    acme -> gold\n}", "").contains("stands in quotes"));
    assert!(
        with("table tenants: int -> pool {\n    7 -> gold\n}", "")
            .contains("the key of `tenants` is a number, this is a text")
    );
    assert!(with("table tenants", "").contains("has no rows"));
    assert!(with("let tenants = \"x\"", "").contains("only tables are looked up"));
    let text = "table tenants {\n    \"acme\" -> gold\n}\nsite {t}.example.app {\n    set request header x-pool = tenants[t] if missing \"none\"\n    else -> gold\n}\n";
    assert!(errors(&files(text, "")).join("; ").contains("pools are no text"));
}

#[test]
fn the_place_of_a_mistake_is_in_the_file_of_rows() {
    let route = "table tenants: text -> pool in [gold] from \"data/t.csv\"\nsite {t}.example.app {\n    else -> tenants[t] else respond 404\n}\n";
    let f = files(route, "a,gold\nb,\"silver\"\n");
    let shown = f.render(&f.compile(0).diagnostics);
    assert!(shown.contains("sites/data/t.csv:2"), "{shown}");
    assert!(shown.contains("sites/a.route:4"), "{shown}");
}

#[test]
fn rule_32_a_reload_is_taken_whole_and_leads_to_the_declared_set_only() {
    let route = "table tenants: text -> pool in [gold, silver] from \"data/t.csv\"\nsite {t}.example.app {\n    else -> tenants[t] else respond 404\n}\n";
    let c = sound(&files(route, "acme,gold\n"));
    let table = &c.tables[0];
    let data = |text: &str| Data { file: table.from.as_ref().unwrap().data, text: text.into() };
    for bad in ["acme,gold\nglobex,other\n", "acme,gold\nacme,gold\n", "acme,gold\n\"globex,silver\n"] {
        assert!(dsl::read_rows(&table.schema, &data(bad)).is_err(), "{bad}");
    }
    assert_eq!(ask(&c, "acme.example.app", "/"), "gold");
    let rows = dsl::read_rows(&table.schema, &data("acme,silver\nglobex,gold\n")).unwrap();
    table.replace(rows.into());
    assert_eq!(ask(&c, "acme.example.app", "/"), "silver", "the program is the same, its rows are not");
    assert_eq!(ask(&c, "globex.example.app", "/"), "gold");
    let Answer::Proxy { to: to @ Destination::Table(_), .. } =
        &c.programs[0].site().plans.iter().find(|p| matches!(p.answer, Answer::Proxy { .. })).unwrap().answer
    else {
        panic!("it leads to a table")
    };
    assert_eq!(to.pools().len(), 2, "whatever the rows say");
}

#[test]
fn rule_13_rows_stand_only_in_tables() {
    let f = files("site a.example.com {\n    \"acme\" -> gold\n    else -> gold\n}\n", "");
    assert!(!errors(&f).is_empty());
}

#[test]
fn a_table_of_a_module_is_looked_up_by_its_name() {
    let f = Files(vec![
        (
            "sites/a.route".into(),
            "import ./data\nsite {t}.example.app {\n    else -> data.tenants[t] else respond 404\n}\n".into(),
        ),
        ("sites/data.route".into(), format!("{POOLS}table tenants: text -> pool in [gold] from \"rows/t.csv\"\n")),
        ("sites/rows/t.csv".into(), "acme,gold\n".into()),
    ]);
    assert_eq!(ask(&sound(&f), "acme.example.app", "/"), "gold");
}

const BLOCKED: &str = "import std/auth\n\ntable blocked: cidr from \"data/t.netset\"\n\n\
    site a.example.com {\n    / when client.ip in blocked -> respond 403\n    /x/* {\n        \
    use auth.deny-from(blocked)\n        -> gold\n    }\n    /y/* {\n        use auth.only-from(blocked)\n        \
    -> gold\n    }\n    else -> gold\n}\n";

fn listed(route: &str, list: &str) -> Files {
    Files(vec![("sites/a.route".into(), format!("{POOLS}{route}")), ("sites/data/t.netset".into(), list.into())])
}

#[test]
fn networks_alone_are_a_list_that_conditions_and_policies_ask() {
    let c = sound(&listed(BLOCKED, "# who\n192.0.2.0/24\n2001:db8::/32 ; a few\n198.51.100.7\n"));
    let from = |ip: &str, path: &str| {
        let client = (ip.parse().unwrap(), 50_000);
        asked(&c, Plain { host: "a.example.com".into(), path: path.into(), client, ..Plain::default() })
    };
    for ip in ["192.0.2.1", "2001:db8::1", "198.51.100.7"] {
        assert_eq!([from(ip, "/"), from(ip, "/x/"), from(ip, "/y/")], ["403", "403", "gold"], "{ip}");
    }
    for ip in ["192.0.3.1", "2001:db9::1", "198.51.100.8"] {
        assert_eq!([from(ip, "/"), from(ip, "/x/"), from(ip, "/y/")], ["gold", "gold", "403"], "{ip}");
    }
}

#[test]
fn networks_alone_have_no_values() {
    let with =
        |site: &str| listed(&format!("table t: cidr from \"data/t.netset\"\nsite a.test {{\n    {site}\n}}\n"), "");
    let said = errors(&with("when t[client.ip] is \"x\" -> gold\n    else -> gold"));
    assert_eq!(said, ["G1029 the rows of `t` are keys, and lead to no value"]);
    let said = errors(&with("when t[\"10.0.0.1\"] is \"x\" -> gold\n    else -> gold"));
    assert_eq!(said, ["G1029 the rows of `t` are keys, and lead to no value"]);
    let said = errors(&with("else -> t[client.ip] else respond 404"));
    assert_eq!(said, ["G1029 the rows of `t` are keys, and lead to no value"]);
    let said = errors(&with("when header.x in t -> gold\n    else -> gold"));
    assert_eq!(said, ["G1029 the key of `t` is an address, this is a text"]);
    let other = "table t: cidr -> text from \"data/t.netset\"\nsite a.test {\n    else -> gold\n}\n";
    let said = errors(&listed(other, ""));
    assert_eq!(said, ["G1029 rows are read from a file that ends in `.csv`, `data/t.netset` does not"]);
    let other = "table t: cidr from \"data/t.json\"\nsite a.test {\n    else -> gold\n}\n";
    let said = errors(&listed(other, ""));
    let endings = "`.csv`, `.txt`, `.netset`, `.ipset`";
    assert_eq!(said, [format!("G1029 rows are read from a file that ends in {endings}, `data/t.json` does not")]);
}

#[test]
fn a_policy_takes_a_table_of_what_its_list_holds() {
    let route = "table names: text from \"data/t.netset\"\nimport std/auth\n\
        site a.test {\n    use auth.only-from(names)\n    else -> gold\n}\n";
    let said = errors(&listed(route, "x\n"));
    assert_eq!(said, ["G1005 `networks` takes a list of networks, this is a table"]);
}
