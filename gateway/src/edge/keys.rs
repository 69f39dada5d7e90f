//! Keys that stand in secrets: made when they are needed first, and again when secrets changed.
//!
//! A secret is lines of text, each a key of HMAC, or public keys in PEM (`-----BEGIN PUBLIC KEY-----`), each
//! for the algorithms of its kind. One secret is never both: the text of a public key, which anybody may
//! know, shall not be a key of HMAC.

use crate::secrets::Secrets;
use arc_swap::ArcSwapOption;
use aws_lc_rs::hmac;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ED25519, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256, RSA_PSS_2048_8192_SHA256,
};
use dsl::tree::ir::Algorithm;
use rustls::pki_types::SubjectPublicKeyInfoDer;
use rustls::pki_types::pem::PemObject;
use std::sync::Arc;

/// A key of HMAC with SHA-256 has so many bytes (RFC 7518 section 3.2); shorter ones are none.
const HMAC_BYTES: usize = 32;

const NO_PUBLIC_KEY: &str = "there is no `-----BEGIN PUBLIC KEY-----` in it that can be used";

/// What is wrong with a secret whose lines are to be keys of HMAC, or which has public keys; its content is not in
/// it. For which algorithms its public keys are is looked at where they are used.
#[must_use]
pub fn unfit(content: &[u8]) -> Option<String> {
    if contains(content, b"-----BEGIN") {
        let mut keys = Keys { version: 0, all: Vec::new(), trouble: None };
        keys.add("", content);
        return keys.all.is_empty().then(|| NO_PUBLIC_KEY.to_owned());
    }
    if lines(content).next().is_none() {
        return Some("there is no key in it: `openssl rand -base64 32` makes one".to_owned());
    }
    lines(content).find_map(short)
}

/// The keys of HMAC of a secret.
pub(super) fn lines(content: &[u8]) -> impl Iterator<Item = &[u8]> {
    content.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii).filter(|line| !line.is_empty())
}

/// What is said of a key that is too short.
pub(super) fn short(key: &[u8]) -> Option<String> {
    (key.len() < HMAC_BYTES).then(|| {
        format!(
            "a key has {} bytes, which can be guessed; RFC 7518 wants {HMAC_BYTES} at least: \
             `openssl rand -base64 32` makes one",
            key.len()
        )
    })
}

/// The keys of some secrets.
pub(super) struct Ring {
    names: Vec<Arc<str>>,
    secrets: Arc<Secrets>,
    keys: ArcSwapOption<Keys>,
}

/// The keys as they are now.
pub(super) struct Keys {
    /// Of the secrets that they were made from.
    pub(super) version: u64,
    /// In the order of the names and lines; the first signs.
    pub(super) all: Vec<Key>,
    /// What is wrong with them, for the operator.
    pub(super) trouble: Option<String>,
}

/// A key.
pub(super) enum Key {
    /// HMAC with SHA-256.
    Shared(Box<hmac::Key>),
    /// For the algorithms of its kind.
    Public(Vec<(Algorithm, ParsedPublicKey)>),
}

impl Ring {
    pub(super) fn new(names: Vec<Arc<str>>, secrets: Arc<Secrets>) -> Self {
        Self { names, secrets, keys: ArcSwapOption::empty() }
    }

    /// The keys; made anew when there are other secrets.
    pub(super) fn keys(&self) -> Arc<Keys> {
        let version = self.secrets.version();
        if let Some(keys) = &*self.keys.load()
            && keys.version == version
        {
            return Arc::clone(keys);
        }
        let mut keys = Keys { version, all: Vec::new(), trouble: None };
        for name in &self.names {
            match self.secrets.get(name) {
                Some(secret) => keys.add(name, secret.bytes()),
                None => keys.ails(name, &self.secrets.why_not(name)),
            }
        }
        let keys = Arc::new(keys);
        self.keys.store(Some(Arc::clone(&keys)));
        keys
    }
}

impl Keys {
    fn add(&mut self, name: &str, content: &[u8]) {
        if !contains(content, b"-----BEGIN") {
            for line in lines(content) {
                match short(line) {
                    // Nothing is signed with it, and nothing that it signed holds.
                    Some(why) => self.ails(name, &why),
                    None => self.all.push(Key::Shared(Box::new(hmac::Key::new(hmac::HMAC_SHA256, line)))),
                }
            }
            return;
        }
        let before = self.all.len();
        for der in SubjectPublicKeyInfoDer::pem_slice_iter(content) {
            match der.ok().map(|der| public(&der)) {
                Some(kinds) if !kinds.is_empty() => self.all.push(Key::Public(kinds)),
                Some(_) | None => {
                    self.ails(name, "a public key in it is none of RSA with 2048 bits or more, P-256 or Ed25519");
                }
            }
        }
        if self.all.len() == before {
            self.ails(name, NO_PUBLIC_KEY);
        }
    }

    fn ails(&mut self, name: &str, why: &str) {
        self.trouble.get_or_insert_with(|| format!("secret {name}: {why}"));
    }

    /// The key that signs: the first, where that is one of HMAC.
    pub(super) fn signing(&self) -> Option<&hmac::Key> {
        match self.all.first()? {
            Key::Shared(key) => Some(key),
            Key::Public(_) => None,
        }
    }

    /// Whether a key of HMAC signed this text so.
    pub(super) fn signed(&self, text: &[u8], signature: &[u8]) -> bool {
        self.all.iter().any(|key| match key {
            Key::Shared(key) => hmac::verify(key, text, signature).is_ok(),
            Key::Public(_) => false,
        })
    }
}

impl Key {
    /// Whether this key signed this text so, by this algorithm. A key knows the algorithms of its kind and no
    /// other.
    pub(super) fn signed(&self, algorithm: Algorithm, text: &[u8], signature: &[u8]) -> bool {
        match (self, algorithm) {
            (Self::Shared(key), Algorithm::Hs256) => hmac::verify(key, text, signature).is_ok(),
            (Self::Public(kinds), algorithm) => {
                kinds.iter().any(|(kind, key)| *kind == algorithm && key.verify_sig(text, signature).is_ok())
            }
            (Self::Shared(_), _) => false,
        }
    }
}

/// What a public key can be used for.
fn public(der: &[u8]) -> Vec<(Algorithm, ParsedPublicKey)> {
    let mut kinds = Vec::new();
    let mut add = |algorithm, key: Result<ParsedPublicKey, _>| kinds.extend(key.ok().map(|key| (algorithm, key)));
    add(Algorithm::Rs256, ParsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, der));
    add(Algorithm::Ps256, ParsedPublicKey::new(&RSA_PSS_2048_8192_SHA256, der));
    add(Algorithm::Es256, ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, der));
    add(Algorithm::EdDsa, ParsedPublicKey::new(&ED25519, der));
    kinds
}

pub(super) fn contains(text: &[u8], part: &[u8]) -> bool {
    memchr::memmem::find(text, part).is_some()
}
