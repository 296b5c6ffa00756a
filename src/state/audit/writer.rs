//! The thread that writes: entries into records, records into the file, the file to the disk, in time.
//!
//! A failure leaves everything where it is: bytes in the scribe's buffer, entries in the batch and in the queue, and
//! each second it is tried again, from the very byte. Until then the queue fills up, and then requests
//! are refused, or lost and counted. Both changes are told once in the log.

mod health;
mod rotation;
mod suspect;
#[cfg(test)]
mod tests;

use super::Shared;
use super::chain::Hash;
use super::entry::Entry;
use super::file::{LogFile, Opened, Touched};
use super::queue::{Ending, Lost};
use super::scribe::{Checkpoint, Scribe};
use crate::config::{self, AuditSync, OnFull};
use crate::telemetry::ANCHORS;
use anyhow::Context;
use rotation::Next;
use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

pub(super) struct Writer {
    shared: Arc<Shared>,
    plan: Plan,
    file: LogFile,
    scribe: Scribe,
    batch: VecDeque<Entry>,
    /// The last entry of the batch.
    number: u64,
    lost: Option<Lost>,
    ending: Option<Ending>,
    /// When something was written that may not be on the disk yet, and that no checkpoint vouches for.
    unsynced: Option<Instant>,
    unvouched: Option<Instant>,
    /// The file to come, while the one before makes way, and what others did to that, which was told and is to be
    /// recorded.
    next: Option<Next>,
    touched: Option<Touched>,
    /// How long the file is before anything is in it but that it was begun.
    bare: u64,
    rotate_not_before: Instant,
    looked: Instant,
    /// The last record that is known to be on the disk.
    synced: u64,
    /// The first record that is not, since that could not be done.
    suspect: Option<u64>,
    /// When it is tried again, while the log can't be written.
    retry: Option<Instant>,
}

/// What the configuration wants.
struct Plan {
    sync: AuditSync,
    on_full: OnFull,
    checkpoint: Duration,
    rotate_size: u64,
    rotate_every: Duration,
}

impl Writer {
    /// Opens the log; its first record is that it begins, or goes on after a crash.
    pub(super) fn open(
        config: &config::Audit,
        generation: u64,
        shared: &Arc<Shared>,
    ) -> anyhow::Result<Writer> {
        let opened = LogFile::open(&config.file, config.key.as_deref()).context("audit.file")?;
        let Opened { file, next, end, cut, vouched, touched, replica: before } = opened;
        let mut log = [0; 16];
        aws_lc_rs::rand::fill(&mut log).map_err(|_| anyhow::anyhow!("no randomness"))?;
        let replica = config.replica.clone().unwrap_or_else(host_name);
        health::compare(before.as_deref(), &replica);
        let mut scribe = Scribe::new(end, replica, config.key.clone(), config.checkpoint);
        if let Some(bytes) = cut {
            tracing::warn!(bytes, sequence = end.sequence, "the audit log ended in the middle of a record");
            scribe.recovered(bytes);
        }
        if let Some(vouched) = &vouched {
            health::judge(vouched, end.sequence, config.checkpoint);
        }
        scribe.start(generation, &log, vouched.as_ref());
        if let Some(touched) = &touched {
            health::accuse(touched, &shared.metrics);
            scribe.touched(touched);
        }
        // From here on there is a signature to go on from, however soon this process ends.
        scribe.checkpoint();
        let next = next.map(|next| Next::of(next, Some(scribe.take())));
        let plan = Plan {
            sync: config.sync,
            on_full: config.on_full,
            checkpoint: config.checkpoint,
            rotate_size: config.rotate_size,
            rotate_every: config.rotate_every,
        };
        let now = Instant::now();
        Ok(Writer {
            shared: Arc::clone(shared),
            plan,
            file,
            scribe,
            batch: VecDeque::new(),
            number: 0,
            lost: None,
            ending: None,
            unsynced: None,
            unvouched: None,
            next,
            touched: None,
            bare: 0,
            rotate_not_before: now,
            looked: now,
            synced: end.sequence,
            suspect: None,
            retry: None,
        })
    }

    /// Writes until the end.
    pub(super) fn run(mut self) {
        let _farewell = health::Farewell(Arc::clone(&self.shared));
        loop {
            self.tries();
            if let Some(ending) = self.ending {
                return self.close(ending);
            }
            self.take();
        }
    }

    fn tries(&mut self) {
        let mut done = self.work();
        // What could not be synced is tried in another file at once, before anybody has to be refused.
        if done.is_err() && self.must_leave() {
            done = self.work();
        }
        match done {
            Ok(()) => self.recovers(),
            Err(error) => self.fails(&error),
        }
    }

    fn take(&mut self) {
        if let Some(retry) = self.retry {
            // What waits stays there until the end: there is room for so much and no more.
            if self.shared.queue.pause(retry).is_none() {
                return;
            }
        }
        let linger = if self.plan.sync == AuditSync::Always { Duration::ZERO } else { LINGER };
        let due = self.due();
        let taken = self.shared.queue.take(&mut self.batch, due, linger);
        (self.number, self.ending) = (taken.number, taken.ending);
        self.lost = match (self.lost, taken.lost) {
            (Some(one), Some(more)) => Some(Lost { count: one.count + more.count, ..one }),
            (one, more) => one.or(more),
        };
    }

