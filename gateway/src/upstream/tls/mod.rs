//! TLS to the endpoints of a pool: `tls { … }`.
//!
//! There is no way to go without verification. An endpoint shows a certificate for its name from an
//! authority that is trusted (the system's, or those of the `trust` file), or its key is pinned:
//! with pins and no `trust` file the key alone is what counts, with both, both must hold.

mod files;
mod verify;
mod words;

use super::{ConnectError, EndpointHandle, PoolHandle, Reached};
use crate::runtime::notice::{Notice, NoticeSender};
use crate::runtime::ticks::{process_ms, within};
use crate::runtime::worker::Worker;
use arc_swap::ArcSwap;
use dsl::tree::ir::PoolTls;
use files::{Files, Stamps};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Files are looked at again by the first connection after so long.
const LOOK_MS: u64 = 2_000;

/// A pool's TLS: settings, and the configuration made of them and of the files as they are.
pub struct UpstreamTls {
    pool: Arc<str>,
    settings: PoolTls,
    files: Files,
    current: ArcSwap<Current>,
    /// When the files are looked at again, by [`process_ms`].
    look_at_ms: AtomicU64,
    notices: Option<NoticeSender>,
}

struct Current {
    /// Of the files that were read last, whether or not anything could be made of them.
    stamps: Stamps,
    /// The last one that could be made; why there is none.
    config: Result<Arc<ClientConfig>, String>,
}

impl UpstreamTls {
    /// Reads the files. Those that make no sense are told, now and whenever they change.
    #[must_use]
    pub fn new(pool: Arc<str>, settings: PoolTls, dir: &Path, notices: Option<NoticeSender>) -> Self {
        let files = Files::of(&settings, dir);
        let none = Current { stamps: Stamps::default(), config: Err("its files were not read yet".to_owned()) };
        let tls = Self {
            pool,
            settings,
            files,
            current: ArcSwap::from_pointee(none),
            look_at_ms: AtomicU64::new(process_ms() + LOOK_MS),
            notices,
        };
        tls.read(tls.files.stamps());
        tls
    }

    /// Encrypts a connection to an endpoint that is called `host` where the settings give no name.
    ///
    /// # Errors
    /// Why the endpoint is not trusted, or what broke, in words.
    pub async fn handshake<T>(self: &Arc<Self>, host: &str, stream: T) -> Result<TlsStream<T>, String>
    where
        T: AsyncRead + AsyncWrite + Unpin,
    {
        let config = self.config().await?;
        let name = self.settings.name.as_deref().unwrap_or(host);
        let name =
            ServerName::try_from(name.to_owned()).map_err(|_| format!("`{name}` cannot be a certificate's name"))?;
        TlsConnector::from(config).connect(name, stream).await.map_err(|e| words::of(&e))
    }

    /// The configuration in force; whoever finds that it is time looks at the files first.
    async fn config(self: &Arc<Self>) -> Result<Arc<ClientConfig>, String> {
        let now = process_ms();
        let due = self.look_at_ms.load(Ordering::Relaxed);
        let next = now + LOOK_MS;
        if !self.files.is_empty()
            && now >= due
            && self.look_at_ms.compare_exchange(due, next, Ordering::Relaxed, Ordering::Relaxed).is_ok()
        {
            let tls = Arc::clone(self);
            // Where it does not come back the last one serves.
            let _ = tokio::task::spawn_blocking(move || tls.look()).await;
        }
        self.current.load().config.clone()
    }

    /// Reads the files again when they changed.
    fn look(&self) {
        let stamps = self.files.stamps();
        if stamps != self.current.load().stamps {
            self.read(stamps);
        }
    }

    /// `stamps`: from before reading, so that what is written meanwhile is read again.
    fn read(&self, stamps: Stamps) {
        let config = match self.files.read(&self.settings) {
            Ok(config) => Ok(config),
            Err(trouble) => {
                let reason = trouble.to_string();
                if let Some(notices) = &self.notices {
                    notices.send(Notice::UpstreamTls { pool: Arc::clone(&self.pool), reason: reason.clone() });
                }
                // The last one that worked goes on.
                self.current.load().config.clone().map_err(|_| reason)
            }
        };
        self.current.store(Arc::new(Current { stamps, config }));
    }
}

impl fmt::Debug for UpstreamTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UpstreamTls").field("pool", &self.pool).finish_non_exhaustive()
    }
}

/// Encrypts a connection to an endpoint of a pool with `tls`. What must
/// precede TLS, such as a PROXY header, has been sent.
///
/// # Errors
/// [`ConnectError::Tls`] with the reason in words, [`ConnectError::Timeout`] when the handshake takes
/// longer than `connect within`.
pub async fn connect_tls(
    worker: &Worker,
    pool: &PoolHandle,
    endpoint: &EndpointHandle,
    reached: Reached,
) -> Result<TlsStream<Reached>, ConnectError> {
    let tls = pool.tls().ok_or_else(|| ConnectError::Tls("the pool says nothing of TLS".to_owned()))?;
    let host = endpoint.host();
    // No pool waits for longer than u64 milliseconds.
    let allowed = pool.connect_within().as_millis() as u64;
    let done = within(&worker.ticks, allowed, tls.handshake(host, reached)).await;
    done.ok_or(ConnectError::Timeout(allowed))?.map_err(ConnectError::Tls)
}

#[cfg(test)]
mod tests;
