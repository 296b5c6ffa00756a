//! How far the stream has been applied: what a snapshot carries, and when it means nothing any more.

use super::Position;
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{Acquire, Release};

/// The position as others may read it. It never names an event that has not been applied.
#[derive(Debug, Default)]
pub(in super::super) struct Mark {
    /// When the stream was created. Held while the sequence begins anew, so that the two always belong together.
    stream: Mutex<Option<String>>,
    sequence: AtomicU64,
}

impl Mark {
    /// The last event that has been applied, with all before it; 0 before the first.
    pub(in super::super) fn sequence(&self) -> u64 {
        self.sequence.load(Acquire)
    }

    /// Eight bytes of sequence, then the stream's time of creation. `None` before a stream was seen.
    pub(in super::super) fn to_bytes(&self) -> Option<Vec<u8>> {
        let stream = self.stream.lock();
        let mut bytes = self.sequence.load(Acquire).to_le_bytes().to_vec();
        bytes.extend(stream.as_ref()?.as_bytes());
        Some(bytes)
    }
}

impl Position {
    /// What [`Mark::to_bytes`] wrote.
    pub(in super::super) fn from_bytes(bytes: &[u8]) -> Option<Position> {
        let (sequence, stream) = bytes.split_first_chunk::<8>()?;
        let sequence = u64::from_le_bytes(*sequence);
        let stream = Some(std::str::from_utf8(stream).ok()?.to_owned());
        let mark = Mark { stream: Mutex::new(stream.clone()), sequence: sequence.into() };
        Some(Position { stream, sequence, mark: Arc::new(mark), ..Position::default() })
    }

    /// To be read by others, as long as they like.
    pub(in super::super) fn mark(&self) -> Arc<Mark> {
        Arc::clone(&self.mark)
    }

    /// Goes back to the start if this is another stream than before, or if it has dropped events that were never read
    /// (ATTACKS RV-026): then all that is left of it is read, and only then has the feed caught up.
    pub(super) fn place(&mut self, name: &str, created: &str, first: u64, last: u64) {
        let is_known = self.stream.is_some();
        let is_same = self.stream.as_deref() == Some(created) && last >= self.sequence;
        let dropped = first.saturating_sub(self.sequence.saturating_add(1));
        if is_same && (self.sequence == 0 || dropped == 0) {
            return;
        }
        if is_same {
            let unseen = dropped;
            tracing::warn!(
                stream = name,
                unseen,
                "the stream has dropped revocation events that were never read: all that it retains is read again"
            );
        } else if is_known {
            tracing::warn!(stream = name, "the stream is another one than before: it is read from its start");
        }
        let mut stream = self.mark.stream.lock();
        self.mark.sequence.store(0, Release);
        self.sequence = 0;
        *stream = Some(created.to_owned());
        self.stream.clone_from(&stream);
    }

    /// Everything up to this sequence has been applied.
    pub(super) fn advance(&mut self, sequence: u64) {
        self.sequence = self.sequence.max(sequence);
        self.mark.sequence.store(self.sequence, Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(sequence: u64) -> Position {
        let mut position = Position::default();
        position.place("S", "then", 1, 100);
        position.advance(sequence);
        position
    }

    #[test]
    fn what_is_written_is_read_back() {
        assert!(Position::default().mark().to_bytes().is_none());
        let bytes = at(77).mark().to_bytes().unwrap();
        let read = Position::from_bytes(&bytes).unwrap();
        assert_eq!((read.sequence, read.stream.as_deref()), (77, Some("then")));
        assert_eq!(read.mark().to_bytes(), Some(bytes));
        assert!(Position::from_bytes(b"short").is_none());
        assert!(Position::from_bytes(b"12345678\xff").is_none());
    }

    /// RV-026
    #[test]
    fn a_position_counts_only_in_its_stream_and_only_without_a_gap() {
        for (created, first, last, sequence) in [
            ("then", 1, 100, 50),
            ("then", 51, 100, 50),
            ("then", 52, 100, 0),
            ("then", 1, 49, 0),
            ("now", 1, 100, 0),
        ] {
            let mut position = at(50);
            position.place("S", created, first, last);
            assert_eq!(position.sequence, sequence, "{created} {first} {last}");
            let expected = [&sequence.to_le_bytes()[..], created.as_bytes()].concat();
            assert_eq!(position.mark().to_bytes(), Some(expected));
        }
    }
}
