//! A connection in the making that many requests wait for: HTTP/2 serves them all by one, so the first
//! one opens it and the others wait.

use super::ConnectError;
use super::http2::Shared;
use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use tokio::sync::Notify;

/// What was opened.
#[derive(Clone)]
pub(super) enum Opened {
    /// A connection for many.
    Http2(Rc<Shared>),
    /// One for a single request at a time: it is among the idle ones.
    Http1,
}

/// A connection in the making.
#[derive(Default)]
pub(super) struct Opening {
    done: RefCell<Option<Result<Opened, ConnectError>>>,
    told: Notify,
}

impl Opening {
    /// Tells those who wait.
    pub(super) fn end(&self, outcome: Result<Opened, ConnectError>) {
        *self.done.borrow_mut() = Some(outcome);
        self.told.notify_waiters();
    }

    /// Waits for it. It has a deadline of its own.
    ///
    /// # Errors
    /// Why there is no connection.
    pub(super) async fn wait(&self) -> Result<Opened, ConnectError> {
        loop {
            if let Some(done) = &*self.done.borrow() {
                return match done {
                    Ok(opened) => Ok(opened.clone()),
                    Err(e) => Err(copy(e)),
                };
            }
            self.told.notified().await;
        }
    }
}

/// The same, for another one who waits.
fn copy(e: &ConnectError) -> ConnectError {
    let again = |e: &io::Error| match e.raw_os_error() {
        Some(number) => io::Error::from_raw_os_error(number),
        None => io::Error::new(e.kind(), e.to_string()),
    };
    match e {
        ConnectError::Refused(e) => ConnectError::Refused(again(e)),
        ConnectError::Timeout(ms) => ConnectError::Timeout(*ms),
        ConnectError::Tls(reason) => ConnectError::Tls(reason.clone()),
        ConnectError::Protocol(reason) => ConnectError::Protocol(reason.clone()),
        ConnectError::Full(full) => ConnectError::Full(*full),
    }
}
