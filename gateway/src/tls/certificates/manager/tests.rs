use super::super::budget::{Rate, WEEK};
use super::simulated::{START, World, used, wanted};
use super::*;

const A: &str = "a.sluice-tests.net";

fn world() -> World {
    World::new(Limits { domain: None, ..Limits::LETS_ENCRYPT })
}

fn tries(world: &World, name: &str) -> Vec<u64> {
    world.sent.iter().filter(|(_, wanted, _)| &*wanted.name == name).map(|(at, ..)| at - START).collect()
}

#[test]
fn a_name_is_tried_again_after_a_minute_ten_a_hundred_and_a_day() {
    let mut world = world();
    world.fate = |_, _| (0, Some((Cause::Validation, None)));
    world.want(A, None);
    world.run(START + 4 * DAY);
    let tries = tries(&world, A);
    let waits: Vec<u64> = tries.windows(2).map(|two| two[1] - two[0]).collect();
    let expected = [MINUTE, 10 * MINUTE, 100 * MINUTE, DAY, DAY];
    for (wait, at_least) in waits.iter().zip(expected) {
        assert!((at_least..=at_least * 9 / 8 + 1).contains(wait), "{waits:?}");
    }
    let trouble = world.book.entry(A).unwrap().trouble.as_ref().unwrap();
    assert_eq!((trouble.failures as usize, &*trouble.said), (tries.len(), "no"));
}

#[test]
fn an_authority_that_asks_to_be_left_alone_is_by_all_and_then_one_goes_ahead() {
    let mut world = world();
    world.fate = |_, now| {
        let early = now < START + 10 * MINUTE;
        (1_000, early.then_some((Cause::RateLimited, Some(15 * MINUTE))))
    };
    for n in 0..40 {
        world.want(&format!("{n}.sluice-tests.net"), Some(&format!("t{n}")));
    }
    world.run(START + HOUR);
    let early = world.sent.iter().filter(|(at, ..)| *at < START + 15 * MINUTE).count();
    assert_eq!(early, AT_ONCE, "those that were under way when it said so");
    let after: Vec<u64> = world.sent.iter().map(|(at, ..)| *at).filter(|at| *at > START + 10 * MINUTE).collect();
    assert!(after[0] >= START + 15 * MINUTE && after[1] > after[0], "one first: {after:?}");
    assert_eq!(world.certificates.len(), 40);
}

#[test]
fn an_authority_that_cannot_be_reached_is_tried_soon_again_and_nobody_is_blamed() {
    let mut world = world();
    world.fate = |_, now| (1_000, (now < START + 30 * MINUTE).then_some((Cause::Unreachable, None)));
    for n in 0..40 {
        world.want(&format!("{n}.sluice-tests.net"), None);
    }
    world.run(START + 29 * MINUTE);
    assert!(world.sent.len() < AT_ONCE + 12, "{} orders into the void", world.sent.len());
    assert!(world.book.names.values().all(|entry| entry.trouble.as_ref().is_none_or(|t| t.failures == 0)));
    assert!(world.manager.closed().is_some());
    world.run(START + HOUR);
    assert_eq!(world.certificates.len(), 40);
    assert!(world.manager.closed().is_none());
}

#[test]
fn what_nobody_else_has_trouble_with_is_a_names_own() {
    let mut world = world();
    world.fate = |name, _| (1_000, name.starts_with("dns").then_some((Cause::Unreachable, None)));
    world.want("dns.sluice-tests.net", None);
    for n in 0..20 {
        world.want(&format!("{n}.sluice-tests.net"), None);
    }
    world.run(START + 20 * MINUTE);
    assert_eq!(world.certificates.len(), 20, "its provider's trouble stops nobody for long");
    assert!(world.book.entry("dns.sluice-tests.net").unwrap().trouble.as_ref().unwrap().failures >= 1);
}

#[test]
fn what_is_written_down_holds_over_a_restart() {
    let mut world = world();
    world.fate = |_, _| (1_000, Some((Cause::Refused, None)));
    world.want(A, None);
    world.run(START + MINUTE);
    for n in 1..5 {
        world.restart();
        world.want(A, None);
        world.run(START + n * 10 * MINUTE);
    }
    assert_eq!(tries(&world, A).len(), 1, "it is not asked again because we began again");
}

