//! How many requests one client has in flight: no more than its share, so that others find room (DS-010).
//!
//! A client is the key that it has shown possession of, else who its token says is calling. Whoever has shown nothing
//! is known by the [`network`] it comes from, and those whose token is still looked at have a share besides: a neighbour
//! who holds open what needs no token keeps nobody from showing one. A place is
//! held until the last byte of the response was sent or given up, for until then it costs memory. The map has an entry for
//! each client that has a request in flight, so it is bounded as they are.

use super::rates::{Network, network, whose};
use crate::pop::{Denial, Verified};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::collections::hash_map::{Entry, RandomState};
use std::hash::BuildHasher;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};

/// Who has how many.
#[derive(Debug, Default)]
pub struct Shares {
    total: AtomicUsize,
    /// By digests with a secret of this process: nobody can choose whose count to share.
    taken: Mutex<HashMap<u64, usize>>,
    secret: RandomState,
}

/// The place of one request, given back when it is dropped.
#[derive(Debug)]
pub struct Share {
    shares: Arc<Shares>,
    /// None if the address says nothing of who it is.
    network: Option<Network>,
    /// Whom it is counted for.
    client: AtomicU64,
}

/// What keeps digests apart.
#[derive(Clone, Copy, Hash)]
enum Kind {
    Proved,
    Undecided,
    Unproved,
}

impl Shares {
    /// One request more, which is nobody's yet. `peer`: the client's address, where there is no telling others by it none.
    pub fn begin(self: &Arc<Shares>, peer: Option<IpAddr>) -> Share {
        self.total.fetch_add(1, Relaxed);
        Share { shares: Arc::clone(self), network: peer.map(network), client: AtomicU64::new(NOBODY) }
    }

    /// How many there are in all.
    pub fn total(&self) -> usize {
        self.total.load(Relaxed)
    }

    fn enter(&self, client: u64, most: usize) -> bool {
        let mut taken = self.taken.lock();
        let count = taken.entry(client).or_default();
        let has_room = *count < most;
        *count += usize::from(has_room);
        has_room
    }

    fn count(&self, client: u64) -> usize {
        self.taken.lock().get(&client).copied().unwrap_or_default()
    }

    fn leave(&self, client: u64) {
        if let Entry::Occupied(mut entry) = self.taken.lock().entry(client) {
            match entry.get().checked_sub(1) {
                None | Some(0) => drop(entry.remove()),
                Some(left) => *entry.get_mut() = left,
            }
        }
    }
}

impl Share {
    /// Whether the request would have room among those of who has shown possession; it is not counted for them yet.
    ///
    /// # Errors
    /// [`Denial::TooManyInFlight`].
    pub fn admits(&self, verified: &Verified, most: usize) -> Result<(), Denial> {
        let has_room = self.shares.count(self.client_of(verified)) < most;
        if has_room { Ok(()) } else { Err(Denial::TooManyInFlight) }
    }

    /// Counts the request for who has shown possession, unless that one has as many as it may.
    ///
    /// # Errors
    /// [`Denial::TooManyInFlight`].
    pub fn proved(&self, verified: &Verified, most: usize) -> Result<(), Denial> {
        self.of(self.client_of(verified), most)
    }

    /// Counts it for where it comes from, while its token is looked at.
    ///
    /// # Errors
    /// [`Denial::TooManyInFlight`].
    pub fn undecided(&self, most: usize) -> Result<(), Denial> {
        self.of_network(Kind::Undecided, most)
    }

    /// Counts it for where it comes from.
    ///
    /// # Errors
    /// [`Denial::TooManyInFlight`].
    pub fn unproved(&self, most: usize) -> Result<(), Denial> {
        self.of_network(Kind::Unproved, most)
    }

    fn client_of(&self, verified: &Verified) -> u64 {
        self.shares.secret.hash_one((Kind::Proved, whose(verified))).max(NOBODY + 1)
    }

    fn of_network(&self, kind: Kind, most: usize) -> Result<(), Denial> {
        match &self.network {
            Some(network) => self.of(self.shares.secret.hash_one((kind, network)), most),
            None => Ok(()),
        }
    }

    fn of(&self, client: u64, most: usize) -> Result<(), Denial> {
        let client = client.max(NOBODY + 1);
        let before = self.client.load(Relaxed);
        if before == client {
            return Ok(());
        }
        if !self.shares.enter(client, most) {
            return Err(Denial::TooManyInFlight);
        }
        self.client.store(client, Relaxed);
        if before != NOBODY {
            self.shares.leave(before);
        }
        Ok(())
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.shares.total.fetch_sub(1, Relaxed);
        let client = *self.client.get_mut();
        if client != NOBODY {
            self.shares.leave(client);
        }
    }
}

const NOBODY: u64 = 0;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn of(shares: &Arc<Shares>, peer: &str) -> Result<Share, Denial> {
        let share = shares.begin(Some(peer.parse().unwrap()));
        share.unproved(2).map(|()| share)
    }

    /// DS-010
    #[test]
    fn a_network_has_its_share_and_others_theirs() {
        let shares = Arc::new(Shares::default());
        let (one, two) = (of(&shares, "2001:db8::1").unwrap(), of(&shares, "2001:db8::2").unwrap());
        assert_eq!(of(&shares, "2001:db8::3").unwrap_err(), Denial::TooManyInFlight);
        let other = of(&shares, "2001:db8:0:1::1").unwrap();
        assert_eq!(shares.total(), 3);
        let neighbour = shares.begin(Some("2001:db8::4".parse().unwrap()));
        assert!(
            neighbour.undecided(1).is_ok() && neighbour.of(7, 1).is_ok(),
            "a token is looked at all the same"
        );
        drop(neighbour);
        drop(one);
        let three = of(&shares, "2001:db8::3").unwrap();
        drop((two, three, other));
        assert_eq!(shares.total(), 0);
        assert!(shares.taken.lock().is_empty(), "nothing is kept of who has gone");
    }

    #[test]
    fn a_request_is_counted_once_and_for_the_last_who_it_is() {
        let shares = Arc::new(Shares::default());
        let share = shares.begin(None);
        assert!(share.of(7, 1).is_ok() && share.of(7, 1).is_ok() && share.unproved(1).is_ok());
        let next = shares.begin(None);
        assert_eq!(next.of(7, 1), Err(Denial::TooManyInFlight));
        assert!(next.of(8, 1).is_ok());
        assert_eq!(share.of(8, 1), Err(Denial::TooManyInFlight), "and stays where it was");
        assert_eq!(next.of(7, 1), Err(Denial::TooManyInFlight));
        assert!(share.of(9, 1).is_ok() && next.of(7, 1).is_ok());
        assert_eq!([7, 8, 9].map(|client| shares.count(client)), [1, 0, 1]);
        drop((share, next));
        assert!(shares.taken.lock().is_empty());
    }
}
