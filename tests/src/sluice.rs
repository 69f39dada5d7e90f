//! The program, started for a test: its sites, its data directory, its console; ended with the value.

use crate::client::H2;
use crate::tls::{self, Offer, Secured};
use crate::wait::{self, PATIENCE, Watched};
use crate::wire::{Reply, Wire};
use crate::{peer, ports};
use std::io::{BufRead, BufReader, Read};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// The `sluice` program: `SLUICE_BIN`, or the workspace's own, built first so that it is today's.
///
/// # Panics
///
/// When it cannot be built.
pub fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        if let Some(given) = std::env::var_os("SLUICE_BIN") {
            let given = PathBuf::from(given);
            assert!(
                given.is_absolute() && given.is_file(),
                "SLUICE_BIN={} is no absolute path of a program",
                given.display()
            );
            return given;
        }
        // target/debug/deps/e2e-… → target/debug
        let own = std::env::current_exe().unwrap();
        let profile_dir = own.ancestors().find(|d| d.ends_with("debug") || d.ends_with("release"));
        let profile_dir = profile_dir.expect("tests run from a target directory; elsewhere set SLUICE_BIN").to_owned();
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut build = Command::new(cargo);
        build.args(["build", "--quiet", "--workspace", "--bin", "sluice", "--manifest-path"]);
        build.arg(workspace().join("Cargo.toml")).arg("--target-dir").arg(profile_dir.parent().unwrap());
        if profile_dir.ends_with("release") {
            build.arg("--release");
        }
        assert!(build.status().unwrap().success(), "`sluice` does not build; or set SLUICE_BIN to one that is built");
        profile_dir.join("sluice")
    })
}

/// The root of the workspace.
pub fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// A directory that is removed with the value.
#[derive(Debug)]
pub struct TempDir(PathBuf);

impl TempDir {
    /// Makes one.
    #[allow(clippy::new_without_default)] // it takes a resource
    pub fn new() -> Self {
        static MADE: AtomicU64 = AtomicU64::new(0);
        let name = format!("sluice-test-{}-{}", std::process::id(), MADE.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).unwrap();
        Self(path.canonicalize().unwrap())
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Runs `sluice` to its end, without input or colours.
pub fn run(args: &[&str]) -> Output {
    Command::new(program()).args(args).stdin(Stdio::null()).output().unwrap()
}

/// What shall be started.
#[derive(Debug)]
pub struct Setup {
    dir: TempDir,
    gateway: String,
    workers: usize,
    descriptors: Option<u32>,
    ports: Option<(u16, u16)>,
    disk: Disk,
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
    dumps: bool,
    unprivileged: bool,
}

/// Whether the process finds room on its disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Disk {
    /// As it is.
    #[default]
    Real,
    /// There is room until it is said that there is none.
    MayFill,
    /// No byte can be written to a file.
    Full,
}

impl Setup {
    /// A file in the sites directory; directories are made as needed.
    pub fn file(self, name: &str, content: impl AsRef<[u8]>) -> Self {
        write(&self.sites().join(name), content);
        self
    }

    /// Further lines of the `gateway` block.
    pub fn gateway(mut self, lines: &str) -> Self {
        self.gateway.push_str(lines);
        self.gateway.push('\n');
        self
    }

    /// How many workers; one, when nothing is said, so that counts of connections are exact.
    pub fn workers(mut self, workers: usize) -> Self {
        self.workers = workers;
        self
    }

    /// How many descriptors the process may have; as many as the tests themselves, when nothing is said.
    pub fn descriptors(mut self, most: u32) -> Self {
        self.descriptors = Some(most);
        self
    }

    /// The ports of its clear listener and of HTTPS, for whoever must know them before; fresh ones else.
    pub fn on(mut self, http: u16, https: u16) -> Self {
        self.ports = Some((http, https));
        self
    }

    /// One more argument.
    pub fn argument(mut self, argument: &str) -> Self {
        self.arguments.push(argument.to_owned());
        self
    }

