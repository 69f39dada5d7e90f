//! TLS to the endpoints of a pool: `tls { … }`.
//!
//! There is no way to go without verification. An endpoint shows a certificate for its name from an
//! authority that is trusted (the system's, or those of the `trust` file), or its key is pinned:
//! with pins and no `trust` file the key alone is what counts, with both, both must hold.

mod files;
mod verify;
mod words;

use super::{ConnectError, EndpointHandle, PoolHandle, Reached, Speaks};
use crate::runtime::notice::{Notice, NoticeSender};
use crate::runtime::ticks::{process_ms, within};
use crate::runtime::worker::Worker;
use crate::secrets::Secrets;
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

/// Files are looked at again by the first connection after so long, and by each worker's keeper.
const LOOK_MS: u64 = 2_000;

/// A pool's TLS: settings, and the configuration made of them and of the files as they are.
pub struct UpstreamTls {
    pool: Arc<str>,
    settings: PoolTls,
    files: Files,
    current: ArcSwap<Current>,
    /// That of `current`: read for each request, which an `ArcSwap` would make dearer.
    generation: AtomicU64,
    /// When the files are looked at again, by [`process_ms`].
    look_at_ms: AtomicU64,
    notices: Option<NoticeSender>,
}

struct Current {
    /// Of the files that were read last, whether or not anything could be made of them.
    stamps: Stamps,
    /// The last one that could be made; why there is none.
    config: Result<Configs, String>,
    /// Counts those that could be made.
    generation: u64,
}

/// One configuration by what is offered (ALPN). They share their sessions and whom they trust.
#[derive(Clone)]
struct Configs {
    /// Nothing: what is spoken is not for us to know.
    plain: Arc<ClientConfig>,
    http1: Arc<ClientConfig>,
    http2: Arc<ClientConfig>,
    agreed: Arc<ClientConfig>,
}

impl Configs {
    fn of(plain: Arc<ClientConfig>) -> Self {
        let offering = |speaks: Speaks| {
            let mut config = ClientConfig::clone(&plain);
            config.alpn_protocols = speaks.offers().iter().map(|name| name.to_vec()).collect();
            Arc::new(config)
        };
        let (http1, http2, agreed) = (offering(Speaks::Http1), offering(Speaks::Http2), offering(Speaks::Agreed));
        Self { plain, http1, http2, agreed }
    }

    fn offering(&self, speaks: Option<Speaks>) -> &Arc<ClientConfig> {
        match speaks {
            None => &self.plain,
            Some(Speaks::Http1) => &self.http1,
            Some(Speaks::Http2) => &self.http2,
            Some(Speaks::Agreed) => &self.agreed,
        }
    }
}

impl UpstreamTls {
    /// Reads the files. Those that make no sense are told, now and whenever they change.
    #[must_use]
    pub fn new(
        pool: Arc<str>,
        settings: PoolTls,
        dir: &Path,
        secrets: &Arc<Secrets>,
        notices: Option<NoticeSender>,
    ) -> Self {
        let files = Files::of(&settings, dir, secrets);
        let config = Err("its files were not read yet".to_owned());
        let none = Current { stamps: Stamps::default(), config, generation: 0 };
        let tls = Self {
            pool,
            settings,
            files,
            current: ArcSwap::from_pointee(none),
            generation: AtomicU64::new(0),
            look_at_ms: AtomicU64::new(process_ms() + LOOK_MS),
            notices,
        };
        tls.read(tls.files.stamps());
        tls
    }

    /// Encrypts a connection to an endpoint that is called `host` where the settings give no name.
    /// Nothing is said of what is spoken inside.
    ///
    /// # Errors
    /// Why the endpoint is not trusted, or what broke, in words.
    pub async fn handshake<T>(self: &Arc<Self>, host: &str, stream: T) -> Result<TlsStream<T>, String>
    where
        T: AsyncRead + AsyncWrite + Unpin,
    {
        self.agree(None, host, stream).await.map(|(stream, _)| stream)
    }

    /// Encrypts a connection for HTTP, and agrees on its version. Returns by which files the endpoint was
    /// verified, too ([`UpstreamTls::generation`]).
    ///
    /// # Errors
    /// Why the endpoint is not trusted, what broke, or that it does not speak what it must, in words.
    pub async fn handshake_http<T>(
        self: &Arc<Self>,
        speaks: Speaks,
        host: &str,
        stream: T,
    ) -> Result<(TlsStream<T>, u64), String>
    where
        T: AsyncRead + AsyncWrite + Unpin,
    {
        let (stream, generation) = self.agree(Some(speaks), host, stream).await?;
        // Who knows nothing of ALPN chooses nothing, and speaks HTTP/1.
        if speaks == Speaks::Http2 && !is_http2(&stream) {
            return Err("it did not agree to HTTP/2 (ALPN `h2`); write `protocol h1` if it speaks HTTP/1".to_owned());
        }
        Ok((stream, generation))
    }

    async fn agree<T>(
        self: &Arc<Self>,
        speaks: Option<Speaks>,
        host: &str,
        stream: T,
    ) -> Result<(TlsStream<T>, u64), String>
    where
        T: AsyncRead + AsyncWrite + Unpin,
    {
        self.refresh().await;
        let (config, generation) = {
            let current = self.current.load();
            let configs = current.config.as_ref().map_err(Clone::clone)?;
            (Arc::clone(configs.offering(speaks)), current.generation)
        };
        let name = self.settings.name.as_deref().unwrap_or(host);
        let name =
            ServerName::try_from(name.to_owned()).map_err(|_| format!("`{name}` cannot be a certificate's name"))?;
        let stream = TlsConnector::from(config).connect(name, stream).await.map_err(|e| words::of(&e))?;
        Ok((stream, generation))
    }

    /// Counts the configurations that were made of the files. Connections of an earlier one were verified
    /// by files that are gone, and serve no new request.
    #[inline]
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::Relaxed)
    }

    /// Whoever finds that it is time looks at the files.
    pub(super) async fn refresh(self: &Arc<Self>) {
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
        let mut generation = self.generation();
        let config = match self.files.read(&self.settings) {
            Ok(config) => {
                generation += 1;
                Ok(Configs::of(config))
            }
            Err(trouble) => {
                let reason = trouble.to_string();
                if let Some(notices) = &self.notices {
                    notices.send(Notice::UpstreamTls { pool: Arc::clone(&self.pool), reason: reason.clone() });
                }
                // The last one that worked goes on.
                self.current.load().config.clone().map_err(|_| reason)
            }
        };
        self.current.store(Arc::new(Current { stamps, config, generation }));
        self.generation.store(generation, Ordering::Relaxed);
    }
}

impl fmt::Debug for UpstreamTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UpstreamTls").field("pool", &self.pool).finish_non_exhaustive()
    }
}

/// What TLS has to do with an error, in words.
pub(super) fn words_in(error: &(dyn std::error::Error + 'static)) -> Option<String> {
    words::within(error)
}

/// Whether HTTP/2 was agreed on.
pub(super) fn is_http2<T>(stream: &TlsStream<T>) -> bool {
    stream.get_ref().1.alpn_protocol() == Some(b"h2")
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
