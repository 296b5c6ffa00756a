//! Everything that is revoked, for look-up by every request.
//!
//! Decides whether a claim of an issuer's token is revoked for a token issued at some time. Readers wait
//! for the writer at most while one of [`SHARDS`] small tables takes one entry. Keys are 128-bit hashes
//! under per-process secrets: nobody can aim entries at one shard or make two values meet.
//!
//! Bounded: when full, an event is not taken and the caller must say so; nothing is forgotten to make
//! room. An entry leaves when both clocks have passed its `until`, so that no step of the wall clock
//! brings a revoked token back.

use super::event::Kind;
use crate::pop::Timestamp;
use crate::state::uniform::Table;
use parking_lot::RwLock;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// The index.
pub(super) struct Index {
    secrets: [RandomState; 2],
    shards: Box<[RwLock<Table<Key, Entry>>]>,
    len: AtomicUsize,
    max_entries: usize,
    epoch: Instant,
}

/// There is no room for another entry.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Full;

impl Index {
    pub(super) fn new(max_entries: usize) -> Index {
        Index {
            secrets: [RandomState::new(), RandomState::new()],
            shards: (0..SHARDS).map(|_| RwLock::default()).collect(),
            len: AtomicUsize::new(0),
            max_entries,
            epoch: Instant::now(),
        }
    }

    /// Revokes: the latest `at` and the latest `until` of all events on one value count, in any order.
    pub(super) fn revoke(
        &self,
        (kind, issuer, value): (Kind, &str, &str),
        at: Timestamp,
        until: Timestamp,
        now: Timestamp,
    ) -> Result<(), Full> {
        let rest = u32::try_from(until.since(now).as_secs()).unwrap_or(u32::MAX);
        let entry = Entry {
            at: seconds(at.as_secs()),
            until: seconds(until.as_secs().saturating_add(1)),
            run_until: seconds(self.running()).saturating_add(rest.saturating_add(1)),
        };
        let key = self.key(kind, issuer, value);
        let mut table = self.shard(key).write();
        if let Some(known) = table.get_mut(&key) {
            known.merge(entry);
            return Ok(());
        }
        self.len
            .fetch_update(Relaxed, Relaxed, |n| (n < self.max_entries).then_some(n + 1))
            .map_err(|_| Full)?;
        table.insert(key, entry);
        Ok(())
    }

    /// Whether a token of this issuer with this claim, issued then, is revoked. In whole seconds: a token
    /// issued in the very second of the event is revoked (ATTACKS RV-004).
    pub(super) fn is_revoked(&self, kind: Kind, issuer: &str, value: &str, issued_at: Timestamp) -> bool {
        let key = self.key(kind, issuer, value);
        let Some(at) = self.shard(key).read().get(&key).map(|entry| entry.at) else {
            return false;
        };
        match kind {
            Kind::Token | Kind::Key | Kind::Certificate => true,
            Kind::Subject | Kind::Session | Kind::Client => seconds(issued_at.as_secs()) <= at,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.len.load(Relaxed)
    }

    /// Removes the entries that both clocks have passed.
    pub(super) fn sweep(&self, now: Timestamp) {
        let (wall, running) = (seconds(now.as_secs()), seconds(self.running()));
        for shard in &self.shards {
            if !shard.read().values().any(|entry| entry.is_over(wall, running)) {
                continue;
            }
            let mut table = shard.write();
            let before = table.len();
            table.retain(|_, entry| !entry.is_over(wall, running));
            self.len.fetch_sub(before - table.len(), Relaxed);
        }
    }

    /// Whole seconds by the monotonic clock since this index was made.
    fn running(&self) -> i64 {
        i64::try_from(self.epoch.elapsed().as_secs()).unwrap_or(i64::MAX)
    }

    fn key(&self, kind: Kind, issuer: &str, value: &str) -> Key {
        let [high, low] = &self.secrets;
        let claim = (kind, issuer, value);
        Key(high.hash_one(claim), low.hash_one(claim))
    }

    fn shard(&self, key: Key) -> &RwLock<Table<Key, Entry>> {
        &self.shards[key.1 as usize % SHARDS]
    }
}

impl std::fmt::Debug for Index {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Index").field("len", &self.len()).field("max_entries", &self.max_entries).finish()
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
struct Key(u64, u64);

impl std::hash::Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.0);
    }
}

