//! `sluice fmt`: files, directories, standard input, and what it leaves alone.

use sluice_tests::sluice::{self, TempDir, program, write};
use std::fs;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::process::{Command, Output, Stdio};

const UGLY: &str = "site a.test {\r\n  /x   ->respond 200 # c\r\n  else -> respond 404\r\n}";
const NEAT: &str = "site a.test {\n    /x   -> respond 200  # c\n    else -> respond 404\n}\n";

fn fmt(args: &[&str]) -> (Option<i32>, String, String) {
    let mut all = vec!["fmt"];
    all.extend(args);
    told(sluice::run(&all))
}

fn told(output: Output) -> (Option<i32>, String, String) {
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

fn piped(args: &[&str], input: &str) -> (Option<i32>, String, String) {
    let mut command = Command::new(program());
    command.arg("fmt").args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    told(child.wait_with_output().unwrap())
}

#[test]
fn fmt_writes_what_differs_and_touches_nothing_else() {
    let dir = TempDir::new();
    let (ugly, neat) = (dir.path().join("sub/ugly.route"), dir.path().join("neat.route"));
    fs::create_dir(dir.path().join("sub")).unwrap();
    write(&ugly, UGLY);
    write(&neat, NEAT);
    write(&dir.path().join("notes.txt"), UGLY);
    fs::set_permissions(&ugly, fs::Permissions::from_mode(0o640)).unwrap();
    let before = fs::metadata(&neat).unwrap();
    let path = dir.path().to_str().unwrap();

    let (code, out, err) = fmt(&["--check", path]);
    assert_eq!((code, out.as_str()), (Some(1), format!("{}\n", ugly.display()).as_str()), "{err}");
    assert_eq!(fs::read_to_string(&ugly).unwrap(), UGLY, "--check writes nothing");
    let (code, out, _) = fmt(&["--diff", path]);
    assert_eq!(code, Some(1));
    assert!(out.contains("\n+    /x   -> respond 200  # c\n") && out.contains("\n@@ "), "{out}");

    let (code, out, err) = fmt(&[path]);
    assert_eq!((code, out.as_str()), (Some(0), ""), "{err}");
    assert_eq!(fs::read_to_string(&ugly).unwrap(), NEAT);
    assert_eq!(fs::metadata(&ugly).unwrap().permissions().mode() & 0o777, 0o640);
    assert_eq!(fs::read_to_string(dir.path().join("notes.txt")).unwrap(), UGLY, "it is no route file");
    let after = fs::metadata(&neat).unwrap();
    assert_eq!((before.ino(), before.mtime_nsec()), (after.ino(), after.mtime_nsec()));
    assert_eq!(fmt(&["--check", path]).0, Some(0));
    assert_eq!(fs::read_dir(dir.path().join("sub")).unwrap().count(), 1, "nothing is left beside it");
}

#[test]
fn fmt_writes_through_a_link() {
    let dir = TempDir::new();
    let (file, link) = (dir.path().join("real"), dir.path().join("a.route"));
    write(&file, UGLY);
    symlink(&file, &link).unwrap();
    assert_eq!(fmt(&[link.to_str().unwrap()]).0, Some(0));
    assert_eq!(fs::read_to_string(&file).unwrap(), NEAT);
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
}

#[test]
fn fmt_takes_standard_input() {
    assert_eq!(piped(&["-"], UGLY), (Some(0), NEAT.to_owned(), String::new()));
    assert_eq!(piped(&["-"], "").1, "");
    assert_eq!(piped(&["--check", "-"], UGLY).0, Some(1));
    assert_eq!(piped(&["--check", "-"], NEAT).0, Some(0));
    assert_eq!(piped(&["-", "sites"], NEAT).0, Some(2));
}

#[test]
fn fmt_leaves_what_does_not_parse() {
    let broken = "pool a=10.0.0.1:80\nsite a.test {\n   /x  =>  a\n}\n\n\npool b=10.0.0.2:80\n";
    let (code, out, err) = piped(&["-"], broken);
    assert_eq!(code, Some(0));
    assert_eq!(out, "pool a = 10.0.0.1:80\nsite a.test {\n   /x  =>  a\n}\n\n\npool b = 10.0.0.2:80\n");
    assert!(err.contains("<stdin>:3: "), "{err}");
}

#[test]
fn fmt_says_what_it_cannot_read() {
    let dir = TempDir::new();
    let file = dir.path().join("latin.route");
    fs::write(&file, b"# caf\xe9\n").unwrap();
    let (code, _, err) = fmt(&[file.to_str().unwrap()]);
    assert_eq!(code, Some(2));
    assert!(err.contains("UTF-8"), "{err}");
    assert_eq!(fs::read(&file).unwrap(), b"# caf\xe9\n");
    let (code, _, err) = fmt(&[dir.path().join("none.route").to_str().unwrap()]);
    assert_eq!(code, Some(2));
    assert!(err.contains("none.route"), "{err}");
}
