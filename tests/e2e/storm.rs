//! A short storm of reloads; `tests/bench/storm` raises the long one.

use sluice_tests::storm::{Size, raise};

#[test]
fn storm_of_reloads_fails_no_request() {
    let outcome = raise(Size { reloads: 60, files: 40, workers: 2, clients: 1, tools: true });
    assert_eq!(outcome.failures, Vec::<String>::new());
    assert_eq!(outcome.confirmed, 60);
    assert_eq!(outcome.connections, outcome.clients, "no connection was closed");
    assert!(outcome.requests > 100, "{outcome:?}");
}
