//! Spans out, from a bounded queue, in batches, by a task of their own.
//!
//! A collector that is slow, refuses or is gone costs spans, never requests: what finds the queue full is dropped and
//! counted, and so is a batch that was not taken after [`ATTEMPTS`]. The task tries again after a growing pause, so
//! that a collector that comes back is found within [`LONGEST_PAUSE`].

use super::Span;
use super::counts::{Lost, SpanCounts};
use super::encode::Envelope;
use super::queue::{BATCH, Queue};
use crate::telemetry::collector::{Collector, Failure, Signal};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use opentelemetry_proto::tonic::resource::v1::Resource;
use parking_lot::Mutex;
use prost::Message;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, sleep_until, timeout};

/// The way out for spans; clones share one queue.
#[derive(Clone, Debug)]
pub(in crate::telemetry) struct Exporter(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    queue: Arc<Queue>,
    counts: SpanCounts,
    /// Tells the task that there is little time left.
    end: watch::Sender<bool>,
    task: Mutex<Option<JoinHandle<()>>>,
}

struct Task {
    queue: Arc<Queue>,
    collector: Collector,
    envelope: Envelope,
    counts: SpanCounts,
    ends: watch::Receiver<bool>,
    failures: u32,
}

impl Exporter {
    /// Starts the task; needs a tokio runtime.
    pub(in crate::telemetry) fn start(
        collector: Collector,
        resource: &Resource,
        counts: SpanCounts,
    ) -> Exporter {
        let queue = Arc::<Queue>::default();
        let (end, ends) = watch::channel(false);
        let task = Task {
            queue: Arc::clone(&queue),
            collector,
            envelope: Envelope::of(resource),
            counts: counts.clone(),
            ends,
            failures: 0,
        };
        let task = Mutex::new(Some(tokio::spawn(task.run())));
        Exporter(Arc::new(Shared { queue, counts, end, task }))
    }

    /// Queues a span that has ended, or drops it.
    pub(super) fn take(&self, span: Span) {
        if !self.0.queue.put(span) {
            self.0.counts.lost(Lost::QueueFull, 1);
        }
    }

    /// Sends what is queued, at most this long.
    pub(in crate::telemetry) async fn shutdown(&self, limit: Duration) {
        let _ = self.0.end.send(true);
        let task = self.0.task.lock().take();
        if let Some(task) = task {
            let stop = task.abort_handle();
            // What is lost after the limit is lost: the process must end.
            if timeout(limit, task).await.is_err() {
                stop.abort();
            }
        }
    }
}

impl Task {
    async fn run(mut self) {
        while let Some(batch) = self.batch().await {
            let mut spans = batch.into_iter();
            while let Some((message, count)) = self.envelope.request(&mut spans) {
                self.send(&message, count).await;
            }
        }
    }

    /// Waits for spans, and a little longer for more of them; none when there will be no more.
    async fn batch(&mut self) -> Option<Vec<Span>> {
        let mut due = None;
        loop {
            // Without any exporter nothing more comes, either.
            let ending = *self.ends.borrow_and_update() || self.ends.has_changed().is_err();
            if ending {
                self.queue.close();
            }
            let count = self.queue.len();
            if ending || count >= BATCH || due.is_some_and(|due| due <= Instant::now()) {
                return Some(self.queue.take()).filter(|batch| !batch.is_empty());
            }
            if count > 0 {
                due = due.or(Some(Instant::now() + DELAY));
            }
            let waited = async {
                match due {
                    Some(due) => sleep_until(due).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                _ = self.ends.changed() => {}
                () = self.queue.changed() => {}
                () = waited => {}
            }
        }
    }

    async fn send(&mut self, message: &[u8], count: u64) {
        for attempt in 1..=ATTEMPTS {
            match self.collector.send(Signal::Traces, message.to_vec()).await {
                Ok(answer) => return self.taken(&answer, count),
                Err(failure) => {
                    self.refused(&failure);
                    let over = *self.ends.borrow();
                    if !failure.again || attempt == ATTEMPTS || over {
                        return self.counts.lost(Lost::NotTaken, count);
                    }
                    self.pause(failure.after).await;
                }
            }
        }
    }

    /// The collector has the batch, or the greater part of it.
    fn taken(&mut self, answer: &[u8], count: u64) {
        self.counts.exported(true);
        if std::mem::take(&mut self.failures) > 0 {
            tracing::info!("the trace collector takes spans again");
        }
        let partial =
            ExportTraceServiceResponse::decode(answer).ok().and_then(|answer| answer.partial_success);
        let rejected = partial.and_then(|partial| u64::try_from(partial.rejected_spans).ok()).unwrap_or(0);
        // It can't reject what it was not given.
        let rejected = rejected.min(count);
        if rejected > 0 {
            self.counts.lost(Lost::Rejected, rejected);
            tracing::warn!(rejected, "the trace collector takes only a part of the spans");
        }
    }

    /// Counts, and says once when the collector goes.
    fn refused(&mut self, failure: &Failure) {
        self.counts.exported(false);
        if self.failures == 0 {
            tracing::warn!(why = failure.why, "the trace collector takes no spans");
        }
        self.failures = self.failures.saturating_add(1);
    }

    /// Half a second, doubled by every failure; as long as the collector asks for, within reason.
    async fn pause(&mut self, asked: Option<Duration>) {
        let doubled = FIRST_PAUSE.saturating_mul(2_u32.saturating_pow(self.failures.saturating_sub(1)));
        let pause = asked.unwrap_or(doubled).min(LONGEST_PAUSE);
        tokio::select! {
            () = sleep(pause) => {}
            _ = self.ends.wait_for(|ending| *ending) => {}
        }
    }
}

/// How long a span waits for company.
const DELAY: Duration = Duration::from_secs(1);
const ATTEMPTS: u32 = 5;
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
