//! Deadlines without timers: a worker looks at all of them a few times a second.
//!
//! A request has several deadlines and nearly none of them is ever reached, so setting and lifting
//! one must cost nothing: it is a store into a vector. The price is precision, a tenth of a second,
//! which no deadline here needs. While no deadline exists nothing ticks.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::OnceLock;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};
use tokio::sync::Notify;

/// How far apart two looks are.
const TICK: Duration = Duration::from_millis(100);
const NEVER: u64 = u64::MAX;

/// Milliseconds since the process first asked.
#[must_use]
pub fn process_ms() -> u64 {
    process_us() / 1_000
}

/// Microseconds since the process first asked.
#[must_use]
pub fn process_us() -> u64 {
    static START: OnceLock<Instant> = OnceLock::new();
    // 2^64 microseconds are longer than any process lives.
    START.get_or_init(Instant::now).elapsed().as_micros() as u64
}

/// The deadlines of a worker.
#[derive(Debug, Default)]
pub struct Ticks {
    now: Cell<u64>,
    slots: RefCell<Slots>,
    live: Cell<usize>,
    needed: Notify,
}

#[derive(Debug, Default)]
struct Slots {
    deadlines: Vec<u64>,
    wakers: Vec<Option<Waker>>,
    free: Vec<u32>,
}

/// One deadline, which may be set, lifted and set again.
#[derive(Debug)]
pub struct Timer {
    ticks: Rc<Ticks>,
    slot: u32,
}

impl Ticks {
    /// No deadlines yet.
    #[must_use]
    pub fn new() -> Rc<Self> {
        let ticks = Self::default();
        ticks.now.set(process_ms());
        Rc::new(ticks)
    }

    /// Milliseconds since the process started, at most a tick old while anything is served.
    #[inline]
    pub fn now_ms(&self) -> u64 {
        self.now.get()
    }

    /// Ticks for as long as the worker lives.
    pub async fn run(&self) {
        loop {
            while self.live.get() == 0 {
                self.needed.notified().await;
            }
            tokio::time::sleep(TICK).await;
            self.tick();
        }
    }

    /// Wakes whoever waits for a deadline, reached or not: something else changed for all of them.
    pub fn wake_all(&self) {
        self.wake(|_| true);
    }

    fn tick(&self) {
        let now = process_ms();
        self.now.set(now);
        self.wake(|deadline| deadline <= now);
    }

    fn wake(&self, due: impl Fn(u64) -> bool) {
        let mut wakers = Vec::new();
        {
            let slots = &mut *self.slots.borrow_mut();
            for (deadline, waker) in slots.deadlines.iter().zip(&mut slots.wakers) {
                if due(*deadline)
                    && let Some(waker) = waker.take()
                {
                    wakers.push(waker);
                }
            }
        }
        // Waking may run foreign code, which may set deadlines.
        for waker in wakers {
            waker.wake();
        }
    }
}

impl Timer {
    /// A deadline that is not set.
    #[must_use]
    pub fn new(ticks: &Rc<Ticks>) -> Self {
        if ticks.live.get() == 0 {
            ticks.now.set(process_ms());
            ticks.needed.notify_one();
        }
        ticks.live.set(ticks.live.get() + 1);
        let slots = &mut *ticks.slots.borrow_mut();
        let slot = slots.free.pop().unwrap_or_else(|| {
            slots.deadlines.push(NEVER);
            slots.wakers.push(None);
            // A worker has far fewer deadlines than 2^32.
            (slots.deadlines.len() - 1) as u32
        });
        Self { ticks: Rc::clone(ticks), slot }
    }

    /// A deadline so many milliseconds from now.
    #[must_use]
    pub fn after(ticks: &Rc<Ticks>, ms: u64) -> Self {
        let timer = Self::new(ticks);
        timer.set(ms);
        timer
    }

