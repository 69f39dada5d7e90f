//! Proofs by DNS: who puts the record in place, and when it can be seen.

mod acme_dns;
mod child;
mod hook;
mod rfc2136;
mod visible;
mod wire;

use super::https::Http;
use crate::secrets::Secret;
use dsl::tree::ir::{DnsProvider, Tsig};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

/// What a provider may take for one change.
const CHANGE: Duration = Duration::from_secs(60);

type Task<'a> = Pin<Box<dyn Future<Output = Result<(), String>> + Send + 'a>>;

/// Puts records of challenges in place.
pub(super) trait Dns01: Send + Sync {
    /// Adds a TXT record. `name` is absolute, without the trailing dot.
    fn present<'a>(&'a self, name: &'a str, value: &'a str) -> Task<'a>;

    /// Takes it away again.
    fn clean_up<'a>(&'a self, name: &'a str, value: &'a str) -> Task<'a>;

    /// A server that is known to have the zone, beside those that DNS names.
    fn primary(&self) -> Option<SocketAddr> {
        None
    }
}

/// A provider, ready to be used for one order.
#[derive(Clone)]
pub(super) struct Provider {
    dns: Arc<dyn Dns01>,
    /// How long to wait instead of looking.
    wait: Option<Duration>,
    /// Name servers to look names up at; none: those of the system.
    resolver: Arc<[SocketAddr]>,
}

/// A record that stands. It is taken away when this is dropped, whatever became of the order.
pub(super) struct Record {
    provider: Provider,
    /// Name and value; none once it is taken away.
    stands: Option<(String, String)>,
}

impl Provider {
    /// Of what `gateway.route` says, with the secret that it names. `None` for `persist`, which changes nothing.
    ///
    /// # Errors
    /// When the secret is none that the provider can use, in words that do not show it.
    pub(super) fn new(
        said: &DnsProvider,
        secret: Option<Arc<Secret>>,
        http: impl FnOnce() -> Result<Http, String>,
        resolver: Arc<[SocketAddr]>,
    ) -> Result<Option<Self>, String> {
        let needed = || secret.as_deref().ok_or_else(|| "it has no `key`".to_owned());
        let (dns, wait): (Arc<dyn Dns01>, _) = match said {
            DnsProvider::Rfc2136 { server, name, algorithm, key: _, wait } => {
                (Arc::new(rfc2136::Rfc2136::new(*server, name, *algorithm, needed()?)?), *wait)
            }
            DnsProvider::AcmeDns { server, key: _, wait } => {
                (Arc::new(acme_dns::AcmeDns::new(server, needed()?, http()?)?), *wait)
            }
            DnsProvider::Hook { command, key: _, wait } => (Arc::new(hook::Hook::new(command, secret)), *wait),
            DnsProvider::Persist => return Ok(None),
        };
        Ok(Some(Self { dns, wait: wait.map(Duration::from_millis), resolver }))
    }

    /// Puts the record for a domain in place, and waits until it can be seen.
    pub(super) async fn put(&self, domain: &str, value: String) -> Result<Record, String> {
        let name = format!("_acme-challenge.{domain}");
        // From here on it is taken away, even where it is not clear whether it was put in place.
        let record = Record { provider: self.clone(), stands: Some((name.clone(), value.clone())) };
        match timeout(CHANGE, self.dns.present(&name, &value)).await {
            Ok(done) => done.map_err(|why| format!("the record {name} could not be put in place: {why}"))?,
            Err(_) => return Err(format!("the record {name} was not put in place within {} s", CHANGE.as_secs())),
        }
        match self.wait {
            Some(wait) => tokio::time::sleep(wait).await,
            None => visible::wait_for(&name, &value, self.dns.primary(), &self.resolver).await?,
        }
        Ok(record)
    }
}

impl Record {
    /// Takes it away. What goes wrong is nothing that an order could mend.
    pub(super) async fn take_away(mut self) {
        if let Some((name, value)) = self.stands.take() {
            let _ = timeout(CHANGE, self.provider.dns.clean_up(&name, &value)).await;
        }
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        let Some((name, value)) = self.stands.take() else { return };
        let provider = self.provider.clone();
        // Outside a runtime the process is ending.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                let _ = timeout(CHANGE, provider.dns.clean_up(&name, &value)).await;
            });
        }
    }
}

/// The name of an algorithm on the wire (RFC 8945 section 6).
fn algorithm_name(algorithm: Tsig) -> &'static str {
    match algorithm {
        Tsig::Sha256 => "hmac-sha256",
        Tsig::Sha512 => "hmac-sha512",
    }
}
