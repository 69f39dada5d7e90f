//! A sites directory, the program on it, and what it prints.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

/// Longer than anything takes; a test that waits for it fails.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A directory that is gone when the test is.
pub struct Dir(PathBuf);

impl Dir {
    pub fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let n = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("sluice-control-{}-{n}", std::process::id()));
        std::fs::create_dir_all(path.join("sites")).unwrap();
        Self(path.canonicalize().unwrap())
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path
    }

    /// The program, in this directory.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sluice"));
        command.args(args).current_dir(&self.0).stdin(Stdio::null());
        command.env_remove("XDG_STATE_HOME").env("HOME", &self.0);
        command
    }

    /// Runs it to its end: exit code, standard output, standard error.
    pub fn run(&self, args: &[&str]) -> (Option<i32>, String, String) {
        let Output { status, stdout, stderr } = self.command(args).output().unwrap();
        (status.code(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
    }

    /// Starts `sluice run` on free ports, and waits until it serves.
    pub fn start(&self, args: &[&str]) -> Running {
        self.start_with("gateway {\n    http 127.0.0.1:0\n    https 127.0.0.1:0\n}\n", args)
    }

    /// Starts it by this `gateway.route`, which says `http 127.0.0.1:0`.
    pub fn start_with(&self, gateway: &str, args: &[&str]) -> Running {
        self.write("sites/gateway.route", gateway);
        let mut all = vec!["run"];
        if !args.contains(&"--workers") {
            all.extend(["--workers", "1"]);
        }
        all.extend(args);
        let mut child = self.command(&all).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let console = Arc::new(Console::default());
        let heard = Arc::clone(&console);
        let stderr = BufReader::new(child.stderr.take().unwrap());
        std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                heard.lines.lock().unwrap().push(line);
                heard.changed.notify_all();
            }
            *heard.ended.lock().unwrap() = true;
            heard.changed.notify_all();
        });
        let mut running = Running { child, console, http: SocketAddr::from(([127, 0, 0, 1], 0)) };
        let line = running.says("where it listens", |line| line.trim_start().starts_with("http "));
        running.http = line.split_whitespace().nth(1).unwrap().parse().unwrap();
        running
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[derive(Default)]
struct Console {
    lines: Mutex<Vec<String>>,
    ended: Mutex<bool>,
    changed: Condvar,
}

/// A gateway that runs.
pub struct Running {
    pub child: Child,
    console: Arc<Console>,
    pub http: SocketAddr,
}

impl Running {
    /// Waits until a line is printed.
    #[track_caller]
    pub fn says(&self, what: &str, wanted: impl Fn(&str) -> bool) -> String {
        let begin = Instant::now();
        let mut lines = self.console.lines.lock().unwrap();
        loop {
            if let Some(line) = lines.iter().find(|line| wanted(line)) {
                return line.clone();
            }
            let left = PATIENCE.saturating_sub(begin.elapsed());
            assert!(
                !left.is_zero() && !*self.console.ended.lock().unwrap(),
                "never says {what}:\n{}",
                lines.join("\n")
            );
            lines = self.console.changed.wait_timeout(lines, left.min(Duration::from_millis(200))).unwrap().0;
        }
    }

    pub fn text(&self) -> String {
        self.console.lines.lock().unwrap().join("\n")
    }

    /// Asks once: status and body.
    pub fn get(&self, host: &str, path: &str) -> (u16, String) {
        ask(TcpStream::connect(self.http).unwrap(), host, path)
    }

    /// Asks until the answer is this.
    #[track_caller]
    pub fn serves(&self, host: &str, wanted: (u16, &str)) {
        let begin = Instant::now();
        loop {
            let (status, body) = self.get(host, "/");
            if status == wanted.0 && body.contains(wanted.1) {
                return;
            }
            assert!(begin.elapsed() < PATIENCE, "{host} answers {status} {body:?}:\n{}", self.text());
            std::thread::yield_now();
        }
    }

    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill").arg(format!("-{name}")).arg(self.child.id().to_string()).status().unwrap();
        assert!(sent.success());
    }

    pub fn ends(&mut self) -> ExitStatus {
        self.child.wait().unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A site that says one thing.
pub fn site(host: &str, says: &str) -> String {
    format!("site {host} {{\n    http allowed\n    else -> respond 200 \"{says}\"\n}}\n")
}

/// Asks for `/` on a connection.
pub fn answer(stream: TcpStream, host: &str) -> (u16, String) {
    ask(stream, host, "/")
}

fn ask(mut stream: TcpStream, host: &str, path: &str) -> (u16, String) {
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let status = answer.split(' ').nth(1).and_then(|s| s.parse().ok()).unwrap_or(0);
    (status, answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default())
}

/// Looks until something is so.
#[track_caller]
pub fn until(what: &str, mut look: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !look() {
        assert!(begin.elapsed() < PATIENCE, "waited in vain: {what}");
        std::thread::yield_now();
    }
}
