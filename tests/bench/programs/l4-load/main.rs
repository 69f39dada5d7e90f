//! Load and origin of the L4 cases of `tests/bench/side-by-side`: cheap beside the proxies that they measure,
//! and strict: whatever arrives is counted and compared, and one byte too few ends the run.
//!
//! ```text
//! l4-load origin IP TCP TLS UDP CERT KEY  serves on three ports, until it is ended
//! l4-load CASE PORT SECONDS CERT          loads a proxy; the last line is what was done, as JSON
//! l4-load hold tcp PORT COUNT             connections that are kept; `tls` with CERT behind it; `udp`: flows
//! l4-load flood PORT COUNT RATE           datagrams from ever new addresses; `answered` behind it
//! ```

mod bulk;
mod datagrams;
mod held;
mod origin;
mod shape;
mod streams;
mod system;
mod tls;

use std::net::{Ipv4Addr, SocketAddr};
use std::process::ExitCode;
use std::str::FromStr;
use std::time::{Duration, Instant};

/// What was done: things of the case's kind, and bytes of payload.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Done {
    /// Round trips, connections, datagrams, as the case has it.
    pub units: u64,
    /// Payload, both ways.
    pub bytes: u64,
}

/// What goes wrong, in words. A number from such a run is worse than none.
pub type Outcome<T> = Result<T, String>;

/// Where the load goes, and until when.
#[derive(Clone, Copy, Debug)]
pub struct Task {
    /// The proxy.
    pub to: SocketAddr,
    /// Nothing new is begun after it.
    pub until: Instant,
}

/// Says what failed.
pub fn because<E: std::fmt::Display>(what: &'static str) -> impl FnOnce(E) -> String {
    move |error| format!("{what}: {error}")
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let result = match arguments[..] {
        ["origin", ip, tcp, tls, udp, certificate, key] => {
            let ip = ip.parse().map_err(because("address"));
            ip.and_then(|ip| origin::run(ip, numbers([tcp, tls, udp])?, certificate, key))
        }
        ["hold", "tcp", port, count] => {
            numbers([port]).and_then(|[port]| held::connections(port, numbers([count])?[0], None))
        }
        ["hold", "tls", port, count, certificate] => {
            numbers([port]).and_then(|[port]| held::connections(port, numbers([count])?[0], Some(certificate)))
        }
        ["hold", "udp", port, count] => numbers([port]).and_then(|[port]| held::flows(port, numbers([count])?[0])),
        ["flood", port, count, rate, ref how @ ..] => numbers([port]).and_then(|[port]| {
            let [count, rate] = numbers([count, rate])?;
            held::flood(port, count, rate, how == ["answered"])
        }),
        [case, port, seconds, certificate] => load(case, port, seconds, certificate),
        _ => Err("usage: see the head of tests/bench/programs/l4-load/main.rs".into()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("l4-load: {message}");
            ExitCode::FAILURE
        }
    }
}

fn numbers<T: FromStr + Default + Copy, const N: usize>(texts: [&str; N]) -> Outcome<[T; N]> {
    let mut numbers = [T::default(); N];
    for (number, text) in numbers.iter_mut().zip(texts) {
        *number = text.parse().map_err(|_| format!("`{text}` is not a number, or too large"))?;
    }
    Ok(numbers)
}

fn load(case: &str, port: &str, seconds: &str, certificate: &str) -> Outcome<()> {
    let [port]: [u16; 1] = numbers([port])?;
    let seconds: f64 = seconds.parse().map_err(|_| format!("`{seconds}` are no seconds"))?;
    let begin = Instant::now();
    let task = Task { to: (Ipv4Addr::LOCALHOST, port).into(), until: begin + Duration::from_secs_f64(seconds) };
    let done = match case {
        "tcp-bulk-in" => bulk::load(task, bulk::Direction::In, None),
        "tcp-bulk-out" => bulk::load(task, bulk::Direction::Out, None),
        "tcp-small" => streams::small(task),
        "tcp-connect" => streams::connect(task, None),
        "pass-bulk-in" => bulk::load(task, bulk::Direction::In, Some(certificate)),
        "pass-bulk-out" => bulk::load(task, bulk::Direction::Out, Some(certificate)),
        "pass-connect" => streams::connect(task, Some(certificate)),
        "udp-small" => datagrams::small(task),
        "udp-burst-in" => datagrams::burst(task, shape::Datagram::COUNTED),
        "udp-burst-echo" => datagrams::burst(task, shape::Datagram::ECHOED),
        _ => Err(format!("no case `{case}`")),
    }?;
    println!(
        "{{\"units\": {}, \"bytes\": {}, \"seconds\": {:.3}}}",
        done.units,
        done.bytes,
        begin.elapsed().as_secs_f64()
    );
    Ok(())
}
