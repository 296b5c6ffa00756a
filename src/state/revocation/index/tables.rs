//! The tables of all shards, as readers see them.
//!
//! One pointer to all of them, so that a look-up pays once for holding on to what it reads, however many keys it asks
//! for: what it pays are locked instructions, and those would make each cache miss wait for the one before. In return a
//! writer who replaces one table lists them all anew; that is rare and takes microseconds.

use super::SHARDS;
use super::slots::Slots;
use arc_swap::{ArcSwap, Guard};
use std::sync::Arc;

/// The tables.
pub(super) struct Tables(ArcSwap<[Slots; SHARDS]>);

impl Tables {
    pub(super) fn new() -> Tables {
        Tables(ArcSwap::from_pointee(std::array::from_fn(|_| Slots::new(0))))
    }

    /// As they are now. A table that is replaced meanwhile is whole and stays so: what was entered before this was
    /// asked is in it.
    pub(super) fn now(&self) -> Guard<Arc<[Slots; SHARDS]>> {
        self.0.load()
    }

    /// One of them, to be held as long as one likes.
    pub(super) fn of(&self, shard: usize) -> Slots {
        self.now()[shard].clone()
    }

    /// Puts a table in the place of another. For the writer of that shard; those of others may do the same, and none
    /// undoes what another did.
    pub(super) fn replace(&self, shard: usize, slots: &Slots) {
        self.0.rcu(|tables| {
            let with = |number| if number == shard { slots } else { &tables[number] };
            Arc::new(std::array::from_fn(|number| with(number).clone()))
        });
    }
}
