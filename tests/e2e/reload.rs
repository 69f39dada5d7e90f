//! Files that come, change and go while requests are answered (DESIGN invariants 4 and 5).

use sluice_tests::client::H2;
use sluice_tests::sluice::{self, proxy, says};
use sluice_tests::wait::{self, PATIENCE};
use sluice_tests::{Origin, Sluice};
use std::fs;
use std::os::unix::fs::symlink;
use std::time::Duration;

/// From the write to the answer.
const SOON: Duration = Duration::from_secs(1);

/// Waits until a host says something; within a second.
#[track_caller]
fn soon(sluice: &Sluice, host: &str, text: &str) {
    let took = sluice.serves(host, "/", |reply| reply.status == 200 && reply.text() == text);
    assert!(took < SOON, "{host} says {text:?} after {took:?}");
}

#[test]
fn new_file_is_served_within_a_second() {
    let sluice = Sluice::with(says("a.test", "a"));
    assert_eq!(sluice.get("new.test", "/").status, 404);
    sluice.write("new.route", says("new.test", "new"));
    soon(&sluice, "new.test", "new");
    assert_eq!(sluice.get("a.test", "/").text(), "a");
}

#[test]
fn deleted_file_is_404_by_name() {
    let sluice = Sluice::setup().file("a.route", says("a.test", "a")).file("b.route", says("b.test", "b")).start();
    fs::remove_file(sluice.sites().join("b.route")).unwrap();
    let took = sluice.serves("b.test", "/", |reply| reply.status == 404);
    assert!(took < SOON, "{took:?}");
    let reply = sluice.get("b.test", "/");
    assert!(reply.text().contains("b.test"), "404 by name: {:?}", reply.text());
    assert_eq!(sluice.get("a.test", "/").text(), "a");
}

#[test]
fn changed_in_place() {
    let sluice = Sluice::with(says("a.test", "one"));
    sluice.write("a.route", says("a.test", "two"));
    soon(&sluice, "a.test", "two");
}

#[test]
fn changed_by_rename_over() {
    let sluice = Sluice::with(says("a.test", "one"));
    for text in ["two", "three"] {
        sluice.write(".a.route.tmp", says("a.test", text));
        fs::rename(sluice.sites().join(".a.route.tmp"), sluice.sites().join("a.route")).unwrap();
        soon(&sluice, "a.test", text);
    }
}

#[test]
fn changed_by_symlink_swap() {
    // As Kubernetes does with mounted config maps: a.route → ..data/a.route, ..data → ..v1.
    let sluice = Sluice::setup();
    let sites = sluice.sites();
    sluice::write(&sites.join("..v1/a.route"), says("a.test", "one"));
    symlink("..v1", sites.join("..data")).unwrap();
    symlink("..data/a.route", sites.join("a.route")).unwrap();
    let sluice = sluice.start();
    assert_eq!(sluice.get("a.test", "/").text(), "one");
    for (i, text) in [(2, "two"), (3, "three")] {
        sluice::write(&sites.join(format!("..v{i}/a.route")), says("a.test", text));
        symlink(format!("..v{i}"), sites.join("..tmp")).unwrap();
        fs::rename(sites.join("..tmp"), sites.join("..data")).unwrap();
        soon(&sluice, "a.test", text);
    }
}

#[test]
fn changed_behind_a_symlink() {
    // The file itself is a link: what it points to changes elsewhere.
    let setup = Sluice::setup();
    let elsewhere = setup.sites().parent().unwrap().join("elsewhere/real.route");
    sluice::write(&elsewhere, says("a.test", "one"));
    symlink(&elsewhere, setup.sites().join("a.route")).unwrap();
    let sluice = setup.start();
    assert_eq!(sluice.get("a.test", "/").text(), "one");
    sluice::write(&elsewhere, says("a.test", "two"));
    soon(&sluice, "a.test", "two");
}

