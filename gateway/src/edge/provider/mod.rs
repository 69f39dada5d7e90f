//! Providers: the keys that they publish, kept up to date off the data threads.
//!
//! A provider is one object over all sites and reloads, as long as it is found at the same place and verified alike.
//! Its task asks for its keys at once, again before they are over, and sooner when a token names a key that is not
//! known: at most once in ten seconds, and for everybody who waits. Nothing that fails takes keys away: what was known
//! last goes on, and the operator is told.

mod answer;
mod jwks;
mod keep;

pub use answer::Discovery;

use super::fetch::{Client, Desk};
use super::jwt::{self, By, Claims, Rules};
use super::keys::Key;
use crate::runtime::notice::{Notice, NoticeSender};
use crate::upstream::{Lookup, Table};
use arc_swap::ArcSwapOption;
use bytes::Bytes;
use dsl::tree::ir::{self, Algorithm, Dials};
use jwks::Named;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, watch};
use tokio::task::AbortHandle;
use tokio::time::{Instant, timeout_at};

/// Tokens of unknown keys have a provider asked at most this often.
const APART: Duration = Duration::from_secs(10);
/// For so long a request waits for keys.
const PATIENCE: Duration = Duration::from_secs(5);
/// Requests that wait for one provider's keys; further ones are told what is known.
const WAITING: usize = 1_024;
/// By how much the clock of a provider may differ, where no file says so.
const SKEW: Duration = Duration::from_secs(10);
/// Keys that are tried for a token which names none.
const TRIED: usize = 8;

/// The providers of all sites.
#[derive(Default)]
pub struct Providers {
    known: Mutex<Table<Identity, Provider>>,
    desk: Arc<Desk>,
    notices: OnceLock<NoticeSender>,
    names: OnceLock<Lookup>,
}

/// What makes two providers one.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Identity {
    issuer: Option<Arc<str>>,
    keys: Option<Arc<str>>,
    trust: Option<PathBuf>,
    dials: Option<Arc<Dials>>,
    /// Whether its discovery document is wanted beside its keys.
    login: bool,
}

/// A provider.
pub struct Provider {
    /// As the first file that has it calls it.
    name: Arc<str>,
    at: Identity,
    published: ArcSwapOption<Published>,
    discovery: ArcSwapOption<Discovery>,
    turn: Mutex<Turn>,
    /// How often it was asked, to the end.
    ended: watch::Sender<u64>,
    /// Somebody wants it asked now.
    wanted: Arc<Notify>,
    waiting: Arc<AtomicUsize>,
    counts: Counts,
    /// What was said of it last, where something was wrong.
    told: Mutex<Option<String>>,
    notices: Option<NoticeSender>,
    /// What looks its name up.
    names: Option<Lookup>,
    /// What it is asked with, and the roots that were made it of.
    client: Mutex<Option<(Option<Vec<u8>>, Client)>>,
    desk: Arc<Desk>,
    task: Mutex<Option<AbortHandle>>,
}

/// Whether a provider is being asked, and when that was begun last.
#[derive(Default)]
struct Turn {
    begun: Option<Instant>,
    under_way: bool,
}

/// How asking came out.
#[derive(Debug, Default)]
pub struct Counts {
    /// Its keys were had.
    pub good: AtomicU64,
    /// They were not.
    pub failed: AtomicU64,
}

/// The keys of a provider as they are now.
pub struct Published {
    /// Differs between any two sets.
    pub(super) version: u64,
    keys: Vec<Named>,
    /// The set as it was sent.
    text: Bytes,
}

impl Published {
    /// The keys of a set as it was sent (RFC 7517 section 5), and what is wrong with those that were left out.
    ///
    /// # Errors
    /// When it is none, in words.
    pub fn read(text: Bytes) -> Result<(Self, Option<String>), String> {
        static VERSIONS: AtomicU64 = AtomicU64::new(0);
        let jwks::Read { keys, trouble } = jwks::read(&text)?;
        Ok((Self { version: VERSIONS.fetch_add(1, Ordering::Relaxed), keys, text }, trouble))
    }

    /// The claims of a token that one of the keys signed, for this audience, by this issuer, and that holds now. A
    /// claim that is a list stands once for each of its texts. `now`: since 1970.
    #[must_use]
    pub fn claims(&self, token: &str, issuer: &str, audience: Option<&str>, now: Duration) -> Option<Claims> {
        let rules = Rules {
            algorithms: &[Algorithm::Rs256, Algorithm::Ps256, Algorithm::Es256, Algorithm::EdDsa],
            issuer: Some(issuer),
            audience,
            endless: false,
            nbf: false,
            leeway: SKEW,
            now,
        };
        jwt::verify(token, &By::Provider(self), &rules).ok().map(|holds| holds.claims)
    }

    /// The keys that may have signed a token: those of its `kid`, where it has one, and of its kind.
    pub(super) fn candidates(&self, kid: Option<&str>, algorithm: Algorithm) -> impl Iterator<Item = &Key> {
        let named = move |key: &&Named| kid.is_none_or(|kid| key.kid.as_deref() == Some(kid));
        let fits = self.keys.iter().filter(named).filter(move |key| key.algorithms.contains(&algorithm));
        fits.take(TRIED).map(|key| &key.key)
    }

    /// Whether there is a key.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// How many keys there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.keys.len()
    }
}

impl Providers {
    /// Where trouble is told from now on; the first says.
    pub fn telling(&self, notices: NoticeSender) {
        // Said once, at the start of the process.
        let _ = self.notices.set(notices);
    }

