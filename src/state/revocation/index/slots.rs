//! The slots of one shard: a hash table of plain atomic words, read by everybody while one writes.
//!
//! An entry is three words: its tag, its mark (the rest of its hash, its shape and its `at`), and its life (the
//! two ends of it). Tag and mark lie side by side, four pairs to a cache line, for whoever finds a key wants both. Open
//! addressing with linear probing; the table may be rather full, because a [filter](super::filter) answers for nearly
//! all keys that are not in it.
//!
//! Why a reader never sees half an entry: a slot goes from empty to taken once and never back. Filter, mark and life
//! are stored first, the tag last with `Release`; whoever reads the tag with `Acquire` therefore sees them.
//! Afterwards only `at` and the life grow. `at` shares its word with the hash, so the two are read in one load:
//! an older `at` that belongs, or a newer one, never another entry's. Nothing moves: a table that is too small or
//! holds too much that is over is copied, and the copy is put in its place when it is whole.

use super::filter::Filter;
use super::key::Key;
use super::{Clocks, SLACK};
use std::sync::Arc;
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

/// The table. A clone is the same table.
#[derive(Clone)]
pub(super) struct Slots {
    filter: Filter,
    slots: Arc<[Slot]>,
    /// `until` above, `run_until` below; 0 only where there is no entry. Apart, for look-ups have no use for them.
    lives: Arc<[AtomicU64]>,
}

struct Slot {
    /// 0 in an empty slot.
    tag: AtomicU64,
    /// The key's rest above, `at` below.
    mark: AtomicU64,
}

impl Slots {
    pub(super) fn new(capacity: usize) -> Slots {
        let zero = || AtomicU64::new(0);
        Slots {
            filter: Filter::new(capacity),
            slots: (0..capacity).map(|_| Slot { tag: zero(), mark: zero() }).collect(),
            lives: (0..capacity).map(|_| zero()).collect(),
        }
    }

    /// How many entries it may hold: seven eighths, so that probing stays short and always ends.
    pub(super) fn room(&self) -> usize {
        room(self.slots.len())
    }

    /// `at` of the key, if it is there.
    pub(super) fn at(&self, key: Key) -> Option<u32> {
        self.find(key).map(|place| self.slots[place].mark.load(Acquire) as u32)
    }

    /// All that is known of the key.
    pub(super) fn entry(&self, key: Key) -> Option<Entry> {
        let place = self.find(key)?;
        let at = self.slots[place].mark.load(Acquire) as u32;
        Some(Entry { at, life: Life::of(self.lives[place].load(Relaxed)) })
    }

    /// Lets the later `at` and the later ends count. False if the key is not here. For the one writer.
    pub(super) fn merge(&self, key: Key, entry: Entry) -> bool {
        let Some(place) = self.find(key) else { return false };
        let (mark, life) = (&self.slots[place].mark, &self.lives[place]);
        let at = (mark.load(Relaxed) as u32).max(entry.at);
        life.store(Life::of(life.load(Relaxed)).merge(entry.life).word(), Relaxed);
        mark.store(key.rest() | u64::from(at), Release);
        true
    }

    /// Enters a key that is not here. For the one writer, who has made sure that there is room.
    pub(super) fn insert(&self, key: Key, entry: Entry) {
        let mut place = self.start(key);
        while self.slots[place].tag.load(Relaxed) != 0 {
            place = self.after(place);
        }
        self.filter.add(key);
        self.slots[place].mark.store(key.rest() | u64::from(entry.at), Relaxed);
        self.lives[place].store(entry.life.word(), Relaxed);
        self.slots[place].tag.store(key.tag(), Release);
    }

    /// Every entry that is whole by now.
    pub(super) fn entries(&self) -> impl Iterator<Item = (Key, Entry)> {
        self.slots.iter().zip(&*self.lives).filter_map(|(slot, life)| {
            let tag = slot.tag.load(Acquire);
            let mark = slot.mark.load(Acquire);
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
        self.filter.bytes() + size_of_val(&*self.slots) + size_of_val(&*self.lives)
    }

    /// Of a table without slots, the filter has nothing.
    fn find(&self, key: Key) -> Option<usize> {
        if self.filter.may_have(key) { self.search(key) } else { None }
    }

    fn search(&self, key: Key) -> Option<usize> {
        let mut place = self.start(key);
        loop {
            // Ends: an eighth of the slots is empty.
            let tag = self.slots[place].tag.load(Acquire);
            if tag == key.tag() && self.slots[place].mark.load(Acquire) >> 32 == key.rest() >> 32 {
                return Some(place);
            }
            if tag == 0 {
                return None;
            }
            place = self.after(place);
        }
    }

    fn start(&self, key: Key) -> usize {
        key.scaled(self.slots.len())
    }

    fn after(&self, place: usize) -> usize {
        if place + 1 == self.slots.len() { 0 } else { place + 1 }
    }
}

/// How many entries a table of this capacity may hold.
pub(super) fn room(capacity: usize) -> usize {
    capacity / 8 * 7 + capacity % 8 * 7 / 8
}
