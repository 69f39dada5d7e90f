//! What a browser keeps for the gateway and cannot read: AES-256-GCM, under keys of a secret.
//!
//! Each line of the secret is a key: the first seals, all open. From a line comes a key by HKDF (RFC 5869), and from
//! that, with sixteen random bytes that stand before the text, the key and the nonce of one message, so that no nonce
//! is ever used twice under one key however many messages there are. What a message is for (which site, which
//! provider, which kind) is authenticated with it and not in it: one that is shown elsewhere opens nothing.

use super::super::keys::{contains, lines, short};
use crate::base64url;
use crate::secrets::Secrets;
use arc_swap::ArcSwapOption;
use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Prk, Salt};
use aws_lc_rs::rand;
use std::sync::Arc;

/// The first byte of a message: what it is sealed with.
const VERSION: u8 = 1;
/// Random bytes of each message.
const SALT: usize = 16;
const KEY: usize = 32;
const NONCE: usize = 12;
const TAG: usize = 16;
/// What keys of this module are derived for.
const USE: &[u8] = b"sluice login 1";

/// Seals and opens with the lines of one secret, and follows it when it changes.
pub(super) struct Sealer {
    name: Arc<str>,
    secrets: Arc<Secrets>,
    made: ArcSwapOption<Made>,
}

/// Keys as they are now.
struct Made {
    /// Of the secrets that they were made from.
    version: u64,
    /// In the order of the lines.
    keys: Vec<Prk>,
    trouble: Option<String>,
}

/// What a message is for: its fields are bound to it, in their order.
pub(super) struct Purpose(Vec<u8>);

impl Purpose {
    pub(super) fn of(fields: &[&str]) -> Self {
        let mut bound = Vec::new();
        for field in fields {
            bound.extend_from_slice(&(field.len() as u64).to_be_bytes());
            bound.extend_from_slice(field.as_bytes());
        }
        Self(bound)
    }
}

/// So many bytes from a key.
struct Bytes(usize);

impl KeyType for Bytes {
    fn len(&self) -> usize {
        self.0
    }
}

impl Sealer {
    pub(super) fn new(name: Arc<str>, secrets: Arc<Secrets>) -> Self {
        Self { name, secrets, made: ArcSwapOption::empty() }
    }

    fn made(&self) -> Arc<Made> {
        let version = self.secrets.version();
        if let Some(made) = &*self.made.load()
            && made.version == version
        {
            return Arc::clone(made);
        }
        let made = Arc::new(self.make(version));
        self.made.store(Some(Arc::clone(&made)));
        made
    }

    fn make(&self, version: u64) -> Made {
        let ails = |why: &str| Some(format!("secret {}: {why}", self.name));
        let Some(secret) = self.secrets.get(&self.name) else {
            return Made { version, keys: Vec::new(), trouble: ails(&self.secrets.why_not(&self.name)) };
        };
        let content = secret.bytes();
        if contains(content, b"-----BEGIN") {
            return Made { version, keys: Vec::new(), trouble: ails("a public key cannot seal a session") };
        }
        let trouble = lines(content).find_map(short).and_then(|why| ails(&why));
        let salt = Salt::new(HKDF_SHA256, USE);
        let keys: Vec<Prk> =
            lines(content).filter(|line| short(line).is_none()).map(|line| salt.extract(line)).collect();
        let trouble = trouble.or_else(|| if keys.is_empty() { ails("there is no key in it") } else { None });
        Made { version, keys, trouble }
    }

    /// Why nothing can be sealed; the content of the secret is not in it.
    pub(super) fn trouble(&self) -> Option<String> {
        self.made().trouble.clone()
    }

    /// A text that opens to these bytes; `None` where there is no key.
    pub(super) fn seal(&self, purpose: &Purpose, content: &[u8]) -> Option<String> {
        let made = self.made();
        let mut salt = [0; SALT];
        rand::fill(&mut salt).ok()?;
        let (key, nonce) = derived(made.keys.first()?, &salt)?;
        let mut sealed = Vec::with_capacity(1 + SALT + content.len() + TAG);
        sealed.push(VERSION);
        sealed.extend_from_slice(&salt);
        let mut body = content.to_vec();
        key.seal_in_place_append_tag(nonce, Aad::from(&purpose.0), &mut body).ok()?;
        sealed.append(&mut body);
        Some(base64url::encode(&sealed))
    }