#[test]
fn whole_directory_replaced() {
    let sluice = Sluice::setup().file("a.route", says("a.test", "one")).file("b.route", says("b.test", "b")).start();
    let sites = sluice.sites();
    for text in ["two", "three"] {
        let (next, old) = (sites.with_extension("next"), sites.with_extension("old"));
        let _ = fs::remove_dir_all(&old);
        fs::create_dir(&next).unwrap();
        fs::copy(sites.join("gateway.route"), next.join("gateway.route")).unwrap();
        sluice::write(&next.join("a.route"), says("a.test", text));
        fs::rename(&sites, &old).unwrap();
        fs::rename(&next, &sites).unwrap();
        soon(&sluice, "a.test", text);
        assert_eq!(sluice.get("b.test", "/").status, 404);
    }
    // And what happens in the new directory is seen.
    sluice.write("c.route", says("c.test", "c"));
    soon(&sluice, "c.test", "c");
}

#[test]
fn directory_that_is_gone_changes_nothing() {
    // An unreadable root is no order to stop serving.
    let sluice = Sluice::with(says("a.test", "a"));
    let away = sluice.sites().with_extension("away");
    fs::rename(sluice.sites(), &away).unwrap();
    sluice.says("that the directory is gone", |line| line.contains("sites"));
    assert_eq!(sluice.get("a.test", "/").text(), "a");
    fs::rename(&away, sluice.sites()).unwrap();
    sluice.write("b.route", says("b.test", "b"));
    soon(&sluice, "b.test", "b");
}

#[test]
fn files_in_directories() {
    let sluice = Sluice::setup().file("team/deep/a.route", says("a.test", "one")).start();
    assert_eq!(sluice.get("a.test", "/").text(), "one");
    sluice.write("team/deep/a.route", says("a.test", "two"));
    soon(&sluice, "a.test", "two");
    sluice.write("other/new/b.route", says("b.test", "b"));
    soon(&sluice, "b.test", "b");
    fs::remove_dir_all(sluice.sites().join("team")).unwrap();
    sluice.serves("a.test", "/", |reply| reply.status == 404);
}

#[test]
fn files_of_other_kinds_are_nobodys() {
    let sluice = Sluice::with(says("a.test", "a"));
    for name in ["b.route~", ".b.route.swp", "b.route.bak", "b.txt", ".b.route"] {
        sluice.write(name, says("b.test", "b"));
    }
    sluice.write("c.route", says("c.test", "c"));
    soon(&sluice, "c.test", "c");
    assert_eq!(sluice.get("b.test", "/").status, 404);
}

/// A file that does not check: the pool is not there.
const BROKEN: &str = "site a.test {\n    http allowed\n    else -> nowhere\n}\n";

#[test]
fn broken_edit_keeps_the_old_version_and_prints_what_lint_prints() {
    let sluice = Sluice::with(says("a.test", "good"));
    sluice.write("a.route", BROKEN);
    sluice.says("what is wrong", |line| line.contains("G1002"));
    assert_eq!(sluice.get("a.test", "/").text(), "good");
    let lint = sluice::run(&["lint", sluice.sites().join("a.route").to_str().unwrap()]);
    assert_eq!(lint.status.code(), Some(1));
    let mut printed = String::from_utf8(lint.stdout).unwrap();
    printed.push_str(&String::from_utf8(lint.stderr).unwrap());
    // Every line of the diagnostic itself, from its headline to the blank line behind it.
    let diagnostic = printed.lines().skip_while(|l| !l.contains("G1002")).take_while(|l| !l.trim().is_empty());
    for line in diagnostic {
        // The path may be told from another place; the arrow line is compared by its end.
        let end = line.rsplit("sites/").next().unwrap_or(line).to_owned();
        sluice.says(&format!("what lint says: {line}"), |l| l.contains(&end));
    }
    // Mended, it is served at once.
    sluice.write("a.route", says("a.test", "mended"));
    soon(&sluice, "a.test", "mended");
}

#[test]
fn file_that_does_not_parse_keeps_the_old_version() {
    let sluice = Sluice::with(says("a.test", "good"));
    sluice.write("a.route", "site a.test {\n    else -> \n");
    sluice.says("that it does not parse", |line| line.contains("a.route"));
    assert_eq!(sluice.get("a.test", "/").text(), "good");
}

#[test]
fn file_that_is_no_text_keeps_the_old_version() {
    let sluice = Sluice::with(says("a.test", "good"));
    sluice.write("a.route", [0xff, 0xfe, 0, b'x']);
    sluice.says("that it is no text", |line| line.contains("a.route"));
    assert_eq!(sluice.get("a.test", "/").text(), "good");
}

