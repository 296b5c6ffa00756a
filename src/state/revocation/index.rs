//! Everything that is revoked, for look-up by every request.
//!
//! Decides whether a claim of an issuer's token is revoked for a token issued at some time. Readers wait
//! for the writer at most while one of [`SHARDS`] small tables takes one entry. Keys are 128-bit hashes
//! under per-process secrets: nobody can aim entries at one shard or make two values meet.
//!
//! Bounded: when full, an event is not taken and the caller must say so; nothing is forgotten to make
//! room. An entry leaves when both clocks have passed its `until`, so that no step of the wall clock
//! brings a revoked token back.

use super::event::{Fact, Selector};
use crate::pop::Timestamp;
use crate::state::uniform::Table;
use parking_lot::RwLock;
use std::borrow::Cow;
use std::hash::{BuildHasher, Hash, Hasher, RandomState};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// The index.
pub(super) struct Index {
    secrets: [RandomState; 2],
    /// The shapes that entries have: few, and only these are looked up.
    shapes: RwLock<Vec<Shape>>,
    shards: Box<[RwLock<Table<Key, Entry>>]>,
    len: AtomicUsize,
    max_entries: usize,
    epoch: Instant,
}

/// There is no room for another entry.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Full;

/// What is asked about: a token, by what it says of itself.
pub(super) trait Bearer {
    /// `iss`
    fn issuer(&self) -> &str;
    /// `iat`
    fn issued_at(&self) -> Timestamp;
    /// The value of a fact, if the token has it.
    fn fact(&self, fact: Fact) -> Option<Cow<'_, str>>;
}

/// Which facts an event names, and which of them a token must have for this entry to be looked up. A fact that the
/// token does not have is a wildcard (SSF section 8.1.3.1), but never all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Shape {
    named: u16,
    present: u16,
}

impl Shape {
    /// Every shape under which a selector is entered: one for each way in which a token may lack facts.
    fn all(selector: &Selector) -> impl Iterator<Item = Shape> {
        let named = selector.facts.iter().fold(0, |bits, (fact, _)| bits | bit(*fact));
        let subsets = (1..=named).filter(move |present| present & !named == 0);
        let whole = (named == 0).then_some(0);
        whole.into_iter().chain(subsets).map(move |present| Shape { named, present })
    }

    fn is_for_ever(self) -> bool {
        Fact::ALL.iter().any(|fact| self.present & bit(*fact) != 0 && fact.is_for_ever())
    }
}

impl Index {
    pub(super) fn new(max_entries: usize) -> Index {
        Index {
            secrets: [RandomState::new(), RandomState::new()],
            shapes: RwLock::default(),
            shards: (0..SHARDS).map(|_| RwLock::default()).collect(),
            len: AtomicUsize::new(0),
            max_entries,
            epoch: Instant::now(),
        }
    }

    /// Revokes: the latest `at` and the latest `until` of all events on the same facts count, in any order.
    /// When full, a part of it may have been entered: it is offered again.
    pub(super) fn revoke(
        &self,
        selector: &Selector,
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
        for shape in Shape::all(selector) {
            let values = selector.facts.iter().filter(|(fact, _)| shape.present & bit(*fact) != 0);
            let key = self.key(shape, &selector.issuer, values.map(|(_, value)| value.as_str()));
            self.enter(key, entry)?;
            if !self.shapes.read().contains(&shape) {
                let mut shapes = self.shapes.write();
                if !shapes.contains(&shape) {
                    shapes.push(shape);
                }
            }
        }
        Ok(())
    }

    fn enter(&self, key: Key, entry: Entry) -> Result<(), Full> {
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

    /// Whether a token is revoked. In whole seconds: one issued in the very second of the event is (ATTACKS RV-004).
    pub(super) fn is_revoked(&self, bearer: &impl Bearer) -> bool {
        self.shapes.read().iter().any(|shape| self.has(*shape, bearer))
    }

    fn has(&self, shape: Shape, bearer: &impl Bearer) -> bool {
        let mut values = Vec::new();
        for fact in Fact::ALL.iter().filter(|fact| shape.named & bit(**fact) != 0) {
            match (bearer.fact(*fact), shape.present & bit(*fact) != 0) {
                (Some(value), true) => values.push(value),
                (None, false) => {}
                (Some(_), false) | (None, true) => return false,
            }
        }
        let key = self.key(shape, bearer.issuer(), values.iter().map(AsRef::as_ref));
        let at = self.shard(key).read().get(&key).map(|entry| entry.at);
        at.is_some_and(|at| shape.is_for_ever() || seconds(bearer.issued_at().as_secs()) <= at)
    }

    /// Until which time of issue, and how long, what fits exactly this selector is revoked. For people who ask.
    pub(super) fn find(&self, selector: &Selector) -> Option<(Timestamp, Timestamp)> {
        let named = selector.facts.iter().fold(0, |bits, (fact, _)| bits | bit(*fact));
        let values = selector.facts.iter().map(|(_, value)| value.as_str());
        let key = self.key(Shape { named, present: named }, &selector.issuer, values);
        let entry = *self.shard(key).read().get(&key)?;
        let time = |seconds: u32| Timestamp::from_secs(i64::from(seconds));
        Some((time(entry.at), time(entry.until.saturating_sub(1))))
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

    fn key<'v>(&self, shape: Shape, issuer: &str, values: impl Iterator<Item = &'v str> + Clone) -> Key {
        let [high, low] = self.secrets.each_ref().map(|secret| {
            let mut hasher = secret.build_hasher();
            (shape, issuer).hash(&mut hasher);
            values.clone().for_each(|value| value.hash(&mut hasher));
            hasher.finish()
        });
        Key(high, low)
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

fn bit(fact: Fact) -> u16 {
    1 << fact as u16
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
mod tests;
