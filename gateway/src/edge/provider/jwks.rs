//! A set of keys as a provider publishes it (RFC 7517, RFC 7518 section 6, RFC 8037): those of it that verify tokens.
//!
//! A key is taken for what all of it agrees on: its kind and curve, and where they are there, `alg`, `use` and
//! `key_ops`. One that says two things is none. Keys of other kinds are left alone; a secret key (`oct`, or the
//! private part of a pair) is refused, for everybody can read it here.

use crate::base64url;
use crate::edge::json::{Json, Object, object};
use crate::edge::keys::Key;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ED25519, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256, RSA_PSS_2048_8192_SHA256,
    VerificationAlgorithm,
};
use dsl::tree::ir::Algorithm;
use std::sync::Arc;

/// Keys that are taken of a set; further ones are not looked at.
const MOST: usize = 64;
/// Bits of the modulus of an RSA key: fewer can be factored, more take too long.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=8192;
/// Parts of keys that nobody else may know.
const PRIVATE: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];

/// A key, and what a token calls it.
pub(super) struct Named {
    pub(super) kid: Option<Arc<str>>,
    pub(super) algorithms: Vec<Algorithm>,
    pub(super) key: Key,
}

/// Bytes that are said of keys that are not used, about.
const MOST_SAID: usize = 500;

/// What was read of a set.
pub(super) struct Read {
    pub(super) keys: Vec<Named>,
    /// What is wrong with keys that were not taken, for the operator.
    pub(super) trouble: Option<String>,
}

/// The keys of a set.
///
/// # Errors
/// When the text is none, in words.
pub(super) fn read(text: &[u8]) -> Result<Read, String> {
    let set = object(text).ok_or("it is no JSON object, or one of its objects has a name twice")?;
    let Some(Json::List(all)) = set.get("keys") else { return Err("it has no list `keys`".to_owned()) };
    let mut read = Read { keys: Vec::new(), trouble: None };
    let mut seen: Vec<(Option<Arc<str>>, Vec<u8>)> = Vec::new();
    for one in all.iter().take(MOST) {
        let Json::Object(one) = one else { return Err("`keys` has something that is no key".to_owned()) };
        match key(one) {
            Ok(Some((named, bytes))) => {
                // The same key twice is one.
                let same = (named.kid.clone(), bytes);
                if !seen.contains(&same) {
                    seen.push(same);
                    read.keys.push(named);
                }
            }
            Ok(None) => {}
            Err(why) => {
                let kid = one.text("kid").filter(|kid| kid.len() <= 64).map_or("without `kid`", |kid| kid);
                let kid: String = kid.chars().filter(|c| !c.is_control()).collect();
                let said = format!("a key of it ({kid}) is not used: {why}");
                match &mut read.trouble {
                    None => read.trouble = Some(said),
                    Some(all) if all.len() < MOST_SAID => *all = format!("{all}; {said}"),
                    Some(_) => {}
                }
            }
        }
    }
    Ok(read)
}

/// A key that verifies tokens; `None` for one that is of another kind or use.
fn key(jwk: &Object) -> Result<Option<(Named, Vec<u8>)>, &'static str> {
    let kind = jwk.text("kty").ok_or("it has no `kty`")?;
    if kind == "oct" {
        return Err("`oct` is a secret, which everybody can read there");
    }
    if PRIVATE.iter().any(|part| jwk.get(part).is_some()) {
        return Err("its private part is published with it");
    }
    if !verifies(jwk)? {
        return Ok(None);
    }
    let (bytes, fit): (Vec<u8>, &[Algorithm]) = match (kind, jwk.text("crv")) {
        ("RSA", None) => (rsa(jwk)?, &[Algorithm::Rs256, Algorithm::Ps256]),
        ("EC", Some("P-256")) => (point(jwk)?, &[Algorithm::Es256]),
        ("OKP", Some("Ed25519")) => (bytes::<32>(jwk, "x")?.to_vec(), &[Algorithm::EdDsa]),
        ("RSA", Some(_)) => return Err("it is RSA and has a curve"),
        _ => return Ok(None),
    };
    let algorithms = match jwk.get("alg") {
        None => fit.to_vec(),
        Some(Json::Text(name)) => match algorithm(name) {
            Some(one) if fit.contains(&one) => vec![one],
            Some(_) => return Err("its `alg` is none of its `kty` and `crv`"),
            // Of its kind, and longer hashes than are used here; or for encryption.
            None => return Ok(None),
        },
        Some(_) => return Err("its `alg` is no text"),
    };
    let kid = match jwk.get("kid") {
        None => None,
        Some(Json::Text(kid)) => Some(Arc::clone(kid)),
        Some(_) => return Err("its `kid` is no text"),
    };
    let mut parsed = Vec::new();
    for algorithm in &algorithms {
        let key = ParsedPublicKey::new(by(*algorithm), &bytes).map_err(|_| "its numbers are no key")?;
        parsed.push((*algorithm, key));
    }
    Ok(Some((Named { kid, algorithms, key: Key::Public(parsed) }, bytes)))
}

