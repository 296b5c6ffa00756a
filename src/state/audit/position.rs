//! How far the revocation feed had been applied when a request was decided, in the feed's own terms, so that an auditor
//! finds the event there.

use std::fmt;
use std::sync::Arc;

/// The place of the last event that had been applied, with all before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Position {
    /// The sequence of a NATS stream, or the bytes of a journal.
    Number(u64),
    /// The id of an entry of a Redis stream: milliseconds, and a number within them.
    Entry(u64, u64),
    /// Partitions of a Kafka topic, in their order, each with the offset of its last record that was applied.
    Offsets(Arc<Vec<(i32, i64)>>),
}

impl Position {
    /// What it keeps in memory besides itself, in bytes.
    pub(super) fn weight(&self) -> usize {
        match self {
            Position::Number(_) | Position::Entry(..) => 0,
            Position::Offsets(offsets) => size_of_val(&offsets[..]),
        }
    }
}

/// As it is written: `17`, `1795219200000-3`, or `0:17,1:4`.
impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Position::Number(number) => write!(f, "{number}"),
            Position::Entry(millis, number) => write!(f, "{millis}-{number}"),
            Position::Offsets(offsets) => {
                for (index, (partition, offset)) in offsets.iter().take(MOST_PARTITIONS).enumerate() {
                    let comma = if index > 0 { "," } else { "" };
                    write!(f, "{comma}{partition}:{offset}")?;
                }
                if offsets.len() > MOST_PARTITIONS { f.write_str(",...") } else { Ok(()) }
            }
        }
    }
}

/// With the longest of all numbers less than 2048 bytes.
const MOST_PARTITIONS: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_are_written_as_the_feed_has_them_and_never_long() {
        let said = |position: Position| position.to_string();
        assert_eq!(said(Position::Number(u64::MAX)), "18446744073709551615");
        assert_eq!(said(Position::Entry(1_795_219_200_000, 3)), "1795219200000-3");
        assert_eq!(said(Position::Offsets(Arc::default())), "");
        assert_eq!(said(Position::Offsets(Arc::new(vec![(0, 17), (2, 4)]))), "0:17,2:4");
        let many = Position::Offsets(Arc::new(vec![(i32::MAX, i64::MAX); 10_000]));
        assert_eq!(many.weight(), 160_000);
        let many = said(many);
        assert!(many.len() < 2048 && many.ends_with(&format!(":{},...", i64::MAX)), "{}", many.len());
    }
}
