//! What gRPC clients send and the gateway reads: base64 in pieces, which is the same however it is cut, and
//! deadlines, which are passed on as no more than was said.

use super::{Random, cases, corpus};
use sluice::http::grpc::base64::{Decoder, encode};
use sluice::http::grpc::timeout::{parse, written};

#[track_caller]
fn holds(input: &[u8]) {
    let shown = || input.escape_ascii().to_string();
    let whole = Decoder::default().decode(input);
    for cut in 0..input.len().min(300) {
        let mut decoder = Decoder::default();
        let first = decoder.decode(&input[..cut]);
        let both = first.and_then(|first| Some([first, decoder.decode(&input[cut..])?].concat()));
        assert_eq!(both.as_deref(), whole.as_deref(), "cut at {cut}: {}", shown());
    }
    if let Some(data) = &whole
        && input.len().is_multiple_of(4)
        && !input[..input.len().saturating_sub(2)].contains(&b'=')
    {
        assert_eq!(encode(data), input, "said in one way only: {}", shown());
    }
    let mut back = Decoder::default();
    assert_eq!(back.decode(&encode(input)).as_deref(), Some(input), "{}", shown());
    assert!(back.is_whole());
    if let Some(ms) = parse(input) {
        let read = parse(written(ms).as_bytes());
        assert!(read.is_some_and(|read| read <= ms), "{}: {ms} {read:?}", shown());
    }
}

#[test]
fn corpus_and_what_comes_of_it() {
    let inputs = corpus("grpc");
    for (_, input) in &inputs {
        holds(input);
    }
    let mut random = Random(0x0067_7270_6300);
    let words = ["=", "==", "AAAA", "Zg==", "+/", "99999999", "H", "m", "u", "n", "0"];
    for _ in 0..cases() {
        let mut input = inputs[random.below(inputs.len())].1.clone();
        random.change(&mut input, &words);
        holds(&input);
    }
}
