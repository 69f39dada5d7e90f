//! Fuzzing on stable Rust: committed inputs are replayed, then changed by a generator that always
//! draws the same numbers, so that a failure comes back. `SLUICE_FUZZ_CASES` asks for more of them.

// A test fails by panicking, with the input and the reason.
#![allow(clippy::unwrap_used)]

mod bodies;
mod gate;
mod grpc;
mod hello;
mod proxy;
mod quic;
mod secrets;
mod tickets;
mod tokens;
mod users;

use std::path::{Path, PathBuf};

/// How many changed inputs are tried, where nothing else is said.
const CASES: usize = 30_000;

/// How many changed inputs are tried.
fn cases() -> usize {
    std::env::var("SLUICE_FUZZ_CASES").map_or(CASES, |n| n.parse().expect("SLUICE_FUZZ_CASES is a number"))
}

/// The committed inputs of a target, by name.
fn corpus(target: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let mut files: Vec<_> = std::fs::read_dir(directory).unwrap().map(|e| e.unwrap().path()).collect();
    files.sort();
    files.into_iter().map(|path| (path.clone(), std::fs::read(path).unwrap())).collect()
}

/// Bytes that grammars trip over.
const ODD: &[u8] = b"\0\t\n\r :;,=0159afAF\x7f\x80\xff/?%";

/// A small generator (xorshift64*).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// A number below a bound.
    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() >> 33).unwrap() % bound.max(1)
    }

    /// Changes bytes: cuts, copies, flips, and words that matter.
    fn change(&mut self, bytes: &mut Vec<u8>, words: &[&str]) {
        for _ in 0..=self.below(3) {
            let at = self.below(bytes.len() + 1);
            match self.below(6) {
                0 => drop(bytes.splice(at..at, words[self.below(words.len())].bytes())),
                1 => {
                    let end = bytes.len().min(at + self.below(6));
                    drop(bytes.drain(at..end));
                }
                2 => {
                    let end = bytes.len().min(at + self.below(40));
                    let piece = bytes[at..end].to_vec();
                    let to = self.below(bytes.len() + 1);
                    drop(bytes.splice(to..to, piece));
                }
                3 if at < bytes.len() => bytes[at] ^= 1 << self.below(8),
                4 if at < bytes.len() => bytes[at] = ODD[self.below(ODD.len())],
                _ => bytes.truncate(at),
            }
        }
    }
}
