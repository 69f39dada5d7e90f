//! A list of networks on its own: 100 000 random ones of IPv4 and IPv6. How long reading it takes, what it takes in
//! memory, and what a look-up costs, of addresses that are in one of them and of others.
#![allow(clippy::print_stdout, clippy::unwrap_used)] // a bench

use dsl::tree::ir::{KeyType, Schema, ValueType};
use dsl::tree::rows::{Rows, read};
use std::fmt::Write;
use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Instant;

const NETWORKS: usize = 100_000;
const LOOKUPS: usize = 2_000_000;

struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        (self.0 ^ (self.0 >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd) >> 8
    }
}

fn list(name: &str, network: impl Fn(&mut Random) -> (IpAddr, u8)) {
    let mut random = Random(7);
    let (mut text, mut inside) = (String::new(), Vec::new());
    for _ in 0..NETWORKS {
        let (ip, length) = network(&mut random);
        inside.push(ip);
        writeln!(text, "{ip}/{length}").unwrap();
    }
    let schema = Schema { key: KeyType::Net, value: ValueType::Nothing, among: Vec::new() };
    let begun = Instant::now();
    let rows = read(&schema, &text).unwrap();
    let took = begun.elapsed();
    let others: Vec<IpAddr> = (0..NETWORKS).map(|_| network(&mut random).0).collect();
    println!(
        "{name}: {NETWORKS} networks read in {:.1} ms, {:.1} MB; a look-up {:.0} ns (in the list), {:.0} ns (most not)",
        took.as_secs_f64() * 1e3,
        rows.bytes() as f64 / 1e6,
        looked_up(&rows, &inside),
        looked_up(&rows, &others),
    );
}

/// Nanoseconds of one look-up, of these addresses by turns.
fn looked_up(rows: &Rows, asked: &[IpAddr]) -> f64 {
    let begun = Instant::now();
    for at in 0..LOOKUPS {
        black_box(rows.find_ip(black_box(asked[at.wrapping_mul(7919) % asked.len()])));
    }
    begun.elapsed().as_nanos() as f64 / LOOKUPS as f64
}

fn main() {
    list("IPv4", |random| {
        let length = 16 + (random.next() % 17) as u8;
        let bits = random.next() as u32 & (u32::MAX << (32 - length));
        (Ipv4Addr::from(bits).into(), length)
    });
    list("IPv6", |random| {
        let length = 32 + (random.next() % 33) as u8;
        let bits = (u128::from(random.next()) << 72 | u128::from(random.next())) & (u128::MAX << (128 - length));
        (Ipv6Addr::from(bits).into(), length)
    });
}
