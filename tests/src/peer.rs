//! Programs that others wrote, started for a test: PostgreSQL, mosquitto, sshd. What is missing fails
//! the test with the name of the Debian package.

use crate::wait::{self, PATIENCE, Watched};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::time::Duration;

/// Where a program is.
///
/// # Panics
///
/// When it is not installed: with the name of the package.
#[track_caller]
pub fn program(name: &str, package: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    folders.extend(["/usr/sbin", "/sbin"].map(PathBuf::from));
    // PostgreSQL's servers of several versions live beside each other.
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten();
    let mut versions: Vec<PathBuf> = versions.map(|entry| entry.unwrap().path().join("bin")).collect();
    versions.sort();
    folders.extend(versions.into_iter().rev());
    let found = folders.into_iter().map(|folder| folder.join(name)).find(|path| path.is_file());
    found.unwrap_or_else(|| panic!("`{name}` is missing: apt-get install {package} (tests/run does)"))
}

/// A command of a program, without input.
#[track_caller]
pub fn command(name: &str, package: &str) -> Command {
    let mut command = Command::new(program(name, package));
    command.stdin(Stdio::null());
    command
}

/// Runs a command to its end; ends it when it takes longer than a test may wait for anything.
///
/// # Panics
///
/// When it does not start or does not end in time.
#[track_caller]
pub fn run(command: &mut Command) -> Output {
    run_for(command, PATIENCE)
}

/// [`run`] with a deadline of its own.
#[track_caller]
pub fn run_for(command: &mut Command, patience: Duration) -> Output {
    let told = format!("{command:?}");
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0).spawn();
    let mut child = child.unwrap_or_else(|e| panic!("{told}: {e}"));
    let out = reader(child.stdout.take().unwrap());
    let err = reader(child.stderr.take().unwrap());
    let status = wait::within(patience, || child.try_wait().unwrap());
    if status.is_none() {
        signal_group(&child, "KILL");
        let _ = child.wait();
    }
    let (stdout, stderr) = (out.join().unwrap(), err.join().unwrap());
    let said = || format!("{}{}", String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    let status = status.unwrap_or_else(|| panic!("{told} does not end:\n{}", said()));
    Output { status, stdout, stderr }
}

/// Runs a command that must succeed and returns what it printed.
#[track_caller]
pub fn succeed(command: &mut Command) -> String {
    let output = run(command);
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?}: {}\n{out}{err}", output.status);
    out.into_owned()
}

fn reader(mut pipe: impl Read + Send + 'static) -> std::thread::JoinHandle<Vec<u8>> {
    std::thread::spawn(move || {
        let mut all = Vec::new();
        let _ = pipe.read_to_end(&mut all);
        all
    })
}

/// A program that runs until the value goes, with all that it started.
#[derive(Debug)]
pub struct Peer {
    child: Child,
    told: String,
    console: Arc<Watched<Vec<String>>>,
}

impl Peer {
    /// Starts it in a group of its own.
    #[track_caller]
    pub fn start(command: &mut Command) -> Self {
        Self::spawn(command.stdin(Stdio::null()))
    }

    /// Starts one that is told things on its standard input, with [`Peer::tell`].
    #[track_caller]
    pub fn start_to_tell(command: &mut Command) -> Self {
        Self::spawn(command.stdin(Stdio::piped()))
    }

    #[track_caller]
    fn spawn(command: &mut Command) -> Self {
        let told = format!("{command:?}");
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
        let mut child = command.spawn().unwrap_or_else(|e| panic!("{told}: {e}"));
        let console = Arc::<Watched<Vec<String>>>::default();
        listen_to(child.stdout.take().unwrap(), console.clone());
        listen_to(child.stderr.take().unwrap(), console.clone());
        Self { child, told, console }
    }

    /// Waits until it accepts connections.
    ///
    /// # Panics
    ///
    /// When it ends before, or does not in time.
    #[track_caller]
    pub fn listens(mut self, addr: SocketAddr) -> Self {
        let open = wait::within(PATIENCE, || {
            if self.child.try_wait().unwrap().is_some() {
                return Some(false);
            }
            TcpStream::connect(addr).is_ok().then_some(true)
        });
        assert!(open == Some(true), "{} does not listen on {addr}:\n{}", self.told, self.console_text());
        self
    }

    /// Sends it a line.
    ///
    /// # Panics
    ///
    /// When it does not listen.
    #[track_caller]
    pub fn tell(&mut self, line: &str) {
        let input = self.child.stdin.as_mut().expect("it was started to be told things");
        writeln!(input, "{line}").unwrap_or_else(|e| panic!("{}: {e}", self.told));
    }

