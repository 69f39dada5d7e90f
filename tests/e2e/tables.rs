//! Tables whose rows stand in files: they change alone, whole or not at all, and no request notices.

use sluice_tests::sluice::{self, get, run};
use sluice_tests::wait;
use sluice_tests::{Origin, Sluice};
use std::fs;
use std::os::unix::fs::symlink;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

/// From the write to the answer.
const SOON: Duration = Duration::from_secs(2);

const PLANS: &str = r#"
table plans: text -> text from "data/plans.csv"

site {tenant}.tables.test {
    http allowed
    when tenant in plans -> respond 200 "{plans[tenant]}"
    else -> respond 404
}
"#;

fn plans(csv: &str) -> Sluice {
    Sluice::setup().file("a.route", PLANS).file("data/plans.csv", csv).start()
}

/// Waits until a tenant's plan is what a file says.
#[track_caller]
fn soon(sluice: &Sluice, tenant: &str, plan: &str) {
    let host = format!("{tenant}.tables.test");
    let took = sluice.serves(&host, "/", |reply| match plan {
        "" => reply.status == 404,
        plan => reply.status == 200 && reply.text() == plan,
    });
    assert!(took < SOON, "{tenant} has {plan:?} after {took:?}");
}

#[test]
fn rows_change_alone_and_no_route_file_is_compiled_for_it() {
    let sluice = plans("acme,gold\n");
    soon(&sluice, "acme", "gold");
    sluice.write("data/plans.csv", "tenant,text\nacme,silver\nglobex,gold\n");
    soon(&sluice, "globex", "gold");
    soon(&sluice, "acme", "silver");
    let line = sluice.says("that rows were read", |line| line.contains("rows of"));
    assert!(line.contains("data/plans.csv (2 rows)"), "{line}");
    assert!(!line.contains("a.route"), "{line}");
    sluice.write("data/plans.csv", "globex,gold\n");
    soon(&sluice, "acme", "");
}

#[test]
fn a_bad_row_keeps_all_the_rows_before_it_over_a_restart_too() {
    let mut sluice = plans("acme,gold\n");
    soon(&sluice, "acme", "gold");
    for (bad, why) in [
        ("acme,silver\nglobex\n", "data/plans.csv:2"),
        ("acme,silver\nacme,gold\n", "stands twice"),
        ("globex,gold\n\"acme,silver\n", "never closed"),
    ] {
        sluice.write("data/plans.csv", bad);
        let line = sluice.says("that the rows were refused", |line| line.contains("refused") && line.contains(why));
        assert!(line.contains("the rows before it stay"), "{line}");
        assert_eq!(sluice.get("acme.tables.test", "/").text(), "gold");
        assert_eq!(sluice.get("globex.tables.test", "/").status, 404);
    }
    sluice.restart();
    assert_eq!(sluice.get("acme.tables.test", "/").text(), "gold", "the last good rows serve");
    let lint = run(&["lint", sluice.sites().to_str().unwrap()]);
    let text = String::from_utf8_lossy(&lint.stdout).into_owned() + &String::from_utf8_lossy(&lint.stderr);
    assert_eq!(lint.status.code(), Some(1), "{text}");
    assert!(text.contains("data/plans.csv:2"), "{text}");
    sluice.write("data/plans.csv", "acme,platinum\n");
    soon(&sluice, "acme", "platinum");
}

#[test]
fn what_was_reloaded_survives_a_restart_with_bad_rows_on_disk() {
    let mut sluice = plans("acme,gold\n");
    sluice.write("data/plans.csv", "acme,silver\n");
    soon(&sluice, "acme", "silver");
    sluice.write("data/plans.csv", "nothing\n");
    sluice.says("that the rows were refused", |line| line.contains("refused"));
    sluice.restart();
    assert_eq!(sluice.get("acme.tables.test", "/").text(), "silver");
}

