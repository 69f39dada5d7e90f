//! A hashed password, as a line of users has it.

use crate::tree::base64;

/// Memory that one argon2id hash may take, KiB: a line does not make the gateway run out of it.
const MOST_KIB: u32 = 256 * 1024;
/// Passes over it.
const MOST_PASSES: u32 = 16;
/// Memory times passes, KiB: about a second of one core.
const MOST_WORK: u64 = 1024 * 1024;
/// Lanes, which are gone through one after the other.
const MOST_LANES: u32 = 16;
/// Two to the power of this is the work of bcrypt; each step doubles it, and at this one it is about a second.
const MOST_COST: u32 = 14;
/// By what they stand for.
const BCRYPT_LETTERS: &str = "./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

/// A hash that passwords are verified against.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hash {
    /// RFC 9106, version 1.3.
    Argon2id {
        /// KiB.
        memory: u32,
        /// Over all of it.
        passes: u32,
        /// Of the memory.
        lanes: u32,
        /// 8 to 64 bytes.
        salt: Vec<u8>,
        /// 16 to 64 bytes.
        hash: Vec<u8>,
    },
    /// `$2y$…`, the whole text: its form is right.
    Bcrypt(Box<str>),
    /// MD5, a thousand times, as Apache does it: what `htpasswd` writes unless it is told otherwise. Weak.
    Apr1 {
        /// 8 bytes at most.
        salt: Box<str>,
        /// In the letters of crypt(3).
        hash: Box<str>,
    },
    /// SHA-1, once and without salt. Weak.
    Sha1([u8; 20]),
}

impl Hash {
    /// Reads one.
    ///
    /// # Errors
    /// Why it is none that can be gone by, in words that follow "its password". They say nothing of the text.
    pub fn read(text: &str) -> Result<Self, String> {
        let own = "`sluice hash password` or `htpasswd -B` makes one that is";
        let foreign = |what: &str| Err(format!("is hashed by {what}, which is not verified here: {own}"));
        if let Some(rest) = text.strip_prefix("{SHA}") {
            let sum = base64::decode(rest).and_then(|sum| sum.try_into().ok());
            return sum.map(Self::Sha1).ok_or_else(|| "is no base64 of a SHA-1 behind {SHA}".to_owned());
        }
        let Some((kind, rest)) = text.strip_prefix('$').and_then(|rest| rest.split_once('$')) else {
            return match text.len() {
                0 => Err(format!("is not there: {own}")),
                13 if text.bytes().all(is_crypt_letter) => foreign("DES crypt, or not at all"),
                _ if text.starts_with('{') => foreign("a scheme of LDAP"),
                _ => Err(format!("is not hashed, or not in a way that is known: {own}")),
            };
        };
        match kind {
            "argon2id" => argon2id(rest),
            "argon2i" | "argon2d" => foreign("argon2i or argon2d, and not by argon2id"),
            "2y" | "2a" | "2b" => bcrypt(text, rest),
            "apr1" => apr1(rest),
            "1" => foreign("MD5 crypt"),
            "5" => foreign("SHA-256 crypt"),
            "6" => foreign("SHA-512 crypt"),
            "7" | "y" | "gy" => foreign("scrypt or yescrypt"),
            _ => foreign("an algorithm that is not known"),
        }
    }

    /// Whether whoever has the file finds the password out in no time.
    #[must_use]
    pub fn is_weak(&self) -> bool {
        match self {
            Self::Apr1 { .. } | Self::Sha1(_) => true,
            Self::Argon2id { .. } | Self::Bcrypt(_) => false,
        }
    }
}

