use super::*;
use crate::sites::testing::TempDir;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

fn of(temp: &TempDir) -> Secrets {
    let secrets = Secrets::new(None);
    secrets.read_from(Some(temp.path().to_path_buf()));
    secrets
}

#[track_caller]
fn holds(secrets: &Secrets, name: &str, content: &str) {
    assert!(secrets.get(name).is_some_and(|secret| secret.is(content.as_bytes())), "{name}");
}

#[test]
fn a_file_is_a_secret_without_its_last_newline() {
    let temp = TempDir::new("secrets");
    temp.write("sticky", "one\n");
    temp.write("gw-key.pem", "two\r\n");
    temp.write("lines", "a\nb\n\n");
    temp.write(".hidden", "no");
    temp.write("below/deep", "no");
    let secrets = of(&temp);
    holds(&secrets, "sticky", "one");
    holds(&secrets, "gw-key", "two");
    holds(&secrets, "gw-key.pem", "two");
    holds(&secrets, "lines", "a\nb\n");
    for none in [".hidden", "below", "deep", "other", ""] {
        assert!(secrets.get(none).is_none(), "{none}");
    }
}

#[test]
fn files_of_a_directory_in_it_are_called_by_both_names() {
    let temp = TempDir::new("secrets-nested");
    for (name, content) in [("acme/key.pem", "one"), ("acme/deep/key", "two"), ("..data/key", "three")] {
        temp.write(name, content);
    }
    let secrets = of(&temp);
    holds(&secrets, "acme/key", "one");
    holds(&secrets, "acme/key.pem", "one");
    for name in ["key", "acme", "acme/deep/key", "..data/key"] {
        assert!(secrets.get(name).is_none(), "{name}");
    }
}

#[test]
fn names_that_could_mean_two_files_mean_none() {
    let temp = TempDir::new("secrets-two");
    temp.write("key.pem", "1");
    temp.write("key.der", "2");
    temp.write("own", "3");
    temp.write("own.txt", "4");
    let secrets = of(&temp);
    assert!(secrets.get("key").is_none());
    holds(&secrets, "own", "3");
}

#[test]
fn a_rotation_is_seen_as_kubernetes_does_it() {
    let temp = TempDir::new("secrets-rotate");
    temp.write("..1/sticky", "old");
    temp.write("..2/sticky", "new");
    symlink("..1", temp.path().join("..data")).unwrap();
    symlink("..data/sticky", temp.path().join("sticky")).unwrap();
    let secrets = of(&temp);
    holds(&secrets, "sticky", "old");
    let version = secrets.version();
    assert_eq!(secrets.look(), Looked::default());
    assert_eq!(secrets.version(), version);
    let before = secrets.get("sticky").unwrap();
    symlink("..2", temp.path().join("..next")).unwrap();
    fs::rename(temp.path().join("..next"), temp.path().join("..data")).unwrap();
    assert_eq!(secrets.look(), Looked { new: vec!["sticky".into()], words: Vec::new() });
    holds(&secrets, "sticky", "new");
    assert!(before.is(b"old"), "who holds it keeps it");
    assert_ne!(secrets.version(), version);
}

#[test]
fn what_cannot_be_read_any_more_goes_on_and_is_told_once() {
    let temp = TempDir::new("secrets-gone");
    let a = temp.write("a", "1");
    let b = temp.write("b", "2");
    let secrets = of(&temp);
    fs::remove_file(&a).unwrap();
    fs::write(&b, "").unwrap();
    let looked = secrets.look();
    assert_eq!(looked.new, []);
    assert_eq!(looked.words.len(), 2, "{:?}", looked.words);
    assert!(looked.words[0].starts_with("secret a: there is no file `a`"), "{:?}", looked.words);
    assert!(looked.words[1].contains("it is empty; what was read before goes on"), "{:?}", looked.words);
    assert_eq!(secrets.look(), Looked::default());
    holds(&secrets, "a", "1");
    holds(&secrets, "b", "2");
    temp.write("a", "3");
    assert_eq!(secrets.look(), Looked { new: vec!["a".into()], words: Vec::new() });
    fs::remove_dir_all(temp.path()).unwrap();
    assert_eq!(secrets.look().words.len(), 1);
    assert_eq!(secrets.look(), Looked::default());
    holds(&secrets, "a", "3");
}

#[test]
fn it_says_why_there_is_none() {
    let secrets = Secrets::new(None);
    assert!(secrets.why_not("k").contains("secrets from"), "{}", secrets.why_not("k"));
    let temp = TempDir::new("secrets-why");
    temp.write("long", &"x".repeat((64 << 10) + 1));
    temp.write("empty", "\n");
    let unreadable = temp.write("unreadable", "x");
    fs::set_permissions(&unreadable, fs::Permissions::from_mode(0o000)).unwrap();
    secrets.read_from(Some(temp.path().to_path_buf()));
    assert!(secrets.why_not("k").contains("there is no file `k` in"), "{}", secrets.why_not("k"));
    assert!(secrets.why_not("long").ends_with("longer than 64 KB"), "{}", secrets.why_not("long"));
    assert!(secrets.why_not("empty").ends_with("it is empty"), "{}", secrets.why_not("empty"));
    // Root reads everything.
    if secrets.get("unreadable").is_none() {
        assert!(secrets.why_not("unreadable").contains("ermission"), "{}", secrets.why_not("unreadable"));
    }
    secrets.read_from(Some(temp.path().join("nowhere")));
    assert!(secrets.why_not("k").contains("nowhere: "), "{}", secrets.why_not("k"));
}

#[test]
fn content_is_in_no_words() {
    let temp = TempDir::new("secrets-words");
    temp.write("a", "hunter2");
    let long = format!("hunter2{}", "x".repeat(64 << 10));
    let secrets = of(&temp);
    temp.write("a", &long);
    let looked = secrets.look();
    let all = format!("{secrets:?} {looked:?} {}", secrets.why_not("a"));
    assert!(all.contains("longer than"), "{all}");
    assert!(!all.contains("hunter2"), "{all}");
}

#[test]
fn the_written_directory_comes_before_the_default_one() {
    let (system, own) = (TempDir::new("secrets-system"), TempDir::new("secrets-own"));
    system.write("a", "system");
    own.write("a", "own");
    let secrets = Secrets::new(Some(system.path().to_path_buf()));
    assert_eq!(secrets.look().new.len(), 1);
    holds(&secrets, "a", "system");
    secrets.read_from(Some(own.path().to_path_buf()));
    holds(&secrets, "a", "own");
    secrets.read_from(None);
    holds(&secrets, "a", "system");
}
