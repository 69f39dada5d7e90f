//! Dynamic update (RFC 2136) over TCP, signed with a shared key (TSIG, RFC 8945).

use super::wire::{self, ANY, Answer, IN, NONE, SOA, TSIG, TXT, put_name, put_record, put16};
use super::{Dns01, Task, algorithm_name};
use crate::base64url::decode_copied;
use crate::secrets::Secret;
use aws_lc_rs::hmac;
use dsl::tree::ir::Tsig;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// One question and its answer.
const EXCHANGE: Duration = Duration::from_secs(10);
/// How long others may keep the record.
const TTL: u32 = 60;
/// How far clocks may be apart, seconds (RFC 8945 section 10).
const FUDGE: u16 = 300;
/// The operation: query, update.
const QUERY: u16 = 0;
const UPDATE: u16 = 5 << 11;

pub(super) struct Rfc2136 {
    server: SocketAddr,
    name: Arc<str>,
    algorithm: Tsig,
    key: hmac::Key,
}

impl Rfc2136 {
    pub(super) fn new(server: SocketAddr, name: &Arc<str>, algorithm: Tsig, secret: &Secret) -> Result<Self, String> {
        let bytes = decode_copied(secret.bytes()).filter(|bytes| !bytes.is_empty());
        let bytes = zeroize::Zeroizing::new(bytes.ok_or_else(|| "its key is no base64".to_owned())?);
        let by = match algorithm {
            Tsig::Sha256 => hmac::HMAC_SHA256,
            Tsig::Sha512 => hmac::HMAC_SHA512,
        };
        Ok(Self { server, name: Arc::clone(name), algorithm, key: hmac::Key::new(by, &bytes) })
    }

    /// Adds a TXT record, or takes it away.
    async fn update(&self, name: &str, value: &str, add: bool) -> Result<(), String> {
        let zone = self.zone_of(name).await?;
        let mut message = head(random()?, UPDATE, [1, 0, 1, 0]);
        put_name(&mut message, &zone)?;
        put16(&mut message, SOA);
        put16(&mut message, IN);
        let text = u8::try_from(value.len()).map_err(|_| "the value is too long".to_owned())?;
        let data: Vec<u8> = std::iter::once(text).chain(value.bytes()).collect();
        // RFC 2136 section 2.5: added as it is; one record of a set is taken away by its content.
        let (class, ttl) = if add { (IN, TTL) } else { (NONE, 0) };
        put_record(&mut message, name, (TXT, class, ttl), &data)?;
        let answer = self.ask(message).await?;
        match answer.rcode {
            0 => Ok(()),
            code => Err(format!("{} answered {} to the update of {zone}", self.server, rcode(code))),
        }
    }

    /// The zone that has a name: what the server says when it is asked for the start of authority there.
    async fn zone_of(&self, name: &str) -> Result<String, String> {
        let mut message = head(random()?, QUERY, [1, 0, 0, 0]);
        put_name(&mut message, name)?;
        put16(&mut message, SOA);
        put16(&mut message, IN);
        let answer = self.ask(message).await?;
        let all = answer.answers.iter().chain(&answer.authorities);
        let zone = all.clone().find(|record| record.kind == SOA).map(|record| record.name.clone());
        // NXDOMAIN names the zone too.
        match (zone, answer.rcode) {
            (Some(zone), 0 | 3) if name == zone || name.ends_with(&format!(".{zone}")) => Ok(zone),
            (_, 0 | 3) => Err(format!("{} has no zone for {name}", self.server)),
            (_, code) => Err(format!("{} answered {} when asked for the zone of {name}", self.server, rcode(code))),
        }
    }

