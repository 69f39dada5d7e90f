//! One issuance by the crate rustls-acme: plain names, proved by TLS-ALPN-01 or HTTP-01.
//!
//! The crate is made to keep one certificate alive for ever. Here it does one order: its cache gives the
//! account's key and takes the certificate, the first order that fails ends it, and it is dropped before it
//! would try again: what it does not know (limits, other names, what the authority asked for) the manager
//! does. Its timers and sockets run on a reactor of their own, its futures wherever this is polled: on the
//! control plane.

use super::problem::{During, Problem};
use super::{Board, Cause, IssueError};
use ::rustls_acme::acme::{AcmeError, Auth};
use ::rustls_acme::{AccountCache, AcmeConfig, AcmeState, CertCache, EventError, EventOk, OrderError, UseChallenge};
use async_trait::async_trait;
use dsl::tree::ir::Challenge;
use futures_core::Stream;
use rustls::ClientConfig;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;
use zeroize::Zeroizing;

/// What one order is made of.
pub(super) struct Once<'a> {
    /// Whom the directory's TLS is verified with.
    pub(super) tls: Arc<ClientConfig>,
    pub(super) directory: &'a str,
    /// With `mailto:`.
    pub(super) contact: &'a [String],
    /// The account's key, PKCS#8 DER.
    pub(super) account: &'a [u8],
    pub(super) name: &'a str,
    pub(super) challenge: Challenge,
}

/// Why an order ended without a certificate.
#[derive(Debug)]
pub(super) enum Ended {
    /// The nonce of a request was not taken: nothing is wrong with the order.
    BadNonce,
    /// The authority does not offer this challenge for the name.
    NotOffered,
    /// The authority has had enough, and did not say for how long in words that this crate shows.
    RateLimited,
    /// Anything else.
    Failed(IssueError),
}

impl Once<'_> {
    /// Does it: the chain and its key, both PEM.
    pub(super) async fn run(&self, board: &Arc<Board>) -> Result<(String, Zeroizing<String>), Ended> {
        let issued = Arc::new(Mutex::new(None));
        let cache = OneShot { account: Zeroizing::new(self.account.to_vec()), issued: Arc::clone(&issued) };
        let challenge = match self.challenge {
            Challenge::TlsAlpn => UseChallenge::TlsAlpn01,
            Challenge::Http => UseChallenge::Http01,
        };
        let config = AcmeConfig::new_with_client_config([self.name], Arc::clone(&self.tls))
            .directory(self.directory)
            .contact(self.contact)
            .challenge_type(challenge)
            .cache(cache);
        let mut state = AcmeState::new(config);
        // Before anything is asked for: the authority may be quick. It is taken down with the order.
        let Some(_posted) = board.driven(self.name, state.resolver()) else {
            let why = "too many challenges are under way";
            return Err(Ended::Failed(IssueError::new(Cause::Ours, why)));
        };
        loop {
            match std::future::poll_fn(|cx| Pin::new(&mut state).poll_next(cx)).await {
                Some(Ok(EventOk::CertCacheStore)) => break,
                Some(Ok(EventOk::DeployedCachedCert | EventOk::DeployedNewCert | EventOk::AccountCacheStore)) => {}
                Some(Err(EventError::Order(why))) => return Err(ended(why)),
                Some(Err(other)) => return Err(ours(other.to_string())),
                None => return Err(ours("the order ended without a word".to_owned())),
            }
        }
        let pem = issued.lock().unwrap_or_else(PoisonError::into_inner).take();
        pem.as_deref().and_then(|pem| split(pem)).ok_or_else(|| ours("the certificate cannot be read".to_owned()))
    }
}

/// The key comes first, then the chain.
fn split(pem: &str) -> Option<(String, Zeroizing<String>)> {
    let at = pem.find("-----BEGIN CERTIFICATE-----")?;
    let (key, chain) = pem.split_at(at);
    key.contains("PRIVATE KEY").then(|| (chain.to_owned(), Zeroizing::new(format!("{}\n", key.trim()))))
}

fn ours(why: String) -> Ended {
    Ended::Failed(IssueError::new(Cause::Ours, why))
}

fn ended(why: OrderError) -> Ended {
    let failed = |kind, said: String| Ended::Failed(IssueError::new(kind, said));
    match why {
        OrderError::Acme(AcmeError::NoTlsAlpn01Challenge | AcmeError::NoHttp01Challenge) => Ended::NotOffered,
        OrderError::Acme(AcmeError::HttpRequest(why)) => asked(&why.to_string()),
        OrderError::Acme(why) => failed(Cause::Unreachable, why.to_string()),
        OrderError::BadAuth(auth) => Ended::Failed(refused(&auth)),
        OrderError::BadOrder(order) => {
            let problem = order.error.map(|p| Problem { kind: p.typ, detail: p.detail }).unwrap_or_default();
            Ended::Failed(problem.error(0, During::Request, SystemTime::now()))
        }
        OrderError::TooManyAttemptsAuth(name) => {
            failed(Cause::Timeout, format!("the authority did not make up its mind about {name}"))
        }
        OrderError::ProcessingTimeout(_) => failed(Cause::Timeout, "the authority did not finish the order".to_owned()),
        OrderError::Rcgen(why) => failed(Cause::Ours, why.to_string()),
    }
}

