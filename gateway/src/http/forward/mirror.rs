//! `mirror 1% shadow`: a copy of some requests goes to another pool, and its answer is dropped.
//!
//! INVARIANT: the original does not wait for it and does not fail by it. A copy is sent by a task of its own,
//! when the whole body has passed by; of these there are few at once, and what would be one too many, or has a
//! longer body than is copied, is counted and not sent.

use super::failure::About;
use super::job::Job;
use super::replay::copied;
use super::{discard, forward};
use crate::http::body::RequestBody;
use crate::http::client::Client;
use crate::upstream::PoolHandle;
use bytes::Bytes;
use dsl::tree::ir;
use http::header::{CONTENT_LENGTH, HeaderName, HeaderValue, TRANSFER_ENCODING};
use http::{HeaderMap, Request};
use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;

/// Says to a shadow pool that the request is a copy. Clients cannot say it.
pub const X_SLUICE_MIRROR: HeaderName = HeaderName::from_static("x-sluice-mirror");
/// Copies that a worker has under way at once.
const AT_ONCE: usize = 128;

thread_local! {
    /// How many copies this worker has under way.
    static UNDER_WAY: Cell<usize> = const { Cell::new(0) };
}

/// A copy of a request that waits for its body.
pub struct Mirror {
    client: Rc<Client>,
    pool: Arc<PoolHandle>,
    request: Request<RequestBody>,
    about: Rc<About>,
    bytes: Vec<u8>,
    most: u64,
}

/// Counts a copy that is under way.
struct UnderWay;

impl Mirror {
    /// A copy of a request's head; its body is copied while it passes by, up to so many bytes.
    #[must_use]
    pub fn new(
        client: &Rc<Client>,
        pool: &Arc<PoolHandle>,
        request: &Request<RequestBody>,
        about: &Rc<About>,
        most: u64,
    ) -> Box<Self> {
        let mut request = copied(request);
        request.headers_mut().insert(X_SLUICE_MIRROR, HeaderValue::from_static("1"));
        let (client, pool, about) = (Rc::clone(client), Arc::clone(pool), about.clone());
        Box::new(Self { client, pool, request, about, bytes: Vec::new(), most })
    }

    /// A piece of the body passes by; `false` when there is too much of it.
    #[must_use]
    pub fn add(&mut self, data: &[u8]) -> bool {
        let fits = (self.bytes.len() + data.len()) as u64 <= self.most;
        if fits {
            self.bytes.extend_from_slice(data);
        } else {
            self.pool.shared().shard(self.client.worker.number).unmirrored.add(1);
        }
        fits
    }

    /// Sends it: all of the body is here.
    pub fn send(self: Box<Self>) {
        let Self { client, pool, mut request, about, bytes, .. } = *self;
        let number = client.worker.number;
        let Some(under_way) = UnderWay::begin() else {
            pool.shared().shard(number).unmirrored.add(1);
            return;
        };
        pool.shared().shard(number).mirrored.add(1);
        frame(request.headers_mut(), bytes.len());
        if !bytes.is_empty() {
            *request.body_mut() = RequestBody::Whole(Bytes::from(bytes));
        }
        tokio::task::spawn_local(async move {
            // Once, whatever the pool says of retries: a copy is no reason for more load.
            let once = ir::Retry {
                times: 0,
                on: ir::RetryOn::default(),
                within_ms: None,
                each_ms: None,
                budget: 0,
                body_bytes: 0,
                any_method: false,
            };
            let settings = ir::Settings { retry: Some(once), ..ir::Settings::default() };
            let mut job = Job::new(request, pool, None, &settings, None, about);
            job.is_copy();
            match forward(&client, &mut job).await {
                Ok(answered) => discard(&client.worker, answered),
                Err(_) => job.pool.shared().shard(number).mirror_failed.add(1),
            }
            drop(under_way);
        });
    }
}

/// The length is known by now.
fn frame(headers: &mut HeaderMap, len: usize) {
    headers.remove(TRANSFER_ENCODING);
    if len > 0 || headers.contains_key(CONTENT_LENGTH) {
        headers.insert(CONTENT_LENGTH, HeaderValue::from(len));
    }
}

impl UnderWay {
    fn begin() -> Option<Self> {
        UNDER_WAY.with(|n| {
            (n.get() < AT_ONCE).then(|| {
                n.set(n.get() + 1);
                Self
            })
        })
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        // The worker's thread may be ending.
        let _ = UNDER_WAY.try_with(|n| n.set(n.get().saturating_sub(1)));
    }
}
