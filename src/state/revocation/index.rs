//! Everything that is revoked, for look-up by every request.
//!
//! Decides whether a claim of an issuer's token is revoked for a token issued at some time. Readers wait for
//! nobody: they read atomic words, in [`SHARDS`] tables of which a writer locks one. Keys are hashes under a secret:
//! nobody can aim entries at one shard or make two values meet.
//!
//! Bounded: when full, an event is not taken and the caller must say so; nothing is forgotten to make
//! room. An entry leaves when both clocks have passed its `until`, so that no step of the wall clock
//! brings a revoked token back.

pub(super) mod carried;
mod filter;
mod key;
mod shape;
mod shard;
mod slots;
mod tables;

use super::event::{Fact, Selector};
use crate::pop::Timestamp;
use key::Digest;
pub(super) use key::Key;
pub(super) use key::Secret;
pub(super) use shape::Shape;
use shape::{Known, Shapes};
use shard::{Entered, Gone, Shard};
use slots::{Entry, Life, Slots};
use std::borrow::Cow;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Instant;
use tables::Tables;

/// The index.
pub(super) struct Index {
    secret: Secret,
    shapes: Shapes,
    tables: Tables,
    shards: Box<[Shard]>,
    len: AtomicUsize,
    max_entries: usize,
    epoch: Instant,
}

/// There is no room for another entry.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Full;

/// What is asked about: a token, by what it says of itself.
pub(super) trait Bearer {
    /// `iss`
    fn issuer(&self) -> &str;
    /// `iat`
    fn issued_at(&self) -> Timestamp;
    /// The value of a fact, if the token has it.
    fn fact(&self, fact: Fact) -> Option<Cow<'_, str>>;
}

/// What both clocks show, in whole seconds.
#[derive(Clone, Copy, Debug)]
struct Clocks {
    wall: u32,
    /// Since the index was made.
    running: u32,
}

impl Index {
    pub(super) fn new(max_entries: usize) -> Index {
        Index {
            secret: Secret::random(),
            shapes: Shapes::new(Vec::new()),
            tables: Tables::new(),
            shards: (0..SHARDS).map(Shard::new).collect(),
            len: AtomicUsize::new(0),
            max_entries,
            epoch: Instant::now(),
        }
    }

    /// Revokes: the latest `at` and the latest `until` of all events on the same facts count, in any order (SET-05).
    ///
    /// # Errors
    /// Some entry of it finds no room. A part of it may have been entered: it revokes no more than the whole, and
    /// the whole is to be offered again.
    pub(super) fn revoke(
        &self,
        selector: &Selector,
        at: Timestamp,
        until: Timestamp,
        now: Timestamp,
    ) -> Result<(), Full> {
        let clocks = self.clocks(now);
        let entry = Entry { at: seconds(at.as_secs()), life: clocks.life(until, now) };
        let issuer = self.secret.of_issuer(&selector.issuer);
        for shape in Shape::all(selector) {
            let mut digest = of_shape(&issuer, shape);
            let values = selector.facts.iter().filter(|(fact, _)| shape.requires(*fact));
            values.for_each(|(_, value)| digest.add(value));
            let number = self.shapes.enter(shape)?;
            match self.enter(digest.key(number), entry, clocks) {
                Ok(Entered::New) => {}
                Ok(Entered::Merged) => self.shapes.leave(number),
                Err(Full) => {
                    self.shapes.leave(number);
                    return Err(Full);
                }
            }
        }
        Ok(())
    }

    fn enter(&self, key: Key, entry: Entry, clocks: Clocks) -> Result<Entered, Full> {
        let reserve = || {
            let one_more = |n| (n < self.max_entries).then_some(n + 1);
            self.len.fetch_update(Relaxed, Relaxed, one_more).map(|_| ()).map_err(|_| Full)
        };
        let shard = &self.shards[key.shard(SHARDS)];
        shard.enter(&self.tables, key, entry, clocks, reserve, |gone| self.forget(gone))
    }

    /// Whether a token is revoked. In whole seconds: one issued in the very second of the event is (ATTACKS RV-004).
    pub(super) fn is_revoked(&self, bearer: &impl Bearer) -> bool {
        let shapes = self.shapes.known();
        if shapes.is_empty() {
            return false;
        }
        let issuer = self.secret.of_issuer(bearer.issuer());
        let tables = self.tables.now();
        shapes.chunks(AT_ONCE).any(|some| first_of(&tables, some, &issuer, bearer).is_some())
    }

    /// The entry by which a token is revoked.
    pub(super) fn revoked_by(&self, bearer: &impl Bearer) -> Option<Key> {
        let shapes = self.shapes.known();
        let issuer = self.secret.of_issuer(bearer.issuer());
        let tables = self.tables.now();
        shapes.chunks(AT_ONCE).find_map(|some| first_of(&tables, some, &issuer, bearer))
    }

