//! A real sshd through `tcp`: a command, and files both ways.

use sluice_tests::peer::{self, Peer};
use sluice_tests::sluice::TempDir;
use sluice_tests::{Sluice, ports, wait};
use std::fmt::Write as _;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::process::Command;

struct Sshd {
    addr: SocketAddr,
    dir: TempDir,
    _peer: Peer,
}

impl Sshd {
    #[track_caller]
    fn start() -> Self {
        let dir = TempDir::new();
        for key in ["host", "user"] {
            let mut keygen = peer::command("ssh-keygen", "openssh-client");
            peer::succeed(keygen.args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(dir.path().join(key)));
        }
        let sshd = peer::program("sshd", "openssh-server");
        let root = peer::unprivileged().is_some();
        if root {
            // Where root's sshd locks in the part of it that speaks with strangers.
            fs::create_dir_all("/run/sshd").unwrap();
        }
        let addr = SocketAddr::from((Ipv4Addr::LOCALHOST, ports::free()));
        let d = dir.path().display();
        let config = format!(
            "ListenAddress {addr}\nHostKey {d}/host\nAuthorizedKeysFile {d}/user.pub\nPidFile none\nStrictModes no\n\
             PasswordAuthentication no\nKbdInteractiveAuthentication no\nUsePAM {}\nLogLevel VERBOSE\n\
             Subsystem sftp internal-sftp\n",
            if root { "yes" } else { "no" }
        );
        fs::write(dir.path().join("sshd_config"), config).unwrap();
        // sshd starts itself again for each connection, by its absolute path.
        let peer = Peer::start(Command::new(sshd).args(["-D", "-e", "-f"]).arg(dir.path().join("sshd_config")));
        Self { addr, _peer: peer.listens(addr), dir }
    }

    /// The options of a client that trusts this server only, at a port.
    fn options(&self, port: u16) -> Vec<String> {
        let host = fs::read_to_string(self.dir.path().join("host.pub")).unwrap();
        let known = self.dir.path().join(format!("known-{port}"));
        fs::write(&known, format!("[127.0.0.1]:{port} {host}")).unwrap();
        let settings = [
            "BatchMode=yes".to_owned(),
            "StrictHostKeyChecking=yes".to_owned(),
            format!("UserKnownHostsFile={}", known.display()),
            "GlobalKnownHostsFile=none".to_owned(),
            "IdentitiesOnly=yes".to_owned(),
            format!("IdentityFile={}", self.dir.path().join("user").display()),
            "ConnectTimeout=10".to_owned(),
            format!("Port={port}"),
        ];
        let none = ["-F".to_owned(), "none".to_owned()];
        none.into_iter().chain(settings.into_iter().flat_map(|s| ["-o".to_owned(), s])).collect()
    }
}

#[test]
fn ssh_runs_a_command_and_scp_copies_both_ways() {
    let sshd = Sshd::start();
    let port = ports::free();
    let route = format!("pool ssh = {}\ntcp 127.0.0.1:{port} -> ssh\n", sshd.addr);
    let sluice = Sluice::with(route);
    wait::until("the listener opens", || TcpStream::connect(("127.0.0.1", port)).ok());
    let options = sshd.options(port);
    let user = peer::succeed(Command::new("id").arg("-un"));
    let target = format!("{}@127.0.0.1", user.trim());

    let mut ssh = peer::command("ssh", "openssh-client");
    let said = peer::succeed(ssh.args(&options).arg(&target).arg("echo $((6 * 7)); exec cat /etc/hostname"));
    assert_eq!(said, format!("42\n{}", fs::read_to_string("/etc/hostname").unwrap()));

    // An exit status comes back too.
    let mut ssh = peer::command("ssh", "openssh-client");
    let output = peer::run(ssh.args(&options).arg(&target).arg("echo on-stderr >&2; exit 7"));
    assert_eq!(output.status.code(), Some(7), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("on-stderr"));

    let mut text = String::new();
    for i in 0..600_000_u64 {
        let _ = write!(text, "{:x} ", i.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    }
    let there = sshd.dir.path().join("there");
    let (here, back) = (sshd.dir.path().join("here"), sshd.dir.path().join("back"));
    fs::write(&here, &text).unwrap();
    let remote = format!("{target}:{}", there.display());
    peer::succeed(peer::command("scp", "openssh-client").args(&options).arg(&here).arg(&remote));
    peer::succeed(peer::command("scp", "openssh-client").args(&options).arg(&remote).arg(&back));
    let sums = peer::succeed(Command::new("sha256sum").args([&here, &there, &back]));
    let hashes: Vec<&str> = sums.lines().map(|line| line.split(' ').next().unwrap()).collect();
    assert!(hashes.len() == 3 && hashes.iter().all(|h| *h == hashes[0]), "{sums}");

    let size = text.len() as u64;
    let sent = sluice.record("the copy there", |r| r["bytes_in"].as_u64() > Some(size));
    let read = sluice.record("the copy back", |r| r["bytes_out"].as_u64() > Some(size));
    for record in [sent, read] {
        assert_eq!(record["endpoint"], sshd.addr.to_string(), "{record}");
        assert_eq!(record["route"], format!("tcp 127.0.0.1:{port}"), "{record}");
    }
}
