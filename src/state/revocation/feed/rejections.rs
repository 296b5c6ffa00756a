//! What is said of events that can't be acted on: every one is counted, few are worth a line.
//!
//! The backlog is read again at every start, with all that was ever bad in it: that makes one line, when it
//! has been applied. Afterwards each bad event is news, but whoever floods the feed must not flood the log:
//! one line a second for each reason, which says how many others there were.

use crate::state::revocation::event::Refusal;
use parking_lot::Mutex;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// The rejected events of the one feed.
#[derive(Debug)]
pub(super) struct Rejections {
    counts: [AtomicU64; Refusal::ALL.len()],
    /// The place of the first one, while the backlog is read.
    first: Mutex<Option<String>>,
    live: AtomicBool,
    lines: Mutex<[Line; Refusal::ALL.len()]>,
    untold: AtomicBool,
}

/// The line for one reason.
#[derive(Clone, Copy, Debug, Default)]
struct Line {
    last: Option<Instant>,
    suppressed: u64,
}

impl Default for Rejections {
    fn default() -> Rejections {
        Rejections {
            counts: [const { AtomicU64::new(0) }; Refusal::ALL.len()],
            first: Mutex::default(),
            live: AtomicBool::default(),
            lines: Mutex::new([Line::default(); Refusal::ALL.len()]),
            untold: AtomicBool::default(),
        }
    }
}

impl Rejections {
    pub(super) fn count(&self, refusal: Refusal) -> u64 {
        self.counts[refusal as usize].load(Relaxed)
    }

    /// Counts one, and says so if it is news. `place` is where to find it: never what it holds.
    pub(super) fn add(&self, refusal: Refusal, place: &dyn fmt::Display, now: Instant) {
        self.counts[refusal as usize].fetch_add(1, Relaxed);
        if !self.live.load(Relaxed) {
            self.first.lock().get_or_insert_with(|| place.to_string());
            return;
        }
        let mut lines = self.lines.lock();
        let line = &mut lines[refusal as usize];
        if line.last.is_some_and(|last| now.saturating_duration_since(last) < PAUSE) {
            line.suppressed += 1;
            self.untold.store(true, Relaxed);
            return;
        }
        let suppressed = std::mem::take(&mut line.suppressed);
        line.last = Some(now);
        drop(lines);
        let (reason, why) = (refusal.reason(), refusal.description());
        tracing::warn!(%place, reason, why, suppressed, "a revocation event was rejected");
    }

    /// The feed has handed on all it had: sums up the backlog the first time, later what was suppressed.
    pub(super) fn caught_up(&self, now: Instant) {
        if !self.live.load(Relaxed) && !self.live.swap(true, Relaxed) {
            self.sum_up();
        }
        if self.untold.load(Relaxed) {
            self.tell_suppressed(now);
        }
    }

    fn sum_up(&self) {
        let Some(first) = self.first.lock().take() else { return };
        let found = Refusal::ALL.iter().map(|refusal| (refusal.reason(), self.count(*refusal)));
        let found: Vec<(&str, u64)> = found.filter(|(_, count)| *count > 0).collect();
        let rejected: u64 = found.iter().map(|(_, count)| count).sum();
        let reasons: Vec<String> = found.iter().map(|(reason, count)| format!("{reason}={count}")).collect();
        let reasons = reasons.join(" ");
        tracing::warn!(rejected, reasons, first, "the backlog holds revocation events that were rejected");
    }

    /// One line for each reason whose last line is a second old.
    fn tell_suppressed(&self, now: Instant) {
        self.untold.store(false, Relaxed);
        let mut due = Vec::new();
        for (refusal, line) in Refusal::ALL.iter().zip(self.lines.lock().iter_mut()) {
            if line.suppressed == 0 {
                continue;
            }
            if line.last.is_some_and(|last| now.saturating_duration_since(last) < PAUSE) {
                self.untold.store(true, Relaxed);
                continue;
            }
            line.last = Some(now);
            due.push((refusal, std::mem::take(&mut line.suppressed)));
        }
        for (refusal, suppressed) in due {
            let (reason, why) = (refusal.reason(), refusal.description());
            tracing::warn!(reason, why, suppressed, "more revocation events were rejected");
        }
    }
}

/// Between two lines for one reason.
const PAUSE: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::sink::Sink;

    /// The lines logged meanwhile.
    fn logged(act: impl FnOnce(&Rejections, Instant)) -> Vec<String> {
        let log = Sink::default();
        let writer = log.clone();
        let subscriber =
            tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).finish();
        tracing::subscriber::with_default(subscriber, || act(&Rejections::default(), Instant::now()));
        log.text().lines().map(str::to_owned).collect()
    }

    #[test]
    fn a_backlog_makes_one_line_and_a_clean_one_none() {
        let lines = logged(|rejections, now| {
            for at in 0..500 {
                rejections.add(Refusal::IssuerUnknown, &format_args!("byte {at}"), now);
            }
            rejections.add(Refusal::TooLong, &"byte 500", now);
            rejections.caught_up(now);
            rejections.caught_up(now);
            assert_eq!(
                (rejections.count(Refusal::IssuerUnknown), rejections.count(Refusal::TooLong)),
                (500, 1)
            );
        });
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert!(lines[0].contains("WARN") && lines[0].contains("rejected=501"), "{lines:?}");
        assert!(lines[0].contains(r#"reasons="too_long=1 issuer_unknown=500" first="byte 0""#), "{lines:?}");
        assert!(logged(|rejections, now| rejections.caught_up(now)).is_empty());
    }

    #[test]
    fn live_events_make_a_line_a_second_for_each_reason() {
        let lines = logged(|rejections, now| {
            rejections.caught_up(now);
            for _ in 0..100 {
                rejections.add(Refusal::Plain, &"byte 1", now);
            }
            rejections.add(Refusal::At, &"byte 2", now);
            rejections.caught_up(now);
            rejections.add(Refusal::Plain, &"byte 3", now + PAUSE);
        });
        assert_eq!(lines.len(), 3, "{lines:?}");
        assert!(lines[0].contains("plain_not_accepted") && lines[0].contains("suppressed=0"), "{lines:?}");
        assert!(lines[1].contains("at_invalid"), "{lines:?}");
        assert!(lines[2].contains("place=byte 3") && lines[2].contains("suppressed=99"), "{lines:?}");
    }

    #[test]
    fn what_was_suppressed_is_told_when_nothing_follows() {
        let lines = logged(|rejections, now| {
            rejections.caught_up(now);
            rejections.add(Refusal::Plain, &"byte 1", now);
            rejections.add(Refusal::Plain, &"byte 2", now);
            rejections.caught_up(now);
            rejections.caught_up(now + PAUSE);
            rejections.caught_up(now + 3 * PAUSE);
        });
        assert_eq!(lines.len(), 2, "{lines:?}");
        assert!(lines[1].contains("suppressed=1"), "{lines:?}");
    }
}
