//! Five hundred files at once: every name has its certificate in the end, the first ones long before the last.

use sluice_tests::acme::{self, Acme, is_kept};
use sluice_tests::wait;
use std::time::Duration;

const NAMES: usize = 500;
/// Orders that are under way at once.
const BUDGET: usize = 8;
/// What accounts are bound with.
const KEY: &str = "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W";
/// For all of them, on two cores, with programs that were not optimised.
const LONG: Duration = Duration::from_secs(300);

fn name(n: usize) -> String {
    format!("t{n:03}.tenants.sluice-tests.net")
}

/// Names that have a certificate in the store.
fn kept(acme: &Acme) -> usize {
    (0..NAMES).filter(|n| is_kept(&acme.sluice.data(), &name(*n))).count()
}

/// The most orders that the authority had under way at once, by its log.
fn at_once(acme: &Acme) -> usize {
    let (mut now, mut most) = (0_usize, 0);
    for line in acme.pebble.log().lines() {
        if line.contains("POST /order-plz -> calling handler()") {
            now += 1;
            most = most.max(now);
        } else if line.contains("Issued certificate serial") {
            now = now.saturating_sub(1);
        }
    }
    most
}

/// All at once, a kill in the middle, and everything is there in the end: nothing lost, nothing ordered twice.
#[test]
fn five_hundred_names_and_a_kill_in_the_middle() {
    // With a binding the orders go by the crate that asks again sooner: the test is about what is ordered when.
    let mut acme = acme::setup()
        .pebble(|pebble| pebble.binding("kid-1", KEY))
        .sluice(|sluice| sluice.gateway("    secrets from \"../secrets\"").file("../secrets/eab", KEY))
        .line("eab \"kid-1\" key secret.eab")
        .line("limit 100000/3h")
        .start();
    for n in 0..NAMES {
        acme.sluice.write(&format!("t{n:03}.route"), acme::site(&name(n)));
    }
    // The first serves while the last waits.
    let first = wait::within(LONG, || (0..NAMES).find(|n| is_kept(&acme.sluice.data(), &name(*n))));
    let first = name(first.unwrap_or_else(|| panic!("none\n{}", acme.said())));
    drop(acme.handshake(&first).unwrap());
    assert!(acme.issued() < NAMES / 2, "the last ones wait");
    let some = wait::within(LONG, || Some(kept(&acme)).filter(|kept| *kept > NAMES / 4));
    assert!(some.is_some(), "{}", acme.said());
    acme.sluice.kill();
    let had = kept(&acme);
    acme.sluice.restart();
    assert!((NAMES / 4..NAMES).contains(&had), "{had}");
    let all = wait::within(LONG, || (kept(&acme) == NAMES).then_some(()));
    assert!(all.is_some(), "{} of {NAMES}\n{}", kept(&acme), acme.said());
    for n in 0..NAMES {
        acme.handshake(&name(n)).unwrap_or_else(|e| panic!("{}: {e}", name(n)));
    }
    // Those under way when it was killed nobody saw the end of; no other is ordered again.
    let orders = acme.orders();
    assert!((NAMES..=NAMES + BUDGET).contains(&orders), "{orders}");
    // What was under way at the kill is never finished in the log.
    let most = at_once(&acme);
    assert!(most <= 2 * BUDGET, "{most} at once");
}

/// One tenant drops hundreds; another's few do not wait behind them.
#[test]
fn a_tenant_with_many_names_does_not_hold_up_one_with_few() {
    const MANY: usize = 60;
    const FEW: usize = 5;
    let mut acme = acme::setup().line("limit 100000/3h").tenant("many").tenant("few");
    for n in 0..MANY {
        acme = acme.file(&format!("many/m{n:02}.route"), acme::site(&format!("m{n:02}.many-tests.net")));
    }
    for n in 0..FEW {
        acme = acme.file(&format!("few/f{n}.route"), acme::site(&format!("f{n}.few-tests.net")));
    }
    let acme = acme.start();
    let here = |tenant: &str| match tenant {
        "few" => (0..FEW).filter(|n| is_kept(&acme.sluice.data(), &format!("f{n}.few-tests.net"))).count(),
        _ => (0..MANY).filter(|n| is_kept(&acme.sluice.data(), &format!("m{n:02}.many-tests.net"))).count(),
    };
    let done = wait::within(LONG, || (here("few") == FEW).then(|| here("many")));
    let many = done.unwrap_or_else(|| panic!("{}", acme.said()));
    assert!(many < MANY / 2, "{many} of the many came before the few");
    assert!(at_once(&acme) <= BUDGET, "{}", at_once(&acme));
}
