//! Any bytes on a TLS port: measured in pieces as at once, and read without a panic when they are whole.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sluice::listen::hello::{Measure, Seen, open};

fuzz_target!(|input: &[u8]| {
    let mut measure = Measure::default();
    for shown in 1..=input.len() {
        let seen = measure.look(&input[..shown]);
        if seen == Ok(Seen::Part) {
            continue;
        }
        assert_eq!(Measure::default().look(&input[..shown]), seen);
        if seen == Ok(Seen::Whole) {
            let _ = open(&input[..shown]);
        }
        return;
    }
});
