//! The keys of one issuer and the one task that fetches them.
//!
//! The task fetches at start, retries failures after a growing wait, then fetches once per `refresh`. An
//! unknown key may wake it earlier, once per `cooldown`, whoever asks and however often. Only this task
//! fetches, so fetches of one issuer never overlap.

use super::Refetched;
use super::fetch::Fetcher;
use crate::config::Issuer;
use crate::pop::access_token::Expected;
use crate::pop::key_set::KeySet;
use crate::state::audit::{Audit, Event, Signer};
use crate::state::https::Fault;
use crate::telemetry::{Metrics, SpanRef};
use arc_swap::{ArcSwapOption, Guard};
use parking_lot::Mutex;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, Semaphore, watch};
use tokio::time::{Instant, sleep, timeout};

/// The keys of one issuer.
#[derive(Debug)]
pub(super) struct Keys {
    expected: Arc<Expected>,
    signer: Signer,
    latest: ArcSwapOption<Set>,
    refresh: Duration,
    cooldown: Duration,
    max_stale: Duration,
    limit: Duration,
    metrics: Metrics,
    wanted: Mutex<Wanted>,
    wake: Notify,
    done: watch::Sender<Done>,
    waiting: Semaphore,
    recorded: Mutex<Recorded>,
}

/// What the audit log knows of the keys.
#[derive(Debug, Default)]
struct Recorded {
    audit: Option<Audit>,
    keys: Arc<KeySet>,
}

/// Keys that were good when fetched.
#[derive(Debug)]
pub(super) struct Set {
    pub(super) keys: Arc<KeySet>,
    pub(super) edition: u64,
    /// When the fetch that brought them began, and when it ended.
    pub(super) asked: Instant,
    fetched: Instant,
}

/// The fetches that unknown keys caused: how many, and when the last was asked for.
#[derive(Debug, Default)]
struct Wanted {
    count: u64,
    last: Option<Instant>,
}

/// How many wanted fetches have ended, and whether the last fetch of all was good.
#[derive(Clone, Copy, Debug, Default)]
struct Done {
    count: u64,
    good: bool,
    span: Option<SpanRef>,
}

impl Keys {
    pub(super) fn new(issuer: &Issuer, signer: Signer, limit: Duration, metrics: Metrics) -> Keys {
        Keys {
            expected: Arc::clone(&issuer.expected),
            signer,
            latest: ArcSwapOption::empty(),
            refresh: issuer.jwks_refresh,
            cooldown: issuer.jwks_cooldown,
            max_stale: issuer.jwks_max_stale,
            limit,
            metrics,
            wanted: Mutex::default(),
            wake: Notify::new(),
            done: watch::Sender::new(Done::default()),
            waiting: Semaphore::new(MAX_WAITING),
            recorded: Mutex::default(),
        }
    }

    /// What is expected of the issuer's tokens.
    pub(super) fn expected(&self) -> &Arc<Expected> {
        &self.expected
    }

    /// The last good keys, unless they are too old to be trusted.
    pub(super) fn current(&self) -> Option<Arc<Set>> {
        let latest: Guard<Option<Arc<Set>>> = self.latest.load();
        latest.as_ref().filter(|set| set.fetched.elapsed() <= self.max_stale).cloned()
    }

    /// Wakes the task if the cooldown allows, and waits for the fetch; joins one that was already asked for.
    /// Anybody can name an unknown key: only so many wait that a slow issuer does not take every request's place.
    pub(super) async fn refetch(&self) -> Refetched {
        let mut done = self.done.subscribe();
        let Some(ours) = self.want() else {
            return if done.borrow().good { Refetched::Recent } else { Refetched::Failed };
        };
        let Ok(_place) = self.waiting.try_acquire() else { return Refetched::Failed };
        let ended = timeout(self.limit, done.wait_for(|done| done.count >= ours)).await;
        match ended {
            Ok(Ok(done)) if done.good => Refetched::Fresh,
            _ => Refetched::Failed,
        }
    }

    /// The span of the last fetch, if it was recorded.
    pub(super) fn last_fetch(&self) -> Option<SpanRef> {
        self.done.borrow().span
    }

    /// The number of the fetch to wait for; `None` within the cooldown of the last.
    fn want(&self) -> Option<u64> {
        let mut wanted = self.wanted.lock();
        if self.done.borrow().count < wanted.count {
            return Some(wanted.count);
        }
        if wanted.last.is_some_and(|last| last.elapsed() < self.cooldown) {
            return None;
        }
        wanted.count += 1;
        wanted.last = Some(Instant::now());
        self.wake.notify_one();
        Some(wanted.count)
    }

