//! How many connections an address has open: those beyond its share are closed before their handshake, which is what
//! costs (DS-003).
//!
//! The map has an entry for each address that has a connection open, so it is bounded as they are.

use crate::state::rates::{Network, network};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::IpAddr;
use std::sync::Arc;

/// Who has connections open.
#[derive(Debug)]
pub(super) struct Peers {
    most: Option<usize>,
    open: Mutex<HashMap<Network, usize>>,
}

/// The place of one connection, given back when it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    network: Network,
    peers: Arc<Peers>,
}

impl Peers {
    /// Nobody yet; each may have so many, or as many as it likes.
    pub(super) fn up_to(most: Option<usize>) -> Arc<Peers> {
        Arc::new(Peers { most, open: Mutex::default() })
    }

    /// One connection more, if its address may have one.
    pub(super) fn enter(self: &Arc<Peers>, peer: IpAddr) -> Option<Place> {
        let network = network(peer);
        if let Some(most) = self.most {
            let mut open = self.open.lock();
            let count = open.entry(network).or_default();
            if *count >= most {
                return None;
            }
            *count += 1;
        }
        Some(Place { network, peers: Arc::clone(self) })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if self.peers.most.is_none() {
            return;
        }
        if let Entry::Occupied(mut entry) = self.peers.open.lock().entry(self.network) {
            match entry.get().checked_sub(1) {
                None | Some(0) => drop(entry.remove()),
                Some(left) => *entry.get_mut() = left,
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
        let peers = Peers::up_to(Some(2));
        let of = |text: &str| peers.enter(text.parse().unwrap());
        let (one, two) = (of("192.0.2.1").unwrap(), of("192.0.2.1").unwrap());
        assert!(of("192.0.2.1").is_none() && of("::ffff:192.0.2.1").is_none());
        let other = of("192.0.2.2").unwrap();
        drop(one);
        let three = of("192.0.2.1").unwrap();
        assert!(of("192.0.2.1").is_none());
        drop((two, three, other));
        assert!(peers.open.lock().is_empty(), "nothing is kept of who has gone");
    }

    #[test]
    fn without_a_share_nothing_is_kept() {
        let peers = Peers::up_to(None);
        let all: Vec<_> = (0..1000).map(|_| peers.enter("192.0.2.1".parse().unwrap()).unwrap()).collect();
        assert!(peers.open.lock().is_empty());
        drop(all);
    }
}
