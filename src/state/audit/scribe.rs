//! Numbers records, puts them into words and seals them, in one buffer that is used again and again.
//!
//! The chain goes on here, whatever becomes of the bytes: what could not be written yet stays in the buffer and is
//! finished later, so that a record is never begun twice.

use super::chain::End;
use super::entry::{Entry, What};
use super::file::Touched;
use super::queue::Lost;
use super::record::Members;
use super::verify::Key;
use super::vouched::Vouched;
use aws_lc_rs::signature::Ed25519KeyPair;
use std::io;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// Where the chain is, and what of it is not written yet.
#[derive(Debug)]
pub(super) struct Scribe {
    end: End,
    replica: String,
    /// What signs, and what it is called.
    key: Option<(Arc<Ed25519KeyPair>, Key)>,
    buffer: Vec<u8>,
    /// Bytes of the buffer that are in the file.
    written: usize,
    /// Records in the buffer.
    records: u64,
    /// How far the times of records may lie apart that one checkpoint vouches for.
    interval: Duration,
    /// Records since the last checkpoint, or since this process began.
    unvouched: u64,
    /// The earliest and the latest time of them.
    span: Option<(SystemTime, SystemTime)>,
    /// The checkpoint in the buffer.
    checkpoint: Option<Checkpoint>,
}

/// What is told of a checkpoint elsewhere, so that the log has an anchor outside of itself.
#[derive(Clone, Copy, Debug)]
pub(super) struct Checkpoint {
    pub(super) end: End,
    pub(super) records: u64,
}

/// What a buffer has brought into the file.
#[derive(Debug, Default)]
pub(super) struct Brought {
    pub(super) records: u64,
    pub(super) checkpoint: Option<Checkpoint>,
}

/// What a file begins with, sealed before it has its name.
#[derive(Debug)]
pub(super) struct Head {
    /// The number of the first record.
    pub(super) first: u64,
    pub(super) bytes: Vec<u8>,
    pub(super) brought: Brought,
}

impl Scribe {
    /// Begins after `end`. `interval`: how long a record waits for a checkpoint.
    pub(super) fn new(
        end: End,
        replica: String,
        key: Option<Arc<Ed25519KeyPair>>,
        interval: Duration,
    ) -> Scribe {
        let key = key.map(|pair| {
            let key = Key::of_pair(&pair);
            (pair, key)
        });
        let buffer = Vec::with_capacity(2 * LONG);
        Scribe {
            end,
            replica,
            key,
            buffer,
            written: 0,
            records: 0,
            interval,
            unvouched: 0,
            span: None,
            checkpoint: None,
        }
    }

    /// The number of the last record.
    pub(super) fn sequence(&self) -> u64 {
        self.end.sequence
    }
    /// Whether there is something that no checkpoint vouches for.
    pub(super) fn is_unvouched(&self) -> bool {
        self.unvouched > 0
    }
    /// How many records are not written.
    pub(super) fn unwritten(&self) -> u64 {
        self.records
    }
    /// Whether the buffer should be written before more is put into it.
    pub(super) fn is_long(&self) -> bool {
        self.buffer.len() >= LONG
    }

    pub(super) fn entry(&mut self, entry: &Entry) {
        match &entry.what {
            What::Decision(decision) => {
                self.record(entry.time, "decision", |members| members.decision(decision));
            }
            What::Event(event) => self.record(entry.time, event.kind(), |members| members.event(event)),
        }
    }

    /// This process has begun; `log` is a random number of 128 bits. What comes before is told, for the next signature
    /// vouches for it to whoever does not look.
    pub(super) fn start(&mut self, generation: u64, log: &[u8; 16], vouched: Option<&Vouched>) {
        (self.unvouched, self.span) = (0, None);
        let after = vouched.map(|vouched| (self.end.sequence, vouched));
        self.record(SystemTime::now(), "start", |members| members.start(generation, log, after));
    }

    /// The file before was left, for the disk could not be made to keep these records.
    pub(super) fn unsynced(&mut self, from: u64, to: u64) {
        self.record(SystemTime::now(), "unsynced", |members| members.unsynced(from, to));
    }

    /// Others had the file, or something of the log is not there.
    pub(super) fn touched(&mut self, touched: &Touched) {
        self.record(SystemTime::now(), "touched", |members| members.touched(touched));
    }

    pub(super) fn stop(&mut self) {
        self.record(SystemTime::now(), "stop", |_| {});
    }

