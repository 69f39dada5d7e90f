//! A connection of a check is driven by the check itself, so that it ends with it.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

/// What `asked` comes to, while `connection` is driven for as long as it lasts.
pub(super) async fn driven<T>(connection: impl Future, asked: impl Future<Output = T>) -> T {
    let (mut connection, mut asked) = (pin!(connection), pin!(asked));
    let mut open = true;
    poll_fn(|cx| {
        // Before the other, which waits for what this one reads.
        if open && connection.as_mut().poll(cx).is_ready() {
            open = false;
        }
        match asked.as_mut().poll(cx) {
            Poll::Ready(done) => Poll::Ready(done),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}
