//! Secrets, from outside: files wait for them, they rotate, and nobody reads them anywhere.

use sluice_tests::origin::Origin;
use sluice_tests::sluice::{Sluice, says, write};
use sluice_tests::{peer, wait};
use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::{MetadataExt, symlink};
use std::os::unix::process::ExitStatusExt;

fn sticky(origin: SocketAddr) -> String {
    format!(
        "pool web {{\n    {origin}\n    sticky cookie \"route\" key secret.sticky\n}}\n\
         site a.test {{\n    http allowed\n    else -> web\n}}\n"
    )
}

/// Asks with a cookie of an earlier answer; the cookie that comes with the answer.
fn cookie(sluice: &Sluice, brought: Option<&str>) -> Option<String> {
    let line = brought.map(|cookie| format!("Cookie: {cookie}\r\n")).unwrap_or_default();
    let mut wire = sluice.wire();
    wire.send(format!("GET / HTTP/1.1\r\nHost: a.test\r\n{line}\r\n"));
    let reply = wire.reply();
    assert_eq!(reply.status, 200, "{}", reply.text());
    reply.header("set-cookie").map(|value| value.split(';').next().unwrap_or_default().to_owned())
}

#[test]
fn a_file_waits_for_its_secret_which_rotates_and_is_read_nowhere() {
    let origin = Origin::fixed("hello");
    let sluice = Sluice::setup()
        .gateway("    secrets from \"../secrets\"")
        .file("../secrets/unused", "correct horse")
        .file("a.route", sticky(origin.addr()))
        .start();
    sluice.says("what it waits for", |line| line.contains("secret `sticky` cannot be had"));
    assert_eq!(sluice.get("a.test", "/").status, 503);
    let secrets = sluice.sites().join("../secrets");
    // As Kubernetes does it: whole files appear.
    let put = |content: &str| {
        std::fs::write(secrets.join(".new"), content).unwrap();
        std::fs::rename(secrets.join(".new"), secrets.join("sticky")).unwrap();
    };
    put("hunter2 the first\n");
    sluice.serves("a.test", "/", |reply| reply.status == 200);
    let first = cookie(&sluice, None).expect("a visitor is told where it was");
    assert_eq!(cookie(&sluice, Some(&first)), None, "whoever brings it keeps it");
    put("hunter2 the second\n");
    let second = sluice_tests::wait::within(sluice_tests::wait::PATIENCE, || cookie(&sluice, Some(&first)));
    let second = second.expect("what was signed with the old key does not hold any more");
    assert_eq!(cookie(&sluice, Some(&second)), None);
    // Gone: the one that was read goes on, and it is said once.
    std::fs::remove_file(secrets.join("sticky")).unwrap();
    sluice.says("that it is gone", |line| line.contains("secret sticky: ") && line.contains("goes on"));
    assert_eq!(cookie(&sluice, Some(&second)), None);
    let console = sluice.console_text();
    assert!(console.contains("secrets read: sticky"), "{console}");
    for content in ["hunter2", "correct horse"] {
        assert!(!console.contains(content), "{console}");
    }
    let explained =
        sluice_tests::sluice::run(&["explain", "http://a.test/", "--sites", sluice.sites().to_str().unwrap()]);
    let explained = String::from_utf8_lossy(&explained.stdout).into_owned();
    assert!(explained.contains("sticky") && !explained.contains("hunter2"), "{explained}");
}

/// Waits until a cookie that was signed with the key of before holds no more; the one that comes instead.
#[track_caller]
fn rotated(sluice: &Sluice, before: &str) -> String {
    wait::within(wait::PATIENCE, || cookie(sluice, Some(before))).expect("the key is another one")
}

/// kubelet writes a directory with the new generation, and renames a link to it over the one of before.
#[test]
fn a_volume_of_kubernetes_is_swapped_under_it() {
    let origin = Origin::fixed("hello");
    let setup = Sluice::setup().gateway("    secrets from \"../volume\"").file("a.route", sticky(origin.addr()));
    let volume = setup.sites().join("../volume");
    let put = |generation: &str, content: &str| {
        write(&volume.join(generation).join("sticky"), content);
        symlink(generation, volume.join("..data_tmp")).unwrap();
        fs::rename(volume.join("..data_tmp"), volume.join("..data")).unwrap();
    };
    put("..2026_11_28_20_00_00.1", "hunter2 the first");
    symlink("..data/sticky", volume.join("sticky")).unwrap();
    let sluice = setup.start();
    let first = cookie(&sluice, None).expect("a visitor is told where it was");
    put("..2026_11_28_21_00_00.2", "hunter2 the second");
    fs::remove_dir_all(volume.join("..2026_11_28_20_00_00.1")).unwrap();
    let second = rotated(&sluice, &first);
    assert_eq!(cookie(&sluice, Some(&second)), None);
    assert!(!sluice.console_text().contains("hunter2"));
}