    /// A variable of its environment.
    pub fn variable(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Core dumps of it may be as large as they are; they are written into its own directory.
    pub fn dumps(mut self) -> Self {
        self.dumps = true;
        self
    }

    /// It runs as the user of [`peer::unprivileged`], where the tests are root; else as theirs, which is none.
    pub fn unprivileged(mut self) -> Self {
        self.unprivileged = true;
        self
    }

    /// How its disk is. What stands for a full one is a limit on the size of files: writes fail, files can
    /// be made and renamed, and it needs neither a file system of its own nor rights.
    pub fn disk(mut self, disk: Disk) -> Self {
        self.disk = disk;
        self
    }

    /// The sites directory.
    pub fn sites(&self) -> PathBuf {
        self.dir.path().join("sites")
    }

    /// The data directory; it is made at the start.
    pub fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    /// Starts it and waits until it answers.
    ///
    /// # Panics
    ///
    /// When it ends, or does not answer in time.
    #[track_caller]
    pub fn start(self) -> Sluice {
        let mut sluice = Sluice {
            http: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            https: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            console: Arc::default(),
            child: None,
            setup: self,
        };
        sluice.boot();
        sluice
    }
}

/// A running `sluice run`.
#[derive(Debug)]
pub struct Sluice {
    /// Its clear listener.
    pub http: SocketAddr,
    /// Its TLS listener.
    pub https: SocketAddr,
    console: Arc<Watched<Vec<String>>>,
    child: Option<Child>,
    setup: Setup,
}

impl Sluice {
    /// Prepares one.
    pub fn setup() -> Setup {
        let dir = TempDir::new();
        std::fs::create_dir(dir.path().join("sites")).unwrap();
        Setup {
            dir,
            gateway: String::new(),
            workers: 1,
            descriptors: None,
            ports: None,
            disk: Disk::Real,
            arguments: Vec::new(),
            environment: Vec::new(),
            dumps: false,
            unprivileged: false,
        }
    }

    /// One with a single file `a.route` and otherwise as it comes.
    #[track_caller]
    pub fn with(route: impl AsRef<[u8]>) -> Self {
        Self::setup().file("a.route", route).start()
    }

    /// One with a site `a.test` that leads everything to an origin, in the clear and with TLS.
    #[track_caller]
    pub fn before(origin: SocketAddr) -> Self {
        Self::with(proxy("a.test", origin))
    }

    /// Starts the process on fresh ports; once more when somebody took them meanwhile.
    #[track_caller]
    fn boot(&mut self) {
        for _ in 0..5 {
            let (http, https) = self.setup.ports.unwrap_or_else(|| (ports::free(), ports::free()));
            self.http.set_port(http);
            self.https.set_port(https);
            if self.boot_here() {
                return;
            }
            assert!(self.setup.ports.is_none(), "somebody took the ports {http} or {https} meanwhile");
        }
        panic!("no free ports in five tries:\n{}", self.console_text());
    }