/// A request that was not answered as it should be. The crate shows the answer's status and body in the
/// words of its error only.
fn asked(why: &str) -> Ended {
    let Some((status, body)) = answer(why) else {
        return Ended::Failed(IssueError::new(Cause::Unreachable, why));
    };
    let problem = Problem::read(body.as_bytes());
    if problem.is_bad_nonce() {
        return Ended::BadNonce;
    }
    let error = problem.error(status, During::Request, SystemTime::now());
    match (error.kind, error.retry_after) {
        (Cause::RateLimited, None) => Ended::RateLimited,
        _ => Ended::Failed(error),
    }
}

/// Status and body of `non 2xx http status: 400 "{\"type\": …}"`.
fn answer(words: &str) -> Option<(u16, String)> {
    let (status, quoted) = words.strip_prefix("non 2xx http status: ")?.split_once(' ')?;
    let quoted = quoted.strip_prefix('"')?.strip_suffix('"')?;
    let (mut body, mut letters) = (String::with_capacity(quoted.len()), quoted.chars());
    while let Some(letter) = letters.next() {
        if letter != '\\' {
            body.push(letter);
            continue;
        }
        match letters.next()? {
            'n' => body.push('\n'),
            'r' => body.push('\r'),
            't' => body.push('\t'),
            '0' => body.push('\0'),
            'u' => {
                let code: String = letters.by_ref().skip(1).take_while(|c| *c != '}').collect();
                body.push(char::from_u32(u32::from_str_radix(&code, 16).ok()?)?);
            }
            other => body.push(other),
        }
    }
    Some((status.parse().ok()?, body))
}

/// What the authority found when it looked.
fn refused(auth: &Auth) -> IssueError {
    let problem = auth.challenges.iter().find_map(|challenge| challenge.error.as_ref());
    match problem {
        Some(found) => {
            let problem = Problem { kind: found.typ.clone(), detail: found.detail.clone() };
            problem.error(0, During::Challenge, SystemTime::now())
        }
        None => {
            let said = format!("the authorization is {:?}", auth.status).to_lowercase();
            IssueError::new(Cause::Validation, said)
        }
    }
}

/// The account in, the certificate out.
struct OneShot {
    account: Zeroizing<Vec<u8>>,
    issued: Arc<Mutex<Option<Zeroizing<String>>>>,
}

#[async_trait]
impl CertCache for OneShot {
    type EC = Infallible;

    async fn load_cert(&self, _: &[String], _: &str) -> Result<Option<Vec<u8>>, Infallible> {
        Ok(None)
    }

    async fn store_cert(&self, _: &[String], _: &str, pem: &[u8]) -> Result<(), Infallible> {
        let text = String::from_utf8_lossy(pem).into_owned();
        *self.issued.lock().unwrap_or_else(PoisonError::into_inner) = Some(Zeroizing::new(text));
        Ok(())
    }
}

#[async_trait]
impl AccountCache for OneShot {
    type EA = Infallible;

    async fn load_account(&self, _: &[String], _: &str) -> Result<Option<Vec<u8>>, Infallible> {
        Ok(Some(self.account.to_vec()))
    }

    async fn store_account(&self, _: &[String], _: &str, _: &[u8]) -> Result<(), Infallible> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_authority_said_is_read_from_the_words() {
        let body = "{\n  \"type\": \"urn:ietf:params:acme:error:badNonce\", \"detail\": \"it\u{7}s \\\\ bad\"}";
        let words = format!("non 2xx http status: 400 {body:?}");
        assert_eq!(answer(&words), Some((400, body.to_owned())));
        // What is no JSON is no problem document either.
        assert!(matches!(asked(&words), Ended::Failed(_)));
        let nonce = "{\n  \"type\": \"urn:ietf:params:acme:error:badNonce\",\n  \"detail\": \"a \\\"used\\\" one\"}";
        assert!(matches!(asked(&format!("non 2xx http status: 400 {nonce:?}")), Ended::BadNonce));
        let limited = format!("non 2xx http status: 429 {:?}", "{\"type\":\"urn:ietf:params:acme:error:rateLimited\"}");
        assert!(matches!(asked(&limited), Ended::RateLimited));
        let Ended::Failed(error) = asked("io error: connection refused") else { panic!("it failed") };
        assert_eq!(error.kind, Cause::Unreachable);
    }

    #[test]
    fn key_and_chain_are_told_apart() {
        let pem = "-----BEGIN PRIVATE KEY-----\nx\n-----END PRIVATE KEY-----\n\n-----BEGIN CERTIFICATE-----\ny\n";
        let (chain, key) = split(pem).expect("both are there");
        assert_eq!(chain, "-----BEGIN CERTIFICATE-----\ny\n");
        assert_eq!(&**key, "-----BEGIN PRIVATE KEY-----\nx\n-----END PRIVATE KEY-----\n");
        assert!(split("-----BEGIN CERTIFICATE-----").is_none());
    }
}
