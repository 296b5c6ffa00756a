//! Why a session with the stream ended, in words for the log.

use std::fmt;

/// Why a session ended.
#[derive(Debug)]
pub(super) enum Ended {
    ConnectionLost,
    Silent,
    Gap,
    Overflow,
    Consumer(String),
    Stream(String),
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Ended::ConnectionLost => f.write_str("the connection to NATS was lost"),
            Ended::Silent => f.write_str("NATS sent no heartbeat"),
            Ended::Gap => f.write_str("NATS skipped an event"),
            Ended::Overflow => f.write_str("events came faster than they were applied"),
            Ended::Consumer(why) => write!(f, "the stream can't be read: {why}"),
            Ended::Stream(why) => write!(f, "{why}"),
        }
    }
}
