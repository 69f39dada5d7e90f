//! Which crate does an issuance, and what is tried after what.
//!
//! From challenge to challenge: where the authority could not convince itself by the first, the next one is
//! tried, once; each such try counts at the authority, so that a name for which all of them failed is tried by
//! one at a time from then on, in turn. From authority to authority: where one cannot be reached, is in
//! trouble or has had enough, the next one is asked.

use super::accounts::{Account, Accounts};
use super::https::{Http, trusting};
use super::instant_acme as instant;
use super::rustls_acme as plain;
use super::{Board, Cause, IssueError, Issued, Issuer, Order, Window, dns};
use crate::base64url::decode_copied;
use crate::secrets::Secrets;
use dsl::tree::ir::{Acme, Authority, Challenge, Via};
use instant::Proof;
use moka::sync::Cache;
use rustls::ClientConfig;
use rustls::pki_types::CertificateDer;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::{Arc, PoisonError};
use std::time::Duration;
use tokio::time::{Instant, timeout};
use zeroize::Zeroizing;

/// One issuance at one authority, the name proved here.
const DEADLINE: Duration = Duration::from_secs(120);
/// One that is proved by DNS, where records take their time.
const DEADLINE_DNS: Duration = Duration::from_secs(300);
/// One question about renewal.
const DEADLINE_WINDOW: Duration = Duration::from_secs(30);
/// How often an order is begun again because of a nonce; then the crate that mends it request by request does it.
const NONCES: usize = 4;
/// How long an authority that has had enough is asked with the crate that reads for how long.
const LIMITED: Duration = Duration::from_secs(3600);
/// Names about which something is remembered, and for how long at most.
const NAMES: u64 = 10_000;
const REMEMBERED: Duration = Duration::from_secs(24 * 3600);

/// What issuers need beside what `gateway.route` says.
#[derive(Clone, Debug)]
pub struct Means {
    /// The sites directory, against which `root` is resolved.
    pub sites: PathBuf,
    /// The secrets that `acme { … }` and `via dns(…)` name.
    pub secrets: Arc<Secrets>,
    /// Where accounts are kept.
    pub accounts: Arc<dyn Accounts>,
    /// Where challenges are posted for the data plane.
    pub board: Arc<Board>,
    /// The name servers that `resolver` names; none: those of the system.
    pub resolver: Arc<[SocketAddr]>,
}

/// The issuers of a gateway.
pub struct Issuers {
    acme: Arc<Acme>,
    means: Means,
    /// With `mailto:`.
    contact: Vec<String>,
    authorities: Vec<State>,
    /// By name: what its challenges came to.
    learned: Cache<Box<str>, Learned>,
    /// By authority and name: until when it asked to be left alone.
    left_alone: Cache<(usize, Box<str>), Instant>,
}

/// What is known of an authority.
#[derive(Default)]
struct State {
    /// The account, once it is known; held while one is made.
    account: tokio::sync::Mutex<Option<Account>>,
    /// Until when orders go by the crate that reads `Retry-After`.
    limited: std::sync::Mutex<Option<Instant>>,
}

/// What the challenges of a name came to.
#[derive(Clone, Copy, Debug)]
enum Learned {
    /// This one was good.
    Good(Challenge),
    /// All failed; so many orders since.
    Failed(usize),
}

/// Where an order is made.
struct At<'a> {
    index: usize,
    authority: &'a Authority,
    tls: Arc<ClientConfig>,
    http: Http,
}

impl Issuers {
    /// For what `gateway.route` says. Must be used within a runtime of tokio: on the control plane.
    #[must_use]
    #[allow(clippy::new_ret_no_self)] // nobody needs to know more of it
    pub fn new(acme: &Arc<Acme>, means: Means) -> Arc<dyn Issuer> {
        let kept = || Cache::builder().max_capacity(NAMES).time_to_live(REMEMBERED);
        Arc::new(Self {
            acme: Arc::clone(acme),
            contact: acme.contact.iter().map(|mail| format!("mailto:{mail}")).collect(),
            authorities: acme.authorities.iter().map(|_| State::default()).collect(),
            learned: kept().build(),
            left_alone: Cache::builder().max_capacity(NAMES).time_to_live(REMEMBERED).build(),
            means,
        })
    }

