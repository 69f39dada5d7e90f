//! Notices a worker that stopped turning: the kernel goes on giving it its share of connections.

use super::notice::{Notice, NoticeSender};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;
use tokio::sync::Notify;

/// How often workers are asked.
const EVERY: Duration = Duration::from_secs(1);
/// Unanswered questions after which a worker counts as stuck.
const PATIENCE: u64 = 5;

/// A worker's answer to "do you turn?".
#[derive(Debug, Default)]
pub struct Beat {
    asked: AtomicU64,
    answered: AtomicU64,
    ended: AtomicBool,
    wake: Notify,
}

impl Beat {
    /// Answers for as long as the worker turns.
    pub async fn answer(&self) {
        loop {
            self.wake.notified().await;
            self.answered.store(self.asked.load(Ordering::Relaxed), Ordering::Relaxed);
        }
    }

    /// The worker ends as it was told to.
    pub fn end(&self) {
        self.ended.store(true, Ordering::Relaxed);
    }

    fn ask(&self) -> u64 {
        let unanswered = self.asked.load(Ordering::Relaxed) - self.answered.load(Ordering::Relaxed);
        self.asked.fetch_add(1, Ordering::Relaxed);
        self.wake.notify_one();
        unanswered
    }
}

/// The thread that asks.
#[derive(Debug)]
pub struct Watchdog {
    thread: JoinHandle<()>,
    stop: Arc<AtomicBool>,
}

impl Watchdog {
    /// Starts it.
    ///
    /// # Errors
    /// When the thread cannot be made.
    pub fn start(beats: Vec<Arc<Beat>>, notices: NoticeSender) -> io::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = thread::Builder::new().name("sluice-watchdog".into()).spawn(move || {
            let mut watches: Vec<_> = beats.into_iter().map(|beat| Watch { beat, stuck: false }).collect();
            while !stopped.load(Ordering::Relaxed) {
                for (worker, watch) in watches.iter_mut().enumerate() {
                    if let Some(notice) = watch.look(worker) {
                        notices.send(notice);
                    }
                }
                thread::park_timeout(EVERY);
            }
        })?;
        Ok(Self { thread, stop })
    }

    /// Ends the thread.
    pub fn stop(self) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.thread().unpark();
        // It cannot have panicked with anything worth telling: it only counts.
        let _ = self.thread.join();
    }
}

struct Watch {
    beat: Arc<Beat>,
    stuck: bool,
}

impl Watch {
    fn look(&mut self, worker: usize) -> Option<Notice> {
        if self.beat.ended.load(Ordering::Relaxed) {
            return None;
        }
        let unanswered = self.beat.ask();
        let stuck = unanswered >= PATIENCE;
        let before = std::mem::replace(&mut self.stuck, stuck);
        match (before, stuck) {
            (false, true) => Some(Notice::WorkerStuck { worker, seconds: unanswered * EVERY.as_secs() }),
            (true, false) => Some(Notice::WorkerTurnsAgain { worker }),
            (false, false) | (true, true) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_that_does_not_answer_is_told_once() {
        let beat = Arc::new(Beat::default());
        let mut watch = Watch { beat: Arc::clone(&beat), stuck: false };
        let told: Vec<_> = (0..20).filter_map(|_| watch.look(3)).collect();
        assert_eq!(told, [Notice::WorkerStuck { worker: 3, seconds: PATIENCE }]);
        beat.answered.store(beat.asked.load(Ordering::Relaxed), Ordering::Relaxed);
        assert_eq!(watch.look(3), Some(Notice::WorkerTurnsAgain { worker: 3 }));
        beat.end();
        assert!((0..20).all(|_| watch.look(3).is_none()));
    }
}
