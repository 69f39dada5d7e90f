//! `sluice lsp`, driven by the client of pygls. The cases are functions of `programs/lsp_client.py`.

use sluice_tests::peer;
use sluice_tests::sluice::{TempDir, program, workspace};
use std::time::Duration;

#[track_caller]
fn case(name: &str) {
    let folder = TempDir::new();
    let mut client = peer::python();
    client.arg(workspace().join("tests/e2e/programs/lsp_client.py")).arg(program()).arg(folder.path()).arg(name);
    client.env("XDG_CACHE_HOME", folder.path().join("cache"));
    let output = peer::run_for(&mut client, Duration::from_secs(300));
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && out.ends_with(&format!("{name}: ok\n")), "{name}:\n{out}\n{err}");
}

macro_rules! cases {
    ($($name:ident)*) => {
        $(#[test]
        fn $name() {
            case(stringify!($name));
        })*
    };
}

cases! { names renames completes findings tests formats utf8 malformed big many }