    async fn order(&self, order: &Order) -> Result<Issued, IssueError> {
        let mut failures: Vec<IssueError> = Vec::new();
        let deadline = if order.via.is_some() { DEADLINE_DNS } else { DEADLINE };
        for (index, authority) in self.acme.authorities.iter().enumerate() {
            let failed = match self.still_left_alone(index, &order.name) {
                Some(left) => {
                    let said = format!("it asked to be left alone for {} s more", left.as_secs());
                    IssueError { kind: Cause::RateLimited, said, retry_after: Some(left) }
                }
                None => match timeout(deadline, self.order_at(index, authority, order)).await {
                    Ok(Ok(issued)) => return Ok(issued),
                    Ok(Err(failed)) => failed,
                    Err(_) => {
                        let said = format!("it was not done within {} s", deadline.as_secs());
                        IssueError::new(Cause::Timeout, said)
                    }
                },
            };
            if let Some(wait) = failed.retry_after {
                self.left_alone.insert((index, order.name.clone()), Instant::now() + wait.min(REMEMBERED));
            }
            let others_may = match failed.kind {
                Cause::Unreachable | Cause::RateLimited | Cause::Timeout => true,
                Cause::Validation | Cause::Refused | Cause::Ours => false,
            };
            failures.push(IssueError { said: format!("{}: {}", authority.directory, failed.said), ..failed });
            if !others_may {
                break;
            }
        }
        Err(together(failures))
    }

    fn still_left_alone(&self, index: usize, name: &str) -> Option<Duration> {
        let until = self.left_alone.get(&(index, name.into()))?;
        Some(until.saturating_duration_since(Instant::now())).filter(|left| !left.is_zero())
    }

    async fn order_at(&self, index: usize, authority: &Authority, order: &Order) -> Result<Issued, IssueError> {
        let at = self.at(index, authority)?;
        let (chain, key) = match &order.via {
            Some(via) => self.by_dns(&at, order, via).await?,
            None if order.name.starts_with("*.") => {
                let said = "a wildcard certificate is only given for a proof by DNS: write `tls auto via dns(…)`";
                return Err(IssueError::new(Cause::Ours, said));
            }
            None => self.here(&at, order).await?,
        };
        Ok(Issued { chain, key, by: Arc::clone(&authority.directory) })
    }