    /// Starts the process on the ports it has: `false` when they are taken.
    #[track_caller]
    fn boot_here(&mut self) -> bool {
        let listeners = format!("    http {}\n    https {}\n", self.http, self.https);
        write(&self.sites().join("gateway.route"), format!("gateway {{\n{listeners}{}}}\n", self.setup.gateway));
        let mut limits = self.setup.descriptors.map(|most| format!("ulimit -n {most}; ")).unwrap_or_default();
        limits += match self.setup.disk {
            Disk::Real => "",
            // Who writes more than it may gets an error then, and no signal.
            Disk::MayFill => "trap '' XFSZ; ",
            Disk::Full => "trap '' XFSZ; ulimit -S -f 0; ",
        };
        if self.setup.dumps {
            limits += "ulimit -c unlimited; ";
        }
        let mut command = Command::new(program());
        if !limits.is_empty() {
            command = Command::new("bash");
            command.arg("-c").arg(format!("{limits}exec \"$0\" \"$@\"")).arg(program());
        }
        command.arg("run").arg(self.sites()).arg("--data").arg(self.data());
        command.arg("--workers").arg(self.setup.workers.to_string());
        command.args(&self.setup.arguments).envs(self.setup.environment.iter().map(|(name, value)| (name, value)));
        if self.setup.dumps {
            command.current_dir(self.setup.dir.path());
        }
        if self.setup.unprivileged
            && let Some((uid, gid)) = peer::unprivileged()
        {
            // It makes its data directory there.
            peer::give(self.setup.dir.path());
            command.uid(uid).gid(gid);
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        self.console.change(Vec::clear);
        listen_to(child.stdout.take().unwrap(), self.console.clone());
        listen_to(child.stderr.take().unwrap(), self.console.clone());
        self.child = Some(child);
        let address = self.http;
        let answered = wait::within(PATIENCE, || {
            if self.child.as_mut().unwrap().try_wait().unwrap().is_some() {
                return Some(false);
            }
            answers(address).then_some(true)
        });
        match answered {
            Some(true) => true,
            Some(false) if self.console_text().contains("in use") => false,
            Some(false) => panic!("`sluice run` ended at once:\n{}", self.console_text()),
            None => panic!("`sluice run` does not answer on {address}:\n{}", self.console_text()),
        }
    }

    /// Takes the room on its disk, or gives it back; from now on and after a restart. Only where the
    /// setup says [`Disk::MayFill`] or [`Disk::Full`].
    pub fn fills_disk(&mut self, full: bool) {
        assert_ne!(self.setup.disk, Disk::Real, "a write would end the process");
        self.setup.disk = if full { Disk::Full } else { Disk::MayFill };
        let most = if full { "--fsize=0:unlimited" } else { "--fsize=unlimited:unlimited" };
        let set = Command::new("prlimit").args(["--pid", &self.pid().to_string(), most]).status();
        assert!(set.unwrap().success(), "prlimit {most}");
    }

    /// Ends it at once and starts it again on the same directories; on the same ports where they were said.
    #[track_caller]
    pub fn restart(&mut self) {
        self.kill();
        self.boot();
    }

    /// The sites directory.
    pub fn sites(&self) -> PathBuf {
        self.setup.sites()
    }

    /// The data directory.
    pub fn data(&self) -> PathBuf {
        self.setup.data()
    }

    /// Writes a file of the sites directory in place.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        write(&self.sites().join(name), content);
    }

    /// The process.
    pub fn pid(&self) -> u32 {
        self.child.as_ref().unwrap().id()
    }

    /// The memory it holds, in bytes.
    pub fn rss(&self) -> usize {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() * 1024
    }

    /// The most memory that it ever held, in bytes.
    pub fn peak_rss(&self) -> usize {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() * 1024
    }

    /// What it printed so far.
    pub fn console(&self) -> Vec<String> {
        self.console.get().clone()
    }

    /// What it printed so far, as one text.
    pub fn console_text(&self) -> String {
        self.console().join("\n")
    }

    /// Waits until the console holds a line; returns it.
    ///
    /// # Panics
    ///
    /// When none comes in time.
    #[track_caller]
    pub fn says(&self, what: &str, mut wanted: impl FnMut(&str) -> bool) -> String {
        let found = self.console.wait(PATIENCE, |lines| lines.iter().find(|l| wanted(l)).cloned());
        found.unwrap_or_else(|| panic!("the console never says {what}"))
    }

    /// The root certificate, where the console says it is.
    #[track_caller]
    pub fn root(&self) -> PathBuf {
        let is_certificate = |path: &str| std::fs::read_to_string(path).is_ok_and(|t| t.contains("BEGIN CERTIFICATE"));
        let find = |line: &str| {
            let mut words = line.split([' ', '\t', '`', '"', '\'', '(', ')', ',']);
            words.find(|w| w.starts_with('/') && is_certificate(w)).map(str::to_owned)
        };
        let line = self.says("where the root certificate is", |line| find(line).is_some());
        find(&line).unwrap().into()
    }

    /// A connection to the clear port.
    pub fn wire(&self) -> Wire {
        Wire::connect(self.http)
    }

    /// A TLS connection for HTTP/1.1.
    #[track_caller]
    pub fn secure(&self, name: &str) -> Wire {
        self.handshake(&Offer::h1(name)).unwrap_or_else(|e| panic!("no handshake for {name}: {e}")).wire
    }

