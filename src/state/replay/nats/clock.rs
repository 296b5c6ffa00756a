//! The server's clock, read when it told the time and carried on by our monotonic one.

use crate::pop::Timestamp;
use std::time::Instant;

/// What the server's clock showed at some moment between two of ours.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    told: Timestamp,
    asked: Instant,
    answered: Instant,
}

impl Clock {
    /// The server told this time in an answer to a question that was sent at `asked`; the answer is here now.
    pub(super) fn read(told: Timestamp, asked: Instant) -> Clock {
        Clock { told, asked, answered: Instant::now() }
    }

    /// It is no earlier than this there.
    pub(super) fn at_least(&self) -> Timestamp {
        self.told.plus(self.answered.elapsed())
    }

    /// It is no later than this there.
    pub(super) fn at_most(&self) -> Timestamp {
        self.told.plus(self.asked.elapsed())
    }
}

/// A time as JetStream writes it (RFC 3339, UTC).
pub(super) fn parse(text: &str) -> Option<Timestamp> {
    humantime::parse_rfc3339(text).ok().map(Timestamp::from_system)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn the_time_lies_between_the_bounds() {
        let clock = Clock::read(Timestamp::from_secs(1000), Instant::now() - Duration::from_millis(300));
        assert!(clock.at_least() >= Timestamp::from_secs(1000));
        assert!(clock.at_most() >= Timestamp::from_millis(1_000_300));
        assert!(clock.at_least() < clock.at_most());
    }

    #[test]
    fn nanoseconds_are_read_as_milliseconds() {
        assert_eq!(parse("2026-11-21T06:37:47.123456789Z"), Some(Timestamp::from_millis(1_795_243_067_123)));
        assert_eq!(parse("yesterday"), None);
    }
}
