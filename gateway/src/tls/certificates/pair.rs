//! A certificate with its key: read from PEM, checked, and made ready for handshakes.

use crate::tls::Leaf;
use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use std::sync::Arc;

/// From when until when a certificate is valid, seconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validity {
    /// `notBefore`
    pub from: u64,
    /// `notAfter`
    pub until: u64,
}

impl Validity {
    /// For how long it is valid, seconds.
    #[must_use]
    pub fn life(self) -> u64 {
        self.until.saturating_sub(self.from)
    }

    /// Whether it holds at that time, seconds since 1970.
    #[must_use]
    pub fn holds(self, at: u64) -> bool {
        (self.from..=self.until).contains(&at)
    }
}

/// A certificate that was read.
#[derive(Clone, Debug)]
pub struct Pair {
    /// Chain and key, for rustls.
    pub certified: Arc<CertifiedKey>,
    /// How long it is valid.
    pub validity: Validity,
}

impl Pair {
    /// Reads a chain and its key, both PEM, for a name.
    ///
    /// # Errors
    /// What is wrong with them, in words: they cannot be read, do not belong together, or are another name's.
    pub fn read(chain: &[u8], key: &[u8], name: &str) -> Result<Self, String> {
        let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(chain)
            .collect::<Result<_, _>>()
            .map_err(|e| format!("the certificate is not PEM: {e}"))?;
        let Some(leaf) = chain.first() else { return Err("there is no certificate in it".into()) };
        let validity = look(leaf, name)?;
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| "the key is not PEM".to_owned())?;
        let key = any_supported_type(&key).map_err(|_| "the key is of no kind that can be used".to_owned())?;
        let certified = CertifiedKey::new(chain, key);
        certified.keys_match().map_err(|_| "certificate and key do not belong together".to_owned())?;
        Ok(Self { certified: Arc::new(certified), validity })
    }

    /// The certificate itself.
    ///
    /// # Panics
    /// Never: one that was read has it.
    #[must_use]
    pub fn leaf(&self) -> &CertificateDer<'static> {
        &self.certified.cert[0]
    }
}

/// How long a certificate is valid, if it is for this name.
fn look(leaf: &CertificateDer<'_>, name: &str) -> Result<Validity, String> {
    let leaf = Leaf::of(leaf).ok_or_else(|| "the certificate is no X.509".to_owned())?;
    let wildcard = super::names::wildcard_of(name);
    let is_for = |of: &str| of == name || wildcard.as_deref() == Some(of);
    if !leaf.names.iter().any(|of| is_for(of)) {
        return Err(format!("the certificate is not for {name}"));
    }
    let seconds = |at: i64| u64::try_from(at).unwrap_or_default();
    Ok(Validity { from: seconds(leaf.not_before), until: seconds(leaf.not_after) })
}

#[cfg(test)]
pub(super) mod testing {
    //! Certificates as an authority would make them.

    use rcgen::{CertificateParams, KeyPair};
    use std::time::{Duration, SystemTime, UNIX_EPOCH};

    /// A certificate and its key, PEM, valid between these seconds since 1970.
    pub fn made(name: &str, from: u64, until: u64) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.not_before = (UNIX_EPOCH + Duration::from_secs(from)).into();
        params.not_after = (UNIX_EPOCH + Duration::from_secs(until)).into();
        (params.self_signed(&key).unwrap().pem(), key.serialize_pem())
    }

    /// The same, valid for so many days from now.
    pub fn made_now(name: &str, days: u64) -> (String, String) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        made(name, now - 60, now + days * 86_400)
    }
}

#[cfg(test)]
mod tests {
    use super::testing::made;
    use super::*;

    #[test]
    fn what_belongs_together_is_read_with_its_validity() {
        let (chain, key) = made("a.sluice.dev", 1_000_000_000, 1_000_000_600);
        let pair = Pair::read(chain.as_bytes(), key.as_bytes(), "a.sluice.dev").unwrap();
        assert_eq!(pair.validity, Validity { from: 1_000_000_000, until: 1_000_000_600 });
        assert_eq!(pair.validity.life(), 600);
        assert!(pair.validity.holds(1_000_000_600) && !pair.validity.holds(1_000_000_601));
        assert!(!pair.validity.holds(999_999_999));
        let (chain, key) = made("*.sluice.dev", 0, 1);
        assert!(Pair::read(chain.as_bytes(), key.as_bytes(), "*.sluice.dev").is_ok());
    }

    #[test]
    fn what_does_not_belong_together_is_refused_in_words() {
        let (chain, key) = made("a.sluice.dev", 0, 1);
        let (other, other_key) = made("b.sluice.dev", 0, 1);
        let refused =
            |chain: &str, key: &str| Pair::read(chain.as_bytes(), key.as_bytes(), "a.sluice.dev").unwrap_err();
        assert_eq!(refused(&chain, &other_key), "certificate and key do not belong together");
        assert_eq!(refused(&other, &other_key), "the certificate is not for a.sluice.dev");
        assert_eq!(refused("", &key), "there is no certificate in it");
        assert_eq!(refused(&chain, "nothing"), "the key is not PEM");
        assert!(!refused(&chain, &other_key).contains("BEGIN"));
    }
}
