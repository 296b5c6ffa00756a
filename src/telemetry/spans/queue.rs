//! Spans that wait to be sent: bounded, and silent until there are enough of them.
//!
//! Whoever waits is woken by the first span and by a full batch, not by each: on a busy sidecar the exporter would take
//! the processor from requests thousands of times a second.

use super::Span;
use parking_lot::Mutex;
use std::collections::VecDeque;
use tokio::sync::Notify;

#[derive(Debug, Default)]
pub(super) struct Queue {
    waiting: Mutex<Waiting>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct Waiting {
    spans: VecDeque<Span>,
    closed: bool,
}

impl Queue {
    /// Whether it was taken; else there is no room, or nobody to send it any more.
    pub(super) fn put(&self, span: Span) -> bool {
        let mut waiting = self.waiting.lock();
        if waiting.closed || waiting.spans.len() >= WAITING_SPANS {
            return false;
        }
        waiting.spans.push_back(span);
        let count = waiting.spans.len();
        drop(waiting);
        if count == 1 || count == BATCH {
            self.changed.notify_one();
        }
        true
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.waiting.lock().spans.len()
    }

    /// Returns when there is a first span or a batch, or was since this was last asked.
    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }

    /// The oldest ones, a batch at most.
    pub(super) fn take(&self) -> Vec<Span> {
        let mut waiting = self.waiting.lock();
        let count = waiting.spans.len().min(BATCH);
        waiting.spans.drain(..count).collect()
    }

    /// Takes no more.
    pub(super) fn close(&self) {
        self.waiting.lock().closed = true;
    }
}

/// Spans that may wait, about a kilobyte each; more are dropped.
const WAITING_SPANS: usize = 8192;
/// Spans that are sent together.
pub(super) const BATCH: usize = 512;
