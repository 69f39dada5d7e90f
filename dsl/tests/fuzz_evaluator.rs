//! Replays the committed corpus of the fuzz target `evaluator`, and changes of it by a generator that always
//! draws the same numbers: the compiled program and the interpreter come to the same.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "../../tests/fuzz/evaluate.rs"]
mod evaluate;

use std::path::Path;

/// How many changed inputs are tried, where `SLUICE_FUZZ_CASES` asks for no other number.
const CASES: usize = 1_500;

const WORDS: &[&str] = &[
    "{x}",
    "{x:int}",
    "/*",
    "/a",
    "\n\nGET /a",
    "else -> respond 404\n",
    " when method is POST",
    "not ",
    " or ",
    " and ",
    "header.x is \"1\"",
    "x: 1\n",
    "cookie: c=1\n",
    "%2e",
    "{x:\"[a-c]+\"}",
    "?q=1",
    " in [10.0.0.0/8]",
];

/// xorshift64*
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        usize::try_from(self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33).unwrap() % bound.max(1)
    }

    /// Puts words in, takes pieces out, says pieces twice.
    fn change(&mut self, text: &mut Vec<u8>) {
        for _ in 0..=self.below(3) {
            let at = self.below(text.len() + 1);
            let end = text.len().min(at + self.below(12));
            match self.below(4) {
                0 | 1 => drop(text.splice(at..at, WORDS[self.below(WORDS.len())].bytes())),
                2 => drop(text.drain(at..end)),
                _ => {
                    let piece = text[at..end].to_vec();
                    let to = self.below(text.len() + 1);
                    drop(text.splice(to..to, piece));
                }
            }
        }
    }
}

#[test]
fn the_corpus_and_what_comes_of_it_mean_the_same_to_both() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fuzz/corpus/evaluator");
    let mut files: Vec<_> = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let inputs: Vec<Vec<u8>> = files.iter().map(|path| std::fs::read(path).unwrap()).collect();
    let asked: Vec<usize> = inputs.iter().map(|input| evaluate::holds(&String::from_utf8_lossy(input))).collect();
    for (path, asked) in files.iter().zip(&asked) {
        assert!(*asked > 3, "{}: {asked} requests were asked", path.display());
    }
    assert!(files.len() >= 8, "the corpus is there");
    let cases = std::env::var("SLUICE_FUZZ_CASES").map_or(CASES, |n| n.parse().unwrap());
    let (mut random, mut changed) = (Random(0x6576_616c), 0);
    for _ in 0..cases {
        let mut input = inputs[random.below(inputs.len())].clone();
        random.change(&mut input);
        changed += evaluate::holds(&String::from_utf8_lossy(&input));
    }
    assert!(changed > cases, "{changed} requests of {cases} changed inputs were asked");
}
