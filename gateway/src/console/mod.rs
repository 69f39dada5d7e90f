//! What a running gateway says to its operator: whole lines, on standard error.
//!
//! INVARIANT: nobody waits for the terminal. Lines go to a thread of their own through a bounded
//! queue; when whoever reads them is slower than they come, some are dropped and counted, and
//! neither a reload nor a request stands still.

mod style;

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::Duration;

pub use style::{Style, colours, printable};

/// Lines that may wait to be written.
const QUEUE: usize = 1024;

/// A handle on the console; clones speak to the same one.
#[derive(Clone)]
pub struct Console {
    queue: SyncSender<Message>,
    dropped: Arc<AtomicU64>,
    style: Style,
}

impl std::fmt::Debug for Console {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Console").field("style", &self.style).finish_non_exhaustive()
    }
}

enum Message {
    Text(String),
    Flush(SyncSender<()>),
}

impl Console {
    /// The process's standard error.
    pub fn stderr() -> Self {
        Self::new(Style { colours: colours(&std::io::stderr()) }, std::io::stderr())
    }

    /// A console that writes to `out`.
    pub fn new(style: Style, out: impl Write + Send + 'static) -> Self {
        let (queue, messages) = sync_channel(QUEUE);
        let dropped = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&dropped);
        // Without the thread the console is mute, which is no reason not to serve.
        let _ = std::thread::Builder::new().name("console".into()).spawn(move || write(&messages, &counted, out));
        Self { queue, dropped, style }
    }

    /// How it writes: with colours or without.
    pub fn style(&self) -> Style {
        self.style
    }

    /// Something worth knowing.
    pub fn note(&self, line: impl AsRef<str>) {
        self.send(format!("{}\n", line.as_ref()));
    }

    /// Something to look at; the gateway goes on.
    pub fn warn(&self, line: impl AsRef<str>) {
        self.send(format!("{} {}\n", self.style.yellow("warning:"), line.as_ref()));
    }

    /// Something that is wrong now.
    pub fn error(&self, line: impl AsRef<str>) {
        self.send(format!("{} {}\n", self.style.red("error:"), line.as_ref()));
    }

    /// Several lines that belong together, as they are.
    pub fn block(&self, text: &str) {
        let end = if text.ends_with('\n') { "" } else { "\n" };
        self.send(format!("{text}{end}"));
    }

    /// Waits until what was said so far is written, but not for ever.
    pub fn flush(&self) {
        let (done, wait) = sync_channel(1);
        if self.queue.send(Message::Flush(done)).is_ok() {
            let _ = wait.recv_timeout(Duration::from_secs(1));
        }
    }

    fn send(&self, text: String) {
        if let Err(TrySendError::Full(_)) = self.queue.try_send(Message::Text(text)) {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// A terminal that went away must not end the gateway, so errors of writing are nobody's.
fn write(messages: &Receiver<Message>, dropped: &AtomicU64, mut out: impl Write) {
    while let Ok(message) = messages.recv() {
        match message {
            Message::Text(text) => {
                let _ = out.write_all(text.as_bytes());
            }
            Message::Flush(done) => {
                let _ = out.flush();
                let _ = done.send(());
            }
        }
        let missing = dropped.swap(0, Ordering::Relaxed);
        if missing > 0 {
            let _ = writeln!(out, "warning: {missing} lines were dropped here, the console was not read fast enough");
        }
    }
}

#[cfg(test)]
pub(crate) mod testing {
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    /// What was written.
    #[derive(Clone, Default)]
    pub(crate) struct Sink(Arc<Mutex<Vec<u8>>>);

    impl Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    impl Sink {
        pub(crate) fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::testing::Sink;
    use super::*;
    use std::sync::Mutex;

    #[test]
    fn lines_arrive_whole_and_in_order() {
        let sink = Sink::default();
        let console = Console::new(Style { colours: false }, sink.clone());
        console.note("one");
        console.warn("two");
        console.error("three");
        console.block("four\nfive");
        console.flush();
        assert_eq!(sink.text(), "one\nwarning: two\nerror: three\nfour\nfive\n");
    }

    #[test]
    fn nobody_waits_for_a_reader_who_stopped() {
        struct Stuck(Arc<Mutex<()>>);
        impl Write for Stuck {
            fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
                let _held = self.0.lock().unwrap();
                Ok(bytes.len())
            }
            fn flush(&mut self) -> std::io::Result<()> {
                Ok(())
            }
        }
        let gate = Arc::new(Mutex::new(()));
        let held = gate.lock().unwrap();
        let console = Console::new(Style { colours: false }, Stuck(Arc::clone(&gate)));
        for n in 0..QUEUE * 2 {
            console.note(n.to_string());
        }
        assert!(console.dropped.load(Ordering::Relaxed) >= QUEUE as u64 - 2);
        drop(held);
        console.flush();
    }
}
