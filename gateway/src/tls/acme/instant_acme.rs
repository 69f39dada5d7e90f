//! One issuance by the crate instant-acme: wildcards and whatever is proved by DNS-01, external account
//! binding, profiles, and orders that say which certificate they replace (RFC 9773); and the accounts of
//! both crates.

use super::accounts::Account as Kept;
use super::https::Http;
use super::problem::{During, Problem};
use super::{Board, Cause, IssueError, Posted, Window, dns};
use crate::edge::fetch::Unanswered;
use ::instant_acme::{
    Account, AuthorizationStatus, CertificateIdentifier, ChallengeHandle, ChallengeType, Error, ExternalAccountKey,
    Identifier, NewAccount, NewOrder, Order, OrderStatus, RetryPolicy,
};
use dsl::tree::ir::Challenge;
use rcgen::{CertificateParams, CustomExtension, KeyPair, PKCS_ECDSA_P256_SHA256};
use rustls::crypto::aws_lc_rs::sign::any_ecdsa_type;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::sign::CertifiedKey;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use zeroize::Zeroizing;

/// How long an authority may take to look, and to issue.
const PATIENCE: Duration = Duration::from_secs(90);
/// A challenge whose record the operator has put in place for good (draft-ietf-acme-dns-persist).
const PERSIST: &str = "dns-persist-01";

/// How the name is proved.
#[derive(Clone, Copy)]
pub(super) enum Proof<'a> {
    /// On our own ports.
    Here(Challenge),
    /// By a record.
    Dns(&'a dns::Provider),
    /// By a record that is there already.
    Persist,
}

/// Why an order ended without a certificate.
#[derive(Debug)]
pub(super) enum Ended {
    /// The authority does not offer this challenge for the name.
    NotOffered(&'static str),
    /// The authority does not know the account any more.
    NoAccount,
    /// The authority does not take the certificate that is to be replaced.
    NotReplaced,
    /// Anything else.
    Failed(IssueError),
}

/// What one order is made of.
pub(super) struct Once<'a> {
    pub(super) http: &'a Http,
    pub(super) directory: &'a str,
    pub(super) account: &'a Kept,
    pub(super) name: &'a str,
    pub(super) profile: Option<&'a str>,
    pub(super) replaces: Option<&'a CertificateDer<'static>>,
    pub(super) proof: Proof<'a>,
}

/// Makes an account, with `mailto:` in its contacts. The MAC key of the binding is as it was decoded.
pub(super) async fn register(
    http: &Http,
    directory: &str,
    contact: &[String],
    eab: Option<(&str, &[u8])>,
) -> Result<Kept, IssueError> {
    let contact: Vec<&str> = contact.iter().map(String::as_str).collect();
    let wanted = NewAccount { contact: &contact, terms_of_service_agreed: true, only_return_existing: false };
    let eab = eab.map(|(kid, key)| ExternalAccountKey::new(kid.to_owned(), key));
    let builder = Account::builder_with_http(Box::new(http.clone()));
    let made = builder.create(&wanted, directory.to_owned(), eab.as_ref()).await;
    let (account, credentials) = made.map_err(|why| failed(why, http))?;
    let key = Zeroizing::new(credentials.private_key().secret_pkcs8_der().to_vec());
    Ok(Kept { key, id: account.id().to_owned() })
}

/// An account that was made before.
async fn known(http: &Http, directory: &str, kept: &Kept) -> Result<Account, Error> {
    let key = PrivatePkcs8KeyDer::from(kept.key.to_vec());
    Account::builder_with_http(Box::new(http.clone())).from_parts(kept.id.clone(), key, directory.to_owned()).await
}

/// The window that an authority suggests; `None` where it suggests none.
pub(super) async fn window(
    http: &Http,
    directory: &str,
    kept: &Kept,
    leaf: &CertificateDer<'static>,
) -> Option<Window> {
    let id = CertificateIdentifier::try_from(leaf).ok()?;
    let account = known(http, directory, kept).await.ok()?;
    let (info, ask_again) = account.renewal_info(&id).await.ok()?;
    let (start, end) = (SystemTime::from(info.suggested_window.start), SystemTime::from(info.suggested_window.end));
    // RFC 9773 section 4.2: one that ends before it begins is none.
    (start < end).then_some(Window { start, end, explanation: info.explanation_url, ask_again })
}

