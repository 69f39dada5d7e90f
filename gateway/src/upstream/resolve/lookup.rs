//! Addresses of a name for who asks now, and is no pool.

use super::book::{Answer, Said};
use super::client::Client;
use super::{Question, Servers};
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use tokio::sync::watch as channel;

/// Looks names up as those of pools are: by what the machine knows by itself, then at the servers of `resolver`, or at
/// those of the system where there are none. Copies share what they ask with, which lives in the runtime of whoever
/// asks first.
#[derive(Clone)]
pub struct Lookup {
    client: Arc<Client>,
    servers: channel::Receiver<Servers>,
}

impl Lookup {
    pub(super) fn new(servers: channel::Receiver<Servers>) -> Self {
        Self { client: Arc::new(Client::new()), servers }
    }

    /// The addresses of a host, at least one; an address is its own. It waits until the gateway file was read, and a few
    /// seconds for servers: whoever cannot wait so long bounds it.
    ///
    /// # Errors
    /// When there are none, in words for the operator.
    pub async fn addresses(&self, host: &str) -> Result<Vec<IpAddr>, String> {
        if let Ok(ip) = host.parse() {
            return Ok(vec![ip]);
        }
        let mut servers = self.servers.clone();
        let said = servers.wait_for(Option::is_some).await.map_err(|_| "the gateway ends".to_owned())?.clone();
        let question = Question { name: host.into(), service: false };
        let Answer::Host(host) = self.client.ask(&question, &said.unwrap_or_default()).await else {
            return Err("its name has no addresses".to_owned());
        };
        let (mut found, mut exists, mut silent) = (Vec::new(), false, None);
        // In the order that hosts prefer (RFC 6724): there is a way to those of IPv6 that are left.
        for said in [host.six, host.four] {
            match said {
                Said::Records(ips, _) => found.extend(ips),
                Said::None { exists: there, .. } => exists |= there,
                Said::Nothing(why) => silent = Some(why),
            }
        }
        match (found.is_empty(), silent) {
            (false, _) => Ok(found),
            (true, Some(why)) => Err(format!("its name cannot be looked up: {why}")),
            (true, None) if exists => Err("its name has no addresses".to_owned()),
            (true, None) => Err("its name does not exist".to_owned()),
        }
    }
}

impl fmt::Debug for Lookup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lookup").finish_non_exhaustive()
    }
}
