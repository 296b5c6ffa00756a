//! Trying again: how long after, and what the log hears of it.

use aws_lc_rs::rand;
use std::fmt;
use std::time::Duration;

/// The attempts of a feed to follow its source, since the last one that caught up.
#[derive(Debug, Default)]
pub(super) struct Attempts {
    failures: u32,
    told: Vec<String>,
}

impl Attempts {
    /// One ended, having caught up or not: it is told, and then there is a pause.
    pub(super) async fn ended(&mut self, caught_up: bool, trouble: &(dyn fmt::Display + Sync)) {
        tokio::time::sleep(pause(self.tell(caught_up, trouble))).await;
    }

    /// One line for each new trouble, not for each attempt: servers that are tried in turn may have troubles of their own.
    /// Returns how many have failed since one caught up.
    pub(super) fn tell(&mut self, caught_up: bool, trouble: &dyn fmt::Display) -> u32 {
        if caught_up {
            *self = Attempts::default();
        } else {
            self.failures = self.failures.saturating_add(1);
        }
        let trouble = trouble.to_string();
        if self.told.len() < MOST_TOLD && !self.told.contains(&trouble) {
            tracing::warn!(%trouble, "the revocation feed is interrupted and tries again");
            self.told.push(trouble);
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

/// Lines about one outage.
const MOST_TOLD: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::sink::Sink;

    #[test]
    fn an_outage_is_told_of_by_its_troubles_not_by_its_attempts() {
        let log = Sink::default();
        let writer = log.clone();
        let subscriber =
            tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).finish();
        tracing::subscriber::with_default(subscriber, || {
            let mut attempts = Attempts::default();
            for attempt in 1..=1000 {
                let trouble = ["refused", "silent"][attempt as usize % 2];
                assert_eq!(attempts.tell(false, &trouble), attempt);
            }
            assert_eq!(log.text().lines().count(), 2);
            assert_eq!(attempts.tell(true, &"refused"), 0);
            assert_eq!(log.text().lines().count(), 3, "another outage");
            for attempt in 0..1000 {
                attempts.tell(false, &attempt);
            }
        });
        assert_eq!(log.text().lines().count(), 2 + MOST_TOLD);
    }

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
