//! What logins of all sites know together: which were finished, and which sessions are being refreshed.

use super::refresh::Refreshed;
use crate::runtime::notice::{Notice, NoticeSender};
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// Logins that are remembered to be finished. Whoever is beyond that is refused by the provider, which takes a code
/// once.
const SPENT: usize = 100_000;
/// For how long: no longer does a login take.
const SPENT_FOR: Duration = Duration::from_secs(super::flow::LASTS);
/// Sessions whose refresh is under way, or was within the last minute.
const FLIGHTS: usize = 10_000;
/// Tabs that still have the old cookie get what the first got.
const FLIGHT_FOR: Duration = Duration::from_secs(60);
/// But a provider that could not say is asked again after so long.
const FAILED_FOR: Duration = Duration::from_secs(2);
/// The same trouble is told again after so long.
const TOLD_FOR: Duration = Duration::from_secs(60);
/// Subjects that are remembered to be told.
const TOLD: usize = 1_000;

/// What a thing is known by: SHA-256 of it.
pub(super) type Key = [u8; 32];

/// One per process.
#[derive(Default)]
pub struct Logins {
    spent: Mutex<HashMap<Key, Instant>>,
    flights: Mutex<HashMap<Key, Flight>>,
    told: Mutex<HashMap<String, Instant>>,
    notices: OnceLock<NoticeSender>,
}

struct Flight {
    begun: Instant,
    result: watch::Receiver<Option<Arc<Refreshed>>>,
}

impl Flight {
    /// For how long what came of it holds, from its beginning.
    fn lasts(&self) -> Duration {
        match self.result.borrow().as_deref() {
            Some(Refreshed::Failed) => FAILED_FOR,
            Some(Refreshed::Held(_) | Refreshed::Over) | None => FLIGHT_FOR,
        }
    }
}

/// Who refreshes a session.
pub(super) enum Turn {
    /// Whoever asks, and tells the others.
    Mine(watch::Sender<Option<Arc<Refreshed>>>, watch::Receiver<Option<Arc<Refreshed>>>),
    /// Somebody else.
    Theirs(watch::Receiver<Option<Arc<Refreshed>>>),
    /// As many are under way as may.
    Full,
}

impl Logins {
    /// Where trouble is told from now on; the first says.
    pub fn telling(&self, notices: NoticeSender) {
        // Said once, at the start of the process.
        let _ = self.notices.set(notices);
    }

    pub(super) fn tell(&self, call: &str, reason: &str) {
        let Some(notices) = self.notices.get() else { return };
        let (subject, now) = (format!("{call}: {reason}"), Instant::now());
        let mut told = held(&self.told);
        if told.get(&subject).is_some_and(|at| now < *at + TOLD_FOR) {
            return;
        }
        if told.len() >= TOLD {
            told.retain(|_, at| now < *at + TOLD_FOR);
        }
        if told.len() < TOLD {
            told.insert(subject, now);
            notices.send(Notice::CallFailed { call: call.to_owned(), reason: reason.to_owned() });
        }
    }

    /// Whether a login is finished for the first time.
    pub(super) fn spend(&self, state: Key) -> bool {
        let now = Instant::now();
        let mut spent = held(&self.spent);
        if spent.contains_key(&state) {
            return false;
        }
        if spent.len() >= SPENT {
            spent.retain(|_, at| now < *at + SPENT_FOR);
        }
        if spent.len() < SPENT {
            spent.insert(state, now);
        }
        true
    }

    /// Whose turn it is to refresh a session.
    pub(super) fn turn(&self, session: Key) -> Turn {
        let now = Instant::now();
        let mut flights = held(&self.flights);
        if let Some(flight) = flights.get(&session).filter(|flight| now < flight.begun + flight.lasts()) {
            return Turn::Theirs(flight.result.clone());
        }
        if flights.len() >= FLIGHTS {
            flights.retain(|_, flight| now < flight.begun + FLIGHT_FOR);
        }
        if flights.len() >= FLIGHTS {
            return Turn::Full;
        }
        let (sender, result) = watch::channel(None);
        flights.insert(session, Flight { begun: now, result: result.clone() });
        Turn::Mine(sender, result)
    }
}

fn held<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

impl fmt::Debug for Logins {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Logins").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attack_a_state_is_finished_once() {
        let logins = Logins::default();
        assert!(logins.spend([1; 32]));
        assert!(!logins.spend([1; 32]));
        assert!(logins.spend([2; 32]));
    }

    #[test]
    fn one_refreshes_for_all_who_have_the_same_session() {
        let logins = Logins::default();
        let Turn::Mine(sender, _) = logins.turn([1; 32]) else { panic!("the first") };
        let Turn::Theirs(result) = logins.turn([1; 32]) else { panic!("the second") };
        assert!(matches!(logins.turn([2; 32]), Turn::Mine(..)), "another session");
        sender.send_replace(Some(Arc::new(Refreshed::Over)));
        assert!(matches!(result.borrow().as_deref(), Some(Refreshed::Over)));
    }
}