    /// The entries that a selector has.
    pub(super) fn entries_of(&self, selector: &Selector) -> impl Iterator<Item = Key> {
        let (known, issuer) = (self.shapes.known(), self.secret.of_issuer(&selector.issuer));
        Shape::all(selector).filter_map(move |shape| {
            let number = known.iter().find(|known| known.shape == shape)?.number;
            let mut digest = of_shape(&issuer, shape);
            let values = selector.facts.iter().filter(|(fact, _)| shape.requires(*fact));
            values.for_each(|(_, value)| digest.add(value));
            Some(digest.key(number))
        })
    }

    /// Until which time of issue, and how long, what fits exactly this selector is revoked. For people who ask.
    pub(super) fn find(&self, selector: &Selector) -> Option<(Timestamp, Timestamp)> {
        // The last shape is the one of a token that lacks none of the facts.
        let shape = Shape::all(selector).last()?;
        let number = self.shapes.known().iter().find(|known| known.shape == shape)?.number;
        let mut digest = of_shape(&self.secret.of_issuer(&selector.issuer), shape);
        selector.facts.iter().for_each(|(_, value)| digest.add(value));
        let key = digest.key(number);
        let entry = self.tables.of(key.shard(SHARDS)).entry(key)?;
        let time = |seconds: u32| Timestamp::from_secs(i64::from(seconds));
        Some((time(entry.at), time(entry.life.until.saturating_sub(1))))
    }

    /// How many entries there are, with those that are over and have not been removed.
    pub(super) fn len(&self) -> usize {
        self.len.load(Relaxed)
    }

    /// Removes entries that both clocks have passed: where they have become many, or everywhere if there is no
    /// room.
    pub(super) fn sweep(&self, now: Timestamp) {
        let clocks = self.clocks(now);
        for shard in &self.shards {
            let is_full = self.len() >= self.max_entries;
            if let Some(gone) = shard.sweep(&self.tables, clocks, is_full) {
                self.forget(&gone);
            }
        }
        self.shapes.tidy();
    }

    fn forget(&self, gone: &Gone) {
        self.shapes.remove(gone);
        self.len.fetch_sub(gone.iter().sum(), Relaxed);
    }

    fn clocks(&self, now: Timestamp) -> Clocks {
        let running = u32::try_from(self.epoch.elapsed().as_secs()).unwrap_or(u32::MAX);
        Clocks { wall: seconds(now.as_secs()), running }
    }

    /// Bytes of all tables.
    pub(super) fn bytes(&self) -> usize {
        self.tables.now().iter().map(Slots::bytes).sum()
    }
}

impl Clocks {
    /// The life of an entry that may be forgotten at `until`.
    fn life(self, until: Timestamp, now: Timestamp) -> Life {
        let rest = u32::try_from(until.since(now).as_secs()).unwrap_or(u32::MAX);
        Life {
            until: seconds(until.as_secs().saturating_add(1)),
            run_until: self.running.saturating_add(rest.saturating_add(1)),
        }
    }
}

impl std::fmt::Debug for Index {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Index").field("len", &self.len()).field("max_entries", &self.max_entries).finish()
    }
}

/// Makes all keys before it asks for the first: asking is so little work that the processor waits for all their words
/// of memory at a time.
fn first_of(
    tables: &[Slots; SHARDS],
    shapes: &[Known],
    issuer: &Digest,
    bearer: &impl Bearer,
) -> Option<Key> {
    let mut keys = [None; AT_ONCE];
    for (key, known) in keys.iter_mut().zip(shapes) {
        *key = key_of(*known, issuer, bearer);
    }
    let issued_at = seconds(bearer.issued_at().as_secs());
    keys.into_iter().zip(shapes).find_map(|(key, known)| {
        let at = tables[key?.shard(SHARDS)].at(key?)?;
        key.filter(|_| issued_at <= at || known.shape.is_for_ever())
    })
}

/// `None` if the shape is of tokens with other facts.
fn key_of(known: Known, issuer: &Digest, bearer: &impl Bearer) -> Option<Key> {
    let mut digest = of_shape(issuer, known.shape);
    let is_meant = known.shape.values(bearer, |value| digest.add(value));
    is_meant.then(|| digest.key(known.number))
}

fn of_shape(issuer: &Digest, shape: Shape) -> Digest {
    let mut digest = issuer.clone();
    digest.add_shape(shape.named, shape.present);
    digest
}

fn seconds(seconds: i64) -> u32 {
    u32::try_from(seconds.max(0)).unwrap_or(u32::MAX)
}

/// Many, so that a table that grows or is swept is small, and few, so that the list of all stays close at hand. A power
/// of two.
const SHARDS: usize = 256;
/// So many keys are asked for at a time.
const AT_ONCE: usize = 8;
/// Issuer, publisher and we may not agree on the time by so many seconds.
const SLACK: u32 = 60;

#[cfg(test)]
mod tests;
