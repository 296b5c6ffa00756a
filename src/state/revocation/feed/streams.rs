//! Which transmitters' streams say that they are silent: paused or disabled (SSF section 8.1.5).
//!
//! Whoever knows that events are held back does not know what is revoked: that is the same as a feed that is cut off
//! (SSF-14; RV-024). The latest word on a stream counts, in whatever order words come.

use crate::pop::Timestamp;
use crate::state::revocation::event::effects::Stream;
use parking_lot::Mutex;
use std::collections::HashMap;

/// The streams that were ever spoken of.
#[derive(Debug, Default)]
pub(super) struct Streams(Mutex<HashMap<(String, String), Word>>);

#[derive(Clone, Copy, Debug)]
struct Word {
    at: Timestamp,
    is_silent: bool,
}

impl Streams {
    /// Takes a word on a stream, and says so in the log if something changes. Of two of the same second the one that
    /// comes later counts.
    pub(super) fn updated(&self, stream: Stream) {
        let Stream { transmitter, id, at, is_silent } = stream;
        let mut streams = self.0.lock();
        let key = (transmitter, id);
        let known = streams.get(&key).copied();
        if known.is_some_and(|known| known.at > at) || (known.is_none() && streams.len() >= MOST) {
            return;
        }
        let (transmitter, id) = (key.0.clone(), key.1.clone());
        let since = known.filter(|known| known.is_silent && is_silent).map_or(at, |known| known.at);
        streams.insert(key, Word { at: if is_silent { since } else { at }, is_silent });
        drop(streams);
        match (known.is_some_and(|known| known.is_silent), is_silent) {
            (false, true) => {
                tracing::warn!(
                    transmitter,
                    stream = id,
                    "a transmitter has paused its stream: no revocation comes"
                );
            }
            (true, false) => tracing::warn!(transmitter, stream = id, "the transmitter's stream runs again"),
            (false, false) | (true, true) => {}
        }
    }

    /// Since when a stream has been silent; the longest of them.
    pub(super) fn silent_since(&self) -> Option<Timestamp> {
        self.0.lock().values().filter(|word| word.is_silent).map(|word| word.at).min()
    }
}

/// A transmitter has one stream for us, or a few.
const MOST: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn word(id: &str, at: i64, is_silent: bool) -> Stream {
        let at = Timestamp::from_secs(at);
        Stream { transmitter: "https://as.example.com".to_owned(), id: id.to_owned(), at, is_silent }
    }

    /// RV-024, SSF-14
    #[test]
    fn the_latest_word_counts_and_one_silent_stream_is_enough() {
        let streams = Streams::default();
        let since = || streams.silent_since().map(Timestamp::as_secs);
        assert_eq!(since(), None);
        streams.updated(word("a", 10, true));
        streams.updated(word("b", 20, true));
        assert_eq!(since(), Some(10));
        streams.updated(word("a", 30, true));
        assert_eq!(since(), Some(10), "paused, then disabled: silent since the first");
        streams.updated(word("a", 9, false));
        assert_eq!(since(), Some(10), "an old word");
        streams.updated(word("a", 40, false));
        assert_eq!(since(), Some(20));
        streams.updated(word("b", 20, false));
        assert_eq!(since(), None, "in the same second, but later");
    }
}