    /// Signs a message, sends it, and verifies what comes back.
    async fn ask(&self, message: Vec<u8>) -> Result<Answer, String> {
        let exchange = async {
            let (signed, mac) = self.sign(message, now()?)?;
            let mut stream = TcpStream::connect(self.server).await.map_err(|e| e.to_string())?;
            let length = u16::try_from(signed.len()).map_err(|_| "the message is too long".to_owned())?;
            let whole = [&length.to_be_bytes()[..], &signed].concat();
            stream.write_all(&whole).await.map_err(|e| e.to_string())?;
            let length = stream.read_u16().await.map_err(|e| e.to_string())?;
            let mut answer = vec![0; usize::from(length)];
            stream.read_exact(&mut answer).await.map_err(|e| e.to_string())?;
            self.verified(&answer, &signed[..2], &mac)
        };
        match timeout(EXCHANGE, exchange).await {
            Ok(answer) => answer.map_err(|why| format!("{}: {why}", self.server)),
            Err(_) => Err(format!("{}: no answer within {} s", self.server, EXCHANGE.as_secs())),
        }
    }

    /// The message with its signature, and the signature.
    fn sign(&self, mut message: Vec<u8>, at: u64) -> Result<(Vec<u8>, Vec<u8>), String> {
        let mut signed = message.clone();
        self.variables(&mut signed, at, 0, &[])?;
        let mac = hmac::sign(&self.key, &signed);
        let mut data = Vec::new();
        put_name(&mut data, algorithm_name(self.algorithm))?;
        data.extend_from_slice(&at.to_be_bytes()[2..]);
        put16(&mut data, FUDGE);
        put16(&mut data, u16::try_from(mac.as_ref().len()).unwrap_or_default());
        data.extend_from_slice(mac.as_ref());
        data.extend_from_slice(&message[..2]);
        put16(&mut data, 0);
        put16(&mut data, 0);
        put_record(&mut message, &self.name, (TSIG, ANY, 0), &data)?;
        // One more additional record.
        let count = u16::from_be_bytes([message[10], message[11]]) + 1;
        message[10..12].copy_from_slice(&count.to_be_bytes());
        Ok((message, mac.as_ref().to_vec()))
    }

    /// What is signed beside the message (RFC 8945 section 4.3.3).
    fn variables(&self, out: &mut Vec<u8>, at: u64, error: u16, other: &[u8]) -> Result<(), String> {
        put_name(out, &self.name)?;
        put16(out, ANY);
        out.extend(0_u32.to_be_bytes());
        put_name(out, algorithm_name(self.algorithm))?;
        out.extend_from_slice(&at.to_be_bytes()[2..]);
        put16(out, FUDGE);
        put16(out, error);
        put16(out, u16::try_from(other.len()).unwrap_or_default());
        out.extend_from_slice(other);
        Ok(())
    }

    /// The answer, if it is one to our message and the server has the key.
    fn verified(&self, message: &[u8], id: &[u8], mac: &[u8]) -> Result<Answer, String> {
        let answer = wire::read(message).ok_or_else(|| "its answer makes no sense".to_owned())?;
        if answer.id.to_be_bytes() != id {
            return Err("it answered another question".to_owned());
        }
        let Some(tsig) = answer.additional.last().filter(|record| record.kind == TSIG) else {
            // Without the key it refuses, and signs nothing.
            return Err(match answer.rcode {
                0 => "its answer is not signed".to_owned(),
                code => format!("it answered {}, unsigned: does it know the key {}?", rcode(code), self.name),
            });
        };
        let tail = Tail::read(message, tsig).ok_or_else(|| "the signature of its answer makes no sense".to_owned())?;
        if tail.mac.is_empty() {
            return Err(format!("it does not take the signature by the key {}: {}", self.name, tsig_error(tail.error)));
        }
        // RFC 8945 section 5.3.1: our signature, its message without its own, its variables.
        let mut signed = u16::try_from(mac.len()).unwrap_or_default().to_be_bytes().to_vec();
        signed.extend_from_slice(mac);
        signed.extend_from_slice(&message[..tsig.at]);
        let at = 2 + mac.len();
        signed[at..at + 2].copy_from_slice(tail.original_id);
        let count = u16::from_be_bytes([message[10], message[11]]) - 1;
        signed[at + 10..at + 12].copy_from_slice(&count.to_be_bytes());
        put_name(&mut signed, &self.name)?;
        put16(&mut signed, ANY);
        signed.extend(0_u32.to_be_bytes());
        put_name(&mut signed, algorithm_name(self.algorithm))?;
        signed.extend_from_slice(tail.time_and_fudge);
        put16(&mut signed, tail.error);
        put16(&mut signed, u16::try_from(tail.other.len()).unwrap_or_default());
        signed.extend_from_slice(tail.other);
        let whole = tail.algorithm == algorithm_name(self.algorithm) && tsig.name == *self.name;
        if !whole || hmac::verify(&self.key, &signed, tail.mac).is_err() {
            return Err("the signature of its answer is not the key's".to_owned());
        }
        if tail.error != 0 {
            return Err(format!("it does not take the signature by the key {}: {}", self.name, tsig_error(tail.error)));
        }
        Ok(answer)
    }
}

