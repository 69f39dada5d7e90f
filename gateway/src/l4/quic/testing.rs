//! A client whose first packets are put together by hand.

use crate::l4::limit::LimitTable;
use crate::l4::{Counts, Route};
use crate::snapshot::{Host, Snapshot};
use crate::upstream::{EndpointHandle, Pools};
use dsl::syntax::span::Loc;
use dsl::tree::l4::{Rules, Settings, Transport};
use dsl::tree::{HostIndex, ir};
use rustls::pki_types::ServerName;
use rustls::quic::{ClientConnection, DirectionalKeys, Version};
use rustls::{ClientConfig, RootCertStore, Side, SupportedCipherSuite};
use std::path::Path;
use std::sync::Arc;

/// An endpoint of its own.
pub fn endpoint(port: u16) -> Arc<EndpointHandle> {
    let endpoint = ir::Endpoint {
        kind: ir::EndpointKind::Tcp,
        host: "127.0.0.1".into(),
        port,
        weight: 1,
        backup: false,
        loc: Loc::default(),
    };
    let pool = ir::Pool::new("p".into(), vec![endpoint], Loc::default());
    let pool = Pools::new(1).intern(&Arc::new(pool), Path::new("/"));
    Arc::clone(pool.members().endpoint(0))
}

/// The connection ID that clients of tests draw.
pub fn drawn() -> &'static [u8] {
    b"8 bytes!"
}

/// What passes these hosts on.
pub fn snapshot(hosts: &[&str]) -> Snapshot {
    let mut index = HostIndex::default();
    for host in hosts {
        let (label, parent) = host.split_once('.').expect("two labels");
        let head = ir::HostHead::Label(ir::Segment::Lit(label.into()));
        let rules = Rules { entries: Vec::new(), pools: Vec::new(), settings: Settings::of(Transport::Tcp) };
        let name = format!("passthrough {host}").into();
        let route = Route {
            limits: LimitTable::default().limits(&name, &rules, std::path::Path::new("")),
            name,
            transport: Transport::Tcp,
            listens: None,
            rules,
            pools: Vec::new(),
            dir: "/".into(),
            counts: Arc::new(Counts::new(1)),
        };
        index.insert(&ir::HostPattern { head, parent: parent.into() }, Host::Passthrough(Arc::new(route)));
    }
    Snapshot {
        generation: 1,
        hosts: index,
        default: None,
        listening: Arc::default(),
        gateway: Arc::default(),
        https_port: None,
    }
}

/// A client before its first packet.
pub struct Client {
    /// Its hello: a handshake message.
    pub hello: Vec<u8>,
    version: Version,
    drawn: &'static [u8],
    keys: DirectionalKeys,
}

impl Client {
    /// One that asks for a name.
    pub fn new(version: Version, name: &str) -> Self {
        Self::drawing(version, name, drawn())
    }

    /// One that draws another connection ID, of 8 bytes.
    pub fn drawing(version: Version, name: &str, drawn: &'static [u8]) -> Self {
        Self::with(version, name, drawn, &[1, 4, 0x80, 0, 0x75, 0x30])
    }

    /// One with these transport parameters.
    pub fn saying(version: Version, name: &str, parameters: &[u8]) -> Self {
        Self::with(version, name, drawn(), parameters)
    }

    fn with(version: Version, name: &str, drawn: &'static [u8], parameters: &[u8]) -> Self {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider).with_protocol_versions(&[&rustls::version::TLS13]);
        let mut config = builder.expect("1.3").with_root_certificates(RootCertStore::empty()).with_no_client_auth();
        config.alpn_protocols = vec![b"h3".to_vec()];
        let name = ServerName::try_from(name.to_owned()).expect("a name");
        let mut client = ClientConnection::new(Arc::new(config), version, name, parameters.to_vec()).expect("a client");
        let mut hello = Vec::new();
        client.write_hs(&mut hello);
        let SupportedCipherSuite::Tls13(suite) = rustls::crypto::aws_lc_rs::cipher_suite::TLS13_AES_128_GCM_SHA256
        else {
            panic!("a suite of TLS 1.3")
        };
        let keys = suite.quic_suite().expect("QUIC").keys(drawn, Side::Client, version).local;
        Self { hello, version, drawn, keys }
    }

    /// A datagram with one packet: these pieces of the hello in frames, padded to this length.
    pub fn initial(&self, number: u8, frames: &[(usize, usize)], length: usize) -> Vec<u8> {
        self.packet(number, frames, length)
    }

    /// The same with one frame of other bytes.
    pub fn initial_at(&self, number: u8, offset: u64, bytes: &[u8]) -> Vec<u8> {
        self.seal(number, frame(offset, bytes), 1200)
    }

    /// A packet, which is as long as it is if that is more.
    pub fn packet(&self, number: u8, frames: &[(usize, usize)], length: usize) -> Vec<u8> {
        let payload = frames.iter().map(|(from, to)| frame(*from as u64, &self.hello[*from..*to]));
        self.seal(number, payload.collect::<Vec<_>>().concat(), length)
    }

    fn seal(&self, number: u8, mut payload: Vec<u8>, length: usize) -> Vec<u8> {
        let (version, kind) = match self.version {
            Version::V2 => (0x6b33_43cf_u32, 0xd0),
            _ => (1, 0xc0),
        };
        let mut packet = vec![kind];
        packet.extend(version.to_be_bytes());
        packet.push(8);
        packet.extend(self.drawn);
        packet.push(4);
        packet.extend(b"mine");
        // No token; two bytes of length, one of the number, sixteen of the tag.
        packet.push(0);
        let around = packet.len() + 2 + 1 + 16;
        payload.resize(payload.len().max(length.saturating_sub(around)).max(4), 0);
        packet.extend((0x4000 | u16::try_from(payload.len() + 17).expect("short")).to_be_bytes());
        packet.push(number);
        let at = packet.len() - 1;
        let tag = self.keys.packet.encrypt_in_place(u64::from(number), &packet, &mut payload).expect("sealed");
        packet.extend(payload);
        packet.extend(tag.as_ref());
        let (head, tail) = packet.split_at_mut(at + 4);
        let (first, rest) = head.split_at_mut(1);
        let sample = &tail[..self.keys.header.sample_len()];
        self.keys.header.encrypt_in_place(sample, &mut first[0], &mut rest[at - 1..at]).expect("masked");
        packet
    }
}

fn frame(offset: u64, bytes: &[u8]) -> Vec<u8> {
    let mut frame = vec![6];
    frame.extend((0xc000_0000_0000_0000 | offset).to_be_bytes());
    frame.extend((0x4000 | u16::try_from(bytes.len()).expect("short")).to_be_bytes());
    frame.extend(bytes);
    frame
}