#[test]
fn emptied_file_is_broken_not_deleted() {
    let sluice = Sluice::with(says("a.test", "good"));
    sluice.write("a.route", "");
    sluice.says("that it is empty", |line| line.contains("a.route") && line.contains("empty"));
    assert_eq!(sluice.get("a.test", "/").text(), "good");
}

#[test]
fn bad_file_harms_no_other() {
    let sluice = Sluice::with(says("a.test", "a"));
    sluice.write("bad.route", "site bad.test {\n    else -> nowhere\n}\n");
    sluice.write("b.route", says("b.test", "b"));
    soon(&sluice, "b.test", "b");
    assert_eq!(sluice.get("a.test", "/").text(), "a");
}

#[test]
fn host_of_a_file_that_never_loaded_is_503() {
    // It does not fall to somebody's wildcard.
    let wide = "site **.example.test {\n    http allowed\n    else -> respond 200 \"wide\"\n}\n";
    let bad = "site bad.example.test {\n    http allowed\n    else -> nowhere\n}\n";
    let sluice = Sluice::setup().file("wide.route", wide).file("bad.route", bad).start();
    assert_eq!(sluice.get("other.example.test", "/").text(), "wide");
    assert_eq!(sluice.get("bad.example.test", "/").status, 503);
    // The same while it runs.
    sluice.write("worse.route", bad.replace("bad.", "worse."));
    sluice.serves("worse.example.test", "/", |reply| reply.status == 503);
    sluice.write("worse.route", says("worse.example.test", "mended"));
    soon(&sluice, "worse.example.test", "mended");
    fs::remove_file(sluice.sites().join("bad.route")).unwrap();
    sluice.serves("bad.example.test", "/", |reply| reply.text() == "wide");
}

#[test]
fn last_good_version_survives_a_restart() {
    let mut sluice =
        Sluice::setup().file("a.route", says("a.test", "good")).file("b.route", says("b.test", "b")).start();
    sluice.write("a.route", BROKEN);
    sluice.says("what is wrong", |line| line.contains("G1002"));
    sluice.restart();
    assert_eq!(sluice.get("a.test", "/").text(), "good");
    assert_eq!(sluice.get("b.test", "/").text(), "b");
    sluice.says("what is wrong, again", |line| line.contains("G1002"));
}

#[test]
fn last_good_version_goes_with_its_file() {
    let mut sluice =
        Sluice::setup().file("a.route", says("a.test", "good")).file("b.route", says("b.test", "b")).start();
    sluice.kill();
    fs::remove_file(sluice.sites().join("a.route")).unwrap();
    sluice.restart();
    assert_eq!(sluice.get("a.test", "/").status, 404);
}

#[test]
fn incumbent_keeps_its_host() {
    let sluice = Sluice::with(says("a.test", "incumbent"));
    sluice.write("0.route", says("a.test", "newcomer"));
    sluice.says("who has the host", |line| line.contains("G2007"));
    assert_eq!(sluice.get("a.test", "/").text(), "incumbent");
    // When the incumbent goes, the newcomer is served.
    fs::remove_file(sluice.sites().join("a.route")).unwrap();
    sluice.serves("a.test", "/", |reply| reply.text() == "newcomer");
}

#[test]
fn two_claims_on_a_first_start_are_both_refused() {
    let sluice = Sluice::setup()
        .file("a.route", says("a.test", "a"))
        .file("b.route", says("a.test", "b"))
        .file("c.route", says("c.test", "c"))
        .start();
    assert_eq!(sluice.get("a.test", "/").status, 503);
    assert_eq!(sluice.get("c.test", "/").text(), "c");
    sluice.says("who claims it", |line| line.contains("G2007"));
}

#[test]
fn host_moves_between_files_in_one_batch() {
    let sluice = Sluice::setup().file("a.route", says("x.test", "from a")).file("b.route", says("b.test", "b")).start();
    sluice.write("a.route", says("a.test", "a"));
    sluice.write("b.route", says("x.test", "from b"));
    soon(&sluice, "x.test", "from b");
    soon(&sluice, "a.test", "a");
    assert_eq!(sluice.get("b.test", "/").status, 404);
}

