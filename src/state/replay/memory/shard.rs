//! One shard of the replay memory: a table of proofs, each marked with the bucket of time that it dies with.
//!
//! A bucket is given up as a whole, in one sweep of the table. A proof belongs to the bucket that its own
//! end falls into, whenever it came. One table, not one for each bucket: a look-up is one cache miss.

use super::LINGER;
use crate::pop::Timestamp;
use crate::state::uniform::Table;
use hashbrown::hash_map::Entry;
use std::hash::{Hash, Hasher};
use std::time::{Duration, Instant};

/// What both clocks showed on receipt.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clocks {
    pub(super) wall: Timestamp,
    pub(super) monotonic: Instant,
}

/// What became of a proof.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Remembered now, for the first time.
    Fresh,
    /// Remembered already.
    Seen,
    /// No room.
    Full,
    /// Of a stretch of time that has been forgotten: may have been used.
    Forgotten,
}

#[derive(Default)]
pub(super) struct Shard {
    /// Each proof with the id of its bucket.
    seen: Table<Key, u8>,
    /// By rising index.
    buckets: Vec<Bucket>,
    forgotten: Stretches,
    grew: bool,
}

/// Proofs that stop being acceptable within the same [`WIDTH`].
struct Bucket {
    index: i64,
    id: u8,
    keep_until: Instant,
}

impl Shard {
    /// Remembers the key if it is fresh and `reserve` finds a place for it.
    ///
    /// A key that lingers is as good as used, whatever its proof says now: a `jti` is for one proof only.
    pub(super) fn put(
        &mut self,
        key: Key,
        until: Timestamp,
        clocks: Clocks,
        reserve: impl FnOnce() -> bool,
    ) -> Outcome {
        self.grew = false;
        let index = until.as_millis().div_euclid(WIDTH);
        let Entry::Vacant(vacancy) = self.seen.entry(key) else { return Outcome::Seen };
        let found = self.buckets.binary_search_by_key(&index, |bucket| bucket.index);
        if found.is_err() && self.forgotten.contain(index) {
            return Outcome::Forgotten;
        }
        let keep_until = clocks.monotonic + until.since(clocks.wall) + SLACK;
        let id = match found {
            Ok(place) => Some(self.buckets[place].id),
            Err(_) => (0..=u8::MAX).find(|id| self.buckets.iter().all(|bucket| bucket.id != *id)),
        };
        // Only a clock that jumps about opens that many buckets; then there is no room, as in any full memory.
        let Some(id) = id.filter(|_| reserve()) else { return Outcome::Full };
        let place = found.unwrap_or_else(|place| {
            self.grew = true;
            self.buckets.insert(place, Bucket { index, id, keep_until });
            place
        });
        let bucket = &mut self.buckets[place];
        bucket.keep_until = bucket.keep_until.max(keep_until);
        vacancy.insert(id);
        Outcome::Fresh
    }

    /// Whether the last [`put`](Self::put) opened a new bucket: the time to sweep.
    pub(super) fn grew(&self) -> bool {
        self.grew
    }

    /// Gives up every bucket that neither clock needs, unless there is room to let it linger. Returns how
    /// many proofs that were.
    pub(super) fn sweep(&mut self, clocks: Clocks, crowded: bool) -> usize {
        let mut going = [false; 1 << u8::BITS];
        for bucket in self.buckets.extract_if(.., |bucket| bucket.may_go(clocks, crowded)) {
            going[usize::from(bucket.id)] = true;
            self.forgotten.add(bucket.index);
        }
        if !going.contains(&true) {
            return 0;
        }
        let before = self.seen.len();
        self.seen.retain(|_, id| !going[usize::from(*id)]);
        let left = self.seen.len();
        if left < self.seen.capacity() / 8 {
            self.seen.shrink_to(left * 2);
        }
        before - left
    }

    pub(super) fn bytes(&self) -> usize {
        self.seen.allocation_size()
    }
}

impl Bucket {
    /// Whether a proof of it could still be acceptable by one of the clocks.
    fn is_needed(&self, clocks: Clocks) -> bool {
        clocks.monotonic <= self.keep_until || clocks.wall <= self.end().plus(SLACK)
    }

    fn may_go(&self, clocks: Clocks, crowded: bool) -> bool {
        !self.is_needed(clocks) && (crowded || clocks.wall > self.end().plus(LINGER))
    }

    /// Every proof of it has stopped being acceptable by then.
    fn end(&self) -> Timestamp {
        Timestamp::from_millis((self.index + 1).saturating_mul(WIDTH))
    }
}

/// The bucket indices that were given up, as inclusive stretches in rising order.
#[derive(Default)]
struct Stretches(Vec<(i64, i64)>);

impl Stretches {
    fn contain(&self, index: i64) -> bool {
        // Only after a step back of the clock is anything but the first comparison ever made.
        self.0.iter().rev().take_while(|(_, last)| index <= *last).any(|(first, _)| *first <= index)
    }

    /// Adds one; joins what touches; past the bound joins the oldest, which errs towards refusing.
    fn add(&mut self, index: i64) {
        let place = self.0.partition_point(|(first, _)| *first <= index);
        self.0.insert(place, (index, index));
        let mut joined: Vec<(i64, i64)> = Vec::with_capacity(self.0.len());
        for (first, last) in self.0.drain(..) {
            match joined.last_mut() {
                Some(before) if first <= before.1.saturating_add(1) => before.1 = before.1.max(last),
                Some(_) | None => joined.push((first, last)),
            }
        }
        if joined.len() > MAX_STRETCHES {
            let (oldest, _) = joined.remove(0);
            joined[0].0 = oldest;
        }
        self.0 = joined;
    }
}

/// 96 uniform bits in 12 bytes: with the bucket's id, the table's control byte and at its worst load, 32 bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Key([u8; 12]);

impl Key {
    /// The first 12 bytes of a digest.
    pub(super) fn of(digest: &[u8]) -> Key {
        let mut key = [0; 12];
        key.copy_from_slice(&digest[..12]);
        Key(key)
    }

    /// Chosen by other bits than those the table hashes by.
    pub(super) fn shard(self) -> usize {
        usize::from(self.0[11])
    }
}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let (eight, _) = self.0.split_first_chunk().unwrap_or((&[0; 8], &[]));
        state.write_u64(u64::from_ne_bytes(*eight));
    }
}

/// Milliseconds of `until` per bucket: wide enough that a sweep is rare, narrow beside the life of a proof.
const WIDTH: i64 = 16_000;
/// Beyond the life of a proof, so that its very last accepted moment is covered (ATTACKS RP-010).
const SLACK: Duration = Duration::from_secs(1);
/// More separate stretches than any real clock leaves behind.
const MAX_STRETCHES: usize = 16;
