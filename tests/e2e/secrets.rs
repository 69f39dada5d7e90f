//! Secrets, from outside: files wait for them, they rotate, and nobody reads them anywhere.

use sluice_tests::origin::Origin;
use sluice_tests::sluice::Sluice;
use std::net::SocketAddr;

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
