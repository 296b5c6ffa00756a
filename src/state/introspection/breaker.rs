//! The circuit breaker: a server that keeps failing is left alone for a while, and nobody waits for it meanwhile.
//!
//! After so many failures in a row it opens. Then one request at a time may try, at first after a second and after
//! every further failure twice as late; the first success closes it. A try that never ends is no harm: the next
//! one comes when its time has come. Pure: the time and the jitter are parameters.

use parking_lot::Mutex;
use std::time::{Duration, Instant};

/// The breaker in front of one server.
#[derive(Debug, Default)]
pub(super) struct Breaker(Mutex<State>);

#[derive(Debug)]
enum State {
    /// Everybody may ask; this many have failed in a row.
    Closed { failures: u32 },
    /// Nobody may ask before `until`, and then one. It has opened this many times in a row.
    Open { until: Instant, opened: u32 },
}

impl Default for State {
    fn default() -> State {
        State::Closed { failures: 0 }
    }
}

impl Breaker {
    /// Whether one may ask now.
    pub(super) fn admits(&self, now: Instant) -> bool {
        let mut state = self.0.lock();
        match &mut *state {
            State::Closed { .. } => true,
            State::Open { until, .. } if now < *until => false,
            State::Open { until, opened } => {
                *until = now + wait(*opened); // for whoever comes while this one tries
                true
            }
        }
    }

    /// The server answered. Whether that closed the breaker.
    pub(super) fn succeeded(&self) -> bool {
        let before = std::mem::take(&mut *self.0.lock());
        matches!(before, State::Open { .. })
    }

    /// The server failed. Whether that opened the breaker; `jitter`, from 0 to 1, keeps replicas apart.
    pub(super) fn failed(&self, now: Instant, jitter: f64) -> bool {
        let mut state = self.0.lock();
        let opened = match *state {
            State::Closed { failures } if failures + 1 < PATIENCE => {
                *state = State::Closed { failures: failures + 1 };
                return false;
            }
            State::Closed { .. } => 0,
            State::Open { opened, .. } => opened + 1,
        };
        let until = now + wait(opened).mul_f64(1.0 + jitter.clamp(0.0, 1.0) / 4.0);
        *state = State::Open { until, opened };
        opened == 0
    }
}

/// How long it stays open for the nth time, the first being 0.
fn wait(opened: u32) -> Duration {
    FIRST_WAIT.saturating_mul(2_u32.saturating_pow(opened)).min(LONGEST_WAIT)
}

/// Failures in a row that open it.
const PATIENCE: u32 = 5;
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const MILLI: Duration = Duration::from_millis(1);

    fn opened(now: Instant) -> Breaker {
        let breaker = Breaker::default();
        let opens: Vec<bool> = (0..PATIENCE).map(|_| breaker.failed(now, 0.0)).collect();
        assert_eq!(opens, [false, false, false, false, true]);
        breaker
    }

    #[test]
    fn failures_in_a_row_open_it_and_others_do_not() {
        let (breaker, now) = (Breaker::default(), Instant::now());
        for _ in 0..20 {
            for _ in 1..PATIENCE {
                breaker.failed(now, 0.0);
                assert!(breaker.admits(now));
            }
            assert!(!breaker.succeeded(), "it was closed");
        }
        assert!(!opened(now).admits(now));
    }

    #[test]
    fn when_the_time_has_come_one_may_try() {
        let now = Instant::now();
        let breaker = opened(now);
        assert!(!breaker.admits(now + SECOND - MILLI));
        assert!(breaker.admits(now + SECOND));
        assert!(!breaker.admits(now + SECOND), "another one tries already");
        assert!(breaker.admits(now + 2 * SECOND), "which was lost, it seems");
        assert!(breaker.succeeded());
        assert!(breaker.admits(now + SECOND) && breaker.admits(now + SECOND));
    }

    #[test]
    fn each_failed_try_doubles_the_wait_up_to_a_bound() {
        let mut now = Instant::now();
        let breaker = opened(now);
        for seconds in [1, 2, 4, 8, 16, 30, 30] {
            assert!(!breaker.admits(now + seconds * SECOND - MILLI), "{seconds}");
            now += seconds * SECOND;
            assert!(breaker.admits(now), "{seconds}");
            assert!(!breaker.failed(now, 0.0), "it was open");
        }
        breaker.succeeded();
        assert!(!breaker.failed(now, 0.0) && breaker.admits(now), "all is forgotten");
    }

    #[test]
    fn jitter_only_lengthens() {
        let now = Instant::now();
        let breaker = Breaker::default();
        for _ in 0..PATIENCE {
            breaker.failed(now, 1.0);
        }
        assert!(!breaker.admits(now + SECOND) && breaker.admits(now + SECOND + SECOND / 4));
        assert_eq!(wait(u32::MAX), LONGEST_WAIT);
    }
}
