//! How many requests the service gets at a time (`upstream.in_flight`), and the queue of those that wait for a place.
//!
//! First come, first served. Who waits too long, or finds the queue full, is told to come again; who goes away leaves
//! the queue.

use crate::config;
use crate::serve::response::Fault;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

/// The places.
#[derive(Debug)]
pub(super) struct Places {
    free: Arc<Semaphore>,
    waiting: AtomicUsize,
    queue: usize,
    patience: Duration,
}

/// A request's place, until the last of these is dropped.
#[derive(Clone, Debug)]
pub(in crate::serve) struct Place(
    #[expect(dead_code, reason = "held for its end")] Arc<OwnedSemaphorePermit>,
);

impl Places {
    /// None if there is no limit.
    pub(super) fn new(upstream: &config::Upstream) -> Option<Places> {
        let count = upstream.in_flight?.min(Semaphore::MAX_PERMITS);
        Some(Places {
            free: Arc::new(Semaphore::new(count)),
            waiting: AtomicUsize::new(0),
            queue: upstream.queue,
            patience: upstream.queue_timeout,
        })
    }

    /// A place, at once or in turn.
    pub(super) async fn take(&self) -> Result<Place, Fault> {
        // While others wait there is nothing free: what is given back is theirs.
        if let Ok(permit) = Arc::clone(&self.free).try_acquire_owned() {
            return Ok(Place(Arc::new(permit)));
        }
        let queued = Queued::behind(&self.waiting);
        if queued.position > self.queue {
            return Err(Fault::UpstreamBusy);
        }
        // Boxed: rare, and every request's future would be as large.
        let turn = Box::pin(timeout(self.patience, Arc::clone(&self.free).acquire_owned())).await;
        turn.ok().and_then(Result::ok).map(|permit| Place(Arc::new(permit))).ok_or(Fault::UpstreamBusy)
    }

    /// How many wait.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.load(Relaxed)
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
