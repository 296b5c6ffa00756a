//! The audit log: every decision in a file, each record bound to the one before it.
//!
//! A request leaves an `entry` in the `queue` and goes on, but for `sync: always`, where a grant waits for the disk. One
//! thread, the `writer`, puts entries into `record`s, which the `scribe` numbers and `chain` seals, and takes them to
//! the `file`, which continues where the one before ended (`tail`) and makes way for the next (`names`). What can't be
//! written is refused or counted, as the operator has it (`audit.on_full`).
//!
//! `verify` reads whole logs, and finds the first record that is not as it was written.

pub(crate) mod back;
pub mod chain;
mod entry;
mod file;
pub(crate) mod names;
mod position;
mod queue;
mod record;
mod scribe;
mod tail;
#[cfg(test)]
mod tests;
pub mod verify;
mod vouched;
mod writer;

pub use entry::{Cut, Event, Signer};
pub use position::Position;

use crate::config::{self, AuditSync, OnFull};
use crate::telemetry::{AuditMetrics, Record, TraceId};
use entry::{Decision, Entry};
use queue::{Full, Queue};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, SystemTime};
use tokio::sync::watch;
use tokio::time::timeout;
use writer::Writer;

/// Where decisions are kept; cheap clones. When the last is gone, so is the writer.
#[derive(Clone, Debug, Default)]
pub struct Audit(Option<Arc<Handle>>);

/// A decision could not be kept, and the operator wants none that is not.
#[derive(Clone, Copy, Debug)]
pub struct Unwritten;

/// A grant whose record is on its way to the disk.
#[derive(Debug)]
#[must_use]
pub struct Waiting {
    shared: Arc<Shared>,
    number: u64,
    on_full: OnFull,
}

#[derive(Debug)]
struct Handle {
    shared: Arc<Shared>,
    sync: AuditSync,
    on_full: OnFull,
}

/// What requests and the writer share.
#[derive(Debug)]
struct Shared {
    queue: Queue,
    failing: AtomicBool,
    progress: watch::Sender<Progress>,
    metrics: AuditMetrics,
}

/// How far the writer has come.
#[derive(Clone, Copy, Debug, Default)]
struct Progress {
    /// The last entry whose record is on the disk, as the queue counts them. Moves with `sync: always` only.
    durable: u64,
    /// The last entry of those that may have been lost on their way to the disk: up to it none counts as durable any more.
    doubted: u64,
    failing: bool,
    /// A decision found no room, or its record was not on the disk in time, and the writer has done nothing since.
    stalled: bool,
    ended: bool,
}

/// The log as seen by `/ready` and `/status`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuditStatus {
    /// None is kept.
    Off,
    /// What is decided is written.
    Current,
    /// It can't be written, and requests are refused.
    Failing,
    /// It can't be written, and requests pass all the same.
    Dropping,
}

impl AuditStatus {
    /// Whether requests can be decided, as far as the log goes.
    pub fn is_ready(self) -> bool {
        self != AuditStatus::Failing
    }
    /// In `/ready` and `/status`.
    pub fn name(self) -> &'static str {
        match self {
            AuditStatus::Off => "off",
            AuditStatus::Current => "current",
            AuditStatus::Failing => "failing",
            AuditStatus::Dropping => "dropping",
        }
    }
}

impl Audit {
    /// Nothing is kept.
    #[must_use]
    pub fn off() -> Audit {
        Audit::default()
    }

    /// Opens the log, continues its chain and says that this process has begun, under this configuration.
    ///
    /// # Errors
    /// The file can't be opened, or is no audit log.
    pub fn start(config: &config::Audit, generation: u64, metrics: &AuditMetrics) -> anyhow::Result<Audit> {
        Audit::with_room(config, generation, metrics, Queue::with_room(queue::ENTRIES, queue::BYTES))
    }

    fn with_room(
        config: &config::Audit,
        generation: u64,
        metrics: &AuditMetrics,
        queue: Queue,
    ) -> anyhow::Result<Audit> {
        let (failing, progress) = (AtomicBool::new(false), watch::Sender::default());
        let shared = Arc::new(Shared { queue, failing, progress, metrics: metrics.clone() });
        let writer = Writer::open(config, generation, &shared)?;
        std::thread::Builder::new().name("clinch-audit".to_owned()).spawn(move || writer.run())?;
        Ok(Audit(Some(Arc::new(Handle { shared, sync: config.sync, on_full: config.on_full }))))
    }

