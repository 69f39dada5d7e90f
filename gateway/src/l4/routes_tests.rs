//! What makes a route the same.

use super::*;
use crate::upstream::Pools;
use dsl::syntax::span::FileId;
use dsl::{NoModules, Unit};

struct Table {
    routes: Routes,
    pools: Pools,
}

impl Table {
    fn new() -> Self {
        Self { routes: Routes::new(2), pools: Pools::new(2) }
    }

    /// The route of the only item of a text.
    fn intern(&self, file: u32, text: &str) -> Arc<Route> {
        let unit = Unit { file: FileId(file), path: "a.route", text, gateway: false, modules: &NoModules };
        let made = dsl::compile(&unit);
        assert!(made.is_sound(), "{:?}", made.diagnostics);
        let listening = made.listening.into_iter().map(Item::Listening);
        let item = listening.chain(made.passthroughs.into_iter().map(Item::Passthrough)).next().unwrap();
        let dir = Path::new("/sites");
        let pools = item.rules().pools.iter().map(|pool| self.pools.intern(pool, dir)).collect();
        self.routes.intern(&item, pools, dir)
    }
}

const TEXT: &str = "pool a = 127.0.0.1:1\npool b = 127.0.0.1:2\n\ntcp :5432 {\n    limit 5 at-once per client.ip\n    when client.ip in [10.0.0.0/8] -> a\n    else -> b\n}\n";

#[test]
fn where_it_is_written_does_not_matter() {
    let table = Table::new();
    let first = table.intern(1, TEXT);
    assert_eq!((&*first.name, first.listens.map(|key| key.port)), ("tcp :5432", Some(5432)));
    for (file, text) in [(1, format!("# a line above\n\n{TEXT}")), (2, TEXT.to_owned())] {
        assert!(Arc::ptr_eq(&first, &table.intern(file, &text)));
    }
}

#[test]
fn a_change_of_its_meaning_is_another_route_that_counts_on() {
    let table = Table::new();
    let first = table.intern(1, TEXT);
    first.counts.shard(1).begun.add(1);
    for (what, with) in [
        ("10.0.0.0/8", "11.0.0.0/8"),
        ("limit 5", "limit 6"),
        ("-> b", "-> a"),
        ("else", "idle 5s\n    else"),
        ("127.0.0.1:2", "127.0.0.1:3"),
    ] {
        let changed = table.intern(1, &TEXT.replace(what, with));
        assert!(!Arc::ptr_eq(&first, &changed), "{what}");
        assert_eq!(changed.counts.sum(|s| &s.begun), 1);
        let back = table.intern(1, TEXT);
        assert!(!Arc::ptr_eq(&changed, &back));
    }
}

#[test]
fn one_limit_for_two_entries_is_not_two() {
    let one = "pool a = 127.0.0.1:1\n\ntcp :1 {\n    limit 5 at-once per client.ip\n    when client.port < 5 -> a\n    else -> a\n}\n";
    let two = "pool a = 127.0.0.1:1\n\ntcp :1 {\n    when client.port < 5 {\n        limit 5 at-once per client.ip\n        -> a\n    }\n    else {\n        limit 5 at-once per client.ip\n        -> a\n    }\n}\n";
    let table = Table::new();
    let (one, two) = (table.intern(1, one), table.intern(1, two));
    let steps = |route: &Route| route.rules.entries.iter().map(|e| e.steps.len()).collect::<Vec<_>>();
    assert_eq!((steps(&one), steps(&two)), (vec![1, 1], vec![1, 1]));
    assert!(!Arc::ptr_eq(&one, &two));
}

#[test]
fn counts_go_with_the_last_who_holds_them() {
    let table = Table::new();
    let old = table.intern(1, TEXT);
    let new = table.intern(1, &TEXT.replace("-> b", "-> a"));
    old.counts.shard(0).begun.add(1);
    drop(new);
    let live = table.routes.live();
    assert_eq!((live.len(), live[0].route.is_some(), live[0].counts.sum(|s| &s.begun)), (1, false, 1));
    drop((live, old));
    assert!(table.routes.live().is_empty());
    assert_eq!(table.intern(1, TEXT).counts.sum(|s| &s.begun), 0);
}

#[test]
fn routes_that_are_gone_leave_nothing_behind() {
    let table = Table::new();
    for port in 10_000..11_000 {
        let _ = table.intern(1, &TEXT.replace("5432", &port.to_string()));
    }
    assert!(table.routes.table.lock().unwrap().known.len() <= FEW);
}