/// Whether a key is said to verify signatures, where it is said what it is for (RFC 7517 sections 4.2 and 4.3).
fn verifies(jwk: &Object) -> Result<bool, &'static str> {
    let of_use = match jwk.get("use") {
        None => None,
        Some(Json::Text(of)) => Some(**of == *"sig"),
        Some(_) => return Err("its `use` is no text"),
    };
    let of_ops = match jwk.get("key_ops") {
        None => None,
        Some(Json::List(all)) => Some(all.iter().any(|op| matches!(op, Json::Text(op) if **op == *"verify"))),
        Some(_) => return Err("its `key_ops` is no list"),
    };
    match (of_use, of_ops) {
        (Some(a), Some(b)) if a != b => Err("its `use` and its `key_ops` say two things"),
        (a, b) => Ok(a.or(b).unwrap_or(true)),
    }
}

fn by(algorithm: Algorithm) -> &'static dyn VerificationAlgorithm {
    match algorithm {
        Algorithm::Rs256 => &RSA_PKCS1_2048_8192_SHA256,
        Algorithm::Ps256 => &RSA_PSS_2048_8192_SHA256,
        Algorithm::Es256 => &ECDSA_P256_SHA256_FIXED,
        // No key that is published is one of HMAC: `algorithm` knows no such name.
        Algorithm::EdDsa | Algorithm::Hs256 => &ED25519,
    }
}

fn algorithm(name: &str) -> Option<Algorithm> {
    Some(match name {
        "RS256" => Algorithm::Rs256,
        "PS256" => Algorithm::Ps256,
        "ES256" => Algorithm::Es256,
        // RFC 9864 calls it by its curve.
        "EdDSA" | "Ed25519" => Algorithm::EdDsa,
        _ => return None,
    })
}

fn number(jwk: &Object, name: &str) -> Result<Vec<u8>, &'static str> {
    let text = jwk.text(name).ok_or("a number of it is missing")?;
    base64url::decode(text.as_bytes()).ok_or("a number of it is no base64url")
}

fn bytes<const N: usize>(jwk: &Object, name: &str) -> Result<[u8; N], &'static str> {
    number(jwk, name)?.try_into().map_err(|_| "a number of it has another length than its curve's")
}

/// A point of P-256, uncompressed (SEC 1 section 2.3.3). That it is on the curve is looked at where it is parsed.
fn point(jwk: &Object) -> Result<Vec<u8>, &'static str> {
    let mut point = vec![4];
    point.extend(bytes::<32>(jwk, "x")?);
    point.extend(bytes::<32>(jwk, "y")?);
    Ok(point)
}

/// An RSA key as `RSAPublicKey` (RFC 8017 appendix A.1.1).
fn rsa(jwk: &Object) -> Result<Vec<u8>, &'static str> {
    let (n, e) = (number(jwk, "n")?, number(jwk, "e")?);
    // Some write leading zeros, which RFC 7518 section 6.3.1.1 forbids and which change nothing.
    let n = n.iter().position(|byte| *byte != 0).map_or(&[][..], |at| &n[at..]);
    let bits = n.first().map_or(0, |first| n.len() * 8 - first.leading_zeros() as usize);
    if !RSA_BITS.contains(&bits) {
        return Err("an RSA key has 2048 to 8192 bits");
    }
    let e = e.iter().position(|byte| *byte != 0).map_or(&[][..], |at| &e[at..]);
    // With an exponent of 1 every text is its own signature.
    let odd = e.last().is_some_and(|last| last % 2 == 1);
    if e.len() > 4 || !odd || e == [1] {
        return Err("the exponent of an RSA key is odd, more than 1 and has 32 bits at most");
    }
    let body = [integer(n), integer(e)].concat();
    Ok(der(0x30, &body))
}

