//! What a reload and an unhealthy endpoint mean for connections that exist.

use super::rig::*;
use crate::support::pool;
use dsl::tree::ir::{self, Cond};
use dsl::tree::l4::Target;
use sluice::l4::End;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};

/// To these endpoints, with this `drain`.
fn draining(endpoints: &[SocketAddr], drain_ms: u64) -> dsl::tree::l4::Rules {
    let mut rules = to(endpoints);
    rules.settings.drain_ms = drain_ms;
    rules
}

/// Other connections come and go: whatever was published has been looked at.
fn settle(carrier: &Carrier) {
    let seen = std::time::Instant::now();
    until("a while", || seen.elapsed() > std::time::Duration::from_millis(500));
    drop(carrier.connect());
}

#[test]
fn an_endpoint_that_leaves_its_pool_is_drained() {
    let (leaves, stays) = (echo(), echo());
    let carrier = Carrier::new(draining(&[leaves], 0));
    let mut client = carrier.connect();
    round_trip(&mut client, "before");
    carrier.publish(draining(&[stays], 0));
    assert_eq!(rest(&mut client), b"");
    carrier.ends(End::Drained);
    round_trip(&mut carrier.connect(), "after");
}

#[test]
fn a_drain_leaves_time() {
    let (leaves, stays) = (echo(), echo());
    let carrier = Carrier::new(draining(&[leaves], 60_000));
    let mut client = carrier.connect();
    round_trip(&mut client, "before");
    carrier.publish(draining(&[stays], 60_000));
    settle(&carrier);
    round_trip(&mut client, "after");
    // It is back before the time is over: nothing happened.
    carrier.publish(draining(&[stays, leaves], 0));
    settle(&carrier);
    round_trip(&mut client, "long after");
    assert_eq!(carrier.counts.ends(End::Drained), 0);
}

#[test]
fn an_item_that_is_gone_drains() {
    let carrier = Carrier::new(draining(&[echo()], 0));
    let mut client = carrier.connect();
    round_trip(&mut client, "before");
    carrier.remove();
    assert_eq!(rest(&mut client), b"");
    carrier.ends(End::Drained);
}

#[test]
fn an_item_that_changed_its_mind_drains() {
    let origin = echo();
    for change in [
        (|rules: &mut dsl::tree::l4::Rules| rules.entries[0].target = Target::Deny) as fn(&mut _),
        |rules| rules.entries[0].guard = Cond::Const(false),
        |rules| rules.settings.tls = true,
        |rules| std::sync::Arc::make_mut(&mut rules.pools[0]).proxy_protocol = Some(ir::ProxyProtocol::V1),
    ] {
        let carrier = Carrier::new(draining(&[origin], 0));
        let mut client = carrier.connect();
        round_trip(&mut client, "before");
        let mut rules = draining(&[origin], 0);
        change(&mut rules);
        carrier.publish(rules);
        assert_eq!(rest(&mut client), b"");
        carrier.ends(End::Drained);
    }
}

#[test]
fn an_unrelated_change_touches_nothing() {
    let (origin, more) = (echo(), echo());
    let carrier = Carrier::new(draining(&[origin], 0));
    let mut client = carrier.connect();
    round_trip(&mut client, "before");
    for _ in 0..20 {
        carrier.publish_again();
        round_trip(&mut client, "another snapshot");
    }
    carrier.publish(draining(&[origin, more], 0));
    settle(&carrier);
    round_trip(&mut client, "another endpoint beside");
    let mut rules = rules(vec![pool(&[more]), pool(&[origin])]);
    let shares = vec![(9_999, ir::PoolIdx(0)), (1, ir::PoolIdx(1))];
    rules.entries[0].target = Target::Split { shares, by: None, salt: 0 };
    rules.settings.drain_ms = 0;
    carrier.publish(rules);
    settle(&carrier);
    round_trip(&mut client, "another way to the same endpoint");
    // The settings of today's item are its settings.
    let mut rules = draining(&[origin], 0);
    rules.settings.idle_ms = 200;
    carrier.publish(rules);
    assert_eq!(rest(&mut client), b"");
    carrier.ends(End::Idle);
}

/// To one endpoint whose health is that of another port: who listens there says that it is up.
fn checked(origin: SocketAddr, health: SocketAddr) -> dsl::tree::l4::Rules {
    let mut rules = draining(&[origin], 0);
    std::sync::Arc::make_mut(&mut rules.pools[0]).check = Some(ir::Check {
        probe: ir::Probe::Tcp,
        port: Some(health.port()),
        every_ms: 100,
        within_ms: 1_000,
        rise: 1,
        fall: 2,
    });
    rules
}

fn healthy() -> TcpListener {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap()
}

#[test]
fn connections_to_an_endpoint_that_goes_down_are_cut_where_that_is_said() {
    let (origin, health) = (echo(), healthy());
    let mut rules = checked(origin, health.local_addr().unwrap());
    rules.settings.cut_on_unhealthy = true;
    rules.settings.drain_ms = 60_000;
    let carrier = Carrier::new(rules);
    let mut client = carrier.connect();
    round_trip(&mut client, "up");
    drop(health);
    is_reset(&mut client);
    carrier.ends(End::Unhealthy);
    is_reset(&mut carrier.connect());
    carrier.ends(End::NoEndpoint);
}

#[test]
fn connections_to_an_endpoint_that_goes_down_are_drained() {
    let (origin, health) = (echo(), healthy());
    let carrier = Carrier::new(checked(origin, health.local_addr().unwrap()));
    let mut client = carrier.connect();
    round_trip(&mut client, "up");
    drop(health);
    assert_eq!(rest(&mut client), b"");
    carrier.ends(End::Drained);
}

#[test]
fn an_endpoint_that_is_up_again_in_time_keeps_its_connections() {
    let (origin, health) = (echo(), healthy());
    let at = health.local_addr().unwrap();
    let mut rules = checked(origin, at);
    rules.settings.drain_ms = 4_000;
    let carrier = Carrier::new(rules);
    let mut client = carrier.connect();
    round_trip(&mut client, "up");
    drop(health);
    let route = carrier.route();
    until("it is down", || !route.pools[0].members().is_up(0));
    settle(&carrier);
    let _health = TcpListener::bind(at).unwrap();
    until("it is up", || route.pools[0].members().is_up(0));
    let seen = std::time::Instant::now();
    until("the drain would be over", || seen.elapsed() > std::time::Duration::from_millis(4_500));
    round_trip(&mut client, "up again");
}