    fn at<'a>(&self, index: usize, authority: &'a Authority) -> Result<At<'a>, IssueError> {
        let root = authority.root.as_deref().map(|file| self.means.sites.join(file));
        let tls = trusting(root.as_deref()).map_err(|why| IssueError::new(Cause::Ours, why))?;
        Ok(At { index, authority, http: Http::new(Arc::clone(&tls)), tls })
    }

    // === accounts

    /// The account at an authority; one is made where there is none, whoever asks first.
    async fn account(&self, at: &At<'_>) -> Result<Account, IssueError> {
        let mut known = self.authorities[at.index].account.lock().await;
        if let Some(account) = &*known {
            return Ok(account.clone());
        }
        let directory = &at.authority.directory;
        let kept = self.means.accounts.load(directory);
        let account = match kept.map_err(|why| IssueError::new(Cause::Ours, format!("the account: {why}")))? {
            Some(account) => account,
            None => self.register(at).await?,
        };
        *known = Some(account.clone());
        Ok(account)
    }

    /// Makes an account. Where it cannot be written it is known for as long as this process runs.
    async fn register(&self, at: &At<'_>) -> Result<Account, IssueError> {
        let eab = match &at.authority.eab {
            Some(eab) => {
                let secret = self.secret(&eab.key)?;
                let key = decode_copied(secret.bytes()).filter(|key| !key.is_empty()).ok_or_else(|| {
                    let said = format!("the secret {} is no key in base64url, as `eab` needs one", eab.key);
                    IssueError::new(Cause::Ours, said)
                })?;
                Some((&*eab.kid, Zeroizing::new(key)))
            }
            None => None,
        };
        let eab = eab.as_ref().map(|(kid, key)| (*kid, key.as_slice()));
        let account = instant::register(&at.http, &at.authority.directory, &self.contact, eab).await?;
        let _ = self.means.accounts.keep(&at.authority.directory, &account);
        Ok(account)
    }

    /// Makes another account in the place of one that the authority does not know any more.
    async fn another_account(&self, at: &At<'_>, gone: &Account) -> Result<Account, IssueError> {
        let mut known = self.authorities[at.index].account.lock().await;
        if let Some(account) = known.as_ref().filter(|account| account.id != gone.id) {
            return Ok(account.clone());
        }
        let account = self.register(at).await?;
        *known = Some(account.clone());
        Ok(account)
    }

    fn secret(&self, name: &str) -> Result<Arc<crate::secrets::Secret>, IssueError> {
        self.means.secrets.get(name).ok_or_else(|| {
            let why = self.means.secrets.why_not(name);
            IssueError::new(Cause::Ours, format!("the secret {name} is not at hand: {why}"))
        })
    }

    // === proofs

    async fn by_dns(&self, at: &At<'_>, order: &Order, via: &Via) -> Result<(String, Zeroizing<String>), IssueError> {
        let ours = |why: String| IssueError::new(Cause::Ours, why);
        let said = self.acme.provider(&via.provider);
        let said = said.ok_or_else(|| ours(format!("gateway.route has no DNS provider named {}", via.provider)))?;
        let key = via.key.as_ref().or_else(|| said.key());
        let secret = key.map(|name| self.secret(name)).transpose()?;
        let http = || trusting(None).map(Http::new);
        let provider = dns::Provider::new(said, secret, http, Arc::clone(&self.means.resolver));
        let provider = provider.map_err(|why| ours(format!("the DNS provider {}: {why}", via.provider)))?;
        let proof = provider.as_ref().map_or(Proof::Persist, Proof::Dns);
        self.instant(at, order, proof).await.map_err(|why| match why {
            Other::Failed(error) if matches!(proof, Proof::Persist) => {
                let domain = order.name.strip_prefix("*.").unwrap_or(&order.name);
                let said =
                    format!("{} (by the record _validation-persist.{domain}, which is put in place once)", error.said);
                IssueError { said, ..error }
            }
            Other::Failed(error) => error,
            Other::NotOffered(word) => {
                IssueError::new(Cause::Refused, format!("the authority does not offer {word} for this name"))
            }
        })
    }

    /// Proved on our own ports: by one challenge after the other.
    async fn here(&self, at: &At<'_>, order: &Order) -> Result<(String, Zeroizing<String>), IssueError> {
        let learned = self.learned.get(&*order.name);
        let (trials, failed) = trials(&self.acme.challenges, learned);
        let (mut validation, mut not_offered) = (Vec::new(), Vec::new());
        for challenge in trials {
            match self.by(at, order, challenge).await {
                Ok(issued) => {
                    self.learned.insert(order.name.clone(), Learned::Good(challenge));
                    return Ok(issued);
                }
                Err(Other::NotOffered(word)) => not_offered.push(word),
                Err(Other::Failed(error)) if error.kind == Cause::Validation => {
                    validation.push(format!("by {}: {}", word(challenge), error.said));
                }
                Err(Other::Failed(error)) => return Err(error),
            }
        }
        if validation.is_empty() {
            let said = format!("the authority offers none of {} for this name", not_offered.join(", "));
            return Err(IssueError::new(Cause::Refused, said));
        }
        self.learned.insert(order.name.clone(), Learned::Failed(failed));
        Err(IssueError::new(Cause::Validation, validation.join("; ")))
    }

    async fn by(&self, at: &At<'_>, order: &Order, challenge: Challenge) -> Result<(String, Zeroizing<String>), Other> {
        let Authority { directory, root: _, eab, profile, orders: _ } = at.authority;
        let simple = eab.is_none() && profile.is_none() && order.replaces.is_none() && directory.starts_with("https:");
        if simple && !self.is_limited(at.index) {
            let account = self.account(at).await.map_err(Other::Failed)?;
            let once = || plain::Once {
                tls: Arc::clone(&at.tls),
                directory,
                contact: &self.contact,
                account: &account.key,
                name: &order.name,
                challenge,
            };
            for _ in 0..NONCES {
                match once().run(&self.means.board).await {
                    Ok(issued) => return Ok(issued),
                    // At once: nothing is wrong with the order.
                    Err(plain::Ended::BadNonce) => {}
                    Err(plain::Ended::NotOffered) => return Err(Other::NotOffered(word(challenge))),
                    Err(plain::Ended::Failed(error)) => return Err(Other::Failed(error)),
                    // Asked once more by the crate that reads `Retry-After`, and from then on.
                    Err(plain::Ended::RateLimited) => {
                        self.limit(at.index);
                        break;
                    }
                }
            }
        }
        self.instant(at, order, Proof::Here(challenge)).await
    }

    async fn instant(
        &self,
        at: &At<'_>,
        order: &Order,
        proof: Proof<'_>,
    ) -> Result<(String, Zeroizing<String>), Other> {
        let mut account = self.account(at).await.map_err(Other::Failed)?;
        let (mut replaces, mut anew) = (order.replaces.as_ref(), false);
        loop {
            let once = instant::Once {
                http: &at.http,
                directory: &at.authority.directory,
                account: &account,
                name: &order.name,
                profile: at.authority.profile.as_deref(),
                replaces,
                proof,
            };
            match once.run(&self.means.board).await {
                Ok(issued) => return Ok(issued),
                Err(instant::Ended::NotOffered(word)) => return Err(Other::NotOffered(word)),
                Err(instant::Ended::Failed(error)) => return Err(Other::Failed(error)),
                // It is ordered all the same, and counted as any other.
                Err(instant::Ended::NotReplaced) if replaces.is_some() => replaces = None,
                Err(instant::Ended::NoAccount) if !anew => {
                    anew = true;
                    account = self.another_account(at, &account).await.map_err(Other::Failed)?;
                }
                Err(instant::Ended::NoAccount | instant::Ended::NotReplaced) => {
                    let said = "the authority does not know the account that it has just made";
                    return Err(Other::Failed(IssueError::new(Cause::Refused, said)));
                }
            }
        }
    }

    fn is_limited(&self, index: usize) -> bool {
        let until = *self.authorities[index].limited.lock().unwrap_or_else(PoisonError::into_inner);
        until.is_some_and(|until| Instant::now() < until)
    }

    fn limit(&self, index: usize) {
        let until = Some(Instant::now() + LIMITED);
        *self.authorities[index].limited.lock().unwrap_or_else(PoisonError::into_inner) = until;
    }

    /// The window of the first authority that knows the certificate.
    async fn ask_window(&self, leaf: &CertificateDer<'static>) -> Option<Window> {
        for (index, authority) in self.acme.authorities.iter().enumerate() {
            let Ok(at) = self.at(index, authority) else { continue };
            let known = self.authorities[index].account.lock().await.clone();
            // Whoever has no account there has no certificate from there.
            let Some(account) = known.or_else(|| self.means.accounts.load(&authority.directory).ok().flatten()) else {
                continue;
            };
            let asked = instant::window(&at.http, &authority.directory, &account, leaf);
            if let Ok(Some(window)) = timeout(DEADLINE_WINDOW, asked).await {
                return Some(window);
            }
        }
        None
    }
}