    /// Waits until it prints a line; returns it.
    ///
    /// # Panics
    ///
    /// When it does not in time.
    #[track_caller]
    pub fn says(&self, what: &str) -> String {
        let found = self.console.wait(PATIENCE, |lines| lines.iter().find(|line| line.contains(what)).cloned());
        found.unwrap_or_else(|| panic!("{} never says {what:?}:\n{}", self.told, self.console_text()))
    }

    /// Waits until it has ended by itself; whether that was a success, and what it printed.
    #[track_caller]
    pub fn ends(mut self) -> (bool, String) {
        let status = wait::within(PATIENCE, || self.child.try_wait().unwrap());
        let status = status.unwrap_or_else(|| panic!("{} does not end:\n{}", self.told, self.console_text()));
        // Its pipes end with it, but the threads that read them may be a moment behind.
        let counted = Arc::strong_count(&self.console);
        if counted > 1 {
            wait::until("the console is read", || (Arc::strong_count(&self.console) == 1).then_some(()));
        }
        (status.success(), self.console_text())
    }

    /// What it printed so far.
    pub fn console_text(&self) -> String {
        self.console.get().join("\n")
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Ends it and all that it started at once, as `kill -9` does.
    pub fn kill(&mut self) {
        signal_group(&self.child, "KILL");
        let _ = self.child.wait();
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- {} ---\n{}", self.told, self.console_text());
        }
        if self.child.try_wait().is_ok_and(|status| status.is_none()) {
            // PostgreSQL frees its shared memory when it is asked to end, and not when it is killed.
            signal_group(&self.child, "TERM");
            if wait::within(Duration::from_secs(5), || self.child.try_wait().ok().flatten()).is_none() {
                self.kill();
            }
        }
    }
}

fn signal_group(child: &Child, name: &str) {
    let group = format!("-{}", child.id());
    let _ = Command::new("kill").args([&format!("-{name}"), "--", &group]).stderr(Stdio::null()).status();
}

fn listen_to(pipe: impl Read + Send + 'static, console: Arc<Watched<Vec<String>>>) {
    std::thread::spawn(move || {
        for line in BufReader::new(pipe).split(b'\n').map_while(Result::ok) {
            console.change(|lines| lines.push(String::from_utf8_lossy(&line).into_owned()));
        }
    });
}

/// The user that programs run as which refuse root: `postgres`; `None` where the tests are not root.
pub fn unprivileged() -> Option<(u32, u32)> {
    let id = |args: &[&str]| succeed(Command::new("id").args(args)).trim().parse::<u32>().unwrap();
    (id(&["-u"]) == 0).then(|| (id(&["-u", "postgres"]), id(&["-g", "postgres"])))
}

/// Gives a file or directory to the user of [`unprivileged`].
pub fn give(path: &Path) {
    if let Some((uid, gid)) = unprivileged() {
        std::os::unix::fs::chown(path, Some(uid), Some(gid)).unwrap();
    }
}

/// A command that runs as the user of [`unprivileged`].
#[track_caller]
pub fn unprivileged_command(name: &str, package: &str) -> Command {
    let mut command = command(name, package);
    if let Some((uid, gid)) = unprivileged() {
        command.uid(uid).gid(gid);
    }
    command
}

/// The Python that has the packages of `tests/requirements.txt`.
///
/// # Panics
///
/// When it is not there.
#[track_caller]
pub fn python() -> Command {
    let python = beside("tests-venv/bin/python3");
    assert!(
        python.is_file(),
        "{} is missing: python3 -m venv target/tests-venv && target/tests-venv/bin/pip install -r \
         tests/requirements.txt (tests/run does; Debian: python3-venv)",
        python.display()
    );
    let mut command = Command::new(python);
    command.stdin(Stdio::null());
    command
}

/// Node, which runs a program of `tests/e2e/programs`.
///
/// # Panics
///
/// When it is not there.
#[track_caller]
pub fn node(program: &str) -> Command {
    let mut node = command("node", "nodejs");
    node.arg(crate::sluice::workspace().join("tests/e2e/programs").join(program));
    node
}

/// Where the packages of `tests/packages.txt` are.
///
/// # Panics
///
/// When they are not there.
#[track_caller]
pub fn node_modules() -> PathBuf {
    let modules = beside("tests-node/node_modules");
    assert!(
        modules.is_dir(),
        "{} is missing: xargs npm install --prefix target/tests-node <tests/packages.txt (tests/run does)",
        modules.display()
    );
    modules
}

/// What `tests/run` installed into the target directory that a test runs from.
#[track_caller]
fn beside(path: &str) -> PathBuf {
    // target/debug/deps/e2e-… → target
    let own = std::env::current_exe().unwrap();
    let target = own.ancestors().find(|d| d.ends_with("debug") || d.ends_with("release")).and_then(Path::parent);
    target.expect("tests run from a target directory").join(path)
}
