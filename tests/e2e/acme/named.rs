//! Dynamic update against BIND: the record is put in place and taken away, by whoever has the key.

use super::{Front, Said, authority, failed, is_good, via_corp};
use dsl::tree::ir::{DnsProvider, Tsig};
use sluice::tls::acme::Cause;
use sluice_tests::pebble::Pebble;
use sluice_tests::sluice::TempDir;
use sluice_tests::{ports, wait};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};

const ZONE: &str = "sluice-tests.net";
/// 32 bytes in base64.
const KEY: &str = "c2x1aWNlLXRlc3RzLXNoYXJlZC1rZXktMzItYnl0ZXM=";

struct Named {
    child: Child,
    dir: TempDir,
    address: SocketAddr,
}

impl Named {
    fn start(algorithm: &str) -> Self {
        let dir = TempDir::new();
        let path = dir.path().display().to_string();
        let zone = format!(
            "$TTL 60\n@ IN SOA ns.{ZONE}. ops.{ZONE}. 1 3600 600 86400 60\n@ IN NS ns.{ZONE}.\nns IN A 127.0.0.1\n* IN A 127.0.0.1\n"
        );
        std::fs::write(dir.path().join("zone"), zone).unwrap();
        for _ in 0..5 {
            let address = SocketAddr::from(([127, 0, 0, 1], ports::free()));
            let config = format!(
                "key \"sluice\" {{ algorithm {algorithm}; secret \"{KEY}\"; }};\n\
                 options {{ directory \"{path}\"; pid-file none; session-keyfile none; listen-on port {port} {{ 127.0.0.1; }};\n\
                 listen-on-v6 {{ none; }}; recursion no; dnssec-validation no; allow-update {{ none; }}; }};\n\
                 controls {{ }};\n\
                 zone \"{ZONE}\" {{ type primary; file \"{path}/zone\"; allow-update {{ key \"sluice\"; }}; }};\n",
                port = address.port()
            );
            let file = dir.path().join("named.conf");
            std::fs::write(&file, config).unwrap();
            let log = std::fs::File::create(dir.path().join("named.log")).unwrap();
            let mut command = Command::new("named");
            command.arg("-g").arg("-c").arg(&file).args(["-n", "1"]);
            // Debian has it where only root's shell looks.
            command.env("PATH", format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default()));
            command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
            let mut child = command.spawn().expect("`named` is installed by tests/run");
            let up = wait::within(wait::PATIENCE, || match child.try_wait().unwrap() {
                Some(_) => Some(false),
                None => TcpStream::connect(address).is_ok().then_some(true),
            });
            if up == Some(true) {
                return Self { child, dir, address };
            }
            let _ = child.kill();
            let _ = child.wait();
        }
        panic!("named does not start:\n{}", std::fs::read_to_string(dir.path().join("named.log")).unwrap_or_default());
    }

    fn txt(&self, name: &str) -> String {
        let port = self.address.port().to_string();
        let out = Command::new("dig").args(["+short", "@127.0.0.1", "-p", &port, "TXT", name]).output().unwrap();
        String::from_utf8(out.stdout).unwrap()
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("named.log")).unwrap_or_default()
    }
}

impl Drop for Named {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn provider(server: SocketAddr, name: &str, algorithm: Tsig) -> DnsProvider {
    DnsProvider::Rfc2136 { server, name: name.into(), algorithm, key: Some("tsig".into()), wait: None }
}

#[tokio::test]
async fn wildcards_by_both_algorithms() {
    let front = Front::start().await;
    for (algorithm, word) in [(Tsig::Sha256, "hmac-sha256"), (Tsig::Sha512, "hmac-sha512")] {
        let named = Named::start(word);
        let pebble = Pebble::setup().asking(named.address).start();
        let mut said = Said::of(vec![authority(&pebble.directory(), Some(&pebble.root()))])
            .provider(provider(named.address, "sluice", algorithm))
            .secret("tsig", &format!("{KEY}\n"));
        said.resolver = vec![named.address];
        for name in [format!("*.{ZONE}"), format!("deep.down.{ZONE}")] {
            let issued = said.issuers(&front.board).issue(&via_corp(&name)).await;
            let issued = issued.unwrap_or_else(|why| panic!("{why}\n{}", named.log()));
            is_good(&issued, &name, &pebble.issued_root());
        }
        assert!(named.log().contains("adding an RR at '_acme-challenge.sluice-tests.net' TXT"), "{}", named.log());
        assert_eq!(named.txt("_acme-challenge.sluice-tests.net"), "", "it is taken away");
        assert_eq!(named.txt("_acme-challenge.deep.down.sluice-tests.net"), "");
    }
}

#[tokio::test]
async fn who_has_another_key_is_told_so() {
    let front = Front::start().await;
    let named = Named::start("hmac-sha256");
    let pebble = Pebble::setup().asking(named.address).start();
    let with = |name: &str, algorithm, key: &str, domain: &str| {
        let said = Said::of(vec![authority(&pebble.directory(), Some(&pebble.root()))])
            .provider(provider(named.address, name, algorithm))
            .secret("tsig", key);
        let (issuers, order) = (said.issuers(&front.board), via_corp(domain));
        async move { failed(issuers.issue(&order).await) }
    };
    let zone = format!("*.{ZONE}");
    let other = "b3RoZXItdGVzdHMtc2hhcmVkLWtleS0zMi1ieXRlcyE=";
    let why = with("sluice", Tsig::Sha256, other, &zone).await;
    assert!(why.kind == Cause::Ours && why.said.contains("BADSIG"), "{why:?}");
    let why = with("nobody", Tsig::Sha256, KEY, &zone).await;
    assert!(why.said.contains("BADKEY"), "{why}");
    let why = with("sluice", Tsig::Sha256, KEY, "*.sluice-elsewhere.net").await;
    assert!(why.said.contains("REFUSED") || why.said.contains("has no zone"), "{why}");
    let why = with("sluice", Tsig::Sha256, "no base64!", &zone).await;
    assert!(why.said.contains("no base64") && !why.said.contains("base64!"), "{why}");
    assert_eq!(named.txt("_acme-challenge.sluice-tests.net"), "");
}
