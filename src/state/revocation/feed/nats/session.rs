//! One consumer on one connection, from its creation to the first doubt about it.

use super::super::{Delivery, Intake, RETRY_FULL, Taken};
use super::ended::Ended;
use super::{REJECTED, Source, retention};
use crate::pop::Timestamp;
use crate::state::revocation::event::Refusal;
use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, push};
use async_nats::jetstream::context::GetStreamErrorKind;
use async_nats::jetstream::{self, ErrorCode, stream};
use async_nats::{Client, HeaderMap, Message, StatusCode, Subject, Subscriber};
use futures_util::{FutureExt, StreamExt};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, SystemTime};

mod position;

pub(super) use position::Mark;

/// How far the stream has been applied; outlives sessions.
#[derive(Debug, Default)]
pub(super) struct Position {
    /// When the stream was created: another time means another stream, to be read from its start.
    stream: Option<String>,
    /// The stream sequence up to which everything has been applied.
    sequence: u64,
    /// Both, for whoever writes snapshots.
    mark: Arc<Mark>,
    /// Whether something was applied, or the feed has caught up, since this was last asked.
    progress: bool,
    /// Whether this process has ever caught up: what comes from then on is news.
    live: bool,
}

impl Position {
    /// Whether a session has got anywhere since this was last asked.
    pub(super) fn take_progress(&mut self) -> bool {
        std::mem::take(&mut self.progress)
    }
}

/// A session about to run.
pub(super) struct Session<'a> {
    pub(super) source: &'a Source,
    pub(super) client: &'a Client,
    pub(super) position: &'a mut Position,
}

