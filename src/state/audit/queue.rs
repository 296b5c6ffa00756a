//! What waits between requests and the writer: bounded in number and in bytes, and a request never waits.
//!
//! A sleeping writer is woken by the first entry only; it looks again by itself as long as it is awake, so that most
//! requests pay for no system call.

use super::entry::Entry;
use parking_lot::{Condvar, Mutex, MutexGuard};
use std::collections::VecDeque;
use std::mem::size_of;
use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime};

/// The queue.
#[derive(Debug)]
pub(super) struct Queue {
    state: Mutex<State>,
    came: Condvar,
    room: usize,
    bytes: usize,
}

#[derive(Debug, Default)]
struct State {
    entries: VecDeque<Entry>,
    weight: usize,
    pushed: u64,
    lost: Option<Lost>,
    asleep: bool,
    /// The writer shall look at once, although nothing came.
    woken: bool,
    ending: Option<Ending>,
}

/// There is no room, or nobody writes any more.
#[derive(Clone, Copy, Debug)]
pub(super) struct Full;

/// What found no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Lost {
    pub(super) count: u64,
    pub(super) since: SystemTime,
}

/// Why the writer ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// The process stops in order.
    Orderly,
    /// Nobody can tell it anything any more.
    Abandoned,
}

/// What the writer takes besides entries.
#[derive(Clone, Copy, Debug)]
pub(super) struct Taken {
    /// The number of the last entry.
    pub(super) number: u64,
    pub(super) lost: Option<Lost>,
    pub(super) ending: Option<Ending>,
}

impl Queue {
    pub(super) fn with_room(entries: usize, bytes: usize) -> Queue {
        Queue { state: Mutex::default(), came: Condvar::new(), room: entries, bytes }
    }

    /// Leaves an entry, and gives its number. Events have some room of their own, for there are few.
    pub(super) fn push(&self, entry: Entry) -> Result<u64, Full> {
        let spare = if entry.is_of_strangers() { 0 } else { ROOM_FOR_EVENTS };
        let weight = size_of::<Entry>() + entry.weight();
        let mut state = self.state.lock();
        let fits =
            state.entries.len() < self.room + spare && state.weight + weight <= self.bytes + spare * weight;
        if !fits || state.ending.is_some() {
            return Err(Full);
        }
        state.weight += weight;
        state.pushed += 1;
        let number = state.pushed;
        state.entries.push_back(entry);
        let wake = std::mem::take(&mut state.asleep);
        drop(state);
        if wake {
            self.came.notify_one();
        }
        Ok(number)
    }

    /// Something was not kept.
    pub(super) fn missed(&self, time: SystemTime) {
        let lost = &mut self.state.lock().lost;
        let before = lost.unwrap_or(Lost { count: 0, since: time });
        *lost = Some(Lost { count: before.count + 1, ..before });
    }

    /// Lets the writer go round once.
    pub(super) fn wake(&self) {
        self.state.lock().woken = true;
        self.came.notify_one();
    }

    /// Nothing is taken any more; the first reason counts.
    pub(super) fn end(&self, why: Ending) {
        self.state.lock().ending.get_or_insert(why);
        self.came.notify_one();
    }

    /// For the writer: waits until there is an entry or the end, `until` at the longest, lingers for more, and takes all
    /// entries. What is in the list already comes first.
    pub(super) fn take(&self, into: &mut VecDeque<Entry>, until: Option<Instant>, linger: Duration) -> Taken {
        let mut state = self.state.lock();
        let idle = |state: &State| state.entries.is_empty() && state.ending.is_none() && state.lost.is_none();
        while idle(&state) && !state.woken {
            state.asleep = true;
            let over = match until {
                Some(until) => self.came.wait_until(&mut state, until).timed_out(),
                None => {
                    self.came.wait(&mut state);
                    false
                }
            };
            if over {
                break;
            }
        }
        (state.asleep, state.woken) = (false, false);
        if !linger.is_zero() && !state.entries.is_empty() && state.ending.is_none() {
            MutexGuard::unlocked(&mut state, || sleep(linger));
        }
        if into.is_empty() {
            std::mem::swap(&mut state.entries, into);
        } else {
            into.append(&mut state.entries);
        }
        state.weight = 0;
        Taken { number: state.pushed, lost: state.lost.take(), ending: state.ending }
    }

    /// For a writer that can't write: waits until then, or for the end.
    pub(super) fn pause(&self, until: Instant) -> Option<Ending> {
        let mut state = self.state.lock();
        while state.ending.is_none() && !self.came.wait_until(&mut state, until).timed_out() {}
        state.ending
    }

    /// How many wait.
    pub(super) fn len(&self) -> usize {
        self.state.lock().entries.len()
    }
}

/// Room for decisions: half a second of a very busy replica.
pub(super) const ENTRIES: usize = 16 * 1024;
/// And in bytes.
pub(super) const BYTES: usize = 16 * 1024 * 1024;
const ROOM_FOR_EVENTS: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::audit::entry::Event;

    fn event() -> Entry {
        Entry::of_event(Event::Feed { state: "current" })
    }

    #[test]
    fn room_is_bounded_and_what_was_missed_is_told_once() {
        let queue = Queue::with_room(0, BYTES);
        for number in 1..=ROOM_FOR_EVENTS as u64 {
            assert_eq!(queue.push(event()).unwrap(), number);
        }
        assert!(queue.push(event()).is_err());
        let time = SystemTime::now();
        queue.missed(time);
        queue.missed(SystemTime::now());
        let mut entries = VecDeque::new();
        let taken = queue.take(&mut entries, None, Duration::ZERO);
        assert_eq!((entries.len(), taken.number), (ROOM_FOR_EVENTS, ROOM_FOR_EVENTS as u64));
        assert_eq!(taken.lost, Some(Lost { count: 2, since: time }));
        entries.clear();
        let taken = queue.take(&mut entries, Some(Instant::now()), Duration::ZERO);
        assert!(entries.is_empty() && taken.lost.is_none() && taken.ending.is_none());
        assert!(queue.push(event()).is_ok(), "there is room again");
    }

    #[test]
    fn strangers_take_no_room_of_events() {
        let queue = Queue::with_room(1, BYTES);
        let (peer, reason) = (([192, 0, 2, 1], 4711).into(), "certificate_missing");
        let refused = || Entry::of_event(Event::Handshake { peer, reason, thumbprint: None, generation: 1 });
        assert!(
            queue.push(refused()).is_ok() && queue.push(refused()).is_err() && queue.push(event()).is_ok()
        );
    }

    #[test]
    fn a_sleeping_writer_is_woken_and_told_of_the_end() {
        let queue = Queue::with_room(10, BYTES);
        std::thread::scope(|scope| {
            let writer = scope.spawn(|| {
                let mut entries = VecDeque::new();
                while entries.is_empty() {
                    queue.take(&mut entries, None, Duration::ZERO);
                }
                queue.take(&mut VecDeque::new(), None, Duration::ZERO).ending
            });
            queue.push(event()).unwrap();
            while queue.len() > 0 {
                std::thread::yield_now();
            }
            queue.end(Ending::Orderly);
            queue.end(Ending::Abandoned);
            assert_eq!(writer.join().unwrap(), Some(Ending::Orderly));
        });
        assert!(queue.push(event()).is_err(), "nobody would write it");
    }
}