/// systemd names the directory in the environment; a refresh of credentials puts another directory in its place.
#[test]
fn credentials_of_systemd_are_another_directory_after_a_refresh() {
    let origin = Origin::fixed("hello");
    let setup = Sluice::setup().file("a.route", sticky(origin.addr()));
    let credentials = setup.sites().join("../credentials");
    write(&credentials.join("sticky"), "hunter2 the first");
    let named = credentials.to_str().unwrap().to_owned();
    let sluice = setup.variable("CREDENTIALS_DIRECTORY", &named).start();
    let first = cookie(&sluice, None).expect("a visitor is told where it was");
    let (next, before) = (sluice.sites().join("../next"), sluice.sites().join("../before"));
    write(&next.join("sticky"), "hunter2 the second");
    fs::rename(&credentials, &before).unwrap();
    fs::rename(&next, &credentials).unwrap();
    let second = rotated(&sluice, &first);
    assert_eq!(cookie(&sluice, Some(&second)), None);
    assert!(!sluice.console_text().contains("hunter2"));
}

#[test]
fn a_secret_may_stand_in_the_environment_and_a_file_comes_before_it() {
    let origin = Origin::fixed("hello");
    let setup = Sluice::setup().gateway("    secrets from \"../secrets\" env").file("a.route", sticky(origin.addr()));
    let secrets = setup.sites().join("../secrets");
    fs::create_dir(&secrets).unwrap();
    let sluice = setup.variable("SLUICE_SECRET_STICKY", "hunter2 of the environment").start();
    let first = cookie(&sluice, None).expect("a visitor is told where it was");
    assert_eq!(cookie(&sluice, Some(&first)), None);
    write(&secrets.join(".new"), "hunter2 of a file");
    fs::rename(secrets.join(".new"), secrets.join("sticky")).unwrap();
    let second = rotated(&sluice, &first);
    assert_eq!(cookie(&sluice, Some(&second)), None);
    assert!(!sluice.console_text().contains("hunter2"));
}

#[test]
fn a_secret_that_the_environment_lacks_is_asked_for_by_its_variable() {
    let origin = Origin::fixed("hello");
    let sluice = Sluice::setup().gateway("    secrets from env").file("a.route", sticky(origin.addr())).start();
    sluice.says("what is missing", |line| line.contains("secret `sticky` cannot be had"));
    let lint = sluice_tests::sluice::run(&["lint", sluice.sites().to_str().unwrap()]);
    let text = String::from_utf8_lossy(&lint.stdout).into_owned() + &String::from_utf8_lossy(&lint.stderr);
    assert!(text.contains("the environment has no variable SLUICE_SECRET_STICKY"), "{text}");
}

/// Whether a process that is aborted leaves its memory on the disk.
fn dumps(argument: Option<&str>) -> (bool, String) {
    let mut setup = Sluice::setup().dumps();
    if let Some(argument) = argument {
        setup = setup.argument(argument);
    }
    let mut sluice = setup.start();
    let limits = fs::read_to_string(format!("/proc/{}/limits", sluice.pid())).unwrap();
    let limit = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap().to_owned();
    sluice.signal("ABRT");
    (sluice.ends().core_dumped(), limit)
}

#[test]
fn memory_with_secrets_in_it_is_not_dumped() {
    let words = |limit: &str| limit.split_whitespace().skip(4).take(2).map(str::to_owned).collect::<Vec<_>>();
    let (dumped, limit) = dumps(None);
    assert!(!dumped);
    assert_eq!(words(&limit), ["0", "0"], "{limit}");
    let (dumped, limit) = dumps(Some("--core-dumps"));
    assert_eq!(words(&limit), ["unlimited", "unlimited"], "who asks for dumps has them: {limit}");
    // Whether the system then writes one is its own affair, where it hands them to a program.
    let pattern = fs::read_to_string("/proc/sys/kernel/core_pattern").unwrap();
    assert!(dumped || pattern.starts_with('|') || pattern.contains('/'), "{pattern}");
}

/// Whom the files of a process belong to, and whether another process of its user reads its environment.
fn seen_by_its_user(argument: Option<&str>) -> (u32, bool) {
    let mut setup = Sluice::setup().unprivileged().gateway("    secrets from env");
    setup = setup.variable("SLUICE_SECRET_STICKY", HELD);
    if let Some(argument) = argument {
        setup = setup.argument(argument);
    }
    let sluice = setup.file("a.route", says("a.test", "hello")).start();
    let of_process = format!("/proc/{}", sluice.pid());
    let owner = fs::metadata(format!("{of_process}/mem")).unwrap().uid();
    let read = peer::run(peer::unprivileged_command("cat", "coreutils").arg(format!("{of_process}/environ")));
    let found = String::from_utf8_lossy(&read.stdout).contains(HELD);
    assert_eq!(read.status.success(), found, "{}", String::from_utf8_lossy(&read.stderr));
    (owner, found)
}

const HELD: &str = "0123456789abcdef-in-the-environment";

#[test]
fn attack_another_process_of_the_user_reads_secrets() {
    // Not dumpable: its files in /proc are root's, whoever it runs as (proc(5)).
    assert_eq!(seen_by_its_user(None), (0, false));
    let (owner, read) = seen_by_its_user(Some("--core-dumps"));
    assert_ne!(owner, 0, "it runs as somebody else");
    assert!(read, "who asks for dumps may look");
}
