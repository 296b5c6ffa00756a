//! Whether the feed can be believed right now.
//!
//! Decides what [`FeedStatus`] is, from what a feed reports about itself, by the monotonic clock. A feed
//! reports a word only when it has handed on everything that came before it: while it catches up, be it
//! at start or after an outage, it is silent.

use super::FeedStatus;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// The state of the one feed.
#[derive(Debug)]
pub(super) struct Health {
    epoch: Instant,
    max_staleness: Duration,
    /// Milliseconds from `epoch` to the last word.
    last_word: AtomicU64,
    /// Milliseconds from `epoch` to when something began to be held back; [`i64::MAX`] while nothing is.
    held: AtomicI64,
    caught_up: watch::Sender<bool>,
    connected: AtomicBool,
    /// Whether the log has said that the feed is stale, and not yet that it is no longer.
    told_stale: AtomicBool,
    full: AtomicBool,
}

impl Health {
    pub(super) fn new(max_staleness: Duration) -> Health {
        Health {
            epoch: Instant::now(),
            max_staleness,
            last_word: AtomicU64::new(0),
            held: AtomicI64::new(i64::MAX),
            caught_up: watch::Sender::new(false),
            connected: AtomicBool::new(false),
            told_stale: AtomicBool::new(false),
            full: AtomicBool::new(false),
        }
    }

    /// A sign of life from a feed that has handed on all it had.
    pub(super) fn heard(&self) {
        self.last_word.store(self.running(), Relaxed);
        let was_lost = !self.connected.swap(true, Relaxed);
        let current = self.silence() <= self.max_staleness;
        if current && self.told_stale.swap(false, Relaxed) {
            tracing::warn!("the revocation feed is current again");
        } else if was_lost {
            // The line that ends what the feed's warning began.
            tracing::info!("the revocation feed is current");
        }
        if !*self.caught_up.borrow() {
            self.caught_up.send_replace(true);
        }
    }

    /// Something has been held back for so long although the feed is heard: an event that can't be verified, or all
    /// that a transmitter does not send (RV-024). As long has the feed been silent.
    pub(super) fn hold(&self, age: Option<Duration>) {
        let millis = |duration: Duration| i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
        let running = millis(self.epoch.elapsed());
        self.held.store(age.map_or(i64::MAX, |age| running.saturating_sub(millis(age))), Relaxed);
    }

    /// Whether the backlog has ever been applied: what comes from then on is news.
    pub(super) fn is_live(&self) -> bool {
        *self.caught_up.borrow()
    }

    /// The connection is gone, or the journal can't be read.
    pub(super) fn lost(&self) {
        self.connected.store(false, Relaxed);
    }

    /// Whether an event waits because the index has no room.
    pub(super) fn set_full(&self, full: bool) {
        if self.full.load(Relaxed) == full || self.full.swap(full, Relaxed) == full {
            return;
        }
        if full {
            tracing::warn!("the revocation index has reached max_entries: the next event waits for room");
        } else {
            tracing::warn!("the revocation index has room again");
        }
    }

    /// Tells the log once when the feed turns stale; its next word ends that.
    pub(super) async fn watch(&self, on_stale: &'static str) {
        loop {
            tokio::time::sleep(self.heartbeat()).await;
            if self.status() == FeedStatus::Stale && !self.told_stale.swap(true, Relaxed) {
                let (silent_s, max_staleness_s) = (self.silence().as_secs(), self.max_staleness.as_secs());
                tracing::warn!(silent_s, max_staleness_s, on_stale, "the revocation feed is stale");
            }
        }
    }

    pub(super) fn status(&self) -> FeedStatus {
        if !*self.caught_up.borrow() {
            FeedStatus::CatchingUp
        } else if self.full.load(Relaxed) {
            FeedStatus::Full
        } else if self.silence() > self.max_staleness {
            FeedStatus::Stale
        } else if self.connected.load(Relaxed) {
            FeedStatus::Current
        } else {
            FeedStatus::Reconnecting
        }
    }

    /// How often a feed should give a sign of life, at least.
    pub(super) fn heartbeat(&self) -> Duration {
        (self.max_staleness / 4).clamp(Duration::from_millis(100), Duration::from_secs(1))
    }

    /// How long ago the last word came that told everything.
    pub(super) fn silence(&self) -> Duration {
        let running = i64::try_from(self.running()).unwrap_or(i64::MAX);
        let word = i64::try_from(self.last_word.load(Relaxed)).unwrap_or(i64::MAX);
        let silence = running.saturating_sub(word.min(self.held.load(Relaxed)));
        Duration::from_millis(u64::try_from(silence).unwrap_or(0))
    }

    /// Waits until the backlog has been applied for the first time.
    pub(super) async fn ready(&self) {
        // The sender is our own, so the wait can't fail.
        let _ = self.caught_up.subscribe().wait_for(|caught_up| *caught_up).await;
    }

    fn running(&self) -> u64 {
        u64::try_from(self.epoch.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}
