//! The examples run, show what they say, and leave nothing behind: those about L4 here, others use [`once`].

use sluice_tests::peer::{self, Peer};
use sluice_tests::sluice::{TempDir, program, workspace};
use sluice_tests::{ports, wait};
use std::net::{TcpStream, UdpSocket};
use std::process::Command;
use std::time::Duration;

/// Runs an example once, on free ports: what it printed. Nothing listens on its ports afterwards.
#[track_caller]
pub fn once(example: &str, names: &[&str]) -> String {
    let state = TempDir::new();
    let ports: Vec<u16> = names.iter().map(|_| ports::free()).collect();
    let mut command = Command::new(workspace().join("examples").join(example).join("run"));
    command.arg("--once").env("SLUICE", program()).env("DATA", state.path().join("data"));
    command.env("TMPDIR", state.path()).env("PYTHON", peer::python().get_program());
    for (name, port) in names.iter().zip(&ports) {
        command.env(name, port.to_string());
    }
    let output = peer::run_for(&mut command, Duration::from_secs(60));
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && said.contains("All of it works."), "{}: {said}", output.status);
    for port in ports {
        wait::until("its ports are free", || {
            let free = TcpStream::connect(("127.0.0.1", port)).is_err() && UdpSocket::bind(("127.0.0.1", port)).is_ok();
            free.then_some(())
        });
    }
    let left: Vec<_> = std::fs::read_dir(state.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left, ["data"], "what it needed for a while is gone");
    said
}

#[test]
fn passthrough_example() {
    let names = ["HTTP", "HTTPS", "METRICS", "PG", "MQTT", "PG_ORIGIN", "MQTT_ORIGIN", "VAULT_ORIGIN"];
    let said = once("passthrough", &names);
    for wanted in [
        "TLS ended at the gateway",
        "TLS ended at the vault, for vault.localhost",
        "TLS is mine, TLSv1.3",
        "hello, broker",
    ] {
        assert!(said.lines().any(|line| line.contains(wanted)), "{wanted} in\n{said}");
    }
    assert!(said.contains("\"sni\":\"db.localhost\""), "{said}");
}

#[test]
fn udp_game_example() {
    let said = once("udp-game", &["HTTP", "HTTPS", "METRICS", "GAME", "RED", "GREEN", "BLUE"]);
    let players = |name: &str| {
        let lines = said.lines().filter_map(|line| line.trim_start().strip_prefix(name));
        lines.map(|line| line.split_whitespace().count()).collect::<Vec<_>>()
    };
    let (red, green, blue) = (players("red"), players("green"), players("blue"));
    assert_eq!(red[1], 0, "nobody plays on a dead server\n{said}");
    assert_eq!(green[0] + blue[0] + red[0], green[1] + blue[1], "{said}");
    assert_eq!((red[0], green[0], blue[0]), (red[2], green[2], blue[2]), "{said}");
    let moved = format!("moved: {} of 24", red[0]);
    assert!(said.contains(&moved), "{moved} in\n{said}");
}

/// `run` without a word stays until it is told to end, and ends everything with it.
#[test]
fn example_that_stays_ends_with_all_that_it_started() {
    let state = TempDir::new();
    let names = ["HTTP", "HTTPS", "METRICS", "GAME", "RED", "GREEN", "BLUE"];
    let ports: Vec<u16> = names.iter().map(|_| ports::free()).collect();
    let mut command = Command::new(workspace().join("examples/udp-game/run"));
    command.env("SLUICE", program()).env("DATA", state.path().join("data")).env("TMPDIR", state.path());
    for (name, port) in names.iter().zip(&ports) {
        command.env(name, port.to_string());
    }
    let running = Peer::start(&mut command);
    wait::within(Duration::from_secs(60), || running.console_text().contains("Ctrl-C ends all").then_some(()))
        .unwrap_or_else(|| panic!("{}", running.console_text()));
    let told = Command::new("kill").args(["-TERM", &running.pid().to_string()]).status().unwrap();
    assert!(told.success());
    let (ok, said) = running.ends();
    assert!(ok, "{said}");
    for port in ports {
        wait::until("its ports are free", || UdpSocket::bind(("127.0.0.1", port)).is_ok().then_some(()));
    }
}
