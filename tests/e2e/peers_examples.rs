//! The examples about origins and tenants run, and show what they say: re-encryption, gRPC, a canary, certificates.

use crate::l4_examples::once;
use sluice_tests::sluice::{self, workspace};

#[test]
fn reencrypt_example() {
    let said = once("reencrypt", &["HTTP", "HTTPS", "METRICS", "LEDGER1", "LEDGER2", "STRANGER", "BOX"]);
    for wanted in [
        "ledger.internal by HTTP/2.0 and TLSv1.3, asked by CN=gateway-1.internal.",
        "https://stranger.localhost/  ",
        "certificate is for b.internal, expected ledger.internal",
        "https://box.localhost/   by HTTP/2.0 and TLSv1.3, asked by .",
        "asked by CN=gateway-2.internal.",
    ] {
        assert!(said.lines().any(|line| line.contains(wanted)), "{wanted} in\n{said}");
    }
}

#[test]
fn grpc_example() {
    let said = once("grpc", &["HTTP", "HTTPS", "METRICS", "RED", "GREEN", "BLUE"]);
    for wanted in [
        "Follow ['a lamp: packed', 'a lamp: sent', 'a lamp: delivered']",
        "Pack   a parcel with a lamp, a cable, a bulb",
        "error  INVALID_ARGUMENT - an order needs a thing",
        "spread blue 90 - failed 0",
        "grpc-status: 14",
        "503 text/html",
    ] {
        assert!(said.lines().any(|line| line.contains(wanted)), "{wanted} in\n{said}");
    }
}

#[test]
fn canary_example() {
    let names = ["HTTP", "HTTPS", "METRICS", "S1", "S2", "S3", "NEXT", "SHADOW", "SEARCH"];
    let said = once("canary", &names);
    assert_eq!(said.matches("failed 0").count(), 9, "{said}");
    assert!(said.contains("<h1>The shop is being tidied</h1>"), "{said}");
}

/// The tests that stand beside the routes pass.
#[test]
fn tests_in_the_language() {
    for example in ["reencrypt", "grpc", "canary"] {
        let sites = workspace().join("examples").join(example).join("sites");
        let output = sluice::run(&["test", sites.to_str().unwrap()]);
        let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{example}: {said}");
    }
}

/// The ten lines of the documentation are those of the example that is played.
#[test]
fn ten_lines_of_the_documentation() {
    let page = std::fs::read_to_string(workspace().join("docs/upstreams.md")).unwrap();
    let pools = std::fs::read_to_string(workspace().join("examples/canary/sites/pools.route")).unwrap();
    let from = pools.find("pool stable {").unwrap();
    let pool = &pools[from..from + pools[from..].find("\n}\n").unwrap() + 2];
    assert_eq!(pool.lines().filter(|line| line.starts_with("    ") && !line.contains("127.0.0.1")).count(), 10);
    assert!(page.contains(pool), "docs/upstreams.md does not show\n{pool}");
}

#[test]
fn tenants_example() {
    let said = once("tenants", &["HTTP", "HTTPS", "APP", "CONTROL", "ACME", "ROOTS", "DNS", "DNS_ADMIN"]);
    for wanted in ["the certificate is ordered now", "\"x-tenant\": \"globex\"", "The authority has seen 3 orders"] {
        assert!(said.contains(wanted), "{wanted} in\n{said}");
    }
}