/// `v=19$m=19456,t=2,p=1$salt$hash`
fn argon2id(rest: &str) -> Result<Hash, String> {
    let parts: Vec<&str> = rest.split('$').collect();
    let [version, costs, salt, hash] = parts.as_slice() else {
        return Err("is no argon2id: behind `$argon2id$` stand version, costs, salt and hash".to_owned());
    };
    if *version != "v=19" {
        return Err("is hashed by another version of argon2id than 19 (0x13)".to_owned());
    }
    let costs: Vec<&str> = costs.split(',').collect();
    let cost = |at: usize, name: &str| {
        let text = costs.get(at)?.strip_prefix(name)?;
        let is_number = text.bytes().all(|byte| byte.is_ascii_digit()) && !text.starts_with('0');
        is_number.then(|| text.parse::<u32>().ok())?
    };
    let (3, Some(memory), Some(passes), Some(lanes)) = (costs.len(), cost(0, "m="), cost(1, "t="), cost(2, "p="))
    else {
        return Err("has no costs of argon2id, as in `m=19456,t=2,p=1`".to_owned());
    };
    if memory > MOST_KIB || passes > MOST_PASSES || u64::from(memory) * u64::from(passes) > MOST_WORK {
        let (memory_mb, work_mb) = (MOST_KIB / 1024, MOST_WORK / 1024);
        return Err(format!(
            "costs too much to verify: m is {memory_mb} MB at most, t {MOST_PASSES}, and m times t {work_mb} MB"
        ));
    }
    if lanes > MOST_LANES || memory < 8 * lanes {
        return Err(format!("has costs that are none: p is {MOST_LANES} at most, and m 8 times p at least"));
    }
    let within =
        |text: &str, least: usize| base64::decode_bare(text).filter(|bytes| (least..=64).contains(&bytes.len()));
    let (Some(salt), Some(hash)) = (within(salt, 8), within(hash, 16)) else {
        return Err("has no base64 of a salt of 8 to 64 bytes and a hash of 16 to 64".to_owned());
    };
    Ok(Hash::Argon2id { memory, passes, lanes, salt, hash })
}

/// `10$` and 53 letters.
fn bcrypt(text: &str, rest: &str) -> Result<Hash, String> {
    let form = || "is no bcrypt: behind its version stand two digits, `$` and 53 letters".to_owned();
    let (cost, letters) = rest.split_once('$').ok_or_else(form)?;
    let number = cost.parse::<u32>().ok().filter(|_| cost.len() == 2 && cost.bytes().all(|byte| byte.is_ascii_digit()));
    let number = number.ok_or_else(form)?;
    // The last letters carry bits that say nothing: in a salt any will do, in a hash none verifies.
    let (salt, last, hash) = match (letters.get(..21), letters.get(21..22), letters.get(22..)) {
        (Some(salt), Some(last), Some(hash)) if letters.bytes().all(is_crypt_letter) => (salt, last, hash),
        _ => return Err(form()),
    };
    let place = |letter: &str| BCRYPT_LETTERS.find(letter).unwrap_or(0);
    if hash.len() != 31 || hash.get(30..).is_none_or(|last| !place(last).is_multiple_of(4)) {
        return Err(form());
    }
    if !(4..=MOST_COST).contains(&number) {
        return Err(format!("costs too much to verify, or too little: bcrypt's cost is 4 to {MOST_COST}"));
    }
    let last = &BCRYPT_LETTERS[place(last) & 0x30..][..1];
    let version = text.strip_suffix(rest).unwrap_or("$2b$");
    Ok(Hash::Bcrypt(format!("{version}{cost}${salt}{last}{hash}").into()))
}

/// `salt$` and 22 letters.
fn apr1(rest: &str) -> Result<Hash, String> {
    let good = |(salt, hash): &(&str, &str)| {
        salt.len() <= 8 && salt.bytes().all(is_crypt_letter) && hash.len() == 22 && hash.bytes().all(is_crypt_letter)
    };
    let (salt, hash) = rest.split_once('$').filter(good).ok_or_else(|| {
        "is no apr1: behind `$apr1$` stand a salt of 8 letters at most, `$` and 22 letters".to_owned()
    })?;
    Ok(Hash::Apr1 { salt: salt.into(), hash: hash.into() })
}

/// `./0-9A-Za-z`
fn is_crypt_letter(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'/')
}
