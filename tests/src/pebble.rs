//! A real authority on this machine: Debian's `pebble`, and `pebble-challtestsrv`, which answers its DNS.
//!
//! Every name has the address 127.0.0.1 unless a test says otherwise; the authority asks the ports that the
//! test gives it instead of 80 and 443. Both programs end with the value.

use crate::pki::Pki;
use crate::ports;
use crate::sluice::TempDir;
use crate::wait;
use std::fs::File;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

/// How an authority is started.
#[derive(Clone, Debug, Default)]
pub struct Setup {
    http: u16,
    tls: u16,
    nonces: u8,
    binding: Vec<(String, String)>,
    always_valid: bool,
    dns: Option<SocketAddr>,
    life: Option<u64>,
    directory_port: Option<u16>,
}

/// A running authority.
pub struct Pebble {
    setup: Setup,
    dir: TempDir,
    pki: Pki,
    challtestsrv: Guard,
    pebble: Option<Guard>,
    directory: SocketAddr,
    management: SocketAddr,
    dns: SocketAddr,
    answers: SocketAddr,
}

/// A process that ends with the value.
#[derive(Debug)]
struct Guard(Child);

impl Drop for Guard {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Setup {
    /// Port 80 of every name is this one, in the eyes of the authority.
    pub fn http(mut self, port: u16) -> Self {
        self.http = port;
        self
    }

    /// Port 443, likewise.
    pub fn tls(mut self, port: u16) -> Self {
        self.tls = port;
        self
    }

    /// It turns away so many good nonces of a hundred; none where nothing is said.
    pub fn rejecting_nonces(mut self, percent: u8) -> Self {
        self.nonces = percent;
        self
    }

    /// Accounts need to be bound to a key: its name, and the key in base64url.
    pub fn binding(mut self, kid: &str, key: &str) -> Self {
        self.binding.push((kid.to_owned(), key.to_owned()));
        self
    }

    /// It asks nobody: every challenge is good.
    pub fn always_valid(mut self) -> Self {
        self.always_valid = true;
        self
    }

    /// It looks names up there, and not at the DNS that comes with it.
    pub fn asking(mut self, dns: SocketAddr) -> Self {
        self.dns = Some(dns);
        self
    }

    /// Certificates live so many seconds.
    pub fn life(mut self, seconds: u64) -> Self {
        self.life = Some(seconds);
        self
    }

    /// Its directory is at this port: for one that is expected before it is there.
    pub fn at(mut self, port: u16) -> Self {
        self.directory_port = Some(port);
        self
    }

    /// Starts it, and waits until it answers.
    ///
    /// # Panics
    ///
    /// When it does not start.
    #[track_caller]
    pub fn start(self) -> Pebble {
        let pki = Pki::new();
        let dir = TempDir::new();
        let (challtestsrv, dns, answers) = challtestsrv(&dir);
        let local = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let mut pebble = Pebble {
            directory: local(self.directory_port.unwrap_or_else(ports::free)),
            management: local(ports::free()),
            setup: self,
            dir,
            pki,
            challtestsrv,
            pebble: None,
            dns,
            answers,
        };
        pebble.boot();
        pebble
    }
}

impl Pebble {
    /// One with nothing said: no rejected nonces, no waiting before it asks.
    pub fn setup() -> Setup {
        Setup { http: 1, tls: 1, ..Setup::default() }
    }

    fn boot(&mut self) {
        let identity = self.pki.issue(&["127.0.0.1", "localhost"]);
        for _ in 0..5 {
            let mut config = serde_json::json!({
                "pebble": {
                    "listenAddress": self.directory.to_string(),
                    "managementListenAddress": self.management.to_string(),
                    "certificate": identity.cert,
                    "privateKey": identity.key,
                    "httpPort": self.setup.http,
                    "tlsPort": self.setup.tls,
                    "ocspResponderURL": "",
                    "externalAccountBindingRequired": !self.setup.binding.is_empty(),
                }
            });
            let keys: serde_json::Map<_, _> =
                self.setup.binding.iter().map(|(kid, key)| (kid.clone(), key.clone().into())).collect();
            if !keys.is_empty() {
                config["pebble"]["externalAccountMACKeys"] = keys.into();
            }
            if let Some(seconds) = self.setup.life {
                config["pebble"]["certificateValidityPeriod"] = seconds.into();
            }
            let file = self.dir.path().join("pebble.json");
            std::fs::write(&file, config.to_string()).unwrap();
            let log = File::create(self.dir.path().join("pebble.log")).unwrap();
            let dns = self.setup.dns.unwrap_or(self.dns);
            let mut command = Command::new("pebble");
            command.arg("-config").arg(&file).args(["-dnsserver", &dns.to_string()]);
            command.env("PEBBLE_WFE_NONCEREJECT", self.setup.nonces.to_string());
            command.env("PEBBLE_VA_NOSLEEP", "1").env("PEBBLE_AUTHZREUSE", "0");
            if self.setup.always_valid {
                command.env("PEBBLE_VA_ALWAYS_VALID", "1");
            }
            command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
            let mut guard = Guard(command.spawn().expect("`pebble` is installed by tests/run"));
            let up = wait::within(wait::PATIENCE, || match guard.0.try_wait().unwrap() {
                Some(_) => Some(false),
                None => (open(self.directory) && open(self.management)).then_some(true),
            });
            if up == Some(true) {
                self.pebble = Some(guard);
                return;
            }
            // Somebody took a port meanwhile.
            self.management.set_port(ports::free());
            if self.setup.directory_port.is_none() {
                self.directory.set_port(ports::free());
            }
        }
        panic!("pebble does not start:\n{}", self.log());
    }