#[test]
fn an_order_that_ends_the_process_is_not_made_at_once_for_ever() {
    let mut world = world();
    world.fate = |_, _| (HOUR, None);
    for n in 1..=20 {
        world.want(A, None);
        world.run(START + n * 10_000);
        world.restart();
    }
    assert!(tries(&world, A).len() <= 4, "{:?}", tries(&world, A));
}

#[test]
fn nothing_is_ordered_while_it_cannot_be_written_down() {
    let mut manager = Manager::new(Book::default(), Now { wall: START, steady: 0 });
    manager.order_from(Some(super::simulated::authorities(Limits::LETS_ENCRYPT)));
    manager.want(wanted(A, None), used());
    let actions = manager.step(Now { wall: START, steady: 0 });
    assert!(matches!(actions.as_slice(), [Action::Stands(..), .., Action::Write(_), Action::Order { .. }]));
    manager.not_sent(A);
    manager.can_write(false);
    assert_eq!(manager.step(Now { wall: START + 1, steady: 1 }).iter().filter(|a| is_order(a)).count(), 0);
    assert!(manager.book().orders.values().all(super::super::budget::Spent::is_empty), "and counts for nothing");
    manager.can_write(true);
    assert_eq!(manager.step(Now { wall: START + 2, steady: 2 }).iter().filter(|a| is_order(a)).count(), 1);
}

fn is_order(action: &Action) -> bool {
    matches!(action, Action::Order { .. })
}

#[test]
fn a_clock_that_is_set_makes_nobody_wait_longer_and_no_window_wider() {
    let limits = Limits { orders: Rate { count: 1, per: HOUR }, domain: None, ..Limits::LETS_ENCRYPT };
    for by in [-400 * i64::try_from(DAY).unwrap(), 400 * i64::try_from(DAY).unwrap()] {
        let mut manager = Manager::new(Book::default(), Now { wall: START, steady: 0 });
        manager.order_from(Some(super::simulated::authorities(limits)));
        manager.want(wanted("a.sluice-tests.net", None), used());
        manager.want(wanted("b.sluice-tests.net", None), used());
        let sent = |manager: &mut Manager, now| manager.step(now).iter().filter(|a| is_order(a)).count();
        assert_eq!(sent(&mut manager, Now { wall: START, steady: 0 }), 1);
        let wall = START.saturating_add_signed(by);
        let at = |ms| Now { wall: wall + ms, steady: ms };
        let actions = manager.step(at(1_000));
        assert!(actions.contains(&Action::ClockSet(by)), "{actions:?}");
        assert!(actions.contains(&Action::Rewrite));
        assert_eq!(manager.next(), wall + HOUR, "the window is as long as it was");
        assert_eq!(sent(&mut manager, at(HOUR - 1)), 0);
        assert_eq!(sent(&mut manager, at(HOUR)), 1);
    }
}

#[test]
fn a_clock_that_jumps_ahead_renews_what_is_due_by_it() {
    let mut world = world();
    world.want(A, None);
    world.run(START + HOUR);
    let later = Now { wall: START + 80 * DAY, steady: HOUR };
    let actions = world.manager.step(later);
    assert!(actions.iter().any(is_order), "{actions:?}");
}

#[test]
fn an_operator_gets_a_new_one_at_once_within_the_limits() {
    let mut world = world();
    assert!(world.manager.renew(A).unwrap_err().contains("no site asks"));
    world.want(A, None);
    world.run(START + HOUR);
    assert_eq!(tries(&world, A).len(), 1);
    world.manager.renew(A).unwrap();
    world.run(START + 2 * HOUR);
    assert_eq!(tries(&world, A).len(), 2);
    // Failing, it is tried at once as often as the authority allows, and then not.
    world.fate = |_, _| (0, Some((Cause::Validation, None)));
    for n in 0..50 {
        world.manager.renew(A).unwrap();
        world.run(START + 2 * HOUR + (n + 1) * MINUTE);
    }
    assert_eq!(tries(&world, A).len(), 2 + 5, "{:?}", tries(&world, A));
}