    /// A handshake.
    #[track_caller]
    pub fn handshake(&self, offer: &Offer<'_>) -> std::io::Result<Secured> {
        tls::connect(self.https, &self.root(), offer)
    }

    /// An HTTP/2 connection to the clear port, by prior knowledge.
    #[track_caller]
    pub fn h2(&self) -> H2 {
        H2::clear(self.http)
    }

    /// An HTTP/2 connection with TLS.
    #[track_caller]
    pub fn h2_secure(&self, name: &str) -> H2 {
        H2::secure(self.https, &self.root(), name)
    }

    /// Asks once in the clear, on a connection of its own.
    #[track_caller]
    pub fn get(&self, host: &str, target: &str) -> Reply {
        get(self.http, host, target).expect("the connection ended without an answer")
    }

    /// Asks until the answer is as wanted; how long that took.
    ///
    /// # Panics
    ///
    /// When it is not within [`PATIENCE`].
    #[track_caller]
    pub fn serves(&self, host: &str, target: &str, mut wanted: impl FnMut(&Reply) -> bool) -> Duration {
        let begin = std::time::Instant::now();
        let mut last = None;
        let seen = wait::within(PATIENCE, || {
            last = get(self.http, host, target);
            last.as_ref().filter(|reply| wanted(reply)).map(|_| ())
        });
        assert!(seen.is_some(), "{host}{target} still answers {last:?}\n{}", self.console_text());
        begin.elapsed()
    }

    /// Sends a signal by its name.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill").arg(format!("-{name}")).arg(self.pid().to_string()).status();
        assert!(sent.unwrap().success(), "kill -{name}");
    }

    /// Waits until the process has ended by itself.
    #[track_caller]
    pub fn ends(&mut self) -> ExitStatus {
        let child = self.child.as_mut().unwrap();
        wait::until("the process ends", || child.try_wait().unwrap())
    }

    /// Whether the process is still there.
    pub fn is_running(&mut self) -> bool {
        self.child.as_mut().is_some_and(|c| c.try_wait().unwrap().is_none())
    }

    /// Ends it at once.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Drop for Sluice {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            // A storm's log lines would hide the words: the last of them are enough.
            let console = self.console();
            let lines = console.iter().filter(|line| line.starts_with('{')).count();
            let mut passed = 0;
            let told = console.iter().filter(|line| {
                passed += usize::from(line.starts_with('{'));
                !line.starts_with('{') || passed + 20 > lines
            });
            let told: Vec<_> = told.map(String::as_str).collect();
            eprintln!("--- console of the gateway ---\n{}", told.join("\n"));
        }
    }
}

/// A site that leads everything to an origin, in the clear and with TLS.
pub fn proxy(host: &str, origin: SocketAddr) -> String {
    format!("pool origin = {origin}\n\nsite {host} {{\n    http allowed\n    else -> origin\n}}\n")
}

/// A site that always says the same, in the clear and with TLS.
pub fn says(host: &str, text: &str) -> String {
    format!("site {host} {{\n    http allowed\n    else -> respond 200 \"{text}\"\n}}\n")
}

/// Asks once, on a connection of its own; `None` when it ended without an answer.
#[track_caller]
pub fn get(addr: SocketAddr, host: &str, target: &str) -> Option<Reply> {
    let mut wire = Wire::connect(addr);
    wire.send(format!("GET {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"));
    wire.try_reply("GET")
}

/// Whether something speaks HTTP there.
fn answers(addr: SocketAddr) -> bool {
    if std::net::TcpStream::connect(addr).is_err() {
        return false;
    }
    get(addr, "readiness.invalid", "/").is_some()
}

/// Writes a file, its directories included.
pub fn write(path: &Path, content: impl AsRef<[u8]>) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, content).unwrap();
}

fn listen_to(pipe: impl Read + Send + 'static, console: Arc<Watched<Vec<String>>>) {
    std::thread::spawn(move || {
        for line in BufReader::new(pipe).split(b'\n') {
            let Ok(line) = line else { return };
            let line = String::from_utf8_lossy(&line).trim_end_matches('\r').to_owned();
            console.change(|lines| lines.push(line));
        }
    });
}
