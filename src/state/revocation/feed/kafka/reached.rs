//! How far each partition has been read: by the session before, to tell what was lost; by this one, for whoever asks
//! from outside.

use parking_lot::{Mutex, RwLock};
use std::collections::HashMap;
use std::sync::Arc;

/// Outlives sessions.
#[derive(Debug, Default)]
pub(super) struct Reached {
    /// The offset that comes next in each partition.
    next: Mutex<HashMap<i32, i64>>,
    /// Partitions in their order, each with the offset of the last record that this session has applied.
    applied: RwLock<Arc<Vec<(i32, i64)>>>,
}

impl Reached {
    /// A session begins to read a partition here: what another one had applied may have been of a topic that is no
    /// more. Returns what came next then.
    pub(super) fn begin(&self, partition: i32, earliest: i64) -> Option<i64> {
        let mut applied = self.applied.write();
        if applied.iter().any(|(one, _)| *one == partition) {
            Arc::make_mut(&mut applied).retain(|(one, _)| *one != partition);
        }
        drop(applied);
        self.next.lock().insert(partition, earliest)
    }

    /// Everything in the partition up to this offset has been applied.
    pub(super) fn advance(&self, partition: i32, offset: i64) {
        self.next.lock().insert(partition, offset + 1);
        let mut applied = self.applied.write();
        // Copied only if somebody has read it since.
        let all = Arc::make_mut(&mut applied);
        match all.binary_search_by_key(&partition, |(one, _)| *one) {
            Ok(at) => all[at].1 = offset,
            Err(at) => all.insert(at, (partition, offset)),
        }
    }

    /// `None` before anything has been applied.
    pub(super) fn applied(&self) -> Option<Arc<Vec<(i32, i64)>>> {
        let applied = self.applied.read();
        (!applied.is_empty()).then(|| Arc::clone(&applied))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_tells_what_it_applied_and_knows_where_the_one_before_was() {
        let reached = Reached::default();
        assert_eq!((reached.begin(7, 0), reached.begin(2, 5), reached.applied()), (None, None, None));
        reached.advance(7, 0);
        let read = reached.applied().unwrap();
        reached.advance(2, 5);
        reached.advance(7, 1);
        assert_eq!(*read, [(7, 0)], "what was read stays as it was");
        assert_eq!(*reached.applied().unwrap(), [(2, 5), (7, 1)]);
        assert_eq!(reached.begin(7, 0), Some(2));
        assert_eq!(*reached.applied().unwrap(), [(2, 5)], "it is read again, perhaps from another topic");
    }
}
