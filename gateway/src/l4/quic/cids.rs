//! Where QUIC connections live, by the connection IDs that their servers chose.
//!
//! A client may come from another address, and the kernel then hands it to whichever worker it likes:
//! so the workers share this. It is asked for datagrams whose ID the worker has not learned itself.
//!
//! What it knows are the IDs of long headers. Further ones are told inside the encryption
//! (NEW_CONNECTION_ID, RFC 9000 section 19.15), and a client that moves on purpose takes one of those.
//! It is found by its IP address then, as long as all connections from there live in one place.

use super::collector::Cid;
use crate::l4::udp::classify::Hello;
use crate::upstream::EndpointHandle;
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};

/// Locks, so that workers seldom wait for each other.
const SHARDS: usize = 16;
/// Shorter IDs tell too little: servers that use them would be mixed up.
pub const SHORTEST: usize = 4;
/// Lengths that IDs can have.
const LENGTHS: usize = super::packet::LONGEST_CID + 1;

/// Where a connection lives.
#[derive(Debug)]
pub struct Home {
    /// The upstream that has it.
    pub endpoint: Arc<EndpointHandle>,
    /// What its hello said.
    pub hello: Hello,
}

/// Homes, by the listener's address and by what is known of a connection.
#[derive(Debug)]
pub struct Cids {
    hasher: RandomState,
    ids: [Mutex<Ids>; SHARDS],
    ips: [Mutex<Ips>; SHARDS],
    lengths: [AtomicU32; LENGTHS],
}

/// By listener and ID.
type Ids = HashMap<(SocketAddr, Cid), Known>;
/// By listener and client: each endpoint once.
type Ips = HashMap<(SocketAddr, IpAddr), Vec<Known>>;

#[derive(Debug)]
struct Known {
    home: Arc<Home>,
    /// Flows that hold it.
    shares: u32,
}

/// A flow's share in what is known. With the last one it is forgotten.
#[derive(Debug)]
pub struct Share {
    cids: &'static Cids,
    listening: SocketAddr,
    of: Of,
    endpoint: Arc<EndpointHandle>,
}

#[derive(Debug)]
enum Of {
    Id(Cid),
    Ip(IpAddr),
}

/// What the workers of this process share.
pub fn shared() -> &'static Cids {
    static SHARED: LazyLock<Cids> = LazyLock::new(|| Cids {
        hasher: RandomState::new(),
        ids: Default::default(),
        ips: Default::default(),
        lengths: Default::default(),
    });
    &SHARED
}

impl Cids {
    /// A server chose an ID for a connection. `None`: another server did so before, or it is too short;
    /// then it tells nothing.
    #[must_use]
    pub fn learn(&'static self, listening: SocketAddr, id: Cid, home: &Arc<Home>) -> Option<Share> {
        if id.bytes().len() < SHORTEST {
            return None;
        }
        let mut ids = self.ids(listening, &id);
        let known = ids.entry((listening, id)).or_insert_with(|| Known { home: Arc::clone(home), shares: 0 });
        if !Arc::ptr_eq(&known.home.endpoint, &home.endpoint) {
            return None;
        }
        known.shares += 1;
        self.lengths[id.bytes().len()].fetch_add(1, Ordering::Relaxed);
        Some(Share { cids: self, listening, of: Of::Id(id), endpoint: Arc::clone(&home.endpoint) })
    }

    /// A connection has a client at this address.
    #[must_use]
    pub fn is_at(&'static self, listening: SocketAddr, ip: IpAddr, home: &Arc<Home>) -> Share {
        let mut ips = self.ips(listening, ip);
        let there = ips.entry((listening, ip)).or_default();
        match there.iter_mut().find(|known| Arc::ptr_eq(&known.home.endpoint, &home.endpoint)) {
            Some(known) => known.shares += 1,
            None => there.push(Known { home: Arc::clone(home), shares: 1 }),
        }
        Share { cids: self, listening, of: Of::Ip(ip), endpoint: Arc::clone(&home.endpoint) }
    }

    /// The home of an ID.
    #[must_use]
    pub fn find(&self, listening: SocketAddr, id: &Cid) -> Option<Arc<Home>> {
        self.ids(listening, id).get(&(listening, *id)).map(|known| Arc::clone(&known.home))
    }

