//! `limit` of a pool: how many requests and connections there may be at once, and how many requests wait.
//!
//! INVARIANT: the figures hold over all workers. Each is one semaphore of the pool, which all of them take
//! from; who waits is served in the order of arrival, whichever worker it is on and whoever makes room. A
//! pool without a limit has none of this, and pays nothing.

use dsl::tree::ir::PoolLimit;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, TryAcquireError};
use tokio::time::timeout;

/// What a pool's `limit` is held against.
#[derive(Debug)]
pub struct Limit {
    requests: Option<Arc<Semaphore>>,
    connections: Option<Arc<Semaphore>>,
    /// How many requests may wait …
    queue: u32,
    /// … and for how long.
    patience: Duration,
    waiting: AtomicU32,
}

/// A request that counts against a pool's limit until this is dropped.
#[derive(Debug)]
pub struct RequestPermit(#[expect(dead_code, reason = "held, and given back when it is dropped")] OwnedSemaphorePermit);

/// A connection that counts against a pool's limit until this is dropped.
#[derive(Debug)]
pub struct ConnectionPermit(
    #[expect(dead_code, reason = "held, and given back when it is dropped")] OwnedSemaphorePermit,
);

/// There is no room, and none in the queue, or not in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Full {
    /// As many wait as may.
    Queue,
    /// It waited for so long, milliseconds.
    Waited(u64),
}

impl fmt::Display for Full {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Queue => f.write_str("the pool is full, and so is its queue"),
            Self::Waited(ms) => write!(f, "the pool is full; it waited for {ms} ms"),
        }
    }
}

impl Limit {
    pub(super) fn new(said: PoolLimit) -> Self {
        let semaphore = |n: Option<u32>| n.map(|n| Arc::new(Semaphore::new(n as usize)));
        let (queue, ms) = said.queue.unwrap_or((0, 0));
        Self {
            requests: semaphore(said.requests),
            connections: semaphore(said.connections),
            queue,
            patience: Duration::from_millis(ms),
            waiting: AtomicU32::new(0),
        }
    }

    /// Whether requests are counted.
    #[inline]
    #[must_use]
    pub fn counts_requests(&self) -> bool {
        self.requests.is_some()
    }

    /// Whether connections are counted.
    #[inline]
    #[must_use]
    pub fn counts_connections(&self) -> bool {
        self.connections.is_some()
    }

    /// Whether there is no room for another connection now.
    #[must_use]
    pub fn is_out_of_connections(&self) -> bool {
        self.connections.as_ref().is_some_and(|connections| connections.available_permits() == 0)
    }

    /// Requests that wait now, over all workers.
    #[must_use]
    pub fn waiting(&self) -> u32 {
        self.waiting.load(Ordering::Relaxed)
    }

    /// Requests under way now, over all workers; 0 where they are not counted.
    #[must_use]
    pub fn requests(&self, said: &PoolLimit) -> u64 {
        taken(self.requests.as_ref(), said.requests)
    }

    /// Connections that are open now, over all workers; 0 where they are not counted.
    #[must_use]
    pub fn connections(&self, said: &PoolLimit) -> u64 {
        taken(self.connections.as_ref(), said.connections)
    }

    /// Room for a request at once, where there is any; nothing is counted without a limit.
    ///
    /// # Errors
    /// There is none now.
    pub fn try_request(&self) -> Result<Option<RequestPermit>, TryAcquireError> {
        let Some(requests) = &self.requests else { return Ok(None) };
        Arc::clone(requests).try_acquire_owned().map(|permit| Some(RequestPermit(permit)))
    }

    /// Room for a request, waited for in the queue, for no longer than so many milliseconds.
    ///
    /// # Errors
    /// There is none.
    pub async fn request(&self, at_most_ms: u64) -> Result<Option<RequestPermit>, Full> {
        let Some(requests) = &self.requests else { return Ok(None) };
        self.wait(requests, at_most_ms).await.map(|permit| Some(RequestPermit(permit)))
    }

    /// Room for a connection at once, where there is any; nothing is counted without a limit.
    ///
    /// # Errors
    /// There is none now.
    pub fn try_connection(&self) -> Result<Option<ConnectionPermit>, TryAcquireError> {
        let Some(connections) = &self.connections else { return Ok(None) };
        Arc::clone(connections).try_acquire_owned().map(|permit| Some(ConnectionPermit(permit)))
    }

