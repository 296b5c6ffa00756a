//! Trying again: how long after, and what the log hears of it.

use aws_lc_rs::rand;
use std::fmt;
use std::time::Duration;

/// The attempts of a feed to follow its source, since the last one that caught up.
#[derive(Debug, Default)]
pub(super) struct Attempts {
    failures: u32,
    told: String,
}

impl Attempts {
    /// One ended, having caught up or not: it is told, and then there is a pause.
    pub(super) async fn ended(&mut self, caught_up: bool, trouble: &(dyn fmt::Display + Sync)) {
        tokio::time::sleep(pause(self.tell(caught_up, trouble))).await;
    }

    /// One line for each new trouble, not for each attempt. Returns how many have failed since one caught up.
    pub(super) fn tell(&mut self, caught_up: bool, trouble: &dyn fmt::Display) -> u32 {
        self.failures = if caught_up { 0 } else { self.failures.saturating_add(1) };
        let trouble = trouble.to_string();
        if caught_up || self.told != trouble {
            tracing::warn!(%trouble, "the revocation feed is interrupted and tries again");
            self.told = trouble;
        }
        self.failures
    }
}

/// 10, 20, 40 ... milliseconds, at most one second; less up to a half, so that replicas do not come at once.
pub(super) fn pause(failures: u32) -> Duration {
    let pause = Duration::from_millis(10 << failures.min(7)).min(Duration::from_secs(1));
    let mut random = [0; 1];
    let _ = rand::fill(&mut random);
    pause.mul_f64(1.0 - f64::from(random[0]) / 512.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_are_bounded_and_differ() {
        for failures in [0, 1, 5, 7, 8, u32::MAX] {
            let most = Duration::from_millis(10 << failures.min(7)).min(Duration::from_secs(1));
            for _ in 0..50 {
                assert!((most / 2..=most).contains(&pause(failures)), "{failures}");
            }
        }
        let distinct: std::collections::HashSet<Duration> = (0..50).map(|_| pause(9)).collect();
        assert!(distinct.len() > 5);
    }
}
