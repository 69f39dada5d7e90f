use super::*;
use crate::upstream::{EndpointHandle, Pools};
use dsl::syntax::span::Loc;
use dsl::tree::ir;
use std::net::SocketAddr;
use std::sync::Arc;

struct Rig {
    table: Table,
    endpoint: Arc<EndpointHandle>,
}

fn rig(capacity: usize) -> Rig {
    let endpoint = ir::Endpoint {
        kind: ir::EndpointKind::Tcp,
        host: "127.0.0.1".into(),
        port: 1,
        weight: 1,
        backup: false,
        loc: Loc::default(),
    };
    let pool = Pools::new(1)
        .intern(&Arc::new(ir::Pool::new("p".into(), vec![endpoint], Loc::default())), std::path::Path::new("/"));
    Rig { table: Table::new(capacity, 0), endpoint: Arc::clone(pool.members().endpoint(0)) }
}

fn path(n: u32) -> Path {
    let [a, b, c, d] = n.to_be_bytes();
    Path::new(SocketAddr::from(([10 + a, b, c, d], 7)), None)
}

impl Rig {
    fn begin(&mut self, n: u32, now: u64, due: u64) -> u32 {
        self.table.insert(Begin {
            path: path(n),
            now,
            due,
            until: u64::MAX,
            via: 0,
            target: 0,
            rank: n,
            era: 0,
            in_use: EndpointHandle::begin(&self.endpoint),
            extra: None,
        })
    }

    fn due(&mut self, now: u64) -> Vec<u32> {
        let mut due = Vec::new();
        while let Some(flow) = self.table.due(now) {
            due.push(self.table.at(flow).rank);
            self.table.remove(flow);
        }
        due.sort_unstable();
        due
    }
}

#[test]
fn flows_are_found_until_they_end() {
    let mut rig = rig(5_000);
    let flows: Vec<_> = (0..5_000).map(|n| rig.begin(n, 0, 1_000)).collect();
    assert!(rig.table.is_full());
    assert!((0..5_000).all(|n| rig.table.find(&path(n)) == Some(flows[n as usize])));
    for n in (0..5_000).step_by(2) {
        assert_eq!(rig.table.remove(flows[n]).rank, n as u32);
    }
    for n in 0..5_000 {
        assert_eq!(rig.table.find(&path(n)).is_some(), n % 2 == 1, "{n}");
    }
    // Places are used again, and told apart from what was there.
    let stamp = rig.table.at(flows[1]).stamp;
    rig.table.remove(flows[1]);
    let again = rig.begin(9_999, 0, 1_000);
    assert_eq!(again, flows[1]);
    assert!(rig.table.get(again, stamp).is_none());
    assert_eq!((rig.table.len(), rig.endpoint.open()), (2_500, 2_500));
}

#[test]
fn each_is_looked_at_when_its_time_has_come_and_not_before() {
    let mut rig = rig(100);
    // Sooner, later, and later than the wheel reaches.
    for (n, due) in [(1, 50), (2, 1_000), (3, 1_001), (4, 59_000), (5, 61_000), (6, 500_000)] {
        rig.begin(n, 0, due);
    }
    assert!(rig.due(0).is_empty());
    assert_eq!(rig.due(100), [1]);
    assert!(rig.due(999).is_empty());
    assert_eq!(rig.due(1_000), [2]);
    assert_eq!(rig.due(1_100), [3]);
    assert!(rig.due(58_999).is_empty());
    // What is beyond the wheel is looked at once on the way, and put back by who looks.
    let mut seen = Vec::new();
    for now in (59_000..=500_100).step_by(100) {
        while let Some(flow) = rig.table.due(now) {
            let due = [0, 0, 0, 0, 59_000, 61_000, 500_000][rig.table.at(flow).rank as usize];
            if due <= now {
                seen.push((rig.table.at(flow).rank, now));
                rig.table.remove(flow);
            } else {
                rig.table.look_at(flow, due);
            }
        }
    }
    assert_eq!(seen, [(4, 59_000), (5, 61_000), (6, 500_000)]);
    assert_eq!(rig.table.len(), 0);
}

#[test]
fn a_long_sleep_misses_nobody() {
    let mut rig = rig(100);
    for n in 0..100 {
        rig.begin(n, 0, u64::from(n) * 1_000);
    }
    assert_eq!(rig.due(10_000_000).len(), 100);
}

#[test]
fn only_flows_that_showed_no_life_give_way_oldest_first() {
    let mut rig = rig(4);
    let flows: Vec<_> = (0..4).map(|n| rig.begin(n, u64::from(n) * 10, 60_000)).collect();
    assert_eq!(rig.table.gives_way(FRESH_MS - 1), None, "an upstream needs time to answer");
    rig.table.settle(flows[0]);
    rig.table.settle(flows[2]);
    assert_eq!(rig.table.gives_way(FRESH_MS), None, "the next one is ten milliseconds younger");
    assert_eq!(rig.table.gives_way(FRESH_MS + 10), Some(flows[1]));
    rig.table.remove(flows[1]);
    assert_eq!(rig.table.gives_way(FRESH_MS + 30), Some(flows[3]));
    rig.table.remove(flows[3]);
    assert_eq!(rig.table.gives_way(u64::MAX / 2), None, "whoever was answered stays");
}

#[test]
fn a_flow_that_moves_is_found_where_it_is() {
    let mut rig = rig(10);
    let (one, other) = (rig.begin(1, 0, 100), rig.begin(2, 0, 100));
    rig.table.moved(one, path(3));
    assert_eq!((rig.table.find(&path(1)), rig.table.find(&path(3))), (None, Some(one)));
    // A place that is taken stays taken.
    rig.table.moved(one, path(2));
    assert_eq!((rig.table.find(&path(3)), rig.table.find(&path(2))), (None, Some(other)));
    rig.table.remove(one);
    assert_eq!(rig.table.find(&path(2)), Some(other));
}

#[test]
fn a_flow_is_small() {
    assert!(size_of::<Slot>() <= 192, "{}", size_of::<Slot>());
}
