//! Log lines that say the same again: the first ones are written, the rest are counted.
//!
//! The same is: refused for the same reason, on the same route, to the same peer address. Whoever is refused a thousand times
//! a second would otherwise drown everybody else's lines. Metrics and the audit log have every decision all the same.
//! What is remembered is bounded, whatever comes: two that fall on the same place take turns.

use super::Record;
use super::suspicious::network;
use crate::pop::Denial;
use parking_lot::Mutex;
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// What was written lately.
#[derive(Debug)]
pub(super) struct Repeats {
    most: u32,
    hasher: RandomState,
    places: Box<[Mutex<Place>]>,
}

#[derive(Debug, Default)]
struct Place {
    same: u64,
    until: Option<Instant>,
    lines: u32,
    left_out: u64,
}

/// What becomes of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// It is written; so many like it, or others in its place, were left out before.
    Written { left_out: u64 },
    /// It is written, as the first one or another, and the next ones like it will not be for a while.
    Last { left_out: u64 },
    /// It is left out.
    LeftOut,
}

impl Repeats {
    /// Up to `most` lines in ten seconds; 0 leaves out none.
    pub(super) fn up_to(most: u32) -> Repeats {
        let places = (0..if most == 0 { 0 } else { PLACES }).map(|_| Mutex::default()).collect();
        Repeats { most, hasher: RandomState::new(), places }
    }

    /// What becomes of the line about this refusal.
    pub(super) fn judge(&self, record: &Record<'_>, now: Instant) -> Line {
        let reason = record.denial().map_or("", Denial::reason);
        self.judge_words(reason, record.route, record.peer.ip(), now)
    }

    /// The same of anything that is said of a peer, in these words.
    pub(super) fn judge_words(&self, reason: &str, route: Option<&str>, peer: IpAddr, now: Instant) -> Line {
        if self.most == 0 {
            return Line::Written { left_out: 0 };
        }
        let same = self.hasher.hash_one((reason, route, network(peer)));
        let at = usize::try_from(same % PLACES as u64).unwrap_or_default();
        let mut place = self.places[at].lock();
        if place.same != same || place.until.is_none_or(|until| now >= until) {
            let left_out = place.left_out;
            *place = Place { same, until: Some(now + WINDOW), lines: 1, left_out: 0 };
            return if self.most == 1 { Line::Last { left_out } } else { Line::Written { left_out } };
        }
        place.lines = place.lines.saturating_add(1);
        match place.lines.cmp(&self.most) {
            std::cmp::Ordering::Less => Line::Written { left_out: 0 },
            std::cmp::Ordering::Equal => Line::Last { left_out: 0 },
            std::cmp::Ordering::Greater => {
                place.left_out += 1;
                Line::LeftOut
            }
        }
    }
}

/// How long lines are counted together.
const WINDOW: Duration = Duration::from_secs(10);
/// How many different ones are counted at a time.
const PLACES: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pop::Denial;
    use crate::telemetry::RequestId;

    fn refusal(denial: Denial, peer: [u8; 4]) -> Record<'static> {
        Record {
            request: RequestId::random(),
            generation: 1,
            because: None,
            host: None,
            method: "GET",
            target: None,
            route: Some("/a"),
            peer: (peer, 1).into(),
            scheme: None,
            proof: None,
            token: None,
            revocation: None,
            revoked_by: None,
            verdict: Err(denial),
            elapsed: Duration::ZERO,
        }
    }

    #[test]
    fn after_some_the_rest_is_counted_and_told_later() {
        let repeats = Repeats::up_to(3);
        let now = Instant::now();
        let judge = |now| repeats.judge(&refusal(Denial::ProofReplayed, [192, 0, 2, 1]), now);
        let first: Vec<Line> = (0..5).map(|_| judge(now)).collect();
        let written = Line::Written { left_out: 0 };
        assert_eq!(first, [written, written, Line::Last { left_out: 0 }, Line::LeftOut, Line::LeftOut]);
        assert_eq!(repeats.judge(&refusal(Denial::ProofExpired, [192, 0, 2, 1]), now), written);
        assert_eq!(repeats.judge(&refusal(Denial::ProofReplayed, [192, 0, 2, 2]), now), written);
        assert_eq!(judge(now + WINDOW), Line::Written { left_out: 2 });
        assert_eq!(judge(now + WINDOW), written);
    }

    #[test]
    fn none_is_left_out_where_nobody_wants_that() {
        let repeats = Repeats::up_to(0);
        let all =
            (0..100).map(|_| repeats.judge(&refusal(Denial::ProofReplayed, [1, 2, 3, 4]), Instant::now()));
        assert!(all.into_iter().all(|line| line == Line::Written { left_out: 0 }));
    }
}
