//! `tests/bench/certificates`: many certificates in the store, from the start of the process to the first
//! handshake, and the memory that they take before and after somebody asks for them.

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use sluice_tests::sluice::{Setup, Sluice};
use sluice_tests::tls::{self, Offer};
use std::fmt::Write as _;
use std::fs::{DirBuilder, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

/// Sites to a file.
const TOGETHER: usize = 100;
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// Nobody answers there: nothing is ordered, for all there is.
const ACME: &str = "    acme {\n        contact \"ops@sluice-bench.net\"\n        terms agreed\n        directory \"http://127.0.0.1:9/directory\"\n    }";

fn name(i: usize) -> String {
    format!("s{i}.sluice-bench.net")
}

fn setup(count: usize) -> Setup {
    let mut setup = Sluice::setup();
    for first in (0..count).step_by(TOGETHER) {
        let mut text = String::new();
        for i in first..count.min(first + TOGETHER) {
            let _ = write!(text, "site {} {{\n    http allowed\n    else -> respond 200 \"{i}\"\n}}\n", name(i));
        }
        setup = setup.file(&format!("s{first}.route"), text);
    }
    setup
}

/// An authority whose certificates serve as those that were ordered.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    root: String,
}

impl Authority {
    fn new() -> Self {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "authority of the benchmark");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let root = params.self_signed(&key).expect("a certificate").pem();
        Self { issuer: Issuer::new(params, key), root }
    }

    /// Puts a certificate where the gateway keeps them: the leaf, one more certificate, the key.
    fn keep(&self, store: &Path, name: &str) {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new([name.to_owned()]).expect("a name");
        (params.not_before, params.not_after) =
            ((SystemTime::now() - DAY).into(), (SystemTime::now() + 89 * DAY).into());
        let chain = params.signed_by(&key, &self.issuer).expect("a certificate").pem() + &self.root;
        let dir = store.join(name);
        DirBuilder::new().recursive(true).mode(0o700).create(&dir).expect("a directory");
        for (file, content) in [("cert.pem", chain), ("key.pem", key.serialize_pem())] {
            let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(dir.join(file));
            file.and_then(|mut file| file.write_all(content.as_bytes())).expect("it can be written");
        }
    }
}

fn mib(bytes: usize) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

/// From the start of the process until a client has shaken hands.
fn first(sluice: &mut Sluice, root: &Path, name: &str) -> Duration {
    let begin = Instant::now();
    sluice.restart();
    tls::connect(sluice.https, root, &Offer::h1(name)).expect("a handshake");
    begin.elapsed()
}

fn main() {
    let count = std::env::args().nth(1).map_or(10_000, |n| n.parse().expect("a number"));
    let last = name(count - 1);
    let mut without = setup(count).start();
    let root = without.root();
    let took = first(&mut without, &root, &last);
    println!("{count} sites");
    println!("internal CA: {:.2} s from the start to a handshake, {:.1} MiB", took.as_secs_f64(), mib(without.rss()));
    let none = without.rss();
    drop(without);

    let setup = setup(count).gateway(ACME);
    let authority = Authority::new();
    let store = setup.data().join("certificates");
    DirBuilder::new().recursive(true).mode(0o700).create(&store).expect("a directory");
    (0..count).for_each(|i| authority.keep(&store, &name(i)));
    let root = setup.sites().join("root.crt");
    std::fs::write(&root, &authority.root).expect("it can be written");
    let mut sluice = setup.start();
    for start in ["first", "second"] {
        let took = first(&mut sluice, &root, &last);
        println!("{count} certificates, {start} start: {:.2} s to a handshake", took.as_secs_f64());
    }
    // Buffers of connections and of the allocator are there before it is weighed.
    (0..count).for_each(|_| drop(tls::connect(sluice.https, &root, &Offer::h1(&last)).expect("a handshake")));
    let cold = sluice.rss();
    let begin = Instant::now();
    for i in 0..count {
        tls::connect(sluice.https, &root, &Offer::h1(&name(i))).expect("a handshake");
    }
    let took = begin.elapsed();
    let hot = sluice.rss();
    let each = |more: usize, less: usize| more.saturating_sub(less) as f64 / count as f64 / 1024.0;
    println!("one loaded: {:.1} MiB, {:.2} KiB a certificate more than without", mib(cold), each(cold, none));
    println!("all loaded: {:.1} MiB, {:.2} KiB a certificate more than not loaded", mib(hot), each(hot, cold));
    println!("handshakes with each, one after the other: {:.2} ms on average", took.as_secs_f64() * 1e3 / count as f64);
}