#[test]
fn imported_file_changes() {
    // A module is part of who imports it.
    let (one, two) = (Origin::fixed("one"), Origin::fixed("two"));
    let pools = |origin: &Origin| format!("pool app = {}\n", origin.addr());
    let site = "import ./pools\n\nsite a.test {\n    http allowed\n    else -> pools.app\n}\n";
    let sluice = Sluice::setup().file("pools.route", pools(&one)).file("a.route", site).start();
    assert_eq!(sluice.get("a.test", "/").text(), "one");
    sluice.write("pools.route", pools(&two));
    soon(&sluice, "a.test", "two");
    // Broken, the last good version of both goes on.
    sluice.write("pools.route", "pool app = \n");
    sluice.says("what is wrong", |line| line.contains("pools.route"));
    assert_eq!(sluice.get("a.test", "/").text(), "two");
}

#[test]
fn gateway_route_that_is_broken_keeps_the_old_version() {
    let sluice = Sluice::with(says("a.test", "a"));
    sluice.write("gateway.route", "gateway {\n    htttp :80\n}\n");
    sluice.says("what is wrong", |line| line.contains("G1001"));
    assert_eq!(sluice.get("a.test", "/").text(), "a");
    sluice.write("b.route", says("b.test", "b"));
    soon(&sluice, "b.test", "b");
}

#[test]
fn one_line_a_reload_and_its_plan() {
    let sluice = Sluice::with(says("a.test", "a"));
    sluice.write("new.route", says("new.test", "new"));
    soon(&sluice, "new.test", "new");
    let told = sluice.says("what changed and how long it took", |l| {
        l.contains("new.route") && (l.contains("ms") || l.contains("µs"))
    });
    // A second one, so that whatever the first still had to say is there.
    sluice.write("other.route", says("other.test", "other"));
    soon(&sluice, "other.test", "other");
    let next = sluice.says("what changed next", |l| l.contains("other.route"));
    sluice.says("the end of its plan", |l| l.contains("https://other.test/"));
    let lines: Vec<_> = sluice.console().into_iter().skip_while(|l| *l != told).collect();
    let plan = |name: &str| {
        [
            "plan: 1 behaviour changes".to_owned(),
            format!("  {name}.test"),
            format!("    + /*  404, no site → respond 200 \"{name}\""),
            format!("        e.g. GET https://{name}.test/"),
        ]
    };
    let wanted: Vec<_> = [told].into_iter().chain(plan("new")).chain([next]).chain(plan("other")).collect();
    assert_eq!(lines, wanted);
}

#[test]
fn touched_file_is_no_change() {
    let sluice = Sluice::with(says("a.test", "a"));
    // The same content again, then something that is a change.
    sluice.write("a.route", says("a.test", "a"));
    sluice.write("b.route", says("b.test", "b"));
    soon(&sluice, "b.test", "b");
    let told = sluice.says("what changed", |l| l.contains("b.route"));
    assert!(!told.contains("a.route"), "{told}");
    let lines = sluice.console().into_iter().filter(|l| l.contains("a.route")).count();
    assert_eq!(lines, 0, "{}", sluice.console_text());
}

#[test]
fn reload_closes_no_connection() {
    let origin = Origin::fixed("proxied");
    let setup = Sluice::setup().file("p.route", proxy("p.test", origin.addr()));
    let sluice = setup.file("a.route", says("a.test", "0")).start();
    let mut plain = sluice.wire();
    let mut secure = sluice.secure("a.test");
    let mut h2 = sluice.h2();
    let mut h2_secure = sluice.h2_secure("a.test");
    let ask = |host: &str| format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n");
    let h2_ask = |h2: &mut H2, scheme: &str| h2.get(&format!("{scheme}://a.test/")).text();
    for i in 0..20 {
        let text = i.to_string();
        sluice.write("a.route", says("a.test", &text));
        sluice.serves("a.test", "/", |reply| reply.text() == text);
        // The connections from before see the new version.
        assert_eq!(plain.send(ask("a.test")).reply().text(), text);
        assert_eq!(secure.send(ask("a.test")).reply().text(), text);
        assert_eq!(h2_ask(&mut h2, "http"), text);
        assert_eq!(h2_ask(&mut h2_secure, "https"), text);
        assert_eq!(plain.send(ask("p.test")).reply().text(), "proxied");
    }
    assert_eq!(origin.connections(), 1, "an unchanged site's pool is not rebuilt");
}