    /// Everything that is to be done now.
    fn work(&mut self) -> io::Result<()> {
        self.flush()?;
        self.leave()?;
        self.look_after_file()?;
        while let Some(entry) = self.batch.pop_front() {
            self.scribe.entry(&entry);
            if self.scribe.is_long() {
                self.flush()?;
                self.rotate_if_due()?;
            }
        }
        if let Some(lost) = self.lost.take() {
            self.scribe.lost(&lost);
        }
        self.flush()?;
        if self.unvouched.is_some_and(|since| since.elapsed() >= self.plan.checkpoint) {
            self.scribe.checkpoint();
            self.flush()?;
        }
        self.rotate_if_due()?;
        self.sync_if_due()?;
        if self.plan.sync == AuditSync::Always {
            self.shared.progress.send_if_modified(|progress| {
                std::mem::replace(&mut progress.durable, self.number) != self.number
            });
        }
        Ok(())
    }

    /// When there is something to do although nothing comes.
    fn due(&self) -> Option<Instant> {
        let sync = self.unsynced.filter(|_| self.plan.sync == AuditSync::Second).map(|since| since + SECOND);
        let checkpoint = self.unvouched.map(|since| since + self.plan.checkpoint);
        let look = Some(self.looked + LOOK_AT_REST);
        [sync, checkpoint, self.rotation_due(), look].into_iter().flatten().min()
    }

    /// Takes what the scribe has to the file.
    fn flush(&mut self) -> io::Result<()> {
        let brought = self.scribe.write(|bytes| self.file.write(bytes))?;
        if brought.records == 0 {
            return Ok(());
        }
        self.unsynced.get_or_insert_with(Instant::now);
        self.counts(brought.records);
        if let Some(checkpoint) = brought.checkpoint {
            // An anchor for what a power failure can take back would accuse the log of having been cut.
            if self.plan.sync != AuditSync::Never {
                self.sync()?;
            }
            tell(&checkpoint);
        }
        Ok(())
    }

    /// So many records more are in the file.
    fn counts(&mut self, records: u64) {
        let unvouched = || self.unvouched.unwrap_or_else(Instant::now);
        self.unvouched = self.scribe.is_unvouched().then(unvouched);
        let metrics = &self.shared.metrics;
        metrics.records.inc_by(records);
        metrics.sequence.set(i64::try_from(self.scribe.sequence()).unwrap_or(i64::MAX));
    }

    fn sync_if_due(&mut self) -> io::Result<()> {
        let due = self.unsynced.is_some_and(|since| match self.plan.sync {
            AuditSync::Always => true,
            AuditSync::Second => since.elapsed() >= SECOND,
            AuditSync::Never => false,
        });
        if due { self.sync() } else { Ok(()) }
    }

    /// The last words. All that was taken was tried a moment ago, and what can't be written now is counted.
    fn close(mut self, ending: Ending) {
        let written = match (self.retry, ending) {
            (Some(_), _) => Err(io::Error::other("nor could what came before")),
            (None, Ending::Abandoned) => self.sync(),
            (None, Ending::Orderly) => {
                let mut looked = self.look_at_file();
                if looked.is_err() && self.must_leave() {
                    looked = self.leave();
                }
                self.scribe.stop();
                self.scribe.checkpoint();
                let closed = looked.and_then(|()| self.flush()).and_then(|()| self.sync());
                // That which is not on the disk is told at least.
                let left = closed.is_err() && self.must_leave();
                if left { self.leave().and_then(|()| self.flush()) } else { closed }
            }
        };
        if let Err(error) = written {
            let to_come = self.next.as_ref().map_or(0, Next::unwritten);
            let unwritten = self.scribe.unwritten() + to_come + self.batch.len() as u64;
            self.shared.metrics.lost.inc_by(unwritten);
            let records = unwritten + self.lost.map_or(0, |lost| lost.count);
            tracing::error!(%error, records, "the end of the audit log can't be written: these records are lost");
        }
    }
}

/// An anchor outside of the file: who writes it anew can't change what was logged elsewhere.
fn tell(checkpoint: &Checkpoint) {
    let Checkpoint { end, records } = checkpoint;
    let hash: &Hash = &end.hash;
    let hash = std::str::from_utf8(hash).unwrap_or_default();
    tracing::info!(target: ANCHORS, sequence = end.sequence, hash, records, "audit checkpoint");
}

/// What this machine is called.
fn host_name() -> String {
    let of_kernel = std::fs::read_to_string("/proc/sys/kernel/hostname").ok();
    let name = of_kernel.or_else(|| std::env::var("HOSTNAME").ok()).unwrap_or_default();
    let name = name.trim();
    if name.is_empty() { "unnamed".to_owned() } else { name.to_owned() }
}

const SECOND: Duration = Duration::from_secs(1);
/// How often it is looked whether the file is as it was left, where there is nothing to write.
const LOOK_AT_REST: Duration = Duration::from_secs(10);
/// How long entries gather before they are written, where nobody waits for them. Each time the writer wakes it takes the
/// processor from requests, so it should find many.
const LINGER: Duration = Duration::from_millis(20);
