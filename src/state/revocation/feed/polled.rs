//! Which transmitters are polled, and when each has last told all it had.
//!
//! What one holds that can't be asked is not known here, as if the feed were silent; and before each has been asked once,
//! nobody knows what was revoked.

use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The polled transmitters.
#[derive(Debug, Default)]
pub(in crate::state::revocation) struct Polled(Mutex<HashMap<Arc<str>, Word>>);

#[derive(Clone, Copy, Debug)]
struct Word {
    /// The last complete one, or when it was first expected.
    at: Instant,
    ever: bool,
}

impl Polled {
    /// This one is going to be polled.
    pub(in crate::state::revocation) fn expect(&self, transmitter: &Arc<str>) {
        self.0.lock().insert(Arc::clone(transmitter), Word { at: Instant::now(), ever: false });
    }

    /// All that it had is on the feed.
    pub(in crate::state::revocation) fn complete(&self, transmitter: &Arc<str>) {
        self.0.lock().insert(Arc::clone(transmitter), Word { at: Instant::now(), ever: true });
    }

    /// How long ago the one told all whose word is the oldest.
    pub(super) fn longest_silence(&self) -> Option<Duration> {
        self.0.lock().values().map(|word| word.at.elapsed()).max()
    }

    /// Whether one of them has never told anything.
    pub(super) fn is_awaited(&self) -> bool {
        self.0.lock().values().any(|word| !word.ever)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_has_to_be_heard() {
        let polled = Polled::default();
        assert!(!polled.is_awaited() && polled.longest_silence().is_none());
        let (one, other) = (Arc::from("one"), Arc::from("other"));
        polled.expect(&one);
        polled.expect(&other);
        polled.complete(&one);
        assert!(polled.is_awaited());
        let since_other = polled.0.lock()[&other].at;
        assert!(polled.longest_silence().unwrap() >= polled.0.lock()[&one].at - since_other);
        polled.complete(&other);
        assert!(!polled.is_awaited());
    }
}
