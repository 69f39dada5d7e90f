//! Texts with a signature of themselves, and values that are compared with secrets.
//!
//! What is signed is the text, or where it holds until a time only, the text, a newline and the time as it
//! is written. The signature is HMAC with SHA-256 in base64url without padding.

use super::keys::Keys;
use crate::base64url;
use crate::secrets::{Secret, equal};
use std::time::Duration;

/// Whether a text is signed, and its time has not come. `now`: since 1970.
pub(super) fn holds(text: &str, expires: Option<&str>, signature: &str, keys: &Keys, now: Duration) -> bool {
    let Some(signature) = base64url::decode_exactly::<32>(signature.as_bytes()) else { return false };
    let Some(until) = expires else { return keys.signed(text.as_bytes(), &signature) };
    // Digits only: `+9` and ` 9` are other texts of the same number.
    let is_number = !until.is_empty() && until.bytes().all(|byte| byte.is_ascii_digit());
    let in_time = is_number && until.parse().is_ok_and(|until: u64| now.as_secs() < until);
    in_time && keys.signed(format!("{text}\n{until}").as_bytes(), &signature)
}

/// Whether a value is a secret, or any line of it. How long it takes does not depend on where they differ, nor on
/// which line it is.
pub(super) fn is_secret(value: &[u8], secret: &Secret, any_line: bool) -> bool {
    if !any_line {
        return secret.is(value);
    }
    let lines = secret.bytes().split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii).filter(|line| !line.is_empty());
    lines.fold(false, |found, line| found | equal(line, value))
}
