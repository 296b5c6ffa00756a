//! Connections that have not yet finished their handshake: where there is no room for another, one of them goes.
//!
//! A connection costs whoever opens it next to nothing until it has said something. So at the limit of connections it is
//! the oldest arrival of the network with the most of them that makes room (DS-003), if it has had its time; those who
//! have finished their handshake stay.

use crate::state::rates::Network;
use parking_lot::Mutex;
use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::Instant;

/// Who has arrived.
#[derive(Debug, Default)]
pub(super) struct Arrivals {
    all: Mutex<All>,
}

#[derive(Debug, Default)]
struct All {
    of: HashMap<Network, VecDeque<Here>>,
    /// How many each network has, least first.
    sizes: BTreeSet<(usize, Network)>,
    came: u64,
}

#[derive(Debug)]
struct Here {
    number: u64,
    since: Instant,
    go: oneshot::Sender<()>,
}

/// One that has arrived, until its handshake is over or it is dropped.
#[derive(Debug)]
pub(super) struct Arrival {
    arrivals: Arc<Arrivals>,
    network: Network,
    number: u64,
    gone: oneshot::Receiver<()>,
}

impl Arrivals {
    /// One more.
    pub(super) fn enter(self: &Arc<Arrivals>, network: Network) -> Arrival {
        let (go, gone) = oneshot::channel();
        let mut all = self.all.lock();
        all.came += 1;
        let number = all.came;
        all.change(network, |here| here.push_back(Here { number, since: Instant::now(), go }));
        Arrival { arrivals: Arc::clone(self), network, number, gone }
    }

    /// One has to go, if any has had its time. Whether one goes.
    pub(super) fn make_room(&self) -> bool {
        let mut all = self.all.lock();
        let Some(&(_, network)) = all.sizes.last() else { return false };
        let had_its_time =
            |here: &VecDeque<Here>| here.front().is_some_and(|h| h.since.elapsed() >= PATIENCE);
        if !all.of.get(&network).is_some_and(had_its_time) {
            return false;
        }
        let mut oldest = None;
        all.change(network, |here| oldest = here.pop_front());
        oldest.is_some_and(|oldest| oldest.go.send(()).is_ok())
    }
}

impl All {
    fn change(&mut self, network: Network, change: impl FnOnce(&mut VecDeque<Here>)) {
        let here = self.of.entry(network).or_default();
        self.sizes.remove(&(here.len(), network));
        change(here);
        if here.is_empty() {
            self.of.remove(&network);
        } else {
            self.sizes.insert((here.len(), network));
        }
    }
}

impl Arrival {
    /// Returns when it has to go.
    pub(super) async fn sent_away(&mut self) {
        if (&mut self.gone).await.is_err() {
            std::future::pending().await
        }
    }
}

impl Drop for Arrival {
    fn drop(&mut self) {
        let number = self.number;
        self.arrivals.all.lock().change(self.network, |here| {
            // In the order of their numbers.
            if let Ok(at) = here.binary_search_by_key(&number, |here| here.number) {
                let _ = here.remove(at);
            }
        });
    }
}

/// A round trip to the other side of the world, or two to a nearer one.
pub(super) const PATIENCE: Duration = Duration::from_millis(300);

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use tokio::time::advance;

    const ONE: Network = [1; 16];
    const OTHER: Network = [2; 16];

    /// DS-003
    #[tokio::test(start_paused = true)]
    async fn the_oldest_of_the_largest_crowd_goes_when_it_has_had_its_time() {
        let arrivals = Arc::new(Arrivals::default());
        let mut bystander = arrivals.enter(OTHER);
        let mut crowd: Vec<Arrival> = (0..3).map(|_| arrivals.enter(ONE)).collect();
        assert!(!arrivals.make_room(), "all have just come");
        advance(PATIENCE).await;
        assert!(arrivals.make_room());
        crowd[0].sent_away().await;
        drop(crowd.remove(0));
        drop(crowd.remove(1));
        assert!(arrivals.make_room(), "one each: somebody goes");
        drop((crowd, &mut bystander));
        drop(bystander);
        assert!(!arrivals.make_room());
        let all = arrivals.all.lock();
        assert!(all.of.is_empty() && all.sizes.is_empty(), "nothing is kept of who has gone");
    }

    #[tokio::test(start_paused = true)]
    async fn who_has_finished_stays() {
        let arrivals = Arc::new(Arrivals::default());
        drop(arrivals.enter(ONE));
        let mut waits = arrivals.enter(OTHER);
        advance(PATIENCE).await;
        assert!(arrivals.make_room());
        waits.sent_away().await;
        assert!(!arrivals.make_room());
    }
}
