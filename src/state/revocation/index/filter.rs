//! Which keys may be in a shard: a Bloom filter beside its slots.
//!
//! Nearly every look-up asks for what was never revoked, and is answered by one word of 64 bits: a key has one word and
//! up to four bits in it ("Cache-, Hash- and Space-Efficient Bloom Filters", Putze, Sanders, Singler 2007). That is one
//! line of cache out of a fifteenth of the table's bytes. Of the keys that are not here one in a hundred passes, and
//! costs a look at the slots.
//!
//! Why no key that is here is ever missed: its bits are set before its tag is stored, and bits are never cleared. So
//! whoever was told that a key is here sees them; `Relaxed` is enough, for nothing is read because a bit is set.
//! A table that is copied gets a new filter.

use super::key::Key;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

/// The filter.
#[derive(Clone)]
pub(super) struct Filter(Arc<[AtomicU64]>);

impl Filter {
    /// For a table of so many slots.
    pub(super) fn new(slots: usize) -> Filter {
        Filter((0..slots.div_ceil(SLOTS)).map(|_| AtomicU64::new(0)).collect())
    }

    /// False if the key is not here.
    pub(super) fn may_have(&self, key: Key) -> bool {
        let bits = bits(key);
        self.word(key).is_some_and(|word| word.load(Relaxed) & bits == bits)
    }

    /// For the one writer.
    pub(super) fn add(&self, key: Key) {
        if let Some(word) = self.word(key) {
            word.store(word.load(Relaxed) | bits(key), Relaxed);
        }
    }

    pub(super) fn bytes(&self) -> usize {
        size_of_val(&*self.0)
    }

    fn word(&self, key: Key) -> Option<&AtomicU64> {
        self.0.get(key.scaled(self.0.len()))
    }
}

/// Of the tag's lower end; the word, like the slot, is of its upper end.
fn bits(key: Key) -> u64 {
    let bit = |n: u32| 1 << (key.tag() >> (6 * n) & 63);
    bit(0) | bit(1) | bit(2) | bit(3)
}

/// A word for so many slots: 12 to 15 bits an entry.
const SLOTS: usize = 6;

#[cfg(test)]
mod tests {
    use super::*;

    fn key(n: u64) -> Key {
        // Tags are hashes.
        Key::of_words(n.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29).wrapping_mul(n | 1), 0)
    }

    #[test]
    fn what_was_added_may_be_here_and_hardly_anything_else() {
        let filter = Filter::new(10_000);
        (1..=8750).for_each(|n| filter.add(key(n)));
        assert!((1..=8750).all(|n| filter.may_have(key(n))));
        let passed = (100_000..200_000).filter(|n| filter.may_have(key(*n))).count();
        assert!((100..2500).contains(&passed), "{passed} of 100000 pass");
    }

    #[test]
    fn a_filter_of_nothing_has_nothing() {
        let filter = Filter::new(0);
        assert!(!filter.may_have(key(1)));
        assert_eq!(filter.bytes(), 0);
    }
}
