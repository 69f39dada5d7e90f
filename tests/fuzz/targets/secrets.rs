//! Any bytes as a secret that is to be keys.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let _ = sluice::edge::unfit(input);
});
