//! `limits { per-client N }`: connections that are open, by the address of their client, over all listeners
//! and workers.
//!
//! There is an entry for each client that has one open, so what is kept is bounded by `limits { connections N }`.

use crate::limit::{AtOnce, Held, Secret};
use crate::upstream::client_group;
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::Arc;

/// Who has how many open.
#[derive(Debug)]
pub struct Clients {
    secret: Secret,
    open: Arc<AtOnce>,
}

impl Default for Clients {
    fn default() -> Self {
        // The limit is the snapshot's, and comes with each connection.
        Self { secret: Secret::default(), open: Arc::new(AtOnce::new(u32::MAX)) }
    }
}

impl Clients {
    /// A place for one more connection of a client, of whom `most` may be open; `None`: there is none. IPv6
    /// addresses count by their /64.
    #[must_use]
    pub fn take(&self, client: IpAddr, most: u32) -> Option<Held> {
        let group = client_group(client);
        let key = self.secret.digest_of(|mut hasher| group.hash(&mut hasher));
        AtOnce::take_of(&self.open, key, most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_count_by_their_address_and_networks_by_their_64() {
        let clients = Clients::default();
        let take = |ip: &str| clients.take(ip.parse().unwrap(), 2);
        let held = [take("192.0.2.1"), take("::ffff:192.0.2.1"), take("192.0.2.2")];
        assert!(held.iter().all(Option::is_some));
        assert!(take("192.0.2.1").is_none());
        let six = [take("2001:db8::1"), take("2001:db8::2")];
        assert!(six.iter().all(Option::is_some) && take("2001:db8::3").is_none());
        assert!(take("2001:db8:0:1::3").is_some(), "another network");
        drop(held);
        assert!(take("192.0.2.1").is_some(), "places come back");
        assert!(clients.take("192.0.2.9".parse().unwrap(), 0).is_none());
    }
}
