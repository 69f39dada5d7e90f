//! A short storm of reloads under TCP, UDP and passthrough load; `tests/bench/l4-storm` raises the long one.

use sluice_tests::l4_storm::{Size, raise};

#[test]
fn storm_of_reloads_touches_no_connection_and_no_flow() {
    let outcome = raise(Size { reloads: 60, workers: 2, clients: 2 });
    assert_eq!(outcome.failures, Vec::<String>::new());
    assert_eq!(outcome.confirmed, 60);
    assert!(outcome.exchanges > 100 && outcome.connections > 20 && outcome.flows > 20, "{outcome:?}");
}
