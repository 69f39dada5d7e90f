//! Any bytes where a PROXY header is awaited: the header found does not depend on the pieces they come in.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sluice::l4::proxy_header::{MAX, Step, parse};

fuzz_target!(|input: &[u8]| {
    let whole = parse(input);
    for cut in 0..input.len().min(600) {
        let seen = parse(&input[..cut]);
        match whole {
            Ok(Step::Whole(_, len)) => assert_eq!(seen == Ok(Step::More), cut < len),
            Ok(Step::More) => assert_eq!(seen, Ok(Step::More)),
            Err(_) => assert!(!matches!(seen, Ok(Step::Whole(..)))),
        }
    }
    if let Ok(Step::Whole(_, len)) = whole {
        assert!(len <= input.len() && len <= MAX);
    }
});
