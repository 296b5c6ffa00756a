//! Which event revoked something: of the last ones, for whoever asks why a token was refused.
//!
//! The index keeps no names of events, only what they revoke, so the names of the last [`MOST`] entries are kept beside
//! it. Decides nothing: what is forgotten here is revoked all the same, and the refusal then names no event.

use super::event::Event;
use super::index::{Index, Key};
use crate::telemetry::{RevokedBy, SpanRef};
use parking_lot::Mutex;
use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::Arc;

/// The last events, by the entries that they made.
#[derive(Default)]
pub(super) struct Causes(Mutex<Memory>);

#[derive(Default)]
struct Memory {
    by_entry: HashMap<Key, Arc<RevokedBy>>,
    /// In the order of their coming; an entry that came again is there again.
    order: VecDeque<(Key, Arc<RevokedBy>)>,
}

impl Causes {
    /// An event that was applied. The last one on an entry counts.
    pub(super) fn remember(&self, event: &Event, index: &Index, span: Option<SpanRef>) {
        if event.id.len() > LONGEST_NAME {
            return;
        }
        let cause = Arc::new(RevokedBy { id: event.id.as_str().into(), at: event.at, span });
        let mut memory = self.0.lock();
        for entry in event.revokes.iter().flat_map(|selector| index.entries_of(selector)) {
            memory.add(entry, &cause);
        }
    }

    /// The event that made this entry.
    pub(super) fn of(&self, entry: Key) -> Option<Arc<RevokedBy>> {
        self.0.lock().by_entry.get(&entry).cloned()
    }
}

impl Memory {
    fn add(&mut self, entry: Key, cause: &Arc<RevokedBy>) {
        if self.order.len() == MOST
            && let Some((first, its_cause)) = self.order.pop_front()
            && self.by_entry.get(&first).is_some_and(|known| Arc::ptr_eq(known, &its_cause))
        {
            self.by_entry.remove(&first);
        }
        self.by_entry.insert(entry, Arc::clone(cause));
        self.order.push_back((entry, Arc::clone(cause)));
    }
}

impl fmt::Debug for Causes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Causes").field("entries", &self.0.lock().order.len()).finish_non_exhaustive()
    }
}

/// Entries whose event is known: half a megabyte, or two where every name is as long as may be.
const MOST: usize = 4096;
/// A longer name is not remembered: cut, it would be another one.
const LONGEST_NAME: usize = 256;

#[cfg(test)]
mod tests {
    use super::super::event::{Fact, Selector};
    use super::*;
    use crate::pop::Timestamp;

    const NOW: Timestamp = Timestamp::from_secs(1_732_147_200);

    fn event(id: &str, facts: &[(Fact, &str)]) -> Event {
        let facts = facts.iter().map(|(fact, value)| (*fact, (*value).to_owned())).collect();
        let revokes = vec![Selector { issuer: "https://as".into(), facts }];
        Event { id: id.to_owned(), at: NOW, until: None, told: None, revokes }
    }

    fn entered(index: &Index, causes: &Causes, event: &Event) -> Key {
        let until = NOW.plus(std::time::Duration::from_secs(60));
        index.revoke(&event.revokes[0], NOW, until, NOW).unwrap();
        causes.remember(event, index, None);
        index.entries_of(&event.revokes[0]).last().unwrap()
    }

    fn name(causes: &Causes, entry: Key) -> Option<String> {
        causes.of(entry).map(|cause| cause.id.to_string())
    }

    #[test]
    fn the_last_event_on_an_entry_counts() {
        let (index, causes) = (Index::new(100), Causes::default());
        let subject = entered(&index, &causes, &event("one", &[(Fact::Subject, "alice")]));
        let token = entered(&index, &causes, &event("two", &[(Fact::TokenId, "alice")]));
        assert_eq!(
            (name(&causes, subject).as_deref(), name(&causes, token).as_deref()),
            (Some("one"), Some("two"))
        );
        entered(&index, &causes, &event("three", &[(Fact::Subject, "alice")]));
        assert_eq!(name(&causes, subject).as_deref(), Some("three"));
        let long = event(&"x".repeat(257), &[(Fact::TokenId, "bob")]);
        let unknown = entered(&index, &causes, &long);
        assert_eq!(name(&causes, unknown), None);
    }

    #[test]
    fn only_the_last_ones_are_remembered() {
        let (index, causes) = (Index::new(MOST * 2), Causes::default());
        let of = |n: usize| event(&n.to_string(), &[(Fact::TokenId, &n.to_string())]);
        let first = entered(&index, &causes, &of(0));
        let again = entered(&index, &causes, &of(1));
        for n in 2..=MOST {
            entered(&index, &causes, &of(if n == MOST { 1 } else { n }));
        }
        assert_eq!(name(&causes, first), None);
        assert_eq!(name(&causes, again).as_deref(), Some("1"), "it came again");
        assert_eq!(causes.0.lock().order.len(), MOST);
        for n in MOST..MOST * 2 {
            entered(&index, &causes, &of(n));
        }
        assert_eq!(causes.0.lock().by_entry.len(), MOST);
    }
}
