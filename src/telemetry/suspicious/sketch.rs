//! How often, or with how many different things, each of very many was seen in the current window, in fixed memory.
//!
//! A table of sets of four. What is seen often and found again costs a look; two threads that race may lose a mark, or
//! lend one to a neighbour, which a count of what is suspicious can bear. Where a set is full, what was
//! marked least makes room: whoever floods the table with new names displaces other new names first.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// The table.
#[derive(Debug)]
pub(super) struct Sketch {
    sets: Box<[Set]>,
    /// How much is known of a slot, from its marks.
    weight: fn(u64) -> u64,
    enough: u64,
}

/// One cache line.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Set([Slot; 4]);

#[derive(Debug, Default)]
struct Slot {
    /// The upper bits of the name, and the window below them; 0 is nobody.
    owner: AtomicU64,
    marks: AtomicU64,
}

impl Sketch {
    /// Tells when somebody was seen with so many different things, 64 at most. Never too early: two things
    /// may have the same mark.
    pub(super) fn of_different(enough: u64) -> Sketch {
        Sketch::new(|marks| u64::from(marks.count_ones()), enough)
    }

    /// Tells when somebody was seen so often.
    pub(super) fn of_times(enough: u64) -> Sketch {
        Sketch::new(|marks| marks, enough)
    }

    fn new(weight: fn(u64) -> u64, enough: u64) -> Sketch {
        Sketch { sets: (0..SETS).map(|_| Set::default()).collect(), weight, enough }
    }

    /// `name` was seen with `thing`, both hashes. True at the moment when that is enough in this window.
    pub(super) fn seen_with(&self, name: u64, thing: u64, window: u64) -> bool {
        let mark = 1 << (thing & 63);
        let marks = &self.slot(name, window).marks;
        // The usual case: nothing new, so nothing is written.
        if marks.load(Relaxed) & mark != 0 {
            return false;
        }
        let before = marks.fetch_or(mark, Relaxed);
        before & mark == 0 && (self.weight)(before | mark) == self.enough
    }

    /// `name` was seen once more. True at the moment when that is enough in this window.
    pub(super) fn seen(&self, name: u64, window: u64) -> bool {
        self.slot(name, window).marks.fetch_add(1, Relaxed) + 1 == self.enough
    }

    fn slot(&self, name: u64, window: u64) -> &Slot {
        let window = (window + 1) & WINDOW;
        let owner = name & !WINDOW | window;
        let spread = name.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> (64 - SETS.trailing_zeros());
        let set = &self.sets[spread as usize].0;
        if let Some(known) = set.iter().find(|slot| slot.owner.load(Relaxed) == owner) {
            return known;
        }
        let known_of = |slot: &Slot| {
            let current = slot.owner.load(Relaxed) & WINDOW == window;
            if current { 1 + (self.weight)(slot.marks.load(Relaxed)) } else { 0 }
        };
        let mut least = &set[0];
        for slot in &set[1..] {
            if known_of(slot) < known_of(least) {
                least = slot;
            }
        }
        least.marks.store(0, Relaxed);
        least.owner.store(owner, Relaxed);
        least
    }
}

/// Of 64 bytes each.
const SETS: usize = 2048;
/// The bits of a slot's owner that are the window.
const WINDOW: u64 = 0xff_ffff;

#[cfg(test)]
mod tests {
    use super::*;

    /// Well spread, as hashes are.
    fn hash(n: u64) -> u64 {
        n.wrapping_add(1)
            .wrapping_mul(0xD6E8_FEB8_6659_FD93)
            .rotate_left(31)
            .wrapping_mul(0xA24B_AED4_963E_E407)
    }

    #[test]
    fn the_same_thing_again_is_nothing_new() {
        let sketch = Sketch::of_different(3);
        let told = [1, 1, 2, 2, 1, 3, 3, 4].map(|thing| sketch.seen_with(hash(7), thing, 0));
        assert_eq!(told, [false, false, false, false, false, true, false, false], "once, at the third");
        assert!(!sketch.seen_with(hash(8), 5, 0), "somebody else");
    }

    #[test]
    fn a_new_window_begins_from_nothing() {
        let sketch = Sketch::of_times(3);
        let told = [0, 0, 1, 1, 1, 1].map(|window| sketch.seen(hash(7), window));
        assert_eq!(told, [false, false, false, false, true, false]);
    }

    #[test]
    fn a_flood_of_new_names_does_not_hide_one_that_is_marked() {
        let sketch = Sketch::of_different(8);
        let mut told = false;
        for thing in 0..8 {
            told |= sketch.seen_with(hash(7), thing, 0);
            // One mark is not yet more than the flood has, so the first may be lost.
            if thing > 0 {
                assert!(!(0..20_000).any(|n| sketch.seen_with(hash(1000 + n), n, 0)));
            } else {
                told |= sketch.seen_with(hash(7), 63, 0);
            }
        }
        assert!(told);
    }

    #[test]
    fn few_names_do_not_displace_each_other() {
        let sketch = Sketch::of_times(2);
        let names = 0..2000;
        assert!(!names.clone().any(|n| sketch.seen(hash(n), 0)));
        let again = names.filter(|n| sketch.seen(hash(*n), 0)).count();
        assert!(again > 1950, "{again} of 2000 were remembered");
    }
}
