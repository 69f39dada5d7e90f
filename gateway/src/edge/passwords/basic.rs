//! The name and password that a request brings: `Authorization: Basic` (RFC 7617).

use dsl::tree::base64;
use dsl::tree::users::MAX_NAME;
use zeroize::Zeroizing;

/// Bytes that a password may have: nobody hashes a novel.
const MAX_PASSWORD: usize = 1024;
/// What may stand in the header.
const MAX_TEXT: usize = (MAX_NAME + 1 + MAX_PASSWORD).div_ceil(3) * 4;

/// A name and a password. Their memory is overwritten when they are dropped.
pub(super) struct Credentials {
    text: Zeroizing<String>,
    colon: usize,
}

impl Credentials {
    /// What a header says; `None` where it says no name and password by the rules: the scheme in any case, base64 with
    /// its padding, UTF-8, no control characters, and a colon behind the name. Nothing is normalised: a letter that
    /// can be written in two ways is two letters.
    pub(super) fn read(header: &str) -> Option<Self> {
        let (scheme, text) = header.split_once(' ')?;
        if !scheme.eq_ignore_ascii_case("basic") {
            return None;
        }
        let text = text.trim_matches(' ');
        if text.len() > MAX_TEXT {
            return None;
        }
        let text = Zeroizing::new(String::from_utf8(base64::decode(text)?).ok()?);
        let colon = text.find(':')?;
        let fits = (1..=MAX_NAME).contains(&colon) && text.len() - colon - 1 <= MAX_PASSWORD;
        (fits && !text.bytes().any(|byte| byte.is_ascii_control())).then_some(Self { text, colon })
    }

    /// Who says to be here.
    pub(super) fn name(&self) -> &str {
        &self.text[..self.colon]
    }

    /// The password, as it was sent.
    pub(super) fn password(&self) -> &[u8] {
        &self.text.as_bytes()[self.colon + 1..]
    }
}

/// Whether a password is one that a header can bring.
///
/// # Errors
/// Why not.
pub(super) fn check(password: &[u8]) -> Result<(), String> {
    let Ok(text) = std::str::from_utf8(password) else { return Err("a password is UTF-8".to_owned()) };
    if text.is_empty() || text.len() > MAX_PASSWORD {
        return Err(format!("a password has 1 to {MAX_PASSWORD} bytes"));
    }
    if text.bytes().any(|byte| byte.is_ascii_control()) {
        return Err("a password has no control characters: browsers do not send them".to_owned());
    }
    Ok(())
}
