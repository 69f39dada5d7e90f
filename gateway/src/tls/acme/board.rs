//! The challenges that are under way: what the data plane answers when an authority asks.
//!
//! An issuer posts a challenge before it tells the authority to ask, and holds what it got for that until
//! the order ends: then the challenge is gone. Whatever is asked for that is not posted gets nothing.

use rustls::ServerConfig;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls_acme::ResolvesServerCertAcme;
use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

/// The protocol that an authority offers, alone, when it asks by TLS-ALPN-01 (RFC 8737 section 3).
const ACME_TLS: &[u8] = b"acme-tls/1";
/// More challenges are not under way at once: orders are counted long before.
const MOST: usize = 4096;

/// The challenges under way, by name. Shared; read inside handshakes, where nothing waits.
#[derive(Default)]
pub struct Board {
    posted: RwLock<HashMap<Box<str>, Vec<Numbered>>>,
    serial: AtomicU64,
}

/// Which one it is, and how it is answered.
type Numbered = (u64, Answer);

/// How one challenge is answered.
#[derive(Clone)]
enum Answer {
    /// By the order that rustls-acme works on: it knows by itself.
    Driven(Arc<ResolvesServerCertAcme>),
    /// TLS-ALPN-01: with this certificate.
    Certificate(Arc<CertifiedKey>),
    /// HTTP-01: the key authorization of a token.
    Token(Box<str>, Box<str>),
}

/// A challenge that is posted. It is taken down when this is dropped.
#[must_use]
pub struct Posted {
    board: Arc<Board>,
    name: Box<str>,
    serial: u64,
}

impl Board {
    /// Nothing is under way.
    #[must_use]
    pub fn new() -> Arc<Self> {
        Arc::new(Self::default())
    }

    /// Whether a challenge of this name is under way.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.read(name, |answers| !answers.is_empty())
    }

    /// How many names have a challenge under way.
    #[must_use]
    pub fn len(&self) -> usize {
        self.posted.read().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Whether nothing is under way.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What HTTP-01 answers for `/.well-known/acme-challenge/TOKEN` on a host in lower case, without a port
    /// (RFC 8555 section 8.3). `None`: no such challenge is under way.
    #[must_use]
    pub fn http(&self, host: &str, token: &str) -> Option<String> {
        self.read(host, |answers| {
            answers.iter().find_map(|(_, answer)| match answer {
                Answer::Driven(state) => state.get_http_01_key_auth(token),
                Answer::Token(known, authorization) => (**known == *token).then(|| authorization.to_string()),
                Answer::Certificate(_) => None,
            })
        })
    }

    /// Whether a hello asks for a challenge: it offers `acme-tls/1` and nothing else.
    #[must_use]
    pub fn asks(alpn: impl IntoIterator<Item = impl AsRef<[u8]>>) -> bool {
        let mut offered = alpn.into_iter();
        offered.next().is_some_and(|first| first.as_ref() == ACME_TLS) && offered.next().is_none()
    }

    /// The TLS server of challenges: it speaks `acme-tls/1` only, and names without a challenge are refused.
    ///
    /// # Errors
    /// When the crypto provider does not do what is asked of it.
    pub fn server_config(self: &Arc<Self>) -> Result<Arc<ServerConfig>, rustls::Error> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])?
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(self) as Arc<dyn ResolvesServerCert>);
        config.alpn_protocols = vec![ACME_TLS.to_vec()];
        config.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        config.max_early_data_size = 0;
        Ok(Arc::new(config))
    }

    /// The order that rustls-acme works on. `None` when too many are under way.
    pub(super) fn driven(self: &Arc<Self>, name: &str, state: Arc<ResolvesServerCertAcme>) -> Option<Posted> {
        self.post(name, Answer::Driven(state))
    }

    /// The certificate that answers TLS-ALPN-01. `None` when too many are under way.
    pub(super) fn certificate(self: &Arc<Self>, name: &str, answer: Arc<CertifiedKey>) -> Option<Posted> {
        self.post(name, Answer::Certificate(answer))
    }

    /// The key authorization that answers HTTP-01. `None` when too many are under way.
    pub(super) fn token(self: &Arc<Self>, name: &str, token: &str, authorization: &str) -> Option<Posted> {
        self.post(name, Answer::Token(token.into(), authorization.into()))
    }

    fn post(self: &Arc<Self>, name: &str, answer: Answer) -> Option<Posted> {
        let serial = self.serial.fetch_add(1, Ordering::Relaxed);
        let mut posted = self.posted.write().unwrap_or_else(PoisonError::into_inner);
        if posted.len() >= MOST && !posted.contains_key(name) {
            return None;
        }
        posted.entry(name.into()).or_default().push((serial, answer));
        Some(Posted { board: Arc::clone(self), name: name.into(), serial })
    }

    fn read<T>(&self, name: &str, look: impl FnOnce(&[(u64, Answer)]) -> T) -> T {
        let posted = self.posted.read().unwrap_or_else(PoisonError::into_inner);
        look(posted.get(name).map(Vec::as_slice).unwrap_or_default())
    }
}

