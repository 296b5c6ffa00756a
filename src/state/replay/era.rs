//! The time that a replay memory can speak for: what was used before it began, it does not know (RP-005).
//!
//! A proof that was made after the memory began can't have been used before, so only older ones are in doubt. They
//! are not refused for good but asked to come back with a nonce of this moment (RFC 9449 section 8), which says
//! when a proof was made. `iat` says it in whole seconds of the caller's clock, and there lies the difficulty: was
//! a proof of the second in which we started made before or after? After an orderly end it was made after,
//! because the life before ours waited until no proof it had admitted could be taken for a new one. After anything
//! else it may be either, and so may one from a clock that is ahead of ours: doubt asks for the nonce.

use crate::pop::Timestamp;
use crate::pop::dpop::Proof;
use std::sync::atomic::{AtomicI64, Ordering::Relaxed};
use std::time::Duration;

/// How the life before this one ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Before {
    /// In order, or there was none.
    Orderly,
    /// Nobody knows.
    Unknown,
}

/// The time since a replay memory began.
#[derive(Debug)]
pub struct Era {
    began: Timestamp,
    /// Proofs whose `iat` is not later than this second may have been used before.
    doubtful: i64,
    /// The latest `iat` that was admitted, in seconds.
    latest: AtomicI64,
}

impl Era {
    /// Begins now. `max_future`: how far ahead of ours a caller's clock may be.
    pub fn begin(now: Timestamp, before: Before, max_future: Duration) -> Era {
        let doubtful = match before {
            Before::Orderly => now.as_secs() - 1,
            Before::Unknown => now.plus(max_future).as_secs(),
        };
        Era { began: now, doubtful, latest: AtomicI64::new(i64::MIN) }
    }

    /// Whether the proof may have been used before this began. A nonce of this process is younger than that
    /// whatever the clock has done since; one of another replica is if its clock can't be wrong by as much.
    pub fn doubts(&self, proof: &Proof) -> bool {
        match proof.nonce() {
            Some(nonce) if nonce.ours => false,
            Some(nonce) => nonce.issued_at < self.began.plus(REPLICAS_CLOCKS),
            None => proof.issued_at().as_secs() <= self.doubtful,
        }
    }

    /// A proof was admitted.
    pub fn admitted(&self, proof: &Proof) {
        let issued = proof.issued_at().as_secs();
        if issued > self.latest.load(Relaxed) {
            self.latest.fetch_max(issued, Relaxed);
        }
    }

    /// From when on nothing that was admitted can be taken for a proof made later: an orderly end waits for it.
    pub fn settled_at(&self) -> Timestamp {
        Timestamp::from_secs(self.latest.load(Relaxed).saturating_add(1))
    }
}

/// How far the clocks of two replicas may lie apart.
pub(super) const REPLICAS_CLOCKS: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pop::forge::{self, DPOP_ONLY, NOW, URL};

    /// A proof made this many seconds after the tests' instant, without a nonce.
    fn proof(seconds: i64) -> Proof {
        let jwt = forge::token(|_, _| ());
        let proof = forge::proof(&jwt, |_, claims| claims["iat"] = (NOW.as_secs() + seconds).into());
        let fields = [("authorization", format!("DPoP {jwt}")), ("dpop", proof)];
        let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let verified = forge::verdict(DPOP_ONLY, &forge::parts("GET", URL, &fields), None).unwrap();
        verified.proof().unwrap().clone()
    }

    const AHEAD: Duration = Duration::from_secs(5);

    #[test]
    fn after_an_orderly_end_only_older_seconds_are_in_doubt() {
        let era = Era::begin(NOW, Before::Orderly, AHEAD);
        assert!(era.doubts(&proof(-1)));
        assert!(!era.doubts(&proof(0)) && !era.doubts(&proof(5)));
    }

    #[test]
    fn after_a_crash_so_is_what_a_fast_clock_may_have_made() {
        let era = Era::begin(NOW, Before::Unknown, AHEAD);
        assert!(era.doubts(&proof(0)) && era.doubts(&proof(5)));
        let earlier = Era::begin(Timestamp::from_secs(NOW.as_secs() - 1), Before::Unknown, AHEAD);
        assert!(earlier.doubts(&proof(4)) && !earlier.doubts(&proof(5)));
    }

    #[test]
    fn an_orderly_end_waits_for_the_latest_second_that_was_admitted() {
        let era = Era::begin(NOW, Before::Orderly, AHEAD);
        assert!(era.settled_at() < NOW);
        era.admitted(&proof(3));
        era.admitted(&proof(1));
        let settled = era.settled_at();
        assert_eq!(settled.as_secs(), NOW.as_secs() + 4);
        assert!(Era::begin(settled, Before::Orderly, AHEAD).doubts(&proof(3)));
    }
}
