//! The threads that hash passwords: few, with a queue that is bounded, off the data threads and behind them.
//!
//! Whoever waits for the same password of the same user waits for one hash. What nobody waits for any more is not
//! hashed.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use tokio::sync::oneshot::{self, Receiver, Sender};

/// Passwords that may wait to be hashed.
pub(super) const QUEUE: usize = 64;
/// How much less of a processor a thread that hashes gets than the data threads, where they need it.
const NICENESS: i32 = 10;

/// What tells one question from others.
pub(super) type Key = [u8; 32];

type Work = Box<dyn FnOnce() -> bool + Send>;

/// Where passwords are hashed.
pub(super) struct Desk {
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    ready: Condvar,
    /// Threads that there may be.
    threads: usize,
}

#[derive(Default)]
struct State {
    queue: VecDeque<(Key, Work)>,
    /// Who waits for what is in the queue or under way.
    waiting: HashMap<Key, Vec<Sender<bool>>>,
    /// Threads that there are, and those of them that have nothing to do.
    threads: usize,
    idle: usize,
    closed: bool,
}

impl Desk {
    /// Of so many threads; each is started when there is work for it.
    pub(super) fn new(threads: usize) -> Self {
        let shared = Shared { state: Mutex::default(), ready: Condvar::new(), threads: threads.max(1) };
        Self { shared: Arc::new(shared) }
    }

    /// Waits for what is in the queue or under way; `None`: it is not.
    pub(super) fn joins(&self, key: &Key) -> Option<Receiver<bool>> {
        let mut state = self.shared.state();
        let waiting = state.waiting.get_mut(key)?;
        let (sender, receiver) = oneshot::channel();
        waiting.push(sender);
        Some(receiver)
    }

    /// Has a password hashed, or joins in where that is under way; `None`: as many wait as may.
    pub(super) fn bring(&self, key: Key, work: impl FnOnce() -> bool + Send + 'static) -> Option<Receiver<bool>> {
        let (sender, receiver) = oneshot::channel();
        let mut state = self.shared.state();
        if let Entry::Occupied(mut waiting) = state.waiting.entry(key) {
            waiting.get_mut().push(sender);
            return Some(receiver);
        }
        if state.queue.len() >= QUEUE {
            state.forget();
        }
        if state.queue.len() >= QUEUE || !self.shared.has_thread(&mut state) {
            return None;
        }
        state.waiting.insert(key, vec![sender]);
        state.queue.push_back((key, Box::new(work)));
        self.shared.ready.notify_one();
        Some(receiver)
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        self.shared.state().closed = true;
        self.shared.ready.notify_all();
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a thread will see to what is in the queue; starts one where there may be more.
    fn has_thread(self: &Arc<Self>, state: &mut State) -> bool {
        if state.idle <= state.queue.len() && state.threads < self.threads {
            let shared = Arc::clone(self);
            let started = std::thread::Builder::new().name("passwords".into()).spawn(move || shared.work());
            state.threads += usize::from(started.is_ok());
        }
        state.threads > 0
    }

    fn work(self: Arc<Self>) {
        // On Linux this is of the thread alone. Where it is refused the thread is one like others.
        let _ = rustix::process::setpriority_process(None, NICENESS);
        let _seat = Seat(&self);
        while let Some((key, work)) = self.next() {
            let turn = Turn { shared: &self, key };
            let holds = work();
            turn.ends(holds);
        }
    }

    /// What is to be hashed next; `None` when the desk is closed.
    fn next(&self) -> Option<(Key, Work)> {
        let mut state = self.state();
        loop {
            if state.closed {
                return None;
            }
            match state.queue.pop_front() {
                Some((key, work)) if state.is_wanted(&key) => return Some((key, work)),
                Some((key, _)) => {
                    state.waiting.remove(&key);
                }
                None => {
                    state.idle += 1;
                    state = self.ready.wait(state).unwrap_or_else(PoisonError::into_inner);
                    state.idle -= 1;
                }
            }
        }
    }
}

impl State {
    fn is_wanted(&self, key: &Key) -> bool {
        self.waiting.get(key).is_some_and(|waiting| waiting.iter().any(|sender| !sender.is_closed()))
    }