impl ResolvesServerCert for Board {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        if !Self::asks(hello.alpn()?) {
            return None;
        }
        let name = super::super::server_name(hello.server_name()?);
        // The one that was posted last is the one that the authority asks for.
        let answer = self.read(&name, |answers| {
            let by_tls = |answer: &&(u64, Answer)| !matches!(answer.1, Answer::Token(..));
            answers.iter().rev().find(by_tls).map(|(_, answer)| answer.clone())
        })?;
        match answer {
            Answer::Driven(state) => state.resolve(hello),
            Answer::Certificate(answer) => Some(answer),
            Answer::Token(..) => None,
        }
    }
}

impl fmt::Debug for Board {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Board").field("under_way", &self.len()).finish()
    }
}

impl Drop for Posted {
    fn drop(&mut self) {
        let mut posted = self.board.posted.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(answers) = posted.get_mut(&self.name) {
            answers.retain(|(serial, _)| *serial != self.serial);
            if answers.is_empty() {
                posted.remove(&self.name);
            }
        }
    }
}

impl fmt::Debug for Posted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Posted").field("name", &self.name).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_challenge_is_gone_with_its_order() {
        let board = Board::new();
        let first = board.token("a.sluice-tests.net", "t1", "t1.print").expect("room");
        let second = board.token("a.sluice-tests.net", "t2", "t2.print").expect("room");
        assert_eq!(board.http("a.sluice-tests.net", "t1").as_deref(), Some("t1.print"));
        assert_eq!(board.http("a.sluice-tests.net", "t2").as_deref(), Some("t2.print"));
        assert_eq!(board.http("b.sluice-tests.net", "t1"), None, "another host's token is nobody's");
        drop(first);
        assert_eq!(board.http("a.sluice-tests.net", "t1"), None);
        assert!(board.has("a.sluice-tests.net"));
        drop(second);
        assert!(board.is_empty());
    }

    #[test]
    fn it_is_bounded() {
        let board = Board::new();
        let kept: Vec<_> =
            (0..MOST).map(|n| board.token(&format!("n{n}.sluice-tests.net"), "t", "a").expect("room")).collect();
        assert!(board.token("one-more.sluice-tests.net", "t", "a").is_none());
        assert!(board.token("n1.sluice-tests.net", "u", "b").is_some(), "a name that is there has room");
        drop(kept);
        assert!(board.token("one-more.sluice-tests.net", "t", "a").is_some());
    }

    #[test]
    fn only_acme_tls_alone_asks() {
        assert!(Board::asks([b"acme-tls/1"]));
        assert!(!Board::asks([b"acme-tls/1".as_slice(), b"h2"]));
        assert!(!Board::asks(Vec::<Vec<u8>>::new()));
    }
}