#[test]
fn a_name_that_a_handshake_wanted_is_renewed_while_it_is_used() {
    let mut world = world();
    let uses = used();
    world.manager.demand(wanted(A, None), Arc::clone(&uses));
    world.manager.demand(wanted("idle.sluice-tests.net", None), used());
    world.run(START + MINUTE);
    assert_eq!(world.certificates.len(), 2);
    // After a restart they are known.
    world.restart();
    world.manager.recall(wanted(A, None), Arc::clone(&uses));
    world.manager.recall(wanted("idle.sluice-tests.net", None), used());
    for day in 1..100 {
        uses.store(world.now, Ordering::Relaxed);
        world.run(START + day * DAY);
    }
    assert_eq!(tries(&world, A).len(), 2, "{:?}", tries(&world, A));
    assert_eq!(tries(&world, "idle.sluice-tests.net").len(), 1);
    let idle = world.book.entry("idle.sluice-tests.net");
    assert!(idle.is_none_or(|entry| entry.demanded.is_none()), "it is let go");
    assert_eq!(world.manager.wanted().count(), 1);
}

#[test]
fn a_handshake_goes_before_files_and_gives_up_before_them() {
    let mut world = world();
    for n in 0..100 {
        world.want(&format!("{n}.sluice-tests.net"), None);
    }
    world.run(START + 1_000);
    world.manager.demand(wanted(A, None), used());
    world.run(START + 21_000);
    assert!(tries(&world, A).first().is_some_and(|at| *at <= 21_000), "{:?}", tries(&world, A));
    world.fate = |_, _| (0, Some((Cause::Validation, None)));
    world.manager.demand(wanted("b.sluice-tests.net", None), used());
    world.run(START + WEEK);
    assert_eq!(tries(&world, "b.sluice-tests.net").len(), 4);
    world.manager.demand(wanted("b.sluice-tests.net", None), used());
    let before = world.sent.len();
    world.run(world.now + HOUR);
    assert_eq!(world.sent.len(), before + 1, "another handshake is another try, once its wait is over");
}

#[test]
fn a_name_that_no_file_wants_is_left_alone_and_keeps_what_it_has() {
    let mut world = world();
    world.want(A, None);
    world.run(START + HOUR);
    world.manager.unwant(A);
    world.run(START + 30 * DAY);
    world.want(A, None);
    world.run(START + 31 * DAY);
    assert_eq!(tries(&world, A).len(), 1, "what was issued still serves when it comes back");
    world.manager.unwant(A);
    world.run(START + 200 * DAY);
    assert!(world.book.names.is_empty(), "and is forgotten long after it is over");
}

#[test]
fn another_authority_is_a_reason_for_another_certificate() {
    let mut world = world();
    world.want(A, None);
    world.run(START + HOUR);
    let limits = Limits::LETS_ENCRYPT;
    world.by = "https://other.sluice-tests.net";
    let other = Authorities { each: vec![(world.by.into(), limits)], tries: 1 };
    world.manager.order_from(Some(other));
    world.run(START + 2 * HOUR);
    assert_eq!(tries(&world, A).len(), 2);
    world.manager.order_from(None);
    world.manager.lost(A);
    world.run(START + DAY);
    assert_eq!(tries(&world, A).len(), 2, "nobody is asked without an acme block");
}

#[test]
fn a_fallback_is_held_to_its_limits_too() {
    let few = Limits { orders: Rate { count: 2, per: HOUR }, domain: None, ..Limits::LETS_ENCRYPT };
    let many = Limits { domain: None, ..Limits::LETS_ENCRYPT };
    let each = vec![("https://first".into(), many), ("https://second".into(), few)];
    let mut manager = Manager::new(Book::default(), Now { wall: START, steady: 0 });
    manager.order_from(Some(Authorities { each, tries: 2 }));
    let mut sent = 0;
    for n in 0..10 {
        let name = format!("{n}.sluice-tests.net");
        manager.want(wanted(&name, None), used());
        let now = Now { wall: START + n, steady: n };
        if manager.step(now).iter().any(is_order) {
            sent += 1;
            let issue = super::super::book::Issue {
                by: "https://second".into(),
                from: START / 1_000,
                until: START / 1_000 + 86_400 * 90,
                window: None,
            };
            manager.issued(&name, issue);
        }
    }
    assert_eq!(sent, 2);
}