/// In whole seconds; 32 bits last until 2106.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Entry {
    at: u32,
    until: u32,
    /// `until` as the monotonic clock was going to show it on receipt.
    run_until: u32,
}

impl Entry {
    fn merge(&mut self, other: Entry) {
        self.at = self.at.max(other.at);
        self.until = self.until.max(other.until);
        self.run_until = self.run_until.max(other.run_until);
    }

    fn is_over(&self, wall: u32, running: u32) -> bool {
        let slack = u32::try_from(SLACK.as_secs()).unwrap_or(u32::MAX);
        wall > self.until.saturating_add(slack) && running > self.run_until.saturating_add(slack)
    }
}

fn seconds(seconds: i64) -> u32 {
    u32::try_from(seconds.max(0)).unwrap_or(u32::MAX)
}

/// Many, so that a table that grows or is swept is small.
const SHARDS: usize = 1024;
/// Issuer, publisher and we may not agree on the time by this much.
const SLACK: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    const ISSUER: &str = "https://as.example.com";
    const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);

    fn after(seconds: i64) -> Timestamp {
        Timestamp::from_secs(NOW.as_secs() + seconds)
    }
    fn revoke(index: &Index, kind: Kind, value: &str, at: i64, until: i64) -> Result<(), Full> {
        index.revoke((kind, ISSUER, value), after(at), after(until), NOW)
    }

    #[test]
    fn a_subject_is_revoked_up_to_and_including_the_second_of_the_event() {
        let index = Index::new(10);
        revoke(&index, Kind::Subject, "alice", 0, 3600).unwrap();
        let revoked = |value, at| index.is_revoked(Kind::Subject, ISSUER, value, at);
        assert!(revoked("alice", after(-1)));
        assert!(revoked("alice", Timestamp::from_millis(NOW.as_millis() + 999)));
        assert!(!revoked("alice", after(1)));
        assert!(!revoked("bob", after(-1)));
        assert!(!index.is_revoked(Kind::Token, ISSUER, "alice", NOW));
        assert!(!index.is_revoked(Kind::Subject, "https://other", "alice", NOW));
    }

    #[test]
    fn a_token_is_revoked_whenever_it_was_issued() {
        let index = Index::new(10);
        revoke(&index, Kind::Token, "t", 0, 3600).unwrap();
        assert!(index.is_revoked(Kind::Token, ISSUER, "t", after(100)));
    }

    #[test]
    fn order_and_repetition_do_not_matter() {
        let events = [(0, 50), (20, 40), (10, 90)];
        for order in [[0, 1, 2], [2, 1, 0], [1, 2, 0]] {
            let index = Index::new(1);
            for n in order.into_iter().chain(order) {
                revoke(&index, Kind::Subject, "alice", events[n].0, events[n].1).unwrap();
            }
            assert!(index.is_revoked(Kind::Subject, ISSUER, "alice", after(20)));
            assert!(!index.is_revoked(Kind::Subject, ISSUER, "alice", after(21)));
            assert_eq!(index.len(), 1);
        }
    }

    #[test]
    fn full_takes_no_new_value_but_still_extends_a_known_one() {
        let index = Index::new(2);
        revoke(&index, Kind::Subject, "a", 0, 10).unwrap();
        revoke(&index, Kind::Subject, "b", 0, 10).unwrap();
        assert_eq!(revoke(&index, Kind::Subject, "c", 0, 10), Err(Full));
        assert_eq!(revoke(&index, Kind::Subject, "a", 5, 10), Ok(()));
        assert!(index.is_revoked(Kind::Subject, ISSUER, "a", after(5)));
        assert!(index.is_revoked(Kind::Subject, ISSUER, "b", NOW));
    }

    #[test]
    fn an_entry_leaves_only_when_both_clocks_are_past_it() {
        let mut index = Index::new(10);
        revoke(&index, Kind::Subject, "a", 0, 100).unwrap();
        index.sweep(after(1_000_000));
        assert_eq!(index.len(), 1, "the wall clock alone was stepped");
        let Some(earlier) = index.epoch.checked_sub(Duration::from_secs(200)) else { return };
        index.epoch = earlier;
        index.sweep(after(160));
        assert_eq!(index.len(), 1, "the wall clock is not there yet");
        index.sweep(after(162));
        assert_eq!(index.len(), 0);
        assert!(!index.is_revoked(Kind::Subject, ISSUER, "a", NOW));
    }
}
