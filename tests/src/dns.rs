//! A name server whose answers a test changes while it runs: over UDP and TCP, on one port. Written on
//! plain sockets, so that it can be wrong, late or silent.

use crate::wait::{PATIENCE, Watched};
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Record types (RFC 1035, RFC 3596, RFC 2782).
pub const A: u16 = 1;
/// See [`A`].
pub const AAAA: u16 = 28;
/// See [`A`].
pub const SRV: u16 = 33;

const SERVFAIL: u16 = 2;
const NXDOMAIN: u16 = 3;

/// How it answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mood {
    /// As it should.
    #[default]
    Well,
    /// SERVFAIL.
    Fails,
    /// Not at all.
    Silent,
    /// Over UDP with nothing but the bit that says that the answer is too large.
    Truncates,
}

/// A question that came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// The name, lower case, without a trailing dot.
    pub name: String,
    /// The record type.
    pub of: u16,
    /// Whether it came over TCP.
    pub tcp: bool,
}

/// Records of one name and type: what is in each, and how long they are good, seconds.
type Data = (Vec<Vec<u8>>, u32);

#[derive(Debug, Default)]
struct State {
    /// By name and type. A name without any does not exist.
    records: BTreeMap<(String, u16), Data>,
    mood: Mood,
    asked: Vec<Asked>,
}

/// A name server; it ends with the value.
#[derive(Debug)]
pub struct Dns {
    addr: SocketAddr,
    state: Arc<Watched<State>>,
    over: Arc<AtomicBool>,
}

impl Dns {
    /// Starts one, which knows nothing.
    #[allow(clippy::new_without_default)] // it takes resources
    pub fn start() -> Self {
        let (udp, tcp) = loop {
            let udp = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
            // The port may be taken for TCP.
            if let Ok(tcp) = TcpListener::bind(udp.local_addr().unwrap()) {
                break (udp, tcp);
            }
        };
        let addr = udp.local_addr().unwrap();
        let (state, over) = (Arc::<Watched<State>>::default(), Arc::<AtomicBool>::default());
        udp.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
        let (of, ends) = (Arc::clone(&state), Arc::clone(&over));
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while !ends.load(Ordering::Relaxed) {
                if let Ok((length, from)) = udp.recv_from(&mut buffer)
                    && let Some(answer) = answer(&of, &buffer[..length], false)
                {
                    let _ = udp.send_to(&answer, from);
                }
            }
        });
        let (of, ends) = (Arc::clone(&state), Arc::clone(&over));
        std::thread::spawn(move || {
            for stream in tcp.incoming() {
                if ends.load(Ordering::Relaxed) {
                    return;
                }
                let (of, stream) = (Arc::clone(&of), stream.unwrap());
                std::thread::spawn(move || over_tcp(&of, stream));
            }
        });
        Self { addr, state, over }
    }

    /// Where it is.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// A name has these addresses, for so many seconds. None: it does not exist.
    pub fn set(&self, name: &str, ips: &[&str], seconds: u32) {
        let ips: Vec<IpAddr> = ips.iter().map(|ip| ip.parse().unwrap()).collect();
        let data = |six: bool| {
            let of = ips.iter().filter(|ip| ip.is_ipv6() == six);
            of.map(|ip| match ip {
                IpAddr::V4(ip) => ip.octets().to_vec(),
                IpAddr::V6(ip) => ip.octets().to_vec(),
            })
            .collect::<Vec<_>>()
        };
        self.put(name, A, data(false), seconds);
        self.put(name, AAAA, data(true), seconds);
    }

    /// A service has these hosts: priority, weight, port, target.
    pub fn set_srv(&self, name: &str, all: &[(u16, u16, u16, &str)], seconds: u32) {
        let data = |(priority, weight, port, target): &(u16, u16, u16, &str)| {
            let mut data = [priority.to_be_bytes(), weight.to_be_bytes(), port.to_be_bytes()].concat();
            for label in target.split('.').filter(|label| !label.is_empty()) {
                data.push(u8::try_from(label.len()).unwrap());
                data.extend_from_slice(label.as_bytes());
            }
            data.push(0);
            data
        };
        self.put(name, SRV, all.iter().map(data).collect(), seconds);
    }

    fn put(&self, name: &str, of: u16, data: Vec<Vec<u8>>, seconds: u32) {
        self.state.change(|state| {
            if data.is_empty() {
                state.records.remove(&(name.to_owned(), of));
            } else {
                state.records.insert((name.to_owned(), of), (data, seconds));
            }
        });
    }

    /// It answers like this from now on.
    pub fn is(&self, mood: Mood) {
        self.state.change(|state| state.mood = mood);
    }

    /// What it was asked so far.
    pub fn asked(&self) -> Vec<Asked> {
        self.state.get().asked.clone()
    }

    /// Waits until a name is asked about once more.
    #[track_caller]
    pub fn is_asked_again(&self, name: &str) {
        let about = |state: &State| state.asked.iter().filter(|asked| asked.name == name).count();
        let before = about(&self.state.get());
        // Both kinds of addresses, or a service.
        let again = self.state.wait(PATIENCE, |state| (about(state) > before + 1).then_some(()));
        assert!(again.is_some(), "nobody asks about {name}");
    }
}

