//! What services said, kept for a while (`ask(…, keep: 30s, per: KEY)`).
//!
//! A yes or a no holds for the time that the program says, for requests with the same key. It is found by a keyed
//! hash of the key, the host and the path of the question, so that nothing of a client is kept as it came. What
//! failed is not kept. Who asks the same while somebody asks waits for that one's answer, over all workers.
//!
//! A call keeps what it knows over reloads that leave it as it is: its pool, its words and its tenant.

use super::relayed::Relayed;
use crate::http::headers::Edit;
use crate::upstream::Table;
use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use dsl::tree::calls::Outcome;
use dsl::tree::ir::{Ask, Call, CallKind, Site};
use moka::sync::Cache;
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::oneshot::{self, Receiver, Sender};

/// Bytes of answers that a call keeps at once, each with what it costs to keep it; the least wanted go first.
const KEPT: u64 = 32 * 1024 * 1024;
/// What an answer costs beside its texts, about.
const EACH: usize = 256;

/// What tells one question from others.
pub type Key = [u8; 32];

/// What a service said.
#[derive(Clone, Debug)]
pub struct Said {
    /// What the call comes to.
    pub outcome: Outcome,
    /// Edits of the request by what was copied.
    pub copied: Vec<Edit>,
    /// What is passed on to the client, where an answer does so.
    pub relayed: Option<Arc<Relayed>>,
    /// Whether it is an answer: a failure that counts as one is none.
    pub answered: bool,
}

impl Said {
    /// What failed, and what that counts as.
    #[must_use]
    pub fn unanswered(outcome: Outcome, copied: Vec<Edit>) -> Self {
        Self { outcome, copied, relayed: None, answered: false }
    }

    /// Bytes that it takes, about: what was copied stands in it twice.
    fn weight(&self) -> u32 {
        let copied: usize = self.copied.iter().map(|edit| edit.name.as_str().len() + edit.value.len()).sum();
        let relayed = self.relayed.as_ref().map_or(0, |relayed| relayed.weight());
        u32::try_from(EACH + 2 * copied + relayed).unwrap_or(u32::MAX)
    }

    /// Whether it is for one client alone: it is not kept, and who waits for it asks for themselves.
    #[must_use]
    pub fn is_personal(&self) -> bool {
        self.relayed.as_ref().is_some_and(|relayed| relayed.is_personal())
    }
}

/// The answers to all calls, so that one that did not change goes on over a reload. One per process.
pub struct ReplyTable {
    /// Of this process.
    key: hmac::Key,
    known: Mutex<Table<String, Replies>>,
}

impl Default for ReplyTable {
    fn default() -> Self {
        let key = hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new());
        Self { key: key.expect("the system has random numbers"), known: Mutex::default() }
    }
}

impl fmt::Debug for ReplyTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReplyTable").finish_non_exhaustive()
    }
}

impl ReplyTable {
    /// By `CallIdx`, of a site of a tenant or of none; `None` for calls that keep nothing.
    pub(super) fn of(&self, site: &Site, whose: Option<&Arc<str>>) -> Box<[Option<Arc<Replies>>]> {
        let of = |call: &Call| match &call.kind {
            CallKind::Ask(ask) => {
                ask.keep.as_ref().map(|keep| self.intern(site, ask, keep.for_ms, (whose, call.relayed)))
            }
            _ => None,
        };
        site.calls.iter().map(|call| of(call)).collect()
    }

    fn intern(&self, site: &Site, ask: &Ask, for_ms: u64, for_whom: (Option<&Arc<str>>, bool)) -> Arc<Replies> {
        // The pool by what it is, not by its number, which another file would have for another pool.
        let asked = Ask { pool: dsl::tree::ir::PoolIdx(0), ..ask.clone() };
        let identity = format!("{for_whom:?} {:?} {asked:?}", site.pools[ask.pool.0 as usize]);
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(&identity).unwrap_or_else(|| {
            let kept = Cache::builder()
                .max_capacity(KEPT)
                .weigher(|_: &Key, said: &Arc<Said>| said.weight())
                .time_to_live(Duration::from_millis(for_ms))
                .build();
            let made = Arc::new(Replies { key: self.key.clone(), kept, under_way: Mutex::default() });
            known.insert(identity, &made);
            made
        })
    }
}

/// What is known of the answers to one call.
pub struct Replies {
    key: hmac::Key,
    kept: Cache<Key, Arc<Said>>,
    /// Who waits for an answer that somebody asked for.
    under_way: Mutex<HashMap<Key, Vec<Sender<Arc<Said>>>>>,
}

/// Who sees to a question.
pub enum Turn {
    /// It is answered.
    Known(Arc<Said>),
    /// Whoever holds this asks.
    Mine(Asking),
    /// Somebody else asks: the answer comes here, or nothing does when that one gave up.
    Theirs(Receiver<Arc<Said>>),
}

