//! A disk that is full, and files that were torn: what serves, and what the console says.

use sluice_tests::sluice::{Disk, says};
use sluice_tests::tls::Offer;
use sluice_tests::{Sluice, tls};

/// Shakes hands twice as one client: whether the second time resumed the session of the first.
#[track_caller]
fn resumes(sluice: &Sluice) -> bool {
    let config = tls::config(&sluice.root(), &Offer::h1("a.test"));
    assert_eq!(tls::kind(sluice.https, &config, "a.test").unwrap(), rustls::HandshakeKind::Full);
    tls::kind(sluice.https, &config, "a.test").unwrap() == rustls::HandshakeKind::Resumed
}

#[test]
fn a_full_disk_at_the_first_start() {
    let sluice = Sluice::setup().disk(Disk::Full).file("a.route", says("a.test", "hello")).start();
    // What needs no file serves: nobody has a root to trust, so the client does not look.
    assert_eq!(sluice.get("a.test", "/").text(), "hello");
    sluice.says("that nothing is kept", |line| {
        line.contains("cannot write the data directory") && line.contains("serving goes on")
    });
    sluice.says("that session tickets end with it", |line| {
        line.contains("cannot keep the keys of session tickets") && line.contains("a restart forgets them")
    });
    assert!(!sluice.data().join("tickets.key").exists(), "half a file of keys");
}

#[test]
fn a_disk_that_is_full_at_a_restart() {
    let mut sluice = Sluice::setup().disk(Disk::MayFill).file("a.route", says("a.test", "hello")).start();
    let config = tls::config(&sluice.root(), &Offer::h1("a.test"));
    assert_eq!(tls::kind(sluice.https, &config, "a.test").unwrap(), rustls::HandshakeKind::Full);
    let (root, keys) = (sluice.root(), sluice.data().join("tickets.key"));
    let before = (std::fs::read(&root).unwrap(), std::fs::read(&keys).unwrap());
    sluice.fills_disk(true);
    sluice.restart();
    sluice.says("that nothing is kept", |line| line.contains("cannot write the data directory"));
    // What was kept is read: the same root, and sessions of before.
    assert_eq!(tls::kind(sluice.https, &config, "a.test").unwrap(), rustls::HandshakeKind::Resumed);
    assert_eq!((std::fs::read(&root).unwrap(), std::fs::read(&keys).unwrap()), before);
    // A file that changes serves, though it is not kept.
    sluice.write("a.route", says("a.test", "changed"));
    sluice.serves("a.test", "/", |reply| reply.text() == "changed");
}

#[test]
fn a_disk_that_fills_while_it_serves() {
    let mut sluice = Sluice::setup().disk(Disk::MayFill).file("a.route", says("a.test", "hello")).start();
    sluice.fills_disk(true);
    sluice.write("a.route", says("a.test", "changed"));
    sluice.serves("a.test", "/", |reply| reply.text() == "changed");
    sluice.says("that last good versions are not kept", |line| line.contains("cannot keep last good versions in"));
    assert!(resumes(&sluice));
    sluice.fills_disk(false);
    sluice.restart();
    assert_eq!(sluice.get("a.test", "/").text(), "changed");
}

#[test]
fn keys_that_cannot_be_read() {
    let mut sluice = Sluice::with(says("a.test", "hello"));
    assert!(resumes(&sluice));
    sluice.kill();
    // A directory in its place: nobody can read it as a file, not even root, and no rename replaces it.
    let keys = sluice.data().join("tickets.key");
    std::fs::remove_file(&keys).unwrap();
    std::fs::create_dir(&keys).unwrap();
    sluice.restart();
    let said = |words: &str| sluice.says(words, |line| line.contains("tickets.key") && line.contains(words));
    said("session tickets have new keys");
    said("cannot keep the keys of session tickets");
    assert!(resumes(&sluice), "with keys that end with the process");
    assert_eq!(sluice.get("a.test", "/").text(), "hello");
}

#[test]
fn a_root_of_the_internal_ca_that_is_torn() {
    let mut sluice = Sluice::with(says("a.test", "hello"));
    let root = sluice.root();
    sluice.kill();
    let whole = std::fs::read(&root).unwrap();
    std::fs::write(&root, &whole[..whole.len() / 2]).unwrap();
    // Somebody trusts that root: it is not replaced behind their back.
    let mut command = std::process::Command::new(sluice_tests::sluice::program());
    command.arg("run").arg(sluice.sites()).arg("--data").arg(sluice.data());
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("cannot make certificates: ") && said.contains("root.crt"), "{said}");
    std::fs::write(&root, &whole).unwrap();
    sluice.restart();
    assert!(resumes(&sluice));
}