    /// Sets it, so many milliseconds from now.
    #[inline]
    pub fn set(&self, ms: u64) {
        // The clock may be a tick behind: nobody gets less time than said.
        let deadline = self.ticks.now.get().saturating_add(ms).saturating_add(TICK_MS);
        self.ticks.slots.borrow_mut().deadlines[self.slot as usize] = deadline;
    }

    /// Brings it nearer: it is over in so many milliseconds, or when it would have been.
    #[inline]
    pub fn hasten(&self, ms: u64) {
        let deadline = self.ticks.now.get().saturating_add(ms).saturating_add(TICK_MS);
        let slot = &mut self.ticks.slots.borrow_mut().deadlines[self.slot as usize];
        *slot = deadline.min(*slot);
    }

    /// Lifts it.
    #[inline]
    pub fn lift(&self) {
        self.ticks.slots.borrow_mut().deadlines[self.slot as usize] = NEVER;
    }

    /// Whether it is set.
    #[inline]
    #[must_use]
    pub fn is_set(&self) -> bool {
        self.ticks.slots.borrow().deadlines[self.slot as usize] != NEVER
    }

    /// Ready when it is over; else the task is woken when it is.
    #[inline]
    pub fn poll(&self, cx: &Context<'_>) -> Poll<()> {
        let slots = &mut *self.ticks.slots.borrow_mut();
        if slots.deadlines[self.slot as usize] <= self.ticks.now.get() {
            return Poll::Ready(());
        }
        let waker = &mut slots.wakers[self.slot as usize];
        if !waker.as_ref().is_some_and(|w| w.will_wake(cx.waker())) {
            *waker = Some(cx.waker().clone());
        }
        Poll::Pending
    }

    /// Runs a future, but not longer than until then. `None` when it was not done.
    pub async fn bound<F: Future>(&self, future: F) -> Option<F::Output> {
        let mut future = std::pin::pin!(future);
        std::future::poll_fn(|cx| match future.as_mut().poll(cx) {
            Poll::Ready(done) => Poll::Ready(Some(done)),
            Poll::Pending => self.poll(cx).map(|()| None),
        })
        .await
    }

    /// The worker's deadlines.
    #[must_use]
    pub fn ticks(&self) -> &Rc<Ticks> {
        &self.ticks
    }
}

const TICK_MS: u64 = 100;

impl Drop for Timer {
    fn drop(&mut self) {
        self.ticks.live.set(self.ticks.live.get() - 1);
        let waker = {
            let slots = &mut *self.ticks.slots.borrow_mut();
            slots.deadlines[self.slot as usize] = NEVER;
            slots.free.push(self.slot);
            slots.wakers[self.slot as usize].take()
        };
        // Dropping a waker may run foreign code.
        drop(waker);
    }
}

/// Runs a future, but not longer than so many milliseconds. `None` when it was not done by then.
pub async fn within<F: Future>(ticks: &Rc<Ticks>, ms: u64, future: F) -> Option<F::Output> {
    Timer::after(ticks, ms).bound(future).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_wakes_once_it_is_over() {
        let ticks = Ticks::new();
        let timer = Timer::new(&ticks);
        let cx = Context::from_waker(Waker::noop());
        assert!(timer.poll(&cx).is_pending());
        timer.set(50);
        assert!(timer.is_set());
        assert!(timer.poll(&cx).is_pending());
        ticks.now.set(ticks.now.get() + 50 + TICK_MS);
        assert!(timer.poll(&cx).is_ready());
        timer.lift();
        assert!(timer.poll(&cx).is_pending());
    }

    #[test]
    fn slots_are_used_again() {
        let ticks = Ticks::new();
        let first = Timer::after(&ticks, 1);
        let slot = first.slot;
        drop(first);
        let second = Timer::new(&ticks);
        assert_eq!(second.slot, slot);
        assert!(!second.is_set());
        assert_eq!(ticks.live.get(), 1);
    }
}