    /// Room for a connection, waited for in the queue, for no longer than so many milliseconds.
    ///
    /// # Errors
    /// There is none.
    pub async fn connection(&self, at_most_ms: u64) -> Result<Option<ConnectionPermit>, Full> {
        let Some(connections) = &self.connections else { return Ok(None) };
        self.wait(connections, at_most_ms).await.map(|permit| Some(ConnectionPermit(permit)))
    }

    async fn wait(&self, room: &Arc<Semaphore>, at_most_ms: u64) -> Result<OwnedSemaphorePermit, Full> {
        let place = Place::of(self).ok_or(Full::Queue)?;
        let patience = self.patience.min(Duration::from_millis(at_most_ms));
        let permit = timeout(patience, Arc::clone(room).acquire_owned()).await;
        drop(place);
        match permit {
            Ok(Ok(permit)) => Ok(permit),
            // Nobody closes it.
            Ok(Err(_)) => Err(Full::Queue),
            // No pool waits for longer than u64 milliseconds.
            Err(_) => Err(Full::Waited(patience.as_millis() as u64)),
        }
    }
}

fn taken(room: Option<&Arc<Semaphore>>, most: Option<u32>) -> u64 {
    room.zip(most).map_or(0, |(room, most)| u64::from(most).saturating_sub(room.available_permits() as u64))
}

/// A place in the queue.
struct Place<'l>(&'l Limit);

impl<'l> Place<'l> {
    fn of(limit: &'l Limit) -> Option<Self> {
        let more = |n| (n < limit.queue).then_some(n + 1);
        limit.waiting.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).ok()?;
        Some(Self(limit))
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::pin::{Pin, pin};
    use std::task::{Context, Poll, Waker};

    fn limit(requests: u32, queue: Option<(u32, u64)>) -> Limit {
        Limit::new(PoolLimit { connections: None, requests: Some(requests), queue })
    }

    #[test]
    fn without_a_limit_nothing_is_counted() {
        let none = Limit::new(PoolLimit::default());
        assert!(!none.counts_requests() && matches!(none.try_request(), Ok(None)));
    }

    #[tokio::test(start_paused = true)]
    async fn who_came_first_is_served_first_and_the_queue_is_bounded() {
        let limit = limit(1, Some((2, 1_000)));
        let first = limit.try_request().expect("room");
        assert!(limit.try_request().is_err());
        let mut second = pin!(limit.request(u64::MAX));
        let mut third = pin!(limit.request(u64::MAX));
        assert!(now(second.as_mut()).is_none() && now(third.as_mut()).is_none());
        assert_eq!(limit.waiting(), 2);
        assert_eq!(limit.request(u64::MAX).await.unwrap_err(), Full::Queue);
        drop(first);
        assert!(now(third.as_mut()).is_none(), "it came later");
        let second = now(second.as_mut()).expect("its turn").expect("room");
        assert_eq!(limit.waiting(), 1);
        drop(second);
        assert!(now(third.as_mut()).is_some());
        assert_eq!(limit.waiting(), 0);
    }

    fn now<F: Future>(waiting: Pin<&mut F>) -> Option<F::Output> {
        match waiting.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(done) => Some(done),
            Poll::Pending => None,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_for_longer_than_said() {
        let limit = limit(1, Some((5, 300)));
        let _first = limit.try_request().expect("room");
        assert_eq!(limit.request(u64::MAX).await.unwrap_err(), Full::Waited(300));
        assert_eq!(limit.request(100).await.unwrap_err(), Full::Waited(100));
        assert_eq!(limit.waiting(), 0);
    }

    #[test]
    fn workers_do_not_multiply_a_limit() {
        let limit = limit(3, Some((100, 10_000)));
        let (now, most) = (AtomicU32::new(0), AtomicU32::new(0));
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
                    runtime.expect("a runtime").block_on(async {
                        for _ in 0..500 {
                            let permit = match limit.try_request() {
                                Ok(permit) => permit,
                                Err(_) => limit.request(u64::MAX).await.expect("room in time"),
                            };
                            most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                            tokio::task::yield_now().await;
                            now.fetch_sub(1, Ordering::SeqCst);
                            drop(permit);
                        }
                    });
                });
            }
        });
        assert!(most.load(Ordering::SeqCst) <= 3);
    }
}