/// Why a proof came to nothing.
enum Other {
    NotOffered(&'static str),
    Failed(IssueError),
}

/// What is tried for a name, and what is remembered if all of it fails.
fn trials(challenges: &[Challenge], learned: Option<Learned>) -> (Vec<Challenge>, usize) {
    match learned {
        None => (challenges.to_vec(), 0),
        Some(Learned::Good(good)) => {
            let mut all = challenges.to_vec();
            all.sort_by_key(|challenge| *challenge != good);
            (all, 0)
        }
        Some(Learned::Failed(since)) => (vec![challenges[since % challenges.len()]], since.wrapping_add(1)),
    }
}

fn word(challenge: Challenge) -> &'static str {
    match challenge {
        Challenge::TlsAlpn => "tls-alpn-01",
        Challenge::Http => "http-01",
    }
}

/// What is said of several authorities: the last one's trouble, and the soonest that one of them may be asked.
fn together(failures: Vec<IssueError>) -> IssueError {
    let retry_after = failures.iter().map(|failed| failed.retry_after).min().flatten();
    let said = failures.iter().map(|failed| failed.said.as_str()).collect::<Vec<_>>().join("; then ");
    let kind = failures.last().map_or(Cause::Ours, |failed| failed.kind);
    IssueError { kind, said, retry_after }
}

impl Issuer for Issuers {
    fn issue<'a>(&'a self, order: &'a Order) -> Pin<Box<dyn Future<Output = Result<Issued, IssueError>> + Send + 'a>> {
        Box::pin(self.order(order))
    }

    fn window<'a>(
        &'a self,
        leaf: &'a CertificateDer<'static>,
    ) -> Pin<Box<dyn Future<Output = Option<Window>> + Send + 'a>> {
        Box::pin(self.ask_window(leaf))
    }
}

impl fmt::Debug for Issuers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Issuers").field("authorities", &self.authorities.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_nothing_proves_is_tried_by_one_challenge_at_a_time() {
        let both = [Challenge::TlsAlpn, Challenge::Http];
        assert_eq!(trials(&both, None), (both.to_vec(), 0));
        assert_eq!(trials(&both, Some(Learned::Failed(0))), (vec![Challenge::TlsAlpn], 1));
        assert_eq!(trials(&both, Some(Learned::Failed(1))), (vec![Challenge::Http], 2));
        let good = trials(&both, Some(Learned::Good(Challenge::Http)));
        assert_eq!(good, (vec![Challenge::Http, Challenge::TlsAlpn], 0));
    }

    #[test]
    fn the_soonest_authority_says_when() {
        let of =
            |kind, secs: Option<u64>| IssueError { kind, said: "x".into(), retry_after: secs.map(Duration::from_secs) };
        let both = together(vec![of(Cause::RateLimited, Some(60)), of(Cause::RateLimited, Some(30))]);
        assert_eq!((both.kind, both.retry_after), (Cause::RateLimited, Some(Duration::from_secs(30))));
        // One that named no time may be asked whenever the next try is.
        let both = together(vec![of(Cause::RateLimited, Some(60)), of(Cause::Unreachable, None)]);
        assert_eq!((both.kind, both.retry_after), (Cause::Unreachable, None));
    }
}