fn integer(number: &[u8]) -> Vec<u8> {
    let mut content = Vec::with_capacity(number.len() + 1);
    if number.first().is_some_and(|first| *first >= 0x80) {
        content.push(0);
    }
    content.extend(number);
    der(0x02, &content)
}

fn der(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut out = vec![tag];
    let length = content.len().to_be_bytes();
    let significant = &length[length.iter().take_while(|byte| **byte == 0).count()..];
    match content.len() {
        0..0x80 => out.push(content.len() as u8),
        _ => {
            out.push(0x80 | significant.len() as u8);
            out.extend(significant);
        }
    }
    out.extend(content);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(jwk: &str) -> Result<usize, String> {
        let set = read(format!("{{\"keys\":[{jwk}]}}").as_bytes())?;
        set.trouble.map_or(Ok(set.keys.len()), Err)
    }

    fn rsa_key(bits: usize, e: &str) -> String {
        let mut n = vec![0xff; bits / 8];
        n[bits / 8 - 1] = 0xf1;
        format!(r#"{{"kty":"RSA","n":"{}","e":"{e}"}}"#, base64url::encode(&n))
    }

    // The key of RFC 7517 appendix A.1.
    const EC: &str = r#""kty":"EC","crv":"P-256","x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4","y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM""#;

    #[test]
    fn a_key_is_what_all_of_it_agrees_on() {
        assert_eq!(said(&format!("{{{EC}}}")), Ok(1));
        assert_eq!(said(&format!(r#"{{{EC},"alg":"ES256","use":"sig","key_ops":["verify"]}}"#)), Ok(1));
        assert_eq!(said(&format!(r#"{{{EC},"use":"enc"}}"#)), Ok(0));
        assert_eq!(said(&format!(r#"{{{EC},"key_ops":["deriveKey"]}}"#)), Ok(0));
        assert_eq!(said(&format!(r#"{{{EC},"alg":"ES512"}}"#)), Ok(0), "of another kind");
        for (more, why) in [
            (r#""alg":"RS256""#, "none of its `kty`"),
            (r#""use":"sig","key_ops":["encrypt"]"#, "two things"),
            (r#""d":"AQ""#, "private part"),
            (r#""kid":7"#, "`kid` is no text"),
        ] {
            let refused = said(&format!("{{{EC},{more}}}")).expect_err(more);
            assert!(refused.contains(why), "{more}: {refused}");
        }
        let off = EC.replace("4Etl6", "5Etl6");
        assert!(said(&format!("{{{off}}}")).expect_err("not on the curve").contains("no key"));
        assert_eq!(said(&format!("{{{EC}}},{{{EC}}}")), Ok(1), "the same key twice is one");
    }

    #[test]
    fn attack_weak_keys_are_refused() {
        assert_eq!(said(&rsa_key(2048, "AQAB")), Ok(1));
        assert!(said(&rsa_key(1024, "AQAB")).expect_err("short").contains("2048"));
        assert!(said(&rsa_key(16384, "AQAB")).expect_err("long").contains("2048 to 8192"));
        for e in ["AQ", "Ag", "", "AAAAAAE", "AQAAAAE"] {
            assert!(said(&rsa_key(2048, e)).is_err(), "e = {e}");
        }
        let oct = r#"{"kty":"oct","k":"c2VjcmV0LXRoYXQtZXZlcnlib2R5LWNhbi1yZWFk"}"#;
        assert!(said(oct).expect_err("a secret").contains("everybody"));
    }

    #[test]
    fn what_is_no_set_is_none() {
        for text in ["", "[]", "{}", r#"{"keys":{}}"#, r#"{"keys":[1]}"#, r#"{"keys":[],"keys":[]}"#, "{\"keys\":[]} x"]
        {
            assert!(read(text.as_bytes()).is_err(), "{text}");
        }
        assert!(read(br#"{"keys":[]}"#).is_ok_and(|set| set.keys.is_empty()), "empty is what it says");
    }
}
