//! A name that pools have: what is known of it, and the task that keeps it up to date.

use super::book::{Answer, Book, Found, Trouble, Verdict};
use super::client::Client;
use super::{Question, Servers, ceiling};
use crate::runtime::notice::{Notice, NoticeSender};
use crate::upstream::PoolHandle;
use arc_swap::ArcSwap;
use std::future::pending;
use std::hash::{BuildHasher, RandomState};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;
use tokio::sync::{Notify, Semaphore, SetOnce, watch as channel};
use tokio::task::AbortHandle;
use tokio::time::timeout;

/// Names are asked about up to so much of their time early.
const EARLY: f64 = 0.1;

/// A name.
pub(in crate::upstream) struct Watch {
    question: Question,
    found: ArcSwap<Vec<Found>>,
    /// Set when there was a first answer, whatever it said.
    answered: SetOnce<()>,
    book: Mutex<Book>,
    /// Those who have the name.
    pools: Mutex<Vec<Weak<PoolHandle>>>,
    /// A pool joined that wants it more often than the others.
    sooner: Arc<Notify>,
    /// What was said of it last, where something was wrong.
    told: Mutex<Option<Trouble>>,
    notices: Option<NoticeSender>,
    task: Mutex<Option<AbortHandle>>,
}

/// What it takes to ask.
pub(super) struct Tools {
    pub(super) client: Arc<Client>,
    pub(super) permits: Arc<Semaphore>,
}

impl Watch {
    /// `own`: what the machine knows by itself.
    pub(super) fn new(question: Question, own: Option<Answer>, notices: Option<NoticeSender>) -> Self {
        let watch = Self {
            question,
            found: ArcSwap::default(),
            answered: SetOnce::new(),
            book: Mutex::default(),
            pools: Mutex::default(),
            sooner: Arc::default(),
            told: Mutex::default(),
            notices,
            task: Mutex::default(),
        };
        if let Some(own) = own {
            watch.note(own);
        }
        watch
    }

    /// The name.
    #[cfg(test)]
    pub(in crate::upstream) fn name(&self) -> &str {
        &self.question.name
    }

    /// Its endpoints now.
    pub(in crate::upstream) fn found(&self) -> Arc<Vec<Found>> {
        self.found.load_full()
    }

    /// Whether nothing was heard of it yet, good or bad.
    pub(in crate::upstream) fn is_open(&self) -> bool {
        self.answered.get().is_none()
    }

    /// Waits for the first answer, whatever it says. Deadlines are the caller's.
    pub(in crate::upstream) async fn answered(&self) {
        self.answered.wait().await;
    }

    /// Another pool has it: it is told of changes from now on. Whether it is the first one.
    pub(super) fn told_to(&self, pool: &Arc<PoolHandle>) -> bool {
        let mut pools = self.pools.lock().unwrap_or_else(PoisonError::into_inner);
        let often = pools.iter().filter_map(Weak::upgrade).map(|pool| ceiling(&pool)).min();
        pools.retain(|pool| pool.strong_count() > 0);
        pools.push(Arc::downgrade(pool));
        if often.is_some_and(|often| ceiling(pool) < often) {
            self.sooner.notify_one();
        }
        self.task.lock().unwrap_or_else(PoisonError::into_inner).is_none()
    }

    fn pools(&self) -> Vec<Arc<PoolHandle>> {
        let pools = self.pools.lock().unwrap_or_else(PoisonError::into_inner);
        pools.iter().filter_map(Weak::upgrade).collect()
    }

    /// The task ends when nobody has the name any more.
    pub(super) fn ends_with(&self, task: AbortHandle) {
        *self.task.lock().unwrap_or_else(PoisonError::into_inner) = Some(task);
    }

    /// It cannot be asked about, ever.
    pub(super) fn cannot(&self, reason: &str) {
        self.tell(Some(Trouble::Unanswered(reason.to_owned())), &self.pools());
        let _ = self.answered.set(());
    }