impl Once<'_> {
    /// Does it: the chain and its key, both PEM.
    pub(super) async fn run(&self, board: &Arc<Board>) -> Result<(String, Zeroizing<String>), Ended> {
        let account = known(self.http, self.directory, self.account).await.map_err(|why| self.ended(why))?;
        let identifiers = [Identifier::Dns(self.name.to_owned())];
        let mut wanted = NewOrder::new(&identifiers);
        if let Some(profile) = self.profile {
            wanted = wanted.profile(profile);
        }
        if let Some(id) = self.replaces.and_then(|old| CertificateIdentifier::try_from(old).ok()) {
            wanted = wanted.replaces(id);
        }
        let mut order = account.new_order(&wanted).await.map_err(|why| self.ended(why))?;
        let mut posted = Vec::new();
        let proved = self.prove(&mut order, board, &mut posted).await;
        let issued = match proved {
            Ok(()) => self.finish(&mut order).await,
            Err(ended) => Err(ended),
        };
        // Whatever came of it: what was put in place is taken away.
        for proof in posted {
            proof.take_away().await;
        }
        issued
    }

    async fn prove(&self, order: &mut Order, board: &Arc<Board>, posted: &mut Vec<Stands>) -> Result<(), Ended> {
        let kind = match self.proof {
            Proof::Here(Challenge::TlsAlpn) => ChallengeType::TlsAlpn01,
            Proof::Here(Challenge::Http) => ChallengeType::Http01,
            Proof::Dns(_) => ChallengeType::Dns01,
            Proof::Persist => ChallengeType::Unknown(PERSIST.to_owned()),
        };
        let mut authorizations = order.authorizations();
        while let Some(authorization) = authorizations.next().await {
            let mut authorization = authorization.map_err(|why| self.ended(why))?;
            match authorization.status {
                AuthorizationStatus::Pending => {}
                // From an order before.
                AuthorizationStatus::Valid => continue,
                _ => return Err(validation("the authorization is not open any more")),
            }
            let mut challenge = authorization.challenge(kind.clone()).ok_or(Ended::NotOffered(word(&self.proof)))?;
            posted.extend(self.post(&challenge, board).await?);
            challenge.set_ready().await.map_err(|why| match why {
                Error::Api(problem) => Ended::Failed(of(&problem).error(0, During::Challenge, SystemTime::now())),
                why => self.ended(why),
            })?;
        }
        match order.poll_ready(&RetryPolicy::new().timeout(PATIENCE)).await {
            Ok(OrderStatus::Ready | OrderStatus::Valid | OrderStatus::Processing) => Ok(()),
            Ok(OrderStatus::Invalid | OrderStatus::Pending) => Err(self.found(order, None).await),
            Err(Error::Api(problem)) => Err(self.found(order, Some(of(&problem))).await),
            Err(why) => Err(self.ended(why)),
        }
    }

    /// Puts in place what the authority will ask for.
    async fn post(&self, challenge: &ChallengeHandle<'_>, board: &Arc<Board>) -> Result<Option<Stands>, Ended> {
        let authorization = challenge.key_authorization();
        let board_full = || ours("too many challenges are under way");
        match self.proof {
            Proof::Here(Challenge::TlsAlpn) => {
                let answer = certificate(self.name, authorization.digest().as_ref()).map_err(|why| ours(&why))?;
                Ok(Some(Stands::Here(board.certificate(self.name, answer).ok_or_else(board_full)?)))
            }
            Proof::Here(Challenge::Http) => {
                let posted = board.token(self.name, &challenge.token, authorization.as_str());
                Ok(Some(Stands::Here(posted.ok_or_else(board_full)?)))
            }
            Proof::Dns(provider) => {
                let domain = self.name.strip_prefix("*.").unwrap_or(self.name);
                let record = provider.put(domain, authorization.dns_value()).await;
                record.map(|record| Some(Stands::Record(record))).map_err(|why| ours(&why))
            }
            Proof::Persist => Ok(None),
        }
    }

    async fn finish(&self, order: &mut Order) -> Result<(String, Zeroizing<String>), Ended> {
        let key = Zeroizing::new(order.finalize().await.map_err(|why| self.ended(why))?);
        let policy = RetryPolicy::new().timeout(PATIENCE);
        let chain = order.poll_certificate(&policy).await.map_err(|why| self.ended(why))?;
        Ok((chain, key))
    }

    /// What the authority found when it looked: its challenges say more than the order.
    async fn found(&self, order: &mut Order, said: Option<Problem>) -> Ended {
        let mut authorizations = order.authorizations();
        while let Some(Ok(mut authorization)) = authorizations.next().await {
            if let Ok(state) = authorization.refresh().await
                && let Some(problem) = state.challenges.iter().find_map(|challenge| challenge.error.as_ref())
            {
                return Ended::Failed(of(problem).error(0, During::Challenge, SystemTime::now()));
            }
        }
        match said {
            Some(problem) => Ended::Failed(problem.error(0, During::Challenge, SystemTime::now())),
            None => validation("the order became invalid"),
        }
    }

    fn ended(&self, why: Error) -> Ended {
        match &why {
            Error::Api(problem) if of(problem).name() == "accountDoesNotExist" => Ended::NoAccount,
            // RFC 9773 section 5; or the authority knows nothing of all that.
            Error::Api(problem) if self.replaces.is_some() && of(problem).name() == "alreadyReplaced" => {
                Ended::NotReplaced
            }
            Error::Api(problem) if self.replaces.is_some() && problem.status == Some(404) => Ended::NotReplaced,
            Error::Unsupported(_) if self.replaces.is_some() => Ended::NotReplaced,
            _ => Ended::Failed(failed(why, self.http)),
        }
    }
}

