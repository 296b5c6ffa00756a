//! One shard of the index: its one writer's account of its slots.

use super::key::Key;
use super::shape::MOST;
use super::slots::{Entry, Slots, room};
use super::tables::Tables;
use super::{Clocks, Full, SHARDS};
use parking_lot::Mutex;

/// A shard. Readers, who never wait, look at its table alone; writers wait for each other.
pub(super) struct Shard {
    /// Which of the tables is its own: nobody else replaces that one.
    number: usize,
    writer: Mutex<Writer>,
    /// Between 0 and 1: where in the cycle of growth this shard stands. Each stands elsewhere, so that they don't all
    /// grow at once, and the memory of all stays at the mean of the cycle.
    phase: f32,
}

struct Writer {
    /// How many slots are taken.
    taken: usize,
    /// How often the table has grown by a quarter.
    step: i32,
}

/// What became of an entry.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Entered {
    /// It is new.
    New,
    /// The key was known, and what was known of it has grown.
    Merged,
}

/// How many entries of each shape are gone.
pub(super) type Gone = [usize; MOST];

impl Shard {
    pub(super) fn new(number: usize) -> Shard {
        let writer = Writer { taken: 0, step: 0 };
        Shard { number, writer: Mutex::new(writer), phase: number as f32 / SHARDS as f32 }
    }

    /// Enters a key, or lets what is known of it grow. `reserve` is asked for a place for a new one; `gone` is told
    /// what went to make room in the table.
    pub(super) fn enter(
        &self,
        tables: &Tables,
        key: Key,
        entry: Entry,
        clocks: Clocks,
        reserve: impl FnOnce() -> Result<(), Full>,
        gone: impl FnOnce(&Gone),
    ) -> Result<Entered, Full> {
        let mut writer = self.writer.lock();
        let now = tables.now();
        let slots = &now[self.number];
        if slots.merge(key, entry) {
            return Ok(Entered::Merged);
        }
        reserve()?;
        if writer.taken < slots.room() {
            slots.insert(key, entry);
        } else {
            gone(&self.rebuild(tables, &mut writer, Some((key, entry)), clocks));
            return Ok(Entered::New);
        }
        writer.taken += 1;
        Ok(Entered::New)
    }

    /// Drops what is over, if that is worth a copy of the table.
    pub(super) fn sweep(&self, tables: &Tables, clocks: Clocks, is_full: bool) -> Option<Gone> {
        let over = tables.of(self.number).count_over(clocks);
        if over == 0 {
            return None;
        }
        let mut writer = self.writer.lock();
        let worthwhile = is_full || over >= writer.taken.div_ceil(WORTHWHILE);
        worthwhile.then(|| self.rebuild(tables, &mut writer, None, clocks))
    }

    /// A table of the right size with all that is not over, and one entry more.
    fn rebuild(
        &self,
        tables: &Tables,
        writer: &mut Writer,
        more: Option<(Key, Entry)>,
        clocks: Clocks,
    ) -> Gone {
        let old = tables.of(self.number);
        let mut gone = [0; MOST];
        let over = old.count_over(clocks);
        let live = writer.taken - over + usize::from(more.is_some());
        (writer.step, writer.taken) = (self.step(live), 0);
        let new = Slots::new(self.capacity(writer.step));
        let kept = old.entries().filter(|(key, entry)| {
            let is_over = entry.life.is_over(clocks);
            gone[usize::from(key.shape())] += usize::from(is_over);
            !is_over
        });
        for (key, entry) in kept.chain(more) {
            new.insert(key, entry);
            writer.taken += 1;
        }
        tables.replace(self.number, &new);
        gone
    }

    /// The first step at which so many entries leave a tenth of the table's room free.
    fn step(&self, live: usize) -> i32 {
        if live == 0 {
            return 0;
        }
        (1..).find(|step| room(self.capacity(*step)) * 9 / 10 >= live).unwrap_or(i32::MAX)
    }

    fn capacity(&self, step: i32) -> usize {
        if step == 0 { 0 } else { (SMALLEST * GROWTH.powf(f64::from(step) + f64::from(self.phase))) as usize }
    }
}

/// A table grows by a quarter: from seven eighths full to 0.7 full, or 29 to 36 bytes an entry.
const GROWTH: f64 = 1.25;
const SMALLEST: f64 = 8.0;
/// One in so many entries must be over for a table to be copied.
const WORTHWHILE: usize = 8;
