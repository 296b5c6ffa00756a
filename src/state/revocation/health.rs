//! Whether the feed can be believed right now.
//!
//! Decides what [`FeedStatus`] is, from what a feed reports about itself, by the monotonic clock. A feed
//! reports a word only when it has handed on everything that came before it: while it catches up, be it
//! at start or after an outage, it is silent. A feed whose task has ended is stale, whenever it spoke last (ATTACKS
//! RV-020). Every change of the state is told once in the log, and counted.

use super::FeedStatus;
use crate::config::OnStale;
use crate::pop::Timestamp;
use crate::state::audit::{Audit, Event};
use parking_lot::Mutex;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant, SystemTime};
use tokio::sync::watch;

/// The state of the one feed.
#[derive(Debug)]
pub(super) struct Health {
    epoch: Instant,
    max_staleness: Duration,
    on_stale: OnStale,
    /// Milliseconds from `epoch` to the last word.
    last_word: AtomicU64,
    /// Milliseconds from `epoch` to when something began to be held back; [`i64::MAX`] while nothing is.
    held: AtomicI64,
    caught_up: watch::Sender<bool>,
    connected: AtomicBool,
    full: AtomicBool,
    /// Whether whoever followed the feed is gone.
    ended: AtomicBool,
    told: Mutex<Told>,
    /// Told of each change, too.
    audit: OnceLock<Audit>,
    transitions: [AtomicU64; FeedStatus::ALL.len()],
}

/// The state that the log told last, and since when.
#[derive(Clone, Copy, Debug)]
struct Told {
    status: FeedStatus,
    since: Timestamp,
}

/// Held by whoever follows the feed. When it goes, be it by a panic, there is no feed any more.
#[derive(Debug)]
pub(super) struct Alive(Arc<Health>);

impl Drop for Alive {
    fn drop(&mut self) {
        self.0.ended.store(true, Relaxed);
    }
}

impl Health {
    pub(super) fn new(max_staleness: Duration, on_stale: OnStale) -> Health {
        Health {
            epoch: Instant::now(),
            max_staleness,
            on_stale,
            last_word: AtomicU64::new(0),
            held: AtomicI64::new(i64::MAX),
            caught_up: watch::Sender::new(false),
            connected: AtomicBool::new(false),
            full: AtomicBool::new(false),
            ended: AtomicBool::new(false),
            told: Mutex::new(Told {
                status: FeedStatus::CatchingUp,
                since: Timestamp::from_system(SystemTime::now()),
            }),
            audit: OnceLock::new(),
            transitions: Default::default(),
        }
    }

    /// For whoever follows the feed.
    pub(super) fn alive(self: &Arc<Health>) -> Alive {
        Alive(Arc::clone(self))
    }

    /// A sign of life from a feed that has handed on all it had.
    pub(super) fn heard(&self) {
        // It may have turned stale since it was last looked at: whoever saw that finds it told.
        if self.status() == FeedStatus::Stale {
            self.note();
        }
        // In this order: a stale feed that is back is current at once.
        self.connected.store(true, Relaxed);
        self.last_word.store(self.running(), Relaxed);
        if !*self.caught_up.borrow() {
            self.caught_up.send_replace(true);
        }
        self.note();
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
        self.note();
    }

    /// Whether an event waits because the index has no room.
    pub(super) fn set_full(&self, full: bool) {
        if self.full.load(Relaxed) != full {
            self.full.store(full, Relaxed);
            self.note();
        }
    }

    /// Looks again and again, for a feed turns stale without doing anything.
    pub(super) async fn watch(&self) {
        loop {
            tokio::time::sleep(self.heartbeat()).await;
            self.note();
        }
    }

    /// Tells the log of a change, and counts it.
    fn note(&self) {
        let mut told = self.told.lock();
        let (before, status) = (told.status, self.status());
        if before == status {
            return;
        }
        *told = Told { status, since: Timestamp::from_system(SystemTime::now()) };
        self.record(status);
        drop(told);
        self.transitions[status as usize].fetch_add(1, Relaxed);
        self.tell(before, status);
    }

    /// From now on this log is told of the state; one is enough.
    pub(super) fn recorded_in(&self, audit: &Audit) {
        let told = self.told.lock();
        if self.audit.set(audit.clone()).is_ok() {
            self.record(told.status);
        }
    }

    /// With `told` held, so that the log has the changes in their order.
    fn record(&self, status: FeedStatus) {
        if let Some(audit) = self.audit.get() {
            audit.tell(Event::Feed { state: status.name() });
        }
    }

    fn tell(&self, before: FeedStatus, status: FeedStatus) {
        if before == FeedStatus::Full {
            tracing::warn!("the revocation index has room again");
        }
        match status {
            FeedStatus::Stale => {
                let (silent_s, max_staleness_s) = (self.silence().as_secs(), self.max_staleness.as_secs());
                let (on_stale, ended) = (on_stale(self.on_stale), self.ended.load(Relaxed));
                tracing::warn!(silent_s, max_staleness_s, on_stale, ended, "the revocation feed is stale");
            }
            FeedStatus::Full => {
                tracing::warn!("the revocation index has reached max_entries: the next event waits for room");
            }
            FeedStatus::Current if before == FeedStatus::Stale => {
                tracing::warn!("the revocation feed is current again");
            }
            // The line that ends what the feed's warning began.
            FeedStatus::Current => tracing::info!("the revocation feed is current"),
            FeedStatus::Reconnecting => tracing::info!("the revocation feed is reconnecting"),
            FeedStatus::Off | FeedStatus::CatchingUp => {}
        }
    }

    /// Since when the state is what it is, as far as it was noticed.
    pub(super) fn since(&self) -> Timestamp {
        self.note();
        self.told.lock().since
    }

    /// How often the feed came into each state.
    pub(super) fn transitions(&self) -> impl Iterator<Item = (&'static str, u64)> {
        FeedStatus::ALL.iter().map(|status| (status.name(), self.transitions[*status as usize].load(Relaxed)))
    }

    pub(super) fn status(&self) -> FeedStatus {
        if !*self.caught_up.borrow() {
            FeedStatus::CatchingUp
        } else if self.full.load(Relaxed) {
            FeedStatus::Full
        } else if self.ended.load(Relaxed) || self.silence() > self.max_staleness {
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

fn on_stale(on_stale: OnStale) -> &'static str {
    match on_stale {
        OnStale::Deny => "deny: protected requests are refused",
        OnStale::Introspect => "introspect: the issuer is asked about every token",
        OnStale::Allow => "allow: requests are not checked for revocation",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RV-020
    #[tokio::test]
    async fn a_feed_whose_task_has_died_is_stale_however_fresh_its_last_word_is() {
        let health = Arc::new(Health::new(Duration::from_secs(3600), OnStale::Deny));
        let alive = health.alive();
        health.heard();
        assert_eq!(health.status(), FeedStatus::Current);
        let task = tokio::spawn(async move {
            let _alive = alive;
            panic!("the follower fails");
        });
        assert!(task.await.unwrap_err().is_panic());
        assert_eq!(health.status(), FeedStatus::Stale);
    }

    #[test]
    fn every_change_is_counted_once() {
        let health = Health::new(Duration::from_secs(3600), OnStale::Deny);
        let began = health.since();
        for _ in 0..3 {
            health.heard();
        }
        health.lost();
        health.lost();
        health.heard();
        health.set_full(true);
        health.set_full(false);
        let counts: Vec<_> = health.transitions().filter(|(_, count)| *count > 0).collect();
        assert_eq!(counts, [("current", 3), ("reconnecting", 1), ("full", 1)]);
        assert!(health.since() >= began);
    }
}
