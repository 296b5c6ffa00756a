//! The slots of one shard: a hash table of plain atomic words, read by everybody while one writes.
//!
//! An entry is three words: its tag, its mark (the rest of its hash, its shape and its `at`), and its life (the
//! two ends of it). Open addressing with linear probing walks tags alone, eight to a cache line.
//!
//! Why a reader never sees half an entry: a slot goes from empty to taken once and never back. Mark and life
//! are stored first, the tag last with `Release`; whoever reads the tag with `Acquire` therefore sees them.
//! Afterwards only `at` and the life grow. `at` shares its word with the hash, so the two are read in one load:
//! an older `at` that belongs, or a newer one, never another entry's. Nothing moves: a table that is too small or
//! holds too much that is over is copied, and the copy is put in its place when it is whole.

use super::key::Key;
use super::{Clocks, SLACK};
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

/// What is remembered of a key, in whole seconds; 32 bits last until 2106.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// Tokens issued then or before are revoked.
    pub(super) at: u32,
    /// When it may be forgotten, by either clock.
    pub(super) life: Life,
}

/// When an entry may be forgotten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Life {
    /// By the wall clock.
    pub(super) until: u32,
    /// By the monotonic clock, as it was going to show `until` on receipt. Never zero.
    pub(super) run_until: u32,
}

impl Life {
    fn merge(self, other: Life) -> Life {
        Life { until: self.until.max(other.until), run_until: self.run_until.max(other.run_until) }
    }

    /// Both clocks must be past it, so that no step of the wall clock brings a revoked token back.
    pub(super) fn is_over(self, clocks: Clocks) -> bool {
        let past = |now: u32, until: u32| now > until.saturating_add(SLACK);
        past(clocks.wall, self.until) && past(clocks.running, self.run_until)
    }

    fn word(self) -> u64 {
        u64::from(self.until) << 32 | u64::from(self.run_until)
    }

    fn of(word: u64) -> Life {
        Life { until: (word >> 32) as u32, run_until: word as u32 }
    }
}

/// The table.
#[derive(Default)]
pub(super) struct Slots {
    /// 0 is an empty slot.
    tags: Box<[AtomicU64]>,
    /// The key's rest above, `at` below.
    marks: Box<[AtomicU64]>,
    /// `until` above, `run_until` below; 0 only where there is no entry.
    lives: Box<[AtomicU64]>,
}

impl Slots {
    pub(super) fn new(capacity: usize) -> Slots {
        let zeros = || (0..capacity).map(|_| AtomicU64::new(0)).collect();
        Slots { tags: zeros(), marks: zeros(), lives: zeros() }
    }

    /// How many entries it may hold: four fifths, so that probing stays short and always ends.
    pub(super) fn room(&self) -> usize {
        room(self.tags.len())
    }

    /// `at` of the key, if it is there.
    pub(super) fn at(&self, key: Key) -> Option<u32> {
        self.find(key).map(|slot| self.marks[slot].load(Acquire) as u32)
    }

    /// All that is known of the key.
    pub(super) fn entry(&self, key: Key) -> Option<Entry> {
        let slot = self.find(key)?;
        let at = self.marks[slot].load(Acquire) as u32;
        Some(Entry { at, life: Life::of(self.lives[slot].load(Relaxed)) })
    }

    /// Lets the later `at` and the later ends count. False if the key is not here. For the one writer.
    pub(super) fn merge(&self, key: Key, entry: Entry) -> bool {
        let Some(slot) = self.find(key) else { return false };
        let at = (self.marks[slot].load(Relaxed) as u32).max(entry.at);
        let life = Life::of(self.lives[slot].load(Relaxed)).merge(entry.life);
        self.lives[slot].store(life.word(), Relaxed);
        self.marks[slot].store(key.rest() | u64::from(at), Release);
        true
    }

    /// Enters a key that is not here. For the one writer, who has made sure that there is room.
    pub(super) fn insert(&self, key: Key, entry: Entry) {
        let mut slot = self.start(key.tag());
        while self.tags[slot].load(Relaxed) != 0 {
            slot = self.after(slot);
        }
        self.marks[slot].store(key.rest() | u64::from(entry.at), Relaxed);
        self.lives[slot].store(entry.life.word(), Relaxed);
        self.tags[slot].store(key.tag(), Release);
    }

    /// Every entry that is whole by now.
    pub(super) fn entries(&self) -> impl Iterator<Item = (Key, Entry)> {
        self.tags.iter().zip(&self.marks).zip(&self.lives).filter_map(|((tag, mark), life)| {
            let tag = tag.load(Acquire);
            let mark = mark.load(Acquire);
            let entry = Entry { at: mark as u32, life: Life::of(life.load(Relaxed)) };
            (tag != 0).then_some((Key::of_words(tag, mark), entry))
        })
    }

    /// How many entries are over. Looks at one word a slot.
    pub(super) fn count_over(&self, clocks: Clocks) -> usize {
        let over = |word: u64| word != 0 && Life::of(word).is_over(clocks);
        self.lives.iter().filter(|life| over(life.load(Relaxed))).count()
    }

    /// Bytes of the table.
    pub(super) fn bytes(&self) -> usize {
        3 * size_of::<AtomicU64>() * self.tags.len()
    }

    fn find(&self, key: Key) -> Option<usize> {
        if self.tags.is_empty() {
            return None;
        }
        let mut slot = self.start(key.tag());
        loop {
            // Ends: a fifth of the slots is empty.
            let tag = self.tags[slot].load(Acquire);
            if tag == key.tag() && self.marks[slot].load(Acquire) >> 32 == key.rest() >> 32 {
                return Some(slot);
            }
            if tag == 0 {
                return None;
            }
            slot = self.after(slot);
        }
    }

    /// The tag as a fraction of the table: no division, and any capacity will do.
    fn start(&self, tag: u64) -> usize {
        ((u128::from(tag) * self.tags.len() as u128) >> 64) as usize
    }

    fn after(&self, slot: usize) -> usize {
        if slot + 1 == self.tags.len() { 0 } else { slot + 1 }
    }
}

/// How many entries a table of this capacity may hold.
pub(super) fn room(capacity: usize) -> usize {
    capacity / 5 * 4 + capacity % 5 * 4 / 5
}