impl Drop for Dns {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        // Wakes who accepts.
        let _ = TcpStream::connect(self.addr);
    }
}

fn over_tcp(state: &Watched<State>, mut stream: TcpStream) {
    let _ = stream.set_read_timeout(Some(Duration::from_secs(10)));
    let mut length = [0; 2];
    while stream.read_exact(&mut length).is_ok() {
        let mut query = vec![0; usize::from(u16::from_be_bytes(length))];
        if stream.read_exact(&mut query).is_err() {
            return;
        }
        let Some(answer) = answer(state, &query, true) else { continue };
        let length = u16::try_from(answer.len()).unwrap().to_be_bytes();
        if stream.write_all(&[&length[..], &answer].concat()).is_err() {
            return;
        }
    }
}

/// The answer to a query; `None` where there is none.
fn answer(state: &Watched<State>, query: &[u8], tcp: bool) -> Option<Vec<u8>> {
    let (name, end) = question(query)?;
    let of = u16::from_be_bytes([query[end], query[end + 1]]);
    let (mood, exists, found) = state.change(|state| {
        state.asked.push(Asked { name: name.clone(), of, tcp });
        let exists = state.records.keys().any(|(known, _)| *known == name);
        (state.mood, exists, state.records.get(&(name, of)).cloned().unwrap_or_default())
    });
    let (data, seconds) = match mood {
        Mood::Silent => return None,
        Mood::Well => found,
        Mood::Truncates if tcp => found,
        Mood::Fails | Mood::Truncates => Default::default(),
    };
    let code = match mood {
        Mood::Fails => SERVFAIL,
        _ if !exists => NXDOMAIN,
        _ => 0,
    };
    // A response; recursion was wanted and is to be had.
    let flags = 0x8180 | code | if mood == Mood::Truncates && !tcp { 0x0200 } else { 0 };
    let mut answer = query[..2].to_vec();
    for number in [flags, 1, u16::try_from(data.len()).unwrap(), 0, 0] {
        answer.extend_from_slice(&number.to_be_bytes());
    }
    answer.extend_from_slice(&query[12..end + 4]);
    for one in data {
        // The name of the question, once more; class IN.
        answer.extend_from_slice(&[0xc0, 12]);
        answer.extend_from_slice(&of.to_be_bytes());
        answer.extend_from_slice(&1_u16.to_be_bytes());
        answer.extend_from_slice(&seconds.to_be_bytes());
        answer.extend_from_slice(&u16::try_from(one.len()).unwrap().to_be_bytes());
        answer.extend_from_slice(&one);
    }
    Some(answer)
}

/// The name that is asked about, and where its type begins.
fn question(query: &[u8]) -> Option<(String, usize)> {
    let mut labels = Vec::new();
    let mut at = 12;
    loop {
        let length = usize::from(*query.get(at)?);
        at += 1;
        if length == 0 {
            break;
        }
        labels.push(String::from_utf8(query.get(at..at + length)?.to_ascii_lowercase()).ok()?);
        at += length;
    }
    (query.len() >= at + 4).then(|| (labels.join("."), at))
}
