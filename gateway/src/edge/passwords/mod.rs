//! Names and passwords, verified off the data threads (`password(…)`).
//!
//! What was right is known for a while, under a key that nobody else has, so that a browser that says its password
//! with every request has it hashed once. A name that is not there costs what one costs that is.

mod apr1;
mod basic;
mod damping;
mod desk;
mod hash;

use super::calls::Later;
use aws_lc_rs::hmac;
use aws_lc_rs::rand::{SecureRandom, SystemRandom};
pub use basic::Credentials;
use damping::Damping;
use desk::{Desk, Key};
use dsl::tree::calls::{Outcome, Refusal};
use dsl::tree::rows::Rows;
use dsl::tree::users::Hash;
use moka::sync::Cache;
use std::net::IpAddr;
use std::sync::Arc;
use std::thread::available_parallelism;
use std::time::Duration;
use tokio::sync::oneshot::Receiver;

/// For how long a password that was right is known to be.
const KNOWN_FOR: Duration = Duration::from_secs(300);
/// The same of one that was wrong.
const WRONG_FOR: Duration = Duration::from_secs(60);
/// How many are known, of each.
const KNOWN: u64 = 10_000;
/// How long a request waits for its password to be hashed.
const DEADLINE: Duration = Duration::from_secs(10);

/// What verifies passwords, for all sites.
pub struct Passwords {
    desk: Desk,
    /// Of this process: what is known of passwords is told from nothing else by anybody.
    key: hmac::Key,
    /// Passwords that were right, with their users and their hashes.
    right: Cache<Key, ()>,
    /// Those that were wrong.
    wrong: Cache<Key, ()>,
    damping: Arc<Damping>,
}

/// What is said of a name and a password.
pub(super) enum Verdict {
    Known(Outcome),
    Later(Later),
    /// As many wait as may.
    Full,
}

impl Default for Passwords {
    fn default() -> Self {
        let key = hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new());
        // One core of two, and half of more.
        let threads = available_parallelism().map_or(1, |cores| cores.get() / 2);
        Self {
            desk: Desk::new(threads),
            key: key.expect("the system has random numbers"),
            right: Cache::builder().max_capacity(KNOWN).time_to_live(KNOWN_FOR).build(),
            wrong: Cache::builder().max_capacity(KNOWN).time_to_live(WRONG_FOR).build(),
            damping: Arc::default(),
        }
    }
}

impl std::fmt::Debug for Passwords {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Passwords").finish_non_exhaustive()
    }
}

impl Passwords {
    /// Whether what a header says is the name and password of one of `users`, which stand in `place`.
    pub(super) fn verify(self: &Arc<Self>, header: &str, users: &Rows, place: &str, client: IpAddr) -> Verdict {
        let Some(credentials) = Credentials::read(header) else { return Verdict::Known(Outcome::No) };
        let row = users.find(credentials.name().as_bytes());
        let written = row.map_or("", |row| users.value(row));
        let key = self.key_of(&credentials, written);
        if row.is_some() && self.right.contains_key(&key) {
            return Verdict::Known(yes(&credentials));
        }
        // Nobody guesses the same password twice: browsers do that.
        if self.wrong.contains_key(&key) {
            return Verdict::Known(Outcome::No);
        }
        let said = yes(&credentials);
        if let Some(receiver) = self.desk.joins(&key) {
            return later(receiver, said);
        }
        let Some(text) = row.or_else(|| self.stand_in(users, credentials.name())).map(|row| users.value(row)) else {
            return Verdict::Known(Outcome::No);
        };
        // Only lines that can be read became rows.
        let Ok(hash) = Hash::read(text) else { return Verdict::Known(Outcome::Failed) };
        let counted = match self.damping.begin(client, place, credentials.name()) {
            Ok(counted) => counted,
            Err(after) => {
                let after_ms = u64::try_from(after.as_millis()).unwrap_or(u64::MAX).max(1);
                return Verdict::Known(Outcome::Refused(Refusal::TooMany(after_ms)));
            }
        };
        let known = row.is_some();
        let (right, wrong) = (self.right.clone(), self.wrong.clone());
        let work = move || {
            // Hashed in any case, so that nobody learns from the time it takes which names there are.
            let holds = hash::verifies(&hash, credentials.password()) & known;
            if holds {
                right.insert(key, ());
                counted.right();
            } else {
                wrong.insert(key, ());
                counted.wrong();
            }
            holds
        };
        match self.desk.bring(key, work) {
            Some(receiver) => later(receiver, said),
            None => Verdict::Full,
        }
    }

    /// What a name and a password are known by, with the hash that they were compared with: when that changes, nothing
    /// is known of them.
    fn key_of(&self, credentials: &Credentials, written: &str) -> Key {
        let mut text = hmac::Context::with_key(&self.key);
        for part in [credentials.name().as_bytes(), credentials.password(), written.as_bytes()] {
            text.update(&(part.len() as u64).to_be_bytes());
            text.update(part);
        }
        let mut key = Key::default();
        key.copy_from_slice(text.sign().as_ref());
        key
    }

    /// The row whose hash is made for a name that is not there: any of those that are, always the same for a name, as
    /// it would be for one that is there.
    fn stand_in(&self, users: &Rows, name: &str) -> Option<u32> {
        let number = u64::from_be_bytes(*hmac::sign(&self.key, name.as_bytes()).as_ref().first_chunk()?);
        let count = u64::try_from(users.len()).ok().filter(|count| *count > 0)?;
        u32::try_from(number % count).ok()
    }
}

/// What a name and a password that are right come to.
fn yes(credentials: &Credentials) -> Outcome {
    Outcome::Yes(Arc::from([("user".into(), credentials.name().into())]))
}

/// What comes of a password that is hashed elsewhere.
fn later(receiver: Receiver<bool>, said: Outcome) -> Verdict {
    Verdict::Later(Box::pin(async move {
        match tokio::time::timeout(DEADLINE, receiver).await {
            Ok(Ok(true)) => said,
            Ok(Ok(false)) => Outcome::No,
            Ok(Err(_)) | Err(_) => Outcome::Failed,
        }
    }))
}

/// A password, hashed for a line of users: argon2id, as OWASP advises it.
///
/// # Errors
/// Why it is no password that anybody could log in with.
pub fn hashed(password: &[u8]) -> Result<String, String> {
    basic::check(password)?;
    let mut salt = [0; 16];
    SystemRandom::new().fill(&mut salt).map_err(|_| "the system has no random numbers".to_owned())?;
    hash::make(password, &salt).ok_or_else(|| "there is no memory to hash it".to_owned())
}
