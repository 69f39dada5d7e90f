//! `tls auto` with conditions on `tls.sni`: the name is heard before it decides.

use super::rig::*;
use dsl::tree::ir::{Cond, Field, PoolIdx, Test};
use dsl::tree::l4::{Rules, Target};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use sluice::l4::End;
use std::io::{Read, Write};
use std::sync::Arc;

/// What it is answered for a name: the first byte, or nothing.
fn asks(carrier: &Carrier, name: &str) -> Option<u8> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut roots = RootCertStore::empty();
    roots.add(carrier.ca.root().clone()).unwrap();
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = Arc::new(builder.with_root_certificates(roots).with_no_client_auth());
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let mut tls = StreamOwned::new(ClientConnection::new(config, name).unwrap(), carrier.connect());
    // Where it is refused, the handshake is through and the connection reset.
    tls.write_all(b"x").and_then(|()| tls.flush()).ok()?;
    let mut byte = [0];
    tls.read_exact(&mut byte).ok().map(|()| byte[0])
}

#[test]
fn the_name_decides_after_the_handshake() {
    let named = |name: &str| Cond::Test(Field::TlsSni, Test::OneOf(vec![name.into()]));
    let echo = to(&[echo()]);
    let mut rules = Rules {
        entries: vec![
            entry(named("db.bank.example"), Target::Pool(PoolIdx(0))),
            entry(named("old.bank.example"), Target::Deny),
        ],
        ..echo
    };
    rules.settings.tls = true;
    assert!(rules.reads_name());
    let carrier = Carrier::new(rules);
    assert_eq!(asks(&carrier, "db.bank.example"), Some(b'x'));
    assert_eq!(asks(&carrier, "old.bank.example"), None);
    carrier.ends(End::Denied);
    assert_eq!(asks(&carrier, "other.bank.example"), None);
    carrier.ends(End::NoRoute);
}