    /// The file before ended in the middle of a record, after so many bytes of it.
    pub(super) fn recovered(&mut self, bytes: u64) {
        self.record(SystemTime::now(), "recovered", |mut members| members.number("bytes", bytes));
    }

    /// The next file, whose first record comes after the checkpoint that is due now, will be called this once it is closed,
    /// too.
    pub(super) fn rotated(&mut self, next: impl FnOnce(u64) -> String) {
        let now = SystemTime::now();
        // Else the checkpoint before this record would move those after it.
        self.keep_close(now);
        let next = next(self.end.sequence + 3);
        self.record(now, "rotated", |mut members| members.text("next", &next));
    }

    pub(super) fn lost(&mut self, lost: &Lost) {
        self.record(SystemTime::now(), "lost", |members| members.lost(lost));
    }

    /// Before each record: what waited while the log could not be written, or comes after the clock was set, is not put
    /// under one signature with what was before. Whoever verifies the log measures from the earliest to the latest, and
    /// takes no records for ours that lie further apart.
    fn keep_close(&mut self, time: SystemTime) {
        let Some((earliest, latest)) = self.span else { return };
        let span = latest.max(time).duration_since(earliest.min(time)).unwrap_or_default();
        if span > self.interval {
            self.checkpoint();
        }
    }

    /// Vouches for everything so far, and says until when the next one comes.
    pub(super) fn checkpoint(&mut self) {
        let records = self.unvouched;
        let from = self.begin(SystemTime::now(), "checkpoint");
        let key = self.key.as_ref();
        let every = u64::try_from(self.interval.as_millis()).unwrap_or(u64::MAX);
        Members(&mut self.buffer).checkpoint(records, every, key.map(|(_, key)| key.name()));
        let sign = key.map(|(key, _)| |message: &[u8]| signature(key, message));
        let sign = sign.as_ref().map(|sign| sign as &dyn Fn(&[u8]) -> [u8; 64]);
        self.end.seal(&mut self.buffer, from, sign);
        self.records += 1;
        (self.unvouched, self.span) = (0, None);
        self.checkpoint = Some(Checkpoint { end: self.end, records });
    }

    /// Writes the buffer, from where the last time ended.
    ///
    /// # Errors
    /// Not all of it could be written; the rest stays for the next time.
    pub(super) fn write(&mut self, mut write: impl FnMut(&[u8]) -> io::Result<usize>) -> io::Result<Brought> {
        while let Some(rest) = self.buffer.get(self.written..).filter(|rest| !rest.is_empty()) {
            match write(rest) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => self.written += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.buffer.clear();
        self.buffer.shrink_to(2 * LONG);
        self.written = 0;
        Ok(self.brought())
    }

    /// Takes what is in the buffer, of which nothing may be written yet, for another file to begin with.
    pub(super) fn take(&mut self) -> Head {
        debug_assert!(self.written == 0, "a record goes on where it was begun");
        let first = self.end.sequence + 1 - self.records;
        Head { first, bytes: std::mem::take(&mut self.buffer), brought: self.brought() }
    }

    fn brought(&mut self) -> Brought {
        Brought { records: std::mem::take(&mut self.records), checkpoint: self.checkpoint.take() }
    }

    fn record(&mut self, time: SystemTime, kind: &str, members: impl FnOnce(Members<'_>)) {
        self.keep_close(time);
        let from = self.begin(time, kind);
        members(Members(&mut self.buffer));
        self.end.seal(&mut self.buffer, from, None);
        self.records += 1;
        self.unvouched += 1;
        let (earliest, latest) = self.span.unwrap_or((time, time));
        self.span = Some((earliest.min(time), latest.max(time)));
    }

    /// What every record begins with, and where it begins.
    fn begin(&mut self, time: SystemTime, kind: &str) -> usize {
        let from = self.buffer.len();
        self.end.begin(&mut self.buffer);
        let mut members = Members(&mut self.buffer);
        members.time("time", time);
        members.text("kind", kind);
        members.text("replica", &self.replica);
        from
    }
}

fn signature(key: &Ed25519KeyPair, message: &[u8]) -> [u8; 64] {
    let mut bytes = [0; 64];
    bytes.copy_from_slice(key.sign(message).as_ref());
    bytes
}

/// How much is written at a time, in bytes.
const LONG: usize = 256 * 1024;
