//! The log as a whole: files, their rotation, and what cannot be written.

use super::*;
use crate::console::Style;
use crate::l4::End;
use crate::sites::testing::TempDir;
use dsl::tree::l4::Transport;
use std::path::Path;
use std::time::SystemTime;

fn record(n: u64) -> Record {
    Record {
        route: "tcp :5432".into(),
        transport: Transport::Tcp,
        client: "192.0.2.7:40000".parse().unwrap(),
        local: "192.0.2.1:5432".parse().unwrap(),
        sni: None,
        pool: None,
        endpoint: None,
        started: SystemTime::UNIX_EPOCH,
        lasted_ms: n,
        bytes_in: 0,
        bytes_out: 0,
        datagrams_in: 0,
        datagrams_out: 0,
        tries: 0,
        end: End::Denied,
        detail: None,
    }
}

#[derive(Clone, Default)]
struct Sink(Arc<Mutex<Vec<u8>>>);

impl io::Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Sink {
    fn console(&self) -> Console {
        Console::new(Style { colours: false }, self.clone())
    }

    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

fn until(what: &str, mut look: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !look() {
        assert!(begin.elapsed() < Duration::from_secs(20), "waited in vain: {what}");
        std::thread::yield_now();
    }
}

fn lines(path: &Path) -> usize {
    std::fs::read_to_string(path).map_or(0, |text| text.lines().count())
}

#[test]
fn lines_are_appended_promptly_and_a_file_that_was_moved_away_is_opened_anew() {
    let temp = TempDir::new("log-rotate");
    let path = temp.write("connections.log", "old\n");
    let log = LogSender::start(To::File(path.clone()), &Sink::default().console()).unwrap();
    log.send(record(1));
    until("the first line", || lines(&path) == 2);
    let moved = temp.path().join("connections.log.1");
    std::fs::rename(&path, &moved).unwrap();
    log.send(record(2));
    until("a line in the moved file", || lines(&moved) == 3);
    // The order stands in the queue before the record: one is enough, and many would fill the queue of a writer that
    // is not given the processor.
    log.reopen();
    log.send(record(3));
    until("a line in the new file", || lines(&path) == 1);
    log.end();
    assert_eq!((lines(&moved), lines(&path), log.dropped()), (3, 1, 0));
}

#[test]
fn the_target_changes_and_off_takes_nothing() {
    let temp = TempDir::new("log-change");
    let (a, b) = (temp.path().join("a.log"), temp.path().join("b.log"));
    let log = LogSender::start(To::File(a.clone()), &Sink::default().console()).unwrap();
    log.send(record(1));
    until("a line", || lines(&a) == 1);
    log.set(To::Off);
    log.send(record(2));
    log.set(To::File(b.clone()));
    log.send(record(3));
    until("a line in the other file", || lines(&b) == 1);
    log.end();
    assert_eq!((lines(&a), lines(&b), log.dropped()), (1, 1, 0));
}

#[test]
fn what_was_handed_over_is_written_at_the_end() {
    let temp = TempDir::new("log-end");
    let path = temp.path().join("a.log");
    let log = LogSender::start(To::File(path.clone()), &Sink::default().console()).unwrap();
    for n in 0..5_000 {
        log.send(record(n));
    }
    log.end();
    assert_eq!((lines(&path), log.written(), log.dropped()), (5_000, 5_000, 0));
}

#[test]
fn a_full_disk_is_told_once_and_costs_lines_only() {
    let sink = Sink::default();
    let log = LogSender::start(To::File("/dev/full".into()), &sink.console()).unwrap();
    for n in 0..10 {
        log.send(record(n));
        until("it is dropped", || log.dropped() > n);
    }
    until("it is told", || sink.text().contains("lines are dropped"));
    log.end();
    assert_eq!(sink.text().matches("cannot write the connection log to /dev/full").count(), 1, "{}", sink.text());
    assert_eq!(log.written(), 0);
}

#[test]
fn a_file_that_cannot_be_opened_is_told_before_there_is_a_line() {
    let sink = Sink::default();
    let temp = TempDir::new("log-open");
    let path = temp.path().join("none/connections.log");
    let log = LogSender::start(To::File(path.clone()), &sink.console()).unwrap();
    until("it is told", || sink.text().contains("cannot write the connection log"));
    std::fs::create_dir(temp.path().join("none")).unwrap();
    log.reopen();
    until("a line", || {
        log.send(record(1));
        lines(&path) > 0
    });
    until("that it works is told", || sink.text().contains("can be written again"));
    log.end();
}

#[test]
fn a_pipe_that_nobody_reads_holds_up_nobody() {
    let sink = Sink::default();
    let temp = TempDir::new("log-pipe");
    let path = temp.path().join("pipe");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &path,
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR,
        0,
    )
    .unwrap();
    // A reader that opened it and reads nothing.
    let reader = std::fs::OpenOptions::new().read(true).write(true).open(&path).unwrap();
    let log = LogSender::start(To::File(path), &sink.console()).unwrap();
    until("the pipe is full", || {
        log.send(record(1));
        log.dropped() > 0
    });
    until("it is told", || sink.text().contains("lines are dropped"));
    drop(reader);
    log.end();
}