    /// The URL of its directory.
    pub fn directory(&self) -> String {
        format!("https://{}/dir", self.directory)
    }

    /// The file with the root that its own TLS is verified with.
    pub fn root(&self) -> PathBuf {
        self.pki.root()
    }

    /// The root of the certificates that it issues, PEM. It is another one each time that it is started.
    ///
    /// # Panics
    ///
    /// When it does not answer.
    pub fn issued_root(&self) -> String {
        let url = format!("https://{}/roots/0", self.management);
        let out = Command::new("curl").args(["-sS", "--fail", "--cacert"]).arg(self.root()).arg(url).output().unwrap();
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        String::from_utf8(out.stdout).unwrap()
    }

    /// The name server that it asks, unless the test named another.
    pub fn dns(&self) -> SocketAddr {
        self.dns
    }

    /// Where that name server is told what to answer: `http://ADDRESS/set-txt`, `/clear-txt`, `/add-a`, ….
    pub fn answers(&self) -> SocketAddr {
        self.answers
    }

    /// Tells the name server something: `tell("add-a", r#"{"host": "a.x.net.", "addresses": ["127.0.0.2"]}"#)`.
    ///
    /// # Panics
    ///
    /// When it does not take it.
    #[track_caller]
    pub fn tell(&self, what: &str, body: &str) {
        let mut stream = TcpStream::connect(self.answers).unwrap();
        let length = body.len();
        let request =
            format!("POST /{what} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}");
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{what} {body}: {answer}");
    }

    /// Ends it; its directory stays where it was for [`Pebble::again`].
    pub fn stop(&mut self) {
        self.pebble = None;
    }

    /// Starts it again: it has forgotten everything.
    #[track_caller]
    pub fn again(&mut self) {
        self.pebble = None;
        self.setup.directory_port = Some(self.directory.port());
        self.boot();
    }

    /// What it wrote.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("pebble.log")).unwrap_or_default()
    }

    /// Whether both programs run.
    pub fn runs(&mut self) -> bool {
        let runs = |guard: &mut Guard| matches!(guard.0.try_wait(), Ok(None));
        runs(&mut self.challtestsrv) && self.pebble.as_mut().is_some_and(runs)
    }
}

/// The program that answers DNS, where it does, and where it is told what to answer.
fn challtestsrv(dir: &TempDir) -> (Guard, SocketAddr, SocketAddr) {
    let local = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    for _ in 0..5 {
        let (dns, answers) = (local(ports::free()), local(ports::free()));
        let log = File::create(dir.path().join("challtestsrv.log")).unwrap();
        let mut command = Command::new("pebble-challtestsrv");
        command.args([
            "-defaultIPv4",
            "127.0.0.1",
            "-defaultIPv6",
            "",
            "-http01",
            "",
            "-https01",
            "",
            "-tlsalpn01",
            "",
        ]);
        command.args(["-dns01", &dns.to_string(), "-management", &answers.to_string()]);
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        let mut guard = Guard(command.spawn().expect("`pebble-challtestsrv` is installed by tests/run"));
        let up = wait::within(wait::PATIENCE, || match guard.0.try_wait().unwrap() {
            Some(_) => Some(false),
            None => (open(dns) && open(answers)).then_some(true),
        });
        if up == Some(true) {
            return (guard, dns, answers);
        }
    }
    panic!("{}", std::fs::read_to_string(dir.path().join("challtestsrv.log")).unwrap_or_default());
}

fn open(at: SocketAddr) -> bool {
    TcpStream::connect(at).is_ok()
}