    /// Takes an answer in; pools follow. When to ask again.
    pub(super) fn note(&self, answer: Answer) -> Duration {
        let pools = self.pools();
        let often = pools.iter().map(|pool| ceiling(pool)).min().unwrap_or(super::CEILING);
        let Verdict { found, trouble, again } =
            self.book.lock().unwrap_or_else(PoisonError::into_inner).note(answer, often);
        let changed = **self.found.load() != found;
        if changed {
            self.found.store(Arc::new(found));
        }
        self.tell(trouble, &pools);
        // A pool that joined meanwhile makes its members of what is there by now.
        if changed {
            pools.iter().for_each(PoolHandle::renew);
        }
        let _ = self.answered.set(());
        again
    }

    /// Says what is wrong, once, and that it is over.
    fn tell(&self, trouble: Option<Trouble>, pools: &[Arc<PoolHandle>]) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let news = match (&*told, &trouble) {
            (None, None) => false,
            (Some(before), Some(now)) => !now.is_like(before),
            (None, Some(_)) | (Some(_), None) => true,
        };
        if !news {
            return;
        }
        told.clone_from(&trouble);
        let Some(notices) = &self.notices else { return };
        let mut names: Vec<&str> = pools.iter().map(|pool| &*pool.pool().name).collect();
        names.sort_unstable();
        names.dedup();
        let (pool, name) = (names.join(", ").into(), Arc::clone(&self.question.name));
        let left = self.found.load().len();
        notices.send(match trouble {
            Some(trouble) => Notice::NameTrouble { pool, name, reason: trouble.to_string(), left },
            None => Notice::NameFound { pool, name, found: left },
        });
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        if let Some(task) = self.task.get_mut().unwrap_or_else(PoisonError::into_inner).take() {
            task.abort();
        }
    }
}

/// Keeps a name up to date until nobody has it any more.
pub(super) async fn run(watch: Weak<Watch>, tools: Tools, mut servers: channel::Receiver<Servers>) {
    let Tools { client, permits } = tools;
    let ask = move |question: Question, servers: Arc<[SocketAddr]>| {
        let (client, permits) = (Arc::clone(&client), Arc::clone(&permits));
        async move {
            // The semaphore is never closed.
            let _permit = permits.acquire().await;
            client.ask(&question, &servers).await
        }
    };
    keep(watch, &mut servers, ask).await;
}

/// [`run`], asked by whatever asks.
pub(super) async fn keep<F: Future<Output = Answer>>(
    watch: Weak<Watch>,
    servers: &mut channel::Receiver<Servers>,
    ask: impl Fn(Question, Arc<[SocketAddr]>) -> F,
) {
    let known = |watch: Arc<Watch>| (watch.question.clone(), Arc::clone(&watch.sooner));
    let Some((question, sooner)) = watch.upgrade().map(known) else { return };
    let random = RandomState::new();
    let mut asked: u64 = 0;
    loop {
        let whom = servers.borrow_and_update().clone();
        let again = match whom {
            Some(whom) => {
                let answer = ask(question.clone(), whom).await;
                // Nobody has the name any more, and nobody keeps it while it waits below.
                let Some(watch) = watch.upgrade() else { return };
                asked += 1;
                // A little early, so that names that were asked about together are not for ever.
                let early = f64::from(random.hash_one(asked) as u32) / f64::from(u32::MAX);
                Some(watch.note(answer).mul_f64(1.0 - EARLY * early))
            }
            // The gateway file was not read yet.
            None => None,
        };
        let due = async {
            match again {
                // Over, or somebody cannot wait for so long.
                Some(again) => drop(timeout(again, sooner.notified()).await),
                None => pending().await,
            }
        };
        tokio::select! {
            () = due => {}
            changed = servers.changed() => if changed.is_err() { return },
        }
    }
}
