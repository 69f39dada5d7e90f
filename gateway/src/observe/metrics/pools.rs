//! What sites asked of pools, and what became of it.

use super::collect::Sources;
use super::text::{Kind, Text};
use crate::l4::counts::Count;
use crate::upstream::{PoolHandle, RetryCause, Shard, Shared};
use std::collections::BTreeMap;
use std::sync::Arc;

type Pick = fn(&Shard) -> &Count;

const COUNTED: [(&str, &str, Pick); 9] = [
    ("sluice_pool_requests", "Requests for a pool.", |s| &s.requests),
    ("sluice_pool_failed", "Requests that had no answer of the pool, or not the whole of it.", |s| &s.failed),
    ("sluice_pool_budget_exhausted", "Retries and hedges that the budget did not allow.", |s| &s.exhausted),
    ("sluice_pool_hedged", "Requests that were sent to a second endpoint because the first was slow.", |s| &s.hedged),
    ("sluice_pool_hedges_won", "Those of them that the second one answered first.", |s| &s.hedges_won),
    ("sluice_pool_queued", "Requests that waited for room by the pool's limit.", |s| &s.queued),
    ("sluice_pool_limited", "Requests that found no room by the pool's limit.", |s| &s.limited),
    ("sluice_pool_mirrored", "Copies of requests that were sent to the pool.", |s| &s.mirrored),
    ("sluice_pool_mirror_failed", "Copies that got no answer.", |s| &s.mirror_failed),
];

/// Writes all of it.
pub fn write(sources: &Sources, text: &mut Text) {
    // Two files may have pools of one name that differ: they are counted together.
    let mut pools: BTreeMap<String, Vec<Arc<PoolHandle>>> = BTreeMap::new();
    for pool in sources.pools.pools() {
        // Those of connections have counts of their own.
        if pool.shared().sum(|s| &s.requests) + pool.shared().sum(|s| &s.mirrored) > 0 {
            pools.entry(pool.pool().name.to_string()).or_default().push(pool);
        }
    }
    let sum = |handles: &[Arc<PoolHandle>], each: &dyn Fn(&Shared) -> u64| {
        handles.iter().map(|handle| each(handle.shared())).sum::<u64>()
    };
    for (name, help, pick) in COUNTED {
        let mut family = text.family(name, Kind::Counter, help);
        for (pool, handles) in &pools {
            family.add(&[("pool", pool)], sum(handles, &|shared| shared.sum(pick)));
        }
    }
    let mut answers =
        text.family("sluice_pool_answers", Kind::Counter, "Answers of a pool that were passed on, by class.");
    for (pool, handles) in &pools {
        for (class, label) in ["1xx", "2xx", "3xx", "4xx", "5xx"].into_iter().enumerate() {
            let n = sum(handles, &|shared| shared.sum(|s| &s.answers[class]));
            answers.add(&[("pool", pool), ("class", label)], n);
        }
    }
    let mut retries = text.family("sluice_pool_retries", Kind::Counter, "Requests that were sent once more, by cause.");
    for (pool, handles) in &pools {
        for cause in RetryCause::ALL {
            let n = sum(handles, &|shared| shared.sum(|s| &s.retries[*cause as usize]));
            retries.add(&[("pool", pool), ("cause", cause.label())], n);
        }
    }
    let mut unmirrored = text.family(
        "sluice_pool_unmirrored",
        Kind::Counter,
        "Copies that were not sent: a longer body than is copied, or too many at once.",
    );
    for (pool, handles) in &pools {
        unmirrored.add(&[("pool", pool)], sum(handles, &|shared| shared.sum(|s| &s.unmirrored)));
    }
    let mut waiting = text.family("sluice_pool_waiting", Kind::Gauge, "Requests that wait for room now.");
    for (pool, handles) in &pools {
        waiting.add(&[("pool", pool)], sum(handles, &|shared| u64::from(shared.limit().waiting())));
    }
    let mut under_way = text.family("sluice_pool_limit_requests", Kind::Gauge, "Requests that count by the limit now.");
    for (pool, handles) in &pools {
        let n: u64 = handles.iter().map(|handle| handle.shared().limit().requests(&handle.pool().limit)).sum();
        under_way.add(&[("pool", pool)], n);
    }
    let mut open =
        text.family("sluice_pool_limit_connections", Kind::Gauge, "Connections that count by the limit now.");
    for (pool, handles) in &pools {
        let n: u64 = handles.iter().map(|handle| handle.shared().limit().connections(&handle.pool().limit)).sum();
        open.add(&[("pool", pool)], n);
    }
}
