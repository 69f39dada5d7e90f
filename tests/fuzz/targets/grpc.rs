//! Any bytes where gRPC-Web sends base64, and where a deadline stands.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sluice::http::grpc::base64::{Decoder, encode};
use sluice::http::grpc::timeout::{parse, written};

fuzz_target!(|input: &[u8]| {
    let mut decoder = Decoder::default();
    let whole = decoder.decode(input);
    for cut in 0..input.len().min(300) {
        let mut decoder = Decoder::default();
        let first = decoder.decode(&input[..cut]);
        let both = first.and_then(|first| Some([first, decoder.decode(&input[cut..])?].concat()));
        assert_eq!(both.as_deref(), whole.as_deref());
    }
    let mut back = Decoder::default();
    assert_eq!(back.decode(&encode(input)).as_deref(), Some(input));
    assert!(back.is_whole());
    if let Some(ms) = parse(input) {
        assert!(parse(written(ms).as_bytes()).is_some_and(|read| read <= ms));
    }
});
