//! The name and password that a request brings: `Authorization: Basic` (RFC 7617).

use dsl::tree::base64;
use dsl::tree::users::MAX_NAME;
use zeroize::Zeroizing;

/// Bytes that a password may have: nobody hashes a novel.
const MAX_PASSWORD: usize = 1024;
/// What may stand in the header.
const MAX_TEXT: usize = (MAX_NAME + 1 + MAX_PASSWORD).div_ceil(3) * 4;

/// A name and a password. Their memory is overwritten when they are dropped; there is no `Debug` that would tell them.
pub struct Credentials {
    text: Zeroizing<String>,
    colon: usize,
}

impl Credentials {
    /// What a header says; `None` where it says no name and password by the rules: the scheme in any case, base64 with
    /// its padding, UTF-8, no control characters, and a colon behind the name. Nothing is normalised: a letter that
    /// can be written in two ways is two letters.
    #[must_use]
    pub fn read(header: &str) -> Option<Self> {
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
    #[must_use]
    pub fn name(&self) -> &str {
        &self.text[..self.colon]
    }

    /// The password, as it was sent.
    #[must_use]
    pub fn password(&self) -> &[u8] {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn read(header: &str) -> Option<(String, Vec<u8>)> {
        Credentials::read(header).map(|read| (read.name().to_owned(), read.password().to_owned()))
    }

    fn of(text: &[u8]) -> String {
        let bare = base64::encode_bare(text);
        format!("Basic {bare}{}", "=".repeat((4 - bare.len() % 4) % 4))
    }

    #[test]
    fn as_in_rfc_7617() {
        let aladdin = Some(("Aladdin".to_owned(), b"open sesame".to_vec()));
        assert_eq!(read("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="), aladdin);
        assert_eq!(read("bAsIc  QWxhZGRpbjpvcGVuIHNlc2FtZQ== "), aladdin);
        // Its example in UTF-8.
        assert_eq!(read("Basic dGVzdDoxMjPCow=="), Some(("test".to_owned(), "123£".as_bytes().to_vec())));
        assert_eq!(read(&of(b"ann:a:b")), Some(("ann".to_owned(), b"a:b".to_vec())), "colons belong to the password");
        assert_eq!(read(&of(b"ann:")), Some(("ann".to_owned(), Vec::new())));
    }

    #[test]
    fn what_is_no_name_and_password_is_nothing() {
        let texts =
            [&b"ann"[..], b":pencil", b"an\0n:pencil", b"ann:pen\0cil", b"ann:pen\ncil", b"ann:pen\x7fcil", b"\xff:x"];
        for text in texts {
            assert_eq!(read(&of(text)), None, "{}", text.escape_ascii());
        }
        let long =
            |name: usize, password: usize| of(format!("{}:{}", "n".repeat(name), "p".repeat(password)).as_bytes());
        assert!(read(&long(MAX_NAME, MAX_PASSWORD)).is_some());
        for oversize in [long(MAX_NAME + 1, 1), long(1, MAX_PASSWORD + 1), long(1, 1 << 20)] {
            assert_eq!(read(&oversize), None);
        }
        let headers = [
            "",
            "Basic",
            "Basic ",
            "Basic QW xh",
            "Basic dGVzdDoxMjPCow",
            "Basic\tdGVzdDoxMjPCow==",
            "Bearer dGVzdDoxMjPCow==",
            "BasicdGVzdDoxMjPCow==",
            "Basic dGVzdDoxMjPCox==",
            "Basic dGVzdDoxMjPCow==,x",
        ];
        for header in headers {
            assert_eq!(read(header), None, "{header}");
        }
    }

    #[test]
    fn letters_that_look_alike_are_two() {
        // RFC 7617 leaves normalisation to whoever stores names; nothing is guessed here.
        assert_ne!(read(&of("\u{e9}:x".as_bytes())), read(&of("e\u{301}:x".as_bytes())));
    }
}
