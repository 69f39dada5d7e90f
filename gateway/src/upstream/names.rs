//! DNS names of endpoints, looked up when a connection is made and remembered for a short time.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;

/// How long an answer is good for; the system's resolver does not tell.
const GOOD_MS: u64 = 5_000;
/// Names that a worker remembers.
const NAMES: usize = 1024;

/// What a worker knows of names.
#[derive(Debug, Default)]
pub(crate) struct Names {
    known: RefCell<HashMap<(Arc<str>, u16), Known>>,
}

#[derive(Debug)]
struct Known {
    addresses: Rc<[SocketAddr]>,
    until: u64,
}

impl Names {
    /// The addresses of a host, never none.
    pub(crate) async fn look_up(&self, host: &Arc<str>, port: u16, now: u64) -> io::Result<Rc<[SocketAddr]>> {
        if let Ok(ip) = host.parse::<IpAddr>() {
            return Ok(Rc::new([SocketAddr::new(ip, port)]));
        }
        let key = (Arc::clone(host), port);
        if let Some(known) = self.known.borrow().get(&key)
            && now < known.until
        {
            return Ok(Rc::clone(&known.addresses));
        }
        let addresses: Rc<[SocketAddr]> = tokio::net::lookup_host((&**host, port)).await?.collect();
        if addresses.is_empty() {
            return Err(io::Error::new(io::ErrorKind::NotFound, "the name has no address"));
        }
        let mut known = self.known.borrow_mut();
        if known.len() >= NAMES {
            known.retain(|_, k| now < k.until);
        }
        if known.len() < NAMES {
            let entry = Known { addresses: Rc::clone(&addresses), until: now + GOOD_MS };
            known.insert(key, entry);
        }
        Ok(addresses)
    }
}
