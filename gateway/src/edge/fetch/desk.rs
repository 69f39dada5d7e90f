//! The thread that asks.

use std::fmt;
use std::io;
use std::sync::{Mutex, PoisonError};
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinHandle;

/// Names that the system's resolver is asked about at one time: it blocks.
const BLOCKING: usize = 8;

/// Runs what asks, off the data threads. Its thread is made when it is needed first.
#[derive(Default)]
pub struct Desk {
    runtime: Mutex<Option<Runtime>>,
}

impl Desk {
    /// Runs a task until it is done, or until it is aborted.
    ///
    /// # Errors
    /// When the thread cannot be made.
    pub fn spawn<F>(&self, task: F) -> io::Result<JoinHandle<F::Output>>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let mut runtime = self.runtime.lock().unwrap_or_else(PoisonError::into_inner);
        let running = match runtime.take() {
            Some(running) => running,
            None => Builder::new_multi_thread()
                .worker_threads(1)
                .max_blocking_threads(BLOCKING)
                .thread_name("fetch")
                .enable_all()
                .build()?,
        };
        Ok(runtime.insert(running).spawn(task))
    }
}

impl fmt::Debug for Desk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Desk").finish_non_exhaustive()
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        let runtime = self.runtime.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(runtime) = runtime {
            // Whoever drops it may stand in a runtime, which must not wait.
            runtime.shutdown_background();
        }
    }
}
