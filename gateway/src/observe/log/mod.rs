//! The connection log: a line of JSON for each connection and flow.
//!
//! INVARIANT: no worker and no reload waits for it. Records go to a thread of their own through a
//! bounded queue. What finds no room, or cannot be written, is counted, and told now and then.

mod failed;
mod line;
mod refused;
mod target;
mod websocket;

use crate::console::Console;
use crate::l4::Record;
use crate::sites::tree::is_route_name;
use dsl::tree::ir::LogTo;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use target::Target;

pub use failed::Failed;
pub use refused::Refused;
pub use websocket::WebSocket;

/// Records that may wait to be written: a few megabytes.
const QUEUE: usize = 16 * 1024;
/// Bytes that are written together.
const TOGETHER: usize = 64 * 1024;
/// Between two writes. Whoever sends to a thread that waits must wake it, which costs a worker more than
/// the line does: so lines wait for others.
const GATHER: Duration = Duration::from_millis(10);
/// Orders are looked at so often, in any case.
const LOOK: Duration = Duration::from_secs(1);
/// Losses are told no more often.
const TELL: Duration = Duration::from_secs(60);

/// Where the data plane puts records. Never waits: what finds no room is counted and dropped. The
/// default one leads nowhere.
#[derive(Clone, Default)]
pub struct LogSender(Option<Arc<Ends>>);

struct Ends {
    queue: SyncSender<Message>,
    shared: Arc<Shared>,
}

enum Message {
    Record(Box<Record>),
    Failed(Box<Failed>),
    Refused(Box<Refused>),
    WebSocket(Box<WebSocket>),
    /// There are orders.
    Wake,
}

#[derive(Default)]
struct Shared {
    on: AtomicBool,
    orders: Mutex<Orders>,
    written: AtomicU64,
    dropped: AtomicU64,
}

#[derive(Default)]
struct Orders {
    to: Option<To>,
    reopen: bool,
    end: Option<SyncSender<()>>,
}

/// Where lines are to go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum To {
    /// Nowhere.
    Off,
    /// The process's standard output.
    Stdout,
    /// A file, appended to.
    File(PathBuf),
}

impl To {
    /// What `log …` in a `gateway.route` of this directory asks for.
    #[must_use]
    pub fn of(log: &LogTo, sites: &Path) -> Self {
        match log {
            LogTo::Stdout => Self::Stdout,
            LogTo::Off => Self::Off,
            LogTo::File(path) => Self::File(sites.join(&**path)),
        }
    }

    /// What is wrong with it: a log among the route files would be read as one.
    #[must_use]
    pub fn trouble(&self) -> Option<String> {
        let Self::File(path) = self else { return None };
        let route = path.file_name().is_some_and(is_route_name);
        let path = path.display();
        route.then(|| {
            format!(
                "`log \"{path}\"` of gateway.route: a name that ends in .route is a route file's; nothing is logged"
            )
        })
    }
}

impl fmt::Debug for LogSender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogSender").finish_non_exhaustive()
    }
}

impl LogSender {
    /// Starts the thread that writes.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn start(to: To, console: &Console) -> io::Result<Self> {
        let (queue, messages) = sync_channel(QUEUE);
        let shared = Arc::new(Shared::default());
        let writer = Writer {
            messages,
            shared: Arc::clone(&shared),
            console: console.clone(),
            target: target(to.clone()),
            lines: String::new(),
            waiting: 0,
            trouble: None,
            told: None,
            told_dropped: 0,
        };
        std::thread::Builder::new().name("log".into()).spawn(move || writer.run())?;
        shared.on.store(to != To::Off, Ordering::Relaxed);
        Ok(Self(Some(Arc::new(Ends { queue, shared }))))
    }

    /// Hands a record over.
    pub fn send(&self, record: Record) {
        self.put(|| Message::Record(Box::new(record)));
    }

    /// Hands over what is to be said of a request that failed.
    pub fn failed(&self, failed: Failed) {
        if !failed.about.quiet {
            self.put(|| Message::Failed(Box::new(failed)));
        }
    }

    /// Whether lines go anywhere.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.0.as_ref().is_some_and(|ends| ends.shared.on.load(Ordering::Relaxed))
    }

    /// Hands over what is to be said of a request that was refused.
    pub fn refused(&self, refused: Refused) {
        if !refused.about.quiet {
            self.put(|| Message::Refused(Box::new(refused)));
        }
    }

    /// Hands over what is to be said of a WebSocket that has ended.
    pub fn websocket(&self, ended: WebSocket) {
        if !ended.about.quiet {
            self.put(|| Message::WebSocket(Box::new(ended)));
        }
    }

    fn put(&self, message: impl FnOnce() -> Message) {
        let Some(ends) = &self.0 else { return };
        if ends.shared.on.load(Ordering::Relaxed) && ends.queue.try_send(message()).is_err() {
            ends.shared.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Says where lines go from now on.
    pub fn set(&self, to: To) {
        let Some(ends) = &self.0 else { return };
        ends.shared.on.store(to != To::Off, Ordering::Relaxed);
        self.order(|orders| orders.to = Some(to));
    }

    /// Opens the file that has the log's name now: whoever rotates logs moved the old one away.
    pub fn reopen(&self) {
        self.order(|orders| orders.reopen = true);
    }

    /// Writes what was handed over, and ends the thread. Waits, but not for long.
    pub fn end(&self) {
        let (done, wait) = sync_channel(1);
        self.order(|orders| orders.end = Some(done));
        let _ = wait.recv_timeout(2 * LOOK);
    }

    /// Lines that were written.
    #[must_use]
    pub fn written(&self) -> u64 {
        self.0.as_ref().map_or(0, |ends| ends.shared.written.load(Ordering::Relaxed))
    }

    /// Records that were not written: no room, a full disk, a reader that is gone.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.0.as_ref().map_or(0, |ends| ends.shared.dropped.load(Ordering::Relaxed))
    }

    fn order(&self, change: impl FnOnce(&mut Orders)) {
        let Some(ends) = &self.0 else { return };
        change(&mut ends.shared.orders.lock().unwrap_or_else(PoisonError::into_inner));
        // A queue that is full is being worked at: orders are looked at after each full buffer.
        let _ = ends.queue.try_send(Message::Wake);
    }
}

