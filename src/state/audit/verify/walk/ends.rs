//! How a chain ends, and what can follow where a process has ended in order.

use super::super::fault::{Fault, What};
use super::super::members::Kind;
use super::super::{Ending, Log};
use super::{ROTATED, Rest, STOPPED, Walk};

impl Walk<'_> {
    /// After an orderly stop: the next process, or that it was not known to be on the disk, which is vouched for at once.
    pub(super) fn can_follow_the_end(&self, kind: Kind) -> bool {
        match kind {
            Kind::Start | Kind::Recovered => true,
            Kind::Unsynced => self.kinds == STOPPED,
            Kind::Checkpoint => self.kinds[1] == Kind::Unsynced,
            Kind::Stop
            | Kind::Rotated
            | Kind::Lost
            | Kind::Touched
            | Kind::Decision
            | Kind::Plain
            | Kind::Unknown => false,
        }
    }

    /// What is told at the end.
    pub(in super::super) fn finish(mut self) -> Log {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        self.log.last = self.end;
        self.log.last_time = text(&self.time);
        let first = self.log.first.saturating_sub(1);
        self.log.unsigned = self.end.sequence - self.log.signed.unwrap_or(first);
        self.log.unsigned_since = text(&self.unsigned_since);
        self.log.ending = match (&self.rest, self.kinds) {
            (Some(rest), _) => Ending::Incomplete { bytes: rest.bytes },
            (None, STOPPED) => Ending::Closed,
            (None, ROTATED | [_, Kind::Rotated]) => Ending::Rotated,
            (None, _) => Ending::Open,
        };
        if let Some(doubt) = self.doubt.take() {
            // As if it ended where it was last beyond doubt: nobody should take anything later for an anchor.
            let (end, time) = self.sound;
            self.log.records = end.sequence + 1 - self.log.first;
            self.log.signed = (end.sequence >= self.log.first).then_some(end.sequence);
            (self.log.last, self.log.last_time, self.log.unsigned) = (end, time, 0);
            self.log.fault = Some(doubt);
        } else if self.log.fault.is_none() {
            self.log.fault = self.at_the_end();
        }
        self.log
    }

    /// What is wrong although every record follows the one before.
    fn at_the_end(&self) -> Option<Fault> {
        let next = self.end.sequence + 1;
        let file = self.log.files.last().cloned().unwrap_or_default();
        if let Some(Rest { fault: Some(fault), .. }) = &self.rest {
            return Some(fault.clone());
        }
        if let Some(fault) = self.unsigned_at_the_end() {
            return Some(fault);
        }
        // What an anchor names may be the end, as far as anybody wants to know.
        let rotated = self.log.ending == Ending::Rotated && self.kinds == ROTATED;
        let goes_on = rotated && !self.log.anchors.contains(&self.end);
        if goes_on && !self.demands.partial {
            return Some(Fault { file, line: 0, record: next, what: What::GoesOn { empty: self.empty } });
        }
        let closed = self.log.ending == Ending::Closed;
        (self.demands.closed && !closed).then_some(Fault {
            file,
            line: 0,
            record: next,
            what: What::NotClosed,
        })
    }
}