/// The data of a TSIG record.
struct Tail<'m> {
    algorithm: String,
    time_and_fudge: &'m [u8],
    mac: &'m [u8],
    original_id: &'m [u8],
    error: u16,
    other: &'m [u8],
}

impl<'m> Tail<'m> {
    fn read(message: &'m [u8], record: &wire::Record) -> Option<Self> {
        let (algorithm, at) = wire::name(message, record.data.start)?;
        let data = message.get(at..record.data.end)?;
        let word = |at: usize| Some(u16::from_be_bytes(data.get(at..at + 2)?.try_into().ok()?));
        let end = 10 + usize::from(word(8)?);
        Some(Self {
            algorithm,
            time_and_fudge: data.get(..8)?,
            mac: data.get(10..end)?,
            original_id: data.get(end..end + 2)?,
            error: word(end + 2)?,
            other: data.get(end + 6..end + 6 + usize::from(word(end + 4)?))?,
        })
    }
}

/// The head of a message.
fn head(id: u16, flags: u16, counts: [u16; 4]) -> Vec<u8> {
    let mut out = Vec::with_capacity(256);
    put16(&mut out, id);
    put16(&mut out, flags);
    counts.iter().for_each(|count| put16(&mut out, *count));
    out
}

fn random() -> Result<u16, String> {
    let mut bytes = [0; 2];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| "no random numbers are to be had".to_owned())?;
    Ok(u16::from_be_bytes(bytes))
}

fn now() -> Result<u64, String> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map(|since| since.as_secs()).map_err(|_| "the clock is before 1970".to_owned())
}

/// A response code by its name (RFC 1035, RFC 2136).
fn rcode(code: u8) -> String {
    let name = match code {
        1 => "FORMERR",
        2 => "SERVFAIL",
        3 => "NXDOMAIN",
        4 => "NOTIMP",
        5 => "REFUSED",
        9 => "NOTAUTH",
        10 => "NOTZONE",
        _ => return format!("code {code}"),
    };
    name.to_owned()
}

/// What is wrong with a signature (RFC 8945 section 3).
fn tsig_error(code: u16) -> String {
    let name = match code {
        16 => "BADSIG, the key is another one",
        17 => "BADKEY, it does not know the key by this name and algorithm",
        18 => "BADTIME, its clock and ours are too far apart",
        _ => return format!("error {code}"),
    };
    name.to_owned()
}

impl Dns01 for Rfc2136 {
    fn present<'a>(&'a self, name: &'a str, value: &'a str) -> Task<'a> {
        Box::pin(self.update(name, value, true))
    }

    fn clean_up<'a>(&'a self, name: &'a str, value: &'a str) -> Task<'a> {
        Box::pin(self.update(name, value, false))
    }

    fn primary(&self) -> Option<SocketAddr> {
        Some(self.server)
    }
}
