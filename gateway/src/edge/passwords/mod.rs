//! Names and passwords, verified off the data threads (`password(…)`).
//!
//! What was right is known for a while, under a key that nobody else has, so that a browser that says its password
//! with every request has it hashed once. A name that is not there costs what one costs that is.

mod apr1;
mod basic;
mod desk;
mod hash;

use super::calls::Later;
use crate::secrets::Secrets;
use arc_swap::ArcSwapOption;
use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use basic::Credentials;
use desk::{Desk, Key};
use dsl::tree::calls::Outcome;
use dsl::tree::ir::Lines;
use dsl::tree::rows::Rows;
use dsl::tree::users::{self, Hash};
use moka::sync::Cache;
use std::sync::Arc;
use std::thread::available_parallelism;
use std::time::Duration;

/// For how long a password that was right is known to be.
const KNOWN_FOR: Duration = Duration::from_secs(300);
/// How many are.
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
        }
    }
}

impl std::fmt::Debug for Passwords {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Passwords").finish_non_exhaustive()
    }
}

impl Passwords {
    /// Whether what a header says is the name and password of a user.
    pub(super) fn verify(self: &Arc<Self>, header: &str, users: &Rows) -> Verdict {
        let Some(credentials) = Credentials::read(header) else { return Verdict::Known(Outcome::No) };
        let row = users.find(credentials.name().as_bytes());
        let written = row.map_or("", |row| users.value(row));
        let key = self.key_of(&credentials, written);
        let yes = || Outcome::Yes(Arc::from([("user".into(), credentials.name().into())]));
        if row.is_some() && self.right.contains_key(&key) {
            return Verdict::Known(yes());
        }
        let Some(text) = row.or_else(|| self.stand_in(users, credentials.name())).map(|row| users.value(row)) else {
            return Verdict::Known(Outcome::No);
        };
        // Only lines that can be read became rows.
        let Ok(hash) = Hash::read(text) else { return Verdict::Known(Outcome::Failed) };
        let (known, said) = (row.is_some(), yes());
        let passwords = Arc::downgrade(self);
        let work = move || {
            // Hashed in any case, so that nobody learns from the time it takes which names there are.
            let holds = hash::verifies(&hash, credentials.password()) & known;
            if holds && let Some(passwords) = passwords.upgrade() {
                passwords.right.insert(key, ());
            }
            holds
        };
        let Some(receiver) = self.desk.bring(key, work) else { return Verdict::Full };
        Verdict::Later(Box::pin(async move {
            match tokio::time::timeout(DEADLINE, receiver).await {
                Ok(Ok(true)) => said,
                Ok(Ok(false)) => Outcome::No,
                Ok(Err(_)) | Err(_) => Outcome::Failed,
            }
        }))
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

/// Where the users of a call stand.
pub(super) struct Source {
    name: Arc<str>,
    secrets: Arc<Secrets>,
    read: ArcSwapOption<Read>,
}

/// Users as they were read.
struct Read {
    /// Of the secrets that they were read from.
    version: u64,
    users: Result<Arc<Rows>, String>,
}

impl Source {
    pub(super) fn new(lines: &Lines, secrets: &Arc<Secrets>) -> Self {
        let Lines::Secret(name) = lines;
        Self { name: Arc::clone(name), secrets: Arc::clone(secrets), read: ArcSwapOption::empty() }
    }

    /// The users as they are now.
    ///
    /// # Errors
    /// Why there are none, in words for the operator.
    pub(super) fn now(&self) -> Result<Arc<Rows>, String> {
        let version = self.secrets.version();
        if let Some(read) = &*self.read.load()
            && read.version == version
        {
            return read.users.clone();
        }
        let users = match self.secrets.get(&self.name) {
            None => Err(format!("secret {}: {}", self.name, self.secrets.why_not(&self.name))),
            Some(secret) => read(secret.bytes()).map_err(|why| format!("secret {}: {why}", self.name)),
        };
        self.read.store(Some(Arc::new(Read { version, users: users.clone() })));
        users
    }
}

fn read(content: &[u8]) -> Result<Arc<Rows>, String> {
    let text = std::str::from_utf8(content).map_err(|_| "it is not UTF-8".to_owned())?;
    match users::read(text) {
        Ok(rows) => Ok(Arc::new(rows)),
        Err(wrong) => {
            let first = wrong.first().map(|wrong| {
                let line = text.get(..wrong.span.range().start).unwrap_or_default().matches('\n').count() + 1;
                format!("line {line}: {}", wrong.message)
            });
            Err(first.unwrap_or_default())
        }
    }
}
