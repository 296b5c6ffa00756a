//! What an address has of us: its connections, and the bytes of its unfinished bodies. Each has a share, so that nobody has
//! all (WH-014).
//!
//! The map has an entry for each address that has a connection open, so it is bounded as they are.

use parking_lot::Mutex;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::IpAddr;
use std::sync::Arc;
use tokio::sync::Semaphore;

/// Who has connections open.
#[derive(Debug)]
pub(super) struct Peers {
    most: usize,
    bytes: usize,
    open: Mutex<HashMap<IpAddr, (usize, Arc<Semaphore>)>>,
}

/// The place of one connection, given back when it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    address: IpAddr,
    peers: Arc<Peers>,
    /// Bytes of bodies that its address may hold.
    pub(super) bytes: Arc<Semaphore>,
}

impl Peers {
    /// Nobody yet; each may have so many connections, and so many bytes of bodies.
    pub(super) fn up_to(most: usize, bytes: usize) -> Arc<Peers> {
        Arc::new(Peers { most, bytes, open: Mutex::default() })
    }

    /// One connection more, if its address may have one.
    pub(super) fn enter(self: &Arc<Peers>, peer: IpAddr) -> Option<Place> {
        let address = peer.to_canonical();
        let mut open = self.open.lock();
        let (count, bytes) = open.entry(address).or_insert_with(|| (0, Arc::new(Semaphore::new(self.bytes))));
        if *count >= self.most {
            return None;
        }
        *count += 1;
        Some(Place { address, peers: Arc::clone(self), bytes: Arc::clone(bytes) })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Entry::Occupied(mut entry) = self.peers.open.lock().entry(self.address) {
            match entry.get().0.checked_sub(1) {
                None | Some(0) => drop(entry.remove()),
                Some(left) => entry.get_mut().0 = left,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn an_address_has_its_share_and_others_theirs() {
        let peers = Peers::up_to(2, 10);
        let of = |text: &str| peers.enter(text.parse().unwrap());
        let (one, two) = (of("192.0.2.1").unwrap(), of("::ffff:192.0.2.1").unwrap());
        assert!(of("192.0.2.1").is_none() && of("::ffff:192.0.2.1").is_none());
        let other = of("192.0.2.2").unwrap();
        let taken = one.bytes.try_acquire_many(10).unwrap();
        assert!(two.bytes.try_acquire().is_err() && other.bytes.try_acquire().is_ok());
        drop(taken);
        drop(one);
        let three = of("192.0.2.1").unwrap();
        assert!(of("192.0.2.1").is_none());
        drop((two, three, other));
        assert!(peers.open.lock().is_empty(), "nothing is kept of who has gone");
    }
}
