//! An index carried from one process to the next: all of it but the clocks, which each process has for itself.

use super::key::{Key, Secret};
use super::shape::{Known, MOST, Shape, Shapes};
use super::shard::Entered;
use super::slots::{Entry, Life};
use super::{Clocks, Full, Index, SHARDS};
use crate::pop::Timestamp;

/// An entry as it is carried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::state::revocation) struct Carried {
    /// Never 0.
    pub(in crate::state::revocation) tag: u64,
    /// The rest of its hash, the number of its shape, its `at`.
    pub(in crate::state::revocation) mark: u64,
    /// Its end by the wall clock, in whole seconds.
    pub(in crate::state::revocation) until: u32,
}

/// Why an entry is not taken over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::state::revocation) enum Unfit {
    /// Its shape has not been told.
    Shape,
    /// There is no room.
    Full,
}

impl Index {
    pub(in crate::state::revocation) fn secret(&self) -> Secret {
        self.secret
    }

    /// The shapes with their numbers.
    pub(in crate::state::revocation) fn shapes(&self) -> Vec<(u8, Shape)> {
        self.shapes.known().iter().map(|known| (known.number, known.shape)).collect()
    }

    /// Every entry that was there before this was called, and perhaps later ones. Writers go on meanwhile.
    pub(in crate::state::revocation) fn carried(&self) -> impl Iterator<Item = Carried> {
        (0..SHARDS).flat_map(|shard| {
            // Collected, so that no table is held longer than it takes to copy it.
            let entries: Vec<(Key, Entry)> = self.tables.of(shard).entries().collect();
            entries.into_iter().map(|(key, entry)| Carried {
                tag: key.tag(),
                mark: key.rest() | u64::from(entry.at),
                until: entry.life.until,
            })
        })
    }
}

/// An index being made of what was carried.
pub(in crate::state::revocation) struct Restoring {
    index: Index,
    counts: [usize; MOST],
    clocks: Clocks,
}

impl Restoring {
    pub(in crate::state::revocation) fn new(
        max_entries: usize,
        secret: Secret,
        shapes: &[(u8, Shape)],
        now: Timestamp,
    ) -> Restoring {
        let known = shapes.iter().map(|(number, shape)| Known { shape: *shape, number: *number });
        let shapes = Shapes::new(known.collect());
        let index = Index { secret, shapes, ..Index::new(max_entries) };
        Restoring { clocks: index.clocks(now), index, counts: [0; MOST] }
    }

    /// Takes one entry over; one that is over by the wall clock is passed by, as it is in a backlog. Its end by the
    /// monotonic clock is as far off as by the wall clock.
    pub(in crate::state::revocation) fn take(&mut self, carried: Carried) -> Result<(), Unfit> {
        let key = Key::of_words(carried.tag, carried.mark);
        if !self.index.shapes.known().iter().any(|known| known.number == key.shape()) {
            return Err(Unfit::Shape);
        }
        let rest = carried.until.saturating_sub(self.clocks.wall).max(1);
        let life = Life { until: carried.until, run_until: self.clocks.running.saturating_add(rest) };
        if self.clocks.wall > carried.until.saturating_add(super::SLACK) {
            return Ok(());
        }
        let entry = Entry { at: carried.mark as u32, life };
        if self.index.enter(key, entry, self.clocks).map_err(|Full| Unfit::Full)? == Entered::New {
            self.counts[usize::from(key.shape())] += 1;
        }
        Ok(())
    }

    /// The index, with the shapes of which an entry was taken.
    pub(in crate::state::revocation) fn finish(self) -> Index {
        self.index.shapes.add(&self.counts);
        self.index.shapes.tidy();
        self.index
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_is_as_far_off_by_either_clock() {
        let now = Timestamp::from_secs(1000);
        let shape = Shape { named: 1, present: 1 };
        let mut restoring = Restoring::new(10, Secret([1, 2]), &[(3, shape)], now);
        let mark = 3 << 32;
        for (tag, until) in [(1, 1500), (2, 939), (3, 940)] {
            restoring.take(Carried { tag, mark, until }).unwrap();
        }
        assert_eq!(restoring.take(Carried { tag: 4, mark: 4 << 32, until: 2000 }), Err(Unfit::Shape));
        let index = restoring.finish();
        let slots = index.tables.of(0);
        let mut lives: Vec<(u64, Life)> =
            slots.entries().map(|(key, entry)| (key.tag(), entry.life)).collect();
        lives.sort_by_key(|(tag, _)| *tag);
        let life = |until, run_until| Life { until, run_until };
        assert_eq!(lives, [(1, life(1500, 500)), (3, life(940, 1))]);
        assert_eq!(index.len(), 2);
        assert_eq!(index.carried().count(), 2);
    }
}