/// What stands until the order ends.
enum Stands {
    /// Taken down when it is dropped.
    Here(Posted),
    Record(dns::Record),
}

impl Stands {
    async fn take_away(self) {
        match self {
            Self::Here(posted) => drop(posted),
            Self::Record(record) => record.take_away().await,
        }
    }
}

/// The certificate that answers TLS-ALPN-01 (RFC 8737 section 3).
fn certificate(name: &str, digest: &[u8]) -> Result<Arc<CertifiedKey>, String> {
    let mut params = CertificateParams::new([name.to_owned()]).map_err(|e| e.to_string())?;
    params.custom_extensions = vec![CustomExtension::new_acme_identifier(digest)];
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(|e| e.to_string())?;
    let made = params.self_signed(&key).map_err(|e| e.to_string())?;
    let der = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let signer = any_ecdsa_type(&der).map_err(|e| e.to_string())?;
    Ok(Arc::new(CertifiedKey::new(vec![made.der().clone()], signer)))
}

fn word(proof: &Proof<'_>) -> &'static str {
    match proof {
        Proof::Here(Challenge::TlsAlpn) => "tls-alpn-01",
        Proof::Here(Challenge::Http) => "http-01",
        Proof::Dns(_) => "dns-01",
        Proof::Persist => PERSIST,
    }
}

fn ours(why: &str) -> Ended {
    Ended::Failed(IssueError::new(Cause::Ours, why))
}

fn validation(why: &str) -> Ended {
    Ended::Failed(IssueError::new(Cause::Validation, why))
}

/// The first thing that it says: parts of a problem may be about one name each.
fn of(problem: &::instant_acme::Problem) -> Problem {
    let sub = problem.subproblems.first();
    match sub.filter(|sub| sub.r#type.is_some()) {
        Some(sub) => {
            Problem { kind: sub.r#type.clone(), detail: sub.detail.clone().or_else(|| problem.detail.clone()) }
        }
        None => Problem { kind: problem.r#type.clone(), detail: problem.detail.clone() },
    }
}

/// The error of a request that was not answered as it should be.
fn failed(why: Error, http: &Http) -> IssueError {
    match why {
        Error::Api(problem) => {
            let mut error = of(&problem).error(problem.status.unwrap_or(400), During::Request, SystemTime::now());
            if matches!(error.kind, Cause::RateLimited | Cause::Unreachable) {
                error.retry_after = http.retry_after().or(error.retry_after);
            }
            error
        }
        Error::Timeout(_) => IssueError::new(Cause::Timeout, "the authority did not finish in time"),
        Error::Other(inner) if inner.is::<Unanswered>() => IssueError::new(Cause::Unreachable, inner.to_string()),
        // An answer that is none of ACME's: a page of a proxy, half a body.
        Error::Json(_) | Error::Str(_) | Error::Http(_) | Error::InvalidUri(_) | Error::Unsupported(_) => {
            let mut error = IssueError::new(Cause::Unreachable, format!("its answer makes no sense: {why}"));
            error.retry_after = http.retry_after();
            error
        }
        why => IssueError::new(Cause::Ours, why.to_string()),
    }
}