#[test]
fn rows_lead_to_pools_of_the_declared_set_only() {
    let (gold, silver) = (Origin::echo(), Origin::echo());
    let route = format!(
        "pool gold = {}\npool silver = {}\npool other = {}\n\n\
         table tenants: text -> pool in [gold, silver] from \"data/tenants.csv\"\n\n\
         site {{t}}.tables.test {{\n    http allowed\n    else -> tenants[t] at /at/{{t}} else respond 404 \"nobody\"\n}}\n",
        gold.addr(),
        silver.addr(),
        silver.addr()
    );
    let csv = "tenant,pool\nacme,gold\nglobex,silver\n";
    let sluice = Sluice::setup().file("a.route", route).file("data/tenants.csv", csv).start();
    sluice.get("acme.tables.test", "/x?y");
    sluice.get("globex.tables.test", "/");
    assert_eq!(sluice.get("initech.tables.test", "/").text(), "nobody");
    let targets = |origin: &Origin| origin.requests().iter().map(|r| r.target.clone()).collect::<Vec<_>>();
    assert_eq!((targets(&gold), targets(&silver)), (vec!["/at/acme?y".into()], vec!["/at/globex/".into()]));
    sluice.write("data/tenants.csv", "acme,silver\nglobex,other\n");
    sluice.says("that the value is not declared", |line| line.contains("`other` is not in the declared set"));
    sluice.get("acme.tables.test", "/");
    assert_eq!(targets(&gold).len(), 2);
    let explained = run(&["explain", "GET http://acme.tables.test/", "--sites", sluice.sites().to_str().unwrap()]);
    let text = String::from_utf8_lossy(&explained.stdout).into_owned();
    assert!(!text.contains("row 1 of data/tenants.csv"), "what is on disk does not load: {text}");
    sluice.write("data/tenants.csv", csv);
    let explained = run(&["explain", "GET http://acme.tables.test/", "--sites", sluice.sites().to_str().unwrap()]);
    let text = String::from_utf8_lossy(&explained.stdout).into_owned() + &String::from_utf8_lossy(&explained.stderr);
    assert!(text.contains("row 1 of data/tenants.csv, line 2"), "{text}");
}

#[test]
fn a_hundred_thousand_rows_are_reloaded_under_traffic_without_a_failed_request() {
    let rows = |plan: &str| (0..100_000).map(|n| format!("tenant-{n},{plan}-{n}\n")).collect::<String>();
    let sluice = plans(&rows("a"));
    sluice.serves("tenant-99999.tables.test", "/", |reply| reply.text() == "a-99999");
    let addr = sluice.http;
    /// Ends the clients, whatever becomes of the test: a scope waits for its threads.
    struct Ends<'s>(&'s AtomicBool);
    impl Drop for Ends<'_> {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }
    let (stop, asked) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        let ends = Ends(&stop);
        let client = |first: usize| {
            let (stop, asked) = (&stop, &asked);
            scope.spawn(move || {
                let mut n = first;
                while !stop.load(Ordering::Relaxed) {
                    let reply = get(addr, &format!("tenant-{n}.tables.test"), "/").expect("an answer");
                    assert_eq!(reply.status, 200, "tenant-{n}");
                    assert!(reply.text().ends_with(&format!("-{n}")), "{}", reply.text());
                    asked.fetch_add(1, Ordering::Relaxed);
                    n = (n + 7919) % 100_000;
                }
            })
        };
        let clients = [client(1), client(2)];
        for plan in ["b", "c", "d"] {
            let before = asked.load(Ordering::Relaxed);
            sluice.write("data/plans.csv", rows(plan));
            // However long so many rows take to be read here.
            sluice.serves("tenant-5.tables.test", "/", |reply| reply.text() == format!("{plan}-5"));
            wait::until("requests after the reload", || (asked.load(Ordering::Relaxed) > before + 20).then_some(()));
        }
        drop(ends);
        clients.into_iter().for_each(|client| client.join().expect("no request fails"));
    });
    assert!(asked.load(Ordering::Relaxed) > 60);
}

