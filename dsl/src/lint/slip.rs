//! Slips of the pen in names that nothing declares: headers, cookies, query fields.
//!
//! Two such names may both be meant, so only what fingers do is a slip: two letters swapped, one left out
//! or doubled inside the word. `x-client-id` is none of `x-client-ip`, and `uids` none of `uid`.

/// Shorter names are too alike to tell.
const SHORTEST: usize = 5;

/// Whether `word` is `meant` with one slip.
pub(super) fn slip(word: &str, meant: &str) -> bool {
    if word.len() < SHORTEST || meant.len() < SHORTEST || !word.is_ascii() || !meant.is_ascii() {
        return false;
    }
    let (a, b) = (word.as_bytes(), meant.as_bytes());
    match a.len().cmp(&b.len()) {
        std::cmp::Ordering::Equal => {
            let Some(first) = (0..a.len()).find(|n| a[*n] != b[*n]) else { return false };
            let swapped = first + 1 < a.len() && a[first] == b[first + 1] && a[first + 1] == b[first];
            let letters = a[first].is_ascii_alphabetic() && b[first].is_ascii_alphabetic();
            swapped && letters && a[first + 2..] == b[first + 2..]
        }
        std::cmp::Ordering::Less => one_more(b, a),
        // A letter too many is a slip where it doubles its neighbour.
        std::cmp::Ordering::Greater => one_more(a, b) && doubled(a, b),
    }
}

/// Whether the longer is the shorter and one letter inside.
fn one_more(longer: &[u8], shorter: &[u8]) -> bool {
    if longer.len() != shorter.len() + 1 {
        return false;
    }
    let at = longer.iter().zip(shorter).take_while(|(a, b)| a == b).count();
    let inside = at > 0 && at < shorter.len();
    inside && longer[at].is_ascii_alphabetic() && longer[at + 1..] == shorter[at..]
}

fn doubled(longer: &[u8], shorter: &[u8]) -> bool {
    let at = longer.iter().zip(shorter).take_while(|(a, b)| a == b).count();
    at > 0 && longer[at] == longer[at - 1]
}

#[cfg(test)]
mod tests {
    use super::slip;

    #[test]
    fn what_fingers_do_and_no_more() {
        for (word, meant) in [
            ("canray", "canary"),
            ("x-forwared-for", "x-forwarded-for"),
            ("refferer", "referer"),
            ("autorization", "authorization"),
            ("content-tpye", "content-type"),
        ] {
            assert!(slip(word, meant), "{word}");
        }
        for (word, other) in [
            ("x-client-id", "x-client-ip"),
            ("uids", "uid"),
            ("sessions", "session"),
            ("token1", "token2"),
            ("user-a", "user-b"),
            ("x-b", "b-x"),
            ("version12", "version21"),
            ("session", "session"),
        ] {
            assert!(!slip(word, other), "{word}");
        }
    }
}
