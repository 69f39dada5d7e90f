//! Apache's variant of MD5 crypt, `$apr1$`: what `htpasswd` writes unless it is told otherwise.
//!
//! As in Apache's `apr_md5_encode`, which took it from FreeBSD's crypt(3).

use md5::{Digest, Md5};

const LETTERS: &[u8; 64] = b"./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const ROUNDS: usize = 1000;
/// Which bytes of the sum stand together in the text.
const GROUPS: [[usize; 3]; 5] = [[0, 6, 12], [1, 7, 13], [2, 8, 14], [3, 9, 15], [4, 10, 5]];

/// The 22 letters of a password with a salt of 8 bytes at most.
pub(super) fn hash(password: &[u8], salt: &[u8]) -> String {
    let inner: [u8; 16] = Md5::new().chain_update(password).chain_update(salt).chain_update(password).finalize().into();
    let mut first = Md5::new().chain_update(password).chain_update(b"$apr1$").chain_update(salt);
    for at in (0..password.len()).step_by(16) {
        first.update(&inner[..(password.len() - at).min(16)]);
    }
    let mut length = password.len();
    while length > 0 {
        first.update(if length & 1 == 1 { &[0] } else { password.get(..1).unwrap_or_default() });
        length >>= 1;
    }
    let mut sum: [u8; 16] = first.finalize().into();
    for round in 0..ROUNDS {
        let odd = round % 2 == 1;
        let mut next = Md5::new().chain_update(if odd { password } else { &sum });
        if round % 3 != 0 {
            next.update(salt);
        }
        if round % 7 != 0 {
            next.update(password);
        }
        next.update(if odd { &sum[..] } else { password });
        sum = next.finalize().into();
    }
    let mut text = String::with_capacity(22);
    let mut letters = |mut value: usize, count: usize| {
        for _ in 0..count {
            text.push(char::from(LETTERS[value & 63]));
            value >>= 6;
        }
    };
    for [a, b, c] in GROUPS {
        letters(usize::from(sum[a]) << 16 | usize::from(sum[b]) << 8 | usize::from(sum[c]), 4);
    }
    letters(usize::from(sum[11]), 2);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_openssl_and_htpasswd_write_it() {
        // `openssl passwd -apr1 -salt … …`
        for (password, salt, text) in [
            ("myPassword", "r31.....", "HqJZimcKQFAMYayBlzkrA/"),
            ("x", "a", "CwOs8ZUV1Vmp.iAwImfTn1"),
            ("a very long password of more than thirty-two bytes", "abcdefgh", "131pFbHdAEp0PWoC5AKN1/"),
        ] {
            assert_eq!(hash(password.as_bytes(), salt.as_bytes()), text, "{password}");
        }
    }
}
