//! Secrets that are to be keys: whatever stands in the file, it is keys or it is said why not, and the words have
//! nothing of it in them.

use super::{Random, cases, corpus};
use sluice::edge::unfit;

/// Looks at a secret; whether it can be gone by.
#[track_caller]
fn fits(input: &[u8]) -> bool {
    let Some(why) = unfit(input) else { return true };
    let shown = |line: &[u8]| line.len() > 3 && why.as_bytes().windows(line.len()).any(|part| part == line);
    // Words that are said of secrets without this line are ours.
    let others: Vec<String> =
        [&b"~"[..], b"", b"-----BEGIN PUBLIC KEY-----\n~\n"].into_iter().filter_map(unfit).collect();
    let ours = |line: &[u8]| others.iter().any(|said| said.as_bytes().windows(line.len()).any(|part| part == line));
    let told = input.split(|b| *b == b'\n').map(<[u8]>::trim_ascii).find(|line| shown(line) && !ours(line));
    assert_eq!(told.map(<[u8]>::escape_ascii).map(|text| text.to_string()), None, "{why}");
    false
}

#[test]
fn corpus_and_what_comes_of_it() {
    let inputs = corpus("secrets");
    for (path, input) in &inputs {
        let good = path.file_name().unwrap().to_str().unwrap().starts_with("good");
        assert_eq!(fits(input), good, "{}", path.display());
    }
    let mut random = Random(0x6b65_7973);
    let words =
        ["-----BEGIN PUBLIC KEY-----\n", "-----END PUBLIC KEY-----\n", "-----BEGIN", "MFkw", "=", "\n\n", "\r\n"];
    let mut refused = 0;
    for _ in 0..cases() {
        let mut input = inputs[random.below(inputs.len())].1.clone();
        random.change(&mut input, &words);
        refused += usize::from(!fits(&input));
    }
    assert!(refused > cases() / 10, "only {refused} were refused");
}
