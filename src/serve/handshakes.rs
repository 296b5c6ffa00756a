//! TLS handshakes take turns: so many at a time, and of those who wait, networks in turn.
//!
//! A client that has a place and does not go on keeps others waiting, so it must be quick while others wait: after
//! [`PATIENCE`] its place goes to the next one. While nobody waits, everyone has the time that the caller gives it. A network
//! ([`network`](crate::state::rates::network)) that has many waiting gets a place as often as one that has a single one
//! waiting, so whoever floods us waits for itself (DS-003). Of one network's the newest goes first: where more come than there
//! is room for, some are served at once instead of all too late.

use crate::state::rates::Network;
use parking_lot::Mutex;
use prometheus_client::metrics::gauge::Gauge;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, oneshot};
use tokio::time::sleep;

/// The places.
#[derive(Debug)]
pub(super) struct Handshakes {
    turns: Mutex<Turns>,
    crowd: Notify,
    under_way: Gauge,
}

/// Who is next. Nobody waits while a place is free.
#[derive(Debug, Default)]
struct Turns {
    free: usize,
    /// Those of each network who wait, by when they came. No network is here without one.
    waiting: HashMap<Network, BTreeMap<u64, oneshot::Sender<Place>>>,
    /// Networks in the order of their turns; some may have nobody left.
    order: VecDeque<Network>,
    came: u64,
}

/// A place, which goes to the next one when it is dropped.
#[derive(Debug)]
struct Place {
    handshakes: Arc<Handshakes>,
}

impl Handshakes {
    /// So many at a time.
    pub(super) fn up_to(places: usize, under_way: Gauge) -> Arc<Handshakes> {
        let turns = Mutex::new(Turns { free: places, ..Turns::default() });
        Arc::new(Handshakes { turns, crowd: Notify::new(), under_way })
    }

    /// Waits for a place and goes through the handshake there.
    ///
    /// # Errors
    /// Those of the handshake; [`io::ErrorKind::ResourceBusy`] if its place went to another.
    pub(super) async fn take<T>(
        self: &Arc<Handshakes>,
        network: Network,
        handshake: impl Future<Output = io::Result<T>>,
    ) -> io::Result<T> {
        let _place = self.place(network).await?;
        let _counted = Counted::new(&self.under_way);
        tokio::select! {
            biased;
            done = handshake => done,
            () = self.crowded_out() => Err(io::ErrorKind::ResourceBusy.into()),
        }
    }

    async fn place(self: &Arc<Handshakes>, network: Network) -> io::Result<Place> {
        let (waiting, turn) = {
            let mut turns = self.turns.lock();
            if let Some(free) = turns.free.checked_sub(1) {
                turns.free = free;
                return Ok(Place { handshakes: Arc::clone(self) });
            }
            let (number, turn) = turns.wait(network);
            (Waiting { handshakes: self, network, number }, turn)
        };
        self.crowd.notify_one();
        let place = turn.await.map_err(io::Error::other);
        drop(waiting);
        place
    }

    /// Each who waits asks one to go, of those who were there for long enough.
    async fn crowded_out(&self) {
        sleep(PATIENCE).await;
        while self.turns.lock().waiting.is_empty() {
            self.crowd.notified().await;
        }
    }
}

impl Turns {
    fn wait(&mut self, network: Network) -> (u64, oneshot::Receiver<Place>) {
        let (send, turn) = oneshot::channel();
        self.came += 1;
        let of_network = self.waiting.entry(network).or_default();
        if of_network.is_empty() {
            self.order.push_back(network);
        }
        of_network.insert(self.came, send);
        (self.came, turn)
    }

    fn next(&mut self) -> Option<oneshot::Sender<Place>> {
        loop {
            let network = self.order.pop_front()?;
            let Some(of_network) = self.waiting.get_mut(&network) else { continue };
            let newest = of_network.pop_last();
            if of_network.is_empty() {
                self.waiting.remove(&network);
            } else {
                self.order.push_back(network);
            }
            if let Some((_, turn)) = newest.filter(|(_, turn)| !turn.is_closed()) {
                return Some(turn);
            }
        }
    }

    /// Somebody waits no longer.
    fn leave(&mut self, network: Network, number: u64) {
        let Some(of_network) = self.waiting.get_mut(&network) else { return };
        of_network.remove(&number);
        if of_network.is_empty() {
            self.waiting.remove(&network);
            self.order.retain(|other| *other != network);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let next = {
            let mut turns = self.handshakes.turns.lock();
            let next = turns.next();
            turns.free += usize::from(next.is_none());
            next
        };
        if let Some(turn) = next {
            // One who has just gone drops it, and so hands it on.
            drop(turn.send(Place { handshakes: Arc::clone(&self.handshakes) }));
        }
    }
}

/// One who waits, until it is dropped.
struct Waiting<'a> {
    handshakes: &'a Handshakes,
    network: Network,
    number: u64,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.handshakes.turns.lock().leave(self.network, self.number);
    }
}

/// One handshake, until it is dropped.
struct Counted<'a>(&'a Gauge);

impl Counted<'_> {
    fn new(gauge: &Gauge) -> Counted<'_> {
        gauge.inc();
        Counted(gauge)
    }
}
impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// A round trip to the other side of the world.
const PATIENCE: Duration = Duration::from_millis(300);

#[cfg(test)]
mod tests;