#[test]
fn rows_behind_a_link_are_followed_and_links_lead_nowhere_else() {
    // As Kubernetes does with mounted config maps.
    let setup = Sluice::setup().file("a.route", PLANS);
    let sites = setup.sites();
    sluice::write(&sites.join("data/..v1/plans.csv"), "acme,one\n");
    symlink("..v1", sites.join("data/..data")).unwrap();
    symlink("..data/plans.csv", sites.join("data/plans.csv")).unwrap();
    let sluice = setup.start();
    soon(&sluice, "acme", "one");
    sluice::write(&sites.join("data/..v2/plans.csv"), "acme,two\n");
    symlink("..v2", sites.join("data/..tmp")).unwrap();
    fs::rename(sites.join("data/..tmp"), sites.join("data/..data")).unwrap();
    soon(&sluice, "acme", "two");
    let outside = sites.parent().unwrap().join("outside.csv");
    sluice::write(&outside, "acme,three\n");
    symlink(&outside, sites.join("data/next.csv")).unwrap();
    fs::rename(sites.join("data/next.csv"), sites.join("data/plans.csv")).unwrap();
    sluice.says("that the rows are elsewhere", |line| line.contains("refused") && line.contains("plans.csv"));
    assert_eq!(sluice.get("acme.tables.test", "/").text(), "two");
}

#[test]
fn a_file_whose_rows_were_missing_loads_when_they_come() {
    let sluice = Sluice::setup().file("a.route", PLANS).file("data/other.csv", "").start();
    assert_eq!(sluice.get("acme.tables.test", "/").status, 503);
    sluice.write("data/plans.csv", "acme,gold\n");
    soon(&sluice, "acme", "gold");
}

#[test]
fn rows_that_a_test_of_the_file_does_not_bear_are_refused() {
    let test = "\ntest \"acme has a plan\" {\n    request GET https://acme.tables.test/\n    expect 200\n}\n";
    let sluice =
        Sluice::setup().file("a.route", format!("{PLANS}{test}")).file("data/plans.csv", "acme,gold\n").start();
    sluice.write("data/plans.csv", "globex,gold\n");
    sluice.says("that the test fails", |line| line.contains("refused") && line.contains("G9007"));
    assert_eq!(sluice.get("acme.tables.test", "/").text(), "gold");
    sluice.write("data/plans.csv", "acme,silver\n");
    soon(&sluice, "acme", "silver");
}

const BLOCKED: &str = r#"
import std/auth

table blocked: cidr from "lists/blocked.netset"

site a.test {
    http allowed
    use auth.deny-from(blocked)
    else -> respond 200
}
"#;

fn from(sluice: &Sluice, ip: &str) -> u16 {
    let mut wire = sluice.wire();
    wire.send(format!("GET / HTTP/1.1\r\nHost: a.test\r\nX-Forwarded-For: {ip}\r\n\r\n"));
    wire.reply().status
}

#[test]
fn a_blocklist_of_a_hundred_thousand_networks_is_replaced_while_it_serves() {
    let list = |first: u32| {
        let nets = (0..100_000_u32).map(|n| format!("{}/28", std::net::Ipv4Addr::from((first << 24) + n * 64)));
        nets.fold("# nightly\n".to_owned(), |text, net| text + &net + "\n")
    };
    let sluice = Sluice::setup()
        .gateway("    trust proxies [127.0.0.0/8]")
        .file("a.route", BLOCKED)
        .file("lists/blocked.netset", list(20))
        .start();
    assert_eq!([from(&sluice, "20.0.0.15"), from(&sluice, "20.0.0.16"), from(&sluice, "30.0.0.1")], [403, 200, 200]);
    assert_eq!(from(&sluice, "20.97.167.207"), 403, "the last one");
    sluice.write("lists/blocked.netset", list(30));
    wait::until("the newer list counts", || (from(&sluice, "30.0.0.1") == 403).then_some(()));
    assert_eq!(from(&sluice, "20.0.0.1"), 200);
    let line = sluice.says("that it was read", |line| line.contains("blocked.netset (100000 rows)"));
    assert!(!line.contains("a.route"), "no route file is compiled for it: {line}");
    sluice.write("lists/blocked.netset", "30.0.0.0/28\n30.0.0.1/24\n");
    let line = sluice.says("that it is refused", |line| line.contains("blocked.netset:2"));
    assert!(line.contains("the rows before it stay"), "{line}");
    assert_eq!(from(&sluice, "30.0.0.64"), 403);
}