    /// Keeps one decision. `position`: how far the revocation feed had come. A grant may have to wait for what it gets.
    ///
    /// # Errors
    /// It can't be kept, and `audit.on_full` is `deny`. What is refused is never an error, and counted if it is lost.
    pub fn decided(
        &self,
        record: &Record<'_>,
        trace: TraceId,
        position: Option<&Position>,
    ) -> Result<Option<Waiting>, Unwritten> {
        let Some(handle) = &self.0 else { return Ok(None) };
        let shared = &handle.shared;
        let granted = record.verdict.is_ok();
        let must_be_kept = granted && handle.on_full == OnFull::Deny;
        if must_be_kept && shared.failing.load(Relaxed) {
            return Err(Unwritten);
        }
        let waits = granted && handle.sync == AuditSync::Always;
        match shared.queue.push(Entry::of(Decision::of(record, trace, position))) {
            Ok(number) => {
                Ok(waits.then(|| Waiting { shared: Arc::clone(shared), number, on_full: handle.on_full }))
            }
            Err(Full) => {
                shared.stalls(|_| true);
                if must_be_kept {
                    return Err(Unwritten);
                }
                shared.lost();
                Ok(None)
            }
        }
    }

    /// Keeps what happened besides requests.
    pub fn tell(&self, event: Event) {
        if let Some(Handle { shared, .. }) = self.0.as_deref()
            && shared.queue.push(Entry::of_event(event)).is_err()
        {
            shared.lost();
        }
    }

    /// Writes what is left, that this process stops, and a last checkpoint; waits for it at most this long. What is decided
    /// after that is not kept.
    pub async fn stop(&self, limit: Duration) {
        let Some(handle) = &self.0 else { return };
        let mut progress = handle.shared.progress.subscribe();
        handle.shared.queue.end(queue::Ending::Orderly);
        if timeout(limit, progress.wait_for(|progress| progress.ended)).await.is_err() {
            tracing::warn!("the end of the audit log was not written in time");
        }
    }

    /// For `/ready` and `/status`.
    pub fn status(&self) -> AuditStatus {
        match &self.0 {
            None => AuditStatus::Off,
            Some(handle) if !handle.shared.is_failing() => AuditStatus::Current,
            Some(handle) if handle.on_full == OnFull::Deny => AuditStatus::Failing,
            Some(_) => AuditStatus::Dropping,
        }
    }

    /// How many records wait to be written.
    pub fn queued(&self) -> usize {
        self.0.as_ref().map_or(0, |handle| handle.shared.queue.len())
    }
}

impl Waiting {
    /// Returns when the record is on the disk.
    ///
    /// # Errors
    /// It is not there in time, and `audit.on_full` is `deny`. It may come there later all the same.
    pub async fn on_disk(self) -> Result<(), Unwritten> {
        let mut progress = self.shared.progress.subscribe();
        let over = |progress: &Progress| {
            progress.reached(self.number)
                || progress.doubted >= self.number
                || progress.failing
                || progress.ended
        };
        let durable = match timeout(PATIENCE, progress.wait_for(over)).await {
            Ok(progress) => progress.is_ok_and(|progress| progress.reached(self.number)),
            Err(_) => {
                self.shared.stalls(|progress| !over(progress));
                false
            }
        };
        if durable || self.on_full == OnFull::DropAndCount { Ok(()) } else { Err(Unwritten) }
    }
}

impl Progress {
    /// Whether this entry is known to be on the disk.
    fn reached(&self, number: u64) -> bool {
        self.durable >= number && self.doubted < number
    }
}

impl Shared {
    fn is_failing(&self) -> bool {
        self.failing.load(Relaxed) || self.progress.borrow().stalled
    }

    /// What was decided could not be kept in time. That is over once the writer has done something, so it is woken: it may
    /// have nothing to do by now.
    fn stalls(&self, still: impl FnOnce(&Progress) -> bool) {
        let began = self.progress.send_if_modified(|progress| {
            let began = !progress.stalled && !progress.ended && still(progress);
            if began {
                progress.stalled = true;
                self.metrics.failing.set(1);
            }
            began
        });
        if began {
            tracing::warn!("the audit log is not written fast enough, or not at all");
            self.queue.wake();
        }
    }

    fn lost(&self) {
        self.queue.missed(SystemTime::now());
        self.metrics.lost.inc();
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.shared.queue.end(queue::Ending::Abandoned);
    }
}

/// How long a grant waits for the disk.
const PATIENCE: Duration = Duration::from_secs(2);