    /// What was sealed for this purpose; `None` for every other text.
    pub(super) fn open(&self, purpose: &Purpose, text: &str) -> Option<Vec<u8>> {
        let sealed = base64url::decode(text.as_bytes())?;
        let (head, body) = sealed.split_at_checked(1 + SALT)?;
        if head[0] != VERSION {
            return None;
        }
        self.made().keys.iter().find_map(|key| {
            let (key, nonce) = derived(key, &head[1..])?;
            let mut body = body.to_vec();
            let length = key.open_in_place(nonce, Aad::from(&purpose.0), &mut body).ok()?.len();
            body.truncate(length);
            Some(body)
        })
    }
}

/// The key and the nonce of one message.
fn derived(key: &Prk, salt: &[u8]) -> Option<(LessSafeKey, Nonce)> {
    let mut okm = [0; KEY + NONCE];
    let info = [USE, salt];
    key.expand(&info, Bytes(KEY + NONCE)).ok()?.fill(&mut okm).ok()?;
    let (key, nonce) = okm.split_at(KEY);
    let key = UnboundKey::new(&AES_256_GCM, key).ok()?;
    Some((LessSafeKey::new(key), Nonce::try_assume_unique_for_key(nonce).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sites::testing::TempDir;

    const OLD: &str = "an old key that has thirty-two bytes or more";
    const NEW: &str = "a new key that has thirty-two bytes or more";

    fn sealer(temp: &TempDir, content: &str) -> Sealer {
        temp.write("key", content);
        let secrets = Arc::new(Secrets::new(None));
        secrets.read_from(Some(temp.path().to_path_buf()));
        Sealer::new("key".into(), secrets)
    }

    #[test]
    fn the_first_seals_and_all_open() {
        let temp = TempDir::new("seal");
        let sealer = sealer(&temp, OLD);
        let purpose = Purpose::of(&["session", "a.test"]);
        let sealed = sealer.seal(&purpose, b"who it is").expect("a key");
        assert_ne!(Some(&sealed), sealer.seal(&purpose, b"who it is").as_ref(), "no two are alike");
        temp.write("key", &format!("{NEW}\n{OLD}"));
        sealer.secrets.look();
        assert_eq!(sealer.open(&purpose, &sealed).as_deref(), Some(&b"who it is"[..]));
        let again = sealer.seal(&purpose, b"who it is").expect("a key");
        temp.write("key", NEW);
        sealer.secrets.look();
        assert_eq!(sealer.open(&purpose, &sealed), None);
        assert_eq!(sealer.open(&purpose, &again).as_deref(), Some(&b"who it is"[..]));
    }

    #[test]
    fn attack_a_message_of_another_purpose_or_changed_opens_nothing() {
        let temp = TempDir::new("seal-attack");
        let sealer = sealer(&temp, OLD);
        let purpose = Purpose::of(&["session", "a.test"]);
        let sealed = sealer.seal(&purpose, b"who it is").expect("a key");
        // Fields that run together differently are other fields.
        for other in [&["session", "b.test"][..], &["flow", "a.test"], &["sessiona", ".test"], &["session"]] {
            assert_eq!(sealer.open(&Purpose::of(other), &sealed), None, "{other:?}");
        }
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            let other = if sealed[at..].starts_with('A') { "B" } else { "A" };
            changed.replace_range(at..=at, other);
            assert_eq!(sealer.open(&purpose, &changed), None, "{at}");
            assert_eq!(sealer.open(&purpose, &sealed[..at]), None, "cut at {at}");
        }
    }

    #[test]
    fn short_and_public_keys_seal_nothing() {
        for content in ["hunter2", "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", "\n"] {
            let temp = TempDir::new("seal-short");
            let sealer = sealer(&temp, content);
            assert_eq!(sealer.seal(&Purpose::of(&["session"]), b"x"), None);
            let trouble = sealer.trouble().expect("it is told");
            assert!(trouble.starts_with("secret key: ") && !trouble.contains("hunter2"), "{trouble}");
        }
    }
}
