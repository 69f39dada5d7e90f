//! What is told to an upstream about the connection that it gets.

use super::{SIGNATURE, crc32c};
use rustls::{CipherSuite, CommonState, ProtocolVersion};
use std::net::{IpAddr, SocketAddr};

/// What an upstream is told.
#[derive(Clone, Copy, Debug)]
pub struct Told<'a> {
    /// Who connected.
    pub client: SocketAddr,
    /// What was reached.
    pub local: SocketAddr,
    /// The protocol in the hello (PP2_TYPE_ALPN).
    pub alpn: Option<&'a str>,
    /// The name in the hello (PP2_TYPE_AUTHORITY).
    pub sni: Option<&'a str>,
    /// Names this connection among all of this gateway's (PP2_TYPE_UNIQUE_ID), 128 bytes at most.
    pub id: &'a [u8],
    /// What was agreed on where TLS ended here (PP2_TYPE_SSL).
    pub secured: Option<Secured>,
}

/// What a handshake that ended here agreed on, in OpenSSL's words, which is what receivers know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Secured {
    /// `TLSv1.3`
    pub version: &'static str,
    /// `TLS_AES_128_GCM_SHA256`
    pub cipher: &'static str,
}

impl Secured {
    /// Of a finished handshake.
    #[must_use]
    pub fn of(session: &CommonState) -> Option<Self> {
        let version = match session.protocol_version()? {
            ProtocolVersion::TLSv1_3 => "TLSv1.3",
            // The server offers these two only.
            _ => "TLSv1.2",
        };
        Some(Self { version, cipher: cipher(session.negotiated_cipher_suite()?.suite()) })
    }
}

/// OpenSSL's names of what rustls agrees on.
fn cipher(suite: CipherSuite) -> &'static str {
    match suite {
        CipherSuite::TLS13_AES_128_GCM_SHA256 => "TLS_AES_128_GCM_SHA256",
        CipherSuite::TLS13_AES_256_GCM_SHA384 => "TLS_AES_256_GCM_SHA384",
        CipherSuite::TLS13_CHACHA20_POLY1305_SHA256 => "TLS_CHACHA20_POLY1305_SHA256",
        CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256 => "ECDHE-ECDSA-AES128-GCM-SHA256",
        CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384 => "ECDHE-ECDSA-AES256-GCM-SHA384",
        CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256 => "ECDHE-ECDSA-CHACHA20-POLY1305",
        // The certificates are ECDSA: nothing else is agreed on.
        _ => "unknown",
    }
}

const ALPN: u8 = 0x01;
const AUTHORITY: u8 = 0x02;
const CRC32C: u8 = 0x03;
const UNIQUE_ID: u8 = 0x05;
const SSL: u8 = 0x20;
const SSL_VERSION: u8 = 0x21;
const SSL_CIPHER: u8 = 0x23;
/// The client connected over TLS; it showed no certificate.
const CLIENT_SSL: u8 = 0x01;

/// Section 2.1: the line of text.
#[must_use]
pub fn v1(told: &Told<'_>) -> Vec<u8> {
    let (client, local) = same_family(told.client, told.local);
    let family = if client.is_ipv4() { "TCP4" } else { "TCP6" };
    let (from, to) = (client.ip(), local.ip());
    format!("PROXY {family} {from} {to} {} {}\r\n", client.port(), local.port()).into_bytes()
}

/// Section 2.2: the binary header, with its TLVs and a checksum as the last of them.
#[must_use]
pub fn v2(told: &Told<'_>) -> Vec<u8> {
    let (client, local) = same_family(told.client, told.local);
    let mut header = Vec::with_capacity(256);
    header.extend_from_slice(SIGNATURE);
    // Version 2, PROXY; a stream.
    header.extend_from_slice(&[0x21, if client.is_ipv4() { 0x11 } else { 0x21 }, 0, 0]);
    for address in [client, local] {
        match address.ip() {
            IpAddr::V4(ip) => header.extend_from_slice(&ip.octets()),
            IpAddr::V6(ip) => header.extend_from_slice(&ip.octets()),
        }
    }
    header.extend_from_slice(&client.port().to_be_bytes());
    header.extend_from_slice(&local.port().to_be_bytes());
    if let Some(alpn) = told.alpn {
        tlv(&mut header, ALPN, alpn.as_bytes());
    }
    if let Some(sni) = told.sni {
        tlv(&mut header, AUTHORITY, sni.as_bytes());
    }
    if !told.id.is_empty() {
        tlv(&mut header, UNIQUE_ID, told.id);
    }
    if let Some(secured) = told.secured {
        // Section 2.2.6: `verify` is 0 only for a client certificate that was verified.
        let mut value = vec![CLIENT_SSL, 0, 0, 0, 1];
        tlv(&mut value, SSL_VERSION, secured.version.as_bytes());
        tlv(&mut value, SSL_CIPHER, secured.cipher.as_bytes());
        tlv(&mut header, SSL, &value);
    }
    tlv(&mut header, CRC32C, &[0; 4]);
    // Names, protocols and ids are shorter than 256 bytes each: this is far below 64 KB.
    let len = ((header.len() - 16) as u16).to_be_bytes();
    header[14..16].copy_from_slice(&len);
    let sum = crc32c::end(crc32c::add(crc32c::START, &header));
    let at = header.len() - 4;
    header[at..].copy_from_slice(&sum.to_be_bytes());
    header
}

fn tlv(to: &mut Vec<u8>, kind: u8, value: &[u8]) {
    to.push(kind);
    to.extend_from_slice(&(value.len() as u16).to_be_bytes());
    to.extend_from_slice(value);
}

/// A header speaks of one family: where the two differ, the IPv4 address is written as IPv6.
fn same_family(client: SocketAddr, local: SocketAddr) -> (SocketAddr, SocketAddr) {
    let canonical = |a: SocketAddr| SocketAddr::new(a.ip().to_canonical(), a.port());
    let (client, local) = (canonical(client), canonical(local));
    if client.is_ipv4() == local.is_ipv4() {
        return (client, local);
    }
    let six = |a: SocketAddr| match a.ip() {
        IpAddr::V4(ip) => SocketAddr::new(ip.to_ipv6_mapped().into(), a.port()),
        IpAddr::V6(_) => a,
    };
    (six(client), six(local))
}
