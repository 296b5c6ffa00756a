//! A meter of rates for any number of keys in constant memory: GCRA over a count-min table of atomics.
//!
//! GCRA (the generic cell rate algorithm of ITU-T I.371) remembers one moment for each key: when all that it has taken
//! is paid for, at so much time for each. A key may take another as long as that moment lies no further ahead than a
//! burst is worth. Here a key has a cell in each of [`ROWS`] rows, found by a keyed hash; the least of its cells is
//! its moment. Others that share a cell can only move it on, so a key never takes more than its rate, and it is held
//! to less only if all its cells are shared with keys that are over theirs: with `n` keys over their rate at
//! one time that is `(1 - (1 - 1/CELLS)^n)^ROWS`, five in a hundred million for 1000 of them. A key raises no cell
//! further than its own moment (conservative update), so keys within their rates add nothing up.
//!
//! Nothing is evicted, nothing grows, nobody waits: 2 MiB for each meter, and a compare-and-swap for each row.
//! Time is the process's own and never goes back; the clock of the wall plays no part.

use crate::config::Rate;
use siphasher::sip128::{Hasher128, SipHasher13};
use std::fmt;
use std::hash::Hasher;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::{Duration, Instant};

/// What is metered: a digest with a secret of this process, so that nobody can choose which cells to share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Key([u32; ROWS]);

/// The cells, each the nanosecond since the beginning up to which it is paid for.
pub(super) struct Meter {
    began: Instant,
    secret: [u8; 16],
    cells: Box<[AtomicU64]>,
}

impl Meter {
    pub(super) fn new(secret: [u8; 16], began: Instant) -> Meter {
        Meter { began, secret, cells: (0..ROWS * CELLS).map(|_| AtomicU64::new(0)).collect() }
    }

    /// The key that these parts are. They are told apart however they are divided.
    pub(super) fn key(&self, parts: &[&[u8]]) -> Key {
        let mut hasher = SipHasher13::new_with_key(&self.secret);
        for part in parts {
            hasher.write_usize(part.len());
            hasher.write(part);
        }
        let hash = hasher.finish128();
        let word = |half: u64, at: u32| u32::try_from(half >> at & 0xffff_ffff).unwrap_or_default();
        Key([word(hash.h1, 0), word(hash.h1, 32), word(hash.h2, 0), word(hash.h2, 32)])
    }

    /// Takes one, or says how long it is until the next one may be taken.
    ///
    /// Exact for each key, however many threads take at a time: whoever loses a cell to another begins anew, and two
    /// that read the same moment have a cell in common that only one of them can move.
    pub(super) fn take(&self, key: Key, rate: Rate, now: Instant) -> Result<(), Duration> {
        let now = self.nanos(now);
        'anew: loop {
            let seen = self.cells_of(key).map(|cell| cell.load(SeqCst));
            let next = next(seen, rate, now)?;
            for (cell, seen) in self.cells_of(key).into_iter().zip(seen).filter(|(_, seen)| *seen < next) {
                if cell.compare_exchange(seen, next, SeqCst, SeqCst).is_err() {
                    continue 'anew;
                }
            }
            return Ok(());
        }
    }

    /// What [`take`](Meter::take) would say, without taking.
    pub(super) fn ask(&self, key: Key, rate: Rate, now: Instant) -> Result<(), Duration> {
        next(self.cells_of(key).map(|cell| cell.load(SeqCst)), rate, self.nanos(now)).map(drop)
    }

    fn cells_of(&self, key: Key) -> [&AtomicU64; ROWS] {
        let mut row = 0;
        key.0.map(|word| {
            let at = row * CELLS + word as usize % CELLS;
            row += 1;
            &self.cells[at]
        })
    }

    fn nanos(&self, now: Instant) -> u64 {
        u64::try_from(now.saturating_duration_since(self.began).as_nanos()).unwrap_or(u64::MAX)
    }
}

/// The key's moment after one more, or how long it is until there may be one more.
fn next(seen: [u64; ROWS], rate: Rate, now: u64) -> Result<u64, Duration> {
    let each = SECOND / u64::from(rate.per_second.max(1));
    let paid_for = seen.into_iter().min().unwrap_or(u64::MAX);
    let next = paid_for.max(now).saturating_add(each);
    let latest = now.saturating_add(each.saturating_mul(u64::from(rate.burst.max(1))));
    match next.checked_sub(latest) {
        None | Some(0) => Ok(next),
        Some(early) => Err(Duration::from_nanos(early)),
    }
}

impl fmt::Debug for Meter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Meter").finish_non_exhaustive()
    }
}

const SECOND: u64 = 1_000_000_000;

/// As many as a hash of 128 bits has words.
const ROWS: usize = 4;
const CELLS: usize = 1 << 16;

#[cfg(test)]
mod tests;