#[test]
fn pool_survives_a_change_of_its_own_file() {
    // Kept by identity: the routes changed, the pool did not.
    let origin = Origin::fixed("proxied");
    let site = |more: &str| {
        format!("pool origin = {}\n\nsite a.test {{\n    http allowed\n{more}    else -> origin\n}}\n", origin.addr())
    };
    let sluice = Sluice::with(site(""));
    let mut wire = sluice.wire();
    let ask = "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n";
    assert_eq!(wire.send(ask).reply().text(), "proxied");
    sluice.write("a.route", site("    /new -> respond 200 \"new\"\n"));
    sluice.serves("a.test", "/new", |reply| reply.text() == "new");
    assert_eq!(wire.send(ask).reply().text(), "proxied");
    assert_eq!(origin.connections(), 1);
}

#[test]
fn request_in_flight_ends_as_it_began() {
    // Its route went away meanwhile: the answer still comes.
    let gate: std::sync::Arc<wait::Watched<bool>> = std::sync::Arc::default();
    let open = gate.clone();
    let origin = Origin::start(move |seen, conn| {
        conn.body(seen)?;
        open.wait(PATIENCE, |open| open.then_some(()));
        conn.respond("200 OK", "", "late")
    });
    let sluice =
        Sluice::setup().file("a.route", proxy("a.test", origin.addr())).file("b.route", says("b.test", "b")).start();
    let mut wire = sluice.wire();
    wire.send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
    origin.record().wait(PATIENCE, |r| (r.requests.len() == 1).then_some(())).expect("the request");
    fs::remove_file(sluice.sites().join("a.route")).unwrap();
    // Asking too early would wait at the origin as well.
    sluice.says("that the file is gone", |line| line.contains("a.route"));
    sluice.serves("a.test", "/", |reply| reply.status == 404);
    gate.change(|open| *open = true);
    assert_eq!(wire.reply().text(), "late");
}

#[test]
fn changed_pool_takes_its_new_endpoints() {
    let (one, two) = (Origin::fixed("one"), Origin::fixed("two"));
    let sluice = Sluice::with(proxy("a.test", one.addr()));
    assert_eq!(sluice.get("a.test", "/").text(), "one");
    sluice.write("a.route", proxy("a.test", two.addr()));
    soon(&sluice, "a.test", "two");
    let before = one.requests().len();
    for _ in 0..10 {
        assert_eq!(sluice.get("a.test", "/").text(), "two");
    }
    assert_eq!(one.requests().len(), before);
}

#[test]
fn many_files_in_one_burst() {
    let sluice = Sluice::with(says("a.test", "a"));
    for i in 0..100 {
        sluice.write(&format!("n{i}.route"), says(&format!("n{i}.test"), &i.to_string()));
    }
    for i in 0..100 {
        sluice.serves(&format!("n{i}.test"), "/", |reply| reply.text() == i.to_string());
    }
    let lines = sluice.console().iter().filter(|l| l.contains(".route")).count();
    assert!(lines < 60, "{lines} lines for one burst:\n{}", sluice.console_text());
}

#[test]
fn sigterm_drains() {
    let gate: std::sync::Arc<wait::Watched<bool>> = std::sync::Arc::default();
    let open = gate.clone();
    let origin = Origin::start(move |seen, conn| {
        conn.body(seen)?;
        open.wait(PATIENCE, |open| open.then_some(()));
        conn.respond("200 OK", "", "late")
    });
    let mut sluice = Sluice::before(origin.addr());
    let mut wire = sluice.wire();
    let mut idle = sluice.wire();
    wire.send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
    origin.record().wait(PATIENCE, |r| (r.requests.len() == 1).then_some(())).expect("the request");
    sluice.signal("TERM");
    // No new connections; idle ones are closed; the one in flight is answered.
    assert!(idle.rest().is_empty());
    let address = sluice.http;
    wait::until("the port is closed", || std::net::TcpStream::connect(address).is_err().then_some(()));
    assert!(sluice.is_running(), "it waits for the request in flight");
    gate.change(|open| *open = true);
    let reply = wire.reply();
    assert_eq!(reply.text(), "late");
    assert!(sluice.ends().success());
}

#[test]
fn ctrl_c_ends_it() {
    let mut sluice = Sluice::with(says("a.test", "a"));
    sluice.signal("INT");
    assert!(sluice.ends().success());
}
