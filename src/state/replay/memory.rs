//! Used proofs, remembered in this process: exact, bounded, forgotten only when both clocks agree.
//!
//! Decides whether a (key, `jti`) was seen before (RFC 9449 section 11.1). Does not decide whether a
//! proof is timely: that is [`pop::dpop`](crate::pop::dpop), by the wall clock.
//!
//! Two clocks. A proof is judged by the wall clock, which an operator or NTP may step either way; so
//! what was remembered is given up only when the monotonic clock has run through the rest of the
//! proof's life (and a second more) **and** the wall clock stands beyond it. The guarantee, whatever
//! the wall clock does: **a proof that was accepted is never accepted again.** What it may cost: after
//! the wall clock is stepped back into a stretch whose proofs were already forgotten, a proof of that
//! stretch can't be told from a used one and is refused (503: nothing the caller did). That ends when
//! the clock leaves the stretch. To make it rare, memory that would otherwise lie idle keeps forgotten
//! proofs longer, so steps back by up to five minutes cost nothing while it is under half full.
//!
//! A full memory refuses new proofs; it never forgets one early to make room (ATTACKS RP-008).

mod shard;

use crate::pop::jwk::Thumbprint;
use crate::pop::{Denial, Timestamp};
use aws_lc_rs::{digest, rand};
use parking_lot::Mutex;
use shard::{Clocks, Key, Outcome, Shard};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// The replay memory. Put-if-absent is one step under one shard's lock.
pub struct Memory {
    secret: [u8; 32],
    shards: Box<[Padded]>,
    len: AtomicUsize,
    max_entries: usize,
    blind: AtomicU64,
}

impl Memory {
    /// An empty memory for at most `max_entries` proofs.
    pub fn new(max_entries: usize) -> Memory {
        let mut secret = [0; 32];
        rand::fill(&mut secret).expect("the system has randomness, or nothing here can be secure");
        let shards = (0..SHARDS).map(|_| Padded::default()).collect();
        Memory { secret, shards, len: AtomicUsize::new(0), max_entries, blind: AtomicU64::new(0) }
    }

    /// Remembers (jkt, jti) until then; one atomic step (DPOP-41, DPOP-43, FAPI-10).
    ///
    /// `until` is the last moment, by the same clock as `now`, at which the proof would be accepted.
    ///
    /// # Errors
    /// [`Denial::ProofReplayed`] if it is remembered already; [`Denial::ReplayFull`] if there is no room,
    /// or if a step back of the clock makes it impossible to know.
    pub fn insert(
        &self,
        jkt: &Thumbprint,
        jti: &str,
        until: Timestamp,
        now: Timestamp,
    ) -> Result<(), Denial> {
        let key = self.key(jkt.as_str().as_bytes(), jti.as_bytes());
        self.remember(key, until, Clocks { wall: now, monotonic: Instant::now() })
    }

    /// How many are remembered.
    pub fn len(&self) -> usize {
        self.len.load(Relaxed)
    }

    /// Whether none are.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The bytes taken by the tables, for metrics and the bench.
    pub fn bytes(&self) -> usize {
        self.shards.iter().map(|shard| shard.0.lock().bytes()).sum()
    }

    /// How many proofs were refused because the wall clock was stepped back: an alarm.
    pub fn refused_blindly(&self) -> u64 {
        self.blind.load(Relaxed)
    }

    fn remember(&self, key: Key, until: Timestamp, clocks: Clocks) -> Result<(), Denial> {
        let mut outcome = self.put(key, until, clocks);
        if let Outcome::Full = outcome {
            self.sweep(clocks);
            outcome = self.put(key, until, clocks);
        }
        match outcome {
            Outcome::Fresh => Ok(()),
            Outcome::Seen => Err(Denial::ProofReplayed),
            Outcome::Full => Err(Denial::ReplayFull),
            Outcome::Forgotten => {
                self.blind.fetch_add(1, Relaxed);
                Err(Denial::ReplayFull)
            }
        }
    }

    fn put(&self, key: Key, until: Timestamp, clocks: Clocks) -> Outcome {
        let crowded = self.len() > self.max_entries / 2;
        let mut shard = self.shards[key.shard() % SHARDS].0.lock();
        let outcome = shard.put(key, until, clocks, || self.reserve());
        let dropped = match outcome {
            Outcome::Fresh if shard.grew() => shard.sweep(clocks, crowded),
            Outcome::Fresh | Outcome::Seen | Outcome::Full | Outcome::Forgotten => return outcome,
        };
        drop(shard);
        self.release(dropped);
        outcome
    }

    /// Takes a place among `max_entries`, if there is one.
    fn reserve(&self) -> bool {
        self.len.fetch_update(Relaxed, Relaxed, |n| (n < self.max_entries).then_some(n + 1)).is_ok()
    }

    /// Gives up all that may be given up, in every shard.
    fn sweep(&self, clocks: Clocks) {
        for shard in &self.shards {
            let dropped = shard.0.lock().sweep(clocks, true);
            self.release(dropped);
        }
    }

    fn release(&self, places: usize) {
        self.len.fetch_sub(places, Relaxed);
    }

    /// SHA-256(secret || jkt || jti), cut to 96 bits: uniform, and not to be ground by who does not know
    /// the secret. `jkt` always has 43 bytes, so no two pairs read the same.
    fn key(&self, jkt: &[u8], jti: &[u8]) -> Key {
        let parts = [&self.secret[..], jkt, jti];
        let mut buffer = [0; 256];
        let mut length = 0;
        for part in parts {
            let Some(room) = buffer.get_mut(length..length + part.len()) else {
                let mut context = digest::Context::new(&digest::SHA256);
                parts.iter().for_each(|part| context.update(part));
                return Key::of(context.finish().as_ref());
            };
            room.copy_from_slice(part);
            length += part.len();
        }
        Key::of(digest::digest(&digest::SHA256, &buffer[..length]).as_ref())
    }
}

impl std::fmt::Debug for Memory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Memory").field("len", &self.len()).field("max_entries", &self.max_entries).finish()
    }
}

/// A shard on cache lines of its own.
#[derive(Default)]
#[repr(align(128))]
struct Padded(Mutex<Shard>);

/// Enough that threads rarely meet, few enough that a sweep of all takes microseconds.
const SHARDS: usize = 64;
/// How much longer than needed proofs are remembered while the memory is under half full.
pub(crate) const LINGER: Duration = Duration::from_secs(300);

#[cfg(test)]
mod tests;