    /// What looks names up from now on, in place of the system's resolver; the first says.
    pub fn looking_up(&self, names: Lookup) {
        // Said once, at the start of the process.
        let _ = self.names.set(names);
    }

    /// The provider that a route file in `dir` names. Who has it first makes it asked for its keys, in the background.
    #[must_use]
    pub fn intern(&self, provider: &ir::Provider, dir: &Path) -> Arc<Provider> {
        let at = Identity {
            issuer: provider.issuer.clone(),
            keys: provider.keys.clone(),
            trust: provider.trust.as_ref().map(|file| dir.join(&**file)),
            dials: provider.dials.clone(),
            login: provider.client.is_some(),
        };
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(provider) = known.get(&at) {
            return provider;
        }
        let name = Arc::clone(&provider.name);
        let (notices, names) = (self.notices.get().cloned(), self.names.get().cloned());
        let made = Arc::new(Provider::new(name, at.clone(), notices, names, Arc::clone(&self.desk)));
        known.insert(at, &made);
        match self.desk.spawn(keep::run(Arc::downgrade(&made))) {
            Ok(task) => *made.task.lock().unwrap_or_else(PoisonError::into_inner) = Some(task.abort_handle()),
            Err(e) => {
                made.tell(Some(format!("no thread to ask it: {e}")));
                made.ends();
            }
        }
        made
    }

    /// Everything that is in use, in no order.
    #[must_use]
    pub fn live(&self) -> Vec<Arc<Provider>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).live()
    }
}

impl Provider {
    fn new(
        name: Arc<str>,
        at: Identity,
        notices: Option<NoticeSender>,
        names: Option<Lookup>,
        desk: Arc<Desk>,
    ) -> Self {
        Self {
            name,
            at,
            published: ArcSwapOption::empty(),
            discovery: ArcSwapOption::empty(),
            // Who comes before the first answer waits for it.
            turn: Mutex::new(Turn { begun: None, under_way: true }),
            ended: watch::Sender::new(0),
            wanted: Arc::default(),
            waiting: Arc::default(),
            counts: Counts::default(),
            told: Mutex::default(),
            notices,
            names,
            client: Mutex::default(),
            desk,
            task: Mutex::default(),
        }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// Its keys now; `None` where none were ever had.
    #[must_use]
    pub fn published(&self) -> Option<Arc<Published>> {
        self.published.load_full()
    }

    /// What its discovery document said last; `None` where it was never had, or nobody needs it.
    #[must_use]
    pub fn discovery(&self) -> Option<Arc<Discovery>> {
        self.discovery.load_full()
    }

    /// How asking came out.
    #[must_use]
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// What asks it: 5 s and 64 KiB for an answer, redirects not followed, verified by its `trust`, within `dials`.
    /// To be used in tasks of [`Provider::desk`].
    ///
    /// # Errors
    /// When there is nobody to trust, in words for the operator.
    pub fn client(&self) -> Result<Client, String> {
        keep::client(self)
    }

    /// Where its requests are made.
    #[must_use]
    pub fn desk(&self) -> &Arc<Desk> {
        &self.desk
    }

    /// What is wrong with it, for the operator.
    #[must_use]
    pub fn trouble(&self) -> Option<String> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Has it asked, where that is not too soon, or joins those who wait: over when an answer came, at the latest after
    /// five seconds. `None`: what is known is all there is to know.
    pub(super) fn renewed(&self) -> Option<impl Future<Output = ()> + Send + 'static> {
        let mut turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        if !turn.under_way {
            if turn.begun.is_some_and(|begun| begun.elapsed() < APART) {
                return None;
            }
            turn.under_way = true;
            self.wanted.notify_one();
        }
        let mut ended = self.ended.subscribe();
        drop(turn);
        let place = Place::take(&self.waiting)?;
        let until = Instant::now() + PATIENCE;
        Some(async move {
            // Late, or nobody asks any more: the caller looks at what is known.
            let _ = timeout_at(until, ended.changed()).await;
            drop(place);
        })
    }

    /// Asking begins.
    fn begins(&self) {
        let mut turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        *turn = Turn { begun: Some(Instant::now()), under_way: true };
    }

    /// Whether somebody waits for it to be asked.
    fn is_due(&self) -> bool {
        self.turn.lock().unwrap_or_else(PoisonError::into_inner).under_way
    }

    /// It is over.
    fn ends(&self) {
        let mut turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        turn.under_way = false;
        self.ended.send_modify(|ended| *ended += 1);
    }

    /// Says what is wrong, once, and that it is over.
    fn tell(&self, trouble: Option<String>) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if *told == trouble {
            return;
        }
        told.clone_from(&trouble);
        let Some(notices) = &self.notices else { return };
        let (provider, kept) = (Arc::clone(&self.name), self.published.load().is_some());
        notices.send(match trouble {
            Some(reason) => Notice::ProviderTrouble { provider, reason, kept },
            None => Notice::ProviderRecovered { provider },
        });
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        if let Some(task) = self.task.get_mut().unwrap_or_else(PoisonError::into_inner).take() {
            task.abort();
        }
    }
}

/// One of those who wait.
struct Place(Arc<AtomicUsize>);

impl Place {
    fn take(waiting: &Arc<AtomicUsize>) -> Option<Self> {
        let place = Self(Arc::clone(waiting));
        (waiting.fetch_add(1, Ordering::Relaxed) < WAITING).then_some(place)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl fmt::Debug for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Provider").field("name", &self.name).finish_non_exhaustive()
    }
}

impl fmt::Debug for Providers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Providers").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
