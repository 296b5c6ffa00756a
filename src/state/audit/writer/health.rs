//! What is said of the log elsewhere: that it can't be written or is again, that it ended strangely, and that it is over.

use super::super::file::Touched;
use super::super::queue::Ending;
use super::super::vouched::Vouched;
use super::super::{Progress, Shared};
use super::{SECOND, Writer};
use crate::config::OnFull;
use crate::telemetry::AuditMetrics;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

impl Writer {
    pub(super) fn fails(&mut self, error: &io::Error) {
        // A disk that can't be made to keep what it has is left alone for longer.
        self.retry = Some(Instant::now() + if self.must_leave() { LEAVE } else { SECOND });
        if self.shared.failing.swap(true, Relaxed) {
            return;
        }
        self.shared.metrics.failing.set(1);
        self.shared.progress.send_modify(|progress| progress.failing = true);
        let on_full = match self.plan.on_full {
            OnFull::Deny => "deny: requests are refused",
            OnFull::DropAndCount => "drop-and-count: what does not fit into memory is lost",
        };
        tracing::error!(%error, on_full, "the audit log can't be written");
    }

    pub(super) fn recovers(&mut self) {
        self.retry = None;
        let failed = self.shared.failing.swap(false, Relaxed);
        let over = self.shared.progress.send_if_modified(|progress| {
            let over = failed || progress.stalled;
            (progress.failing, progress.stalled) = (false, false);
            if over {
                self.shared.metrics.failing.set(0);
            }
            over
        });
        if over {
            tracing::warn!(sequence = self.scribe.sequence(), "the audit log is written again");
        }
    }
}

/// Said however the thread ends, be it by a panic: from then on nothing is kept.
pub(super) struct Farewell(pub(super) Arc<Shared>);

impl Drop for Farewell {
    fn drop(&mut self) {
        self.0.queue.end(Ending::Abandoned);
        if std::thread::panicking() {
            self.0.failing.store(true, Relaxed);
            self.0.metrics.failing.set(1);
        }
        self.0.progress.send_modify(|progress: &mut Progress| progress.ended = true);
    }
}

/// Warns of what was found at the start, if it is more than a crash explains.
pub(super) fn judge(vouched: &Vouched, last: u64, checkpoint: Duration) {
    if let Some(key) = &vouched.other_key {
        tracing::warn!(key, "the audit log before was signed with another key: this one can't vouch for it");
    }
    let records = last.saturating_sub(vouched.signed);
    let Some((since, until)) = vouched.unsigned.filter(|_| records > 0) else { return };
    if until.duration_since(since).is_ok_and(|between| between > checkpoint + SPARE) {
        let since = humantime::format_rfc3339_seconds(since);
        tracing::warn!(records, %since, "the audit log ends in more records without a signature than a crash explains");
    } else {
        tracing::info!(records, "the audit log ends in records without a signature, as after a crash");
    }
}

/// Warns of a log that another replica wrote. Where they share a key, nothing else tells the log of one from another's.
pub(super) fn compare(before: Option<&str>, replica: &str) {
    if let Some(before) = before.filter(|before| *before != replica) {
        tracing::warn!(
            before,
            replica,
            "the audit log was written by another replica: it is gone on with, and nothing tells whether it was put in place of ours"
        );
    }
}

/// Tells what others did to the log, or that something of it is not there.
pub(super) fn accuse(touched: &Touched, metrics: &AuditMetrics) {
    metrics.touched.inc();
    let what = touched.what();
    match touched {
        Touched::Length { expected, found } => tracing::error!(
            what,
            expected,
            found,
            "others have changed the file of the audit log: records are missing from it, or others are in it; another file goes on after it"
        ),
        Touched::Moved => tracing::warn!(
            what,
            "the file of the audit log was moved or removed: another one goes on after it"
        ),
        Touched::NotBefore { record } => tracing::error!(
            what,
            record,
            "the open file of the audit log begins after a record that is not there: what was before is missing"
        ),
        Touched::NoOpenFile => tracing::error!(
            what,
            "the open file of the audit log is not there, or has no record: what was in it is missing; the log goes on after the closed ones"
        ),
    }
}

/// How much later than its time a checkpoint may come on a slow disk.
const SPARE: Duration = Duration::from_secs(60);
/// Before another file is tried, where a new one could not be synced either.
const LEAVE: Duration = Duration::from_secs(10);