struct Writer {
    messages: Receiver<Message>,
    shared: Arc<Shared>,
    console: Console,
    target: Target,
    /// What is to be written…
    lines: String,
    /// …and how many lines that is.
    waiting: u64,
    /// What is wrong with the target, once it was told.
    trouble: Option<String>,
    /// When losses were last told…
    told: Option<Instant>,
    /// …and how many there had been.
    told_dropped: u64,
}

impl Writer {
    fn run(mut self) {
        self.open();
        loop {
            let message = self.messages.recv_timeout(LOOK);
            let mut ended = matches!(message, Err(RecvTimeoutError::Disconnected));
            let mut look = message.is_err();
            let mut next = message.ok();
            while let Some(message) = next {
                match message {
                    Message::Wake => look = true,
                    line => self.add(&line),
                }
                look |= self.lines.len() >= TOGETHER;
                // What came before an order goes where the log went then.
                next = if look { None } else { self.messages.try_recv().ok() };
            }
            let gather = !look && !self.lines.is_empty();
            self.flush();
            ended |= look && self.obey();
            self.tell();
            if ended {
                return;
            }
            if gather {
                std::thread::sleep(GATHER);
            }
        }
    }

    fn add(&mut self, message: &Message) {
        match message {
            Message::Record(record) => line::write(&mut self.lines, record),
            Message::Failed(failed) => failed.write(&mut self.lines),
            Message::Refused(refused) => refused.write(&mut self.lines),
            Message::WebSocket(ended) => ended.write(&mut self.lines),
            Message::Wake => return,
        }
        self.waiting += 1;
    }

    fn flush(&mut self) {
        if self.lines.is_empty() {
            return;
        }
        match self.target.write(self.lines.as_bytes()) {
            Ok(()) => {
                self.shared.written.fetch_add(self.waiting, Ordering::Relaxed);
                if self.trouble.take().is_some() {
                    self.console.note(format!("the connection log can be written again: {}", self.target.name()));
                }
            }
            Err(e) => {
                self.shared.dropped.fetch_add(self.waiting, Ordering::Relaxed);
                if let Some(e) = e {
                    self.tell_trouble(&e);
                }
            }
        }
        self.lines.clear();
        self.waiting = 0;
    }

    fn open(&mut self) {
        if let Err(e) = self.target.open() {
            self.tell_trouble(&e);
        }
    }

    fn tell_trouble(&mut self, e: &io::Error) {
        let why = e.to_string();
        if self.trouble.as_ref() != Some(&why) {
            let name = self.target.name();
            self.console
                .error(format!("cannot write the connection log to {name}: {why}; serving goes on, lines are dropped"));
            self.trouble = Some(why);
        }
    }

    /// Does what it is told; whether that is to end.
    fn obey(&mut self) -> bool {
        let orders = std::mem::take(&mut *self.shared.orders.lock().unwrap_or_else(PoisonError::into_inner));
        if let Some(to) = orders.to {
            self.trouble = None;
            self.target = target(to);
            self.open();
        }
        if orders.reopen {
            self.target.reopen();
            self.open();
        }
        let Some(done) = orders.end else { return false };
        while let Ok(message) = self.messages.try_recv() {
            self.add(&message);
            if self.lines.len() >= TOGETHER {
                self.flush();
            }
        }
        self.flush();
        let _ = done.send(());
        true
    }

    fn tell(&mut self) {
        let dropped = self.shared.dropped.load(Ordering::Relaxed);
        if dropped == self.told_dropped || self.told.is_some_and(|at| at.elapsed() < TELL) {
            return;
        }
        let new = dropped - self.told_dropped;
        let lines = if new == 1 { "1 line".to_owned() } else { format!("{new} lines") };
        self.console
            .warn(format!("{lines} of the connection log were dropped: {} does not keep up", self.target.name()));
        self.told = Some(Instant::now());
        self.told_dropped = dropped;
    }
}

fn target(to: To) -> Target {
    match to {
        To::Off => Target::Off,
        To::Stdout => Target::stdout(),
        To::File(path) => Target::file(path),
    }
}

#[cfg(test)]
mod tests;
