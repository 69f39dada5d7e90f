//! A worker's side of the listening sockets: a task for each, by what is published.

use super::closing::{Close, Closing, closing};
use super::listeners::{Live, Set, Sets, Socket};
use super::sockets::{Bound, Service};
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::sync::Arc;
use tokio::task::JoinHandle;

/// The tasks that serve a thread's sockets.
#[derive(Debug, Default)]
pub struct Table {
    tasks: RefCell<HashMap<u64, Task>>,
    closed: Cell<bool>,
}

#[derive(Debug)]
struct Task {
    close: Close,
    running: JoinHandle<()>,
}

/// A socket to be served.
#[derive(Debug)]
pub struct Begin {
    /// What is to be served on it, and where it is.
    pub socket: Arc<Socket>,
    /// It.
    pub bound: Bound,
    /// To be held while it is served.
    pub live: Arc<Live>,
    /// Tells when it is to be closed.
    pub closing: Closing,
}

impl Table {
    /// Serves what is published, for as long as somebody publishes. `mine` says what this thread
    /// serves, `begin` starts a task that does.
    pub async fn follow(
        &self,
        mut sets: Sets,
        number: usize,
        mine: impl Fn(Service) -> bool,
        mut begin: impl FnMut(Begin) -> JoinHandle<()>,
    ) {
        loop {
            let set = Arc::clone(&sets.borrow_and_update());
            self.apply(&set, number, &mine, &mut begin);
            drop(set);
            if sets.changed().await.is_err() || self.closed.get() {
                return;
            }
        }
    }

    /// Tells every task that its socket is to be closed.
    pub fn close(&self) {
        self.closed.set(true);
        for task in self.tasks.borrow().values() {
            task.close.set(true);
        }
    }

    fn apply(
        &self,
        set: &Set,
        number: usize,
        mine: impl Fn(Service) -> bool,
        begin: &mut impl FnMut(Begin) -> JoinHandle<()>,
    ) {
        let mut tasks = self.tasks.borrow_mut();
        let mut before = std::mem::take(&mut *tasks);
        for (socket, wanted) in set.iter().filter(|(socket, _)| mine(socket.service)) {
            let running = before.remove(&socket.id).filter(|task| !task.running.is_finished());
            match (running, wanted) {
                (Some(task), _) => {
                    task.close.set(!wanted);
                    if *wanted {
                        // It goes on with the socket that it has.
                        drop(socket.take(number));
                    }
                    tasks.insert(socket.id, task);
                }
                (None, true) => {
                    let Some((bound, live)) = socket.take(number) else { continue };
                    let (close, closing) = closing();
                    let running = begin(Begin { socket: Arc::clone(socket), bound, live, closing });
                    tasks.insert(socket.id, Task { close, running });
                }
                (None, false) => {}
            }
        }
        // Dropping what tells them tells them.
        drop(before);
    }
}