impl Replies {
    /// What a question is known by.
    pub(super) fn key<'k>(&self, parts: impl Iterator<Item = &'k str>) -> Key {
        let mut text = hmac::Context::with_key(&self.key);
        for part in parts {
            text.update(&(part.len() as u64).to_be_bytes());
            text.update(part.as_bytes());
        }
        let mut key = Key::default();
        key.copy_from_slice(text.sign().as_ref());
        key
    }

    /// What is known of a question.
    #[must_use]
    pub fn known(&self, key: &Key) -> Option<Arc<Said>> {
        self.kept.get(key)
    }

    /// Takes a question on, joins in where somebody has, or has the answer.
    #[must_use]
    pub fn take(self: &Arc<Self>, key: Key) -> Turn {
        let mut under_way = self.under_way();
        // Looked at with the lock held: who was answered meanwhile is not asked about again.
        if let Some(said) = self.kept.get(&key) {
            return Turn::Known(said);
        }
        if let Some(waiting) = under_way.get_mut(&key) {
            let (sender, receiver) = oneshot::channel();
            waiting.push(sender);
            return Turn::Theirs(receiver);
        }
        under_way.insert(key, Vec::new());
        Turn::Mine(Asking { replies: Arc::clone(self), key, ended: false })
    }

    fn under_way(&self) -> MutexGuard<'_, HashMap<Key, Vec<Sender<Arc<Said>>>>> {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A question that is being asked. Who drops it has given it up, and those who wait for it see to it themselves.
pub struct Asking {
    replies: Arc<Replies>,
    key: Key,
    ended: bool,
}

impl Asking {
    /// Tells those who wait what was said, and keeps it where it is an answer that others may have too.
    pub fn ends(mut self, said: &Arc<Said>) {
        self.ended = true;
        let mut under_way = self.replies.under_way();
        if said.answered && !said.is_personal() {
            self.replies.kept.insert(self.key, Arc::clone(said));
        }
        let waiting = under_way.remove(&self.key);
        drop(under_way);
        for sender in waiting.into_iter().flatten() {
            // Nobody minds who left.
            let _ = sender.send(Arc::clone(said));
        }
    }
}

impl Drop for Asking {
    fn drop(&mut self) {
        if !self.ended {
            self.replies.under_way().remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn replies() -> Arc<Replies> {
        let table = ReplyTable::default();
        let kept = Cache::builder().max_capacity(KEPT).build();
        Arc::new(Replies { key: table.key.clone(), kept, under_way: Mutex::default() })
    }

    fn said(answered: bool) -> Arc<Said> {
        Arc::new(Said { outcome: Outcome::No, copied: Vec::new(), relayed: None, answered })
    }

    #[test]
    fn one_asks_and_others_wait_for_the_same() {
        let replies = replies();
        let key = replies.key(["a.test", "/v", "ann"].into_iter());
        let Turn::Mine(asking) = replies.take(key) else { panic!("nobody asks yet") };
        let Turn::Theirs(mut answer) = replies.take(key) else { panic!("somebody asks") };
        assert!(answer.try_recv().is_err());
        asking.ends(&said(true));
        assert!(answer.try_recv().is_ok_and(|said| said.answered));
        assert!(matches!(replies.take(key), Turn::Known(_)));
        assert!(replies.known(&key).is_some());
    }

    #[test]
    fn what_failed_is_told_to_those_who_wait_and_not_kept() {
        let replies = replies();
        let key = replies.key(["ann"].into_iter());
        let Turn::Mine(asking) = replies.take(key) else { panic!("nobody asks yet") };
        let Turn::Theirs(mut answer) = replies.take(key) else { panic!("somebody asks") };
        asking.ends(&said(false));
        assert!(answer.try_recv().is_ok_and(|said| !said.answered));
        assert!(matches!(replies.take(key), Turn::Mine(_)));
    }

    #[test]
    fn who_gives_up_leaves_the_question_to_others() {
        let replies = replies();
        let key = replies.key(["ann"].into_iter());
        let Turn::Mine(asking) = replies.take(key) else { panic!("nobody asks yet") };
        let Turn::Theirs(mut answer) = replies.take(key) else { panic!("somebody asks") };
        drop(asking);
        assert!(matches!(answer.try_recv(), Err(oneshot::error::TryRecvError::Closed)));
        assert!(matches!(replies.take(key), Turn::Mine(_)));
    }

    #[test]
    fn parts_of_a_key_are_no_join_of_texts() {
        let replies = replies();
        assert_ne!(replies.key(["ab", "c"].into_iter()), replies.key(["a", "bc"].into_iter()));
        assert_ne!(replies.key(["a"].into_iter()), replies.key(["a", ""].into_iter()));
    }
}
