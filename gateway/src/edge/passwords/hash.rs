//! Whether a password is the one that was hashed.

use super::apr1;
use crate::secrets::equal;
use argon2::{Algorithm, Argon2, Params, Version};
use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use dsl::tree::base64;
use dsl::tree::users::Hash;

/// Bytes of a password that bcrypt looks at.
const BCRYPT_BYTES: usize = 72;

/// Whether a password is the one that was hashed. It takes as long as whoever made the hash wished, up to a second,
/// and does not depend on where hashes differ.
pub(super) fn verifies(hash: &Hash, password: &[u8]) -> bool {
    match hash {
        Hash::Argon2id { memory, passes, lanes, salt, hash } => {
            let Ok(params) = Params::new(*memory, *passes, *lanes, Some(hash.len())) else { return false };
            let mut made = vec![0; hash.len()];
            let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
            argon2.hash_password_into(password, salt, &mut made).is_ok() && equal(&made, hash)
        }
        // What goes beyond would not be looked at: every password that begins alike would be right.
        Hash::Bcrypt(text) => {
            let (first, fits) = match password.get(..BCRYPT_BYTES) {
                Some(first) => (first, password.len() == BCRYPT_BYTES),
                None => (password, true),
            };
            bcrypt::verify(first, text).unwrap_or(false) & fits
        }
        Hash::Apr1 { salt, hash } => equal(apr1::hash(password, salt.as_bytes()).as_bytes(), hash.as_bytes()),
        Hash::Sha1(sum) => equal(digest(&SHA1_FOR_LEGACY_USE_ONLY, password).as_ref(), sum),
    }
}

/// The text of a new hash of a password; `None` where it cannot be made.
pub(super) fn make(password: &[u8], salt: &[u8; 16]) -> Option<String> {
    let mut made = [0; Params::DEFAULT_OUTPUT_LEN];
    let (memory, passes, lanes) = (Params::DEFAULT_M_COST, Params::DEFAULT_T_COST, Params::DEFAULT_P_COST);
    let params = Params::new(memory, passes, lanes, Some(made.len())).ok()?;
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params).hash_password_into(password, salt, &mut made).ok()?;
    let (salt, hash) = (base64::encode_bare(salt), base64::encode_bare(&made));
    Some(format!("$argon2id$v=19$m={memory},t={passes},p={lanes}${salt}${hash}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(text: &str, password: &str) -> bool {
        verifies(&Hash::read(text).expect("a hash"), password.as_bytes())
    }

    #[test]
    fn what_others_hashed_is_verified() {
        // RFC 9106's reference program: `echo -n password | argon2 somesalt -id -t 2 -k 64 -p 1 -l 24 -e`, and bcrypt of
        // Openwall's test vectors.
        let vectors = [
            ("$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW", "U*U"),
            ("$2y$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW", "U*U"),
            ("$apr1$r31.....$HqJZimcKQFAMYayBlzkrA/", "myPassword"),
            ("{SHA}0vxRJJChUDZGC1SJQBQ51tpUB/o=", "pencil"),
        ];
        for (text, password) in vectors {
            assert!(holds(text, password), "{text}");
            for other in ["", "x", &format!("{password} "), &password.to_uppercase().replace("U*U", "u*u")] {
                assert!(!holds(text, other), "{text} {other:?}");
            }
        }
    }

    #[test]
    fn what_is_made_here_is_verified_here() {
        let text = make(b"pencil", b"0123456789abcdef").expect("a hash");
        assert!(text.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{text}");
        assert!(holds(&text, "pencil") && !holds(&text, "pencils"));
    }

    #[test]
    fn attack_bcrypt_truncation() {
        let longest = "p".repeat(BCRYPT_BYTES);
        let text = bcrypt::hash(&longest, 4).expect("a hash");
        assert!(holds(&text, &longest));
        // All of these begin with the right one, and bcrypt by itself looks no further.
        for longer in ["x", "p", "\u{e9}", &"p".repeat(72)] {
            assert!(!holds(&text, &format!("{longest}{longer}")), "{longer}");
        }
        assert!(!holds(&text, &longest[1..]));
    }
}
