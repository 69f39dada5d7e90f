//! Load and origin of the L4 cases of `tests/bench/side-by-side`: cheap beside the proxies that they measure,
//! and strict: whatever arrives is counted and compared, and one byte too few ends the run.
//!
//! ```text
//! l4-load origin TCP TLS UDP CERT KEY     serves on three ports of 127.0.0.1, until it is ended
//! l4-load CASE PORT SECONDS CERT          loads a proxy; the last line is what was done, as JSON
//! ```

mod bulk;
mod datagrams;
mod origin;
mod shape;
mod streams;
mod system;
mod tls;

use std::net::{Ipv4Addr, SocketAddr};
use std::process::ExitCode;
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
        ["origin", tcp, tls, udp, certificate, key] => {
            ports([tcp, tls, udp]).and_then(|ports| origin::run(ports, certificate, key))
        }
        [case, port, seconds, certificate] => load(case, port, seconds, certificate),
        _ => Err("usage: l4-load origin TCP TLS UDP CERT KEY | l4-load CASE PORT SECONDS CERT".into()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("l4-load: {message}");
            ExitCode::FAILURE
        }
    }
}

fn ports<const N: usize>(texts: [&str; N]) -> Outcome<[u16; N]> {
    let mut ports = [0; N];
    for (port, text) in ports.iter_mut().zip(texts) {
        *port = text.parse().map_err(|_| format!("`{text}` is no port"))?;
    }
    Ok(ports)
}

fn load(case: &str, port: &str, seconds: &str, certificate: &str) -> Outcome<()> {
    let [port] = ports([port])?;
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
