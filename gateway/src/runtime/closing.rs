//! How a task that serves a socket learns that nobody wants the socket any more.

use tokio::sync::watch;

/// Held by whoever serves a socket. It may be taken back: a listener that was removed and is written
/// again before its last flow has ended goes on.
#[derive(Clone, Debug)]
pub struct Closing(watch::Receiver<bool>);

/// Tells the [`Closing`]s made with it.
#[derive(Debug)]
pub struct Close(watch::Sender<bool>);

/// Both ends: open at first.
#[must_use]
pub fn closing() -> (Close, Closing) {
    let (sender, receiver) = watch::channel(false);
    (Close(sender), Closing(receiver))
}

impl Close {
    /// Says whether the socket is to be closed.
    pub fn set(&self, close: bool) {
        self.0.send_if_modified(|now| std::mem::replace(now, close) != close);
    }
}

impl Closing {
    /// Whether the socket is to be closed: no new connection or flow begins on it.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        // Whoever could open it again is gone, or says so.
        *self.0.borrow() || self.0.has_changed().is_err()
    }

    /// Done when the socket is to be closed; at once when it is already.
    pub async fn closed(&mut self) {
        // An error means that whoever could tell is gone, which says the same.
        let _ = self.0.wait_for(|closed| *closed).await;
    }

    /// Done when [`Closing::is_closed`] may have changed, either way.
    pub async fn changed(&mut self) {
        if self.0.changed().await.is_err() {
            // It stays closed: nothing to wake up for.
            std::future::pending::<()>().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn it_may_be_taken_back_and_ends_with_who_could_tell() {
        let (close, mut closing) = closing();
        assert!(!closing.is_closed());
        close.set(true);
        closing.closed().await;
        assert!(closing.is_closed());
        close.set(false);
        assert!(!closing.is_closed());
        drop(close);
        closing.closed().await;
        assert!(closing.is_closed());
    }
}
