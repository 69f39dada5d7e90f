//! Any route file and requests: the compiled program and the interpreter come to the same.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../evaluate.rs"]
mod evaluate;

fuzz_target!(|input: &str| {
    evaluate::holds(input);
});