    /// Fetches for ever.
    pub(super) async fn keep_fresh(self: Arc<Self>, fetcher: Fetcher) {
        let mut failures = 0;
        loop {
            let count = self.wanted.lock().count;
            let asked = Instant::now();
            let mut step = self.metrics.tracer.root("fetch keys");
            let span = step.span();
            step.say("clinch.issuer", &self.expected.issuer);
            let outcome = fetcher.fetch().await;
            match &outcome {
                Ok(keys) => {
                    step.count("clinch.keys", keys.len());
                    step.done();
                }
                Err(fault) => step.failed(fault.name()),
            }
            let good = outcome.is_ok();
            failures = if good { 0 } else { failures + 1 };
            self.take(outcome, asked, failures);
            self.done.send_replace(Done { count, good, span });
            let pause = if good { self.refresh } else { backoff(failures).min(self.refresh) };
            tokio::select! {
                () = sleep(jittered(pause)) => {}
                () = self.wanted_since(count) => {}
            }
        }
    }

    /// Ends when a fetch was wanted that the one which began at `count` did not answer.
    async fn wanted_since(&self, count: u64) {
        while self.wanted.lock().count == count {
            self.wake.notified().await;
        }
    }

    /// Replaces the keys by what was fetched (JWKS-06), or keeps them (JWKS-07).
    fn take(&self, outcome: Result<KeySet, Fault>, asked: Instant, failures: u32) {
        let (issuer, elapsed) = (&self.expected.issuer, asked.elapsed());
        match outcome {
            Ok(keys) => {
                self.metrics.jwks_fetched(issuer, "ok", elapsed);
                self.replace(keys, asked);
            }
            Err(fault) => {
                self.metrics.jwks_fetched(issuer, fault.name(), elapsed);
                // A long outage says so once per doubling, not once per attempt.
                if failures.is_power_of_two() {
                    let usable = self.current().is_some();
                    let name = fault.name();
                    tracing::warn!(%issuer, fault = name, why = %fault, failures, usable, "the issuer's keys can't be fetched");
                }
            }
        }
    }

    fn replace(&self, keys: KeySet, asked: Instant) {
        let before = self.latest.load_full();
        let same = before.as_ref().filter(|set| *set.keys == keys);
        let edition = match (same, &before) {
            (Some(set), _) => set.edition,
            (None, Some(set)) => set.edition + 1,
            (None, None) => 0,
        };
        if same.is_none() {
            tracing::info!(issuer = %self.expected.issuer, keys = keys.len(), edition, "the issuer's keys are new");
        }
        let (keys, fetched) = (Arc::new(keys), Instant::now());
        self.latest.store(Some(Arc::new(Set { keys, edition, asked, fetched })));
        self.record(&mut self.recorded.lock());
    }

    /// From now on this log is told of the keys; one is enough.
    pub(super) fn recorded_in(&self, audit: &Audit) {
        let mut recorded = self.recorded.lock();
        recorded.audit.get_or_insert_with(|| audit.clone());
        self.record(&mut recorded);
    }

    fn record(&self, recorded: &mut Recorded) {
        let (Some(audit), Some(latest)) = (&recorded.audit, self.latest.load_full()) else { return };
        let (added, removed) = latest.keys.changed_since(&recorded.keys);
        if !added.is_empty() || !removed.is_empty() {
            let name = Arc::clone(&self.expected.issuer);
            audit.tell(Event::Keys { signer: self.signer, name, added, removed });
            recorded.keys = Arc::clone(&latest.keys);
        }
    }
}

/// 100 ms, doubled by every failure after the first.
fn backoff(failures: u32) -> Duration {
    FIRST_RETRY.saturating_mul(2_u32.saturating_pow(failures.saturating_sub(1)))
}

/// Up to a tenth shorter, so that replicas started together drift apart.
fn jittered(pause: Duration) -> Duration {
    let random = RandomState::new().hash_one(0_u8) % 1024;
    pause.mul_f64(1.0 - random as f64 / 10_240.0)
}

/// Requests that wait for one fetch of one issuer.
const MAX_WAITING: usize = 256;
const FIRST_RETRY: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retries_grow_and_never_overflow() {
        let waits: Vec<u128> = (1..5).map(|n| backoff(n).as_millis()).collect();
        assert_eq!(waits, [100, 200, 400, 800]);
        assert!(backoff(u32::MAX) > Duration::from_secs(86_400));
    }

    #[test]
    fn jitter_only_shortens_and_differs() {
        let pause = Duration::from_secs(100);
        let drawn: std::collections::HashSet<Duration> = (0..50).map(|_| jittered(pause)).collect();
        assert!(drawn.len() > 10);
        assert!(drawn.iter().all(|d| *d <= pause && *d >= pause.mul_f64(0.9)));
    }
}
