//! What this replica knows of the store's past, to notice when the store has lost its memory (RP-006).
//!
//! The store itself tells since when its memory is whole, and that is enough when it was emptied. It is not when
//! only its last writes are gone: another server took over that had not received them all, or the same one came
//! back without its tail, or its clock went back. Then nothing used before this moment is certain.

use super::{Answer, Arrival};
use crate::pop::Timestamp;
use std::time::Duration;

/// What is known so far.
#[derive(Debug, Default)]
pub(super) struct History {
    identity: String,
    since: Option<Timestamp>,
    writes: u64,
    /// The latest time the store's clock has shown.
    latest: Option<Timestamp>,
    /// What happened before this is not certain, whatever the store says of itself.
    floor: Option<Timestamp>,
    /// When that was noticed: the same, but for a clock that went back.
    noticed: Option<Timestamp>,
    /// Whether anything was ever lost under our eyes.
    lost: bool,
}

/// Something was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Loss {
    /// All of it.
    Memory,
    /// Perhaps the last writes.
    Tail,
    /// Perhaps what was forgotten while the clock was ahead.
    Clock,
}

impl Loss {
    pub(super) fn name(self) -> &'static str {
        match self {
            Loss::Memory => "it was emptied or replaced",
            Loss::Tail => "it was restarted or another server took over: its last writes may be missing",
            Loss::Clock => "its clock was set back",
        }
    }
}

impl History {
    /// A connection began.
    pub(super) fn arrived(&mut self, arrival: &Arrival) -> Option<Loss> {
        let known = self.since.is_some();
        let tail = known && (arrival.identity != self.identity || arrival.writes < self.writes);
        let loss = self.note(arrival.since, arrival.at).or(tail.then_some(Loss::Tail));
        if tail {
            self.floor = self.floor.max(Some(arrival.at));
            self.noticed = Some(arrival.at);
        }
        self.identity.clone_from(&arrival.identity);
        self.writes = arrival.writes;
        self.lost |= loss.is_some();
        loss
    }

    /// An answer came. Its `since` and `sure` become what this replica can vouch for.
    pub(super) fn answered(&mut self, answer: &mut Answer) -> Option<Loss> {
        let loss = self.note(answer.since, answer.at);
        answer.since = self.floor.map_or(answer.since, |floor| floor.max(answer.since));
        answer.sure = self.noticed.map_or(answer.sure, |noticed| noticed.max(answer.sure));
        self.lost |= loss.is_some();
        answer.lost = self.lost;
        loss
    }

    /// A connection ended that had seen so many writes.
    pub(super) fn left(&mut self, writes: u64) {
        self.writes = self.writes.max(writes);
    }

    fn note(&mut self, since: Timestamp, at: Timestamp) -> Option<Loss> {
        let emptied = self.since.is_some_and(|known| since > known.plus(TOLERANCE));
        let back = self.latest.filter(|latest| at.plus(ANSWERS_APART) < *latest);
        if emptied || self.since.is_none() {
            self.since = Some(since);
        }
        if back.is_some() {
            (self.floor, self.noticed, self.latest) = (self.floor.max(back), Some(at), Some(at));
        }
        self.latest = self.latest.max(Some(at));
        if emptied { Some(Loss::Memory) } else { back.map(|_| Loss::Clock) }
    }
}

/// How far two readings of the same moment may be apart.
const TOLERANCE: Duration = Duration::from_millis(50);

/// How late an answer may be looked at, behind one that was given after it.
const ANSWERS_APART: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::super::Verdict;
    use super::*;

    const fn at(secs: i64) -> Timestamp {
        Timestamp::from_secs(secs)
    }
    fn arrival(identity: &str, since: i64, now: i64, writes: u64) -> Arrival {
        Arrival { identity: identity.to_owned(), since: at(since), at: at(now), writes }
    }
    fn answer(since: i64, now: i64) -> Answer {
        Answer::new(Verdict::Fresh, at(since), at(now))
    }

    #[test]
    fn the_first_store_is_no_loss_and_the_same_one_again_is_none_either() {
        let mut history = History::default();
        assert_eq!(history.arrived(&arrival("a", 100, 100, 5)), None);
        let mut same = answer(100, 110);
        assert_eq!((history.answered(&mut same), same.since, same.lost), (None, at(100), false));
        history.left(9);
        assert_eq!(history.arrived(&arrival("a", 100, 120, 9)), None);
    }

    #[test]
    fn an_emptied_store_is_noticed_once_and_tells_its_new_age() {
        let mut history = History::default();
        history.arrived(&arrival("a", 100, 100, 0));
        let mut emptied = answer(200, 200);
        assert_eq!((history.answered(&mut emptied), emptied.since), (Some(Loss::Memory), at(200)));
        assert!(emptied.lost);
        assert_eq!(history.answered(&mut answer(200, 201)), None);
    }

    #[test]
    fn who_takes_over_and_who_comes_back_shorter_is_believed_from_then_on_only() {
        for second in [arrival("b", 50, 200, 9), arrival("a", 100, 200, 8)] {
            let mut history = History::default();
            history.arrived(&arrival("a", 100, 100, 0));
            history.left(9);
            assert_eq!(history.arrived(&second), Some(Loss::Tail), "{second:?}");
            let mut later = answer(50, 201);
            assert_eq!((history.answered(&mut later), later.since), (None, at(200)));
        }
    }

    #[test]
    fn a_clock_that_goes_back_raises_the_floor_to_where_it_was() {
        let mut history = History::default();
        history.arrived(&arrival("a", 100, 100, 0));
        history.answered(&mut answer(100, 4000));
        let mut back = answer(100, 400);
        assert_eq!((history.answered(&mut back), back.since), (Some(Loss::Clock), at(4000)));
        assert_eq!(back.sure, at(400), "a nonce from then on tells");
        let mut on = answer(100, 401);
        assert_eq!((history.answered(&mut on), on.since, on.sure), (None, at(4000), at(400)));
    }
}
