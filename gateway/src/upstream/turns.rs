//! Whose turn it is: smooth weighted round-robin, per worker.

use super::PoolHandle;

/// After a failure an endpoint is asked last for so long, so that not every request finds out.
const REST_MS: u64 = 1_000;

/// What a worker knows of a pool.
#[derive(Debug, Default)]
pub(super) struct Turns {
    /// How much each endpoint is owed, in the pool's order.
    owed: Vec<i64>,
    /// Until when each endpoint rests.
    rests: Vec<u64>,
}

/// Endpoints that a request has been refused by. A pool with more than 64 tries the first 64 of
/// them at most.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tried(u64);

impl Tried {
    /// Adds one.
    pub fn add(&mut self, index: usize) {
        self.0 |= 1_u64.checked_shl(index as u32).unwrap_or(0);
    }

    fn has(self, index: usize) -> bool {
        // Beyond what can be noted, an endpoint counts as tried once anything was.
        1_u64.checked_shl(index as u32).map_or(self.0 != 0, |bit| self.0 & bit != 0)
    }
}

impl Turns {
    /// Who is next, among those that were not tried.
    pub(super) fn next(&mut self, pool: &PoolHandle, tried: Tried, now: u64) -> Option<usize> {
        let endpoints = &pool.pool().endpoints;
        if let [_] = endpoints[..] {
            return (!tried.has(0)).then_some(0);
        }
        self.owed.resize(endpoints.len(), 0);
        self.rests.resize(endpoints.len(), 0);
        // Endpoints that rest have their turn when nobody else is left.
        let any_rested = (0..endpoints.len()).any(|i| !tried.has(i) && self.rests[i] <= now);
        let mut best: Option<usize> = None;
        let mut total = 0;
        for (i, endpoint) in endpoints.iter().enumerate() {
            if tried.has(i) || (any_rested && self.rests[i] > now) {
                continue;
            }
            let weight = i64::from(endpoint.weight);
            total += weight;
            self.owed[i] += weight;
            if best.is_none_or(|b| self.owed[i] > self.owed[b]) {
                best = Some(i);
            }
        }
        if let Some(best) = best {
            self.owed[best] -= total;
        }
        best
    }

    /// An endpoint could not be reached.
    pub(super) fn failed(&mut self, index: usize, now: u64) {
        if let Some(rest) = self.rests.get_mut(index) {
            *rest = now + REST_MS;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upstream::Pools;
    use dsl::syntax::span::Loc;
    use dsl::tree::ir;
    use std::sync::Arc;

    fn pool(weights: &[u32]) -> Arc<PoolHandle> {
        let endpoint = |(i, weight): (usize, &u32)| ir::Endpoint {
            host: "127.0.0.1".into(),
            port: 1000 + i as u16,
            weight: *weight,
            backup: false,
            loc: Loc::default(),
        };
        Pools::new().intern(&Arc::new(ir::Pool::new(
            "p".into(),
            weights.iter().enumerate().map(endpoint).collect(),
            Loc::default(),
        )))
    }

    #[test]
    fn weights_hold_and_are_spread() {
        let pool = pool(&[5, 1, 1]);
        let mut turns = Turns::default();
        let order: Vec<_> = (0..7).filter_map(|_| turns.next(&pool, Tried::default(), 0)).collect();
        assert_eq!(order, [0, 0, 1, 0, 2, 0, 0]);
    }

    #[test]
    fn each_endpoint_is_tried_once() {
        let pool = pool(&[1, 1, 1]);
        let (mut turns, mut tried, mut seen) = (Turns::default(), Tried::default(), Vec::new());
        while let Some(i) = turns.next(&pool, tried, 0) {
            tried.add(i);
            seen.push(i);
        }
        assert_eq!(seen, [0, 1, 2]);
    }

    #[test]
    fn a_failed_endpoint_rests_unless_it_is_the_last() {
        let pool = pool(&[1, 1]);
        let mut turns = Turns::default();
        turns.next(&pool, Tried::default(), 0);
        turns.failed(0, 0);
        let order: Vec<_> = (0..3).filter_map(|_| turns.next(&pool, Tried::default(), 10)).collect();
        assert_eq!(order, [1, 1, 1]);
        let mut tried = Tried::default();
        tried.add(1);
        assert_eq!(turns.next(&pool, tried, 10), Some(0));
        assert!((0..2).any(|_| turns.next(&pool, Tried::default(), REST_MS) == Some(0)));
    }
}
