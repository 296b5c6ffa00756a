//! Security events that wait for the key which signed them.
//!
//! A transmitter signs with a new key the moment it publishes it, or before its keys could be fetched at all: an event
//! that can't be verified yet must not be lost, nor hold up others. It waits here, in a bounded list, while the keys
//! are asked for, and is rejected only when keys that were asked for after it came don't have its key either.

use super::Intake;
use crate::pop::Timestamp;
use crate::state::revocation::event::Refusal;
use crate::state::revocation::transmitters::Unread;
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

/// The list.
#[derive(Debug)]
pub(super) struct Parked {
    waiting: Mutex<Vec<Arc<Waiting>>>,
    /// How many have ever come.
    arrivals: watch::Sender<u64>,
}

/// An event that waits.
pub(super) struct Waiting {
    bytes: Box<[u8]>,
    place: String,
    published: Option<Timestamp>,
    transmitter: Arc<str>,
    came: Instant,
}

impl std::fmt::Debug for Waiting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Waiting").field("place", &self.place).finish_non_exhaustive()
    }
}

impl Default for Parked {
    fn default() -> Parked {
        Parked { waiting: Mutex::default(), arrivals: watch::Sender::new(0) }
    }
}

impl Parked {
    /// Takes an event in, once however often it comes; `false` if there is no room.
    pub(super) fn park(&self, delivery: &super::Delivery<'_>, transmitter: Arc<str>) -> bool {
        let mut waiting = self.waiting.lock();
        if waiting.iter().any(|one| *one.bytes == *delivery.bytes) {
            return true;
        }
        let held: usize = waiting.iter().map(|one| one.bytes.len()).sum();
        if waiting.len() >= MOST || held + delivery.bytes.len() > MOST_BYTES {
            return false;
        }
        waiting.push(Arc::new(Waiting {
            bytes: delivery.bytes.into(),
            place: delivery.place.to_string(),
            published: delivery.published,
            transmitter,
            came: Instant::now(),
        }));
        drop(waiting);
        self.arrivals.send_modify(|count| *count += 1);
        true
    }

    /// Since when the first of them has been waiting.
    pub(super) fn waiting_since(&self) -> Option<std::time::Instant> {
        self.waiting.lock().first().map(|one| one.came.into_std())
    }

    fn of(&self, transmitter: &str) -> Vec<Arc<Waiting>> {
        self.waiting.lock().iter().filter(|one| *one.transmitter == *transmitter).cloned().collect()
    }

    fn remove(&self, done: &Arc<Waiting>) {
        self.waiting.lock().retain(|one| !Arc::ptr_eq(one, done));
    }
}

/// Asks for the keys of one transmitter while events wait for them, and tries those again.
pub(in crate::state::revocation) async fn tend(intake: Arc<Intake>, transmitter: Arc<str>) {
    let Some(transmitters) = &intake.transmitters else { return };
    let mut arrivals = intake.parked.arrivals.subscribe();
    let mut tried = None;
    loop {
        let arrived = *arrivals.borrow_and_update();
        if intake.parked.of(&transmitter).is_empty() {
            if arrivals.changed().await.is_err() {
                return;
            }
            continue;
        }
        transmitters.keys.refetch(&transmitter).await;
        let keys = transmitters.keys.find(&transmitter).ok().map(|known| known.asked);
        // With the keys that it was tried with, an event is tried in vain.
        if tried != Some((arrived, keys)) {
            let all_done = intake.retry(&transmitter);
            tried = all_done.then_some((arrived, keys));
        }
        sleep(PAUSE).await;
    }
}

impl Intake {
    /// Tries the parked events of a transmitter again. `false` if one of them found no room.
    fn retry(&self, transmitter: &str) -> bool {
        let now = Timestamp::from_system(SystemTime::now());
        let mut has_room = true;
        for waiting in self.parked.of(transmitter) {
            let news = self.health.is_live().then_some(&waiting.place as &dyn std::fmt::Display);
            let refusal = match self.read(&waiting.bytes, now) {
                Ok(message) => {
                    if self.act(message, waiting.published, now, news).is_err() {
                        has_room = false;
                        continue;
                    }
                    None
                }
                Err(Unread::Refused(refusal)) => Some(refusal),
                Err(Unread::NoKey { asked: Some(asked), .. }) if asked >= waiting.came => {
                    Some(Refusal::KeyUnknown)
                }
                Err(Unread::NoKey { .. }) => continue,
            };
            if let Some(refusal) = refusal {
                self.reject(refusal, &waiting.bytes, &waiting.place, now);
            }
            self.parked.remove(&waiting);
        }
        has_room
    }
}

/// Events that wait at the most, and the bytes of them all.
const MOST: usize = 1024;
const MOST_BYTES: usize = 16 * 1024 * 1024;
/// Between two looks whether the keys have come.
const PAUSE: Duration = Duration::from_millis(50);

#[cfg(test)]
mod tests;
