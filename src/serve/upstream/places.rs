//! How many requests the service gets at a time (`upstream.in_flight`), and the queue of those that wait for a place.
//!
//! First come, first served. Who waits too long, or finds the queue full, is told to come again; who goes away leaves
//! the queue. What a reload changes is the number: whoever has a place keeps it, and counts.

use crate::config;
use crate::serve::response::Fault;
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

/// The places of one service, however often its configuration changes.
#[derive(Debug)]
pub(super) struct Places {
    free: Arc<Semaphore>,
    waiting: AtomicUsize,
    size: Mutex<Size>,
}

#[derive(Debug)]
struct Size {
    wanted: usize,
    /// Places that go when they are given back, for there are more than are wanted.
    surplus: usize,
}

/// What a configuration says of them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Terms {
    count: usize,
    queue: usize,
    patience: Duration,
}

/// A request's place, until the last of these is dropped.
#[derive(Clone, Debug)]
pub(in crate::serve) struct Place(#[expect(dead_code, reason = "held for its end")] Arc<Taken>);

#[derive(Debug)]
struct Taken {
    permit: Option<OwnedSemaphorePermit>,
    places: Arc<Places>,
}

impl Terms {
    pub(super) fn of(upstream: &config::Upstream) -> Terms {
        let count = upstream.in_flight.unwrap_or(MOST).min(MOST);
        Terms { count, queue: upstream.queue, patience: upstream.queue_timeout }
    }
}

impl Places {
    pub(super) fn of(terms: &Terms) -> Arc<Places> {
        Arc::new(Places {
            free: Arc::new(Semaphore::new(terms.count)),
            waiting: AtomicUsize::new(0),
            size: Mutex::new(Size { wanted: terms.count, surplus: 0 }),
        })
    }

    /// As many as this from now on. Nobody is sent away: where more are taken, they go as they are given back.
    pub(super) fn resize(&self, terms: &Terms) {
        let mut size = self.size.lock();
        let there = size.wanted + size.surplus;
        size.wanted = terms.count;
        if there <= size.wanted {
            self.free.add_permits(size.wanted - there);
            size.surplus = 0;
        } else {
            let surplus = there - size.wanted;
            size.surplus = surplus - self.free.forget_permits(surplus);
        }
    }

    /// A place, at once or in turn.
    pub(super) async fn take(self: &Arc<Places>, terms: &Terms) -> Result<Place, Fault> {
        let place = |permit| Place(Arc::new(Taken { permit: Some(permit), places: Arc::clone(self) }));
        // While others wait there is nothing free: what is given back is theirs.
        if let Ok(permit) = Arc::clone(&self.free).try_acquire_owned() {
            return Ok(place(permit));
        }
        let queued = Queued::behind(&self.waiting);
        if queued.position > terms.queue {
            return Err(Fault::UpstreamBusy);
        }
        // Boxed: rare, and every request's future would be as large.
        let turn = Box::pin(timeout(terms.patience, Arc::clone(&self.free).acquire_owned())).await;
        turn.ok().and_then(Result::ok).map(place).ok_or(Fault::UpstreamBusy)
    }

    /// How many wait.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.load(Relaxed)
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        let mut size = self.places.size.lock();
        if size.surplus > 0 {
            size.surplus -= 1;
            if let Some(permit) = self.permit.take() {
                permit.forget();
            }
        }
        // Else it is given back now, before anybody can ask for fewer.
        drop(self.permit.take());
    }
}

/// One that waits, until it is dropped.
struct Queued<'a> {
    waiting: &'a AtomicUsize,
    position: usize,
}

impl Queued<'_> {
    fn behind(waiting: &AtomicUsize) -> Queued<'_> {
        Queued { position: waiting.fetch_add(1, Relaxed) + 1, waiting }
    }
}

impl Drop for Queued<'_> {
    fn drop(&mut self) {
        self.waiting.fetch_sub(1, Relaxed);
    }
}

/// More than can be asked for: no limit.
const MOST: usize = Semaphore::MAX_PERMITS;

#[cfg(test)]
mod tests {
    use super::*;

    fn terms(count: usize) -> Terms {
        Terms { count, queue: 0, patience: Duration::ZERO }
    }

    #[tokio::test]
    async fn another_size_counts_those_who_are_there() {
        let places = Places::of(&terms(MOST));
        let mut taken = Vec::new();
        for _ in 0..4 {
            taken.push(places.take(&terms(MOST)).await.expect("no limit"));
        }
        let has_room = async |terms: Terms| places.take(&terms).await.is_ok();
        for (count, more) in [(3, false), (5, true), (4, false), (MOST, true), (4, false), (2, false)] {
            places.resize(&terms(count));
            assert_eq!(has_room(terms(count)).await, more, "{count}");
        }
        for left in [3, 2] {
            taken.pop();
            assert!(!has_room(terms(2)).await, "{left} are still there");
        }
        taken.pop();
        assert!(has_room(terms(2)).await);
        drop(taken);
        let two = [places.take(&terms(2)).await, places.take(&terms(2)).await];
        assert!(two.iter().all(Result::is_ok) && places.take(&terms(2)).await.is_err());
    }
}
