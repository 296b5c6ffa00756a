//! What became of the last events, for whoever asks whether this replica had one.
//!
//! Bounded, and cheap enough for every event of a flood: an id is remembered as a digest under a secret of this
//! process, an applied event is moved in as it is, and the place of an event is put in words only when it is news. Does
//! not decide anything: what is forgotten here is revoked all the same.

use super::event::{Event, Refusal};
use crate::pop::Timestamp;
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::fmt;
use std::hash::{BuildHasher, RandomState};

/// The last events.
#[derive(Default)]
pub(super) struct Recent {
    secret: RandomState,
    memory: Mutex<Memory>,
}

#[derive(Default)]
struct Memory {
    seen: VecDeque<(u64, Seen)>,
    applied: VecDeque<Applied>,
}

/// What became of one event at this replica.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Applied, or not.
    pub outcome: Outcome,
    /// When this replica had it.
    pub at: Timestamp,
    /// Where the feed has it; not known of what was in the backlog.
    pub place: Option<Box<str>>,
}

/// What became of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// What it names is revoked.
    Applied,
    /// There was nothing to do, for a reason of a closed set.
    Ignored(&'static str),
    /// It can't be acted on.
    Rejected(Refusal),
}

/// An event that was applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    /// What it said.
    pub event: Event,
    /// When this replica had it.
    pub at: Timestamp,
}

impl Outcome {
    /// In `/revocations` and as a metric label.
    pub fn name(self) -> &'static str {
        match self {
            Outcome::Applied => "applied",
            Outcome::Ignored(_) => "ignored",
            Outcome::Rejected(_) => "rejected",
        }
    }

    /// Why it is not applied; of a closed set.
    pub fn reason(self) -> Option<&'static str> {
        match self {
            Outcome::Applied => None,
            Outcome::Ignored(reason) => Some(reason),
            Outcome::Rejected(refusal) => Some(refusal.reason()),
        }
    }
}

impl Recent {
    /// An event that was read. `place` is given of news only.
    pub(super) fn read(
        &self,
        event: Event,
        outcome: Outcome,
        at: Timestamp,
        place: Option<&dyn fmt::Display>,
    ) {
        let (digest, seen) = (self.digest(&event.id), seen(outcome, at, place));
        let mut memory = self.memory.lock();
        push(&mut memory.seen, (digest, seen), REMEMBERED);
        if outcome == Outcome::Applied {
            push(&mut memory.applied, Applied { event, at }, LISTED);
        }
    }

    /// One that can't be acted on and yet says what it is called.
    pub(super) fn rejected(
        &self,
        id: &str,
        refusal: Refusal,
        at: Timestamp,
        place: Option<&dyn fmt::Display>,
    ) {
        let (digest, seen) = (self.digest(id), seen(Outcome::Rejected(refusal), at, place));
        push(&mut self.memory.lock().seen, (digest, seen), REMEMBERED);
    }

    /// What became of the event of this name; the last one, if several had it.
    pub(super) fn find(&self, id: &str) -> Option<Seen> {
        let digest = self.digest(id);
        let memory = self.memory.lock();
        memory.seen.iter().rev().find(|(known, _)| *known == digest).map(|(_, seen)| seen.clone())
    }

    /// The last events that were applied, the latest first.
    pub(super) fn applied(&self) -> Vec<Applied> {
        self.memory.lock().applied.iter().rev().cloned().collect()
    }

    fn digest(&self, id: &str) -> u64 {
        self.secret.hash_one(id)
    }
}

impl fmt::Debug for Recent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recent").field("seen", &self.memory.lock().seen.len()).finish_non_exhaustive()
    }
}

fn seen(outcome: Outcome, at: Timestamp, place: Option<&dyn fmt::Display>) -> Seen {
    Seen { outcome, at, place: place.map(|place| place.to_string().into_boxed_str()) }
}

fn push<T>(queue: &mut VecDeque<T>, item: T, bound: usize) {
    if queue.len() == bound {
        queue.pop_front();
    }
    queue.push_back(item);
}

/// Events whose fate is remembered: more than anybody publishes while somebody waits for the answer about one.
pub(super) const REMEMBERED: usize = 4096;
/// Events that are listed.
pub(super) const LISTED: usize = 100;

#[cfg(test)]
mod tests {
    use super::*;

    fn event(id: &str) -> Event {
        Event { id: id.to_owned(), at: Timestamp::from_secs(1), until: None, told: None, revokes: Vec::new() }
    }

    const NOW: Timestamp = Timestamp::from_millis(1_732_147_200_123);

    #[test]
    fn the_last_word_about_a_name_counts() {
        let recent = Recent::default();
        assert_eq!(recent.find("e"), None);
        recent.rejected("e", Refusal::IssuerUnknown, NOW, Some(&"byte 7"));
        let seen = recent.find("e").unwrap();
        assert_eq!((seen.outcome.name(), seen.outcome.reason()), ("rejected", Some("issuer_unknown")));
        assert_eq!((seen.at, seen.place.as_deref()), (NOW, Some("byte 7")));
        recent.read(event("e"), Outcome::Ignored("over"), NOW, None);
        assert_eq!(recent.find("e").unwrap().outcome, Outcome::Ignored("over"));
        assert!(recent.applied().is_empty());
        recent.read(event("e"), Outcome::Applied, NOW, None);
        assert_eq!(recent.find("e").unwrap().outcome, Outcome::Applied);
        assert_eq!(recent.applied(), [Applied { event: event("e"), at: NOW }]);
    }

    #[test]
    fn only_the_last_ones_are_remembered() {
        let recent = Recent::default();
        for n in 0..=REMEMBERED {
            recent.read(event(&n.to_string()), Outcome::Applied, NOW, None);
        }
        assert_eq!(recent.find("0"), None);
        assert!(recent.find("1").is_some());
        let applied = recent.applied();
        assert_eq!((applied.len(), applied[0].event.id.as_str()), (LISTED, "4096"));
    }
}