    /// Drops what nobody waits for any more.
    fn forget(&mut self) {
        let queue = std::mem::take(&mut self.queue);
        for (key, work) in queue {
            if self.is_wanted(&key) {
                self.queue.push_back((key, work));
            } else {
                self.waiting.remove(&key);
            }
        }
    }
}

/// A thread, counted while it lives. What waits when it dies finds another.
struct Seat<'s>(&'s Arc<Shared>);

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.threads -= 1;
        if !state.closed && !state.queue.is_empty() {
            self.0.has_thread(&mut state);
        }
    }
}

/// What is being hashed. Whoever waits for it learns of its end, whatever that is.
struct Turn<'s> {
    shared: &'s Shared,
    key: Key,
}

impl Turn<'_> {
    fn ends(self, holds: bool) {
        let waiting = self.shared.state().waiting.remove(&self.key);
        for sender in waiting.into_iter().flatten() {
            // Nobody minds who left.
            let _ = sender.send(holds);
        }
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        // Without an end those who wait see that none will come.
        self.shared.state().waiting.remove(&self.key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Barrier;
    use std::sync::atomic::{AtomicUsize, Ordering};

    fn key(number: usize) -> Key {
        let mut key = Key::default();
        key[..8].copy_from_slice(&number.to_be_bytes());
        key
    }

    /// A desk whose one thread is busy until the barrier is met.
    fn busy() -> (Desk, Arc<Barrier>, Receiver<bool>) {
        let (desk, barrier) = (Desk::new(1), Arc::new(Barrier::new(2)));
        let (begins, ends) = (Arc::new(Barrier::new(2)), Arc::clone(&barrier));
        let begun = Arc::clone(&begins);
        let work = move || {
            begun.wait();
            ends.wait();
            true
        };
        let first = desk.bring(key(usize::MAX), work).expect("room");
        begins.wait();
        (desk, barrier, first)
    }

    #[tokio::test]
    async fn the_same_question_is_worked_out_once() {
        let (desk, barrier, first) = busy();
        let second = desk.joins(&key(usize::MAX)).expect("it is under way");
        let third = desk.bring(key(usize::MAX), || unreachable!("it is under way")).expect("room");
        assert!(desk.joins(&key(1)).is_none());
        barrier.wait();
        assert_eq!((first.await, second.await, third.await), (Ok(true), Ok(true), Ok(true)));
    }

    #[tokio::test]
    async fn a_full_queue_takes_no_more_and_who_left_makes_room() {
        let (desk, barrier, _first) = busy();
        let waiting: Vec<_> = (0..QUEUE).map(|n| desk.bring(key(n), || true).expect("room")).collect();
        assert!(desk.bring(key(QUEUE), || true).is_none());
        assert!(desk.joins(&key(3)).is_some(), "who asks the same needs no room");
        drop(waiting);
        let ran = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&ran);
        let last = desk.bring(key(QUEUE), move || counted.fetch_add(1, Ordering::SeqCst) == 0).expect("room again");
        barrier.wait();
        assert_eq!(last.await, Ok(true));
        assert_eq!(ran.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn what_nobody_waits_for_is_not_worked_out() {
        let (desk, barrier, first) = busy();
        drop(desk.bring(key(1), || unreachable!("nobody waits for it")).expect("room"));
        let last = desk.bring(key(2), || false).expect("room");
        barrier.wait();
        assert_eq!((first.await, last.await), (Ok(true), Ok(false)));
    }

    #[tokio::test]
    async fn a_thread_that_dies_leaves_nobody_waiting() {
        let desk = Desk::new(1);
        let hook = std::panic::take_hook();
        std::panic::set_hook(Box::new(|_| {}));
        let died = desk.bring(key(1), || panic!("out of memory")).expect("room").await;
        std::panic::set_hook(hook);
        assert!(died.is_err());
        // Another takes its seat.
        let mut next = desk.bring(key(1), || true);
        while next.is_none() {
            tokio::task::yield_now().await;
            next = desk.bring(key(1), || true);
        }
        assert_eq!(next.expect("room").await, Ok(true));
    }
}
