//! The gateway and an authority that knows each other's ports: names are proved over real sockets.

use crate::pebble::{self, Pebble};
use crate::ports;
use crate::sluice::{Setup, Sluice, TempDir};
use crate::tls::{self, Offer, Secured};
use crate::wait::{self, PATIENCE};
use rustls::pki_types::CertificateDer;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

/// What is to be started.
#[derive(Debug)]
pub struct Prepared {
    http: u16,
    https: u16,
    pebble: pebble::Setup,
    sluice: Setup,
    lines: String,
    tenants: String,
    down: bool,
}

/// Both, running.
pub struct Acme {
    /// The gateway.
    pub sluice: Sluice,
    /// The authority.
    pub pebble: Pebble,
    dir: TempDir,
}

/// Prepares both.
pub fn setup() -> Prepared {
    let (http, https) = (ports::free(), ports::free());
    Prepared {
        http,
        https,
        pebble: Pebble::setup().http(http).tls(https),
        sluice: Sluice::setup().on(http, https),
        lines: String::new(),
        tenants: String::new(),
        down: false,
    }
}

/// A site that says what it is called, and nothing else.
pub fn site(host: &str) -> String {
    format!("site {host} {{\n    else -> respond 200 \"{host}\"\n}}\n")
}

impl Prepared {
    /// Changes how the authority is started.
    pub fn pebble(mut self, change: impl FnOnce(pebble::Setup) -> pebble::Setup) -> Self {
        self.pebble = change(self.pebble);
        self
    }

    /// Changes how the gateway is started.
    pub fn sluice(mut self, change: impl FnOnce(Setup) -> Setup) -> Self {
        self.sluice = change(self.sluice);
        self
    }

    /// A file of the sites directory.
    pub fn file(self, name: &str, content: impl AsRef<[u8]>) -> Self {
        self.sluice(|sluice| sluice.file(name, content))
    }

    /// A site of its own file.
    pub fn site(self, host: &str) -> Self {
        self.file(&format!("{host}.route"), site(host))
    }

    /// Another line of the `acme` block.
    pub fn line(mut self, line: &str) -> Self {
        self.lines.push_str(&format!("        {line}\n"));
        self
    }

    /// A tenant, with the files of a folder of its name and the names below `NAME-tests.net`.
    pub fn tenant(mut self, name: &str) -> Self {
        // The gateway block's own brace ends the last.
        self.tenants
            .push_str(&format!("}}\n\ntenant {name} {{\n    files \"{name}/*.route\"\n    owns **.{name}-tests.net\n"));
        self
    }

    /// The authority is down when the gateway starts.
    pub fn down(mut self) -> Self {
        self.down = true;
        self
    }

    /// The port of HTTPS.
    pub fn https(&self) -> u16 {
        self.https
    }

    /// The clear port.
    pub fn http(&self) -> u16 {
        self.http
    }

    /// Starts the authority, then the gateway.
    #[track_caller]
    pub fn start(self) -> Acme {
        let mut pebble = self.pebble.start();
        let block = format!(
            "    acme {{\n        contact   \"ops@sluice-tests.net\"\n        terms     agreed\n        \
             directory \"{}\"\n        root      \"acme.pem\"\n{}    }}\n{}",
            pebble.directory(),
            self.lines,
            self.tenants
        );
        let trusted = std::fs::read(pebble.root()).unwrap();
        let dir = TempDir::new();
        if self.down {
            pebble.stop();
        } else {
            std::fs::write(dir.path().join("root.pem"), pebble.issued_root()).unwrap();
        }
        let sluice = self.sluice.gateway(&block).file("acme.pem", trusted).start();
        Acme { sluice, pebble, dir }
    }
}

impl Acme {
    /// The root of what the authority issues.
    pub fn root(&self) -> PathBuf {
        self.dir.path().join("root.pem")
    }

    /// The authority starts again, and knows nobody.
    #[track_caller]
    pub fn again(&mut self) {
        self.pebble.again();
        std::fs::write(self.root(), self.pebble.issued_root()).unwrap();
    }

    /// A handshake of a client that trusts the authority and nobody else.
    pub fn handshake(&self, name: &str) -> io::Result<Secured> {
        tls::connect(self.sluice.https, &self.root(), &Offer::h1(name))
    }

    /// Waits until a name has a certificate of the authority's; the certificate.
    #[track_caller]
    pub fn serves(&self, name: &str) -> CertificateDer<'static> {
        self.serves_within(PATIENCE, name)
    }

    /// Likewise, for as long as one says.
    #[track_caller]
    pub fn serves_within(&self, patience: Duration, name: &str) -> CertificateDer<'static> {
        let mut last = None;
        let shown = wait::within(patience, || match self.handshake(name) {
            Ok(mut secured) => Some(secured.shown.swap_remove(0)),
            Err(e) => {
                last = Some(e.to_string());
                None
            }
        });
        shown.unwrap_or_else(|| panic!("{name} has no certificate: {last:?}\n{}", self.said()))
    }

    /// Waits until a certificate is in the store.
    #[track_caller]
    pub fn keeps(&self, name: &str) {
        wait::until("the certificate is kept", || is_kept(&self.sluice.data(), name).then_some(()));
    }

    /// The root of the internal CA.
    pub fn internal(&self) -> PathBuf {
        self.sluice.data().join("ca/root.crt")
    }

    /// How many orders the authority has seen.
    pub fn orders(&self) -> usize {
        self.pebble.log().matches("POST /order-plz -> calling handler()").count()
    }

    /// How many certificates it has issued.
    pub fn issued(&self) -> usize {
        self.pebble.log().matches("Issued certificate serial").count()
    }

    /// `sluice certs …`, about the gateway that runs.
    pub fn certs(&self, args: &[&str]) -> Output {
        let mut command = Command::new(crate::sluice::program());
        command.arg("certs").args(args).arg("--data").arg(self.sluice.data());
        command.output().unwrap()
    }

    /// What both have said, for when a test fails.
    pub fn said(&self) -> String {
        let log = self.pebble.log();
        let tail: Vec<&str> = log.lines().rev().take(40).collect();
        let tail: Vec<&str> = tail.into_iter().rev().collect();
        format!("--- gateway ---\n{}\n--- authority ---\n{}", self.sluice.console_text(), tail.join("\n"))
    }
}

/// Whether a file of the store is there: a certificate was kept.
pub fn is_kept(data: &Path, name: &str) -> bool {
    data.join("certificates").join(name).join("cert.pem").is_file()
}
