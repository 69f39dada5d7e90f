//! kill -9 in the middle of writes: what is read afterwards is the old or the new, whole.
//!
//! The test's own program is the process that is killed: it is started once more, for one of its tests, which
//! then writes until it ends.

use rcgen::{CertificateParams, KeyPair};
use sluice::tls::certificates::store::{LoadError, Store};
use sluice_tests::sluice::TempDir;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

/// Where the child writes; who has it is the child.
const INTO: &str = "SLUICE_TEST_WRITES_INTO";
const NAME: &str = "a.sluice-tests.net";
const ROUNDS: usize = 40;

/// Keeps certificates one after the other, and says before each that it does.
fn write_until_killed(data: &Path) {
    let store = Store::at(data);
    store.prepare().unwrap();
    let pairs: Vec<(String, String)> = (0..4)
        .map(|_| {
            let key = KeyPair::generate().unwrap();
            let certificate = CertificateParams::new([NAME.to_owned()]).unwrap().self_signed(&key).unwrap();
            (certificate.pem(), key.serialize_pem())
        })
        .collect();
    for (chain, key) in pairs.iter().cycle() {
        println!("writing");
        store.keep(NAME, chain, key).unwrap();
    }
}

#[test]
fn a_certificate_and_its_key_are_of_one_issue() {
    if let Some(data) = std::env::var_os(INTO) {
        return write_until_killed(Path::new(&data));
    }
    let temp = TempDir::new();
    let store = Store::at(temp.path());
    let mut kept = false;
    for round in 0..ROUNDS {
        let mut child = Command::new(std::env::current_exe().unwrap());
        child.args(["--exact", "killed::a_certificate_and_its_key_are_of_one_issue", "--nocapture"]);
        child.env(INTO, temp.path());
        let mut child = child.stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        // Somewhere in a write: how far it is by then, nobody says.
        let writes = lines.map(Result::unwrap).filter(|line| line.contains("writing")).take(round % 5 + 1).count();
        assert_eq!(writes, round % 5 + 1, "the writer ended by itself");
        child.kill().unwrap();
        child.wait().unwrap();
        // What the next start does, then what the first handshake asks for.
        store.prepare().unwrap();
        match store.load(NAME) {
            Ok(_) => kept = true,
            Err(LoadError::Missing) => assert!(!kept, "round {round}: what was kept is gone"),
            Err(error) => panic!("round {round}: {error}"),
        }
        let left: Vec<String> = std::fs::read_dir(store.dir())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|file| !["old", NAME].contains(&file.as_str()))
            .collect();
        assert!(left.is_empty(), "round {round}: left over: {left:?}");
    }
    assert!(kept, "nothing was ever kept");
}
