//! A disk that is full, and files that were torn: what serves, and what the console says.

use sluice_tests::ports::free;
use sluice_tests::sluice::{Disk, program, says};
use sluice_tests::tls::Offer;
use sluice_tests::{Sluice, tls, wait};
use std::path::Path;
use std::process::{Command, Stdio};

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
    let mut command = Command::new(program());
    command.arg("run").arg(sluice.sites()).arg("--data").arg(sluice.data());
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("cannot make certificates: ") && said.contains("root.crt"), "{said}");
    std::fs::write(&root, &whole).unwrap();
    sluice.restart();
    assert!(resumes(&sluice));
}

/// Files in a directory and below it.
fn files(dir: &Path) -> usize {
    let Ok(entries) = std::fs::read_dir(dir) else { return 0 };
    entries.flatten().map(|entry| if entry.path().is_dir() { files(&entry.path()) } else { 1 }).sum()
}

#[test]
fn killed_while_the_data_directory_is_made() {
    // What is written at a first start: the lock, last good versions, the CA, keys of tickets. It is killed
    // when there are so many files, those beside their places included.
    for files_then in 1..=5 {
        let gateway = format!("gateway {{\n    http 127.0.0.1:{}\n    https 127.0.0.1:{}\n}}\n", free(), free());
        let setup = Sluice::setup().file("gateway.route", gateway).file("a.route", says("a.test", "hello"));
        let mut cut_short = Command::new(program());
        cut_short.arg("run").arg(setup.sites()).arg("--data").arg(setup.data());
        let mut cut_short = cut_short.stderr(Stdio::null()).spawn().unwrap();
        let seen = wait::within(wait::PATIENCE, || (files(&setup.data()) >= files_then).then_some(()));
        cut_short.kill().unwrap();
        cut_short.wait().unwrap();
        assert!(seen.is_some(), "there are never {files_then} files");
        let sluice = setup.start();
        assert!(resumes(&sluice), "killed at {files_then} files");
        let said = sluice.console_text();
        assert!(!said.contains("damaged") && !said.contains("cannot"), "killed at {files_then} files: {said}");
        assert_eq!(sluice.get("a.test", "/").text(), "hello");
    }
}