impl Session<'_> {
    /// Runs until there is a doubt.
    pub(super) async fn run(mut self) -> Ended {
        match self.follow().await {
            Ok(never) => match never {},
            Err(ended) => ended,
        }
    }

    async fn follow(&mut self) -> Result<std::convert::Infallible, Ended> {
        let mut context = jetstream::new(self.client.clone());
        let stream = self.stream(&context).await?;
        self.place(stream.cached_info());
        self.judge_retention(&stream.cached_info().config);
        let inbox = self.client.new_inbox();
        let cannot = |error: &dyn fmt::Display| Ended::Consumer(error.to_string());
        let mut messages = self.client.subscribe(inbox.clone()).await.map_err(|e| cannot(&e))?;
        let consumer = stream.create_consumer(self.consumer(inbox)).await.map_err(|e| cannot(&e))?;
        let info = consumer.cached_info();
        // What was delivered before this answer was written no longer counts as pending.
        let backlog = info.delivered.consumer_sequence + info.num_pending;
        let seen = &self.source.seen;
        seen.pending.store(backlog, Relaxed);
        let mut delivered = 0;
        loop {
            if delivered >= backlog {
                (self.position.progress, self.position.live) = (true, true);
                self.intake().heard();
            }
            let message = next(&mut messages, 3 * self.intake().health.heartbeat()).await?;
            match message.status {
                Some(StatusCode::IDLE_HEARTBEAT) => self.heartbeat(&message, delivered).await?,
                Some(status) => return Err(cannot(&status)),
                None => {
                    // The context goes in and comes back: a clone for each event would be a dozen counts.
                    let wrapped = jetstream::Message { message, context };
                    let info = wrapped.info().map_err(|e| cannot(&e))?;
                    if info.consumer_sequence != delivered + 1 {
                        return Err(Ended::Gap);
                    }
                    delivered = info.consumer_sequence;
                    let (sequence, pending) = (info.stream_sequence, info.pending);
                    let millis = info.published.unix_timestamp_nanos() / 1_000_000;
                    let published = i64::try_from(millis).ok().map(Timestamp::from_millis);
                    self.apply(&wrapped.message, sequence, published).await;
                    seen.sequence.store(sequence, Relaxed);
                    seen.pending.store(pending, Relaxed);
                    context = wrapped.context;
                }
            }
        }
    }

    /// The stream; made once if there is none, so that a first deployment needs no separate step.
    async fn stream(&self, context: &jetstream::Context) -> Result<stream::Stream, Ended> {
        let name = &self.source.stream;
        let error = match context.get_stream(name).await {
            Ok(stream) => return Ok(stream),
            Err(error) => error,
        };
        match error.kind() {
            GetStreamErrorKind::JetStream(e) if e.error_code() == ErrorCode::STREAM_NOT_FOUND => (),
            GetStreamErrorKind::JetStream(_)
            | GetStreamErrorKind::Request
            | GetStreamErrorKind::EmptyName
            | GetStreamErrorKind::InvalidStreamName => {
                return Err(Ended::Stream(format!("the stream {name} can't be looked up: {error}")));
            }
        }
        if self.position.stream.is_some() {
            // What it held may be lost: to go on with an empty one would admit what was revoked.
            return Err(Ended::Stream(format!("the stream {name} has disappeared")));
        }
        let made = context.create_stream(self.new_stream()).await;
        made.map_err(|error| {
            Ended::Stream(format!("the stream {name} is missing and can't be created: {error}"))
        })
    }

    fn new_stream(&self) -> stream::Config {
        stream::Config {
            name: self.source.stream.clone(),
            subjects: vec![self.source.subject.clone()],
            description: Some("revoked access tokens, for clinch".to_owned()),
            max_age: self.intake().longest_lifetime() + RETENTION_SLACK,
            ..stream::Config::default()
        }
    }

    /// Goes back to the start if this is not the stream that was read before, or has dropped what was not read.
    fn place(&mut self, info: &stream::Info) {
        let (stream, last, first) =
            (&self.source.stream, info.state.last_sequence, info.state.first_sequence);
        self.position.place(stream, &info.created.to_string(), first, last);
    }

    /// Tells once when the stream can forget an event too early, and what it says then.
    fn judge_retention(&self, config: &stream::Config) {
        let warning = retention::warning(config, self.intake().longest_lifetime());
        let mut told = self.source.seen.retention_warning.lock();
        if *told == warning {
            return;
        }
        if let Some(why) = &warning {
            let stream = &self.source.stream;
            tracing::warn!(stream, %why, "the stream may forget a revocation before the revoked tokens expire");
        }
        *told = warning;
    }

    fn consumer(&self, inbox: String) -> push::Config {
        let start_sequence = self.position.sequence + 1;
        push::Config {
            deliver_subject: inbox,
            deliver_policy: match self.position.sequence {
                0 => DeliverPolicy::All,
                _ => DeliverPolicy::ByStartSequence { start_sequence },
            },
            ack_policy: AckPolicy::None,
            max_deliver: 1,
            filter_subject: self.source.subject.clone(),
            flow_control: true,
            idle_heartbeat: self.intake().health.heartbeat(),
            inactive_threshold: Duration::from_secs(30),
            memory_storage: true,
            num_replicas: 1,
            ..push::Config::default()
        }
    }

    /// A heartbeat names the last event sent: if that is not the last one received, one was lost.
    async fn heartbeat(&self, message: &Message, delivered: u64) -> Result<(), Ended> {
        let header = |name: &str| message.headers.as_ref().and_then(|h| h.get_last(name));
        if let Some(subject) = &message.reply {
            return self.resume(subject.clone()).await;
        }
        if let Some(subject) = header("Nats-Consumer-Stalled") {
            self.resume(Subject::from(subject.as_str())).await?;
        }
        match header("Nats-Last-Consumer").map(|last| last.as_str().parse() == Ok(delivered)) {
            Some(false) => Err(Ended::Gap),
            Some(true) | None => Ok(()),
        }
    }

    /// Answers flow control: everything sent so far has been dealt with.
    async fn resume(&self, subject: Subject) -> Result<(), Ended> {
        self.client.publish(subject, Default::default()).await.map_err(|_| Ended::ConnectionLost)
    }

    /// Applies one event, and waits with it if there is no room.
    async fn apply(&mut self, message: &Message, sequence: u64, published: Option<Timestamp>) {
        while message.subject.as_str() != REJECTED && sequence > self.position.sequence {
            let place = Place { stream: &self.source.stream, sequence };
            let delivery = Delivery { bytes: &message.payload, place: &place, published };
            match self.intake().take(&delivery, Timestamp::from_system(SystemTime::now())) {
                Taken::Applied | Taken::Parked => break,
                Taken::Refused(refusal) => {
                    // Those of the backlog at start were kept aside by whoever was here when they came.
                    if self.position.live {
                        self.set_aside(message, sequence, refusal).await;
                    }
                    break;
                }
                Taken::Full => tokio::time::sleep(RETRY_FULL).await,
            }
        }
        self.position.advance(sequence);
        self.position.progress = true;
    }

    /// Every replica does this; the message id makes one of them. What is long is cut: the whole is in the stream, and
    /// nobody can fill it by making us repeat (ATTACKS RV-019).
    async fn set_aside(&self, message: &Message, sequence: u64, refusal: Refusal) {
        let mut headers = HeaderMap::new();
        headers.insert("Nats-Msg-Id", format!("rejected-{}-{sequence}", self.source.stream));
        headers.insert("Clinch-Sequence", sequence.to_string());
        headers.insert("Clinch-Subject", message.subject.as_str());
        headers.insert("Clinch-Reason", refusal.reason());
        headers.insert("Clinch-Length", message.payload.len().to_string());
        let kept = message.payload.slice(..message.payload.len().min(KEPT));
        let _ = self.client.publish_with_headers(REJECTED, headers, kept).await;
    }

    fn intake(&self) -> &Intake {
        &self.source.intake
    }
}

/// Where in the stream an event is.
struct Place<'a> {
    stream: &'a str,
    sequence: u64,
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sequence {} of {}", self.sequence, self.stream)
    }
}

/// One that has come already needs no timer.
async fn next(messages: &mut Subscriber, patience: Duration) -> Result<Message, Ended> {
    if let Some(Some(message)) = messages.next().now_or_never() {
        return Ok(message);
    }
    match tokio::time::timeout(patience, messages.next()).await {
        Ok(Some(message)) => Ok(message),
        Ok(None) => Err(Ended::ConnectionLost),
        Err(_) => Err(Ended::Silent),
    }
}

/// A stream made here keeps events longer than any token lives: clocks differ, tokens may be issued late.
const RETENTION_SLACK: Duration = Duration::from_secs(600);
/// So much of a bad event is kept aside.
const KEPT: usize = 4096;
