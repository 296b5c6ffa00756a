//! One shard of the replay memory: buckets of proofs by the time at which they stop being acceptable.
//!
//! A bucket is a hash set that is given up whole, so forgetting costs nothing per proof. The same proof
//! always belongs to the same bucket, because its bucket is chosen by what the proof itself says and
//! not by when it came.

use super::LINGER;
use crate::pop::Timestamp;
use crate::state::uniform::Table;
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
    /// By rising index.
    buckets: Vec<Bucket>,
    forgotten: Stretches,
    grew: bool,
}

pub(super) struct Bucket {
    index: i64,
    keep_until: Instant,
    keys: Table<Key, ()>,
}

impl Shard {
    /// Remembers the key if it is fresh and `reserve` finds a place for it.
    pub(super) fn put(
        &mut self,
        key: Key,
        until: Timestamp,
        clocks: Clocks,
        reserve: impl FnOnce() -> bool,
    ) -> Outcome {
        self.grew = false;
        let index = until.as_millis().div_euclid(WIDTH);
        let may_hold = |b: &&Bucket| b.index == index || b.is_needed(clocks);
        if self.buckets.iter().filter(may_hold).any(|bucket| bucket.keys.contains_key(&key)) {
            return Outcome::Seen;
        }
        let found = self.buckets.binary_search_by_key(&index, |bucket| bucket.index);
        if found.is_err() && self.forgotten.contain(index) {
            return Outcome::Forgotten;
        }
        if !reserve() {
            return Outcome::Full;
        }
        let keep_until = clocks.monotonic + until.since(clocks.wall) + SLACK;
        let place = found.unwrap_or_else(|place| {
            self.grew = true;
            let keys = Table::with_capacity_and_hasher(self.expected_size(), Default::default());
            self.buckets.insert(place, Bucket { index, keep_until, keys });
            place
        });
        let bucket = &mut self.buckets[place];
        bucket.keep_until = bucket.keep_until.max(keep_until);
        bucket.keys.insert(key, ());
        Outcome::Fresh
    }

    /// Whether the last [`put`](Self::put) opened a new bucket: the time to sweep.
    pub(super) fn grew(&self) -> bool {
        self.grew
    }

    /// Takes out every bucket that neither clock needs, unless there is room to let it linger.
    pub(super) fn sweep(&mut self, clocks: Clocks, crowded: bool) -> Vec<Bucket> {
        let dropped: Vec<Bucket> =
            self.buckets.extract_if(.., |bucket| bucket.may_go(clocks, crowded)).collect();
        for bucket in &dropped {
            self.forgotten.add(bucket.index);
        }
        dropped
    }

    pub(super) fn bytes(&self) -> usize {
        self.buckets.iter().map(|bucket| bucket.keys.allocation_size()).sum()
    }

    /// As many as the last buckets got, so that a table rarely grows while a request waits.
    fn expected_size(&self) -> usize {
        self.buckets.iter().rev().take(2).map(Bucket::len).max().unwrap_or(0)
    }
}

impl Bucket {
    pub(super) fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether a proof in here could still be acceptable by one of the clocks.
    fn is_needed(&self, clocks: Clocks) -> bool {
        clocks.monotonic <= self.keep_until || clocks.wall <= self.end().plus(SLACK)
    }

    fn may_go(&self, clocks: Clocks, crowded: bool) -> bool {
        !self.is_needed(clocks) && (crowded || clocks.wall > self.end().plus(LINGER))
    }

    /// Every proof in here has stopped being acceptable by then.
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

/// 96 uniform bits in 12 bytes: with the table's control byte and at its worst load under 30 bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Key([u32; 3]);

impl Key {
    /// The first 12 bytes of a digest.
    pub(super) fn of(digest: &[u8]) -> Key {
        let word =
            |at: usize| digest[at..at + 4].iter().fold(0, |word: u32, byte| word << 8 | u32::from(*byte));
        Key([word(0), word(4), word(8)])
    }

    /// Chosen by other bits than those the table hashes by.
    pub(super) fn shard(self) -> usize {
        self.0[2] as usize
    }
}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(u64::from(self.0[0]) << 32 | u64::from(self.0[1]));
    }
}

/// Milliseconds of `until` per bucket: few wide buckets are faster than many narrow ones.
const WIDTH: i64 = 16_000;
/// Beyond the life of a proof, so that its very last accepted moment is covered (ATTACKS RP-010).
const SLACK: Duration = Duration::from_secs(1);
/// More separate stretches than any real clock leaves behind.
const MAX_STRETCHES: usize = 16;
