//! `examples/saas`: people log in at its provider, and staff alone gets to the administration.

use sluice_tests::peer::{self, Peer};
use sluice_tests::ports;
use sluice_tests::sluice::{TempDir, program, workspace};

/// Goes to the administration as a browser does that keeps its cookies: to the provider, with a name, and back.
const LOGS_IN: &str = r#"
set -euo pipefail
name=$1 data=$2 jar=$2/jar-$1 url=https://shop.localhost:$3/admin/users?page=2
ours() { curl -s --cacert "$data/ca/root.crt" -b "$jar" -c "$jar" "$@"; }
asked=$(ours -o /dev/null -w '%{redirect_url}' "$url")
back=$(curl -s -o /dev/null -w '%{redirect_url}' --data-urlencode "name=$name" -d "${asked#*\?}" "${asked%%\?*}")
ours -o /dev/null -w '%{http_code} %{redirect_url}\n' "$back"
ours -w '\n%{http_code}\n' -H 'x-user: root' "$url"
ours -o /dev/null "https://shop.localhost:$3/logout"
ours -o /dev/null -w '%{http_code}\n' "$url"
"#;

#[test]
fn people_log_in_and_staff_alone_gets_in() {
    let state = TempDir::new();
    let data = state.path().join("data");
    let mut run = peer::command("bash", "bash");
    run.arg(workspace().join("examples/saas/run")).env("SLUICE", program()).env("DATA", &data);
    let https = ports::free();
    for name in ["HTTP", "APP", "API", "IDP", "ADMIN"] {
        run.env(name, ports::free().to_string());
    }
    let example = Peer::start_to_tell(run.env("HTTPS", https.to_string()));
    example.says("Ctrl-C ends all");
    let as_who = |name: &str| {
        let mut shell = peer::command("bash", "bash");
        let said = peer::succeed(shell.args(["-c", LOGS_IN, "bash", name]).arg(&data).arg(https.to_string()));
        said.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    let page = format!("303 https://shop.localhost:{https}/admin/users?page=2");
    let ann = as_who("Ann");
    assert_eq!(ann[0], page);
    assert!(ann[1].contains(r#""origin": "admin""#) && ann[1].contains(r#""x-user": "ann""#), "{ann:?}");
    assert_eq!(ann[ann.len() - 2..], ["200", "303"], "in, and out again: {ann:?}");
    let bob = as_who("Bob");
    assert_eq!([&*bob[0], &*bob[1]], [&*page, "this is for staff"]);
    assert_eq!(bob[bob.len() - 2..], ["403", "303"], "{bob:?}");
}