    /// The longest known ID that the rest of a short header begins with.
    #[must_use]
    pub fn of_short(&self, listening: SocketAddr, rest: &[u8]) -> Option<(Cid, Arc<Home>)> {
        let mut lengths = (SHORTEST..LENGTHS).rev().filter(|n| self.lengths[*n].load(Ordering::Relaxed) > 0);
        lengths.find_map(|length| {
            let id = Cid::of(rest.get(..length)?)?;
            Some((id, self.find(listening, &id)?))
        })
    }

    /// The home of all connections from an IP address, if it is one.
    #[must_use]
    pub fn only(&self, listening: SocketAddr, ip: IpAddr) -> Option<Arc<Home>> {
        match &self.ips(listening, ip).get(&(listening, ip))?[..] {
            [known] => Some(Arc::clone(&known.home)),
            _ => None,
        }
    }

    fn ids(&self, listening: SocketAddr, id: &Cid) -> MutexGuard<'_, Ids> {
        let shard = self.hasher.hash_one((listening, id)) as usize % SHARDS;
        self.ids[shard].lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ips(&self, listening: SocketAddr, ip: IpAddr) -> MutexGuard<'_, Ips> {
        let shard = self.hasher.hash_one((listening, ip)) as usize % SHARDS;
        self.ips[shard].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        match self.of {
            Of::Id(id) => {
                self.cids.lengths[id.bytes().len()].fetch_sub(1, Ordering::Relaxed);
                let mut ids = self.cids.ids(self.listening, &id);
                if let Some(known) = ids.get_mut(&(self.listening, id)) {
                    known.shares -= 1;
                    if known.shares == 0 {
                        ids.remove(&(self.listening, id));
                    }
                }
            }
            Of::Ip(ip) => {
                let mut ips = self.cids.ips(self.listening, ip);
                let Some(there) = ips.get_mut(&(self.listening, ip)) else { return };
                if let Some(known) = there.iter_mut().find(|k| Arc::ptr_eq(&k.home.endpoint, &self.endpoint)) {
                    known.shares -= 1;
                }
                there.retain(|known| known.shares > 0);
                if there.is_empty() {
                    ips.remove(&(self.listening, ip));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::endpoint;
    use super::*;

    fn home(port: u16) -> Arc<Home> {
        Arc::new(Home { endpoint: endpoint(port), hello: Hello::default() })
    }

    fn listening(port: u16) -> SocketAddr {
        SocketAddr::from(([192, 0, 2, 1], port))
    }

    #[test]
    fn what_is_known_lasts_as_long_as_its_last_share() {
        let (at, one, other) = (listening(1), home(1), home(2));
        let id = Cid::of(b"abcdefgh").expect("short");
        let first = shared().learn(at, id, &one).expect("free");
        let second = shared().learn(at, id, &one).expect("its own");
        assert!(shared().learn(at, id, &other).is_none(), "taken from under another server");
        assert!(shared().find(listening(2), &id).is_none());
        drop(first);
        assert!(Arc::ptr_eq(&shared().find(at, &id).expect("known"), &one));
        assert!(Arc::ptr_eq(&shared().of_short(at, b"abcdefgh and what is encrypted").expect("known").1, &one));
        assert!(shared().of_short(at, b"abcdefg").is_none());
        drop(second);
        assert!(shared().find(at, &id).is_none());
    }

    #[test]
    fn short_ids_tell_nothing() {
        for id in [&b""[..], b"a", b"abc"] {
            assert!(shared().learn(listening(3), Cid::of(id).expect("short"), &home(3)).is_none());
        }
    }

    #[test]
    fn an_ip_address_tells_while_all_live_in_one_place() {
        let (at, ip) = (listening(4), IpAddr::from([198, 51, 100, 1]));
        let (one, other) = (home(4), home(5));
        assert!(shared().only(at, ip).is_none());
        let first = shared().is_at(at, ip, &one);
        let again = shared().is_at(at, ip, &one);
        assert!(Arc::ptr_eq(&shared().only(at, ip).expect("one"), &one));
        let second = shared().is_at(at, ip, &other);
        assert!(shared().only(at, ip).is_none(), "two places");
        drop((first, again));
        assert!(Arc::ptr_eq(&shared().only(at, ip).expect("one"), &other));
        drop(second);
        assert!(shared().only(at, ip).is_none());
    }
}
